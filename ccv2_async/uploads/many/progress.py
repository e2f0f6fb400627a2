"""The counts of a bulk upload, and their reports: `on_progress` and `on_file`."""

from __future__ import annotations

import inspect
import logging
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async.errors import ClientClosed
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.results import BulkProgress, FileProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ccv2_async.polling.poller import UploadPoller
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.body import Progress
    from ccv2_async.uploads.many.items import FileToUpload
    from ccv2_async.uploads.many.journal import JournalEntry
    from ccv2_async.uploads.many.results import OnBulkProgress, OnFileProgress, UploadResult
    from ccv2_async.uploads.prepare import Upload

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("ccv2_async.uploads.many")

PROGRESS_EVERY = 0.1
_LAST = 100

_COUNTED = {
    BulkState.DONE: "done",
    BulkState.ACCEPTED: "accepted",
    BulkState.PENDING: "planned",
    BulkState.AMBIGUOUS: "ambiguous",
    BulkState.FAILED: "failed",
}
"""The counter for each state of a file's result."""


class Pace:
    """The rate at which files are sent, from the last hundred.

    The rate at which files end would be misleading in the first minutes: the service processes a
    file for seconds, so many are sent before the first one ends. Files that an earlier run settled
    end immediately.
    """

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=_LAST + 1)
        self._sent = 0

    def begin(self, now: float) -> None:
        """Note that a file begins to be sent."""
        if not self._moments:
            self._moments.append(now)

    def sent(self, now: float) -> None:
        """Note that a file was sent, successfully or not."""
        self._moments.append(now)
        self._sent += 1

    def seconds_left(self, progress: BulkProgress, now: float) -> float | None:
        """Seconds until all files are settled, or None when that is not known."""
        if progress.total is None:
            return None
        if not (left := max(0, progress.total - progress.settled)):
            return 0.0
        if not self._moments:  # nothing had to be sent so far
            return left / progress.per_second if progress.per_second > 0 else None
        passed = now - self._moments[0]
        # Files that began together end together, so a single one of them is not a measure.
        if passed <= 0 or self._sent < max(1, progress.sending):
            return None
        return left * passed / (len(self._moments) - 1)


class Reporter:
    """The counts of one bulk upload, and its progress callback.

    Args:
        session: The session whose clock and budget are used.
        on_progress: Called with the progress of all files, or None.
        on_file: Called with the progress of each file, or None.
    """

    def __init__(
        self, session: Session, on_progress: OnBulkProgress | None, on_file: OnFileProgress | None
    ) -> None:
        self._session = session
        self._clock = session.clock
        self._on_progress = on_progress
        self._on_file = on_file
        self.started: float = self._clock.monotonic()
        self._calls_before = self._session.budget.used
        self._pace = Pace()
        self._reported_at = float("-inf")
        self._counts = self._reported = BulkProgress()

    @property
    def progress(self) -> BulkProgress:
        """The current progress."""
        now = self._clock.monotonic()
        counts = attrs.evolve(self._counts, elapsed=now - self.started)
        return attrs.evolve(
            counts,
            seconds_left=self._pace.seconds_left(counts, now),
            calls=self._session.budget.used - self._calls_before,
            remaining_today=self._session.budget.remaining_today,
            outage=self._session.outage.seconds,
        )

    def expect(self, total: int | None) -> None:
        """Set the total number of files."""
        self._counts = attrs.evolve(self._counts, total=total)

    def count(self, **changes: int) -> None:
        """Add to the counts of these names."""
        now = {name: getattr(self._counts, name) + by for name, by in changes.items()}
        self._counts = attrs.evolve(self._counts, **now)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Count a file as being sent; note that it was sent unless an exception is raised."""
        self._pace.begin(self._clock.monotonic())
        self.count(sending=1)
        try:
            yield
            self._pace.sent(self._clock.monotonic())
        finally:
            self.count(sending=-1)

    def count_result(self, result: UploadResult) -> None:
        """Add one file that has ended."""
        self.count(**{_COUNTED[result.state]: 1, "earlier": int(result.earlier)})

    async def meanwhile(self, come: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `come`, and report progress while waiting for it.

        Args:
            come: Waits for the result; it may be cancelled and called again.
        """
        if self._on_progress is None:
            return await come()
        while True:
            try:
                async with self._clock.timeout(PROGRESS_EVERY):
                    return await come()
            except TimeoutError:
                await self.notify()

    async def notify(self, *, last: bool = False) -> None:
        """Report the progress if it has changed and was not reported a moment ago."""
        now = self._clock.monotonic()
        news = self._counts is not self._reported or self._session.outage.seconds is not None
        early = now - self._reported_at < PROGRESS_EVERY or not news
        if self._on_progress is None or (early and not last):
            return
        self._reported_at, self._reported = now, self._counts
        try:
            answer: Any = self._on_progress(self.progress)
            if inspect.isawaitable(answer):
                with suppress(ClientClosed):  # the upload itself says so
                    async with self._session.while_open("on_progress"):
                        await answer
        except Exception:
            logger.exception("on_progress of a bulk upload failed; the upload continues")

    def of_sending(self, upload: Upload, file: FileToUpload, entry: JournalEntry) -> Upload:
        """Return the upload with each of its steps reported to `on_file`."""
        if self._on_file is None:
            return upload

        def note(now: Progress) -> None:
            state = BulkState.SENDING
            self._report_file(file, state, now.total, sent=now.sent, attempt=now.attempt)

        self._report_file(file, BulkState.SENDING, entry.size)
        return attrs.evolve(upload, on_progress=note)

    def of_refusal(self, file: FileToUpload, entry: JournalEntry) -> None:
        """Report that a file is waiting again, because its error ends the whole upload."""
        self._report_file(file, BulkState.PENDING, entry.size)

    def of_acceptance(self, file: FileToUpload, entry: JournalEntry, poller: UploadPoller) -> None:
        """Report that the service has a file, and the file's status."""
        if self._on_file is not None:
            state, size, token = BulkState.ACCEPTED, entry.size, poller.token()
            self._report_file(file, state, size, sent=size, status=poller.status, token=token)

    def _report_file(self, file: FileToUpload, state: BulkState, size: int, **more: Any) -> None:
        if self._on_file is not None:
            try:
                self._on_file(FileProgress(file.label, state, size, **more))
            except Exception:
                logger.exception("on_file of a bulk upload failed; the upload continues")
