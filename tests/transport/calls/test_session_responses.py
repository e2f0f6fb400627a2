"""Responses of every size, encoding, and type, and responses that are cut off."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async import ConstantContact, errors
from ccv2_async.models.contacts import ContactList
from ccv2_async.transport.calls.call import Call, Response
from ccv2_async.transport.calls.credentials import Credentials
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.http.messages import UNPACK_BLOCK
from ccv2_async.uploads.status import ask
from tests.support.bodies import PiecesBody
from tests.support.probes import nothing_left
from tests.support.servers import RawServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from ccv2_async.transport.calls.session import Session
    from tests.support.servers import Request, Wire

MIB = 1024 * 1024


def read(**options: Any) -> Call:
    return Call("GET", "/x", Effect.SAFE, "the thing", **options)


def gzipped(packed: bytes, *headers: str) -> Any:
    async def answer(wire: Wire, _: Request) -> None:
        await wire.answer("200 OK", packed, "Content-Encoding: gzip", *headers)

    return answer


@pytest.mark.parametrize(
    "size", [0, 1, 10_000, UNPACK_BLOCK - 1, UNPACK_BLOCK, UNPACK_BLOCK + 1, 3 * UNPACK_BLOCK]
)
@pytest.mark.parametrize("filler", [b"a", b"ab\n", None])
async def test_a_compressed_response_is_decompressed_completely(
    open_session: Callable[..., Any], size: int, filler: bytes | None
) -> None:
    content = os.urandom(size) if filler is None else (filler * size)[:size]
    async with serving(gzipped(gzip.compress(content))) as server:
        session = await open_session(server)
        assert (await session.send(read())).content == content


async def test_a_small_response_with_many_values_is_decoded_in_a_thread(
    open_session: Callable[..., Any],
) -> None:
    packed = gzip.compress(b"[" + b"{}," * 100_000 + b"0]")
    assert len(packed) < 1000

    def parse(answer: Response) -> threading.Thread:
        with pytest.raises(errors.DecodeError, match="at most 1,000 unreadable rows"):
            answer.rows(ContactList)
        return threading.current_thread()

    async with serving(gzipped(packed)) as server:
        session = await open_session(server)
        assert await session.read(read(), parse) is not threading.current_thread()


async def test_a_response_to_a_write_with_many_values_is_decoded_in_a_thread(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[threading.Thread] = []
    original = Response.read

    def noted(answer: Response, *of: Any) -> object:
        seen.append(threading.current_thread())
        return original(answer, *of)

    monkeypatch.setattr(Response, "read", noted)
    async with serving(gzipped(gzip.compress(b"[" + b"{}," * 100_000 + b"0]"))) as server:
        cc = await connect(server)
        with pytest.raises(errors.DecodeError, match="the call was carried out"):
            await cc.lists.create("x")
    assert seen
    assert threading.current_thread() not in seen


async def test_an_ordinary_response_is_decoded_on_the_event_loop(
    open_session: Callable[..., Any],
) -> None:
    async with serving(gzipped(gzip.compress(b"[{}]"))) as server:
        session = await open_session(server)
        thread = await session.read(read(), lambda _: threading.current_thread())
    assert thread is threading.current_thread()


async def test_a_gzip_bomb_is_not_decompressed_beyond_the_limit(sandbox: Sandbox) -> None:
    sandbox.admin.fault("gzip_bomb", size=64 * MIB)
    async with nothing_left(), ConstantContact(**sandbox.client_options()) as cc:
        with pytest.raises(errors.DecodeError, match=r"larger than 16,777,216 byte") as caught:
            await cc._open_parts.session.send(read())
    assert caught.value.status == 200


async def test_a_gzip_bomb_does_not_block_the_event_loop(
    open_session: Callable[..., Any],
) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with serving(gzipped(gzip.compress(bytes(15 * MIB)))) as server:
        session = await open_session(server)
        counting = asyncio.create_task(count())
        answer = await session.send(read())
        counting.cancel()
    assert len(answer.content) == 15 * MIB
    assert turns > 200  # one for each 64 KB, and those of the connection


async def test_a_response_full_of_secrets_is_redacted_in_a_thread(
    open_session: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    real = Credentials.redact_content

    def redact(credentials: Credentials, content: bytes) -> bytes:
        threads.append(threading.current_thread())
        return real(credentials, content)

    monkeypatch.setattr(Credentials, "redact_content", redact)
    echoes = b'["' + b"sandbox-key " * (MIB // 12) + b'"]'
    async with serving(gzipped(gzip.compress(echoes))) as server:
        session = await open_session(server)
        answer = await session.send(read())
    assert b"sandbox-key" not in answer.content
    assert threads
    assert threading.main_thread() not in threads


async def test_the_response_to_a_status_request_is_small(connect: Callable[..., Any]) -> None:
    async with serving(gzipped(gzip.compress(b"[" + b" " * (2 * MIB) + b"]"))) as server:
        cc = await connect(server)
        with pytest.raises(errors.DecodeError, match="larger than 1,048,576 bytes"):
            await cc.library.upload_status("1", "2")
        with pytest.raises(errors.DecodeError, match="larger than 1,048,576 bytes"):
            await ask(cc._open_parts.session, ["1", "2"])


@pytest.mark.parametrize("limit", [1, 999, 1000])
async def test_a_response_is_read_to_its_limit_and_not_beyond(
    open_session: Callable[..., Any], limit: int
) -> None:
    async def long(wire: Wire, _: Request) -> None:
        await wire.answer(body=b"x" * 1000)

    async with serving(long) as server:
        session = await open_session(server)
        if limit < 1000:
            with pytest.raises(errors.DecodeError, match=f"larger than {limit} bytes"):
                await session.send(read(max_response=limit))
        else:
            assert len((await session.send(read(max_response=limit))).content) == 1000


async def test_an_endless_response_is_cut_off(open_session: Callable[..., Any]) -> None:
    async def endless(wire: Wire) -> None:
        await wire.request()
        await wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await wire.write(b"10000\r\n" + b" " * 65536 + b"\r\n")

    async with RawServer(endless) as server:
        session = await open_session(server)
        async with nothing_left():
            with pytest.raises(errors.DecodeError, match="larger than"):
                await session.send(read(max_response=MIB))


GOOD = gzip.compress(b'"fine"')
BROKEN = {
    "cut short": GOOD[:-4],
    "no gzip": b"<html>not compressed</html>",
    "damaged": GOOD[:12] + b"\xff\xff" + GOOD[14:],
    "wrong checksum": GOOD[:-8] + b"\0" * 8,
    "raw deflate": zlib.compress(b'"fine"'),
    "followed by more": GOOD + b"x" * 100,
}


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize("kind", BROKEN)
async def test_a_truncated_compressed_response_is_an_error(
    open_session: Callable[..., Any], kind: str, step: int
) -> None:
    async def in_pieces(wire: Wire, _: Request) -> None:
        packed = BROKEN[kind]
        lines = [f"Content-Length: {len(packed)}", "Content-Encoding: gzip"]
        await wire.write("\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode())
        for at in range(0, len(packed), step):
            await wire.write(packed[at : at + step])

    async with serving(in_pieces) as server:
        session = await open_session(server)
        with pytest.raises(errors.DecodeError, match="gzip"):
            await session.send(read())


async def test_the_first_part_of_a_compressed_file_is_not_mistaken_for_all_of_it(
    open_session: Callable[..., Any],
) -> None:
    # Each part is complete gzip, and both arrive at once.
    async with serving(gzipped(gzip.compress(b"first,") + gzip.compress(b"second"))) as server:
        session = await open_session(server)
        async with session.stream(read()) as pieces:
            with pytest.raises(errors.DecodeError, match="gzip"):
                async for _ in pieces:
                    pass


@pytest.mark.parametrize(
    ("framing", "rest", "whole"),
    [
        ("Connection: close", b"", False),
        ("Content-Length: 0", b"", True),
        ("Transfer-Encoding: chunked", b"0\r\n\r\n", True),
    ],
)
async def test_a_compressed_file_that_is_cut_off_before_its_first_byte_is_an_error(
    open_session: Callable[..., Any], framing: str, rest: bytes, whole: bool
) -> None:
    async def empty(wire: Wire, _: Request) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n{framing}\r\n\r\n"
        await wire.write(head.encode() + rest)
        wire.writer.close()

    async with serving(empty) as server:
        session = await open_session(server)
        async with session.stream(read()) as pieces:
            if whole:
                assert [piece async for piece in pieces] == []
            else:
                with pytest.raises(errors.DecodeError, match="gzip"):
                    await anext(aiter(pieces))


async def test_data_after_a_compressed_response_is_not_kept_in_memory(
    open_session: Callable[..., Any],
) -> None:
    async def endless(wire: Wire) -> None:
        await wire.request()
        await wire.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await wire.write(b"%x\r\n%s\r\n" % (len(GOOD), GOOD))
        while True:
            await wire.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    async with RawServer(endless) as server:
        session = await open_session(server)
        with pytest.raises(errors.DecodeError, match="gzip"):
            await session.send(read())


async def test_an_unrequested_content_encoding_is_refused(
    open_session: Callable[..., Any],
) -> None:
    async def strange(wire: Wire, _: Request) -> None:
        await wire.answer("200 OK", b"[]", "Content-Encoding: br")

    async with serving(strange) as server:
        session = await open_session(server)
        with pytest.raises(errors.DecodeError, match="not requested"):
            await session.send(read())


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("text/html", b"<html>sandbox-token</html>", r"'text/html' instead of JSON: '<html>\[hid"),
        ("text/html", b"x" * 75 + b"sandbox-token", r"instead of JSON: 'x{75}\[hidd'"),
        ("application/octet-stream", b"\xff\xfe\0", "octet-stream' instead of JSON"),
        ("application/json", b"\0\xff{", "the thing"),
        ("application/json", b"", "the thing"),
        ("application/json", b"[" * 100_000, "the thing"),
        ("application/json", b"1" * 100_000, "the thing"),
        ("application/json", b"null", "the thing"),
        ("application/json", b"[1, 2]", "the thing"),
    ],
)
async def test_an_unexpected_body_is_a_decode_error_with_status_and_excerpt(
    open_session: Callable[..., Any], kind: str, content: bytes, message: str
) -> None:
    async def answer(wire: Wire, _: Request) -> None:
        await wire.answer("203 Well", content, f"Content-Type: {kind}", json=False)

    async with serving(answer) as server:
        session = await open_session(server)
        reply = await session.send(read())
        with pytest.raises(errors.DecodeError, match=message) as caught:
            reply.read(str)
    assert caught.value.status == 203
    assert len(caught.value.excerpt) <= 80
    assert len(caught.value.message) < 400
    assert "sandb" not in str(caught.value)


@pytest.mark.parametrize("kind", ["application/json;charset=utf-8", "text/json", "x/hal+JSON"])
async def test_every_json_media_type_is_accepted(
    open_session: Callable[..., Any], kind: str
) -> None:
    async def answer(wire: Wire, _: Request) -> None:
        await wire.answer("200 OK", b'"yes"', f"Content-Type: {kind}", json=False)

    async def untyped(wire: Wire, _: Request) -> None:
        await wire.answer("200 OK", b'"yes"', json=False)

    async with serving(answer, untyped) as server:
        session = await open_session(server)
        for _ in range(2):
            assert (await session.send(read())).read(str) == "yes"


async def broken_off(wire: Wire) -> None:
    await wire.request()
    await wire.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
    wire.writer.close()


async def unreadable(wire: Wire) -> None:
    await wire.request()
    await wire.answer("201 Created", b"no gzip", "Content-Encoding: gzip")


@pytest.mark.parametrize("effect", [Effect.ADDITIVE, Effect.CONVERGENT])
@pytest.mark.parametrize(
    ("script", "told"), [(broken_off, "was cut off"), (unreadable, "cannot be read")]
)
async def test_a_success_with_a_lost_body_is_not_repeated(
    open_session: Callable[..., Any], effect: Effect, script: Any, told: str
) -> None:
    async with RawServer(script) as server:
        session = await open_session(server)
        body = PiecesBody(b"{}")
        answer: Response = await session.send(Call("POST", "/x", effect, "the thing", body=body))
        assert len(body.attempts) == 1
        assert answer.status == 201
        with pytest.raises(errors.OutcomeUnknown, match=f"returned 201, .* response {told}"):
            answer.read(str)


async def test_a_read_with_a_truncated_response_is_repeated(
    open_session: Callable[..., Any],
) -> None:
    turns = [broken_off]

    async def script(wire: Wire) -> None:
        if turns:
            await turns.pop()(wire)
            return
        await wire.request()
        await wire.answer(body=b'"whole"')

    async with RawServer(script) as server:
        session = await open_session(server)
        assert (await session.send(read())).read(str) == "whole"


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"", b"\0" * 500])
async def test_a_response_that_is_not_http_is_a_lost_connection(
    open_session: Callable[..., Any], answer: bytes
) -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.write(answer)
        wire.writer.close()

    async with RawServer(script) as server:
        session = await open_session(server)
        with pytest.raises(errors.ConnectionLost, match="no complete response arrived"):
            await session.send(read())
        assert server.connections == 3


async def test_a_stream_yields_decompressed_chunks(
    open_session: Callable[..., Any],
) -> None:
    content = os.urandom(700_000)
    async with serving(gzipped(gzip.compress(content))) as server:
        session = await open_session(server)
        async with session.stream(read()) as pieces:
            assert b"".join([piece async for piece in pieces]) == content


async def fail_in_the_middle(session: Session) -> None:
    async with session.stream(read()) as pieces:
        async for _ in pieces:
            raise ZeroDivisionError


async def test_a_stream_left_early_leaves_nothing_open(
    open_session: Callable[..., Any],
) -> None:
    async def long(wire: Wire, _: Request) -> None:
        await wire.answer(body=b"x" * 5_000_000)

    async with serving(long) as server:
        session = await open_session(server)
        async with nothing_left():
            async with session.stream(read()) as pieces:
                async for _ in pieces:
                    break
            with pytest.raises(ZeroDivisionError):
                await fail_in_the_middle(session)
            async with session.stream(read()):
                pass


async def test_a_broken_stream_is_a_lost_connection_and_a_refused_one_an_api_error(
    open_session: Callable[..., Any],
) -> None:
    async def break_off(wire: Wire, _: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        wire.writer.close()

    async with serving(break_off) as server:
        session = await open_session(server)
        async with session.stream(read()) as pieces:
            with pytest.raises(errors.ConnectionLost, match="while the response was being read"):
                async for _ in pieces:
                    pass

    async def refuse(wire: Wire, _: Request) -> None:
        await wire.answer("404 Not Found", b"")

    async with serving(refuse) as server:
        session = await open_session(server)
        with pytest.raises(errors.NotFound):
            async with session.stream(read()):
                raise AssertionError
    async with serving(gzipped(b"no gzip")) as server:
        session = await open_session(server)
        async with session.stream(read()) as pieces:
            with pytest.raises(errors.DecodeError):
                async for _ in pieces:
                    pass


class Wordless(Exception):
    """A foreign exception whose `__str__` fails."""

    def __str__(self) -> str:
        raise ValueError("no words")


async def test_an_exception_with_a_broken_str_becomes_an_error_of_the_package(
    open_session: Callable[..., Any],
) -> None:
    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise Wordless

    async with httpx.AsyncClient(transport=Transport()) as own:
        session = await open_session(http_client=own)
        with pytest.raises(errors.ConnectionLost, match="Wordless"):
            await session.send(read())


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "500 Oops"])
async def test_an_error_carries_the_headers_of_the_response_without_secrets(
    open_session: Callable[..., Any], status: str
) -> None:
    async def answer(wire: Wire, _: Request) -> None:
        await wire.answer(status, b"[]", "X-Request-Id: 42", "X-Echo: Bearer sandbox-token")

    async with serving(answer) as server:
        session = await open_session(server)
        with pytest.raises(errors.APIError) as caught:
            await session.send(read())
    assert caught.value.headers["x-request-id"] == "42"
    assert "sandbox-token" not in str(dict(caught.value.headers))


@pytest.mark.parametrize("effect", [Effect.SAFE, Effect.ADDITIVE])
async def test_a_refusal_whose_body_never_ends_is_a_refusal(
    open_session: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, effect: Effect
) -> None:
    monkeypatch.setattr("ccv2_async.transport.calls.session.REFUSED_WITHIN", 0.05)

    async def refuse(wire: Wire, _: Request) -> None:
        await wire.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await wire.write(b" ")
            await asyncio.sleep(0.01)

    async with serving(refuse) as server:
        session = await open_session(server)
        async with asyncio.timeout(5.0):
            with pytest.raises(errors.BadRequest, match="413 without giving a reason"):
                await session.send(Call("POST", "/x", effect, "it", body=PiecesBody(b"a")))
        assert server.connections == 1
