"""The journal of a mirror: its uploads, and the files that are in sync.

The table of uploads says what was sent, so that nothing is sent twice. Once an upload is done,
its row moves to the table `mirrored`. It is written there before it is deleted here. If a process
is killed in between, both rows exist, and `adopt` can run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.models.library import FileStatus
from ccv2_async.transport.files.databases import columns_of, misfit
from ccv2_async.uploads.ledger import Action, BulkState, action_for
from ccv2_async.uploads.many.journal import COLUMNS, SCHEMA, UPSERT, Journal, JournalEntry
from ccv2_async.uploads.mirror.plan import UNSURE, Known, Unfinished, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ccv2_async.uploads.mirror.plan import Key

_MIRRORED = """
CREATE TABLE mirrored (
  base TEXT NOT NULL, folders TEXT NOT NULL, name TEXT NOT NULL,
  file_id TEXT NOT NULL, size INTEGER NOT NULL, written_ns INTEGER NOT NULL,
  digest TEXT NOT NULL, replaces TEXT NOT NULL, PRIMARY KEY (base, folders, name)
) WITHOUT ROWID;
CREATE INDEX again ON mirrored (file_id, size, written_ns, digest, replaces);
"""
_TYPES = columns_of(_MIRRORED)
_RECORD = "INSERT OR REPLACE INTO mirrored VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM mirrored WHERE base=? AND folders=? AND name=?"


class MirrorJournal(Journal):
    """A journal that is open for one mirror.

    Attributes:
        base: The ID of the mirrored folder. A journal may hold several folders.
        known: The records of its files.
    """

    _schema = SCHEMA + _MIRRORED
    _tables = ("files", "mirrored")

    base: str = "0"
    known: dict[Key, Known]

    async def load(self, base: str) -> None:
        """Read the records of the files of a folder.

        Raises:
            JournalError: They cannot be read, or one is damaged.
        """
        self.base = base
        self.known = {}
        for row in await self._read("SELECT * FROM mirrored"):
            if flaw := misfit(zip(_TYPES, row, strict=True), _TYPES):
                raise self._failed("read", flaw)
            own, folders, name, *facts = row
            facts[-1] = tuple(facts[-1].split())
            if own == base:
                self.known[folders, name] = Known(*facts)

    async def file_ids(self) -> list[str]:
        """Return the IDs of all files that belong to an upload, now or earlier."""
        earlier = [id_ for known in self.known.values() for id_ in (known.file_id, *known.replaces)]
        return [*earlier, *await super().file_ids()]

    async def record(self, key: Key, known: Known) -> None:
        """Record that a file is in sync."""
        self.known[key] = known
        await self._change(_RECORD, self._row(key, known))

    async def record_all(self, known: Mapping[Key, Known]) -> None:
        """Keep only these records. No upload may be running."""
        await self._change("BEGIN IMMEDIATE")
        for key in self.known.keys() - known.keys():
            await self._change(_FORGET, (self.base, *key))
        for key, record in known.items():
            if self.known.get(key) != record:
                await self._change(_RECORD, self._row(key, record))
        await self._change("COMMIT")
        self.known = dict(known)

    async def adopt(self, entry: JournalEntry, digest: str = "") -> Known:
        """Record the file that an upload added to the library, and forget the upload."""
        key = _key(entry)
        later = Known(entry.file_id, entry.size, entry.written_ns, digest)
        before = self.known.get(key, Known(""))
        if before.file_id != later.file_id:
            await self.record(key, before.followed_by(later))
        await self._forget(entry)
        return self.known[key]

    async def take_up(self, local: Mapping[Key, JournalEntry]) -> Unfinished:
        """Adopt the uploads that are done, and return those to continue.

        Uploads whose file has changed are dropped, and so are files that someone deleted in the
        library during processing: they are sent again.

        Args:
            local: The entries of all local files as they would be now.
        """
        pending, lost, ids = set(), set(), set()
        rows = await self._read(f"SELECT {', '.join(COLUMNS)} FROM files")  # noqa: S608  # our own names
        for entry in map(self._entry, rows):
            if entry.folder.partition("/")[0] != self.base:
                continue
            key = _key(entry)
            now = local.get(key)
            same = now is not None and (now.size, now.written_ns) == (entry.size, entry.written_ns)
            accepted = action_for(entry, entry.size, entry.written_ns) is Action.FOLLOW
            if entry.state is BulkState.DONE or (accepted and not same):
                await self.adopt(entry)
            elif now is None or not same or entry.status == FileStatus.DELETED:
                if entry.may_have_arrived:
                    before = self.known.get(key, UNSURE)
                    old = dict.fromkeys(filter(None, (*before.replaces, entry.file_id)))
                    await self.record(key, attrs.evolve(before, replaces=tuple(old)))
                await self._forget(entry)
            else:
                if now.key != entry.key:  # the local folder was moved
                    kept = attrs.evolve(entry, path=now.path, folder=now.folder, name=now.name)
                    await self._change(UPSERT, tuple(kept.row.values()))
                    await self._forget(entry)
                if accepted or entry.may_have_arrived:
                    pending.add(key)
                    ids.update({entry.file_id} - {""})
                if entry.may_have_arrived:
                    lost.add(key)
        return Unfinished(pending, lost, ids)

    def _entry(self, row: Iterable[Any]) -> JournalEntry:
        try:
            return JournalEntry.from_row(row)
        except ValueError as flaw:
            raise self._failed("read", flaw) from None

    async def _forget(self, entry: JournalEntry) -> None:
        await self._change("DELETE FROM files WHERE path=? AND folder=? AND name=?", entry.key)

    async def _change(self, statement: str, values: Iterable[object] = ()) -> list[Any]:
        return [] if self.is_read_only else await super()._change(statement, values)

    def _row(self, key: Key, known: Known) -> tuple[object, ...]:
        *facts, replaces = attrs.astuple(known)
        return self.base, *key, *facts, " ".join(replaces)


def _key(entry: JournalEntry) -> Key:
    return key_of((entry.folder.replace("\\\\", "\\").partition("/")[2],), entry.name)
