"""One round over all open jobs: their status, their deadlines, and what was left behind."""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ccv2_async import errors
from ccv2_async.activities.split import combined_status
from ccv2_async.models.activities import Activity
from ccv2_async.polling.job import State
from ccv2_async.polling.schedule import is_lost, next_look
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers.records import UPLOAD_TASK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ccv2_async.client import ConstantContact
    from ccv2_async.clock import Clock
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


@attrs.frozen
class Round:
    """What a sweep found.

    Attributes:
        looked_at: Jobs whose status was asked for.
        settled: Jobs that came to their end.
        sent_again: Jobs that were handed out again, because no worker had them.
    """

    looked_at: int = 0
    settled: int = 0
    sent_again: int = 0


@attrs.frozen
class Sweeper:
    """Looks after all jobs of the store; never waits for one.

    Attributes:
        store: Where the records are.
        client: The client that asks the service.
        clock: The time.
        settings: The deadlines, and how long a job that was handed out is left alone.
        hand_out: Gives a job to a worker.
        jitter: A source of numbers from 0 to 1.
    """

    store: JobStore
    client: ConstantContact
    clock: Clock
    settings: WorkerSettings
    hand_out: Callable[[JobRecord], Awaitable[object]]
    jitter: Callable[[], float] = random.random

    async def round(self) -> Round:
        """Ask for what is due, settle what has ended, hand out what was left behind.

        Raises:
            StoreUnavailable: Nothing was lost; the next round does it.
        """
        looked_at, settled = await self._follow()
        return Round(looked_at, settled, await self._recover())

    async def _follow(self) -> tuple[int, int]:
        open_jobs = await self.store.upcoming("follow", MOST_IN_A_ROUND)
        jobs = worth_asking(open_jobs, self.clock.time())
        pollers: dict[str, list[AnyPoller]] = {}
        refused: list[JobRecord] = []
        for record in jobs:
            try:
                pollers[record.key] = self._pollers(record)
            except errors.TokenError as error:
                refused.append(self._ended(record, BulkState.FAILED, error))
        tokens = [token for record in jobs if record.key in pollers for token in record.tokens]
        asked = await self._ask(tokens)
        learned = [
            await self._learn(record, pollers[record.key], asked=asked)
            for record in jobs
            if record.key in pollers
        ]
        for record in (*refused, *learned):
            await self.store.save(record)
        return len(jobs), sum(record.settled for record in (*refused, *learned))

    def _pollers(self, record: JobRecord) -> list[AnyPoller]:
        if not record.tokens:
            raise errors.TokenError(
                f"The record of job {record.key} has no resume token, so it cannot be followed. "
                "It was accepted: look for it in the account."
            )
        return [self.client.resume(token) for token in record.tokens]

    async def _ask(self, tokens: Sequence[str]) -> bool:
        """Bring the jobs of these tokens up to date; whether that was possible."""
        if not tokens:
            return True
        try:
            await self.client.sweep(tokens)
        except errors.ConstantContactError as error:
            logger.warning(
                "The status of %d jobs could not be read: %s It is read again in the next round.",
                len(tokens),
                error.message,
                extra={"ccv2_event": "sweep_failed"},
            )
            return False
        return True

    async def _learn(
        self, record: JobRecord, pollers: Sequence[AnyPoller], *, asked: bool
    ) -> JobRecord:
        """The record with what the pollers know now."""
        now = self.clock.time()
        age = now - (record.accepted if record.accepted is not None else record.created)
        if asked:
            record = seen(record, pollers)
            ended = await self._outcome(record, pollers)
            if ended is not None:
                return ended
        limit = (
            self.settings.upload_deadline
            if record.task == UPLOAD_TASK
            else self.settings.activity_deadline
        )
        # While the service cannot be asked, a job may have ended well: it gets as long again.
        if age >= (limit if asked else 2 * limit):
            return self._ended(record, BulkState.FAILED, pollers[0].timed_out(limit))
        if record.unknown and is_lost(age, record.unknown):
            missing = next(filter(_missing, pollers), pollers[0])
            return self._ended(record, BulkState.FAILED, missing.failure())
        wait = next_look(age, self.jitter())
        due = now + min(wait, max(0.0, limit - age))
        # New tokens hold the last status.
        return attrs.evolve(
            record, tokens=tuple(poller.token() for poller in pollers), attend_at=due
        )

    async def _outcome(self, record: JobRecord, pollers: Sequence[AnyPoller]) -> JobRecord | None:
        """The record of a job that has ended; None while any part of it goes on."""
        if not all(poller.done for poller in pollers):
            return None
        failed = [poller for poller in pollers if poller.state is not State.SUCCEEDED]
        if failed:
            return self._ended(record, BulkState.FAILED, failed[0].failure())
        if record.task == UPLOAD_TASK:
            return self._ended(record, BulkState.DONE)
        try:
            activities: list[Any] = [await poller.wait() for poller in pollers]
        except errors.ConstantContactError as error:
            logger.info("The result of %s could not be read yet: %s", record.key, error.message)
            return None
        return self._ended(attrs.evolve(record, result=counts(activities)), BulkState.DONE)

    def _ended(
        self,
        record: JobRecord,
        state: BulkState,
        error: errors.ConstantContactError | None = None,
    ) -> JobRecord:
        return attrs.evolve(
            record,
            state=state,
            error="" if error is None else error.message,
            error_type="" if error is None else type(error).__name__,
            final=error is not None,
        )

    async def _recover(self) -> int:
        """Hand out the jobs that nobody is at work on: their worker died, or it is time again."""
        now = self.clock.time()
        handed_out = 0
        again = self.settings.redeliver_seconds
        for record in await self.store.upcoming("send", LEFT_BEHIND_IN_A_ROUND):
            if record.attend_at > now:
                break
            held = await self.store.is_held(record.lock)
            # While somebody is at it, another copy would only be sent away again.
            wait = again if held else patience(record, now, again)
            await self.store.schedule(record.key, "send", now + wait)
            if not held:
                await self.hand_out(record)
                handed_out += 1
        return handed_out


def patience(record: JobRecord, now: float, redeliver_seconds: float) -> float:
    """Seconds for which a job that was handed out is left to the queue. Pure.

    One that no worker has taken up yet may stand in a long queue, where every copy of it makes
    the others wait longer: it is given more time each time.
    """
    if record.state is BulkState.PENDING and not record.attempts:
        return max(FIRST_PATIENCE, redeliver_seconds, now - record.created)
    return redeliver_seconds


def worth_asking(jobs: Sequence[JobRecord], now: float) -> list[JobRecord]:
    """The jobs that are due, and as many more as ride along in the same requests. Pure.

    Args:
        jobs: Open jobs, the one that is due first at the front.
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


def seen(record: JobRecord, pollers: Sequence[AnyPoller]) -> JobRecord:
    """The record after a look, whatever it said."""
    statuses = [poller.status for poller in pollers]
    status = statuses[0] if len(statuses) == 1 else combined_status(statuses)
    unknown = record.unknown + 1 if any(map(_missing, pollers)) else 0
    return attrs.evolve(record, status=status, unknown=unknown, looks=record.looks + 1)


def _missing(poller: AnyPoller) -> bool:
    """Return whether the last look told nothing of the job that can be used."""
    job = poller._job  # noqa: SLF001  # all are ours
    return bool(job.unknown or job.unreadable)


def counts(activities: Sequence[Any]) -> dict[str, Any]:
    """What an activity, or the parts of one, came to."""
    found = [activity for activity in activities if isinstance(activity, Activity)]
    return {
        "ids": [activity.id for activity in found],
        "contact_count": sum(activity.contact_count or 0 for activity in found),
        "error_count": sum(activity.error_count or 0 for activity in found),
    }
