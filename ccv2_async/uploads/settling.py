"""Settle an upload whose response was lost: check its folder, compare files, and report copies.

The decisions are in `settle`; this module carries them out.
"""

from __future__ import annotations

import logging
import math
import unicodedata
from collections import OrderedDict
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from ccv2_async import errors
from ccv2_async.models import LibraryFile
from ccv2_async.models.base import Outcome
from ccv2_async.models.library import ROOT_FOLDER_IDS, file_outcome
from ccv2_async.observe import DuplicateUpload, UploadFound
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.transport.calls.call import Call, confirmed
from ccv2_async.transport.calls.responses import segment
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.uploads.ledger import Entry, NoStore, advance
from ccv2_async.uploads.looks import ROWS, FolderLooks, compare
from ccv2_async.uploads.settle import (
    AFTER_RESEND,
    BEFORE_RESEND,
    CLOSE_IN_TIME,
    SAME_DAY,
    SAME_HOUR,
    After,
    Before,
    Evidence,
    Step,
    Window,
    could_be,
    in_order,
    judge_before,
    look_delays,
    same_name,
    step_for,
)
from ccv2_async.uploads.status import UPLOAD

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator

    from ccv2_async.clock import Clock
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.deadline import Deadline
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.ledger import BulkState, Store
    from ccv2_async.uploads.looks import Look
    from ccv2_async.uploads.prepare import Upload

E = TypeVar("E", bound=Entry)

CLAIMED_IDS = 10_000

_LATER = (errors.ClientClosed, errors.DailyQuotaExceeded, errors.ServiceUnavailable)

COMPARE_TIME = 120.0
"""Seconds to wait for a file that is still being processed, to compare it."""

logger: logging.Logger = logging.getLogger("ccv2_async.uploads")

_WHY = {
    Before.NOTHING: "and no file in the folder could be the upload",
    Before.UNPROVEN: "and the files in the folder cannot be compared with it",
    Before.FEWER: "",
    Before.TOO_MANY: "and the folder has more identical files than were sent",
}


@attrs.frozen
class Accepted:
    """A file that is in the library.

    Attributes:
        file_id: Its ID.
        duplicates: IDs of extra copies left by a lost response, oldest first.
    """

    file_id: str
    duplicates: tuple[str, ...] = ()


@attrs.define(eq=False)
class Sending(Generic[E]):
    """The state of sending one file to the library.

    Attributes:
        upload: The upload.
        entry: Its entry in the ledger.
        store: The store that keeps the entry.
        size: Its length in bytes when it was last opened; None before.
        began: When it was first opened to be sent, on the monotonic clock; None before.
        began_at: The same, in seconds since 1970.
        started: When sending began in this process; the deadline counts from here.
        sends: The number of times it may have reached the service.
        known: The number of IDs that this client had received when the upload began.
        lost: When the last response was lost, on the monotonic clock.
        evidence: The final results of comparing files with it.
        candidates: IDs of files that are, or may be, this upload, from the latest look.
        trouble: Why its entry could not be written, or None.
        refusal: Why it could not be sent again, if that may be different later; or None.
    """

    upload: Upload
    entry: E
    store: Store[Any, E]
    size: int | None = attrs.field(default=None, init=False)
    began: float | None = attrs.field(default=None, init=False)
    began_at: float = attrs.field(default=0.0, init=False)
    started: float | None = attrs.field(default=None, init=False)
    sends: int = attrs.field(default=0, init=False)
    known: int = attrs.field(default=0, init=False)
    lost: float = attrs.field(default=0.0, init=False)
    evidence: dict[str, Evidence] = attrs.field(factory=dict, init=False)
    candidates: tuple[str, ...] = attrs.field(default=(), init=False)
    trouble: errors.ConstantContactError | None = attrs.field(default=None, init=False)
    refusal: errors.ConstantContactError | None = attrs.field(default=None, init=False)

    async def write(self, state: BulkState, **facts: Any) -> None:
        """Move the entry to its next state, and return once it is stored."""
        try:
            self.entry = await self.store.write(advance(self.entry, state, **facts))
        except errors.ConstantContactError as trouble:
            self.trouble = trouble
            raise

    def raise_trouble(self) -> None:
        """Raise the error of the store, if any: a finding could not be recorded either."""
        if self.trouble is not None:
            raise self.trouble from None

    def recall(self, clock: Clock) -> str:
        """Return why an earlier response was lost, and restore its times from the entry.

        Return "" if the file cannot be in the library.
        """
        if not self.entry.may_have_arrived:
            return ""
        self.started = self.lost = clock.monotonic()
        elapsed = clock.time() - self.entry.begun
        # The local clock may have been set in between. If it is behind, nothing is known. The IDs
        # of other uploads do not narrow this: only the same clock says which of them were earlier.
        self.began_at = self.entry.begun - SAME_DAY if elapsed >= 0.0 else -math.inf
        self.began = self.started - max(0.0, elapsed)
        self.size = self.entry.size
        self.sends = max(1, self.entry.sends)
        return "an earlier attempt to send it may have succeeded"

    def suspended(self, clock: Clock) -> float:
        """Return how many seconds the machine may have been suspended since the first attempt.

        The monotonic clock does not count them. A clock that was set forward looks the same.
        """
        if self.began is None:
            return 0.0
        return max(0.0, clock.time() - self.began_at - (clock.monotonic() - self.began))


class Settler:
    """Finds out whether uploads arrived after their responses were lost.

    Args:
        session: Sends the calls.
        threads: The threads that read files.
        sweep: Follows a file until it can be compared.
        settle_time: Seconds of looks before a file counts as not arrived.

    Attributes:
        claims: The number of IDs that this client has received so far.
        undecided: The uploads that may own a file without knowing its ID, by folder and name, and
            whether they await a response that names it.
    """

    def __init__(
        self, session: Session, threads: FileThreads, sweep: Sweep, settle_time: float
    ) -> None:
        self._session = session
        self._clock = session.clock
        self._threads = threads
        self._sweep = sweep
        self._settle_time = settle_time
        # IDs that belong to other uploads, and when each was claimed: no look may adopt one. A
        # possible extra copy of another upload has no such time: it belongs to no upload yet.
        self._claimed: OrderedDict[str, float] = OrderedDict()
        self.claims: int = 0
        self.undecided: dict[tuple[str, str], bool] = {}
        self._looks = FolderLooks(session)

    def claim(self, file_ids: Iterable[str], copies: Iterable[str] = ()) -> None:
        """Note which files belong to uploads already, so that no look adopts one of them.

        Args:
            file_ids: The IDs of files that belong to an upload.
            copies: The IDs of files that were reported as its extra copies. If one could be another
                upload, that upload is ambiguous: only a person can tell.
        """
        for file_id in file_ids:
            self.claims += 1
            self._claimed[file_id] = min(self.claims, self._claimed.get(file_id, math.inf))
        for copy in copies:
            self._claimed.setdefault(copy, math.inf)
        while len(self._claimed) > CLAIMED_IDS:
            self._claimed.popitem(last=False)

    def release(self, file_ids: Iterable[str]) -> None:
        """Undo `claim` for files whose upload could not be recorded, so that a look finds them."""
        for file_id in file_ids:
            self._claimed.pop(file_id, None)

    async def find(
        self, sending: Sending[Any], lost: str, limit: Deadline | None, *, may_send: bool
    ) -> tuple[str, ...] | None:
        """Return the IDs of the copies that arrived, or None if it must be sent again.

        Args:
            sending: The upload and its state.
            lost: Why the last response was lost.
            limit: The deadline of the looks.
            may_send: Whether it can be sent again.
        """
        upload = sending.upload
        self.undecided[upload.place] = False
        if upload.on_ambiguous == "raise":
            raise self.ambiguous(sending, lost, (), "")
        finding: Before = Before.UNPROVEN
        ids: tuple[str, ...] = ()
        try:
            async with self._in_time(limit):
                for delay in look_delays(self._settle_time):
                    pause = sending.lost + delay - self._clock.monotonic()
                    await self._session.sleep(pause, upload.what)
                    finding, ids = await self._judge_before(sending, limit)
                    step = step_for(BEFORE_RESEND, finding, settled=delay >= self._settle_time)
                    if step is Step.ADOPT:
                        return ids
                    if step is Step.SEND_AGAIN and may_send:
                        return None
            why = _WHY[finding]
        except errors.ConstantContactError as trouble:  # even if only its call took too long
            why = f"and looking for it failed: {trouble.reason}"
            # The cause tells callers that another look may settle it.
            raise self.ambiguous(sending, lost, sending.candidates, why) from trouble
        except TimeoutError:
            assert limit is not None  # noqa: S101  # nothing else is too late
            ids, why = sending.candidates, f"and {limit.seconds:g} s were not enough to find it"
        raise self.ambiguous(sending, lost, ids, why)

    @asynccontextmanager
    async def _in_time(self, limit: Deadline | None) -> AsyncIterator[None]:
        """Raise `TimeoutError` once the time is up, even if it is up already."""
        if limit is not None and limit.left <= 0.0:
            raise TimeoutError
        async with self._clock.timeout(None if limit is None else limit.left):
            yield

    async def _judge_before(
        self, sending: Sending[Any], limit: Deadline | None
    ) -> tuple[Before, tuple[str, ...]]:
        """Take one look at the folder, and return what it shows."""
        upload = sending.upload
        found: dict[str, tuple[LibraryFile, float]] = {}
        async with aclosing(self._files(sending, limit)) as rows:
            async for window, file in rows:
                # Even if its date is in the future: then one of the clocks is wrong.
                if could_be(file, upload.name, sending.size):
                    found[file.id] = file, window.distance(file)
        possible = await self._possible(sending, [file for file, _ in found.values()])
        while any(any(self._others(sending, found[id_][0]).values()) for id_ in possible):
            await self._session.sleep(0.1, upload.what)
        for id_, known in [*possible.items()]:
            others = self._others(sending, file := found[id_][0])
            is_theirs = unicodedata.normalize("NFC", file.name) in others
            if self._is_taken(id_) or (is_theirs and known is Evidence.SAME_BYTES):
                del possible[id_]
        distances = {id_: distance for id_, (_, distance) in found.items()}
        # One that may be the copy of another upload is as doubtful as one with a distant date.
        distances |= dict.fromkeys(possible.keys() & self._claimed.keys(), math.inf)
        return judge_before(possible, distances, sending.sends)

    async def _files(
        self, sending: Sending[Any], until: Deadline | None
    ) -> AsyncGenerator[tuple[Window, LibraryFile], None]:
        """Yield the files of the folder that are new enough, newest first."""
        upload = sending.upload
        limit = -math.inf
        async with aclosing(self._looks.look(upload.folder_id, upload.lane, until)) as rows:
            async for look, file in rows:
                window = self._window(look, sending)
                created = file.created_date.timestamp() if file.created_date else math.inf
                if window.is_before(file) or created < limit:
                    return  # newest first: all that follow are even older
                if self._claimed.get(file.id, math.inf) <= sending.known:
                    # It was accepted before this upload began, perhaps by a server whose clock is
                    # ahead of the one that dated this upload.
                    limit = max(limit, created - CLOSE_IN_TIME)
                if self._is_here(upload, file):
                    yield window, file

    def _is_here(self, upload: Upload, file: LibraryFile) -> bool:
        """Return whether a file is in the upload's own folder; the root lists all folders."""
        return upload.folder_id not in ROOT_FOLDER_IDS or file.folder_id in ROOT_FOLDER_IDS

    def _window(self, look: Look, sending: Sending[Any]) -> Window:
        """Return the time when the service can have created the file, on its clock if known."""
        elapsed = 0.0 if sending.began is None else look.taken - sending.began
        if look.clock_offset is not None:
            now, reach = look.taken + look.clock_offset, SAME_HOUR
        else:
            now = self._clock.time() - (self._clock.monotonic() - look.taken)
            reach = SAME_DAY
        return Window(now - elapsed, now, reach + sending.suspended(self._clock))

    async def _possible(
        self, sending: Sending[Any], files: Collection[LibraryFile], *, surely: bool = False
    ) -> dict[str, Evidence]:
        """Compare files, and return the evidence for those that are, or may be, an upload.

        Args:
            sending: The upload and its state.
            files: The files.
            surely: Whether to leave out those that may be another upload.
        """

        def is_free(file: LibraryFile) -> bool:
            return not (self._is_taken(file.id) or (surely and self._others(sending, file)))

        # Any of them may be this upload until it is compared, which can fail or run out of time.
        sending.candidates = in_order(file.id for file in files if is_free(file))
        evidence = {file.id: await self._compare(sending, file) for file in files}
        left = [file for file in files if evidence[file.id] is not Evidence.OTHER_BYTES]
        sending.candidates = () if surely else sending.candidates
        for file in left:
            self.claim(await sending.store.owned(sending.upload.folder_id, file.name))
        # Checked last: another upload may have received its response in the meantime.
        possible = {file.id: evidence[file.id] for file in left if is_free(file)}
        sending.candidates = in_order(possible)
        return possible

    def _is_taken(self, file_id: str) -> bool:
        return self._claimed.get(file_id, math.inf) < math.inf

    def _others(self, sending: Sending[Any], file: LibraryFile) -> dict[str, bool]:
        """Return the names of other uploads that may own a file; which of them await a response."""
        own = sending.upload.place
        return {
            place[1]: awaits
            for place, awaits in self.undecided.items()
            if place != own and place[0] == own[0] and same_name(place[1], file.name)
        }

    async def _compare(self, sending: Sending[Any], file: LibraryFile) -> Evidence:
        """Return whether a file holds the bytes that were sent, once it has been processed."""
        upload = sending.upload
        if (known := sending.evidence.get(file.id)) is not None:
            return known
        if not file.url and file.status and file_outcome(file.status) is Outcome.PENDING:
            now = self._clock.time()
            job = self._sweep.resume(UPLOAD, file.id, submitted=now, not_before=now, status=None)
            job.label = upload.name
            poller = UploadPoller(self._session, self._sweep, job)
            try:
                file = await poller.wait(timeout=COMPARE_TIME)
            except errors.JobError:
                return Evidence.UNKNOWN
        evidence = await compare(upload.source, sending.size, file, self._session, self._threads)
        if evidence is not Evidence.UNKNOWN:
            sending.evidence[file.id] = evidence
        return evidence

    async def check_for_doubles(
        self, sending: Sending[Any], file_id: str, limit: Deadline | None
    ) -> Accepted:
        """Check whether an earlier attempt arrived as well. No finding raises an error.

        Raises:
            ClientClosed: A later run has to look, and the store has the file's ID.
            DailyQuotaExceeded: The same.
            ServiceUnavailable: The same.
        """
        self.claim([file_id])
        self.undecided.pop(sending.upload.place, None)
        sending.candidates = ()
        try:
            return await self._check_for_doubles(sending, file_id, limit)
        except BaseException:
            if isinstance(sending.store, NoStore):  # a store has its ID; else a look must find it
                self.release([file_id])
            raise

    async def _check_for_doubles(
        self, sending: Sending[Any], file_id: str, limit: Deadline | None
    ) -> Accepted:
        upload = sending.upload
        accepted_at = self._clock.monotonic()
        finding = After.HIDDEN
        with suppress(TimeoutError):
            async with self._in_time(limit):
                for delay in look_delays(self._settle_time):
                    pause = accepted_at + delay - self._clock.monotonic()
                    with _unless_later(sending):  # the next look may succeed
                        await self._session.sleep(pause, upload.what)
                        listed, found = await self._list_after(sending, file_id, limit)
                        double = await self._possible(sending, found, surely=True)
                        alone = After.ALONE if listed else After.HIDDEN
                        finding = After.DOUBLE if double else alone
                    step = step_for(AFTER_RESEND, finding, settled=delay >= self._settle_time)
                    if step is not Step.LOOK_AGAIN:
                        break
                with _unless_later(sending):
                    if finding is After.HIDDEN and await self._kept_its_name(upload, file_id):
                        finding = After.ALONE
        if not sending.candidates:
            if finding is After.HIDDEN:
                self._report(upload, Accepted(file_id), ())
            return Accepted(file_id)
        ids = in_order([file_id, *sending.candidates])
        return await self.keep_one(sending, ids, limit, file_id)

    async def _kept_its_name(self, upload: Upload, file_id: str) -> bool:
        """Return whether a file kept the name it was sent under, so that it is the first copy."""
        path, what = f"/library/files/{segment(file_id)}", f"library file {file_id}"
        call = Call("GET", path, Effect.SAFE, what, lane=upload.lane)
        file = await self._session.read(call, lambda sent: sent.read(LibraryFile, file_id))
        return unicodedata.normalize("NFC", file.name) == unicodedata.normalize("NFC", upload.name)

    async def _list_after(
        self, sending: Sending[Any], file_id: str, limit: Deadline | None
    ) -> tuple[bool, list[LibraryFile]]:
        """Return whether a look shows the second copy, and the files that could be the first."""
        upload = sending.upload
        own: LibraryFile | None = None
        found: list[LibraryFile] = []
        window: Window | None = None
        async with aclosing(self._looks.look(upload.folder_id, upload.lane, limit)) as rows:
            number = 0
            async for look, file in rows:
                number += 1
                if file.id == file_id:
                    own = file
                    if file.created_date is not None:
                        # The dates of both copies come from one clock, so the time between them can
                        # be measured here even if that clock is wrong.
                        made = file.created_date.timestamp()
                        elapsed = look.taken - (sending.began or look.taken)
                        reach = CLOSE_IN_TIME + sending.suspended(self._clock)
                        window = Window(made - elapsed, made, reach)
                elif could_be(file, upload.name, sending.size) and self._is_here(upload, file):
                    found.append(file)
                if number >= ROWS and (window is None or window.is_before(file)):
                    break
            if found and own is None:
                window = self._window(look, sending)
        return own is not None, [
            file for file in found if not (window and window.distance(file) > window.reach)
        ]

    async def keep_one(
        self,
        sending: Sending[Any],
        ids: tuple[str, ...],
        limit: Deadline | None,
        accepted: str | None = None,
    ) -> Accepted:
        """Return the copy to keep, after reporting the others or moving them to the trash.

        Args:
            sending: The upload and its state.
            ids: All copies, oldest first.
            limit: The deadline for moving copies to the trash.
            accepted: The one whose ID the service returned, if any.
        """
        upload = sending.upload
        copies = [id_ for id_ in ids if id_ == accepted or self.is_proven(sending, id_)]
        kept = accepted or ids[0]
        trashed: tuple[str, ...] = ()
        # More copies than were sent cannot all be its own, and nothing shows which are not.
        if upload.on_duplicate == "trash" and 1 < len(copies) <= sending.sends:
            # The oldest copy has the name that was asked for; the service numbered the others.
            kept = copies[0]
            trashed = await self._trash(upload, copies[1:], limit)
        result = Accepted(kept, tuple(id_ for id_ in ids if id_ not in (kept, *trashed)))
        if accepted is None:
            text = "%s: found in folder %s (ID %s) after a lost response, and not sent again."
            logger.info(text, upload.what, upload.folder_id, kept)
            self._session.hook(UploadFound(upload.name, upload.folder_id, kept))
        if result.duplicates or trashed or len(ids) < sending.sends:
            self._report(upload, result, trashed)
        return result

    def is_proven(self, sending: Sending[Any], file_id: str) -> bool:
        """Return whether a file holds the bytes that were sent, and belongs to no other upload."""
        return sending.evidence.get(file_id) is Evidence.SAME_BYTES and file_id not in self._claimed

    async def _trash(
        self, upload: Upload, file_ids: list[str], limit: Deadline | None
    ) -> tuple[str, ...]:
        """Move copies to the trash, and return the IDs of those that are now in it."""
        what = f"removal of a second copy of {upload.name}"
        path = f"/library/files/{segment(','.join(file_ids))}"
        call = Call("DELETE", path, Effect.IDEMPOTENT, what, lane=upload.lane)
        try:
            with self._session.deadline(None if limit is None else max(0.0, limit.left)):
                await confirmed(await self._session.send(call), call.effect, bare=path)
        except errors.ConstantContactError as error:
            logger.warning("%s", error)
            return ()
        return tuple(file_ids)

    def _report(self, upload: Upload, result: Accepted, trashed: tuple[str, ...]) -> None:
        """Report that a file is, or may be, in the library more than once."""
        if trashed:
            outcome = f"moved to the trash: {', '.join(trashed)}"
        elif result.duplicates:
            outcome = f"duplicates: {', '.join(result.duplicates)}"
        else:
            outcome = "the folder does not yet show whether there is a duplicate"
        folder, kept = upload.folder_id, result.file_id
        text = (
            "%s: a response was lost, and the file may have been stored more than once in "
            "folder %s (ID %s; %s)."
        )
        logger.warning(text, upload.what, folder, kept, outcome)
        self._session.hook(DuplicateUpload(upload.name, folder, kept, result.duplicates, trashed))

    def ambiguous(
        self, sending: Sending[Any], lost: str, candidates: tuple[str, ...], why: str
    ) -> errors.AmbiguousUpload:
        """Return the exception for an upload that the folder does not settle.

        Args:
            sending: The upload and its state.
            lost: Why the response was lost.
            candidates: IDs of files that could be the upload.
            why: The reason why they do not settle it, for the message.
        """
        upload = sending.upload
        reason = f"{lost}, {why}" if why else lost
        noun = "candidate" if len(candidates) == 1 else "candidates"
        count = f" ({len(candidates)} {noun}: {', '.join(candidates)})" if candidates else ""
        times = {1: "once", 2: "twice"}.get(sending.sends, f"{sending.sends} times")
        return errors.AmbiguousUpload.from_parts(
            upload.what,
            reason,
            f"It was sent {times}, and may be in folder {upload.folder_id}{count}. Look there "
            "before you upload it again.",
            file_name=upload.name,
            folder_id=upload.folder_id,
            candidates=candidates,
            sends=sending.sends,
        )


@contextmanager
def _unless_later(sending: Sending[Any]) -> Iterator[None]:
    """Suppress the errors of a look, except those after which a later run can look."""
    try:
        yield
    except errors.ConstantContactError as trouble:
        if isinstance(trouble, _LATER) and not isinstance(sending.store, NoStore):
            raise
