"""The sandbox's own page, at `/`: the account, the requests, and controls.

Its modules are imported at the first visit, so that they cost nothing in a test. The
guard of the sandbox accepts only this machine's own names for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ccv2_async.sandbox.operations import Operation
    from ccv2_async.sandbox.world import World

WORDS = frozenset({"", "requests", "jobs", "contacts", "campaigns", "controls", "page"})
"""The first words of the page's paths."""


class _Lazy:
    """ASGI application that makes the page when it is first requested.

    Args:
        world: The state of the sandbox.
        operations: The operations of the API.
    """

    def __init__(self, world: World, operations: Sequence[Operation]) -> None:
        self._made_of = world, operations
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._app is None:
            # It imports Jinja, which no test needs.
            from ccv2_async.sandbox.page.app import make_page  # noqa: PLC0415

            self._app = make_page(*self._made_of)
        await self._app(scope, receive, send)


def is_page(path: str) -> bool:
    """Return whether a path belongs to the page."""
    return path.removeprefix("/").partition("/")[0] in WORDS


def page_routes(world: World, operations: Sequence[Operation]) -> list[Route]:
    """Return the routes of the page."""
    page = _Lazy(world, operations)
    paths = [f"/{word}" for word in WORDS] + [f"/{word}/{{rest:path}}" for word in WORDS - {""}]
    return [Route(path, page) for path in paths]
