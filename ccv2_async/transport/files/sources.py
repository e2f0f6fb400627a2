"""The sources of a file's bytes: a path, a file object, bytes, or an async stream.

Each source returns exactly as many bytes as it declared. Before it returns the last byte, it checks
that nothing follows. So a body never sends a form that is complete but wrong.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard, cast

from ccv2_async.errors import FileChanged, FileRefused, InvalidField, SourceConsumed, UsageError
from ccv2_async.tasks import ends_task
from ccv2_async.text import described, one_line
from ccv2_async.transport.files.objects import BinaryFile, FileObjectSource, is_file_object
from ccv2_async.transport.files.reading import OpenFile, last_part, measure, open_and_read, state_of
from ccv2_async.transport.files.threads import WHOLE_FILE_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccv2_async.transport.files.reading import FileState, Opened
    from ccv2_async.transport.files.threads import FileThreads

_log = logging.getLogger("ccv2_async")

_CLOSING_SECONDS = 5.0
"""Seconds for a stream of the user to close itself."""


class AsyncReader(Protocol):
    """An object with an async `read(n)` that returns b"" at the end."""

    def read(self, size: int, /) -> Awaitable[bytes]:
        """Return up to `size` bytes."""


StreamInput: TypeAlias = AsyncIterable[bytes] | AsyncReader
"""An async stream of bytes."""

StreamFactory: TypeAlias = Callable[[], StreamInput | Awaitable[StreamInput]]
"""A function that opens a new async stream each time."""

FileInput: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryFile
    | StreamInput
    | StreamFactory
)
"""The types that users can pass as a file."""


class OpenSource(Protocol):
    """A source that is open for one attempt."""

    @property
    def length(self) -> int:
        """Its exact length in bytes."""

    async def read(self) -> bytes:
        """Return the next block, b"" only for an empty source. Stop after the last byte."""

    async def aclose(self) -> None:
        """Close it, at any time."""


class Source(Protocol):
    """The source of a file's bytes."""

    @property
    def name(self) -> str:
        """The name for messages."""

    @property
    def filename(self) -> str | None:
        """The name of the file without its directory, or None."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be opened, or opened again."""

    async def prepare(self, threads: FileThreads) -> int:
        """Return its exact length in bytes, or raise if it cannot be sent."""

    async def open(self, threads: FileThreads) -> OpenSource:
        """Open it for one attempt."""


class BytesSource:
    """Bytes in memory.

    Args:
        content: The bytes.
        name: The name for messages.
    """

    filename: str | None = None
    repeatable = True

    def __init__(self, content: bytes, *, name: str | None = None) -> None:
        self.content = content
        self.name: str = one_line(name or f"bytes of length {len(content)}")

    async def prepare(self, threads: FileThreads) -> int:  # noqa: ARG002  # no file work here
        """Return the number of bytes."""
        return len(self.content)

    async def open(self, threads: FileThreads) -> OpenSource:
        """Open the bytes at their beginning."""
        return _OpenBytes(self.content, threads)


class PathSource:
    """A file on disk, opened again for each attempt.

    Args:
        path: The file; a symbolic link to a regular file is followed.
        name: The name for messages; the path by default.
    """

    repeatable = True

    def __init__(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        self.path: str = os.fspath(path)
        self.name: str = one_line(name or self.path) or "''"
        self.filename: str | None = last_part(self.path)
        self._first_seen: FileState | None = None

    async def prepare(self, threads: FileThreads) -> int:
        """Check that the file can be opened, and return its length.

        Raises:
            FileRefused: It is not a readable regular file. Nothing was sent.
        """
        return await threads.run(measure, self.path, self.name, threads.roots)

    async def hold(self, threads: FileThreads) -> FileState:
        """Return the state of the file. If it changes after this, `open` raises `FileChanged`.

        Raises:
            FileRefused: It is not a readable regular file. Nothing was sent.
        """
        self._first_seen = await threads.run(state_of, self.path, self.name, threads.roots)
        return self._first_seen

    async def open(self, threads: FileThreads) -> OpenSource:
        """Open the file and read its first block, or all of a small file.

        Raises:
            FileRefused: It is not a readable regular file. Nothing was sent.
            FileChanged: It changed since an earlier attempt or `hold`. Safe to try again: yes.
        """
        found: Opened | None = None
        # Counted from here, so that uploads that begin together read small first blocks.
        threads.streaming += 1
        try:
            found = await threads.run(open_and_read, self.path, self.name, threads, undo=_close)
        except FileRefused as refused:
            if self._first_seen is None:
                raise
            raise FileChanged(self.name, f"could not be opened ({refused.reason})") from refused
        finally:
            if found is None or found.file is None:
                threads.streaming -= 1
        opened = OpenFile(found, threads)
        if self._first_seen is None:
            self._first_seen = found.state
        elif found.state != self._first_seen:
            await opened.aclose()
            raise FileChanged(self.name, "was written to")
        return opened


class StreamSource:
    """An async stream of known length.

    Args:
        stream: An async iterable of bytes, an object with an async `read(n)`, or a function or
            coroutine function without arguments that returns one, which makes it repeatable.
        length: The exact number of bytes. The stream must end there; if it continues, the upload
            is stopped.
        name: The name for messages.
    """

    filename: str | None = None

    def __init__(
        self, stream: StreamInput | StreamFactory, *, length: int, name: str | None = None
    ) -> None:
        self.length = length
        self.name: str = one_line(name or "stream")
        self._factory: StreamFactory | None = None
        self._stream: StreamInput | None = None
        self._begun = False
        if _is_stream(stream):
            self._stream = stream
        else:
            self._factory = cast("StreamFactory", stream)

    @property
    def repeatable(self) -> bool:
        """Whether it can be opened: always with a function, otherwise before the first read."""
        return self._factory is not None or not self._begun

    @property
    def is_read_once(self) -> bool:
        """Whether it can be read only once."""
        return self._factory is None

    async def prepare(self, threads: FileThreads) -> int:  # noqa: ARG002  # no file work here
        """Return the declared length."""
        return self.length

    async def open(self, threads: FileThreads) -> OpenSource:
        """Open the stream at its beginning.

        Raises:
            SourceConsumed: An earlier attempt read it, and it cannot be read again.
        """
        if self._stream is not None:
            if self._begun:
                raise SourceConsumed.from_parts(
                    self.name,
                    "the stream was read by an earlier attempt and cannot be read again",
                    "Pass a path, bytes, or a function that opens a new stream.",
                )
            return _OpenStream(self, self._stream, threads, owned=False)
        stream: object = cast("Callable[[], object]", self._factory)()
        if inspect.isawaitable(stream):
            stream = await stream
        if not _is_stream(stream):
            raise InvalidField("file", stream, "the function must return an async stream")
        return _OpenStream(self, stream, threads, owned=True)

    def begin(self) -> None:
        """Note that the first byte is being read."""
        self._begun = True


def as_source(
    file: FileInput | Source, *, length: int | None = None, name: str | None = None
) -> Source:
    """Return the source for a file that a user passed.

    Args:
        file: A path, bytes, a file object opened for reading bytes, an async iterable of bytes,
            an object with an async `read(n)`, or a function without arguments that returns one of
            the last two. A source is returned unchanged.
        length: The exact number of bytes. It is required for streams and file objects that cannot
            seek, and not allowed for paths and bytes.
        name: The name for messages.

    Raises:
        InvalidField: The file has another type, or the length is missing, wrong, or not allowed.
            Nothing was sent.
    """
    if isinstance(file, BytesSource | PathSource | FileObjectSource | StreamSource):
        return file
    if isinstance(file, str | os.PathLike):
        _refuse_length(length)
        return PathSource(path_text(file), name=name)
    if isinstance(file, bytes | bytearray | memoryview):
        _refuse_length(length)
        return BytesSource(bytes(file), name=name)
    if not _is_stream(file):
        if is_file_object(file):
            return FileObjectSource(file, length=length, name=name)
        if isinstance(file, type) or not callable(file):
            raise InvalidField(
                "file", file, "it must be a path, bytes, a file object, or an async stream of bytes"
            )
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise InvalidField("length", length, "a stream needs its exact length in bytes")
    return StreamSource(cast("StreamInput", file), length=length, name=name)


class _OpenBytes:
    def __init__(self, content: bytes, threads: FileThreads) -> None:
        self.length = len(content)
        self._content = content
        self._threads = threads
        self._at = 0

    async def read(self) -> bytes:
        if self.length <= WHOLE_FILE_LIMIT:
            return self._content
        block = self._content[self._at : self._at + self._threads.block_size]
        self._at += len(block)
        return block

    async def aclose(self) -> None:
        self._content = b""


class _OpenStream:
    """An async stream that is read once, in the task that sends the body.

    It does not read ahead: the user's generator may use scopes that belong to one task.
    """

    def __init__(
        self, source: StreamSource, stream: StreamInput, threads: FileThreads, *, owned: bool
    ) -> None:
        self.length = source.length
        self._source = source
        self._remaining = source.length
        self._threads = threads
        self._stream = stream
        self._owned = owned
        self._reader = stream if _is_reader(stream) else None
        self._iterator: AsyncIterator[bytes] | None = None
        self._reading = self._unwanted = False

    async def read(self) -> bytes:
        self._reading = True
        try:
            return await self._read()
        finally:
            self._reading = False
            if self._unwanted:
                await self.aclose()

    async def _read(self) -> bytes:
        self._source.begin()
        chunk = b""
        if self._remaining:
            if not (chunk := await self._pull(min(self._remaining, self._threads.block_size))):
                had = self.length - self._remaining
                raise self._changed(f"ended after {had} of {self.length} bytes")
            self._remaining -= len(chunk)
        if self._remaining < 0 or (self._remaining == 0 and await self._pull(1)):
            raise self._changed(f"continued past its announced end at byte {self.length}")
        return chunk

    async def aclose(self) -> None:
        if self._reading:
            # Some engines read in another task, which may still run, and a running generator
            # cannot be closed. It is closed when the read ends.
            self._unwanted = True
            return
        closable: list[object] = [self._iterator]
        if self._owned:
            closable.append(self._stream)
        self._iterator = None
        task = asyncio.current_task()
        for thing in closable:
            if (close := getattr(thing, "aclose", None) or getattr(thing, "close", None)) is None:
                continue
            try:
                answer = close()
                if inspect.isawaitable(answer):
                    async with asyncio.timeout(_CLOSING_SECONDS):
                        await answer
            except BaseException as error:
                # The user's stream may raise anything, even a cancellation of its own.
                if ends_task(error, task):
                    raise
                _log.warning("%s: closing the stream failed", self._source.name, exc_info=True)

    async def _pull(self, size: int) -> bytes:
        """Return the next bytes, b"" at the end. An iterable ignores the size."""
        if self._reader is not None:
            return self._bytes(await self._reader.read(size))
        if self._iterator is None:
            self._iterator = aiter(cast("AsyncIterable[bytes]", self._stream))
        async for chunk in self._iterator:
            if chunk:
                return self._bytes(chunk)
            await asyncio.sleep(0)  # a stream that only yields nothing must not block the loop
        return b""

    def _bytes(self, chunk: object) -> bytes:
        if isinstance(chunk, bytes | bytearray | memoryview):
            return bytes(chunk)
        raise UsageError(
            f"{self._source.name}: the stream returned {type(chunk).__name__} instead of bytes. "
            "The upload was stopped."
        )

    def _changed(self, what: str) -> FileChanged:
        return FileChanged(self._source.name, what)


def _close(opened: Opened) -> None:
    opened.close()


def _refuse_length(length: int | None) -> None:
    if length is not None:
        raise InvalidField("length", length, "only a stream or a file object takes a length")


def path_text(path: str | os.PathLike[str], field: str = "file") -> str:
    """Return a path as a string; a PathLike, such as an `os.DirEntry`, may return bytes.

    Raises:
        InvalidField: It is empty, or its `__fspath__` fails.
    """
    try:
        text = os.fsdecode(path)
    except Exception as error:  # the user's own class
        rule = f"its path cannot be read ({described(error)})"
        raise InvalidField(field, path, rule) from error
    if not text:
        raise InvalidField(field, path, "it cannot be empty")
    return text


def absolute(path: str) -> str:
    """Return the absolute path, without "..", and with links as they are.

    Raises:
        UsageError: It is relative to a working directory that was deleted.
    """
    try:
        return os.path.abspath(path)  # noqa: PTH100  # no I/O but getcwd
    except OSError:
        raise UsageError(
            f"{one_line(path)}: the working directory no longer exists. Pass an absolute path."
        ) from None


def _is_reader(thing: object) -> TypeGuard[AsyncReader]:
    if isinstance(thing, type):
        return False
    return inspect.iscoroutinefunction(getattr(thing, "read", None))


def _is_stream(thing: object) -> TypeGuard[StreamInput]:
    return _is_reader(thing) or isinstance(thing, AsyncIterable)
