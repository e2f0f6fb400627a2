"""`ccv2 upload`: files and folders into the library, each followed until it is Active."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs

from ccv2_async import Action, BulkState, FileToUpload, errors
from ccv2_async.cli import reports
from ccv2_async.cli.exits import Exit, heaviest, message_of
from ccv2_async.cli.jobs import JobItem, all_of, exit_of_items, good_states, report_unfinished
from ccv2_async.cli.live import Totals, shown
from ccv2_async.cli.service import Flag, Id, LocalPaths, Run, between, command, size_of
from ccv2_async.cli.tables import counted
from ccv2_async.models import FileSortOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ccv2_async import ConstantContact, FileProgress, UploadPoller, UploadResult
    from ccv2_async.cli.jobs import Display
    from ccv2_async.cli.output import Output
    from ccv2_async.models import LibraryFile


_OF_ALL = ("description", "folder_id")
"""Fields that are the same for all files: if one is wrong, no file can be sent."""

_SECONDS, _MOST_SECONDS = 5.0, 60.0
_FILES_A_SECOND = 100
"""If more files than this finish per second, each waits longer for its URL to save calls."""

_WORTHWHILE = 4
"""The number of files that must be waiting for their URLs before the listing is read."""

_MANY = 25
"""The minimum number of files in a run for their URLs to be looked up together."""

_ROWS = (100, 1000)


Jobs = Annotated[int, between("--jobs", 1, 100, "it must be from 1 to 100")]


@command()
async def upload(
    run: Run,
    paths: LocalPaths,
    /,
    *,
    folder: Id = "0",
    tree: Flag = False,
    description: str = "",
    jobs: Jobs = 8,
    journal: str | None = None,
    dry_run: Flag = False,
    no_wait: Flag = False,
    skip_existing: Flag = False,
    on_duplicate: Literal["report", "trash"] = "report",
    outage_timeout: float = 900.0,
) -> Exit:
    """Upload files to the library and wait until each is Active.

    For a folder, all files in it and in its subfolders, except hidden ones, are sent in order by
    name. Files that cannot be sent are reported first; the rest are uploaded. Ctrl-C stops
    immediately and prints a token for every file that the service has accepted.

    With --journal, the same command continues where it stopped. Nothing is lost, and
    nothing is sent twice.

    Args:
        run: The run of the command.
        paths: Files and folders.
        folder: ID of the library folder to upload to; see 'ccv2 folders'.
        tree: Keep the subfolders of each given folder. Missing ones are created in the library,
            three levels at most.
        description: Description of the files, at most 100 characters.
        jobs: Number of files to send at a time, from 1 to 100. Files that the service is
            processing do not count.
        journal: A file that records the state of each file; see 'ccv2 journal'.
        dry_run: Send nothing; show what would be done with each file.
        skip_existing: Skip a file if its folder in the library has one with its name and
            size. Otherwise the library stores it again, under a numbered name.
        on_duplicate: What to do when a lost response has left a second copy of a file: report it,
            or also move it to the trash.
        outage_timeout: Seconds to wait for the service when it is down. The upload continues
            when the service is back.
        no_wait: Print a token for each accepted file, for 'ccv2 poll', and do not wait.
    """
    if run.sandbox and journal is not None and size_of(journal):
        raise errors.UsageError(
            f"{journal}: this journal belongs to another service, because each sandbox that a "
            "command starts is a new one. Choose another file. To see an upload continue where "
            "it stopped, start 'ccv2 sandbox' separately, set the variables that it prints, and "
            "leave out --sandbox."
        )
    options = {"folder_id": folder, "journal": journal}
    how = {
        "concurrency": jobs,
        "wait": not no_wait,
        "skip_existing": skip_existing,
        "on_duplicate": on_duplicate,
        "outage_timeout": outage_timeout,
    }
    upload = _Upload(run.output, run, options, how, description)
    return await upload.carry_out(paths, tree=tree, dry_run=dry_run)


@attrs.define
class _Upload:
    """One run of the command.

    Attributes:
        output: The streams for results and messages.
        run: The run of the command.
        options: Arguments of `upload_many` for a dry run too.
        how: Additional arguments for the upload itself.
        description: The description of all files.
        items: The files that can be sent, by their paths.
        refused: The number of files that cannot be sent.
        reported: The items whose results are written.
    """

    output: Output
    run: Run
    options: dict[str, Any]
    how: dict[str, Any]
    description: str
    items: dict[str, JobItem] = attrs.field(factory=dict, init=False)
    refused: int = attrs.field(default=0, init=False)
    reported: set[JobItem] = attrs.field(factory=set, init=False)

    async def carry_out(self, paths: Sequence[str], *, tree: bool, dry_run: bool) -> Exit:
        """Upload the files, and report the outcome of each."""
        try:
            found = await self._collect(paths, tree=tree)
            if dry_run:
                if found and self.how["skip_existing"]:
                    found = await self._plan(_files(found, self.description), skip_existing=True)
                reports.show_plan(found, self.output, refused=self.refused)
                return Exit.SOME_FAILED if self.refused else Exit.OK
        except asyncio.CancelledError:
            self.output.say("Interrupted; nothing was sent.")
            raise
        if found:
            await self._upload(found)
        else:
            self.output.say(f"Nothing was sent: {counted(self.refused, 'file')} refused.")
        code = exit_of_items(self.items.values(), good_states(waited=self.how["wait"]))
        return heaviest([code, Exit.SOME_FAILED] if self.refused else [code])

    async def _collect(self, paths: Sequence[str], *, tree: bool) -> list[UploadResult]:
        """Return each file that can be sent once, and report the others."""
        files = [FileToUpload(path, description=self.description) for path in paths]
        if not (plan := await self._plan(files, keep_folders=tree)):
            raise errors.UsageError(
                f"{self.options['journal']}: the journal is the only file. Pass other files."
            )
        limit = None
        if any(result.error is None for result in plan):
            limit = (await self.run.client.library.info()).max_upload_size_limit
            if self.options["folder_id"] != "0":
                await self.run.client.library.get_folder(self.options["folder_id"])
        found, refused = [], []
        for result in plan:
            error = result.error
            if error is None and limit is not None and (result.size or 0) > limit:
                reason = f"it is larger than the {limit:,} bytes that the account accepts"
                error = errors.FileRefused(result.path, reason)
            if error is None:
                found.append(result)
            else:
                refused.append((result.path, reports.refusal_of(error)))
                self.refused += getattr(error, "files", 1)
        reports.report_refused(refused, self.output)
        for path, reason in refused if self.output.as_json else ():
            self.output.record(reports.refused_fields(path, error=f"Not sent: {reason}."))
        return found

    async def _plan(self, files: Iterable[FileToUpload], **more: Any) -> list[UploadResult]:
        """Return what an upload would do with each file, in order."""
        # One at a time, so that the files keep their order.
        plan = self.run.client.upload_many(
            files, dry_run=True, concurrency=1, **self.options, **more
        )
        results: dict[str, UploadResult] = {}
        async with aclosing(aiter(plan)) as planned:
            async for result in planned:
                error = result.error
                if isinstance(error, errors.InvalidField) and error.field in _OF_ALL:
                    raise error
                # Path would not resolve "..".
                results.setdefault(os.path.abspath(result.path), result)  # noqa: PTH100, ASYNC240
        return list(results.values())

    async def _upload(self, found: Sequence[UploadResult]) -> None:
        self.items = {result.path: JobItem(result.path, result.size or 0) for result in found}
        items = list(self.items.values())
        finished = [
            item for item, result in zip(items, found, strict=True) if result.action is Action.SKIP
        ]
        totals = Totals(items, self.run.client.budget, finished=finished)
        results_come = self.output.as_json or not self.how["wait"]
        async with shown(items, self.output, totals, results_come=results_come) as display:
            await all_of(
                [self._receive(_files(found, self.description), display)],
                interrupted=lambda: self._interrupted(display, totals),
            )
        if self.how["wait"]:
            self._report_unfinished(items)
        self._sum_up(totals)

    async def _receive(self, files: Iterable[FileToUpload], display: Display) -> None:
        """Take every result, and look up the URLs that somebody will see."""
        # Looking up URLs costs calls.
        wanted = self.how["wait"] and (self.output.as_json or len(self.items) <= reports.MOST_ROWS)
        bulk = self.run.client.upload_many(
            files, on_file=lambda event: self._note(event, display), **self.options, **self.how
        )
        try:
            async with aclosing(aiter(bulk)) as results, asyncio.TaskGroup() as lookups:
                records = _Records(self.run.client, lookups, expected=len(self.items))
                async for result in results:
                    item = self._settle(result)
                    display.changed(item)
                    if wanted and item.state is BulkState.DONE and item.poller:
                        lookups.create_task(self._look_up(item, records))
                    else:
                        self._report(item)
        except BaseExceptionGroup as group:
            error = group.exceptions[0]
            if not isinstance(error, errors.ConstantContactError):
                raise error from None
            self._give_up(error, display)

    def _note(self, event: FileProgress, display: Display) -> None:
        """Note one step of one file."""
        item = self.items[event.path]
        if event.state is BulkState.ACCEPTED:
            self._follow(item, event.token)
        if item.take(event):
            display.changed(item)

    def _follow(self, item: JobItem, token: str) -> None:
        if item.poller is None:
            # The token of an earlier run may have expired.
            with suppress(errors.TokenError):
                item.poller = self.run.client.resume(token)
                item.id = item.poller.id

    def _settle(self, result: UploadResult) -> JobItem:
        item = self.items[result.path]
        item.id, item.status = result.id or item.id, result.status or item.status
        item.earlier, item.existing = result.earlier, result.existing
        item.duplicates = result.duplicates
        if result.error is not None:
            item.fail(result.error)
        else:
            item.state = result.state
            if not item.earlier:
                self._follow(item, result.token)
        return item

    async def _look_up(self, item: JobItem, records: _Records) -> None:
        try:
            item.result = await records.of(item.poller)
        except errors.ConstantContactError as error:
            item.error = error
            self.output.complain(
                f"{item.label} is Active, but its URL is unknown: {message_of(error)}"
            )
        self._report(item)

    def _report(self, item: JobItem) -> None:
        """Write the item's result to stdout."""
        self.reported.add(item)
        if self.output.as_json:
            self.output.record(reports.file_fields(item))
        elif not self.how["wait"] and item.poller is not None:
            self.output.line(item.poller.token())

    def _give_up(self, error: errors.ConstantContactError, display: Display) -> None:
        """Note an error that ended everything."""
        pending = all(item.state is BulkState.PENDING for item in self.items.values())
        if isinstance(error, errors.UsageError) and pending:
            raise error
        display.stop()
        self.output.complain(message_of(error))
        self._leave(error, accepted_too=True)

    def _interrupted(self, display: Display, totals: Totals) -> None:
        """Say immediately what was not finished, and how to continue."""
        display.stop()
        self._report_unfinished([item for item in self.items.values() if item not in self.reported])
        self._leave(errors.UsageError("Interrupted: not sent."), accepted_too=False)
        self._sum_up(totals)

    def _leave(self, error: errors.ConstantContactError, *, accepted_too: bool) -> None:
        """Report each file that was not finished, with the reason and what is known about it."""
        left = [item for item in self.items.values() if item not in self.reported]
        for item in left:
            if item.state is BulkState.SENDING and item.wholly_sent:
                item.fail(self._unanswered(item))
                self.output.complain(message_of(item.error or error))
            elif item.error is None and (item.poller is None or accepted_too):
                item.error = error
        for item in left if self.output.as_json else ():
            self._report(item)

    def _unanswered(self, item: JobItem) -> errors.OutcomeUnknown:
        advice = (
            "the next run with the same journal looks for it before it sends it again"
            if self.options["journal"]
            else "check 'ccv2 files' before you send it again"
        )
        return errors.OutcomeUnknown(
            f"{item.label}: interrupted after it was sent, before the service answered. It may "
            f"have arrived: {advice}."
        )

    def _report_unfinished(self, items: Sequence[JobItem]) -> None:
        """Say how to continue with the unfinished files."""
        if (journal := self.options["journal"]) is None or self.run.sandbox:
            report_unfinished(items, self.run)
            return
        if left := [item for item in items if not item.ended or item.continues]:
            self.output.say(
                f"{counted(len(left), 'file')} not finished. Run the same command again to "
                f"continue from {journal}."
            )

    def _sum_up(self, totals: Totals) -> None:
        """Write the closing table, unless each file has a line already, and a sentence."""
        items = list(self.items.values())
        self.output.carry_on = True
        if self.how["wait"] and not self.output.as_json:
            reports.show_files(items, self.output)
        reports.report_totals(
            items, self.output, refused=self.refused, waited=self.how["wait"], cost=totals.summary()
        )


class _Records:
    """The library's records of files that have become Active, many of them in one request.

    A record holds the URL, and asking for each would cost a call per file: as many as sending
    them. In a run of many files, those that end within some seconds are looked up together in the
    listing, newest first. A file that is not found there is requested separately.

    Args:
        client: An open client.
        lookups: The task group that reads the listing.
        expected: The number of files in the run.
    """

    def __init__(
        self, client: ConstantContact, lookups: asyncio.TaskGroup, *, expected: int
    ) -> None:
        self._client = client
        self._lookups = lookups
        self._together = expected >= _MANY
        self._seconds = min(_MOST_SECONDS, max(_SECONDS, expected / _FILES_A_SECOND))
        self._wanted = 0
        self._looking: asyncio.Task[dict[str, LibraryFile]] | None = None

    async def of(self, poller: Any) -> LibraryFile:
        """Return the record of an upload that has succeeded.

        Raises:
            ConstantContactError: The record cannot be read. Safe to try again: yes.
        """
        upload: UploadPoller = poller
        if not self._together:
            return await upload
        self._wanted += 1
        if self._looking is None:
            self._looking = self._lookups.create_task(self._look())
        return (await asyncio.shield(self._looking)).get(upload.id) or await upload

    async def _look(self) -> dict[str, LibraryFile]:
        await asyncio.sleep(self._seconds)
        wanted, self._wanted, self._looking = self._wanted, 0, None
        if wanted >= _WORTHWHILE:
            fewest, most = _ROWS
            rows = min(most, max(fewest, 4 * wanted))
            # If anything fails here, each file is requested separately.
            with suppress(errors.ConstantContactError):
                listing = self._client.library.files(
                    sort_by=FileSortOrder.CREATED_DATE_DESC, limit=rows
                )
                return {file.id: file for file in await listing.collect(limit=rows)}
        return {}


def _files(found: Iterable[UploadResult], description: str) -> list[FileToUpload]:
    return [
        FileToUpload(result.path, folders=result.folders, description=description)
        for result in found
    ]
