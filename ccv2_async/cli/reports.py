"""What is said of jobs that were followed, whatever their kind, in text and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from ccv2_async.cli.jobs import counted
from ccv2_async.cli.live import STYLES
from ccv2_async.cli.output import clean
from ccv2_async.cli.tables import linked, table
from ccv2_async.cli.wording import told
from ccv2_async.models import Activity, unstructure
from ccv2_async.models.activities import row_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from ccv2_async.cli.jobs import JobItem
    from ccv2_async.cli.output import Output

__all__ = ["job_fields", "job_table", "tell_rows"]

_ADD = "ADD_CONTACTS"
_MOST_ROWS = 20
"""Rows that failed, as messages show them; JSON has all."""


def job_fields(item: JobItem) -> dict[str, Any]:
    """What JSON shows of a job."""
    fields: dict[str, Any] = {"kind": None, "id": None, "status": item.status}
    if item.poller is not None:
        fields |= {"kind": item.poller.kind, "id": item.poller.id}
        tokens = item.tokens
        fields |= {"token": tokens[0]} if len(tokens) == 1 else {"tokens": tokens}
    if fields["kind"] == "upload":
        fields["url"] = getattr(item.result, "url", None)
    activity = _activity_of(item)
    if activity is not None:
        fields |= {
            "type": activity.type,
            "contact_count": activity.contact_count,
            "error_count": item.failed_rows,
            "errors": [unstructure(row_error(error)) for error in activity.errors],
        }
    if item.error is not None:
        fields["error"] = told(item.error)
    return fields


def job_table(items: Iterable[JobItem]) -> Table:
    """The closing table of jobs."""
    closing = table("job", "state", "result")
    for item in items:
        closing.add_row(
            Text(clean(item.label)),
            Text(clean(item.word), style=STYLES[item.stage]),
            _result_of(item),
        )
    return closing


def _result_of(item: JobItem) -> Text:
    activity = _activity_of(item)
    if activity is None:
        return linked(getattr(item.result, "url", None))
    failed, total = item.failed_rows, activity.contact_count
    if activity.type != _ADD or total is None:
        words = [] if total is None else [counted(total, "contact")]
        words += [f"{counted(failed, 'row')} failed"] * bool(failed)
        return Text(", ".join(words))
    stored = max(0, total - failed)
    return Text(f"{counted(total, 'contact')}: {stored:,} stored, {failed:,} failed")


def tell_rows(item: JobItem, output: Output) -> None:
    """Which rows of an activity failed, and which were taken with a warning."""
    activity = _activity_of(item)
    if activity is None:
        return
    for error in activity.errors[:_MOST_ROWS]:
        output.complain(f"{item.label}: {row_error(error)}")
    for warning in activity.warnings[:_MOST_ROWS]:
        output.say(f"{item.label}: warning: {row_error(warning)}", style="yellow")
    more = item.failed_rows - len(activity.errors[:_MOST_ROWS])
    if more > 0:
        output.complain(f"{item.label}: {counted(more, 'more row')} failed")


def _activity_of(item: JobItem) -> Activity | None:
    """The activity, also of one that failed."""
    found = getattr(item.error, "activity", None) if item.error else item.result
    return found if isinstance(found, Activity) else None
