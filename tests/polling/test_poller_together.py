"""Waiting for several jobs ends, no matter what one of them does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.polling.job import State
from ccv2_async.transport.quota import Lane
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


async def test_a_poller_of_another_client_is_refused_before_any_request(
    connect: Callable[..., Any],
) -> None:
    asked: list[str] = []

    async def begin(wire: Wire, _: Request) -> None:
        await wire.answer("201 Created", b"", "Id: 1")

    async def failed(wire: Wire, request: Request) -> None:
        asked.append(request.target)
        await wire.answer(body=b'[{"file_id": "1", "status": "Failed"}]')

    async with serving(begin) as server, serving(failed) as other_server:
        client, other = await connect(server), await connect(other_server)
        poller = await client.library.begin_upload(PICTURE, name="a.png")
        with pytest.raises(errors.InvalidField, match=r"pollers\[0\].* of this client"):
            await other.wait_all([poller], return_errors=True)
        with pytest.raises(errors.InvalidField, match="of this client"):
            await anext(other.as_completed([poller]))
        assert (poller.state, asked) == (State.PENDING, [])


async def test_a_poller_of_a_view_of_the_client_is_accepted(connect: Callable[..., Any]) -> None:
    async with serving(half_active) as server:
        client = await connect(server)
        view = client.with_options(lane=Lane.BULK)
        poller = await view.library.begin_upload(PICTURE, name="ends.png")
        [file] = await client.wait_all([poller])
        [again] = await view.wait_all([client.resume(poller.token())])
        assert (file.id, again.id) == ("1", "1")


async def test_jobs_whose_requests_fail_slowly_delay_the_others_little(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    count = 0

    async def answer(wire: Wire, request: Request) -> None:
        nonlocal count
        ids = request.target.partition("?")[0].rpartition("/")[2].split(",")
        if request.method == "POST":
            count += 1
            await wire.answer("201 Created", b"", f"Id: {count}")
        elif "uploadstatus" not in request.target:
            await wire.answer(body=b'{"id": "%s", "name": "a.png"}' % ids[0].encode())
        elif {"20", "47"} & {*ids}:
            await manual_clock.sleep(2.0)
            await wire.answer("500 Oops", b"")
        else:
            rows = ", ".join(f'{{"file_id": "{id_}", "status": "Active"}}' for id_ in ids)
            await wire.answer(body=f"[{rows}]".encode())

    async with serving(answer) as server:
        client = await connect(server, clock=manual_clock, per_second=None, per_day=None)
        pollers = [await client.library.begin_upload(PICTURE, name="a.png") for _ in range(60)]
        began = manual_clock.now
        waits = [asyncio.create_task(poller.wait()) for poller in pollers]
        failing = [waits[19], waits[46]]
        while not all(task.done() or task in failing for task in waits):
            await manual_clock.advance(0.1)
            await asyncio.sleep(0.001)
        assert manual_clock.now - began < 40.0
        for task in failing:
            assert not task.done()
            task.cancel()
