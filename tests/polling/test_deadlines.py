"""Timeouts of waits, where one timer serves all waiters with the same timeout."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import attrs
import pytest

from ccv2_async import errors
from tests.polling.scripted import Result, Service
from tests.support.clocks import settle

if TYPE_CHECKING:
    from ccv2_async.polling.job import Job
    from tests.polling.scripted import Request
    from tests.support.clocks import ManualClock


@pytest.fixture
def service(manual_clock: ManualClock) -> Service:
    """A service that answers every status request at once."""
    service = Service(manual_clock)
    service.by_itself = True
    return service


class Waits:
    """Tasks that each wait for an upload, and the times at which they gave up."""

    def __init__(self, service: Service, clock: ManualClock) -> None:
        self._service = service
        self._clock = clock
        self.tasks: list[asyncio.Task[None]] = []
        self.given_up: dict[int, float] = {}

    def begin(self, *limits: float | None) -> None:
        for limit in limits:
            self.tasks.append(asyncio.create_task(self._wait(len(self.tasks), limit)))

    async def _wait(self, number: int, limit: float | None) -> None:
        try:
            await self._service.start("upload", str(number)).wait(timeout=limit)
        except errors.PollTimeout:
            self.given_up[number] = self._clock.now

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert not self._service.sweep._work._lines


@pytest.fixture
def waits(service: Service, manual_clock: ManualClock) -> Waits:
    """Initially, nothing waits."""
    return Waits(service, manual_clock)


def timers(clock: ManualClock) -> int:
    """Return how many timers end in a minute or later. The leader's next look is sooner."""
    return sum(due > clock.now + 60 for due, *_ in clock._due)


async def test_one_timer_serves_all_waiters_with_the_same_timeout(
    waits: Waits, manual_clock: ManualClock
) -> None:
    waits.begin(*[None] * 50, *[300.0] * 50)
    await settle()

    assert timers(manual_clock) == 2
    await waits.end()


async def test_each_wait_times_out_at_its_own_time(waits: Waits, manual_clock: ManualClock) -> None:
    began = manual_clock.now
    for _ in range(5):
        waits.begin(30.0)
        await manual_clock.advance(2)
    await manual_clock.advance(60)

    ended = [waits.given_up[number] - began for number in range(5)]
    assert ended == pytest.approx([30, 32, 34, 36, 38])
    await waits.end()


async def test_a_short_wait_times_out_although_a_longer_one_began_earlier(
    waits: Waits, manual_clock: ManualClock
) -> None:
    waits.begin(300.0, 5.0, 5.0)
    await manual_clock.advance(5)

    assert set(waits.given_up) == {1, 2}
    await waits.end()


async def test_waiters_that_are_due_at_the_same_moment_time_out_together(
    waits: Waits, manual_clock: ManualClock
) -> None:
    waits.begin(*[30.0] * 500)
    await manual_clock.advance(30)

    assert len(waits.given_up) == 500
    await waits.end()


@pytest.mark.parametrize("turns", [0, 1, 2, 40])
async def test_a_cancelled_waiter_hands_the_timer_on(
    waits: Waits, manual_clock: ManualClock, turns: int
) -> None:
    waits.begin(*[30.0] * 4)
    await settle()
    for number in (0, 1, 2):  # the first holds the timer and leads, too
        waits.tasks[number].cancel()
        await settle(turns)
    await manual_clock.advance(30)

    assert set(waits.given_up) == {3}
    await waits.end()


async def test_a_waiter_that_is_done_hands_the_timer_on(
    waits: Waits, service: Service, manual_clock: ManualClock
) -> None:
    waits.begin(*[30.0] * 4)
    await manual_clock.advance(5)
    service.statuses.update({"0": "Active", "1": "Active"})
    await manual_clock.advance(25)

    assert set(waits.given_up) == {2, 3}
    await waits.end()


async def test_a_leader_times_out_although_another_waiter_holds_the_timer(
    waits: Waits, service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = False
    waits.begin(300.0, 30.0, 30.0)
    await settle()
    waits.tasks[0].cancel()
    await manual_clock.advance(30)

    assert service.sweep._work._leader is None
    assert set(waits.given_up) == {1, 2}
    await waits.end()


async def test_a_wait_with_a_zero_timeout_lets_other_tasks_run(service: Service) -> None:
    poller, turns = service.start("upload", "1"), 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    for _ in range(10):
        with pytest.raises(errors.PollTimeout, match="after 0 s"):
            await poller.wait(timeout=0)
    counter.cancel()

    assert turns >= 10


@pytest.mark.parametrize("ended", [False, True])
async def test_a_wait_without_any_time_makes_no_request(
    service: Service, manual_clock: ManualClock, ended: bool
) -> None:
    poller = service.start("upload", "1")
    await manual_clock.advance(5)
    if ended:
        service.statuses["1"] = "Active"
        await poller.poll_once()
    asked = len(service.requests)

    for _ in range(3):
        with pytest.raises(errors.PollTimeout, match="after 0 s"):
            await poller.wait(timeout=0)

    assert (len(service.requests), service.fetched) == (asked, [])


async def test_a_timeout_that_is_not_a_number_leaves_nothing_behind(service: Service) -> None:
    poller = service.start("upload", "1")

    with pytest.raises(errors.InvalidField):
        await poller.wait(timeout="soon")  # type: ignore[arg-type]  # what is refused

    assert not any(queue.waiters for queue in service.sweep._queues.values())
    assert not service.sweep._work._lines


@pytest.mark.parametrize("limit", [3.0, None])
async def test_waits_that_end_one_after_another_let_a_slow_request_end(
    service: Service, manual_clock: ManualClock, limit: float | None
) -> None:
    service.by_itself = False
    poller = service.start("upload", "1")
    tasks: list[asyncio.Task[str]] = []
    in_flight: dict[Request, int] = {}

    for tick in range(150):  # each takes 0.1 s
        tasks.append(asyncio.create_task(poller.wait(timeout=limit)))
        if tick >= 30 and limit is None:
            tasks[tick - 30].cancel()
        if tick == 50:
            service.statuses["1"] = "Active"
        await manual_clock.advance(0.1)
        for request in service.on_their_way:
            in_flight[request] = in_flight.get(request, 0) + 1
            if in_flight[request] == 5 and not request.answer.done():
                request.answer.set_result(service.rows(request.ids))

    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert not unfinished
    assert not any(isinstance(result, BaseException) for result in ended[80:])
    assert len(service.requests) <= 40


async def test_waits_that_end_one_after_another_let_a_slow_fetch_end(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = True
    poller = service.start("upload", "1")
    service.statuses["1"] = "Active"

    async def fetch(_session: object, job: Job) -> str:
        service.fetched.append(job.id)
        await manual_clock.sleep(60.0 if len(service.fetched) == 1 else 0.5)
        return Result("the file")

    poller._job.kind = attrs.evolve(poller._job.kind, fetch=fetch)
    await poller.poll_once()
    tasks: list[asyncio.Task[str]] = []
    for _ in range(80):
        tasks.append(asyncio.create_task(poller.wait(timeout=3.0)))
        await manual_clock.advance(0.1)
    await manual_clock.advance(3.0)
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert ended[40:] == ["the file"] * 40
    assert len(service.fetched) == 2
