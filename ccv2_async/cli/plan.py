"""What `ccv2 upload --dry-run` shows: each file, and what would be done about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from ccv2_async.cli.closing import MOST_ROWS
from ccv2_async.cli.jobs import counted
from ccv2_async.cli.output import clean
from ccv2_async.cli.tables import table
from ccv2_async.cli.wording import told
from ccv2_async.uploads.ledger import Action

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ccv2_async.cli.output import Output
    from ccv2_async.uploads.many.results import UploadResult

__all__ = ["show_plan"]

_WORDS = {
    Action.SEND: "send",
    Action.LOOK: "look for it, send it if it is missing",
    Action.FOLLOW: "wait for the service",
    Action.SKIP: "nothing: it is done",
    Action.EXISTS: "nothing: the folder has it already",
    Action.REPORT: "nothing: it failed for good",
    Action.REFUSE: "nothing: it changed since it was sent",
}


async def show_plan(plan: AsyncIterable[UploadResult], output: Output, *, refused: int = 0) -> bool:
    """Show what would be done, and return whether that is possible for every file.

    Args:
        plan: The results of a dry run.
        output: Where it is shown.
        refused: How many more files cannot be sent; they were reported before.
    """
    rows = table("file", "folder", "action")
    actions: Counter[str] = Counter()
    possible = True
    async for result in plan:
        word = _WORDS[result.action] if result.error is None else "nothing: it cannot be sent"
        possible = possible and result.error is None
        actions[word] += 1
        if result.error is not None:
            output.complain(told(result.error))
        if output.as_json:
            action = result.action.name.lower() if result.error is None else None
            fields = {"path": result.path, "folder": result.folder_id, "action": action}
            output.record(fields | ({"error": told(result.error)} if result.error else {}))
        elif rows.row_count < MOST_ROWS:
            rows.add_row(Text(clean(result.path)), clean(result.folder_id), word)
    if rows.row_count:
        output.show(rows)
    total = actions.total()
    if not output.as_json and total > rows.row_count:
        output.line(f"and {counted(total - rows.row_count, 'file')} more")
    for word, number in actions.most_common():
        output.say(f"{counted(number, 'file')}: {word}")
    if refused:
        output.say(f"{counted(refused, 'file')}: refused, see above")
    output.say("Nothing was sent.")
    return possible
