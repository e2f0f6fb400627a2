"""Upload one file: send it, and settle it first where its answer was lost."""

from __future__ import annotations

import itertools
import os
import unicodedata
from hashlib import blake2b
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import anyio
import attrs

from ccv2_async import errors
from ccv2_async.transport.calls import deadline
from ccv2_async.transport.calls.answers import job_id
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.deadline import Deadline
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.files.body import MultipartBody
from ccv2_async.transport.files.multipart import boundary_from
from ccv2_async.transport.files.sources import as_source
from ccv2_async.uploads.prepare import empty, is_path
from ccv2_async.uploads.settle import SETTLE_TIME
from ccv2_async.uploads.settling import Accepted, Sending, Settler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.sources import FileInput
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.prepare import Upload


@attrs.frozen
class Unsettled:
    """An upload that was being sent when an earlier process ended.

    Attributes:
        since: When it began, in seconds since 1970.
        size: Bytes of the file then.
    """

    since: float
    size: int


class Uploader:
    """Sends uploads, and settles those whose answer was lost.

    Args:
        session: Where the calls go.
        threads: Where files are read.
        sweep: Follows a file until it can be compared.
        settle_time: Seconds over which looks go on before a file counts as not arrived.
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
        self._settler = Settler(session, threads, sweep, settle_time)
        self._secret = os.urandom(32)
        self._numbers = itertools.count()
        self._names: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    async def send(self, upload: Upload, *, unsettled: Unsettled | None = None) -> Accepted:
        """Send a file, and return its id once the service has accepted it.

        Args:
            upload: What to send.
            unsettled: An earlier process sent it and did not live to see the answer. It is looked
                for before anything is sent.

        Raises:
            AmbiguousUpload: The answer was lost, and what is in the folder does not settle
                whether the file arrived. Safe to try again: no.
            ConstantContactError: See `errors`; nothing was added to the library.
        """
        self._session.require_loop(f"uploading {upload.name}")
        # Files of one name go into a folder one after the other: while one is under way, a look
        # for another could take it for its own.
        key = (upload.folder_id, unicodedata.normalize("NFC", upload.name))
        lock = self._names.get(key)
        if lock is None:
            lock = self._names[key] = anyio.Lock(fast_acquire=True)
        await self._session.take_place(lock.acquire(), upload.what)
        try:
            accepted = await self._send_or_adopt(upload, unsettled)
        finally:
            lock.release()
        self.claim((accepted.file_id, *accepted.duplicates))
        return accepted

    async def require(self, file: FileInput) -> None:
        """Check that a path names a file that can be sent; anything but a path passes.

        Raises:
            FileRefused: It is not a readable regular file, or it is empty. Nothing was sent.
        """
        if is_path(file):
            source = as_source(file)
            if await source.prepare(self._threads) == 0:
                raise empty(source.name)

    def claim(self, file_ids: Iterable[str]) -> None:
        """Note that these files belong to uploads already, so no look adopts one of them."""
        self._settler.claim(file_ids)

    async def _send_or_adopt(self, upload: Upload, unsettled: Unsettled | None) -> Accepted:
        sending = self._state_of(unsettled)
        sends_left = 2 - sending.sends
        lost: errors.OutcomeUnknown | None = None
        if unsettled is not None:
            lost = errors.OutcomeUnknown(
                f"{upload.what}: it was being sent when an earlier run ended."
            )
        call = self._call(upload, sending)
        while True:
            if lost is not None:
                limit = self._limit(upload, sending)
                again = (
                    sends_left > 0 and upload.source.repeatable and not isinstance(lost, _Unnamed)
                )
                found = await self._settler.find(upload, sending, lost, limit, may_send=again)
                if found is not None:
                    return await self._settler.keep_one(upload, sending, found)
                call = attrs.evolve(call, deadline=None if limit is None else limit.left)
            sends_left -= 1
            try:
                file_id, doubtful = await self._send(call, upload)
            except errors.OutcomeUnknown as unknown:
                lost = unknown
                sending.sends += max(1, unknown.sends)
            except errors.ConstantContactError as refused:
                if lost is None:
                    raise
                # Nothing came of this attempt, but an earlier one may have arrived after all.
                lost = _not_sent_again(upload, lost, refused)
                sends_left = 0
            else:
                if not sending.sends and not doubtful:
                    return Accepted(file_id)
                sending.sends += 1 + doubtful
                limit = self._limit(upload, sending)
                return await self._settler.check_for_doubles(upload, sending, file_id, limit)
            sending.lost = self._clock.monotonic()

    def _state_of(self, unsettled: Unsettled | None) -> Sending:
        if unsettled is None:
            return Sending()
        now = self._clock.monotonic()
        age = max(0.0, self._clock.time() - unsettled.since)
        return Sending(size=unsettled.size, began=now - age, started=now, sends=1, lost=now)

    def _limit(self, upload: Upload, sending: Sending) -> Deadline | None:
        """Return the earliest of the upload's own deadline and those around it."""
        around = deadline.current(self._session)
        if upload.deadline is None:
            return around
        begun = self._clock.monotonic() if sending.started is None else sending.started
        own = Deadline(upload.deadline, begun + upload.deadline, self._clock)
        return own if around is None or own.ends < around.ends else around

    def _call(self, upload: Upload, sending: Sending) -> Call:
        layout = upload.form(self._boundary())

        def note(length: int) -> None:
            if length == 0:
                raise empty(upload.source.name)
            # Noted here and not before: a call may wait for hours until the quota lets it through.
            if sending.began is None:
                sending.began = self._clock.monotonic()
                sending.known = self._settler.claims
            if sending.started is None:
                sending.started = self._clock.monotonic()
            sending.size = length

        body = MultipartBody(
            layout,
            upload.source,
            self._threads,
            on_progress=upload.on_progress,
            clock=self._clock,
            check=note,
        )
        return Call(
            "POST",
            "/library/files",
            Effect.ADDITIVE,
            upload.what,
            body=body,
            lane=upload.lane,
            deadline=upload.deadline,
        )

    def _boundary(self) -> str:
        """Return a boundary that nobody can foresee.

        Asking the system for each one would give the interpreter's lock away to the threads that
        read files, and wait to get it back.
        """
        number = next(self._numbers).to_bytes(16, "big")
        return boundary_from(blake2b(number, key=self._secret, digest_size=16).digest())

    async def _send(self, call: Call, upload: Upload) -> tuple[str, int]:
        """Return the id, and how many earlier attempts of the call may have been carried out."""
        answer = await self._session.send(call)
        named = job_id("upload", answer.headers.get("location"), answer.headers.get("id"))
        if named is None:
            raise _Unnamed(
                f"{upload.what}: the service accepted it ({answer.status}) but named no id.",
                sends=1 + answer.doubtful,
            )
        return named, answer.doubtful


class _Unnamed(errors.OutcomeUnknown):
    """The service accepted the file, so it is never sent again, but its id has to be found."""


def _not_sent_again(
    upload: Upload, lost: errors.OutcomeUnknown, refused: errors.ConstantContactError
) -> errors.OutcomeUnknown:
    """Return how an answer was lost, and why the file could not be sent once more."""
    first = lost.message.partition(" It may have been carried out")[0].rstrip(".")
    why = refused.message.removeprefix(f"{upload.what}: ").partition(". ")[0].rstrip(".")
    return errors.OutcomeUnknown(f"{first}, and sending it again failed ({why}).")
