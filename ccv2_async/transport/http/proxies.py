"""Find the proxy to use, and open tunnels through it."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import httpx

from ccv2_async.errors import UsageError
from ccv2_async.transport.http.messages import ResponseParser, head_of

if TYPE_CHECKING:
    import socket

_READ_SIZE = 4 * 1024
_LONGEST_RESPONSE = 16 * 1024  # with all informational responses before it


class HttpProxy:
    """A proxy that uses plain HTTP.

    Args:
        proxy: The address, and the user and password for it.

    Attributes:
        host: The host of the proxy.
        port: The port of the proxy.
        headers: The headers for the proxy in each request.
    """

    def __init__(self, proxy: httpx.Proxy) -> None:
        self.host: str = proxy.url.raw_host.decode("ascii")
        self.port: int = proxy.url.port or 80
        self.headers: list[tuple[bytes, bytes]] = []
        if proxy.raw_auth is not None:
            encoded = base64.b64encode(b":".join(proxy.raw_auth))
            self.headers.append((b"Proxy-Authorization", b"Basic " + encoded))

    async def open_tunnel(self, sock: socket.socket, host: str, port: int) -> None:
        """Open a tunnel to another host: the proxy forwards everything that follows.

        Args:
            sock: A non-blocking socket that is connected to the proxy.
            host: A host name or an IP address.
            port: The port.

        Raises:
            httpx.ProxyError: The proxy refused.
            OSError: The connection broke.
        """
        loop = asyncio.get_running_loop()
        where = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("ascii")
        parser, read = ResponseParser("CONNECT"), 0
        await loop.sock_sendall(sock, head_of("CONNECT", where, [(b"Host", where), *self.headers]))
        while not parser.status:
            if not (data := await loop.sock_recv(sock, _READ_SIZE)):
                raise httpx.ProxyError("the proxy closed the connection")
            # Reading does not yield to the event loop while there is more to read.
            read += len(data)
            if read > _LONGEST_RESPONSE:
                raise httpx.ProxyError("the proxy's response is too long")
            parser.feed(data)
            if parser.flaw is not None:
                raise httpx.ProxyError(str(parser.flaw))
        if not 200 <= parser.status < 300:
            raise httpx.ProxyError(refusal(parser.status))
        if parser.has_surplus:
            raise httpx.ProxyError("the proxy sent unrequested data")


def refusal(status: int | str) -> str:
    """Return what a proxy that opened no tunnel means. Its own words may repeat its password."""
    if str(status) == "407":
        return "the proxy returned 407; check the user name and password in its URL"
    return f"the proxy returned {status}"


def environment_proxy(origin: httpx.URL) -> str | None:
    """Return the proxy that the environment sets for an origin, if any."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  # slow to import

    if proxy_bypass(origin.host):
        return None
    proxies = getproxies()
    found = proxies.get(origin.scheme) or proxies.get("all")
    return f"http://{found}" if found and "://" not in found else found


def parse_proxy(url: str) -> httpx.Proxy:
    """Return the proxy for a URL, after checking that httpx can use it.

    Raises:
        UsageError: httpx cannot use it. The message does not show the URL, which may hold a
            password.
    """
    why = "it must be a URL such as http://proxy.example:3128"
    try:
        proxy = httpx.Proxy(url)
        httpx.AsyncHTTPTransport(proxy=proxy, verify=False)
        if (proxy.url.port or 1) < 65_536:
            return proxy
    except ImportError:
        why = "a SOCKS proxy needs httpx's own extra: pip install 'httpx[socks]'"
    except (httpx.InvalidURL, ValueError):
        pass
    raise UsageError(
        f"The proxy cannot be used: {why}. It comes from the client's proxy option or from the "
        "environment. Nothing was sent."
    )
