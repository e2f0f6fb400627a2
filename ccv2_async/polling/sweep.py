"""Waiting for jobs: many waiters, one status request, and no background task.

Without waiters, there is no polling. One of the waiters leads (`transport/quota/leader.py`): it
sleeps until the earliest look is due, asks for all due jobs of that kind in one request, together
with others that are nearly due, and wakes the waiters whose job has changed. So at most one status
request is in flight.
"""

from __future__ import annotations

import math
import random
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ccv2_async.errors import ClientClosed
from ccv2_async.observe import JobStarted
from ccv2_async.polling.job import ELSEWHERE, Job, State
from ccv2_async.polling.look import Looker
from ccv2_async.polling.queue import JobQueue, JobWaiter, Until
from ccv2_async.polling.schedule import LONGEST_WAIT, first_look
from ccv2_async.transport.quota.leader import SharedWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccv2_async.polling.job import JobKind, Row
    from ccv2_async.transport.calls.session import Session

LONGEST_REST = 3600.0


class Sweep:
    """All jobs of one client.

    Args:
        session: Sends the status requests.
        jitter: A source of numbers from 0 to 1.
    """

    def __init__(self, session: Session, *, jitter: Callable[[], float] = random.random) -> None:
        self._session = session
        self._clock = session.clock
        self._queues: dict[JobKind, JobQueue] = {}
        self._looker = Looker(session, jitter)
        self._work = SharedWork(session.clock)
        # The waiters for each result that is being fetched.
        self.fetching: WeakKeyDictionary[Job, SharedWork] = WeakKeyDictionary()
        self._closed = False

    def start(self, kind: JobKind, id: str, *, label: str = "") -> Job:  # noqa: A002  # the service's own word
        """Return the job that a call has just started."""
        queue, now = self._queue(kind), self._clock.monotonic()
        if (job := queue.known.get(id)) is None:
            due = now + first_look(queue.typical.seconds)
            job = queue.known[id] = Job(kind, id, self._clock.time(), now, due, label or id)
            self._session.hook(JobStarted(kind.name, id, job.label))
        return job

    def resume(
        self, kind: JobKind, id_: str, *, submitted: float, not_before: float, status: str | None
    ) -> Job:
        """Return the job that a token names; all its pollers share one.

        If the service did not know it, or its status could not be read, the client asks again.
        """
        known = self._queue(kind).known
        if (job := known.get(id_)) is None or job.state is State.LOST:
            now, time = self._clock.monotonic(), self._clock.time()
            wait = min(max(0.0, not_before - time), LONGEST_WAIT)
            # The clock of the other process may have been ahead.
            here = now - max(0.0, time - submitted)
            due = now + wait if wait else here  # one object less, for thousands of jobs
            job = known[id_] = Job(kind, id_, submitted, here, due, id_, last_look=ELSEWHERE)
            if status is not None:
                # A final status is asked for once more: the token may have been made long ago.
                job.change(kind.read(status)[0], State.PENDING)
        return job

    async def wait(
        self, job: Job | JobSet, waiter: JobWaiter | None = None, timeout: float | None = None
    ) -> Job | None:
        """Wait for a job, or for the first job of a set; return it, or None if time is up.

        Args:
            job: The job; or a set, from which the returned job is removed.
            waiter: The change to wait for; by default, the end. A set is its own waiter.
            timeout: The maximum number of seconds to wait; None for no limit.

        Raises:
            ConstantContactError: The service refused the status request, or the client was closed.
                Waiting again is safe.
        """
        # Thousands of waiters hold this frame, so the loop is here and not one call deeper.
        if isinstance(job, JobSet):
            waiter = job
        else:
            waiter = waiter or JobWaiter()
            self._watch(job, waiter)
        self._work.enter(waiter, timeout)
        try:
            while not waiter.done:
                await self._work.lead_or_sleep(waiter, self._step)
        except TimeoutError:
            return None
        finally:
            self._work.leave(waiter)
            if not isinstance(job, JobSet):
                self._queue(job.kind).unwatch(job, waiter)
        if isinstance(job, JobSet):
            return job.take()
        waiter.raise_trouble()
        return job

    def learn(self, job: Job, row: Row) -> None:
        """Take a status from outside of a look into account."""
        self._looker.learn_of(self._queue(job.kind), job, row, self._clock.monotonic())

    def close(self) -> None:
        """End every wait with `ClientClosed`, immediately; the jobs continue on the server."""
        self._closed = True
        for queue in self._queues.values():
            for job, waiters in queue.waiters.items():
                for waiter in waiters:
                    waiter.fail(_closed(job))
        self._work.stir()

    def _queue(self, kind: JobKind) -> JobQueue:
        if kind not in self._queues:
            self._queues[kind] = JobQueue(kind)
        return self._queues[kind]

    def _watch(self, job: Job, waiter: JobWaiter) -> None:
        """Notify a waiter of changes to a job that it waits for.

        Raises:
            UsageError: The client was opened in another event loop.
        """
        if job.state.is_final:
            waiter.notify(job)
            return
        if self._closed:
            waiter.fail(_closed(job))
            return
        self._session.require_loop(f"waiting for {job.kind.name} {job.label}")
        queue, now = self._queue(job.kind), self._clock.monotonic()
        queue.watch(job, waiter)
        # Others may have the time to wait for the next day's quota. For a new waiter, the leader
        # asks for the job again; the budget refuses that without a call, and the waiter's own time
        # decides.
        if waiter.until is Until.LOOK or now < self._looker.parked_until <= job.due:
            queue.hurry(job)
        self._work.stir(job.due)

    async def _step(self) -> None:
        """Look, or rest until the next look is due; the leader calls this."""
        now, budget = self._clock.monotonic(), self._session.budget
        at, queue = math.inf, None
        for other in self._queues.values():
            due = other.next_look(budget.per_second, contended=budget.contended)
            if due < at:
                at, queue = due, other
        if queue is None or at > now:
            await self._work.rest(min(at - now, LONGEST_REST))
        else:
            with suppress(ClientClosed):  # `close` has told all waiters
                async with self._session.while_open("looking at jobs"):
                    await self._looker.look(queue)


class JobSet(JobWaiter):
    """Jobs that one caller waits for together, with `Sweep.wait`; close it afterwards.

    Jobs may also be added later, even while a caller waits for the set.
    """

    __slots__ = ("_jobs", "_ready", "_sweep")

    def __init__(self, sweep: Sweep, until: Until, jobs: Iterable[Job] = ()) -> None:
        super().__init__(until)
        self._sweep = sweep
        self._jobs: set[Job] = set()
        self._ready: dict[Job, None] = {}
        for job in jobs:
            self.add(job)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: Job) -> bool:
        return job in self._jobs

    def add(self, job: Job) -> None:
        """Add a job to wait for."""
        self._jobs.add(job)
        self._sweep._watch(job, self)  # noqa: SLF001  # a part of it

    def discard(self, job: Job) -> None:
        """Stop waiting for a job."""
        self._jobs.discard(job)
        self._ready.pop(job, None)
        self.done = bool(self._ready) or self.trouble is not None
        self._sweep._queue(job.kind).unwatch(job, self)  # noqa: SLF001  # a part of it

    def close(self) -> None:
        """Stop waiting for all jobs."""
        for job in tuple(self._jobs):
            self.discard(job)

    def notify(self, job: Job) -> None:
        """Note that the awaited change of a job has happened."""
        self._ready[job] = None
        self.finish()

    def take(self) -> Job:
        """Remove and return the first job that is ready, or raise the error the wait ended with."""
        if not self._ready:
            self.done: bool = False
            self.raise_trouble()
        first = next(iter(self._ready))
        self.discard(first)
        return first

    def seconds_left(self, job: Job, now: float) -> float:  # noqa: ARG002  # of its next waits, too
        """Return how much longer the caller would wait for a job."""
        return job.kind.deadline


def _closed(job: Job) -> ClientClosed:
    return ClientClosed(
        f"{job.kind.name} {job.label}: the client was closed during this wait. The job continues "
        "on the server; resume it with its token."
    )
