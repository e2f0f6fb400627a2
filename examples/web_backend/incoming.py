"""The body of a request as a source for the library: passed on as it comes, or spooled.

A page sends each file as a request of its own, whose Content-Length is the file's. Such a body is
passed on block by block as it comes in; none of it is kept. A body without a length, such as
`curl -T -` sends, has to be read to its end first, since the service wants to know the length
beforehand: up to `IN_MEMORY` it stays in memory, beyond that it goes to a temporary file, written
by a thread.
"""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

IN_MEMORY = 1024 * 1024


class TooLarge(Exception):  # noqa: N818  # it reads as what happened
    """The body is larger than the library takes."""


@attrs.frozen
class Incoming:
    """A body that is ready to be passed on.

    Attributes:
        source: What `begin_upload` takes: an async stream, or a function that opens a new one.
        length: Its exact length in bytes.
    """

    source: Any
    length: int


@asynccontextmanager
async def incoming(request: Request, *, largest: int) -> AsyncIterator[Incoming]:
    """The request's body as a source.

    Raises:
        TooLarge: It is larger than `largest` bytes.
        ClientDisconnect: The browser went away.
    """
    announced = request.headers.get("content-length")
    if announced is not None:
        if int(announced) > largest:  # the server has checked that it is a number
            raise TooLarge
        yield Incoming(request.stream(), int(announced))
        return
    # Past its limit it writes to disk, but then only a thread touches it.
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        spool = _Spool(file)
        async for block in request.stream():
            if spool.size + len(block) > largest:
                raise TooLarge
            await spool.write(block)
        yield Incoming(spool.opened, spool.size)


class _Spool:
    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
        self._file = file
        self.size = 0

    async def write(self, block: bytes) -> None:
        self.size += len(block)
        await self._run(self._file.write, block)

    async def opened(self) -> AsyncIterator[bytes]:
        await self._run(self._file.seek, 0)

        async def blocks() -> AsyncIterator[bytes]:
            while block := await self._run(self._file.read, IN_MEMORY // 4):
                yield block

        return blocks()

    async def _run(self, action: Any, argument: Any) -> Any:
        if self.size <= IN_MEMORY:
            return action(argument)
        # Waited for even when the request is cancelled: the file must not be closed under it.
        with anyio.CancelScope(shield=True):
            return await to_thread.run_sync(action, argument)
