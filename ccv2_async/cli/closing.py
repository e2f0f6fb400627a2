"""What is said of uploads once a run has ended, in text and in JSON."""

from __future__ import annotations

import unicodedata
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ccv2_async.cli.jobs import Stage, counted
from ccv2_async.cli.live import STYLES
from ccv2_async.cli.output import clean
from ccv2_async.cli.tables import in_bytes, linked, table
from ccv2_async.cli.wording import told
from ccv2_async.errors import OutcomeUnknown
from ccv2_async.models import LibraryFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ccv2_async.cli.jobs import JobItem
    from ccv2_async.cli.output import Output

__all__ = ["MOST_ROWS", "fields_of", "refused_fields", "show_table", "tell_numbered", "tell_sum"]

_MOST_NUMBERED = 10
MOST_ROWS = 50
"""Rows of a closing table; of more files than this, only those are in it that did not end well."""


def refused_fields(path: str, **more: Any) -> dict[str, Any]:
    """What is told in JSON of a file that never became a job."""
    return {"path": path, "id": None, "status": None, "url": None, **more}


def fields_of(item: JobItem) -> dict[str, Any]:
    """What JSON shows of an item: its token once it was accepted, its error if it failed."""
    fields = refused_fields(item.label, id=item.id or None, status=item.status)
    if item.poller is not None:
        fields["token"] = item.poller.token()
    if item.result is not None:
        fields["url"] = item.result.url
    if item.earlier:
        fields["earlier"] = True
    if item.existing:
        fields["existing"] = True
    if item.duplicates:
        fields["duplicates"] = list(item.duplicates)
    if item.error is not None:
        fields["error"] = told(item.error)
    return fields


def show_table(items: Sequence[JobItem], output: Output) -> None:
    """The closing table of what was begun; of many files, those alone that did not end well."""
    rows = [item for item in items if item.word != Stage.WAITING.value]
    if len(rows) > MOST_ROWS:
        rows = [
            item
            for item in rows
            if isinstance(item.error, OutcomeUnknown) or item.stage is Stage.FAILED
        ]
    if rows:
        output.show(_table(rows[:MOST_ROWS]))
    if len(rows) > MOST_ROWS:
        output.line(f"and {counted(len(rows) - MOST_ROWS, 'file')} more that did not end well")


def _table(items: Sequence[JobItem]) -> Table:
    closing = table("file", "id", "size", "state", "url")
    for item in items:
        closing.add_row(
            Text(clean(item.label)),
            clean(item.id),
            in_bytes(item.size),
            Text(clean(item.word), style=STYLES[item.stage]),
            linked(item.result.url if item.result else None),
        )
    return closing


def tell_numbered(items: Sequence[JobItem], output: Output) -> None:
    """Say which files the library stored under a numbered name, and how to avoid that."""
    numbered = [
        item
        for item in items
        if isinstance(item.result, LibraryFile)
        and unicodedata.normalize("NFC", item.result.name)
        != unicodedata.normalize("NFC", PurePath(item.label).name)
    ]
    for item in numbered[:_MOST_NUMBERED]:
        output.say(f"{item.label}: stored as {item.result.name}: the folder has that name already.")
    if len(numbered) > _MOST_NUMBERED:
        output.say(f"and {counted(len(numbered) - _MOST_NUMBERED, 'more file')}.")
    if numbered:
        output.say("To leave out files that are there already, use --skip-existing.")


def tell_sum(
    items: Sequence[JobItem], output: Output, *, refused: int, waited: bool, cost: str
) -> None:
    """Write in one sentence how many files went well.

    Args:
        items: The files that were to be sent.
        output: Where it is written.
        refused: How many more files could not be sent.
        waited: Whether they were followed until they became Active.
        cost: How long it took and what it cost, in words.
    """
    good = (Stage.DONE,) if waited else (Stage.DONE, Stage.AT_SERVICE)
    well = [item for item in items if item.stage in good]
    existing = sum(item.existing for item in well)
    earlier = sum(item.earlier for item in well) - existing
    total = counted(len(items) + refused, "file")
    words = [f"{len(well):,} of {total} {'Active' if waited else 'accepted'}"]
    if earlier:
        words.append(f"{earlier:,} of them by an earlier run")
    if existing:
        words.append(f"{existing:,} of them there already")
    if refused:
        words.append(f"{refused:,} refused before sending")
    words += [in_bytes(sum(item.size for item in well)), cost]
    output.say(f"{', '.join(words)}.")
