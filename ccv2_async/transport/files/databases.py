"""Journals on disk: the address of a SQLite file, and a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
from typing import Literal
from urllib.parse import quote

from ccv2_async.errors import UsageError


def address_of(path: str, mode: Literal["ro", "rw"]) -> str:
    """Return the file's URI for SQLite; a file may be named ":memory:". It must exist."""
    return f"file://{quote(os.fsencode(os.path.abspath(path)))}?mode={mode}"  # noqa: PTH100  # no I/O


def take_lock(path: str, purpose: str) -> int:
    """Take a lock that the system releases when the process ends for any reason.

    Args:
        path: The journal. It is created if it is missing.
        purpose: What another process that holds the lock is doing, for messages.

    Raises:
        UsageError: The file cannot be opened, or another process holds the lock.
    """
    try:
        # Open the journal itself too, to find out here whether it can be opened.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Next to the target of a link: a journal has one lock, no matter which link leads to it.
        lock = os.open(
            f"{os.path.realpath(path)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
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
    why = error.strerror if isinstance(error, OSError) else error
    return UsageError(f"{path}: the journal cannot be opened ({why}).")
