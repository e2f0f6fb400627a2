"""A folder kept like a local one, with kills, and files that come, change, and go."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from ccv2_async.uploads.mirror.plan import same_case
from tests.simulation.invariants import CALM, BrokenInvariantError
from tests.simulation.life import SETTLE_TIME, Life
from tests.simulation.machine import DAY, Process

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from ccv2_async import ConstantContact
    from tests.simulation.life import Report


class Mirror(Life):
    """In the end the folder is like the local one, and no content was lost on the way."""

    name = "mirror"

    def __init__(self, report: Report, chance: random.Random, directory: Path) -> None:
        super().__init__(report, chance, directory)
        self._local = directory / "local"
        self._delete = chance.random() < 0.5
        # A file that is not listed yet is not moved to the trash before it is.
        self.patience = self.plan.settings.listing_lag
        self._number = 0
        self._changes = 0
        for _ in range(self.plan.files):
            self._write(None)

    async def before(self) -> None:
        """Mirror the folder once, or not."""
        self._folder = self.world.library.create_folder("target", None, self.world.clock.time())
        if self.chance.random() < 0.5:
            await self.run_once("mirror before", self._mirror, CALM + DAY, "killed")

    async def live(self) -> None:
        """Run one program while its folder changes."""
        loop = asyncio.get_running_loop()
        for _ in range(self.chance.randint(0, 4)):
            loop.call_at(self.chance.uniform(loop.time(), self.plan.storm), self._change)
        await self.run_to_the_end("mirror", self._mirror)

    async def _mirror(self, client: ConstantContact) -> None:
        process = Process.current()
        result = await client.library.mirror(
            self._local,
            folder_id=self._folder.id,
            delete=self._delete,
            max_delete=None,
            concurrency=self.plan.concurrency,
            on_entry=lambda entry: process.trace(
                f"{process.name}: {entry.name} {entry.action} {entry.done} {entry.error or ''}"
            ),
        )
        process.trace(f"{process.name}: {result.equal} in sync, {len(result.failed)} failed")
        self._last = result

    def _write(self, path: Path | None) -> None:
        """Write a file, with other bytes of the same or another length."""
        self._number += 1
        if path is None:
            place = self.chance.choice(("", "a", "a", "b"))
            path = self._local / place / f"file {self._number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
        content = f"{self._number} {self.chance.random()}".ljust(self.chance.choice((30, 31)))
        path.write_bytes(content.encode())

    def _change(self) -> None:
        files = self._files()
        what = self.chance.choice(("new", "written again", "removed", "renamed"))
        self.trace(f"a local file is {what}")
        self.met["file_changed"] += 1
        if what == "new":
            self._write(None)
            return
        path = self.chance.choice(files)
        if what == "written again":
            self._write(path)
        elif what == "removed":
            path.unlink()
        else:
            self._number += 1
            path.rename(path.with_name(f"file {self._number}.png"))

    def _files(self) -> list[Path]:
        return sorted(
            path
            for path in self._local.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )

    async def judge(self) -> None:
        """Compare both folders, and check that whatever is in the trash was replaced."""
        if self.deceived:
            return
        failed = {entry.path for entry in self._last.failed}
        remote = self._remote()
        local: dict[tuple[str, str], str] = {}
        for path in self._files():
            self.states["failed" if str(path) in failed else "in sync"] += 1
            place = str(path.relative_to(self._local).parent).removeprefix(".")
            key = same_case(place), same_case(path.name)
            local[key] = hashlib.sha256(path.read_bytes()).hexdigest()
            if str(path) in failed:
                continue
            found = [file.sha256 for file in remote.get(key, [])]
            if local[key] not in found:
                raise BrokenInvariantError(f"{key}: the library has not what is in the folder")
            if len(found) > 1:
                raise BrokenInvariantError(f"{key}: the library has {len(found)} of its name")
        extra = remote.keys() - local.keys()
        if self._delete and extra and not self._last.kept_because and not failed:
            raise BrokenInvariantError(f"{sorted(extra)} are left in the library")

    def _remote(self) -> dict[tuple[str, str], list[Any]]:
        found: dict[tuple[str, str], list[Any]] = {}
        library = self.world.library
        now = self.world.clock.time()
        for file in library.files.values():
            if file.folder_id is None or file.status(now) == "Deleted":
                continue
            names = self._names(file.folder_id)
            key = same_case("/".join(names)), same_case(file.name)
            found.setdefault(key, []).append(file)
        return found

    def _names(self, folder_id: str) -> list[str]:
        folder = self.world.library.folders[folder_id]
        if folder.id == self._folder.id or folder.parent_id is None:
            return []
        return [*self._names(folder.parent_id), folder.name]

    @property
    def deceived(self) -> bool:
        """Whether a listing hid a file for as long as the client looks for it."""
        late = self.plan.settings.listing_lag >= SETTLE_TIME
        return late or bool(self.met["rows_missing"])
