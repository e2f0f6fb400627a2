"""One connection as an httpx transport: when it is reused, and how its errors are named."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.transport.http.clients import never_connected
from ccv2_async.transport.http.engine import DirectEngine
from tests.support.probes import descriptors, nothing_left, until
from tests.support.servers import RawServer, serving, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.servers import Request, Wire

CONTEXT = httpx.create_ssl_context(verify=False)
TIMEOUT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


@pytest.fixture
async def engine() -> AsyncIterator[DirectEngine]:
    engine = DirectEngine(CONTEXT, 60.0)
    yield engine
    await engine.aclose()
    await engine.aclose()


async def ask(
    engine: DirectEngine,
    url: str,
    content: Any = None,
    **timeouts: float,
) -> httpx.Response:
    request = httpx.Request(
        "GET" if content is None else "POST",
        url,
        content=content,
        headers=None if content is None else {"Content-Length": "8000000"},
        extensions={"timeout": TIMEOUT | timeouts},
    )
    response = await engine.send(request)
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response


async def ok(wire: Wire, _: Request) -> None:
    await wire.answer(body=b"{}")


def sockets() -> int:
    return sum(what.startswith("socket:") for what in descriptors().values())


async def test_the_connection_is_reused(engine: DirectEngine) -> None:
    async with serving(ok) as server:
        for _ in range(3):
            assert (await ask(engine, server.origin)).content == b"{}"
        assert server.connections == 1


async def test_another_origin_gets_its_own_connection(engine: DirectEngine) -> None:
    async with serving(ok) as one, serving(ok) as other:
        for server in (one, other, other, one):
            await ask(engine, server.origin)
        assert (one.connections, other.connections) == (1, 1)


async def test_a_connection_that_was_idle_too_long_is_not_reused() -> None:
    async with serving(ok) as server, nothing_left():
        engine = DirectEngine(CONTEXT, -1.0)
        for _ in range(3):
            await ask(engine, server.origin)
        assert server.connections == 3
        await engine.aclose()


async def test_a_connection_closed_by_the_service_is_closed_and_replaced() -> None:
    hang_up = asyncio.Event()

    async def once(wire: Wire) -> None:
        await wire.request()
        await wire.answer(body=b"{}")
        await hang_up.wait()

    async with RawServer(once) as server, nothing_left():
        before = sockets()
        engine = DirectEngine(CONTEXT, 60.0)
        await asyncio.gather(*(ask(engine, server.origin) for _ in range(5)))
        assert sockets() == before + 10
        hang_up.set()
        await until(lambda: sockets() == before)
        await ask(engine, server.origin)
        assert server.connections == 6
        await engine.aclose()


async def test_a_connection_closed_unnoticed_by_the_service_is_not_reused(
    engine: DirectEngine,
) -> None:
    async def once(wire: Wire, _: Request) -> None:
        await wire.answer(body=b"{}")
        wire.writer.close()

    async with serving(once) as server:
        for _ in range(3):
            await ask(engine, server.origin)
        assert server.connections == 3


async def test_an_early_response_is_read_while_the_body_cannot_be_sent(
    engine: DirectEngine,
) -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(80):
            taken += 1
            yield b"x" * 100_000

    async def refuse(wire: Wire) -> None:
        await wire.head()
        await wire.answer("413 Payload Too Large", b'"too large"')
        wire.reset()

    async with RawServer(refuse) as server:
        response = await ask(engine, server.origin, body())
        assert (response.status_code, response.json()) == (413, "too large")
        assert taken < 80


# --- the names of its errors


async def silence(wire: Wire, _: Request) -> None:
    await wire.reader.read()


async def garbage(wire: Wire, _: Request) -> None:
    await wire.write(b"SMTP ready\r\n\r\n")


async def nothing(wire: Wire, _: Request) -> None:
    wire.writer.close()


async def half(wire: Wire, _: Request) -> None:
    await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    wire.writer.close()


async def stall(wire: Wire, _: Request) -> None:
    await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await wire.reader.read()


async def reset(wire: Wire, _: Request) -> None:
    wire.reset()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (silence, httpx.ReadTimeout),
        (stall, httpx.ReadTimeout),
        (garbage, httpx.RemoteProtocolError),
        (nothing, httpx.RemoteProtocolError),
        (half, httpx.RemoteProtocolError),
        (reset, httpx.ReadError),
    ],
)
async def test_failures_raise_the_exceptions_of_httpx(
    engine: DirectEngine, script: Any, error: type[httpx.TransportError]
) -> None:
    async with serving(script) as server:
        with pytest.raises(error) as caught:
            await ask(engine, server.origin, read=0.05)
        assert not never_connected(caught.value)
        with pytest.raises(error):
            await ask(engine, server.origin, read=0.05)
        assert server.connections == 2


async def test_a_body_that_is_not_read_is_a_write_timeout(engine: DirectEngine) -> None:
    stop = asyncio.Event()

    async def take_nothing(wire: Wire) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a duplex one
        await stop.wait()

    async with RawServer(take_nothing) as server:
        with pytest.raises(httpx.WriteTimeout):
            await ask(engine, server.origin, b"x" * 8_000_000, write=0.05)
        stop.set()


async def test_an_invalid_request_is_an_error_of_the_caller(engine: DirectEngine) -> None:
    async with serving(ok) as server:
        request = httpx.Request("GET", server.origin, headers=[(b"X", b"two\nlines")])
        with pytest.raises(httpx.LocalProtocolError):
            await engine.send(request)


async def test_a_closed_port_is_a_connection_error(engine: DirectEngine) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        await ask(engine, f"http://127.0.0.1:{await unused_port()}")
    assert never_connected(caught.value)


async def test_only_http_and_https_are_supported(engine: DirectEngine) -> None:
    with pytest.raises(httpx.UnsupportedProtocol, match="'ftp'"):
        await ask(engine, "ftp://127.0.0.1/file")
