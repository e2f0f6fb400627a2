"""The OAuth2 server flow: the authorize page, the token for a code, and token information.

The real authorize page asks the account's owner. The sandbox agrees on the owner's behalf and sends
the browser back immediately, to addresses on this machine only.

Source: "OAuth2 server flow" page of the service's documentation.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ccv2_async.sandbox.world import World

PREFIX = "/oauth2"
USER = "sandbox"
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_TEN_YEARS = 315_360_000


def oauth_routes(world: World) -> list[Route]:
    """Return the routes of the flow."""
    flow = _Flow(world)
    return [
        Route(f"{PREFIX}/oauth/siteowner/authorize", flow.authorize, methods=["GET"]),
        Route(f"{PREFIX}/oauth/token", flow.token, methods=["POST"]),
        Route(f"{PREFIX}/tokeninfo.htm", flow.token_info, methods=["POST"]),
    ]


class _Flow:
    """The flow of one sandbox, with the codes that are still valid."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._redirects: dict[str, str] = {}

    async def authorize(self, request: Request) -> Response:
        query = request.query_params
        redirect = query.get("redirect_uri", "")
        if urlsplit(redirect).hostname not in _LOCAL:
            return _refused("invalid_request", "redirect_uri must be on this machine.")
        answer = {"state": query["state"]} if "state" in query else {}
        if query.get("client_id") != self._world.settings.api_key:
            answer |= {"error": "invalid_client"}
        elif query.get("response_type") != "code":
            answer |= {"error": "unsupported_response_type"}
        else:
            code = secrets.token_urlsafe(16)
            self._redirects[code] = redirect
            answer |= {"code": code, "username": USER}
        joint = "&" if urlsplit(redirect).query else "?"
        return RedirectResponse(f"{redirect}{joint}{urlencode(answer)}", 302)

    async def token(self, request: Request) -> Response:
        form = await request.form()
        settings = self._world.settings
        given = (form.get("client_id"), form.get("client_secret"))
        if given != (settings.api_key, settings.client_secret):
            return _refused("invalid_client", "The key or its secret is wrong.", 401)
        if form.get("grant_type") != "authorization_code":
            return _refused("unsupported_grant_type", "Only authorization_code is supported.")
        redirect = self._redirects.pop(str(form.get("code")), None)  # a code can be used once
        if redirect is None or redirect != form.get("redirect_uri"):
            return _refused("invalid_grant", "The code is not valid for this redirect_uri.")
        return JSONResponse(
            {
                "access_token": settings.access_token,
                "token_type": "Bearer",
                "expires_in": str(_TEN_YEARS),
            }
        )

    async def token_info(self, request: Request) -> Response:
        settings = self._world.settings
        if (await request.form()).get("access_token") != settings.access_token:
            return _refused("invalid_token", "The access token is not valid.", 401)
        return JSONResponse(
            {"client_id": settings.api_key, "user_name": USER, "expires_in": str(_TEN_YEARS)}
        )


def _refused(error: str, description: str, status: int = 400) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status)
