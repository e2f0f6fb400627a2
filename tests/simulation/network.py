"""A simulated network between a process and the service: no sockets, and every kind of bad luck."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import httpx

from tests.simulation.machine import Process, outside

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message

NEVER = 1e9


@attrs.define
class Weather:
    """How likely each fault is for one call, from 0 to 1.

    Attributes:
        refused: No connection is made.
        cut_body: The connection breaks while the body is sent.
        lost_answer: The service handles the call, and the connection breaks.
        no_answer: The service handles the call, and nothing ever comes.
        never_arrives: The call is lost on its way, and nothing ever comes.
        late_answer: The answer takes up to a minute.
        cut_answer: The connection breaks in the middle of the answer.
        failed: The service answers 500, 502, or 503 and has done nothing.
        failed_after: The service answers 500 or 502, and has done what was asked.
        busy: The service answers 503 with a `Retry-After`.
        latency: The longest time in seconds on the way, each way.
    """

    refused: float = 0.0
    cut_body: float = 0.0
    lost_answer: float = 0.0
    no_answer: float = 0.0
    never_arrives: float = 0.0
    late_answer: float = 0.0
    cut_answer: float = 0.0
    failed: float = 0.0
    failed_after: float = 0.0
    busy: float = 0.0
    latency: float = 0.05

    def clear(self) -> None:
        """Stop all faults."""
        for name in FAULTS:
            setattr(self, name, 0.0)

    def draw(self, chance: random.Random) -> str:
        """Return the fault of one call, or ""."""
        point = chance.random()
        for name in FAULTS:
            point -= getattr(self, name)
            if point < 0:
                return name
        return ""


FAULTS = tuple(field.name for field in attrs.fields(Weather) if field.name != "latency")


@attrs.define(eq=False)
class Network:
    """The network of one process.

    Args:
        app: The service.
        weather: How likely each fault is.
        chance: The random numbers of the run.
        met: Counts the faults that struck.
    """

    app: ASGIApp
    weather: Weather
    chance: random.Random
    met: dict[str, int]

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the weather, as an engine does."""
        process = Process.current()
        fault = self.weather.draw(self.chance)
        if fault:
            self.met[fault] = self.met.get(fault, 0) + 1
        await process.pass_time(self.weather.latency)
        process.sent.append(asyncio.get_running_loop().time())
        where = f"{request.method} {request.url.path}"
        process.trace(f"{process.name} sends {where}{f' ({fault})' if fault else ''}")
        if fault == "refused":
            raise httpx.ConnectError("refused")
        body = await self._body(request, process, cut=fault == "cut_body")
        timeouts: Any = request.extensions.get("timeout", {})
        patience = timeouts.get("read") or NEVER
        if fault == "never_arrives":
            await self._silence(patience)
        if fault in ("failed", "busy"):
            return self._refusal(fault, request)
        answering = await outside(self._answer(request, body))
        arrived = self.chance.uniform(0.0, self.weather.latency)
        await process.pass_time(self.weather.latency)
        try:
            async with asyncio.timeout(patience):
                status, headers, content = await asyncio.shield(answering)
        except TimeoutError:
            raise httpx.ReadTimeout("no answer") from None
        process.trace(f"the service answers {process.name} {status} to {where}")
        if fault == "no_answer":
            await self._silence(patience)
        if fault == "late_answer":
            arrived += self.chance.uniform(1.0, min(patience, 59.0))
        await process.pass_time(0.0)
        await asyncio.sleep(arrived)
        await process.pass_time(0.0)
        if fault == "lost_answer":
            raise httpx.ReadError("reset")
        if fault == "failed_after":
            return self._refusal(fault, request)
        cut = fault == "cut_answer" and len(content) > 1
        stream = _Answer(content[: len(content) // 2] if cut else content, cut=cut)
        return httpx.Response(status, headers=headers, stream=stream, request=request)

    async def aclose(self) -> None:
        """Close nothing."""

    async def _body(self, request: httpx.Request, process: Process, *, cut: bool) -> bytes:
        pieces: list[bytes] = []
        stream: Any = request.stream
        async for piece in stream:
            pieces.append(piece)
            await process.pass_time(self.weather.latency / 4)
            if cut:
                raise httpx.WriteError("reset")
        return b"".join(pieces)

    async def _silence(self, patience: float) -> None:
        await asyncio.sleep(patience)
        raise httpx.ReadTimeout("no answer")

    def _refusal(self, fault: str, request: httpx.Request) -> httpx.Response:
        status = 503 if fault == "busy" else self.chance.choice((500, 502))
        headers = {"retry-after": str(self.chance.randint(1, 5))} if fault == "busy" else {}
        return httpx.Response(status, headers=headers, stream=_Answer(b"[]"), request=request)

    async def _answer(
        self, request: httpx.Request, body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Return the status, the headers, and the body of the service's answer."""
        await asyncio.sleep(self.chance.uniform(0.0, self.weather.latency))
        path, _, query = request.url.raw_path.partition(b"?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": httpx.URL("http://x").copy_with(raw_path=path).path,
            "raw_path": path,
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("simulated", 1),
            "server": (request.url.host, request.url.port),
        }
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        status, headers, content = 0, [], b""

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status, headers, content
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                content += message.get("body", b"")

        await self.app(scope, receive, send)
        return status, headers, content


class _Answer(httpx.AsyncByteStream):
    def __init__(self, content: bytes, *, cut: bool = False) -> None:
        self._content = content
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._content:
            yield self._content
        if self._cut:
            raise httpx.ReadError("reset")
