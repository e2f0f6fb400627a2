"""Messages of HTTP/1.1: write the head of a request, parse a response, and unpack its body."""

from __future__ import annotations

import re
import zlib
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, cast

import anyio.lowlevel
import httptools
import httpx

from ccv2_async import errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

UNPACK_BLOCK = 256 * 1024
EMPTY = httpx.ByteStream(b"")
"""The body of a response that has none, like most accepted calls."""

_LONGEST_HEAD = 100 * 1024
_MOST_INFORMATIONAL = 100
_MOST_LINES = 256  # of the heads and the trailer of a response
_HEAD = re.compile(
    rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*\r\n)+\r\n"
)


def head_of(method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request.

    Raises:
        httpx.LocalProtocolError: It holds a character that HTTP does not allow there.
    """
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("ascii"), target, lines)
    # An injected line may be a valid header, so count them.
    if head.count(b"\n") != len(headers) + 2 or not _HEAD.fullmatch(head):
        raise httpx.LocalProtocolError("The request contains a character that HTTP does not allow")
    return head


class ResponseParser:
    """The responses on one connection, one after another, as llhttp reads them.

    Args:
        method: The method of the first request.

    Attributes:
        status: The status of the current response; 0 until its head is complete.
        headers: Its headers, unchanged.
        body: The part of its body that has arrived but was not taken yet.
        may_be_chunked: Whether its body may come in any number of chunks.
        is_complete: Whether it has ended.
        is_last: Whether the server closes the connection after it.
        has_surplus: Whether data followed it.
        flaw: How it violates HTTP or exceeds a limit. Its head may still be complete.
    """

    def __init__(self, method: str = "GET") -> None:
        self._has_no_body = True
        self.begin(method)

    def begin(self, method: str) -> None:
        """Prepare for the response to a request with this method."""
        if self._has_no_body:  # llhttp waits for the body of the last response
            self._llhttp = httptools.HttpResponseParser(self)
            # Some servers pad the size. This cannot hide one response in another.
            self._llhttp.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
            # `is_last` depends only on the final response: not on informational ones, and not on a
            # trailer.
            self._llhttp.set_dangerous_leniencies(lenient_keep_alive=True)
        self.status: int = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.may_be_chunked: bool = True
        self.is_complete: bool = False
        self.is_last: bool = False
        self.has_surplus: bool = False
        self.flaw: httpx.RemoteProtocolError | None = None
        self.body: list[bytes] = []
        self._lines = self._informational = self._bytes_between = 0
        self._has_no_body = method in ("HEAD", "CONNECT")

    def feed(self, data: bytes | memoryview) -> None:
        """Read the bytes that arrive next; ignore them after a flaw."""
        try:
            # The last byte is fed separately: if the response is complete before it, there is a
            # surplus.
            self._llhttp.feed_data(data[:-1])
            self.has_surplus = self.has_surplus or self.is_complete
            self._llhttp.feed_data(data[-1:])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.has_surplus = self.is_complete
            if not self.is_complete:
                self.flaw = httpx.RemoteProtocolError(str(error.__context__ or error))
        self._bytes_between = 0 if self.body else self._bytes_between + len(data)
        if self._bytes_between > _LONGEST_HEAD:
            self.flaw = httpx.RemoteProtocolError(
                "Header lines, or a line before a chunk, are too long"
            )

    def end(self) -> None:
        """Note that the server sends nothing more.

        Raises:
            httpx.RemoteProtocolError: The response is not complete.
        """
        if not self.status:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        if self._all(b"content-length") or self._all(b"transfer-encoding"):
            raise httpx.RemoteProtocolError("Server disconnected before the end of its response.")
        self.is_complete = self.is_last = True

    def take(self) -> bytes:
        """Return the part of the body that has arrived since the last call."""
        body, self.body = self.body, []
        return b"".join(body)

    def _all(self, header: bytes) -> list[bytes]:
        return [value.lower() for name, value in self.headers if name.lower() == header]

    # --- called by llhttp

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header, unless it is in a trailer."""
        self._lines += 1
        if self._lines > _MOST_LINES:
            raise httpx.RemoteProtocolError("Too many header lines")
        if not self.status:
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Store the status, or skip an informational response."""
        if self.status:
            return
        status, framing = self._llhttp.get_status_code(), self._all(b"transfer-encoding")
        if framing not in ([], [b"chunked"]):
            raise httpx.RemoteProtocolError("Unknown transfer encoding")
        if status >= 200:
            self.status, self.may_be_chunked = status, bool(framing)
            version = self._llhttp.get_http_version()
            self.is_last = version != "1.1" or not self._llhttp.should_keep_alive()
            self.is_complete = self._has_no_body
            return
        self._informational += 1
        has_body = framing or self._all(b"content-length") not in ([], [b"0"])
        if status < 100 or status == 101 or has_body or self._informational > _MOST_INFORMATIONAL:
            raise httpx.RemoteProtocolError("Unexpected informational response, or too many")
        self.headers.clear()

    def on_body(self, data: bytes) -> None:
        """Store a part of the body, but no data after the response."""
        if not self.is_complete:
            self.body.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the response."""
        self.is_complete = self.status > 0


async def read_bounded(response: httpx.Response, limit: int, what: str) -> bytes:
    """Return the whole body, unpacked, of at most `limit` bytes.

    Raises:
        DecodeError: The body is larger, damaged, or has an encoding that was not requested.
    """
    if response.stream is EMPTY:
        return b""
    async with aclosing(unpacked(response, limit, what)) as stream:
        pieces = [piece async for piece in stream]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def unpacked(
    response: httpx.Response, limit: int | None, what: str
) -> AsyncGenerator[bytes, None]:
    """Yield the body in pieces of limited size, so that a small one cannot unpack to a huge one."""
    unreadable = partial(errors.DecodeError.from_parts, what, status=response.status_code)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise unreadable("the response has an encoding that was not requested")
    # A user's event hook or stand-in transport may have read, and unpacked, it already.
    is_read = response.is_stream_consumed
    has_length = "content-length" in response.headers or "transfer-encoding" in response.headers
    may_be_empty = has_length or limit is not None  # or else a file may have been cut off
    unpacker = _Unpacker(may_be_empty) if "gzip" in encoding and not is_read else None
    source = response.aiter_bytes() if is_read else response.aiter_raw()
    size = 0
    async with aclosing(cast("AsyncGenerator[bytes, None]", source)) as packed:
        async for raw in packed:
            for piece in unpacker.feed(raw) if unpacker is not None else (raw,):
                size += len(piece)
                if limit is not None and size > limit:
                    raise errors.ResponseTooLarge.from_parts(
                        what,
                        f"the response is larger than {limit:,} bytes",
                        "The rest was not read.",
                        status=response.status_code,
                    )
                yield piece
                if unpacker is not None:
                    await anyio.lowlevel.checkpoint()  # a few bytes may hold very many pieces
            if unpacker is not None and unpacker.broken:
                break
    if unpacker is not None and not unpacker.whole:
        raise unreadable(
            "the response claims to be gzip, but it is invalid, truncated, or followed by more data"
        )


async def streamed(
    response: httpx.Response, what: str, broken: Callable[[Exception], errors.ConnectionLost]
) -> AsyncGenerator[bytes, None]:
    """Yield a file of any length from the body of a response, unpacked.

    Args:
        response: The response.
        what: The name of the file, for messages.
        broken: Returns the error to raise when the connection fails.

    Raises:
        DecodeError: The status is a success other than 200, such as 206 for a part.
    """
    if response.status_code != 200:
        raise errors.DecodeError(
            f"{what}: the response is {response.status_code}, which is not the whole file.",
            status=response.status_code,
        )
    failed: errors.ConstantContactError | None = None
    try:
        async with aclosing(unpacked(response, None, what)) as pieces:
            async for piece in pieces:
                yield piece
    except errors.ConstantContactError as error:
        failed = error.with_traceback(None)  # its frames hold headers, which may echo the key
    except Exception as error:  # noqa: BLE001  # engines raise more than they document
        failed = broken(error)
    if failed is not None:  # raised here, so that no frame of the HTTP library is its context
        raise failed


class _Unpacker:
    """Unpack gzip in blocks of limited size."""

    def __init__(self, may_be_empty: bool) -> None:
        self._may_be_empty = may_be_empty
        self._zlib = zlib.decompressobj(wbits=31)
        self._fed = False
        self.broken = False

    @property
    def whole(self) -> bool:
        """Whether the data is complete."""
        return not self.broken and (self._zlib.eof or (self._may_be_empty and not self._fed))

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked content of the next piece of data."""
        self._fed = self._fed or bool(data)
        while not self.broken:
            try:
                piece = self._zlib.decompress(data, UNPACK_BLOCK)
            except zlib.error:
                self.broken = True
                return
            # More data after the end may be another part of the file.
            self.broken = bool(self._zlib.unused_data)
            data = self._zlib.unconsumed_tail
            if piece:
                yield piece
            # A full block may leave more inside zlib, even when all input was consumed.
            if not data and len(piece) < UNPACK_BLOCK:
                return
