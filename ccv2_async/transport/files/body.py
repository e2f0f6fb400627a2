"""Request bodies: of known length, repeatable where their source is, and aware of how far they got.

A body makes one attempt object for each try. The attempt is the byte stream that httpx iterates;
it yields `bytes` (h11 copies anything else), hands over exactly `length` of them, and knows
whether nothing, a part or all of it was handed over. That is what the retry table asks for.
"""

from __future__ import annotations

import abc
import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import anyio
import attrs
import httpx

from ccv2_async.clock import SystemClock
from ccv2_async.errors import SourceConsumed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from ccv2_async.clock import Clock
    from ccv2_async.errors import SentState
    from ccv2_async.transport.files.multipart import MultipartLayout
    from ccv2_async.transport.files.sources import OpenSource, Source
    from ccv2_async.transport.files.threads import FileThreads

# To copy a block of this size takes less time than to send a piece more.
_JOINED_UP_TO = 128 * 1024

__all__ = [
    "Body",
    "BodyAttempt",
    "BytesBody",
    "MultipartBody",
    "Progress",
    "ProgressCallback",
    "ProgressReporter",
]


class BodyAttempt(httpx.AsyncByteStream, abc.ABC):
    """One try at sending a body: an async stream of bytes that can be iterated once.

    The code that asked for the attempt closes it after the call: httpx does not.

    Args:
        length: The exact number of bytes, as Content-Length needs it.

    Attributes:
        length: The same.
        bytes_sent: Bytes handed over so far.
        sent: "nothing", "partly", or "wholly" from the moment when the last byte, and with it
            the final boundary, is handed over.
        is_closed: Whether nothing is left to close.
        failure: What the source raised, or None; some engines do not let it through.
        trace: Where in the source that was, without the frames of the engine.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.bytes_sent: int = 0
        self.sent: SentState = "nothing"
        self.is_closed: bool = False
        self.failure: BaseException | None = None
        self.trace: TracebackType | None = None
        self._iterated = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The stream itself. A plain object, not a generator: leaving early leaves nothing behind.

        Raises:
            SourceConsumed: It was iterated before.
        """
        if self._iterated:
            raise SourceConsumed("An attempt at sending a body is made once; ask for another.")
        self._iterated = True
        return self

    async def __anext__(self) -> bytes:
        """The next bytes to send."""
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
        # Before the chunk is out of our hands: from here on it may have arrived.
        self.sent = "wholly" if self.bytes_sent == self.length else "partly"
        return chunk

    @abc.abstractmethod
    async def _next(self) -> bytes:
        """The next bytes; asked for until all of them are handed over."""

    async def aclose(self) -> None:
        """Let go of the source."""
        self.is_closed = True

    async def _finish(self) -> None:
        """Called when the connection has taken the last byte."""
        await self.aclose()


class Body(Protocol):
    """What a call sends."""

    @property
    def content_type(self) -> str:
        """The request's Content-Type."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether (another) attempt can be made."""
        ...

    async def attempt(self) -> BodyAttempt:
        """A fresh attempt, its length known; nothing is sent before it is iterated."""
        ...


class BytesBody:
    """A body that is in memory, such as JSON.

    Args:
        content: The bytes.
        content_type: The request's Content-Type.
    """

    repeatable = True

    def __init__(self, content: bytes, content_type: str = "application/json") -> None:
        self.content = content
        self.content_type = content_type

    async def attempt(self) -> BodyAttempt:
        """The bytes, in one piece."""
        return _BytesAttempt(self.content)


class MultipartBody:
    """A form around a file.

    Args:
        layout: The form.
        source: The file.
        threads: Where files are opened and read.
        on_progress: Told how far each attempt is; a function or a coroutine function.
        clock: The time that progress events are spaced on.
        check: Awaited with the file's length in bytes each time it is opened, before anything is
            sent; raises to refuse it.
    """

    def __init__(
        self,
        layout: MultipartLayout,
        source: Source,
        threads: FileThreads,
        *,
        on_progress: ProgressCallback | None = None,
        clock: Clock | None = None,
        check: Callable[[int], Awaitable[object]] | None = None,
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
        """Whether (another) attempt can be made."""
        return self._source.repeatable

    async def prepare(self) -> int:
        """The body's exact length, after a first look at the file.

        Not needed before `attempt`, which makes the same checks in the same thread hop as the
        reading; it is for refusing a file long before its turn to be sent.

        Raises:
            FileRefused: It is no readable regular file. Nothing was sent.
        """
        length = await self._source.prepare(self._threads)
        if self._check is not None:
            await self._check(length)
        return self._layout.length(length)

    async def attempt(self) -> BodyAttempt:
        """A fresh attempt on a freshly opened file, to be closed by the caller.

        Raises:
            FileRefused: It is no readable regular file. Nothing was sent.
            FileChanged: It is not what an earlier attempt found. Safe to try again: yes.
            SourceConsumed: It is a stream that was read already.
        """
        opened = await self._source.open(self._threads)
        try:
            if self._check is not None:
                await self._check(opened.length)
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
        """Have the next pieces ready, the last one first."""
        if self._reporter is not None:
            await self._report(self._reporter)
        block = await self._opened.read()
        pieces = [block]
        if self.sent == "nothing":
            pieces.append(self._layout.head)
        self._remaining -= len(block)
        # The source has made sure by now that nothing follows: a changed file raised above, and
        # a service that never sees the final boundary cannot take a wrong file for a whole one.
        if self._remaining == 0:
            pieces.insert(0, self._layout.tail)
        self._pieces = pieces if len(block) > _JOINED_UP_TO else [b"".join(reversed(pieces))]

    async def _finish(self) -> None:
        await self.aclose()
        if self._reporter is not None:
            await self._reporter.finish()

    async def _report(self, reporter: ProgressReporter) -> None:
        if self.sent == "nothing":
            await reporter.begin(self._opened.length)
        else:
            await reporter.advance(self._opened.length - self._remaining)


_BYTES_BETWEEN = 256 * 1024
_SECONDS_BETWEEN = 0.1

_log = logging.getLogger("ccv2_async")


@attrs.frozen
class Progress:
    """A moment of one upload.

    Attributes:
        name: The file, as it was given.
        sent: Bytes of the file that the connection has taken, in this attempt.
        total: Bytes of the file in all.
        attempt: 1 for the first; a higher number means that it started over, from 0.
    """

    name: str
    sent: int
    total: int
    attempt: int


ProgressCallback: TypeAlias = Callable[[Progress], Awaitable[object] | object]
"""A function, or a coroutine function, that is called with each `Progress`."""


class ProgressReporter:
    """Tells a callback how one upload goes: first, last, and between them not too often.

    Between the first and the last event of an attempt there is one every 256 KiB or every
    100 ms, whichever comes first. A callback that raises is logged and not called again for this
    upload; the upload goes on.

    Args:
        callback: A function or a coroutine function that takes a `Progress`.
        name: The file, as messages call it.
        clock: The time that the 100 ms are counted on.
    """

    def __init__(self, callback: ProgressCallback, *, name: str, clock: Clock) -> None:
        self._callback: ProgressCallback | None = callback
        self._name = name
        self._clock = clock
        self._attempt = 0
        self._total = 0
        self._told = 0
        self._told_at = 0.0

    async def begin(self, total: int) -> None:
        """Tell that an attempt to send `total` bytes begins."""
        self._attempt += 1
        self._total = total
        await self._tell(0)

    async def advance(self, sent: int) -> None:
        """Tell that `sent` bytes have gone, if it is time to."""
        due = (
            sent - self._told >= _BYTES_BETWEEN
            or self._clock.monotonic() - self._told_at >= _SECONDS_BETWEEN
        )
        if due:
            await self._tell(sent)

    async def finish(self) -> None:
        """Tell that all bytes have gone."""
        await self._tell(self._total)

    async def _tell(self, sent: int) -> None:
        self._told = sent
        self._told_at = self._clock.monotonic()
        if self._callback is None:
            return
        event = Progress(name=self._name, sent=sent, total=self._total, attempt=self._attempt)
        try:
            answer = self._callback(event)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # noqa: BLE001  # whatever the user's function raises
            self._callback = None
            _log.warning(
                "%s: the progress callback failed and is not called again; the upload goes on",
                self._name,
                exc_info=True,
            )
