"""How long a bulk upload will still take. Pure: moments are passed in, on the monotonic clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccv2_async.uploads.many.results import BulkProgress

_LAST = 100


class Pace:
    """How fast files are sent, by the last hundred.

    By how fast they end, the first minutes would be no guide: the service is at work on a file for
    seconds, and meanwhile many are sent and none has ended. And what an earlier run had settled is
    passed over in no time.
    """

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=_LAST + 1)
        self._sent = 0

    def begin(self, now: float) -> None:
        """Take note that a file begins to be sent."""
        if not self._moments:
            self._moments.append(now)

    def sent(self, now: float) -> None:
        """Take note that a file was sent, whatever came of it."""
        self._moments.append(now)
        self._sent += 1

    def seconds_left(self, progress: BulkProgress, now: float) -> float | None:
        """Seconds until all files are settled, or None when that is not known."""
        if progress.total is None:
            return None
        left = max(0, progress.total - progress.settled)
        if not left:
            return 0.0
        if not self._moments:  # nothing had to be sent so far
            return left / progress.per_second if progress.per_second > 0 else None
        passed = now - self._moments[0]
        # Those that began together end together: before that, one of them tells nothing.
        if passed <= 0 or self._sent < max(1, progress.sending):
            return None
        return left * passed / (len(self._moments) - 1)
