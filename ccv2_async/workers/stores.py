"""The interface of stores for the workers' jobs, and the SQLite store; see also `redis_store`."""

from __future__ import annotations

import abc
import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import attrs

from ccv2_async import errors
from ccv2_async.transport.files.databases import Database, is_damaged, opened
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers.records import JobRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ccv2_async.uploads.ledger import Line

    Index: TypeAlias = Literal["line", "state"]
    Over: TypeAlias = BulkState | Literal["any", "none"]

logger: logging.Logger = logging.getLogger("ccv2_async.workers")

IN_MEMORY = ":memory:"
MOST_WARNINGS = 1000
_MOST_PAGES = 100

# Keys of unreadable records that were logged already.
_warned: set[str] = set()


class StoreUnavailable(errors.ConstantContactError):
    """The store of the workers does not answer. Safe to try again: yes."""

    safe_to_retry = True


class RecordUnreadable(errors.ConstantContactError):
    """The record of a job is damaged, or was written by a version that this one cannot read.

    The record is not changed, and the job is not touched. Safe to try again: no; use the version
    that wrote it.
    """


class JobStore(abc.ABC):
    """Jobs by their keys, in the order in which they need attention, and locks that expire.

    Every method may raise `StoreUnavailable`. When a method returns, its data is stored. Records
    that cannot be read are left out of every list, and are not changed.

    Args:
        now: Returns the seconds since 1970.
        keep: Seconds for which settled jobs and their keys are kept; None means forever.
    """

    def __init__(self, *, now: Callable[[], float], keep: float | None) -> None:
        self._now = now
        self._keep = keep

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @abc.abstractmethod
    async def open(self) -> None:
        """Prepare the store. Call it once."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close files and connections."""

    async def find(self, key: str) -> JobRecord | None:
        """Return the record of a job, or None.

        Raises:
            RecordUnreadable: The record cannot be read.
        """
        if (document := await self._document(key)) is None:
            return None
        if (record := _readable(key, document)) is None:
            raise RecordUnreadable(
                f"The record of job {key[:100]} cannot be read: it is damaged, or another version "
                "wrote it. It was left as is, and nothing was sent; use the version that wrote "
                "it."
            )
        return record

    async def add(self, record: JobRecord, *, again: bool = False) -> bool:
        """Store the record if its key is new, or a failed job's; return whether it was stored.

        Args:
            record: The record.
            again: Whether it may replace the record of a failed job.
        """
        return await self.save(record, over=BulkState.FAILED if again else "none")

    async def save(self, record: JobRecord, *, holder: str = "", over: Over = "any") -> bool:
        """Store the record, and log it if the job has ended.

        Args:
            record: The record.
            holder: If given, the record is stored only if this holder has its lock.
            over: The state in which a record that it replaces must be.

        Returns:
            Whether it was stored.
        """
        record = attrs.evolve(record, updated=self._now())
        written = await self._write(record, holder=holder, over=over)
        if written and record.settled:
            _log_outcome(record)
            if self._keep is not None:
                await self._forget(record.updated - self._keep)
        return written

    async def upcoming(self, line: Line, most: int) -> list[JobRecord]:
        """Return the jobs of a line that need attention first, at most `most` of them."""
        chosen: list[JobRecord] = []
        for number in range(_MOST_PAGES):  # some may be unreadable; read on, but not forever
            found = await self._page("line", line, number * most, most)
            for key, document, at in found:
                record = None if document is None else _readable(key, document)
                if record is not None and record.line == line:
                    chosen.append(attrs.evolve(record, attend_at=at))
            if len(found) < most or len(chosen) >= most:
                break
        return chosen[:most]

    async def listed(self, state: BulkState, most: int) -> list[JobRecord]:
        """Return the jobs in a state, most recently changed first."""
        found = await self._page("state", state, 0, most)
        records = [_readable(key, kept) for key, kept, _ in found if kept is not None]
        return [record for record in records if record is not None]

    @abc.abstractmethod
    async def schedule(self, key: str, line: Line, at: float) -> None:
        """Set the time at which a job needs attention, if it is still in this line.

        Nothing else in the record changes, so a worker that has the job is not disturbed.
        """

    @abc.abstractmethod
    async def counts(self) -> dict[BulkState, int]:
        """Return how many jobs are in each state."""

    @abc.abstractmethod
    async def file_ids(self, lock: str) -> Sequence[str]:
        """Return the library IDs of all uploads that shared a lock. Each belongs to a job."""

    @abc.abstractmethod
    async def hold(self, lock: str, holder: str, seconds: float) -> bool:
        """Take the lock for this long if it is free; return whether it was free."""

    @abc.abstractmethod
    async def renew(self, lock: str, holder: str, seconds: float) -> bool:
        """Hold the lock for this long from now; return False if it was lost in the meantime."""

    @abc.abstractmethod
    async def release(self, lock: str, holder: str) -> None:
        """Release the lock if it is still held."""

    @abc.abstractmethod
    async def is_held(self, lock: str, seconds: float) -> bool:
        """Return whether the lock, which is taken for this long, is held."""

    @abc.abstractmethod
    async def _document(self, key: str) -> bytes | str | None:
        """Return the stored record of a job, or None."""

    @abc.abstractmethod
    async def _write(self, record: JobRecord, *, holder: str, over: Over) -> bool:
        """Write a record completely or not at all; return whether it was written."""

    @abc.abstractmethod
    async def _forget(self, before: float) -> None:
        """Delete the jobs that were settled before this time."""

    @abc.abstractmethod
    async def _page(
        self, index: Index, value: str, start: int, most: int
    ) -> Sequence[tuple[str, bytes | str | None, float]]:
        """Return keys, records and times of jobs from position `start`.

        Jobs of a line come in the order in which they need attention. Jobs in a state come with the
        most recently changed first.
        """


def _readable(key: str, document: bytes | str) -> JobRecord | None:
    """Return a stored record, or None if it cannot be read, which is logged once."""
    try:
        record = JobRecord.from_json(document)
        if record.key == key:
            return record
        reason = "it has another key"
    except ValueError as why:
        reason = str(why)
    if key not in _warned and len(_warned) < MOST_WARNINGS:
        _warned.add(key)
        logger.warning(
            "The record of job %s cannot be read (%s): it is damaged, or another version wrote it. "
            "It is left as is, and other jobs continue. This is logged once for this job.",
            key[:100],
            reason[:200],
            extra={"ccv2_event": "record_unreadable"},
        )
    return None


def _log_outcome(record: JobRecord) -> None:
    """Log one line about a job that has ended: what it was, how it ended, and why."""
    details = (f"ID {record.file_id}" if record.file_id else "", record.error)
    level = logging.INFO if record.state is BulkState.DONE else logging.WARNING
    outcome = ", ".join([record.state.value, *filter(None, details)])
    name, event = record.name or record.task, {"ccv2_event": "job_settled"}
    logger.log(level, "%s: %s (job %s)", name, outcome, record.key, extra=event)


_SCHEMA = """
PRAGMA busy_timeout = 10000;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
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
_STRANGE = "SELECT 1 FROM jobs WHERE min(typeof(key), typeof(as_text(CAST(key AS BLOB)))) < 'text'"
_WRITE = """
INSERT OR REPLACE INTO jobs
SELECT :key, :line, :state, :attend_at, :updated, :lock, :file_id, :record
WHERE (:over = 'any' OR NOT EXISTS (SELECT 1 FROM jobs WHERE key = :key AND state != :over))
AND (:holder = '' OR EXISTS (
  SELECT 1 FROM locks WHERE name = :lock AND holder = :holder AND until > :updated
)) RETURNING key
"""
_PAGE = "SELECT CAST(key AS TEXT), record, coalesce(CAST(attend_at AS REAL), 0.0) FROM jobs WHERE "
_PAGES = {
    "line": f"{_PAGE} line = ? ORDER BY attend_at, key LIMIT ? OFFSET ?",
    "state": f"{_PAGE} state = ? ORDER BY updated DESC LIMIT ? OFFSET ?",
}
# A lock that ends later than that was taken before the clock was set back. It is not simply
# `seconds`, because another worker may take the same lock for longer.
_VALID = "until > :now AND until <= :now + 20 * :seconds AND typeof(until) = 'real'"
_HELD = f"SELECT 1 FROM locks WHERE name = :name AND {_VALID}"  # noqa: S608  # of constants
_HOLD = f"""
INSERT INTO locks VALUES (:name, :holder, :now + :seconds)
ON CONFLICT (name) DO UPDATE SET holder = :holder, until = :now + :seconds
WHERE NOT ({_VALID}) RETURNING name
"""  # noqa: S608  # as above


def _columns(record: JobRecord, document: str) -> dict[str, Any]:
    """Return the values of the row of a record, for a writer that needs no lock."""
    names = ("key", "line", "state", "attend_at", "updated", "lock", "file_id")
    values = {name: getattr(record, name) for name in names}
    return {**values, "record": document, "holder": "", "over": "any"}


class SqliteStore(JobStore):
    """Jobs in a SQLite file, which processes of one machine may share.

    Each write is one statement, so a cancelled caller leaves nothing half-done.

    Args:
        path: The file, created if it is missing; ":memory:" keeps nothing after the process.
        now: Returns the seconds since 1970.
        keep: Seconds for which settled jobs and their keys are kept; None means forever.
    """

    def __init__(self, path: str, *, now: Callable[[], float], keep: float | None) -> None:
        super().__init__(now=now, keep=keep)
        self._path = path
        self._database: Database | None = None

    async def open(self) -> None:
        """Open the file.

        Raises:
            UsageError: It cannot be opened, or is not a job store.
        """
        if self._database is None:
            self._database = await opened(self._opened)

    def _opened(self) -> Database:
        try:
            with contextlib.ExitStack() as resources:
                if self._path != IN_MEMORY:
                    Path(self._path).touch(0o600)  # which leaves the mode of an existing file
                connection = sqlite3.connect(
                    self._path, isolation_level=None, check_same_thread=False
                )
                resources.callback(connection.close)
                connection.executescript(_SCHEMA)
                connection.text_factory = as_text  # a damaged row must not hide the others
                if is_damaged(connection, _STRANGE):
                    self._mend(connection)
                return Database(connection, resources.pop_all())
        except (sqlite3.Error, OSError, ValueError) as error:
            raise errors.UsageError(
                f"{self._path}: not a worker job store, or it cannot be opened ({error}). "
                "Restore it from a copy; a new one does not know what was done. Nothing was sent."
            ) from None

    def _mend(self, connection: sqlite3.Connection) -> None:
        """Write all rows again, each from its record, which repeats what the other columns hold.

        Rows of other versions are written as they are. If the key of a row differs from that in its
        record, either may be damaged. The job continues under the one in the record, and no new job
        gets the other one.

        Raises:
            ValueError: A record is damaged too, or more than that.
        """
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute("SELECT * FROM jobs").fetchall()
        connection.execute("DELETE FROM jobs")
        for row in rows:
            kept, document = as_text(row[0]), row[-1]
            try:
                record = JobRecord.from_json(document)
            except ValueError:
                # Another version may have written it; then it still names its key.
                if f'"key":"{kept}"' not in document:
                    raise
                connection.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            else:
                for key in {kept, record.key}:
                    connection.execute(_WRITE, {**_columns(record, document), "key": key})
        if is_damaged(connection, _STRANGE):
            raise ValueError("its pages are damaged")
        connection.execute("COMMIT")
        logger.warning("%s: a row was damaged; all were rewritten from their records.", self._path)

    async def aclose(self) -> None:
        """Close the file."""
        database, self._database = self._database, None
        if database is not None:
            await database.aclose()

    async def schedule(self, key: str, line: Line, at: float) -> None:
        """Set the time at which a job needs attention, if it is still in this line."""
        await self._do("UPDATE jobs SET attend_at = ? WHERE key = ? AND line = ?", (at, key, line))

    async def counts(self) -> dict[BulkState, int]:
        """Return how many jobs are in each state."""
        rows = await self._do("SELECT state, COUNT(*) FROM jobs GROUP BY state")
        return {BulkState(state): int(count) for state, count in rows if state in tuple(BulkState)}

    async def file_ids(self, lock: str) -> Sequence[str]:
        """Return the library IDs of all uploads that shared a lock."""
        rows = await self._do("SELECT file_id FROM jobs WHERE lock = ? AND file_id != ''", (lock,))
        return [file_id for (file_id,) in rows if isinstance(file_id, str)]

    async def hold(self, lock: str, holder: str, seconds: float) -> bool:
        """Take the lock for this long if it is free; return whether it was free."""
        values = {"name": lock, "holder": holder, "now": self._now(), "seconds": seconds}
        return bool(await self._do(_HOLD, values))

    async def renew(self, lock: str, holder: str, seconds: float) -> bool:
        """Hold the lock for this long from now; return False if it was lost in the meantime."""
        sql = "UPDATE locks SET until = ? WHERE name = ? AND holder = ? AND until > ? RETURNING 1"
        now = self._now()
        return bool(await self._do(sql, (now + seconds, lock, holder, now)))

    async def release(self, lock: str, holder: str) -> None:
        """Release the lock if it is still held."""
        await self._do("DELETE FROM locks WHERE name = ? AND holder = ?", (lock, holder))

    async def is_held(self, lock: str, seconds: float) -> bool:
        """Return whether the lock, which is taken for this long, is held."""
        return bool(await self._do(_HELD, {"name": lock, "now": self._now(), "seconds": seconds}))

    async def _document(self, key: str) -> str | None:
        rows = await self._do("SELECT coalesce(record, '') FROM jobs WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    async def _write(self, record: JobRecord, *, holder: str, over: Over) -> bool:
        columns = _columns(record, record.to_json().decode())
        return bool(await self._do(_WRITE, {**columns, "holder": holder, "over": over}))

    async def _forget(self, before: float) -> None:
        await self._do("DELETE FROM jobs WHERE line = 'settled' AND updated < ?", (before,))

    async def _page(
        self, index: Index, value: str, start: int, most: int
    ) -> list[tuple[str, str, float]]:
        return await self._do(_PAGES[index], (value, most, start))

    async def _do(self, statement: str, values: Any = ()) -> list[Any]:
        """Return the rows of a statement.

        Args:
            statement: The SQL statement.
            values: A sequence of values, or a dictionary of named values.
        """
        if self._database is None:
            raise StoreUnavailable("The job store is not open.")
        try:
            return await self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"{self._path}: the jobs cannot be read or written ({error})."
            ) from None


def as_text(value: bytes | str) -> str:
    """Return text, with escapes for bytes that are not UTF-8; those are never valid JSON."""
    return str(value, errors="backslashreplace") if isinstance(value, bytes) else "" + value
