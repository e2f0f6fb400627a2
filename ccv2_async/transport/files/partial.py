"""A file that is written next to its destination, and replaces it when it is complete."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ccv2_async import errors
from ccv2_async.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
# Locks may not reach other machines that share a directory, so each removes only its own files.
_PREFIX, _SUFFIX = f".ccv2-{_MACHINE}-", ".part"


class PartialFile:
    """A file that replaces another one when it is complete. Its methods run in threads.

    `keep` or `discard` closes it.

    Args:
        path: The destination. A file at the path stays until then, and its permissions are kept.

    Attributes:
        directory: Where it is written.
        is_unwanted: Whether `keep` leaves the destination alone, because the caller has given up.

    Raises:
        UsageError: The path cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._shown = one_line(path) or "''"
        self._lock = threading.Lock()
        self.is_unwanted: bool = False
        self._file: io.FileIO | None = None
        self._digest = hashlib.sha256()
        with self._explained():
            # A link stays a link: the file that it points to is replaced.
            self._path = Path(os.path.realpath(path))
            self.directory: Path = self._path.parent
            mode = self._mode_of_existing()
            self._temporary, self._file = _create_beside(self._path)
            try:
                if mode is not None:
                    self._temporary.chmod(mode)
            except BaseException:
                self.discard()
                raise

    def rewind(self) -> None:
        """Start over."""
        with self._lock, self._explained():
            if self._file is not None:
                self._file.seek(0)
                self._file.truncate()
                self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add these bytes."""
        with self._lock, self._explained():
            self._digest.update(data)
            rest = memoryview(data)
            while self._file is not None and rest:
                rest = rest[self._file.write(rest) :]

    def keep(self) -> str:
        """Put the file in its place, durably, and return the SHA-256 of its bytes."""
        with self._lock, self._explained():
            if self._file is not None:
                os.fsync(self._file.fileno())  # this may take long
            if self._file is not None and not self.is_unwanted:
                if sys.platform == "win32":
                    self._file.close()  # or it could not be moved
                self._temporary.replace(self._path)
                self._file.close()
                self._file = None
                sync_directory(self.directory)
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Remove the file, unless it is already in its place."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
                with contextlib.suppress(OSError):
                    self._temporary.unlink()

    def _mode_of_existing(self) -> int | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise errors.InvalidField("to", self._shown, "it is not a regular file")
        return stat.S_IMODE(found.st_mode)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise errors.UsageError(
                f"{self._shown}: the file cannot be written there ({error.strerror or error}). "
                "An existing file at the path is unchanged. Check the path and the free disk space."
            ) from error


def remove_leftovers(directory: Path) -> None:
    """Remove the incomplete files that ended processes of this machine left in a directory."""
    with contextlib.suppress(OSError):  # it cannot be listed
        for leftover in directory.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(OSError):  # it is being written
                _remove_unless_open(leftover)


def _create_beside(path: Path) -> tuple[Path, io.FileIO]:
    """Create a file whose name only this process uses while it is open."""
    while True:
        # Not made from the name of `path`, which may have the maximum length.
        temporary = path.with_name(f"{_PREFIX}{secrets.token_hex(6)}{_SUFFIX}")
        file = io.FileIO(os.fspath(temporary), "xb")
        with contextlib.suppress(OSError):  # a file system without locks; then nobody removes it
            _lock(file)
        if temporary.exists():
            return temporary, file
        file.close()  # another process took it for a leftover before it was locked


if sys.platform == "win32":

    def _lock(file: io.FileIO) -> None:
        """Do nothing: a file that is open cannot be removed."""

    def _remove_unless_open(path: Path) -> None:
        path.unlink()

else:
    import fcntl

    def _lock(file: io.FileIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _remove_unless_open(path: Path) -> None:
        # Neither wait for a writer of a pipe nor open what a link points to.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(opened)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable, where the file system can."""
    with contextlib.suppress(OSError):
        opened = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
