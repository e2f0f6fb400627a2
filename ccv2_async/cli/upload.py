"""`ccv2 upload`: files and folders into the library, each followed until it is Active."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Parameter
from rich.text import Text

from ccv2_async import errors
from ccv2_async.cli import intake
from ccv2_async.cli.exits import Exit, heaviest
from ccv2_async.cli.jobs import (
    JobItem,
    Stage,
    all_of,
    counted,
    exit_of_items,
    follow,
    tell_unfinished,
)
from ccv2_async.cli.live import STYLES, shown
from ccv2_async.cli.output import Output, clean
from ccv2_async.cli.records import Records
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.cli.tables import in_bytes, linked, table
from ccv2_async.transport.budget import Lane

if TYPE_CHECKING:
    from rich.table import Table

    from ccv2_async.cli.jobs import Display
    from ccv2_async.client import ConstantContact
    from ccv2_async.transport.progress import Progress

__all__ = ["upload"]

_MOST_JOBS = 100

# The service will not take the next file either.
_HOPELESS = (errors.DailyQuotaExceeded, errors.AuthenticationFailed, errors.Forbidden)


def upload(
    paths: list[str],
    /,
    *,
    folder: Annotated[str, Parameter(allow_leading_hyphen=True)] = "0",
    description: str = "",
    jobs: int = 8,
    no_wait: Annotated[bool, Parameter(negative=())] = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Upload files to the library and wait until each is Active.

    A folder stands for all files in it and below it, sorted by name; hidden files are passed over.
    What cannot be sent is told before anything is sent, and the others go on. Ctrl-C ends at once
    and prints a token for every file that the service has accepted.

    Args:
        paths: Files and folders.
        folder: Id of the library folder they go to; see 'ccv2 folders'.
        description: Description they get, at most 100 characters.
        jobs: Files that are being sent at once, from 1 to 100; what the service has accepted
            and is still processing does not count.
        no_wait: Print a token for each accepted file, for 'ccv2 poll', and do not wait.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    if not 1 <= jobs <= _MOST_JOBS:
        raise errors.InvalidField("--jobs", jobs, f"files at once, from 1 to {_MOST_JOBS}")
    found, refused = intake.collect(paths, folder_id=folder, description=description)
    batch = _Batch(
        output, service, folder=folder, description=description, jobs=jobs, wait=not no_wait
    )
    return run(lambda: batch.carry_out(found, refused), output)


@attrs.define
class _Batch:
    """One run of the command."""

    output: Output
    service: Service
    folder: str
    description: str
    jobs: int
    wait: bool
    items: list[JobItem] = attrs.field(factory=list, init=False)
    told: set[JobItem] = attrs.field(factory=set, init=False)
    hopeless: errors.ConstantContactError | None = attrs.field(default=None, init=False)

    async def carry_out(self, found: list[intake.Found], refused: list[intake.Refused]) -> Exit:
        """Send what was found, and say what became of everything."""
        async with open_client(self.service) as client:
            if found:
                limit = (await client.library.info()).max_upload_size_limit
                found, more = intake.too_large(found, limit)
                refused += more
            if found and self.folder != "0":
                await client.library.get_folder(self.folder)
            for refusal in refused:
                self._refuse(refusal)
            self.items = [JobItem(file.path, file.size) for file in found]
            async with shown(
                self.items,
                self.output,
                results_come=self.output.as_json or not self.wait,
                remaining_today=lambda: client.remaining_today,
            ) as display:
                await self._send_all(client, display)
        self._conclude()
        codes = [exit_of_items(self.items)]
        return heaviest([*codes, Exit.SOME_FAILED] if refused else codes)

    async def _send_all(self, client: ConstantContact, display: Display) -> None:
        """Send every item, so many at once; one that was accepted gives its place to the next."""
        places = asyncio.Semaphore(self.jobs)

        async def one(item: JobItem) -> None:
            async with places:
                await self._send(item, client, display)
            if item.error is None and self.wait:
                await follow(item, display, result_of=records.of)
            self._tell_result(item)

        async with Records(client, expected=len(self.items)) as records:
            await all_of(
                (one(item) for item in self.items), interrupted=lambda: self._interrupted(display)
            )

    async def _send(self, item: JobItem, client: ConstantContact, display: Display) -> None:
        """Send one item; it is at the service afterwards, or has failed."""

        def note(progress: Progress) -> None:
            if progress.attempt != item.attempt:
                item.attempt, item.began = progress.attempt, time.monotonic()
                display.changed(item)
            item.sent = progress.sent

        try:
            if self.hopeless is not None:
                raise self.hopeless
            item.stage = Stage.SENDING
            display.changed(item)
            item.poller = await client.library.begin_upload(
                item.label,
                folder_id=self.folder,
                description=self.description,
                on_progress=note,
                lane=Lane.BULK,
            )
            item.stage = Stage.AT_SERVICE
        except errors.ConstantContactError as error:
            if isinstance(error, _HOPELESS):
                self.hopeless = self.hopeless or error
            item.fail(error)
        display.changed(item)

    def _refuse(self, refusal: intake.Refused) -> None:
        self.output.complain(f"{refusal.path}: not sent: {refusal.reason}.")
        if self.output.as_json:
            self.output.record(_fields(refusal.path, error=f"Not sent: {refusal.reason}."))

    def _tell_result(self, item: JobItem) -> None:
        """The item's line on stdout, as soon as it is known."""
        self.told.add(item)
        if self.output.as_json:
            self.output.record(_fields_of(item))
        elif not self.wait and item.poller is not None:
            self.output.line(item.poller.token())

    def _interrupted(self, display: Display) -> None:
        """Say at once what was not finished, and how to go on."""
        display.stop()
        left = [item for item in self.items if item not in self.told]
        for item in left:
            if item.stage is Stage.SENDING and item.wholly_sent:
                item.error = errors.OutcomeUnknown(
                    f"{item.label}: interrupted when it was sent and not yet answered. It may "
                    "have arrived: look at 'ccv2 files' before sending it again."
                )
                self.output.complain(item.error.message)
            elif item.poller is None and item.error is None:
                item.error = errors.UsageError("Interrupted: not sent.")
        tell_unfinished(left, self.output, sandbox=self.service.sandbox)
        for item in left:
            if self.output.as_json:
                self.output.record(_fields_of(item))
        self._sum_up()

    def _conclude(self) -> None:
        if self.wait:
            tell_unfinished(self.items, self.output, sandbox=self.service.sandbox)
        if self.items:
            self._sum_up()

    def _sum_up(self) -> None:
        """The closing table of what was begun, unless there are lines of it already."""
        begun = [item for item in self.items if item.stage is not Stage.WAITING]
        if begun and self.wait and not self.output.as_json:
            self.output.show(_table(begun))
        whole = counted(len(self.items), "file")
        accepted = [item for item in self.items if item.poller is not None]
        done = [item for item in accepted if item.stage is Stage.DONE]
        amount = in_bytes(sum(item.size for item in (done if self.wait else accepted)))
        if self.wait:
            self.output.say(f"{len(done):,} of {whole} Active, {amount}.")
        else:
            self.output.say(f"{len(accepted):,} of {whole} accepted, {amount}.")


def _fields(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "id": None, "status": None, "url": None, **more}


def _fields_of(item: JobItem) -> dict[str, Any]:
    """What is told of an item in JSON: its token once it was accepted, its error if it failed."""
    fields = _fields(item.label, status=item.status)
    if item.poller is not None:
        fields |= {"id": item.poller.id, "token": item.poller.token()}
    if item.result is not None:
        fields["url"] = item.result.url
    if item.error is not None:
        fields["error"] = item.error.message
    return fields


def _table(items: list[JobItem]) -> Table:
    """The closing table."""
    closing = table("file", "id", "size", "state", "url")
    for item in items:
        closing.add_row(
            Text(clean(item.label)),
            item.poller.id if item.poller else "",
            in_bytes(item.size),
            Text(clean(item.word), style=STYLES[item.stage]),
            linked(item.result.url if item.result else None),
        )
    return closing
