"""The bytes of library files and of exports, from the URLs that their records name."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from ccv2_async import errors
from ccv2_async.models.activities import ActivityStatus, ActivityType
from ccv2_async.models.library import LibraryFile
from ccv2_async.resources.base import path_to
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.calls.saving import Download
from ccv2_async.transport.files.body import ProgressReporter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from ccv2_async.models.activities import Activity
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.body import ProgressCallback

_LONGEST_PAGE = 64 * 1024
"""Bytes that are held back while they may be a page in place of a file."""

_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n\v\f"  # byte order marks, and blanks


def download_of(
    session: Session, file: LibraryFile, on_progress: ProgressCallback | None = None
) -> Download:
    """Return the download of a file, which can be opened more than once.

    Raises:
        InvalidField: The file has no URL.
    """
    source = _Source(session, file)
    if on_progress is not None:
        source.reporter = ProgressReporter(on_progress, name=file.name, clock=session.clock)
    return Download(source.what, source.open)


class _Source:
    """One file, with the URL of its bytes, which may expire.

    Raises:
        InvalidField: The file has no URL.
    """

    def __init__(self, session: Session, file: LibraryFile) -> None:
        self._session = session
        self._file = file
        self._link = _link_of(file)
        self._renewed = False
        self.what = f"library file {file.id}"
        self.reporter: ProgressReporter | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the bytes in pieces of any size, from the beginning."""
        async with AsyncExitStack() as stack:
            try:
                pieces = await self._enter(stack)
            except (errors.Forbidden, errors.NotFound):
                if not await self._renew():
                    raise
                pieces = await self._enter(stack)
            pieces = await stack.enter_async_context(aclosing(self._without_page(pieces)))
            yield await stack.enter_async_context(aclosing(self._counted(pieces)))

    async def _enter(self, stack: AsyncExitStack) -> AsyncIterator[bytes]:
        return await stack.enter_async_context(self._session.download(self._link, self.what))

    async def _renew(self) -> bool:
        """Read the record once more, and return whether it names another URL."""
        if self._renewed:
            return False
        id_ = self._file.id
        call = Call("GET", path_to("/library/files/{}", id_), Effect.SAFE, self.what)
        file = await self._session.read(call, lambda response: response.read(LibraryFile, id_))
        self._renewed, expired = True, self._link
        self._file, self._link = file, _link_of(file)
        return self._link != expired

    async def _without_page(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield the pieces, but raise for a short page before yielding any of it.

        A file may begin like a page too. Then its size matches its record.
        """
        held = bytearray()
        async for piece in pieces:
            held += piece
            del piece  # a page may echo the key, and a traceback may show it
            if not _is_page(held) or len(held) > _LONGEST_PAGE:
                yield bytes(held)
                held.clear()
                break
        if held and len(held) != self._file.size:
            held.clear()
            raise errors.DecodeError(f"{self.what}: a page arrived instead of the file.")
        if held:
            yield bytes(held)
        async for piece in pieces:
            yield piece

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Yield the pieces, and check their size against the record."""
        size, expected, reporter = 0, self._file.size, self.reporter
        if reporter is not None:
            await reporter.begin(expected or 0)
        async for piece in pieces:
            size += len(piece)
            if expected is not None and size > expected:
                del piece  # as above
                raise errors.DecodeError(
                    f"{self.what}: more bytes arrived than the {expected:,} in its record. Read "
                    "the record again; the file may have changed."
                )
            yield piece
            if reporter is not None:
                await reporter.advance(size)
        if expected is not None and size < expected:
            raise errors.ConnectionLost(
                f"{self.what}: {size:,} of its {expected:,} bytes arrived. Download it again.",
                sent="wholly",
            )
        if reporter is not None:
            await reporter.finish()


def _link_of(file: LibraryFile) -> str:
    if not file.url:
        rule = f"it must be a file with a URL; its status is {file.status}"
        raise errors.InvalidField("file", file.id, rule)
    return file.url


def export_of(session: Session, activity: Activity) -> Download:
    """Return the file of an export, to save it or to read it in pieces.

    Opening it sends the request.

    Raises:
        InvalidField: The activity is not a COMPLETE export. Nothing was sent.
    """
    link, what = _link_of_export(activity), f"file of export {activity.id}"

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        async with (
            session.download(link, what) as pieces,
            aclosing(_without_page(pieces, what)) as checked,
        ):
            yield checked

    return Download(what, opened)


def _link_of_export(activity: Activity) -> str:
    """Return the link to an export's file. The `file_name` of other activities is not a link.

    Raises:
        InvalidField: The activity is not a COMPLETE export, or has no file.
    """
    if activity.type != ActivityType.EXPORT_CONTACTS:
        rule = f"it must be an export; its type is {activity.type}"
    elif activity.status != ActivityStatus.COMPLETE:
        rule = f"it must be a COMPLETE export; its status is {activity.status}"
    elif not activity.file_name:
        rule = "it must be an export with a file; this one has none"
    else:
        return activity.file_name
    raise errors.InvalidField("activity", activity.id, rule)


async def _without_page(pieces: AsyncIterator[bytes], what: str) -> AsyncGenerator[bytes, None]:
    """Yield the pieces, but raise for a page before yielding any of it.

    Raises:
        DecodeError: It is a page of HTML, or an error in JSON.
    """
    begun = False
    async for piece in pieces:
        if not begun and _is_page(piece):
            del piece  # as above
            raise errors.DecodeError(f"{what}: a page arrived instead of a CSV file.")
        begun = begun or bool(piece.strip(_BEFORE_TEXT))
        yield piece


def _is_page(begun: bytes | bytearray) -> bool:
    """Return whether content begins like HTML or JSON, in whichever Unicode encoding."""
    return begun.lstrip(_BEFORE_TEXT).startswith((b"<", b"{", b"["))
