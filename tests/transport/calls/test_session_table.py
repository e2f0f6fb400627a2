"""The retry table, on real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import (
    ATTEMPTS,
    MAY_HAVE_BEEN_CARRIED_OUT,
    RATE_WAITS,
    TABLE,
    Decision,
    Effect,
    FailureKind,
)
from tests.support.bodies import PiecesBody
from tests.support.servers import RawServer, unused_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire

PIECES = [b"x" * 65_536] * 160
UNKNOWN = b'[{"error_key": "http.status.not_found"}]'
KEYED = b'[{"error_key": "mashery.not.authorized.%s", "error_message": "m"}]'


async def partly(wire: Wire) -> None:
    await wire.head()
    await wire.reader.read(1000)
    wire.reset()


async def unanswered(wire: Wire) -> None:
    await wire.request()
    wire.reset()


def answering(status: str, body: bytes = b"", *headers: str) -> Any:
    async def answer(wire: Wire) -> None:
        await wire.request()
        await wire.answer(status, body, *headers)

    return answer


ACCIDENTS: dict[FailureKind, Any] = {
    FailureKind.PARTLY_SENT: partly,
    FailureKind.UNANSWERED: unanswered,
    FailureKind.OVER_RATE: answering("403 Forbidden", KEYED % b"over.qps"),
    FailureKind.OVER_DAY: answering("403 Forbidden", KEYED % b"over.ratelimit"),
    FailureKind.SERVER_BUSY: answering("503 Busy", b"", "Retry-After: 2"),
    FailureKind.SERVER_FAILED: answering("500 Oops", b"<html>"),
    FailureKind.UNAUTHORIZED: answering("401 Unauthorized", b"[]"),
    FailureKind.REDIRECTED: answering("307 Away", b"", "Location: http://127.0.0.1:1/v2/x"),
    FailureKind.REFUSED: answering("409 Conflict", b'{"error_key": "k", "error_message": "m"}'),
}
RAISED: dict[FailureKind, type[errors.ConstantContactError]] = {
    FailureKind.PARTLY_SENT: errors.ConnectionLost,
    FailureKind.UNANSWERED: errors.ConnectionLost,
    FailureKind.OVER_RATE: errors.QuotaExceeded,
    FailureKind.OVER_DAY: errors.DailyQuotaExceeded,
    FailureKind.SERVER_BUSY: errors.ServerError,
    FailureKind.SERVER_FAILED: errors.ServerError,
    FailureKind.UNAUTHORIZED: errors.AuthenticationFailed,
    FailureKind.REDIRECTED: errors.UnexpectedRedirect,
    FailureKind.REFUSED: errors.Conflict,
}
SENDS = {
    Decision.RETRY: ATTEMPTS,
    Decision.RETRY_ONCE: 2,
    Decision.WAIT: 1 + RATE_WAITS,
    Decision.REFRESH: 2,
    Decision.LOOK: 1,
    Decision.RAISE: 1,
}
CELLS = [(kind, effect) for kind in ACCIDENTS for effect in Effect]


def accident(kind: FailureKind, times: int) -> RawServer:
    """A server that fails in this way a number of times, and then works."""
    left = [times]

    async def script(wire: Wire) -> None:
        while True:
            if left[0]:
                left[0] -= 1
                await ACCIDENTS[kind](wire)
            else:
                await wire.request()
                await wire.answer(body=b'"done"')

    return RawServer(script)


def call(effect: Effect, kind: FailureKind = FailureKind.PARTLY_SENT) -> Call:
    pieces = PIECES if kind is FailureKind.PARTLY_SENT else PIECES[:2]
    return Call("POST", "/thing", effect, "the thing", body=PiecesBody(*pieces))


def attempts(call: Call) -> int:
    assert isinstance(call.body, PiecesBody)
    assert all(attempt.closed for attempt in call.body.attempts)
    return len(call.body.attempts)


@pytest.mark.parametrize(("kind", "effect"), CELLS)
async def test_a_single_failure_is_retried_where_the_table_allows_it(
    open_session: Callable[..., Any], kind: FailureKind, effect: Effect
) -> None:
    decision = TABLE[kind][effect]
    one = call(effect, kind)
    async with accident(kind, 1) as server:
        session = await open_session(server, refresh_token=lambda: "fresh")
        if decision is Decision.LOOK:
            with pytest.raises(
                errors.OutcomeUnknown, match=r"not sent again; check the account before"
            ):
                await session.send(one)
        elif decision is Decision.RAISE:
            with pytest.raises(RAISED[kind]):
                await session.send(one)
        else:
            assert (await session.send(one)).read(str) == "done"
    assert attempts(one) == (1 if decision in (Decision.LOOK, Decision.RAISE) else 2)


@pytest.mark.parametrize(("kind", "effect"), CELLS)
async def test_a_persistent_failure_is_raised_after_the_attempts_of_the_table(
    open_session: Callable[..., Any], kind: FailureKind, effect: Effect
) -> None:
    decision = TABLE[kind][effect]
    one = call(effect, kind)
    expected = RAISED[kind]
    if effect is Effect.ADDITIVE and kind in MAY_HAVE_BEEN_CARRIED_OUT:
        expected = errors.OutcomeUnknown
    async with accident(kind, 100) as server:
        session = await open_session(server, refresh_token=lambda: "fresh")
        with pytest.raises(expected) as caught:
            await session.send(one)
    assert type(caught.value) is expected
    assert attempts(one) == SENDS[decision]
    assert caught.value.message.startswith("the thing: ")
    assert "an earlier one" not in caught.value.message
    if isinstance(caught.value, errors.ConnectionLost):
        assert caught.value.sent == ("partly" if kind is FailureKind.PARTLY_SENT else "wholly")


@pytest.mark.parametrize(
    ("first", "then", "path", "succeeds"),
    [
        (FailureKind.UNANSWERED, UNKNOWN, "/lists/7", True),
        (FailureKind.UNANSWERED, b"<html>", "/lists/7", False),  # of a gateway
        (FailureKind.UNANSWERED, UNKNOWN, "/library/files/7,8", False),  # perhaps only one is gone
        (FailureKind.UNANSWERED, UNKNOWN, "/contacts/7", False),  # it opts out, and deletes none
        (FailureKind.PARTLY_SENT, UNKNOWN, "/lists/7", False),
    ],
)
async def test_a_deletion_whose_response_was_lost_has_succeeded_if_nothing_is_left(
    open_session: Callable[..., Any], first: FailureKind, then: bytes, path: str, succeeds: bool
) -> None:
    scripts = [ACCIDENTS[first], answering("404 Not Found", then)]

    async def script(wire: Wire) -> None:
        await scripts.pop(0)(wire)

    async with RawServer(script) as server:
        session = await open_session(server)
        body = PiecesBody(*PIECES) if first is FailureKind.PARTLY_SENT else None
        call = Call("DELETE", path, Effect.IDEMPOTENT, "deletion", body=body)
        if succeeds:
            assert (await session.send(call)).status == 204
        else:
            with pytest.raises(errors.NotFound):
                await session.send(call)
    assert scripts == []


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.CONVERGENT])
@pytest.mark.parametrize(
    "then",
    [FailureKind.OVER_DAY, FailureKind.UNAUTHORIZED, FailureKind.REDIRECTED, FailureKind.REFUSED],
)
async def test_a_refusal_does_not_hide_that_an_earlier_attempt_may_have_been_carried_out(
    open_session: Callable[..., Any], effect: Effect, then: FailureKind
) -> None:
    scripts = [unanswered, ACCIDENTS[then]]

    async def script(wire: Wire) -> None:
        await scripts.pop(0)(wire)

    async with RawServer(script) as server:
        session = await open_session(server)
        with pytest.raises(RAISED[then], match="an earlier one may have been carried out"):
            await session.send(call(effect, then))
    assert scripts == []


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.CONVERGENT])
async def test_a_call_that_is_not_sent_again_says_that_it_may_have_been_carried_out(
    open_session: Callable[..., Any], effect: Effect
) -> None:
    async def script(wire: Wire) -> None:
        session.budget.end_day()
        await unanswered(wire)

    async with RawServer(script) as server:
        session = await open_session(server)
        with pytest.raises(errors.DailyQuotaExceeded, match="one may have been carried out"):
            await session.send(call(effect))


@pytest.mark.parametrize("effect", Effect)
async def test_without_a_connection_every_call_is_tried_three_times(
    open_session: Callable[..., Any], effect: Effect, clock: SkippingClock
) -> None:
    session = await open_session(base_url=f"http://127.0.0.1:{await unused_port()}/v2")
    one = call(effect)
    with pytest.raises(errors.ConnectFailed, match="Nothing was sent") as caught:
        await session.send(one)
    assert caught.value.sent == "nothing"
    assert attempts(one) == 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize(
    "kind", [FailureKind.PARTLY_SENT, FailureKind.OVER_RATE, FailureKind.UNAUTHORIZED]
)
async def test_a_body_that_cannot_be_repeated_is_not_resent(
    open_session: Callable[..., Any], kind: FailureKind
) -> None:
    body = PiecesBody(*PIECES, repeatable=False)
    async with accident(kind, 1) as server:
        session = await open_session(server, refresh_token=lambda: "fresh")
        with pytest.raises(RAISED[kind]):
            await session.send(Call("POST", "/thing", Effect.SAFE, "the thing", body=body))
    assert len(body.attempts) == 1


async def test_a_stale_connection_does_not_fail_a_repeatable_call(
    open_session: Callable[..., Any],
) -> None:
    seen: list[Request] = []

    async def script(wire: Wire) -> None:
        seen.append(await wire.request())
        await wire.answer(body=b"1")
        seen.append(await wire.request())
        if len(seen) > 2:
            await wire.answer(body=b"3")

    async with RawServer(script) as server:
        session = await open_session(server)
        for _ in range(2):
            body = PiecesBody(b"abc", b"def")
            answer = await session.send(Call("PUT", "/x", Effect.IDEMPOTENT, "it", body=body))
            assert answer.content in (b"1", b"3")
    assert {request.body for request in seen} == {b"abcdef"}
