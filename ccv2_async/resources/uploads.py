"""One file into the library: the form, the call, and looking before anything is repeated."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import OrderedDict
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

import anyio
import attrs

from ccv2_async import errors
from ccv2_async.models import FileSource, FileType, LibraryFile, Page
from ccv2_async.models.library import ROOT_FOLDER_IDS
from ccv2_async.resources.arguments import checked_id, checked_text, one_of
from ccv2_async.resources.rivals import Opened, Rivals
from ccv2_async.transport.body import MultipartBody
from ccv2_async.transport.budget import Lane
from ccv2_async.transport.calls import UPLOAD_DEADLINE, Call
from ccv2_async.transport.links import cursor, job_id, segment
from ccv2_async.transport.multipart import FilePart, boundary_from, lay_out
from ccv2_async.transport.retry import Effect
from ccv2_async.transport.sources import as_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccv2_async.transport.calls import Answer
    from ccv2_async.transport.progress import ProgressCallback
    from ccv2_async.transport.session import Session
    from ccv2_async.transport.sources import FileInput, Source
    from ccv2_async.transport.threads import FileThreads

OnAmbiguous = Literal["look", "raise"]

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

# How long the listing may lag behind an upload, and how far its clock may be off.
SECOND_LOOK_AFTER = 2.0
CLOCK_SLACK = 2.0
UNKNOWN_CLOCK_SLACK = 120.0
LOOK_ROWS = 50
LOOK_PAGES = 20
CLAIMED_IDS = 10_000


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
        deadline: Seconds that sending it may take, or None.
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


class Uploader:
    """Sends uploads, and settles those that went unanswered.

    Args:
        session: Where the calls go.
        threads: Where files are read.
    """

    def __init__(self, session: Session, threads: FileThreads) -> None:
        self._session = session
        self._threads = threads
        self._secret = os.urandom(32)
        self._numbers = itertools.count()
        # Ids that are spoken for: no other upload may take one of them for its own.
        self._claimed: OrderedDict[str, None] = OrderedDict()
        self._rivals = Rivals(session.clock.time, UNKNOWN_CLOCK_SLACK)
        self._twins: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    async def send(self, upload: Upload, *, unsettled: Unsettled | None = None) -> str:
        """The id under which the service accepted the file.

        Args:
            upload: What to send.
            unsettled: An earlier process sent it and did not live to see the answer; it is looked
                for before anything is sent.

        Raises:
            AmbiguousUpload: It went unanswered, and what is in the folder does not settle
                whether it arrived. Safe to try again: no.
            ConstantContactError: See `errors`; nothing was added to the library.
        """
        # Twins (same name, same folder) go one after the other: while one is under way, a look
        # for the other could take it for its own.
        key = (upload.folder_id, upload.name)
        lock = self._twins.get(key)
        if lock is None:
            lock = self._twins[key] = anyio.Lock(fast_acquire=True)
        opened = _opened(upload.folder_id, upload.name, unsettled)
        with self._rivals.entered(opened):
            async with lock:
                return self._claim(await self._send_or_adopt(upload, opened, unsettled))

    async def require(self, file: FileInput) -> None:
        """Nothing, when a path is that of a file that can be sent; what is no path passes.

        Raises:
            FileRefused: It is no readable regular file, or empty. Nothing was sent.
        """
        if _is_path(file):
            source = as_source(file)
            if await source.prepare(self._threads) == 0:
                raise empty(source.name)

    def claim(self, file_ids: Iterable[str]) -> None:
        """Take it that these files are spoken for: no look may adopt one of them."""
        for file_id in file_ids:
            self._claim(file_id)

    def expect(self, folder_id: str, name: str, unsettled: Unsettled) -> Callable[[], None]:
        """Take it that what a look finds may be this upload of an earlier process.

        Returns:
            What ends that; to be called once the upload is sent with `unsettled`, or let go of.
        """
        opened = _opened(folder_id, name, unsettled)
        self._rivals.expect(opened)
        return lambda: self._rivals.forget(opened)

    async def _send_or_adopt(
        self, upload: Upload, opened: Opened, unsettled: Unsettled | None
    ) -> str:
        lost: errors.OutcomeUnknown | None = None
        if unsettled is not None:
            lost = errors.OutcomeUnknown(
                f"{upload.what}: it was being sent when an earlier run ended."
            )
        sends_left = 2 if unsettled is None else 1
        call = self._call(upload, opened)
        while True:
            if lost is not None:
                found = await self._look_twice(upload, opened, lost)
                if found is not None:
                    return found
                left = self._time_left(upload, opened)
                accepted = isinstance(lost, _Unnamed)
                if accepted or not sends_left or not upload.source.repeatable or left <= 0.0:
                    raise self._ambiguous(upload, lost, ())
                call = attrs.evolve(call, deadline=left if left < math.inf else None)
            sends_left -= 1
            try:
                return await self._send(call, upload)
            except errors.OutcomeUnknown as unknown:
                lost = unknown

    def _time_left(self, upload: Upload, opened: Opened) -> float:
        """Seconds of the caller's deadline that are left since the file was first opened."""
        if upload.deadline is None:
            return math.inf
        if opened.since_here is None:
            return upload.deadline
        return upload.deadline - (self._session.clock.monotonic() - opened.since_here)

    def _call(self, upload: Upload, opened: Opened) -> Call:
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

        clock = self._session.clock

        def note(length: int) -> None:
            if length == 0:
                raise empty(upload.source.name)
            # Noted here and not before: a call may wait for hours until the quota lets it through.
            if opened.since is None:
                opened.since = clock.time()
            if opened.since_here is None:
                opened.since_here = clock.monotonic()
            opened.size = length

        body = MultipartBody(
            layout,
            upload.source,
            self._threads,
            on_progress=upload.on_progress,
            clock=clock,
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
        """A boundary that nobody can foresee.

        Asking the system for each one would give the interpreter's lock away to the threads that
        read files, and wait to get it back.
        """
        number = next(self._numbers).to_bytes(16, "big")
        return boundary_from(blake2b(number, key=self._secret, digest_size=16).digest())

    async def _send(self, call: Call, upload: Upload) -> str:
        answer = await self._session.send(call)
        named = job_id("upload", answer.headers.get("location"), answer.headers.get("id"))
        if named is None:
            raise _Unnamed(
                f"{upload.what}: the service accepted it ({answer.status}) but named no id."
            )
        return named

    async def _look_twice(
        self, upload: Upload, opened: Opened, lost: errors.OutcomeUnknown
    ) -> str | None:
        """The id of the one file that can be this upload; None when there is none."""
        if upload.on_ambiguous == "raise":
            raise self._ambiguous(upload, lost, ())
        found: list[LibraryFile] = []
        for look in range(2):
            if look:
                await self._session.clock.sleep(SECOND_LOOK_AFTER)
            try:
                found = await self._candidates(upload, opened)
            except errors.ConstantContactError as trouble:
                raise self._ambiguous(
                    upload, lost, (), f"and looking for it failed: {trouble.message.rstrip('.')}"
                ) from trouble  # the cause tells callers that another look may settle it
            if found:
                break
        ids = [file.id for file in found]
        for rival in self._rivals.of(opened):
            if any(_may_be(rival, file) for file in found):
                why = f"and what is there may be the upload of {rival.name} as well"
                raise self._ambiguous(upload, lost, ids, why) from lost  # another look may tell
        if len(found) > 1:
            raise self._ambiguous(upload, lost, ids)
        return found[0].id if found else None

    async def _candidates(self, upload: Upload, opened: Opened) -> list[LibraryFile]:
        """Files of the folder, newest first, that could be this upload and are nobody else's.

        Raises:
            PaginationError: The folder gets newer files faster than can be looked through.
        """
        at_root = upload.folder_id in ROOT_FOLDER_IDS
        path = (
            "/library/files" if at_root else f"/library/folders/{segment(upload.folder_id)}/files"
        )
        what = f"looking for {upload.name} in folder {upload.folder_id}"
        query: tuple[tuple[str, str], ...] = (
            ("limit", str(LOOK_ROWS)),
            ("sort_by", "CREATED_DATE_DESC"),
        )
        # By id: files that arrive while we look push a row from one page onto the next as well.
        found: dict[str, LibraryFile] = {}
        for _ in range(LOOK_PAGES):
            answer = await self._session.send(
                Call("GET", path, Effect.SAFE, what, query=query, lane=upload.lane)
            )
            page = answer.read(Page[LibraryFile])
            earliest, latest = self._window(answer, opened)
            found |= {
                file.id: file
                for file in page.results
                if (not at_root or file.folder_id in ROOT_FOLDER_IDS)
                and _may_be(opened, file)
                and _between(earliest, file, latest)
            }
            # Newest first: once a row is older than the upload, so are all that follow.
            older = page.results and not _between(earliest, page.results[-1], math.inf)
            following = None if older else self._cursor(page)
            if following is None:
                # Asked last: another upload may have got its answer while the pages came.
                return [file for file in found.values() if file.id not in self._claimed]
            query = (("next", following),)
        raise errors.PaginationError(
            f"{what}: {LOOK_PAGES * LOOK_ROWS} newer files are in the way. Look there yourself."
        )

    def _cursor(self, page: Page[LibraryFile]) -> str | None:
        try:
            return cursor(page.next_link)
        except ValueError:
            raise errors.PaginationError("the link to the next page holds no cursor.") from None

    def _window(self, answer: Answer, opened: Opened) -> tuple[float, float]:
        """When the service can have made the file, by its own clock."""
        skew, slack = self._clock_of(answer)
        now = self._session.clock.time()
        since = now if opened.since is None else opened.since
        return since + skew - slack, now + skew + slack

    def _clock_of(self, answer: Answer) -> tuple[float, float]:
        """How far the service's clock is ahead of ours, and how sure that is, in seconds."""
        try:
            theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return 0.0, UNKNOWN_CLOCK_SLACK
        return theirs - self._session.clock.time(), CLOCK_SLACK

    def _claim(self, id_: str) -> str:
        self._claimed[id_] = None
        if len(self._claimed) > CLAIMED_IDS:
            self._claimed.popitem(last=False)
        return id_

    def _ambiguous(
        self,
        upload: Upload,
        lost: errors.OutcomeUnknown,
        candidates: list[str] | tuple[()],
        why: str = "",
    ) -> errors.AmbiguousUpload:
        told = lost.message.partition(" It may have been carried out")[0].rstrip(".")
        reason = f", {why}" if why else ""
        noun = "candidate" if len(candidates) == 1 else "candidates"
        count = f" ({len(candidates)} {noun}: {', '.join(candidates)})" if candidates else ""
        return errors.AmbiguousUpload(
            f"{told}{reason}. It may be in folder {upload.folder_id}{count}. Not sent again; look "
            "there, then upload it anew if it is missing.",
            file_name=upload.name,
            folder_id=upload.folder_id,
            candidates=candidates,
        )


class _Unnamed(errors.OutcomeUnknown):
    """The service accepted the file, so it is never sent again, but its id has to be found."""


def _opened(folder_id: str, name: str, unsettled: Unsettled | None) -> Opened:
    if unsettled is None:
        return Opened(folder_id, name)
    return Opened(folder_id, name, size=unsettled.size, since=unsettled.since)


def _may_be(sent: Opened, file: LibraryFile) -> bool:
    """Whether a file of its folder can be what was sent, by name and size."""
    return same_name(sent.name, file.name) and file.size in (sent.size, None)


def _between(earliest: float, file: LibraryFile, latest: float) -> bool:
    """Whether a file can have been made in this time; one without a date can."""
    created = file.created_date
    return created is None or earliest <= created.timestamp() <= latest


def same_name(sent: str, found: str) -> bool:
    """Whether a file of the library can be one that was sent under a name.

    The service numbers names that are taken: IMG_0300.JPG becomes IMG_0300(1).JPG.
    """
    if found == sent:
        return True
    stem, dot, extension = sent.rpartition(".") if "." in sent else (sent, "", "")
    pattern = re.escape(stem) + r" ?\(\d{1,4}\)" + re.escape(dot + extension)
    return re.fullmatch(pattern, found) is not None
