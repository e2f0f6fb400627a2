"""Start bulk activities: one call for each, in order, behind one poller."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import attrs

from ccv2_async import errors
from ccv2_async.activities.split import BulkPoller, Part, SplitJobs
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.models import Activity
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet
from ccv2_async.transport.calls.answers import is_id, job_id
from ccv2_async.transport.calls.call import UPLOAD_DEADLINE, Call, parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccv2_async.activities.row_errors import Lines
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.call import Answer
    from ccv2_async.transport.calls.retry import Effect
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.body import Body
    from ccv2_async.transport.quota.budget import Lane


@attrs.frozen
class Portion:
    """The content of one activity.

    Attributes:
        body: What is sent.
        lines: Where its lines stand in the whole.
    """

    body: Body
    lines: Lines


@attrs.frozen
class Start:
    """How to start an activity, or one for each of several portions.

    Attributes:
        path: Where it is sent.
        effect: What it does to the account.
        doing: What messages say is being done, such as "import of".
        label: What messages call the content: the file's name, or a description.
        portions: The content; one activity for each.
        lane: Who goes first when calls wait for the quota.
        query: Names and values.
        strict: Whether the poller raises if rows failed.
    """

    path: str
    effect: Effect
    doing: str
    label: str
    portions: Sequence[Portion]
    lane: Lane
    query: tuple[tuple[str, str], ...] = ()
    strict: bool = False

    def call(self, number: int) -> Call:
        """Return the call for one portion, counted from 0."""
        count = len(self.portions)
        part = f", part {number + 1} of {count}" if count > 1 else ""
        return Call(
            "POST",
            self.path,
            self.effect,
            f"{self.doing} {self.label}{part}",
            query=self.query,
            body=self.portions[number].body,
            lane=self.lane,
            deadline=UPLOAD_DEADLINE,
        )


class Starter:
    """Starts activities.

    Args:
        session: Where the calls go.
        sweep: What follows the jobs.
    """

    def __init__(self, session: Session, sweep: Sweep) -> None:
        self._session = session
        self._sweep = sweep
        self._splits = SplitJobs()

    async def start(self, start: Start) -> BulkPoller:
        """Start the activities, and return their poller.

        Raises:
            ConstantContactError: A call failed; the message says what was started before it.
        """
        parts: list[Part] = []
        for number, portion in enumerate(start.portions):
            try:
                answer = await self._send(start.call(number), parts)
                job = self._sweep.start(ACTIVITY, await started_id(answer), label=start.label)
            except errors.ConstantContactError as error:
                raise _after(error, parts, len(start.portions)) from None
            parts.append(Part(job, portion.lines))
        return BulkPoller(
            self._session,
            self._sweep,
            self._splits,
            parts,
            label=start.label,
            strict=start.strict,
        )

    async def _send(self, call: Call, parts: Sequence[Part]) -> Answer:
        """Send a call. If too many jobs run at once, wait for one that was started before."""
        with closing(JobSet(self._sweep, Until.END)) as waiting:
            for part in parts:
                waiting.add(part.job)
            while True:
                try:
                    return await self._session.send(call)
                except errors.DailyQuotaExceeded:
                    raise
                except errors.QuotaExceeded as error:
                    if not len(waiting):
                        raise
                    refused = error
                # Each wait for a job ends, this one as well.
                left = self._session.time_left
                limit = ACTIVITY.deadline if left is None else min(left, ACTIVITY.deadline)
                if await self._sweep.wait(waiting, timeout=limit) is None:
                    raise refused


async def started_id(answer: Answer) -> str:
    """Return the id of the activity that was started, from the body or the Location of an answer.

    Raises:
        OutcomeUnknown: It names no id. Safe to try again: look at the activities first.
    """
    try:
        named = (await parsed(answer, lambda answer: answer.read(Activity))).id
    except (errors.DecodeError, errors.OutcomeUnknown):
        named = ""
    if is_id(named):
        return named
    from_location = job_id("activity", answer.headers.get("location"))
    if from_location is None:
        raise errors.OutcomeUnknown(
            f"{answer.what}: the service accepted it ({answer.status}) but named no id. It is "
            "in the list of activities, the newest first. It was not sent again."
        )
    return from_location


def _after(
    error: errors.ConstantContactError, parts: Sequence[Part], count: int
) -> errors.ConstantContactError:
    """Add to an error which activities were started before it, and return it."""
    if parts:
        ids = ", ".join(part.id for part in parts)
        error.message += (
            f" Before it, {len(parts)} of {count} activities were started ({ids}) and continue. "
            "Starting all of it again is safe."
        )
        error.args = (error.message,)
    return error
