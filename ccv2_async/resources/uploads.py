"""Upload one file: its form, its call, and looks into the folder before anything is repeated."""

from __future__ import annotations

import itertools
import logging
import math
import os
import unicodedata
from collections import OrderedDict
from contextlib import aclosing, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

import anyio
import attrs

from ccv2_async import errors
from ccv2_async.models import FileSource, FileType, LibraryFile
from ccv2_async.models.library import ROOT_FOLDER_IDS, file_outcome
from ccv2_async.models.outcomes import Outcome
from ccv2_async.observe import DuplicateUpload
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.polling.uploads import UPLOAD
from ccv2_async.resources.arguments import checked_id, checked_text, one_of
from ccv2_async.resources.compare import DigestedSource, compare
from ccv2_async.resources.folder_looks import ROWS, FolderLooks
from ccv2_async.resources.settle import (
    AFTER_RESEND,
    BEFORE_RESEND,
    CLOSE_IN_TIME,
    SAME_DAY,
    SAME_HOUR,
    SETTLE_TIME,
    After,
    Before,
    Evidence,
    Step,
    Window,
    could_be,
    in_order,
    judge_before,
    look_delays,
    step_for,
)
from ccv2_async.transport import deadline
from ccv2_async.transport.body import MultipartBody
from ccv2_async.transport.budget import Lane
from ccv2_async.transport.calls import UPLOAD_DEADLINE, Call
from ccv2_async.transport.links import job_id, segment
from ccv2_async.transport.multipart import FilePart, boundary_from, lay_out
from ccv2_async.transport.retry import Effect
from ccv2_async.transport.sources import StreamSource, as_source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.resources.folder_looks import Look
    from ccv2_async.transport.progress import ProgressCallback
    from ccv2_async.transport.session import Session
    from ccv2_async.transport.sources import FileInput, Source
    from ccv2_async.transport.threads import FileThreads

OnAmbiguous = Literal["look", "raise"]
OnDuplicate = Literal["report", "trash"]

MAX_NAME = 80
MAX_DESCRIPTION = 100

_MEDIA_TYPES = {
    FileType.JPEG: "image/jpeg",
    FileType.JPG: "image/jpeg",
    FileType.GIF: "image/gif",
    FileType.PNG: "image/png",
    FileType.PDF: "application/pdf",
    FileType.DOC: "application/msword",
    FileType.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    FileType.XLS: "application/vnd.ms-excel",
    FileType.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileType.PPT: "application/vnd.ms-powerpoint",
    FileType.PPTX: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}

CLAIMED_IDS = 10_000

COMPARE_TIME = 120.0
"""Seconds for which a file that is still being processed is waited for, to compare it."""

logger: logging.Logger = logging.getLogger("ccv2_async.uploads")


@attrs.frozen
class Upload:
    """A file that is ready to be sent, and everything its form says.

    Attributes:
        source: Where its bytes come from.
        name: The name it gets in the library.
        folder_id: The folder it goes to.
        description: Its description.
        file_source: Where it is said to come from.
        file_type: Its type.
        on_progress: Who is told of how far it is.
        on_ambiguous: What to do when its answer was lost.
        on_duplicate: What to do with a second copy that a lost answer has left behind.
        deadline: Seconds for sending it and for settling a lost answer, or None.
        lane: Who goes first when calls wait for the quota.
    """

    source: Source
    name: str
    folder_id: str
    description: str
    file_source: str
    file_type: FileType
    on_progress: ProgressCallback | None = None
    on_ambiguous: OnAmbiguous = "look"
    on_duplicate: OnDuplicate = "report"
    deadline: float | None = UPLOAD_DEADLINE
    lane: Lane = Lane.INTERACTIVE

    @property
    def what(self) -> str:
        """What messages call it."""
        return f"upload of {self.name}"


def prepare(
    file: FileInput | Source,
    *,
    folder_id: str,
    name: str | None,
    description: str,
    source: FileSource | str,
    file_type: FileType | str | None,
    length: int | None,
) -> Upload:
    """The upload that these arguments describe, checked without touching the file.

    Raises:
        InvalidField: A value the service would refuse. Nothing was sent.
    """
    if name is not None:
        checked_text(name, "name")
    opened = as_source(file, length=length, name=name if not _is_path(file) else None)
    if isinstance(opened, StreamSource) and opened.is_read_once:
        opened = DigestedSource(opened)
    given = name if name is not None else opened.filename
    if given is None:
        raise errors.InvalidField("name", None, "bytes and streams need a name with an extension")
    shown = given.replace("\\", "/").rpartition("/")[2]
    if not shown or len(shown) > MAX_NAME:
        raise errors.InvalidField("name", given, f"a file name of 1 to {MAX_NAME} characters")
    if not shown.isprintable():
        raise errors.InvalidField("name", given, "a file name without control characters")
    if len(checked_text(description, "description")) > MAX_DESCRIPTION:
        raise errors.InvalidField(
            "description", description, f"at most {MAX_DESCRIPTION} characters"
        )
    return Upload(
        source=opened,
        name=shown,
        folder_id=checked_id(folder_id, "folder_id"),
        description=description,
        file_source=_file_source(source),
        file_type=_type_of(shown, file_type),
    )


def empty(path: str) -> errors.FileRefused:
    """The exception for a file without a byte in it."""
    return errors.FileRefused(path, "it is empty, which no type the library accepts can be")


def _file_source(source: FileSource | str) -> str:
    if isinstance(source, FileSource):
        return source.value
    return one_of("source", source, FileSource) or FileSource.MY_COMPUTER


def _is_path(file: object) -> bool:
    return isinstance(file, str | os.PathLike)


def _type_of(name: str, file_type: FileType | str | None) -> FileType:
    if file_type is not None:
        return FileType(str(one_of("file_type", file_type, FileType)))
    extension = name.rpartition(".")[2].upper() if "." in name else ""
    if extension not in FileType.__members__:
        raise errors.InvalidField(
            "file_type",
            name,
            f"the library accepts {', '.join(FileType)}; name the file accordingly, "
            "or say its file_type",
        )
    return FileType(extension)


@attrs.frozen
class Unsettled:
    """An upload that was being sent when an earlier process ended.

    Attributes:
        since: When it began, in seconds since 1970.
        size: Bytes of the file then.
    """

    since: float
    size: int


@attrs.frozen
class Accepted:
    """A file that is in the library.

    Attributes:
        file_id: Its id.
        duplicates: Ids of further copies that a lost answer has left behind, oldest first.
    """

    file_id: str
    duplicates: tuple[str, ...] = ()


@attrs.define(eq=False)
class _Sending:
    """What is known of one upload while it is under way.

    Attributes:
        size: Its length as it was last opened, in bytes; None before.
        began: When it was first opened to be sent, on the monotonic clock; None before.
        started: When that was in this process; its deadline counts from here.
        sends: How many times it may have reached the service.
        known: How many ids this client had been given when it began.
        lost: When the last answer was lost, on the monotonic clock.
        evidence: What is known for certain of files that were compared with it.
    """

    size: int | None = None
    began: float | None = None
    started: float | None = None
    sends: int = 0
    known: int = 0
    lost: float = 0.0
    evidence: dict[str, Evidence] = attrs.field(factory=dict)


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
        self._sweep = sweep
        self._settle_time = settle_time
        self._secret = os.urandom(32)
        self._numbers = itertools.count()
        # Ids that belong to other uploads, and when each was claimed: no look may adopt one.
        self._claimed: OrderedDict[str, int] = OrderedDict()
        self._claims = 0
        self._looks = FolderLooks(session)
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
        # Files of one name go into a folder one after the other: while one is under way, a look
        # for another could take it for its own.
        key = (upload.folder_id, unicodedata.normalize("NFC", upload.name))
        lock = self._names.get(key)
        if lock is None:
            lock = self._names[key] = anyio.Lock(fast_acquire=True)
        async with lock:
            accepted = await self._send_or_adopt(upload, unsettled)
        self.claim((accepted.file_id, *accepted.duplicates))
        return accepted

    async def require(self, file: FileInput) -> None:
        """Check that a path names a file that can be sent; anything but a path passes.

        Raises:
            FileRefused: It is not a readable regular file, or it is empty. Nothing was sent.
        """
        if _is_path(file):
            source = as_source(file)
            if await source.prepare(self._threads) == 0:
                raise empty(source.name)

    def claim(self, file_ids: Iterable[str]) -> None:
        """Note that these files belong to uploads already, so no look adopts one of them."""
        for file_id in file_ids:
            self._claims += 1
            self._claimed.setdefault(file_id, self._claims)
            if len(self._claimed) > CLAIMED_IDS:
                self._claimed.popitem(last=False)

    async def _send_or_adopt(self, upload: Upload, unsettled: Unsettled | None) -> Accepted:
        sending = _Sending()
        sends_left = 2
        lost: errors.OutcomeUnknown | None = None
        if unsettled is not None:
            age = max(0.0, self._clock.time() - unsettled.since)
            sending = _Sending(size=unsettled.size, began=self._clock.monotonic() - age, sends=1)
            sending.lost = sending.started = self._clock.monotonic()
            sends_left = 1
            lost = errors.OutcomeUnknown(
                f"{upload.what}: it was being sent when an earlier run ended."
            )
        call = self._call(upload, sending)
        while True:
            if lost is not None:
                left = self._time_left(upload, sending)
                again = (
                    sends_left > 0 and upload.source.repeatable and not isinstance(lost, _Unnamed)
                )
                found = await self._settle(upload, sending, lost, left, may_send=again)
                if found is not None:
                    return await self._without_duplicates(upload, sending, found)
                left = self._time_left(upload, sending)
                if left <= 0.0:
                    raise self._ambiguous(upload, sending, lost, (), "its time is up")
                call = attrs.evolve(call, deadline=left if left < math.inf else None)
            sends_left -= 1
            try:
                file_id, doubtful = await self._send(call, upload)
            except errors.OutcomeUnknown as unknown:
                lost = unknown
                sending.sends += max(1, unknown.sends)
                sending.lost = self._clock.monotonic()
                continue
            if sending.sends or doubtful:
                sending.sends += 1 + doubtful
                return await self._check_for_doubles(upload, sending, file_id)
            return Accepted(file_id)

    def _time_left(self, upload: Upload, sending: _Sending) -> float:
        """Return the seconds left of the upload's deadline and of those around it."""
        around = deadline.current(self._session)
        left = math.inf if around is None else around.left
        if upload.deadline is None:
            return left
        begun = self._clock.monotonic() if sending.started is None else sending.started
        return min(left, upload.deadline - (self._clock.monotonic() - begun))

    def _call(self, upload: Upload, sending: _Sending) -> Call:
        media_type = _MEDIA_TYPES[upload.file_type]
        layout = lay_out(
            [
                ("file_name", upload.name),
                ("folder_id", upload.folder_id),
                ("description", upload.description),
                ("source", upload.file_source),
                ("file_type", upload.file_type.value),
                FilePart("data", filename=upload.name, content_type=media_type),
            ],
            boundary=self._boundary(),
        )

        def note(length: int) -> None:
            if length == 0:
                raise empty(upload.source.name)
            # Noted here and not before: a call may wait for hours until the quota lets it through.
            if sending.began is None:
                sending.began = self._clock.monotonic()
                sending.known = self._claims
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
                f"{upload.what}: the service accepted it ({answer.status}) but named no id."
            )
        return named, answer.doubtful

    async def _settle(
        self,
        upload: Upload,
        sending: _Sending,
        lost: errors.OutcomeUnknown,
        left: float,
        *,
        may_send: bool,
    ) -> tuple[str, ...] | None:
        """Return the ids of the copies that arrived, or None when it is to be sent again."""
        if upload.on_ambiguous == "raise":
            raise self._ambiguous(upload, sending, lost, (), "")
        finding: Before = Before.UNPROVEN
        ids: tuple[str, ...] = ()
        try:
            async with self._clock.timeout(left if left < math.inf else None):
                for delay in look_delays(self._settle_time):
                    await self._sleep_until(sending.lost + delay)
                    finding, ids = await self._judge_before(upload, sending)
                    step = step_for(BEFORE_RESEND, finding, settled=delay >= self._settle_time)
                    if step is Step.ADOPT:
                        return ids
                    if step is Step.SEND_AGAIN and may_send:
                        return None
            why = _WHY[finding]
        except TimeoutError:
            why = f"and {upload.deadline:g} s were not enough to find it"
        except errors.ConstantContactError as trouble:
            raise self._ambiguous(
                upload,
                sending,
                lost,
                ids,
                f"and looking for it failed: {trouble.message.rstrip('.')}",
            ) from trouble  # the cause tells callers that another look may settle it
        raise self._ambiguous(upload, sending, lost, ids, why)

    async def _sleep_until(self, at: float) -> None:
        seconds = at - self._clock.monotonic()
        if seconds > 0.0:
            await self._clock.sleep(seconds)

    async def _judge_before(
        self, upload: Upload, sending: _Sending
    ) -> tuple[Before, tuple[str, ...]]:
        """Take one look at the folder, and return what it shows."""
        found: dict[str, tuple[LibraryFile, float]] = {}
        async with aclosing(self._files(upload, sending)) as rows:
            async for window, file in rows:
                distance = window.distance(file)
                if distance <= window.reach and could_be(file, upload.name, sending.size):
                    found[file.id] = file, distance
        evidence = {}
        for file, _ in found.values():
            evidence[file.id] = await self._compare(upload, sending, file)
        # Asked last: another upload may have got its answer while the pages came.
        evidence = {id_: known for id_, known in evidence.items() if id_ not in self._claimed}
        distances = {id_: distance for id_, (_, distance) in found.items()}
        return judge_before(evidence, distances, sending.sends)

    async def _files(
        self, upload: Upload, sending: _Sending
    ) -> AsyncGenerator[tuple[Window, LibraryFile], None]:
        """Yield the files of the folder that are new enough, newest first."""
        limit = -math.inf
        async with aclosing(self._looks.look(upload.folder_id, upload.lane)) as rows:
            async for look, file in rows:
                window = self._window(look, sending)
                created = file.created_date.timestamp() if file.created_date else math.inf
                if window.is_before(file) or created < limit:
                    return  # newest first: all that follow are older still
                if self._claimed.get(file.id, math.inf) <= sending.known:
                    # It was accepted before this upload began. Dates may be whole seconds.
                    limit = max(limit, created - 2.0)
                if self._is_here(upload, file):
                    yield window, file

    def _is_here(self, upload: Upload, file: LibraryFile) -> bool:
        """Return whether a file is in the upload's own folder; the root lists all folders."""
        return upload.folder_id not in ROOT_FOLDER_IDS or file.folder_id in ROOT_FOLDER_IDS

    def _window(self, look: Look, sending: _Sending) -> Window:
        """Return when the service can have made the file, by its own clock if it told it."""
        elapsed = 0.0 if sending.began is None else look.taken - sending.began
        if look.clock_offset is not None:
            now, reach = look.taken + look.clock_offset, SAME_HOUR
        else:
            now = self._clock.time() - (self._clock.monotonic() - look.taken)
            reach = SAME_DAY
        return Window(now - elapsed, now, reach)

    async def _compare(
        self, upload: Upload, sending: _Sending, file: LibraryFile, *, wait: bool = True
    ) -> Evidence:
        """Return whether a file of the library holds the bytes that were sent.

        Args:
            upload: What was sent.
            sending: Its state.
            file: The library's record.
            wait: Whether to follow a file that is still being processed.
        """
        known = sending.evidence.get(file.id)
        if known is not None:
            return known
        if wait and not file.url and file.status and file_outcome(file.status) is Outcome.PENDING:
            job = self._sweep.resumed(
                UPLOAD,
                file.id,
                submitted=self._clock.time(),
                not_before=self._clock.time(),
                status=None,
            )
            job.label = upload.name
            try:
                file = await UploadPoller(self._session, self._sweep, job).wait(
                    timeout=COMPARE_TIME
                )
            except errors.JobError:
                return Evidence.UNKNOWN
        evidence = await compare(upload.source, sending.size, file, self._session, self._threads)
        if evidence is not Evidence.UNKNOWN:
            sending.evidence[file.id] = evidence
        return evidence

    async def _check_for_doubles(self, upload: Upload, sending: _Sending, file_id: str) -> Accepted:
        """Look whether an earlier attempt arrived as well; nothing is raised for what is found."""
        self.claim([file_id])
        left = self._time_left(upload, sending)
        accepted_at = self._clock.monotonic()
        others: tuple[str, ...] = ()
        certain = False
        with suppress(TimeoutError, errors.ConstantContactError):
            async with self._clock.timeout(left if left < math.inf else None):
                for delay in look_delays(self._settle_time):
                    await self._sleep_until(accepted_at + delay)
                    finding, others = await self._judge_after(upload, sending, file_id)
                    step = step_for(AFTER_RESEND, finding, settled=delay >= self._settle_time)
                    if step is not Step.LOOK_AGAIN:
                        certain = finding is not After.HIDDEN
                        break
                if not certain:
                    certain = await self._kept_its_name(upload, file_id)
        if not others:
            if not certain:
                self._report(upload, Accepted(file_id), ())
            return Accepted(file_id)
        return await self._without_duplicates(
            upload, sending, in_order([file_id, *others]), file_id
        )

    async def _kept_its_name(self, upload: Upload, file_id: str) -> bool:
        """Return whether a file got the name it was sent under, so that no copy was before it."""
        call = Call(
            "GET",
            f"/library/files/{segment(file_id)}",
            Effect.SAFE,
            f"library file {file_id}",
            lane=upload.lane,
        )
        name = (await self._session.send(call)).read(LibraryFile).name
        return unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", upload.name)

    async def _judge_after(
        self, upload: Upload, sending: _Sending, file_id: str
    ) -> tuple[After, tuple[str, ...]]:
        """Take one look after a resend, and return what it shows."""
        own: LibraryFile | None = None
        found: list[LibraryFile] = []
        window: Window | None = None
        async with aclosing(self._looks.look(upload.folder_id, upload.lane)) as rows:
            number = 0
            async for look, file in rows:
                number += 1
                if file.id == file_id:
                    own = file
                    if file.created_date is not None:
                        # The dates of both copies are of one clock: the time that passed between
                        # them can be measured here, whatever that clock says.
                        made = file.created_date.timestamp()
                        elapsed = look.taken - (sending.began or look.taken)
                        window = Window(made - elapsed, made, CLOSE_IN_TIME)
                elif could_be(file, upload.name, sending.size) and self._is_here(upload, file):
                    found.append(file)
                if number >= ROWS and (window is None or window.is_before(file)):
                    break
        others = []
        for file in found:
            if file.id in self._claimed or (window and window.distance(file) > window.reach):
                continue
            known = await self._compare(upload, sending, file, wait=upload.on_duplicate == "trash")
            if known is not Evidence.OTHER_BYTES:
                others.append(file.id)
        if others:
            return After.DOUBLE, in_order(others)
        return (After.HIDDEN if own is None else After.ALONE), ()

    async def _without_duplicates(
        self,
        upload: Upload,
        sending: _Sending,
        ids: tuple[str, ...],
        accepted: str | None = None,
    ) -> Accepted:
        """Return the copy that stays, after reporting the others or moving them to the trash.

        Args:
            upload: What was sent.
            sending: Its state.
            ids: All copies, oldest first.
            accepted: The one that the service named, if it did.
        """
        copies = [id_ for id_ in ids if id_ == accepted or self._is_proven(sending, id_)]
        kept = accepted or ids[0]
        trashed: tuple[str, ...] = ()
        if upload.on_duplicate == "trash" and len(copies) > 1:
            # The oldest copy has the name that was asked for; the service numbered the others.
            kept = copies[0]
            trashed = await self._trash(upload, copies[1:])
        result = Accepted(kept, tuple(id_ for id_ in ids if id_ not in (kept, *trashed)))
        if result.duplicates or trashed:
            self._report(upload, result, trashed)
        return result

    def _is_proven(self, sending: _Sending, file_id: str) -> bool:
        return sending.evidence.get(file_id) is Evidence.SAME_BYTES

    async def _trash(self, upload: Upload, file_ids: list[str]) -> tuple[str, ...]:
        """Move copies to the trash, and return the ids of those that are there now."""
        call = Call(
            "DELETE",
            f"/library/files/{segment(','.join(file_ids))}",
            Effect.IDEMPOTENT,
            f"removal of a second copy of {upload.name}",
            lane=upload.lane,
        )
        try:
            await self._session.send(call)
        except errors.ConstantContactError as error:
            logger.warning("%s", error)
            return ()
        return tuple(file_ids)

    def _report(self, upload: Upload, result: Accepted, trashed: tuple[str, ...]) -> None:
        """Say that a file is, or may be, in the library more than once."""
        if trashed:
            outcome = f"moved to the trash: {', '.join(trashed)}"
        elif result.duplicates:
            outcome = f"further copies: {', '.join(result.duplicates)}"
        else:
            outcome = "the folder does not show yet whether there is a further copy"
        logger.warning(
            "%s: an answer was lost, and the file may have been stored more than once in "
            "folder %s (id %s; %s).",
            upload.what,
            upload.folder_id,
            result.file_id,
            outcome,
        )
        self._session.hook(
            DuplicateUpload(
                upload.name, upload.folder_id, result.file_id, result.duplicates, trashed
            )
        )

    def _ambiguous(
        self,
        upload: Upload,
        sending: _Sending,
        lost: errors.OutcomeUnknown,
        candidates: tuple[str, ...],
        why: str,
    ) -> errors.AmbiguousUpload:
        told = lost.message.partition(" It may have been carried out")[0].rstrip(".")
        reason = f", {why}" if why else ""
        noun = "candidate" if len(candidates) == 1 else "candidates"
        count = f" ({len(candidates)} {noun}: {', '.join(candidates)})" if candidates else ""
        times = {1: "once", 2: "twice"}.get(sending.sends, f"{sending.sends} times")
        return errors.AmbiguousUpload(
            f"{told}{reason}. It was sent {times}, and may be in folder {upload.folder_id}{count}. "
            "Look there before you upload it again.",
            file_name=upload.name,
            folder_id=upload.folder_id,
            candidates=candidates,
            sends=sending.sends,
        )


_WHY = {
    Before.NOTHING: "and no file in the folder can be it",
    Before.UNPROVEN: "and what is in the folder cannot be told from another file",
    Before.TOO_MANY: "and the folder holds more equal files than were sent",
}


class _Unnamed(errors.OutcomeUnknown):
    """The service accepted the file, so it is never sent again, but its id has to be found."""
