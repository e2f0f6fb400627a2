"""Bulk activities: jobs on many contacts, and their status.

Source: the bulk activities pages of the v2 reference.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum

import attrs

from ccv2_async.models.base import Model, Outcome

__all__ = [
    "ACTIVITY_OUTCOMES",
    "Activity",
    "ActivityError",
    "ActivityStatus",
    "ActivityType",
    "activity_outcome",
]


class ActivityStatus(StrEnum):
    """The state of a bulk activity. An unknown one stays text: treat it as pending."""

    UNCONFIRMED = "UNCONFIRMED"
    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


ACTIVITY_OUTCOMES: dict[ActivityStatus, Outcome] = {
    ActivityStatus.UNCONFIRMED: Outcome.PENDING,
    ActivityStatus.PENDING: Outcome.PENDING,
    ActivityStatus.QUEUED: Outcome.PENDING,
    ActivityStatus.RUNNING: Outcome.PENDING,
    ActivityStatus.COMPLETE: Outcome.SUCCESS,
    ActivityStatus.ERROR: Outcome.FAILURE,
    ActivityStatus.CANCELLED: Outcome.FAILURE,
}
"""The outcome for each status."""
_OUTCOMES_BY_WORD = {status.casefold(): outcome for status, outcome in ACTIVITY_OUTCOMES.items()}


def activity_outcome(status: str | None) -> Outcome:
    """Return the outcome for a status, whatever its case. An unknown status is pending."""
    return _OUTCOMES_BY_WORD.get((status or "").casefold(), Outcome.PENDING)


class ActivityType(StrEnum):
    """The kind of a bulk activity."""

    ADD_CONTACTS = "ADD_CONTACTS"
    REMOVE_CONTACTS_FROM_LISTS = "REMOVE_CONTACTS_FROM_LISTS"
    CLEAR_CONTACTS_FROM_LISTS = "CLEAR_CONTACTS_FROM_LISTS"
    EXPORT_CONTACTS = "EXPORT_CONTACTS"


@attrs.frozen(weakref_slot=False)
class ActivityError(Model):
    """An error or a warning about one row.

    Attributes:
        message: What was wrong.
        line_number: The line of the file; 0 when unknown.
        email_address: The address of the row; may be "".
        extra: What the service sent beyond the fields above.
    """

    message: str | None = None
    line_number: int | None = None
    email_address: str | None = None

    def __str__(self) -> str:
        """Return the row's line, its address, and what was wrong, as far as they are known."""
        line = f"line {self.line_number}" if self.line_number else ""
        return ": ".join(filter(None, (line, self.email_address, self.message)))


@attrs.frozen(weakref_slot=False)
class Activity(Model):
    """A bulk activity. The answer that starts one has no status, and its counts are not valid.

    Source: bulk-activities-status-report-api.

    Attributes:
        id: The activity's id.
        type: What it does.
        status: Its state; an unknown one is plain text.
        created_date: When it was asked for.
        start_date: When it began; None before.
        finish_date: When it ended; None before.
        contact_count: The number of contacts, valid when the activity has ended. If it is not a
            number it is None, and `extra` keeps the value.
        error_count: The number of failed rows, valid when the activity has ended.
        errors: The failed rows, as objects or as text ("Line 2: ..."). May be empty although rows
            failed.
        warnings: Rows that were accepted with a warning, in the same two forms.
        file_name: The URL of the CSV of a finished export, or the name of an imported file. May be
            "".
        extra: What the service sent beyond the fields above, and the raw text of dates that are
            None here.
    """

    id: str
    type: ActivityType | str | None = None
    status: ActivityStatus | str | None = None
    created_date: datetime | None = None
    start_date: datetime | None = None
    finish_date: datetime | None = None
    contact_count: int | None = attrs.field(
        default=None, metadata={"aliases": ("contacts_count",), "lenient": True}
    )
    error_count: int | None = attrs.field(default=None, metadata={"lenient": True})
    errors: tuple[ActivityError | str, ...] = ()
    warnings: tuple[ActivityError | str, ...] = ()
    file_name: str | None = None

    @property
    def outcome(self) -> Outcome:
        """Whether the activity is pending, done or has failed."""
        return activity_outcome(self.status)

    @property
    def failed_rows(self) -> int:
        """The number of failed rows; the service may give it without the rows, or the reverse."""
        return max(self.error_count or 0, len(self.errors))
