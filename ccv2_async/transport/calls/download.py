"""Download files by their links: signed at the configured origin, unsigned elsewhere.

The link of an export may be a path, or a URL on another host. The same URL object decides this and
is sent, so that no spelling of a URL can take the credentials to another host.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import aclosing, asynccontextmanager, suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import attrs
import httpx

from ccv2_async import errors
from ccv2_async.transport.calls.credentials import SignedURL, hide_in_logs
from ccv2_async.transport.calls.deadline import in_time
from ccv2_async.transport.calls.responses import is_failure, wait_of
from ccv2_async.transport.http.clients import never_connected
from ccv2_async.transport.http.engine import close_quietly
from ccv2_async.transport.http.messages import streamed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

    from ccv2_async.clock import Clock
    from ccv2_async.transport.calls.deadline import Deadline
    from ccv2_async.transport.http.engine import Engine

_CREDENTIALS = frozenset({"api_key", "access_token"})
_LONGEST_LINK = 4096  # in bytes; httpx takes microseconds for each
_FIRST_BYTE_SECONDS = 120.0
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}

_KINDS: dict[int, type[errors.APIError]] = {
    401: errors.Forbidden,
    403: errors.Forbidden,
    404: errors.NotFound,
    410: errors.NotFound,
    429: errors.QuotaExceeded,
}


@attrs.frozen
class Target:
    """The target of a link.

    Attributes:
        url: The whole URL, without credentials.
        own: Whether it is at the configured origin, so that the call may be signed.
    """

    url: httpx.URL = attrs.field(repr=False)
    own: bool

    @property
    def path(self) -> str:
        """The path after the host, percent-encoded."""
        return self.url.raw_path.partition(b"?")[0].decode("ascii")

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Names and values, decoded."""
        return tuple(parse_qsl(self.url.query.decode("ascii"), keep_blank_values=True))


def target_of(link: str, base_url: str) -> Target:
    """Return the target of a link from the service; a path is on the API's own host.

    Raises:
        ValueError: The link cannot be followed: it is not a URL, not http or https, or http where
            the API is https, or it contains a user name.
    """
    size = len(link.encode("utf-8", "replace"))
    if not 0 < size <= _LONGEST_LINK or not link.isprintable() or "\\" in link:
        raise ValueError("it is not a URL")
    base = _base(base_url)
    try:
        url = base.join(link.strip())
        host = url.host
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError("it is not a URL") from None
    port = 80 if url.port is None else url.port
    if url.scheme not in ("http", "https") or not host or not 0 < port < 65536:
        raise ValueError("it is not an http or https URL")
    if url.userinfo:
        raise ValueError("it contains a user name")
    if base.scheme == "https" and url.scheme != "https":
        raise ValueError("it is not https")
    kept = [
        pair
        for pair in url.query.decode("ascii").split("&")
        if pair and pair.partition("=")[0].lower() not in _CREDENTIALS
    ]
    url = url.copy_with(query="&".join(kept).encode("ascii") or None, fragment=None)
    return Target(url, (url.scheme, host, url.port) == (base.scheme, base.host, base.port))


@lru_cache(maxsize=8)
def _base(base_url: str) -> httpx.URL:
    # Parsing takes longer than everything else here, and a program has one or two of them.
    return httpx.URL(base_url + "/")


@asynccontextmanager
async def stream_unsigned(
    engine: Engine,
    url: httpx.URL,
    *,
    what: str,
    user_agent: str,
    extensions: Mapping[str, object],
    base_url: str,
    clock: Clock,
    limit: Deadline | None = None,
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the file at a URL on another host in pieces. The key and the token are not sent.

    The addresses of the host must be public, unless the API itself has only private ones: a public
    service has no reason to point into the caller's network. The check is made when the connection
    is made. It is not made with a proxy or a user's own client, which resolve names themselves.

    Raises:
        DecodeError: The host has an address that is not public. Nothing was sent to it.
        DeadlineExceeded: The file was not complete in time.
        TransportError: The host could not be reached, or the connection broke. Safe to try again:
            yes.
        APIError: The host refused.
        UnexpectedRedirect: The host answered with a redirect.
    """
    hidden = hide_in_logs(SignedURL(url))  # for as long as the request exists
    request = httpx.Request(
        "GET",
        url,
        headers={"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "identity"},
        extensions={**extensions, "check_address": require_public, "hidden": hidden},
    )
    sending = _send(engine, request, base_url, what)
    response = await _in_time(sending, what, url.host, clock, limit)
    broken = partial(_broken, what, url.host)
    try:
        _require_success(response, what, clock.time())
        async with (
            aclosing(streamed(response, what, broken)) as pieces,
            aclosing(in_time(pieces, limit, what)) as timely,
        ):
            yield timely
    finally:
        await close_quietly(response)


async def _send(engine: Engine, request: httpx.Request, base_url: str, what: str) -> httpx.Response:
    """Send a request, but do not let a public service point into a private network."""
    try:
        return await engine.send(request)
    except NotPublic as error:
        refused = error.address
    if not await has_only_private_addresses(httpx.URL(base_url)):
        raise errors.DecodeError(
            f"{what}: the service gave a link that cannot be followed: {request.url.host} "
            f"has the address {refused}, which is not public. Nothing was sent to it."
        )
    request.extensions = {**request.extensions, "check_address": None}
    return await engine.send(request)


async def _in_time(
    sending: Awaitable[httpx.Response], what: str, host: str, clock: Clock, limit: Deadline | None
) -> httpx.Response:
    seconds = _FIRST_BYTE_SECONDS if limit is None else min(limit.left, _FIRST_BYTE_SECONDS)
    try:
        async with clock.timeout(seconds):
            return await sending
    except errors.ConstantContactError:
        raise
    except Exception as error:  # noqa: BLE001  # engines raise more than they document
        failed: errors.TransportError = _broken(what, host, error)
        if never_connected(error):
            failed = errors.ConnectFailed(
                f"{what}: no connection to {host} ({type(error).__name__}). Try again."
            )
        elif limit is not None and isinstance(error, TimeoutError) and limit.left <= 0.0:
            failed = limit.exceeded(what)
    raise failed  # outside, so that no frame of the HTTP library is its context


def _require_success(response: httpx.Response, what: str, now: float) -> None:
    status, host = response.status_code, response.request.url.host
    if 200 <= status < 300:
        if response.headers.get("content-encoding", "identity").strip().lower() == "identity":
            return
        raise errors.DecodeError(
            f"{what}: the file has an encoding that was not requested.", status=status
        )
    if 300 <= status < 400:
        raise errors.UnexpectedRedirect(
            f"{what}: {host} returned {status}, a redirect. It was not followed.", status=status
        )
    kind = _KINDS.get(status, errors.ServerError if is_failure(status) else errors.BadRequest)
    refused = kind(
        f"{what}: {host} returned {status}. The request had no key and no token, because "
        "they go only to the API's own host; get a fresh link.",
        status=status,
    )
    refused.headers = {k: v for k, v in response.headers.items() if k in ("retry-after", "date")}
    if isinstance(refused, errors.QuotaExceeded):
        refused.retry_after = wait_of(response.headers, now)
    raise refused


def _broken(what: str, host: str, error: Exception) -> errors.ConnectionLost:
    return errors.ConnectionLost(
        f"{what}: the connection to {host} broke ({type(error).__name__}). Try again.",
        sent="wholly",
    )


class NotPublic(Exception):  # noqa: N818  # it never leaves the package
    """A host has an address that is not public.

    Args:
        address: The address.
    """

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


def require_public(address: str) -> None:
    """Check an address before a connection is made; see `dial`.

    Raises:
        NotPublic: It is private, loopback, link-local or otherwise not for the public internet.
    """
    if not is_public(address):
        raise NotPublic(address)


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet.

    An IPv6 address that embeds an IPv4 address (mapped, 6to4 or NAT64) is public if that one is.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if (embedded := _embedded(parsed)) is not None:
        return is_public(str(embedded))
    if parsed.is_multicast or not parsed.is_global:
        return False
    return parsed.version == 4 or parsed in _GLOBAL_UNICAST


async def has_only_private_addresses(base_url: httpx.URL) -> bool:
    """Return whether the host of a URL has only addresses that are not public.

    A host whose name cannot be found counts as public.
    """
    port = base_url.port or _PORTS[base_url.scheme]
    with suppress(ValueError):  # it is a name
        return not is_public(str(ipaddress.ip_address(base_url.host)))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            base_url.host, port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        return False
    return bool(found) and not any(is_public(str(address[0])) for *_, address in found)


def _embedded(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address embeds, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
