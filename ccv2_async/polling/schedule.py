"""When to look at a job next, and how many jobs to ask for in one request. Pure.

The service gives no interval, only a quota of 4 calls a second per key. A job is looked at first
when jobs of its kind have lately been done, then at growing distances, with jitter, so that many
jobs started together do not stay together.
"""

from __future__ import annotations

from collections import deque
from statistics import median

import attrs

FIRST_LOOK = 1.0
LONGEST_WAIT = 10.0
GROWTH = 1.5
JITTER = 0.2

GRACE = 120.0
"""Seconds after the start of a job in which "not known" may only mean "not registered yet"."""

LOOKS_BEFORE_LOST = 3


def first_look(typical: float | None) -> float:
    """Seconds from the start of a job to the first look at it.

    Args:
        typical: How long recent jobs of its kind took, in seconds, or None.
    """
    return FIRST_LOOK if typical is None else min(max(typical, 0.25), LONGEST_WAIT)


def next_look(looks: int, jitter: float) -> float:
    """Seconds from one look to the next.

    Args:
        looks: How many looks there were.
        jitter: A number from 0 (inclusive) to 1, drawn by the caller.
    """
    wait = min(FIRST_LOOK * GROWTH ** min(looks, 32), LONGEST_WAIT)
    return wait * (1.0 - JITTER + 2.0 * JITTER * jitter)


def is_lost(age: float, unknown_looks: int) -> bool:
    """Whether a job that the service does not know should be given up.

    Args:
        age: Seconds since the job was started.
        unknown_looks: Looks in a row at which it was not known.
    """
    return age > GRACE and unknown_looks >= LOOKS_BEFORE_LOST


@attrs.define
class Typical:
    """How long recent jobs of one kind took: the median of the last fifty."""

    _seen: deque[float] = attrs.field(factory=lambda: deque(maxlen=50), init=False)
    _median: float | None = attrs.field(default=None, init=False)

    def add(self, seconds: float) -> None:
        """Take one more job into account."""
        self._seen.append(seconds)
        self._median = median(self._seen)

    @property
    def seconds(self) -> float | None:
        """The median, or None before the first job has ended."""
        return self._median


@attrs.define
class BatchSize:
    """How many ids go into one status request: 50 at first, up to 100, halved when refused."""

    most: int
    size: int = attrs.field(init=False)

    @size.default
    def _start(self) -> int:
        return min(50, self.most)

    def accepted(self, asked: int) -> None:
        """A request for so many ids went well."""
        if asked >= self.size:
            self.size = min(self.most, self.size * 2)

    def refused(self, asked: int) -> bool:
        """A request for so many ids was refused as a whole; False when it cannot get smaller."""
        if asked <= 1:
            return False
        self.size = max(1, asked // 2)
        return True
