"""Locks that are held only while whoever holds them is alive, and work that ends with them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

import anyio

from ccv2_async import errors
from ccv2_async.workers.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from ccv2_async.clock import Clock
    from ccv2_async.workers.store import JobStore

T = TypeVar("T")


class LeaseLost(errors.ConstantContactError):
    """The lock went to another worker, or could not be renewed: this one has to stop."""


class Lease:
    """One holder's hold on one lock.

    Args:
        store: Where the locks are.
        lock: Its name.
        holder: Tells this hold apart from any other.
        seconds: For how long it holds when its holder dies.
        clock: The time that renewals run on.
    """

    def __init__(
        self, store: JobStore, lock: str, holder: str, *, seconds: float, clock: Clock
    ) -> None:
        self.lock = lock
        self.holder = holder
        self._store = store
        self._seconds = seconds
        self._clock = clock

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]], otherwise: T) -> T:
        """What `work` gives, done while the lock is held; `otherwise` when somebody else has it.

        Raises:
            LeaseLost: The lock was lost; the work was cancelled before another could begin.
            StoreUnavailable: It could not be taken.
        """
        if not await self._store.hold(self.lock, self.holder, self._seconds):
            return otherwise
        over = asyncio.Event()
        working = asyncio.create_task(work(), name="ccv2 workers: job")
        renewing = asyncio.create_task(self._renew(over), name="ccv2 workers: lease")
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise LeaseLost("The lock was lost while the job was under way. It was broken off.")
        finally:
            over.set()
            working.cancel()
            await _ended(working, renewing)
            with contextlib.suppress(StoreUnavailable):
                await self._store.release(self.lock, self.holder)

    async def _renew(self, over: asyncio.Event) -> None:
        """Renew the lease again and again; return when it is lost, or may be soon."""
        held_until = self._clock.monotonic() + self._seconds
        while self._clock.monotonic() < held_until - self._seconds / 3:
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(self._seconds / 6):
                    await over.wait()
                return
            asked = self._clock.monotonic()
            try:
                if not await self._store.renew(self.lock, self.holder, self._seconds):
                    return
            except StoreUnavailable:
                continue
            held_until = asked + self._seconds


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Return when the tasks have ended, also while we are being cancelled ourselves."""
    with anyio.CancelScope(shield=True):
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # it was heard of, or comes too late to be
