"""Request bodies of known length, and the progress of sending them.

A body creates an attempt each time it is sent. The attempt is the byte stream that httpx
iterates. It yields exactly `length` bytes, as `bytes` objects, and records whether nothing, a part,
or all of it was sent, because the retry table needs that.
"""

from __future__ import annotations

import abc
import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias

import anyio
import attrs
import httpx

from ccv2_async.clock import SystemClock
from ccv2_async.errors import ClientClosed, SourceConsumed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ccv2_async.clock import Clock
    from ccv2_async.errors import SentState
    from ccv2_async.transport.files.multipart import MultipartLayout
    from ccv2_async.transport.files.sources import OpenSource, Source
    from ccv2_async.transport.files.threads import FileThreads

# Copying a block of this size is faster than sending another piece.
_JOINED_UP_TO = 128 * 1024


class BodyAttempt(httpx.AsyncByteStream, abc.ABC):
    """One attempt at sending a body: an async stream of bytes that can be iterated once.

    The caller must close it, however the call ends: httpx does not.

    Args:
        length: The exact number of bytes, for Content-Length.

    Attributes:
        length: The same.
        bytes_sent: The number of bytes sent so far.
        sent: "nothing", "partly", or "wholly". It is "wholly" once the last byte, with the final
            boundary, is passed to the engine.
        is_closed: Whether the attempt is closed.
        failure: The exception of the source, or None; some engines hide it.
        trace: The traceback of the failure, without the engine's frames.
        guard: Entered each time the source is read, to interrupt a read that hangs.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.bytes_sent: int = 0
        self.sent: SentState = "nothing"
        self.is_closed: bool = False
        self.failure: BaseException | None = None
        self.trace: TracebackType | None = None
        self.guard: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
        self._iterated = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the stream itself. It is not a generator, so stopping early leaves nothing open.

        Raises:
            SourceConsumed: It was iterated before.
        """
        if self._iterated:
            raise SourceConsumed(
                "An attempt at sending a body can be used once; create another one."
            )
        self._iterated = True
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes to send."""
        if self.sent == "wholly":
            await self._finish()
            raise StopAsyncIteration
        try:
            chunk = await self._next()
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self.failure, self.trace = error, error.__traceback__
            await self.aclose()
            raise
        self.bytes_sent += len(chunk)
        # Before the chunk is sent: from now on it may have arrived.
        self.sent = "wholly" if self.bytes_sent == self.length else "partly"
        return chunk

    @abc.abstractmethod
    async def _next(self) -> bytes:
        """Return the next bytes; called until all bytes are sent."""

    async def aclose(self) -> None:
        """Close the source."""
        self.is_closed = True

    async def _finish(self) -> None:
        """Finish the attempt when the connection has taken the last byte."""
        await self.aclose()


class Body(Protocol):
    """The body of a request."""

    @property
    def content_type(self) -> str:
        """The request's Content-Type."""

    @property
    def repeatable(self) -> bool:
        """Whether another attempt can be made."""

    async def attempt(self, doubtful: int = 0) -> BodyAttempt:
        """Return a new attempt of known length. Nothing is sent before it is iterated.

        Args:
            doubtful: How many earlier attempts may have been carried out.
        """


class BytesBody:
    """A body in memory, such as JSON.

    Args:
        content: The bytes.
        content_type: The request's Content-Type.
    """

    repeatable = True

    def __init__(self, content: bytes, content_type: str = "application/json") -> None:
        self.content = content
        self.content_type = content_type

    async def attempt(self, doubtful: int = 0) -> BodyAttempt:  # noqa: ARG002
        """Return an attempt that sends the bytes in one piece."""
        return _BytesAttempt(self.content)


class MultipartBody:
    """A multipart form with a file.

    Args:
        layout: The form.
        source: The file.
        threads: The threads that open and read the file.
        on_progress: A function or coroutine function that is called with the progress.
        clock: The clock for progress events.
        check: Awaited each time the file is opened, before anything is sent, with its length in
            bytes and the number of earlier attempts that may have been carried out. It raises to
            refuse the file.
    """

    def __init__(
        self,
        layout: MultipartLayout,
        source: Source,
        threads: FileThreads,
        *,
        on_progress: ProgressCallback | None = None,
        clock: Clock | None = None,
        check: Callable[[int, int], Awaitable[object]] | None = None,
    ) -> None:
        self.content_type: str = layout.content_type
        self.name: str = source.name
        self._layout = layout
        self._source = source
        self._threads = threads
        self._check = check
        self._reporter: ProgressReporter | None = None
        if on_progress is not None:
            clock = clock or SystemClock()
            self._reporter = ProgressReporter(on_progress, name=source.name, clock=clock)

    @property
    def repeatable(self) -> bool:
        """Whether another attempt can be made."""
        return self._source.repeatable

    async def attempt(self, doubtful: int = 0) -> BodyAttempt:
        """Open the file, and return a new attempt. The caller must close it.

        Args:
            doubtful: How many earlier attempts may have been carried out.

        Raises:
            FileRefused: It is not a readable regular file. Nothing was sent.
            FileChanged: It changed since an earlier attempt. Safe to try again: yes.
            SourceConsumed: It is a stream that was read before.
        """
        opened = await self._source.open(self._threads)
        try:
            if self._check is not None:
                await self._check(opened.length, doubtful)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await opened.aclose()
            raise
        return _MultipartAttempt(self._layout, opened, self._reporter)


class _BytesAttempt(BodyAttempt):
    def __init__(self, content: bytes) -> None:
        super().__init__(len(content))
        self._content = content

    async def _next(self) -> bytes:
        return self._content


class _MultipartAttempt(BodyAttempt):
    def __init__(
        self, layout: MultipartLayout, opened: OpenSource, reporter: ProgressReporter | None
    ) -> None:
        super().__init__(layout.length(opened.length))
        self._layout = layout
        self._opened = opened
        self._reporter = reporter
        self._remaining = opened.length
        self._pieces: list[bytes] = []

    async def aclose(self) -> None:
        """Close the file."""
        await self._opened.aclose()
        self.is_closed = True

    async def _next(self) -> bytes:
        if not self._pieces:
            await self._read()
        return self._pieces.pop()

    async def _read(self) -> None:
        """Prepare the next pieces, the last one first."""
        async with self.guard():
            if self._reporter is not None and self.sent == "nothing":
                await self._reporter.begin(self._opened.length)
            elif self._reporter is not None:
                await self._reporter.advance(self._opened.length - self._remaining)
            block = await self._opened.read()
        pieces = [block]
        if self.sent == "nothing":
            pieces.append(self._layout.head)
        self._remaining -= len(block)
        # The source has checked that nothing follows. A changed file raised above, so the service
        # never gets the final boundary, and cannot mistake a wrong file for a complete one.
        if self._remaining == 0:
            pieces.insert(0, self._layout.tail)
        self._pieces = pieces if len(block) > _JOINED_UP_TO else [b"".join(reversed(pieces))]

    async def _finish(self) -> None:
        await self.aclose()
        if self._reporter is not None:
            with suppress(ClientClosed):  # all was sent, and may still be answered
                async with self.guard():
                    await self._reporter.finish()


_BYTES_BETWEEN = 256 * 1024
_SECONDS_BETWEEN = 0.1

_log = logging.getLogger("ccv2_async")


@attrs.frozen
class Progress:
    """The progress of an upload or a download.

    Attributes:
        name: The file, as it was given; for a download, its name in the library.
        sent: The bytes of the file that were sent, or received, in this attempt.
        total: The size of the file in bytes.
        attempt: 1 for the first attempt. Each further attempt starts again from 0.
    """

    name: str
    sent: int
    total: int
    attempt: int


ProgressCallback: TypeAlias = Callable[[Progress], Awaitable[object] | object]
"""A function or coroutine function that is called with each `Progress`."""


class ProgressReporter:
    """Reports the progress of one upload to a callback.

    An attempt reports its start and its end, and in between every 256 KiB or 100 ms, whichever
    comes first. If the callback raises, the error is logged, the callback is not called again for
    this upload, and the upload continues.

    Args:
        callback: A function or coroutine function that takes a `Progress`.
        name: The file, for messages.
        clock: The clock for the 100 ms.
    """

    def __init__(self, callback: ProgressCallback, *, name: str, clock: Clock) -> None:
        self._callback: ProgressCallback | None = callback
        self._name = name
        self._clock = clock
        self._attempt = 0
        self._total = 0
        self._reported = 0
        self._reported_at = 0.0

    async def begin(self, total: int) -> None:
        """Report that an attempt to send `total` bytes begins."""
        self._attempt += 1
        self._total = total
        await self._report(0)

    async def advance(self, sent: int) -> None:
        """Report that `sent` bytes were sent, if it is time to."""
        due = (
            sent - self._reported >= _BYTES_BETWEEN
            or self._clock.monotonic() - self._reported_at >= _SECONDS_BETWEEN
        )
        if due:
            await self._report(sent)

    async def finish(self) -> None:
        """Report that all bytes were sent."""
        await self._report(self._total)

    async def _report(self, sent: int) -> None:
        self._reported = sent
        self._reported_at = self._clock.monotonic()
        if self._callback is None:
            return
        event = Progress(name=self._name, sent=sent, total=self._total, attempt=self._attempt)
        try:
            answer = self._callback(event)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # noqa: BLE001  # the user's function may raise anything
            self._callback = None
            _log.warning(
                "%s: on_progress failed, and will not be called again; the transfer continues",
                self._name,
                exc_info=True,
            )
