"""The body of a request as a source for the library: forwarded as it arrives, or spooled.

A page sends each file as its own request, whose Content-Length is that of the file. Such a body is
forwarded block by block as it arrives, and is not stored. A body without a length, such as one from
`curl -T -`, has to be read completely first, because the service needs the length in advance. Up to
`IN_MEMORY` bytes stay in memory; a larger body goes to a temporary file, which a thread writes.
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
    """The body is too large for the library."""


@attrs.frozen
class Incoming:
    """A body that is ready to be forwarded.

    Attributes:
        source: An argument for `begin_upload`: an async stream, or a function that opens a new one.
        length: The exact length in bytes.
    """

    source: Any
    length: int


@asynccontextmanager
async def incoming(request: Request, *, largest: int) -> AsyncIterator[Incoming]:
    """Make a source of the request's body.

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
    # Beyond its limit it writes to disk, but then only a thread uses it.
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
        # Wait even if the request is cancelled: the file must not be closed while it is in use.
        with anyio.CancelScope(shield=True):
            return await to_thread.run_sync(action, argument)
