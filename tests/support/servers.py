"""Small servers on 127.0.0.1 that misbehave as a test needs, and a small proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import attrs

from tests.support.lasting_ports import lasting_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

HOST = "127.0.0.1"


@attrs.define
class Request:
    """One request as it was on the wire."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


@attrs.define
class Wire:
    """One connection, as the script of a server sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> Request:
        """The head of the next request; the body stays unread."""
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = raw.strip().split("\r\n")
        headers = {k.lower(): v for k, _, v in (row.partition(": ") for row in lines)}
        return Request(line, headers, b"")

    async def request(self) -> Request:
        """The next request, read to its end."""
        request = await self.head()
        if "chunked" in request.headers.get("transfer-encoding", ""):
            while size := int((await self.reader.readline()).strip(), 16):
                request.body += await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        else:
            length = int(request.headers.get("content-length", "0"))
            request.body = await self.reader.readexactly(length)
        return request

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, status: str = "200 OK", body: bytes = b"[]", *headers: str, json: bool = True
    ) -> None:
        """A well-formed answer."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        if json:
            lines.append("Content-Type: application/json")
        await self.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def reset(self) -> None:
        """Break the connection: the other side sees a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = "Callable[[Wire], Awaitable[None]]"


class RawServer:
    """A server whose every connection is served by a script; counts what it saw.

    Args:
        script: Serves a connection.
        tls: The context of a server that uses TLS.

    Attributes:
        connections: How many connections there were.
        open: How many are open now.
    """

    def __init__(
        self, script: Callable[[Wire], Awaitable[None]], tls: ssl.SSLContext | None = None
    ) -> None:
        self._script = script
        self.tls = tls
        self.connections = 0
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, 0, limit=2**20, ssl=self.tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # connections of tasks that never had their turn close now
        await self._server.wait_closed()

    @property
    def origin(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v2"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also when it is cancelled before it has begun.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                await self._script(Wire(reader, writer))
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


def serving(*answers: Callable[[Wire, Request], Awaitable[None]]) -> RawServer:
    """A server that sends these responses in turn, and then repeats the last one."""
    left = list(answers)

    async def script(wire: Wire) -> None:
        while True:
            request = await wire.request()
            await (left.pop(0) if len(left) > 1 else left[0])(wire, request)

    return RawServer(script)


def speaking_resp(answer: Callable[[bytes], bytes]) -> RawServer:
    """A server that takes commands as Redis does, and answers each as a function of its name."""

    async def script(wire: Wire) -> None:
        while True:
            count = int((await wire.reader.readline())[1:])
            words = []
            for _ in range(count):
                length = int((await wire.reader.readline())[1:])
                words.append((await wire.reader.readexactly(length + 2))[:-2])
            await wire.write(answer(words[0]))

    return RawServer(script)


class Proxy(RawServer):
    """A forward proxy: absolute-form requests and CONNECT. `seen` holds the request lines."""

    def __init__(self) -> None:
        super().__init__(self._proxy)
        self.seen: list[str] = []

    async def _proxy(self, wire: Wire) -> None:
        request = await wire.head()
        self.seen.append(request.line)
        method, target, _ = request.line.split(" ")
        parts = urlsplit(target if "://" in target else f"//{target}")
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            if method == "CONNECT":
                await wire.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                target = f"{parts.path}{'?' if parts.query else ''}{parts.query}"
                lines = [f"{method} {target} HTTP/1.1", "Connection: close"]
                lines += [
                    f"{k}: {v}" for k, v in request.headers.items() if not k.startswith("proxy-")
                ]
                writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
            await asyncio.gather(_pipe(wire.reader, writer), _pipe(reader, wire.writer))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def unused_port() -> int:
    """A port on which nobody listens, nor will: the server of another test cannot get it."""
    return lasting_port()
