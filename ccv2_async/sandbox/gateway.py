"""The gateway in front of the service: request log, key, quota, faults, token."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ccv2_async.sandbox.faults import Exchange
from ccv2_async.sandbox.responses import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ccv2_async.sandbox.world import World

API = "/v2"
ENTRY = "ccv2_async.entry"
QUERY = "ccv2_async.query"
_QUOTA_CODES = {
    "over.qps": "ERR_403_DEVELOPER_OVER_QPS",
    "over.ratelimit": "ERR_403_DEVELOPER_OVER_RATE",
}


class Gateway:
    """ASGI middleware for the API's paths; other requests pass through.

    Args:
        app: The application behind it.
        world: The state of the sandbox.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(API + "/"):
            await self._app(scope, receive, send)
            return
        world, log = self._world, self._world.log
        query: dict[str, str] = {}
        given = scope["query_string"].decode("latin-1")
        for name, value in parse_qsl(given, keep_blank_values=True):
            query.setdefault(name, value)
        headers = {str(name, "latin-1"): str(text, "latin-1") for name, text in scope["headers"]}
        path = scope["path"].rstrip("/")
        entry = log.begin(scope, world.clock.time(), query, headers)
        due = entry.time + world.draw_latency()
        traffic = world.traffic
        record = traffic.begin(entry)
        scope = {**scope, "path": path, ENTRY: entry, QUERY: query}

        async def counted() -> Message:
            message = await receive()
            body = message.get("body", b"")
            entry.received += len(body)
            record.request.write(body)
            return message

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                await world.clock.sleep_until(due)
                now = world.clock.time() + world.settings.date_offset
                date = formatdate(now, usegmt=True).encode()
                message = {**message, "headers": [(b"date", date), *message["headers"]]}
            record.answered(message)
            await send(message)

        secrets = query.get("api_key", ""), headers.get("authorization", "").removeprefix("Bearer ")
        exchange = Exchange(self._with_token, scope, counted, stamped, secrets)
        try:
            self._check_key(secrets[0])
            await exchange.run_with_faults(world.faults, path.removeprefix(API), entry)
        except Refusal as problem:
            await problem.answer()(scope, counted, stamped)
        finally:
            log.end(entry, world.clock.time())
            traffic.end(record, secrets)

    def _check_key(self, key: str) -> None:
        settings, quota = self._world.settings, self._world.quota
        if key != settings.api_key:
            raise Refusal(403, "Developer Inactive", "mashery.not.authorized.inactive")
        now = self._world.clock.time()
        if (over := quota.refusal(now)) is None:
            return
        headers = {}
        if settings.quota_headers:
            wait = 1 if over == "over.qps" else math.ceil(quota.resets_in(now))
            headers = {"X-Mashery-Error-Code": _QUOTA_CODES[over], "Retry-After": str(wait)}
        limit = "Queries Per Second" if over == "over.qps" else "Rate"
        raise Refusal(
            403, f"Developer Over {limit} Limit", f"mashery.not.authorized.{over}", headers
        )

    async def _with_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = f"Bearer {self._world.settings.access_token}".encode()
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if given != wanted:
            # Answered here, not raised, so that a fault also applies to this response.
            await Refusal(401, "The access token is not valid.").answer()(scope, receive, send)
        else:
            await self._app(scope, receive, send)
