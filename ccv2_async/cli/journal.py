"""`ccv2 journal`: show the journal of an upload, and mark files to be sent again."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ccv2_async import BulkState, read_journal, retry_files
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Flag, LocalPath, group
from ccv2_async.cli.tables import counted

if TYPE_CHECKING:
    from cyclopts import App

    from ccv2_async import JournalEntry

journal: App = group(
    "journal", "Show the journal of an upload, or mark files to be sent again.", lists=False
)


@journal.command
def show(file: LocalPath, /, *, state: BulkState | None = None, json: Flag = False) -> Exit:
    """Show the state of each file, even while an upload is using the journal.

    Args:
        file: The file that was passed to 'ccv2 upload' as --journal.
        state: Only files in this state.
        json: Print one JSON object per line to stdout.
    """
    output = Output(as_json=json)

    async def shown() -> Exit:
        states: Counter[BulkState] = Counter()
        async with contextlib.aclosing(read_journal(file)) as rows:
            async for row in rows:
                states[row.state] += 1
                if state in (None, row.state):
                    _report(row, output)
        output.say(f"{counted(states.total(), 'file')}.")
        for known in filter(states.get, BulkState):
            output.say(f"  {states[known]:,} {known.value}")
        return Exit.OK

    return run(shown, output)


@journal.command
def retry(
    file: LocalPath,
    /,
    *,
    state: Annotated[BulkState, Parameter(show_choices=False)] = BulkState.AMBIGUOUS,
) -> Exit:
    """Mark files to be sent again by the next upload with this journal.

    Every upload looks for ambiguous files again, and settles those that it can. For the others,
    check with 'ccv2 files' whether they are in the library. Files that this command marks are
    sent again without such a check.

    Args:
        file: The file that was passed to 'ccv2 upload' as --journal.
        state: Which files to mark: ambiguous or failed.
    """
    output = Output(as_json=False)

    async def marked() -> Exit:
        paths = await retry_files(file, state=state)
        for path in paths:
            output.line(path)
        output.say(
            f"{counted(len(paths), 'file')} marked. Run the upload again to send "
            f"{'it' if len(paths) == 1 else 'them'}."
            if paths
            else f"The journal has no {state.value} files."
        )
        return Exit.OK

    return run(marked, output)


def _report(row: JournalEntry, output: Output) -> None:
    if output.as_json:
        output.record({**row.row, "duplicates": list(row.duplicates)})
        return
    word = row.status if row.status and row.state is not BulkState.DONE else ""
    copies = f"duplicates in the folder: {', '.join(row.duplicates)}" * bool(row.duplicates)
    about = " ".join(part for part in (row.file_id, word, copies, row.row["error"]) if part)
    output.line(f"{row.state.value:<9}  {row.path}" + (f"  {about}" if about else ""))
