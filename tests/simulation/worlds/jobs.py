"""Pollers alone: files are followed by many waiters, and by tokens after a kill."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async import errors
from ccv2_async.polling.job import State
from tests.simulation.invariants import BrokenInvariantError
from tests.simulation.life import Life
from tests.simulation.machine import Process, WallClock

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ccv2_async import ConstantContact, Update, UploadPoller
    from tests.simulation.life import Report

_ORDER = {"Uploaded": 0, "Quarantined": 1, "Processing": 1}
"""The order in which the service gives its statuses; all others are final."""

_FINAL = {
    "Active": State.SUCCEEDED,
    "VirusFound": State.FAILED,
    "Failed": State.FAILED,
    "Deleted": State.FAILED,
}
_NAMES = ("file {}.png",) * 6 + ("virus {}.png", "fail {}.png", "late {}.png", "strange {}.png")


@attrs.define(eq=False)
class _Wanted:
    """A file to upload and follow.

    Attributes:
        name: Its name.
        content: Its bytes.
        token: The token of its poller, once it is accepted; what a user keeps on disk.
        end: Its state, once a run has told it.
        given_up: Whether its upload ended with an error.
    """

    name: str
    content: bytes
    token: str = ""
    end: State | None = None
    given_up: bool = False


class Jobs(Life):
    """Each change is told once and in order, to every waiter; tokens of a killed run resume."""

    name = "jobs"

    def __init__(self, report: Report, chance: random.Random, directory: Path) -> None:
        super().__init__(report, chance, directory)
        names = [chance.choice(_NAMES).format(number) for number in range(self.plan.files)]
        salt = chance.random()
        self._wanted = [_Wanted(name, f"{name} {salt}".encode()) for name in names]

    async def live(self) -> None:
        """Run one program."""
        await self.run_to_the_end("poller", self._main)

    async def _main(self, client: ConstantContact) -> None:
        """Upload what has no token yet, resume what has one, and follow all to the end."""
        open_ = [one for one in self._wanted if one.end is None and not one.given_up]
        slots = asyncio.Semaphore(self.plan.concurrency)
        pollers: dict[str, UploadPoller] = {}
        if self.chance.random() < 0.3:
            await self._refuse_foreign(client)
        async with asyncio.TaskGroup() as group:
            for wanted in open_:
                group.create_task(self._begin(client, wanted, slots, pollers))
        if not pollers:
            return
        if self.chance.random() < 0.3:
            tokens = [wanted.token for wanted in open_ if wanted.token]
            await client.sweep(tokens)
        histories: dict[str, list[list[Update]]] = {name: [] for name in pollers}
        async with asyncio.TaskGroup() as group:
            for name, poller in pollers.items():
                for _ in range(self.chance.randint(1, 3)):
                    group.create_task(self._listen(poller, histories[name]))
                if self.chance.random() < 0.3:
                    group.create_task(self._give_up(poller))
        outcomes = await client.wait_all(pollers.values(), return_errors=True)
        for (name, poller), outcome in zip(pollers.items(), outcomes, strict=True):
            self._judge_job(name, poller, outcome, histories[name])

    async def _begin(
        self,
        client: ConstantContact,
        wanted: _Wanted,
        slots: asyncio.Semaphore,
        pollers: dict[str, UploadPoller],
    ) -> None:
        if wanted.token:
            try:
                pollers[wanted.name] = client.resume_upload(wanted.token)
            except errors.TokenError as error:
                # A clock that was set forth by days makes a token expire; nothing else may.
                raise BrokenInvariantError(f"the token of {wanted.name}: {error}") from None
            return
        async with slots:
            try:
                poller = await client.library.begin_upload(wanted.content, name=wanted.name)
            except (errors.OutcomeUnknown, errors.BadRequest) as error:
                Process.current().trace(f"{wanted.name}: {error}")
                wanted.given_up = True
                return
            except errors.ConstantContactError as error:
                Process.current().trace(f"{wanted.name}, later: {error}")
                return
        wanted.token = poller.token()
        pollers[wanted.name] = poller

    async def _refuse_foreign(self, client: ConstantContact) -> None:
        """Check that tokens of another account are refused."""
        token = next((one.token for one in self._wanted if one.token), "")
        if not token:
            return
        clock = WallClock(self._start, lambda: 0.0)
        async with self.client(access_token="another-token", clock=clock) as other:
            try:
                other.resume(token)
            except errors.TokenError:
                return
        raise BrokenInvariantError(f"a client of another account took a token ({client!r})")

    async def _listen(self, poller: UploadPoller, histories: list[list[Update]]) -> None:
        heard: list[Update] = []
        histories.append(heard)
        try:
            async for update in poller:
                heard.append(update)  # noqa: PERF401  # what was heard before an error counts
        except errors.ConstantContactError as error:
            Process.current().trace(f"{poller.id}: {error}")

    async def _give_up(self, poller: UploadPoller) -> None:
        """Wait for a while, then leave; others must not notice."""
        try:
            async with asyncio.timeout(self.chance.uniform(0.0, 20.0)):
                await poller
        except (TimeoutError, errors.ConstantContactError):
            pass

    def _judge_job(
        self, name: str, poller: UploadPoller, outcome: Any, histories: list[list[Update]]
    ) -> None:
        for heard in histories:
            _check_history(name, heard)
        ended = [heard for heard in histories if heard and heard[-1].is_final]
        longest = max(map(len, ended), default=0)
        for heard in ended:
            if heard != max(ended, key=len)[longest - len(heard) :]:
                raise BrokenInvariantError(f"{name}: its listeners heard different changes")
        if not poller.done:
            return
        wanted = next(one for one in self._wanted if one.name == name)
        file = self.world.library.files[poller.id]
        status = file.status(self.world.clock.time())
        Process.current().trace(f"{name} is {poller.state.value}")
        if poller.state is State.LOST:
            if not self._may_be_lost:
                raise BrokenInvariantError(f"{name} is lost, and the service has it as {status}")
            wanted.given_up = True
        elif poller.state is not _FINAL.get(status):
            raise BrokenInvariantError(f"{name} is {poller.state}, and at the service {status}")
        elif poller.state is State.SUCCEEDED and not isinstance(outcome, Exception):
            digest = hashlib.sha256(wanted.content).hexdigest()
            if outcome.id != poller.id or file.sha256 != digest:
                raise BrokenInvariantError(f"{name} is {outcome.id} with other bytes")
        wanted.end = poller.state

    @property
    def _may_be_lost(self) -> bool:
        """Whether the service answered in a way that a lost job would have."""
        return any(self.met[name] for name in ("rows_missing", "rows_malformed"))

    async def judge(self) -> None:
        """Check that every file has an end."""
        for wanted in self._wanted:
            self.states[str(wanted.end.value if wanted.end else "given up")] += 1
            if wanted.end is None and not wanted.given_up:
                raise BrokenInvariantError(f"{wanted.name} has no end")


def _check_history(name: str, heard: list[Update]) -> None:
    words = [update.status for update in heard]
    for first, second in itertools.pairwise(heard):
        if (first.status, first.state) == (second.status, second.state):
            raise BrokenInvariantError(f"{name}: the same change twice: {words}")
        if first.is_final:
            raise BrokenInvariantError(f"{name}: a change after the last one: {words}")
        if _ORDER.get(str(first.status), 9) > _ORDER.get(str(second.status), 9):
            raise BrokenInvariantError(f"{name}: changes out of order: {words}")
