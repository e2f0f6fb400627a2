"""The status of bulk activities, and the `JobKind` that polling uses to follow them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ccv2_async import errors
from ccv2_async.models.activities import ACTIVITY_OUTCOMES, Activity, activity_outcome, row_error
from ccv2_async.models.base import Outcome
from ccv2_async.models.convert import BadRow
from ccv2_async.polling.job import LONGEST_TEXT, NO_NEWS, UNIDENTIFIED, JobKind, Row, rows_of
from ccv2_async.polling.look import is_of_one, unreadable
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.responses import segment
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccv2_async.polling.job import Job
    from ccv2_async.transport.calls.call import Response
    from ccv2_async.transport.calls.session import Session

STATUS_PATH = "/activities/{}"
MOST_TROUBLES = 3
MOST_ROWS = 1000
"""The maximum number of row errors and warnings of an activity that a look keeps."""
DAY = 86_400.0


def _call(id_: str, lane: Lane) -> Call:
    return Call("GET", STATUS_PATH.format(segment(id_)), Effect.SAFE, f"activity {id_}", lane=lane)


def _row(response: Response, id_: str) -> Row:
    """Return the row of an activity from its own resource.

    Raises:
        DecodeError: The response is not JSON. This is an outage, not a problem of this activity.
    """
    activity = response.one(Activity)
    if isinstance(activity, BadRow):
        return Row(status="", unreadable=activity.text)
    if activity.id != id_ or not activity.status:
        told = f"activity {activity.id} with the status {activity.status}"
        return Row(status="", unreadable=told[:LONGEST_TEXT])
    # A look is at up to fifty activities. If an activity is awaited, it is read again.
    is_small = len(activity.errors) + len(activity.warnings) <= MOST_ROWS
    return Row(status=str(activity.status), detail=activity if is_small else None)


async def ask(session: Session, ids: Sequence[str]) -> Mapping[str, Row]:
    """Return the rows of these activities: one from its own resource, several from the summary.

    The summary lists the last 50. An activity that is not in it, or whose row cannot be read, is
    requested separately.
    """
    rows: dict[str, Row] = {}
    if len(ids) > 1:
        what = f"status of {len(ids)} activities"
        call = Call("GET", "/activities", Effect.SAFE, what, lane=Lane.POLL)
        try:
            rows = await session.read(call, lambda response: _summary(response, ids))
        except errors.DecodeError as error:
            if not is_of_one(error):
                raise
    return rows | await _each(session, [id_ for id_ in ids if _unexplained(rows.get(id_))], rows)


def _summary(response: Response, ids: Sequence[str]) -> dict[str, Row]:
    found = rows_of(ACTIVITY, ids, response.rows(Activity).results, _summary_row, "id")
    return {id_: row for id_, row in found.items() if not (row is UNIDENTIFIED or row.unreadable)}


def _summary_row(activity: Activity) -> tuple[str, Row]:
    status = str(activity.status or "")
    return activity.id, Row(status=status, unreadable="" if status else "no status")


def _unexplained(row: Row | None) -> bool:
    """Return whether to request an activity separately: only that shows which rows failed."""
    return row is None or activity_outcome(row.status) is Outcome.FAILURE


async def _each(session: Session, ids: Sequence[str], known: Mapping[str, Row]) -> dict[str, Row]:
    """Ask for activities one by one, and return their rows; `known` are rows of the summary."""
    rows: dict[str, Row] = {}
    troubles: list[errors.ConstantContactError] = []
    for id_ in ids:
        # One unreadable response does not delay the others; several mean an outage.
        rows[id_] = known.get(id_, NO_NEWS)
        if len(troubles) == MOST_TROUBLES:
            continue
        try:
            row = await session.read(_call(id_, Lane.POLL), partial(_row, id_=id_))
        except errors.NotFound:
            del rows[id_]
            continue
        except (errors.ServerError, errors.TransportError, errors.DecodeError) as trouble:
            if not is_of_one(trouble):
                troubles.append(trouble)
                continue
            row = unreadable(trouble)
        if not row.unreadable or id_ not in known:
            rows[id_] = row
    if troubles and not known and all(row is NO_NEWS for row in rows.values()):
        raise troubles[-1]
    return rows


async def fetch(session: Session, job: Job) -> Activity:
    """Return the whole activity, with its row errors; the last look may have returned it."""
    if isinstance(job.detail, Activity):
        return job.detail
    call = _call(job.id, Lane.INTERACTIVE)
    return await session.read(call, lambda response: response.read(Activity, job.id))


def first_error(activity: Activity, form: str) -> str:
    """Return the first row error, in the place of `{}` in `form`; "" if there is none."""
    if not activity.errors:
        return ""
    return form.format(str(row_error(activity.errors[0]))[:LONGEST_TEXT].rstrip("."))


def failure(job: Job, token: str) -> errors.JobError:
    """Return the exception for an activity that ended in ERROR or CANCELLED."""
    activity = job.detail if isinstance(job.detail, Activity) else None
    first = first_error(activity, " First error: {}.") if activity is not None else ""
    return errors.ActivityFailed(
        f"activity {job.label} (ID {job.id}) ended with the status {job.status}.{first} "
        "Correct the rows and start it again.",
        id=job.id,
        status=job.status,
        token=token,
        activity=activity,
    )


ACTIVITY = JobKind(
    name="activity",
    path=STATUS_PATH,
    outcomes=ACTIVITY_OUTCOMES,
    most=50,
    deadline=DAY,
    kept=14 * DAY,
    ask=ask,
    fetch=fetch,
    failure=failure,
)
"""How activities are polled. The service keeps them for 14 days; a wait takes at most 24 hours."""
