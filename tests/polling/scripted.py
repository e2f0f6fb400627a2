"""Jobs whose status requests the test answers, without a socket."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async import errors
from ccv2_async.models import FileStatus
from ccv2_async.models.activities import ACTIVITY_OUTCOMES, ActivityStatus
from ccv2_async.models.library import FILE_OUTCOMES
from ccv2_async.observe import Hook
from ccv2_async.polling.job import JobKind, Row
from ccv2_async.polling.poller import Poller
from ccv2_async.polling.sweep import Sweep
from ccv2_async.transport.calls.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from ccv2_async.polling.job import Job
    from tests.support.clocks import ManualClock

DAY = 86_400.0


@attrs.define
class FakeBudget:
    """The parts of a budget that the sweep reads."""

    per_second: float | None = None
    contended: bool = False


@attrs.define(eq=False)
class FakeSession:
    """The parts of a session that the sweep and its pollers read."""

    clock: ManualClock
    budget: FakeBudget = attrs.field(factory=FakeBudget)
    credentials: Credentials = attrs.field(factory=lambda: Credentials("key", "token"))
    base_url: str = "http://service/v2"
    hook: Hook = attrs.field(factory=Hook)
    time_left: float | None = None

    def within(self, seconds: float) -> float:
        return seconds if self.time_left is None else min(seconds, max(0.0, self.time_left))

    def while_open(self, what: str) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def no_deadline(self) -> AbstractContextManager[None]:
        return nullcontext()

    def require_loop(self, what: str) -> None:
        pass


@attrs.define(eq=False)
class Request:
    """A status request in flight."""

    kind: str
    ids: tuple[str, ...]
    answer: asyncio.Future[Mapping[str, Row]]


class Result(str):
    """A result without a status of its own."""

    __slots__ = ()
    status = None


class Service:
    """A service that answers when the test says so.

    Attributes:
        statuses: The true status of each job; None for an unknown job.
        on_their_way: The requests without a response so far.
        requests: All requests: kind and IDs.
        fetched: The IDs whose result was fetched.
        busiest: The maximum number of requests of one kind that were in flight at a time.
        by_itself: Whether requests are answered immediately.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.session = FakeSession(clock)
        self.sweep = Sweep(self.session, jitter=lambda: 0.5)  # type: ignore[arg-type]  # enough of one
        self.statuses: dict[str, str | None] = {}
        self.on_their_way: list[Request] = []
        self.requests: list[tuple[str, tuple[str, ...]]] = []
        self.fetched: list[str] = []
        self.busiest = 0
        self.by_itself = False
        self.kinds = {
            "upload": self._kind("upload", FILE_OUTCOMES, 100, 900.0, errors.UploadFailed),
            "activity": self._kind("activity", ACTIVITY_OUTCOMES, 50, DAY, errors.ActivityFailed),
        }

    def _kind(
        self,
        name: Any,
        outcomes: Mapping[Any, Any],
        most: int,
        deadline: float,
        failed: type[errors.JobError],
    ) -> JobKind:
        async def ask(session: Any, ids: Sequence[str]) -> Mapping[str, Row]:
            return await self._ask(name, tuple(ids))

        async def fetch(session: Any, job: Job) -> Result:
            self.fetched.append(job.id)
            await asyncio.sleep(0)
            return Result(f"result of {job.id}")

        def failure(job: Job, token: str) -> errors.JobError:
            return failed(f"{job.id} failed", id=job.id, status=job.status, token=token)

        return JobKind(
            name=name,
            path=f"/{name}/{{}}",
            outcomes=outcomes,
            most=most,
            deadline=deadline,
            kept=14 * DAY,
            ask=ask,
            fetch=fetch,
            failure=failure,
        )

    async def _ask(self, kind: str, ids: tuple[str, ...]) -> Mapping[str, Row]:
        self.requests.append((kind, ids))
        if self.by_itself:
            await asyncio.sleep(0)
            return self.rows(ids)
        request = Request(kind, ids, asyncio.get_running_loop().create_future())
        self.on_their_way.append(request)
        same = sum(other.kind == kind for other in self.on_their_way)
        self.busiest = max(self.busiest, same)
        try:
            return await request.answer
        finally:
            self.on_their_way.remove(request)

    def rows(self, ids: Sequence[str]) -> dict[str, Row]:
        """Return the service's response for these jobs, including rows of other jobs."""
        found = {id_: Row(status) for id_ in ids if (status := self.statuses.get(id_)) is not None}
        return {"foreign": Row("Active"), **found}

    def answer(self) -> None:
        """Answer the requests in flight."""
        for request in self.on_their_way:
            if not request.answer.done():
                request.answer.set_result(self.rows(request.ids))

    def fail(self, error: errors.ConstantContactError) -> None:
        """Fail the requests in flight."""
        for request in self.on_their_way:
            if not request.answer.done():
                request.answer.set_exception(error)

    def start(self, kind: str, id_: str) -> Poller[str]:
        """A poller of a new job."""
        first = FileStatus.UPLOADED if kind == "upload" else ActivityStatus.PENDING
        self.statuses[id_] = str(first)
        return self.poller(self.sweep.start(self.kinds[kind], id_))

    def poller(self, job: Job) -> Poller[str]:
        """Another poller of a job."""
        return Poller(self.session, self.sweep, job)  # type: ignore[arg-type]  # enough of one


def refusal(status: int) -> errors.APIError:
    """The exception for a status request that was refused as a whole."""
    kind = errors.NotFound if status == 404 else errors.BadRequest
    return kind(f"refused with {status}", status=status)
