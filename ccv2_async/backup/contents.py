"""The bytes of files on disk: their paths, and how they are written. All methods block.

A file is downloaded to a part, a file in `PARTS` that is named for the record and its version and
exists only when it is complete. Then the journal records it, and then it is moved to its path. If
the process is killed in between, the next one finds the part, and fetches nothing twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING

import attrs

from ccv2_async.backup.datasets import FOLDERS, LIBRARY, TRASH, folders_in, version_of
from ccv2_async.errors import InvalidField, UsageError
from ccv2_async.text import one_line
from ccv2_async.transport.files.names import SafeNames, folded
from ccv2_async.transport.files.partial import PartialFile, remove_leftovers, sync_directory
from ccv2_async.transport.files.reading import open_regular

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from ccv2_async.backup.journal import FileEntry, Journal

PARTS = ".ccv2-parts"


class Contents:
    """The files of one backup.

    Args:
        root: The directory of the backup.
        journal: Its journal.
    """

    def __init__(self, root: Path, journal: Journal) -> None:
        self.root = root
        self._journal = journal
        self._names: dict[str, SafeNames] = {}

    def prepare(self) -> None:
        """Make the directory of parts, and remove leftovers of a killed process from it.

        Raises:
            OSError: The directory cannot be written.
        """
        parts = self.root / PARTS
        parts.mkdir(exist_ok=True)
        for place in (self.root, parts, self.root / "campaigns"):
            remove_leftovers(place)
        if whole := {each.name for each in parts.iterdir()}:
            for entry in self._journal.files():
                if entry.version is not None and part_name(entry, entry.version) in whole:
                    self.put(entry, entry.version)

    def tidy(self) -> None:
        """Remove the parts of versions that are not wanted anymore."""
        wanted = {part_name(entry, entry.wanted or "") for entry in self._journal.files()}
        for part in (self.root / PARTS).iterdir():
            if part.name not in wanted and not part.name.startswith("."):
                part.unlink()

    def part(self, entry: FileEntry) -> Path:
        """Return the path to download the wanted version of a file to."""
        return self.root / PARTS / part_name(entry, entry.wanted or "")

    def put(self, entry: FileEntry, version: str) -> None:
        """Move a part to the path of its file.

        Raises:
            OSError: The path cannot be written.
        """
        path = self.root / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.root / PARTS / part_name(entry, version)).replace(path)
        sync_directory(path.parent)
        if entry.was is not None:
            (self.root / entry.was).unlink(missing_ok=True)
            self._journal.moved([entry])

    def plan(self) -> int:
        """Assign a path to each file of the library and of the trash.

        A file keeps its path as long as its name and its folder stay the same.

        Returns:
            The number of files to download.

        Raises:
            UsageError: A file cannot be moved to its new path.
        """
        journal = self._journal
        with journal.transaction():
            self._learn_names()
            rows = [json.loads(text) for _, _, text, _ in journal.records(FOLDERS)]
            paths = {"": LIBRARY}
            for folder, above, name in folders_in(rows):
                paths[folder] = self._assign(FOLDERS, folder, name, paths[above])
            for place in (LIBRARY, TRASH):
                for _, own, text, _ in list(journal.records(place)):
                    record = json.loads(text)
                    folder = str(record.get("folder_id")) if place == LIBRARY else TRASH
                    parent = TRASH if place == TRASH else paths.get(folder, LIBRARY)
                    self._assign(place, own, str(record.get("name") or ""), parent)
                    journal.want(place, own, version_of(record))
        self._move()
        left = 0
        with explained(self.root), journal.transaction():
            for entry in list(journal.files(LIBRARY, TRASH)):
                there = _is_there(self.root / entry.path, entry.size)
                if entry.version is not None and not there:
                    journal.stored(entry, None, 0, "")
                left += not there or entry.version != entry.wanted
        return left

    def place(self, entry: FileEntry, size: int, sha256: str) -> None:
        """Record the part of the wanted version of a file, and move it to the path of the file.

        Raises:
            OSError: The path cannot be written.
        """
        parent, name = json.loads(entry.source)
        entry = attrs.evolve(entry, path=self._assign(entry.place, entry.id, name, parent))
        self._journal.stored(entry, entry.wanted, size, sha256)
        # If a run is killed here, or at the same step of `_write`, and the user puts a file at this
        # path before the next run, that run replaces it: it looks like an older version. The other
        # order would be worse: every such kill would leave a file that no journal knows.
        self.put(entry, entry.wanted or "")

    def _learn_names(self) -> None:
        taken: dict[str, list[str]] = {}
        for entry in self._journal.files():
            parent, _, name = entry.path.rpartition("/")
            taken.setdefault(parent, []).append(name)
        self._names = {parent: SafeNames(names) for parent, names in taken.items()}

    def _assign(self, place: str, own: str, name: str, parent: str) -> str:
        """Return the path of a file: a new one if its name or its folder has changed.

        A path where the directory holds a file that is not the backup's is left to it.
        """
        source = json.dumps([parent, name])
        known = self._journal.file(place, own)
        if known is not None and known.source == source and not self._lost_its_path(known):
            return known.path
        names, path = self._names.setdefault(parent, SafeNames()), ""
        while not path or os.path.lexists(self.root / path):
            path = f"{parent}/{names.choose(name, own)}"
        self._journal.assign(place, own, source, path, folded(path))
        return path

    def _lost_its_path(self, entry: FileEntry) -> bool:
        """Return whether the path is taken: by a file of another kind, or before it was written."""
        path, is_folder = self.root / entry.path, entry.place == FOLDERS
        waits = entry.size is None or (entry.was and os.path.lexists(self.root / entry.was))
        taken = path.is_dir() != is_folder or (waits and not is_folder)
        return bool(taken) and os.path.lexists(path)

    def _move(self) -> None:
        moves = self._journal.moves()
        for entry in moves:
            old, new = self.root / str(entry.was), self.root / entry.path
            new.parent.mkdir(parents=True, exist_ok=True)
            if old.is_file():
                old.replace(new)
                sync_directory(new.parent)
            with contextlib.suppress(OSError):  # it holds other files
                old.parent.rmdir()
        self._journal.moved(moves)

    def write_campaigns(self) -> None:
        """Write the HTML and the text of each campaign, if they have changed.

        Raises:
            UsageError: They cannot be written.
        """
        for _, own, text, _ in list(self._journal.records("campaigns")):
            record = json.loads(text)
            for field, ending in (("email_content", "html"), ("text_content", "txt")):
                content = record.get(field)
                if isinstance(content, str) and content:
                    name = f"{own} - {record.get('name') or ''}.{ending}"
                    self._write(ending, own, name, content.encode("utf-8", "backslashreplace"))
        self._move()

    def _write(self, place: str, own: str, name: str, content: bytes) -> None:
        with self._journal.transaction():
            path = self.root / self._assign(place, own, name, "campaigns")
            digest = hashlib.sha256(content).hexdigest()
            self._journal.want(place, own, digest)
        self._move()
        entry = self._journal.file(place, own)
        if entry is None or (entry.version == digest and _is_there(path, len(content))):
            return
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = PartialFile(str(path))
        try:
            partial.write(content)
            if entry.size is None:
                self._journal.stored(entry, None, 0, "")  # from here on, the path is the backup's
            partial.keep()
        finally:
            partial.discard()
        self._journal.stored(entry, digest, len(content), digest)


def require_own(root: Path, names: Iterable[str], written: Collection[str]) -> None:
    """Check that the directory has no files of these names, except those that the backup wrote.

    Raises:
        UsageError: It has one, and a backup would replace it.
    """
    for name in names:
        if name not in written and (root / name).is_file():
            raise UsageError(
                f"{one_line(str(root / name))}: this file does not belong to a backup, and "
                "a backup would replace it. Move it, or choose another directory."
            )


def part_name(entry: FileEntry, version: str) -> str:
    """Return the name of the part of one version of a file."""
    return hashlib.sha256(json.dumps([entry.place, entry.id, version]).encode()).hexdigest()


def digest_of(path: Path) -> tuple[int, str] | None:
    """Return the size and the SHA-256 of a file, or None if there is none.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except FileNotFoundError:
        return None


def _is_there(path: Path, size: int | None) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise a system error as an error of this package.

    Raises:
        UsageError: The system refused.
    """
    try:
        yield
    except (OSError, UnicodeError, InvalidField) as error:
        odd = isinstance(error, InvalidField)
        why = "not a regular file" if odd else getattr(error, "strerror", None) or error
        shown = one_line(str(getattr(error, "filename", None) or path))
        raise UsageError(
            f"{shown}: the backup cannot be written there ({why}). Fix that, and run "
            "it again; it continues where it stopped."
        ) from None
