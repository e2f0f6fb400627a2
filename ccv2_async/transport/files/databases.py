"""Journals on disk: the address of a SQLite file, the types of its values, and its lock."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAMAGED = (
    "SELECT 1 AS number FROM pragma_integrity_check WHERE integrity_check <> 'ok' "
    "AND integrity_check NOT LIKE '% value in %' LIMIT 1"
)
"""Finds rows that an index of their table does not hold in the same form: one was damaged.

Values of another type are left to `misfit`.
"""

_TYPES: Mapping[str, type] = {"TEXT": str, "INTEGER": int, "REAL": float}


def address_of(path: str) -> str:
    """Return the file's URI for SQLite; a file may be named ":memory:". It must exist."""
    return f"file://{quote(os.fsencode(os.path.abspath(path)))}?mode=rw"  # noqa: PTH100  # no I/O


def address_to_read(path: str) -> str:
    """Return the file's URI to read it, even where SQLite cannot create the files next to it."""
    import sqlite3  # noqa: PLC0415  # only with a journal

    address = address_of(path)
    has_more = os.path.exists(f"{os.path.realpath(path)}-wal")  # noqa: PTH110  # a plain string
    with suppress(sqlite3.Error), closing(sqlite3.connect(address, uri=True)) as database:
        database.execute("SELECT 1 FROM sqlite_master")
        return address
    return address if has_more else f"{address}&immutable=1"


def columns_of(schema: str) -> dict[str, Any]:
    """Return the Python types of the values of each column, by the column's name."""
    found = re.findall(r"(\w+) (TEXT|INTEGER|REAL)( NOT NULL)?", schema)
    return {name: _TYPES[kind] if full else _TYPES[kind] | None for name, kind, full in found}


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
            return f"{name} is a {type(value).__name__}"
        if isinstance(value, int) and abs(value) > 2**62:  # then counting on might not fit
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
        # Open the journal itself too, to find out here whether it can be opened.
        os.close(os.open(path, flags, 0o600))
        # Next to the target of a link: a journal has one lock, no matter which link leads to it.
        lock = os.open(f"{os.path.realpath(path)}.lock", flags, 0o600)
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
    return UsageError(f"{path}: the journal cannot be opened ({why}).")


def unusable(path: str, error: Exception, what: str, instead: str) -> UsageError:
    """Return the error for a file with which SQLite failed.

    It suggests another file only if this one is certainly not a journal. After any other error,
    such as a full disk, another journal would lack what this one records.
    """
    if getattr(error, "sqlite_errorcode", 1) not in (1, 26):  # SQLITE_ERROR and SQLITE_NOTADB
        return unopened(path, error)
    return UsageError(f"{path}: this is not {what} ({error}). Choose another {instead}.")


def of_another_version(path: str, found: object, version: str) -> UsageError:
    """Return the error for a journal that another version of the package wrote."""
    return UsageError(
        f"{path}: this journal has version {found}, but this package reads version {version}. "
        "Use the package that wrote it, because a new journal does not know what was done; nothing "
        "was changed."
    )
