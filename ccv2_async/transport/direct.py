"""One HTTP/1.1 connection as an httpx transport, without httpx's pool around it.

The pool asks the operating system about its connection twice for each request, and takes half of
the time that a small upload costs. httpcore speaks HTTP here too; only the pool is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore
import httpx

from ccv2_async.transport.network import Wire, connect

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator

__all__ = ["DirectTransport"]

_NAMES = (
    "ConnectError",
    "ConnectTimeout",
    "ReadError",
    "ReadTimeout",
    "WriteError",
    "WriteTimeout",
    "LocalProtocolError",
    "RemoteProtocolError",
)
_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    getattr(httpcore, name): getattr(httpx, name) for name in _NAMES
}
_HTTPCORE = tuple(_ERRORS)
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
        self._origin: httpcore.Origin | None = None
        self._connection: httpcore.AsyncHTTP11Connection | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send on the connection, or on a new one, and come back with the head of the answer.

        Raises:
            httpx.TransportError: What broke; only a `ConnectError` or `ConnectTimeout` says that
                nothing was sent.
        """
        where = request.url
        if where.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"{where.scheme!r}: only http and https are spoken")
        url = httpcore.URL(
            scheme=where.raw_scheme,
            host=where.raw_host,
            port=where.port or _PORTS[where.scheme],
            target=where.raw_path,
        )
        origin = url.origin
        try:
            connection = self._connection
            if (
                connection is None
                or self._origin != origin
                or not connection.is_idle()
                or connection.has_expired()
            ):
                timeout = request.extensions.get("timeout", {}).get("connect")
                connection = await self._connect(origin, timeout)
            answer = await connection.handle_async_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except _HTTPCORE as error:
            raise _ERRORS[type(error)](str(error)) from error
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_AnswerBody(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def _connect(
        self, origin: httpcore.Origin, timeout: float | None
    ) -> httpcore.AsyncHTTP11Connection:
        await self.aclose()
        host = origin.host.decode("ascii")
        wire = stream = await connect(host, origin.port, timeout)
        if origin.scheme == b"https":
            self._context.set_alpn_protocols(["http/1.1"])
            stream = await wire.start_tls(self._context, host, timeout)
        connection = httpcore.AsyncHTTP11Connection(
            origin, stream, keepalive_expiry=self._keepalive_expiry
        )
        if isinstance(wire, Wire):
            own = wire

            def close_at_rest() -> None:
                if connection.is_idle():
                    own.close()

            wire.on_hang_up = close_at_rest
        self._origin, self._connection = origin, connection
        return connection


class _AnswerBody(httpx.AsyncByteStream):
    """The body of an answer, with httpx's errors instead of httpcore's."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream: AsyncIterable[bytes] = self._answer.stream  # type: ignore[assignment]  # async here
        try:
            async for piece in stream:
                yield piece
        except _HTTPCORE as error:
            raise _ERRORS[type(error)](str(error)) from error

    async def aclose(self) -> None:
        await self._answer.aclose()
