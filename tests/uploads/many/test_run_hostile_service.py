"""Runs that are cancelled and repeated against a hostile service lose no file and hide no copy."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.observe import DuplicateUpload
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import read_journal
from tests.support.servers import serving
from tests.uploads.test_uploader_hostile_service import CONTENTS, FAULTS, HostileService, _field

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.uploads.many.journal import JournalEntry
    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire

NOT_STORED = ("dropped", "busy", "failed", "refused", "unauthorized")


class SleepyService(HostileService):
    """A service that sometimes suspends its clients. The name of a file says who owns it."""

    def __init__(self, draw: random.Random, clock: SkippingClock) -> None:
        super().__init__(draw, clock.time)
        self._clock = clock
        self._sleepy = draw.choice([0.0, 0.0, 0.5])

    async def _post(self, wire: Wire, request: Request) -> None:
        name = _field(request.body, "file_name").decode()
        fault = self._draw.choice(FAULTS) if self._draw.random() < self.faults else ""
        fault = "lost" if fault == "late" else fault
        number = ""
        if fault not in NOT_STORED:
            number = self._store(name, _field(request.body, "data"), name)
        self.story.append(f"{name}: {fault or 'ok'} {number}")
        if self._draw.random() < self._sleepy:
            self._clock.suspend(self._draw.choice([100.0, 5000.0, 200_000.0]))
        await self._answer(wire, fault, number)


async def run(
    cc: ConstantContact, files: list[Path], draw: random.Random, *, may_be_cancelled: bool
) -> BaseException | None:
    """Upload the files, perhaps with a cancellation, and return how it ended."""
    wait, on_duplicate = draw.random() < 0.5, draw.choice(["report", "trash"])

    async def upload() -> None:
        journal = files[0].with_name("upload.db")
        options: dict[str, Any] = {"wait": wait, "on_duplicate": on_duplicate}
        async for _ in cc.upload_many(files, journal=journal, **options):
            pass

    task = asyncio.create_task(upload())
    if may_be_cancelled and draw.random() < 0.7:
        for _ in range(draw.choice([20, 100, 300, 1000])):
            await asyncio.sleep(0)
        for _ in range(draw.choice([1, 2])):
            task.cancel()
            await asyncio.sleep(0)
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    return outcome


@pytest.mark.parametrize("seed", range(60))
async def test_interrupted_runs_report_every_copy_and_lose_no_file(
    connect: Callable[..., Any], clock: SkippingClock, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311  # faults are no secrets
    service = SleepyService(draw, clock)
    events: list[object] = []
    files = [tmp_path / f"{number}.png" for number in range(draw.choice([1, 3]))]
    for file in files:
        file.write_bytes(draw.choice(CONTENTS))
    async with serving(service.serve) as server:
        cc = await connect(server, on_event=events.append)
        for number in range(6):
            if draw.random() < 0.3:
                cc = await connect(server, on_event=events.append)
            outcome = await run(cc, files, draw, may_be_cancelled=number < 4)
            service.story.append(f"run: {outcome!r}")
            allowed = asyncio.CancelledError | errors.ConstantContactError | None
            assert isinstance(outcome, allowed)
    rows = [row async for row in read_journal(tmp_path / "upload.db")]
    assert len(rows) == len(files)
    story = "\n".join([*service.story, *map(str, rows), *map(str, events)])
    for row in rows:
        check(service, row, events, story)


def check(service: HostileService, row: JournalEntry, events: list[object], story: str) -> None:
    reports = [e for e in events if isinstance(e, DuplicateUpload) and e.label == row.name]
    named = {row.file_id, *row.duplicates}
    named.update(id_ for report in reports for id_ in (report.id, *report.duplicates))
    copies = {one.id for one in service.stored if one.owner == row.name and not one.trashed}
    if row.state in (BulkState.ACCEPTED, BulkState.DONE):
        assert row.file_id in copies, story
        assert copies <= named or row.file_id in {report.id for report in reports}, story
    elif not row.may_have_arrived:
        assert not copies, story
