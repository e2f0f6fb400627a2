"""Save the result of a streaming call: to a path, complete or not at all, or to an async writer."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import anyio
import attrs

from ccv2_async import errors
from ccv2_async.transport.calls import responses, retry
from ccv2_async.transport.calls.outcome import without_frames
from ccv2_async.transport.files.partial import PartialFile, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.threads import FileThreads

T = TypeVar("T")

BLOCK = 256 * 1024
"""Bytes that are collected before a thread writes them."""

DOWNLOAD_DEADLINE = 3600.0
PAUSE = 1.0
_CLOSING_SECONDS = 1.0


class AsyncWriter(Protocol):
    """An object with an async `write(bytes)`."""

    async def write(self, data: bytes, /) -> object:
        """Take these bytes."""


Target: TypeAlias = str | os.PathLike[str] | AsyncWriter
"""The destination of a download."""


@attrs.frozen
class Saved:
    """A file that was saved to a path.

    Attributes:
        size: Its bytes.
        sha256: The digest of its bytes, in hexadecimal.
    """

    size: int
    sha256: str


@attrs.frozen
class Download:
    """A file of the service that can be opened again if a connection breaks.

    Attributes:
        what: Its name, for messages.
        open: Yields the file in pieces of any size, from its beginning.
    """

    what: str
    open: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]


class Saving:
    """Saves downloads within the session's deadline.

    Args:
        session: Sends the calls.
        threads: The threads that write files.
    """

    def __init__(self, session: Session, threads: FileThreads) -> None:
        self._session = session
        self._threads = threads
        self._turn = asyncio.Lock()
        # A server may save each file in a directory of its own: only the last ones are remembered.
        self._clear = lru_cache(maxsize=100)(remove_leftovers)

    async def save(self, download: Download, to: Target) -> int:
        """Write a file to a path or a writer, and return the number of bytes.

        Raises:
            UsageError: The target cannot be written.
            DeadlineExceeded: The deadline passed first.
            ConstantContactError: The read failed, as in `download.open`.
        """
        if isinstance(to, str | os.PathLike):
            return (await self.to_path(download, to)).size
        return await self._in_time(download.what, self._to_writer(download, _checked_writer(to)))

    async def to_path(self, download: Download, path: str | os.PathLike[str]) -> Saved:
        """Write a file to a path, complete or not at all. The errors are those of `save`."""
        return await self._in_time(download.what, self._to_path(download, checked_path(path)))

    async def _in_time(self, what: str, saving: Coroutine[object, object, T]) -> T:
        limit = self._session.limit
        try:
            # Calls observe the deadline by themselves; this limits the writing too.
            timeout = self._session.clock.timeout(limit.left if limit else None)
            async with self._session.while_open(what, "The download was stopped."), timeout:
                return await saving
        except errors.ConstantContactError as error:
            failed = without_frames(error)  # what arrived in them may echo the key
        except TimeoutError:
            if limit is None or limit.left > 0.0:
                raise  # a call's own limit
            failed = errors.DeadlineExceeded(
                f"{what}: the download did not finish within {limit.seconds:g} s. An existing file "
                "at the path is unchanged. The service keeps the file; download it again with more "
                "time.",
                sent="wholly",
            )
        raise failed

    async def _to_writer(self, download: Download, writer: AsyncWriter) -> int:
        size = 0
        async with download.open() as pieces:
            async for piece in pieces:
                taken = writer.write(piece)
                if inspect.isawaitable(taken):
                    await taken
                size += len(piece)
        return size

    async def _to_path(self, download: Download, path: str) -> Saved:
        partial = await self._threads.run(self._begin, path, undo=PartialFile.discard)
        try:
            tries = retry.Tries()
            while True:
                try:
                    size = await self._fill(download, partial)
                    return Saved(size, await self._threads.run(partial.keep))
                except errors.ConstantContactError as error:
                    pause = self._pause_of(error)
                    decision = tries.decide(_failure_kind(error), retry.Effect.SAFE)
                    if decision is not retry.Decision.RETRY or pause > retry.LONGEST_HINT:
                        raise
                await self._session.sleep(max(PAUSE * tries.sent, pause), download.what)
        except BaseException:
            await self._discard(partial)
            raise

    def _begin(self, path: str) -> PartialFile:
        """Return the file to write, after removing leftovers of killed processes once."""
        partial = PartialFile(path)
        self._clear(partial.directory)
        return partial

    def _pause_of(self, error: errors.ConstantContactError) -> float:
        """Return the seconds that a host asks to wait, or 0."""
        headers = error.headers if isinstance(error, errors.APIError) else {}
        return responses.wait_of(headers, self._session.clock.time()) or 0.0

    async def _fill(self, download: Download, partial: PartialFile) -> int:
        """Write the whole file from its beginning, and return its size."""
        size = written = 0
        waiting: list[bytes] = []
        # One block is written while the next one arrives.
        writing = asyncio.create_task(self._threads.run(partial.rewind))
        try:
            # Starting a request takes a millisecond: start one in each iteration of the loop.
            async with self._turn:
                await asyncio.sleep(0)
            async with download.open() as pieces:
                async for piece in pieces:
                    size += len(piece)
                    waiting.append(piece)
                    if size - written >= BLOCK:
                        await writing
                        work = self._threads.run(partial.write, b"".join(waiting))
                        writing, waiting, written = asyncio.create_task(work), [], size
                    # Much may have arrived: let other tasks run before the next piece.
                    await asyncio.sleep(0)
            await writing
            await self._threads.run(partial.write, b"".join(waiting))
        except BaseException as error:
            if not isinstance(error, errors.ConstantContactError):
                writing.cancel()
            # Another attempt rewinds the file, so the last block must be written by then.
            await asyncio.gather(writing, return_exceptions=True)
            raise
        return size

    async def _discard(self, partial: PartialFile) -> None:
        """Remove an incomplete file, even if the caller is being cancelled."""
        partial.is_unwanted = True  # a thread may be about to put it in its place
        with anyio.CancelScope(shield=True):
            removing = self._threads.dispose(partial.discard)
            await asyncio.wait({removing}, timeout=_CLOSING_SECONDS)


def _failure_kind(error: errors.ConstantContactError) -> retry.FailureKind:
    """Return the row of the retry table for a transfer that ended with this error."""
    if not isinstance(error, errors.APIError) or error.status is None:
        broken = isinstance(error, errors.TransportError)
        return retry.FailureKind.UNANSWERED if broken else retry.FailureKind.REFUSED
    if error.status == 429 and error.call is None:
        return retry.FailureKind.SERVER_BUSY  # another host: the quota of the API is not about it
    return responses.failure_kind(error.status, error.errors, hinted=False)


def checked_path(to: str | os.PathLike[str], field: str = "to") -> str:
    """Return the path as a string.

    Raises:
        InvalidField: It cannot be a path of this system.
    """
    try:
        path = "" if isinstance(to, bytes) else os.fsdecode(os.fsencode(to))
    except UnicodeEncodeError:
        raise errors.InvalidField(
            field, to, f"it must be a path that can be encoded in {sys.getfilesystemencoding()}"
        ) from None
    except Exception:  # noqa: BLE001  # the user's own class
        raise errors.InvalidField(field, type(to), "it must be a path") from None
    if not path or "\0" in path:
        raise errors.InvalidField(field, to, "it must not be empty or contain null characters")
    return path


def _checked_writer(to: AsyncWriter) -> AsyncWriter:
    if isinstance(to, io.IOBase):
        raise errors.InvalidField("to", to, "it would block; pass a path or an async writer")
    if not callable(getattr(to, "write", None)):
        raise errors.InvalidField("to", to, "it must be a path, or have an async write(bytes)")
    return to
