"""The file of an export, streamed to a path, to an async writer, or into an async iterator."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import os
import secrets
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import anyio

from ccv2_async import errors
from ccv2_async.models import ActivityStatus, ActivityType
from ccv2_async.text import one_line
from ccv2_async.transport.calls.deadline import current

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from ccv2_async.models import Activity
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.threads import FileThreads

BLOCK = 256 * 1024
"""Bytes that are collected before a thread writes them."""

ATTEMPTS = 3
DOWNLOAD_DEADLINE = 3600.0
PAUSE = 1.0
_CLOSING_SECONDS = 1.0


class AsyncWriter(Protocol):
    """An object with an async `write(bytes)`."""

    async def write(self, data: bytes, /) -> object:
        """Take these bytes."""
        ...


ExportTarget: TypeAlias = str | os.PathLike[str] | AsyncWriter
"""The destination for the file of an export."""


class Exports:
    """Fetches the files of exports.

    Args:
        session: Sends the calls.
        threads: The threads that write files.
    """

    def __init__(self, session: Session, threads: FileThreads) -> None:
        self._session = session
        self._threads = threads

    @contextlib.asynccontextmanager
    async def open(self, activity: Activity) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the file in pieces of any size.

        Raises:
            InvalidField: The activity has no file. Nothing was sent.
            ConstantContactError: The read failed, perhaps between two pieces.
        """
        what = f"file of export {activity.id}"
        async with (
            self._session.download(link_of(activity), what) as pieces,
            contextlib.aclosing(_no_page(pieces, what)) as checked,
        ):
            yield checked

    async def save(self, activity: Activity, to: ExportTarget) -> int:
        """Write the file within the session's deadline, and return the number of bytes.

        Raises:
            DeadlineExceeded: The deadline passed first.
            ConstantContactError: The read failed, as in `open`.
        """
        link_of(activity)
        limit = current(self._session)
        try:
            # Calls observe the deadline by themselves; this limits the writing too.
            async with self._session.clock.timeout(limit.left if limit else None):
                if isinstance(to, str | os.PathLike):
                    return await self._to_path(activity, _checked_path(to))
                return await self._to_writer(activity, _checked_writer(to))
        except TimeoutError:
            if limit is None or limit.left > 0.0:
                raise  # a call's own limit
        raise errors.DeadlineExceeded(
            f"file of export {activity.id}: it was not complete within {limit.seconds:g} s. "
            "A file at the path is unchanged; the service keeps the export, so ask for it again.",
            sent="wholly",
        )

    async def _to_writer(self, activity: Activity, writer: AsyncWriter) -> int:
        size = 0
        async with self.open(activity) as pieces:
            async for piece in pieces:
                taken = writer.write(piece)
                if inspect.isawaitable(taken):
                    await taken
                size += len(piece)
        return size

    async def _to_path(self, activity: Activity, path: str) -> int:
        partial = await self._threads.run(PartialFile, path, undo=PartialFile.discard)
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    size = await self._fill(activity, partial)
                    break
                except errors.TransportError as error:
                    if attempt == ATTEMPTS or not error.safe_to_retry:
                        raise
                await self._session.clock.sleep(PAUSE * attempt)
            await self._threads.run(partial.keep)
        except BaseException:
            await self._discard(partial)
            raise
        return size

    async def _fill(self, activity: Activity, partial: PartialFile) -> int:
        """Write the whole file from its beginning, and return its size."""
        size = 0
        waiting = bytearray()
        await self._threads.run(partial.rewind)
        async with self.open(activity) as pieces:
            async for piece in pieces:
                size += len(piece)
                waiting += piece
                if len(waiting) >= BLOCK:
                    await self._threads.run(partial.write, bytes(waiting))
                    waiting.clear()
        await self._threads.run(partial.write, bytes(waiting))
        return size

    async def _discard(self, partial: PartialFile) -> None:
        """Remove an incomplete file, even if the caller is being cancelled."""
        removing = self._threads.dispose(partial.discard)
        if removing is not None:
            with anyio.CancelScope(shield=True):
                await asyncio.wait({removing}, timeout=_CLOSING_SECONDS)


class PartialFile:
    """A file that replaces another one when it is complete. Its methods run in threads.

    `keep` or `discard` closes it.

    Args:
        path: The destination. A file at the path stays until then, and its permissions are kept.

    Raises:
        UsageError: The path cannot be written.
    """

    def __init__(self, path: str) -> None:
        # A link stays a link: the file that it points to is replaced.
        self._path = Path(os.path.realpath(path))
        self._shown = one_line(path) or "''"
        self._lock = threading.Lock()
        # Without the other file's name, which may be as long as a name can be.
        self._temporary = self._path.with_name(f".ccv2-{secrets.token_hex(6)}.part")
        self._file: io.FileIO | None = None
        with self._explained():
            mode = self._mode_of_existing()
            self._file = io.FileIO(os.fspath(self._temporary), "xb")
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

    def write(self, data: bytes) -> None:
        """Add these bytes."""
        with self._lock, self._explained():
            rest = memoryview(data)
            while self._file is not None and rest:
                rest = rest[self._file.write(rest) :]

    def keep(self) -> None:
        """Put the file in its place, durably."""
        with self._lock, self._explained():
            if self._file is not None:
                os.fsync(self._file.fileno())
                self._file.close()
                self._temporary.replace(self._path)
                self._file = None

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
            raise errors.InvalidField("to", self._shown, "a path that is free, or a regular file")
        return stat.S_IMODE(found.st_mode)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise errors.UsageError(
                f"{self._shown}: the export cannot be written there ({error.strerror or error}). "
                "Nothing was changed; the service keeps the export, so ask for it again."
            ) from error


def link_of(activity: Activity) -> str:
    """Return the link of an export's file. `file_name` of other activities is not a link.

    Raises:
        InvalidField: The activity is not a COMPLETE export, or has no file.
    """
    if activity.type != ActivityType.EXPORT_CONTACTS:
        rule = f"an export; {activity.id} is of the type {activity.type}"
    elif activity.status != ActivityStatus.COMPLETE:
        rule = f"an export that is COMPLETE; {activity.id} is {activity.status}"
    elif not activity.file_name:
        rule = f"an export with a file; {activity.id} names none"
    else:
        return activity.file_name
    raise errors.InvalidField("activity", activity.id, rule)


def _checked_path(to: str | os.PathLike[str]) -> str:
    try:
        path = os.fsdecode(os.fsencode(to))
    except UnicodeEncodeError:
        raise errors.InvalidField(
            "to", to, f"a path that can be encoded in {sys.getfilesystemencoding()}"
        ) from None
    if not path or "\0" in path:
        raise errors.InvalidField("to", to, "a path, not empty and without null characters")
    return path


def _checked_writer(to: AsyncWriter) -> AsyncWriter:
    if isinstance(to, io.IOBase):
        raise errors.InvalidField("to", to, "a path or an async writer; this one would block")
    if not callable(getattr(to, "write", None)):
        raise errors.InvalidField("to", to, "a path, or an object with an async write(bytes)")
    return to


async def _no_page(pieces: AsyncIterator[bytes], what: str) -> AsyncGenerator[bytes, None]:
    """Yield the pieces, but raise for an HTML page before yielding any of it."""
    begun = False
    async for piece in pieces:
        if not begun and piece.strip():
            begun = True
            if piece.lstrip().startswith(b"<"):
                raise errors.DecodeError(f"{what}: a page came instead of a CSV file.")
        yield piece
