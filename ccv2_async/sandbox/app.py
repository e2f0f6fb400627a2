"""The ASGI application: the API below `/v2`, its OpenAPI document, the page, and the admin path.

The sandbox's key and token are public, so a page in the developer's browser could use it: across
origins by a plain form, or as its own origin after DNS rebinding. A browser cannot forge the
headers `Host`, `Origin` and `Sec-Fetch-Site`, so the guard checks them:

================  =============================================================================
header            rule
================  =============================================================================
`Host`            on the page and the admin path: 127.0.0.1, localhost or [::1]; elsewhere no name
                  that a stranger can register: only those, other addresses, names without a dot,
                  or the service's own, for an SDK that finds the sandbox through the hosts file. A
                  sandbox that other machines can reach also accepts addresses and names without a
                  dot there; every sandbox accepts the host that it was told to use
`Origin`          absent, or the sandbox's own
`Sec-Fetch-Site`  for requests that change something: absent, `none` or `same-origin`
`Content-Type`    JSON, for a body sent to the admin path: a page cannot send that by itself
================  =============================================================================

Clients that are not browsers send no `Origin` and are not affected. Forms of the sandbox's own page
have to send it; see `page.app`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from ccv2_async.sandbox.admin import PREFIX, admin_routes
from ccv2_async.sandbox.areas import (
    account,
    activities,
    campaigns,
    contacts,
    events,
    library,
    tracking,
)
from ccv2_async.sandbox.content import content_routes
from ccv2_async.sandbox.dispatch import Endpoint
from ccv2_async.sandbox.gateway import API, Gateway
from ccv2_async.sandbox.oauth import oauth_routes
from ccv2_async.sandbox.openapi import openapi_document
from ccv2_async.sandbox.page import is_page, page_routes
from ccv2_async.sandbox.responses import APIResponse, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ccv2_async.sandbox.operations import Operation
    from ccv2_async.sandbox.world import World

_AREAS = (library, activities, contacts, campaigns, tracking, events, account)
OPERATIONS: tuple[Operation, ...] = tuple(row for area in _AREAS for row in area.OPERATIONS)
_LOCAL = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE)
_UNREGISTRABLE = re.compile(
    r"([0-9]+(\.[0-9]+){3}|\[[0-9a-f:.]+\]|[a-z0-9_-]+)(:[0-9]+)?", re.IGNORECASE
)
_SERVICE = re.compile(r"api\.constantcontact\.com(:[0-9]+)?", re.IGNORECASE)
_READING = frozenset({"GET", "HEAD"})
_OWN_SITE = frozenset({"none", "same-origin"})
_JSON = "application/json"


def make_app(world: World) -> Starlette:
    """Return the application that serves one sandbox."""
    paths: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, []).append(operation)
    routes = [
        Route(API + path, Endpoint(operations, world), name=path)
        for path, operations in paths.items()
    ]
    app = Starlette(
        routes=[
            *routes,
            Route("/openapi.json", _openapi),
            *content_routes(world),
            *activities.export_routes(world),
            *admin_routes(world),
            *oauth_routes(world),
            *page_routes(world, OPERATIONS),
        ],
        middleware=[Middleware(Gateway, world=world)],
        exception_handlers=dict.fromkeys((HTTPException, Refusal, Exception), _refuse),
    )
    app.router.redirect_slashes = False
    return app


async def _openapi(_request: Request) -> Response:
    return APIResponse(body=openapi_document(OPERATIONS))


async def _refuse(_request: Request, problem: Exception) -> Response:
    if isinstance(problem, HTTPException):
        problem = Refusal(problem.status_code, "There is nothing here.")
    elif not isinstance(problem, Refusal):
        problem = Refusal(500, "The sandbox failed; see its log.")
    return problem.answer()


class Guard:
    """ASGI middleware that refuses requests that only a web page would send; see the module.

    Args:
        app: The application behind it.
        host: The host that the sandbox was told to use.
        local: Whether only this machine can reach it.
    """

    def __init__(self, app: ASGIApp, host: str, *, local: bool) -> None:
        self._app = app
        own = re.compile(rf"(\[{re.escape(host)}\]|{re.escape(host)})(:[0-9]+)?", re.IGNORECASE)
        self._of_api = (_LOCAL, own, _UNREGISTRABLE, _SERVICE)
        self._of_admin = (_LOCAL, own) if local else (_LOCAL, own, _UNREGISTRABLE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if scope["type"] == "http":
                own = _is_admin(scope) or is_page(scope["path"])
                _check(scope, self._of_admin if own else self._of_api)
        except Refusal as problem:
            await problem.answer()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_admin(scope: Scope) -> bool:
    return bool(scope["path"].startswith(PREFIX))


def _check(scope: Scope, known: Iterable[re.Pattern[str]]) -> None:
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    for host in hosts:
        if not any(form.fullmatch(host) for form in known):
            raise Refusal(
                403, "Host must be 127.0.0.1, localhost, [::1], or the sandbox's own host."
            )
    own = f"{scope['scheme']}://{hosts[0] if hosts else ''}".lower()
    if any(origin.lower() != own for origin in headers.getlist("origin")):
        raise Refusal(403, "Origin is another site: web pages may not use the sandbox.")
    if scope["method"] in _READING:
        return
    if not _OWN_SITE.issuperset(headers.getlist("sec-fetch-site")):
        raise Refusal(403, "Sec-Fetch-Site is another site: web pages may not use the sandbox.")
    if _is_admin(scope):
        _check_content_type(headers)


def _check_content_type(headers: Headers) -> None:
    types = headers.getlist("content-type")
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    plain = [value.partition(";")[0].strip().lower() for value in types]
    if plain != [_JSON] and (types or has_body):
        raise Refusal(415, f"Content-Type must be {_JSON} below {PREFIX}.")
