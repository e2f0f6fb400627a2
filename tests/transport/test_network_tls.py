"""Our sockets under TLS: handshakes that succeed, fail and stall, and data both ways."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from ccv2_async.transport.network import connect
from tests.support.probes import nothing_left, until
from tests.support.servers import HOST, RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ccv2_async.transport.tls import SealedWire
    from tests.support.servers import Wire as Served

MUCH = bytes(range(256)) * 8192  # two megabytes
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ours(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def theirs(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    return context


@contextlib.asynccontextmanager
async def serving(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]],
    context: ssl.SSLContext,
) -> AsyncIterator[int]:
    """A TLS server on a free port; each connection is served by the script, then closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await script(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def sealed(port: int, context: ssl.SSLContext, timeout: float | None = 5) -> SealedWire:
    wire = await connect(HOST, port, timeout)
    return await wire.start_tls(context, HOST, timeout)


async def read_all(stream: SealedWire) -> bytes:
    pieces = []
    while piece := await stream.read(65536, 5):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("version", VERSIONS)
async def test_much_goes_there_and_back(
    ours: ssl.SSLContext, theirs: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    theirs.maximum_version = version

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(MUCH) + 4))
        await writer.drain()

    async with nothing_left(), serving(echo, theirs) as port:
        stream = await sealed(port, ours)
        await stream.write(b"head", 5)
        await stream.write(b"", 5)
        await stream.write(MUCH, 5)
        assert await read_all(stream) == b"head" + MUCH
        assert await stream.read(1, 5) == b""
        assert (stream._tls.version() or "").replace(".", "_") == version.name
        stream.close()


async def test_a_connection_at_rest_is_of_no_use_once_the_other_side_says_farewell(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    part = asyncio.Event()

    async def say_farewell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await part.wait()

    async with nothing_left(), serving(say_farewell, theirs) as port:
        stream = await sealed(port, ours)
        assert await stream.read(10, 5) == b"hello"
        assert stream.is_stale() is False
        part.set()
        await until(stream.is_stale)
        stream.close()


async def test_an_end_without_a_farewell_is_an_end(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    async def vanish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"partial")
        await writer.drain()
        writer.transport.abort()

    async with nothing_left(), serving(vanish, theirs) as port:
        stream = await sealed(port, ours)
        assert await read_all(stream) == b"partial"
        stream.close()


async def test_a_stranger_is_no_connection(theirs: ssl.SSLContext, ours: ssl.SSLContext) -> None:
    async def nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with nothing_left(), serving(nothing, theirs) as port:
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate verify failed"):
            await sealed(port, ssl.create_default_context())
        wire = await connect(HOST, port, 5)
        with pytest.raises(httpx.ConnectError, match=r"(?i)hostname mismatch"):
            await wire.start_tls(ours, "elsewhere.example", 5)


async def answer_in_plain_text(served: Served) -> None:
    await served.reader.read(100)
    await served.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await served.reader.read()


async def hang_up(served: Served) -> None:
    await served.reader.read(100)


async def reset(served: Served) -> None:
    await served.reader.read(100)
    served.reset()


@pytest.mark.parametrize("script", [answer_in_plain_text, hang_up, reset])
async def test_who_speaks_no_tls_is_no_connection(script: Any, ours: ssl.SSLContext) -> None:
    async with RawServer(script) as server, nothing_left():
        with pytest.raises(httpx.ConnectError):
            await sealed(server.port, ours)


async def say_nothing(served: Served) -> None:
    await served.reader.read()


async def test_a_handshake_that_stalls_is_late(ours: ssl.SSLContext) -> None:
    async with RawServer(say_nothing) as server, nothing_left():
        with pytest.raises(httpx.ConnectTimeout):
            await sealed(server.port, ours, 0.05)


async def test_a_handshake_can_be_cancelled_at_every_turn(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    async def nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    outcomes = set()
    async with nothing_left(), serving(nothing, theirs) as port:
        for turns in [*range(20), 2000]:
            task = asyncio.create_task(sealed(port, ours))
            for _ in range(turns):
                await asyncio.sleep(0.001 if turns > 20 and not task.done() else 0)
            task.cancel()
            await asyncio.wait([task])
            outcomes.add(task.cancelled())
            if not task.cancelled():
                task.result().close()
    assert outcomes == {True, False}


async def test_no_answer_in_time_is_late_and_no_harm(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    asked = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.write(b"here")
        await writer.drain()

    async with nothing_left(), serving(wait, theirs) as port:
        stream = await sealed(port, ours)
        with pytest.raises(httpx.ReadTimeout):
            await stream.read(1, 0.01)
        asked.set()
        assert await stream.read(10, 5) == b"here"
        stream.close()


async def test_what_is_no_tls_in_the_middle_of_it_breaks_the_connection(
    ours: ssl.SSLContext,
) -> None:
    async def garble(served: Served) -> None:
        await served.write(b"no record of TLS at all")
        await served.reader.read()

    async with RawServer(garble) as server, nothing_left():
        stream = await plain_behind_tls(server.port, ours)
        with pytest.raises(httpx.ReadError):
            await stream.read(1, 5)
        stream.close()


async def plain_behind_tls(port: int, context: ssl.SSLContext) -> SealedWire:
    """A connection of which our side believes that the handshake is still to come."""
    from ccv2_async.transport.tls import SealedWire

    wire = await connect(HOST, port, 5)
    return SealedWire(wire, context, HOST)


async def test_after_a_failure_nothing_more_is_sent(ours: ssl.SSLContext) -> None:
    async def garble(served: Served) -> None:
        await served.write(b"no record of TLS at all")
        await served.reader.read()

    async with RawServer(garble) as server, nothing_left():
        stream = await plain_behind_tls(server.port, ours)
        with pytest.raises(httpx.WriteError):
            await stream.write(b"secret", 5)
        stream.close()
