"""The workers' jobs in one SQLite file, or in memory: for workers of one machine."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.errors import UsageError
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers.store import JobStore, StoreUnavailable, readable, required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import aiosqlite

    from ccv2_async.uploads.ledger import Line
    from ccv2_async.workers.records import JobRecord

IN_MEMORY = ":memory:"
_BUSY_MILLISECONDS = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  key TEXT PRIMARY KEY,
  line TEXT NOT NULL,
  state TEXT NOT NULL,
  attend_at REAL NOT NULL,
  updated REAL NOT NULL,
  lock TEXT NOT NULL,
  file_id TEXT NOT NULL,
  record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_line ON jobs (line, attend_at);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, updated);
CREATE INDEX IF NOT EXISTS jobs_by_lock ON jobs (lock) WHERE file_id != '';
CREATE TABLE IF NOT EXISTS locks (
  name TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
"""

_HELD = "SELECT 1 FROM locks WHERE name = ? AND until > ?"
_HELD_BY = f"{_HELD} AND holder = ?"


class SqliteStore(JobStore):
    """Jobs in a SQLite file; processes of one machine may share it.

    Args:
        path: The file, made if it is missing; ":memory:" keeps nothing beyond the process.
        now: Seconds since 1970.
        keep: Seconds for which settled jobs are kept; None for ever. Their keys are known as
            long.
    """

    def __init__(self, path: str, *, now: Callable[[], float], keep: float | None) -> None:
        self._path = path
        self._now = now
        self._keep = keep
        self._database: aiosqlite.Connection | None = None
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Open the file.

        Raises:
            UsageError: It cannot be opened, or is something else.
        """
        import sqlite3  # noqa: PLC0415  # with the database

        import aiosqlite  # noqa: PLC0415  # when workers are started

        if self._database is not None:
            return
        try:
            database = await aiosqlite.connect(self._path, isolation_level=None)
        except sqlite3.Error as error:
            raise UsageError(f"{self._path}: the jobs cannot be opened ({error}).") from None
        try:
            await database.execute_fetchall(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
            await database.execute_fetchall("PRAGMA journal_mode=WAL")
            await database.execute_fetchall("PRAGMA synchronous=FULL")
            await database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            await database.close()
            raise UsageError(f"{self._path}: not a worker job store ({error}).") from None
        except BaseException:
            await database.close()
            raise
        self._database = database

    async def aclose(self) -> None:
        """Close the file."""
        database, self._database = self._database, None
        if database is not None:
            await database.close()

    async def find(self, key: str) -> JobRecord | None:
        """The record of a job, or None."""
        rows = await self._rows("SELECT record FROM jobs WHERE key = ?", key)
        return required(key, rows[0]) if rows else None

    async def add(self, record: JobRecord) -> bool:
        """Keep the record if its key is new; whether it was."""
        async with self._transaction():
            if await self._rows("SELECT 1 FROM jobs WHERE key = ?", record.key):
                return False
            await self._write(record)
            return True

    async def save(self, record: JobRecord, *, holder: str | None = None) -> bool:
        """Keep the record; with a holder, only while that one holds the record's lock."""
        async with self._transaction():
            if holder is not None and not await self._rows(
                _HELD_BY, record.lock, self._now(), holder
            ):
                return False
            await self._write(record)
            return True

    async def schedule(self, key: str, line: Line, at: float) -> None:
        """Let a job want attention at another time, if it is still in this line."""
        async with self._transaction():
            await self._do(
                "UPDATE jobs SET attend_at = ? WHERE key = ? AND line = ?", at, key, line
            )

    async def upcoming(self, line: Line, most: int) -> list[JobRecord]:
        """The jobs of a line that want attention first."""
        query = (
            "SELECT key, record, attend_at FROM jobs WHERE line = ? ORDER BY attend_at, key "
            "LIMIT ? OFFSET ?"
        )
        chosen: list[JobRecord] = []
        start = 0
        while len(chosen) < most:
            rows = await self._do(query, line, most, start)
            for key, document, at in rows:
                record = readable(key, document)
                if record is not None:
                    chosen.append(attrs.evolve(record, key=key, attend_at=at))
            if len(rows) < most:
                break
            start += most  # some of them cannot be read: those behind them have their turn
        return chosen[:most]

    async def listed(self, state: BulkState, most: int) -> list[JobRecord]:
        """The jobs in a state, the last changed first."""
        query = "SELECT key, record FROM jobs WHERE state = ? ORDER BY updated DESC LIMIT ?"
        rows = await self._do(query, str(state), most)
        found = (readable(key, document) for key, document in rows)
        return [record for record in found if record is not None]

    async def counts(self) -> dict[BulkState, int]:
        """How many jobs are in each state."""
        rows = await self._do("SELECT state, COUNT(*) FROM jobs GROUP BY state")
        known = frozenset(map(str, BulkState))
        return {BulkState(state): int(count) for state, count in rows if state in known}

    async def file_ids(self, lock: str) -> Sequence[str]:
        """The library's ids of all uploads that shared a lock."""
        return await self._rows("SELECT file_id FROM jobs WHERE lock = ? AND file_id != ''", lock)

    async def hold(self, lock: str, holder: str, seconds: float) -> bool:
        """Take the lock for so long, if nobody has it."""
        now = self._now()
        async with self._transaction():
            if await self._rows(_HELD, lock, now):
                return False
            await self._do(
                "INSERT OR REPLACE INTO locks VALUES (?, ?, ?)", lock, holder, now + seconds
            )
            return True

    async def renew(self, lock: str, holder: str, seconds: float) -> bool:
        """Hold it so long from now on; False when it was lost meanwhile."""
        now = self._now()
        async with self._transaction():
            if not await self._rows(_HELD_BY, lock, now, holder):
                return False
            await self._do("UPDATE locks SET until = ? WHERE name = ?", now + seconds, lock)
            return True

    async def release(self, lock: str, holder: str) -> None:
        """Let go of the lock, if it is still held."""
        async with self._transaction():
            await self._do("DELETE FROM locks WHERE name = ? AND holder = ?", lock, holder)

    async def is_held(self, lock: str) -> bool:
        """Whether anybody holds the lock."""
        return bool(await self._rows(_HELD, lock, self._now()))

    @property
    def _open_database(self) -> aiosqlite.Connection:
        if self._database is None:
            raise StoreUnavailable("The workers' jobs are not open.")
        return self._database

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """What is done inside is done as a whole, and on disk afterwards."""
        import sqlite3  # noqa: PLC0415  # with the database

        async with self._writing:
            try:
                try:
                    await self._do("BEGIN IMMEDIATE")
                    yield
                    await self._do("COMMIT")
                except BaseException:
                    # Who is cancelled does not know whether his last statement was carried out;
                    # this one comes after it in any case.
                    with contextlib.suppress(sqlite3.OperationalError):
                        await self._do("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StoreUnavailable(
                    f"{self._path}: the jobs cannot be written ({error})."
                ) from None

    async def _write(self, record: JobRecord) -> None:
        now = self._now()
        record = attrs.evolve(record, updated=now)
        await self._do(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            record.key,
            record.line,
            str(record.state),
            record.attend_at,
            now,
            record.lock,
            record.file_id,
            record.to_json().decode(),
        )
        if record.settled and self._keep is not None:
            await self._do(
                "DELETE FROM jobs WHERE line = 'settled' AND updated < ?", now - self._keep
            )

    async def _rows(self, query: str, *values: object) -> list[str]:
        return [row[0] for row in await self._do(query, *values)]

    async def _do(self, statement: str, *values: object) -> list[Any]:
        """The rows that come of a statement.

        All of them at once: a cursor that got as far as a caller who is cancelled in that moment
        would live on in his exception, and keep the database open although it was closed.
        """
        return list(await self._open_database.execute_fetchall(statement, values))
