"""Many jobs, one status request: the waiters themselves drive the polling.

Nobody polls when nobody waits. One of the waiters leads: it sleeps until the earliest look is
due, asks for every due job of that kind in one request (with others that are nearly due riding
along free), wakes those whose job has changed, and hands the lead on when its own job is done or
it is cancelled. So there is no background task, and at most one status request in flight.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import weakref
from collections import defaultdict
from typing import TYPE_CHECKING

from ccv2_async import errors
from ccv2_async.observe import JobEnded, JobStarted, Polled, StatusChanged
from ccv2_async.polling.deadlines import Deadlines
from ccv2_async.polling.job import HOLE, UNTOLD, Job, State
from ccv2_async.polling.schedule import (
    BatchSize,
    Typical,
    first_look,
    is_lost,
    is_unreadable,
    next_look,
    spacing,
)
from ccv2_async.polling.watchers import Until, WatchedJobs, Watcher
from ccv2_async.transport.quota.leader import Baton

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ccv2_async.polling.job import JobKind, Row
    from ccv2_async.transport.calls.answers import JobKindName
    from ccv2_async.transport.calls.session import Session

logger: logging.Logger = logging.getLogger("ccv2_async.polling")

# A refusal of the whole request, not of one job: ask for fewer.
_TOO_MANY = frozenset({400, 404, 413, 414})
_FOREVER = 3600.0


class Sweep:
    """All jobs of one client.

    Args:
        session: Where status requests go.
        jitter: A source of numbers from 0 to 1.
    """

    def __init__(self, session: Session, *, jitter: Callable[[], float] = random.random) -> None:
        self._session = session
        self._clock = session.clock
        self._hook = session.hook
        self._jitter = jitter
        self._jobs: defaultdict[JobKindName, weakref.WeakValueDictionary[str, Job]] = defaultdict(
            weakref.WeakValueDictionary
        )
        self._watched: dict[Job, tuple[Watcher, ...]] = {}
        self._due: dict[JobKind, list[tuple[float, str]]] = {}
        self._baton = Baton()
        self._deadlines = Deadlines(session.clock)
        self._poke = asyncio.Event()
        self._sleeping_until = 0.0
        self._typical: dict[JobKindName, Typical] = {}
        self._batches: dict[JobKindName, BatchSize] = {}
        self._trouble_in_a_row = 0
        self._urgent: set[Job] = set()
        self._last_look: dict[JobKindName, float] = {}
        self._full: set[JobKindName] = set()
        self._parked_until = 0.0
        self._closed = False

    def close(self) -> None:
        """End every wait with `ClientClosed`, at once; the jobs go on at the service."""
        self._closed = True
        for job, watchers in tuple(self._watched.items()):
            for watcher in watchers:
                self._tell_trouble(watcher, _closed(job))
        self._poke.set()

    def started(self, kind: JobKind, id: str, *, label: str = "") -> Job:  # noqa: A002  # the service's own word
        """The job that a call has just started."""
        now = self._clock.monotonic()
        job = self._jobs[kind.name].get(id)
        if job is None:
            job = Job(
                kind=kind,
                id=id,
                submitted=self._clock.time(),
                submitted_here=now,
                due=now + first_look(self._typical_of(kind).seconds),
                label=label or id,
            )
            self._jobs[kind.name][id] = job
            if self._hook.active:
                self._hook(JobStarted(kind.name, id, job.label))
        return job

    def resumed(
        self,
        kind: JobKind,
        id: str,  # noqa: A002  # the service's own word
        *,
        submitted: float,
        not_before: float,
        status: str | None,
    ) -> Job:
        """The job that a token names; the same one that other pollers of it share.

        One that was given up because its status could not be read is asked for again.
        """
        job = self._jobs[kind.name].get(id)
        if job is None or (job.unreadable and job.state.is_final):
            wait = min(max(0.0, not_before - self._clock.time()), 10.0)
            job = Job(
                kind=kind,
                id=id,
                submitted=submitted,
                submitted_here=None,
                due=self._clock.monotonic() + wait,
                label=id,
            )
            if status is not None:
                # A final status is asked for once more: the token may have been made long ago.
                word, state = kind.read(status)
                job.change(word, State.PENDING if state.is_final else state)
            self._jobs[kind.name][id] = job
        return job

    async def until(self, job: Job, until: Until, limit: float | None = None) -> None:
        """Return when the job has changed, ended or been looked at, as `until` says.

        Raises:
            ConstantContactError: The service refuses to be asked; waiting again is safe.
            TimeoutError: It took longer than `limit` seconds.
        """
        watcher = self.enter(job, until, limit)
        try:
            while not watcher.done:
                await self.turn(watcher)
        finally:
            self.leave(watcher, job)
        watcher.raise_trouble()

    def enter(self, job: Job, until: Until, limit: float | None = None) -> Watcher:
        """A new watcher of the job.

        Until it is done, each `turn` is to be awaited; then, or when that raises, it is to `leave`,
        and then to raise its trouble. It is what `until` does, for those who save its frame.
        """
        watcher = Watcher(until, limit)
        self.watch(watcher, job)
        if limit is not None:
            self._deadlines.enter(watcher, limit)
        return watcher

    def turn(self, watcher: Watcher) -> Awaitable[None]:
        """What the watcher awaits next.

        Raises:
            TimeoutError: Its time is up; awaiting the turn may raise it too.
        """
        limit = watcher.limit
        if limit is None:
            return self._baton.turn(watcher, self._step)
        left = self._deadlines.left(watcher, limit)
        if left <= 0.0 < limit:  # who was given no time at all still yields to the loop once
            raise TimeoutError
        if self._baton.is_led and not self._deadlines.is_first(watcher, limit):
            return self._baton.turn(watcher, self._step)
        return self._timed_turn(watcher, left)

    async def _timed_turn(self, watcher: Watcher, seconds: float) -> None:
        async with self._clock.timeout(seconds):
            await self._baton.turn(watcher, self._step)

    def leave(self, watcher: Watcher, job: Job) -> float | None:
        """Let the watcher, done or not, wait no longer; the seconds it had left, if limited."""
        self.unwatch(watcher, job)
        limit = watcher.limit
        left = None if limit is None else self._deadlines.leave(watcher, limit)
        self._baton.leave(watcher)
        return left

    def watching(self, until: Until) -> WatchedJobs:
        """An empty set of jobs to wait for together; close it when done with it."""
        return WatchedJobs(self, until)

    def _typical_of(self, kind: JobKind) -> Typical:
        return self._typical.setdefault(kind.name, Typical())

    def _batch_of(self, kind: JobKind) -> BatchSize:
        batch = self._batches.get(kind.name)
        if batch is None:
            batch = self._batches[kind.name] = BatchSize(kind.most)
        return batch

    async def drive(self, watcher: Watcher) -> None:
        """Return when the watcher is done; it leads or follows until then."""
        await self._baton.drive(watcher, self._step)

    def watch(self, watcher: Watcher, job: Job) -> None:
        """Let the watcher know of the job what it waits for.

        Raises:
            UsageError: The client was opened in another event loop.
        """
        if job.state.is_final:
            watcher.fire(job)
            self._baton.finish(watcher)
            return
        if self._closed:
            self._tell_trouble(watcher, _closed(job))
            return
        self._session.require_loop(f"waiting for {job.kind.noun} {job.label}")
        now = self._clock.monotonic()
        # Others may have the time to wait for the next day's quota. For who comes now the job is
        # asked for again, which the budget refuses without a call, and it is decided for itself.
        if watcher.until is Until.LOOK or now < self._parked_until <= job.due:
            job.due = now
            self._urgent.add(job)
        self._watched[job] = (*self._watched.get(job, ()), watcher)
        self._schedule(job)

    def unwatch(self, watcher: Watcher, job: Job) -> None:
        """Stop telling the watcher about the job."""
        watchers = self._watched.get(job)
        if watchers is None:
            return
        others = tuple(other for other in watchers if other is not watcher)
        if others:
            self._watched[job] = others
        else:
            self._let_go(job)

    def _let_go(self, job: Job) -> None:
        """Watch a job no longer."""
        del self._watched[job]
        self._urgent.discard(job)
        if not self._watched:
            for due in self._due.values():
                due.clear()  # what is left is stale

    def _schedule(self, job: Job) -> None:
        heapq.heappush(self._due.setdefault(job.kind, []), (job.due, job.id))
        if job.due < self._sleeping_until:
            self._poke.set()

    def _next_due(self, kind: JobKind) -> Job | None:
        """The watched job that is due first; entries of others are stale and dropped."""
        due = self._due[kind]
        while due:
            job = self._due_job(kind, *due[0])
            if job is not None:
                return job
            heapq.heappop(due)
        return None

    def _due_job(self, kind: JobKind, at: float, id: str) -> Job | None:  # noqa: A002  # the service's own word
        """The job of an entry, unless the entry is stale: nobody watches, or it is due later."""
        job = self._jobs[kind.name].get(id)
        return job if job in self._watched and job.due == at else None

    async def _step(self) -> None:
        now = self._clock.monotonic()
        earliest, first = now + _FOREVER, None
        for kind in self._due:
            job = self._next_due(kind)
            if job is not None and self._when(job) < earliest:
                earliest, first = self._when(job), kind
        if first is None or earliest > now:
            await self._sleep(earliest - now)
        else:
            await self._look(first)

    def _when(self, job: Job) -> float:
        """When to ask: when the job is due, but not too soon after the last request."""
        last = self._last_look.get(job.kind.name)
        contended = self._session.budget.contended
        # A full request may have left some behind that are due: with quota to spare, go on.
        more = job.kind.name in self._full and not contended
        if last is None or job in self._urgent or more:
            return job.due
        apart = spacing(
            typical=self._typical_of(job.kind).seconds,
            per_second=self._session.budget.per_second,
            contended=contended,
        )
        return max(job.due, last + apart)

    async def _sleep(self, seconds: float) -> None:
        self._poke.clear()
        self._sleeping_until = self._clock.monotonic() + seconds
        try:
            async with self._clock.timeout(seconds):
                await self._poke.wait()
        except TimeoutError:
            pass
        finally:
            self._sleeping_until = 0.0

    def _batch(self, kind: JobKind) -> list[Job]:
        """The jobs of the next request: the due ones, and free riders in the order they are due."""
        size = self._batch_of(kind).size
        batch: dict[Job, None] = {}
        due = self._due[kind]
        while due and len(batch) < size:
            job = self._due_job(kind, *heapq.heappop(due))
            if job is not None:
                batch[job] = None
        return list(batch)

    async def _look(self, kind: JobKind) -> None:
        jobs = self._batch(kind)
        began = self._last_look[kind.name] = self._clock.monotonic()
        if len(jobs) == self._batch_of(kind).size:
            self._full.add(kind.name)
        else:
            self._full.discard(kind.name)
        asked = False
        try:
            # Whoever leads looks for all, who may have more time.
            with self._session.no_deadline():
                rows = await kind.ask(self._session, [job.id for job in jobs])
            asked = True
        except (errors.NotFound, errors.BadRequest, errors.DecodeError) as error:
            self._refused(jobs, error)
        except errors.ConstantContactError as error:
            self._troubled(jobs, error)
        finally:
            if not asked:
                # Failed or cancelled: nothing was learned, so every job is due again.
                for job in jobs:
                    if job in self._watched:
                        self._schedule(job)
        if asked:
            self._answered(kind, jobs, rows, self._clock.monotonic() - began)

    def _answered(
        self, kind: JobKind, jobs: list[Job], rows: Mapping[str, Row], took: float
    ) -> None:
        self._trouble_in_a_row = 0
        self._parked_until = 0.0
        if any(row is HOLE for row in rows.values()):
            self._batch_of(kind).refused(len(jobs))  # who stands behind it shows with fewer
        else:
            self._batch_of(kind).accepted(len(jobs))
        if self._hook.active:
            ids = tuple(job.id for job in jobs)
            self._hook(Polled(kind.name, ids, len(ids), len(rows), took))
        self._learn(jobs, rows)

    def _refused(
        self, jobs: list[Job], error: errors.NotFound | errors.BadRequest | errors.DecodeError
    ) -> None:
        # One of them may be why an answer cannot be read: with fewer, the others go on.
        fewer = isinstance(error, errors.DecodeError) or error.status in _TOO_MANY
        if fewer and self._batch_of(jobs[0].kind).refused(len(jobs)):
            return
        if isinstance(error, errors.NotFound):
            self._learn(jobs, {})
            return
        self._troubled(jobs, error)

    def _troubled(self, jobs: list[Job], error: errors.ConstantContactError) -> None:
        """A status request failed: try again what may pass, report what will not."""
        now = self._clock.monotonic()
        if isinstance(error, errors.DailyQuotaExceeded):
            wait = max(1.0, error.resets_at.timestamp() - self._clock.time())
            self._parked_until = now + wait
        else:
            self._trouble_in_a_row += 1
            # An outage may last for hours: the power is bounded before a float is not.
            wait = next_look(2.0 ** min(self._trouble_in_a_row, 10), self._jitter())
        for job in jobs:
            job.due = now + wait
            for watcher in self._watched.get(job, ()):
                if not self._bears(watcher, job, error, wait):
                    self._tell_trouble(watcher, error)
        logger.info("a status request for %d jobs failed: %s", len(jobs), error.message)

    def _bears(
        self, watcher: Watcher, job: Job, error: errors.ConstantContactError, wait: float
    ) -> bool:
        """Whether the watcher can wait so many seconds until it is tried again."""
        if not error.safe_to_retry or watcher.until is Until.LOOK:
            return False
        if watcher.limit is None:
            return wait < job.kind.deadline
        if isinstance(error, errors.DailyQuotaExceeded):
            return wait < self._deadlines.left(watcher, watcher.limit)
        return True  # until its time is up

    def _tell_trouble(self, watcher: Watcher, trouble: errors.ConstantContactError) -> None:
        watcher.trouble = trouble
        self._baton.finish(watcher)

    def _learn(self, jobs: list[Job], rows: Mapping[str, Row]) -> None:
        now = self._clock.monotonic()
        for job in jobs:
            self._urgent.discard(job)
            before = job.last_look
            job.looks += 1
            job.last_look = now
            row = rows.get(job.id)
            if row is None:
                changed = self._not_known(job)
            elif row is UNTOLD or row is HOLE:
                changed = False
            elif row.unreadable:
                changed = self._not_readable(job, row, now)
            else:
                changed = self._known(job, row)
            if changed and self._hook.active:
                self._tell_hook(job)
            if job.state.is_final:
                self._remember_duration(job, before, now)
            else:
                job.due = max(job.ripe, now + next_look(self._age(job), self._jitter()))
            self._tell(job, changed=changed)
            if job in self._watched:
                self._schedule(job)

    def _known(self, job: Job, row: Row) -> bool:
        job.unknown = job.unreadable_looks = 0
        job.unreadable = ""
        job.detail = row.detail
        word, state = job.kind.read(row.status)
        return job.change(word, state, row.description)

    def _not_readable(self, job: Job, row: Row, now: float) -> bool:
        if not job.unreadable_looks:
            job.unreadable_since = now
            logger.info("The status of %s %s cannot be read.", job.kind.noun, job.label)
        job.unreadable_looks += 1
        job.unreadable = row.unreadable
        if is_unreadable(now - job.unreadable_since, job.unreadable_looks):
            return job.change(None, State.LOST)
        return False

    def _not_known(self, job: Job) -> bool:
        job.unknown += 1
        if is_lost(self._age(job), job.unknown):
            return job.change(None, State.LOST)
        return False

    def _age(self, job: Job) -> float:
        return max(0.0, self._clock.time() - job.submitted)

    def _remember_duration(self, job: Job, before: float | None, now: float) -> None:
        """It ended somewhere between the look before and this one: take the middle."""
        if job.submitted_here is not None and job.state is State.SUCCEEDED:
            earliest = before if before is not None else job.submitted_here
            self._typical_of(job.kind).add((earliest + now) / 2.0 - job.submitted_here)

    def _tell_hook(self, job: Job) -> None:
        kind, state = job.kind.name, job.state.value
        self._hook(StatusChanged(kind, job.id, job.label, job.status, state))
        if job.state.is_final:
            self._hook(JobEnded(kind, job.id, job.label, job.status, state, self._age(job)))

    def _tell(self, job: Job, *, changed: bool) -> None:
        for watcher in self._watched.get(job, ()):
            until = watcher.until
            if until is Until.LOOK or job.state.is_final or (changed and until is Until.CHANGE):
                watcher.fire(job)
                self._baton.finish(watcher)
        if job.state.is_final and job in self._watched:
            self._let_go(job)


def _closed(job: Job) -> errors.ClientClosed:
    return errors.ClientClosed(
        f"{job.kind.noun} {job.label}: the client was closed while this waited for it. It goes on "
        "at the service; resume it by its token."
    )
