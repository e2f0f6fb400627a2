"""Waiting for several jobs ends, no matter what one of them does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.client import ConstantContact
    from ccv2_async.polling.poller import UploadPoller
    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def two_uploads(client: ConstantContact) -> tuple[UploadPoller, UploadPoller]:
    """Begin two uploads: one becomes Active, the other never does."""
    ends = await client.library.begin_upload(PICTURE, name="ends.png")
    never = await client.library.begin_upload(PICTURE, name="never.png")
    return ends, never


async def half_active(wire: Wire, request: Request) -> None:
    """Answer like a service where only the first of two uploads becomes Active."""
    if request.method == "POST":
        await wire.answer("201 Created", b"", f"Id: {1 if b'ends.png' in request.body else 2}")
    elif "uploadstatus" in request.target:
        rows = b'[{"file_id": "1", "status": "Active"}, {"file_id": "2", "status": "Processing"}]'
        await wire.answer(body=rows)
    else:
        await wire.answer(body=b'{"id": "1", "name": "ends.png"}')


async def hurried(task: asyncio.Task[Any], clock: ManualClock) -> None:
    """Advance the clock until the task has ended."""
    while not task.done():
        await clock.advance(5.0)
        await asyncio.sleep(0.001)


async def test_wait_all_ends_when_one_job_never_finishes(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    async with serving(half_active) as server:
        client = await connect(server, clock=manual_clock)
        ends, never = await two_uploads(client)
        waiting = asyncio.create_task(client.wait_all([ends, never], return_errors=True))
        await hurried(waiting, manual_clock)
        first, second = await waiting
        assert first.id == "1"
        assert isinstance(second, errors.PollTimeout)
        assert second.id == "2"
        assert never.token()


async def test_as_completed_ends_when_one_job_never_finishes(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    seen: list[str] = []
    async with serving(half_active) as server:
        client = await connect(server, clock=manual_clock)
        pollers = await two_uploads(client)

        async def go_through() -> None:
            async for poller in client.as_completed(pollers):
                seen.append(poller.id)  # noqa: PERF401  # a comprehension would lose it

        going = asyncio.create_task(go_through())
        await hurried(going, manual_clock)
        with pytest.raises(errors.PollTimeout, match="after 900 s"):
            await going
    assert seen == ["1"]
