"""The journal of a bulk upload: one row per file, written before and after each effect.

It is a SQLite file in WAL mode with full synchronization, so its rows survive a crash of the
process or the machine at any moment. A file that was being sent when the process ended is in the
state "sending": the next run looks for it in its folder before it sends anything.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import attrs
import orjson

from ccv2_async.errors import AmbiguousUpload, InvalidField, JournalError, UsageError
from ccv2_async.tasks import in_thread, uninterrupted
from ccv2_async.transport.calls.saving import checked_path
from ccv2_async.transport.files import databases
from ccv2_async.transport.files.reading import check_file
from ccv2_async.transport.files.sources import absolute
from ccv2_async.uploads.ledger import BulkState, Entry, NoStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence

    from ccv2_async.transport.files.threads import FileThreads

VERSION = "2"
_PURPOSE = "is uploading with this journal"
_NOT_OURS = {
    "account": "this journal belongs to another account, or to an earlier token of this one. For "
    "another account, choose another file. If your token is new, a new journal would send all "
    "files again: pass the earlier token, and a refresh_token that returns the new one",
    "service": "this journal belongs to another service ({}). Choose another file, so that "
    "nothing is sent twice or to the wrong place",
}

SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock")
"""The name suffixes of the files that SQLite and `Journal` keep for one journal."""

SCHEMA = """
CREATE TABLE files (
  path TEXT NOT NULL,
  folder TEXT NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  written_ns INTEGER NOT NULL,
  state TEXT NOT NULL,
  since REAL,
  file_id TEXT NOT NULL DEFAULT '',
  folder_id TEXT NOT NULL DEFAULT '',
  duplicates TEXT NOT NULL DEFAULT '[]',
  sends INTEGER NOT NULL DEFAULT 0,
  token TEXT NOT NULL DEFAULT '',
  status TEXT,
  final INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  updated REAL NOT NULL,
  PRIMARY KEY (path, folder, name)
) WITHOUT ROWID;
CREATE INDEX files_again ON files (name);
"""
"""The index repeats what must not be damaged unnoticed; see `databases.DAMAGED`."""

_TYPES = databases.columns_of(SCHEMA)
COLUMNS = list(_TYPES)
UPSERT = (
    f"INSERT OR REPLACE INTO files ({', '.join(COLUMNS)}) "  # noqa: S608  # our own names
    f"VALUES ({', '.join('?' * len(COLUMNS))}) RETURNING is_in_place()"
)
"""Writes a row; SQLite itself would not notice that the file was deleted or replaced."""

_MARK = (
    "UPDATE files SET state = 'pending', since = NULL, file_id = '', duplicates = '[]', "
    "sends = 0, token = '', status = NULL, final = 0, error = '' WHERE state = ? RETURNING path"
)
_SENT = "SELECT folder_id, size FROM files WHERE token != '' OR state IN ('sending', 'ambiguous')"
_STRANGE = (
    "SELECT 1 FROM files WHERE typeof(path) || typeof(folder) || typeof(name) <> 'texttexttext' "
    "OR typeof(as_text(CAST(path || folder || name AS BLOB))) <> 'text' LIMIT 1"
)
_PORTION = (
    f"SELECT {', '.join(COLUMNS)} FROM files WHERE (path, folder, name) > (?, ?, ?) "  # noqa: S608  # our own names
    "ORDER BY path, folder, name LIMIT 500"
)


@attrs.frozen(kw_only=True)
class JournalEntry(Entry):
    """One row of a journal.

    Attributes:
        path: The file's absolute path.
        folder: Its destination: the folder's ID, and the names of folders below it.
    """

    path: str
    folder: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The key that identifies a file in its journal."""
        return self.path, self.folder, self.name

    @property
    def row(self) -> dict[str, Any]:
        """The row's columns."""
        row = {**attrs.asdict(self), "state": self.state.value, "token": self.token}
        row["duplicates"] = orjson.dumps(self.duplicates).decode()
        row["sends"] = self.sends if self.may_have_arrived else 0
        row["error"] = self.error.encode("utf-8", "backslashreplace").decode("utf-8")
        return {name: row[name] for name in COLUMNS}

    @classmethod
    def from_row(cls, columns: Iterable[Any]) -> Self:
        """Return the entry of a row.

        Raises:
            ValueError: The row is not valid in this version of the journal.
        """
        row = dict(zip(COLUMNS, columns, strict=True))
        if flaw := databases.misfit(row.items(), _TYPES):
            raise ValueError(flaw)
        token, copies = row.pop("token"), orjson.loads(row.pop("duplicates"))
        if not (isinstance(copies, list) and all(isinstance(id_, str) for id_ in copies)):
            raise ValueError("duplicates is not a list of IDs")
        if row["since"] is not None:  # later if the clock was set back, or the row is damaged
            row["since"] = min(row["since"], row["updated"])
        entry = cls(**row, duplicates=copies, tokens=[token] if token else ())
        if entry.size < 0:  # it would count as new
            raise ValueError("size is negative")
        return entry

    @classmethod
    def from_any_row(cls, columns: Sequence[Any]) -> Self:
        """Return the entry of a row; an ambiguous one with only its key if the row is damaged.

        Raises:
            ValueError: The key is damaged too.
        """
        try:
            return cls.from_row(columns)
        except ValueError as flaw:
            key = dict(zip(COLUMNS[:3], columns, strict=False))
            if databases.misfit(key.items(), _TYPES):
                raise
            return cls(**key, state=BulkState.AMBIGUOUS, error=f"its row is damaged ({flaw})")


def storable(path: str) -> str:
    """Return a string for the path that a database accepts and that no other path has."""
    return path.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode("utf-8")


class JournalFiles:
    """The files that make up a journal. They are never uploaded.

    Args:
        path: The journal's path, or None for an upload without a journal.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else absolute(path)

    def removed_from(self, paths: Iterable[str]) -> list[str]:
        """Return `paths` without those that name one of the journal's files. Reads the disk.

        A path names such a file by its name, through links, or as a hard link to it.
        """
        if self._path is None:
            return list(paths)
        # SQLite keeps its files next to the target of a link, `Journal` next to the link.
        bases = (self._path, os.path.realpath(self._path))
        names = {f"{base}{end}" for base in bases for end in SUFFIXES}
        own = {identity for name in names if (identity := _identity(name)) is not None}
        return [
            path for path in paths if absolute(path) not in names and _identity(path) not in own
        ]


def _identity(path: str) -> tuple[int, int] | None:
    """Return an identity that all names of a file share, or None if there is no file."""
    try:
        state = os.stat(path)  # noqa: PTH116  # a plain string
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino


class Journal:
    """A journal that is open for one bulk upload; no other process can use it during that time.

    Use `Journal.open`.
    """

    wants_tokens = True
    # No other process uses it, and a run claims all its files at the start.
    owned: Callable[[str, str], Coroutine[Any, Any, tuple[()]]] = NoStore().owned
    is_read_only = False
    _schema = SCHEMA
    _tables: tuple[str, ...] = ("files",)

    _database: databases.Database

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now

    @classmethod
    async def open(
        cls,
        path: str,
        threads: FileThreads,
        *,
        account: str,
        base_url: str,
        now: Callable[[], float],
        dry_run: bool = False,
    ) -> Self | None:
        """Open the journal in a file, which is created if it is missing.

        Args:
            path: The file.
            threads: The threads that open the file.
            account: The fingerprint of the credentials.
            base_url: The URL of the API.
            now: Seconds since 1970.
            dry_run: Do not create, change, or lock the file; return None if it is missing or
                empty.

        Raises:
            UsageError: It is not a journal, belongs to another account or service, cannot be
                created there, or another process is using it.
            JournalError: The key of a row is damaged.
        """
        if dry_run and not await threads.run(_has_content, path):
            return None
        journal = cls(path, now)
        journal.is_read_only = dry_run
        about = {"version": VERSION, "account": account, "service": base_url}
        with databases.explained(path, "a journal", "file; nothing was sent"):
            journal._database = await databases.opened(partial(_connect, path, to_read=dry_run))
            async with AsyncExitStack() as resources:
                resources.push_async_callback(journal.aclose)
                if not await journal._database.thread.run(journal._prepare, about):
                    return None
                resources.pop_all()
        return journal

    def _prepare(self, about: Mapping[str, str]) -> bool:
        """Return whether the file is our journal; make an empty one a journal, unless read-only."""
        path, connection, make = self._path, self._database.connection, not self.is_read_only
        kept = databases.prepare(
            connection, path, self._schema, facts=about, tables=self._tables, make=make
        )
        if not kept:
            return False
        for name, why in _NOT_OURS.items():
            if kept.get(name) != about[name]:
                raise UsageError(f"{path}: {why.format(kept.get(name))}; nothing was sent.")
        if databases.is_damaged(connection, _STRANGE):
            raise self._failed("read", "one of its rows does not say which file it is about")
        identity = _identity(path)
        connection.create_function("is_in_place", 0, lambda: _identity(path) == identity)
        return True

    async def find(self, key: tuple[str, str, str], /) -> JournalEntry | None:
        """Return the entry that is kept under a key, or None.

        Raises:
            AmbiguousUpload: Its row is damaged, or another version wrote it.
            JournalError: It cannot be read.
        """
        query = f"SELECT {', '.join(COLUMNS)} FROM files WHERE path=? AND folder=? AND name=?"  # noqa: S608  # our own names
        rows = await self._read(query, key)
        try:
            return JournalEntry.from_row(rows[0]) if rows else None
        except ValueError as flaw:
            raise AmbiguousUpload(
                f"{key[0]}: its row in the journal {self._path} is damaged ({flaw}), so it may "
                "have been sent. It was not sent now. Restore the journal from a copy; or look in "
                "the library, and if the file is missing, upload it without this journal.",
                file_name=key[2],
                folder_id=key[1],
            ) from None

    async def write(self, entry: JournalEntry, /) -> JournalEntry:
        """Write the row and return the entry. The row is written even if the caller is cancelled.

        Raises:
            JournalError: It cannot be written, or its file was moved, deleted, or replaced.
        """
        kept = attrs.evolve(entry, updated=self._now())
        if not all(in_place for (in_place,) in await self._change(UPSERT, kept.row.values())):
            raise self._failed("written", "it was moved, deleted, or replaced")
        return kept

    async def _change(self, statement: str, values: Iterable[object] = ()) -> list[Any]:
        """Execute a statement that writes, and return its rows."""
        return await self._read(statement, tuple(values), verb="written")

    async def file_ids(self) -> list[str]:
        """Return the IDs of all files that were accepted, the latest last.

        Those without a token were skipped, unless they are being sent: then the run ended before it
        had looked for a copy. Skipped files may belong to an upload that was interrupted.

        Raises:
            JournalError: It cannot be read.
        """
        query = "SELECT file_id FROM files WHERE token != '' OR state = 'sending' ORDER BY since"
        return [id_ for (id_,) in await self._read(query) if isinstance(id_, str) and id_]

    async def sent(self) -> set[tuple[str, int]]:
        """Return the folder and the size of each file that was sent and may have arrived.

        Raises:
            JournalError: It cannot be read.
        """
        return set(await self._read(_SENT))

    async def _read(
        self, statement: str, values: Iterable[object] = (), *, verb: str = "read"
    ) -> list[Any]:
        import sqlite3  # noqa: PLC0415  # only with a journal

        try:
            return await self._database.execute(statement, tuple(values))
        except sqlite3.Error as trouble:
            raise self._failed(verb, trouble) from None

    def _failed(self, verb: str, trouble: object) -> JournalError:
        return JournalError(
            f"{self._path}: the journal cannot be {verb} ({trouble}), so the upload stopped. Fix "
            "that or restore the journal from a copy, then run the upload again. It first looks "
            "for files that were being sent. With an empty journal, it would send all files again."
        )

    async def aclose(self) -> None:
        """Close the database, then let other processes in."""
        await self._database.aclose()


async def retry_files(
    path: str | os.PathLike[str], *, state: BulkState = BulkState.AMBIGUOUS
) -> list[str]:
    """Mark files in a journal for the next run to send again, and return their paths.

    Files that are ambiguous may be in the library already. Look there first: the next run sends
    these files without looking for them.

    Args:
        path: The journal. No upload may be using it.
        state: AMBIGUOUS or FAILED: which files are marked.

    Raises:
        InvalidField: Files of this state are never marked, or `path` is not a path.
        UsageError: There is no such file, it is not a journal, or an upload is using it.
        JournalError: It cannot be written. Nothing was marked.
    """
    if state not in (BulkState.AMBIGUOUS, BulkState.FAILED):
        raise InvalidField("state", state, "it must be ambiguous or failed")
    return await uninterrupted(in_thread(_mark, checked_path(path, "path"), state))


def _mark(path: str, state: BulkState) -> list[str]:
    import sqlite3  # noqa: PLC0415  # only with a journal

    try:
        with closing(_connect(path, to_read=False, exists=True)) as database:
            marked = database.connection.execute(_MARK, (state.value,))
            return sorted(str(path) for (path,) in marked)
    except sqlite3.OperationalError as error:
        raise JournalError(
            f"{path}: the journal cannot be written ({error}). Nothing was marked."
        ) from None
    except (sqlite3.DatabaseError, OSError) as error:
        why = getattr(error, "strerror", error)
        raise UsageError(f"{path}: it cannot be used ({why}). Nothing was marked.") from None


async def read_journal(path: str | os.PathLike[str]) -> AsyncGenerator[JournalEntry, None]:
    """Yield the rows of a journal. An upload may be using it; the file is not changed.

    A row that is damaged is AMBIGUOUS, as it is for an upload; its error says what is wrong.

    Args:
        path: The journal.

    Raises:
        InvalidField: `path` is not a path.
        UsageError: There is no such file, or it is not a journal.
    """
    import sqlite3  # noqa: PLC0415  # only with a journal

    path = checked_path(path, "path")
    connect = partial(_connect, path, to_read=True, exists=True)
    try:
        async with aclosing(await databases.opened(connect)) as database:
            await database.execute("BEGIN")  # all rows as of one moment
            key = ("", "", "")
            # In batches, because there may be a million rows.
            while rows := await database.execute(_PORTION, key):
                for row in rows:
                    yield JournalEntry.from_any_row(row)
                key = rows[-1][: len(key)]
    except UsageError:
        raise
    except (sqlite3.DatabaseError, OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise UsageError(f"{path}: the journal cannot be read ({why}).") from None


def _connect(path: str, *, to_read: bool, exists: bool = False) -> databases.Database:
    """Open the database: only to read it, or under the journal's lock.

    Args:
        path: The file.
        to_read: Whether it is only read.
        exists: Whether it must exist, and be of this version.
    """
    with ExitStack() as resources:
        if exists:
            check_file(path, os.R_OK)  # its error is clearer than SQLite's
        if not to_read:
            resources.callback(os.close, databases.take_lock(path, _PURPOSE))
        connection = databases.connect(path, to_read=to_read)
        resources.callback(connection.close)
        if exists:
            databases.check_version(connection, path, VERSION)
        return databases.Database(connection, resources.pop_all())


def _has_content(path: str) -> bool:
    """Return whether the file has content; False if it does not exist and can be created."""
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116  # a plain string
    except (OSError, ValueError) as error:
        directory = os.path.dirname(path) or "."  # noqa: PTH120  # a plain string
        if isinstance(error, FileNotFoundError) and os.path.isdir(directory):  # noqa: PTH112
            return False
        raise databases.unopened(path, error) from None
