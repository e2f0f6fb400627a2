"""The connection below a request: raw responses, and a way to break it."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Message, Receive, Scope, Send


TRANSPORT = "ccv2_async.transport"
_LINGER_OFF = struct.pack("ii", 1, 0)


async def send_raw(
    send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes, *, more: bool = False
) -> None:
    """Send a status, headers and a body, which is complete unless there is `more` to come."""
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": more})


def as_bytes(messages: list[Message]) -> bytes:
    """Return a response as bytes, for a connection that is closed after it."""
    status = messages[0]["status"]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [name + b": " + value for name, value in messages[0]["headers"]]
    lines += [b"connection: close", b"", b""]
    return b"\r\n".join(lines) + b"".join(message.get("body", b"") for message in messages[1:])


class Connection:
    """The connection below a request, to write to it directly and to break it.

    Args:
        scope: The request's ASGI scope.
        receive: Its receive function.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT)
        self._receive = receive

    def _open(self) -> asyncio.Transport:
        if self._transport is None:
            # In process there is no socket: the client's transport sees this exception instead.
            raise ConnectionResetError("The sandbox broke the connection.")
        return self._transport

    async def reset(self) -> None:
        """Reset it: the client sees a reset, and loses all unread data."""
        transport = self._open()
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
        transport.abort()
        await self.gone()

    async def close(self) -> None:
        """Close it normally: the client sees the end of the stream."""
        self._open().close()
        await self.gone()

    async def write(self, data: bytes) -> None:
        """Write bytes to it, bypassing the server."""
        transport = self._open()
        if not transport.is_closing():
            transport.write(data)
        await asyncio.sleep(0)

    async def gone(self) -> None:
        """Return once the client has gone away or the connection is broken."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Protocol(H11Protocol):
    """uvicorn's protocol, which passes the transport on to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn: a stream's transport
        """Pass the transport of a new connection to the application."""
        super().connection_made(transport)
        app: Any = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport
