"""One simulated life of a bulk upload: drawn from a seed, killed and restarted, and judged."""

from __future__ import annotations

import asyncio
import collections
import hashlib
import random
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

import attrs

from benchmarks.virtual_time import run
from ccv2_async import BulkState, ConstantContact, errors, read_journal
from ccv2_async.sandbox.app import make_app
from ccv2_async.sandbox.settings import Settings
from ccv2_async.sandbox.world import World
from ccv2_async.transport.http import engine
from tests.simulation.machine import Process, Trace, WallClock, make_task, no_threads
from tests.simulation.network import FAULTS, Network, Weather

if TYPE_CHECKING:
    from ccv2_async import JournalEntry

PER_SECOND = 4
CALM = 4 * 3600.0
"""Virtual seconds within which everything must end once the faults have stopped."""

SETTLE_TIME = 60.0


class BrokenInvariantError(AssertionError):
    """A promise was broken; the message says which."""


@attrs.define
class Plan:
    """What a seed draws for one run.

    Attributes:
        files: How many files are uploaded.
        concurrency: How many are sent at a time.
        kills: After how many seconds the process is killed, for each of its lives but the last.
        storm: For how many seconds there are faults.
        weather: How likely each fault is.
        settings: How the service behaves.
        clock_jumps: When the wall clock of the process is set, and by how much.
        rival: Whether another program uploads other files of the same names to the same folder.
    """

    files: int
    concurrency: int
    kills: list[float]
    storm: float
    weather: Weather
    settings: Settings
    clock_jumps: list[tuple[float, float]]
    rival: bool

    @classmethod
    def drawn(cls, chance: random.Random, files: int) -> Plan:
        """Draw a plan."""
        weather = Weather(latency=chance.choice((0.01, 0.05, 0.3)))
        for name in chance.sample(FAULTS, chance.randint(1, 5)):
            setattr(weather, name, chance.choice((0.02, 0.1, 0.3)))
        settings = Settings(
            mode=chance.choice(("looks", "seconds", "lognormal")),
            seconds=chance.choice((1.0, 8.0, 40.0)),
            looks=chance.randint(0, 3),
            seed=chance.getrandbits(32),
            per_second=PER_SECOND if chance.random() < 0.5 else None,
            listing_lag=chance.choice((0.0, 0.0, 2.0, 20.0, 1.5 * SETTLE_TIME)),
            date_offset=chance.choice((0.0, 0.0, -90.0, 30.0)),
            created_offset=chance.choice((0.0, 0.0, 45.0, -20.0)),
            composed_names=chance.random() < 0.3,
        )
        storm = chance.uniform(5.0, 10.0 * files)
        return cls(
            files=files,
            concurrency=chance.choice((1, 3, 8)),
            kills=[chance.uniform(0.05, files / 2) for _ in range(chance.randint(0, 4))],
            storm=storm,
            weather=weather,
            settings=settings,
            clock_jumps=[
                (chance.uniform(0.0, storm), chance.choice((-3600.0, -5.0, 7.0, 86400.0)))
                for _ in range(chance.choice((0, 0, 0, 1, 2)))
            ],
            rival=chance.random() < 0.3,
        )


@attrs.define
class Report:
    """The outcome of one run.

    Attributes:
        seed: The seed.
        plan: What it drew.
        trace: What happened.
        met: How many faults of each kind struck.
        states: How many files ended in each state.
        broken: Which invariant was broken, or "".
    """

    seed: int
    plan: Plan
    trace: Trace = attrs.field(factory=Trace)
    met: collections.Counter[str] = attrs.field(factory=collections.Counter)
    states: collections.Counter[str] = attrs.field(factory=collections.Counter)
    broken: str = ""


def simulate(seed: int, files: int = 12) -> Report:
    """Run one seed, and return its report."""
    chance = random.Random(seed)  # noqa: S311  # no secrets
    # The client's own jitter and the like.
    random.seed(chance.getrandbits(64))
    plan = Plan.drawn(chance, files)
    report = Report(seed, plan)
    with tempfile.TemporaryDirectory(dir=_MEMORY) as directory, no_threads():
        life = _Life(report, chance, Path(directory))
        try:
            run(life.lived())
        except BrokenInvariantError as broken:
            report.broken = str(broken)
        except BaseExceptionGroup as several:  # a foreign exception breaks a promise too
            first = several.exceptions[0]
            named = "" if isinstance(first, BrokenInvariantError) else f"{type(first).__name__}: "
            report.broken = f"{named}{first}"
    return report


@attrs.define(eq=False)
class _Program:
    """A program that uploads files with a journal, started again until all are done.

    Attributes:
        name: Its name in the trace.
        journal: Its journal.
        digests: The SHA-256 of each of its files, by path.
    """

    name: str
    journal: Path
    digests: dict[str, str]

    @classmethod
    def made(cls, name: str, directory: Path, files: int, chance: random.Random) -> _Program:
        """Make a program and its files."""
        digests: dict[str, str] = {}
        salt = chance.random()
        for number in range(files):
            path = directory / name / str(number % 3) / _NAMES[number % len(_NAMES)].format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Most files have the size of another one, and other bytes; a few have the same bytes.
            owner = 1 if number % 8 == 5 else number
            content = f"{name} {owner} {salt}".ljust(40 + owner % 2).encode()
            path.write_bytes(content)
            digests[str(path)] = hashlib.sha256(content).hexdigest()
        return cls(name, directory / f"{name}.sqlite", digests)


class _Life:
    """The world of one run."""

    def __init__(self, report: Report, chance: random.Random, directory: Path) -> None:
        self._plan = plan = report.plan
        self._chance = chance
        self._trace = report.trace
        self._met = report.met
        self._report = report
        self._programs = [
            _Program.made(name, directory, plan.files, chance)
            for name in ("first", "rival")[: 1 + plan.rival]
        ]

    async def lived(self) -> None:
        """Live through the whole plan, then judge what is left."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(cast("Any", make_task))
        self._world = World(self._plan.settings, clock=WallClock(lambda: 0.0))
        self._app = make_app(self._world)
        loop.call_later(self._plan.storm, self._plan.weather.clear)
        async with asyncio.TaskGroup() as group:
            for program in self._programs:
                group.create_task(self._run_to_the_end(program))
        for program in self._programs:
            process = Process("judge", self._chance, self._trace)
            entries = await process.start(_entries(program))
            await process.kill()
            self._judge(program, entries)

    async def _run_to_the_end(self, program: _Program) -> None:
        """Start a program again and again, the last times without faults."""
        loop = asyncio.get_running_loop()
        for number, until in enumerate(self._plan.kills, 1):
            await self._run_once(program, f"{program.name} {number}", until)
        await asyncio.sleep(max(0.0, self._plan.storm - loop.time()))
        self._trace("the faults are over")
        for name in ("last", "after the last"):
            if not await self._run_once(program, f"{program.name} {name}", CALM):
                raise BrokenInvariantError(
                    f"{program.name} {name} did not end within {CALM:g} s of calm"
                )

    async def _run_once(self, program: _Program, name: str, until: float) -> bool:
        """Run a program for a time, then kill it; return whether it ended by itself."""
        process = Process(name, self._chance, self._trace)
        task = process.start(self._upload(program))
        await asyncio.wait({task}, timeout=until)
        ended = task.done()
        if ended:
            task.result()
            if process.left:
                raise BrokenInvariantError(f"{name} left tasks behind: {process.left}")
        else:
            await process.kill()
        self._check_pace(process)
        return ended

    async def _upload(self, program: _Program) -> None:
        """Upload all files, as a user's program does."""
        process = Process.current()
        network = Network(self._app, self._plan.weather, self._chance, self._met)
        with patch.object(engine, "open_engine", lambda **_: network):
            client = ConstantContact(
                api_key="sandbox-key",
                access_token="sandbox-token",  # the sandbox's
                base_url="https://service.test/v2",
                per_second=PER_SECOND,
                per_day=None,
                clock=WallClock(self._offset),
                settle_time=SETTLE_TIME,
            )
            await client.open()
        try:
            bulk = client.upload_many(
                list(program.digests), journal=program.journal, concurrency=self._plan.concurrency
            )
            async for result in bulk:
                error = f" ({result.error})" if result.error else ""
                process.trace(f"{process.name}: {_short(result.path)} is {result.state}{error}")
        except errors.ConstantContactError as error:
            process.trace(f"{process.name} ends with {type(error).__name__}: {error}")
        finally:
            await client.aclose()

    def _offset(self) -> float:
        now = asyncio.get_running_loop().time()
        return sum(jump for at, jump in self._plan.clock_jumps if at <= now)

    def _check_pace(self, process: Process) -> None:
        """Check that no second saw more calls than the quota allows."""
        times = process.sent
        slack = self._plan.weather.latency
        for first, last in zip(times, times[PER_SECOND + 1 :], strict=False):
            if last - first < 1.0 - slack - 1e-6:
                raise BrokenInvariantError(
                    f"{process.name} sent {PER_SECOND + 2} calls within {last - first:.3f} s"
                )

    def _judge(self, program: _Program, entries: list[JournalEntry]) -> None:
        """Compare a journal with the library, for all files with the same bytes at a time."""
        known = {entry.path: entry for entry in entries}
        alike: dict[str, list[JournalEntry]] = {}
        for path, digest in program.digests.items():
            if path not in known:
                raise BrokenInvariantError(f"{_short(path)} is not in the journal")
            alike.setdefault(digest, []).append(known[path])
            self._report.states[known[path].state] += 1
        for digest, group in alike.items():
            self._judge_alike(digest, group)

    def _judge_alike(self, digest: str, entries: list[JournalEntry]) -> None:
        copies = {
            file.id
            for file in self._world.library.files.values()
            if file.sha256 == digest and not file.trashed
        }
        about = "; ".join(f"{_short(one.path)} is {one.state} ({one.error})" for one in entries)
        done = [entry.file_id for entry in entries if entry.state is BulkState.DONE]
        if not set(done) <= copies or len(set(done)) < len(done):
            raise BrokenInvariantError(f"{about} as {done}, but the library has {sorted(copies)}")
        states = {entry.state for entry in entries}
        if not states <= _FINAL:
            raise BrokenInvariantError(f"{about} at the end")
        named = {id_ for entry in entries for id_ in _ids_in(entry)}
        if not copies <= named:
            raise BrokenInvariantError(
                f"{about}: the library has {sorted(copies)}, and the journal names {sorted(named)}"
            )
        deceived = self._plan.settings.listing_lag >= SETTLE_TIME
        if states == {BulkState.DONE} and len(copies) > len(entries) and not deceived:
            raise BrokenInvariantError(f"{about}, and was sent twice: {sorted(copies)}")


async def _entries(program: _Program) -> list[JournalEntry]:
    return [entry async for entry in read_journal(program.journal)]


def _short(path: str) -> str:
    """Return the part of a path that is the same in every run of a seed."""
    return "/".join(path.split("/")[-3:])


def _ids_in(entry: JournalEntry) -> set[str]:
    return {*re.findall(r"[0-9]+", entry.error), entry.file_id, *entry.duplicates}


_FINAL = frozenset({BulkState.DONE, BulkState.FAILED, BulkState.AMBIGUOUS})

_NAMES = ("file {}.png", "same.png", "cafe\u0301.png", "file {}.png")
"""Names of files. One is that of several files; another has its accent apart, as on macOS."""

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a seed writes a lot
