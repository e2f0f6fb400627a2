"""Watchers of jobs: one caller that waits for one job, or one caller that waits for many."""

from __future__ import annotations

import copy
import enum
from collections import deque
from typing import TYPE_CHECKING

from ccv2_async.transport.quota.leader import Waiter

if TYPE_CHECKING:
    from ccv2_async import errors
    from ccv2_async.polling.job import Job
    from ccv2_async.polling.sweep import Sweep


class Until(enum.Enum):
    """What a watcher waits for."""

    CHANGE = "the next change of status"
    END = "the final status"
    LOOK = "the next look, whatever it says; a job that has ended is not looked at again"


class Watcher(Waiter):
    """One caller that waits for a job.

    Args:
        until: What it waits for.
        limit: Seconds that it waits at most; None for no limit.
    """

    __slots__ = ("limit", "trouble", "until")

    def __init__(self, until: Until, limit: float | None = None) -> None:
        super().__init__()
        self.until: Until = until
        self.limit: float | None = limit
        self.trouble: errors.ConstantContactError | None = None

    def fire(self, job: Job) -> None:
        """Note for which job it is that what is waited for has come."""

    def raise_trouble(self) -> None:
        """Raise what the service answered instead, if it refused to be asked."""
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise copy.copy(trouble)


class WatcherOfMany(Watcher):
    """One caller that waits for several jobs."""

    __slots__ = ("fired",)

    def __init__(self, until: Until) -> None:
        super().__init__(until)
        self.fired: deque[Job] = deque()

    def fire(self, job: Job) -> None:
        """Put it with those that `next` gives."""
        self.fired.append(job)


class WatchedJobs:
    """A set of jobs that one caller waits for together; jobs may be added at any time."""

    def __init__(self, sweep: Sweep, until: Until) -> None:
        self._sweep = sweep
        self._watcher = WatcherOfMany(until)
        self._jobs: set[Job] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: Job) -> bool:
        return job in self._jobs

    def add(self, job: Job) -> None:
        """Wait for this one too."""
        self._jobs.add(job)
        self._sweep.watch(self._watcher, job)

    def discard(self, job: Job) -> None:
        """Wait no longer for this one."""
        self._jobs.discard(job)
        self._sweep.unwatch(self._watcher, job)

    async def next(self) -> Job:
        """The next job for which what is waited for has come; it leaves the set.

        Raises:
            ConstantContactError: The service refuses to be asked; asking again is safe.
        """
        watcher = self._watcher
        while True:
            while watcher.fired:
                job = watcher.fired.popleft()
                if job in self._jobs:
                    self.discard(job)
                    return job
            watcher.raise_trouble()
            watcher.done = False
            await self._sweep.drive(watcher)

    def close(self) -> None:
        """Wait for none of them any longer."""
        while self._jobs:
            self._sweep.unwatch(self._watcher, self._jobs.pop())
