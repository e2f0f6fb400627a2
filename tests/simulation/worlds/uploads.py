"""Bulk uploads with a journal, killed and started again, beside another program."""

from __future__ import annotations

import asyncio
import hashlib
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ccv2_async import BulkState, read_journal
from tests.simulation.invariants import BrokenInvariantError
from tests.simulation.life import SETTLE_TIME, Life
from tests.simulation.machine import Process

if TYPE_CHECKING:
    import random

    from ccv2_async import ConstantContact, JournalEntry

_FINAL = frozenset({BulkState.DONE, BulkState.FAILED, BulkState.AMBIGUOUS})

_NAMES = ("file {}.png", "same.png", "cafe\u0301.png", "file {}.png")
"""Names of files. One is that of several files; another has its accent apart, as on macOS."""

_ODD_NAMES = ("virus {}.png", "fail {}.png", "deleted {}.png", "late {}.png", "slow {}.png")
"""Names that tell the service to refuse a file after it has accepted it, or to take its time."""

_REFUSED = ("virus", "fail", "deleted")


@attrs.define(eq=False)
class Program:
    """A program that uploads files with a journal, started again until all are done.

    Attributes:
        name: Its name in the trace.
        journal: Its journal.
        digests: The SHA-256 of each of its files, by path.
        earlier: The digests that a file had before it was written again, by path.
    """

    name: str
    journal: Path
    digests: dict[str, str]
    earlier: dict[str, set[str]] = attrs.field(factory=dict)

    @classmethod
    def made(cls, name: str, directory: Path, files: int, chance: random.Random) -> Program:
        """Make a program and its files."""
        digests: dict[str, str] = {}
        salt = chance.random()
        odd = chance.choice((0.0, 0.0, 0.3))
        for number in range(files):
            pattern = _NAMES[number % len(_NAMES)]
            if chance.random() < odd:
                pattern = chance.choice(_ODD_NAMES)
            path = directory / name / str(number % 3) / pattern.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Most files have the size of another one, and other bytes; a few have the same bytes.
            owner = 1 if number % 8 == 5 else number
            content = f"{name} {owner} {salt}".ljust(40 + owner % 2).encode()
            digests[str(path)] = _write(path, content)
        return cls(name, directory / f"{name}.sqlite", digests)

    def change(self, path: str, chance: random.Random) -> None:
        """Write a file again, with other bytes of the same or another length."""
        self.earlier.setdefault(path, set()).add(self.digests[path])
        content = f"changed {chance.random()}".ljust(chance.choice((40, 41, 60))).encode()
        self.digests[path] = _write(Path(path), content)


class Uploads(Life):
    """Every file is in the library once, or is reported as failed or ambiguous."""

    name = "uploads"

    async def live(self) -> None:
        """Run one program, or two that use the same key and folder."""
        plan = self.plan
        # Drawn from a number of the plan, so that the other numbers of a seed stay as they were.
        self._skip_existing = int(plan.storm * 1e6) % 5 == 0
        self._programs = [
            Program.made(name, self.directory, plan.files, self.chance)
            for name in ("first", "rival")[: 1 + plan.rival]
        ]
        if self.chance.random() < 0.3:
            for _ in range(self.chance.randint(1, 3)):
                program = self.chance.choice(self._programs)
                path = self.chance.choice(sorted(program.digests))
                at = self.chance.uniform(0.0, plan.storm)
                asyncio.get_running_loop().call_later(at, self._change, program, path)
        async with asyncio.TaskGroup() as group:
            for program in self._programs:
                work = self.run_to_the_end(program.name, partial(self._upload, program))
                group.create_task(work)

    def _change(self, program: Program, path: str) -> None:
        self.trace(f"{short(path)} is written again")
        program.change(path, self.chance)
        self.met["file_changed"] += 1

    async def _upload(self, program: Program, client: ConstantContact) -> None:
        """Upload all files, as a user's program does."""
        process = Process.current()
        bulk = client.upload_many(
            list(program.digests),
            journal=program.journal,
            concurrency=self.plan.concurrency,
            skip_existing=self._skip_existing,
        )
        async for result in bulk:
            error = f" ({result.error})" if result.error else ""
            process.trace(f"{process.name}: {short(result.path)} is {result.state}{error}")

    async def judge(self) -> None:
        """Compare the journals with the library."""
        for program in self._programs:
            process = self.process("judge")
            entries = await process.start(_entries(program))
            await process.kill()
            self._judge(program, entries)

    def _judge(self, program: Program, entries: list[JournalEntry]) -> None:
        """Compare a journal with the library, for all files with the same bytes at a time."""
        known = {entry.path: entry for entry in entries}
        alike: dict[str, list[JournalEntry]] = {}
        for path, digest in program.digests.items():
            if path not in known:
                raise BrokenInvariantError(f"{short(path)} is not in the journal")
            if known[path].state is BulkState.DONE and not known[path].token:
                self._judge_skipped(program, known[path])
                continue
            self.states[known[path].state] += 1
            if path in program.earlier:
                self._judge_changed(known[path], {digest, *program.earlier[path]})
            else:
                alike.setdefault(digest, []).append(known[path])
        for digest, group in alike.items():
            once = [known[path] for path, had in program.earlier.items() if digest in had]
            self._judge_alike(digest, group, once)

    def _judge_skipped(self, program: Program, entry: JournalEntry) -> None:
        """Check that a file was skipped because the folder had it, or a file of another program."""
        self.states["skipped"] += 1
        had = {program.digests[entry.path], *program.earlier.get(entry.path, ())}
        own = {*program.digests.values()}.union(*program.earlier.values())
        file = self.world.library.files[entry.file_id]
        if not self._skip_existing or (file.sha256 in own and file.sha256 not in had):
            raise BrokenInvariantError(f"{short(entry.path)} was skipped, and is nowhere")

    def _judge_changed(self, entry: JournalEntry, digests: set[str]) -> None:
        """Check a file that was written again: it was sent as it was at one time."""
        file = self.world.library.files.get(entry.file_id)
        now = Path(entry.path).stat()
        if (entry.size, entry.written_ns) == (now.st_size, now.st_mtime_ns):
            digests = {_digest(Path(entry.path))}
            if entry.state not in _FINAL:
                raise BrokenInvariantError(f"{short(entry.path)} is {entry.state} at the end")
        if entry.state is BulkState.DONE and (file is None or file.sha256 not in digests):
            raise BrokenInvariantError(f"{short(entry.path)} is DONE with bytes it never had")

    def _judge_alike(
        self, digest: str, entries: list[JournalEntry], once: list[JournalEntry]
    ) -> None:
        """Check all files with these bytes; `once` are those that had them at one time."""
        refused = [one for one in entries if Path(one.path).name.startswith(_REFUSED)]
        copies = {
            file.id
            for file in self.world.library.files.values()
            if file.sha256 == digest and file.status(self.world.clock.time()) != "Deleted"
        }
        about = "; ".join(f"{short(one.path)} is {one.state} ({one.error})" for one in entries)
        done = [entry.file_id for entry in entries if entry.state is BulkState.DONE]
        if not set(done) <= copies or len(set(done)) < len(done):
            raise BrokenInvariantError(f"{about} as {done}, but the library has {sorted(copies)}")
        states = {entry.state for entry in entries}
        # The service may take longer for a slow one than two runs wait for it.
        if not {entry.state for entry in entries if "slow" not in entry.path} <= _FINAL:
            raise BrokenInvariantError(f"{about} at the end")
        for one in refused:
            if one.state is BulkState.DONE:
                raise BrokenInvariantError(f"{short(one.path)} is DONE, and was refused")
        named = {id_ for entry in (*entries, *once) for id_ in _ids_in(entry)}
        unsure = sum(max(1, entry.sends) for entry in once if entry.may_have_arrived)
        # One that the service refused is sent again once it has changed; the old copy was reported.
        unsure += sum(Path(entry.path).name.startswith(_REFUSED) for entry in once)
        if len(copies - named) > unsure:
            raise BrokenInvariantError(
                f"{about}: the library has {sorted(copies)}, and the journal names {sorted(named)}"
            )
        if (
            states == {BulkState.DONE}
            and len(copies) > len(entries) + len(once)
            and not self.deceived
        ):
            raise BrokenInvariantError(f"{about}, and was sent twice: {sorted(copies)}")

    @property
    def deceived(self) -> bool:
        """Whether a listing hid a file for as long as the client looks for it."""
        late = self.plan.settings.listing_lag >= SETTLE_TIME
        return late or bool(self.met["rows_missing"])


async def _entries(program: Program) -> list[JournalEntry]:
    return [entry async for entry in read_journal(program.journal)]


def _write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return _digest(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def short(path: str) -> str:
    """Return the part of a path that is the same in every run of a seed."""
    return "/".join(path.split("/")[-3:])


def _ids_in(entry: JournalEntry) -> set[str]:
    return {*re.findall(r"[0-9]+", entry.error), entry.file_id, *entry.duplicates}
