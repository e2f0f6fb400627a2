"""Backups of the whole account into a directory, with kills, while the account changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from typing import TYPE_CHECKING

from ccv2_async.sandbox.demo import fill_contacts
from ccv2_async.sandbox.forms import Content
from tests.simulation.invariants import CALM, BrokenInvariantError
from tests.simulation.life import Life
from tests.simulation.machine import DAY, Process

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.backup.results import BackupResult
    from tests.simulation.life import Report


class Backups(Life):
    """In the end the digests are the service's, and another run moves nothing."""

    name = "backup"
    runs = 3

    def __init__(self, report: Report, chance: random.Random, directory: Path) -> None:
        super().__init__(report, chance, directory)
        self._root = directory / "backup"
        self._last: BackupResult | None = None
        self._number = 0
        self._full = False
        self.patience = self.plan.settings.listing_lag
        self._calm_from = math.inf

    async def before(self) -> None:
        """Fill the account, and back it up once, or not."""
        now = self.world.clock.time()
        if self.chance.random() < 0.2:
            fill_contacts(self.world.contacts, now)
        library = self.world.library
        self._folders = ["0", library.create_folder("a", None, now).id]
        for _ in range(self.plan.files):
            self._add()
        if self.chance.random() < 0.5:
            await self.run_once("backup before", self._back_up, CALM + DAY, "killed")

    async def live(self) -> None:
        """Run one program while the account changes."""
        loop = asyncio.get_running_loop()
        self._calm_from = self.plan.storm + self.patience
        for _ in range(self.chance.randint(0, 3)):
            loop.call_at(self.chance.uniform(loop.time(), self.plan.storm), self._change)
        await self.run_to_the_end("backup", self._back_up)

    async def _back_up(self, client: ConstantContact) -> None:
        process = Process.current()
        before = self.world.downloads.total
        result = await client.backup(self._root)
        process.trace(
            f"{process.name}: {result.files} files, {len(result.failed)} failed, "
            f"{result.downloaded} bytes, {self.world.downloads.total - before} downloads"
        )
        if self._last is not None and not self._last.failed and result.files:
            raise BrokenInvariantError(f"another run moved {result.files} files")
        self._last = result if self._full else None
        # The first run in the calm continues an earlier one, whose listings may be older.
        self._full = self._full or asyncio.get_running_loop().time() >= self._calm_from

    def _add(self) -> None:
        self._number += 1
        content = f"{self._number} {self.chance.random()}".encode()
        texts = {
            "folder_id": self.chance.choice(self._folders),
            "file_name": f"file {self.chance.randint(0, 9)}.png",
            "description": "",
            "file_type": "PNG",
            "source": "MyComputer",
        }
        made = Content(1000)
        made.write(content)
        now = self.world.clock.time()
        self.world.library.add_file(texts, made, now).forced = "Active"

    def _change(self) -> None:
        """Add, rename, move, or trash a file of the account."""
        library, now = self.world.library, self.world.clock.time()
        files = library.live_files(now)
        what = self.chance.choice(("added", "renamed", "moved", "trashed"))
        self.trace(f"a file of the account is {what}")
        self.met["account_changed"] += 1
        if what == "added" or not files:
            self._add()
            return
        file = self.chance.choice(files)
        if what == "renamed":
            self._number += 1
            library.rename_file(file, f"other {self._number}.png")
            file.modified = now
        elif what == "moved":
            library.move([file.id], self.chance.choice(self._folders), now)
        else:
            library.delete_files([file.id], now)

    async def judge(self) -> None:
        """Compare the manifest and the files with the service."""
        manifest = json.loads((self._root / "manifest.json").read_text())
        listed = {row["id"]: row for row in manifest["files"] if "id" in row}
        if self._last is not None and self._last.failed:
            raise BrokenInvariantError(f"failed in the calm: {self._last.failed}")
        for file in self.world.library.live_files(self.world.clock.time()):
            row = listed.get(file.id)
            self.states["backed up"] += 1
            if row is None:
                raise BrokenInvariantError(f"{file.name} ({file.id}) is not in the backup")
            found = hashlib.sha256((self._root / row["path"]).read_bytes()).hexdigest()
            if not row["sha256"] == found == file.sha256:
                raise BrokenInvariantError(f"{row['path']} is not what the service has")
        for path in self._root.rglob("*.part"):
            if not self.plan.lives:
                raise BrokenInvariantError(f"{path.name} was left behind")
