"""Downloads whose links point into the caller's own network."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.calls.download import is_public
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Request, Wire

PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::808:808",
]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104  # nothing is bound to it
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:224.0.0.1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "2001:db8::1",
    "2001::1",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "nonsense",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_recognized(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_non_public_addresses_are_recognized(address: str) -> None:
    assert not is_public(address)


async def answer(wire: Wire, request: Request) -> None:
    await wire.answer("200 OK", b"email")


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names and their addresses, in place of DNS."""
    names: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host in names:
            addresses = names[host]
            return [part for each in addresses for part in real(each, port, *args, **options)]
        if host == "api.example.com":
            raise socket.gaierror("not known")
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


async def fetch(cc: Any, link: str) -> bytes:
    async with cc._open_parts.session.download(link, "file of export 7") as pieces:
        return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "inside.example", "mixed.example"])
@pytest.mark.parametrize("base", ["api.example.com", "public.example", "two.example"])
async def test_a_public_api_cannot_link_into_the_private_network(
    connect: Callable[..., Any], resolved: dict[str, list[str]], host: str, base: str
) -> None:
    resolved["inside.example"] = ["127.0.0.1"]
    resolved["mixed.example"] = ["8.8.8.8", "127.0.0.1"]
    resolved["public.example"] = ["8.8.4.4"]
    resolved["two.example"] = ["10.0.0.1", "8.8.4.4"]
    async with serving(answer) as server:
        cc = await connect(base_url=f"http://{base}/v2")
        with pytest.raises(errors.DecodeError, match=r"which is not public\. Nothing was sent"):
            await fetch(cc, f"http://{host}:{server.port}/x.csv")
        assert server.connections == 0


@pytest.mark.parametrize("base", ["127.0.0.1", "localhost", "[::1]", "inside.example"])
@pytest.mark.parametrize("host", ["127.0.0.1", "files.example"])
async def test_a_private_api_may_link_to_private_addresses(
    connect: Callable[..., Any], resolved: dict[str, list[str]], base: str, host: str
) -> None:
    resolved["inside.example"] = ["10.1.2.3"]
    resolved["files.example"] = ["127.0.0.1"]
    async with serving(answer) as server:
        cc = await connect(base_url=f"http://{base}:9/v2")
        assert await fetch(cc, f"http://{host}:{server.port}/x.csv") == b"email"
