"""One HTTP/1.1 connection as an httpx transport, without httpx's and httpcore's layers around it.

httpx's pool asks the operating system about its connection twice for each request, and httpcore
makes each request pass through locks, traces and generators: together they take most of the time
that a small upload costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from ccv2_async.transport.http1 import Http1Connection
from ccv2_async.transport.network import connect

if TYPE_CHECKING:
    import ssl

    from ccv2_async.transport.http1 import Stream

__all__ = ["DirectTransport"]

_PORTS = {"http": 80, "https": 443}


class DirectTransport(httpx.AsyncBaseTransport):
    """A transport of one connection at a time, made when it is first needed and again when stale.

    Args:
        context: What is trusted under TLS, and how it is checked.
        keepalive_expiry: Seconds after which a connection at rest is not used again.
    """

    def __init__(self, context: ssl.SSLContext, keepalive_expiry: float) -> None:
        self._context = context
        self._keepalive_expiry = keepalive_expiry
        self._origin: tuple[str, str, int] | None = None
        self._connection: Http1Connection | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send on the connection, or on a new one, and come back with the head of the answer.

        Raises:
            httpx.TransportError: What broke; only a `ConnectError` or `ConnectTimeout` says that
                nothing was sent.
        """
        where = request.url
        if where.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"{where.scheme!r}: only http and https are spoken")
        host = where.raw_host.decode("ascii")
        origin = (where.scheme, host, where.port or _PORTS[where.scheme])
        connection = self._connection
        if connection is None or origin != self._origin or not connection.is_usable():
            timeout = request.extensions.get("timeout", {}).get("connect")
            connection = await self._connect(origin, timeout)
        return await connection.ask(request)

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _connect(
        self, origin: tuple[str, str, int], timeout: float | None
    ) -> Http1Connection:
        await self.aclose()
        scheme, host, port = origin
        wire = await connect(host, port, timeout)
        stream: Stream = wire
        if scheme == "https":
            self._context.set_alpn_protocols(["http/1.1"])
            stream = await wire.start_tls(self._context, host, timeout)
        connection = Http1Connection(stream, self._keepalive_expiry)

        def close_at_rest() -> None:
            if connection.at_rest:
                wire.close()

        wire.on_hang_up = close_at_rest
        self._origin, self._connection = origin, connection
        return connection
