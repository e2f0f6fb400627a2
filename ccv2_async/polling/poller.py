"""Awaitable pollers: the result of a job that the service is still working on.

Many pollers are awaited together in one task, with one status request for all of them.
"""

from __future__ import annotations

import math
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ccv2_async import errors
from ccv2_async.clock import in_dates
from ccv2_async.models import LibraryFile
from ccv2_async.models.validation import is_number
from ccv2_async.polling.job import Row, State
from ccv2_async.polling.look import OF_ONE_OR_ALL
from ccv2_async.polling.queue import JobWaiter, Until
from ccv2_async.polling.schedule import next_look
from ccv2_async.polling.sweep import JobSet
from ccv2_async.polling.token import TokenData, encode
from ccv2_async.text import one_line
from ccv2_async.transport.quota.leader import SharedWork, Waiter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping

    from ccv2_async.models.activities import Activity
    from ccv2_async.polling.job import Job, JobKind, Update
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.responses import JobKindName
    from ccv2_async.transport.calls.session import Session

Result_co = TypeVar("Result_co", covariant=True)
T = TypeVar("T")
E = TypeVar("E", bound=errors.JobError)

# These errors concern all jobs, so they are not the result of a single job.
_OF_ALL = (*errors.AFFECTS_EVERY_CALL, errors.DeadlineExceeded, errors.Forbidden)


class Poller(Generic[Result_co]):
    """A job of the service: await it for its result, or iterate over its changes of status.

    It makes no requests and has no task of its own: the callers that wait do the work. Any number
    of tasks may wait for it. Cancelling one loses nothing; awaiting it again gives the same result.
    """

    # Thousands of them may wait at the same time.
    __slots__ = ("__weakref__", "_job", "_session", "_sweep")

    def __init__(self, session: Session, sweep: Sweep, job: Job) -> None:
        self._session = session
        self._sweep = sweep
        self._job = job

    def __repr__(self) -> str:
        status = self.status or "not looked at yet"
        return one_line(f"<{type(self).__name__} {self.id} {status}>")

    def _repr_html_(self) -> str:
        """Return the job with a progress bar, which moves while it is pending, for notebooks."""
        from html import escape  # noqa: PLC0415  # in notebooks only

        filled = {State.PENDING: "", State.SUCCEEDED: ' value="1"'}.get(self.state, ' value="0"')
        return f"<progress{filled}></progress> {escape(repr(self)[1:-1])}"

    @property
    def id(self) -> str:
        """The service's ID of the job; for an upload, the ID of the file."""
        return self._job.id

    @property
    def kind(self) -> JobKindName:
        """The kind of the job: "upload" or "activity"."""
        return self._job.kind.name

    @property
    def status(self) -> str | None:
        """The last known status in the service's own word; None before the first look. No I/O."""
        return self._job.status

    @property
    def state(self) -> State:
        """The meaning of the status: pending, succeeded, failed or lost. No I/O."""
        return self._job.state

    @property
    def done(self) -> bool:
        """Whether the job has ended, as far as the client knows. No I/O."""
        return self._job.state.is_final

    @property
    def location(self) -> str:
        """The status URI that is followed, without the key."""
        return self._session.base_url + self._job.kind.path.format(self._job.id)

    @property
    def next_delay(self) -> float:
        """Seconds until the next look makes sense; 0 when it is due or the job has ended."""
        return 0.0 if self.done else max(0.0, self._job.due - self._session.clock.monotonic())

    def token(self) -> str:
        """Return a short string that resumes this job in another process: `client.resume(token)`.

        It holds no URL or secret, and has at most 400 characters. A token that was altered, or
        belongs to other credentials, is refused.
        """
        job, clock = self._job, self._session.clock
        credentials = self._session.credentials
        data = TokenData(
            kind=job.kind.name,
            id=job.id,
            account=credentials.fingerprint,
            submitted=int(in_dates(job.submitted)),
            expires=int(in_dates(job.submitted + job.kind.kept)),
            not_before=int(in_dates(clock.time() + self.next_delay)),
            status=job.status,
        )
        return encode(data, credentials.checksum)

    @property
    def _only_token(self) -> str:
        return self.token()

    def __await__(self) -> Generator[Any, None, Result_co]:
        """Return the result, like `wait()`."""
        return self.wait().__await__()

    async def wait(self, *, timeout: float | None = None) -> Result_co:
        """Wait for the job to end, and return its result.

        Args:
            timeout: The maximum number of seconds to wait. The default is 15 minutes for uploads
                and 24 hours for activities. 0 makes no request; to look once, use `poll_once`.

        Raises:
            InvalidField: The timeout is not a number.
            PollTimeout: The time, or a deadline of the client, ran out. The job continues, and
                waiting again is safe.
            JobError: The job failed; the exception carries its last status and its token.
            DailyQuotaExceeded: The next day's quota comes too late for this wait.
            ClientClosed: The client was closed; resume the job with its token.
            ConstantContactError: The service refused the status request. Waiting again is safe.
        """
        if timeout is not None and not is_number(timeout) and timeout != math.inf:
            raise errors.InvalidField("timeout", timeout, "it must be a number of seconds, or None")
        # Thousands of waiters hold this frame: each of its variables counts.
        timeout, waiter = self._limit(timeout), JobWaiter()
        if await self._sweep.wait(self._job, waiter, timeout) is None:
            raise self.timed_out(timeout)
        return await self._result(waiter.deadline, timeout, {self._job.kind: math.inf})

    async def poll_once(self) -> Update | None:
        """Look once, now, and return the status. For workers that must not wait.

        A job that has ended is not checked again. None means that the service does not know the
        job (yet), even if its token has a status. `next_delay` says when to look again.

        Raises:
            DeadlineExceeded: A deadline of the client passed first. Looking again is safe.
            ConstantContactError: The look failed. Looking again is safe if `safe_to_retry` is true.
        """
        waiter = JobWaiter(Until.LOOK)
        if await self._sweep.wait(self._job, waiter, self._session.time_left) is None:
            raise _too_late(f"status of {self._job.kind.name} {self._job.label}")
        return self._job.last_response

    async def __aiter__(self) -> AsyncIterator[Update]:
        """Yield every change of status, from the first one known to the final one.

        It ends after the final one, even if the job failed; await the poller for the exception.
        """
        seen = 0
        while True:
            for update in self._job.history[seen:]:
                seen += 1
                yield update
                if update.is_final:
                    return
            limit = self._limit(None)
            if await self._sweep.wait(self._job, JobWaiter(Until.CHANGE), limit) is None:
                raise self.timed_out(limit)

    def _limit(self, timeout: float | None) -> float:
        """Return the seconds to wait: the timeout, or the rest of the client's deadline."""
        return self._session.within(self._job.kind.deadline if timeout is None else timeout)

    async def _result(self, ends: float, limit: float, until: dict[JobKind, float]) -> Result_co:
        """Return the outcome; `PollTimeout` after `limit` seconds if it does not arrive in time."""
        try:
            return await self._outcome(ends, until)
        except TimeoutError as error:
            if isinstance(error, errors.ConstantContactError):
                raise
        raise self.timed_out(limit)

    async def _outcome(self, ends: float, until: dict[JobKind, float]) -> Result_co:
        """Return the result; `TimeoutError` if it does not arrive by a monotonic time.

        While the job's own resource says that it has not ended, look again. `until` holds the end
        of that for each kind of job; the first such look sets it if it is missing.
        """
        job = self._job
        if job.state is State.SUCCEEDED and job.result is None:
            await self._fetch(ends, until)
        if job.state is not State.SUCCEEDED:
            raise self.failure()
        result: Result_co = job.result
        return result

    async def _fetch(self, ends: float, until: dict[JobKind, float]) -> None:
        """Fetch the job's resource; one waiter does it for all, and another if that one leaves."""
        job, clock, waiter = self._job, self._session.clock, Waiter()
        work = self._sweep.fetching.setdefault(job, SharedWork(clock))

        async def fetch_for_all() -> None:
            async with self._session.while_open(f"the result of {job.kind.name} {job.label}"):
                with self._session.no_deadline():  # `ends` takes the deadline into account
                    result = await job.kind.fetch(self._session, job)
                _, state = job.kind.read(str(result.status or job.status))
                if state is State.PENDING:  # the list of jobs was ahead of the job itself
                    now = clock.monotonic()
                    if now > until.setdefault(job.kind, now + job.kind.deadline):
                        raise TimeoutError
                    await work.rest(next_look(job.age(now), 0.5))
                    return
            if state is not job.state:
                self._sweep.learn(job, Row(str(result.status), detail=result))
            job.result = result
            work.finish_all()
            del self._sweep.fetching[job]

        work.enter(waiter, ends - clock.monotonic())
        try:
            while not waiter.done:
                await work.lead_or_sleep(waiter, fetch_for_all)
        finally:
            work.leave(waiter)

    def failure(self) -> errors.JobError:
        """Return the exception for a job that did not succeed."""
        job = self._job
        if job.state is State.FAILED:
            return job.kind.failure(job, self.token())
        if job.unreadable:
            return self._error(
                errors.StatusUnreadable,
                f"the service answers, but the status of ID {job.id} cannot be read: "
                f"{job.unreadable.text}",
                "The client kept asking for over a minute. Look at the job in the account, or "
                "resume it with its token later.",
                row=job.unreadable.text,
            )
        return self._error(
            errors.JobNotFound,
            f"the service does not know the ID {job.id}",
            "It may have been deleted, or the service may no longer keep it.",
        )

    def timed_out(self, limit: float) -> errors.PollTimeout:
        """Return the exception for a wait of `limit` seconds that ended before the job did."""
        reason = f"still {self.status or 'without a status'}"
        advice = "The job continues on the server; wait again, or resume it by token."
        if self._job.state is State.SUCCEEDED:
            reason = f"it is {self.status}, but its record did not arrive"
            advice = "The job has ended; wait again for the record, or resume it by token."
        waited = f"after {round(limit, 1):g} s of waiting"
        return self._error(errors.PollTimeout, f"{reason} {waited}", advice)

    def _error(self, kind: type[E], reason: str, advice: str, **more: Any) -> E:
        """Return an exception about the job."""
        job, name = self._job, f"{self.kind} {self._job.label}"
        facts = {"id": job.id, "status": job.status, "token": self._only_token, **more}
        return kind.from_parts(name, reason, advice, **facts)


def _too_late(what: str) -> errors.DeadlineExceeded:
    """Return the exception for a look that was not done within the client's deadline."""
    reason, advice = "the service did not answer within the deadline", "Try again with more time."
    return errors.DeadlineExceeded.from_parts(what, reason, advice, sent="wholly")


class UploadPoller(Poller[LibraryFile]):
    """A file that the library has accepted, and is now checking and converting.

    Awaiting it gives the `LibraryFile`, with its URL and size, once the status is Active.

    Attributes:
        duplicates: IDs of extra copies that a lost response left in the folder.

    Source: "File upload status" page of the service's documentation.
    """

    __slots__ = ("duplicates",)

    def __init__(
        self, session: Session, sweep: Sweep, job: Job, *, duplicates: tuple[str, ...] = ()
    ) -> None:
        super().__init__(session, sweep, job)
        self.duplicates: tuple[str, ...] = duplicates


class ActivityPoller(Poller["Activity"]):
    """A bulk activity: an import, a removal, the clearing of lists, or an export.

    Awaiting it gives the `Activity` once its status is COMPLETE; its `errors` list the rows that
    failed.

    Source: "Bulk activities" pages of the service's documentation.
    """

    __slots__ = ()

    async def _outcome(self, ends: float, until: dict[JobKind, float]) -> Activity:
        # A summary of several activities lacks the row errors of one that failed.
        if self._job.state is State.FAILED and self._job.detail is None:
            with suppress(errors.ConstantContactError):
                await self._fetch(ends, until)
                self._job.detail = self._job.result
        return await super()._outcome(ends, until)


P = TypeVar("P", bound=Poller[Any])


async def as_they_end(
    pollers: Iterable[P], sweep: Sweep, session: Session
) -> AsyncGenerator[tuple[P, errors.PollTimeout | None], None]:
    """Yield each poller once its job has ended or its time has run out."""
    clock = session.clock
    by_job: dict[Job, list[P]] = {}
    for poller in pollers:
        by_job.setdefault(poller._job, []).append(poller)  # noqa: SLF001  # one module
    began = clock.monotonic()
    most = session.time_left
    # Those whose time runs out first come last.
    slowest = sorted(by_job, key=lambda job: -job.kind.deadline)
    with closing(JobSet(sweep, Until.END, by_job)) as waiting:
        while waiting:
            while slowest[-1] not in waiting:
                slowest.pop()
            limit = min(slowest[-1].kind.deadline, math.inf if most is None else max(0.0, most))
            left = max(0.0, began + limit - clock.monotonic())
            ended = await sweep.wait(waiting, timeout=left)
            job = ended or slowest[-1]
            waiting.discard(job)
            for poller in by_job[job]:
                yield poller, poller.timed_out(limit) if ended is None else None


async def outcomes(
    pollers: Iterable[Poller[T]], sweep: Sweep, session: Session, *, return_errors: bool
) -> list[T | errors.ConstantContactError]:
    """Return the results of all jobs in the order given, once all have ended.

    Raises:
        ConstantContactError: A job did not succeed, and errors are not returned.
    """
    listed = list(pollers)
    async with aclosing(as_they_end(listed, sweep, session)) as ended:
        late = {poller: overdue async for poller, overdue in ended if overdue is not None}
    results: list[T | errors.ConstantContactError] = []
    # Results that are behind their jobs share one limit; otherwise each would take all of its own.
    until: dict[JobKind, float] = {}
    for poller in listed:
        try:
            if poller in late:
                raise late[poller]
            limit = poller._limit(None)  # noqa: SLF001  # one module
            ends = session.clock.monotonic() + limit
            results.append(await poller._result(ends, limit, until))  # noqa: SLF001
        except errors.ConstantContactError as error:
            if not return_errors or isinstance(error, _OF_ALL):
                raise
            results.append(error)
    return results


async def statuses(
    jobs: Mapping[str, Job], sweep: Sweep, session: Session
) -> dict[str, Update | None]:
    """Look once, and return the status of each job; None if the service did not tell it.

    Raises:
        DeadlineExceeded: The client's deadline passed before all were looked at.
        ServerError: The service failed, and told the status of none.
        TransportError: The same, without a response.
    """
    # One upload may make the service fail. Requests for fewer uploads then show the others.
    trouble: errors.ConstantContactError | None = None
    listed = dict.fromkeys(jobs.values())
    failures, most = 0, 3 if sum(job.kind.name == "upload" for job in listed) > 1 else 1
    with closing(JobSet(sweep, Until.LOOK, listed)) as waiting:
        while waiting and failures < most:
            try:
                looked = await sweep.wait(waiting, timeout=session.time_left)
            except OF_ONE_OR_ALL as error:
                trouble, failures = error, failures + 1
                continue
            if looked is None:
                raise _too_late(f"status of {len(jobs)} jobs")
            failures = 0
        if trouble is not None and len(waiting) == len(listed):
            raise trouble
    return {key: job.last_response for key, job in jobs.items()}
