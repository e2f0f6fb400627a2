"""The sandbox's clock: the machine's, or one that tests control."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

import attrs

from ccv2_async.sandbox.settings import check_value

# A test may move its clock without notice.
_GLANCE = 0.005
_LIBRARY_OFFSET = timezone(timedelta(hours=-4))


class Clock(Protocol):
    """A source of the time."""

    def time(self) -> float:
        """Return the seconds since 1970 (UTC)."""


class SystemClock:
    """The time of this machine."""

    def time(self) -> float:
        """Return the seconds since 1970 (UTC)."""
        return time.time()


@attrs.define
class ShiftedClock:
    """A clock that runs ahead of another one.

    Attributes:
        base: The clock underneath.
        offset: Seconds that are added to it.
    """

    base: Clock = attrs.field(factory=SystemClock)
    offset: float = 0.0
    _sleeping: set[asyncio.Future[None]] = attrs.field(factory=set, init=False)

    def time(self) -> float:
        """Return the seconds since 1970 (UTC)."""
        return self.base.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move the time forward by `seconds`.

        Raises:
            ValueError: It is not a number, or the total exceeds `LONGEST`.
        """
        check_value("advance", seconds, float)
        check_value("the sum of all advances", self.offset + seconds, float)
        self.offset += seconds
        for sleeper in self._sleeping:
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep_until(self, due: float) -> None:
        """Return once the time is `due` or later."""
        while (left := due - self.time()) > 0:
            moved = asyncio.get_running_loop().create_future()
            self._sleeping.add(moved)
            try:
                with contextlib.suppress(TimeoutError):
                    longest = left if isinstance(self.base, SystemClock) else min(left, _GLANCE)
                    await asyncio.wait_for(moved, longest)
            finally:
                self._sleeping.discard(moved)


def read_stamp(text: str) -> float:
    """Return the seconds since 1970 of an ISO-8601 date and time, by default in UTC.

    Raises:
        ValueError: The text is not such a date.
    """
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    try:
        # The first and last dates of the calendar overflow when they are converted to UTC.
        return stamp.astimezone(UTC).timestamp()
    except OverflowError as error:
        raise ValueError(text) from error


def utc_stamp(moment: float) -> str:
    """Return a date in the usual form of the service: `2013-01-23T13:48:44.108Z`."""
    stamp = datetime.fromtimestamp(moment, UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_stamps(**moments: float | None) -> dict[str, str]:
    """Return dates by name, formatted by `utc_stamp`. Those that are None are left out."""
    return {name: utc_stamp(moment) for name, moment in moments.items() if moment is not None}


def offset_stamp(moment: float) -> str:
    """Return a date in the form of the library: `2013-06-19T11:36:43.000-04:00`."""
    return datetime.fromtimestamp(moment, _LIBRARY_OFFSET).isoformat(timespec="milliseconds")
