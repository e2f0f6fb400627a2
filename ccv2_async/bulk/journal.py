"""The journal of a bulk upload: one row a file, written before and after each effect.

It is a SQLite file in WAL mode with full synchronisation, so what is written survives the end of
the process at any instant, and of the machine. A file that was being sent when the process ended
stands at "sending": the next run looks for it in its folder before it sends anything.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Protocol, Self

import attrs

from ccv2_async.bulk.results import Action, BulkState
from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiosqlite

    from ccv2_async.transport.threads import FileThreads

VERSION = "1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
  path TEXT NOT NULL,
  folder TEXT NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  written_ns INTEGER NOT NULL,
  state TEXT NOT NULL,
  since REAL,
  file_id TEXT NOT NULL DEFAULT '',
  folder_id TEXT NOT NULL DEFAULT '',
  token TEXT NOT NULL DEFAULT '',
  status TEXT,
  final INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  updated REAL NOT NULL,
  PRIMARY KEY (path, folder, name)
) WITHOUT ROWID;
"""


@attrs.frozen
class Entry:
    """One row of the journal.

    Attributes:
        path: The file's absolute path.
        folder: Where it goes: the folder's id, and names of folders below it.
        name: Its name in the library.
        size: Bytes, when it was taken up.
        written_ns: When the file was last written, in nanoseconds since 1970.
        state: Where it stands.
        since: When it was first sent, in seconds since 1970; None before.
        file_id: The library's id, or "".
        folder_id: The library folder it went to, or "".
        token: Its resume token, or "".
        status: The service's last word, or None.
        final: Whether a failure is one that sending it again will not mend.
        error: Why it failed, or "".
        updated: When the row was written, in seconds since 1970.
    """

    path: str
    folder: str
    name: str
    size: int
    written_ns: int
    state: BulkState = attrs.field(default=BulkState.PENDING, converter=BulkState)
    since: float | None = None
    file_id: str = ""
    folder_id: str = ""
    token: str = ""
    status: str | None = None
    final: bool = attrs.field(default=False, converter=bool)
    error: str = ""
    updated: float = 0.0


_COLUMNS = tuple(field.name for field in attrs.fields(Entry))
_UPSERT = (
    f"INSERT OR REPLACE INTO files ({', '.join(_COLUMNS)}) "  # noqa: S608  # our own names
    f"VALUES ({', '.join('?' * len(_COLUMNS))})"
)

_ACTIONS = {
    BulkState.PENDING: Action.SEND,
    BulkState.SENDING: Action.LOOK,
    BulkState.ACCEPTED: Action.FOLLOW,
    BulkState.DONE: Action.SKIP,
    BulkState.AMBIGUOUS: Action.REPORT,
}


def action_for(known: Entry | None, size: int, written_ns: int) -> Action:
    """What to do about a file, by what the journal knows of it and what it is now. Pure."""
    if known is None or (known.state is BulkState.FAILED and not known.final):
        return Action.SEND
    if known.state is not BulkState.PENDING and (known.size, known.written_ns) != (
        size,
        written_ns,
    ):
        return Action.REFUSE
    return _ACTIONS.get(known.state, Action.REPORT)


class Memory(Protocol):
    """What a bulk upload remembers of its files."""

    async def find(self, path: str, folder: str, name: str) -> Entry | None:
        """The row of a file, or None."""
        ...

    async def write(self, entry: Entry) -> None:
        """Return once the row is kept."""
        ...

    async def file_ids(self) -> list[str]:
        """The ids of all files that were accepted."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


class NoJournal:
    """What a bulk upload without a journal remembers: nothing."""

    async def find(self, path: str, folder: str, name: str) -> Entry | None:  # noqa: ARG002  # as every memory
        """None."""
        return None

    async def write(self, entry: Entry) -> None:
        """Nothing."""

    async def file_ids(self) -> list[str]:
        """None."""
        return []

    async def aclose(self) -> None:
        """Nothing."""


class Journal:
    """A journal that is open for one bulk upload; no other process can use it meanwhile.

    Use `Journal.open`.
    """

    def __init__(self, database: aiosqlite.Connection, lock: int, now: Callable[[], float]) -> None:
        self._database = database
        self._lock = lock
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
    ) -> Self:
        """The journal in the file `path`, which is made if it is missing.

        Args:
            path: The file.
            threads: Where the file is opened.
            account: The fingerprint of the credentials.
            base_url: Where the uploads go.
            now: Seconds since 1970.

        Raises:
            UsageError: It is no journal, belongs to another account or service, or another
                process is using it.
        """
        lock = await threads.run(_take_lock, path, undo=os.close)
        try:
            database = await _connect(path)
        except BaseException:
            os.close(lock)
            raise
        journal = cls(database, lock, now)
        try:
            await journal._check(
                path, {"version": VERSION, "account": account, "service": base_url}
            )
        except BaseException:
            await journal.aclose()
            raise
        return journal

    async def _check(self, path: str, about: dict[str, str]) -> None:
        import sqlite3  # noqa: PLC0415  # only with a journal

        try:
            await self._database.executescript(_SCHEMA)
            async with self._database.execute("SELECT name, value FROM about") as rows:
                kept = {str(name): str(value) async for name, value in rows}
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{path}: this is no journal ({error}). Choose another file; nothing was sent."
            ) from None
        if not kept:
            await self._database.executemany("INSERT INTO about VALUES (?, ?)", about.items())
            return
        for name, value in about.items():
            if kept.get(name) != value:
                shown = f" ({kept.get(name)})" if name != "account" else ""
                raise UsageError(
                    f"{path}: this journal is of another {name}{shown}. Choose another file, so "
                    "that nothing is sent twice or to the wrong place; nothing was sent."
                )

    async def find(self, path: str, folder: str, name: str) -> Entry | None:
        """The row of a file, or None."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM files WHERE path=? AND folder=? AND name=?"  # noqa: S608  # our own names
        async with self._database.execute(query, (path, folder, name)) as rows:
            row = await rows.fetchone()
        return Entry(*row) if row is not None else None

    async def write(self, entry: Entry) -> None:
        """Return once the row is on disk."""
        values = attrs.astuple(attrs.evolve(entry, updated=self._now()))
        await self._database.execute(_UPSERT, values)

    async def file_ids(self) -> list[str]:
        """The ids of all files that were accepted."""
        query = "SELECT file_id FROM files WHERE file_id != ''"
        async with self._database.execute(query) as rows:
            return [row[0] async for row in rows]

    async def aclose(self) -> None:
        """Close the database, then let other processes in."""
        try:
            await self._database.close()
        finally:
            os.close(self._lock)


async def entries(path: str) -> AsyncIterator[Entry]:
    """The rows of a journal, also while an upload is using it; the file is not changed.

    Raises:
        UsageError: There is no such file, or it is no journal.
    """
    import sqlite3  # noqa: PLC0415  # only with a journal

    import aiosqlite  # noqa: PLC0415  # only with a journal

    try:
        async with (
            aiosqlite.connect(f"file:{path}?mode=ro", uri=True) as database,
            database.execute(f"SELECT {', '.join(_COLUMNS)} FROM files ORDER BY path") as rows,  # noqa: S608  # our own names
        ):
            async for row in rows:
                yield Entry(*row)
    except (sqlite3.DatabaseError, ValueError) as error:
        raise UsageError(f"{path}: no journal can be read here ({error}).") from None


async def _connect(path: str) -> aiosqlite.Connection:
    import sqlite3  # noqa: PLC0415  # only with a journal

    import aiosqlite  # noqa: PLC0415  # only with a journal

    try:
        database = await aiosqlite.connect(path, isolation_level=None)
    except sqlite3.Error as error:
        raise UsageError(f"{path}: the journal cannot be opened ({error}).") from None
    try:
        await database.execute("PRAGMA journal_mode=WAL")
        await database.execute("PRAGMA synchronous=FULL")
    except sqlite3.DatabaseError as error:
        await database.close()
        raise UsageError(f"{path}: this is no journal ({error}). Choose another file.") from None
    return database


def _take_lock(path: str) -> int:
    """A lock that the system lets go of when the process ends, however it ends."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"{path}: the journal cannot be opened ({error.strerror}).") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UsageError(
            f"{path}: another process is uploading with this journal. Wait for it to end."
        ) from None
    return lock
