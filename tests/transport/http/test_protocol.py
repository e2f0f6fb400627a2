"""The bytes of one connection: sending, receiving, timeouts, and disconnects."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import httpx
import pytest

from ccv2_async.transport.http import protocol
from ccv2_async.transport.http.protocol import SocketStream, connect
from tests.support.probes import nothing_left, until
from tests.support.servers import HOST, RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import Wire as Served

MANY = 8 * 1024 * 1024  # far more than the kernel takes at once


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[SocketStream, socket.socket]]:
    """A stream, and the socket at its other end, which the test controls."""
    async with nothing_left():
        ours, theirs = socket.socketpair()
        with theirs:
            for sock in (ours, theirs):
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            stream = SocketStream(ours)
            await protocol._hand_over(ours, stream, None, "")
            try:
                yield stream, theirs
            finally:
                stream.close()
                stream.close()


async def take(theirs: socket.socket, size: int) -> bytes:
    """Receive exactly this many bytes."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    while len(got) < size:
        piece = await loop.sock_recv(theirs, size - len(got))
        assert piece, "the other side hung up"
        got += piece
    return bytes(got)


# --- sending


async def test_the_head_and_the_first_chunk_are_sent_together() -> None:
    async with pair() as (stream, theirs):
        assert stream.start(b"head", b"x" * 20_000)
        assert theirs.recv(30_000) == b"head" + b"x" * 20_000


async def test_chunks_of_any_size_arrive_in_order() -> None:
    pieces = [bytes([n % 251]) * (n * 37 % 4001) for n in range(2000)]
    pieces[1000:1000] = [b"L" * 300_000, b"tail", b"M" * 300_000]
    async with pair() as (stream, theirs):
        taking = asyncio.create_task(take(theirs, sum(map(len, pieces))))
        for piece in pieces:
            await stream.write(piece, 10)
        assert await taking == b"".join(pieces)


async def test_writing_waits_until_the_peer_reads() -> None:
    content = b"0123456789abcdef" * (MANY // 16)
    async with pair() as (stream, theirs):
        writing = asyncio.create_task(stream.write(content, 30))
        await asyncio.sleep(0.01)
        assert not writing.done()
        assert await take(theirs, MANY) == content
        await writing
        await stream.write(b"z" * 20_000)
        assert await take(theirs, 20_000) == b"z" * 20_000


async def test_a_write_that_is_not_read_in_time_times_out() -> None:
    async with pair() as (stream, _):
        with pytest.raises(httpx.WriteTimeout):
            await stream.write(b"x" * MANY, 0.01)


@pytest.mark.parametrize("direction", ["write", "read"])
async def test_cancelled_operations_leave_nothing(direction: str) -> None:
    async with pair() as (stream, _):
        work = stream.write(b"x" * MANY, 30) if direction == "write" else stream.read(30)
        task = asyncio.create_task(work)
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("size", [5, MANY])
async def test_closing_drops_unsent_data(size: int) -> None:
    async with pair() as (stream, theirs):
        writing = asyncio.create_task(stream.write(b"x" * size, 30))
        await asyncio.sleep(0)
        stream.close()
        if size == MANY:
            with pytest.raises(httpx.WriteError, match="closed"):
                await writing
        else:
            await writing
        with pytest.raises(httpx.WriteError, match="closed"):
            await stream.write(b"more")
        with pytest.raises(httpx.ReadError, match="closed"):
            await stream.read()
        left = 0
        await asyncio.sleep(0)  # asyncio closes the socket in its next turn
        with contextlib.suppress(ConnectionError):
            while piece := theirs.recv(65536):
                left += len(piece)
        assert left < MANY


async def test_closing_wakes_a_reader() -> None:
    async with pair() as (stream, _):
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        stream.close()
        with pytest.raises(httpx.ReadError, match="closed"):
            await reading


# --- receiving


async def test_received_data_is_returned_in_order_and_then_the_end() -> None:
    async with pair() as (stream, theirs):
        theirs.send(b"abcdef")
        assert await stream.read() == b"abcdef"
        assert stream.take() == b""
        theirs.send(b"gh")
        theirs.shutdown(socket.SHUT_WR)
        assert [await stream.read(), await stream.read(), await stream.read()] == [b"gh", b"", b""]


async def test_a_half_closed_connection_can_still_be_written_to() -> None:
    async with pair() as (stream, theirs):
        theirs.shutdown(socket.SHUT_WR)
        assert await stream.read() == b""
        await stream.write(b"still here")
        assert await take(theirs, 10) == b"still here"


async def test_unread_data_stays_with_the_sender() -> None:
    content = bytes(range(256)) * (MANY // 256)
    loop = asyncio.get_running_loop()
    async with pair() as (stream, theirs):
        sending = asyncio.create_task(loop.sock_sendall(theirs, content))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not sending.done()
        assert stream._bytes_arrived <= 2 * protocol.READ_AHEAD
        got = bytearray()
        while len(got) < MANY:
            got += await stream.read()
        await sending
        assert got == content


async def test_a_response_that_does_not_arrive_in_time_times_out() -> None:
    async with pair() as (stream, theirs):
        with pytest.raises(httpx.ReadTimeout):
            await stream.read(0.001)
        theirs.send(b"late")
        assert await stream.read() == b"late"


async def test_a_refusal_is_read_after_the_service_reset_the_connection() -> None:
    heard = asyncio.Event()

    async def refuse(served: Served) -> None:
        await served.reader.readexactly(4)
        await served.write(b"413")
        await heard.wait()
        served.reset()

    async with RawServer(refuse) as server, nothing_left():
        stream = await connect(HOST, server.port, timeout=5)
        await stream.write(b"body")
        await until(lambda: stream._arrived)
        heard.set()
        await until(lambda: stream.ended)
        with pytest.raises(httpx.WriteError):
            await write_on(stream)
        assert await stream.read(5) == b"413"
        with pytest.raises(httpx.ReadError):
            await stream.read(5)
        stream.close()


async def write_on(stream: SocketStream) -> None:
    for _ in range(100):
        await stream.write(b"x" * 1_000_000, 5)


async def test_a_connection_that_breaks_before_the_response_is_an_error() -> None:
    async def vanish(served: Served) -> None:
        await served.reader.readexactly(4)
        served.reset()

    async with RawServer(vanish) as server, nothing_left():
        stream = await connect(HOST, server.port, timeout=5)
        await stream.write(b"body")
        with pytest.raises(httpx.ReadError, match="reset"):
            await stream.read(5)
        with pytest.raises(httpx.WriteError, match="reset"):
            await stream.write(b"more")
        stream.close()


# --- idle connections


async def test_an_idle_connection_is_usable_until_the_peer_closes_or_sends() -> None:
    for end in (lambda s: s.close(), lambda s: s.send(b"HTTP/1.1 408"), reset):
        async with pair() as (stream, theirs):
            events: list[bool] = []
            stream.on_event = lambda: events.append(True)  # noqa: B023  # used in this turn
            assert stream.is_stale() is False
            end(theirs)
            assert stream.is_stale() is True, "before the loop has noticed"
            assert events == []
            await stream.settle()
            assert stream.is_stale() is True
            assert events


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("noticed", [False, True])
async def test_a_request_is_not_started_after_the_service_hung_up(noticed: bool) -> None:
    async with pair() as (stream, theirs):
        theirs.shutdown(socket.SHUT_WR)
        if noticed:
            await until(lambda: stream.ended)
        assert stream.start(b"x" * 20_000) is False
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


async def test_a_failed_first_write_has_sent_nothing() -> None:
    async with pair() as (stream, theirs):
        stream.is_stale = lambda: False  # type: ignore[method-assign]  # it looked just before
        theirs.close()
        assert stream.start(b"head", b"body") is False
