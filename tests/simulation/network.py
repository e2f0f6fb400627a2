"""A simulated network between a process and the service: no sockets, and every kind of bad luck."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs
import httpx
import orjson

from tests.simulation.machine import Process, outside

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from starlette.types import ASGIApp, Message

    Headers = list[tuple[bytes, bytes]]

NEVER = 1e9
API = "/v2/"


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
        short_answer: The second half of the answer is missing, and nothing shows it.
        page_answer: A web page comes in place of the answer.
        failed: The service answers 500, 502, or 503 and has done nothing.
        failed_after: The service answers 500 or 502, and has done what was asked.
        busy: The service answers 503 with a `Retry-After`.
        over_rate: The service answers 403, because another client of the key used up the second.
        over_day: The service answers 403, because another client of the key used up the day.
        throttled: The service answers 429, with or without a `Retry-After`.
        unauthorized: The service answers 401.
        rows_missing: A listing leaves out a row.
        rows_malformed: A row of a listing cannot be read.
        rows_reordered: The rows of a listing come in another order.
        rows_foreign: A listing has a row that nobody asked for.
        latency: The longest time in seconds on the way, each way.
    """

    refused: float = 0.0
    cut_body: float = 0.0
    lost_answer: float = 0.0
    no_answer: float = 0.0
    never_arrives: float = 0.0
    late_answer: float = 0.0
    cut_answer: float = 0.0
    short_answer: float = 0.0
    page_answer: float = 0.0
    failed: float = 0.0
    failed_after: float = 0.0
    busy: float = 0.0
    over_rate: float = 0.0
    over_day: float = 0.0
    throttled: float = 0.0
    unauthorized: float = 0.0
    rows_missing: float = 0.0
    rows_malformed: float = 0.0
    rows_reordered: float = 0.0
    rows_foreign: float = 0.0
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

_OF_DOWNLOADS = frozenset(
    {"refused", "lost_answer", "no_answer", "late_answer", "cut_answer", "page_answer", "failed"}
)
"""The faults that can strike the host of the files' bytes too."""


@attrs.define(eq=False)
class Network:
    """The network of one process.

    Args:
        app: The service.
        weather: How likely each fault is.
        chance: The random numbers of the run.
        met: Counts the faults that struck.
        shortened: Takes the bodies whose second half is missing, and nothing shows it.
        watch: Called with each call of the API when it leaves the process.
    """

    app: ASGIApp
    weather: Weather
    chance: random.Random
    met: dict[str, int]
    shortened: set[bytes]
    watch: Callable[[Process], None]

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the weather, as an engine does."""
        process = Process.current()
        is_call = request.url.path.startswith(API)
        fault = self.weather.draw(self.chance)
        if not is_call and fault not in _OF_DOWNLOADS:
            fault = ""
        if fault and not fault.startswith("rows_"):
            self._count(fault)
        if is_call and fault != "refused":
            process.sent.append(asyncio.get_running_loop().time())
            self.watch(process)
        await process.pass_time(self.weather.latency)
        where = f"{request.method} {request.url.path}"
        process.trace(f"{process.name} sends {where}{f' ({fault})' if fault else ''}")
        if fault == "refused":
            raise httpx.ConnectError("refused")
        looks = "/uploadstatus/" in where
        process.asking += looks
        try:
            return await self._exchange(process, request, where, fault)
        finally:
            process.asking -= looks

    async def aclose(self) -> None:
        """Close nothing."""

    def _count(self, fault: str) -> None:
        self.met[fault] = self.met.get(fault, 0) + 1

    async def _exchange(
        self, process: Process, request: httpx.Request, where: str, fault: str
    ) -> httpx.Response:
        body = await self._body(request, process, cut=fault == "cut_body")
        timeouts: Any = request.extensions.get("timeout", {})
        patience = timeouts.get("read") or NEVER
        if fault == "never_arrives":
            await self._silence(patience)
        if fault in _REFUSALS:
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
            return self._refusal("failed", request)
        return self._delivered(request, fault, status, headers, content)

    def _delivered(
        self, request: httpx.Request, fault: str, status: int, headers: Headers, content: bytes
    ) -> httpx.Response:
        """Return the answer as it arrives."""
        cut = fault == "cut_answer" and len(content) > 1
        half = content[: len(content) // 2]
        if fault == "short_answer":
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            content = half
            self.shortened.add(half)
        elif fault == "page_answer" and request.method == "GET":
            headers, content = [(b"content-type", b"text/html")], _PAGE
        elif fault in _ROWS and status == httpx.codes.OK and request.method == "GET":
            changed = _with_rows(content, _ROWS[fault], self.chance)
            if changed != content:
                self._count(fault)
                headers = [pair for pair in headers if pair[0] != b"content-length"]
                content = changed
        stream = _Answer(half if cut else content, cut=cut)
        return httpx.Response(status, headers=headers, stream=stream, request=request)

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
        statuses, key, hint = _REFUSALS[fault]
        status = self.chance.choice(statuses)
        headers = {"content-type": "application/json"}
        if self.chance.random() < hint:
            headers["retry-after"] = str(self.chance.randint(1, 5))
        content = orjson.dumps([{"error_key": key, "error_message": "refused"}] if key else [])
        return httpx.Response(status, headers=headers, stream=_Answer(content), request=request)

    async def _answer(self, request: httpx.Request, body: bytes) -> tuple[int, Headers, bytes]:
        """Return the status, the headers, and the body of the service's answer."""
        await asyncio.sleep(self.chance.uniform(0.0, self.weather.latency))
        path, _, query = request.url.raw_path.partition(b"?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": unquote(path.decode("ascii")),
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


_PAGE = b"<html><body><h1>Log in</h1></body></html>".ljust(500)
"""A page whose length is that of no file."""

_MASHERY = "mashery.not.authorized.over"
_REFUSALS: dict[str, tuple[tuple[int, ...], str, float]] = {
    "failed": ((500, 502, 503), "", 0.0),
    "busy": ((503,), "", 1.0),
    "over_rate": ((403,), f"{_MASHERY}.qps", 0.5),
    "over_day": ((403,), f"{_MASHERY}.ratelimit", 0.0),
    "throttled": ((429,), "throttled", 0.5),
    "unauthorized": ((401,), "http.status.authentication.invalid_token", 0.0),
}
"""The statuses of a refusal, its key, and how likely it has a `Retry-After`."""


def _missing(rows: list[Any], chance: random.Random) -> None:
    del rows[chance.randrange(len(rows))]


def _malformed(rows: list[Any], chance: random.Random) -> None:
    at = chance.randrange(len(rows))
    row = dict(rows[at]) if isinstance(rows[at], dict) else {}
    for name in chance.sample(sorted(row), min(2, len(row))):
        row[name] = chance.choice(({"x": []}, ["y"]))  # of no type that any field has
    rows[at] = chance.choice((row, row, None, "text"))


def _reordered(rows: list[Any], chance: random.Random) -> None:
    chance.shuffle(rows)


def _foreign(rows: list[Any], chance: random.Random) -> None:
    row = dict(rows[0]) if isinstance(rows[0], dict) else {}
    for name in ("id", "file_id"):
        if name in row:
            row[name] = "77" + str(row[name])
    if "name" in row:
        row["name"] = "foreign.png"
    rows.insert(chance.randint(0, len(rows)), row)


_ROWS: dict[str, Callable[[list[Any], random.Random], None]] = {
    "rows_missing": _missing,
    "rows_malformed": _malformed,
    "rows_reordered": _reordered,
    "rows_foreign": _foreign,
}


def _with_rows(
    content: bytes, change: Callable[[list[Any], random.Random], None], chance: random.Random
) -> bytes:
    """Return the body of an answer with other rows; the same, if it has none."""
    if not content.startswith((b"[", b"{")):
        return content  # the file of an export
    found = orjson.loads(content)
    rows = found.get("results") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not rows:
        return content
    change(rows, chance)
    return orjson.dumps(found)


class _Answer(httpx.AsyncByteStream):
    def __init__(self, content: bytes, *, cut: bool = False) -> None:
        self._content = content
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._content:
            yield self._content
        if self._cut:
            raise httpx.ReadError("reset")
