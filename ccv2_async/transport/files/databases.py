"""SQLite files: opening and locking them, running statements, and checking what they hold."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ccv2_async.errors import ClientClosed, UsageError
from ccv2_async.tasks import uninterrupted
from ccv2_async.transport.files.reading import check_file
from ccv2_async.transport.files.threads import FileThreads

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import ExitStack

DAMAGED = (
    "SELECT 1 AS number FROM pragma_integrity_check WHERE integrity_check <> 'ok' "
    "AND integrity_check NOT LIKE '% value in %' LIMIT 1"
)
"""Finds rows that an index of their table does not hold in the same form: one was damaged.

Values of another type are left to `misfit`.
"""

ABOUT = "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
_TYPES: Mapping[str, type] = {"TEXT": str, "INTEGER": int, "REAL": float}


class Database:
    """A SQLite database whose statements run in turn, in a thread of their own.

    Attributes:
        connection: The connection.
        thread: The thread.

    Args:
        connection: The connection.
        resources: Closes the connection, and then its lock, if it has one.
    """

    def __init__(self, connection: sqlite3.Connection, resources: ExitStack) -> None:
        self.connection = connection
        self._resources = resources
        self.thread: FileThreads = FileThreads(limit=1)

    async def execute(self, statement: str, values: Any = ()) -> list[Any]:
        """Return all rows of a statement, which is completed even if the caller is cancelled.

        Args:
            statement: The SQL statement.
            values: A sequence of values, or a dictionary of named values.

        Raises:
            sqlite3.Error: SQLite refused it, or failed.
        """
        return await self.thread.run(lambda: list(self.connection.execute(statement, values)))

    def close(self) -> None:
        """Close it from any thread, while no statement runs."""
        self._resources.close()

    async def aclose(self) -> None:
        """Close it after the statements that are running, even if the caller is cancelled."""
        await uninterrupted(self._aclose())

    async def _aclose(self) -> None:
        with suppress(ClientClosed):  # it is closed already
            await self.thread.run(self.close)
        await self.thread.aclose()


async def opened(work: Callable[[], Database]) -> Database:
    """Return the database that `work` opens in the database's thread."""
    thread = FileThreads(limit=1)
    try:
        database = await thread.run(work, undo=Database.close)
    except BaseException:
        await uninterrupted(thread.aclose())
        raise
    database.thread = thread
    return database


def connect(path: str, *, to_read: bool = False) -> sqlite3.Connection:
    """Return a connection for one thread at a time. Text that is not UTF-8 is read as bytes.

    Args:
        path: The file, which must exist; it may be named ":memory:".
        to_read: Whether it is only read, even where SQLite cannot create the files next to it.
    """
    import sqlite3  # noqa: PLC0415  # only with a journal

    connected = partial(sqlite3.connect, uri=True, isolation_level=None, check_same_thread=False)
    address = f"file://{quote(os.fsencode(os.path.abspath(path)))}?mode=rw"  # noqa: PTH100  # no I/O
    connection = connected(address)
    if to_read and not os.path.exists(f"{os.path.realpath(path)}-wal"):  # noqa: PTH110
        try:
            connection.execute("SELECT 1 FROM sqlite_master")
        except (sqlite3.Error, UnicodeDecodeError):
            connection.close()
            connection = connected(f"{address}&immutable=1")
    connection.text_factory = text_or_bytes
    return connection


def prepare(
    connection: sqlite3.Connection,
    path: str,
    schema: str,
    *,
    facts: Mapping[str, str],
    tables: Iterable[str] = (),
    make: bool = True,
) -> dict[str, Any]:
    """Return the facts in the table `about` of a journal; make an empty file a journal.

    Args:
        connection: The journal.
        path: The path of the file, for messages.
        schema: The statements that create the tables, apart from `about`.
        facts: The facts about a new journal, with its version.
        tables: Names of tables that no other database has.
        make: Whether the file may be changed; if not, an empty one has no facts.

    Raises:
        sqlite3.Error: It is another database, or SQLite failed.
        UsageError: Another version wrote it.
    """
    import sqlite3  # noqa: PLC0415  # only with a journal

    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if found and not found >= {"about", *tables}:
        raise sqlite3.DatabaseError("it is another database")
    if make:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    if not found:
        if not make:
            return {}
        # In one transaction: a process that is killed here leaves an empty file or a journal.
        connection.executescript(f"BEGIN IMMEDIATE; {ABOUT} {schema}")
        connection.executemany("INSERT INTO about VALUES (?, ?)", facts.items())
        connection.execute("COMMIT")
    return check_version(connection, path, facts["version"])


def check_version(connection: sqlite3.Connection, path: str, version: str) -> dict[str, Any]:
    """Return the facts in the table `about` of a journal.

    Raises:
        sqlite3.Error: SQLite failed.
        UsageError: Another version of the package wrote it.
    """
    facts = dict(connection.execute("SELECT name, value FROM about"))
    if facts.get("version") != version:
        raise UsageError(
            f"{path}: this journal has version {facts.get('version')}, but this package reads "
            f"version {version}. Use the version that wrote it; a new journal would not know what "
            "was done. Nothing was changed."
        )
    return facts


def columns_of(schema: str) -> dict[str, Any]:
    """Return the Python types of the values of each column, by the column's name."""
    found = re.findall(r"(\w+) (TEXT|INTEGER|REAL)( NOT NULL)?", schema)
    return {name: _TYPES[kind] if full else _TYPES[kind] | None for name, kind, full in found}


def is_damaged(connection: sqlite3.Connection, strange: str) -> bool:
    """Return whether `strange`, which may call `as_text`, finds a row, or a row is damaged."""
    connection.create_function("as_text", 1, text_or_bytes)
    return any(connection.execute(check).fetchall() for check in (strange, DAMAGED))


def text_or_bytes(value: bytes) -> str | bytes:
    """Return the text of a column, or its bytes if they are not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def misfit(row: Iterable[tuple[str, object]], types: Mapping[str, Any]) -> str:
    """Return why a row is damaged, or "": SQLite stores values of any type in any column."""
    for name, value in row:
        if not isinstance(value, types[name]):
            return f"{name} is of type {type(value).__name__}"
        if isinstance(value, int) and abs(value) > 2**62:  # the next number might not fit
            return f"{name} is out of range"
    return ""


def take_lock(path: str, purpose: str) -> int:
    """Take a lock that the system releases when the process ends for any reason.

    Args:
        path: The journal. It is created if it is missing.
        purpose: What another process that holds the lock is doing, for messages.

    Raises:
        UsageError: The file cannot be opened, or another process holds the lock.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        # The target of a link: a journal has one lock, no matter which link leads to it.
        real = os.path.realpath(path)
        with suppress(FileExistsError):
            os.close(os.open(real, flags | os.O_EXCL, 0o600))
        check_file(real, os.R_OK | os.W_OK)
        lock = os.open(f"{real}.lock", flags, 0o600)
    except (OSError, ValueError) as error:
        raise unopened(path, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UsageError(f"{path}: another process {purpose}. Wait for it to end.") from None
    return lock


def unopened(path: str, error: Exception) -> UsageError:
    """Return the error for a journal that cannot be opened."""
    why = getattr(error, "strerror", error)
    return UsageError(f"{path}: the journal cannot be opened ({why}). Check the path and the disk.")


@contextmanager
def explained(path: str, what: str, instead: str) -> Iterator[None]:
    """Turn errors of SQLite, while a file is opened, into errors that say what to do.

    It suggests another file only if this one is certainly not a journal. After any other error,
    such as a full disk, another journal would lack what this one records.

    Args:
        path: The file.
        what: What it should be.
        instead: What to choose if it is something else.

    Raises:
        UsageError: SQLite failed with the file.
    """
    import sqlite3  # noqa: PLC0415  # only with a journal

    try:
        yield
    except UnicodeDecodeError:  # SQLite's message quotes the name of a table
        raise unopened(path, ValueError("the name of a table is damaged")) from None
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 1) not in (1, 26):  # SQLITE_ERROR, SQLITE_NOTADB
            raise unopened(path, error) from None
        text = f"{path}: this is not {what} ({error}). Choose another {instead}."
        raise UsageError(text) from None
