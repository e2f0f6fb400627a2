"""`ccv2 files get`: files of the library into a directory."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter

from ccv2_async import BulkState, SafeNames, errors
from ccv2_async.cli.exits import Exit, heaviest, message_of
from ccv2_async.cli.jobs import JobItem, all_of, exit_of_items
from ccv2_async.cli.library import PAGE, OptionalId, files, files_of
from ccv2_async.cli.listings import Unreadable
from ccv2_async.cli.live import Totals, shown
from ccv2_async.cli.reports import report_refused, show_table
from ccv2_async.cli.service import Flag, LocalPath, Run, between, command
from ccv2_async.cli.tables import counted, in_bytes
from ccv2_async.tasks import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ccv2_async import Progress
    from ccv2_async.cli.jobs import Display
    from ccv2_async.models import LibraryFile

_OTHER_SIZE = "a file with a different size already exists; use --overwrite to replace it"

_Jobs = Annotated[int, between("--jobs", 1, 100, "it must be from 1 to 100")]


@files.command(usage="Usage: ccv2 files get [OPTIONS] [IDS]")
@command(carry_on=True, names={"file": "IDS", "file_id": "IDS", "id": "--folder"})
async def get(
    run: Run,
    ids: Annotated[list[str] | None, Parameter(negative=())] = None,
    /,
    *,
    folder: OptionalId = None,
    all: Flag = False,  # noqa: A002  # the name of the option
    to: LocalPath = ".",
    overwrite: Flag = False,
    jobs: _Jobs = 8,
) -> Exit:
    """Download files of the library into one directory.

    Each file is complete or absent. A file that already exists with the right size is skipped, so
    the same command continues after an interruption. Names that a disk cannot store are made safe.
    If two files have the same name, the newer one gets its ID in its name. To keep the folders too,
    use 'ccv2 backup'.

    Args:
        run: The run of the command.
        ids: IDs of the files; see 'ccv2 files'.
        folder: ID of the folder whose files are downloaded.
        all: Download every file of the library.
        to: The directory. It is created if it is missing.
        overwrite: Download existing files again, and replace them.
        jobs: Number of files to download at a time, from 1 to 100.
    """
    if (bool(ids), folder is not None, all).count(True) != 1:
        raise errors.UsageError("Choose the files: pass IDs, --folder ID, or --all.")
    download = _Download(run, to, overwrite=overwrite)
    bad, found = Unreadable(run.output), list["LibraryFile"]()
    for id_ in dict.fromkeys(ids or ()):
        try:
            found.append(await run.client.library.get_file(id_))
        except errors.ConstantContactError as error:
            of_all = isinstance(error, (*errors.AFFECTS_EVERY_CALL, errors.Forbidden))
            if of_all and getattr(error, "is_from_service", True):  # a firewall may block one
                raise
            bad(error)
    if not ids:
        found = await files_of(run, folder)(limit=PAGE, on_bad_row=bad).collect()
    if bad.exit and not found:
        return bad.exit
    return heaviest([bad.exit, await download.carry_out(found, jobs)])


@attrs.define
class _Download:
    """One run of the command.

    Attributes:
        run: The run of the command.
        to: The directory.
        overwrite: Whether files that already exist are replaced.
    """

    run: Run
    to: str
    overwrite: bool = attrs.field(kw_only=True)

    async def carry_out(self, found: Sequence[LibraryFile], jobs: int) -> Exit:
        """Download the files, and report the outcome of each."""
        await in_thread(partial(os.makedirs, self.to, exist_ok=True))
        names = SafeNames()
        # By their IDs, so that a file gets the same name in each run.
        ordered = sorted(found, key=lambda file: (len(file.id), file.id))
        items = [self._item(file, names) for file in ordered]
        output = self.run.output
        if not self.overwrite:
            await in_thread(_look, items)
            there = [item.label for item in items if item.failed]
            report_refused(((name, _OTHER_SIZE) for name in there), output, done="downloaded")
        totals = Totals(items, self.run.client.budget)

        def interrupted() -> None:
            display.stop()
            output.say("Interrupted. Run the same command again to continue.")
            self._sum_up(items, totals)

        async with shown(items, output, totals, results_come=output.as_json) as display:
            for item in [item for item in items if item.ended]:
                totals.changed(item)
                self._report(item)
            queue = iter(item for item in items if not item.ended)
            workers = [self._work(queue, display) for _ in range(min(jobs, len(items)))]
            await all_of(workers, interrupted=interrupted)
        self._sum_up(items, totals)
        return exit_of_items(items)

    def _item(self, file: LibraryFile, names: SafeNames) -> JobItem:
        path = os.path.normpath(os.path.join(self.to, names.choose(file.name, file.id)))  # noqa: PTH118  # without "./"
        return JobItem(path, file.size or 0, file.id, result=file, verb="downloading")

    async def _work(self, queue: Iterator[JobItem], display: Display) -> None:
        for item in queue:
            try:
                await self._download(item, display)
            except errors.ConstantContactError as error:
                item.fail(error)
            display.changed(item)
            self._report(item)

    def _report(self, item: JobItem) -> None:
        if self.run.output.as_json:
            self.run.output.record(_fields(item))

    async def _download(self, item: JobItem, display: Display) -> None:
        def note(progress: Progress) -> None:
            item.sent = progress.sent
            if progress.attempt != item.attempt:
                item.state, item.attempt = BulkState.SENDING, progress.attempt
                item.began = time.monotonic()
                display.changed(item)

        if not self.overwrite:  # since the first look, another program may have written it
            await in_thread(_look, [item])
        if not item.ended:
            await self.run.client.library.download(item.result, item.label, on_progress=note)
            item.state = BulkState.DONE

    def _sum_up(self, items: Sequence[JobItem], totals: Totals) -> None:
        output = self.run.output
        if not output.as_json:
            show_table([item for item in items if item.ended], output, urls=False)
        done = [item for item in items if item.state is BulkState.DONE]
        earlier = sum(item.earlier for item in done)
        words = [f"{len(done):,} of {counted(len(items), 'file')} in {self.to}"]
        words += [f"{earlier:,} of them already there"] * bool(earlier)
        words += [in_bytes(sum(item.size for item in done)), totals.summary()]
        output.say(f"{', '.join(words)}.")


def _look(items: Iterable[JobItem]) -> None:
    """Note which files already exist."""
    for item in [item for item in items if os.path.lexists(item.label)]:
        if os.path.exists(item.label) and os.path.getsize(item.label) == item.result.size:  # noqa: PTH110, PTH202  # plain strings
            item.state, item.earlier = BulkState.DONE, True
        else:
            item.fail(errors.UsageError(f"{item.label}: {_OTHER_SIZE}."))


def _fields(item: JobItem) -> dict[str, Any]:
    fields = {"id": item.id, "name": item.result.name, "path": item.label, "size": item.size}
    fields |= {"earlier": True} if item.earlier else {}
    return fields | ({"error": message_of(item.error)} if item.error else {})
