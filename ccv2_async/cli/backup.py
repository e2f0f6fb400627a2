"""`ccv2 backup`: copy an account into a directory, check the copy, and show what it holds."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async import one_line as clean
from ccv2_async import read_backup, verify_backup
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run as run_alone
from ccv2_async.cli.service import Flag, LocalPath, Run, command, group
from ccv2_async.cli.tables import counted, in_bytes, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyclopts import App
    from rich.status import Status

    from ccv2_async import BackupEstimate, BackupManifest, BackupProblem, BackupProgress

backup: App = group(
    "backup", "Back up everything that the key can access, or check a backup.", lists=False
)


@backup.default
@command()
async def run_backup(
    run: Run,
    directory: LocalPath,
    /,
    *,
    trash: Flag = False,
    wait: Flag = False,
    full: Flag = False,
    dry_run: Flag = False,
) -> Exit:
    """Copy everything that the key can access into a directory.

    Run it again to continue after an interruption, or to fetch what is new or has changed.
    Nothing is ever removed from the directory.

    Args:
        run: The run of the command.
        directory: The directory. It is created if it is missing.
        trash: Copy the files in the library's trash too.
        wait: If the daily quota is used up, wait for the next day.
        full: Fetch everything again, even records and files that have not changed.
        dry_run: Only estimate the calls, the bytes, and the days that it will take.
    """
    output = run.output
    if dry_run:
        estimate = await run.client.backup(directory, trash=trash, full=full, dry_run=True)
        _show_estimate(estimate, output)
        return Exit.OK
    with output.err.status("Starting") if output.live else nullcontext() as status:
        try:
            result = await run.client.backup(
                directory, trash=trash, wait=wait, full=full, on_progress=_shower(status)
            )
        except asyncio.CancelledError:
            output.say("Interrupted. Run the same command again to continue where it stopped.")
            raise
    if output.as_json:
        output.record(attrs.asdict(result))
    else:
        _say_problems(result.failed, result.left_out, output)
    output.say(
        f"{counted(sum(result.rows.values()), 'record')} in {clean(directory)}. This "
        f"run downloaded {counted(result.files, 'file')} ({in_bytes(result.downloaded)}) and "
        f"made {counted(result.calls, 'call')}."
    )
    return Exit.SOME_FAILED if result.failed else Exit.OK


@backup.command
def verify(directory: LocalPath, /, *, json: Flag = False) -> Exit:
    """Check every file of a backup against its manifest. Needs no network and no key.

    Args:
        directory: The directory of the backup.
        json: Print one JSON object per line to stdout.
    """
    output = Output(as_json=json)

    async def verified() -> Exit:
        check = await verify_backup(directory)
        for fault in check.faults:
            if json:
                output.record(attrs.asdict(fault))
            else:
                output.line(f"{clean(fault.path)}: {fault.reason}")
        files = counted(check.manifest.files, "file")
        if check.extra:
            others = counted(len(check.extra), "other file")
            output.say(f"{others} in the directory (first: {clean(check.extra[0])}).")
        if check.faults:
            output.say(
                f"Files that differ from the manifest: {len(check.faults):,} of "
                f"{check.manifest.files:,}. Delete each, and run the backup again to fetch it."
            )
            return Exit.SOME_FAILED
        output.say(f"Everything matches the manifest: {files} ({in_bytes(check.manifest.size)}).")
        return Exit.OK

    return run_alone(verified, output)


@backup.command
def show(directory: LocalPath, /, *, json: Flag = False) -> Exit:
    """Show what a backup contains. Needs no network and no key.

    Args:
        directory: The directory of the backup.
        json: Print one JSON object to stdout.
    """
    output = Output(as_json=json)

    async def shown() -> Exit:
        manifest = await read_backup(directory)
        if json:
            output.record(attrs.asdict(manifest))
            return Exit.OK
        _show(manifest, output)
        return Exit.OK

    return run_alone(shown, output)


def _show_estimate(estimate: BackupEstimate, output: Output) -> None:
    if output.as_json:
        output.record(attrs.asdict(estimate))
        return
    output.line(
        f"About {counted(estimate.calls, 'call')} and {counted(estimate.files, 'file')} "
        f"({in_bytes(estimate.size)}); with this quota, that takes {counted(estimate.days, 'day')}."
    )
    for guess in estimate.guesses:
        output.say(guess)


def _show(manifest: BackupManifest, output: Output) -> None:
    rows = table("records", "number")
    for name, number in manifest.rows.items():
        rows.add_row(name, number)
    output.show(rows)
    _say_problems(manifest.failed, manifest.left_out, output)
    output.say(
        f"{counted(manifest.files, 'file')}, {in_bytes(manifest.size)}, of "
        f"{clean(manifest.account)} at {clean(manifest.service)}, as of {clean(manifest.ended)}."
    )


def _say_problems(
    failed: tuple[BackupProblem, ...], left_out: tuple[BackupProblem, ...], output: Output
) -> None:
    for problems, word in ((left_out, "left out"), (failed, "failed")):
        for problem in problems:
            about = " ".join(part for part in (problem.dataset, problem.parent, problem.id) if part)
            output.say(f"{word}: {clean(about)}: {clean(problem.reason)}")
    if failed:
        output.say("Run the same command again to retry what failed.")


def _shower(status: Status | None) -> Callable[[BackupProgress], Any] | None:
    if status is None:
        return None

    def show_progress(progress: BackupProgress) -> None:
        status.update(
            f"{progress.dataset}: {counted(progress.rows, 'record')}, "
            f"{counted(progress.files, 'file')} ({in_bytes(progress.downloaded)}) and "
            f"{progress.files_left:,} to go, "
            f"{counted(progress.calls, 'call')}"
        )

    return show_progress
