"""Several processes on one shared budget, whose store may be slow, away, or empty again.

Redis itself is not simulated: `Store` does in Python what the script of `redis_window.py` does in
Redis, for the parts that a call can notice. Redis runs the script in `tests/transport/quota`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import attrs

from ccv2_async import errors
from ccv2_async.observe import Throttled
from ccv2_async.transport.quota import Lane, redis_window, shared
from ccv2_async.transport.quota.redis_window import CLAIM_SECONDS, SEEN_SECONDS, Reply
from tests.simulation.invariants import PER_SECOND, BrokenInvariantError, check_pace
from tests.simulation.life import Life
from tests.simulation.machine import Process, WallClock

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.observe import Event
    from tests.simulation.life import Report

LONGEST_WAIT = 8.0
"""Virtual seconds in which an interactive call has its turn, however many bulk calls wait."""


_PAUSES = ("over_rate", "over_day", "throttled", "busy")


@attrs.define(eq=False)
class Store:
    """What all processes share.

    Attributes:
        away_until: Until when it does not answer.
        latency: The longest time on the way to it, each way.
        alone: The names of the processes whose latest question it did not answer.
    """

    away_until: float = 0.0
    latency: float = 0.005
    alone: set[str] = attrs.field(factory=set)
    _recent: list[float] = attrs.field(factory=list)
    _days: dict[int, int] = attrs.field(factory=dict)
    _reported: dict[str, int] = attrs.field(factory=dict)
    _ended: float = 0.0
    _paused: float = 0.0
    _seen: dict[str, float] = attrs.field(factory=dict)
    _claims: tuple[dict[str, float], dict[str, float]] = attrs.field(factory=lambda: ({}, {}))
    _epoch: int = 1

    def lose_everything(self) -> None:
        """Start again, empty."""
        self._recent, self._days, self._ended, self._paused = [], {}, 0.0, 0.0
        self._reported = {}
        self._seen, self._claims = {}, ({}, {})
        self._epoch += 1

    def ask(  # noqa: C901, PLR0912  # line by line what the script does
        self, me: str, lane: int, day: int, limits: dict[str, Any], news: Any
    ) -> Reply:
        """Answer as the script does."""
        now = asyncio.get_running_loop().time()
        burst, window = limits["burst"], limits["window"]
        gap = window / burst
        self._seen[me] = now
        seen = sum(at > now - SEEN_SECONDS for at in self._seen.values())
        epoch = str(self._epoch)
        told = max(news["reported"], self._reported.get(limits["me"], 0))
        total = self._reported[limits["me"]] = max(told, news["reported"] + news["unreported"])
        self._days[day] = self._days.get(day, 0) + total - told
        if news["end"] > 0.0:
            self._ended = max(self._ended, now + news["end"])
        if news["pause"] > 0.0:
            self._paused = max(self._paused, now + news["pause"])
        used = self._days[day]
        if self._ended > now or (limits["per_day"] and used >= limits["per_day"]):
            return Reply("over", max(0.0, self._ended - now), used, seen, epoch)
        newest = self._recent[-1] if self._recent else 0.0
        if news["epoch"] not in ("", epoch):
            if newest < now - window and self._paused <= now:
                self._paused = now + limits["settle"]
            self._recent = [*self._recent, *[now] * news["recent"]][-burst:]
            return Reply("wait", window, used, seen, epoch)
        free = self._paused
        if len(self._recent) >= burst:
            free = max(free, self._recent[-burst] + window)
        half = burst // 2
        if half and len(self._recent) >= half and self._recent[-half] > now - window:
            free = max(free, newest + gap)
        wait = free - now
        for claims in self._claims:
            claims.pop(me, None)
        if wait <= 0.0:
            for above in self._claims[:lane]:
                if any(until > now for until in above.values()):
                    wait = gap
        if wait > 0.0:
            if lane < len(self._claims):
                self._claims[lane][me] = now + wait + CLAIM_SECONDS
            return Reply("wait", wait, used, seen, epoch)
        self._recent = [*self._recent[1 - burst :], now]
        self._days[day] += 1
        return Reply("go", 0.0, used + 1, seen, epoch)


@attrs.define(eq=False)
class _Window:
    """One process's way to the store, in place of `PacedWindow`."""

    store: Store
    chance: random.Random
    options: dict[str, Any]

    async def ask(self, lane: int, day: int, **news: Any) -> Reply:
        process = Process.current()
        timeout = self.options["timeout"]
        await process.pass_time(self.store.latency)
        if asyncio.get_running_loop().time() < self.store.away_until:
            self.store.alone.add(process.name)
            await asyncio.sleep(self.chance.choice((0.0, timeout)))
            raise self.chance.choice((OSError("refused"), TimeoutError()))
        reply = self.store.ask(process.name, lane, day, self.options, news)
        await process.pass_time(self.store.latency)
        self.store.alone.discard(process.name)
        return reply

    async def aclose(self) -> None:
        """Close nothing."""


class SharedQuota(Life):
    """All processes together keep the quota, and no lane is left waiting."""

    name = "shared"

    def __init__(self, report: Report, chance: random.Random, directory: Path) -> None:
        super().__init__(report, chance, directory)
        self._store = Store(latency=chance.choice((0.001, 0.01, 0.02)))
        # When a call left, its process, and whether the store did not know of it.
        self._together: list[tuple[float, Process, bool]] = []
        self._clients: dict[str, ConstantContact] = {}
        self._faultless = chance.random() < 0.5
        self._done: dict[str, int] = {}
        # The wall clocks of the machines agree, or each would count days of its own.
        self.plan.clock_jumps.clear()
        self.plan.disk = 0.001

    async def live(self) -> None:
        """Run several programs."""
        loop = asyncio.get_running_loop()
        if not self._faultless:
            for _ in range(self.chance.randint(1, 3)):
                loop.call_later(self.chance.uniform(0.0, self.plan.storm), self._trouble)
        names = [f"worker{number}" for number in range(self.chance.randint(2, 4))]
        with patch.object(redis_window, "PacedWindow", self._connect):
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self.run_to_the_end(name, self._main))

    def _connect(self, _url: str, **options: Any) -> _Window:
        return _Window(self._store, self.chance, options)

    def _trouble(self) -> None:
        now = asyncio.get_running_loop().time()
        what = self.chance.choice(("away", "away", "empty"))
        self.trace(f"the store is {what}")
        self.met[f"store_{what}"] += 1
        self._store.away_until = now + self.chance.uniform(0.1, 20.0)
        if what == "empty":
            self._store.lose_everything()

    def calm(self) -> None:
        """Bring the store back."""
        self._store.away_until = 0.0

    async def _program(self, process: Process, main: Any, **options: Any) -> Any:
        budget = shared.SharedBudget(
            "redis://simulated",
            api_key="sandbox-key",
            per_second=PER_SECOND,
            per_day=self.plan.settings.per_day,
            clock=WallClock(self._start, lambda: 0.0),
        )
        try:
            return await super()._program(
                process, main, budget=budget, on_event=self._note, **options
            )
        finally:
            await budget.aclose()

    async def _main(self, client: ConstantContact) -> None:
        process = Process.current()
        calls = [Lane.BULK] * self.plan.files + [Lane.POLL] * 3 + [Lane.INTERACTIVE] * 3
        self.chance.shuffle(calls)

        async def call(lane: Lane) -> None:
            await asyncio.sleep(self.chance.uniform(0.0, 3.0))
            try:
                await client.request("GET", "/account/info", lane=lane)
            except errors.DailyQuotaExceeded:
                raise
            except errors.ConstantContactError as error:
                process.trace(f"{process.name}: {error}")
            else:
                self.states[lane.name.lower()] += 1

        async with asyncio.TaskGroup() as group:
            for lane in calls:
                group.create_task(call(lane))

    def _note(self, event: Event) -> None:
        """Check that an interactive call did not wait for the bulk calls before it."""
        if not isinstance(event, Throttled) or event.lane != "interactive" or self._held_back:
            return
        if event.seconds > LONGEST_WAIT:
            with self.noted():
                raise BrokenInvariantError(f"an interactive call waited for {event.seconds:.1f} s")

    @property
    def _held_back(self) -> bool:
        """Whether anything but other calls made calls wait."""
        return not self._faultless or any(self.met[name] for name in _PAUSES)

    def watch(self, process: Process) -> None:
        """Check a call of any process when it leaves."""
        super().watch(process)
        alone = process.name in self._store.alone
        self._together.append((process.sent[-1], process, alone))
        # Nobody can know of the calls of a process that ended while it did not reach the store.
        known = [at for at, sender, alone in self._together if sender.left or not alone]
        with self.noted():
            check_pace(known, process, self.plan.weather.latency)

    async def judge(self) -> None:
        """Check that the day's quota was kept."""
        per_day = self.plan.settings.per_day
        if per_day is None or not self._faultless:
            return
        days: dict[int, int] = {}
        for at, _, _ in self._together:
            day = int((self._start + at - 0.3) // 86_400)
            days[day] = days.get(day, 0) + 1
        if max(days.values(), default=0) > per_day + PER_SECOND:
            raise BrokenInvariantError(f"a day saw {max(days.values())} calls of {per_day}")
