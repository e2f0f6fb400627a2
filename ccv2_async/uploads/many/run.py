"""`upload_many`: a feeder, a task for each file being sent, and a follower of accepted files."""

from __future__ import annotations

import asyncio
import copy
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

import attrs

from ccv2_async import errors
from ccv2_async.models.base import Outcome
from ccv2_async.models.library import file_outcome
from ccv2_async.polling.job import State
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet
from ccv2_async.tasks import cancel_all, ends_task, uninterrupted
from ccv2_async.text import described
from ccv2_async.transport.calls.outage import FATAL, MOST_FAILURES, SYMPTOMS
from ccv2_async.transport.files.sources import StreamSource
from ccv2_async.uploads.ledger import (
    Action,
    BulkState,
    NoStore,
    action_for,
    advance,
    after_end,
    after_error,
)
from ccv2_async.uploads.looks import DigestedSource, compare
from ccv2_async.uploads.many.folders import ROOT, FolderMap
from ccv2_async.uploads.many.items import checked_items, count_files, describe, each_file, each_item
from ccv2_async.uploads.many.journal import Journal, JournalFiles
from ccv2_async.uploads.many.progress import Reporter
from ccv2_async.uploads.many.results import (
    BulkProgress,
    UploadResult,
    earlier_result,
    planned_result,
    refused_result,
    result_of,
)
from ccv2_async.uploads.settle import Evidence
from ccv2_async.uploads.settling import Sending
from ccv2_async.uploads.status import UPLOAD

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from ccv2_async.models import LibraryFile
    from ccv2_async.polling.job import Job
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.many.folders import LibraryFolders
    from ccv2_async.uploads.many.items import FileToUpload, Items, Options
    from ccv2_async.uploads.many.journal import JournalEntry
    from ccv2_async.uploads.prepare import Upload
    from ccv2_async.uploads.uploader import Uploader

J = TypeVar("J", bound=Journal)

LANDING = 10.0
"""Seconds to wait for the responses to files being sent when the whole upload ends."""

MOST_TROUBLES = 5
"""The number of looks in a row that may fail with a lasting error before the upload ends."""

MOST_UNREAD = 1000
"""The number of unread results at which the upload starts no more files."""


@attrs.frozen
class Parts:
    """The parts of the client that a bulk upload uses."""

    session: Session
    threads: FileThreads
    sweep: Sweep
    library: LibraryFolders
    uploader: Uploader

    async def open_journal(self, kind: type[J], options: Options) -> J | None:
        """Open the journal that the options name; see `Journal.open`."""
        return await kind.open(
            options.journal or "",
            self.threads,
            account=self.session.credentials.fingerprint,
            base_url=self.session.base_url,
            now=self.session.clock.time,
            dry_run=options.dry_run,
        )


class BulkUpload:
    """The results of a bulk upload, as its files end: iterate over it once, with `async for`.

    Files are only sent while it is iterated. If you leave the loop early, the upload stops cleanly:
    files that were being sent are interrupted, and the journal records them and the tokens of
    accepted files.
    """

    def __init__(
        self, parts: Parts, items: Items, options: Options, journal: Journal | None = None
    ) -> None:
        self._parts = parts
        self._items = checked_items(items)
        self._options = options
        self._journal = journal
        self._run: Run | None = None

    @property
    def progress(self) -> BulkProgress:
        """The current progress."""
        return self._run.report.progress if self._run is not None else BulkProgress()

    if not TYPE_CHECKING:  # a type checker refuses to await it by itself

        def __await__(self) -> NoReturn:
            """Refuse to be awaited, and say what to do instead.

            Raises:
                UsageError: Always. Nothing was sent.
            """
            raise errors.UsageError(
                "A bulk upload cannot be awaited. Use `async for result in upload_many(...)`. "
                "Nothing was sent."
            )

    def __aiter__(self) -> AsyncGenerator[UploadResult, None]:
        """Yield each file's result.

        Raises:
            UsageError: The journal cannot be used, or the upload was iterated before.
            DailyQuotaExceeded: The day's calls are used up; with a journal, the same call continues
                where it stopped. Without one, no error is safe to try again once a file may
                have arrived.
            ConstantContactError: An error that concerns every file, such as a refused key. With
                `fail_fast`, the error of the first file that failed, after its own result and those
                of the files that were being sent.
        """
        if self._run is not None:
            raise errors.UsageError("A bulk upload can be iterated only once; start another.")
        self._run = Run(self._parts, self._items, self._options, self._journal)
        return self._run.results()


@attrs.frozen(eq=False)
class _Followed:
    """An accepted file that the service is processing.

    Attributes:
        file: The file.
        entry: Its entry.
        job: Its job.
        ends: When to stop waiting for it, on the monotonic clock.
        seconds: The length of that wait.
    """

    file: FileToUpload
    entry: JournalEntry
    job: Job
    ends: float
    seconds: float


@attrs.define(eq=False)
class _Follower:
    """Waits for accepted files, and passes on each one that has ended or is overdue.

    Args:
        session: The session whose clock is used.
        sweep: The sweep that looks at the files.
        watched: The jobs of the files.
        changed: Called with a file that was accepted, or whose status has changed.
        ended: Awaited with a file that has ended or is overdue.
    """

    _session: Session
    _sweep: Sweep
    _watched: JobSet
    _changed: Callable[[_Followed], None]
    _ended: Callable[[_Followed], Awaitable[None]]
    # In the order in which they were accepted, so that the first becomes overdue first.
    # More than one waits for a job if the folder had the same file for each of them.
    _files: dict[Job, list[_Followed]] = attrs.field(factory=dict, init=False)
    _any: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def __bool__(self) -> bool:
        return bool(self._files)

    def add(self, file: FileToUpload, entry: JournalEntry, job: Job) -> None:
        """Follow a file to its end."""
        seconds = self._session.within(UPLOAD.deadline)
        ends = self._session.clock.monotonic() + seconds
        followed = _Followed(file, entry, job, ends, seconds)
        self._files.setdefault(job, []).append(followed)
        self._any.set()
        self._changed(followed)
        self._watched.add(job)

    async def run(self) -> None:
        """Follow files until this is cancelled.

        Raises:
            ConstantContactError: The looks failed with a lasting error.
        """
        troubles = 0
        while True:
            while not self._files:
                self._any.clear()
                await self._any.wait()
            job = next(iter(self._files))
            if (left := self._files[job][0].ends - self._session.clock.monotonic()) > 0.0:
                try:
                    ended = await self._sweep.wait(self._watched, timeout=left)
                except errors.ConstantContactError as trouble:
                    troubles += 1
                    if troubles >= MOST_TROUBLES or await self._session.ends_all(trouble):
                        raise
                    continue  # one failed look is not a reason to stop following all files
                if ended is not None:
                    job, troubles = ended, 0
                    if not job.state.is_final:
                        self._watched.add(job)
                        for followed in self._files[job]:
                            self._changed(followed)
                        continue
            for followed in tuple(self._files[job]):
                await self._ended(followed)

    def discard(self, followed: _Followed) -> None:
        """Stop following a file."""
        files = self._files[followed.job]
        files.remove(followed)
        if not files:
            self._watched.discard(followed.job)
            del self._files[followed.job]

    def close(self) -> None:
        """Stop following all files."""
        self._watched.close()


class Run:
    """One run over all files. A journal that the caller opened stays open."""

    def __init__(
        self, parts: Parts, items: Items, options: Options, journal: Journal | None = None
    ) -> None:
        self._lent = journal
        self._parts = parts
        self._items = items
        self._options = options
        self._store: Journal | NoStore = NoStore(wants_tokens=True)
        self._folders = FolderMap(parts.library, parts.session)
        self._sent_earlier: set[tuple[str, int]] = set()
        self.report: Reporter = Reporter(parts.session, options.on_progress, options.on_file)
        watched = JobSet(parts.sweep, Until.END if options.on_file is None else Until.CHANGE)
        self._follower = _Follower(
            parts.session, parts.sweep, watched, self._report_accepted, self._end_followed
        )
        # Files of the journal in progress, each with its repetitions in the input.
        self._in_progress: dict[tuple[str, str, str], list[FileToUpload]] = {}
        self._slots = asyncio.Semaphore(options.concurrency)
        self._sending: set[asyncio.Task[None]] = set()
        # The files that failed, each with the number of bytes that had been sent then.
        self._doubtful: dict[asyncio.Task[None] | None, int] = {}
        self._results: asyncio.Queue[UploadResult | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._fed = False
        self._failing = False

    async def results(self) -> AsyncGenerator[UploadResult, None]:
        """Yield each file's result as it ends.

        This is the only asynchronous generator that is suspended while the caller has a result.
        When a loop shuts down, it closes all its generators concurrently, and one that closes
        another would find it already closing.
        """
        self._parts.session.require_loop("uploading files")
        tasks: set[asyncio.Task[None]] = set()
        try:
            await self._open_journal()
            for work in (self._feed(), self._follower.run()):
                tasks.add(asyncio.create_task(work, name="ccv2 bulk"))
            for task in tasks:
                task.add_done_callback(self._raise_later)
            while True:
                outcome = await self.report.meanwhile(self._results.get)
                self._room.set()
                if outcome is None:
                    await self.report.notify(last=True)
                    return
                error = outcome if isinstance(outcome, BaseException) else None
                if isinstance(outcome, UploadResult):
                    await self.report.notify()
                    yield outcome
                    error = outcome.error if self._options.fail_fast else None
                if error is not None:
                    for landed in await self._land():
                        yield landed
                    raise self._of_all(error) from error.__cause__
        finally:
            await self._end_all(tasks)

    def _of_all(self, error: BaseException) -> BaseException:
        """Return an error as one of the whole upload, which may not be safe to repeat."""
        done, options = self.report.progress, self._options
        repeats = options.journal is None and not options.skip_existing
        arrived = done.bytes_sent or done.ambiguous or self._sending
        if repeats and arrived and isinstance(error, errors.ConstantContactError):
            error = copy.copy(error)
            error.extend("Without a journal, the same upload may send files again that arrived.")
            error.safe_to_retry = False
        return error

    async def _land(self) -> list[UploadResult]:
        """Return the results of the files that are being sent when the whole upload ends.

        The last calls of the day are still in flight when the next one is refused. If they were
        cancelled, nobody would know whether they arrived.
        """
        self._failing = True
        if self._sending:
            with suppress(TimeoutError):
                async with self._parts.session.clock.timeout(LANDING):
                    await asyncio.wait(self._sending)
        outcomes = [self._results.get_nowait() for _ in range(self._results.qsize())]
        return [outcome for outcome in outcomes if isinstance(outcome, UploadResult)]

    async def _open_journal(self) -> None:
        if self._options.journal is None:
            return
        journal = self._lent or await self._parts.open_journal(Journal, self._options)
        if journal is not None:
            self._store = journal
            self._sent_earlier = await journal.sent() if self._options.skip_existing else set()
            if not self._options.dry_run:
                # Keep looks from mistaking a file of an earlier run for one of this run.
                self._parts.uploader.claim(await journal.file_ids())

    async def _end_all(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """End every task of this run, then close the journal."""
        try:
            await cancel_all(tasks)
        finally:
            try:
                await cancel_all(self._sending)
            finally:
                self._follower.close()
                if isinstance(self._store, Journal) and self._lent is None:
                    await uninterrupted(self._store.aclose())

    def _raise_later(self, task: asyncio.Task[None]) -> None:
        """Keep the exception of a task, to end the whole run and raise it in the caller."""
        # The tasks are cancelled here only once nobody takes results. Before that, code of the
        # caller, such as the iterable of files, has raised the cancellation.
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._results.put_nowait(error)

    async def _feed(self) -> None:
        threads, keep_folders = self._parts.threads, self._options.keep_folders
        own = JournalFiles(self._options.journal)
        self.report.expect(await count_files(self._items, threads, own, keep_folders=keep_folders))
        found = each_item(self._items)
        if self._lent is None:  # a mirror gives files only, and one may be a folder by now
            found = each_file(self._items, threads, keep_folders=keep_folders, own=own)
        async with aclosing(found) as files:
            while True:
                async with self._parts.session.while_open("reading the files to upload"):
                    file = await anext(files, None)
                if file is None or self._failing:
                    break
                while self._results.qsize() >= MOST_UNREAD:
                    self._room.clear()
                    await self._room.wait()
                self.report.count(seen=1)
                if isinstance(file, errors.FileRefused):
                    self._give(attrs.evolve(refused_result(file), path=file.path))
                else:
                    await self._slots.acquire()
                    if not self._failing:
                        task = asyncio.create_task(self._take_up(file), name="ccv2 bulk: file")
                        self._sending.add(task)
                        task.add_done_callback(self._taken_up)
        self._fed = True
        self._end_if_done()

    def _taken_up(self, task: asyncio.Task[None]) -> None:
        self._raise_later(task)
        self._sending.discard(task)
        if self._doubtful.pop(task, None) is None:
            self._slots.release()
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._fed and not self._sending and not self._follower:
            self._results.put_nowait(None)

    async def _take_up(self, file: FileToUpload) -> None:
        """Send one file until the service accepts it, or continue where an earlier run stopped."""
        entry: JournalEntry | None = None
        try:
            upload, entry = await describe(file, self._options, self._parts.threads)
            if self._options.journal is not None:
                if (same := self._in_progress.get(entry.key)) is not None:
                    entry = None
                    same.append(file)  # it ends like the first one
                    return
                self._in_progress[entry.key] = []
            known = await self._store.find(entry.key) or entry
            action = action_for(known, entry.size, entry.written_ns)
            if self._options.dry_run:
                if action is Action.SEND and self._options.skip_existing:
                    folder_id = await self._folders.find(upload.folder_id, file.folders)
                    if await self._existing(folder_id, upload, entry) is not None:
                        action = Action.EXISTS
                self._end(file, planned_result(entry, action), entry)
            elif action is Action.FOLLOW:
                self._resume(file, known)
            elif action in (Action.SEND, Action.LOOK):
                await self._send(file, upload, known if action is Action.LOOK else entry)
            else:
                self._end(file, earlier_result(known, action), entry)
        except errors.ConstantContactError as error:
            if await self._parts.session.ends_all(error):
                raise
            self._end(file, refused_result(error), entry)

    def _resume(self, file: FileToUpload, entry: JournalEntry) -> None:
        job = self._parts.sweep.resume(
            UPLOAD,
            entry.file_id,
            submitted=entry.begun,
            not_before=entry.begun,
            status=entry.status,
        )
        job.label = entry.name
        self._accepted(file, attrs.evolve(entry, state=BulkState.ACCEPTED, error=""), job)

    async def _send(self, file: FileToUpload, upload: Upload, entry: JournalEntry) -> None:
        """Send one file; if the service is down, wait, and then try again."""
        upload, entry, found = await self._place(file, upload, entry)
        if found is not None:
            await self._skip(file, entry, found)
            return
        session, uploader = self._parts.session, self._parts.uploader
        outage, patience = session.outage, self._options.outage_timeout
        task, failures = asyncio.current_task(), 0
        last: errors.ConstantContactError | None = None
        try:
            async with uploader.alone(upload):
                while True:
                    turn = outage.turn(session.limit, self.report.started, patience, failures)
                    async with turn, self.report.sending():
                        openings = outage.openings
                        reporting = self.report.of_sending(upload, file, entry)
                        sending = Sending(reporting, entry, self._store)
                        try:
                            job = await uploader.send(sending)
                        except errors.ServiceUnavailable:  # it was held back
                            entry = sending.entry
                        except errors.ConstantContactError as error:
                            last, failures = error, failures + 1
                            alone = failures >= MOST_FAILURES and self._fails_alone()
                            if alone or not self._belongs_to_outage(error, sending, openings):
                                await self._not_sent(file, sending.entry, error)
                                return
                            entry = sending.entry
                            self._try_another(task)
                        except BaseException as error:
                            streamed = isinstance(upload.source, StreamSource | DigestedSource)
                            # A stream that awaits a cancelled task raises its cancellation.
                            if not streamed or ends_task(error, task):
                                raise
                            # The user's own stream failed. This concerns only this file.
                            unreadable = self._unreadable(file, error)
                            await self._not_sent(file, sending.entry, unreadable)
                            return
                        else:
                            self.report.count(bytes_sent=entry.size)
                            self._accepted(file, sending.entry, job)
                            return
        except (errors.ServiceUnavailable, errors.DeadlineExceeded) as late:
            # It is not tried again. An earlier attempt of it may have arrived.
            alone = isinstance(late, errors.DeadlineExceeded) or self._fails_alone()
            await self._not_sent(file, entry, (alone and last) or late)

    async def _place(
        self, file: FileToUpload, upload: Upload, entry: JournalEntry
    ) -> tuple[Upload, JournalEntry, LibraryFile | None]:
        """Find the folder for a file; return the file in it that makes the upload unnecessary."""
        folders, patience = self._folders, self._options.outage_timeout

        async def find() -> tuple[str, LibraryFile | None]:
            folder_id = await folders.resolve(upload.folder_id, file.folders)
            if not self._options.skip_existing or entry.may_have_arrived:
                return folder_id, None
            return folder_id, await self._existing(folder_id, upload, entry)

        folder_id, found = await self._parts.session.outlast(find, self.report.started, patience)
        placed = attrs.evolve(upload, folder_id=folder_id)
        return placed, attrs.evolve(entry, folder_id=folder_id), found

    async def _existing(
        self, folder_id: str | None, upload: Upload, entry: JournalEntry
    ) -> LibraryFile | None:
        """Return the file of a folder that has the name and size of an upload.

        If the journal has uploaded a file of this size to the folder, it may be another local file
        of this name. Then it has to hold the same bytes.
        """
        found = await self._folders.file(folder_id, upload.name, entry.size)
        if found is None or (folder_id, entry.size) not in self._sent_earlier:
            return found
        session, threads = self._parts.session, self._parts.threads
        evidence = await compare(upload.source, entry.size, found, session, threads)
        return found if evidence is Evidence.SAME_BYTES else None

    async def _skip(self, file: FileToUpload, entry: JournalEntry, found: LibraryFile) -> None:
        """Use the file that is already in the folder, and follow it if it is not Active yet."""
        pending = file_outcome(found.status) is Outcome.PENDING and found.status is not None
        entry = await self._store.write(
            advance(
                entry,
                BulkState.ACCEPTED if pending else BulkState.DONE,
                file_id=found.id,
                folder_id=found.folder_id or ROOT,
                status=None if found.status is None else str(found.status),
                since=self._parts.session.clock.time(),
                error="",
            )
        )
        if pending:
            self._resume(file, entry)
        else:
            self._end(file, attrs.evolve(result_of(entry), earlier=True, existing=True), entry)

    def _try_another(self, task: asyncio.Task[None] | None) -> None:
        """Let another file show whether the service fails only that of a task."""
        if task not in self._doubtful:
            self._doubtful[task] = self.report.progress.bytes_sent
            self._slots.release()

    def _fails_alone(self) -> bool:
        """Return whether another file has passed since this one failed, or none is left to try."""
        sent, outage = self.report.progress.bytes_sent, self._parts.session.outage
        none_left = self._fed and self._sending <= self._doubtful.keys()
        others_pass = sent != self._doubtful.get(asyncio.current_task(), sent)
        return (none_left or others_pass) and not outage.is_total

    def _belongs_to_outage(
        self, error: errors.ConstantContactError, sending: Sending[JournalEntry], openings: int
    ) -> bool:
        """Return whether an outage caused an error, so that its file is sent again.

        The outage may have begun and ended while the file was sent: `openings` is from before.
        """
        may_look = self._options.on_ambiguous != "raise"
        passing = (*SYMPTOMS, errors.AmbiguousUpload) if may_look else SYMPTOMS
        explained = self._parts.session.outage.explains(error, openings)
        return explained and sending.upload.source.repeatable and isinstance(error, passing)

    async def _not_sent(
        self, file: FileToUpload, entry: JournalEntry, error: errors.ConstantContactError
    ) -> None:
        """Record why a file was not sent; end the run if the error concerns all files."""
        if await self._parts.session.ends_all(error):
            if not entry.may_have_arrived:  # the next run sends it
                await self._store.write(advance(entry, BulkState.PENDING, error=""))
            self.report.of_refusal(file, entry)
            self._results.put_nowait(error)
            return
        entry = await self._store.write(after_error(entry, error))
        self._end(file, result_of(entry, error), entry)
        paused = isinstance(cause := error.__cause__, errors.ServiceUnavailable)
        if isinstance(cause, FATAL) and not paused and await self._parts.session.ends_all(cause):
            self._results.put_nowait(cause)

    def _unreadable(self, file: FileToUpload, error: BaseException) -> errors.FileChanged:
        """Return the error for a stream that raised before its last byte; nothing was added."""
        reason = self._parts.session.credentials.redact(described(error), 200)
        failed = errors.FileChanged(file.label, f"could no longer be read ({reason})")
        failed.__cause__ = error
        return failed

    def _accepted(self, file: FileToUpload, entry: JournalEntry, job: Job) -> None:
        if self._options.wait:
            self.report.count(processing=1)
            self._follower.add(file, entry, job)
        else:
            self._end(file, result_of(entry), entry)

    def _report_accepted(self, followed: _Followed) -> None:
        self.report.of_acceptance(followed.file, followed.entry, self._poller(followed.job))

    async def _end_followed(self, followed: _Followed) -> None:
        """Record how a job ended or that it is overdue, and only then stop following it."""
        job, poller = followed.job, self._poller(followed.job)
        entry = attrs.evolve(followed.entry, status=job.status)
        error: errors.JobError | None = None
        if job.state is State.SUCCEEDED:
            entry = await self._store.write(after_end(entry))
        elif job.state is State.PENDING:
            error = poller.timed_out(followed.seconds)
            error.safe_to_retry = self._options.journal is not None  # else it is sent again
        else:
            error = poller.failure()
            if not job.unreadable:  # otherwise it may have succeeded: the next run asks again
                entry = await self._store.write(after_end(entry, error))
        self._follower.discard(followed)
        self.report.count(processing=-1)
        self._end(followed.file, result_of(entry, error), entry)
        self._end_if_done()

    def _poller(self, job: Job) -> UploadPoller:
        return UploadPoller(self._parts.session, self._parts.sweep, job)

    def _end(
        self, file: FileToUpload, result: UploadResult, entry: JournalEntry | None = None
    ) -> None:
        """Report a file's result; `entry` is given if the file was compared with the journal."""
        for each in (file, *(self._in_progress.pop(entry.key, ()) if entry is not None else ())):
            self._give(attrs.evolve(result, path=each.label, folders=each.folders))

    def _give(self, result: UploadResult) -> None:
        self._failing = self._failing or (self._options.fail_fast and result.error is not None)
        self.report.count_result(result)
        self._results.put_nowait(result)
