"""The library's records of files that have become Active, many of them in one request.

A record holds the URL, and asking for each by itself would cost a call a file: as many as sending
them. Where many files are under way, those that end within some seconds are looked up together in
the listing, newest first; what is not found there is asked for by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Self

from ccv2_async.errors import ConstantContactError
from ccv2_async.models import FileSortOrder

if TYPE_CHECKING:
    from types import TracebackType

    from ccv2_async.client import ConstantContact
    from ccv2_async.models import LibraryFile

__all__ = ["Records"]

_SECONDS, _MOST_SECONDS = 5.0, 60.0
_FILES_A_SECOND = 100
"""Of more files than so many for each second, each waits longer: a look costs a call."""

_WORTHWHILE = 4
"""Files that have to wait together before the listing is asked for."""

_MANY = 25
"""Files in a run from which on they wait for each other at all."""

_ROWS = (100, 1000)


class Records:
    """Fetches records while its `async with` block lasts.

    Args:
        client: An open client.
        expected: How many files are under way.
    """

    def __init__(self, client: ConstantContact, *, expected: int) -> None:
        self._client = client
        self._together = expected >= _MANY
        self._seconds = min(_MOST_SECONDS, max(_SECONDS, expected / _FILES_A_SECOND))
        self._wanted: dict[str, asyncio.Future[LibraryFile | None]] = {}
        self._asked = asyncio.Event()
        self._collecting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._together:
            self._collecting = asyncio.create_task(self._collect())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._collecting is not None:
            self._collecting.cancel()
            await asyncio.wait([self._collecting])

    async def of(self, poller: Any) -> Any:
        """The result of a job that has succeeded.

        Args:
            poller: The poller of an upload; one of another kind is simply awaited.

        Raises:
            ConstantContactError: The record cannot be had. Safe to try again: yes.
        """
        if not self._together or poller.kind != "upload":
            return await poller
        found = self._wanted[poller.id] = asyncio.get_running_loop().create_future()
        self._asked.set()
        return await found or await poller

    async def _collect(self) -> None:
        while True:
            await self._asked.wait()
            await asyncio.sleep(self._seconds)
            self._asked.clear()
            wanted, self._wanted = self._wanted, {}
            if len(wanted) >= _WORTHWHILE:
                # Whatever goes wrong here, each is asked for by itself.
                with contextlib.suppress(ConstantContactError):
                    await self._look_up(wanted)
            for left in wanted.values():
                _give(left, None)

    async def _look_up(self, wanted: dict[str, asyncio.Future[LibraryFile | None]]) -> None:
        fewest, most = _ROWS
        rows = min(most, max(fewest, 4 * len(wanted)))
        listing = self._client.library.files(sort_by=FileSortOrder.CREATED_DATE_DESC, limit=rows)
        for file in await listing.collect(limit=rows):
            waiting = wanted.pop(file.id, None)
            if waiting is not None:
                _give(waiting, file)


def _give(future: asyncio.Future[LibraryFile | None], file: LibraryFile | None) -> None:
    if not future.done():
        future.set_result(file)
