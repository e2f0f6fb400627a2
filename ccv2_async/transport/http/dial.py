"""Connect a socket to the first address of a host that accepts a connection.

asyncio's own happy eyeballs leave a socket open when they are cancelled on Python 3.11, so the
addresses are tried here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterable

CheckAddress: TypeAlias = Callable[[str], object]
"""Called with each resolved IP address before a connection is made; raises to refuse it."""

_Address: TypeAlias = tuple[int, Any]  # a family, and an address in the form that its sockets take
_NEXT_ADDRESS_AFTER = 0.25  # seconds, as RFC 8305 recommends


async def dial(host: str, port: int, *, check_address: CheckAddress | None = None) -> socket.socket:
    """Return a non-blocking socket that is connected to the host.

    Args:
        host: A host name or an IP address.
        port: The port.
        check_address: Called with each address of the host before any of them is tried. It raises
            to refuse an address; then no connection is made.

    Raises:
        OSError: The name was not found, or no address accepted the connection.
        UnicodeError: The name cannot be a host name.
    """
    addresses: list[_Address] = [
        (family, (host, port)) for family in _FAMILIES if _is_address(family, host)
    ]
    if not addresses:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(_interleaved((family, address) for family, _, _, _, address in found))
    if not addresses:
        raise OSError("the host has no address")
    if check_address is not None:
        for _, address in addresses:
            check_address(address[0])
    if len(addresses) == 1:
        return await _dial_address(*addresses[0])
    return await _dial_in_turn(addresses)


def reason(error: BaseException) -> str:
    """Return the message of an exception, or the name of its class if it has none."""
    return str(error) or type(error).__name__


_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def _is_address(family: int, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return False
    return True


def _interleaved(addresses: Iterable[_Address]) -> Iterable[_Address]:
    """Yield the addresses in the resolver's order, but with the families alternating."""
    families: dict[int, list[_Address]] = {}
    for family, address in addresses:
        families.setdefault(family, []).append((family, address))
    ranks = zip_longest(*families.values())
    return (address for address in chain.from_iterable(ranks) if address is not None)


async def _dial_address(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _dial_in_turn(addresses: list[_Address]) -> socket.socket:
    """Return the first socket that connects; try the next address when one fails or is slow."""
    won: list[socket.socket] = []
    failures: list[OSError] = []

    async def try_address(address: _Address, over: anyio.Event) -> None:
        try:
            sock = await _dial_address(*address)
        except OSError as error:
            failures.append(error)
        else:
            if won:
                sock.close()
            else:
                won.append(sock)
                group.cancel_scope.cancel()
        finally:
            over.set()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                over = anyio.Event()
                group.start_soon(try_address, address, over)
                with anyio.move_on_after(_NEXT_ADDRESS_AFTER):
                    await over.wait()
    except BaseException:
        for sock in won:
            sock.close()
        raise
    if won:
        return won[0]
    raise OSError("; ".join(dict.fromkeys(map(reason, failures)))) from failures[-1]
