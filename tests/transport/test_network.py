"""A socket of our own: what leaves, what arrives, time-outs, hang-ups, and finding an address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.transport import network
from ccv2_async.transport.network import Wire, connect
from tests.support.probes import nothing_left, until
from tests.support.servers import HOST, RawServer, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.servers import Wire as Served

MANY = 8 * 1024 * 1024  # far more than the kernel takes at once


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[Wire, socket.socket]]:
    """A wire, and the socket at its other end, which reads and writes only when told."""
    async with nothing_left():
        ours, theirs = socket.socketpair()
        with theirs:
            for sock in (ours, theirs):
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            wire = Wire(ours)
            try:
                yield wire, theirs
            finally:
                wire.close()
                wire.close()


async def take(theirs: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    while len(got) < size:
        piece = await loop.sock_recv(theirs, size - len(got))
        assert piece, "the other side hung up"
        got += piece
    return bytes(got)


# --- what leaves


async def test_a_small_piece_leaves_together_with_what_follows_at_once() -> None:
    async with pair() as (wire, theirs):
        await wire.write(b"head")
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        await wire.write(b"x" * 20_000)
        assert theirs.recv(30_000) == b"head" + b"x" * 20_000


async def test_a_small_piece_that_nothing_follows_leaves_with_the_next_turn() -> None:
    async with pair() as (wire, theirs):
        await wire.write(b"head")
        await wire.write(b"")
        await wire.write(b"-body")
        assert await take(theirs, 9) == b"head-body"


async def test_a_small_piece_leaves_before_an_answer_is_waited_for() -> None:
    async with pair() as (wire, theirs):
        await wire.write(b"question")
        reading = asyncio.create_task(wire.read(100))
        await asyncio.sleep(0)
        assert theirs.recv(100) == b"question"
        theirs.send(b"answer")
        assert await reading == b"answer"


async def test_whatever_its_pieces_everything_arrives_in_order() -> None:
    pieces = [bytes([n % 251]) * (n * 37 % 4001) for n in range(2000)]
    pieces[1000:1000] = [b"L" * 300_000, b"tail", b"M" * 300_000]
    async with pair() as (wire, theirs):
        taking = asyncio.create_task(take(theirs, sum(map(len, pieces))))
        for piece in pieces:
            await wire.write(piece, 10)
        with pytest.raises(httpx.ReadTimeout):
            await wire.read(1, 0.001)
        assert await taking == b"".join(pieces)


async def test_a_great_many_tiny_pieces_leave_in_as_many_goes_as_the_system_needs() -> None:
    async with pair() as (wire, theirs):
        taking = asyncio.create_task(take(theirs, 16_384))
        for number in range(16_384):
            await wire.write(bytes([number % 256]))
        assert await taking == bytes(range(256)) * 64


async def test_writing_waits_until_the_other_side_takes_it() -> None:
    content = b"0123456789abcdef" * (MANY // 16)
    async with pair() as (wire, theirs):
        writing = asyncio.create_task(wire.write(content, 30))
        await asyncio.sleep(0.01)
        assert not writing.done()
        assert await take(theirs, MANY) == content
        await writing
        await wire.write(b"z" * 20_000)
        assert await take(theirs, 20_000) == b"z" * 20_000


async def test_a_write_that_is_not_taken_in_time_is_late() -> None:
    async with pair() as (wire, _):
        with pytest.raises(httpx.WriteTimeout):
            await wire.write(b"x" * MANY, 0.01)


async def test_the_end_of_a_request_that_is_not_taken_in_time_is_late_when_its_answer_is() -> None:
    async with pair() as (wire, theirs):
        with pytest.raises(httpx.WriteTimeout):
            await wire.write(b"x" * MANY, 0.01)
        with pytest.raises(httpx.WriteTimeout):
            await wire.read(1, 30)
        assert theirs.recv(1) == b"x"


@pytest.mark.parametrize("direction", ["write", "read"])
async def test_what_is_cancelled_leaves_nothing(direction: str) -> None:
    async with pair() as (wire, _):
        work = wire.write(b"x" * MANY, 30) if direction == "write" else wire.read(1, 30)
        task = asyncio.create_task(work)
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("size", [5, MANY])
async def test_closing_drops_what_has_not_left(size: int) -> None:
    async with pair() as (wire, theirs):
        writing = asyncio.create_task(wire.write(b"x" * size, 30))
        await asyncio.sleep(0)
        wire.close()
        if size == MANY:
            with pytest.raises(httpx.WriteError, match="closed"):
                await writing
        else:
            await writing
        with pytest.raises(httpx.WriteError, match="closed"):
            await wire.write(b"more")
        with pytest.raises(httpx.ReadError, match="closed"):
            await wire.read(1)
        left = 0
        with contextlib.suppress(ConnectionError):
            while piece := theirs.recv(65536):
                left += len(piece)
        assert left < MANY


async def test_closing_wakes_who_waits_for_an_answer() -> None:
    async with pair() as (wire, _):
        reading = asyncio.create_task(wire.read(1))
        await asyncio.sleep(0)
        wire.close()
        with pytest.raises(httpx.ReadError, match="closed"):
            await reading


# --- what arrives


async def test_what_arrives_is_given_in_order_and_in_no_larger_pieces_than_asked_for() -> None:
    async with pair() as (wire, theirs):
        theirs.send(b"abcdef")
        assert [await wire.read(4), await wire.read(4)] == [b"abcd", b"ef"]
        theirs.send(b"gh")
        theirs.shutdown(socket.SHUT_WR)
        assert [await wire.read(4), await wire.read(4), await wire.read(4)] == [b"gh", b"", b""]


async def test_more_than_is_read_stays_with_the_sender() -> None:
    content = bytes(range(256)) * (MANY // 256)
    loop = asyncio.get_running_loop()
    async with pair() as (wire, theirs):
        sending = asyncio.create_task(loop.sock_sendall(theirs, content))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not sending.done()
        assert wire._bytes_arrived <= network._READ_AHEAD + network._READ_SIZE
        got = bytearray()
        while len(got) < MANY:
            got += await wire.read(65536, 10)
        await sending
        assert got == content


async def test_an_answer_that_does_not_come_in_time_is_late() -> None:
    async with pair() as (wire, theirs):
        with pytest.raises(httpx.ReadTimeout):
            await wire.read(1, 0.001)
        theirs.send(b"late")
        assert await wire.read(10) == b"late"


async def test_a_refusal_is_heard_after_the_service_broke_the_connection() -> None:
    heard = asyncio.Event()

    async def refuse(served: Served) -> None:
        await served.reader.readexactly(4)
        await served.write(b"413")
        await heard.wait()
        served.reset()

    async with RawServer(refuse) as server, nothing_left():
        wire = await connect(HOST, server.port, 5)
        await wire.write(b"body")
        assert isinstance(wire, Wire)
        await until(lambda: wire._arrived)
        heard.set()
        await until(lambda: wire._hung_up)
        with pytest.raises(httpx.WriteError):
            await write_on(wire)
        assert await wire.read(100, 5) == b"413"
        with pytest.raises(httpx.ReadError):
            await wire.read(100, 5)
        wire.close()


async def write_on(wire: Wire) -> None:
    for _ in range(100):
        await wire.write(b"x" * 1_000_000, 5)


async def test_a_connection_that_breaks_before_the_answer_is_an_error() -> None:
    async def vanish(served: Served) -> None:
        await served.reader.readexactly(4)
        served.reset()

    async with RawServer(vanish) as server, nothing_left():
        wire = await connect(HOST, server.port, 5)
        await wire.write(b"body")
        with pytest.raises(httpx.ReadError, match="reset"):
            await wire.read(100, 5)
        with pytest.raises(httpx.WriteError, match="hung up"):
            await wire.write(b"more")
        wire.close()


# --- at rest


async def test_a_connection_at_rest_is_of_use_until_the_other_side_hangs_up_or_speaks() -> None:
    for end in (lambda s: s.close(), lambda s: s.send(b"HTTP/1.1 408"), reset):
        async with pair() as (wire, theirs):
            hung_up: list[bool] = []
            wire.on_hang_up = lambda: hung_up.append(True)  # noqa: B023  # used in this turn
            assert wire.is_stale() is False
            end(theirs)
            assert wire.is_stale() is True, "before the loop has noticed"
            await asyncio.sleep(0.001)
            assert wire.is_stale() is True
            assert bool(hung_up) is (theirs.fileno() < 0)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_nothing_is_sent_to_who_has_hung_up_without_an_answer() -> None:
    async with pair() as (wire, theirs):
        theirs.shutdown(socket.SHUT_WR)
        await until(lambda: wire._hung_up)
        with pytest.raises(httpx.WriteError, match="hung up"):
            await wire.write(b"x" * 20_000)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


# --- finding an address


class Resolver:
    """Answers of a name server, in place of the system's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[tuple[int, Any]] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self._resolve)

    async def _resolve(self, host: str, port: int, **_: object) -> list[Any]:
        if not self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(family, socket.SOCK_STREAM, 6, "", where) for family, where in self.answers]


@pytest.fixture
async def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


async def echo(served: Served) -> None:
    await served.write(await served.reader.read(100))


async def say_hello(port: int, host: str = "service.example", timeout: float | None = 5) -> bytes:
    wire = await connect(host, port, timeout)
    try:
        assert isinstance(wire, Wire)
        sock = wire._sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await wire.write(b"hello")
        return await wire.read(100, 5)
    finally:
        wire.close()


async def test_an_address_needs_no_name_server(resolver: Resolver) -> None:
    async with RawServer(echo) as server, nothing_left():
        assert await say_hello(server.port, HOST, None) == b"hello"
    with pytest.raises(httpx.ConnectError):
        await connect("::1", await unused_port(), 5)


async def test_the_next_address_is_tried_when_one_fails(resolver: Resolver) -> None:
    closed = await unused_port()
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [
            (socket.AF_INET, (HOST, closed)),
            (socket.AF_INET6, ("::1", closed, 0, 0)),
            (socket.AF_INET, (HOST, server.port)),
        ]
        assert await say_hello(server.port) == b"hello"
        resolver.answers = resolver.answers[2:]
        assert await say_hello(server.port) == b"hello"


async def test_the_families_take_turns() -> None:
    four, six = socket.AF_INET, socket.AF_INET6
    given = [(six, "a"), (six, "b"), (six, "c"), (four, "d"), (four, "e")]
    turns = [(six, "a"), (four, "d"), (six, "b"), (four, "e"), (six, "c")]
    assert list(network._interleaved(given)) == turns


async def test_an_address_that_takes_long_is_not_waited_for(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_NEXT_ADDRESS_AFTER", 0.001)
    stalled = asyncio.Event()
    slow_port = await unused_port()
    hold_up(monkeypatch, slow_port, stalled.wait)
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [(socket.AF_INET, (HOST, port)) for port in (slow_port, server.port)]
        assert await say_hello(server.port) == b"hello"


def hold_up(
    monkeypatch: pytest.MonkeyPatch, port: int, wait: Callable[[], Awaitable[object]]
) -> None:
    """Have connecting to this port wait."""
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        if address[1] == port:
            await wait()
        await real(sock, address)

    monkeypatch.setattr(loop, "sock_connect", sock_connect)


async def test_of_two_that_connect_at_once_one_is_closed(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_NEXT_ADDRESS_AFTER", 0.001)
    real = network._dial_address
    connected: list[socket.socket] = []
    both = asyncio.get_running_loop().create_future()

    async def together(family: int, address: Any) -> socket.socket:
        sock = await real(family, address)
        connected.append(sock)
        if len(connected) == 2:
            both.set_result(None)
        await both
        return sock

    monkeypatch.setattr(network, "_dial_address", together)
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [(socket.AF_INET, (HOST, server.port))] * 2
        assert await say_hello(server.port) == b"hello"
        assert len(connected) == 2


async def test_a_host_without_an_address_that_answers_is_no_connection(
    resolver: Resolver,
) -> None:
    closed = await unused_port()
    async with nothing_left():
        with pytest.raises(httpx.ConnectError, match="not known"):
            await connect("nowhere.example", closed, 5)
        resolver.answers = [(socket.AF_INET, (HOST, closed)), (socket.AF_INET, (HOST, closed))]
        with pytest.raises(httpx.ConnectError, match=r"refused|failed"):
            await connect("service.example", closed, 5)
        with pytest.raises(httpx.ConnectError, match=r"refused|failed"):
            await connect(HOST, closed, 5)


async def test_a_name_that_cannot_be_one_is_no_connection() -> None:
    with pytest.raises(httpx.ConnectError):
        await connect("a" * 64 + ".example", 80, 5)


@pytest.mark.parametrize("addresses", [1, 2])
async def test_connecting_takes_no_longer_than_it_may(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, addresses: int
) -> None:
    port = await unused_port()
    hold_up(monkeypatch, port, asyncio.Event().wait)
    resolver.answers = [(socket.AF_INET, (HOST, port))] * addresses
    async with nothing_left():
        with pytest.raises(httpx.ConnectTimeout):
            await connect("service.example", port, 0.01)


@pytest.mark.parametrize("addresses", [1, 2])
async def test_connecting_can_be_cancelled_at_every_turn(
    resolver: Resolver, addresses: int
) -> None:
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [(socket.AF_INET, (HOST, server.port))] * addresses
        connected = 0
        for turns in range(12):
            task = asyncio.create_task(connect("service.example", server.port, 5))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result().close()
                connected += 1
        assert 0 < connected < 12
        # Once the last one in the queue was served, so were all before it.
        assert await say_hello(server.port, HOST) == b"hello"
        await until(lambda: not server.open)
