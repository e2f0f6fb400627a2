"""Send one file to the library, after settling it if its response was lost."""

from __future__ import annotations

import asyncio
import itertools
import os
from contextlib import asynccontextmanager
from copy import copy
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

import attrs

from ccv2_async import errors
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.tasks import uninterrupted
from ccv2_async.transport.calls.call import Call, confirmed
from ccv2_async.transport.calls.deadline import Deadline
from ccv2_async.transport.calls.responses import job_id, without_id
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.files.body import MultipartBody
from ccv2_async.transport.files.multipart import boundary_from
from ccv2_async.transport.files.sources import as_source
from ccv2_async.uploads import SETTLE_TIME
from ccv2_async.uploads.ledger import BulkState, Entry, NoStore, may_pass
from ccv2_async.uploads.prepare import empty, is_path
from ccv2_async.uploads.settling import Accepted, Settler
from ccv2_async.uploads.status import UPLOAD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ccv2_async.polling.job import Job
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.sources import FileInput
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.prepare import Upload
    from ccv2_async.uploads.settling import Sending

E = TypeVar("E", bound=Entry)


class Uploader:
    """Sends uploads, and settles those whose response was lost.

    Args:
        session: Sends the calls.
        threads: The threads that read files.
        sweep: Follows a file until it can be compared.
        settle_time: Seconds of looks before a file counts as not arrived.

    Attributes:
        undecided: The same as of the `Settler`.
    """

    def __init__(
        self,
        session: Session,
        threads: FileThreads,
        sweep: Sweep,
        *,
        settle_time: float = SETTLE_TIME,
    ) -> None:
        self._session = session
        self._clock = session.clock
        self._threads = threads
        self._sweep = sweep
        self._settler = Settler(session, threads, sweep, settle_time)
        self.undecided: dict[tuple[str, str], bool] = self._settler.undecided
        self._secret = os.urandom(32)
        self._numbers = itertools.count()
        self._names: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def over(self, session: Session) -> Uploader:
        """Return an uploader that sends through a view of the session, and shares the rest."""
        other = copy(self)
        other._session = session  # noqa: SLF001  # of this class
        return other

    @asynccontextmanager
    async def alone(self, upload: Upload) -> AsyncIterator[None]:
        """Hold an upload's name in its folder: only one file of each name is sent at a time.

        A look for one of them could mistake another's file for its own. This also means that a
        killed process leaves only one file in SENDING.

        Raises:
            DeadlineExceeded: The caller's deadline passed first. Nothing was sent.
        """
        self._session.require_loop(f"uploading {upload.name}")
        lock = self._names.setdefault(upload.place, asyncio.Lock())
        async with self._session.holding(lock, upload.what):
            yield

    async def send(self, sending: Sending[E]) -> Job:
        """Send the file of an entry until it is ACCEPTED, and return its job.

        The entry is written as SENDING when its turn has come and its file is open, before the
        first byte leaves, and as ACCEPTED once the service has returned an ID. If it is unclear
        whether the file arrived, now or from an earlier process, the file is looked for before it
        is sent again.

        After an error, `sending.entry` is SENDING or AMBIGUOUS if the file may have arrived, and
        unchanged if nothing was added. This state is not written; the caller writes the result of
        `ledger.after_error`.

        Args:
            sending: The upload and its entry. The caller holds the name, with `alone` or with a
                lock from its store.

        Raises:
            AmbiguousUpload: The response was lost, and what is in the folder does not settle
                whether the file arrived. Safe to try again: no.
            ConstantContactError: See `errors`; nothing was added to the library.
        """
        try:
            return await self._send(sending)
        finally:
            self.undecided.pop(sending.upload.place, None)
            if sending.entry.may_have_arrived:
                self.undecided[sending.upload.place] = False

    async def _send(self, sending: Sending[E]) -> Job:
        before = sending.entry
        lost = sending.recall(self._clock)
        if lost and before.file_id:
            return await self._checked(sending, before.file_id)
        sends_left = 1 if lost else 2
        call = self._call(sending)
        while True:
            if lost:
                limit = self._limit(sending)
                may_send = sends_left > 0 and sending.upload.source.repeatable
                found = await self._settler.find(sending, lost, limit, may_send=may_send)
                if found is not None:
                    kept = await self._settler.keep_one(sending, found, limit)
                    return await self._accepted(sending, kept)
                call = attrs.evolve(call, deadline=None if limit is None else limit.left)
            sends_left -= 1
            try:
                response = await confirmed(await self._session.send(call), call.effect)
            except errors.OutcomeUnknown as unknown:
                sending.raise_trouble()
                lost = unknown.reason
                sending.sends += max(1, unknown.sends)
            except errors.ConstantContactError as refused:
                if not lost:
                    sending.entry = before
                    raise
                sending.raise_trouble()
                # This attempt failed, but an earlier one may have arrived after all.
                lost = f"{lost}, and sending it again failed ({refused.reason})"
                sending.refusal = refused if may_pass(refused) else None
                sends_left = 0
            else:
                sending.sends += 1 + response.doubtful
                headers = response.headers
                file_id = job_id("upload", headers.get("location"), headers.get("id"))
                if file_id is not None:
                    return await self._added(sending, file_id)
                # It is never sent again, but has to be found.
                lost = f"the service accepted it ({response.status}) but {without_id(headers)}"
                sends_left = 0
            sending.lost = self._clock.monotonic()

    async def require(self, file: FileInput) -> None:
        """Check that a path names a file that can be sent; anything except a path passes.

        Raises:
            FileRefused: It is not a readable regular file, or it is empty. Nothing was sent.
            DeadlineExceeded: The caller's deadline passed first. Nothing was sent.
        """
        if is_path(file):
            source, session = as_source(file), self._session
            async with session.starting(f"upload of {source.name}", session.call_limit()):
                if await source.prepare(self._threads) == 0:
                    raise empty(source.name)

    def claim(self, file_ids: Iterable[str]) -> None:
        """Note that these files belong to uploads already, so no look adopts one of them."""
        self._settler.claim(file_ids)

    async def _added(self, sending: Sending[E], file_id: str) -> Job:
        """Return the job of a file whose ID the service has just returned."""
        if sending.sends == 1:
            return await self._accepted(sending, Accepted(file_id))
        # If the check is interrupted, the next run repeats it.
        await sending.write(BulkState.SENDING, file_id=file_id)
        return await self._checked(sending, file_id)

    async def _checked(self, sending: Sending[E], file_id: str) -> Job:
        """Return the job of a file that was accepted before, after looking for copies of it."""
        accepted = await self._settler.check_for_doubles(sending, file_id, self._limit(sending))
        return await self._accepted(sending, accepted)

    async def _accepted(self, sending: Sending[E], accepted: Accepted) -> Job:
        file_ids = (accepted.file_id, *accepted.duplicates)
        proven = [id_ for id_ in accepted.duplicates if self._settler.is_proven(sending, id_)]
        self._settler.claim((accepted.file_id, *proven), accepted.duplicates)
        self.undecided.pop(sending.upload.place, None)
        job = self._sweep.start(UPLOAD, accepted.file_id, label=sending.upload.name)
        tokens: tuple[str, ...] = ()
        if sending.store.wants_tokens:
            tokens = (UploadPoller(self._session, self._sweep, job).token(),)
        writing = sending.write(
            BulkState.ACCEPTED,
            file_id=accepted.file_id,
            duplicates=accepted.duplicates,
            tokens=tokens,
            error="",
        )
        try:
            if isinstance(sending.store, NoStore):
                await writing  # immediately
            else:
                # If it were interrupted, nobody would know whether the store has it.
                await uninterrupted(writing)
        except BaseException:
            if sending.entry.state is not BulkState.ACCEPTED:  # a look must find what it lacks
                self._settler.release({*file_ids} - {sending.entry.file_id})
            raise
        return job

    def _limit(self, sending: Sending[E]) -> Deadline | None:
        """Return the earliest of the upload's own deadline and those around it."""
        around, seconds = self._session.limit, sending.upload.deadline
        if seconds is None:
            return around
        begun = self._clock.monotonic() if sending.started is None else sending.started
        return Deadline(seconds, begun + seconds, self._clock).or_earlier(around)

    def _call(self, sending: Sending[E]) -> Call:
        upload = sending.upload

        async def opened(length: int, doubtful: int) -> None:
            if length == 0:
                raise empty(upload.source.name)
            # Recorded only here: a call may wait for hours until the quota lets it through.
            now = self._clock.monotonic()
            if sending.began is None:
                sending.began, sending.began_at = now, self._clock.time()
                sending.known = self._settler.claims
            if sending.started is None:
                sending.started = now
            sending.size = length
            self.undecided[upload.place] = True
            entry = sending.entry
            since = entry.begun if entry.may_have_arrived else self._clock.time()
            sends = sending.sends + doubtful + 1
            await sending.write(
                BulkState.SENDING, since=since, size=length, sends=sends, file_id=""
            )

        body = MultipartBody(
            upload.form(self._boundary()),
            upload.source,
            self._threads,
            on_progress=upload.on_progress,
            clock=self._clock,
            check=opened,
        )
        path, what, lane, until = "/library/files", upload.what, upload.lane, upload.deadline
        return Call("POST", path, Effect.ADDITIVE, what, body=body, lane=lane, deadline=until)

    def _boundary(self) -> str:
        """Return an unpredictable boundary.

        Asking the system for each one would release the interpreter's lock to the threads that read
        files, and wait to get it back.
        """
        number = next(self._numbers).to_bytes(16, "big")
        return boundary_from(blake2b(number, key=self._secret, digest_size=16).digest())
