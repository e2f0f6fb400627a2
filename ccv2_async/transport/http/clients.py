"""Engines on a user's own `httpx.AsyncClient` or `httpx2.AsyncClient`.

httpx2 continues httpx under another name. Its clients accept only httpx2 requests and raise only
httpx2 errors, so this module translates both.

If a server sends unrequested data after a response, both libraries mistake it for the response to
the next request on that connection. So each HTTP/1.1 request says `Connection: close`, and there is
no next request. Other transports, such as aiohttp's, may reuse the connection nevertheless.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any, Protocol

import anyio.lowlevel
import httpx

from ccv2_async.errors import UsageError
from ccv2_async.transport.http.protocol import closed_properly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

# How many pieces are read before other tasks run: a fraction of a millisecond.
_PIECES_IN_A_ROW = 32
_UNPACKED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class UsersClient(Protocol):
    """An `httpx.AsyncClient`, or an `httpx2.AsyncClient`."""

    async def send(
        self, request: Any, *, stream: bool = ..., auth: Any = ..., follow_redirects: Any = ...
    ) -> Any:
        """Send a prepared request, and return the response."""


def users_engine(client: UsersClient) -> UsersEngine | Httpx2Engine:
    """Return the engine that sends through a user's own client."""
    return (Httpx2Engine if is_httpx2(client) else UsersEngine)(client)


class UsersEngine:
    """The engine of a client that was given the user's own `httpx.AsyncClient`.

    Args:
        client: The user's client, which is never closed here.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._closes_by_header = shows_visible_url(client)

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Return the response; its body is not yet read. Redirects are not followed.

        Raises:
            UsageError: The user's client is closed. Nothing was sent.
        """
        if getattr(self._client, "is_closed", False) is True:
            raise UsageError(
                "http_client is closed, so nothing can be sent through it. Nothing was sent; keep "
                "it open for as long as the client that uses it."
            )
        return await self._send(request)

    async def aclose(self) -> None:
        """Leave the user's client open."""

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if self._closes_by_header:
            request.headers["Connection"] = "close"
        request.extensions = {**request.extensions, "trace": _close_afterwards}
        response: httpx.Response = await self._client.send(
            request, stream=True, auth=None, follow_redirects=False
        )
        body = ProvenBody(response.stream, response, request.method)
        if response.is_stream_consumed:  # by an event hook of the user's
            body.check()
        response.stream = body
        return response


def is_httpx2(client: object) -> bool:
    """Return whether a client belongs to httpx2, which need not be installed."""
    return any(kind.__module__.partition(".")[0] == "httpx2" for kind in type(client).__mro__)


class Httpx2Engine(UsersEngine):
    """The engine of a client that was given the user's own `httpx2.AsyncClient`."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        # The user has imported it, because the client comes from it.
        self._library: Any = importlib.import_module("httpx2")
        self._url, self._body = _types_of(self._library)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        theirs = self._library.Request(
            request.method,
            "",
            headers=request.headers.raw,
            stream=self._body(request.stream),
            extensions={**request.extensions, "trace": _close_afterwards},
        )
        theirs.url = self._url(request.url)
        if isinstance(request.stream, httpx.ByteStream):
            await theirs.aread()
        with _translated(self._library):
            response = await self._client.send(
                theirs, stream=True, auth=None, follow_redirects=False
            )
        body = ProvenBody(_ResponseStream(response, self._library), response, request.method)
        headers = response.headers.raw
        if response.is_stream_consumed:  # the user's own hook has read and unpacked it
            body.check()
            headers = [(name, value) for name, value in headers if name.lower() not in _UNPACKED]
        return httpx.Response(response.status_code, headers=headers, stream=body, request=request)


class _ResponseStream(httpx.AsyncByteStream):
    """The body of an httpx2 response."""

    def __init__(self, response: Any, library: Any) -> None:
        self._response = response
        self._library = library

    async def __aiter__(self) -> AsyncIterator[bytes]:
        consumed = self._response.is_stream_consumed
        pieces = self._response.aiter_bytes() if consumed else self._response.aiter_raw()
        with _translated(self._library):
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


def _types_of(library: Any) -> tuple[Any, Any]:
    """Return subclasses of httpx2 classes: a URL that does not show the key, and a body."""

    class SealedURL(library.URL):  # type: ignore[misc]  # httpx2 is known at run time only
        def __init__(self, url: httpx.URL) -> None:
            super().__init__(str(url))
            self._ours = url

        @property
        def raw_path(self) -> bytes:
            return self._ours.raw_path

    class ForwardedBody(library.AsyncByteStream):  # type: ignore[misc]  # as above
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __aiter__(self) -> AsyncIterator[bytes]:
            # httpcore2 asks an iterator for itself, which an attempt at sending refuses.
            return (chunk async for chunk in self._stream)

    return SealedURL, ForwardedBody


@contextlib.contextmanager
def _translated(library: Any) -> Iterator[None]:
    """Raise httpx2's transport errors as the httpx errors of the same names."""
    try:
        yield
    except library.TransportError as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error


async def _close_afterwards(event: str, info: Mapping[str, Any]) -> None:
    """Add `Connection: close`, as the `trace` extension of httpcore's HTTP/1.1.

    HTTP/2 does not need the header, and forbids it.
    """
    if event == "http11.send_request_headers.started":
        request = info["request"]
        if request.method != b"CONNECT":
            request.headers = [*request.headers, (b"Connection", b"close")]


class ProvenBody(httpx.AsyncByteStream):
    """The body of an httpx response, checked for a missing end.

    An HTTP/1.1 response without a length ends with its connection. With TLS, it is complete only if
    the server sent `close_notify`, which httpx does not check.

    Args:
        stream: The body.
        response: The response, from httpx or httpx2.
        method: The method of the request.
    """

    def __init__(self, stream: Any, response: Any, method: str) -> None:
        self._stream = stream
        self._pieces: AsyncIterator[bytes] | None = None
        self._taken = 0
        self._tls: Any = None
        headers, network = response.headers, response.extensions.get("network_stream")
        has_length = "content-length" in headers or "transfer-encoding" in headers
        has_no_body = method == "HEAD" or response.status_code in (204, 304)
        is_http1 = response.extensions.get("http_version", b"").startswith(b"HTTP/1")
        if network is not None and is_http1 and not (has_length or has_no_body):
            self._tls = network.get_extra_info("ssl_object")

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._pieces = aiter(self._stream)
        return self

    async def __anext__(self) -> bytes:
        assert self._pieces is not None  # noqa: S101  # `aiter` was called
        self._taken += 1
        if self._taken % _PIECES_IN_A_ROW == 0:
            await anyio.lowlevel.checkpoint()  # thousands of chunks may have arrived at once
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self.check()
            raise

    async def aclose(self) -> None:
        """Close the body. Failures are ignored: httpx closes a body that was read to its end."""
        with contextlib.suppress(Exception):
            await self._stream.aclose()

    def check(self) -> None:
        """Check that a response that was read to its end is complete.

        Raises:
            httpx.RemoteProtocolError: It may be incomplete.
        """
        if self._tls is not None and not closed_properly(self._tls):
            raise httpx.RemoteProtocolError(
                "Server ended the TLS connection without close_notify, so the response may be cut "
                "off."
            )


_CONNECTING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_CONNECTING_OF_AIOHTTP = frozenset(
    {"ClientConnectorError", "ClientHttpProxyError", "ConnectionTimeoutError"}
)


def never_connected(failure: BaseException) -> bool:
    """Return whether an error says that no connection was made.

    httpx-aiohttp, which a user's client may use, raises a connect timeout for any failed
    connection. Its cause tells what happened.
    """
    if not isinstance(failure, _CONNECTING):
        return False
    cause = type(failure.__cause__)
    if not cause.__module__.startswith("aiohttp"):
        return True
    return any(kind.__name__ in _CONNECTING_OF_AIOHTTP for kind in cause.__mro__)


def shows_visible_url(client: UsersClient) -> bool:
    """Return whether a user's client may have a transport that reads the visible URL.

    The transports of httpx send `raw_path`. Others, such as that of httpx-aiohttp, read `str(url)`,
    so the key must be in it.
    """
    transports = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    return not all(transport is None or _writes_raw_target(transport) for transport in transports)


def _writes_raw_target(transport: object) -> bool:
    return any(
        kind.__name__ == "AsyncHTTPTransport"
        and kind.__module__.partition(".")[0] in ("httpx", "httpx2")
        for kind in type(transport).__mro__
    )
