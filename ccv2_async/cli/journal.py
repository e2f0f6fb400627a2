"""`ccv2 journal`: what the journal of an upload says, and which files to send again."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.jobs import counted
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import read_journal, retry_files

if TYPE_CHECKING:
    from ccv2_async.uploads.many.journal import JournalEntry

__all__ = ["journal"]

journal: App = App(
    name="journal", help="Look into the journal of an upload, or mark files to be sent again."
)


@journal.command
def show(
    file: str,
    /,
    *,
    state: BulkState | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> Exit:
    """Show what became of each file, also while an upload is writing the journal.

    Args:
        file: What was given to 'ccv2 upload' as --journal.
        state: Only the files that stand so.
        json: Print one JSON object a line on stdout, and nothing else there.
    """
    output = Output(as_json=json)

    async def shown() -> Exit:
        states: Counter[BulkState] = Counter()
        async with contextlib.aclosing(read_journal(file)) as rows:
            async for row in rows:
                states[row.state] += 1
                if state in (None, row.state):
                    _tell(row, output)
        output.say(f"{counted(states.total(), 'file')}.")
        for known in BulkState:
            if states[known]:
                output.say(f"  {states[known]:,} {known.value}")
        return Exit.OK

    return run(shown, output)


@journal.command
def retry(
    file: str,
    /,
    *,
    state: Annotated[BulkState, Parameter(show_choices=False)] = BulkState.AMBIGUOUS,
) -> Exit:
    """Mark files to be sent again by the next upload with this journal.

    Every upload looks again for the files that are ambiguous, and settles those that it can. For
    the others, look with 'ccv2 files' whether they are in the library. This command then has them
    sent again, without a look.

    Args:
        file: What was given to 'ccv2 upload' as --journal.
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
            else f"There are no files that are {state.value}."
        )
        return Exit.OK

    return run(marked, output)


def _tell(row: JournalEntry, output: Output) -> None:
    if output.as_json:
        output.record(row.row)
        return
    word = row.status if row.status and row.state is not BulkState.DONE else ""
    about = " ".join(part for part in (row.file_id, word, row.row["error"]) if part)
    output.line(f"{row.state.value:<9}  {row.path}" + (f"  {about}" if about else ""))
