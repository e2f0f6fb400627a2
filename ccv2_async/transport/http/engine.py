"""Engines, which send a prepared request and return the head of the response.

The pool of httpx 0.28 loses slots when a request is cancelled while it connects, and its cost grows
with the square of its connections. So this module keeps a client's own connections in a list of
idle ones. The caller limits how many requests are in flight, so no request waits here.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.lowlevel
import httpx

from ccv2_async.secret import Secret, without_arguments
from ccv2_async.tasks import running_loop
from ccv2_async.transport.http.certificates import context_for
from ccv2_async.transport.http.clients import ProvenBody
from ccv2_async.transport.http.connection import Connection
from ccv2_async.transport.http.dial import reason
from ccv2_async.transport.http.protocol import NO_LIMIT, connect
from ccv2_async.transport.http.proxies import HttpProxy, environment_proxy, parse_proxy, refusal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    _Origin: TypeAlias = tuple[str, str, int]
    _Options: TypeAlias = Mapping[str, Any]

logger: logging.Logger = logging.getLogger("ccv2_async.transport")

# Less than the five seconds after which common servers close a connection, so that a request rarely
# meets one that is being closed.
KEEPALIVE_EXPIRY = 4.0
MAX_IDLE = 100
_PORTS = {"http": 80, "https": 443}


class Engine(Protocol):
    """Sends a prepared request and returns the head of the response.

    The extensions of a request may hold `timeout`, as in httpx, `fresh_connection`, which excludes
    idle connections, `check_address` (see `dial`), `connected`, which is awaited when a new
    connection is ready for the request, and `unsent`, a set that is not empty while it is certain
    that no byte of the request was sent. Engines without their own connections ignore the three
    in the middle, and that of a user's client also the last one.
    """

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Return the response; its body is not yet read."""

    async def aclose(self) -> None:
        """Close the connections that belong to the engine."""


class DirectEngine:
    """An engine with its own connections, which are reused after a complete response.

    Args:
        verify: How to check the certificates of https servers; see `context_for`.
        keepalive_expiry: Seconds after which an idle connection is not used again.
        proxy: The proxy for all connections.
    """

    def __init__(
        self,
        verify: ssl.SSLContext | bool,
        keepalive_expiry: float = KEEPALIVE_EXPIRY,
        *,
        proxy: HttpProxy | None = None,
    ) -> None:
        self._proxy = proxy
        self._verify = verify
        self._keepalive_expiry = keepalive_expiry
        self._idle: dict[Connection, _Origin] = {}  # in the order in which they were returned
        self._closed = False

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send on an idle connection, or on a new one, and return the head of the response.

        Raises:
            UsageError: No event loop runs, or the certificates cannot be loaded. Nothing was sent.
            httpx.TransportError: The connection failed. Only `ConnectError`, `ConnectTimeout` and
                `NothingSent` mean that nothing was sent.
        """
        url = request.url
        if url.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"{url.scheme!r}: only http and https are supported")
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])
        options = request.extensions
        options.get("unsent", set()).add("connecting")
        connection = None
        if not (options.get("fresh_connection") or options.get("check_address")):
            connection = await self._take(origin)
        if connection is None:
            connection = await self._connect(origin, options)
            if connected := options.get("connected"):
                try:
                    await connected()
                except BaseException:
                    connection.close()
                    raise
        response = await connection.ask(request)
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close the idle connections. Those in use close after their responses."""
        self._closed = True
        while self._idle:
            next(reversed(self._idle)).close()
        await anyio.lowlevel.checkpoint()  # asyncio closes the sockets in the next iteration

    async def _take(self, origin: _Origin) -> Connection | None:
        """Return an idle connection that is still usable, and close those that are not."""
        idle = self._idle
        while idle and (oldest := next(iter(idle))).expires_at < time.monotonic():
            oldest.close()
        while latest := next((one for one in reversed(idle) if idle[one] == origin), None):
            del idle[latest]
            if await latest.is_usable():
                return latest
        return None

    async def _connect(self, origin: _Origin, options: _Options) -> Connection:
        running_loop()  # OAuth has not checked this before
        scheme, host, port = origin
        tls = context_for(self._verify) if scheme == "https" else None
        stream = await connect(
            host,
            port,
            tls=tls,
            timeout=options.get("timeout", {}).get("connect"),
            check_address=options.get("check_address"),
            proxy=self._proxy,
        )

        def keep(connection: Connection) -> None:
            if self._closed or len(self._idle) >= MAX_IDLE:
                connection.close()
            else:
                self._idle[connection] = origin

        def forget(connection: Connection) -> None:
            self._idle.pop(connection, None)

        connection = Connection(stream, self._keepalive_expiry, on_idle=keep, on_close=forget)
        if self._proxy is not None and scheme == "http":
            connection.forward = self._proxy
        return connection


class ProxyEngine:
    """An engine for a SOCKS or https proxy, which uses httpx with a new connection per request.

    If a server sends unrequested data after a response, httpx mistakes it for the response to the
    next request on that connection. So there is no next request.

    Args:
        verify: How to check the certificates of https servers and proxies; see `context_for`.
        proxy: The proxy.

    Raises:
        UsageError: The certificates that an https proxy needs cannot be loaded.
    """

    def __init__(self, verify: ssl.SSLContext | bool, proxy: httpx.Proxy) -> None:
        self._verify, self._proxy = verify, proxy
        if proxy.url.scheme == "https":
            proxy.ssl_context = context_for(verify)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Return the response; its body is not yet read.

        Raises:
            UsageError: The certificates that https needs cannot be loaded. Nothing was sent.
            httpx.ProxyError: No connection was made, or not in time. Nothing was sent.
        """
        # httpx asks for a context even if it does not use one.
        verify = self._verify if request.url.scheme == "https" else False
        transport = httpx.AsyncHTTPTransport(
            verify=context_for(verify), proxy=self._proxy, limits=httpx.Limits(max_connections=1)
        )
        request.headers["Connection"] = "close"
        connected: list[Any] = []
        unsent = request.extensions.get("unsent", set())
        unsent.add("connecting")

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event.endswith(".connect_tcp.complete"):
                connected.append(info["return_value"])
            elif event.endswith("headers.started") and info["request"].method != b"CONNECT":
                unsent.clear()
                connecting.reschedule(None)

        request.extensions = {**request.extensions, "trace": trace}
        # httpx does not limit how long a SOCKS proxy takes to connect to the server.
        limit = request.extensions.get("timeout", {}).get("connect") or NO_LIMIT
        try:
            async with asyncio.timeout(limit) as connecting:
                response = await transport.handle_async_request(request)
        except BaseException as error:
            # httpx forgets a connection whose handshake with the proxy is interrupted or fails.
            await close_quietly(*connected, transport)
            if connecting.when() is None or not isinstance(error, Exception):
                raise
            raise httpx.ProxyError(_explained(error)) from error
        response.request = request
        response.stream = body = _LastBody(response.stream, response, request.method)
        body.transport = transport
        return response

    async def aclose(self) -> None:
        """Do nothing: each connection closes with its response."""


def _explained(error: Exception) -> str:
    """Return why a proxy opened no tunnel, without its own words."""
    if isinstance(error, httpx.RemoteProtocolError):
        return "the proxy sent no valid response"
    refused = isinstance(error, httpx.ProxyError) and re.match(r"\d{3}\b", str(error))
    return refusal(refused[0]) if refused else reason(error)


class _LastBody(ProvenBody):
    """The body of the only response of a transport; closing it closes the transport."""

    transport: httpx.AsyncBaseTransport

    async def aclose(self) -> None:
        await close_quietly(super(), self.transport)


async def close_quietly(*discarded: Any) -> None:
    """Close connections and responses within 5 s each, even if the caller is being cancelled.

    Failures are ignored: engines raise more than they document, and what is closed is no longer
    needed.
    """
    for connection in discarded:
        with anyio.move_on_after(5.0, shield=True):  # a response of the user's may never close
            try:
                await connection.aclose()
            except Exception:  # noqa: BLE001  # see above
                logger.debug("closing a connection or a response failed")


@without_arguments
def open_engine(
    *,
    verify: ssl.SSLContext | bool = True,
    proxy: str | None = None,
    trust_env: bool = True,
    origin: httpx.URL,
    hide: Callable[[Secret[str]], object],
) -> Engine:
    """Return the engine for a client without a user's own client.

    Args:
        verify: An SSLContext, True for the default one, or False to skip the check.
        proxy: A proxy URL, or None for the environment's proxy, as in httpx.
        trust_env: Whether the proxies from the environment are used.
        origin: The URL of the calls, to find the environment's proxy for it.
        hide: Called with `user:password` of the proxy, if it has one.

    Raises:
        UsageError: The proxy cannot be used, or the certificates that calls need cannot be loaded.
    """
    if origin.scheme == "https":
        context_for(verify)  # reports bad certificates before anything is sent
    proxy = proxy or (environment_proxy(origin) if trust_env else None)
    if not proxy:
        return DirectEngine(verify)
    parsed = parse_proxy(proxy)
    if parsed.raw_auth and parsed.raw_auth[1]:
        hide(Secret(b":".join(parsed.raw_auth).decode()))  # a password alone may be a word
    if parsed.url.scheme == "http":
        return DirectEngine(verify, proxy=HttpProxy(parsed))
    return ProxyEngine(verify, parsed)
