"""Keep web pages out of a sandbox that listens on the developer's machine.

The sandbox's key and token are public, so a page in the developer's browser could use it: across
origins by a plain form, or as its own origin after DNS rebinding. A browser cannot forge the
headers `Host`, `Origin` and `Sec-Fetch-Site`, so the guard checks them:

================  =============================================================================
header            rule
================  =============================================================================
`Host`            on the admin path: names 127.0.0.1, localhost or [::1]; elsewhere not a name
                  that a stranger can register: those, another address, a name without a dot, or
                  the service's own, which an SDK sends that finds the sandbox by the hosts file
`Origin`          absent, or the sandbox's own
`Sec-Fetch-Site`  for requests that change something: absent, `none` or `same-origin`
`Content-Type`    JSON, for a body sent to the admin path: a page cannot send that unasked
================  =============================================================================

Clients that are not browsers send no `Origin` and notice nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from ccv2_async.sandbox.admin import PREFIX
from ccv2_async.sandbox.answers import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOCAL = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.IGNORECASE)
_OTHERS = re.compile(
    r"([0-9]+(\.[0-9]+){3}|\[[0-9a-f:.]+\]|[a-z0-9_-]+|api\.constantcontact\.com)(:[0-9]+)?",
    re.IGNORECASE,
)
_READING = frozenset({"GET", "HEAD"})
_OWN_SITE = frozenset({"none", "same-origin"})
_JSON = "application/json"


class Guard:
    """ASGI middleware that refuses requests that only a web page would send; see the module.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if scope["type"] == "http":
                _check(scope)
        except Refusal as problem:
            await problem.answer()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _check(scope: Scope) -> None:
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    known = (_LOCAL,) if scope["path"].startswith(PREFIX) else (_LOCAL, _OTHERS)
    for host in hosts:
        if not any(form.fullmatch(host) for form in known):
            raise Refusal(403, "Host must be 127.0.0.1, localhost or [::1].")
    own = f"{scope['scheme']}://{hosts[0] if hosts else ''}".lower()
    if any(origin.lower() != own for origin in headers.getlist("origin")):
        raise Refusal(403, "Origin is another site: web pages may not use the sandbox.")
    if scope["method"] in _READING:
        return
    if not _OWN_SITE.issuperset(headers.getlist("sec-fetch-site")):
        raise Refusal(403, "Sec-Fetch-Site is another site: web pages may not use the sandbox.")
    if scope["path"].startswith(PREFIX):
        _check_content_type(headers)


def _check_content_type(headers: Headers) -> None:
    types = headers.getlist("content-type")
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    plain = [value.partition(";")[0].strip().lower() for value in types]
    if plain != [_JSON] and (types or has_body):
        raise Refusal(415, f"Content-Type must be {_JSON} below {PREFIX}.")
