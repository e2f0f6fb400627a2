"""HTTP/1.1 as it stands on the wire: how answers end, and which connections are used again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.transport.direct import DirectTransport
from ccv2_async.transport.http1 import Http1Connection
from ccv2_async.transport.network import connect
from tests.support.probes import nothing_left, until
from tests.support.servers import HOST, RawServer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.servers import Request, Wire

CONTEXT = httpx.create_ssl_context(verify=False)
TIMEOUT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


@pytest.fixture
async def transport() -> AsyncIterator[DirectTransport]:
    transport = DirectTransport(CONTEXT, 60.0)
    yield transport
    await transport.aclose()


def request(server: RawServer, method: str = "GET", **options: Any) -> httpx.Request:
    return httpx.Request(method, server.origin, extensions={"timeout": TIMEOUT}, **options)


async def ask(transport: DirectTransport, asked: httpx.Request) -> httpx.Response:
    response = await transport.handle_async_request(asked)
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response


def saying(*pieces: bytes, then_closes: bool = False) -> Callable[[Wire, Request], Awaitable[None]]:
    """An answer that is written piece by piece."""

    async def say(wire: Wire, _: Request) -> None:
        for piece in pieces:
            await wire.write(piece)
            await asyncio.sleep(0)
        if then_closes:
            wire.writer.close()

    return say


async def ok(wire: Wire, _: Request) -> None:
    await wire.answer(body=b"{}")


# --- what comes before an answer

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
    ],
)
async def test_what_is_said_before_an_answer_is_not_taken_for_it(
    transport: DirectTransport, before: bytes
) -> None:
    async with serving(saying(before, PLAIN), saying(before + PLAIN), ok) as server:
        for _ in range(3):
            response = await ask(transport, request(server))
            assert (response.status_code, response.content) == (200, b"{}")
        assert server.connections == 1


async def test_a_change_of_protocol_that_nobody_asked_for_is_no_answer(
    transport: DirectTransport,
) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    async with serving(saying(switch, PLAIN), ok) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(transport, request(server))
        await ask(transport, request(server))
        assert server.connections == 2


# --- how an answer ends

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("GET", [CHUNKED, b"3\r\nabc\r\n", b"2;name=value\r\nde\r\n", b"0\r\n\r\n"], b"abcde"),
        ("GET", [CHUNKED + b"3\r\nabc\r\n0\r\nChecksum: 1\r\n\r\n"], b"abc"),
        ("GET", [CHUNKED + b"0\r\n\r\n"], b""),
        ("GET", [bytes([byte]) for byte in CHUNKED + b"1\r\nx\r\n0\r\n\r\n"], b"x"),
        ("GET", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], b""),
        ("GET", [b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ("GET", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], b""),
        ("HEAD", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], b""),
    ],
)
async def test_an_answer_ends_where_it_says_and_its_connection_is_used_again(
    transport: DirectTransport, method: str, answer: list[bytes], body: bytes
) -> None:
    async with serving(saying(*answer), ok) as server:
        assert (await ask(transport, request(server, method))).content == body
        assert (await ask(transport, request(server))).content == b"{}"
        assert server.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_an_answer_without_a_length_ends_with_its_connection(
    transport: DirectTransport, head: bytes
) -> None:
    async with serving(saying(head, b"ab", b"cde", then_closes=True), ok) as server:
        assert (await ask(transport, request(server))).content == b"abcde"
        assert (await ask(transport, request(server))).content == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCONNECTION: Keep-Alive, Close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_a_connection_that_the_service_is_about_to_close_is_closed_here_too(
    transport: DirectTransport, answer: bytes
) -> None:
    async with serving(saying(answer)) as server:
        for connections in range(1, 4):
            assert (await ask(transport, request(server))).content == b"{}"
            assert server.connections == connections
        await until(lambda: not server.open)


@pytest.mark.parametrize("more", [PLAIN, b"\0", b"\r\n"])
async def test_what_follows_an_answer_unasked_is_not_taken_for_the_next_one(
    transport: DirectTransport, more: bytes
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"
    async with serving(saying(answer + more)) as server:
        for connections in range(1, 4):
            assert (await ask(transport, request(server))).content == b"true"
            assert server.connections == connections


async def test_an_answer_that_was_read_to_its_end_stays_at_its_end(
    transport: DirectTransport,
) -> None:
    async with serving(ok) as server:
        response = await transport.handle_async_request(request(server))
        pieces = aiter(response.stream)  # type: ignore[arg-type]  # what async transports give
        assert [piece async for piece in pieces] == [b"{}"]
        assert await anext(pieces, b"the end") == b"the end"
        await response.aclose()


async def test_an_answer_that_is_given_up_closes_its_connection(transport: DirectTransport) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    async with serving(saying(endless, b"x" * 1000), ok) as server:
        response = await transport.handle_async_request(request(server))
        await response.aclose()
        await until(lambda: not server.open)
        await response.aclose()
        await ask(transport, request(server))
        assert server.connections == 2


async def test_an_answer_that_was_let_go_does_not_touch_the_next_one(
    transport: DirectTransport,
) -> None:
    async with serving(ok) as server:
        first = await transport.handle_async_request(request(server))
        stream = first.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        await first.aread()
        second = await transport.handle_async_request(request(server))
        await stream.aclose()
        assert [piece async for piece in stream] == []
        assert await second.aread() == b"{}"
        assert server.connections == 1


async def test_another_request_does_not_wait_for_an_answer_that_nobody_reads(
    transport: DirectTransport,
) -> None:
    async with serving(ok) as server:
        await ask(transport, request(server))
        unread = await transport.handle_async_request(request(server))
        assert (await ask(transport, request(server))).content == b"{}"
        assert server.connections == 2
        await unread.aclose()


async def test_a_call_that_is_cancelled_closes_its_connection(transport: DirectTransport) -> None:
    asked = asyncio.Event()

    async def think(wire: Wire, _: Request) -> None:
        asked.set()
        await wire.reader.read()

    async with serving(think, ok) as server:
        task = asyncio.create_task(ask(transport, request(server)))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server.open)
        await ask(transport, request(server))
        assert server.connections == 2


# --- what is no answer


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_an_answer_that_breaks_the_rules_is_none(
    transport: DirectTransport, answer: bytes
) -> None:
    async with serving(saying(answer, then_closes=True), ok) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(transport, request(server))
        assert (await ask(transport, request(server))).content == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize("line", [b"X: " + b"x" * 4096 + b"\r\n", b"x" * 4096])
async def test_a_head_without_an_end_is_not_read_on(
    transport: DirectTransport, line: bytes
) -> None:
    written = 0

    async def go_on(wire: Wire, _: Request) -> None:
        nonlocal written
        await wire.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not wire.writer.is_closing() and written < 64 * 1024 * 1024:
            await wire.write(line)
            written += len(line)

    async with serving(go_on) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(transport, request(server))
        await until(lambda: not server.open)
        assert written < 64 * 1024 * 1024


# --- names and values


async def test_headers_arrive_as_they_were_sent(transport: DirectTransport) -> None:
    answer = (
        b"HTTP/1.1 202 Accepted\r\nLOCATION: /files/7\r\nSet-Cookie: a=1\r\nset-cookie:b=2 \r\n"
        b"X-Empty:\r\ncontent-length: 0\r\nX-Latin: caf\xe9\r\n\r\n"
    )
    async with serving(saying(answer)) as server:
        response = await ask(transport, request(server))
    assert response.headers.raw == [
        (b"LOCATION", b"/files/7"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"X-Empty", b""),
        (b"content-length", b"0"),
        (b"X-Latin", b"caf\xe9"),
    ]
    assert response.headers["location"] == "/files/7"


async def test_a_request_goes_out_as_it_was_made(transport: DirectTransport) -> None:
    heads: list[bytes] = []

    async def note(wire: Wire) -> None:
        heads.append(await wire.reader.readuntil(b"\r\n\r\n"))
        heads.append(await wire.reader.readexactly(4))
        await wire.answer()

    headers = [(b"hOst", b"a.example"), (b"X-A", b"1"), (b"x-a", b"2")]
    async with RawServer(note) as server:
        made = request(
            server, "POST", headers=[*headers, (b"Content-Length", b"4")], content=b"body"
        )
        await ask(transport, made)
    assert heads == [
        b"POST / HTTP/1.1\r\nhOst: a.example\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 4\r\n\r\n",
        b"body",
    ]


@pytest.mark.parametrize("content", [b"too long", b"x"])
async def test_a_body_of_another_length_than_was_announced_is_the_callers_fault(
    transport: DirectTransport, content: bytes
) -> None:
    async with serving(ok) as server:
        wrong = request(server, "POST", content=content, headers={"Content-Length": "4"})
        with pytest.raises(httpx.LocalProtocolError):
            await ask(transport, wrong)
        await until(lambda: not server.open)


# --- an answer that comes early


async def test_an_answer_before_the_end_of_the_request_waits_for_it(
    transport: DirectTransport,
) -> None:
    answered = asyncio.Event()
    received = 0

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        await answered.wait()
        yield b"y" * 100_000

    async def early(wire: Wire) -> None:
        nonlocal received
        await wire.head()
        await wire.answer("413 Payload Too Large", b'"too large"')
        answered.set()
        received = len(await wire.reader.readexactly(200_000))
        await wire.request()
        await wire.answer()

    async with RawServer(early) as server:
        response = await ask(
            transport,
            request(server, "POST", content=body(), headers={"Content-Length": "200000"}),
        )
        assert (response.status_code, response.json()) == (413, "too large")
        assert (await ask(transport, request(server))).content == b"[]"
        assert (received, server.connections) == (200_000, 1)


async def test_nothing_of_a_body_is_taken_for_a_service_that_has_hung_up() -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        taken += 1
        yield b"body"

    async def leave(wire: Wire) -> None:
        wire.writer.close()

    async with RawServer(leave) as server, nothing_left():
        wire = await connect(HOST, server.port, 5)
        await until(lambda: wire._hung_up)
        connection = Http1Connection(wire, 60.0)
        late = request(server, "POST", content=body(), headers={"Content-Length": "4"})
        with pytest.raises(httpx.RemoteProtocolError, match="without sending"):
            await connection.ask(late)
    assert taken == 0
