"""Multipart forms, read as they come in: text parts into text, the file part into a digest.

A file of any size takes constant memory, but for what `Settings.keep_content` allows to be kept.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import attrs
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ccv2_async.sandbox.answers import Refusal, absent_field, bad_field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccv2_async.sandbox.operations import FormBody

_HEAD = 128 * 1024
_TEXT_LIMIT = 64 * 1024
# The EICAR test file, in two halves so that no scanner takes this module for it.
_EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@attrs.define
class Content:
    """A file's content as it arrived.

    Attributes:
        size: Bytes.
        sha256: Digest, in hexadecimal.
        infected: The EICAR test string was in it.
        head: Its first bytes, up to 128 KB.
        data: All of it, when it was kept.
        filename: What the part's header called it, if it did.
    """

    size: int
    sha256: str
    infected: bool
    head: bytes
    data: bytes | None
    filename: str | None


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


class _Sink:
    """Takes a file's bytes as they come: size, digest, first bytes, and all of them if allowed."""

    def __init__(self, keep: int, filename: str | None) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._infected = False
        self._tail = b""
        self._head = bytearray()
        self._chunks: list[bytes] | None = []
        self._keep = keep
        self._filename = filename

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._digest.update(chunk)
        if not self._infected:
            self._infected = _EICAR in chunk or _EICAR in self._tail + chunk[: len(_EICAR)]
            self._tail = (self._tail + chunk[-len(_EICAR) :])[-len(_EICAR) :]
        if len(self._head) < _HEAD:
            self._head += chunk[: _HEAD - len(self._head)]
        if self._chunks is not None:
            self._chunks.append(chunk)
            if self.size > self._keep:
                self._chunks = None

    def finish(self) -> Content:
        data = None if self._chunks is None else b"".join(self._chunks)
        return Content(
            size=self.size,
            sha256=self._digest.hexdigest(),
            infected=self._infected,
            head=bytes(self._head),
            data=data,
            filename=self._filename,
        )


class _Parts:
    """The parser's events, collected part by part."""

    def __init__(self, content: str, keep: int) -> None:
        self.texts: dict[str, bytearray] = {}
        self.order: list[str] = []
        self.sink: _Sink | None = None
        self.ended = False
        self._content = content
        self._keep = keep
        self._headers: dict[str, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._take: _Sink | bytearray = bytearray()

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._headers.clear,
            "on_part_data": self._data,
            "on_header_field": self._name,
            "on_header_value": self._value,
            "on_header_end": self._header,
            "on_headers_finished": self._begin,
            "on_end": self._end,
        }

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

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
        self.order.append(name)
        if name == self._content:
            filename = options.get(b"filename")
            shown = None if filename is None else filename.decode("utf-8", "replace")
            self._take = self.sink = _Sink(self._keep, shown)
        else:
            self._take = self.texts[name] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if isinstance(self._take, _Sink):
            whole = start == 0 and end == len(data)
            self._take.write(data if whole else data[start:end])
            return
        self._take += data[start:end]
        if len(self._take) > _TEXT_LIMIT:
            raise Refusal(400, f"The part {self.order[-1]} is too long.")

    def _end(self) -> None:
        self.ended = True


def _text(name: str, raw: bytes | bytearray) -> str:
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError:
        raise bad_field(name, "UTF-8 is expected.") from None


def boundary_of(content_type: str | None) -> bytes:
    """The boundary that a Content-Type announces, or a refusal: 415 or 400."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise Refusal(415, "Content-Type has to be multipart/form-data.")
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refusal(400, "The multipart/form-data has no boundary.")
    return boundary


async def read_form(
    chunks: AsyncIterator[bytes], boundary: bytes, body: FormBody, *, limit: int, keep: int
) -> Form:
    """The form, read to its end even when it is refused, so that the client gets the answer.

    Args:
        chunks: The request's body as it arrives.
        boundary: What stands between the parts.
        body: The parts that are expected.
        limit: Bytes of content at most; 413 is the answer to more.
        keep: Bytes of content that may be held in memory.
    """
    parts = _Parts(body.content, keep)
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
        if parts.sink is not None and parts.sink.size > limit:
            refusal = Refusal(413, f"{body.content}: at most {limit} bytes are accepted.")
    if refusal is None and not parts.ended:
        refusal = Refusal(400, "The form ends before its final boundary.")
    if refusal is not None:
        raise refusal
    return _checked(parts, body)


def _checked(parts: _Parts, body: FormBody) -> Form:
    texts: dict[str, str] = {}
    for name, field in body.parts.items():
        if name in parts.texts:
            texts[name] = field.read(name, _text(name, parts.texts[name]))
        elif field.required:
            raise absent_field(name)
    if parts.sink is None:
        raise absent_field(body.content)
    return Form(texts, parts.sink.finish(), tuple(parts.order))
