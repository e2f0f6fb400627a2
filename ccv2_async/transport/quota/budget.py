"""The API key's quota: calls are paced before they are sent, in lanes.

The service allows 4 calls a second and 10,000 a day per API key (10 and 250,000 for partner keys),
for all accounts and tokens together, and answers 403 above that. A `Budget` may be shared by all
clients of one process that use the same key.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING

from ccv2_async.clock import SystemClock, date_of, in_dates
from ccv2_async.errors import DailyQuotaExceeded, InvalidField, UsageError
from ccv2_async.models.validation import is_number, is_whole
from ccv2_async.tasks import running_loop
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.leader import SharedWork, Waiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from datetime import datetime

    from ccv2_async.clock import Clock
    from ccv2_async.transport.quota.day_count import DayCount

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

# Two calls sent a second apart may arrive a little closer, so the window is slightly wider.
WINDOW = 1.02
SHORTEST_WAIT = 1e-6


def checked_lane(value: object) -> Lane:
    """Return the lane.

    Raises:
        InvalidField: It is not a lane. Nothing was sent.
    """
    if not isinstance(value, Lane):
        raise InvalidField("lane", value, "it must be a Lane, such as Lane.BULK")
    return value


class _Place(Waiter):
    """One call's place in the queue; ordered by lane, then by arrival."""

    __slots__ = ("granted", "order")

    def __init__(self, lane: Lane, arrival: int) -> None:
        super().__init__()
        self.order = (lane, arrival)
        self.granted = False

    def __lt__(self, other: _Place) -> bool:
        return self.order < other.order


class Budget:
    """Calls per second and per day of one API key.

    Clients that share it must run in one event loop. Once that loop has ended, another one may use
    it.

    Args:
        per_second: Calls in any one second; None lifts the limit. Values below 1 are allowed (0.5
            is one call in two seconds); above 1, values are rounded down (2.5 is two).
        per_day: Calls in one day (UTC); None lifts the limit.
        clock: The clock for waits and days.

    Raises:
        InvalidField: A limit is not a number above zero.
    """

    def __init__(
        self,
        per_second: float | None = 4,
        per_day: int | None = 10_000,
        *,
        clock: Clock | None = None,
    ) -> None:
        if per_second is not None and not (is_number(per_second) and per_second > 0):
            raise InvalidField("per_second", per_second, "it must be a number above 0, or None")
        if per_day is not None and not (is_whole(per_day) and per_day > 0):
            raise InvalidField("per_day", per_day, "it must be a whole number above 0, or None")
        self.per_second = per_second
        self.per_day = per_day
        self._clock: Clock = clock or SystemClock()
        # At least one call per window; slower rates stretch the window instead. It is never shorter
        # than a second: otherwise, two windows of 3.9 calls per second, with six calls, would fit.
        self._burst = max(1, int(per_second)) if per_second else 0
        self._window = WINDOW * max(1.0, self._burst / per_second) if per_second else 0.0
        self._recent: deque[float] = deque(maxlen=self._burst or 1)
        self._queue: list[_Place] = []
        self._arrivals = itertools.count()
        self._work = SharedWork(self._clock)
        self._paused_until = 0.0
        self._day = self._today()
        self._used_today = self._used_before_today = 0
        self._over_until = 0.0
        self._other_days: dict[int, tuple[int, float]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._day_count: DayCount | None = None

    async def remember(self, day_count: DayCount) -> None:
        """Count calls across runs and processes, in a file that belongs to the user.

        Calls that earlier runs and other processes made today count as used. Call this before the
        first call is sent.

        Args:
            day_count: Where the count is kept.
        """
        await day_count.load(self._today())
        self._day_count = day_count

    @property
    def remaining_today(self) -> int | None:
        """Calls left today; None without a daily limit.

        The service does not report its own count. Calls of other processes are known if they share
        a `DayCount` or Redis; otherwise only a refusal shows that the day is used up.
        """
        self._check_day()
        if self._over_until > self._now():
            return 0
        if self.per_day is None:
            return None
        others = self._day_count.of_others(self._day) if self._day_count else 0
        return max(0, self.per_day - self._used_today - others)

    @property
    def used_today(self) -> int:
        """Calls made today (UTC) through this budget."""
        self._check_day()
        return self._used_today

    @property
    def used(self) -> int:
        """Calls made through this budget since it was created."""
        return self._used_before_today + self._used_today

    @property
    def resets_at(self) -> datetime:
        """When the quota is expected to start again; usually the coming midnight, UTC (assumed)."""
        self._check_day()
        over = self._over_until > self._now()
        return date_of(self._over_until if over else (self._day + 1) * DAY)

    @property
    def contended(self) -> bool:
        """Whether calls are waiting for the quota."""
        return any(not place.done for place in self._queue)

    async def acquire(self, lane: Lane, what: str = "call") -> None:
        """Wait until a call of this lane may be sent; it is then counted.

        Args:
            lane: The priority of the call.
            what: The name of the call, for messages.

        Raises:
            DailyQuotaExceeded: The day's calls are used up. Nothing was sent.
            UsageError: Another event loop uses the budget. Nothing was sent.
        """
        self._enter_loop(what)
        if self.remaining_today == 0:
            raise self.day_exceeded(what)
        if self._take_at_once():
            return
        place = _Place(lane, next(self._arrivals))
        heapq.heappush(self._queue, place)
        work = self._work  # the budget forgets it when another event loop takes over
        work.enter(place)
        try:
            while not place.done:
                await work.lead_or_sleep(place, self._step)
        except BaseException:
            if place.granted:  # but then the caller was cancelled
                self.give_back()
            raise
        finally:
            work.leave(place)
            place.done = True
            self._drop_done()
        if not place.granted:
            raise self.day_exceeded(what)

    def give_back(self) -> None:
        """Subtract a call that was not sent from the day's count.

        Its slot in the second is lost, because later calls were already planned.
        """
        self._check_day()
        if self._used_today:
            self._used_today -= 1
            if self._day_count is not None:
                self._day_count.note(self._day, -1)
        else:  # it was granted before midnight
            self._used_before_today = max(0, self._used_before_today - 1)

    def pause(self, seconds: float) -> None:
        """Hold back all calls for some seconds, because the service refused one over the rate."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def end_day(self) -> None:
        """Treat today's calls as used up, because the service refused one over the daily quota.

        Just after midnight, the service may still count the day before: its clock may be behind, or
        its response late. So in the first hour, calls end only for as long as the day has lasted.
        """
        now = self._now()
        today = now % DAY
        self._end_calls(now + max(today, MINUTE) if today < HOUR else now - today + DAY)

    def _end_calls(self, until: float) -> None:
        self._check_day()
        self._over_until = max(self._over_until, until)
        self._refuse_all()

    def _enter_loop(self, what: str) -> None:
        """Make sure that only one running event loop uses the budget at a time.

        Raises:
            UsageError: No event loop is running, or another one uses the budget.
        """
        loop = running_loop()
        last = self._loop
        if loop is last:
            return
        if last is not None and not last.is_closed() and (last.is_running() or self.contended):
            raise UsageError(
                f"{what}: another event loop uses the same Budget. Nothing was sent; run the "
                "clients that share a Budget in one event loop, or give each a SharedBudget."
            )
        self._loop = loop
        if last is not None:
            self._leave_loop()

    def _leave_loop(self) -> None:
        """Discard the state of an earlier event loop, which has no more waiting callers."""
        self._queue.clear()
        self._work = SharedWork(self._clock)

    def _take_at_once(self) -> bool:
        """Return whether a call may be sent without waiting; it is then counted."""
        if self._queue or self._delay() > 0.0:
            return False
        self._count()
        return True

    async def _step(self) -> None:
        if (delay := self._delay()) > 0.0:
            await self._work.rest(delay)
        self._drop_done()
        while self._queue and self._delay() <= 0.0:
            if self.remaining_today == 0:
                self._refuse_all()
                return
            self._grant_first()

    def _grant_first(self) -> None:
        """Release the first waiter."""
        place = heapq.heappop(self._queue)
        if not place.done:
            self._count()
            place.granted = True
            place.finish()

    def _refuse_all(self) -> None:
        self._work.finish_all()
        self._queue.clear()

    def _drop_done(self) -> None:
        while self._queue and self._queue[0].done:
            heapq.heappop(self._queue)

    def _delay(self) -> float:
        now = self._clock.monotonic()
        wait = self._paused_until - now
        if self.per_second is not None and len(self._recent) == self._burst:
            wait = max(wait, self._recent[0] + self._window - now)
        # A clock may not resolve such short times: waiting for one would never end.
        return wait if wait > SHORTEST_WAIT else 0.0

    def _count(self) -> None:
        self._check_day()
        self._used_today += 1
        if self._day_count is not None:
            self._day_count.note(self._day, 1)
        if self.per_second is not None:
            self._recent.append(self._clock.monotonic())

    def day_exceeded(
        self, what: str, *, status: int | None = None, found: Sequence[tuple[str, str]] = ()
    ) -> DailyQuotaExceeded:
        """Return the exception that says when calls can be sent again."""
        resets = self.resets_at
        return DailyQuotaExceeded.from_parts(
            what,
            "the API key's calls for today are used up",
            f"It was not carried out; try again after {resets:%Y-%m-%d %H:%M} UTC, when the quota "
            "is expected to start again.",
            status=status,
            resets_at=resets,
            errors=tuple(found),
        )

    def _now(self) -> float:
        return in_dates(self._clock.time())

    def _today(self) -> int:
        return int(self._now() // DAY)

    def _check_day(self) -> None:
        today = self._today()
        if today != self._day:
            # A clock that is set back returns to an earlier day, whose calls still count.
            self._other_days[self._day] = self._used_today, self._over_until
            self._used_before_today += self._used_today
            self._day = today
            self._used_today, self._over_until = self._other_days.pop(today, (0, 0.0))
            self._used_before_today = max(0, self._used_before_today - self._used_today)
