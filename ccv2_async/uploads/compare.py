"""Compare a file of the library with what was sent, byte by byte."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import anyio

from ccv2_async import errors
from ccv2_async.uploads.settle import Evidence

if TYPE_CHECKING:
    from ccv2_async.models import LibraryFile
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.sources import OpenSource, Source
    from ccv2_async.transport.files.threads import FileThreads


async def compare(
    source: Source,
    size: int | None,
    file: LibraryFile,
    session: Session,
    threads: FileThreads,
) -> Evidence:
    """Fetch a file of the library, and return whether it holds the bytes that were sent.

    A picture that the service has converted is no evidence: its length differs from what the
    record says. Neither is a page that stands in for the file.

    Args:
        source: What was sent.
        size: Its length in bytes, or None if it was never opened.
        file: The library's record, with the URL of its bytes.
        session: Where the file is fetched; the key and the token go to the API's own host only.
        threads: Where files are read.
    """
    if size is None or not file.url or file.size not in (size, None):
        return Evidence.UNKNOWN
    try:
        sent = await _digest_of(source, size, threads)
        if sent is None:
            return Evidence.UNKNOWN
        digest, length = blake2b(), 0
        async with session.download(file.url, f"library file {file.id}") as pieces:
            async for piece in pieces:
                length += len(piece)
                if length > size:
                    return Evidence.UNKNOWN
                await threads.run(digest.update, piece)
    except errors.ConstantContactError:
        return Evidence.UNKNOWN
    if length != size:
        return Evidence.UNKNOWN
    return Evidence.SAME_BYTES if digest.digest() == sent else Evidence.OTHER_BYTES


async def _digest_of(source: Source, size: int, threads: FileThreads) -> bytes | None:
    """Return the digest of what a source holds; None if that is not what was sent."""
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
        """Whether it can be opened (once more)."""
        return self._source.repeatable

    async def prepare(self, threads: FileThreads) -> int:
        """Return its exact length in bytes."""
        return await self._source.prepare(threads)

    async def open(self, threads: FileThreads) -> OpenSource:
        """Open it for one attempt."""
        return _Digested(self, await self._source.open(threads), threads)


class _Digested:
    def __init__(self, source: DigestedSource, opened: OpenSource, threads: FileThreads) -> None:
        self.length = opened.length
        self._source = source
        self._opened = opened
        self._threads = threads
        self._hash = blake2b()
        self._left = opened.length

    async def read(self) -> bytes:
        block = await self._opened.read()
        await self._threads.run(self._hash.update, block)
        self._left -= len(block)
        if not self._left:
            self._source.digest = self._hash.digest()
        return block

    async def aclose(self) -> None:
        await self._opened.aclose()
