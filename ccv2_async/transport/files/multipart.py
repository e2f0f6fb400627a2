"""Encode multipart forms: the bytes before and after the file, and the exact length.

Pure: the boundary is an argument, and the file itself is not read. The format is known to work with
the service:

- text parts carry a Content-Disposition and nothing else;
- the file part carries its file name and a Content-Type, or neither;
- names are sent as raw UTF-8, in `"..."`, without any `filename*=`.

Names are escaped as browsers do it (the WHATWG form encoding: `"` is `%22`, CR `%0D`, LF `%0A`).
Other characters that some parsers treat as the end of a string or a line are escaped in the same
way: the other control characters, the two Unicode line separators, and the backslash, which hides a
closing quote from parsers that support quoted pairs. Values are sent unchanged. Only the boundary
can end a value, so a value that contains it is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from ccv2_async.errors import InvalidField

if TYPE_CHECKING:
    from collections.abc import Iterable

_BOUNDARY = re.compile(r"[0-9A-Za-z'+_.-]{1,70}")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+(; ?[ -~]+)?")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SEPARATOR = re.compile(r"[/\\]")

_PLAIN = re.compile(r"[ !#-\[\]-~]*")  # ASCII characters that never need escaping
_UNSAFE = ['"', "\\", "\u2028", "\u2029", *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))]
_ESCAPES = str.maketrans(
    {char: "".join(f"%{byte:02X}" for byte in char.encode()) for char in _UNSAFE}
)


@attrs.frozen
class FilePart:
    """The part of a form that is a file.

    Args:
        name: The field's name.
        filename: The file name to send, without its directory. None sends no file name.
        content_type: The media type to send, or None to send none.
    """

    name: str
    filename: str | None = None
    content_type: str | None = None


@attrs.frozen
class MultipartLayout:
    """A form without the bytes of its file.

    Attributes:
        head: The bytes before the file.
        tail: The bytes after the file, which end with the final boundary.
        content_type: The Content-Type of the request, with the boundary.
    """

    head: bytes = attrs.field(repr=False)
    tail: bytes = attrs.field(repr=False)
    content_type: str

    def length(self, file_length: int) -> int:
        """Return the Content-Length of the form with a file of `file_length` bytes."""
        return len(self.head) + file_length + len(self.tail)


def boundary_from(random_bytes: bytes) -> str:
    """Return a boundary from at least 16 random bytes."""
    if len(random_bytes) < 16:
        raise ValueError(f"a boundary needs at least 16 random bytes, not {len(random_bytes)}")
    return "ccv2-" + random_bytes[:32].hex()


def escape_name(name: str) -> str:
    """Return a field or file name as it is quoted in a Content-Disposition."""
    return name if _PLAIN.fullmatch(name) else _scalar(name).translate(_ESCAPES)


def lay_out(fields: Iterable[tuple[str, str] | FilePart], *, boundary: str) -> MultipartLayout:
    """Return the form with these fields, in this order.

    Args:
        fields: `(name, value)` for a text field, and a `FilePart` for the file; exactly one file.
        boundary: 1 to 70 letters, digits, or any of `'+_.-`; see `boundary_from`.

    Raises:
        InvalidField: A name is empty, a file name is only a directory, a media type is not valid,
            or a value holds the boundary. Nothing was sent.
        ValueError: There is not exactly one file, or the boundary has other characters.
    """
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError(f"not a boundary: {boundary!r}")
    delimiter = f"--{boundary}\r\n"
    before: list[str] = []
    after: list[str] | None = None
    for field in fields:
        if isinstance(field, FilePart):
            if after is not None:
                raise ValueError("a form can have only one file")
            before.append(f"{delimiter}{_file_head(field)}\r\n\r\n")
            after = ["\r\n"]
        else:
            text = f"{delimiter}{_text_part(field, boundary)}\r\n"
            (before if after is None else after).append(text)
    if after is None:
        raise ValueError("a form needs a file")
    after.append(f"--{boundary}--\r\n")
    return MultipartLayout(
        head="".join(before).encode(),
        tail="".join(after).encode(),
        content_type=f"multipart/form-data; boundary={boundary}",
    )


def _scalar(text: str) -> str:
    """Return the text with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


@lru_cache(maxsize=64)
def _disposition(name: str) -> str:
    if not name:
        raise InvalidField("name", name, "a form field needs a name")
    return f'Content-Disposition: form-data; name="{escape_name(name)}"'


def _text_part(field: tuple[str, str], boundary: str) -> str:
    name, value = field
    if boundary in value:
        raise InvalidField(name, value, "a value cannot contain the form's own boundary")
    return f"{_disposition(name)}\r\n\r\n{_scalar(value)}"


@lru_cache(maxsize=64)
def _is_media_type(text: str) -> bool:
    return _MEDIA_TYPE.fullmatch(text) is not None


def _file_head(part: FilePart) -> str:
    head = _disposition(part.name)
    if part.filename is not None:
        filename = _SEPARATOR.split(part.filename)[-1]
        if filename in {"", ".", ".."}:
            raise InvalidField("file_name", part.filename, "it must be the name of a file")
        head += f'; filename="{escape_name(filename)}"'
    if part.content_type is not None:
        if not _is_media_type(part.content_type):
            raise InvalidField("content_type", part.content_type, "use a type such as image/png")
        head += f"\r\nContent-Type: {part.content_type}"
    return head
