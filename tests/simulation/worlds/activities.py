"""Bulk activities until COMPLETE or ERROR: imports, removals, and exports, with kills."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async import errors
from ccv2_async.polling.job import State
from tests.simulation.invariants import BrokenInvariantError
from tests.simulation.life import Life
from tests.simulation.machine import Process

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ccv2_async import ActivityPoller, ConstantContact
    from ccv2_async.models.activities import Activity
    from tests.simulation.life import Report

_ENDS = {"COMPLETE": State.SUCCEEDED, "ERROR": State.FAILED, "CANCELLED": State.FAILED}
_NAMES = ("contacts.csv", "contacts.csv", "contacts.csv", "fail.csv", "cancelled.csv", "slow.csv")


@attrs.define(eq=False)
class _Import:
    """Contacts to import.

    Attributes:
        file: The CSV file.
        name: Its name at the service, which says how it ends there.
        addresses: The addresses that can be added.
        bad: How many rows cannot.
        tokens: The tokens of its activities, once they were started; what a user keeps.
        state: How they ended.
    """

    file: Path
    name: str
    addresses: list[str]
    bad: int
    tokens: list[str] = attrs.field(factory=list)
    state: State | None = None


class Bulk(Life):
    """Every activity that was started is followed to its end, and did what it reports."""

    name = "activities"

    def __init__(self, report: Report, chance: random.Random, directory: Path) -> None:
        super().__init__(report, chance, directory)
        plan = self.plan
        if plan.settings.mode != "looks":  # else one whose answer was lost would run forever
            plan.settings = attrs.evolve(plan.settings, max_jobs=chance.choice((None, 1, 3)))
        self._imports = []
        for number in range(max(2, plan.files // 3)):
            rows = chance.randint(1, 30)
            addresses = [f"a{number}.{row}@example.com" for row in range(rows)]
            bad = chance.choice((0, 0, 1, 3))
            lines = ["Email Address,First Name", *(f"{one},Ann" for one in addresses)]
            lines += [f"{row} is no address,Ann" for row in range(bad)]
            file = directory / f"import {number}.csv"
            file.write_text("\n".join(lines) + "\n")
            self._imports.append(_Import(file, chance.choice(_NAMES), addresses, bad))
        self._exported = False

    async def live(self) -> None:
        """Run one program."""
        contacts, now = self.world.contacts, self.world.clock.time()
        self._list = contacts.create_list("everybody", "ACTIVE", now).id
        await self.run_to_the_end("importer", self._main)

    async def _main(self, client: ConstantContact) -> None:
        slots = asyncio.Semaphore(self.plan.concurrency)
        async with asyncio.TaskGroup() as group:
            for one in self._imports:
                if one.state is None:
                    free = asyncio.Semaphore() if one.tokens else slots
                    group.create_task(self._import(client, one, free))
        if all(one.state is not None for one in self._imports):
            await self._export(client)

    async def _import(
        self, client: ConstantContact, wanted: _Import, slots: asyncio.Semaphore
    ) -> None:
        async with slots:
            try:
                pollers = await self._started(client, wanted)
                outcomes = await client.wait_all(pollers, return_errors=True)
            except errors.ConstantContactError as error:
                Process.current().trace(f"{wanted.file.name}, later: {error}")
                if isinstance(error, errors.DailyQuotaExceeded):
                    raise
                return
            self._judge_import(wanted, pollers, outcomes)

    async def _started(self, client: ConstantContact, wanted: _Import) -> list[ActivityPoller]:
        if wanted.tokens:
            return [_activity(client.resume(token)) for token in wanted.tokens]
        most = self.chance.choice((20_000, 10))
        try:
            poller = await client.activities.begin_add_contacts(
                wanted.file, lists=[self._list], file_name=wanted.name, max_rows=most
            )
        except errors.DailyQuotaExceeded:
            raise
        except errors.QuotaExceeded:
            await asyncio.sleep(30.0)  # others run, and the service takes no more of them
            return await self._started(client, wanted)
        wanted.tokens = poller.tokens()
        return list(poller.parts)

    def _judge_import(
        self, wanted: _Import, pollers: list[ActivityPoller], outcomes: list[Any]
    ) -> None:
        ended, failed = [], 0
        for poller, outcome in zip(pollers, outcomes, strict=True):
            found = self.world.activities.activities.get(poller.id)
            if found is None:
                raise BrokenInvariantError(f"the service has no activity {poller.id}")
            if not poller.done or (
                isinstance(outcome, Exception) and not isinstance(outcome, errors.JobError)
            ):
                return
            if poller.state is not _ENDS.get(str(found.end)):
                if poller.state is State.LOST and self._may_be_lost:
                    wanted.tokens = []  # a repeat is safe: contacts are added once
                    return
                raise BrokenInvariantError(
                    f"{wanted.file.name} is {poller.state}, and at the service {found.end}"
                )
            ended.append(poller.state)
            if poller.state is State.SUCCEEDED:
                failed += self._failed_rows(wanted, outcome)
                if len(found.outcome.errors) != outcome.error_count:
                    raise BrokenInvariantError(f"{wanted.file.name}: other errors than there")
        all_well = set(ended) == {State.SUCCEEDED}
        if all_well and failed != wanted.bad:
            raise BrokenInvariantError(f"{wanted.file.name}: {failed} of {wanted.bad} rows failed")
        wanted.state = State.SUCCEEDED if all_well else State.FAILED
        self.states[wanted.state.value] += 1

    def _failed_rows(self, wanted: _Import, activity: Activity) -> int:
        for row in activity.errors:
            if "is no address" not in f"{getattr(row, 'email_address', row)}":
                raise BrokenInvariantError(f"{wanted.file.name}: {row} was a good row")
        return activity.error_count or 0

    async def _export(self, client: ConstantContact) -> None:
        """Export the list, and compare the file with what the service has."""
        path = self.directory / "export.csv"
        try:
            activity = await client.activities.export_contacts(self._list)
            await client.activities.download_export(activity, path)
        except errors.ConstantContactError as error:
            Process.current().trace(f"export, later: {error}")
            if isinstance(error, errors.DailyQuotaExceeded):
                raise
            return
        if path.read_bytes() in self.shortened:
            return  # the connection ended as that of a whole file does
        rows = list(csv.reader(io.StringIO(path.read_text())))
        exported = {row[0] for row in rows[1:]}
        there = {contact.email for contact in self.world.contacts.members(self._list)}
        if exported != there:
            raise BrokenInvariantError(f"exported {len(exported)} of {len(there)} contacts")
        self._exported = True

    @property
    def _may_be_lost(self) -> bool:
        """Whether the service answered in a way that a lost job would have."""
        return any(self.met[name] for name in ("rows_missing", "rows_malformed"))

    async def judge(self) -> None:
        """Check that all that was reported as imported is there."""
        there = {contact.email for contact in self.world.contacts.members(self._list)}
        for wanted in self._imports:
            if wanted.state is None:
                raise BrokenInvariantError(f"{wanted.file.name} has no end")
            if wanted.state is State.SUCCEEDED and not there.issuperset(wanted.addresses):
                raise BrokenInvariantError(f"{wanted.file.name} is not in the list")
        if not self._exported:
            raise BrokenInvariantError("the export has no end")


def _activity(poller: Any) -> ActivityPoller:
    found: ActivityPoller = poller
    return found
