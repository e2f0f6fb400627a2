"""Report files and jobs at the end of a run, as text and as JSON."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ccv2_async import BulkState, errors, row_error
from ccv2_async.cli.exits import message_of
from ccv2_async.cli.jobs import good_states
from ccv2_async.cli.live import STYLES
from ccv2_async.cli.tables import cell, counted, in_bytes, linked, table
from ccv2_async.models import LibraryFile, unstructure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ccv2_async import UploadResult
    from ccv2_async.cli.jobs import JobItem
    from ccv2_async.cli.output import Output

_REFUSALS = {
    "file_type": "the library does not accept this type ({rule})",
    "name": "the library does not accept this name ({rule})",
    "folders": "its folder is too deep ({rule})",
}
"""Why a file is refused, by the field that is wrong."""

_ADD = "ADD_CONTACTS"
_MOST_NAMES = 3
"""How many files a message names for each reason for a refusal; JSON has all."""

_MOST_NUMBERED = 10
_MOST_FAILED_ROWS = 20
"""How many failed rows are shown for each job; JSON has all."""

MOST_ROWS = 50
"""The row limit of a table of files; if a run has more, it has only those that failed."""


def refusal_of(error: errors.ConstantContactError) -> str:
    """Return why a file was refused before any of it was sent."""
    match error:
        case errors.InvalidField(field=field, rule=rule):
            return _REFUSALS.get(field, "{rule}").format(rule=rule)
        case errors.FileRefused():
            return error.reason
    return message_of(error)


def report_refused(
    refused: Iterable[tuple[str, str]], output: Output, *, done: str = "sent"
) -> None:
    """Report files that were refused: one line for each reason, with the first few names.

    Args:
        refused: The name of each file, and why it was refused.
        output: The streams.
        done: A participle for what was not done with them, such as "sent".
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in refused:
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        if len(names) == 1:
            output.complain(f"{names[0]}: not {done}: {reason}.")
            continue
        folder = f"{PurePath(names[0]).parent}/"
        others = (name.removeprefix(folder) for name in names[1:_MOST_NAMES])
        shown = ", ".join((names[0], *others))
        if len(names) > _MOST_NAMES:
            shown += f", and {len(names) - _MOST_NAMES:,} more"
        output.complain(f"{len(names):,} not {done} ({shown}): {reason}.")


def refused_fields(path: str, **more: Any) -> dict[str, Any]:
    """Return the JSON fields of a file that never became a job."""
    return {"path": path, "id": None, "status": None, "url": None, **more}


def file_fields(item: JobItem) -> dict[str, Any]:
    """Return the JSON fields of a file: its token once it is accepted, its error if it failed."""
    url = item.result and item.result.url
    fields = refused_fields(item.label, id=item.id or None, status=item.status, url=url)
    more = {
        "token": item.poller and item.poller.token(),
        "earlier": item.earlier,
        "existing": item.existing,
        "duplicates": list(item.duplicates),
        "error": item.error and message_of(item.error),
    }
    return fields | {name: value for name, value in more.items() if value}


def show_files(items: Sequence[JobItem], output: Output) -> None:
    """Show a table of the files that were sent, and report those that got a different name."""
    show_table([item for item in items if item.word != BulkState.PENDING.value], output)
    _report_numbered(items, output)


def show_table(rows: Sequence[JobItem], output: Output, *, urls: bool = True) -> None:
    """Show a table of files; if there are too many, show only those that failed."""
    if len(rows) > MOST_ROWS:
        rows = [item for item in rows if item.failed]
    closing = table("file", "id", "size", "state", *["url"] * urls)
    for item in rows[:MOST_ROWS]:
        url = item.result and item.result.url
        closing.add_row(item.label, item.id, item.size, _state(item), *[url] * urls)
    if rows:
        output.show(closing)
    if len(rows) > MOST_ROWS:
        output.line(f"and {counted(len(rows) - MOST_ROWS, 'more file')} that failed")


def _report_numbered(items: Sequence[JobItem], output: Output) -> None:
    """Report files that the library stored under a numbered name, and how to avoid that."""
    numbered = [
        item
        for item in items
        if isinstance(item.result, LibraryFile)
        and unicodedata.normalize("NFC", item.result.name)
        != unicodedata.normalize("NFC", PurePath(item.label).name)
    ]
    for item in numbered[:_MOST_NUMBERED]:
        output.say(f"{item.label}: stored as {item.result.name}, because its name is taken.")
    if len(numbered) > _MOST_NUMBERED:
        output.say(f"and {counted(len(numbered) - _MOST_NUMBERED, 'more file')}.")
    if numbered:
        output.say("To skip files that are already there, use --skip-existing.")


def report_totals(
    items: Sequence[JobItem], output: Output, *, refused: int, waited: bool, cost: str
) -> None:
    """Report in one sentence how many files succeeded.

    Args:
        items: The files that were to be sent.
        output: The streams.
        refused: The number of other files that could not be sent.
        waited: Whether they were followed until they became Active.
        cost: The time and the calls that it took, in words.
    """
    well = [item for item in items if item.state in good_states(waited=waited)]
    existing = sum(item.existing for item in well)
    earlier = sum(item.earlier for item in well) - existing
    total = counted(len(items) + refused, "file")
    words = [f"{len(well):,} of {total} {'Active' if waited else 'accepted'}"]
    if earlier:
        words.append(f"{earlier:,} of them by an earlier run")
    if existing:
        words.append(f"{existing:,} of them already there")
    if refused:
        words.append(f"{refused:,} refused before sending")
    words += [in_bytes(sum(item.size for item in well)), cost]
    output.say(f"{', '.join(words)}.")


def show_plan(plan: Iterable[UploadResult], output: Output, *, refused: int) -> None:
    """Show the plan of an upload.

    Args:
        plan: The results of a dry run, without those of files that cannot be sent.
        output: The streams.
        refused: The number of other files that cannot be sent; they were reported before.
    """
    rows = table("file", "folder", "action")
    actions: Counter[str] = Counter()
    for result in plan:
        actions[result.action] += 1
        if output.as_json:
            action = result.action.name.lower()
            output.record({"path": result.path, "folder": result.folder_id, "action": action})
        elif rows.row_count < MOST_ROWS:
            rows.add_row(result.path, result.folder_id, result.action)
    if rows.row_count:
        output.show(rows)
    if not output.as_json and actions.total() > rows.row_count:
        output.line(f"and {counted(actions.total() - rows.row_count, 'more file')}")
    for action, number in actions.most_common():
        output.say(f"{counted(number, 'file')}: {action}")
    if refused:
        output.say(f"{counted(refused, 'file')}: refused, see above")
    output.say("Nothing was sent.")


def job_fields(item: JobItem) -> dict[str, Any]:
    """Return the JSON fields of a job."""
    fields: dict[str, Any] = {"kind": None, "id": None, "status": item.status}
    if item.poller is not None:
        fields |= {"kind": item.poller.kind, "id": item.poller.id}
        tokens = item.tokens
        fields |= {"token": tokens[0]} if len(tokens) == 1 else {"tokens": tokens}
    if fields["kind"] == "upload":
        fields["url"] = getattr(item.result, "url", None)
    if (activity := item.activity) is not None:
        fields |= {
            "type": activity.type,
            "contact_count": activity.contact_count,
            "error_count": item.failed_rows or activity.error_count,
            "errors": [unstructure(row_error(error)) for error in activity.errors],
        }
    if item.error is not None:
        fields["error"] = message_of(item.error)
    return fields


def show_jobs(items: Sequence[JobItem], output: Output) -> None:
    """Show a table of jobs, after the rows of each that failed."""
    closing = table("job", "state", "result")
    for item in items:
        _report_rows(item, output)
        closing.add_row(item.label, _state(item), _result_of(item))
    if items:
        output.show(closing)


def _state(item: JobItem) -> Text:
    return Text.assemble(cell(item.word), style=STYLES[item.state])


def _result_of(item: JobItem) -> Text:
    if (activity := item.activity) is None:
        return linked(getattr(item.result, "url", None))
    failed, total = item.failed_rows, activity.contact_count
    told = [] if total is None else [counted(total, "contact")]
    counts = (
        (one.contact_count, one.error_count) for one in getattr(activity, "parts", [activity])
    )
    # An import that failed may have stored none of its contacts.
    if activity.type != _ADD or item.failed or total is None or any(None in one for one in counts):
        return Text(", ".join(told + [f"{counted(failed, 'row')} failed"] * bool(failed)))
    return Text(f"{told[0]}: {max(0, total - failed):,} stored, {failed:,} failed")


def _report_rows(item: JobItem, output: Output) -> None:
    """Report the rows of an activity that failed, and those accepted with a warning."""
    if (activity := item.activity) is None:
        return
    for error in activity.errors[:_MOST_FAILED_ROWS]:
        output.complain(f"{item.label}: {row_error(error)}")
    for warning in activity.warnings[:_MOST_FAILED_ROWS]:
        output.say(f"{item.label}: warning: {row_error(warning)}", style="yellow")
    if (more := item.failed_rows - len(activity.errors[:_MOST_FAILED_ROWS])) > 0:
        output.complain(f"{item.label}: {counted(more, 'more row')} failed")
