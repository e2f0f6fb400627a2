"""The journal of a backup: all rows as the service sent them, and the progress of each listing.

It is a SQLite file in WAL mode with full synchronization. A page of rows and its cursor are one
transaction, so if the process is killed, the next run continues at the cursor. The methods block:
`run` calls them in one thread, in which each method runs completely or not at all.

A run is one pass over all datasets. A run that was interrupted is continued by the next one.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import attrs
import orjson

from ccv2_async.backup.datasets import BY_NAME, CAMPAIGNS, LIBRARY, TRASH, ids_in
from ccv2_async.clock import in_dates
from ccv2_async.errors import JournalError
from ccv2_async.transport.files import databases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

VERSION = "1"
NAME = ".ccv2-backup.sqlite"

_SCHEMA = """
CREATE TABLE scopes (
  dataset TEXT NOT NULL, scope TEXT NOT NULL, run INTEGER NOT NULL, began TEXT NOT NULL,
  cursor TEXT NOT NULL DEFAULT '', position INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0, since TEXT NOT NULL DEFAULT '',
  version TEXT NOT NULL DEFAULT '', PRIMARY KEY (dataset, scope)
) WITHOUT ROWID;
CREATE TABLE rows (
  dataset TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL, run INTEGER NOT NULL,
  listed TEXT NOT NULL, fetched TEXT, record TEXT, vanished TEXT,
  PRIMARY KEY (dataset, scope, id)
);
CREATE TABLE files (
  place TEXT NOT NULL, id TEXT NOT NULL, source TEXT NOT NULL, path TEXT NOT NULL,
  key TEXT NOT NULL UNIQUE, was TEXT, turn INTEGER NOT NULL, wanted TEXT, version TEXT,
  size INTEGER, sha256 TEXT, PRIMARY KEY (place, id)
);
CREATE INDEX files_turn ON files (turn);
CREATE TABLE notes (
  dataset TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL, run INTEGER NOT NULL,
  failed INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (dataset, scope, id)
) WITHOUT ROWID;
"""
_TYPES = databases.columns_of(databases.ABOUT + _SCHEMA) | {"digits": str, "number": int | None}
_PATH = re.compile(rf"({LIBRARY}|{TRASH}|{CAMPAIGNS})(/(?!\.{{1,2}}(/|\Z))[^/\0]+)+")


def _is_record(text: str) -> bool:
    row = orjson.loads(text)
    return isinstance(row, dict) and bool(orjson.dumps(row))  # this fails if it is nested deeply


_FORMS: Mapping[str, Callable[[str], object]] = {
    "digits": lambda text: abs(float(text)) < 2**53,
    "record": _is_record,
    "scope": lambda text: all(isinstance(id_, str) for id_ in ids_in(text)),
    "path": _PATH.fullmatch,
    "was": _PATH.fullmatch,
    "since": lambda text: not text or in_dates(float(text)) == float(text),
}
"""Whether a text of a column has the form that the backup writes; it may also raise an error."""


@attrs.frozen
class Scope:
    """The progress of one listing.

    Attributes:
        run: The run that listed it last.
        cursor: The cursor of the next page; "" for the first one.
        position: The number of rows so far.
        done: Whether this run has listed all of it.
        since: When the last complete listing began; "" if there was none.
        version: The version of the row that it followed at that time; see `Dataset.follows`.
    """

    run: int
    cursor: str
    position: int
    done: bool
    since: str
    version: str


@attrs.frozen
class Note:
    """A record or listing that a run could not fetch.

    Attributes:
        dataset: The dataset.
        scope: The parents' IDs, as `scope_key` wrote them.
        id: The row's ID, or "" for the whole scope.
        failed: Whether the next run may succeed; false if the service does not offer it.
        text: The reason.
    """

    dataset: str
    scope: str
    id: str
    failed: bool
    text: str


@attrs.frozen
class FileEntry:
    """A file of the backup with its own bytes, or a folder of the library.

    Attributes:
        place: The dataset of its record, "folders", or the part of a campaign that it holds.
        id: The ID of its record.
        source: The data that its path was derived from.
        path: Its path below the directory.
        was: The path where its bytes still are, or None.
        wanted: The version that the service has.
        version: The version whose bytes are stored, or None.
        size: The number of these bytes.
        sha256: Their digest.
    """

    place: str
    id: str
    source: str
    path: str
    was: str | None
    wanted: str | None
    version: str | None
    size: int | None
    sha256: str | None


class Journal:
    """The journal of one directory, which no other process can use at the same time.

    Use `Journal.open`. All methods block.
    """

    _resources: ExitStack

    def __init__(self, path: str, database: sqlite3.Connection) -> None:
        self._path = path
        self._database = database
        self.run: int = 0

    @classmethod
    def open(cls, directory: str) -> Self:
        """Open the journal of a directory.

        Raises:
            UsageError: It cannot be created there, it is not a journal, a newer version wrote it,
                or another process is using it.
        """
        path = os.path.join(directory, NAME)  # noqa: PTH118  # a plain string
        words = ("the journal of a backup", "directory; nothing was fetched")
        with ExitStack() as resources, databases.explained(path, *words):
            resources.callback(
                os.close, databases.take_lock(path, "is backing up into this directory")
            )
            database = resources.enter_context(closing(databases.connect(path)))
            databases.prepare(database, path, _SCHEMA, facts={"version": VERSION})
            journal = cls(path, database)
            if journal._rows(databases.DAMAGED):
                raise journal._failed("read", "a row is damaged")
            journal._resources = resources.pop_all()
        return journal

    def begin(self, now: str, *, full: bool, **facts: str) -> None:
        """Begin a run, or continue the last one if it has not ended.

        Args:
            now: The service's time.
            full: Whether everything is fetched again. If so, an unfinished run that does not fetch
                everything is not continued.
            facts: Other facts to remember.
        """
        about = self.about()
        self.run = int(float(about.get("run", 0)))
        if self.run == 0 or about.get("ended") or (full and not about.get("full")):
            self.run += 1
            facts |= {"run": str(self.run), "ended": "", "began": now, "full": "1" if full else ""}
            if full:
                self._write(
                    ("UPDATE scopes SET since='', version=''", [()]),
                    ("UPDATE rows SET fetched=NULL", [()]),
                    ("UPDATE files SET version='' WHERE version IS NOT NULL", [()]),
                )
        self._write((_REPAIR, [()]))
        self.remember(**facts)

    def close(self) -> None:
        """Close the database, then let other processes in."""
        self._resources.close()

    def about(self) -> dict[str, str]:
        """Return the facts about the whole backup."""
        digits = "iif(name IN ('run', 'skew'), value, '0') AS digits"
        query = f"SELECT name, value, {digits} FROM about"  # noqa: S608  # our own words
        return {name: value for name, value, _ in self._rows(query)}

    def written(self) -> list[str]:
        """Return the names of the record files that the backup has written."""
        return self.about().get("written", "").split()

    def counts(self) -> dict[str, Any]:
        """Return the contents of the backup so far, as the fields of `Counts`."""
        queries = {
            "files_here": "count(version) AS number FROM files WHERE place='library'",
            "size_here": "sum(size) AS number FROM files WHERE place='library' AND version NOTNULL",
            "campaigns_here": "count(fetched) AS number FROM rows WHERE dataset='campaigns'",
            "tracked_here": "sum(version<>'') AS number FROM scopes WHERE dataset='tracking'",
            "contacts_here": "max(since<>'') AS number FROM scopes WHERE dataset='contacts'",
        }
        return {name: self._rows(f"SELECT {query}")[0][0] or 0 for name, query in queries.items()}

    def newest(self, dataset: str, scope: str) -> str:
        """Return the newest `modified_date` of a listing's rows, or ""."""
        query = (
            "SELECT CAST(coalesce(max(json_extract(listed, '$.modified_date')), '') AS TEXT) "
            "AS text FROM rows WHERE dataset=? AND scope=?"
        )
        return str(self._rows(query, (dataset, scope))[0][0])

    def remember(self, **facts: str) -> None:
        """Keep facts about the whole backup."""
        self._write(("INSERT OR REPLACE INTO about VALUES (?, ?)", facts.items()))

    def scope(self, dataset: str, scope: str, now: str, *, version: str = "") -> Scope:
        """Return the progress of a listing; begin the listing if this run has not done so yet.

        Args:
            dataset: The dataset.
            scope: The parents' IDs.
            now: The service's time.
            version: The version of the row that the listing follows. If it has not changed, the
                listing counts as done.
        """
        key = (dataset, scope)
        query = (
            "SELECT run, cursor, position, done, since, version FROM scopes "
            "WHERE dataset=? AND scope=?"
        )
        found = self._rows(query, key)
        last = Scope(*found[0]) if found else Scope(0, "", 0, done=False, since="", version="")
        if last.run == self.run and last.done:
            return attrs.evolve(last, done=True)
        if version and version == last.version:
            done = "UPDATE scopes SET run=?, done=1 WHERE dataset=? AND scope=?"
            self._write((done, [(self.run, *key)]))
            return attrs.evolve(last, done=True)
        if last.run != self.run:
            begin = (
                "INSERT INTO scopes (dataset, scope, run, began) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET run=excluded.run, began=excluded.began, "
                "cursor='', position=0, done=0, version=''"
            )
            self._write((begin, [(*key, self.run, now)]))
            last = attrs.evolve(last, run=self.run, cursor="", position=0)
        return attrs.evolve(last, done=False)

    def page(
        self,
        dataset: str,
        scope: str,
        rows: Sequence[tuple[str, str]],
        *,
        cursor: str,
        position: int,
        detail: bool,
        bad: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Store one page of a listing, and the cursor of the next one.

        Args:
            dataset: The dataset.
            scope: The parents' IDs.
            rows: The IDs and the rows.
            cursor: The cursor of the next page.
            position: The number of rows so far, including these.
            detail: Whether the full records are fetched separately.
            bad: Names and reasons of the rows that cannot be read.
        """
        insert = (
            "INSERT INTO rows (dataset, scope, id, run, listed, record) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET run=excluded.run, listed=excluded.listed, vanished=NULL, "
            "record=coalesce(excluded.record, record)"
        )
        advance = "UPDATE scopes SET cursor=?, position=? WHERE dataset=? AND scope=?"
        kept = [(dataset, scope, own, self.run, row, None if detail else row) for own, row in rows]
        noted = [(dataset, scope, name, self.run, 1, why) for name, why in bad]
        self._write((insert, kept), (_NOTE, noted), (advance, [(cursor, position, dataset, scope)]))

    def restart(self, dataset: str, scope: str, *, drop: bool = False) -> None:
        """Begin a listing from its first page again.

        Args:
            dataset: The dataset.
            scope: The parents' IDs.
            drop: Whether to delete the rows of this run, because they are identified by position.
        """
        key = (dataset, scope)
        forget = "DELETE FROM rows WHERE dataset=? AND scope=? AND run=?"
        self._write(
            ("UPDATE scopes SET cursor='', position=0 WHERE dataset=? AND scope=?", [key]),
            (forget, [(*key, self.run)] if drop else []),
        )

    def end_scope(self, dataset: str, scope: str, *, version: str = "", drop: bool = False) -> None:
        """Note that a listing is complete.

        If it had rows that cannot be read, the next run lists all of them once more.

        Args:
            dataset: The dataset.
            scope: The parents' IDs.
            version: The version that it followed.
            drop: Whether to delete rows of earlier listings, because these rows replace them.
        """
        key = (dataset, scope)
        since = "began"
        if self.has_unreadable(dataset, scope):
            version, since = "", "since"
        forget = "DELETE FROM rows WHERE dataset=? AND scope=? AND run<>?"
        done = f"UPDATE scopes SET done=1, cursor='', since={since}, version=? "  # noqa: S608  # our own names
        self._write(
            (f"{done}WHERE dataset=? AND scope=?", [(version, *key)]),
            (forget, [(*key, self.run)] if drop else []),
            (_FORGET, [(*key, "")]),
        )

    def has_unreadable(self, dataset: str, scope: str) -> bool:
        """Return whether a listing of this run had rows that cannot be read."""
        query = "SELECT run FROM notes WHERE dataset=? AND scope=? AND run=? AND id<>''"
        return bool(self._rows(query, (dataset, scope, self.run)))

    def missed(self, dataset: str, scope: str) -> list[str]:
        """Return the IDs of rows that earlier runs listed but this one did not."""
        query = (
            "SELECT id FROM rows WHERE dataset=? AND scope=? AND run<>? AND vanished IS NULL "
            "ORDER BY id"
        )
        return [own for (own,) in self._rows(query, (dataset, scope, self.run))]

    def vanish(self, dataset: str, scope: str, ids: Iterable[str], noticed: str) -> None:
        """Mark rows that the service no longer has. They stay in the backup."""
        gone = "UPDATE rows SET vanished=? WHERE dataset=? AND scope=? AND id=?"
        self._write((gone, [(noticed, dataset, scope, own) for own in ids]))

    def found(self, dataset: str, scope: str, own: str, record: str, *, detail: bool) -> None:
        """Record that the service still has a row, and keep its full record if it has one."""
        kept = "record=?, fetched=listed" if detail else "record=coalesce(record, ?)"
        update = f"UPDATE rows SET {kept}, run=?, vanished=NULL "  # noqa: S608  # our own words
        key = (dataset, scope, own)
        self._write(
            (f"{update}WHERE dataset=? AND scope=? AND id=?", [(record, self.run, *key)]),
            (_FORGET, [key]),
        )

    def without_detail(self, dataset: str, scope: str) -> list[str]:
        """Return the IDs of the rows whose full record is missing or has changed."""
        query = (
            "SELECT id FROM rows WHERE dataset=? AND scope=? AND vanished IS NULL "
            "AND fetched IS NOT listed ORDER BY id"
        )
        return [own for (own,) in self._rows(query, (dataset, scope))]

    def records(
        self, dataset: str, *, vanished: bool = False
    ) -> Iterator[tuple[str, str, str, str]]:
        """Yield, for each row of a dataset, the scope, the ID, the record, and when it vanished.

        If the full record could not be fetched yet, the record is the row of the listing. Rows that
        are identified by position are those of one run, because a later one was not complete.
        """
        query = (
            "SELECT scope, id, coalesce(record, listed) AS record, coalesce(vanished, '') AS text "
            "FROM rows AS o WHERE dataset=? AND (vanished IS NULL) <> ? AND (? OR run=(SELECT run "
            "FROM rows WHERE dataset=o.dataset AND scope=o.scope ORDER BY id LIMIT 1)) "
            "ORDER BY scope, id"
        )
        parents = BY_NAME[dataset].path.count("{}")
        for row in self._each(query, (dataset, vanished, bool(BY_NAME[dataset].ids))):
            if len(ids_in(row[0])) != parents:
                raise self._failed("read", f"a row of {dataset} has no parent ID")
            yield row

    def record(self, dataset: str, scope: str, own: str) -> str | None:
        """Return one record."""
        query = "SELECT record FROM rows WHERE dataset=? AND scope=? AND id=?"
        return next((text for (text,) in self._rows(query, (dataset, scope, own))), None)

    def files(self, *places: str) -> Iterator[FileEntry]:
        """Yield the files of these places, in the order of their paths; all by default."""
        where = f"WHERE place IN ({','.join('?' * len(places))}) " if places else ""
        yield from self._files(f"{where}ORDER BY path", *places)

    def file(self, place: str, own: str) -> FileEntry | None:
        """Return the entry of one file."""
        return next(self._files("WHERE place=? AND id=?", place, own), None)

    def assign(self, place: str, own: str, source: str, path: str, key: str) -> None:
        """Assign a path to a file, and remember the old one until its bytes have moved.

        Args:
            place: The kind of file.
            own: Its ID.
            source: The data that the path is derived from; if it changes, so does the path.
            path: The path below the directory.
            key: A string that no other path has.
        """
        insert = (
            "INSERT INTO files (place, id, source, path, key, turn) "
            "VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(turn), 0) + 1 FROM files)) "
            "ON CONFLICT (place, id) DO UPDATE SET source=excluded.source, "
            "was=CASE WHEN version IS NULL THEN NULL ELSE coalesce(was, path) END, "
            "path=excluded.path, key=excluded.key, turn=excluded.turn"
        )
        self._write((insert, [(place, own, source, path, key)]))

    def want(self, place: str, own: str, version: str) -> None:
        """Record which version of a file belongs in the backup."""
        self._write(("UPDATE files SET wanted=? WHERE place=? AND id=?", [(version, place, own)]))

    def wanted(self, place: str, after: str, most: int) -> list[FileEntry]:
        """Return files that are missing or have changed, by ID, up to a limit."""
        wanted = "WHERE place=? AND id>? AND wanted IS NOT NULL AND wanted IS NOT version"
        return [*self._files(f"{wanted} ORDER BY id LIMIT ?", place, after, most)]

    def stored(self, entry: FileEntry, version: str | None, size: int, sha256: str) -> None:
        """Note which version of a file is on disk; None if its bytes are missing."""
        update = "UPDATE files SET version=?, size=?, sha256=? WHERE place=? AND id=?"
        self._write((update, [(version, size, sha256, entry.place, entry.id)]))

    def moves(self) -> list[FileEntry]:
        """Return files whose bytes are at an old path, in the order in which to move them."""
        return [*self._files("WHERE was IS NOT NULL ORDER BY turn")]

    def moved(self, entries: Iterable[FileEntry]) -> None:
        """Note that the bytes of files are at their new paths."""
        update = "UPDATE files SET was=NULL WHERE place=? AND id=?"
        self._write((update, [(entry.place, entry.id) for entry in entries]))

    def note(self, note: Note) -> None:
        """Store a note of this run, replacing an earlier one about the same thing."""
        values = (note.dataset, note.scope, note.id, self.run, int(note.failed), note.text)
        self._write((_NOTE, [values]))

    def forget(self, dataset: str, scope: str, own: str) -> None:
        """Delete the note about something that has now been fetched."""
        self._write((_FORGET, [(dataset, scope, own)]))

    def notes(self) -> list[Note]:
        """Return the notes of this run."""
        query = "SELECT dataset, scope, id, failed, text FROM notes WHERE run=?"
        return [
            Note(dataset, scope, own, bool(failed), text)
            for dataset, scope, own, failed, text in self._rows(query, (self.run,))
        ]

    def _files(self, rest: str, *values: object) -> Iterator[FileEntry]:
        fields = "place, id, source, path, was, wanted, version, size, sha256"
        for row in self._each(f"SELECT {fields} FROM files {rest}", values):  # noqa: S608  # our own words
            yield FileEntry(*row)

    def _rows(self, query: str, values: Iterable[object] = ()) -> list[Any]:
        return list(self._each(query, values))

    def _each(self, query: str, values: Iterable[object]) -> Iterator[Any]:
        try:
            found = self._database.execute(query, tuple(values))
            names = [name for name, *_ in found.description]
            for row in found:
                if flaw := _flaw(list(zip(names, row, strict=True))):
                    raise self._failed("read", flaw)
                yield row
        except sqlite3.Error as trouble:
            raise self._failed("read", trouble) from None

    def _write(self, *statements: tuple[str, Iterable[Iterable[object]]]) -> None:
        """Execute statements in one transaction."""
        with self.transaction():
            for statement, values in statements:
                self._database.executemany(statement, [tuple(each) for each in values])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything in a `with` block as one transaction."""
        if self._database.in_transaction:
            yield
            return
        try:
            with self._database:  # commits, or rolls back after an exception
                self._database.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as trouble:
            raise self._failed("written", trouble) from None

    def _failed(self, verb: str, trouble: object) -> JournalError:
        return JournalError(
            f"{self._path}: the journal cannot be {verb} ({trouble}), so the backup stopped. "
            "Fix that, or restore the file from a copy, and run it again; it continues where it "
            "stopped. Or back up into another directory."
        )


def _flaw(row: list[tuple[str, Any]]) -> str:
    """Return why a row is damaged, or ""."""
    flaw = databases.misfit(row, _TYPES)
    for name, value in () if flaw else row:
        with suppress(ValueError, TypeError, RecursionError):
            if value is None or name not in _FORMS or _FORMS[name](value):
                continue
        return f"{name} is not valid"
    return flaw


_UNSURE = "version NOTNULL AND (size IS NULL OR sha256 IS NULL)"
_REPAIR = f"UPDATE files SET version=NULL, size=0 WHERE {_UNSURE}"  # noqa: S608  # fetched again
_NOTE = "INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM notes WHERE dataset=? AND scope=? AND id=?"
