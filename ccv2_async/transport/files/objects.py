"""Upload Python file objects, which are read in the client's threads."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard
from weakref import WeakValueDictionary

import anyio

from ccv2_async.errors import FileChanged, FileRefused, InvalidField, SourceConsumed
from ccv2_async.text import one_line
from ccv2_async.transport.files.reading import last_part
from ccv2_async.transport.files.threads import WHOLE_FILE_LIMIT

if TYPE_CHECKING:
    from ccv2_async.transport.files.threads import FileThreads

# Two uploads may share a file object, so seeking and reading must be one step. A lock lives as long
# as a source that holds it and the file, so an ID always belongs to the same file.
_locks: WeakValueDictionary[int, Any] = WeakValueDictionary()


class BinaryFile(Protocol):
    """A file object opened for reading bytes, such as `open(path, "rb")` or `io.BytesIO`."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" at the end."""


class FileObjectSource:
    """A file object, sent from its current position to its end. It is never closed.

    Args:
        file: The file object. If it can seek, each attempt begins at its current position.
        length: The number of bytes from there to the end. Required only if the file object cannot
            seek.
        name: The name for messages; the file object's own name by default.

    Attributes:
        seekable: Whether it can go back to its first position.

    Raises:
        InvalidField: The file object cannot be read as bytes, or its length is missing.
    """

    def __init__(
        self, file: BinaryFile, *, length: int | None = None, name: str | None = None
    ) -> None:
        _require_bytes(file)
        self._file: Any = file
        self._start = _position_of(file)
        self.seekable: bool = self._start >= 0
        self._lock = _locks.setdefault(id(file), threading.Lock())
        self._begun = False
        self._first_seen: tuple[int, int] | None = None
        if length is not None and (
            isinstance(length, bool) or not isinstance(length, int) or length < 0
        ):
            raise InvalidField("length", length, "it must be a number of bytes, or None")
        if length is None and not self.seekable:
            length = getattr(file, "size", None)
            if isinstance(length, bool) or not isinstance(length, int):
                raise InvalidField(
                    "length", None, "a file object that cannot seek needs its exact length in bytes"
                )
        self._length = length
        path = path_of(file)
        self.filename: str | None = last_part(path) if path else None
        self.name: str = one_line(name or path or "file object")

    @property
    def repeatable(self) -> bool:
        """Whether it can be opened, or opened again."""
        return self.seekable or not self._begun

    @property
    def is_read_once(self) -> bool:
        """Whether it can be read only once."""
        return not self.seekable

    async def prepare(self, threads: FileThreads) -> int:
        """Return the number of bytes from its position to its end.

        Raises:
            FileRefused: It cannot be read, or nothing is left to read. Nothing was sent.
            InvalidField: `length` is wrong. Nothing was sent.
        """
        return (await threads.run(self._measure))[0]

    async def open(self, threads: FileThreads) -> OpenFileObject:
        """Open it for one attempt at its first position.

        Raises:
            SourceConsumed: It cannot seek, and an earlier attempt read from it.
            FileChanged: It changed since an earlier attempt. Safe to try again: yes.
        """
        if self._begun and not self.seekable:
            raise SourceConsumed.from_parts(
                self.name,
                "an earlier attempt read from the file object, and it cannot seek back",
                "Pass a path, bytes, or a file object that can seek.",
            )
        try:
            found = await threads.run(self._measure)
        except FileRefused as refused:
            if self._first_seen is None:
                raise
            raise FileChanged(self.name, f"could not be opened ({refused.reason})") from refused
        if self._first_seen is None:
            self._first_seen = found
        elif found != self._first_seen:
            raise FileChanged(self.name, "was written to")
        return OpenFileObject(self, found[0], threads)

    def take(self, offset: int, size: int, *, is_last: bool) -> bytes:
        """Read up to `size` bytes at `offset` from the first position.

        Args:
            offset: The number of bytes read before.
            size: The maximum number of bytes to read.
            is_last: Whether the file object must end after these bytes.

        Raises:
            FileChanged: It changed, or it can no longer be read.
        """
        self._begun = True
        with self._lock:
            try:
                if self.seekable:
                    self._file.seek(self._start + offset)
                block = self._read(size)
                ended = is_last and len(block) == size
                more = self._read(1) if ended else b""
                written = self._written() if self.seekable else 0
            except Exception as error:
                raise FileChanged(
                    self.name, f"could no longer be read ({_reason(error)})"
                ) from error
        if more:
            raise FileChanged(self.name, f"grew past byte {offset + size}")
        if ended and self._first_seen is not None and written != self._first_seen[1]:
            raise FileChanged(self.name, "was written to")
        if size and not block:
            raise FileChanged(self.name, f"ended at byte {offset}")
        return block

    def rewind(self) -> None:
        """Go back to the first position, unless the file object is closed."""
        with self._lock:
            try:
                self._file.seek(self._start)
            except Exception:  # noqa: BLE001  # the upload has failed; its error says why
                return

    def _measure(self) -> tuple[int, int]:
        """Return its length, and when its file was last written (0 without a descriptor)."""
        if not self.seekable:
            return self._length or 0, 0
        with self._lock:
            try:
                end = self._file.seek(0, os.SEEK_END)
                if not isinstance(end, int):  # Django's files and some others return None
                    end = self._file.tell()
                self._file.seek(self._start)
                written = self._written()
            except Exception as error:
                raise FileRefused(self.name, f"it cannot be read ({_reason(error)})") from error
        if (length := end - self._start) < 0 or (length == 0 and self._start):
            raise FileRefused(
                self.name,
                f"nothing is left to read after its position, {self._start}; call seek(0) first",
            )
        if self._length is not None and length != self._length:
            raise InvalidField(
                "length", self._length, f"the file's length from its current position is {length}"
            )
        return length, written

    def _read(self, size: int) -> bytes:
        block = self._file.read(size)
        if isinstance(block, bytes | bytearray | memoryview):
            return bytes(block)
        raise TypeError(f"read() returned {type(block).__name__} instead of bytes")

    def _written(self) -> int:
        try:
            return os.fstat(self._file.fileno()).st_mtime_ns
        except Exception:  # noqa: BLE001  # it has no descriptor, and says so in its own way
            return 0


class OpenFileObject:
    """A file object opened for one attempt.

    Args:
        source: The file object.
        length: The number of bytes left in it.
        threads: The threads that read it.
    """

    def __init__(self, source: FileObjectSource, length: int, threads: FileThreads) -> None:
        self.length = length
        self._source = source
        self._threads = threads
        self._offset = 0
        self._streams = length > WHOLE_FILE_LIMIT
        self._is_open = True
        threads.streaming += self._streams

    async def read(self) -> bytes:
        """Return the next block.

        Raises:
            FileChanged: The file object changed, or it can no longer be read.
        """
        left = self.length - self._offset
        size = min(left, max(self._threads.block_size, 1))
        is_last = size == left
        block = await self._threads.run(
            lambda: self._source.take(self._offset, size, is_last=is_last)
        )
        self._offset += len(block)
        return block

    async def aclose(self) -> None:
        """Release the file object. If it was not read to its end, it goes back to its start."""
        if not self._is_open:
            return
        self._is_open = False
        self._threads.streaming -= self._streams
        if self._offset < self.length and self._source.seekable:
            with anyio.CancelScope(shield=True):
                # `asyncio.wait` does not cancel it if the caller is cancelled once more.
                await asyncio.wait([self._threads.dispose(self._source.rewind)], timeout=1)


def is_file_object(thing: object) -> TypeGuard[BinaryFile]:
    """Return whether an object has a blocking `read`; a socket counts as one too."""
    if isinstance(thing, type):
        return False
    return isinstance(thing, io.IOBase | socket.socket) or callable(getattr(thing, "read", None))


def _require_bytes(file: object) -> None:
    if isinstance(file, socket.socket):
        raise InvalidField("file", file, "it is a socket; read the bytes from it first")
    if getattr(file, "closed", False) is True:
        raise InvalidField("file", file, "it is closed; pass an open file")
    # A text file has an encoding, even where another object wraps it.
    if isinstance(file, io.TextIOBase) or hasattr(file, "encoding"):
        raise InvalidField("file", file, 'it must be opened in binary mode: open(path, "rb")')
    readable = getattr(file, "readable", None)
    if not callable(getattr(file, "read", None)) or (callable(readable) and not readable()):
        raise InvalidField("file", file, 'it must be opened for reading: open(path, "rb")')


def _position_of(file: Any) -> int:
    """Return the current position, or -1 if the file object cannot seek."""
    if not callable(getattr(file, "seek", None)) or not callable(getattr(file, "tell", None)):
        return -1
    seekable = getattr(file, "seekable", None)
    if callable(seekable) and not seekable():
        return -1
    try:
        position = file.tell()
    except Exception:  # noqa: BLE001  # a pipe without `seekable`, or a wrapper around one
        return -1
    return position if isinstance(position, int) else -1


def path_of(file: object) -> str | None:
    """Return the name of a file object if it is a path; some names are descriptor numbers."""
    name = getattr(file, "name", None)
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"
