"""HTTP/1.1 on the wire: how responses end, and which connections are reused."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.transport.http.connection import Connection
from ccv2_async.transport.http.engine import DirectEngine
from ccv2_async.transport.http.protocol import NothingSent, connect
from tests.support.probes import nothing_left, until
from tests.support.servers import RawServer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ccv2_async.transport.http.protocol import SocketStream
    from tests.support.servers import Request, Wire

CONTEXT = httpx.create_ssl_context(verify=False)
TIMEOUT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


@pytest.fixture
async def engine() -> AsyncIterator[DirectEngine]:
    engine = DirectEngine(CONTEXT, 60.0)
    yield engine
    await engine.aclose()


def request(server: RawServer, method: str = "GET", **options: Any) -> httpx.Request:
    return httpx.Request(method, server.origin, extensions={"timeout": TIMEOUT}, **options)


async def ask(engine: DirectEngine, asked: httpx.Request) -> httpx.Response:
    response = await engine.send(asked)
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response


def saying(*pieces: bytes, then_closes: bool = False) -> Callable[[Wire, Request], Awaitable[None]]:
    """A response that is written piece by piece."""

    async def say(wire: Wire, _: Request) -> None:
        for piece in pieces:
            await wire.write(piece)
            await asyncio.sleep(0)
        if then_closes:
            wire.writer.close()

    return say


async def ok(wire: Wire, _: Request) -> None:
    await wire.answer(body=b"{}")


# --- before a response

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
        b"HTTP/1.0 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_informational_responses_are_skipped(engine: DirectEngine, before: bytes) -> None:
    async with serving(saying(before, PLAIN), saying(before + PLAIN), ok) as server:
        for _ in range(3):
            response = await ask(engine, request(server))
            assert (response.status_code, response.content) == (200, b"{}")
        assert server.connections == 1


async def test_an_unrequested_protocol_switch_is_an_error(
    engine: DirectEngine,
) -> None:
    async with serving(saying(SWITCH, PLAIN), ok) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="informational"):
            await ask(engine, request(server))
        await ask(engine, request(server))
        assert server.connections == 2


async def test_an_offer_of_another_protocol_changes_nothing(engine: DirectEngine) -> None:
    offer = b"HTTP/1.1 200 OK\r\nUpgrade: h2\r\nConnection: Upgrade, Keep-Alive\r\n"
    async with serving(saying(offer + b"Content-Length: 2\r\n\r\n{}")) as server:
        for _ in range(2):
            assert (await ask(engine, request(server))).content == b"{}"
        assert server.connections == 1


# --- how a response ends

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("GET", [CHUNKED, b"3\r\nabc\r\n", b"2;name=value\r\nde\r\n", b"0\r\n\r\n"], b"abcde"),
        ("GET", [CHUNKED + b"3\r\nabc\r\n0\r\nChecksum: 1\r\n\r\n"], b"abc"),
        ("GET", [CHUNKED + b"0\r\nConnection: close\r\n\r\n"], b""),
        ("GET", [CHUNKED + b"0\r\nTransfer-Encoding: gzip\r\n\r\n"], b""),
        ("GET", [CHUNKED + b"0\r\n\r\n"], b""),
        ("GET", [bytes([byte]) for byte in CHUNKED + b"1\r\nx\r\n0\r\n\r\n"], b"x"),
        ("GET", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], b""),
        ("GET", [b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ("GET", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], b""),
        ("HEAD", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], b""),
    ],
)
async def test_a_response_ends_at_its_length_and_its_connection_is_reused(
    engine: DirectEngine, method: str, answer: list[bytes], body: bytes
) -> None:
    async with serving(saying(*answer), ok) as server:
        assert (await ask(engine, request(server, method))).content == body
        assert (await ask(engine, request(server))).content == b"{}"
        assert server.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_a_response_without_a_length_ends_with_its_connection(
    engine: DirectEngine, head: bytes
) -> None:
    async with serving(saying(head, b"ab", b"cde", then_closes=True), ok) as server:
        assert (await ask(engine, request(server))).content == b"abcde"
        assert (await ask(engine, request(server))).content == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCONNECTION: Keep-Alive, Close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\n{}",
    ],
)
async def test_a_connection_that_the_service_will_close_is_closed(
    engine: DirectEngine, answer: bytes
) -> None:
    async with serving(saying(answer)) as server:
        for connections in range(1, 4):
            assert (await ask(engine, request(server))).content == b"{}"
            assert server.connections == connections
        await until(lambda: not server.open)


@pytest.mark.parametrize("more", [PLAIN, SWITCH, b"\0", b"\r\n"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
        CHUNKED + b"4\r\ntrue\r\n0\r\n\r\n",
        CHUNKED + b"4\r\ntrue\r\n0\r\nX: y\r\n\r\n",
    ],
)
async def test_data_after_a_response_is_not_mistaken_for_the_next_one(
    engine: DirectEngine, answer: bytes, more: bytes
) -> None:
    async with serving(saying(answer + more)) as server:
        for connections in range(1, 4):
            assert (await ask(engine, request(server))).content == b"true"
            assert server.connections == connections


async def test_a_response_that_was_read_completely_stays_at_its_end(
    engine: DirectEngine,
) -> None:
    async with serving(ok) as server:
        response = await engine.send(request(server))
        pieces = aiter(response.stream)  # type: ignore[arg-type]  # what async transports give
        assert [piece async for piece in pieces] == [b"{}"]
        assert await anext(pieces, b"the end") == b"the end"
        await response.aclose()


async def test_an_abandoned_response_closes_its_connection(engine: DirectEngine) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    async with serving(saying(endless, b"x" * 1000), ok) as server:
        response = await engine.send(request(server))
        await response.aclose()
        await until(lambda: not server.open)
        await response.aclose()
        await ask(engine, request(server))
        assert server.connections == 2


async def test_closing_an_old_response_does_not_affect_the_next_one(
    engine: DirectEngine,
) -> None:
    async with serving(ok) as server:
        first = await engine.send(request(server))
        stream = first.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        await first.aread()
        second = await engine.send(request(server))
        await stream.aclose()
        assert [piece async for piece in stream] == []
        assert await second.aread() == b"{}"
        assert server.connections == 1


async def test_a_request_does_not_wait_for_an_unread_response(
    engine: DirectEngine,
) -> None:
    async with serving(ok) as server:
        await ask(engine, request(server))
        unread = await engine.send(request(server))
        assert (await ask(engine, request(server))).content == b"{}"
        assert server.connections == 2
        await unread.aclose()


async def test_a_cancelled_call_closes_its_connection(engine: DirectEngine) -> None:
    asked = asyncio.Event()

    async def think(wire: Wire, _: Request) -> None:
        asked.set()
        await wire.reader.read()

    async with serving(think, ok) as server:
        task = asyncio.create_task(ask(engine, request(server)))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server.open)
        await ask(engine, request(server))
        assert server.connections == 2


# --- invalid responses


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        CHUNKED.strip() + b"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        CHUNKED.strip() + b"\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 104 Odd\r\nContent-Length: 2\r\n\r\n{}" + PLAIN,
        b"HTTP/1.1 103 Odd\r\nTransfer-Encoding: chunked\r\n\r\n" + PLAIN,
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 1000 + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 \r\n\r\n" * 1000 + PLAIN,
        CHUNKED + b"zz\r\n",
        CHUNKED + b"5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_a_response_that_violates_http_is_an_error(
    engine: DirectEngine, answer: bytes
) -> None:
    async with serving(saying(answer, then_closes=True), ok) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(engine, request(server))
        assert (await ask(engine, request(server))).content == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize("line", [b"X: " + b"x" * 4096 + b"\r\n", b"x" * 4096])
async def test_a_response_head_that_never_ends_is_refused(
    engine: DirectEngine, line: bytes
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
            await ask(engine, request(server))
        await until(lambda: not server.open)
        assert written < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b" " * 90_000 + b"\0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nX: " + b"\t" * 90_000 + b"\r.\r\n\r\n",
        CHUNKED + b"0\r\nX: " + b" " * 90_000 + b"\v\r\n\r\n",
        CHUNKED + b"2\r\n{}\r\n000;x\r\nX: " + b" " * 90_000 + b"\f\r\n\r\n",
        CHUNKED + b"2; " + b" " * 90_000 + b"\n \r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"0\r\n" + b"a:\r\n" * 24_000 + b"\r\n",
        (b"HTTP/1.1 103 Early Hints\r\n" + b"a:\r\n" * 250 + b"\r\n") * 90,
    ],
)
async def test_a_response_that_takes_long_to_parse_is_refused(
    engine: DirectEngine, answer: bytes
) -> None:
    async with serving(saying(answer, then_closes=True), ok) as server:
        before = time.process_time()
        with pytest.raises(httpx.RemoteProtocolError, match=r"lines|Invalid|Expected LF"):
            await ask(engine, request(server))
        # Some parsers take up to a minute.
        assert time.process_time() - before < 5
        assert (await ask(engine, request(server))).content == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"2 \r\n{}\r\n0\r\nX: y\r\nZ:  \t \r\n\r\n",
        CHUNKED + b"2;a=b\r\n{}\r\n0;a=b\r\n\r\n",
        CHUNKED + b"1\r\n{\r\n00001\r\n}\r\n0000\r\nX: y\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
async def test_a_trailer_is_skipped_however_it_arrives(
    engine: DirectEngine, answer: bytes, step: int
) -> None:
    pieces = [answer[at : at + step] for at in range(0, len(answer), step)]
    async with serving(saying(*pieces)) as server:
        for _ in range(2):
            assert (await ask(engine, request(server))).content == b"{}"
        assert server.connections == 1


@pytest.mark.parametrize("step", [1, 7, 1_000_000])
async def test_chunks_whose_data_looks_like_a_trailer_arrive_unchanged(
    engine: DirectEngine, step: int
) -> None:
    data = b"0\r\n" + b"\0\n\v\r" * 300
    answer = CHUNKED + 5 * (b"%x\r\n%b\r\n" % (len(data), data)) + b"0\r\n\r\n"
    pieces = [answer[at : at + step] for at in range(0, len(answer), step)]
    async with serving(saying(*pieces)) as server:
        assert (await ask(engine, request(server))).content == 5 * data


async def test_many_small_chunks_do_not_block_other_tasks(engine: DirectEngine) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving(saying(CHUNKED + b"1\r\n \r\n" * 1_200_000 + b"0\r\n\r\n")) as server:
        response = await engine.send(request(server))
        await asyncio.sleep(0.05)  # all of it arrives
        task = asyncio.create_task(others())
        assert await response.aread() == b" " * 1_200_000
        task.cancel()
        await response.aclose()
    assert turns >= 100


@pytest.mark.parametrize(
    "flaw",
    [b"zz\r\n", b"2\r\n{}zz", b"0\r\n" + b"a: b\r\n" * 1000, b"1;" + b"a" * 200_000],
)
async def test_a_head_counts_even_if_an_invalid_body_arrives_with_it(
    engine: DirectEngine, flaw: bytes
) -> None:
    async with serving(saying(CHUNKED.replace(b"200 OK", b"409 Conflict") + flaw), ok) as server:
        response = await engine.send(request(server))
        assert response.status_code == 409
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()
        await response.aclose()
        await ask(engine, request(server))
        assert server.connections == 2


async def test_an_early_success_with_an_invalid_body_does_not_stop_the_sending(
    engine: DirectEngine,
) -> None:
    answered = asyncio.Event()
    received = 0

    async def accept(wire: Wire) -> None:
        nonlocal received
        await wire.head()
        await wire.write(CHUNKED + b"zz\r\n")
        answered.set()
        received = len(await wire.reader.readexactly(4_000_000))
        await wire.reader.read()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        await answered.wait()
        yield b"x" * 2_000_000

    async with RawServer(accept) as server:
        made = request(server, "POST", content=body(), headers={"Content-Length": "4000000"})
        response = await engine.send(made)
        assert response.status_code == 200
        await until(lambda: received == 4_000_000)
        with pytest.raises(httpx.RemoteProtocolError):
            await response.aread()
        await response.aclose()


async def test_an_invalid_response_during_sending_is_noticed_at_once(
    engine: DirectEngine,
) -> None:
    async def nonsense(wire: Wire) -> None:
        await wire.head()
        await wire.write(b"nonsense\r\n\r\n")
        await wire.reader.read()  # keeps the connection open

    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async with RawServer(nonsense) as server:
        sent = httpx.Request(
            "POST", f"{server.origin}/x", content=body(), headers={"Content-Length": "2"}
        )
        sent.extensions = {"timeout": {}}  # no limit
        with pytest.raises(httpx.RemoteProtocolError):
            async with asyncio.timeout(10):
                await engine.send(sent)


# --- names and values


async def test_headers_arrive_unchanged(engine: DirectEngine) -> None:
    answer = (
        b"HTTP/1.1 202 Accepted\r\nLOCATION: /files/7\r\nSet-Cookie: a=1\r\nset-cookie:b=2 \r\n"
        b"X-Empty:\r\ncontent-length: 0\r\nX-Latin: caf\xe9\r\n\r\n"
    )
    async with serving(saying(answer)) as server:
        response = await ask(engine, request(server))
    assert response.headers.raw == [
        (b"LOCATION", b"/files/7"),
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"X-Empty", b""),
        (b"content-length", b"0"),
        (b"X-Latin", b"caf\xe9"),
    ]
    assert response.headers["location"] == "/files/7"


async def test_a_request_is_sent_unchanged(engine: DirectEngine) -> None:
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
        await ask(engine, made)
    assert heads == [
        b"POST / HTTP/1.1\r\nhOst: a.example\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 4\r\n\r\n",
        b"body",
    ]


@pytest.mark.parametrize(
    "header",
    [
        (b"X", b"a\r\nY: b"),
        (b"X", b"a\nb"),
        (b"X", b"a\0b"),
        (b"X: a\r\nY", b"b"),
        (b"X ", b"a"),
        (b"", b"a"),
    ],
)
async def test_a_header_that_could_begin_another_line_is_not_sent(
    engine: DirectEngine, header: tuple[bytes, bytes]
) -> None:
    async with serving(ok) as server:
        with pytest.raises(httpx.LocalProtocolError) as refused:
            await ask(engine, request(server, headers=[(b"Host", b"a.example"), header]))
        assert str(refused.value) == "The request contains a character that HTTP does not allow"
        await until(lambda: not server.open)


@pytest.mark.parametrize("content", [b"too long", b"x"])
async def test_a_body_of_another_length_is_an_error_of_the_caller(
    engine: DirectEngine, content: bytes
) -> None:
    async with serving(ok) as server:
        wrong = request(server, "POST", content=content, headers={"Content-Length": "4"})
        with pytest.raises(httpx.LocalProtocolError):
            await ask(engine, wrong)
        await until(lambda: not server.open)


# --- early responses

LENGTH = 64_000_000
REFUSALS = ["400 Bad Request", "401 Unauthorized", "413 Payload Too Large", "307 Moved"]


class Upload:
    """A long body that counts the bytes that were read, and may stall."""

    def __init__(self, stall_after: int | None = None) -> None:
        self.taken = 0
        self.closed = False
        self.stalled = asyncio.Event()
        self._stall_after = stall_after

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(LENGTH // 100_000):
                if self.taken == self._stall_after:
                    self.stalled.set()
                    await asyncio.Event().wait()
                self.taken += 1
                yield b"x" * 100_000
        finally:
            self.closed = True

    def request(self, server: RawServer) -> httpx.Request:
        made = request(
            server, "POST", content=self.pieces(), headers={"Content-Length": str(LENGTH)}
        )
        made.extensions = {"timeout": dict.fromkeys(TIMEOUT)}  # nothing here waits for a timeout
        return made


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_is_noticed_while_the_service_reads_nothing(
    engine: DirectEngine, status: str
) -> None:
    async def refuse(wire: Wire) -> None:
        await wire.head()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a duplex one
        await wire.answer(status, b'"no"')
        await asyncio.Event().wait()

    upload = Upload()
    async with RawServer(refuse) as server:
        response = await ask(engine, upload.request(server))
        assert (response.status_code, response.json()) == (int(status[:3]), "no")
        assert upload.taken * 100_000 < LENGTH


@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_stops_sending_even_if_the_service_keeps_reading(
    engine: DirectEngine, status: str
) -> None:
    received = 0

    async def refuse(wire: Wire) -> None:
        nonlocal received
        await wire.head()
        await wire.answer(status, b'"no"')
        while piece := await wire.reader.read(65_536):
            received += len(piece)

    upload = Upload()
    async with RawServer(refuse) as server:
        assert (await ask(engine, upload.request(server))).status_code == int(status[:3])
        await until(lambda: not server.open)
        assert received < LENGTH / 2


@pytest.mark.parametrize("stall_after", [0, 1])
@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_is_noticed_while_the_source_stalls(
    engine: DirectEngine, status: str, stall_after: int
) -> None:
    upload = Upload(stall_after)

    async def refuse(wire: Wire) -> None:
        await wire.head()
        await upload.stalled.wait()
        await wire.answer(status, b'"no"')
        await wire.reader.read()

    async with RawServer(refuse) as server, nothing_left():
        response = await ask(engine, upload.request(server))
        assert response.status_code == int(status[:3])
        assert upload.closed


async def test_an_error_of_a_stopped_source_does_not_hide_the_refusal(
    engine: DirectEngine,
) -> None:
    async def stubborn() -> AsyncIterator[bytes]:
        yield b"x"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("I was interrupted") from None

    async def refuse(wire: Wire) -> None:
        await wire.head()
        await wire.answer("400 Bad Request", b'"no"')
        await wire.reader.read()

    async with RawServer(refuse) as server:
        made = request(server, "POST", content=stubborn(), headers={"Content-Length": "9"})
        assert (await ask(engine, made)).status_code == 400


async def test_a_call_can_be_cancelled_while_a_refusal_stops_it(
    engine: DirectEngine,
) -> None:
    answer = asyncio.Event()

    async def refuse(wire: Wire) -> None:
        await wire.head()
        await answer.wait()
        await wire.answer("400 Bad Request", b'"no"')
        await wire.reader.read()

    upload = Upload(stall_after=1)
    async with RawServer(refuse) as server, nothing_left():
        task = asyncio.create_task(ask(engine, upload.request(server)))
        await upload.stalled.wait()
        answer.set()
        stop = Connection._stop_sending

        def stop_and_cancel(connection: Connection) -> None:
            stop(connection)
            task.cancel()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Connection, "_stop_sending", stop_and_cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
        assert upload.closed


@pytest.mark.parametrize("end", ["reset", "close", "half-close"])
async def test_a_refusal_is_noticed_from_a_service_that_hangs_up_after_it(
    engine: DirectEngine, end: str
) -> None:
    async def refuse(wire: Wire) -> None:
        await wire.head()
        await wire.answer("413 Payload Too Large", b'"too large"')
        if end == "reset":
            wire.reset()
        elif end == "half-close":
            wire.writer.write_eof()
            await wire.reader.read()

    async with RawServer(refuse) as server:
        for _ in range(20):
            response = await ask(engine, Upload().request(server))
            assert (response.status_code, response.json()) == (413, "too large")


@pytest.mark.parametrize("stall_after", [None, 1])
@pytest.mark.parametrize("end", ["reset", "half-close"])
async def test_sending_stops_when_the_service_has_hung_up(
    engine: DirectEngine, end: str, stall_after: int | None
) -> None:
    received = 0
    upload = Upload(stall_after)

    async def leave(wire: Wire) -> None:
        nonlocal received
        await wire.head()
        await (wire.reader.read(1000) if stall_after is None else upload.stalled.wait())
        if end == "reset":
            wire.reset()
            return
        wire.writer.write_eof()
        while piece := await wire.reader.read(65_536):
            received += len(piece)

    async with RawServer(leave) as server, nothing_left():
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await ask(engine, upload.request(server))
        await until(lambda: not server.open)
        assert received < LENGTH / 2


@pytest.mark.parametrize("before", ["100 Continue", "102 Processing", "103 Early Hints"])
async def test_an_informational_response_does_not_stop_sending(
    engine: DirectEngine, before: str
) -> None:
    async def hint(wire: Wire) -> None:
        await wire.head()
        for _ in range(3):
            await wire.write(f"HTTP/1.1 {before}\r\n\r\n".encode())
        await wire.reader.readexactly(LENGTH)
        await wire.answer()

    async with RawServer(hint) as server:
        upload = Upload()
        assert (await ask(engine, upload.request(server))).status_code == 200
        assert upload.taken * 100_000 == LENGTH


async def test_an_early_success_waits_for_the_rest_of_the_body(engine: DirectEngine) -> None:
    async def early(wire: Wire) -> None:
        await wire.head()
        await wire.answer("201 Created", b'"thanks"')
        await wire.reader.readexactly(LENGTH)
        await wire.request()
        await wire.answer()

    async with RawServer(early) as server:
        upload = Upload()
        response = await ask(engine, upload.request(server))
        assert (response.status_code, response.json()) == (201, "thanks")
        assert upload.taken * 100_000 == LENGTH
        assert (await ask(engine, request(server))).content == b"[]"
        assert server.connections == 1


async def test_a_success_before_the_body_was_read_is_not_a_success(
    engine: DirectEngine,
) -> None:
    async def pretend(wire: Wire) -> None:
        await wire.head()
        await wire.answer("201 Created", b'"thanks"')
        await wire.reader.read(1000)
        wire.reset()

    async with RawServer(pretend) as server:
        with pytest.raises(httpx.WriteError):
            await ask(engine, Upload().request(server))


# --- unrequested data


async def test_data_before_a_request_is_not_mistaken_for_a_response(
    engine: DirectEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def speak_first(wire: Wire) -> None:
        nonlocal asked
        await wire.answer(body=b'"unasked"')
        await wire.head()
        asked += 1

    async def connect_and_wait(*args: Any, **options: Any) -> SocketStream:
        stream = await connect(*args, **options)
        await until(lambda: stream._arrived or stream._peek())
        return stream

    async def body() -> AsyncIterator[bytes]:
        yield b"body"

    monkeypatch.setattr("ccv2_async.transport.http.engine.connect", connect_and_wait)
    async with RawServer(speak_first) as server, nothing_left():
        for options in ({}, {"content": body(), "headers": {"Content-Length": "4"}}):
            with pytest.raises(NothingSent):
                await ask(engine, request(server, "POST", **options))
        await until(lambda: not server.open)
    assert asked == 0


async def test_an_idle_connection_that_receives_data_is_closed(engine: DirectEngine) -> None:
    speak = asyncio.Event()

    async def speak_later(wire: Wire) -> None:
        await wire.request()
        await wire.answer(body=b'"asked"')
        await speak.wait()
        await wire.answer(body=b'"unasked"')
        await wire.reader.read()

    async with RawServer(speak_later) as server:
        await ask(engine, request(server))
        speak.set()
        await until(lambda: not server.open)
        assert not engine._idle
        assert (await ask(engine, request(server))).json() == "asked"
        assert server.connections == 2


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_request_on_a_closed_connection_says_nothing_was_sent(
    engine: DirectEngine, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The other side closes between the check of the connection and the first byte."""
    close = asyncio.Event()

    async def answer_once(wire: Wire) -> None:
        await wire.request()
        await wire.answer()
        await close.wait()
        if end == "reset":
            wire.reset()

    async def usable(connection: Connection) -> bool:
        close.set()
        await until(lambda: not server.open)
        return True

    monkeypatch.setattr(Connection, "is_usable", usable)
    async with RawServer(answer_once) as server:
        await ask(engine, request(server))
        upload = Upload()
        with pytest.raises(NothingSent):
            await ask(engine, upload.request(server))


async def test_a_call_cancelled_while_checking_an_idle_connection_closes_it(
    engine: DirectEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forever(_: SocketStream) -> None:
        await asyncio.Event().wait()

    async with serving(ok) as server:
        await ask(engine, request(server))
        monkeypatch.setattr("ccv2_async.transport.http.protocol.SocketStream.settle", forever)
        task = asyncio.create_task(ask(engine, request(server)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server.open)
