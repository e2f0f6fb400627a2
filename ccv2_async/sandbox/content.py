"""The host of the files' bytes: a different origin than the API, without key, token, or quota.

The service gives a file a URL on a host for pictures. The sandbox uses a second port for it, so
that a client treats these URLs like the service's.
"""

from __future__ import annotations

import re
from mimetypes import guess_type
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ccv2_async.sandbox.demo import png
from ccv2_async.sandbox.faults import CONTENT, Exchange
from ccv2_async.sandbox.responses import Refusal, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Message, Receive, Scope, Send

    from ccv2_async.sandbox.state.library import StoredFile
    from ccv2_async.sandbox.world import World

_PORT = re.compile(r":[0-9]+$")
_CREDENTIALS = frozenset({"api_key", "access_token"})
_ICON = png("9aa5b1", 178, 200)


def url_of(world: World, stored: StoredFile, origin: str) -> str:
    """Return the URL of a file's bytes.

    Args:
        world: The state of the sandbox.
        stored: The file.
        origin: The API's origin, for a sandbox without a socket.
    """
    ending = stored.file_type.lower()
    return f"{_host(world, origin)}{CONTENT}{world.library.links}/{stored.id}.{ending}"


def icon_url(world: World, origin: str) -> str:
    """Return the URL of the picture that represents every document."""
    return f"{_host(world, origin)}{CONTENT}document.png"


def _host(world: World, origin: str) -> str:
    if world.content_port is not None:
        return f"{_PORT.sub('', origin)}:{world.content_port}"
    return world.content_origin or origin


class Content:
    """ASGI application that serves the bytes of files, with its own log and faults.

    Args:
        world: The state of the sandbox.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        world, log = self._world, self._world.downloads
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        headers = {str(name, "latin-1"): str(value, "latin-1") for name, value in scope["headers"]}
        entry = log.begin(scope, world.clock.time(), query, headers)
        due = entry.time + world.draw_latency()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                await world.clock.sleep_until(due)
            await send(message)

        exchange = Exchange(self._serve, scope, receive, noted, ("", ""))
        try:
            _check_open(query, headers)
            await exchange.run_with_faults(world.faults, scope["path"], entry)
        except Refusal as problem:
            await problem.answer()(scope, receive, noted)
        finally:
            log.end(entry, world.clock.time())

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = scope["path"].removeprefix(CONTENT)
        data = _ICON if place == "document.png" else self._bytes(place)
        kind = guess_type(place)[0] or "application/octet-stream"
        headers = {"X-Content-Type-Options": "nosniff"}
        await Response(data, media_type=kind, headers=headers)(scope, receive, send)

    def _bytes(self, place: str) -> bytes:
        library = self._world.library
        version, _, name = place.partition("/")
        if version != str(library.links):
            raise Refusal(library.expired_status, "This link has expired.")
        file_id, _, ending = name.partition(".")
        stored, data = library.files.get(file_id), library.content(file_id)
        # With another extension, a file could be a page that runs scripts in the sandbox's own
        # origin.
        if stored is None or data is None or ending != stored.file_type.lower():
            raise missing("The content")
        return data


def _check_open(query: Mapping[str, str], headers: Mapping[str, str]) -> None:
    if "authorization" in headers or not _CREDENTIALS.isdisjoint(query):
        raise Refusal(400, "This host must not get the key or the token.")


def content_routes(world: World) -> list[Route]:
    """Return the route of the files' bytes."""
    return [Route(CONTENT + "{path:path}", Content(world), methods=["GET"])]


def make_content_app(world: World) -> Starlette:
    """Return the application of the second port."""

    async def refuse(_request: object, _problem: Exception) -> Response:
        return missing("The page").answer()

    return Starlette(routes=content_routes(world), exception_handlers={404: refuse, 405: refuse})
