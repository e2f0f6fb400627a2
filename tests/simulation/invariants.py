"""The promises that every world checks, at each step and at the end."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from ccv2_async import JournalEntry
    from ccv2_async.sandbox.world import World
    from tests.simulation.machine import Process

"""Gets the files of a service, or the group of methods for them of a client."""

PER_SECOND = 4
CALM = 4 * 3600.0
"""Virtual seconds within which everything must end once the faults have stopped."""

LATE_TURN = 0.1
"""Seconds that a call may leave after its turn, while its file is opened and while it connects."""

HEAD_WAITS = 0.006
"""Seconds that the head of a request may wait for the beginning of its body."""


class BrokenInvariantError(AssertionError):
    """A promise was broken; the message says which."""


def check_pace(sent: list[float], process: Process, latency: float, most: int = PER_SECOND) -> None:
    """Check that the second that ends now saw no more calls than the quota allows."""
    if len(sent) <= most:
        return
    span = sent[-1] - sent[-1 - most]
    late = min(LATE_TURN, 8 * process.disk + latency) + HEAD_WAITS
    if span < 1.0 - late:
        raise BrokenInvariantError(
            f"{process.name} sent call {len(sent)}: {most + 1} within {span:.3f} s"
        )


def check_looks(process: Process) -> None:
    """Check that a client asks for the status of all its uploads in one request at a time."""
    if process.asking > 1:
        raise BrokenInvariantError(f"{process.name} has {process.asking} status requests in flight")


def check_claim(world: World, entry: JournalEntry, states: Iterable[object]) -> None:
    """Check, before a journal says that a file was accepted, that the service has it."""
    if entry.state in states and entry.file_id not in world.library.files:
        raise BrokenInvariantError(
            f"the journal says that {entry.name} is {entry.state} as {entry.file_id!r}, "
            "and the service has no such file"
        )


def check_kept(reader: sqlite3.Connection, entry: JournalEntry) -> None:
    """Check that what was written to a journal is on disk before anything else is done."""
    query = "SELECT state, file_id FROM files WHERE path=? AND folder=? AND name=?"
    found = reader.execute(query, entry.key).fetchall()
    if found != [(entry.state.value, entry.file_id)]:
        raise BrokenInvariantError(
            f"{entry.name} is {entry.state} as {entry.file_id!r}, and the journal has {found}"
        )


def check_nothing_left(process: Process) -> None:
    """Check that a process that has ended left no task and no connection."""
    if process.left:
        names = ", ".join(str(task.get_coro()) for task in process.left)
        raise BrokenInvariantError(f"{process.name} left tasks behind: {names}")
    if process.wires:
        raise BrokenInvariantError(f"{process.name} left {len(process.wires)} connections open")


def check_parts(process: Process, before: set[Path], after: set[Path]) -> None:
    """Check that a process that has ended, and was not killed, left no file that is not whole."""
    if not after <= before:
        names = ", ".join(sorted(path.name for path in after - before))
        raise BrokenInvariantError(f"{process.name} left files behind: {names}")


def check_descriptors(directory: Path) -> None:
    """Check that no file or database of a directory is open once all processes have ended."""
    if _open_below(directory):
        gc.collect()  # what a killed process had open is closed when Python finds that it is gone
        if left := _open_below(directory):
            raise BrokenInvariantError(f"{len(left)} files left open, such as {left[0]}")


def _open_below(directory: Path) -> list[str]:
    paths = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            paths.append(str(descriptor.readlink()))
    return sorted(path for path in paths if path.startswith(f"{directory}/"))


def check_lasted(what: str, began: float, most: float) -> None:
    """Check that something ended in time."""
    lasted = asyncio.get_running_loop().time() - began
    if lasted > most:
        raise BrokenInvariantError(f"{what} took {lasted:.1f} s; at most {most:g} were promised")
