"""A read with an unreadable response is retried, like one without a response."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import ATTEMPTS, Effect
from tests.support.bodies import PiecesBody
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.transport.calls.call import Response
    from tests.support.servers import Request, Wire

READ = Call("GET", "/x", Effect.SAFE, "the thing")


def answer(body: bytes, *headers: str, json: bool = True) -> Any:
    async def say(wire: Wire, _: Request) -> None:
        await wire.answer("200 OK", body, *headers, json=json)

    return say


fine = answer(b'"fine"')
GARBLED = {
    "cut": answer(b'"fi'),
    "empty": answer(b""),
    "html": answer(b"<html>", "Content-Type: text/html", json=False),
    "html that says it is JSON": answer(b"<html>"),
    "another type": answer(b"{}"),
    "null": answer(b"null"),
    "no gzip": answer(b"fine", "Content-Encoding: gzip"),
    "an encoding that was not requested": answer(b"fine", "Content-Encoding: br"),
}


@pytest.mark.parametrize("kind", GARBLED)
async def test_a_read_with_a_garbled_response_is_repeated(
    open_session: Callable[..., Any], kind: str
) -> None:
    async with serving(GARBLED[kind], GARBLED[kind], fine) as server:
        session = await open_session(server)
        assert await session.read(READ, lambda answer: answer.read(str)) == "fine"


@pytest.mark.parametrize("kind", GARBLED)
async def test_the_error_after_the_last_attempt_says_that_a_read_is_safe_to_repeat(
    open_session: Callable[..., Any], kind: str
) -> None:
    asked: list[Request] = []

    async def garbled(wire: Wire, request: Request) -> None:
        asked.append(request)
        await GARBLED[kind](wire, request)

    async with serving(garbled) as server:
        session = await open_session(server)
        with pytest.raises(errors.DecodeError, match="tried 3 times") as caught:
            await session.read(READ, lambda answer: answer.read(str))
    assert len(asked) == ATTEMPTS
    assert caught.value.safe_to_retry
    assert copy.copy(caught.value).safe_to_retry
    assert caught.value.__context__ is None


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_response_of_an_odd_shape_is_not_a_lost_connection(
    open_session: Callable[..., Any], size: int
) -> None:
    def parse(answer: Response) -> Any:
        return answer.plain().results

    async with serving(answer(b'"%s"' % (b"x" * size))) as server:
        session = await open_session(server)
        with pytest.raises(errors.DecodeError, match=r"the thing: .*AttributeError") as caught:
            await session.read(READ, parse)
    assert caught.value.status == 200
    assert caught.value.__context__ is None


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.CONVERGENT, Effect.ADDITIVE])
async def test_a_write_with_a_garbled_response_is_not_repeated(
    open_session: Callable[..., Any], effect: Effect
) -> None:
    call = Call("POST", "/x", effect, "the thing", body=PiecesBody(b"{}"))
    async with serving(answer(b"<html>"), fine) as server:
        session = await open_session(server)
        sent = await session.send(call)
        with pytest.raises(errors.DecodeError) as caught:
            sent.read(str)
    assert not caught.value.safe_to_retry


@pytest.mark.parametrize("kind", ["no gzip", "an encoding that was not requested", "too large"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_the_error_of_a_write_that_cannot_be_unpacked_says_that_it_was_carried_out(
    open_session: Callable[..., Any], method: str, kind: str
) -> None:
    call = Call(method, "/x", Effect.IDEMPOTENT, "the thing", max_response=999)
    async with serving(GARBLED.get(kind) or answer(b" " * 1000)) as server:
        session = await open_session(server)
        with pytest.raises(errors.DecodeError, match="200, so the call was carried out") as caught:
            await session.send(call)
    assert not caught.value.safe_to_retry


async def test_a_read_with_a_too_large_response_is_not_repeated(
    open_session: Callable[..., Any],
) -> None:
    asked: list[Request] = []

    async def large(wire: Wire, request: Request) -> None:
        asked.append(request)
        await wire.answer(body=b" " * 1000)

    call = Call("GET", "/x", Effect.SAFE, "the thing", max_response=999)
    async with serving(large) as server:
        session = await open_session(server)
        with pytest.raises(errors.ResponseTooLarge, match="larger than 999 bytes"):
            await session.read(call, lambda answer: answer.read(str))
    assert len(asked) == 1
