"""`ccv2 upload`: files and folders into the library, each followed until it is Active."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import attrs
from cyclopts import Parameter

from ccv2_async import errors
from ccv2_async.cli import intake
from ccv2_async.cli.closing import (
    MOST_ROWS,
    fields_of,
    refused_fields,
    show_table,
    tell_numbered,
    tell_sum,
)
from ccv2_async.cli.exits import Exit, heaviest
from ccv2_async.cli.jobs import (
    JobItem,
    Stage,
    all_of,
    counted,
    exit_of_items,
    tell_unfinished,
)
from ccv2_async.cli.live import shown
from ccv2_async.cli.output import Output
from ccv2_async.cli.plan import show_plan
from ccv2_async.cli.records import Records
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.cli.totals import Totals
from ccv2_async.cli.wording import told
from ccv2_async.transport.calls.outage import OUTAGE_TIMEOUT
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.items import FileToUpload
from ccv2_async.uploads.many.journal import read_journal
from ccv2_async.uploads.prepare import OnDuplicate  # noqa: TC001  # read by cyclopts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccv2_async.cli.jobs import Display
    from ccv2_async.client import ConstantContact
    from ccv2_async.uploads.many.results import FileProgress, UploadResult
    from ccv2_async.uploads.many.run import BulkUpload

__all__ = ["upload"]

_MOST_JOBS = 100


def upload(
    paths: list[str],
    /,
    *,
    folder: Annotated[str, Parameter(allow_leading_hyphen=True)] = "0",
    tree: Annotated[bool, Parameter(negative=())] = False,
    description: str = "",
    jobs: int = 8,
    journal: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    no_wait: Annotated[bool, Parameter(negative=())] = False,
    skip_existing: Annotated[bool, Parameter(negative=())] = False,
    on_duplicate: OnDuplicate = "report",
    outage_timeout: float = OUTAGE_TIMEOUT,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Upload files to the library and wait until each is Active.

    A folder stands for all files in it and below it, sorted by name; hidden files are passed over.
    What cannot be sent is told before anything is sent, and the others go on. Ctrl-C ends at once
    and prints a token for every file that the service has accepted.

    With --journal, the same command continues where it stopped. Nothing is lost, and
    nothing is sent twice.

    Args:
        paths: Files and folders.
        folder: Id of the library folder they go to; see 'ccv2 folders'.
        tree: Keep the folders below a given one: they are created in the library where they are
            missing, three levels at most.
        description: Description they get, at most 100 characters.
        jobs: Files that are being sent at once, from 1 to 100; what the service has accepted
            and is still processing does not count.
        journal: A file that remembers what became of each file; see 'ccv2 journal'.
        dry_run: Send nothing; say what would be done about each file.
        skip_existing: Leave out a file if its folder in the library has one with its name and
            size. Otherwise the library stores it again, under a numbered name.
        on_duplicate: What to do when a lost answer has left a second copy of a file: report it,
            or also move it to the trash.
        outage_timeout: Seconds to wait for the service when it is down. The upload goes on by
            itself when the service is back.
        no_wait: Print a token for each accepted file, for 'ccv2 poll', and do not wait.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    if not 1 <= jobs <= _MOST_JOBS:
        raise errors.InvalidField("--jobs", jobs, f"files at once, from 1 to {_MOST_JOBS}")
    if service.sandbox and journal is not None and _has_content(journal):
        raise errors.UsageError(
            f"{journal}: this journal is of another service, as each sandbox that starts with the "
            "command is a new one. Choose another file. To see an upload go on where it stopped, "
            "run 'ccv2 sandbox' beside it, set what that prints, and leave --sandbox out."
        )
    found, refused = intake.collect(
        paths, folder_id=folder, description=description, tree=tree, journal=journal
    )
    batch = _Batch(
        output,
        service,
        folder=folder,
        description=description,
        jobs=jobs,
        journal=journal,
        wait=not no_wait,
        skip_existing=skip_existing,
        on_duplicate=on_duplicate,
        outage_timeout=outage_timeout,
    )
    return run(lambda: batch.carry_out(found, refused, dry_run=dry_run), output)


@attrs.define
class _Batch:
    """One run of the command."""

    output: Output
    service: Service
    folder: str
    description: str
    jobs: int
    journal: str | None
    wait: bool
    skip_existing: bool
    on_duplicate: OnDuplicate
    outage_timeout: float
    items: dict[str, JobItem] = attrs.field(factory=dict, init=False)
    refused: int = attrs.field(default=0, init=False)
    told: set[JobItem] = attrs.field(factory=set, init=False)
    cost: str = attrs.field(default="", init=False)

    async def carry_out(
        self, found: list[intake.Found], refused: list[intake.Refused], *, dry_run: bool
    ) -> Exit:
        """Send what was found, and say what became of everything."""
        possible = True
        async with open_client(self.service) as client:
            if found:
                limit = (await client.library.info()).max_upload_size_limit
                found, more = intake.too_large(found, limit)
                refused += more
            if found and self.folder != "0":
                await client.library.get_folder(self.folder)
            for refusal in refused:
                self._refuse(refusal)
            self.refused = sum(refusal.files for refusal in refused)
            if dry_run:
                possible = await self._plan(client, found)
            elif found:
                await self._upload(client, found)
            else:
                files = counted(self.refused, "file")
                self.output.say(f"Nothing was sent: {files} refused.")
        good = (Stage.DONE,) if self.wait else (Stage.DONE, Stage.AT_SERVICE)
        codes = [exit_of_items(self.items.values(), good)]
        return heaviest(codes if possible and not refused else [*codes, Exit.SOME_FAILED])

    async def _plan(self, client: ConstantContact, found: Sequence[intake.Found]) -> bool:
        plan = client.upload_many(
            self._files(found),
            folder_id=self.folder,
            journal=self.journal,
            dry_run=True,
            skip_existing=self.skip_existing,
        )
        async with aclosing(aiter(plan)) as results:
            return await show_plan(results, self.output, refused=self.refused)

    async def _upload(self, client: ConstantContact, found: Sequence[intake.Found]) -> None:
        self.items = {file.path: JobItem(file.path, file.size) for file in found}
        items = list(self.items.values())
        totals = Totals(items, client.budget, finished=await self._finished())
        results_come = self.output.as_json or not self.wait
        async with shown(items, self.output, totals, results_come=results_come) as display:
            under_way = _Run(self, client, display, totals)
            bulk = client.upload_many(
                self._files(found),
                folder_id=self.folder,
                concurrency=self.jobs,
                journal=self.journal,
                on_file=under_way.note,
                wait=self.wait,
                outage_timeout=self.outage_timeout,
                skip_existing=self.skip_existing,
                on_duplicate=self.on_duplicate,
            )
            async with Records(client, expected=len(items)) as records:
                await all_of([under_way.receive(bulk, records)], interrupted=under_way.interrupted)
        if self.wait:
            self.tell_unfinished(items)
        self.sum_up(totals)

    async def _finished(self) -> list[JobItem]:
        """Return the files that an earlier run has finished, so that the time left is right."""
        if self.journal is None or not os.path.exists(self.journal):  # noqa: ASYNC240, PTH110  # a look
            return []
        items = {os.path.abspath(path): item for path, item in self.items.items()}  # noqa: PTH100, ASYNC240  # no I/O but getcwd
        done: dict[str, JobItem] = {}
        # What is wrong with a journal is said by the upload itself, which comes next.
        with contextlib.suppress(errors.ConstantContactError):
            async with aclosing(read_journal(str(self.journal))) as rows:
                async for row in rows:
                    item = items.get(row.path)
                    if row.state is BulkState.DONE and item and item.size == row.size:
                        done[row.path] = item
        return list(done.values())

    def _files(self, found: Sequence[intake.Found]) -> list[FileToUpload]:
        return [
            FileToUpload(file.path, folders=file.folders, description=self.description)
            for file in found
        ]

    @property
    def wants_urls(self) -> bool:
        """Whether anybody will see the URLs: looking them up costs calls."""
        return self.wait and (self.output.as_json or len(self.items) <= MOST_ROWS)

    def _refuse(self, refusal: intake.Refused) -> None:
        self.output.complain(f"{refusal.path}: not sent: {refusal.reason}.")
        if self.output.as_json:
            self.output.record(refused_fields(refusal.path, error=f"Not sent: {refusal.reason}."))

    def tell_result(self, item: JobItem) -> None:
        """The item's line on stdout, as soon as it is known."""
        self.told.add(item)
        if self.output.as_json:
            self.output.record(fields_of(item))
        elif not self.wait and item.poller is not None:
            self.output.line(item.poller.token())

    def tell_unfinished(self, items: Sequence[JobItem]) -> None:
        """How to go on with what was not finished."""
        if self.journal is None or self.service.sandbox:
            tell_unfinished(items, self.output, sandbox=self.service.sandbox)
            return
        left = [item for item in items if not item.ended or item.goes_on]
        if left:
            self.output.say(
                f"{counted(len(left), 'file')} not finished: run the same command again, and "
                f"{self.journal} tells it where to go on."
            )

    def sum_up(self, totals: Totals) -> None:
        """The closing table, unless there are lines of it already, and a sentence."""
        items = list(self.items.values())
        self.output.carry_on = True
        if self.wait and not self.output.as_json:
            show_table(items, self.output)
            tell_numbered(items, self.output)
        tell_sum(
            items,
            self.output,
            refused=self.refused,
            waited=self.wait,
            cost=totals.summary(),
        )


@attrs.define
class _Run:
    """What comes back while the files are sent: of each file its steps, then its result."""

    batch: _Batch
    client: ConstantContact
    display: Display
    totals: Totals

    def note(self, event: FileProgress) -> None:
        """One step of one file."""
        item = self.batch.items[event.path]
        if event.state is BulkState.ACCEPTED:
            self._follow(item, event.token)
            item.stage, item.status = Stage.AT_SERVICE, event.status
            self.display.changed(item)
        elif event.state is BulkState.PENDING:
            item.stage = Stage.WAITING
        else:
            item.sent = event.sent
            if item.stage is Stage.WAITING or event.attempt != item.attempt:
                item.stage, item.attempt = Stage.SENDING, event.attempt
                item.began = time.monotonic()
                self.display.changed(item)

    def _follow(self, item: JobItem, token: str) -> None:
        if item.poller is None:
            # A token of an earlier run may have expired; it is of no use then.
            with contextlib.suppress(errors.TokenError):
                item.poller = self.client.resume(token)
                item.id = item.poller.id

    async def receive(self, bulk: BulkUpload, records: Records) -> None:
        """Take every result, and look up the URLs that somebody will see."""
        try:
            async with aclosing(aiter(bulk)) as results, asyncio.TaskGroup() as finishing:
                async for result in results:
                    item = self._settle(result)
                    if self.batch.wants_urls and item.stage is Stage.DONE and item.poller:
                        finishing.create_task(self._finish(item, records))
                    else:
                        self.batch.tell_result(item)
        except BaseExceptionGroup as group:
            error = group.exceptions[0]
            if not isinstance(error, errors.ConstantContactError):
                raise error from None
            self._give_up(error)

    def _settle(self, result: UploadResult) -> JobItem:
        item = self.batch.items[result.path]
        item.id, item.status = result.id or item.id, result.status or item.status
        item.earlier, item.existing = result.earlier, result.existing
        item.duplicates = result.duplicates
        if result.error is not None:
            item.fail(result.error)
        else:
            item.stage = Stage.DONE if result.state is BulkState.DONE else Stage.AT_SERVICE
            if not item.earlier:
                self._follow(item, result.token)
        self.display.changed(item)
        return item

    async def _finish(self, item: JobItem, records: Records) -> None:
        try:
            item.result = await records.of(item.poller)
        except errors.ConstantContactError as error:
            item.error = error
            self.batch.output.complain(
                f"{item.label} is Active, but its URL is not known: {told(error)}"
            )
        self.batch.tell_result(item)

    def _give_up(self, error: errors.ConstantContactError) -> None:
        """Take note of an error that ended everything."""
        items = self.batch.items.values()
        if isinstance(error, errors.UsageError) and all(
            item.stage is Stage.WAITING for item in items
        ):
            raise error
        self.display.stop()
        self.batch.output.complain(told(error))
        self._leave(error, accepted_too=True)

    def _leave(self, error: errors.ConstantContactError, *, accepted_too: bool) -> None:
        """Say of each file that was not finished why, and what is known of it."""
        left = [item for item in self.batch.items.values() if item not in self.batch.told]
        for item in left:
            if item.stage is Stage.SENDING and item.wholly_sent:
                item.error = self._uncertain(item)
                self.batch.output.complain(told(item.error))
            elif item.error is None and (item.poller is None or accepted_too):
                item.error = error
        for item in left:
            if self.batch.output.as_json:
                self.batch.tell_result(item)

    def _uncertain(self, item: JobItem) -> errors.OutcomeUnknown:
        advice = (
            "look at 'ccv2 files' before sending it again"
            if self.batch.journal is None
            else "the next run with the same journal looks for it before it sends it again"
        )
        return errors.OutcomeUnknown(
            f"{item.label}: interrupted when it was sent and not yet answered. It may have "
            f"arrived: {advice}."
        )

    def interrupted(self) -> None:
        """Say at once what was not finished, and how to go on."""
        self.display.stop()
        self.batch.tell_unfinished(
            [item for item in self.batch.items.values() if item not in self.batch.told]
        )
        self._leave(errors.UsageError("Interrupted: not sent."), accepted_too=False)
        self.batch.sum_up(self.totals)


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116  # a plain string
    except (OSError, ValueError):
        return False
