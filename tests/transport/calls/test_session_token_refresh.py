"""A `refresh_token` callback that calls its own client is refused at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Request, Wire

READ = Call("GET", "/x", Effect.SAFE, "the thing")


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
