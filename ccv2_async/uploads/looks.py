"""Look for an upload in its folder: read the newest files, and compare their bytes.

Uploads that need to check the same folder at the same time share one listing.
"""

from __future__ import annotations

import math
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

import anyio
import attrs

from ccv2_async import errors
from ccv2_async.models import LibraryFile
from ccv2_async.models.convert import BadRow
from ccv2_async.models.hooks import Misread
from ccv2_async.models.library import ROOT_FOLDER_IDS
from ccv2_async.transport.calls.call import UPLOAD_DEADLINE, Call
from ccv2_async.transport.calls.responses import Cursors, cursor, is_id, segment
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota.leader import SharedWork, Waiter
from ccv2_async.uploads.settle import Evidence

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ccv2_async.models.convert import Page
    from ccv2_async.transport.calls.call import Response
    from ccv2_async.transport.calls.deadline import Deadline
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.sources import OpenSource, Source
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.transport.quota import Lane

Query: TypeAlias = "tuple[tuple[str, str], ...]"

ROWS = 500
PAGES = 20
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
_MAX_PAGE = 4 * 1024 * 1024  # room for 500 records of 8 KB


@attrs.define(eq=False)
class Look:
    """One listing of a folder, newest files first; its pages are fetched as they are needed.

    Attributes:
        clock_offset: Seconds that the service's clock is ahead of the monotonic clock, or None when
            the service sent no time, or a time without a zone.
        taken: The time when the first page arrived, on the monotonic clock.
    """

    path: str
    what: str
    clock_offset: float | None = None
    taken: float = 0.0
    _pages: list[list[LibraryFile]] = attrs.field(factory=list)
    _query: Query | None = (("limit", str(ROWS)), ("sort_by", "CREATED_DATE_DESC"))
    _failure: errors.ConstantContactError | None = None

    async def page(self, number: int, session: Session, lane: Lane) -> list[LibraryFile] | None:
        """Return the files of a page, from 0; None after the last one.

        Raises:
            PaginationError: There are too many newer files.
            ConstantContactError: The folder cannot be read. Everyone who shares the look gets the
                error.
        """
        if self._failure is not None:
            raise self._failure
        while len(self._pages) <= number and self._query is not None:
            try:
                with session.no_deadline():  # others who share the look may have more time
                    await self._fetch(self._query, session, lane)
            except errors.ConstantContactError as failure:
                self._failure = failure
                raise
        return self._pages[number] if number < len(self._pages) else None

    async def _fetch(self, query: Query, session: Session, lane: Lane) -> None:
        if len(self._pages) == PAGES or sum(map(len, self._pages)) >= PAGES * ROWS:
            raise errors.PaginationError(
                f"{self.what}: only the {PAGES * ROWS:,} newest files were checked. Check the "
                "others yourself."
            )
        call = Call(
            "GET", self.path, Effect.SAFE, self.what, query, lane=lane, max_response=_MAX_PAGE
        )
        files, next_link, theirs = await session.read(call, _page_of)
        try:
            following = cursor(next_link)
        except ValueError:
            raise errors.PaginationError(f"{self.what}: the next link has no cursor.") from None
        if not self._pages:
            self.taken = session.clock.monotonic()
            self.clock_offset = None if theirs is None else theirs - self.taken
        self._query = None if following is None else (("next", following),)
        self._pages.append(files)


class FolderLooks:
    """Looks at folders; uploads that wait to look at the same folder share one look.

    Args:
        session: Sends the calls.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turns: WeakValueDictionary[str, _Turns] = WeakValueDictionary()

    async def look(
        self, folder_id: str, lane: Lane, limit: Deadline | None = None
    ) -> AsyncGenerator[tuple[Look, LibraryFile], None]:
        """Yield the files of a folder, newest first, from a look that begins after this call.

        Args:
            folder_id: The folder; the root's IDs are all the same folder.
            lane: The lane of the calls.
            limit: The deadline of the caller.

        Raises:
            ConstantContactError: The folder cannot be read. Safe to try again: yes.
            TimeoutError: The deadline passed.
        """
        key = "0" if folder_id in ROOT_FOLDER_IDS else folder_id
        turns = self._turns.setdefault(key, _Turns(self._session))
        if turns.waiting is None:
            turns.waiting = Look(_path_of(key), f"looking in folder {folder_id}")
        look = turns.waiting
        for number in count():
            if (files := await turns.page(look, number, lane, limit)) is None:
                return
            for file in files:
                yield look, file


class _Turns:
    """The callers that look at one folder: one request at a time; those that wait share a look."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._work = SharedWork(session.clock)
        self._wanted: dict[Waiter, tuple[Look, int, Lane]] = {}
        self.waiting: Look | None = None

    async def page(
        self, look: Look, number: int, lane: Lane, limit: Deadline | None
    ) -> list[LibraryFile] | None:
        """Return a page of a look; the caller with the most time fetches it for all."""
        waiter = Waiter()
        self._wanted[waiter] = look, number, lane
        self._work.enter(waiter, None if limit is None else limit.left)
        try:
            while not waiter.done:
                await self._work.lead_or_sleep(waiter, self._fetch_first)
        finally:
            del self._wanted[waiter]
            self._work.leave(waiter)
        return await look.page(number, self._session, lane)

    async def _fetch_first(self) -> None:
        """Fetch the page that a caller has waited for longest, for all that wait for it."""
        look, number, lane = next(want for by, want in self._wanted.items() if not by.done)
        if self.waiting is look:
            self.waiting = None  # it begins: later callers need a newer one
        with suppress(errors.ConstantContactError):  # the look keeps it for all that share it
            await look.page(number, self._session, lane)
        for waiter, wanted in self._wanted.items():
            if wanted[:2] == (look, number):
                waiter.finish()


def _path_of(folder_id: str) -> str:
    return "/library/files" if folder_id == "0" else f"/library/folders/{segment(folder_id)}/files"


def _page_of(response: Response) -> tuple[list[LibraryFile], str | None, float | None]:
    """Return the files of a page, the link to the next one, and the time of the response.

    All pages of a look are kept, so unknown fields are left out.
    """
    page = _rows(response)
    files = [_stand_in(row) if isinstance(row, BadRow) else row for row in page.results]
    slim = [attrs.evolve(file, extra={}) if file.extra else file for file in files]
    return slim, page.next_link, response.date


def _rows(response: Response) -> Page[LibraryFile | BadRow]:
    """Return a page; a row with an ID that no file can have, or without a name, is a `BadRow`."""
    page = response.rows(LibraryFile, paged=True)
    for at, file in enumerate(page.results):
        if isinstance(file, LibraryFile) and not (is_id(file.id) and file.name):
            field, kind = ("name", "a name") if is_id(file.id) else ("id", "the ID of a file")
            flaw = Misread(kind, getattr(file, field)).under(field).under(at).under("results")
            page.results[at] = BadRow(at, attrs.asdict(file), flaw, response.what, response.redact)
    return page


def _stand_in(row: BadRow) -> LibraryFile:
    """Return the known fields of a file whose row cannot be read; an unknown name is empty."""
    fields = row.row if isinstance(row.row, dict) else {}
    name, size = fields.get("name"), fields.get("size")
    return LibraryFile(
        id=id_ if is_id(id_ := row.id("id")) else f"in row {row.index}",
        name=name if isinstance(name, str) else "",
        size=size if type(size) is int else None,
        folder_id=folder if isinstance(folder := fields.get("folder_id"), str) else None,
    )


async def every_file(
    folder_id: str, session: Session
) -> AsyncGenerator[LibraryFile | errors.UnreadableRow, None]:
    """Yield the files of a folder; for the root, those of the whole library.

    A row with a flaw is yielded as far as it can be read, or as an error if it is not known which
    file it is.

    Raises:
        ConstantContactError: The folder cannot be read. Safe to try again: yes.
    """
    at_root = folder_id in ROOT_FOLDER_IDS
    what = "library files" if at_root else f"files of folder {folder_id}"
    path, cursors, before = _path_of("0" if at_root else folder_id), Cursors(what), 0
    query: Query = (("limit", "1000"),)
    while True:
        page = await session.read(Call("GET", path, Effect.SAFE, what, query), _rows)
        for row in page.results:
            file = _stand_in(row) if isinstance(row, BadRow) else row
            if isinstance(row, LibraryFile) or (
                is_id(file.id) and file.name and isinstance(row.row.get("folder_id"), str | None)
            ):
                yield file
            else:
                yield row.error(before, stops=False)
        before += len(page.results)
        if (following := cursors.after(page.results, page.next_link)) is None:
            return
        query = (("next", following),)


async def compare(
    source: Source, size: int | None, file: LibraryFile, session: Session, threads: FileThreads
) -> Evidence:
    """Fetch a file of the library, and return whether it holds the bytes that were sent.

    A picture that the service has converted proves nothing, because its length differs from the
    record. A page served in place of the file proves nothing either.

    Args:
        source: The source of the upload.
        size: Its length in bytes, or None if it was never opened.
        file: The library's record, with the URL of its bytes.
        session: Fetches the file; the key and the token go to the API's own host only.
        threads: The threads that read files.
    """
    if size is None or not file.url or file.size not in (size, None):
        return Evidence.UNKNOWN
    with suppress(errors.ConstantContactError):
        if (sent := await _digest_of(source, size, threads)) is not None:
            _, length, digest = await _fetched(file, size, session, threads)
            if length == size:
                return Evidence.SAME_BYTES if digest == sent else Evidence.OTHER_BYTES
    return Evidence.UNKNOWN


async def is_same_picture(
    one: LibraryFile, other: LibraryFile, session: Session, threads: FileThreads
) -> bool:
    """Fetch two files of the library, and return whether both hold the same picture.

    The service may have converted both. Any other content can be a page in place of a file, and
    proves nothing.
    """
    with suppress(errors.ConstantContactError):
        found = [await _fetched(file, math.inf, session, threads) for file in (one, other)]
        return found[0] == found[1] and found[0][0].startswith(_PICTURES)
    return False


async def _fetched(
    file: LibraryFile, most: float, session: Session, threads: FileThreads
) -> tuple[bytes, int, bytes]:
    """Return the first bytes of a file of the library, its length, and its digest.

    It stops once there are more than `most` bytes.
    """
    head, length, digest = b"", 0, blake2b()
    with session.deadline(UPLOAD_DEADLINE):  # the bytes may trickle in without end
        async with session.download(file.url or "", f"library file {file.id}") as pieces:
            async for piece in pieces:
                head, length = (head + piece[:4])[:4], length + len(piece)
                if length > most:
                    break
                await threads.run(digest.update, piece)
    return head, length, digest.digest()


async def _digest_of(source: Source, size: int, threads: FileThreads) -> bytes | None:
    """Return the digest of a source; None if it differs from the bytes that were sent."""
    if isinstance(source, DigestedSource):
        return source.digest
    opened = await source.open(threads)
    try:
        digest, left = blake2b(), opened.length
        if left != size:
            return None
        while left:
            block = await opened.read()
            left -= len(block)
            await threads.run(digest.update, block)
    finally:
        with anyio.CancelScope(shield=True):
            await opened.aclose()
    return digest.digest()


class DigestedSource:
    """A source that can be read once, and remembers the digest of what was read.

    Args:
        source: The stream or the file object.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.filename: str | None = source.filename
        self.name: str = source.name
        self.digest: bytes | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it can be opened, or opened again."""
        return self._source.repeatable

    async def prepare(self, threads: FileThreads) -> int:
        """Return its exact length in bytes."""
        return await self._source.prepare(threads)

    async def open(self, threads: FileThreads) -> OpenSource:
        """Open it for one attempt."""
        return _Digested(self, await self._source.open(threads), threads)


class _Digested:
    def __init__(self, source: DigestedSource, opened: OpenSource, threads: FileThreads) -> None:
        self.length = self._left = opened.length
        self._source = source
        self._opened = opened
        self._threads = threads
        self._hash = blake2b()

    async def read(self) -> bytes:
        block = await self._opened.read()
        await self._threads.run(self._hash.update, block)
        self._left -= len(block)
        if not self._left:
            self._source.digest = self._hash.digest()
        return block

    async def aclose(self) -> None:
        await self._opened.aclose()
