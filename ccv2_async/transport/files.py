"""Files on disk as an upload needs them: refused unless regular, whole, and at rest.

`CheckedFile` does its checking inside `read`, in the same thread hop as the reading itself: it
never gives a byte more than the file had when it was opened, and gives the last one only when the
file is still the same. It can be closed at any moment from any thread: a read that is under way
closes it when it returns, so a descriptor is neither leaked nor closed under a read's feet.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
import threading
from typing import TYPE_CHECKING

import aiofiles.threadpool
import attrs

from ccv2_async.errors import FileChanged, FileRefused
from ccv2_async.transport.threads import WHOLE_FILE_LIMIT

if TYPE_CHECKING:
    from ccv2_async.transport.threads import FileThreads

__all__ = ["CheckedFile", "FileState", "OpenFile", "measure", "open_and_read"]

# How long a cancelled upload waits for its file to be closed; a disk that hangs is left behind.
_CLOSING_SECONDS = 1.0

_KINDS = (
    (stat.S_ISREG, None),
    (stat.S_ISDIR, "it is a directory"),
    (stat.S_ISFIFO, "it is a named pipe, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
)

_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "it may not be read (permission denied)",
    errno.EPERM: "it may not be read (permission denied)",
    errno.ELOOP: "its symbolic links go round in a circle",
    errno.ENAMETOOLONG: "its name is too long",
}

# Without O_NONBLOCK, opening a pipe that took the file's place would wait for a writer.
_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


@attrs.frozen
class FileState:
    """What tells whether a file was touched: its length in bytes and when it was last written."""

    length: int
    written_ns: int


class CheckedFile(io.FileIO):
    """A regular file, open for reading, that vouches for what it gives.

    Args:
        path: The file.
        label: What messages call it.

    Attributes:
        state: What the file was when it was opened.
        remaining: Bytes not yet read.

    Raises:
        FileRefused: It is no readable regular file. Nothing was sent.
    """

    def __init__(self, path: str, label: str) -> None:
        self._reading = threading.Lock()
        self._unwanted = False
        self._label = label
        descriptor, self.state = _open_regular(path, label)
        super().__init__(descriptor, "rb")
        self.remaining = self.state.length

    def read(self, size: int | None = -1, /) -> bytes:
        """Exactly `size` bytes, or all that remain if these are fewer.

        Closes the file with the last byte, and on any error.

        Raises:
            FileChanged: It grew, shrank, was written to or can no longer be read.
        """
        try:
            with self._reading:
                try:
                    wanted = self.remaining
                    if size is not None and size >= 0:
                        wanted = min(size, wanted)
                    block = self._fill(wanted)
                    self.remaining -= wanted
                    if self.remaining == 0:
                        self._expect_end()
                        self._unwanted = True
                except OSError as error:
                    self._unwanted = True
                    what = f"could no longer be read ({_strerror(error)})"
                    raise FileChanged(self._label, what) from error
                except BaseException:
                    self._unwanted = True
                    raise
                return block
        finally:
            if self._unwanted:
                self.close()

    def close(self) -> None:
        """Close the file, at once or as soon as the read under way returns; never waits for it."""
        self._unwanted = True
        if self._reading.acquire(blocking=False):
            try:
                super().close()
            finally:
                self._reading.release()

    def _fill(self, wanted: int) -> bytes:
        # With the last block one byte more is asked for, to see the end in the same system call:
        # each of them gives the interpreter's lock away, and has to wait to get it back.
        size = wanted + (wanted == self.remaining)
        block = super().read(size) or b""
        while len(block) < wanted:  # only on unusual file systems is a short read not the end
            more = super().read(size - len(block))
            if not more:
                left = self.state.length - self.remaining + len(block)
                raise FileChanged(self._label, f"shrank from {self.state.length} to {left} bytes")
            block += more
        if len(block) > wanted:
            raise self._grew()
        return block

    def _expect_end(self) -> None:
        now = _state(os.fstat(self.fileno()))
        if now.length > self.state.length:
            raise self._grew()
        if now != self.state:
            raise FileChanged(self._label, "was written to")

    def _grew(self) -> FileChanged:
        return FileChanged(self._label, f"grew beyond its {self.state.length} bytes")


class OpenFile:
    """A file opened for one attempt, read through aiofiles with one block of read-ahead.

    Args:
        file: The file, its first block already read.
        first: That block.
        threads: Where the reading is done.
    """

    def __init__(self, file: CheckedFile, first: bytes, threads: FileThreads) -> None:
        self.length = file.state.length
        self._file = file
        self._first: bytes | None = first
        self._threads = threads
        self._ahead: asyncio.Task[bytes] | None = None
        self._streaming = file.remaining > 0
        if self._streaming:
            threads.streaming += 1
            self._reader = aiofiles.threadpool.wrap(file, executor=threads.executor)

    async def read(self) -> bytes:
        """The next block, while the one after it is fetched.

        Raises:
            FileChanged: The file is no longer what it was when it was opened.
        """
        if self._first is not None:
            block, self._first = self._first, None
        elif self._ahead is not None:
            block = await self._ahead
            self._ahead = None
        else:
            block = b""
        if self._streaming and self._file.remaining:
            self._ahead = asyncio.create_task(self._reader.read(self._threads.block_size))
            self._ahead.add_done_callback(_mark_seen)
        return block

    async def aclose(self) -> None:
        """Close the file, whatever is going on; a disk that hangs is waited for a second."""
        if self._streaming:
            self._streaming = False
            self._threads.streaming -= 1
        pending: set[asyncio.Future[object]] = set()
        if self._ahead is not None and not self._ahead.done():
            self._ahead.cancel()
            pending.add(self._ahead)  # type: ignore[arg-type]  # a Task of bytes is awaited, no more
        self._first = None
        if not self._file.closed:
            closing = self._threads.dispose(self._file.close)
            if closing is not None:
                pending.add(closing)
        if pending:
            await asyncio.wait(pending, timeout=_CLOSING_SECONDS)


def measure(path: str, label: str) -> int:
    """The length in bytes of a file that can be opened for reading.

    Raises:
        FileRefused: It is no readable regular file. Nothing was sent.
    """
    with CheckedFile(path, label) as file:
        return file.state.length


def open_and_read(path: str, label: str, block_size: int) -> tuple[CheckedFile, bytes]:
    """An open file and its first block; a small file is read whole, and closed again.

    Raises:
        FileRefused: It is no readable regular file. Nothing was sent.
        FileChanged: It changed in this very moment. Nothing was sent.
    """
    file = CheckedFile(path, label)
    whole = file.state.length <= WHOLE_FILE_LIMIT
    return file, file.read(-1 if whole else block_size)


def _open_regular(path: str, label: str) -> tuple[int, FileState]:
    try:
        # Asked before opening too: to open a device or a pipe can already have an effect.
        _require_regular(os.stat(path).st_mode, label)  # noqa: PTH116  # of 5 us, Path takes 2
        descriptor = os.open(path, _OPEN_FLAGS)
    except FileRefused:  # a ValueError itself
        raise
    except ValueError as error:
        raise FileRefused(label, "its name holds a NUL character") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"it cannot be opened ({_strerror(error)})")
        raise FileRefused(label, reason) from error
    try:
        found = os.fstat(descriptor)
        _require_regular(found.st_mode, label)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, _state(found)


def _require_regular(mode: int, label: str) -> None:
    for is_kind, reason in _KINDS:
        if is_kind(mode):
            if reason is None:
                return
            raise FileRefused(label, reason)
    raise FileRefused(label, "it is not a regular file")


def _state(found: os.stat_result) -> FileState:
    return FileState(length=found.st_size, written_ns=found.st_mtime_ns)


def _strerror(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _mark_seen(task: asyncio.Task[bytes]) -> None:
    """Keep asyncio from reporting a read-ahead that failed after its upload had been given up."""
    if not task.cancelled():
        task.exception()
