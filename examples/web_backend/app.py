"""The application: one client for all requests, one request per file, one event stream per page.

Run it with `python -m examples.web_backend --sandbox`, or pass `create_app` to your own server.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from fastapi import (
    Cookie,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    Request,  # noqa: TC002  # FastAPI reads the annotations
)
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.requests import ClientDisconnect

from ccv2_async import ConstantContact, errors

from .board import Board
from .incoming import TooLarge, incoming
from .live import Live
from .uploads import Phase, Store, Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async import Progress

STATIC = Path(__file__).parent / "static"
COOKIE = "visitor"
LARGEST = 5 * 1024 * 1024

logger = logging.getLogger("web_backend")

_SAFE = {
    # No matter what a file is named, the page loads and runs only our own files.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@attrs.frozen
class Backend:
    """What all requests share.

    Attributes:
        client: The one client.
        board: Where updates of uploads are published.
        largest: The maximum size of a file in bytes.
    """

    client: ConstantContact
    board: Board
    largest: int


def create_app(
    open_client: Callable[[], ConstantContact] = ConstantContact.from_env,
    *,
    database: str | Path = "uploads.db",
    largest: int = LARGEST,
) -> FastAPI:
    """Create the application.

    Args:
        open_client: Makes the client when the server starts.
        database: The SQLite file that keeps the uploads' tokens.
        largest: The maximum size of a file in bytes; `library.info()` says what the account allows.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_client() as client, Store.opened(database) as store:
            app.state.backend = Backend(client, Board(store), largest)
            yield

    app = FastAPI(title="Upload to MyLibrary", lifespan=lifespan)
    app.add_api_route("/", page, response_class=FileResponse, include_in_schema=False)
    app.add_api_route("/uploads", send_on, methods=["POST"])
    app.add_api_route("/uploads", live, methods=["GET"], response_class=Response)
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


async def backend_of(request: Request) -> Backend:
    """Return what all requests share. It is async, so FastAPI does not run it in a thread."""
    backend: Backend = request.app.state.backend
    return backend


async def visitor_of(visitor: Annotated[str, Cookie()] = "") -> str:
    """Return the visitor. A real application would check its own login here."""
    if not visitor:
        raise HTTPException(403, "Open the page first: it sets the cookie that tells you apart.")
    return visitor


async def page(visitor: Annotated[str, Cookie()] = "") -> FileResponse:
    """Return the page, with a cookie that connects the uploads to the visitor."""
    response = FileResponse(STATIC / "index.html", headers=_SAFE)
    response.set_cookie(
        COOKIE,
        visitor or secrets.token_urlsafe(),
        max_age=30 * 86_400,
        httponly=True,
        samesite="strict",
    )
    return response


async def live(
    backend: Annotated[Backend, Depends(backend_of)], visitor: Annotated[str, Depends(visitor_of)]
) -> Live:
    """Stream the visitor's uploads and their updates as server-sent events."""
    return Live(backend.client, backend.board, visitor)


async def send_on(
    request: Request,
    name: Annotated[str, Query(min_length=1, max_length=255)],
    backend: Annotated[Backend, Depends(backend_of)],
    visitor: Annotated[str, Depends(visitor_of)],
) -> Response:
    """Forward the body of this request to the library while it arrives.

    The response is sent as soon as the library has accepted the file; the event stream reports what
    happens next. If the browser disconnects, the upload to the library is aborted, and the library
    keeps none of it.
    """
    upload = Upload(owner=visitor, name=name, size=int(request.headers.get("content-length", 0)))
    board = backend.board
    await board.put(upload)
    try:
        accepted = await _passed_on(request, backend, upload)
    except ClientDisconnect:
        gone = "Interrupted: the browser disconnected before the whole file had arrived."
        await board.put(attrs.evolve(upload, phase=Phase.BROKEN, message=gone))
        return Response(status_code=499)  # nobody reads it; the log does
    except asyncio.CancelledError:
        # The server has waited long enough, and stops. At the next start, the upload says so.
        return Response(status_code=503)
    except TooLarge:
        status, message = 413, f"Larger than {backend.largest / 2**20:g} MB."
    except errors.UsageError as error:
        status, message = 422, str(error)
    except errors.ConstantContactError as error:
        logger.warning("%s could not be forwarded: %s", upload.name, error)
        status, message = 502, str(error)
    else:
        await board.put(accepted)
        return JSONResponse(accepted.shown(), 202)
    await board.put(attrs.evolve(upload, phase=Phase.REFUSED, message=message))
    # The response is sent immediately. The server reads and drops what the browser still sends, so
    # that a browser that reads its response last sees it too.
    return JSONResponse({"detail": message}, status)


async def _passed_on(request: Request, backend: Backend, upload: Upload) -> Upload:
    """Return the upload once the library has accepted it."""

    def progress(now: Progress) -> None:
        backend.board.show(attrs.evolve(upload, sent=now.sent, size=now.total))

    async with incoming(request, largest=backend.largest) as body:
        poller = await backend.client.library.begin_upload(
            body.source, name=upload.name, length=body.length, on_progress=progress
        )
    return attrs.evolve(
        upload,
        size=body.length,
        sent=body.length,
        phase=Phase.PROCESSING,
        token=poller.token(),
    )


def stop_streams(app: Any) -> None:
    """End the event streams of all open pages. Call it in the event loop when the server stops.

    Args:
        app: The application that `create_app` returned. Before its startup, there are no streams.
    """
    backend: Backend | None = getattr(app.state, "backend", None)
    if backend is not None:
        backend.board.close()
