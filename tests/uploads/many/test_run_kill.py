"""Killed at random moments, a bulk upload still stores every file once."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.errors import UsageError
from ccv2_async.sandbox import Sandbox
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import read_journal
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.uploads.many.journal import JournalEntry

PROGRAM = Path(__file__).with_name("uploading.py")
FILES = 300
KILLS = 11
SETTLED = {BulkState.DONE}
FOLDERS = ("", "spring", "spring/tulips", "spring/tulips/red", "autumn")
POST: dict[str, Any] = {"method": "POST", "path": "/library/files", "times": None}
ANY: dict[str, Any] = {"path": "/library/*", "times": None}


def make_files(folder: Path, seed: int) -> dict[str, bytes]:
    """Write small pictures into a tree of folders, and return them by name."""
    draw = random.Random(seed)  # noqa: S311  # repeatable
    made = {}
    for number in range(FILES):
        content = b"\x89PNG\r\n\x1a\n" + draw.randbytes(draw.randrange(40, 400))
        name = f"picture-{number}.png"
        place = folder / FOLDERS[number % len(FOLDERS)]
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
        made[name] = content
    return made


def switch_faults_on(sandbox: Sandbox) -> None:
    arm = sandbox.admin.fault
    arm("lose_response", chance=0.05, **POST)
    arm("cut_response", chance=0.02, **POST)
    arm("reset", chance=0.03, after_bytes=500, **POST)
    arm("unavailable", chance=0.02, **POST)
    arm("unavailable", chance=0.02, headers={"Retry-After": "1"}, **POST)
    arm("over_qps", chance=0.03, **ANY)
    arm("lose_response", chance=0.02, **ANY)
    arm("server_error", chance=0.02, method="GET", **ANY)


class Uploading:
    """One run of the program."""

    program = PROGRAM

    def __init__(self, sandbox: Sandbox, *paths: Path) -> None:
        self._arguments = (str(self.program), sandbox.base_url, *map(str, paths))

    async def __aenter__(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return self._process

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()
        self._process._transport.close()  # type: ignore[attr-defined]  # or its pipes outlive the loop


async def run_and_kill(uploading: Uploading, sandbox: Sandbox, draw: random.Random) -> bool:
    """Kill the program between two requests; return whether that ended it.

    The moment does not depend on the speed of the machine.
    """
    asked = len(sandbox.admin.requests()) + draw.randrange(1, 45)
    starting = draw.random() < 0.1
    async with uploading as process:
        assert process.stdout is not None
        if not starting:
            await process.stdout.readline()  # "begun"
        with_output = asyncio.create_task(process.communicate())
        if not starting:
            await until(
                lambda: len(sandbox.admin.requests()) >= asked or process.returncode is not None
            )
        await asyncio.sleep(draw.random() * (0.6 if starting else 0.02))
        if process.returncode is None:
            process.kill()
        await with_output
        return process.returncode == -signal.SIGKILL


async def run_to_the_end(uploading: Uploading) -> None:
    async with uploading as process:
        output, trouble = await process.communicate()
        assert process.returncode == 0, trouble.decode()
        assert output.endswith(b"ended\n")


async def rows_of(journal: Path) -> dict[str, JournalEntry]:
    """Return the journal's rows by name; none if the program was killed before it wrote them."""
    try:
        return {row.name: row async for row in read_journal(str(journal))}
    except UsageError:
        return {}


def check(
    made: Mapping[str, bytes], rows: Mapping[str, JournalEntry], stored: list[dict[str, Any]]
) -> None:
    """Check that every file was stored once or reported as ambiguous, as the journal says."""
    assert rows.keys() == made.keys()
    ambiguous = {name for name, row in rows.items() if row.state is BulkState.AMBIGUOUS}
    count = Counter(file["name"] for file in stored)
    by_id = {file["id"]: file for file in stored}

    assert {name for name in made if count[name] != 1} <= ambiguous
    assert not set(count) - set(made)
    for name in made.keys() - ambiguous:
        row = rows[name]
        assert row.state is BulkState.DONE, row
        file = by_id[row.file_id]
        assert file["name"] == name
        assert file["folder_id"] in (row.folder_id, None if row.folder_id == "0" else ())
        assert file["sha256"] == hashlib.sha256(made[name]).hexdigest()
    # Nearly all can be settled: it would be easy to report everything as ambiguous.
    assert len(ambiguous) < FILES / 20


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_file_arrives_once_after_kills_at_any_moment(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)  # noqa: S311  # repeatable
    folder, journal = tmp_path / "pictures", tmp_path / "journal.db"
    made = make_files(folder, seed)
    with Sandbox(mode="seconds", seconds=0.3, seed=seed, per_second=70) as sandbox:
        switch_faults_on(sandbox)
        uploading = Uploading(sandbox, folder, journal)
        kills = interrupted = 0
        for _ in range(KILLS):
            kills += await run_and_kill(uploading, sandbox, draw)
            if journal.exists():
                states = Counter(row.state for row in (await rows_of(journal)).values())
                interrupted += states[BulkState.SENDING]
        for _ in range(6):
            await run_to_the_end(uploading)
            states = Counter(row.state for row in (await rows_of(journal)).values())
            if not states.keys() - SETTLED:
                break

        assert kills == KILLS
        assert interrupted > KILLS  # it did hit uploads that were under way
        check(made, await rows_of(journal), sandbox.admin.files())
        names = [folder["name"] for folder in sandbox.admin.state()["folders"]]
        assert sorted(names) == ["Documents", "Images", "autumn", "red", "spring", "tulips"]
        asked = len(sandbox.admin.requests("POST", "/library/files"))
        await run_to_the_end(uploading)
        assert len(sandbox.admin.requests("POST", "/library/files")) == asked
