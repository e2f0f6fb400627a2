"""The parts that all simulated worlds share: service, processes, their ends, and the calm after."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import sqlite3
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast
from unittest.mock import patch

import attrs

from ccv2_async import ConstantContact, errors
from ccv2_async.sandbox.app import make_app
from ccv2_async.sandbox.settings import Settings
from ccv2_async.sandbox.world import World
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import Journal
from tests.simulation.invariants import (
    CALM,
    PER_SECOND,
    BrokenInvariantError,
    check_claim,
    check_descriptors,
    check_kept,
    check_looks,
    check_nothing_left,
    check_pace,
    check_parts,
)
from tests.simulation.machine import DAY, MIDNIGHT, Process, Trace, WallClock, make_task
from tests.simulation.network import FAULTS, Network, Weather

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from ccv2_async import JournalEntry

SETTLE_TIME = 60.0
_DAYS = 12
_RARE = {"over_day": 0.01}
_STEPS = (0, 0, 1, 2, 3, 7)


@attrs.define
class Plan:
    """What a seed draws for one run.

    Attributes:
        files: How many files, or jobs, there are.
        concurrency: How many are sent at a time.
        lives: After how many seconds the process is ended, for each of its lives but the last, and
            whether it is killed or canceled.
        storm: For how many seconds there are faults.
        weather: How likely each fault is.
        settings: How the service behaves.
        clock_jumps: When the wall clock of the process is set, and by how much.
        disk: The longest time that one access to the disk takes, in seconds.
        to_midnight: The seconds until the day's quota starts again.
        refresh: What `refresh_token` does: "", "works", "fails", "hangs", or "gives up".
        rival: Whether another program does the same with other files of the same names.
    """

    files: int
    concurrency: int
    lives: list[tuple[float, str]]
    storm: float
    weather: Weather
    settings: Settings
    clock_jumps: list[tuple[float, float]]
    disk: float
    to_midnight: float
    refresh: str
    rival: bool

    @classmethod
    def drawn(cls, chance: random.Random, files: int) -> Plan:
        """Draw a plan."""
        weather = Weather(latency=chance.choice((0.01, 0.05, 0.3)))
        for name in chance.sample(FAULTS, chance.randint(1, 8)):
            setattr(weather, name, min(chance.choice((0.02, 0.1, 0.3)), _RARE.get(name, 1.0)))
        settings = Settings(
            mode=chance.choice(("looks", "seconds", "lognormal")),
            seconds=chance.choice((1.0, 8.0, 40.0)),
            looks=chance.randint(0, 3),
            seed=chance.getrandbits(32),
            per_second=PER_SECOND if chance.random() < 0.5 else None,
            per_day=chance.choice((None, None, None, 20 * files)),
            listing_lag=chance.choice((0.0, 0.0, 2.0, 20.0, 1.5 * SETTLE_TIME)),
            date_offset=chance.choice((0.0, 0.0, -90.0, 30.0)),
            created_offset=chance.choice((0.0, 0.0, 45.0, -20.0)),
            composed_names=chance.random() < 0.3,
        )
        storm = chance.uniform(5.0, 10.0 * files)
        return cls(
            files=files,
            concurrency=chance.choice((1, 3, 8)),
            lives=[
                (chance.uniform(0.05, files / 2), chance.choice(("killed", "killed", "canceled")))
                for _ in range(chance.randint(0, 4))
            ],
            storm=storm,
            weather=weather,
            settings=settings,
            clock_jumps=[
                (chance.uniform(0.0, storm), chance.choice((-3600.0, -5.0, 7.0, 86400.0)))
                for _ in range(chance.choice((0, 0, 0, 1, 2)))
            ],
            disk=chance.choice((0.001, 0.005, 0.005, 0.05, 0.5)),
            to_midnight=chance.choice((60_000.0, chance.uniform(5.0, storm + 5.0))),
            refresh=chance.choice(("", "works", "fails", "hangs", "gives up")),
            rival=chance.random() < 0.3,
        )


@attrs.define
class Report:
    """The outcome of one run.

    Attributes:
        seed: The seed.
        world: The name of its world.
        plan: What it drew.
        trace: What happened.
        met: How many faults of each kind struck.
        states: How many files ended in each state.
        broken: Which invariant was broken, or "".
    """

    seed: int
    world: str
    plan: Plan
    trace: Trace = attrs.field(factory=Trace)
    met: collections.Counter[str] = attrs.field(factory=collections.Counter)
    states: collections.Counter[str] = attrs.field(factory=collections.Counter)
    broken: str = ""


class Life:
    """A world: a service, the programs that use it, and the promises that they rely on.

    Args:
        report: Holds the plan; takes the trace.
        chance: The random numbers of the run.
        directory: A directory for its files.

    Attributes:
        name: The name of the world.
        patience: The seconds of calm before the last runs of a program.
        shortened: The bodies whose second half was missing, and nothing showed it.
        runs: How many runs in the calm have to end well; the last one finds nothing to do.
    """

    name: ClassVar[str]
    patience: float = 0.0
    runs: ClassVar[int] = 2

    def __init__(self, report: Report, chance: random.Random, directory: Path) -> None:
        self.plan = report.plan
        self.chance = chance
        self.trace = report.trace
        self.met = report.met
        self.states = report.states
        self.shortened: set[bytes] = set()
        self.directory = directory
        self.trace.directory = str(directory)
        self.world: World
        self._start = MIDNIGHT - self.plan.to_midnight
        self._broken: BrokenInvariantError | None = None
        self._service_jump = 0.0

    async def lived(self) -> None:
        """Live through the whole plan, then judge what is left."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(cast("Any", make_task))
        clock = WallClock(self._start, lambda: 0.0)
        self.world = World(self.plan.settings, clock=clock)
        self.world.content_origin = "https://content.test"
        network = Network(
            make_app(self.world),
            self.plan.weather,
            self.chance,
            self.met,
            self.shortened,
            self.watch,
        )
        with network.plugged_in(), self._watched_journals():
            weather = attrs.asdict(self.plan.weather)
            self.plan.weather.clear()
            await self.before()
            for name, likely in weather.items():
                setattr(self.plan.weather, name, likely)
            self.plan.storm += loop.time()
            loop.call_at(self.plan.storm, self._end_storm)
            await self.live()
        await self.judge()
        self.check()
        check_descriptors(self.directory)

    async def before(self) -> None:
        """Do what was done before the faults begin."""

    async def live(self) -> None:
        """Run the programs of this world to their ends."""
        raise NotImplementedError

    async def judge(self) -> None:
        """Check what is left at the end."""

    def _end_storm(self) -> None:
        self.trace("the faults are over")
        self.plan.weather.clear()
        self.calm()

    def calm(self) -> None:
        """Stop the faults that only this world has."""

    # Processes

    def process(self, name: str) -> Process:
        """Return a new process."""
        return Process(name, self.chance, self.trace, self.plan.disk)

    async def run_to_the_end(
        self, name: str, main: Callable[[ConstantContact], Awaitable[object]]
    ) -> None:
        """Start a program again and again, the last times without faults.

        Args:
            name: Its name in the trace.
            main: What it does with a client. Its errors are those of a run that is repeated.
        """
        loop = asyncio.get_running_loop()
        for number, (until, end) in enumerate(self.plan.lives, 1):
            await self.run_once(f"{name} {number}", main, until, end)
        await asyncio.sleep(max(0.0, self.plan.storm + self.patience - loop.time()))
        done = 0
        for number in range(_DAYS):
            last = f"{name} last {number}"
            ended, error = await self.run_once(last, main, CALM + DAY, "killed")
            if not ended:
                raise BrokenInvariantError(f"{last} did not end within {CALM:g} s of calm")
            done += error is None
            if isinstance(error, errors.DailyQuotaExceeded):
                wait = error.resets_at.timestamp() - self.now()
                await asyncio.sleep(min(max(wait, 0.0), DAY) + 1.0)
            elif done == self.runs:
                return
        raise BrokenInvariantError(f"{name} was not done after {_DAYS} runs in the calm: {error}")

    async def run_once(
        self,
        name: str,
        main: Callable[[ConstantContact], Awaitable[object]],
        until: float,
        end: str,
    ) -> tuple[bool, BaseException | None]:
        """Run a program for a time, then end it; return whether it ended, and its error."""
        process, parts = self.process(name), self._parts()
        task = process.start(self._program(process, main))
        await asyncio.wait({task}, timeout=until)
        for _ in range(self.chance.choice(_STEPS)):  # to end it at any await
            await asyncio.sleep(0)
        if not task.done() and end == "canceled" and not await process.interrupt(task):
            raise BrokenInvariantError(f"{name} did not end when it was canceled")
        error = None
        if task.done():
            with contextlib.suppress(asyncio.CancelledError):
                error = task.result()
            check_nothing_left(process)
            check_parts(process, parts, self._parts())
        else:
            await process.kill()
        self.check()
        return task.done(), error

    def _parts(self) -> set[Path]:
        """Return the files that are being written, and the files of processes that were killed."""
        return {*self.directory.rglob("*.part")}

    async def _program(
        self,
        process: Process,
        main: Callable[[ConstantContact], Awaitable[object]],
        **options: Any,
    ) -> BaseException | None:
        found: BaseException | None = None
        try:
            async with self.client(**options) as client:
                await main(client)
        except* errors.ConstantContactError as several:
            error: BaseException = several
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            process.trace(f"{process.name} ends with {type(error).__name__}: {error}")
            found = error
        return found

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[ConstantContact]:
        """Open a client for the process that runs this."""
        given = {
            "api_key": "sandbox-key",
            "access_token": "sandbox-token",  # the sandbox's
            "base_url": "https://service.test/v2",
            "per_second": PER_SECOND,
            "per_day": self.plan.settings.per_day,
            "clock": WallClock(self._start, self._offset),
            "settle_time": SETTLE_TIME,
            "refresh_token": self._refresh if self.plan.refresh else None,
            "trust_env": False,
        }
        client = ConstantContact(**{**given, **options})
        await client.open()
        try:
            yield client
        finally:
            await client.aclose()

    async def _refresh(self) -> str:
        match self.plan.refresh:
            case "fails":
                raise OSError("no token today")
            case "hangs":
                await asyncio.sleep(1e6)
            case "gives up":
                async with asyncio.timeout(self.chance.uniform(0.0, 2.0)):
                    await asyncio.sleep(1e6)
        await Process.current().pass_time(0.5)
        return "sandbox-token"

    def now(self) -> float:
        """The wall clock of the processes."""
        return self._start + asyncio.get_running_loop().time() + self._offset()

    def _offset(self) -> float:
        now = asyncio.get_running_loop().time()
        return sum(jump for at, jump in self.plan.clock_jumps if at <= now)

    # Promises

    def watch(self, process: Process) -> None:
        """Check a call when it leaves its process."""
        with self.noted():
            check_pace(process.sent, process, self.plan.weather.latency)
            check_looks(process)

    @contextlib.contextmanager
    def noted(self) -> Any:
        """Keep the first broken promise, which the code that broke it must not swallow."""
        try:
            yield
        except BrokenInvariantError as broken:
            self._broken = self._broken or broken

    def check(self) -> None:
        """Raise the first promise that was broken on the way."""
        if self._broken is not None:
            raise self._broken

    @contextlib.contextmanager
    def _watched_journals(self) -> Any:
        write = Journal.write
        readers: dict[str, sqlite3.Connection] = {}

        async def watched(journal: Journal, entry: JournalEntry, /) -> JournalEntry:
            with self.noted():
                check_claim(self.world, entry, (BulkState.ACCEPTED, BulkState.DONE))
            written = await write(journal, entry)
            with self.noted():
                path = journal._path
                if path not in readers:
                    reader = contextlib.closing(sqlite3.connect(path))
                    readers[path] = stack.enter_context(reader)
                check_kept(readers[path], entry)
            return written

        with patch.object(Journal, "write", watched), contextlib.ExitStack() as stack:
            yield
