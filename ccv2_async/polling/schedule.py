"""The time of the next look at a job. Pure.

The service does not suggest an interval, only a quota of 4 calls a second per key. So looks happen
when jobs are likely to be done:

- The first look at a job is at the age at which half of the recent jobs of its kind were done (a
  second while nothing is known). Further looks come each time the job is a quarter older, with
  jitter: from about one to about ten seconds apart.
- One request serves all awaited jobs, so requests are spaced (`spacing`). While other calls wait
  for the quota, status requests leave them 96% of it: one in 5.8 s at 4 calls a second. With
  fewer requests, changes are noticed later. No rule avoids that; `benchmarks/notice.py` shows why.
"""

from __future__ import annotations

from collections import deque

import attrs

FIRST_LOOK = 1.0
SHORTEST_WAIT = 1.0
LONGEST_WAIT = 10.0
GROWTH = 0.25
JITTER = 0.1

POLL_SHARE = 0.043
SPACING_BY_TYPICAL = 0.2
SHORTEST_SPACING = 0.25
LONGEST_IDLE_SPACING = 2.0

GRACE = 120.0
"""Seconds after the start of a job in which "not known" may only mean "not registered yet"."""

LOOKS_BEFORE_LOST = 3

UNREADABLE_SECONDS = 60.0
"""Seconds for which the client keeps asking for a status that cannot be read."""


def first_look(typical: float | None) -> float:
    """Return the seconds from the start of a job to the first look at it.

    Args:
        typical: How long recent jobs of its kind took, in seconds, or None.
    """
    return FIRST_LOOK if typical is None else min(max(typical, SHORTEST_SPACING), LONGEST_WAIT)


def next_look(age: float, jitter: float) -> float:
    """Return the seconds from one look to the next.

    Args:
        age: Seconds since the job was started.
        jitter: A number from 0 (inclusive) to 1, drawn by the caller.
    """
    wait = min(max(GROWTH * age, SHORTEST_WAIT), LONGEST_WAIT)
    return wait * (1.0 - JITTER + 2.0 * JITTER * jitter)


def spacing(*, typical: float | None, per_second: float | None, contended: bool) -> float:
    """Return the seconds between two status requests.

    Args:
        typical: How long recent jobs took, in seconds, or None.
        per_second: The quota, or None for no limit.
        contended: Whether other calls wait for the quota.
    """
    by_typical = SPACING_BY_TYPICAL * (FIRST_LOOK if typical is None else typical)
    idle = min(max(by_typical, SHORTEST_SPACING), LONGEST_IDLE_SPACING)
    if per_second is None or not contended:
        return idle
    return max(idle, min(1.0 / (POLL_SHARE * per_second), LONGEST_WAIT))


def is_lost(age: float, unknown_looks: int) -> bool:
    """Return whether to give up on a job that the service does not know.

    Args:
        age: Seconds since the job was started.
        unknown_looks: The number of consecutive looks at which it was not known.
    """
    return age > GRACE and unknown_looks >= LOOKS_BEFORE_LOST


def is_unreadable(seconds: float, looks: int) -> bool:
    """Return whether to give up on a job whose status cannot be read.

    Args:
        seconds: Seconds since the first of the consecutive looks that did not return a status.
        looks: The number of consecutive looks that did not return a status.
    """
    return seconds >= UNREADABLE_SECONDS and looks >= LOOKS_BEFORE_LOST


@attrs.define
class Typical:
    """How long recent jobs of one kind took: the median of the last fifty."""

    _seen: deque[float] = attrs.field(factory=lambda: deque(maxlen=50), init=False)
    _median: float | None = attrs.field(default=None, init=False)

    def add(self, seconds: float) -> None:
        """Add the duration of one more job."""
        self._seen.append(seconds)
        # `statistics` takes longer to import than most of this package.
        ordered, middle = sorted(self._seen), len(self._seen) // 2
        self._median = (ordered[middle] + ordered[~middle]) / 2

    @property
    def seconds(self) -> float | None:
        """The median, or None before the first job has ended."""
        return self._median
