"""Read the body of a response: unpacked, and of limited size."""

from __future__ import annotations

import zlib
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import anyio.lowlevel

from ccv2_async import errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator

    import httpx

UNPACK_BLOCK = 256 * 1024


async def read_bounded(response: httpx.Response, limit: int, what: str) -> bytes:
    """Return the whole body, unpacked, of at most `limit` bytes.

    Raises:
        DecodeError: The body is larger, damaged, or packed in a way that was not asked for.
    """
    if response.headers.get("content-length") == "0" and not response.is_stream_consumed:
        # Most accepted calls have an empty response; the connection must still see its end.
        async for _ in cast("AsyncIterable[bytes]", response.stream):
            pass
        await response.aclose()
        return b""
    async with aclosing(unpacked(response, limit, what)) as stream:
        pieces = [piece async for piece in stream]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def unpacked(
    response: httpx.Response, limit: int | None, what: str
) -> AsyncGenerator[bytes, None]:
    """Yield the body in pieces of limited size, so that a small one cannot unpack to a huge one."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise errors.DecodeError(
            f"{what}: the response came in an encoding that was not asked for.",
            status=response.status_code,
        )
    # A user's event hook or stand-in transport may have read, and unpacked, it already.
    is_read = response.is_stream_consumed
    unpacker = _Unpacker() if "gzip" in encoding and not is_read else None
    source = response.aiter_bytes() if is_read else response.aiter_raw()
    size = 0
    async with aclosing(cast("AsyncGenerator[bytes, None]", source)) as packed:
        async for raw in packed:
            for piece in unpacker.feed(raw) if unpacker is not None else (raw,):
                size += len(piece)
                if limit is not None and size > limit:
                    raise errors.AnswerTooLarge(
                        f"{what}: the response is larger than {limit:,} bytes. "
                        "The rest was not read.",
                        status=response.status_code,
                    )
                yield piece
                if unpacker is not None:
                    await anyio.lowlevel.checkpoint()  # a few bytes may hold very many pieces
            if unpacker is not None and unpacker.broken:
                break
    if unpacker is not None and not unpacker.whole:
        raise errors.DecodeError(
            f"{what}: the response claims to be gzip, but it is invalid or truncated.",
            status=response.status_code,
        )


async def streamed(
    response: httpx.Response, what: str, broken: Callable[[Exception], errors.ConnectionLost]
) -> AsyncGenerator[bytes, None]:
    """Yield the body of a response of any length, unpacked.

    Args:
        response: The response.
        what: The name of the response, for messages.
        broken: Returns the error to raise when the connection fails.
    """
    failed: errors.ConnectionLost | None = None
    try:
        async with aclosing(unpacked(response, None, what)) as pieces:
            async for piece in pieces:
                yield piece
    except errors.ConstantContactError:
        raise
    except Exception as error:  # noqa: BLE001  # engines raise more than they document
        failed = broken(error)
    if failed is not None:  # raised here, so that no frame of the HTTP library is its context
        raise failed


class _Unpacker:
    """Unpack gzip in blocks of limited size."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self._fed = False
        self.broken = False

    @property
    def whole(self) -> bool:
        """Whether the data is complete or empty."""
        return not self.broken and (self._zlib.eof or not self._fed)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the unpacked content of the next piece of data."""
        self._fed = self._fed or bool(data)
        if self._zlib.eof and data:
            self.broken = True  # something follows the end; zlib would keep it in memory
        while not (self.broken or self._zlib.eof):
            try:
                piece = self._zlib.decompress(data, UNPACK_BLOCK)
            except zlib.error:
                self.broken = True
                return
            data = self._zlib.unconsumed_tail
            if piece:
                yield piece
            # A full block may leave more inside of zlib, even when all input was taken.
            if not data and len(piece) < UNPACK_BLOCK:
                return
