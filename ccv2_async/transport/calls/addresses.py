"""Which IP addresses the service may send a client to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import httpx

    _Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

__all__ = ["NotPublic", "is_public", "lives_privately", "require_public"]

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


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
    """Return whether an IP address is one of the public internet.

    An IPv6 address that stands for an IPv4 address (mapped, 6to4 or NAT64) is as public as that.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    embedded = _embedded(parsed)
    if embedded is not None:
        return is_public(str(embedded))
    if parsed.is_multicast or not parsed.is_global:
        return False
    return parsed.version == 4 or parsed in _GLOBAL_UNICAST


async def lives_privately(base_url: httpx.URL) -> bool:
    """Return whether the host of a URL has only addresses that are not public.

    A host whose name cannot be found counts as public.
    """
    port = base_url.port or _PORTS[base_url.scheme]
    try:
        return not is_public(str(ipaddress.ip_address(base_url.host)))
    except ValueError:
        pass  # it is a name
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            base_url.host, port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        return False
    return bool(found) and not any(is_public(str(address[0])) for *_, address in found)


def _embedded(address: _Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
