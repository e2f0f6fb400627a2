from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccv2_async.errors import DailyQuotaExceeded, InvalidField, UsageError
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import SHORTEST_WAIT, WINDOW, Budget, checked_lane
from tests.support.clocks import NOON, ManualClock, settle

if TYPE_CHECKING:
    from collections.abc import Iterable

HALF_A_DAY = 43_200.0


class Callers:
    """Calls through a budget. `times` has their times, `order` their names."""

    def __init__(self, budget: Budget, clock: ManualClock) -> None:
        self.budget = budget
        self.clock = clock
        self.times: list[float] = []
        self.order: list[Any] = []

    async def call(self, name: Any = None, lane: Lane = Lane.INTERACTIVE) -> None:
        await self.budget.acquire(lane)
        self.times.append(self.clock.now)
        self.order.append(name)

    def start(self, name: Any = None, lane: Lane = Lane.INTERACTIVE) -> asyncio.Task[None]:
        return asyncio.create_task(self.call(name, lane))

    async def all(self, count: int) -> None:
        await self.clock.run(asyncio.gather(*(self.call(n) for n in range(count))))


def callers(clock: ManualClock, *args: Any, **options: Any) -> Callers:
    return Callers(Budget(*args, clock=clock, **options), clock)


def most_in_a_second(times: Iterable[float]) -> int:
    ordered = sorted(times)
    return max(sum(start <= t < start + 1.0 for t in ordered) for start in ordered)


@pytest.mark.parametrize("rate", [1, 2, 4, 10, 2.5, 3.9, 1.5, 0.5, 0.1])
async def test_no_second_has_more_calls_than_the_quota_from_the_start(
    manual_clock: ManualClock, rate: float
) -> None:
    desk = callers(manual_clock, rate)
    await desk.all(25)
    assert most_in_a_second(desk.times) <= max(1, int(rate))
    assert desk.order == list(range(25))
    span = desk.times[-1] - desk.times[0]
    if rate in (1, 2, 4, 10):
        assert span <= 25 / rate * 1.05, "and the quota is used"


async def test_waiting_calls_leave_as_the_calls_before_them_did(manual_clock: ManualClock) -> None:
    desk = callers(manual_clock)
    for _ in range(4):
        await desk.all(1)
        await manual_clock.advance(0.25)
    await desk.all(4)
    assert desk.times == [1000.0 + n * 0.25 + window for window in (0.0, WINDOW) for n in range(4)]


async def test_there_is_no_burst_after_a_pause(manual_clock: ManualClock) -> None:
    desk = callers(manual_clock)
    await desk.all(3)
    desk.budget.pause(7.0)
    before = manual_clock.now
    await desk.all(12)
    assert min(desk.times[3:]) >= before + 7.0
    assert most_in_a_second(desk.times) <= 4


async def test_idle_time_is_not_saved(manual_clock: ManualClock) -> None:
    desk = callers(manual_clock)
    await desk.all(4)
    await manual_clock.advance(500)
    await desk.all(20)
    assert most_in_a_second(desk.times) <= 4


async def test_a_call_that_finds_nobody_waiting_waits_for_the_rest_of_the_second(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, 2)
    await desk.all(2)
    await manual_clock.advance(0.5)
    await desk.all(1)
    assert desk.times == [1000.0, 1000.0, 1000.0 + WINDOW]


@pytest.mark.parametrize("pause", [0.0, SHORTEST_WAIT / 2, SHORTEST_WAIT])
async def test_a_call_that_need_not_wait_does_not_even_yield_to_the_loop(pause: float) -> None:
    budget = Budget(clock=ManualClock(start=0.0))
    budget.pause(pause)
    with pytest.raises(StopIteration):
        budget.acquire(Lane.BULK).send(None)
    assert budget.used == 1


async def test_without_a_limit_calls_wait_only_for_a_pause(manual_clock: ManualClock) -> None:
    desk = callers(manual_clock, None, None)
    await asyncio.gather(*(desk.call() for _ in range(500)))
    assert desk.budget.remaining_today is None
    assert desk.budget.used_today == 500
    desk.budget.pause(5)
    await desk.all(1)
    assert desk.times[-1] == manual_clock.now == 1005.0


async def test_a_shorter_pause_does_not_shorten_a_longer_one(manual_clock: ManualClock) -> None:
    desk = callers(manual_clock)
    desk.budget.pause(10)
    desk.budget.pause(1)
    await desk.all(1)
    assert desk.times == [1010.0]


async def test_a_pause_also_holds_waiting_calls(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock)
    tasks = [desk.start() for _ in range(6)]
    await settle()
    desk.budget.pause(30)
    await manual_clock.advance(29)
    assert len(desk.times) == 4
    await manual_clock.advance(2)
    await asyncio.gather(*tasks)
    assert desk.times[4:] == [1030.0, 1030.0]


async def test_lanes_are_served_by_priority_and_calls_of_a_lane_in_order(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, 1)
    await desk.all(1)
    lanes = [Lane.BULK, Lane.POLL, Lane.INTERACTIVE]
    tasks = [desk.start((lane, n), lane) for n in range(4) for lane in lanes]
    await manual_clock.run(asyncio.gather(*tasks))
    assert desk.order[1:] == [(lane, n) for lane in reversed(lanes) for n in range(4)]


async def test_a_later_call_in_a_higher_lane_goes_first(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, 1)
    await desk.all(1)
    bulk = [desk.start(n, Lane.BULK) for n in range(3)]
    await manual_clock.advance(0.5)
    urgent = desk.start("urgent")
    await manual_clock.run(asyncio.gather(urgent, *bulk))
    assert desk.order == [0, "urgent", 0, 1, 2]


async def test_daily_calls_are_counted_and_the_error_says_when_to_continue(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, None, 3)
    assert desk.budget.remaining_today == 3
    await desk.all(3)
    assert desk.budget.remaining_today == 0
    with pytest.raises(DailyQuotaExceeded, match=r"upload of x.png: .*used up") as caught:
        await desk.budget.acquire(Lane.BULK, "upload of x.png")
    midnight = datetime.fromtimestamp(NOON, UTC).replace(hour=0) + timedelta(days=1)
    assert caught.value.resets_at == midnight == desk.budget.resets_at
    assert caught.value.status is None
    assert caught.value.safe_to_retry
    await manual_clock.advance(HALF_A_DAY)
    assert desk.budget.remaining_today == 3
    assert desk.budget.used_today == 0
    await desk.all(1)


@pytest.mark.parametrize("epoch", [1e12, 1e300, float("inf"), float("-inf"), float("nan"), -1e18])
async def test_a_clock_with_an_impossible_date_raises_only_our_errors(epoch: float) -> None:
    clock = ManualClock(epoch=epoch)
    budget = Budget(None, 1, clock=clock)
    await budget.acquire(Lane.BULK)
    with pytest.raises(DailyQuotaExceeded) as raised:
        await budget.acquire(Lane.BULK)
    assert raised.value.resets_at == budget.resets_at
    assert raised.value.resets_at.year in (1970, 9999)


async def test_waiting_calls_raise_when_the_daily_quota_runs_out(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, 1, 3)
    tasks = [desk.start(n) for n in range(5)]
    await manual_clock.advance(5)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [DailyQuotaExceeded] * 2
    assert str(results[-1]).startswith("call: ")


async def test_calls_of_earlier_days_stay_counted(manual_clock: ManualClock) -> None:
    desk = callers(manual_clock, None)
    for calls in (3, 2, 1):
        await desk.all(calls)
        await manual_clock.advance(86_400)
    assert (desk.budget.used, desk.budget.used_today) == (6, 0)


async def test_a_clock_that_is_set_back_does_not_renew_the_calls_of_a_day(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, None, 3)
    await desk.all(3)
    manual_clock.suspend(86_400)
    await desk.all(1)
    manual_clock.suspend(-86_400)
    assert (desk.budget.remaining_today, desk.budget.used_today, desk.budget.used) == (0, 3, 4)
    with pytest.raises(DailyQuotaExceeded):
        await desk.budget.acquire(Lane.BULK)
    manual_clock.suspend(86_400)
    assert (desk.budget.remaining_today, desk.budget.used_today, desk.budget.used) == (2, 1, 4)


async def test_a_day_without_calls_adds_none_when_the_clock_is_set_back(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, None)
    await desk.all(3)
    manual_clock.suspend(86_400)
    assert (desk.budget.used_today, desk.budget.used) == (0, 3)
    manual_clock.suspend(-86_400)
    assert (desk.budget.used_today, desk.budget.used) == (3, 3)


async def test_a_day_that_the_service_ended_stays_over_when_the_clock_is_set_back(
    manual_clock: ManualClock,
) -> None:
    budget = Budget(None, 3, clock=manual_clock)
    budget.end_day()
    manual_clock.suspend(86_400)
    assert budget.remaining_today == 3
    manual_clock.suspend(-86_400)
    assert budget.remaining_today == 0


@pytest.mark.parametrize(
    ("refused", "seconds"),
    [(0.0, 60), (59.0, 60), (61.0, 61), (3599.0, 3599), (3600.0, 82_800), (86_399.0, 1)],
)
async def test_a_refusal_early_in_a_day_may_still_be_about_the_day_before(
    refused: float, seconds: int
) -> None:
    clock = ManualClock(epoch=NOON + HALF_A_DAY + refused)
    budget = Budget(None, 3, clock=clock)
    budget.end_day()
    assert budget.remaining_today == 0
    assert budget.resets_at.timestamp() == clock.time() + seconds
    assert budget.day_exceeded("call").resets_at == budget.resets_at
    await clock.advance(seconds - 1)
    assert budget.remaining_today == 0
    await clock.advance(1)
    assert budget.remaining_today == 3
    await budget.acquire(Lane.BULK)


async def test_the_daily_quota_of_a_service_with_a_late_clock_is_found_with_few_calls() -> None:
    clock = ManualClock(epoch=NOON + HALF_A_DAY)
    begins, refusals = clock.time() + 1800.0, 0
    budget = Budget(None, clock=clock)
    while clock.time() < begins:
        budget.end_day()
        refusals += 1
        await clock.advance(budget.resets_at.timestamp() - clock.time())
    assert refusals == 6
    assert clock.time() - begins < 1800.0


async def test_a_refusal_never_shortens_an_earlier_one() -> None:
    clock = ManualClock(epoch=NOON + HALF_A_DAY + 3600.0)
    budget = Budget(None, clock=clock)
    budget.end_day()
    clock.suspend(-10.0)
    midnight = budget.resets_at
    budget.end_day()
    assert budget.resets_at == midnight


async def test_the_end_of_the_daily_quota_wakes_every_waiter_at_once(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock)
    desk.budget.pause(100)
    tasks = [desk.start(n, lane) for n in range(3) for lane in Lane]
    await settle()
    desk.budget.end_day()
    await settle()
    assert all(task.done() for task in tasks), "the one that leads included"
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {DailyQuotaExceeded}
    assert desk.budget.remaining_today == 0
    await manual_clock.advance(HALF_A_DAY)
    assert desk.budget.remaining_today == 10_000
    await desk.all(1)


async def test_the_end_of_the_daily_quota_also_ends_a_budget_without_a_daily_limit(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, None, None)
    desk.budget.end_day()
    assert desk.budget.remaining_today == 0
    with pytest.raises(DailyQuotaExceeded, match=r"^call: "):
        await desk.budget.acquire(Lane.BULK)
    await manual_clock.advance(HALF_A_DAY)
    assert desk.budget.remaining_today is None


async def test_a_call_that_waits_over_midnight_counts_for_the_new_day(
    manual_clock: ManualClock,
) -> None:
    await manual_clock.advance(HALF_A_DAY - 1)
    desk = callers(manual_clock, 1, 3)
    await desk.all(4)
    assert desk.budget.used_today == 3


@pytest.mark.parametrize(
    "options", [(0,), (-1,), (float("inf"),), (float("nan"),), (4, 0), (4, -1)]
)
def test_zero_and_infinite_limits_are_refused(options: Any) -> None:
    with pytest.raises(InvalidField):
        Budget(*options)


def test_a_budget_without_a_limit_has_the_zeros_that_a_shared_one_reads_as_none() -> None:
    budget = Budget(None)
    assert (budget._burst, budget._window) == (0, 0.0)


def test_only_a_lane_is_accepted_as_a_lane() -> None:
    assert checked_lane(Lane.POLL) is Lane.POLL
    with pytest.raises(InvalidField, match="must be a Lane"):
        checked_lane(1)


def test_a_refusal_of_the_service_keeps_its_status_and_its_errors() -> None:
    error = Budget().day_exceeded("call", status=403, found=[("key", "Over Quota")])
    assert (error.status, error.errors) == (403, (("key", "Over Quota"),))
    assert Budget().day_exceeded("call").errors == ()


def test_a_budget_uses_the_system_clock_by_default() -> None:
    budget = Budget()
    assert budget.resets_at > datetime.now(UTC)
    assert (budget.per_second, budget.per_day, budget.remaining_today) == (4, 10_000, 10_000)


async def test_a_returned_turn_does_not_count_for_the_day(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, 4, 2)
    await desk.all(2)
    assert desk.budget.remaining_today == 0
    desk.budget.give_back()
    assert (desk.budget.remaining_today, desk.budget.used_today, desk.budget.used) == (1, 1, 1)


async def test_a_turn_granted_to_a_cancelled_caller_does_not_count(
    manual_clock: ManualClock,
) -> None:
    budget = Budget(2, 10, clock=manual_clock)

    async def call_and_cancel_the_next() -> None:
        await budget.acquire(Lane.BULK)
        second.cancel()  # both were granted at once, and the other has not run since

    for _ in range(2):
        await budget.acquire(Lane.BULK)
    first = asyncio.create_task(call_and_cancel_the_next())
    second = asyncio.create_task(budget.acquire(Lane.BULK))
    await manual_clock.advance(2)

    assert first.done()
    assert second.cancelled()
    assert (budget.used, budget.remaining_today) == (3, 7)


async def test_a_cancelled_caller_at_the_head_of_the_queue_is_forgotten(
    manual_clock: ManualClock,
) -> None:
    budget = Budget(1, clock=manual_clock)
    await budget.acquire(Lane.BULK)
    first, second = (asyncio.create_task(budget.acquire(Lane.BULK)) for _ in range(2))
    await settle()

    first.cancel()
    await settle()

    assert first.cancelled()
    assert len(budget._queue) == 1
    await manual_clock.advance(2.0)
    assert second.done()
    assert not budget._queue


async def test_a_turn_returned_after_midnight_does_not_change_the_new_count(
    manual_clock: ManualClock,
) -> None:
    desk = callers(manual_clock, 4, 9)
    await desk.all(3)
    await manual_clock.advance(HALF_A_DAY)
    desk.budget.give_back()
    assert (desk.budget.used_today, desk.budget.used) == (0, 2)
    for _ in range(3):
        desk.budget.give_back()
    assert (desk.budget.used_today, desk.budget.used) == (0, 0)


plans = st.lists(
    st.tuples(
        st.sampled_from(["call", "cancel", "advance", "pause", "turn", "end day"]),
        st.integers(0, 40),
        st.sampled_from(Lane),
    ),
    max_size=50,
)


async def act(
    desk: Callers, tasks: list[asyncio.Task[None]], action: str, number: int, lane: Lane
) -> None:
    match action:
        case "call":
            tasks.append(desk.start((lane, len(tasks)), lane))
        case "cancel" if tasks:
            tasks[number % len(tasks)].cancel()
        case "advance":
            await desk.clock.advance(number / 10)
        case "pause":
            desk.budget.pause(number / 10)
        case "end day" if number == 0:
            desk.budget.end_day()
        case _:
            await asyncio.sleep(0)


@settings(max_examples=150)
@given(plans, st.sampled_from([1, 3, 4, 0.7, 2.5]), st.sampled_from([None, 8, 1000]))
def test_any_interleaving_serves_every_caller_within_the_quota(
    plan: list[tuple[str, int, Lane]], rate: float, per_day: int | None
) -> None:
    async def play() -> None:
        clock = ManualClock()
        desk = callers(clock, rate, per_day)
        tasks: list[asyncio.Task[None]] = []
        for step in plan:
            await act(desk, tasks, *step)
        await clock.advance(4.0 + len(tasks) * 2.1 / min(rate, 1))
        assert all(task.done() for task in tasks), "nobody is forgotten"
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            assert result is None or isinstance(result, asyncio.CancelledError | DailyQuotaExceeded)
        if desk.times:
            assert most_in_a_second(desk.times) <= max(1, int(rate))
        if per_day is not None:
            assert len(desk.times) <= per_day
        assert desk.budget.used == len(desk.times), "who is cancelled has used nothing"
        assert not desk.budget._queue

    asyncio.run(play())


async def test_another_loop_cannot_use_the_budget_of_a_running_one() -> None:
    budget = Budget()
    await budget.acquire(Lane.BULK)
    with pytest.raises(UsageError, match=r"^upload of a\.png: another event loop"):
        await asyncio.to_thread(asyncio.run, budget.acquire(Lane.BULK, "upload of a.png"))
    assert budget.used == 1


def test_a_loop_keeps_the_budget_while_its_calls_wait_and_it_is_open(
    manual_clock: ManualClock,
) -> None:
    budget = Budget(1, clock=manual_clock)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    second.run_until_complete(budget.acquire(Lane.BULK))
    waits = second.create_task(budget.acquire(Lane.BULK))
    second.run_until_complete(asyncio.sleep(0))
    with pytest.raises(UsageError, match="another event loop"):
        first.run_until_complete(budget.acquire(Lane.BULK))
    waits.cancel()
    second.run_until_complete(asyncio.gather(waits, return_exceptions=True))
    manual_clock.now += 5
    first.run_until_complete(budget.acquire(Lane.BULK))
    assert budget.used == 2
    first.close()
    second.close()


def test_a_call_of_an_ended_loop_is_dropped_without_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", failures.append)
    budget = Budget(1, None)
    waiting = []

    async def leave_one_waiting() -> None:
        await budget.acquire(Lane.BULK)
        waiting.append(asyncio.create_task(budget.acquire(Lane.BULK)))
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # the pending task is what this is about
    loop.run_until_complete(leave_one_waiting())
    loop.close()
    asyncio.run(budget.acquire(Lane.BULK))
    waiting.clear()
    gc.collect()
    assert not failures
