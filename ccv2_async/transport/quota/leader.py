"""Shared work that its waiters do themselves: one leads, the others sleep.

A library that starts no background task still has work that serves many callers, such as
pacing calls, or asking for the status of many jobs in one request. One waiter leads: it does the
work for all until its own wait ends. When it leaves, for any reason, the one that has the most time
leads. Those without a time limit lead in the order in which they came.

Waiters with the same time limit form a queue. They leave in the order in which they came,
because that is the order of their deadlines. Only the first in a queue holds a timer, and wakes the
next when it leaves. So of ten thousand waiters, all but one hold a number instead of a timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccv2_async.clock import Clock


class Waiter:
    """One caller that waits.

    Attributes:
        done: Whether its wait has ended.
        limit: The maximum number of seconds to wait, or None for no limit.
        deadline: When its time is up, on the monotonic clock; infinite if it is not limited.
    """

    __slots__ = ("_future", "deadline", "done", "limit")

    def __init__(self) -> None:
        self.done: bool = False
        self.limit: float | None = None
        self.deadline: float = math.inf
        self._future: asyncio.Future[None] | None = None

    def finish(self) -> None:
        """Mark the wait as done, and wake the caller."""
        self.done = True
        self.wake()

    def wake(self) -> bool:
        """Wake the caller, so that it checks again; return whether it was asleep."""
        if self._future is None or self._future.done():
            return False
        self._future.set_result(None)
        return True

    def sleep(self) -> asyncio.Future[None]:
        """Return an awaitable that ends when `wake` is called."""
        # Not a coroutine: each of ten thousand sleepers would hold one more frame.
        self._future = asyncio.get_running_loop().create_future()
        return self._future


class SharedWork:
    """Work that one waiter does for all of them.

    A caller enters with a `Waiter`, awaits `lead_or_sleep` until the waiter is done, and always
    leaves in the end::

        work.enter(waiter, limit)
        try:
            while not waiter.done:
                await work.lead_or_sleep(waiter, step)
        finally:
            work.leave(waiter)

    At most one caller is inside its `step` at any time. An exception from `step` goes to the caller
    that leads, and the lead goes to the next one.

    Args:
        clock: The clock for deadlines and rests.
    """

    __slots__ = ("_clock", "_leader", "_lines", "_rests_until", "_stirred")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leader: Waiter | None = None
        self._lines: dict[float | None, dict[Waiter, None]] = {}
        self._stirred: asyncio.Event | None = None
        self._rests_until = 0.0

    @property
    def has_waiters(self) -> bool:
        """Whether anyone waits."""
        return bool(self._lines)

    def enter(self, waiter: Waiter, limit: float | None = None) -> None:
        """Put a waiter into its queue.

        Args:
            waiter: The waiter, which may already be done.
            limit: The maximum number of seconds to wait.
        """
        waiter.limit = limit
        waiter.deadline = math.inf if limit is None else self._clock.monotonic() + limit
        self._lines.setdefault(limit, {})[waiter] = None

    def lead_or_sleep(self, waiter: Waiter, step: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        """Return the next awaitable for a waiter that is not done.

        Args:
            waiter: The waiter.
            step: Does the next piece of the work; it is called again and again.

        Raises:
            TimeoutError: Its time is up; the awaitable may raise this too.
        """
        limit, left = waiter.limit, waiter.deadline - self._clock.monotonic()
        # A waiter with a limit of 0 still yields to the loop once.
        if limit is not None and left <= 0.0 < limit:
            raise TimeoutError
        if self._leader not in (None, waiter) and (limit is None or not self._is_first(waiter)):
            return waiter.sleep()
        return self._lead_or_hold_timer(waiter, step, None if limit is None else left)

    def leave(self, waiter: Waiter) -> None:
        """Remove a waiter, done or not, and make sure that another one leads."""
        line = self._lines[waiter.limit]
        was_first = self._is_first(waiter)
        del line[waiter]
        if not line:
            del self._lines[waiter.limit]
        if self._leader is waiter:
            self.appoint()
        if line and was_first and waiter.limit is not None:
            self._hand_timer_on(line)

    def appoint(self) -> Waiter | None:
        """Let the waiter that has the most time lead, and return it."""
        # A leader that leaves interrupts its step. If each had only moments left, no step would
        # ever end, so the one with the most time leads: the last one of some queue.
        lines = self._lines.items()
        heirs = (next(reversed(line) if limit else iter(line)) for limit, line in lines)
        self._leader = max(heirs, key=attrgetter("deadline"), default=None)
        if self._leader is not None:
            self._leader.wake()
        return self._leader

    def finish_all(self) -> None:
        """End all waits, because the work is done."""
        self.stir()
        for line in self._lines.values():
            for waiter in line:
                waiter.finish()

    async def rest(self, seconds: float) -> None:
        """Sleep as the leader, until the time has passed or `stir` is called."""
        self._stirred = asyncio.Event()
        self._rests_until = self._clock.monotonic() + seconds
        try:
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(seconds):
                    await self._stirred.wait()
        finally:
            self._rests_until = 0.0

    def stir(self, due: float = float("-inf")) -> None:
        """End the leader's rest, if it would last beyond a moment on the monotonic clock."""
        if self._stirred is not None and due < self._rests_until:
            self._stirred.set()

    async def _lead_or_hold_timer(
        self, waiter: Waiter, step: Callable[[], Awaitable[None]], seconds: float | None
    ) -> None:
        has_time = seconds is None or seconds > 0.0  # without any, a step would be interrupted
        async with self._clock.timeout(seconds):
            if self._leader not in (None, waiter) or not has_time:
                await waiter.sleep()
                return
            self._leader = waiter  # until it leaves, or appoints another
            while not waiter.done and self._leader is waiter:
                await step()

    def _is_first(self, waiter: Waiter) -> bool:
        """Return whether the waiter needs its own timer: no waiter before it will wake it."""
        return next(iter(self._lines[waiter.limit])) is waiter

    def _hand_timer_on(self, line: dict[Waiter, None]) -> None:
        """Wake the first waiter in a queue, and all waiters whose time is up."""
        now = self._clock.monotonic()
        for waiter in line:
            # If the first one is awake, stop: it does the same when it leaves.
            if not waiter.wake() or waiter.deadline > now:
                return
