"""`ccv2 contacts`, `ccv2 activities`, and `ccv2 poll`: start bulk jobs, and wait for jobs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import attrs
from cyclopts import App, Parameter

from ccv2_async import BulkState, errors
from ccv2_async.cli.exits import Exit, heaviest, message_of
from ccv2_async.cli.jobs import JobItem, all_of, exit_of_items, follow, tell_unfinished
from ccv2_async.cli.listings import Unreadable, show_rows
from ccv2_async.cli.live import Totals, shown
from ccv2_async.cli.reports import job_fields, show_jobs
from ccv2_async.cli.service import OPTIONS, Flag, Service
from ccv2_async.cli.tables import in_bytes
from ccv2_async.models import (
    ActivityStatus,
    ActivityType,
)
from ccv2_async.observe import CallSent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from ccv2_async import ActivityPoller, ConstantContact, Event, UploadPoller
    from ccv2_async.cli.jobs import Display
    from ccv2_async.cli.output import Output

    Begin: TypeAlias = Callable[[ConstantContact], Awaitable[UploadPoller | ActivityPoller]]
    Fetch: TypeAlias = Callable[[ConstantContact, Output, JobItem], Awaitable[dict[str, Any]]]

__all__ = ["activities", "contacts", "poll"]

contacts: App = App(
    name="contacts",
    help="Import, remove, and export contacts in bulk.",
    group_parameters=OPTIONS,
)
activities: App = App(
    name="activities",
    usage="Usage: ccv2 activities [COMMAND] [OPTIONS]",
    help="List bulk activities, or wait for them.",
    group_parameters=OPTIONS,
)

_Lists = Annotated[list[str], Parameter(name="--list", consume_multiple=True, negative=())]
_ROWS = 20_000
_TOKEN = "ccv2p"  # noqa: S105  # how every token begins
_SHOWN = 24
"""Characters of an unusable token that messages show."""


@contacts.command(name="import")
def import_contacts(
    file: str,
    /,
    *,
    lists: _Lists,
    erase_blanks: Flag = False,
    max_rows: int = _ROWS,
    no_wait: Flag = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Add the contacts in a file to lists. Existing contacts are updated.

    A file that is too large for one activity (4 MB, or --max-rows) is sent as several activities,
    which are one job here.

    Args:
        file: A CSV, TXT, XLS, or XLSX file with a header row. One column must be the address.
        lists: IDs of the lists; see 'ccv2 lists'.
        erase_blanks: Let empty values erase stored values.
        max_rows: Number of rows in one activity, from 1 to 40,000. The service documents no
            limit. Users report 40,000 from a newer page of the service and 20,000 from an older
            one.
        no_wait: Print the job's tokens, for 'ccv2 poll', and do not wait.
        service: Options of every command that talks to the service.
    """
    job = _Start(
        JobItem(f"import of {file}", _size(file)),
        lambda client: client.activities.begin_add_contacts(
            file, lists=lists, blanks_enabled=erase_blanks, max_rows=max_rows
        ),
        wait=not no_wait,
    )
    return job.run(service)


@contacts.command
def remove(
    file: str,
    /,
    *,
    lists: _Lists,
    no_wait: Flag = False,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Remove the contacts in a file from lists. They stay in the account.

    Args:
        file: A CSV, TXT, XLS, or XLSX file with an address in each row, and nothing else.
        lists: IDs of the lists; see 'ccv2 lists'.
        no_wait: Print the job's tokens, for 'ccv2 poll', and do not wait.
        service: Options of every command that talks to the service.
    """
    job = _Start(
        JobItem(f"removal of {file}", _size(file)),
        lambda client: client.activities.begin_remove_contacts(file, lists=lists),
        wait=not no_wait,
    )
    return job.run(service)


@contacts.command
def export(
    *,
    to: str,
    list: str | None = None,  # noqa: A002  # as it is typed
    columns: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    job: str | None = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Write the contacts of a list to a CSV file.

    The file replaces an existing one of the same name once it is complete.

    Args:
        to: The path of the CSV file.
        list: ID of the list; or active, opted-out, or removed.
        columns: The columns to write. They must include "Email Address", which is the default.
        job: The token or ID of an export that was started before, instead of a list.
        service: Options of every command that talks to the service.
    """
    if (list is None) == (job is None):
        raise errors.UsageError("Choose what to export: pass either --list or --job.")
    folder = Path(to).absolute().parent
    if not os.access(folder, os.W_OK) or Path(to).is_dir():
        raise errors.UsageError(f"{to}: cannot write a file there. Nothing was started.")

    async def begin(client: ConstantContact) -> UploadPoller | ActivityPoller:
        if job is not None:
            return client.resume(job) if job.startswith(_TOKEN) else client.resume_activity(job)
        names = columns or ["Email Address"]
        return await client.activities.begin_export_contacts(list or "", column_names=names)

    async def download(client: ConstantContact, output: Output, item: JobItem) -> dict[str, Any]:
        size = await client.activities.download_export(item.result, to)
        output.say(f"{to}: {in_bytes(size)} written.")
        return {"to": to, "bytes": size}

    what = f"export of list {list}" if list is not None else "export"
    return _Start(JobItem(what), begin, download).run(service)


@activities.default
def list_activities(
    *,
    status: ActivityStatus | None = None,
    type: ActivityType | None = None,  # noqa: A002  # the service's own word
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the last 50 bulk activities, or wait for them (see the command below).

    Args:
        status: Only activities with this status.
        type: Only activities of this type.
        service: Options of every command that talks to the service.
    """

    async def listed(client: ConstantContact, output: Output) -> Exit:
        bad = Unreadable(output)
        return await show_rows(
            await client.activities.all(status=status, type=type, on_bad_row=bad),
            output,
            bad,
            ("activity", "activities"),
            {
                "id": "id",
                "type": "type",
                "state": "status",
                "created": "created_date",
                "contacts": "contact_count",
                "errors": "error_count",
            },
        )

    return service.run(listed)


@activities.command(usage="Usage: ccv2 activities watch [OPTIONS] [JOBS]")
def watch(
    jobs: list[str] | None = None,
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Wait for activities until each has ended; for all unfinished ones, unless you name some.

    Args:
        jobs: Tokens, or IDs as 'ccv2 activities' lists them.
        service: Options of every command that talks to the service.
    """
    return _wait_for(service, dict.fromkeys(jobs or (), ""), ids_too=True)


def poll(
    tokens: list[str] | None = None,
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Wait for jobs that were started earlier, until each has ended.

    Many tokens are asked for in one request. A sandbox that starts with the command knows no
    jobs: for those, run 'ccv2 sandbox' and set CCV2_BASE_URL.

    Args:
        tokens: What --no-wait or an interrupted command printed. Without any, they are read from
            standard input, one per line; the rest of a line is the job's name.
        service: Options of every command that talks to the service.
    """
    return _wait_for(service, dict.fromkeys(tokens, "") if tokens else _read_tokens())


def _read_tokens() -> dict[str, str]:
    """Return the tokens on standard input, each with its name."""
    if sys.stdin is None:
        raise errors.UsageError("There are no tokens: standard input is closed.")
    if sys.stdin.isatty():
        sys.stderr.write("Paste the lines with the tokens, then press Ctrl-D.\n")
    named: dict[str, str] = {}
    for line in sys.stdin:
        token, _, name = line.strip().partition(" ")
        if token:
            named.setdefault(token, name.strip())
    if not named:
        raise errors.UsageError("There are no tokens: pass them as arguments or on standard input.")
    return named


def _size(file: str) -> int:
    """Return the file's size for the display; whether it can be sent is checked later."""
    try:
        return os.stat(file).st_size  # noqa: PTH116  # a plain string
    except (OSError, ValueError):
        return 0


@attrs.define
class _Run:
    """A command that waits for jobs, from their start or from their tokens.

    Attributes:
        output: Where results are written.
        sandbox: Whether the service is a sandbox that ends with the command.
        items: The jobs.
        more: What JSON shows of what was fetched.
    """

    output: Output
    sandbox: bool
    items: list[JobItem]
    more: dict[str, Any] = attrs.field(factory=dict, init=False)

    async def carry_out(
        self,
        client: ConstantContact,
        works: Callable[[Display], Iterable[Coroutine[Any, Any, None]]],
        *,
        results_come: bool,
    ) -> None:
        """Show the jobs while the works are done."""
        totals = Totals(self.items, client.budget)
        async with shown(self.items, self.output, totals, results_come=results_come) as display:
            await all_of(works(display), interrupted=lambda: self._interrupted(display))

    def tell_result(self, item: JobItem) -> None:
        """Write the JSON of a job."""
        if self.output.as_json:
            self.output.record(job_fields(item) | self.more)

    def sum_up(self) -> Exit:
        """Report what became of the jobs, and return the exit code."""
        tell_unfinished(self.items, self.output, sandbox=self.sandbox)
        if not self.output.as_json:
            show_jobs(self.items, self.output)
        return exit_of_items(self.items)

    def _interrupted(self, display: Display) -> None:
        display.stop()
        left = [item for item in self.items if not item.ended]
        for item in left:
            if item.poller is None:
                self.output.complain(
                    f"{item.label}: interrupted before it was known to have started. "
                    "Running it again is safe."
                )
        tell_unfinished(left, self.output, sandbox=self.sandbox)
        for item in left:
            self.tell_result(item)


@attrs.define
class _Start:
    """One bulk job, from its start until its result is fetched.

    Attributes:
        item: The job.
        begin: Starts it.
        fetch: Fetches its result, and returns what JSON shows of it.
        wait: Whether to wait until it has ended.
    """

    item: JobItem
    begin: Begin
    fetch: Fetch | None = None
    wait: bool = True
    _display: Display | None = attrs.field(default=None, init=False)

    def run(self, service: Service) -> Exit:
        """Start the job, wait for it, and return the exit code."""

        async def carry_out(client: ConstantContact, output: Output) -> Exit:
            run = _Run(output, service.sandbox, [self.item])
            await run.carry_out(
                client,
                lambda display: [self._work(client, run, display)],
                results_come=output.as_json or not self.wait,
            )
            output.carry_on = True
            run.tell_result(self.item)
            if self.wait:
                return run.sum_up()
            for token in () if output.as_json else self.item.tokens:
                output.line(token)
            return Exit.OK

        return service.run(carry_out, on_event=self._note)

    async def _work(self, client: ConstantContact, run: _Run, display: Display) -> None:
        item, self._display = self.item, display
        poller = await self.begin(client)
        self._note_sending()
        item.accept(poller)
        display.changed(item)
        if self.wait:
            await follow(item, display)
        if item.result is None or self.fetch is None:
            return
        display.stop()
        try:
            run.more = await self.fetch(client, run.output, item)
        except errors.ConstantContactError as error:
            item.error = error
            run.output.complain(
                f"{item.label}: the activity {item.id} is {item.status}, but its file was not "
                f"downloaded: {message_of(error)} Download it with --job {item.id}."
            )

    def _note(self, event: Event) -> None:
        """Show that the job is being sent. Until then, its file is only read and checked."""
        if isinstance(event, CallSent) and event.method == "POST":
            self._note_sending()

    def _note_sending(self) -> None:
        if self._display is not None and self.item.state is BulkState.PENDING:
            self.item.state, self.item.attempt = BulkState.SENDING, 1
            self._display.changed(self.item)


def _wait_for(service: Service, named: Mapping[str, str], *, ids_too: bool = False) -> Exit:
    """Follow jobs that were started earlier.

    Args:
        service: The options of the command.
        named: Tokens or ids, each with what messages call its job, or "" for its kind and id. If
            there are none, all activities that are unfinished.
        ids_too: Whether a word that is not a token is the id of an activity.
    """

    async def carry_out(client: ConstantContact, output: Output) -> Exit:
        run = _Run(output, service.sandbox, [])
        bad = Unreadable(output)
        taken = [
            await _take(client, run, name, label, ids_too=ids_too)
            for name, label in (named or await _unfinished(client, output, bad)).items()
        ]

        async def work(item: JobItem, display: Display) -> None:
            await follow(item, display)
            run.tell_result(item)

        await run.carry_out(
            client,
            lambda display: (work(item, display) for item in run.items),
            results_come=output.as_json,
        )
        code = run.sum_up()
        return heaviest((code, bad.exit if all(taken) else Exit.SOME_FAILED))

    return service.run(carry_out)


async def _unfinished(client: ConstantContact, output: Output, bad: Unreadable) -> dict[str, str]:
    found = await client.activities.all(on_bad_row=bad)
    ids = [activity.id for activity in found if not activity.outcome.is_terminal]
    if not ids:
        output.say("All activities have ended.")
    return dict.fromkeys(ids, "")


async def _take(
    client: ConstantContact, run: _Run, name: str, label: str, *, ids_too: bool
) -> bool:
    """Add a job to the run; return whether it can be followed."""
    is_id = ids_too and not name.startswith(_TOKEN)
    try:
        if is_id:
            await client.activities.get(name)  # so that a wrong id is reported before any wait
        poller = client.resume_activity(name) if is_id else client.resume(name)
    except (errors.TokenError, errors.NotFound, errors.InvalidField) as error:
        sentence = message_of(error)
        shown_name = f"{name[:_SHOWN]}..." if len(name) > _SHOWN else name
        run.output.complain(f"{label or shown_name}: {sentence}")
        if run.output.as_json:
            row = {"kind": None, "id": None, "status": None, "error": sentence}
            run.output.record({**row, "id" if is_id else "token": name})
        return False
    item = JobItem(label or f"{poller.kind} {poller.id}")
    item.accept(poller)
    run.items.append(item)
    return True
