"""Bulk activities: accepted immediately, carried out at their end."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.responses import Refusal, lookup
from ccv2_async.sandbox.transitions import activity_script, ended, plan_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox.settings import Settings
    from ccv2_async.sandbox.transitions import Plan

KEPT = 14 * 86_400
LISTED = 50
ADD, REMOVE = "ADD_CONTACTS", "REMOVE_CONTACTS_FROM_LISTS"
CLEAR, EXPORT = "CLEAR_CONTACTS_FROM_LISTS", "EXPORT_CONTACTS"


class UnreadableFile(Exception):  # noqa: N818 - it ends a job in ERROR; the sandbox continues
    """A file that cannot be read as a table; the message says why."""


@attrs.frozen
class RowProblem:
    """An error or a warning about one row of a job."""

    message: str
    line: int = 0
    email: str = ""


@attrs.frozen
class Export:
    """The contacts of one list, to be written as CSV.

    Attributes:
        members: The IDs of the contacts, in order.
        asked: The body of the request.
    """

    members: list[str]
    asked: dict[str, Any]


@attrs.frozen
class Entry:
    """One contact of an import or a removal: its line, address and other columns."""

    line: int
    email: str
    columns: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Work:
    """The work that a job does at its end.

    Attributes:
        lists: The IDs of its lists.
        entries: The contacts of a JSON body.
        file: The file that replaces them.
        blanks: Whether empty columns erase stored values.
        asked: The body of the request for an export.
    """

    lists: list[str] = attrs.field(factory=list)
    entries: list[Entry] = attrs.field(factory=list)
    file: bytes | None = None
    blanks: bool = False
    asked: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Outcome:
    """The result of a job.

    Attributes:
        count: The number of contacts it went through.
        errors: The rows that failed.
        warnings: The rows that it did not change.
        export: The contacts that were exported.
    """

    count: int
    errors: list[RowProblem] = attrs.field(factory=list)
    warnings: list[RowProblem] = attrs.field(factory=list)
    export: Export | None = None


@attrs.define
class Activity:
    """One job. `work` is None after it was done, and `forced` is the status of a held job."""

    id: str
    kind: str
    file_name: str
    plan: Plan
    created: float
    work: Work | None
    outcome: Outcome = attrs.field(factory=lambda: Outcome(0))
    looks: int = 0
    end: str | None = None
    finished: float | None = None
    forced: str | None = None

    def hold(self, now: float) -> None:
        """Keep it at its status until it is released, unless it has ended."""
        if self.end is None:
            self.forced = self.status(now)

    def release(self) -> None:
        """Let a held job continue by its plan."""
        self.forced = None

    def end_as(self, status: str, now: float) -> None:
        """End it now, unless it has ended."""
        self.plan, self.forced = ended(self.plan, status, now), None

    def status(self, now: float) -> str:
        """Return its status at `now`."""
        return self.end or self.forced or self.plan.status(now, self.looks)


@attrs.define
class Activities:
    """The jobs of the last fourteen days.

    Attributes:
        settings: The settings of jobs.
        id_seed: The seed of IDs.
        carry_out: Does the work of a kind of job at a given time.
        activities: Jobs by ID, oldest first.
    """

    settings: Settings
    id_seed: int
    carry_out: Callable[[str, Work, float], Outcome]
    activities: dict[str, Activity] = attrs.field(factory=dict)
    _made: int = 0

    def begin(self, kind: str, file_name: str, now: float, work: Work) -> Activity:
        """Accept a job, or raise a 429."""
        most = self.settings.max_jobs
        unfinished = sum(activity.end is None for activity in self.activities.values())
        if most is not None and unfinished >= most:
            raise Refusal(429, "Too many other bulk requests are in progress; try again later.")
        self._made += 1
        digest = hashlib.sha256(f"{self.id_seed}:{self._made}".encode()).hexdigest()
        activity_id = f"a07e1{digest[:14]}"
        plan = plan_job(
            self.settings, activity_script(file_name), key=f"activity {self._made}", now=now
        )
        activity = Activity(activity_id, kind, file_name, plan, now, work)
        self.activities[activity_id] = activity
        return activity

    def activity(self, activity_id: str) -> Activity:
        """Return the job, or raise a 404."""
        return lookup(self.activities, activity_id, "Activity")

    def newest(self) -> list[Activity]:
        """Return the last fifty jobs, newest first."""
        return list(self.activities.values())[: -LISTED - 1 : -1]

    def look(self, activity: Activity, now: float) -> str:
        """Return its status, and count the look."""
        self._finish(activity, now)
        status = activity.status(now)
        activity.looks += 1
        return status

    def settle(self, now: float) -> None:
        """Carry out every job that is due, and forget those that are too old."""
        for activity in list(self.activities.values()):
            if now - activity.created >= KEPT:
                del self.activities[activity.id]
            elif activity.end is None and activity.plan.seconds is not None:
                self._finish(activity, now)

    def _finish(self, activity: Activity, now: float) -> None:
        if activity.end is not None or activity.forced is not None:
            return
        if activity.plan.progress(now, activity.looks) < 1.0:
            return
        due = activity.plan.due()
        activity.finished = now if due is None else due
        activity.end, work = activity.plan.script.end, activity.work
        activity.work = None
        if activity.end != "COMPLETE" or work is None:
            message = f"The activity ended as {activity.end}."
            activity.outcome = Outcome(0, [RowProblem(message)])
            return
        try:
            activity.outcome = self.carry_out(activity.kind, work, activity.finished)
        except UnreadableFile as error:
            activity.end, activity.outcome = "ERROR", Outcome(0, [RowProblem(str(error))])
