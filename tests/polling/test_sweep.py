"""When the sweep polls, for which jobs, and how it handles failures; the test is the service."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ccv2_async import errors
from ccv2_async.observe import Hook, JobStarted
from ccv2_async.polling.job import ELSEWHERE, State, Unreadable
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet
from tests.polling.scripted import FakeBudget, Service, refusal
from tests.support.clocks import settle

if TYPE_CHECKING:
    from tests.support.clocks import ManualClock


@pytest.fixture
def service(manual_clock: ManualClock) -> Service:
    """A service that answers every status request at once."""
    service = Service(manual_clock)
    service.by_itself = True
    return service


def down() -> errors.ServerError:
    return errors.ServerError("the service failed", status=503)


async def finish(clock: ManualClock, service: Service, *tasks: asyncio.Task[str]) -> None:
    """Let every job succeed, and notify every waiter."""
    for id_ in service.statuses:
        service.statuses[id_] = "Active"
    await clock.advance(60)
    await asyncio.gather(*tasks)


async def test_the_first_request_comes_after_one_second_without_history(
    service: Service, manual_clock: ManualClock
) -> None:
    poller = service.start("upload", "1")
    waiter = asyncio.create_task(poller.wait())

    assert poller.next_delay == 1.0
    await manual_clock.advance(0.9)
    assert not service.requests
    await manual_clock.advance(0.2)
    assert service.requests == [("upload", ("1",))]
    await finish(manual_clock, service, waiter)


async def test_later_jobs_are_polled_at_the_duration_of_earlier_ones(
    service: Service, manual_clock: ManualClock
) -> None:
    first = asyncio.create_task(service.start("upload", "1").wait())
    await manual_clock.advance(6.9)
    service.statuses["1"] = "Active"
    await manual_clock.advance(5)
    await first

    assert 5 < service.start("upload", "2").next_delay < 9
    assert service.start("activity", "a").next_delay == 1.0


async def test_poll_once_is_served_while_the_leader_sleeps(
    service: Service, manual_clock: ManualClock
) -> None:
    old = asyncio.create_task(service.start("upload", "old").wait())
    await manual_clock.advance(300)
    asked = len(service.requests)

    look = asyncio.create_task(service.start("upload", "new").poll_once())
    await settle()

    assert look.done()
    assert "new" in service.requests[asked][1]
    await finish(manual_clock, service, old)


async def test_a_new_job_is_polled_on_time_while_the_leader_sleeps_longer(
    service: Service, manual_clock: ManualClock
) -> None:
    old = asyncio.create_task(service.start("upload", "old").wait())
    await manual_clock.advance(300)
    due = min(job.due for job in service.sweep._queues[service.kinds["upload"]]._due)
    assert due - manual_clock.now > 1.5, "the leader sleeps for longer than the new job can wait"
    asked = len(service.requests)

    new = asyncio.create_task(service.start("upload", "new").wait())
    await manual_clock.advance(1.1)

    assert len(service.requests) == asked + 1
    await finish(manual_clock, service, old, new)


async def test_jobs_that_are_nearly_due_join_a_request(
    service: Service, manual_clock: ManualClock
) -> None:
    waiters = []
    for number in range(10):
        waiters.append(asyncio.create_task(service.start("upload", str(number)).wait()))
        await manual_clock.advance(0.05)
    await manual_clock.advance(1)

    assert len(service.requests[0][1]) == 10
    await finish(manual_clock, service, *waiters)


async def test_uploads_and_activities_are_polled_in_separate_requests(
    service: Service, manual_clock: ManualClock
) -> None:
    upload = asyncio.create_task(service.start("upload", "u").wait())
    activity = asyncio.create_task(service.start("activity", "a").wait())
    await manual_clock.advance(1.1)

    assert sorted(service.requests) == [("activity", ("a",)), ("upload", ("u",))]
    service.statuses.update(u="Active", a="COMPLETE")
    await manual_clock.advance(20)
    assert await upload == "result of u"
    assert await activity == "result of a"


async def test_polling_stops_when_nobody_waits(service: Service, manual_clock: ManualClock) -> None:
    waiter = asyncio.create_task(service.start("upload", "1").wait())
    await manual_clock.advance(5)
    waiter.cancel()
    await settle()
    asked = len(service.requests)

    await manual_clock.advance(1000)

    assert len(service.requests) == asked


async def test_an_outage_of_hours_is_survived(service: Service, manual_clock: ManualClock) -> None:
    service.by_itself = False
    poller = service.start("activity", "1")
    waiter = asyncio.create_task(poller.wait())
    for _ in range(1200):
        await manual_clock.advance(11)
        service.fail(down())
    service.by_itself = True
    service.statuses["1"] = "COMPLETE"
    service.answer()
    await manual_clock.advance(11)

    assert await waiter == "result of 1"
    assert manual_clock.now > 3 * 3600


async def test_failed_status_requests_back_off(service: Service, manual_clock: ManualClock) -> None:
    service.by_itself = False
    waiter = asyncio.create_task(service.start("upload", "1").wait())
    looked = []
    for _ in range(600):
        await manual_clock.advance(0.1)
        if service.on_their_way:
            looked.append(manual_clock.now)
            service.fail(down())
    apart = [round(later - earlier, 3) for earlier, later in itertools.pairwise(looked)]

    assert apart == sorted(apart)
    assert apart[-1] == pytest.approx(10, abs=0.2)
    service.by_itself = True
    await finish(manual_clock, service, waiter)


async def test_an_outage_costs_no_more_requests_for_many_jobs_than_for_one(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = False
    waiters = [
        asyncio.create_task(service.start("upload", str(number)).wait()) for number in range(200)
    ]
    other = asyncio.create_task(service.start("activity", "a").wait())
    asked = 0
    for _ in range(6000):
        await manual_clock.advance(0.1)
        for request in tuple(service.on_their_way):
            if request.kind == "upload":
                asked += 1
                request.answer.set_exception(down())
            else:
                request.answer.set_result(service.rows(request.ids))
            await settle()
    assert 40 < asked < 90

    look = asyncio.create_task(service.start("upload", "150").poll_once())
    await settle()
    assert service.requests[-1] == ("upload", ("150",))
    service.fail(down())
    with pytest.raises(errors.ServerError):
        await look
    other.cancel()
    service.by_itself = True
    await finish(manual_clock, service, *waiters)


@pytest.mark.parametrize("count", [60, 300])
async def test_a_job_whose_requests_get_no_response_delays_the_others_little(
    service: Service, manual_clock: ManualClock, count: int
) -> None:
    service.by_itself = False
    pollers = [service.start("upload", str(number)) for number in range(count)]
    service.statuses = dict.fromkeys(service.statuses, "Active")
    waiters = {poller.id: asyncio.create_task(poller.wait()) for poller in pollers}
    failing = waiters.pop("47")
    for _ in range(300):
        await manual_clock.advance(0.1)
        for request in tuple(service.on_their_way):
            if "47" in request.ids:
                request.answer.set_exception(errors.ConnectionLost("cut off"))
            else:
                request.answer.set_result(service.rows(request.ids))
            await settle()
    assert all(waiter.done() for waiter in waiters.values())
    assert len(service.requests) < 30
    service.by_itself = True
    await finish(manual_clock, service, failing)


async def test_looks_that_fail_do_not_prolong_the_pause_of_the_others_after_an_outage(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = False
    waiters = [asyncio.create_task(service.start("upload", id_).wait()) for id_ in "12345"]
    service.statuses = dict.fromkeys("12345", "Active")
    failing = service.start("upload", "6")
    for second in range(90):
        look = asyncio.create_task(failing.poll_once())
        for _ in range(10):
            await manual_clock.advance(0.1)
            for request in tuple(service.on_their_way):
                if "6" in request.ids or second < 60:
                    request.answer.set_exception(down())
                else:
                    request.answer.set_result(service.rows(request.ids))
                await settle()
        with pytest.raises(errors.ServerError):
            await look
    assert all(waiter.done() for waiter in waiters)


async def test_polling_waits_for_the_next_day_if_it_is_near_enough(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = False
    waiter = asyncio.create_task(service.start("upload", "1").wait())
    await manual_clock.advance(1.1)
    resets = datetime.fromtimestamp(manual_clock.time() + 600, UTC)
    service.fail(errors.DailyQuotaExceeded("the day is over", status=403, resets_at=resets))
    service.by_itself = True
    service.statuses["1"] = "Active"

    await manual_clock.advance(599)
    assert len(service.requests) == 1
    await manual_clock.advance(2)

    assert await waiter == "result of 1"


async def test_the_end_of_the_daily_quota_raises_if_the_next_day_is_too_far(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = False
    upload = asyncio.create_task(service.start("upload", "1").wait())
    activity = asyncio.create_task(service.start("activity", "2").wait())
    for _ in range(2):
        await manual_clock.advance(1.1)
        resets = datetime.fromtimestamp(manual_clock.time() + 3600, UTC)
        service.fail(errors.DailyQuotaExceeded("the day is over", status=403, resets_at=resets))
    await settle()

    with pytest.raises(errors.DailyQuotaExceeded):
        await upload
    assert not activity.done(), "an activity can wait for a day"
    activity.cancel()


async def test_an_unknown_id_among_many_is_found_by_smaller_requests(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = False
    waiters = [
        asyncio.create_task(service.start("upload", str(number)).wait()) for number in range(60)
    ]
    await manual_clock.advance(1.1)
    sizes = []
    while service.on_their_way:
        (request,) = service.on_their_way
        sizes.append(len(request.ids))
        if "17" in request.ids and len(sizes) < 40:
            service.fail(refusal(404))
        else:
            for id_ in request.ids:
                service.statuses[id_] = "Active"
            service.answer()
        await settle()
        await manual_clock.advance(0.3)

    assert sizes[:3] == [60, 15, 3]
    service.by_itself = True
    await finish(manual_clock, service, *waiters)


async def test_jobs_can_be_added_to_a_set_during_a_wait(
    service: Service, manual_clock: ManualClock
) -> None:
    watched = JobSet(service.sweep, Until.END)
    watched.add(service.start("upload", "1")._job)
    coming = asyncio.create_task(service.sweep.wait(watched))
    await manual_clock.advance(3)
    service.statuses["2"] = "Active"
    watched.add(service.start("upload", "2")._job)
    service.statuses["2"] = "Active"
    await manual_clock.advance(3)

    ended = await coming
    assert ended is not None
    assert ended.id == "2"
    assert len(watched) == 1
    watched.close()
    assert not any(queue.waiters for queue in service.sweep._queues.values())


async def test_a_refusal_reaches_a_set_and_waiting_again_works(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = False
    watched = JobSet(service.sweep, Until.END)
    watched.add(service.start("upload", "1")._job)
    coming = asyncio.create_task(service.sweep.wait(watched))
    await manual_clock.advance(1.1)
    service.fail(errors.Forbidden("the key is not active", status=403))
    with pytest.raises(errors.Forbidden):
        await coming

    again = asyncio.create_task(service.sweep.wait(watched))
    await settle()
    service.by_itself = True
    service.statuses["1"] = "Active"
    await manual_clock.advance(30)

    ended = await again
    assert ended is not None
    assert ended.id == "1"


async def test_a_job_resumed_before_it_is_due_is_not_polled_early(
    service: Service, manual_clock: ManualClock
) -> None:
    service.statuses["9"] = "Active"
    job = service.sweep.resume(
        service.kinds["upload"],
        "9",
        submitted=manual_clock.time(),
        not_before=manual_clock.time() + 500,
        status="Processing",
    )
    poller = service.poller(job)
    assert poller.status == "Processing"
    assert poller.next_delay == 10.0, "however late a token says to come"
    waiter = asyncio.create_task(poller.wait())
    await manual_clock.advance(9.9)
    assert not service.requests
    await manual_clock.advance(0.2)

    assert await waiter == "result of 9"


def test_a_job_is_started_once_and_named_by_its_label_or_its_id(
    service: Service, manual_clock: ManualClock
) -> None:
    seen: list[object] = []
    service.session.hook = Hook(seen.append)
    kind = service.kinds["upload"]
    job = service.sweep.start(kind, "1", label="a.png")
    assert service.sweep.start(kind, "1", label="b.png") is job
    assert (job.kind, job.id, job.label, job.status) == (kind, "1", "a.png", None)
    assert (job.submitted, job.submitted_here) == (manual_clock.time(), manual_clock.now)
    assert job.due == manual_clock.now + 1.0
    assert service.sweep.start(kind, "2").label == "2"
    assert seen == [JobStarted("upload", "1", "a.png"), JobStarted("upload", "2", "2")]


@pytest.mark.parametrize(("later", "wait"), [(-5.0, 0.0), (0.0, 0.0), (0.5, 0.5), (50.0, 10.0)])
@pytest.mark.parametrize("status", [None, "Processing", "Active"])
def test_a_resumed_job_has_the_status_in_its_token_and_is_not_final(
    service: Service, manual_clock: ManualClock, later: float, wait: float, status: str | None
) -> None:
    kind, due = service.kinds["upload"], manual_clock.time() + later
    job = service.sweep.resume(kind, "1", submitted=7.0, not_before=due, status=status)
    assert (job.kind, job.id, job.label, job.submitted) == (kind, "1", "1", 7.0)
    assert job.last_look is ELSEWHERE
    assert job.age(manual_clock.now) == manual_clock.time() - 7.0
    assert job.due == (manual_clock.now + wait if wait else job.submitted_here)
    assert (job.status, job.state) == (status, State.PENDING)
    again = service.sweep.resume(kind, "1", submitted=8.0, not_before=due, status="Uploaded")
    assert again is job
    assert job.status == status


@pytest.mark.parametrize(
    ("unreadable", "state", "new"),
    [
        (True, State.LOST, True),
        (True, State.PENDING, False),
        (False, State.SUCCEEDED, False),
        (False, State.PENDING, False),
    ],
)
def test_only_a_job_given_up_as_unreadable_is_requested_again(
    service: Service, unreadable: bool, state: State, new: bool
) -> None:
    kind = service.kinds["upload"]
    job = service.sweep.start(kind, "1")
    job.state = state
    job.unreadable = Unreadable("?", 0.0, 3) if unreadable else None
    again = service.sweep.resume(kind, "1", submitted=7.0, not_before=0.0, status=None)
    assert (again is not job) is new
    assert again.state is (State.PENDING if new else state)


async def test_a_set_takes_each_job_as_often_as_it_becomes_ready(
    service: Service, manual_clock: ManualClock
) -> None:
    first, second, third = (service.start("upload", id_)._job for id_ in "123")
    watched = JobSet(service.sweep, Until.CHANGE)
    for job in (first, second):
        watched.add(job)
    assert (len(watched), first in watched, third in watched) == (2, True, False)
    taken = [await manual_clock.run(service.sweep.wait(watched))]
    assert watched.done, "the other one is ready, too"
    taken.append(await service.sweep.wait(watched))
    assert taken == [first, second]
    assert len(watched) == 0
    assert await service.sweep.wait(watched, timeout=0) is None
    watched.close()
    assert not any(queue.waiters for queue in service.sweep._queues.values())


async def test_a_set_that_failed_and_lost_a_job_still_has_its_error(service: Service) -> None:
    job = service.start("upload", "1")._job
    watched = JobSet(service.sweep, Until.END)
    watched.add(job)
    service.sweep.close()
    watched.discard(job)
    ready = [watched.done]
    with pytest.raises(errors.ClientClosed, match="upload 1: the client was closed"):
        watched.take()
    ready.append(watched.done)
    assert ready == [True, False]
    watched.add(job)
    with pytest.raises(errors.ClientClosed):
        await service.sweep.wait(watched)


async def test_a_set_waits_as_long_as_its_kind_of_job_may_take(service: Service) -> None:
    watched = JobSet(service.sweep, Until.END)
    for kind, deadline in (("upload", 900.0), ("activity", 86_400.0)):
        assert watched.seconds_left(service.start(kind, kind)._job, 1e9) == deadline


async def test_a_wait_that_is_over_leaves_the_job_to_the_others(
    service: Service, manual_clock: ManualClock
) -> None:
    poller = service.start("upload", "1")
    other = asyncio.create_task(service.sweep.wait(poller._job))
    short = asyncio.create_task(service.sweep.wait(poller._job, timeout=5))
    await manual_clock.advance(5)
    assert short.done()
    assert await short is None
    assert not other.done()
    service.statuses["1"] = "Active"
    await manual_clock.advance(20)
    assert await other is poller._job
    assert await service.sweep.wait(poller._job) is poller._job, "a job that has ended"
    assert not service.sweep._queues[service.kinds["upload"]].waiters


async def test_status_requests_leave_the_quota_to_calls_that_wait(
    service: Service, manual_clock: ManualClock
) -> None:
    service.session.budget = FakeBudget(4, contended=True)
    waiter = asyncio.create_task(service.start("upload", "1").wait())
    await manual_clock.advance(1.01)
    assert len(service.requests) == 1
    await manual_clock.advance(5.7)
    assert len(service.requests) == 1
    await manual_clock.advance(0.2)
    assert len(service.requests) == 2
    await finish(manual_clock, service, waiter)


async def test_a_job_that_has_ended_is_ready_when_it_is_added(service: Service) -> None:
    job = service.start("upload", "1")._job
    job.change("Active", State.SUCCEEDED)
    watched = JobSet(service.sweep, Until.END)
    watched.add(job)
    assert await service.sweep.wait(watched) is job
    assert service.requests == []


async def test_an_empty_set_waits_for_its_first_job(
    service: Service, manual_clock: ManualClock
) -> None:
    watched = JobSet(service.sweep, Until.END)
    coming = asyncio.create_task(service.sweep.wait(watched))
    await settle()
    assert not coming.done()
    watched.add(service.start("upload", "1")._job)
    service.statuses["1"] = "Active"
    await manual_clock.advance(2)
    ended = await coming
    assert ended is not None
    assert ended.id == "1"
