"""Start bulk activities: one call for each, in order, with one poller for all of them."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import attrs

from ccv2_async import errors
from ccv2_async.activities.split import BulkPoller, Lines, Part, SplitJobs
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.models import Activity
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet
from ccv2_async.transport.calls.call import UPLOAD_DEADLINE, Call, confirmed, parsed
from ccv2_async.transport.calls.responses import is_id, job_id, without_id
from ccv2_async.transport.calls.retry import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.call import Response
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.body import Body
    from ccv2_async.transport.quota import Lane


@attrs.frozen
class Operation:
    """A kind of bulk activity.

    Attributes:
        path: The path to send it to.
        doing: The action for messages.
    """

    path: str
    doing: str


IMPORT = Operation("/activities/addcontacts", "import of")
REMOVAL = Operation("/activities/removefromlists", "removal of")
CLEARING = Operation("/activities/clearlists", "clearing")
EXPORT = Operation("/activities/exportcontacts", "export of")


# The split jobs of each client. Its views share them, because the sweep never forgets a kind.
_SPLITS: WeakKeyDictionary[Sweep, SplitJobs] = WeakKeyDictionary()


@attrs.frozen
class Portion:
    """The content of one activity.

    Attributes:
        body: The request body.
        lines: The place of its lines in the original file.
    """

    body: Body
    lines: Lines = Lines()  # noqa: RUF009  # it is frozen


class Starter:
    """Starts activities.

    Args:
        session: Sends the calls.
        sweep: Follows the jobs.
    """

    def __init__(self, session: Session, sweep: Sweep) -> None:
        self._session = session
        self._sweep = sweep
        self._splits = _SPLITS.setdefault(sweep, SplitJobs())

    async def start(
        self,
        operation: Operation,
        portions: Sequence[Portion],
        *,
        label: str,
        lane: Lane,
        query: tuple[tuple[str, str], ...] = (),
        strict: bool = False,
    ) -> BulkPoller:
        """Start an activity for each portion, and return one poller for all of them.

        Args:
            operation: The kind of activity.
            portions: The content.
            label: The name of the content for messages: the file's name, or a description.
            lane: The priority while calls wait for the quota.
            query: Names and values.
            strict: Whether the poller raises if rows failed.

        Raises:
            ConstantContactError: A call failed; the message says what was started before it. If
                the caller is cancelled, a note on that exception says it.
        """
        parts: list[Part] = []
        count = len(portions)
        for number, portion in enumerate(portions, 1):
            what = f"{operation.doing} {label}" + f", part {number} of {count}" * (count > 1)
            path, effect, body = operation.path, Effect.CONVERGENT, portion.body
            call = Call(
                "POST", path, effect, what, query, body, lane=lane, deadline=UPLOAD_DEADLINE
            )
            try:
                response = await self._send(call, parts)
                id_ = await started_id(response, [part.id for part in parts])
                job = self._sweep.start(ACTIVITY, id_, label=label)
            except BaseException as error:
                if parts:
                    ids = ", ".join(part.id for part in parts)
                    told = (
                        f"Before that, the service accepted {len(parts)} of {count} activities "
                        f"({ids}), which will continue, and can be resumed by ID. Starting all of "
                        "them again is safe."
                    )
                    if isinstance(error, errors.ConstantContactError):
                        error.extend(told)
                    else:
                        error.add_note(told)
                raise
            parts.append(Part(job, portion.lines))
        return BulkPoller(
            self._session, self._sweep, self._splits, parts, label=label, strict=strict
        )

    async def _send(self, call: Call, parts: Sequence[Part]) -> Response:
        """Send a call. If too many jobs are running, wait for one that was started before."""
        with closing(JobSet(self._sweep, Until.END, [part.job for part in parts])) as waiting:
            while True:
                try:
                    return await self._session.send(call)
                except errors.QuotaExceeded as error:
                    if isinstance(error, errors.DailyQuotaExceeded) or not len(waiting):
                        raise
                    refused = error
                # Every wait for a job ends eventually, so this loop does too.
                limit = self._session.within(ACTIVITY.deadline)
                if await self._sweep.wait(waiting, timeout=limit) is None:
                    raise refused


async def started_id(response: Response, earlier: Sequence[str] = ()) -> str:
    """Return the ID of the activity that was started, from the body or the Location of a response.

    Args:
        response: The response.
        earlier: IDs of activities that were started before; a cache or a gateway may repeat one.

    Raises:
        DecodeError: Something other than the service answered. Safe to try again: yes.
        OutcomeUnknown: It has no ID of its own. Safe to try again: check the list of activities
            first.
    """
    named = ""
    with suppress(errors.DecodeError, errors.OutcomeUnknown):
        activity = await parsed(response, lambda response: response.read(Activity))
        # An error of a gateway may have an ID, and `errors` is also a field of an activity.
        named = "" if activity.errors and not activity.type else activity.id
    found = named if is_id(named) else job_id("activity", response.headers.get("location"))
    told = f"the response has the ID of an earlier part, {found}"
    if found is None:
        await confirmed(response, Effect.CONVERGENT)
        told = f"the service accepted it ({response.status}) but {without_id(response.headers)}"
    elif found not in earlier:
        return found
    raise errors.OutcomeUnknown(
        f"{response.what}: {told}. It was not sent again; find it in the list of activities, which "
        "shows the newest first."
    )
