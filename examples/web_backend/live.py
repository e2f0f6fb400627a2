"""Stream a visitor's uploads as server-sent events, and follow them while a page is open.

An upload that nobody watches is not polled: each open page follows its uploads with
`async for update in poller`, and its tasks end when it is closed. All pages share one client, whose
pollers check up to a hundred uploads in one request, no matter how many pages wait. When a page is
opened again, in this process or after a restart, it continues from the stored tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import attrs
import orjson
from starlette.responses import Response

from ccv2_async import errors
from ccv2_async.models import LibraryFile

from .uploads import Phase

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ccv2_async import ConstantContact

    from .board import Board
    from .uploads import Upload

SILENCE = 15.0
"""The seconds without an update after which a line is sent, so that no proxy closes the stream."""

_ENDS: dict[type[Exception], str] = {
    errors.VirusFound: "A virus was found in the file, so the library refused it.",
    errors.UploadFailed: "The library could not process the file. Is it complete?",
    errors.JobNotFound: "The library no longer knows this file.",
}


async def follow(client: ConstantContact, board: Board, upload: Upload) -> None:
    """Report each change of an upload's status to the board, until the last one."""
    try:
        poller = client.resume_upload(upload.token)
        async for update in poller:
            if not update.is_final:
                await board.put(attrs.evolve(upload, status=update.status or ""))
        file = await poller
    except (errors.PollTimeout, errors.TransportError) as error:
        board.show(attrs.evolve(upload, message=f"Its status is not known right now. {error}"))
    except (errors.JobError, errors.TokenError) as error:
        await board.put(
            attrs.evolve(
                upload,
                phase=Phase.REFUSED,
                status=getattr(error, "status", None) or "",
                message=_ENDS.get(type(error), str(error)),
            )
        )
    except errors.ConstantContactError as error:
        board.show(attrs.evolve(upload, message=str(error)))
    else:
        url = (file.url or "") if isinstance(file, LibraryFile) else ""
        await board.put(attrs.evolve(upload, phase=Phase.ACTIVE, status="Active", url=url))


class Live(Response):
    """The event stream of a page, until the page is closed or the server stops.

    Args:
        client: Follows the uploads.
        board: Where updates come from.
        owner: The owner of the uploads.
    """

    def __init__(self, client: ConstantContact, board: Board, owner: str) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(
            {
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # otherwise nginx would delay the events
            }
        )
        self._client = client
        self._board = board
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Serve the stream. All its tasks have ended when this returns."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async with anyio.create_task_group() as tasks:

            async def until_it_leaves() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_it_leaves)
            await self._tell(send, tasks)
            tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _tell(self, send: Send, tasks: anyio.abc.TaskGroup) -> None:
        followed: set[str] = set()

        def follow_new(uploads: list[Upload]) -> None:
            for upload in uploads:
                if upload.phase is Phase.PROCESSING and upload.id not in followed:
                    followed.add(upload.id)
                    tasks.start_soon(follow, self._client, self._board, upload)

        async def say(text: bytes) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": True})

        # Open the mailbox first, so that no update is missed while the rows are read.
        with self._board.watching(self._owner) as mailbox:
            uploads = await self._board.store.of(self._owner)
            await say(_event("uploads", [upload.shown() for upload in uploads]))
            follow_new(uploads)
            while True:
                news: list[Upload] | None = []
                with anyio.move_on_after(SILENCE):
                    news = await mailbox.get()
                if news is None:
                    return
                for upload in news:
                    await say(_event("upload", upload.shown()))
                follow_new(news)
                if not news:
                    await say(b": nothing new\n\n")


def _event(name: str, data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
