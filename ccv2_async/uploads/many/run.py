"""One run of `upload_many`: a feeder, a task for each file being sent, and a follower."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import anyio
import attrs

from ccv2_async import errors
from ccv2_async.models.base import Outcome
from ccv2_async.models.library import file_outcome
from ccv2_async.polling.job import State
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet
from ccv2_async.text import described
from ccv2_async.transport.calls import deadline
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.files.sources import StreamSource
from ccv2_async.transport.quota.budget import Lane
from ccv2_async.uploads.compare import DigestedSource
from ccv2_async.uploads.ledger import Action, BulkState, NoStore, action_for
from ccv2_async.uploads.many.descriptions import describe
from ccv2_async.uploads.many.existing import ExistingFiles
from ccv2_async.uploads.many.folders import ROOT, FolderMap
from ccv2_async.uploads.many.items import count_files, each_file
from ccv2_async.uploads.many.journal import Journal, JournalFiles
from ccv2_async.uploads.many.outcomes import (
    earlier_result,
    planned_result,
    refused_result,
    result_of,
)
from ccv2_async.uploads.many.progress import Telling
from ccv2_async.uploads.many.results import UploadResult
from ccv2_async.uploads.status import UPLOAD
from ccv2_async.uploads.uploader import Unsettled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from ccv2_async.models import LibraryFile
    from ccv2_async.polling.job import Job
    from ccv2_async.uploads.ledger import Store
    from ccv2_async.uploads.many.items import FileToUpload, Items
    from ccv2_async.uploads.many.journal import JournalEntry
    from ccv2_async.uploads.many.options import Options, Surroundings
    from ccv2_async.uploads.many.results import BulkProgress
    from ccv2_async.uploads.prepare import Upload
    from ccv2_async.uploads.settling import Accepted

PROBE = Call(
    "GET",
    "/library/info",
    Effect.SAFE,
    "asking whether the service is back",
    lane=Lane.BULK,
)
"""The call that asks whether the service is back: cheap, and it changes nothing."""

LANDING = 10.0
"""Seconds in which files may still be answered when the whole upload ends."""

MOST_TROUBLES = 5
"""Looks in a row that fail in a way that is not expected to pass, before the upload ends."""

MOST_UNREAD = 1000
"""Results that wait to be read before no further file is taken up."""

# These errors would hit every other file as well, so they end the whole upload.
_FATAL = (
    errors.AuthenticationFailed,
    errors.ClientClosed,
    errors.DailyQuotaExceeded,
    errors.Forbidden,
    errors.UnexpectedRedirect,
    errors.JournalError,
    errors.ServiceUnavailable,
)

# What a file meets while the service is down. Nothing of it was added.
_OF_AN_OUTAGE = (errors.TransportError, errors.ServerError)


@attrs.frozen
class _Followed:
    """An accepted file that the service is at work on.

    Attributes:
        entry: Its row.
        file: The file.
        ends: Until when it is waited for, on the monotonic clock.
        seconds: How long that is.
    """

    entry: JournalEntry
    file: FileToUpload
    ends: float
    seconds: float


@attrs.define
class _Sending:
    """A file that is being sent.

    Attributes:
        file: The file.
        upload: What is sent.
        entry: Its row.
        unsettled: What is known of an earlier attempt that may have arrived, or None.
        over: Whether nothing more is to be tried.
        ambiguous: Why nobody knows yet whether an earlier attempt arrived, or None.
    """

    file: FileToUpload
    upload: Upload
    entry: JournalEntry
    unsettled: Unsettled | None
    over: bool = False
    ambiguous: errors.AmbiguousUpload | None = None


class Run:
    """One run over all files: a feeder, a task for each file being sent, and a follower."""

    def __init__(self, surroundings: Surroundings, items: Items, options: Options) -> None:
        self._session = surroundings.session
        self._threads = surroundings.threads
        self._sweep = surroundings.sweep
        self._uploader = surroundings.uploader
        self._items = items
        self._options = options
        self._clock = self._session.clock
        self._store: Store[tuple[str, str, str], JournalEntry] = NoStore()
        self._journal: Journal | None = None
        self._folders = FolderMap(surroundings.library)
        self._existing = ExistingFiles(surroundings.library)
        until = Until.END if options.on_file is None else Until.CHANGE
        self._followed = JobSet(self._sweep, until)
        # In the order in which they were taken up, so that the first is the first to be overdue.
        self._waiting: dict[Job, _Followed] = {}
        self._any_waiting = asyncio.Event()
        # Files of the journal that are under way, each with those that are the same one again.
        self._under_way: dict[tuple[str, str, str], list[FileToUpload]] = {}
        self._namesakes: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(options.concurrency)
        self._results: asyncio.Queue[UploadResult | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._started = self._clock.monotonic()
        self._fed = False
        self._failing = False
        self._telling = Telling(self._session, options.on_progress, options.on_file)

    @property
    def progress(self) -> BulkProgress:
        """Where it stands now."""
        return self._telling.progress

    async def results(self) -> AsyncGenerator[UploadResult, None]:
        """Yield each file's result as it ends.

        This is the only asynchronous generator that is suspended while the caller has a result.
        When a loop shuts down, it closes all its generators at once, and one that is closing
        another would then meet it closing already.
        """
        self._session.require_loop("uploading files")
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._open_journal()
            await self._recall()
            for name, work in (("feeder", self._feed), ("follower", self._follow)):
                tasks.append(asyncio.create_task(self._guard(work), name=f"ccv2 bulk: {name}"))
            while True:
                outcome = await self._telling.meanwhile(self._results.get)
                self._room.set()
                if outcome is None:
                    await self._telling.tell(last=True)
                    return
                if isinstance(outcome, BaseException):
                    for landed in await self._land():
                        yield landed
                    raise outcome
                await self._telling.tell()
                yield outcome
                if self._options.fail_fast and outcome.error is not None:
                    for landed in await self._land():
                        yield landed
                    raise outcome.error
        finally:
            await self._end_all(tasks)

    async def _land(self) -> list[UploadResult]:
        """What becomes of the files that are on their way when the whole upload ends.

        The day's last calls are still out when the next one is refused. To break them off would
        leave it open whether they arrived.
        """
        self._failing = True
        if self._sending:
            with suppress(TimeoutError):
                async with self._clock.timeout(LANDING):
                    await asyncio.wait(self._sending)
        outcomes = [self._results.get_nowait() for _ in range(self._results.qsize())]
        return [outcome for outcome in outcomes if isinstance(outcome, UploadResult)]

    async def _open_journal(self) -> None:
        if self._options.journal is None:
            return
        opening = Journal.read if self._options.dry_run else Journal.open
        self._journal = await opening(
            os.fspath(self._options.journal),
            self._threads,
            account=self._session.credentials.fingerprint,
            base_url=self._session.base_url,
            now=self._clock.time,
        )
        self._store = self._journal or self._store

    async def _end_all(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """End every task of this run, then close the journal."""
        with anyio.CancelScope(shield=True):
            cancelled = await _ended(tasks)
            cancelled = await _ended(self._sending) or cancelled
            self._followed.close()
            if self._journal is not None:
                await self._journal.aclose()
        if cancelled:
            raise asyncio.CancelledError

    async def _recall(self) -> None:
        """See that no look takes a file of an earlier run for one of this run's."""
        if self._journal is not None and not self._options.dry_run:
            self._uploader.claim(await self._journal.file_ids())

    async def _guard(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run `work` in a task; what it raises ends the whole run and reaches the caller.

        `work` is called here, not before: a task that is cancelled before its first step would
        leave a coroutine behind that was never awaited.
        """
        try:
            await work(*args)
        except Exception as error:  # noqa: BLE001  # it is raised again where it is iterated
            self._results.put_nowait(error)

    async def _feed(self) -> None:
        own = JournalFiles(self._options.journal)
        keep_folders = self._options.keep_folders
        self._telling.expect(
            await count_files(self._items, self._threads, own, keep_folders=keep_folders)
        )
        found = each_file(self._items, self._threads, keep_folders=keep_folders, own=own)
        async with aclosing(found) as files:
            async for file in files:
                while self._results.qsize() >= MOST_UNREAD:
                    self._room.clear()
                    await self._room.wait()
                self._telling.count(seen=1)
                if isinstance(file, errors.FileRefused):
                    self._end(refused_result(file.path, file))
                else:
                    await self._slots.acquire()
                    if self._failing:
                        break
                    self._begin(file)
                if self._failing:
                    break
        self._fed = True
        self._end_if_done()

    def _begin(self, file: FileToUpload) -> None:
        task = asyncio.create_task(self._guard(self._take_up, file), name="ccv2 bulk: file")
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._slots.release()
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._fed and not self._sending and not self._waiting:
            self._results.put_nowait(None)

    async def _take_up(self, file: FileToUpload) -> None:
        """One file, as far as the service's acceptance."""
        entry: JournalEntry | None = None
        try:
            upload, entry = await describe(file, self._options, self._threads)
            if self._options.journal is not None:
                same = self._under_way.get(entry.key)
                if same is not None:
                    entry = None
                    same.append(file)  # it ends as the first one does
                    return
                self._under_way[entry.key] = []
            known = await self._store.find(entry.key)
            action = action_for(known, entry.size, entry.written_ns)
            if self._options.dry_run:
                if action is Action.SEND and await self._exists(file, upload, entry):
                    action = Action.EXISTS
                self._end(planned_result(file, upload, entry, action), entry)
                return
            await self._act(action, file, upload, known or entry, entry)
        except _FATAL:
            raise
        except errors.ConstantContactError as error:
            self._end(refused_result(file.label, error), entry)

    async def _act(
        self,
        action: Action,
        file: FileToUpload,
        upload: Upload,
        known: JournalEntry,
        entry: JournalEntry,
    ) -> None:
        match action:
            case Action.SKIP | Action.REPORT:
                self._end(earlier_result(file, known), entry)
            case Action.REFUSE:
                self._end(
                    refused_result(
                        file.label,
                        errors.FileRefused(
                            file.label,
                            f"the journal has it as {known.state.value}"
                            f"{' with id ' + known.file_id if known.file_id else ''}, and it has "
                            "changed since; upload it with another journal to have both",
                        ),
                    ),
                    entry,
                )
            case Action.FOLLOW:
                await self._resume(file, known)
            case Action.SEND:
                await self._send(file, upload, entry, None)
            case Action.LOOK:
                await self._send(file, upload, known, Unsettled(since=known.begun, size=known.size))

    async def _resume(self, file: FileToUpload, known: JournalEntry) -> None:
        job = self._sweep.resume(
            UPLOAD,
            known.file_id,
            submitted=known.begun,
            not_before=known.begun,
            status=known.status,
        )
        job.label = known.name
        self._accepted(file, known, job)

    async def _send(
        self, file: FileToUpload, upload: Upload, entry: JournalEntry, unsettled: Unsettled | None
    ) -> None:
        """Send one file; while the service is down, wait and then take it up again."""
        folder_id, found = await self._place(file, upload, entry, unsettled)
        if found is not None:
            await self._skip(file, entry, found)
            return
        upload = attrs.evolve(upload, folder_id=folder_id)
        # Of files that get the same name in the same folder, one at most stands at "sending": what
        # is then found in the folder, once this process has ended, can be no other's.
        key = (folder_id, upload.name)
        lock = self._namesakes.get(key)
        if lock is None:
            lock = self._namesakes[key] = asyncio.Lock()
        async with lock:
            sending = _Sending(file, upload, attrs.evolve(entry, folder_id=folder_id), unsettled)
            while not sending.over:
                try:
                    async with self._turn():
                        await self._send_alone(sending)
                except errors.ServiceUnavailable:
                    await self._put_back(sending)
                    raise
                except errors.DeadlineExceeded as late:
                    # It is not tried again. An earlier attempt of it may have arrived.
                    await self._not_sent(sending, sending.entry, sending.ambiguous or late)
                    return

    async def _place(
        self, file: FileToUpload, upload: Upload, entry: JournalEntry, unsettled: Unsettled | None
    ) -> tuple[str, LibraryFile | None]:
        """Return the folder that a file goes to, and the file that makes sending it needless."""
        while True:
            async with self._turn():
                with self._retaken_after_outage():
                    folder_id = await self._folders.resolve(upload.folder_id, file.folders)
                    found = None
                    if self._options.skip_existing and unsettled is None:
                        found = await self._existing.find(folder_id, upload.name, entry.size)
                    return folder_id, found

    async def _exists(self, file: FileToUpload, upload: Upload, entry: JournalEntry) -> bool:
        """Return whether a dry run finds the file in its folder; no folder is created."""
        if not self._options.skip_existing:
            return False
        folder_id = await self._folders.find(upload.folder_id, file.folders)
        if folder_id is None:
            return False
        return await self._existing.find(folder_id, upload.name, entry.size) is not None

    async def _skip(self, file: FileToUpload, entry: JournalEntry, found: LibraryFile) -> None:
        """Take the file that the folder has for this one, and follow it if it is not Active yet."""
        self._uploader.claim([found.id])
        entry = attrs.evolve(
            entry,
            file_id=found.id,
            folder_id=found.folder_id or ROOT,
            status=None if found.status is None else str(found.status),
            since=self._clock.time(),
        )
        if file_outcome(found.status) is Outcome.PENDING and found.status is not None:
            entry = attrs.evolve(entry, state=BulkState.ACCEPTED)
            await self._store.write(entry)
            await self._resume(file, entry)
            return
        entry = attrs.evolve(entry, state=BulkState.DONE, error="")
        await self._store.write(entry)
        result = result_of(file, entry, BulkState.DONE)
        self._end(attrs.evolve(result, earlier=True, existing=True), entry)

    def _turn(self) -> AbstractAsyncContextManager[None]:
        """Wait here while the service is down."""
        return self._session.outage.turn(
            partial(self._session.send, PROBE),
            since=self._started,
            patience=self._options.outage_timeout,
            limit=deadline.current(self._session),
        )

    @contextmanager
    def _retaken_after_outage(self) -> Iterator[None]:
        """Take note of an error that an outage explains, instead of raising it."""
        try:
            yield
        except _OF_AN_OUTAGE:
            if not self._session.outage.goes_on:
                raise

    async def _put_back(self, sending: _Sending) -> None:
        """Let the next run send a file that an error for all files has stopped."""
        if sending.unsettled is None:
            entry = attrs.evolve(sending.entry, state=BulkState.PENDING, error="")
            await self._store.write(entry)
        self._telling.of_refusal(sending.file, sending.entry)

    async def _send_alone(self, sending: _Sending) -> None:
        """Try once; `sending` says whether that was the end of it."""
        unsettled = sending.unsettled
        since = unsettled.since if unsettled is not None else self._clock.time()
        entry = attrs.evolve(sending.entry, state=BulkState.SENDING, since=since)
        await self._store.write(entry)
        openings = self._session.outage.openings
        with self._telling.sending():
            try:
                upload = self._telling.of_sending(sending.upload, sending.file, entry)
                accepted = await self._uploader.send(upload, unsettled=unsettled)
            except errors.ConstantContactError as error:
                sending.over = not self._waits_for_the_service(sending, entry, error, openings)
                if sending.over:
                    await self._not_sent(sending, entry, error)
            except Exception as error:
                if not isinstance(sending.upload.source, StreamSource | DigestedSource):
                    raise
                # The user's own stream: it is the trouble of this file, not of the others.
                sending.over = True
                failed = self._unreadable(sending.file, error)
                await self._failed(sending.file, entry, failed, BulkState.FAILED)
            else:
                sending.over = True
                await self._sent_well(sending.file, entry, accepted)

    def _waits_for_the_service(
        self,
        sending: _Sending,
        entry: JournalEntry,
        error: errors.ConstantContactError,
        openings: int,
    ) -> bool:
        """Return whether an error belongs to an outage, so that its file is taken up again.

        The outage may have begun and ended while the file was sent: `openings` is from before.
        """
        if isinstance(error, errors.ServiceUnavailable):
            return True  # it was held back
        # The look for it may have been held back, although the service is back by now.
        held_back = isinstance(error.__cause__, errors.ServiceUnavailable)
        outage = self._session.outage
        goes_on = held_back or outage.goes_on or outage.openings != openings
        if not goes_on or not sending.upload.source.repeatable:
            return False
        if isinstance(error, errors.AmbiguousUpload):
            if self._options.on_ambiguous == "raise":
                return False
            sending.unsettled = Unsettled(since=entry.begun, size=entry.size)
            sending.ambiguous = error
            return True
        return isinstance(error, _OF_AN_OUTAGE)

    async def _not_sent(
        self, sending: _Sending, entry: JournalEntry, error: errors.ConstantContactError
    ) -> None:
        if isinstance(error, errors.AmbiguousUpload):
            await self._failed(sending.file, entry, error, BulkState.AMBIGUOUS)
            cause = error.__cause__
            if isinstance(cause, _FATAL) and not isinstance(cause, errors.ServiceUnavailable):
                raise cause
        elif isinstance(error, _FATAL):
            await self._put_back(sending)
            raise error
        elif sending.unsettled is not None:
            # The journal still says that it was being sent: the next run looks for it.
            self._end(refused_result(sending.file.label, error), entry)
        else:
            await self._failed(sending.file, entry, error, BulkState.FAILED)

    async def _sent_well(self, file: FileToUpload, entry: JournalEntry, accepted: Accepted) -> None:
        job = self._sweep.start(UPLOAD, accepted.file_id, label=entry.name)
        entry = attrs.evolve(
            entry,
            state=BulkState.ACCEPTED,
            file_id=accepted.file_id,
            tokens=(self._poller(job).token(),),
            duplicates=accepted.duplicates,
        )
        await self._store.write(entry)
        self._telling.count(bytes_sent=entry.size)
        self._accepted(file, entry, job)

    def _unreadable(self, file: FileToUpload, error: Exception) -> errors.FileChanged:
        """That a stream raised; it did so before its last byte was out, so nothing was added."""
        told = self._session.credentials.redact(described(error), 200)
        failed = errors.FileChanged(file.label, f"it could not be read ({told})")
        failed.__cause__ = error
        return failed

    def _accepted(self, file: FileToUpload, entry: JournalEntry, job: Job) -> None:
        if not self._options.wait:
            self._end(result_of(file, entry, BulkState.ACCEPTED), entry)
            return
        seconds = UPLOAD.deadline
        if (left := self._session.time_left) is not None:
            seconds = min(seconds, max(0.0, left))
        self._waiting[job] = _Followed(entry, file, self._clock.monotonic() + seconds, seconds)
        self._any_waiting.set()
        self._telling.count(processing=1)
        self._telling.of_acceptance(file, entry, self._poller(job))
        self._followed.add(job)

    async def _failed(
        self,
        file: FileToUpload,
        entry: JournalEntry,
        error: errors.ConstantContactError,
        state: BulkState,
    ) -> None:
        final = isinstance(error, errors.UploadFailed)
        entry = attrs.evolve(entry, state=state, error=error.message, final=final)
        await self._store.write(entry)
        self._end(result_of(file, entry, state, error), entry)

    async def _follow(self) -> None:
        """Settle each accepted file as the service comes to its end."""
        troubles = 0
        while True:
            while not self._waiting:
                self._any_waiting.clear()
                await self._any_waiting.wait()
            oldest = next(iter(self._waiting))
            left = self._waiting[oldest].ends - self._clock.monotonic()
            if left <= 0.0:
                await self._settle(oldest)
                continue
            try:
                job = await self._sweep.wait(self._followed, timeout=left)
            except errors.ConstantContactError as trouble:
                troubles += 1
                if isinstance(trouble, _FATAL) or troubles >= MOST_TROUBLES:
                    raise
                continue  # one answer that was none is no reason to leave all files unfollowed
            if job is None:
                await self._settle(oldest)
                continue
            troubles = 0
            if job.state.is_final:
                await self._settle(job)
                continue
            self._followed.add(job)
            followed = self._waiting[job]
            self._telling.of_acceptance(followed.file, followed.entry, self._poller(job))

    async def _settle(self, job: Job) -> None:
        """Write down how a job ended, or that it did not in time, and only then let go of it."""
        followed = self._waiting[job]
        file, entry = followed.file, attrs.evolve(followed.entry, status=job.status)
        poller = self._poller(job)
        error: errors.JobError | None = None
        if job.state is State.SUCCEEDED:
            entry = attrs.evolve(entry, state=BulkState.DONE)
            await self._store.write(entry)
        elif job.state is State.PENDING:
            error = poller.timed_out(followed.seconds)
        elif job.unreadable:
            error = poller.failure()  # it may have ended well: the next run asks again
        else:
            error = poller.failure()
            entry = attrs.evolve(entry, state=BulkState.FAILED, error=error.message, final=True)
            await self._store.write(entry)
        self._followed.discard(job)
        self._telling.count(processing=-1)
        self._end(
            result_of(file, entry, BulkState.FAILED if error else BulkState.DONE, error), entry
        )
        del self._waiting[job]
        self._end_if_done()

    def _poller(self, job: Job) -> UploadPoller:
        return UploadPoller(self._session, self._sweep, job)

    def _end(self, result: UploadResult, entry: JournalEntry | None = None) -> None:
        """Give a file's result; `entry` is the row of one that was compared with the journal."""
        self._failing = self._failing or (self._options.fail_fast and result.error is not None)
        self._give(result)
        if entry is not None:
            for same in self._under_way.pop(entry.key, ()):
                self._give(attrs.evolve(result, path=same.label))

    def _give(self, result: UploadResult) -> None:
        self._telling.count_result(result)
        self._results.put_nowait(result)


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> bool:
    """Cancel these and return when all have ended; whether the caller was cancelled meanwhile."""
    left = set(tasks)
    for task in left:
        task.cancel()
    cancelled = False
    while left := {task for task in left if not task.done()}:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
