"""The time that back-off, pacing, polls and deadlines run on.

Everything that waits takes a `Clock`, so that a test or a simulation can move time itself.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


class Clock(Protocol):
    """A source of time and the waits that go with it."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def time(self) -> float:
        """Seconds since 1970 (UTC), for stamps that another process will read."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed; zero or less yields to the loop once."""
        ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """A block that raises `TimeoutError` when it takes longer; None for no limit."""
        ...


class SystemClock:
    """The real time of this machine and of the running event loop."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed."""
        await asyncio.sleep(max(0.0, seconds))

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """A block that raises `TimeoutError` when it takes longer."""
        return asyncio.timeout(seconds)


class LoopClock:
    """The time of the running event loop, counted from a moment that is passed in.

    With a loop whose time is simulated, hours pass in seconds and every run is the same.

    Args:
        start: Seconds since 1970 at the loop's time 0.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._start = start

    def monotonic(self) -> float:
        """Seconds of the loop."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """Seconds since 1970 (UTC)."""
        return self._start + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return when the loop's time has moved on by `seconds`."""
        await asyncio.sleep(max(0.0, seconds))

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """A block that raises `TimeoutError` when it takes longer."""
        return asyncio.timeout(seconds)
