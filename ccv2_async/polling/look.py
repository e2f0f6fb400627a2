"""One look: ask the service for up to a hundred jobs, and share the responses."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from ccv2_async import errors
from ccv2_async.observe import JobEnded, Polled, StatusChanged
from ccv2_async.polling.job import LONGEST_TEXT, NO_NEWS, UNIDENTIFIED, Row
from ccv2_async.polling.queue import Until
from ccv2_async.polling.schedule import is_lost, next_look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccv2_async.polling.job import Job
    from ccv2_async.polling.queue import JobQueue, JobWaiter
    from ccv2_async.transport.calls.session import Session

logger: logging.Logger = logging.getLogger("ccv2_async.polling")

OF_ONE_OR_ALL = (errors.ServerError, errors.ConnectionLost, errors.DeadlineExceeded)
"""The failures of a request that may be due to one of its jobs, or to an outage."""

# The service failed or refused the whole request, perhaps because of one job.
_REFUSALS = (errors.BadRequest, errors.Conflict, errors.NotFound)
_OF_ONE = (*_REFUSALS, *OF_ONE_OR_ALL, errors.DecodeError)

SIGNS_OF_OUTAGE = 3
"""How many failures in a row show that no single job causes them, so that all jobs wait."""


def is_of_one(error: errors.ConstantContactError) -> bool:
    """Return whether an unreadable response is about the one job that was asked for.

    A page of a gateway is not.
    """
    return isinstance(error, errors.ResponseTooLarge) or (
        isinstance(error, errors.DecodeError)
        and (error.where != "" or error.excerpt.startswith(("{", "[")))
    )


def unreadable(error: errors.ConstantContactError) -> Row:
    """Return the row of a job whose status cannot be read."""
    return Row(status="", unreadable=error.reason[:LONGEST_TEXT])


class Looker:
    """Asks for jobs, and learns from the responses.

    Args:
        session: Sends the status requests.
        jitter: A source of numbers from 0 to 1.

    Attributes:
        parked_until: When looks stop waiting for the next day's quota, on the monotonic clock.
    """

    def __init__(self, session: Session, jitter: Callable[[], float]) -> None:
        self._session = session
        self._clock = session.clock
        self._hook = session.hook
        self._jitter = jitter
        self.parked_until: float = 0.0

    async def look(self, queue: JobQueue) -> None:
        """Ask for the jobs of one kind that are due."""
        began = self._clock.monotonic()
        jobs = queue.take(began)
        ids = [job.id for job in jobs]
        # The leader looks on behalf of all, and the others may have more time.
        with self._session.no_deadline():
            try:
                rows = await queue.kind.ask(self._session, ids)
            except errors.ConstantContactError as error:
                await self._failed(queue, jobs, error)
            else:
                queue.failures = 0
                self.parked_until = 0.0
                queue.answered(jobs, [job for job in jobs if rows.get(job.id) is UNIDENTIFIED])
                took = self._clock.monotonic() - began
                self._hook(Polled(queue.kind.name, tuple(ids), len(ids), len(rows), took))
                await self._learn(queue, jobs, rows)
            finally:
                for job in jobs:
                    queue.schedule(job, job.due)

    async def _learn(self, queue: JobQueue, jobs: Sequence[Job], rows: Mapping[str, Row]) -> None:
        """Learn from the rows, and then look up the jobs that would count as lost."""
        now = self._clock.monotonic()
        gone = [j for j in jobs if j.id not in rows and is_lost(j.age(now), j.unknown + 1)]
        for job in jobs:
            if job not in gone:
                self.learn_of(queue, job, rows.get(job.id), now)
        row = None
        for job in gone:  # after a failure, the others wait for the next look
            is_usable = row is None or row.status
            row = await queue.kind.find(self._session, job) if is_usable else NO_NEWS
            self.learn_of(queue, job, row, self._clock.monotonic())

    def learn_of(self, queue: JobQueue, job: Job, row: Row | None, now: float) -> None:
        """Learn from the row of one job at a monotonic time; None if it is not known."""
        last_look, changed, age = job.last_look, job.learn(row, now), job.age(now)
        if changed:
            about = (job.kind.name, job.id, job.label, job.status, job.state.value)
            self._hook(StatusChanged(*about))
            if job.state.is_final:
                self._hook(JobEnded(*about, age))
        if job.state.is_final:
            queue.note_duration(job, last_look, now)
        else:
            queue.schedule(job, max(job.ripe, now + next_look(age, self._jitter())))
        queue.share(job, changed=changed)

    async def _failed(
        self, queue: JobQueue, jobs: Sequence[Job], error: errors.ConstantContactError
    ) -> None:
        """Ask for fewer jobs, try again later, or raise the error in the waiters."""
        # With fewer jobs, the others continue. An outage looks the same, so wait after a failure.
        fewer = isinstance(error, _OF_ONE) and queue.failed(jobs)
        if fewer and not isinstance(error, OF_ONE_OR_ALL):
            return
        if isinstance(error, _REFUSALS) or is_of_one(error):
            known = {} if isinstance(error, errors.NotFound) else {jobs[0].id: unreadable(error)}
            await self._learn(queue, jobs, known)
            return
        now = self._clock.monotonic()
        if isinstance(error, errors.DailyQuotaExceeded):
            wait = max(1.0, error.resets_at.timestamp() - self._clock.time())
            self.parked_until = now + wait
        else:
            # A job that has failed by itself before says nothing about the others.
            queue.failures += not fewer and jobs[0].failures <= 2
            # An outage may last for hours: limit the exponent, because a float would overflow.
            wait = next_look(2.0 ** min(max(queue.failures, jobs[0].failures), 10), self._jitter())
            if queue.failures >= SIGNS_OF_OUTAGE and jobs[0].due > -math.inf:
                queue.rests_until = now + wait
        for job in jobs:
            queue.schedule(job, now + wait)
            for waiter in queue.waiters.get(job, ()):
                if not _can_wait(waiter, error, wait, waiter.seconds_left(job, now)):
                    waiter.fail(error)
        logger.info("A status request for %d job(s) failed: %s", len(jobs), error.message)


def _can_wait(
    waiter: JobWaiter, error: errors.ConstantContactError, wait: float, left: float
) -> bool:
    """Return whether a waiter has time to wait until the request is retried."""
    if not error.safe_to_retry or waiter.until is Until.LOOK:
        return False
    return wait < left or not isinstance(error, errors.DailyQuotaExceeded)
