"""Bulk activities behind one poller: one activity, or several that one call was split into.

The service accepts 4 MB and 20,000 addresses in an activity; a larger job is sent as several
activities. To a caller they are one job: its status combines theirs, its counts are their sums, and
its row errors name the lines of the original file.
"""

from __future__ import annotations

import logging
import re
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async import errors
from ccv2_async.activities.status import ACTIVITY, first_error
from ccv2_async.models.activities import Activity, ActivityError, ActivityStatus, row_error
from ccv2_async.polling.job import Row, State
from ccv2_async.polling.look import is_of_one
from ccv2_async.polling.poller import ActivityPoller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ccv2_async.polling.job import Job, JobKind
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.session import Session

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("ccv2_async.polling")

LOST = "not known to the service"
UNREADABLE = "with an unreadable status"
_WITHOUT_RESULT = (LOST, UNREADABLE)

# The status of a split job is the first of these words that any of its activities has: the worst
# when all have ended, the furthest while one is still running.
_ENDED = (*_WITHOUT_RESULT, ActivityStatus.ERROR, ActivityStatus.CANCELLED, ActivityStatus.COMPLETE)
_GOING_ON = (
    ActivityStatus.RUNNING,
    ActivityStatus.QUEUED,
    ActivityStatus.PENDING,
    ActivityStatus.UNCONFIRMED,
)

_WORDS = {str(status): status for status in ActivityStatus}

# The service's summary lists the last 50 activities in one request; others need one request each.
ASKED_AT_ONCE = 50

_OF_ONE = (errors.BadRequest, errors.Conflict, errors.DecodeError, errors.NotFound)


def combined_status(statuses: Sequence[str | None]) -> str | None:
    """Return the status of several activities taken as one job; None while nothing is known.

    Args:
        statuses: For each activity, the service's status, `LOST`, `UNREADABLE`, or None before its
            first look.
    """
    if all(status in _ENDED for status in statuses):
        worst = next(word for word in _ENDED if word in statuses)
        return str(ActivityStatus.ERROR if worst in _WITHOUT_RESULT else worst)
    if any(status in _ENDED for status in statuses):
        return str(ActivityStatus.RUNNING)
    furthest = next((str(word) for word in _GOING_ON if word in statuses), None)
    return furthest or next((status for status in statuses if status is not None), None)


@attrs.frozen
class Lines:
    """The place of one part's lines in the original file.

    Attributes:
        header: The number of lines of the part that repeat the original header.
        first: The line of the original that is the part's first one after them, from 1.
    """

    header: int = 0
    first: int = 1

    def original(self, line: int) -> int:
        """Return the original line for a line of the part; 0 means "unknown" and remains 0."""
        return line if line <= self.header else line - self.header + self.first - 1


def moved(error: ActivityError | str, lines: Lines) -> ActivityError | str:
    """Return an error in the same form, with the original line."""
    if not (line := row_error(error).line_number):
        return error
    if isinstance(error, ActivityError):
        return attrs.evolve(error, line_number=lines.original(line))
    return re.sub(r"\d+", str(lines.original(line)), error, count=1)


@attrs.frozen(weakref_slot=False)
class SplitActivity(Activity):
    """Several activities as one: the result of a job that was too large for one activity.

    `id` is their IDs, joined by commas. Counts are sums. `errors` and `warnings` are those of all
    activities, with the lines of the original file. The dates are the first start and the last
    finish.

    Attributes:
        parts: The activities as the service returned them, in the order in which they were started.
    """

    parts: tuple[Activity, ...] = ()


@attrs.frozen
class Part:
    """One activity of a call.

    Attributes:
        job: The activity.
        lines: The place of its lines in the original file.
    """

    job: Job
    lines: Lines = Lines()  # it is frozen

    @property
    def id(self) -> str:
        """The activity's ID."""
        return self.job.id


@attrs.define(eq=False)
class _Split:
    """The known states of the activities of one job.

    Their own pollers share other `Job` objects, which learn from their own looks.

    Attributes:
        lines: The place of the lines of each.
        jobs: The activities.
        strict: Whether the result must say of each how many rows failed.
    """

    lines: tuple[Lines, ...]
    jobs: tuple[Job, ...]
    strict: bool

    @property
    def id(self) -> str:
        return ",".join(job.id for job in self.jobs)

    @property
    def statuses(self) -> list[str | None]:
        return [
            job.status if job.state is not State.LOST else UNREADABLE if job.unreadable else LOST
            for job in self.jobs
        ]

    @property
    def open(self) -> list[Job]:
        """The jobs to ask for next: the newest ones, because the summary holds those."""
        return [job for job in self.jobs if not job.state.is_final][-ASKED_AT_ONCE:]

    def row(self) -> Row | None:
        statuses = self.statuses
        if (status := combined_status(statuses)) is None or all(word == LOST for word in statuses):
            return None  # the sweep decides when the whole job is lost
        ended = sum(word in _ENDED for word in statuses)
        return Row(status, f"{ended} of {len(statuses)} activities ended")

    def combined(self) -> SplitActivity:
        given = [
            (lines, job.detail)
            for lines, job in zip(self.lines, self.jobs, strict=True)
            if job.state.is_final and isinstance(job.detail, Activity)
        ]
        parts = tuple(activity for _, activity in given)
        status = combined_status(self.statuses)
        return SplitActivity(
            id=self.id,
            type=next((part.type for part in parts), None),
            status=_WORDS.get(status or "", status),
            created_date=_of_known(min, (part.created_date for part in parts)),
            start_date=_of_known(min, (part.start_date for part in parts)),
            finish_date=_of_known(max, (part.finish_date for part in parts)),
            contact_count=_of_known(sum, (part.contact_count for part in parts)),
            error_count=_of_known(sum, (part.error_count for part in parts)),
            errors=tuple(moved(error, lines) for lines, part in given for error in part.errors),
            warnings=tuple(moved(row, lines) for lines, part in given for row in part.warnings),
            parts=parts,
        )


def _of_known(combine: Callable[[list[Any]], T], values: Iterable[T | None]) -> T | None:
    """Combine the known values."""
    known = [value for value in values if value is not None]
    return combine(known) if known else None


class SplitJobs:
    """The split jobs of one client, as a kind of job that the sweep can follow.

    Attributes:
        kind: Their kind.
    """

    def __init__(self) -> None:
        self._splits: weakref.WeakValueDictionary[str, _Split] = weakref.WeakValueDictionary()
        self.kind: JobKind = attrs.evolve(
            ACTIVITY, path="/activities", ask=self._ask, fetch=self._fetch
        )

    def add(self, parts: Sequence[Part], *, strict: bool = False) -> _Split:
        """Return the shared state of these activities, which their poller holds."""
        jobs = tuple(attrs.evolve(part.job) for part in parts)
        split = _Split(tuple(part.lines for part in parts), jobs, strict)
        return self._splits.setdefault(split.id, split)

    async def _ask(self, session: Session, ids: Sequence[str]) -> Mapping[str, Row]:
        asked = [(split, split.open) for split in map(self._splits.get, ids) if split is not None]
        rows = await ACTIVITY.ask(session, [job.id for _, jobs in asked for job in jobs])
        combined: dict[str, Row] = {}
        for split, jobs in asked:
            for job in jobs:
                job.learn(rows.get(job.id), session.clock.monotonic())
            if (row := split.row()) is not None:
                combined[split.id] = row
        return combined

    async def _fetch(self, session: Session, job: Job) -> SplitActivity:
        split, unknown = self._splits[job.id], None
        for part in split.jobs:
            if part.state is State.LOST:
                continue
            try:
                activity = await ACTIVITY.fetch(session, part)
            except _OF_ONE as error:
                # Without this activity's ID, it may be an error of a gateway.
                is_own = is_of_one(error) and getattr(error, "where", "") != "id"
                if not (is_own or getattr(error, "is_from_service", False)):
                    raise
                if split.strict:
                    unknown = error
                    continue
                # Its status is known, and the others have results. Only its counts are unknown.
                logger.warning("The result of activity %s is left out: %s", part.id, error.message)
                activity = Activity(id=part.id, status=part.status)
            # It may contradict the list of activities, which had the status.
            row = Row(str(activity.status or part.status), detail=activity)
            part.learn(row, session.clock.monotonic())
        if unknown is not None:
            unknown.extend("It is not known whether rows of this activity failed.")
            raise unknown
        return split.combined()


class BulkPoller(ActivityPoller):
    """The poller of a call that started one bulk activity, or several for a larger job.

    Use it like any other poller. The result of a call that was split is a `SplitActivity`. Awaiting
    a call that was made with `strict=True` raises `PartialFailure` if rows failed, and another
    error if the result of an activity is unknown; awaiting it again asks again. A resume token
    names one activity, so a split call has one for each activity: `tokens()`. Resume each
    separately, and `client.wait_all` waits for them together.

    Source: "Bulk activities" pages of the service's documentation.
    """

    def __init__(
        self,
        session: Session,
        sweep: Sweep,
        jobs: SplitJobs,
        parts: Sequence[Part],
        *,
        label: str,
        strict: bool = False,
    ) -> None:
        self._strict = strict
        self._split: _Split | None = None
        self._parts = tuple(parts)
        job = self._parts[0].job
        if len(self._parts) > 1:
            self._split = jobs.add(self._parts, strict=strict)
            job = sweep.start(jobs.kind, self._split.id, label=label)
        super().__init__(session, sweep, job)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ID of each activity, in the order in which they were started."""
        return tuple(part.id for part in self._parts)

    @property
    def parts(self) -> tuple[ActivityPoller, ...]:
        """A separate poller for each activity; its lines are counted within its part."""
        return tuple(ActivityPoller(self._session, self._sweep, part.job) for part in self._parts)

    def tokens(self) -> list[str]:
        """Return a resume token for each activity, of at most 400 characters."""
        return [part.token() for part in self.parts]

    @property
    def _only_token(self) -> str:
        return self.token() if self._split is None else ""

    def token(self) -> str:
        """Return the resume token of the activity, of at most 400 characters.

        Raises:
            TokenError: There are several activities, and no token holds them all: see `tokens`.
        """
        if self._split is None:
            return super().token()
        raise errors.TokenError(
            f"{self._job.label} was split into {len(self._parts)} activities, each with its own "
            "token. Keep the list from tokens(), and wait for the resumed jobs with wait_all()."
        )

    async def _outcome(self, ends: float, until: dict[JobKind, float]) -> Activity:
        activity = await super()._outcome(ends, until)
        if self._strict and activity.failed_rows:
            raise self._partial(activity)
        return activity

    def failure(self) -> errors.JobError:
        """Return the exception for a job that did not succeed."""
        if self._split is None or self._job.state is State.LOST:
            return super().failure()
        activity = self._split.combined()
        ended = [
            f"{job.id} {status or LOST}"
            for job, status in zip(self._split.jobs, self._split.statuses, strict=True)
            if status != ActivityStatus.COMPLETE
        ]
        first = first_error(activity, " First error: {}.")
        some = len(ended) < len(self._parts)
        others = "; the others were carried out, and repeating them is safe" * some
        return errors.ActivityFailed(
            f"activities of {self._job.label}: {len(ended)} of {len(self._parts)} did not succeed "
            f"({', '.join(ended[:5])}{', ...' if len(ended) > 5 else ''}){others}.{first} "
            "Correct the rows and start again.",
            id=self.id,
            status=self.status,
            activity=activity,
        )

    def _partial(self, activity: Activity) -> errors.PartialFailure:
        of = f" of {activity.contact_count:,}" if activity.contact_count else ""
        first = first_error(activity, "; the first: {}")
        return errors.PartialFailure(
            f"activity {self._job.label} (ID {self.id}) is COMPLETE, but rows failed "
            f"({activity.failed_rows:,}{of}{first}). The others were carried out. "
            "Correct the failed rows and send them.",
            id=self.id,
            status=str(activity.status),
            token=self._only_token,
            activity=activity,
        )
