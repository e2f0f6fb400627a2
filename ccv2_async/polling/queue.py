"""The jobs of one kind: their waiters, and the time to ask for each of them. Pure."""

from __future__ import annotations

import bisect
import copy
import enum
import math
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import attrs

from ccv2_async.polling.job import ELSEWHERE, State
from ccv2_async.polling.schedule import Typical, spacing
from ccv2_async.transport.quota.leader import Waiter

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ccv2_async.errors import ConstantContactError
    from ccv2_async.polling.job import Job, JobKind


class Until(enum.Enum):
    """The change that a waiter waits for."""

    CHANGE = "the next change of status"
    END = "the final status"
    LOOK = "the next look, with any result; a job that has ended is not looked at again"


class JobWaiter(Waiter):
    """One caller that waits for a job.

    Attributes:
        until: The change that it waits for.
        trouble: The error that ended the wait, or None.
    """

    __slots__ = ("trouble", "until")

    def __init__(self, until: Until = Until.END) -> None:
        super().__init__()
        self.until: Until = until
        self.trouble: ConstantContactError | None = None

    def notify(self, job: Job) -> None:  # noqa: ARG002  # a set of jobs needs to know which
        """Note that the awaited change of a job has happened."""
        self.finish()

    def fail(self, trouble: ConstantContactError) -> None:
        """End the wait with an error."""
        self.trouble = trouble
        self.finish()

    def raise_trouble(self) -> None:
        """Raise the error that the wait ended with, if there is one."""
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise copy.copy(trouble)

    def seconds_left(self, job: Job, now: float) -> float:  # noqa: ARG002  # as above
        """Return how much longer the caller would wait for a job."""
        return self.deadline - now


@attrs.define(eq=False)
class JobQueue:
    """The jobs of one kind in one client.

    Attributes:
        kind: Their kind.
        known: Every job that is still referenced, by ID.
        waiters: The waiters of each job, the first one first: a tuple of one, which takes less
            memory, or a dict, in which each is found quickly.
        typical: How long recent jobs took.
        failures: The number of failed requests in a row that did not lead to smaller ones.
        rests_until: The time before which only jobs in a hurry are asked for.
        suspects: How many jobs whose last request failed go into one request.
    """

    kind: JobKind
    known: WeakValueDictionary[str, Job] = attrs.field(factory=WeakValueDictionary)
    waiters: dict[Job, tuple[JobWaiter] | dict[JobWaiter, None]] = attrs.field(factory=dict)
    typical: Typical = attrs.field(factory=Typical)
    failures: int = 0
    rests_until: float = 0.0
    suspects: int = 1
    # The awaited jobs that are in no request yet, in the order in which they are due.
    _due: list[Job] = attrs.field(factory=list)
    _last_look: float | None = None
    _was_full: bool = False

    def watch(self, job: Job, waiter: JobWaiter) -> None:
        """Notify a waiter of changes to a job that it waits for."""
        others = self.waiters.get(job)
        if isinstance(others, dict):
            others[waiter] = None
        elif others:
            self.waiters[job] = dict.fromkeys((*others, waiter))
        else:
            self.waiters[job] = (waiter,)
            self.schedule(job, job.due)

    def unwatch(self, job: Job, waiter: JobWaiter) -> None:
        """Stop notifying a waiter about a job."""
        waiters = self.waiters.get(job, ())
        if isinstance(waiters, dict) and len(waiters) > 1:
            waiters.pop(waiter, None)
        elif waiter in waiters:
            self._release(job)

    def schedule(self, job: Job, due: float) -> None:
        """Set the time to ask for a job, if it has waiters."""
        self._unschedule(job)
        job.due = due
        if job in self.waiters:
            bisect.insort(self._due, job, key=_by_time)

    def hurry(self, job: Job) -> None:
        """Ask for a job immediately, before the others, even right after the last request."""
        self.schedule(job, -math.inf)

    def next_look(self, per_second: float | None, *, contended: bool) -> float:
        """Return the time to ask: when a job is due, but not too soon after the last request.

        Args:
            per_second: The quota, or None for no limit.
            contended: Whether other calls wait for the quota.
        """
        if not self._due:
            return math.inf
        first = self._due[0].due
        if first == -math.inf:
            return first
        at = max(first, self.rests_until)
        # A full request may have omitted jobs that are due: with quota to spare, continue.
        if self._last_look is None or (self._was_full and not contended):
            return at
        apart = spacing(typical=self.typical.seconds, per_second=per_second, contended=contended)
        return max(at, self._last_look + apart)

    def take(self, now: float) -> list[Job]:
        """Return the jobs of the next request: the due ones first, then those due soonest.

        Jobs whose last request failed are in smaller requests, without the others.
        """
        suspect = self._due[0].failures > 0
        most = self.suspects if suspect else self.kind.most
        jobs = [job for job in self._due if (job.failures > 0) is suspect][:most]
        for job in jobs:
            self._unschedule(job)
        self._last_look = now
        self._was_full = len(jobs) == most
        return jobs

    def answered(self, jobs: Sequence[Job], unanswered: Collection[Job]) -> None:
        """Note that a request was answered, but perhaps not for some of its jobs."""
        if jobs[0].failures:
            self.suspects = min(self.kind.most, max(self.suspects, 2 * len(jobs)))
        for job in jobs:
            job.failures = 0
        if unanswered:
            self.failed(unanswered)

    def failed(self, jobs: Collection[Job]) -> bool:
        """Suspect each job of a failed request to be the cause; return whether there are several.

        The next requests for them are smaller, until one shows which job it was.
        """
        self.suspects = max(1, len(jobs) // 4)
        for job in jobs:
            job.failures = 1 if len(jobs) > 1 else job.failures + 1
        return len(jobs) > 1

    def share(self, job: Job, *, changed: bool) -> None:
        """Notify the waiters that waited for the change that a look has shown."""
        ended = job.state.is_final
        for waiter in self.waiters.get(job, ()):
            if ended or waiter.until is Until.LOOK or (changed and waiter.until is Until.CHANGE):
                waiter.notify(job)
        if ended:
            self._release(job)

    def note_duration(self, job: Job, last_look: float, now: float) -> None:
        """Learn from a job that ended between two looks, assuming the midpoint."""
        if last_look is not ELSEWHERE and job.state is State.SUCCEEDED:
            self.typical.add((last_look + now) / 2.0 - job.submitted_here)

    def _release(self, job: Job) -> None:
        """Forget the waiters of a job."""
        self.waiters.pop(job, None)
        self._unschedule(job)

    def _unschedule(self, job: Job) -> None:
        at = bisect.bisect_left(self._due, _by_time(job), key=_by_time)
        if at < len(self._due) and self._due[at] is job:
            del self._due[at]


def _by_time(job: Job) -> tuple[float, str]:
    return job.due, job.id
