"""`ccv2 contacts`: import, remove and export contacts in bulk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import App, Parameter

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.jobs import (
    JobItem,
    Stage,
    all_of,
    exit_of_items,
    follow,
    tell_unfinished,
)
from ccv2_async.cli.live import shown
from ccv2_async.cli.output import Output
from ccv2_async.cli.reports import job_fields, job_table, tell_rows
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.cli.tables import in_bytes
from ccv2_async.cli.totals import Totals
from ccv2_async.cli.waiting import TOKEN
from ccv2_async.cli.wording import told
from ccv2_async.errors import ConstantContactError, UsageError
from ccv2_async.observe import CallSent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccv2_async.cli.jobs import Display
    from ccv2_async.client import ConstantContact
    from ccv2_async.observe import Event
    from ccv2_async.polling.poller import ActivityPoller, UploadPoller

    Begin = Callable[[ConstantContact], Awaitable[UploadPoller | ActivityPoller]]
    Then = Callable[[ConstantContact, JobItem], Awaitable[dict[str, Any]]]

__all__ = ["contacts"]

contacts: App = App(name="contacts", help="Import, remove and export contacts in bulk.")

_Lists = Annotated[list[str], Parameter(name="--list", consume_multiple=True, negative=())]
_ROWS = 20_000
_NoWait = Annotated[bool, Parameter(negative=())]


@contacts.command(name="import")
def import_contacts(
    file: str,
    /,
    *,
    lists: _Lists,
    erase_blanks: Annotated[bool, Parameter(negative=())] = False,
    max_rows: int = _ROWS,
    no_wait: _NoWait = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Add the contacts of a file to lists; those that exist are updated.

    What is too large for one activity (4 MB, or --max-rows) goes out as several, and is still
    one job here.

    Args:
        file: A CSV, TXT, XLS or XLSX file with a header row, one column of which is the address.
        lists: Ids of the lists; see 'ccv2 lists'.
        erase_blanks: Let empty values erase what is stored.
        max_rows: How many rows go into one activity, from 1 to 40,000. No limit is documented;
            users report 40,000 from a later page of the service and 20,000 from an older one.
        no_wait: Print the job's tokens, for 'ccv2 poll', and do not wait.
        service: Options of every command that talks to the service.
    """
    job = _Job(Output(as_json=service.json), service, f"import of {file}", size=_size(file))
    return job.run(
        lambda client: client.activities.begin_add_contacts(
            file, lists=lists, blanks_enabled=erase_blanks, max_rows=max_rows
        ),
        wait=not no_wait,
    )


@contacts.command
def remove(
    file: str,
    /,
    *,
    lists: _Lists,
    no_wait: _NoWait = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Take the contacts of a file off lists; they stay in the account.

    Args:
        file: A CSV, TXT, XLS or XLSX file with an address in each row, and nothing else.
        lists: Ids of the lists; see 'ccv2 lists'.
        no_wait: Print the job's tokens, for 'ccv2 poll', and do not wait.
        service: Options of every command that talks to the service.
    """
    job = _Job(Output(as_json=service.json), service, f"removal of {file}", size=_size(file))
    return job.run(
        lambda client: client.activities.begin_remove_contacts(file, lists=lists),
        wait=not no_wait,
    )


@contacts.command
def export(
    *,
    to: str,
    list: str | None = None,  # noqa: A002  # as it is typed
    columns: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    job: str | None = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Write the contacts of a list into a CSV file.

    The file gets its name when it is whole; what had that name before is replaced then.

    Args:
        to: Where to.
        list: Id of the list; or active, opted-out or removed.
        columns: The columns, "Email Address" among them, which is the only one unless given.
        job: Instead of a list: the token or id of an export that was started before.
        service: Options of every command that talks to the service.
    """
    if (list is None) == (job is None):
        raise UsageError("Say what to export: either --list, or --job for one that was started.")
    folder = Path(to).absolute().parent
    if not os.access(folder, os.W_OK) or Path(to).is_dir():
        raise UsageError(f"{to}: no file can be written there. Nothing was started.")

    async def begin(client: ConstantContact) -> UploadPoller | ActivityPoller:
        if job is not None:
            return client.resume(job) if job.startswith(TOKEN) else client.resume_activity(job)
        names = columns or ["Email Address"]
        return await client.activities.begin_export_contacts(list or "", column_names=names)

    async def download(client: ConstantContact, item: JobItem) -> dict[str, Any]:
        size = await client.activities.download_export(item.result, to)
        output.say(f"{to}: {in_bytes(size)} written.")
        return {"to": to, "bytes": size}

    output = Output(as_json=service.json)
    what = f"export of list {list}" if list is not None else "export"
    return _Job(output, service, what).run(begin, then=download)


def _size(file: str) -> int:
    """Bytes of the file, for the display; whether it can be sent is checked later."""
    try:
        return os.stat(file).st_size  # noqa: PTH116  # a plain string
    except (OSError, ValueError):
        return 0


@attrs.define
class _Job:
    """One bulk job, from its start to what is said of its end."""

    output: Output
    service: Service
    label: str
    size: int = 0
    item: JobItem = attrs.field(
        default=attrs.Factory(lambda self: JobItem(self.label, self.size), takes_self=True),
        init=False,
    )
    more: dict[str, Any] = attrs.field(factory=dict, init=False)
    _display: Display | None = attrs.field(default=None, init=False)

    def run(self, begin: Begin, *, then: Then | None = None, wait: bool = True) -> Exit:
        """Carry it out.

        Args:
            begin: Starts it.
            then: What is done once it has gone well; gives what JSON shows of it.
            wait: Whether it is followed to its end.
        """
        return run(lambda: self._carry_out(begin, then, wait=wait), self.output)

    async def _carry_out(self, begin: Begin, then: Then | None, *, wait: bool) -> Exit:
        item = self.item
        async with open_client(self.service, on_event=self._note) as client:
            totals = Totals([item], client.budget)
            results_come = self.output.as_json or not wait
            async with shown([item], self.output, totals, results_come=results_come) as display:
                await all_of(
                    [self._follow(client, begin, then, display, wait=wait)],
                    interrupted=lambda: self._interrupted(display),
                )
        self.output.carry_on = True
        if not wait:
            self._tell_tokens()
            return Exit.OK
        tell_unfinished([item], self.output, sandbox=self.service.sandbox)
        tell_rows(item, self.output)
        if self.output.as_json:
            self.output.record(job_fields(item) | self.more)
        else:
            self.output.show(job_table([item]))
        return exit_of_items([item])

    async def _follow(
        self,
        client: ConstantContact,
        begin: Begin,
        then: Then | None,
        display: Display,
        *,
        wait: bool,
    ) -> None:
        item = self.item
        self._display = display
        item.poller = await begin(client)
        self._note_sending()
        item.stage, item.id = Stage.AT_SERVICE, item.poller.id
        display.changed(item)
        if wait:
            await follow(item, display)
        if item.result is not None and then is not None:
            display.stop()
            try:
                self.more = await then(client, item)
            except ConstantContactError as error:
                item.error = error
                self.output.complain(
                    f"{item.label} is {item.status} at the service, with the id {item.id}, but it "
                    f"was not fetched: {told(error)} Fetch it by --job {item.id}."
                )

    def _note(self, event: Event) -> None:
        """Show that the job is being sent; before that, its file was only read and checked."""
        if isinstance(event, CallSent) and event.method == "POST":
            self._note_sending()

    def _note_sending(self) -> None:
        if self._display is not None and self.item.stage is Stage.WAITING:
            self.item.stage, self.item.attempt = Stage.SENDING, 1
            self._display.changed(self.item)

    def _tell_tokens(self) -> None:
        if self.output.as_json:
            self.output.record(job_fields(self.item))
            return
        for token in self.item.tokens:
            self.output.line(token)

    def _interrupted(self, display: Display) -> None:
        display.stop()
        if self.item.poller is None:
            self.output.complain(
                f"{self.item.label}: interrupted before it was known to have started. "
                "Running it again is safe."
            )
        tell_unfinished([self.item], self.output, sandbox=self.service.sandbox)
        if self.output.as_json:
            self.output.record(job_fields(self.item))
