"""Multipart forms, parsed as they arrive: text parts as text, the file part as a digest.

A file of any size takes constant memory, except for what `Settings.keep_content` allows.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import attrs
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ccv2_async.sandbox.responses import Refusal, absent_field, bad_field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccv2_async.sandbox.fields import Model

CONTENT = "data"
"""The name of the part that holds the file."""

_HEAD = 128 * 1024
_TEXT_LIMIT = 64 * 1024
# The EICAR test file, in two halves so that no scanner mistakes this module for it.
_EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@attrs.define
class Content:
    """A file's content, received in chunks.

    Attributes:
        keep: The largest size that is kept in memory.
        size: The size in bytes.
        infected: Whether the EICAR test string was in it.
    """

    keep: int
    size: int = 0
    infected: bool = False
    _digest: Any = attrs.field(factory=hashlib.sha256)
    _tail: bytes = b""
    _head: bytearray = attrs.field(factory=bytearray)
    _chunks: list[bytes] = attrs.field(factory=list)

    @property
    def sha256(self) -> str:
        """The digest in hexadecimal."""
        return str(self._digest.hexdigest())

    @property
    def head(self) -> bytes:
        """The first bytes, up to 128 KB."""
        return bytes(self._head)

    @property
    def data(self) -> bytes | None:
        """All of it; None when it was too large to keep."""
        return b"".join(self._chunks) if self.size <= self.keep else None

    def write(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self.size += len(chunk)
        self._digest.update(chunk)
        if not self.infected:
            self.infected = _EICAR in chunk or _EICAR in self._tail + chunk[: len(_EICAR)]
            self._tail = (self._tail + chunk[-len(_EICAR) :])[-len(_EICAR) :]
        self._head += chunk[: max(0, _HEAD - len(self._head))]
        if self.size <= self.keep:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()


@attrs.define
class Form:
    """A form that was read to its end.

    Attributes:
        texts: The text parts.
        content: The file part.
        parts: The names of all parts in the order in which they came.
    """

    texts: dict[str, str]
    content: Content
    parts: tuple[str, ...]


class _Parts:
    """The parser's events, collected part by part."""

    def __init__(self, keep: int) -> None:
        self.texts: dict[str, bytearray] = {}
        self.order: dict[str, None] = {}
        self.content: Content | None = None
        self.ended = False
        self._keep = keep
        self._headers: dict[str, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._take: Content | bytearray = bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._headers.clear,
            "on_part_data": self._data,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._begin,
            "on_end": self._end,
        }

    def _header(self) -> None:
        name = bytes(self._header_name).lower().decode("latin-1")
        self._headers[name] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _begin(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition"))
        if b"name" not in options:
            raise Refusal(400, "A part of the form has no name.")
        name = _text("name", options[b"name"])
        if name in self.order:
            raise bad_field(name, "the part was sent twice.")
        self.order[name] = None
        if name == CONTENT:
            self._take = self.content = Content(self._keep)
        else:
            self._take = self.texts[name] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if isinstance(self._take, Content):
            whole = start == 0 and end == len(data)
            self._take.write(data if whole else data[start:end])
            return
        self._take += data[start:end]
        if len(self._take) > _TEXT_LIMIT:
            raise Refusal(400, f"The part {[*self.order][-1]} is too long.")

    def _end(self) -> None:
        self.ended = True


def _text(name: str, raw: bytes | bytearray) -> str:
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError:
        raise bad_field(name, "UTF-8 is expected.") from None


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary that a Content-Type names, or raise a 400 or 415."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise Refusal(415, "Content-Type must be multipart/form-data.")
    if not (boundary := options.get(b"boundary")):
        raise Refusal(400, "The multipart/form-data has no boundary.")
    return boundary


async def read_form(
    chunks: AsyncIterator[bytes], boundary: bytes, model: Model, *, limit: int, keep: int
) -> Form:
    """Return the form. A refused form is read to its end too, so the client gets the response.

    Args:
        chunks: The request's body as it arrives.
        boundary: The separator of the parts.
        model: The expected text parts, apart from the content.
        limit: The maximum size of the content in bytes; a larger one is refused with 413.
        keep: Bytes of content that may be held in memory.
    """
    parts = _Parts(keep)
    refusal: Refusal | None = None
    try:
        parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type] # a TypedDict of these callables
    except FormParserError as error:
        raise Refusal(400, f"The form cannot be read: {error}") from None
    async for chunk in chunks:
        if refusal is not None:
            continue
        try:
            parser.write(chunk)
        except Refusal as problem:
            refusal = problem
        except FormParserError as error:
            refusal = Refusal(400, f"The form cannot be read: {error}")
        if parts.content is not None and parts.content.size > limit:
            refusal = Refusal(413, f"{CONTENT}: at most {limit} bytes are accepted.")
    if refusal is None and not parts.ended:
        refusal = Refusal(400, "The form ends before its final boundary.")
    if refusal is not None:
        raise refusal
    return _checked(parts, model)


def _checked(parts: _Parts, model: Model) -> Form:
    known = parts.texts.keys() & model.fields.keys()
    texts = model.read({name: _text(name, parts.texts[name]) for name in known})
    if parts.content is None:
        raise absent_field(CONTENT)
    return Form(texts, parts.content, tuple(parts.order))
