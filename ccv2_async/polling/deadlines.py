"""When waits end: one timer for all who were given the same time.

They stand in a line, in the order in which they came, which is the order in which their time is
up. Only the first holds a timer; whoever leaves wakes the next to hold it. So of ten thousand who
wait, each but one holds a number instead of a timer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.clock import Clock
    from ccv2_async.transport.quota.leader import Waiter


class Deadlines:
    """The lines of those who wait, by the seconds that they were given.

    Args:
        clock: What the deadlines are on.
    """

    __slots__ = ("_clock", "_lines")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[float, dict[Waiter, float]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def enter(self, waiter: Waiter, limit: float) -> None:
        """Stand in line: the time is up in `limit` seconds."""
        deadline = self._clock.monotonic() + limit
        self._lines.setdefault(limit, {})[waiter] = deadline

    def left(self, waiter: Waiter, limit: float) -> float:
        """Seconds until the time is up; zero or less once it is."""
        return self._lines[limit][waiter] - self._clock.monotonic()

    def is_first(self, waiter: Waiter, limit: float) -> bool:
        """Whether the waiter has to hold a timer: nobody who has one will wake it in time."""
        return next(iter(self._lines[limit])) is waiter

    def leave(self, waiter: Waiter, limit: float) -> float:
        """Leave the line, with so many seconds left; the next is woken to hold the timer."""
        line, now = self._lines[limit], self._clock.monotonic()
        was_first = self.is_first(waiter, limit)
        deadline = line.pop(waiter)
        if not line:
            del self._lines[limit]
        elif was_first:
            _wake_first(line, now)
        return deadline - now


def _wake_first(line: Mapping[Waiter, float], now: float) -> None:
    """Wake the first, and with it all whose time is up."""
    for waiter, deadline in line.items():
        # Behind one that is awake, nobody needs to be woken: when it leaves, it does this too.
        if not waiter.wake() or deadline > now:
            return
