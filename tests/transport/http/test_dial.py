"""Connecting to the first address that answers: in order, in time, and only if it is allowed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async import errors
from ccv2_async.transport.http import dial as dialing
from ccv2_async.transport.http.dial import dial
from ccv2_async.transport.http.protocol import connect
from tests.support.probes import nothing_left, until
from tests.support.servers import HOST, RawServer, unused_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.servers import Wire as Served


class Resolver:
    """Fake results of name resolution."""

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
    stream = await connect(host, port, timeout=timeout)
    try:
        sock = stream._sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await stream.write(b"hello")
        return bytes(await stream.read(5))
    finally:
        stream.close()


async def test_an_ip_address_is_not_looked_up(resolver: Resolver) -> None:
    async with RawServer(echo) as server, nothing_left():
        assert await say_hello(server.port, HOST, None) == b"hello"
    with pytest.raises(httpx.ConnectError):
        await connect("::1", await unused_port(), timeout=5)


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


async def test_address_families_alternate() -> None:
    four, six = socket.AF_INET, socket.AF_INET6
    given = [(six, "a"), (six, "b"), (six, "c"), (four, "d"), (four, "e")]
    turns = [(six, "a"), (four, "d"), (six, "b"), (four, "e"), (six, "c")]
    assert list(dialing._interleaved(given)) == turns


async def test_the_next_address_is_tried_while_one_is_slow(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialing, "_NEXT_ADDRESS_AFTER", 0.001)
    stalled = asyncio.Event()
    slow_port = await unused_port()
    hold_up(monkeypatch, slow_port, stalled.wait)
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [(socket.AF_INET, (HOST, port)) for port in (slow_port, server.port)]
        assert await say_hello(server.port) == b"hello"


def hold_up(
    monkeypatch: pytest.MonkeyPatch, port: int, wait: Callable[[], Awaitable[object]]
) -> None:
    """Make connections to this port wait."""
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        if address[1] == port:
            await wait()
        await real(sock, address)

    monkeypatch.setattr(loop, "sock_connect", sock_connect)


async def test_one_of_two_simultaneous_connections_is_closed(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialing, "_NEXT_ADDRESS_AFTER", 0.001)
    real = dialing._dial_address
    connected: list[socket.socket] = []
    both = asyncio.get_running_loop().create_future()

    async def together(family: int, address: Any) -> socket.socket:
        sock = await real(family, address)
        connected.append(sock)
        if len(connected) == 2:
            both.set_result(None)
        await both
        return sock

    monkeypatch.setattr(dialing, "_dial_address", together)
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [(socket.AF_INET, (HOST, server.port))] * 2
        assert await say_hello(server.port) == b"hello"
        assert len(connected) == 2


async def test_a_host_where_no_address_answers_is_a_connection_error(
    resolver: Resolver,
) -> None:
    closed = await unused_port()
    async with nothing_left():
        with pytest.raises(httpx.ConnectError, match="not known"):
            await connect("nowhere.example", closed, timeout=5)
        resolver.answers = [(socket.AF_INET, (HOST, closed)), (socket.AF_INET, (HOST, closed))]
        with pytest.raises(httpx.ConnectError, match=r"refused|failed"):
            await connect("service.example", closed, timeout=5)
        with pytest.raises(httpx.ConnectError, match=r"refused|failed"):
            await connect(HOST, closed, timeout=5)


async def test_an_impossible_host_name_is_a_connection_error() -> None:
    with pytest.raises(httpx.ConnectError):
        await connect("a" * 64 + ".example", 80, timeout=5)


@pytest.mark.parametrize("addresses", [1, 2])
async def test_connecting_respects_its_timeout(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, addresses: int
) -> None:
    port = await unused_port()
    hold_up(monkeypatch, port, asyncio.Event().wait)
    resolver.answers = [(socket.AF_INET, (HOST, port))] * addresses
    async with nothing_left():
        with pytest.raises(httpx.ConnectTimeout):
            await connect("service.example", port, timeout=0.01)


@pytest.mark.parametrize("addresses", [1, 2])
async def test_connecting_can_be_cancelled_at_every_step(
    resolver: Resolver, addresses: int
) -> None:
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [(socket.AF_INET, (HOST, server.port))] * addresses
        connected = 0
        for turns in range(12):
            task = asyncio.create_task(connect("service.example", server.port, timeout=5))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result().close()
                connected += 1
        assert 0 < connected < 12
        # The last one in the queue is served only after all before it.
        assert await say_hello(server.port, HOST) == b"hello"
        await until(lambda: not server.open)


# --- addresses that are refused


def no_loopback(address: str) -> None:
    if address.startswith("127.") or address == "::1":
        raise errors.UsageError(f"{address} is not allowed")


@pytest.mark.parametrize("host", [HOST, "service.example"])
async def test_a_forbidden_address_is_not_connected_to(resolver: Resolver, host: str) -> None:
    """Not even if the host has others, because its name server cannot be trusted."""
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [
            (socket.AF_INET, ("192.0.2.1", server.port)),
            (socket.AF_INET, (HOST, server.port)),
        ]
        with pytest.raises(errors.UsageError, match=r"127\.0\.0\.1 is not allowed"):
            await connect(host, server.port, timeout=5, check_address=no_loopback)
        assert server.connections == 0


async def test_an_allowed_address_is_connected_to(resolver: Resolver) -> None:
    checked: list[str] = []
    async with RawServer(echo) as server, nothing_left():
        resolver.answers = [(socket.AF_INET, (HOST, server.port))] * 2
        with contextlib.closing(
            await dial("service.example", server.port, check_address=checked.append)
        ):
            assert checked == [HOST, HOST]


async def test_a_request_may_have_its_own_address_rule() -> None:
    from ccv2_async.transport.http.engine import DirectEngine

    async with RawServer(echo) as server, nothing_left():
        engine = DirectEngine(httpx.create_ssl_context(verify=False))
        asked = httpx.Request("GET", server.origin, extensions={"check_address": no_loopback})
        with pytest.raises(errors.UsageError, match="not allowed"):
            await engine.send(asked)
        assert server.connections == 0
        await engine.aclose()
