"""Clocks for tests: one that the test moves, and one that skips every wait."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

NOON = 1_700_049_600.0  # 15 November 2023, 12:00 UTC


async def settle(turns: int = 40) -> None:
    """Let every task run until all of them wait for something that only the test can bring."""
    for _ in range(turns):
        await asyncio.sleep(0)


class ManualClock:
    """Time stands still until the test moves it.

    Attributes:
        now: Seconds, on the monotonic scale.
        slept: Every wait that was asked for by `sleep`, in seconds.
    """

    def __init__(self, *, epoch: float = NOON, start: float = 1000.0) -> None:
        self.now = start
        self._offset = epoch - start
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + self._offset

    def suspend(self, seconds: float) -> None:
        """Suspend the machine: only the time of day continues."""
        self._offset += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        self._at(self.now + seconds, wake)
        await woken

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        return self._timeout(seconds)

    @asynccontextmanager
    async def _timeout(self, seconds: float | None) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as limit:
            over = False

            def expire() -> None:
                if not over:
                    limit.reschedule(asyncio.get_running_loop().time() - 1.0)

            if seconds is not None:
                self._at(self.now + max(0.0, seconds), expire)
                if seconds <= 0:
                    expire()
            try:
                yield
            finally:
                over = True

    def _at(self, due: float, action: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._due, (due, self._count, action))

    async def advance(self, seconds: float) -> None:
        """Move time, and wake those that wait until then in order, each at its own moment."""
        target = self.now + seconds
        await settle()
        while self._due and self._due[0][0] <= target:
            self.now = max(self.now, self._due[0][0])
            heapq.heappop(self._due)[2]()
            await settle()
        self.now = target
        await settle()

    async def run(self, work: Awaitable[Any], *, limit: float = 1e7) -> Any:
        """Return the result of `work`; time jumps from wait to wait. For work without sockets."""
        task = asyncio.ensure_future(work)
        end = self.now + limit
        await settle()
        try:
            while not task.done():
                assert self._due, "nothing is left that could end the waiting: a lost wake-up"
                assert self._due[0][0] <= end, f"not done after {limit} s"
                await self.advance(max(0.0, self._due[0][0] - self.now))
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class SkippingClock(ManualClock):
    """No wait takes any time: the clock jumps. For tests with real sockets.

    Deadlines of calls, which are longer than `longest` seconds, never expire by themselves; the
    test may expire them by `advance`.
    """

    longest = 60.001  # a wait for a minute may be longer by a rounding error

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        if seconds is None or seconds > self.longest:
            return super().timeout(seconds)
        return self._skip(seconds)

    @asynccontextmanager
    async def _skip(self, seconds: float) -> AsyncIterator[None]:
        async with asyncio.timeout(0.001):
            try:
                yield
            except asyncio.CancelledError:
                self.now += max(0.0, seconds)
                raise
