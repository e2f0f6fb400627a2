"""Clocks for backoff, the quota, polling, and deadlines.

All code that waits uses a `Clock`, so that a test or a simulation can move the time.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

_FIRST, _LAST = 0.0, 253_402_300_799.0  # the years 1970 to 9999


def in_dates(moment: float) -> float:
    """Return a moment in seconds since 1970, or the nearest one from 1970 to 9999; NaN is 0."""
    return min(_LAST, max(_FIRST, moment))


def date_of(moment: float) -> datetime:
    """Return the date in UTC of a moment, or of the nearest one from 1970 to 9999."""
    return datetime.fromtimestamp(in_dates(moment), UTC)


class Clock(Protocol):
    """A source of time, with the waits that use it."""

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary start; they never decrease."""

    def time(self) -> float:
        """Return the seconds since 1970 (UTC), for timestamps that other processes read."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; zero or less yields to the event loop once."""

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Return a context that raises `TimeoutError` after `seconds`; None for no limit."""


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary start; they never decrease."""
        return time.monotonic()

    def time(self) -> float:
        """Return the seconds since 1970 (UTC)."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(max(0.0, seconds))

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Return a context that raises `TimeoutError` after `seconds`."""
        return asyncio.timeout(seconds)
