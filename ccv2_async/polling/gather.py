"""Many pollers awaited together, in one task and with one status request for all of them."""

from __future__ import annotations

import math
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, TypeVar

from ccv2_async.errors import (
    AuthenticationFailed,
    ClientClosed,
    ConstantContactError,
    DailyQuotaExceeded,
    DeadlineExceeded,
    Forbidden,
)
from ccv2_async.polling.poller import Poller, too_late
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from ccv2_async.errors import PollTimeout
    from ccv2_async.polling.job import Job, Update
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.session import Session

# These errors concern all jobs, so they are not the result of a single job.
_OF_ALL = (AuthenticationFailed, ClientClosed, DailyQuotaExceeded, DeadlineExceeded, Forbidden)

P = TypeVar("P", bound=Poller[Any])
T = TypeVar("T")


async def as_they_end(
    pollers: Iterable[P], sweep: Sweep, session: Session
) -> AsyncGenerator[tuple[P, PollTimeout | None], None]:
    """Yield each poller once its job has ended, or with the error that its time was up."""
    clock = session.clock
    by_job: dict[Job, list[P]] = {}
    for poller in pollers:
        by_job.setdefault(poller._job, []).append(poller)  # noqa: SLF001  # both are ours
    began = clock.monotonic()
    most = session.time_left
    # Those whose time is up first come last.
    slowest = sorted(by_job, key=lambda job: -job.kind.deadline)
    with closing(JobSet(sweep, Until.END)) as waiting:
        for job in by_job:
            waiting.add(job)
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
) -> list[T | ConstantContactError]:
    """Return the results of all jobs in the order given, once all have ended.

    Raises:
        ConstantContactError: A job did not succeed, and errors are not to be returned.
    """
    listed = list(pollers)
    async with aclosing(as_they_end(listed, sweep, session)) as ended:
        late = {poller: overdue async for poller, overdue in ended if overdue is not None}
    results: list[T | ConstantContactError] = []
    for poller in listed:
        try:
            if poller in late:
                raise late[poller]
            results.append(await poller)
        except ConstantContactError as error:
            if not return_errors or isinstance(error, _OF_ALL):
                raise
            results.append(error)
    return results


async def statuses(
    jobs: Mapping[str, Job], sweep: Sweep, session: Session
) -> dict[str, Update | None]:
    """Look once, and return the status of each job; None if the service does not know it (yet).

    Raises:
        DeadlineExceeded: The client's deadline passed before all were looked at.
    """
    with closing(JobSet(sweep, Until.LOOK)) as waiting:
        for job in jobs.values():
            waiting.add(job)
        while waiting:
            if await sweep.wait(waiting, timeout=session.time_left) is None:
                raise too_late(f"status of {len(jobs)} jobs")
    return {key: job.last_answer for key, job in jobs.items()}
