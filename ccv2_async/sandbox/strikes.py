"""How each kind of fault strikes a request; `faults` says what they are."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import orjson

from ccv2_async.sandbox.wire import Connection, as_bytes, send_raw

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ccv2_async.sandbox.faults import Fault

_BLOCK = 1024 * 1024
_SPACES = b" " * _BLOCK


@attrs.frozen
class Exchange:
    """One request and the means to answer it, rightly or not.

    Attributes:
        app: What would answer it rightly.
        scope: Its ASGI scope.
        receive: Its ASGI receive function.
        send: Its ASGI send function.
        secrets: The key and the token that it came with.
    """

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    secrets: tuple[str, str]

    @property
    def connection(self) -> Connection:
        """The connection below."""
        return Connection(self.scope, self.receive)

    async def run(self) -> None:
        """Carry the request out and answer it."""
        await self.app(self.scope, self.receive, self.send)

    async def held(self) -> list[Message]:
        """Carry the request out; its answer is held back."""
        messages: list[Message] = []

        async def hold(message: Message) -> None:
            messages.append(message)

        await self.app(self.scope, self.receive, hold)
        return messages

    async def read(self, enough: float) -> None:
        """Take in `enough` bytes of the body, or all of it when it is shorter."""
        taken = 0
        while taken < enough:
            message = await self.receive()
            taken += len(message.get("body", b""))
            if not message.get("more_body"):
                return

    async def send_all(self, messages: list[Message]) -> None:
        """Send an answer that was held back."""
        for message in messages:
            await self.send(message)


async def strike(fault: Fault, exchange: Exchange) -> None:
    """Let a fault strike a request."""
    await _STRIKES[fault.kind](fault, exchange)


async def _answer(fault: Fault, exchange: Exchange) -> None:
    if fault.read_body:
        await exchange.read(float("inf"))
    headers = {"content-length": str(len(fault.body)), **fault.headers}
    if not fault.close:
        await send_raw(exchange.send, fault.status, headers.items(), fault.body)
        return
    headers["connection"] = "close"
    await send_raw(exchange.send, fault.status, headers.items(), fault.body, more=True)
    # Closed with bytes unread, the connection would be reset and the answer lost on its way.
    await exchange.read(float("inf"))
    await exchange.send({"type": "http.response.body", "body": b""})


async def _delay(fault: Fault, exchange: Exchange) -> None:
    await asyncio.sleep(fault.seconds)
    await exchange.run()


async def _delay_answer(fault: Fault, exchange: Exchange) -> None:
    messages = await exchange.held()
    await asyncio.sleep(fault.seconds)
    await exchange.send_all(messages)


async def _hang(fault: Fault, exchange: Exchange) -> None:
    if fault.read_body:
        await exchange.read(float("inf"))
    await exchange.connection.gone()


async def _trickle(fault: Fault, exchange: Exchange) -> None:
    answer = as_bytes(await exchange.held())
    connection = exchange.connection
    for start in range(0, len(answer), fault.size):
        await connection.write(answer[start : start + fault.size])
        await asyncio.sleep(fault.seconds)
    await connection.close()


async def _lose_answer(_fault: Fault, exchange: Exchange) -> None:
    await exchange.held()
    await exchange.connection.reset()


async def _cut_answer(_fault: Fault, exchange: Exchange) -> None:
    answer = as_bytes(await exchange.held())
    head, separator, body = answer.partition(b"\r\n\r\n")
    kept = head + separator + body[: len(body) // 2] if body else head
    connection = exchange.connection
    await connection.write(kept)
    await connection.close()


async def _reset(fault: Fault, exchange: Exchange) -> None:
    await exchange.read(fault.after_bytes)
    await exchange.connection.reset()


async def _raw(fault: Fault, exchange: Exchange) -> None:
    if fault.read_body:
        await exchange.read(float("inf"))
    connection = exchange.connection
    await connection.write(fault.body)
    await connection.close()


async def _echo(fault: Fault, exchange: Exchange) -> None:
    await exchange.read(float("inf"))
    key, token = exchange.secrets
    text = f"Bad request for api_key={key} with Authorization: Bearer {token}"
    body = orjson.dumps([{"error_key": f"echo.{key}", "error_message": text}])
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-echo": text,
        "location": f"/v2/library/files?api_key={key}&access_token={token}",
    }
    await send_raw(exchange.send, fault.status, headers.items(), body)


def _blocks(size: int) -> Iterator[bytes]:
    yield b"["
    for start in range(0, size - 2, _BLOCK):
        yield _SPACES[: min(_BLOCK, size - 2 - start)]
    yield b"]"


async def _huge(fault: Fault, exchange: Exchange) -> None:
    await exchange.read(float("inf"))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(max(2, fault.size)).encode()),
    ]
    await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
    for block in _blocks(fault.size):
        await exchange.send({"type": "http.response.body", "body": block, "more_body": True})
    await exchange.send({"type": "http.response.body", "body": b""})


async def _gzip_bomb(fault: Fault, exchange: Exchange) -> None:
    await exchange.read(float("inf"))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = bytearray()
    for block in _blocks(fault.size):
        packed += packer.compress(block)
        await asyncio.sleep(0)
    packed += packer.flush()
    headers = {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "content-length": str(len(packed)),
    }
    await send_raw(exchange.send, 200, headers.items(), bytes(packed))


async def _gzip(_fault: Fault, exchange: Exchange) -> None:
    start, *rest = await exchange.held()
    body = b"".join(message.get("body", b"") for message in rest)
    if not body:
        await exchange.send_all([start, *rest])
        return
    packed = gzip.compress(body)
    headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    headers += [
        (b"content-encoding", b"gzip"),
        (b"content-length", str(len(packed)).encode()),
    ]
    await exchange.send({**start, "headers": headers})
    await exchange.send({"type": "http.response.body", "body": packed})


def _no_query(url: str) -> str:
    return url.partition("?")[0]


_LOCATIONS: dict[str, Callable[[str, str], tuple[str | None, str | None]]] = {
    "missing": lambda _url, _id: (None, None),
    "id_only": lambda _url, id_: (None, id_),
    "location_only": lambda url, _id: (url, None),
    "relative": lambda url, id_: (urlsplit(url).path, id_),
    "other_host": lambda url, id_: (f"https://elsewhere.example{urlsplit(url).path}", id_),
    "query": lambda url, id_: (f"{url}?api_key=from-the-server&x=1#top", id_),
    "status_form": lambda url, id_: (url.replace("/files/", "/files/uploadstatus/"), id_),
    "trailing_slash": lambda url, id_: (f"{url}/", id_),
    "contradicted": lambda url, id_: (f"{_no_query(url)}9999", id_),
    "absurd": lambda _url, id_: ("ht!tp://[::::/../../etc/passwd", id_),
}


async def _location(fault: Fault, exchange: Exchange) -> None:
    start, *rest = await exchange.held()
    headers: dict[bytes, bytes] = dict(start["headers"])
    url, file_id = headers.pop(b"location", b"").decode(), headers.pop(b"id", b"").decode()
    new_url, new_id = _LOCATIONS[fault.variant](url, file_id)
    if new_url is not None:
        headers[b"location"] = new_url.encode("latin-1")
    if new_id is not None:
        headers[b"id"] = new_id.encode("latin-1")
    await exchange.send_all([{**start, "headers": list(headers.items())}, *rest])


_STRIKES: dict[str, Callable[[Fault, Exchange], Awaitable[Any]]] = {
    "answer": _answer,
    "delay": _delay,
    "delay_answer": _delay_answer,
    "hang": _hang,
    "trickle": _trickle,
    "lose_answer": _lose_answer,
    "cut_answer": _cut_answer,
    "reset": _reset,
    "raw": _raw,
    "echo": _echo,
    "huge": _huge,
    "gzip_bomb": _gzip_bomb,
    "gzip": _gzip,
    "location": _location,
}
