"""Read files on disk, and refuse those that are not regular or that change while being read.

`CheckedFile` makes its checks in `read`, in the thread that reads. It never returns more bytes than
the file had when it was opened, and returns the last one only if the file did not change. It can be
closed at any time from any thread. A read that is running closes it when it returns, so no
descriptor leaks or is closed during a read.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import aiofiles.threadpool
import attrs

from ccv2_async.errors import FileChanged, FileRefused
from ccv2_async.transport.files.threads import WHOLE_FILE_LIMIT

if TYPE_CHECKING:
    from ccv2_async.transport.files.threads import FileThreads

# The first and the last block of a large file, which threads read. They are small, so that sending
# begins soon, and because each thread keeps some of the memory that it has used.
_END_BLOCK = 64 * 1024
# Makes a read fail if it would wait for the disk; 0 where the system has no such flag.
_NO_WAIT: int = getattr(os, "RWF_NOWAIT", 0)

# How long a cancelled upload waits until its file is closed, in case the disk hangs.
_CLOSING_SECONDS = 1.0

_KINDS = {
    stat.S_IFDIR: "it is a directory",
    stat.S_IFIFO: "it is a named pipe, not a file",
    stat.S_IFCHR: "it is a device, not a file",
    stat.S_IFBLK: "it is a device, not a file",
    stat.S_IFSOCK: "it is a socket, not a file",
}

_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.EACCES: "it cannot be read (permission denied)",
    errno.EPERM: "it cannot be read (permission denied)",
    errno.ELOOP: "its symbolic links form a loop",
    errno.ENAMETOOLONG: "its name is too long",
}

# Without O_NONBLOCK, opening a pipe that took the file's place would wait for a writer. Windows
# has O_BINARY instead.
_OPEN_FLAGS = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"):
    _OPEN_FLAGS |= getattr(os, _flag, 0)


@attrs.frozen
class FileState:
    """The length of a file in bytes, and when it was last written, to detect changes.

    The time starts over every 146 years, so that it is never too large.
    """

    length: int
    written_ns: int


@attrs.frozen
class Opened:
    """An opened file and its first block.

    Attributes:
        state: The state of the file when it was opened.
        first: The first block; all of the file if `file` is None.
        file: The open file, if there is more to read.
    """

    state: FileState
    first: bytes = attrs.field(repr=False)
    file: CheckedFile | None = None

    def close(self) -> None:
        """Close the file if it is still open."""
        if self.file is not None:
            self.file.close()


class CheckedFile(io.FileIO):
    """A regular file that is checked for changes while it is read.

    Args:
        descriptor: The open file; closed with this object.
        state: The state of the file when it was opened.
        label: The name for messages.

    Attributes:
        remaining: The number of bytes not yet read.
    """

    def __init__(self, descriptor: int, state: FileState, label: str) -> None:
        self._reading = threading.Lock()
        self._unwanted = False
        self._state = state
        self._label = label
        self.remaining: int = state.length
        super().__init__(descriptor, "rb")

    def read(self, size: int | None = -1, /) -> bytes:
        """Read exactly `size` bytes, or all that remain.

        It closes the file after the last byte, and on any error.

        Raises:
            FileChanged: The file grew, shrank, was written to, or can no longer be read.
        """
        try:
            with self._reading:
                wanted = self.remaining
                if size is not None and size >= 0:
                    wanted = min(size, wanted)
                try:
                    block = _take(self.fileno(), wanted, self.remaining, self._state, self._label)
                except BaseException:
                    self._unwanted = True
                    raise
                self.remaining -= wanted
                if self.remaining == 0:
                    self._unwanted = True
                return block
        finally:
            if self._unwanted:
                self.close()

    def read_at(self, start: int, size: int) -> bytes:
        """Read `size` bytes that begin at byte `start`. The errors are those of `read`."""
        self.seek(start)
        self.remaining = self._state.length - start
        return self.read(size)

    def read_cached(self, size: int) -> bytes:
        """Return up to `size` bytes that the system holds in memory; if b"", call `read` instead.

        It never waits for the disk. The last block is left to `read`, which checks the file.
        """
        size = min(size, self.remaining - _END_BLOCK)
        if size <= 0 or not _NO_WAIT:
            return b""
        block = io.BytesIO(bytes(size))  # to read into new `bytes` without a copy
        try:
            with block.getbuffer() as view:
                got = os.preadv(self.fileno(), [view], -1, _NO_WAIT)
        except OSError:  # it would wait, or the file system cannot tell; `read` finds other errors
            return b""
        self.remaining -= got
        block.truncate(got)
        return block.getvalue()

    def close(self) -> None:
        """Close the file, or have a running read close it when it returns. Never waits."""
        self._unwanted = True
        if self._reading.acquire(blocking=False):
            try:
                super().close()
            finally:
                self._reading.release()


class OpenFile:
    """A file opened for one attempt.

    Data that the system holds in memory is read immediately. Starting with the first block that the
    disk has to deliver, threads read one block ahead, through aiofiles.

    Args:
        opened: The file with its first block. It counts in `threads.streaming` if there is more to
            read.
        threads: The threads that read.
    """

    def __init__(self, opened: Opened, threads: FileThreads) -> None:
        self.length: int = opened.state.length
        self._first = opened.first
        self._file = opened.file
        self._threads = threads
        self._ahead: asyncio.Task[bytes] | None = None
        if opened.file is not None:
            self._reader = aiofiles.threadpool.wrap(opened.file, executor=threads.executor)

    async def read(self) -> bytes:
        """Return the next block.

        Raises:
            FileChanged: The file changed since it was opened.
        """
        block, self._first = self._first, b""
        if block or self._file is None:
            return block
        if self._ahead is None and (block := self._file.read_cached(self._threads.block_size)):
            await asyncio.sleep(0)  # the network may take all of it without a pause
            return block
        block = await (self._ahead or self._begin_read())
        self._ahead = None
        if self._file is not None and self._file.remaining:
            self._begin_read()
        return block

    def _begin_read(self) -> asyncio.Task[bytes]:
        self._ahead = asyncio.create_task(self._reader.read(self._threads.block_size))
        # If nobody awaits the read, because the upload has ended, its failure is not reported.
        self._ahead.add_done_callback(lambda ahead: ahead.cancelled() or ahead.exception())
        return self._ahead

    async def aclose(self) -> None:
        """Close the file at any time. Waits at most a second for a disk that hangs."""
        file, self._file, self._first = self._file, None, b""
        if file is None:
            return
        self._threads.streaming -= 1
        pending: set[asyncio.Future[object]] = set()
        if self._ahead is not None and not self._ahead.done():
            self._ahead.cancel()
            pending.add(self._ahead)  # type: ignore[arg-type]  # a Task of bytes is awaited, no more
        if not file.closed:
            pending.add(self._threads.dispose(file.close))
        if pending:
            await asyncio.wait(pending, timeout=_CLOSING_SECONDS)


def last_part(path: str) -> str:
    """Return the file's own name, without its directory."""
    last = os.path.basename(path)  # noqa: PTH119  # making a Path takes ten times as long
    return last if last not in {"", "."} else Path(path).name


def measure(path: str, label: str, roots: tuple[str, ...] = ()) -> int:
    """Return the length in bytes of a file that can be opened; `roots` as in `FileThreads`.

    Raises:
        FileRefused: It is not a readable regular file. Nothing was sent.
    """
    return state_of(path, label, roots).length


def state_of(path: str, label: str, roots: tuple[str, ...] = ()) -> FileState:
    """Return the state of a file that can be opened; `roots` as in `FileThreads`.

    Raises:
        FileRefused: It is not a readable regular file. Nothing was sent.
    """
    descriptor, state = _open_regular(path, label, roots)
    os.close(descriptor)
    return state


def open_and_read(path: str, label: str, threads: FileThreads) -> Opened:
    """Open a file and read its first block; a small file is read to its end and closed.

    Args:
        path: The file.
        label: The name for messages.
        threads: The threads, whose load decides the size of the block. The file must be in their
            roots.

    Raises:
        FileRefused: It is not a readable regular file. Nothing was sent.
        FileChanged: It changed while being opened. Nothing was sent.
    """
    descriptor, state = _open_regular(path, label, threads.roots)
    if state.length > WHOLE_FILE_LIMIT:
        file = CheckedFile(descriptor, state, label)
        return Opened(state=state, first=file.read(_END_BLOCK), file=file)
    # Without a file object, which would double the cost of a small file.
    try:
        return Opened(
            state=state, first=_take(descriptor, state.length, state.length, state, label)
        )
    finally:
        os.close(descriptor)


def _take(descriptor: int, wanted: int, remaining: int, state: FileState, label: str) -> bytes:
    """Read the next `wanted` of the `remaining` bytes, but the last ones only if nothing changed.

    Each system call releases the GIL and waits to get it back. So the last block is read with one
    extra byte, to find the end of the file.
    """
    try:
        size = wanted + (wanted == remaining)
        block = os.read(descriptor, size)
        while len(block) < wanted:  # a short read means the end, except on unusual file systems
            if not (more := os.read(descriptor, size - len(block))):
                left = state.length - remaining + len(block)
                raise FileChanged(label, f"shrank from {state.length} bytes to {left}")
            block += more
        if size > wanted:
            now = state_in(os.fstat(descriptor))
            if len(block) > wanted or now.length > state.length:
                raise FileChanged(label, f"grew past byte {state.length}")
            if now != state:
                raise FileChanged(label, "was written to")
    except OSError as error:
        raise FileChanged(label, f"could no longer be read ({_strerror(error)})") from error
    return block


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file for reading. It never waits for a pipe or reads a device in its place.

    Raises:
        OSError: It cannot be opened, or is not a regular file.
    """
    try:
        descriptor, _ = _open_regular(os.fspath(path), "", ())
    except FileRefused as refused:
        raise (refused.__cause__ or OSError(errno.EINVAL, refused.reason)) from None
    return os.fdopen(descriptor, "rb")


def check_file(path: str, access: int) -> None:
    """Check that a file can be opened, without opening it: for databases.

    A process that closes any descriptor of a file loses all its POSIX locks of it, including those
    of SQLite. Another process could then delete the write-ahead log that this one still writes.

    Args:
        path: The file.
        access: A combination of `os.R_OK` and `os.W_OK`.

    Raises:
        OSError: It does not exist, is not a regular file, or may not be accessed.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116  # a plain string
    if not (stat.S_ISREG(mode) and os.access(path, access)):
        raise OSError(errno.EACCES, _KINDS.get(stat.S_IFMT(mode), "permission denied"))


def _open_regular(path: str, label: str, roots: tuple[str, ...]) -> tuple[int, FileState]:
    try:
        # Checked before opening too: a file elsewhere must look like one that does not exist.
        if roots:
            _require_inside(roots, os.path.realpath(path), label)
        # Checked before opening too: opening a device or a pipe can have side effects.
        _require_regular(os.stat(path).st_mode, label)  # noqa: PTH116  # of 5 us, Path takes 2
        descriptor = os.open(path, _OPEN_FLAGS)
    except FileRefused:  # itself a ValueError
        raise
    except ValueError as error:
        raise FileRefused(label, "its name has a character that is not allowed") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"it cannot be opened ({_strerror(error)})")
        if error.errno == errno.ENOENT and os.path.islink(path):  # noqa: PTH114  # a plain string
            reason += ": it is a link to a file that does not exist"
        raise FileRefused(label, reason) from error
    try:
        found = os.fstat(descriptor)
        _require_regular(found.st_mode, label)
        if roots:  # a symbolic link may have changed in the meantime
            _require_inside(roots, _path_of(descriptor, path, found), label)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, state_in(found)


def _require_inside(roots: tuple[str, ...], real_path: str, label: str) -> None:
    if not any(real_path.startswith(os.path.join(root, "")) for root in roots):  # noqa: PTH118
        raise FileRefused(label, "it is outside the directories that may be read (roots)")


def _path_of(descriptor: int, path: str, found: os.stat_result) -> str:
    """Return the real path of an open file, or "" if it is not known."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  # not a path of the user's
    except OSError:  # not Linux
        real = os.path.realpath(path)
    try:
        # The path leads to this file, without a symbolic link.
        return real if os.path.samestat(os.lstat(real), found) else ""
    except OSError:
        return ""


def _require_regular(mode: int, label: str) -> None:
    if not stat.S_ISREG(mode):
        raise FileRefused(label, _KINDS.get(stat.S_IFMT(mode), "it is not a regular file"))


def state_in(found: os.stat_result) -> FileState:
    """Return the state of a file from the system's record of it."""
    # Journals take no time after 2116, nor one from 1601, the first year of Windows.
    return FileState(length=found.st_size, written_ns=found.st_mtime_ns % 2**62)


def _strerror(error: OSError) -> str:
    return error.strerror or type(error).__name__
