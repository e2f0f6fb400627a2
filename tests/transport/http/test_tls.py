"""Our sockets with TLS: handshakes that succeed, fail, and stall, and data both ways."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from ccv2_async import ConstantContact, errors
from ccv2_async.transport.http.engine import DirectEngine
from ccv2_async.transport.http.protocol import connect
from tests.support.probes import nothing_left, until
from tests.support.servers import HOST, RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from ccv2_async.transport.http.protocol import SocketStream
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
    """A TLS server on a free port. It runs the script for each connection, then closes it."""

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


async def sealed(port: int, context: ssl.SSLContext, timeout: float | None = 5) -> SocketStream:
    return await connect(HOST, port, tls=context, timeout=timeout)


async def read_all(stream: SocketStream) -> bytes:
    pieces = []
    while piece := await stream.read(5):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("version", VERSIONS)
async def test_large_data_round_trips_over_tls(
    ours: ssl.SSLContext, theirs: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    theirs.maximum_version = version

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(MUCH) + 4))
        await writer.drain()

    async with nothing_left(), serving(echo, theirs) as port:
        stream = await sealed(port, ours)
        assert stream.start(b"head", b"")
        await stream.write(b"", 5)
        await stream.write(MUCH, 5)
        assert await read_all(stream) == b"head" + MUCH
        assert await stream.read(5) == b""
        assert not stream.truncated
        assert stream._tls is not None
        assert (stream._tls.version() or "").replace(".", "_") == version.name
        stream.close()


async def test_an_idle_connection_is_unusable_after_close_notify(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    part = asyncio.Event()

    async def say_farewell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await part.wait()

    async with nothing_left(), serving(say_farewell, theirs) as port:
        stream = await sealed(port, ours)
        assert await stream.read(5) == b"hello"
        assert stream.is_stale() is False
        part.set()
        await until(stream.is_stale)
        stream.close()


async def test_an_end_without_close_notify_is_detected(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    async def vanish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"partial")
        await writer.drain()
        writer.transport.abort()

    async with nothing_left(), serving(vanish, theirs) as port:
        stream = await sealed(port, ours)
        assert await read_all(stream) == b"partial"
        assert stream.truncated
        stream.close()


async def test_an_untrusted_server_is_a_connection_error(
    theirs: ssl.SSLContext, ours: ssl.SSLContext
) -> None:
    async def nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with nothing_left(), serving(nothing, theirs) as port:
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate verify failed"):
            await sealed(port, ssl.create_default_context())
    async with serving(nothing, theirs) as port:  # a name server is asked in a thread that stays
        with pytest.raises(httpx.ConnectError, match=r"(?i)hostname mismatch"):
            await connect("localhost", port, tls=ours, timeout=5)


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
async def test_a_server_without_tls_is_a_connection_error(
    script: Any, ours: ssl.SSLContext
) -> None:
    async with RawServer(script) as server, nothing_left():
        with pytest.raises(httpx.ConnectError):
            await sealed(server.port, ours)


async def say_nothing(served: Served) -> None:
    await served.reader.read()


async def test_a_stalled_handshake_times_out(ours: ssl.SSLContext) -> None:
    async with RawServer(say_nothing) as server, nothing_left():
        with pytest.raises(httpx.ConnectTimeout):
            await sealed(server.port, ours, 0.05)


async def test_a_handshake_can_be_cancelled_at_every_step(
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


async def test_a_read_timeout_over_tls_leaves_the_connection_usable(
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
            await stream.read(0.01)
        asked.set()
        assert await stream.read(5) == b"here"
        stream.close()


async def test_invalid_tls_data_breaks_the_connection(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    async def garble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        with socket.socket(fileno=os.dup(sock.fileno())) as raw:
            raw.send(b"no record of TLS at all")

    async with nothing_left(), serving(garble, theirs) as port:
        stream = await sealed(port, ours)
        with pytest.raises(httpx.ReadError):
            await stream.read(5)
        with pytest.raises(httpx.WriteError):
            await stream.write(b"secret", 5)
        stream.close()


# --- HTTP over it


def saying(
    *pieces: bytes, farewell: bool = True
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]:
    """Answer each request, and then close, with or without `close_notify`."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if not farewell:
            end_without_close_notify(writer)

    return say


def end_without_close_notify(writer: asyncio.StreamWriter) -> None:
    """Send what is buffered, and a FIN, like a proxy or an attacker that cuts the stream."""
    sock = writer.get_extra_info("socket")
    with socket.socket(fileno=os.dup(sock.fileno())) as raw:
        raw.shutdown(socket.SHUT_WR)
    writer.transport.abort()


async def ask(port: int, context: ssl.SSLContext) -> bytes:
    engine = DirectEngine(context)
    try:
        response = await engine.send(
            httpx.Request("GET", f"https://{HOST}:{port}", extensions={"timeout": {"read": 5}})
        )
        return await response.aread()
    finally:
        await engine.aclose()


NO_LENGTH = b"HTTP/1.1 200 OK\r\n\r\n"
WITH_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("head", [NO_LENGTH, WITH_LENGTH])
async def test_a_response_that_ends_with_close_notify_is_complete(
    ours: ssl.SSLContext, theirs: ssl.SSLContext, version: ssl.TLSVersion, head: bytes
) -> None:
    theirs.maximum_version = version
    async with nothing_left(), serving(saying(head, b"a,b", b"\n1,2"), theirs) as port:
        assert await ask(port, ours) == b"a,b\n1,2"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_response_without_length_and_close_notify_is_incomplete(
    ours: ssl.SSLContext, theirs: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    theirs.maximum_version = version
    script = saying(NO_LENGTH, b"a,b", b"\n1,2", farewell=False)
    async with nothing_left(), serving(script, theirs) as port:
        with pytest.raises(httpx.RemoteProtocolError, match="close_notify"):
            await ask(port, ours)


async def test_a_response_with_a_length_needs_no_close_notify(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    script = saying(WITH_LENGTH, b"a,b", b"\n1,2", farewell=False)
    async with nothing_left(), serving(script, theirs) as port:
        assert await ask(port, ours) == b"a,b\n1,2"


@pytest.mark.parametrize("way", ["ours", "httpx", "httpx2"])
@pytest.mark.parametrize("hook_reads", [False, True])
async def test_an_export_that_may_be_truncated_is_an_error_and_leaves_no_file(
    ours: ssl.SSLContext,
    theirs: ssl.SSLContext,
    tmp_path: Path,
    way: str,
    hook_reads: bool,
) -> None:
    async def read_at_once(response: Any) -> None:
        if hook_reads:
            await response.aread()

    async with contextlib.AsyncExitStack() as stack:
        options: dict[str, Any] = {"verify": ours}
        if way != "ours":
            library = pytest.importorskip(way)
            own = library.AsyncClient(
                verify=ours, trust_env=False, event_hooks={"response": [read_at_once]}
            )
            options = {"http_client": await stack.enter_async_context(own)}
        script = saying(NO_LENGTH, b"a,b", b"\n1,2", farewell=False)
        port = await stack.enter_async_context(serving(script, theirs))
        base_url = f"https://{HOST}:{port}/v2"
        cc = await stack.enter_async_context(
            ConstantContact(api_key="k", access_token="t", base_url=base_url, **options)
        )
        session = cc._open_parts.session
        with pytest.raises(errors.ConnectionLost):
            async with session.download("/export.csv", "the export") as pieces:
                [piece async for piece in pieces]


@pytest.mark.parametrize("status", ["400 Bad Request", "413 Payload Too Large"])
async def test_a_refusal_is_noticed_while_a_body_is_sent(
    ours: ssl.SSLContext, theirs: ssl.SSLContext, status: str
) -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(640):
            taken += 1
            yield b"x" * 100_000

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno".encode())

    async with nothing_left(), serving(refuse, theirs) as port:
        engine = DirectEngine(ours)
        for _ in range(20):
            taken = 0
            asked = httpx.Request(
                "POST", f"https://{HOST}:{port}", content=body(),
                headers={"Content-Length": "64000000"},
            )  # fmt: skip
            response = await engine.send(asked)
            assert (response.status_code, await response.aread()) == (int(status[:3]), b"no")
            await response.aclose()
            assert taken < 640
        await engine.aclose()


async def test_a_context_may_be_shared_with_a_client_of_http2(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    """httpx sets the protocols of a context for each of its connections."""
    theirs.set_alpn_protocols(["h2", "http/1.1"])
    chosen: list[str | None] = []

    async def choose(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())

    async with serving(choose, theirs) as port:
        engine = DirectEngine(ours)
        meanwhile = {"check_address": lambda _: ours.set_alpn_protocols(["h2"])}
        with pytest.raises(httpx.TransportError):
            await engine.send(httpx.Request("GET", f"https://{HOST}:{port}", extensions=meanwhile))
    assert chosen == ["http/1.1"]


async def test_the_connection_is_reused(ours: ssl.SSLContext, theirs: ssl.SSLContext) -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with nothing_left(), serving(answer, theirs) as port:
        engine = DirectEngine(ours)
        for _ in range(5):
            response = await engine.send(httpx.Request("GET", f"https://{HOST}:{port}"))
            await response.aread()
        await engine.aclose()
    assert connections == 1


async def test_an_idle_connection_that_the_service_closes_is_not_reused(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    connections = 0

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with nothing_left(), serving(answer_once, theirs) as port:
        engine = DirectEngine(ours)
        for number in range(1, 6):
            response = await engine.send(httpx.Request("GET", f"https://{HOST}:{port}"))
            await response.aread()
            assert connections == number
            await until(lambda: not engine._idle)
        await engine.aclose()


async def test_data_after_a_response_is_never_mistaken_for_the_next_response(
    ours: ssl.SSLContext, theirs: ssl.SSLContext
) -> None:
    """Even in its own TLS record."""

    async def smuggle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")

    async with nothing_left(), serving(smuggle, theirs) as port:
        engine = DirectEngine(ours)
        for _ in range(20):
            response = await engine.send(httpx.Request("GET", f"https://{HOST}:{port}"))
            assert await response.aread() == b"right"
        await engine.aclose()
