"""httpx connections that survive cancellation and scale: one connection a pool, our own free list.

httpx 0.28's pool loses slots for good when a request is cancelled while it connects, and its cost
grows with the square of its connections. So each connection here is a transport of its own (see
`direct`; httpx's own where there is a proxy, or no gathering of pieces) that holds at most one;
what ends by anything but a fully read answer is closed and thrown away, never used again. The
caller bounds how many requests are in flight, so nothing ever waits inside httpx.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import anyio
import httpx

from ccv2_async.errors import UsageError
from ccv2_async.transport.httpx2_clients import Httpx2Engine, is_httpx2
from ccv2_async.transport.network import CAN_GATHER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async.transport.credentials import Credentials

logger: logging.Logger = logging.getLogger("ccv2_async.transport")

EngineName = Literal["httpx", "aiohttp"]

# Below the five seconds after which common servers hang up, so that a connection is rarely used
# in the very moment in which the other side closes it.
KEEPALIVE_EXPIRY = 4.0
MAX_IDLE = 100


class SealedURL(httpx.URL):
    """A URL that shows no key: only the raw target, which transports write, is signed.

    httpx logs, represents and attaches whole URLs; all of that goes through the visible parts.
    """

    def __init__(self, url: httpx.URL, credentials: Credentials) -> None:
        super().__init__(url)
        self._credentials = credentials

    @property
    def raw_path(self) -> bytes:
        """Path and query with the key, as it goes over the wire."""
        return self._credentials.sign(super().raw_path)


class Engine(Protocol):
    """Whatever takes a prepared request and comes back with the head of an answer."""

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body not yet read."""
        ...

    async def aclose(self) -> None:
        """Close every connection that is ours to close."""
        ...


class FreeListTransport(httpx.AsyncBaseTransport):
    """An httpx transport without a pool: idle connections on a list, one request each.

    Args:
        make: Gives a new transport that holds at most one connection.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._idle: list[httpx.AsyncBaseTransport] = []
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send on an idle connection, or on a new one."""
        # The last one back is the warmest; the others age towards their expiry and are replaced
        # when they are used after it.
        transport = self._idle.pop() if self._idle else self._make()
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            await _close_whatever_happens(transport)
            raise
        response.stream = _Lease(self, transport, response.stream)
        return response

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        self._closed = True
        while self._idle:
            await _close_whatever_happens(self._idle.pop())

    async def give_back(self, transport: httpx.AsyncBaseTransport, *, clean: bool) -> None:
        """Take a connection back after its answer was fully read, or throw it away."""
        if clean and not self._closed and len(self._idle) < MAX_IDLE:
            self._idle.append(transport)
        else:
            await _close_whatever_happens(transport)


class _Lease(httpx.AsyncByteStream):
    """The body of an answer; hands its connection back once it was read to the end."""

    def __init__(
        self,
        owner: FreeListTransport,
        transport: httpx.AsyncBaseTransport,
        stream: httpx.AsyncByteStream | httpx.SyncByteStream,
    ) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):  # pragma: no cover - httpx's own rule
            raise TypeError("an async transport gave a sync stream")
        self._owner = owner
        self._transport: httpx.AsyncBaseTransport | None = transport
        self._stream = stream
        self._pieces = aiter(stream)
        self._read_to_end = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._read_to_end = True
            raise

    async def aclose(self) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        clean = False
        try:
            await self._stream.aclose()
            clean = self._read_to_end
        finally:
            await self._owner.give_back(transport, clean=clean)


async def _close_whatever_happens(transport: httpx.AsyncBaseTransport) -> None:
    """Close a connection even while the caller is being cancelled; never raise for it."""
    with anyio.CancelScope(shield=True):
        try:
            await transport.aclose()
        except Exception:  # noqa: BLE001  # it is thrown away; its closing has nothing to say
            logger.debug("closing a discarded connection failed")


class OwnEngine:
    """The engine of a client that owns its connections: prepared requests, straight down."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body not yet read."""
        response = await self._transport.handle_async_request(request)
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


class UsersEngine:
    """The engine of a client that was given the user's own `httpx.AsyncClient`; never closes it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body not yet read; redirects and client-level auth stay out of it."""
        return await self._client.send(request, stream=True, auth=None, follow_redirects=False)

    async def aclose(self) -> None:
        """Leave the user's client open: it is not ours."""


class _SigningTransport(httpx.AsyncBaseTransport):
    """Signs for a transport that reads the visible URL, and lets no trace of it out."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        signed = httpx.Request(
            request.method,
            request.url.copy_with(raw_path=request.url.raw_path),
            headers=request.headers.raw,
            stream=request.stream,
            extensions=request.extensions,
        )
        if isinstance(request.stream, httpx.ByteStream):
            signed.read()  # aiohttp would send an unread body in chunks, even an empty one
        response = await self._inner.handle_async_request(signed)
        response.request = request
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class UsersClient(Protocol):
    """An `httpx.AsyncClient`, or an `httpx2.AsyncClient`."""

    async def send(
        self, request: Any, *, stream: bool = ..., auth: Any = ..., follow_redirects: Any = ...
    ) -> Any:
        """The answer to a prepared request."""
        ...


def users_engine(client: UsersClient) -> Engine:
    """The engine that sends through a user's own client."""
    if is_httpx2(client):
        return Httpx2Engine(client)
    return UsersEngine(cast("httpx.AsyncClient", client))


def open_engine(
    name: EngineName,
    *,
    verify: ssl.SSLContext | bool = True,
    proxy: str | None = None,
    trust_env: bool = True,
    origin: httpx.URL,
) -> Engine:
    """The engine of a client's own connections.

    Args:
        name: "httpx", or "aiohttp" (extra `[aiohttp]`), which sends through aiohttp.
        verify: An SSLContext, True for the default one, False to verify nothing.
        proxy: A proxy URL; None takes the environment's, as httpx does.
        trust_env: Whether the environment's proxies are used.
        origin: Where the calls go, to find the environment's proxy for it.

    Raises:
        UsageError: The extra is not installed, the name is not known, or the proxy cannot be used.
    """
    context = verify if isinstance(verify, ssl.SSLContext) else _context(verify)
    proxy = proxy or (_environment_proxy(origin) if trust_env else None)
    if proxy is not None:
        _require_proxy(proxy)
    if name == "aiohttp":
        return OwnEngine(_SigningTransport(_aiohttp_transport(context, proxy)))
    if name != "httpx":
        raise UsageError(f"engine is {name!r}: it must be 'httpx' or 'aiohttp'. Nothing was sent.")
    return OwnEngine(FreeListTransport(_one_connection(context, proxy)))


def _one_connection(
    context: ssl.SSLContext, proxy: str | None
) -> Callable[[], httpx.AsyncBaseTransport]:
    """Makes transports that hold at most one connection each."""
    if proxy is None and CAN_GATHER:
        from ccv2_async.transport.direct import DirectTransport  # noqa: PLC0415  # slow

        return lambda: DirectTransport(context, KEEPALIVE_EXPIRY)
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY
    )
    return lambda: httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy)


_contexts: dict[bool, ssl.SSLContext] = {}


def _context(verify: bool) -> ssl.SSLContext:
    """One SSLContext for all clients: making one takes some 20 ms."""
    if verify not in _contexts:
        _contexts[verify] = httpx.create_ssl_context(verify=verify)
    return _contexts[verify]


def _environment_proxy(origin: httpx.URL) -> str | None:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # slow to import

    if proxy_bypass(origin.host):
        return None
    proxies = getproxies()
    found = proxies.get(origin.scheme) or proxies.get("all")
    if not found:
        return None
    return found if "://" in found else f"http://{found}"


def _require_proxy(proxy: str) -> None:
    """See that requests can be sent through it, as far as can be told without doing so.

    Raises:
        UsageError: They cannot; without the URL, which may hold a password.
    """
    try:
        httpx.AsyncHTTPTransport(proxy=proxy, verify=_context(verify=True))
    except ImportError:
        why = "a SOCKS proxy needs httpx's own extra: pip install 'httpx[socks]'"
    except (httpx.InvalidURL, ValueError):
        why = "it must be a URL such as http://proxy.example:3128"
    else:
        return
    raise UsageError(
        f"The proxy, given as proxy= or by the environment, cannot be used: {why}. Nothing was "
        "sent."
    )


def _aiohttp_transport(context: ssl.SSLContext, proxy: str | None) -> httpx.AsyncBaseTransport:
    try:
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415  # the extra
    except ImportError:
        raise UsageError(
            "engine='aiohttp' needs the extra: pip install 'ccv2-async[aiohttp]'. Nothing was sent."
        ) from None
    import aiohttp  # noqa: PLC0415  # the extra

    def make() -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            # 0 lifts aiohttp's own limit: the session bounds what is in flight.
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEPALIVE_EXPIRY, ssl=context
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        if hasattr(session, "_retry_connection"):
            # It would send reads and replacements again by itself, past the quota's count.
            session._retry_connection = False  # noqa: SLF001  # there is no public switch
        return session

    return AiohttpTransport(
        verify=context, proxy=httpx.Proxy(proxy) if proxy else None, client=make
    )


_CONNECTING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_CONNECTING_OF_AIOHTTP = frozenset(
    {"ClientConnectorError", "ClientHttpProxyError", "ConnectionTimeoutError"}
)


def never_connected(failure: BaseException) -> bool:
    """Whether an engine's error says that no connection was made.

    httpx-aiohttp calls every accident of a connection a connect time-out; what it was is its cause.
    """
    if not isinstance(failure, _CONNECTING):
        return False
    cause = type(failure.__cause__)
    if not cause.__module__.startswith("aiohttp"):
        return True
    return any(kind.__name__ in _CONNECTING_OF_AIOHTTP for kind in cause.__mro__)


def shows_visible_url(client: UsersClient) -> bool:
    """Whether a user's client has a transport that may read the visible URL instead of the target.

    httpx's own transports write `raw_path`; others, such as httpx-aiohttp's, read `str(url)`, and
    need the key there.
    """
    transports = [
        getattr(client, "_transport", None),
        *getattr(client, "_mounts", {}).values(),
    ]
    return not all(transport is None or _writes_raw_target(transport) for transport in transports)


def _writes_raw_target(transport: object) -> bool:
    return any(
        kind.__name__ == "AsyncHTTPTransport"
        and kind.__module__.partition(".")[0] in ("httpx", "httpx2")
        for kind in type(transport).__mro__
    )
