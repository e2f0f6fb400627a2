"""`ccv2 sync`: make a library folder match a local one."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async import BulkState, MirrorAction
from ccv2_async.cli.exits import Exit, exit_of_item, heaviest, message_of
from ccv2_async.cli.jobs import JobItem
from ccv2_async.cli.live import Totals, shown
from ccv2_async.cli.reports import MOST_ROWS, refusal_of, report_refused
from ccv2_async.cli.service import Flag, Id, LocalPath, Run, command
from ccv2_async.cli.tables import counted, table
from ccv2_async.cli.upload import Jobs

if TYPE_CHECKING:
    from ccv2_async import ConstantContact, FileProgress, MirrorEntry, MirrorResult
    from ccv2_async.cli.jobs import Display
    from ccv2_async.cli.output import Output

_NAMES = {
    "concurrency": "--jobs",
    "journal": "--journal",
    "local": "LOCAL",
    "max_delete": "--max-delete",
}
_DONE = {
    MirrorAction.UPLOAD: "uploaded",
    MirrorAction.REPLACE: "replaced",
    MirrorAction.FINISH: "finished",
    MirrorAction.TRASH: "moved to the trash",
}
_SENT = (MirrorAction.UPLOAD, MirrorAction.REPLACE)


@command(carry_on=True, names=_NAMES)
async def sync(
    run: Run,
    local: LocalPath,
    /,
    *,
    folder: Id = "0",
    delete: Flag = False,
    max_delete: str = "50%",
    dry_run: Flag = False,
    journal: str | None = None,
    jobs: Jobs = 8,
    outage_timeout: float = 900.0,
) -> Exit:
    """Make a library folder match a local one.

    New and changed files are uploaded, including those in subfolders. The plan is printed first. A
    changed file is moved to the trash only when the new one is Active and has its name. Files that
    are in sync are not sent; hidden files are skipped. If it is interrupted, the same command
    continues where it stopped.

    Args:
        run: The run of the command.
        local: The local folder.
        folder: ID of the library folder; see 'ccv2 folders'. 0 means the whole library, except
            the service's own folders.
        delete: Move all other files of the library folder to the trash, including those that were
            never in the local one. Empty folders stay.
        max_delete: The maximum number of files that --delete may move to the trash, or a maximum
            share of the library folder, such as 10%. If the plan has more, nothing is changed.
        dry_run: Change nothing; print the plan.
        journal: The file that records what is in sync; by default '.ccv2-mirror.sqlite' in the
            local folder.
        jobs: Number of files to send at a time.
        outage_timeout: Seconds to wait for the service when it is down. The command continues
            when the service is back.
    """
    how = {
        "folder_id": folder,
        "delete": delete,
        "max_delete": max_delete,
        "dry_run": dry_run,
        "concurrency": jobs,
        "outage_timeout": outage_timeout,
    }
    with ExitStack() as stack:
        if run.sandbox and journal is None:
            # A journal of this sandbox would be of no use after the command.
            journal = stack.enter_context(tempfile.TemporaryDirectory()) + "/journal.sqlite"
        return await _Sync(run.client, run.output).carry_out(local, journal=journal, **how)


@attrs.define
class _Sync:
    """One run of the command.

    Attributes:
        items: The files that are sent, by their paths.
    """

    client: ConstantContact
    output: Output
    items: dict[str, JobItem] = attrs.field(factory=dict, init=False)
    _display: Display | None = attrs.field(default=None, init=False)

    async def carry_out(self, local: str, **how: Any) -> Exit:
        """Carry out the plan, or show it."""
        planned = asyncio.Event()
        whole = Totals((), self.client.budget)

        def begin(plan: MirrorResult) -> None:
            self._show_plan(plan)
            planned.set()

        mirroring = asyncio.create_task(
            self.client.library.mirror(
                local, on_plan=begin, on_entry=self._end, on_file=self._note, **how
            )
        )
        mirroring.add_done_callback(lambda _: planned.set())
        try:
            await planned.wait()
            items = list(self.items.values())
            if items and not how["dry_run"]:
                totals = Totals(items, self.client.budget)
                results_come = self.output.as_json
                async with shown(items, self.output, totals, results_come=results_come) as display:
                    self._display = display
                    await asyncio.wait([mirroring])
            result = await mirroring
        except asyncio.CancelledError:
            self.output.say("Interrupted. Run the same command again to continue.")
            raise
        finally:
            mirroring.cancel()
            await asyncio.gather(mirroring, return_exceptions=True)
        self._sum_up(result, whole)
        return heaviest(exit_of_item(entry.error) for entry in result.failed if entry.error)

    def _show_plan(self, plan: MirrorResult) -> None:
        rows = table("action", "file", "size", "id")
        work = [entry for entry in plan.entries if entry.error is None]
        refused = ((each.path, refusal_of(each.error)) for each in plan.failed if each.error)
        report_refused(refused, self.output)
        for entry in work[:MOST_ROWS]:
            ids = ", ".join(filter(None, (entry.file_id, *entry.replaces)))
            rows.add_row(entry.action.value, _label(entry), entry.size, ids)
        if self.output.as_json:
            for entry in plan.entries if plan.dry_run else plan.failed:
                self.output.record(_fields(entry))
        elif work:
            self.output.show(rows)
            if len(work) > MOST_ROWS:
                self.output.line(f"and {counted(len(work) - MOST_ROWS, 'more file')}")
        self.items = {
            entry.path: JobItem(entry.path, entry.size or 0)
            for entry in work
            if entry.action in _SENT
        }

    def _note(self, event: FileProgress) -> None:
        """Note one step of one file."""
        item = self.items[event.path]
        if item.take(event) and self._display is not None:
            self._display.changed(item)

    def _end(self, entry: MirrorEntry) -> None:
        """Note that a file of the plan is done or has failed."""
        if self.output.as_json:
            self.output.record(_fields(entry))
        item = self.items.get(entry.path)
        if item is not None and entry.action in _SENT:
            item.id = entry.file_id
            if entry.error is not None:
                item.fail(entry.error)
            else:
                item.state, item.status = BulkState.DONE, "Active"
            if self._display is not None:
                self._display.changed(item)
        elif entry.error is not None:
            self.output.complain(f"{_label(entry)}: {message_of(entry.error)}")

    def _sum_up(self, result: MirrorResult, totals: Totals) -> None:
        planned = result.dry_run
        counts = {word: result.count(act, done=not planned) for act, word in _DONE.items()}
        words = [f"{count:,} {'to be ' * planned}{word}" for word, count in counts.items() if count]
        words.append(f"{result.equal:,} in sync")
        if result.extra:
            words.append(f"{result.extra:,} only in the library")
        if result.failed:
            words.append(f"{len(result.failed):,} failed or refused")
        self.output.say(f"{', '.join(words)}; {totals.summary()}.")
        for each in result.possible_copies:
            about = f"{_label(each)} (ID {each.file_id}) is only in the library"
            self.output.report(_fields(each), f"{about}, and may be a copy of a local file.")
        if result.kept_because:
            self.output.complain(f"No file was moved to the trash: {result.kept_because}.")
        if planned:
            self.output.say("Nothing was changed.")


def _label(entry: MirrorEntry) -> str:
    return entry.path or str(PurePosixPath(*entry.folders, entry.name))


def _fields(entry: MirrorEntry) -> dict[str, Any]:
    """Return the JSON fields of a file."""
    fields: dict[str, Any] = {
        "action": entry.action.value,
        "path": entry.path or None,
        "name": "/".join((*entry.folders, entry.name)),
        "size": entry.size,
        "id": entry.file_id or None,
        "done": entry.done,
    }
    if entry.replaces:
        fields["replaces"] = list(entry.replaces)
    if entry.error is not None:
        fields["error"] = message_of(entry.error)
    return fields
