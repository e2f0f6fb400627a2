"""A refused token is renewed once; a `refresh_token` that calls its own client is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from tests.support.probes import until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire

READ = Call("GET", "/x", Effect.SAFE, "the thing")
INFO = Call("GET", "/library/info", Effect.SAFE, "info")


async def judge(wire: Wire, request: Request) -> None:
    fresh = request.headers["authorization"] == "Bearer fresh-token"
    await wire.answer("200 OK" if fresh else "401 Unauthorized", b'"fine"' if fresh else b"[]")


async def in_a_task(session: Any) -> None:
    await asyncio.create_task(session.send(READ))


async def in_a_group(session: Any) -> None:
    await asyncio.gather(session.send(READ), session.send(READ))


async def in_a_stream(session: Any) -> None:
    async with session.stream(READ):
        pass


WAYS: dict[str, Callable[[Any], Any]] = {
    "directly": lambda session: session.send(READ),
    "in a task": in_a_task,
    "in a group of tasks": in_a_group,
    "in a stream": in_a_stream,
}


@pytest.mark.parametrize("in_flight", [1, 100])
@pytest.mark.parametrize("way", WAYS)
async def test_calling_the_client_from_refresh_token_is_refused_with_advice(
    open_session: Callable[..., Any], manual_clock: Any, way: str, in_flight: int
) -> None:
    async def refresh() -> str:
        await WAYS[way](session)
        raise AssertionError

    async with serving(judge) as server:
        session = await open_session(
            server, refresh_token=refresh, clock=manual_clock, max_in_flight=in_flight
        )
        with pytest.raises(
            errors.AuthenticationFailed, match=r"refresh_token made this call .* another client"
        ):
            await session.send(READ)  # the clock stands still: no deadline ends it
        assert server.connections == 1


async def test_a_refresh_token_callback_can_handle_the_refusal(
    open_session: Callable[..., Any],
) -> None:
    refused: list[errors.UsageError] = []

    async def refresh() -> str:
        try:
            await session.send(READ)
        except errors.UsageError as error:
            refused.append(error)
        return "fresh-token"

    async with serving(judge) as server:
        session = await open_session(server, refresh_token=refresh)
        assert (await session.send(READ)).read(str) == "fine"
    assert len(refused) == 1


async def test_refresh_token_may_call_another_client_that_does_not_call_back(
    open_session: Callable[..., Any],
) -> None:
    async def refresh() -> str:
        await other.send(READ)
        return "fresh-token"

    async def refresh_other() -> str:
        await session.send(READ)
        return "fresh-token"

    async with serving(judge) as server:
        other = await open_session(server, access_token="fresh-token")
        session = await open_session(server, refresh_token=refresh)
        assert (await session.send(READ)).read(str) == "fine"

        other = await open_session(server, refresh_token=refresh_other)
        session = await open_session(server, refresh_token=refresh)
        with pytest.raises(errors.AuthenticationFailed, match="refresh_token made this call"):
            await session.send(READ)


async def test_a_task_that_outlives_refresh_token_may_call_the_client(
    open_session: Callable[..., Any],
) -> None:
    renewed = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def later() -> Any:
        await renewed.wait()
        return await session.send(READ)

    def refresh() -> str:
        tasks.append(asyncio.create_task(later()))
        return "fresh-token"

    async with serving(judge) as server:
        session = await open_session(server, refresh_token=refresh)
        await session.send(READ)
        renewed.set()
        assert (await tasks[0]).read(str) == "fine"


class Tokens:
    """A service that accepts only one token, and a hook that returns it."""

    def __init__(self, *given: Any) -> None:
        self.given = list(given)
        self.calls = 0
        self.seen: list[str] = []

    async def serve(self, wire: Wire, request: Request) -> None:
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.seen.append(token)
        ok = token == "fresh-token"
        await wire.answer("200 OK" if ok else "401 No", b'"fine"' if ok else b"[]")

    def sync(self) -> str:
        self.calls += 1
        token = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(token, Exception):
            raise token
        return token  # type: ignore[no-any-return]  # whatever the test gives

    async def slowly(self) -> str:
        await asyncio.sleep(0.01)
        return self.sync()


@pytest.mark.parametrize("kind", ["sync", "slowly"])
async def test_a_token_is_refreshed_once_and_used_from_then_on(
    open_session: Callable[..., Any], kind: Any
) -> None:
    tokens = Tokens("fresh-token")
    async with serving(tokens.serve) as server:
        session = await open_session(server, refresh_token=getattr(tokens, kind))
        for _ in range(3):
            assert (await session.send(READ)).read(str) == "fine"
    assert tokens.calls == 1
    assert tokens.seen == ["sandbox-token"] + ["fresh-token"] * 3


async def test_concurrent_refused_calls_share_one_token_refresh(
    open_session: Callable[..., Any],
) -> None:
    tokens = Tokens("fresh-token")
    async with serving(tokens.serve) as server:
        session = await open_session(server, refresh_token=tokens.slowly)
        answers = await asyncio.gather(*(session.send(READ) for _ in range(10)))
        assert {answer.read(str) for answer in answers} == {"fine"}
    assert tokens.calls == 1


async def test_a_cancelled_token_refresh_is_left_to_the_next_call(
    open_session: Callable[..., Any],
) -> None:
    tokens, asked, gate = Tokens("fresh-token"), asyncio.Event(), asyncio.Event()

    async def hook() -> str:
        asked.set()
        await gate.wait()
        return tokens.sync()

    async with serving(tokens.serve) as server:
        session = await open_session(server, refresh_token=hook)
        tasks = [asyncio.create_task(session.send(READ)) for _ in range(3)]
        await asked.wait()
        tasks[0].cancel()
        gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = [result for result in results if isinstance(result, asyncio.CancelledError)]
    assert len(cancelled) == 1
    assert tokens.calls == 1


async def test_a_hanging_refresh_token_callback_is_ended_by_the_deadline(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    tokens, asked = Tokens("x"), asyncio.Event()

    async def hook() -> str:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(tokens.serve) as server:
        session = await open_session(server, refresh_token=hook, clock=manual_clock)
        task = asyncio.create_task(session.send(attrs.evolve(READ, deadline=30)))
        await asked.wait()
        await manual_clock.advance(31)
        with pytest.raises(errors.DeadlineExceeded):
            await task


@pytest.mark.parametrize(
    "given",
    [
        RuntimeError("no account fresh"),
        "",
        "two\nlines",
        None,
        5,
        errors.ConstantContactError("x."),
    ],
)
async def test_a_failing_refresh_token_callback_is_reported_with_the_refusal(
    open_session: Callable[..., Any], given: Any
) -> None:
    tokens = Tokens(given)
    async with serving(tokens.serve) as server:
        session = await open_session(server, refresh_token=tokens.sync)
        with pytest.raises(errors.AuthenticationFailed, match=r"refresh_token .* failed") as caught:
            await session.send(READ)
    assert caught.value.status == 401
    assert tokens.seen == ["sandbox-token"]


async def test_a_refused_new_token_raises(
    open_session: Callable[..., Any],
) -> None:
    tokens = Tokens("stale-token")
    async with serving(tokens.serve) as server:
        session = await open_session(server, refresh_token=tokens.sync)
        with pytest.raises(errors.AuthenticationFailed, match="get a new one"):
            await session.send(READ)
    assert tokens.seen == ["sandbox-token", "stale-token"]


async def test_a_refused_token_raises_at_once_without_refresh_token(
    open_session: Callable[..., Any], sandbox: Sandbox
) -> None:
    session = await open_session(sandbox, access_token="another-token")
    with pytest.raises(errors.AuthenticationFailed):
        await session.send(INFO)
    assert len(sandbox.admin.requests()) == 1


async def test_a_caller_without_time_does_not_interrupt_a_renewal_that_others_wait_for(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    asked, go_on, runs = asyncio.Event(), asyncio.Event(), []

    async def refresh() -> str:
        runs.append(asyncio.current_task())
        asked.set()
        await go_on.wait()
        return "fresh-token"

    async with serving(judge) as server:
        session = await open_session(server, refresh_token=refresh, clock=manual_clock)
        with session.deadline(5.0):
            first = asyncio.create_task(session.send(READ))
        await asked.wait()
        others = [asyncio.create_task(session.send(READ)) for _ in range(3)]
        await until(lambda: session._renewal._callers == 4)
        await manual_clock.advance(5.0)
        with pytest.raises(errors.DeadlineExceeded):
            await first
        go_on.set()
        await asyncio.gather(*others)
    assert len(runs) == 1


async def test_a_failed_renewal_is_not_repeated_for_each_call_that_waited_for_it(
    open_session: Callable[..., Any],
) -> None:
    go_on, runs = asyncio.Event(), []

    async def refresh() -> str:
        runs.append(asyncio.current_task())
        await go_on.wait()
        raise OSError("the store of tokens is down")

    async with serving(judge) as server:
        session = await open_session(server, refresh_token=refresh)
        calls = [asyncio.create_task(session.send(READ)) for _ in range(3)]
        await until(lambda: session._renewal._callers == 3)
        go_on.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in found] == [errors.AuthenticationFailed] * 3
    assert len(set(map(id, found))) == 3
    assert len(runs) == 1


async def test_a_call_does_not_share_a_renewal_that_is_being_cancelled(
    open_session: Callable[..., Any],
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    runs: list[Any] = []
    refusals: list[Any] = []

    async def refresh() -> str:
        runs.append(asyncio.current_task())
        asked.set()
        if len(runs) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                await go_on.wait()  # it closes a connection of its own
        return "fresh-token"

    async with serving(judge) as server:
        session = await open_session(server, refresh_token=refresh)
        renew = session._renewal.renew

        async def counted(refused: Any) -> None:
            refusals.append(refused)
            await renew(refused)

        session._renewal.renew = counted
        first = asyncio.create_task(session.send(READ))
        await asked.wait()
        first.cancel()
        others = [asyncio.create_task(session.send(READ)) for _ in range(3)]
        await until(lambda: len(refusals) == 4)
        go_on.set()
        answers = await asyncio.gather(*others)
        assert {answer.read(str) for answer in answers} == {"fine"}
        with pytest.raises(asyncio.CancelledError):
            await first
    assert len(runs) == 2


async def test_refresh_token_that_awaits_a_cancelled_task_does_not_cancel_the_call(
    open_session: Callable[..., Any],
) -> None:
    async def refresh() -> str:
        other = asyncio.create_task(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(other.cancel)
        await other
        raise AssertionError

    async with serving(judge) as server:
        session = await open_session(server, refresh_token=refresh)
        with pytest.raises(errors.AuthenticationFailed, match="CancelledError"):
            await session.send(READ)
