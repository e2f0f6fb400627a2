"""One round over all open jobs: ask for their status, enforce deadlines, dispatch the rest."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ccv2_async import errors
from ccv2_async.activities.split import combined_status
from ccv2_async.models.activities import Activity
from ccv2_async.polling.job import State
from ccv2_async.polling.schedule import LONGEST_WAIT, next_look
from ccv2_async.uploads.ledger import BulkState, after_end
from ccv2_async.workers.records import UPLOAD_TASK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ccv2_async.client import ConstantContact
    from ccv2_async.clock import Clock
    from ccv2_async.polling.job import Job
    from ccv2_async.polling.poller import ActivityPoller, UploadPoller
    from ccv2_async.workers.records import JobRecord
    from ccv2_async.workers.settings import WorkerSettings
    from ccv2_async.workers.stores import JobStore

    AnyPoller: TypeAlias = UploadPoller | ActivityPoller

logger: logging.Logger = logging.getLogger("ccv2_async.workers")

IN_A_REQUEST = 100
MOST_IN_A_ROUND = 1000
LEFT_BEHIND_IN_A_ROUND = 200
FIRST_PATIENCE = 300.0
LONGEST_REST = 25 * 3600.0  # until the quota of the next day
RESULT_WITHIN = 120.0  # as for any call: an activity may contradict the list, and still run


@attrs.frozen
class Round:
    """The result of a sweep.

    Attributes:
        looked_at: Jobs whose status was requested.
        settled: Jobs that ended.
        sent_again: Jobs that were put into the queue again because no worker had them.
    """

    looked_at: int = 0
    settled: int = 0
    sent_again: int = 0


@attrs.frozen
class Sweeper:
    """Checks all jobs of the store, and never waits for one.

    Attributes:
        store: The store of the records.
        client: The client that asks the service.
        clock: The clock.
        settings: The deadlines, and how long a queued job is left alone.
        enqueue: Puts a job into the queue.
        jitter: A source of numbers from 0 to 1.
    """

    store: JobStore
    client: ConstantContact
    clock: Clock
    settings: WorkerSettings
    enqueue: Callable[[JobRecord], Awaitable[object]]
    jitter: Callable[[], float] = random.random

    async def round(self) -> Round:
        """Ask for due jobs, settle ended ones, and queue abandoned ones again.

        Raises:
            StoreUnavailable: Nothing was lost; the next round does the work.
        """
        return Round(*await self._follow(), await self._recover())

    async def _follow(self) -> tuple[int, int]:
        """Ask for accepted jobs; return how many were checked, and how many have ended."""
        now, found = self.clock.time(), await self.store.upcoming("follow", MOST_IN_A_ROUND)
        # A job that is due later than that was recorded before the clock was set back.
        latest = now + 2 * LONGEST_WAIT
        found = [r if r.attend_at <= latest else attrs.evolve(r, attend_at=now) for r in found]
        jobs = worth_asking(found, now)
        followed: list[tuple[JobRecord, list[AnyPoller]]] = []
        learned: list[JobRecord] = []
        for record in jobs:
            try:
                followed.append((record, self._pollers(record)))
            except errors.TokenError as error:
                learned.append(ended(record, error))
        asked = await self._ask([token for record, _ in followed for token in record.tokens])
        learned += await asyncio.gather(*(self._learn(*each, asked=asked) for each in followed))
        for record in learned:
            await self.store.save(record)
        return len(jobs), sum(record.settled for record in learned)

    def _pollers(self, record: JobRecord) -> list[AnyPoller]:
        if not record.tokens:
            raise errors.TokenError(
                f"The record of job {record.key} has no resume token, so it cannot be followed. "
                "The service accepted the job; look for it in the account."
            )
        pollers = [self.client.resume(token) for token in record.tokens]
        for job in map(job_of, pollers):
            job.unknown = max(job.unknown, record.unknown)  # the client looks up a forgotten job
        return pollers

    async def _ask(self, tokens: Sequence[str]) -> bool:
        """Ask for the status of the jobs with these tokens; return whether that was possible."""
        if not tokens:
            return True
        try:
            await self.client.sweep(tokens)
        except errors.ConstantContactError as error:
            text = "The status of %d job(s) could not be read: %s The next round tries again."
            logger.warning(text, len(tokens), error.message, extra={"ccv2_event": "sweep_failed"})
            return False
        return True

    async def _learn(
        self, record: JobRecord, pollers: Sequence[AnyPoller], *, asked: bool
    ) -> JobRecord:
        """Return the record, updated from its pollers."""
        now = self.clock.time()
        age = now - (record.accepted if record.accepted is not None else record.created)
        if asked:
            record = seen(record, pollers)
            if all(poller.done for poller in pollers):
                try:
                    return await _outcome(record, pollers)
                except errors.ConstantContactError as error:
                    text = "The result of %s could not be read yet: %s"
                    logger.info(text, record.key, error.message)
        given, uploads = self.settings, record.task == UPLOAD_TASK
        limit = given.upload_deadline if uploads else given.activity_deadline
        # If the service cannot be asked, the job may have succeeded, so it gets twice the time.
        if age >= (limit if asked else 2 * limit):
            return ended(record, pollers[0].timed_out(limit))
        wait = min(next_look(age, self.jitter()), max(0.0, limit - age))
        tokens = tuple(poller.token() for poller in pollers)  # new ones hold the last status
        return attrs.evolve(record, tokens=tokens, attend_at=now + wait)

    async def _recover(self) -> int:
        """Queue the jobs that no worker has: a worker died, or it is time to try again."""
        now, again = self.clock.time(), self.settings.redeliver_seconds
        enqueued = 0
        for record in await self.store.upcoming("send", LEFT_BEHIND_IN_A_ROUND):
            # One that is due much later was recorded before the clock was set back.
            if now < record.attend_at <= now + max(LONGEST_REST, patience(record, now, again)):
                continue
            held = await self.store.is_held(record.lock, self.settings.lease_seconds)
            # While a worker has the job, another copy would only be postponed.
            wait = again if held else patience(record, now, again)
            await self.store.schedule(record.key, "send", now + wait)
            if not held:
                await self.enqueue(record)
                enqueued += 1
        return enqueued


def patience(record: JobRecord, now: float, redeliver_seconds: float) -> float:
    """Return the seconds for which a queued job is left alone. Pure.

    A job that no worker has taken yet may be in a long queue, where each copy makes the others wait
    longer. So it gets more time with each copy.
    """
    if record.state is BulkState.PENDING and not record.attempts:
        return max(FIRST_PATIENCE, redeliver_seconds, now - record.created)
    return redeliver_seconds


def worth_asking(jobs: Sequence[JobRecord], now: float) -> list[JobRecord]:
    """Return the jobs that are due, plus as many others as fit into the same requests. Pure.

    Args:
        jobs: Open jobs, the earliest due first.
        now: Seconds since 1970.
    """
    due = sum(len(job.tokens) for job in jobs if job.attend_at <= now)
    room = math.ceil(due / IN_A_REQUEST) * IN_A_REQUEST
    chosen: list[JobRecord] = []
    for job in jobs:
        room -= len(job.tokens)
        if room < 0 and job.attend_at > now:
            break
        chosen.append(job)
    return chosen


def ended(record: JobRecord, error: errors.ConstantContactError | None = None) -> JobRecord:
    """Return the record of a job that has ended, successfully or with an error."""
    return attrs.evolve(after_end(record, error), error_type=type(error).__name__ if error else "")


async def _outcome(record: JobRecord, pollers: Sequence[AnyPoller]) -> JobRecord:
    """Return the record of a job when all of its parts have ended.

    Raises:
        ConstantContactError: The result of an activity cannot be read now.
    """
    for poller in pollers:
        if poller.state is not State.SUCCEEDED:
            return ended(record, poller.failure())
    if record.task == UPLOAD_TASK:
        return ended(record)
    try:
        activities: list[Any] = [await poller.wait(timeout=RESULT_WITHIN) for poller in pollers]
    except errors.ActivityFailed as error:  # it contradicts the list of activities
        return ended(attrs.evolve(record, status=error.status), error)
    return ended(attrs.evolve(record, result=counts(activities)))


def seen(record: JobRecord, pollers: Sequence[AnyPoller]) -> JobRecord:
    """Return the record after a look at its jobs."""
    statuses = [poller.status for poller in pollers]
    status = statuses[0] if len(statuses) == 1 else combined_status(statuses)
    unknown = max(job.unknown for job in map(job_of, pollers))
    return attrs.evolve(record, status=status, unknown=unknown, looks=record.looks + 1)


def job_of(poller: AnyPoller) -> Job:
    """Return the job that a poller follows."""
    return poller._job  # noqa: SLF001  # ours


def counts(activities: Sequence[Any]) -> dict[str, Any]:
    """Return the IDs and counts of an activity, or the sums of its parts."""
    found = [activity for activity in activities if isinstance(activity, Activity)]
    return {
        "ids": [activity.id for activity in found],
        "contact_count": sum(activity.contact_count or 0 for activity in found),
        "error_count": sum(activity.error_count or 0 for activity in found),
    }
