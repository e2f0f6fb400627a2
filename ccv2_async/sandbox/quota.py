"""The gateway's count of calls per key: in any second, and in a day."""

from __future__ import annotations

from collections import deque

import attrs

DAY = 86_400
# Stamps of calls paced at exactly the quota differ by rounding alone.
_ROUNDING = 1e-6


@attrs.define
class Quota:
    """Counts calls and says which one is over the limit.

    A refused call is not counted.

    Attributes:
        per_second: Calls in any second; None for no limit.
        per_day: Calls in a day (UTC); None for no limit.
    """

    per_second: int | None
    per_day: int | None
    _recent: deque[float] = attrs.field(factory=deque)
    _day: int = -1
    _today: int = 0

    def refusal(self, now: float) -> str | None:
        """`over.qps`, `over.ratelimit`, or None for a call that is let through and counted."""
        if int(now // DAY) != self._day:
            self._day, self._today = int(now // DAY), 0
        if self.per_day is not None and self._today >= self.per_day:
            return "over.ratelimit"
        while self._recent and now - self._recent[0] >= 1.0 - _ROUNDING:
            self._recent.popleft()
        if self.per_second is not None and len(self._recent) >= self.per_second:
            return "over.qps"
        self._recent.append(now)
        self._today += 1
        return None

    def resets_in(self, now: float) -> float:
        """Return the seconds until the day's count starts over."""
        return DAY - now % DAY
