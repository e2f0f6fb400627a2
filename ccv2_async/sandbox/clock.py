"""The time that the sandbox runs on: the machine's, or one that a simulation moves."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

import attrs

_LIBRARY_OFFSET = timezone(timedelta(hours=-4))


class Clock(Protocol):
    """What the sandbox asks the time of."""

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        ...


class SystemClock:
    """The time of this machine."""

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()


@attrs.define
class ShiftedClock:
    """Another clock's time, moved forward by hand.

    Attributes:
        base: The clock underneath.
        offset: Seconds that are added to it.
    """

    base: Clock = attrs.field(factory=SystemClock)
    offset: float = 0.0

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        return self.base.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move the time forward by `seconds`."""
        self.offset += seconds


def read_stamp(text: str) -> float:
    """Seconds since 1970 of an ISO-8601 date and time; without an offset it is taken as UTC.

    Raises:
        ValueError: It is no such date.
    """
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    try:
        # The edges of the calendar fall off it once they are moved to UTC.
        return stamp.astimezone(UTC).timestamp()
    except OverflowError as error:
        raise ValueError(text) from error


def utc_stamp(moment: float) -> str:
    """`2013-01-23T13:48:44.108Z`, as most of the service writes dates."""
    stamp = datetime.fromtimestamp(moment, UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def offset_stamp(moment: float) -> str:
    """`2013-06-19T11:36:43.000-04:00`, as the library writes dates."""
    return datetime.fromtimestamp(moment, _LIBRARY_OFFSET).isoformat(timespec="milliseconds")
