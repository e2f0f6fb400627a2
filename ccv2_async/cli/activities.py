"""`ccv2 contacts`, `ccv2 activities`, and `ccv2 poll`: start bulk jobs, and wait for jobs."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import attrs
from cyclopts import Parameter

from ccv2_async import BulkState, errors
from ccv2_async.cli.exits import Exit, heaviest, message_of
from ccv2_async.cli.jobs import JobItem, all_of, exit_of_items, follow, report_unfinished
from ccv2_async.cli.listings import Unreadable, show_rows
from ccv2_async.cli.live import Totals, shown
from ccv2_async.cli.reports import job_fields, show_jobs
from ccv2_async.cli.service import DEFAULTS, Flag, LocalPath, Run, Service, command, group, size_of
from ccv2_async.cli.tables import in_bytes
from ccv2_async.models import ActivityStatus, ActivityType
from ccv2_async.observe import CallSent, JobStarted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from cyclopts import App

    from ccv2_async import Event
    from ccv2_async.cli.jobs import AnyPoller, Display

    Fetch: TypeAlias = Callable[[JobItem], Awaitable[dict[str, Any]]]

contacts: App = group("contacts", "List, show, add, import, remove, and export contacts.")
activities: App = group("activities", "List bulk activities, or wait for them.")

_COLUMNS = {"id": "id", "type": "type", "state": "status"} | {
    "created": "created_date",
    "contacts": "contact_count",
    "errors": "error_count",
}
Lists = Annotated[list[str], Parameter(name="--list", consume_multiple=True, negative=())]
"""IDs of contact lists."""

_ROWS = 20_000
_TOKEN = "ccv2p"  # noqa: S105  # how every token begins
_SHOWN = 24
"""Characters of an unusable token that messages show."""


@contacts.command(name="import")
@command()
async def import_contacts(
    run: Run,
    file: LocalPath,
    /,
    *,
    lists: Lists,
    erase_blanks: Flag = False,
    max_rows: int = _ROWS,
    encoding: str | None = None,
    delimiter: str | None = None,
    no_wait: Flag = False,
) -> Exit:
    """Add the contacts in a file to lists. Existing contacts are updated.

    A file that is too large for one activity (4 MB, or --max-rows) is sent as several activities,
    which count as one job here.

    Args:
        run: The run of the command.
        file: A CSV, TXT, XLS, or XLSX file with a header row. One column must hold the email
            address.
        lists: IDs of the lists; see 'ccv2 lists'.
        erase_blanks: Let empty values erase stored values.
        max_rows: Maximum number of rows in one activity, from 1 to 40,000. The service documents no
            limit. Users report 40,000 from a newer page of the service and 20,000 from an older
            one.
        encoding: Encoding of a CSV or TXT file that is not UTF-8, such as cp1252 or utf-16.
        delimiter: Character between the columns of a CSV or TXT file, such as ';', or 'tab'.
        no_wait: Print the job's tokens, for 'ccv2 poll', and do not wait.
    """
    begin = partial(
        run.client.activities.begin_add_contacts,
        file,
        lists=lists,
        blanks_enabled=erase_blanks,
        max_rows=max_rows,
        encoding=encoding,
        delimiter=_delimiter(delimiter),
    )
    return await _start(run, JobItem(f"import of {file}", size_of(file)), begin, wait=not no_wait)


@contacts.command
@command()
async def remove(
    run: Run,
    file: LocalPath,
    /,
    *,
    lists: Lists,
    encoding: str | None = None,
    delimiter: str | None = None,
    no_wait: Flag = False,
) -> Exit:
    """Remove the contacts in a file from lists. They stay in the account.

    Args:
        run: The run of the command.
        file: A CSV, TXT, XLS, or XLSX file with an address in each row, and nothing else.
        lists: IDs of the lists; see 'ccv2 lists'.
        encoding: Encoding of a CSV or TXT file that is not UTF-8, such as cp1252 or utf-16.
        delimiter: Character after each address in a CSV or TXT file, such as ';', or 'tab'.
        no_wait: Print the job's tokens, for 'ccv2 poll', and do not wait.
    """
    begin = partial(
        run.client.activities.begin_remove_contacts,
        file,
        lists=lists,
        encoding=encoding,
        delimiter=_delimiter(delimiter),
    )
    return await _start(run, JobItem(f"removal of {file}", size_of(file)), begin, wait=not no_wait)


def _delimiter(text: str | None) -> str | None:
    return "\t" if text in ("tab", "\\t") else text


def _check_export(*, to: str, list: str | None = None, job: str | None = None, **_: object) -> None:  # noqa: A002  # as it is typed
    if (list is None) == (job is None):
        raise errors.UsageError("Choose what to export: pass either --list or --job.")
    if not os.access(Path(to).parent, os.W_OK) or Path(to).is_dir():
        raise errors.UsageError(f"{to}: cannot write a file there. Nothing was started.")


@contacts.command
@command(check=_check_export)
async def export(
    run: Run,
    *,
    to: LocalPath,
    list: str | None = None,  # noqa: A002  # as it is typed
    columns: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    job: str | None = None,
) -> Exit:
    """Write the contacts of a list to a CSV file.

    Once it is complete, the file replaces an existing one with the same name.

    Args:
        run: The run of the command.
        to: The path of the CSV file.
        list: ID of the list; or active, opted-out, or removed.
        columns: The columns to write. They must include "Email Address", which is the default.
        job: The token or ID of an export that was started before, instead of a list.
    """
    client = run.client

    async def begin() -> AnyPoller:
        if job is not None:
            return client.resume(job) if job.startswith(_TOKEN) else client.resume_activity(job)
        names = columns or ["Email Address"]
        return await client.activities.begin_export_contacts(list or "", column_names=names)

    async def download(item: JobItem) -> dict[str, Any]:
        size = await client.activities.download_export(item.result, to)
        run.output.say(f"{to}: {in_bytes(size)} written.")
        return {"to": to, "bytes": size}

    what = f"export of list {list}" if list is not None else "export"
    return await _start(run, JobItem(what), begin, fetch=download)


@activities.default
@activities.command(name="list")
@command(lists=True)
async def list_activities(
    run: Run,
    *,
    status: ActivityStatus | None = None,
    type: ActivityType | None = None,  # noqa: A002  # the service's own word
) -> Exit:
    """List the last 50 bulk activities.

    Args:
        run: The run of the command.
        status: Only activities with this status.
        type: Only activities of this type.
    """
    return await show_rows(
        run.output,
        partial(run.client.activities.all, status=status, type=type),
        "activity",
        _COLUMNS,
        more="start_date finish_date file_name",
    )


@activities.command(usage="Usage: ccv2 activities watch [OPTIONS] [JOBS]")
@command()
async def watch(run: Run, jobs: list[str] | None = None, /) -> Exit:
    """Wait until activities have ended: those that you name, or all unfinished ones.

    Args:
        run: The run of the command.
        jobs: Tokens, or IDs as 'ccv2 activities' lists them.
    """
    bad = Unreadable(run.output)
    named = dict.fromkeys(jobs, "") if jobs else await _unfinished(run, bad)
    return heaviest((await _wait_for(run, named, ids_too=True), bad.exit))


def poll(tokens: list[str] | None = None, /, *, service: Service = DEFAULTS) -> Exit:
    """Wait for jobs that were started earlier, until each has ended.

    One request checks many tokens. A sandbox that starts with the command has no jobs: to wait for
    jobs of a sandbox, run 'ccv2 sandbox' separately and set CCV2_BASE_URL.

    Args:
        tokens: The tokens that --no-wait or an interrupted command printed. Without any, they are
            read from standard input, one per line; the rest of a line is the job's name.
        service: Options of every command that talks to the service.
    """
    # Read before the event loop runs: while it waits for a line, Ctrl-C has to end the process.
    named = dict.fromkeys(tokens, "") if tokens else _read_tokens()
    return command()(_wait_for)(named, service=service)


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


@attrs.define
class _Jobs:
    """The jobs of one command, from their start or from their tokens.

    Attributes:
        run: The run of the command.
        items: The jobs.
        begun: IDs of the activities so far of a job that is being started.
        more: Additional fields in the JSON of a job.
    """

    run: Run
    items: list[JobItem]
    begun: list[str] = attrs.field(factory=list, init=False)
    more: dict[str, Any] = attrs.field(factory=dict, init=False)

    async def carry_out(
        self, works: Callable[[Display], Iterable[Coroutine[Any, Any, None]]], *, results_come: bool
    ) -> None:
        """Show the jobs while the coroutines run."""
        output, totals = self.run.output, Totals(self.items, self.run.client.budget)
        async with shown(self.items, output, totals, results_come=results_come) as display:
            await all_of(works(display), interrupted=lambda: self._interrupted(display))

    def report_result(self, item: JobItem) -> None:
        """Write the JSON of a job."""
        if self.run.output.as_json:
            self.run.output.record(job_fields(item) | self.more)

    def sum_up(self) -> Exit:
        """Report the outcome of the jobs, and return the exit code."""
        report_unfinished(self.items, self.run)
        if not self.run.output.as_json:
            show_jobs(self.items, self.run.output)
        return exit_of_items(self.items)

    def _interrupted(self, display: Display) -> None:
        display.stop()
        for item in self.items[:]:
            if item.poller is None:
                self.run.output.complain(
                    f"{item.label}: interrupted before the service confirmed that it had started"
                    f"{' in full' * bool(self.begun)}. Running it again is safe."
                )
                pollers = map(self.run.client.resume_activity, self.begun)
                self.items += [JobItem(item.label).accept(poller) for poller in pollers]
        left = [item for item in self.items if not item.ended]
        report_unfinished(left, self.run)
        for item in left:
            self.report_result(item)


async def _start(
    run: Run,
    item: JobItem,
    begin: Callable[[], Awaitable[AnyPoller]],
    *,
    fetch: Fetch | None = None,
    wait: bool = True,
) -> Exit:
    """Start one bulk job, wait for it, and return the exit code.

    Args:
        run: The run of the command.
        item: The job.
        begin: Starts it.
        fetch: Fetches its result, and returns the part that JSON shows.
        wait: Whether to wait until it has ended.
    """
    jobs, output = _Jobs(run, [item]), run.output

    async def work(display: Display) -> None:
        def note(event: Event | None = None) -> None:
            """Show that the job is being sent. Until then, its file is only read and checked."""
            if isinstance(event, JobStarted):
                jobs.begun.append(event.id)
            sent = event is None or (isinstance(event, CallSent) and event.method == "POST")
            if sent and item.state is BulkState.PENDING:
                item.state, item.attempt = BulkState.SENDING, 1
                display.changed(item)

        run.on_event = note
        poller = await begin()
        note()
        item.accept(poller)
        display.changed(item)
        if wait:
            await follow(item, display)
        if item.result is None or fetch is None:
            return
        display.stop()
        try:
            jobs.more = await fetch(item)
        except errors.ConstantContactError as error:
            item.error = error
            output.complain(
                f"{item.label}: the activity {item.id} is {item.status}, but its file was not "
                f"downloaded: {message_of(error)} Download it with --job {item.id}."
            )

    await jobs.carry_out(lambda display: [work(display)], results_come=output.as_json or not wait)
    output.carry_on = True
    jobs.report_result(item)
    if wait:
        return jobs.sum_up()
    for token in () if output.as_json else item.tokens:
        output.line(token)
    return Exit.OK


async def _wait_for(run: Run, named: Mapping[str, str], *, ids_too: bool = False) -> Exit:
    """Follow jobs that were started earlier.

    Args:
        run: The run of the command.
        named: Tokens or IDs, each with the job's name in messages, or "" for its kind and ID.
        ids_too: Whether a word that is not a token is the ID of an activity.
    """
    jobs = _Jobs(run, [])
    taken = [
        await _take(jobs, name, label, is_id=ids_too and not name.startswith(_TOKEN))
        for name, label in named.items()
    ]

    async def work(item: JobItem, display: Display) -> None:
        await follow(item, display)
        jobs.report_result(item)

    await jobs.carry_out(
        lambda display: (work(item, display) for item in jobs.items),
        results_come=run.output.as_json,
    )
    return heaviest((jobs.sum_up(), Exit.OK if all(taken) else Exit.SOME_FAILED))


async def _unfinished(run: Run, bad: Unreadable) -> dict[str, str]:
    found = await run.client.activities.all(on_bad_row=bad)
    if not (ids := [activity.id for activity in found if not activity.outcome.is_terminal]):
        run.output.say("All activities have ended.")
    return dict.fromkeys(ids, "")


async def _take(jobs: _Jobs, name: str, label: str, *, is_id: bool) -> bool:
    """Add a job; return whether it can be followed."""
    client, output = jobs.run.client, jobs.run.output
    try:
        if is_id:
            await client.activities.get(name)  # so that a wrong ID is reported before any wait
        poller = client.resume_activity(name) if is_id else client.resume(name)
    except (errors.TokenError, errors.NotFound, errors.InvalidField) as error:
        sentence = message_of(error)
        shown_name = f"{name[:_SHOWN]}..." if len(name) > _SHOWN else name
        output.complain(f"{label or shown_name}: {sentence}")
        if output.as_json:
            row = {"kind": None, "id": None, "status": None, "error": sentence}
            output.record({**row, "id" if is_id else "token": name})
        return False
    jobs.items.append(JobItem(label or f"{poller.kind} {poller.id}").accept(poller))
    return True
