"""A simulated network between a process and the service: no sockets, and every kind of bad luck."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ssl
from contextvars import Context
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import unquote

import attrs
import httptools
import httpx
import orjson

from ccv2_async.transport.http import connection, engine, protocol
from tests.simulation.machine import Process

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from unittest.mock import _patch

    from starlette.types import ASGIApp, Message

    Headers = list[tuple[bytes, bytes]]

API = "/v2/"


@attrs.define
class Weather:
    """How likely each fault is for one call, from 0 to 1.

    Attributes:
        refused: No connection is made.
        cut_body: The connection breaks while the body is sent.
        lost_response: The service handles the call, and the connection breaks.
        no_response: The service handles the call, and nothing ever comes.
        never_arrives: The call is lost on its way, and nothing ever comes.
        late_response: The response takes up to a minute.
        cut_response: The connection breaks in the middle of the response.
        short_response: The second half of the response is missing, and nothing shows it.
        page_response: A web page comes in place of the response.
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
        duplicated_response: The response comes twice, and the connection stays open.
        hung_up: The service closes the connection up to 5 seconds after its response.
        latency: The longest time in seconds on the way, each way.
    """

    refused: float = 0.0
    cut_body: float = 0.0
    lost_response: float = 0.0
    no_response: float = 0.0
    never_arrives: float = 0.0
    late_response: float = 0.0
    cut_response: float = 0.0
    short_response: float = 0.0
    page_response: float = 0.0
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
    duplicated_response: float = 0.0
    hung_up: float = 0.0
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
    {
        "lost_response",
        "no_response",
        "late_response",
        "cut_response",
        "page_response",
        "failed",
        "duplicated_response",
        "hung_up",
    }
)
"""The faults that can strike the host of the files' bytes too."""


@attrs.define(eq=False)
class Network:
    """The network between the processes and the service, with connections but without sockets.

    Args:
        app: The service.
        weather: How likely each fault is.
        chance: The random numbers of the run.
        met: Counts the faults that struck.
        shortened: Takes the bodies whose second half is missing, and nothing shows it.
        watch: Called with each call of the API when it leaves its process.
    """

    app: ASGIApp
    weather: Weather
    chance: random.Random
    met: dict[str, int]
    shortened: set[bytes]
    watch: Callable[[Process], None]

    @contextlib.contextmanager
    def plugged_in(self) -> Iterator[None]:
        """Let the client's connections go over this network."""
        patches: list[_patch[Any]] = [
            patch.object(protocol, "dial", self._dial),
            patch.object(protocol, "_hand_over", _hand_over),
            patch.object(engine, "context_for", lambda _verify: _UNUSED),
            patch.object(engine, "time", _VirtualTime),
            patch.object(connection, "time", _VirtualTime),
        ]
        with contextlib.ExitStack() as stack:
            for each in patches:
                stack.enter_context(each)
            yield

    def count(self, fault: str) -> None:
        """Count a fault that struck."""
        self.met[fault] = self.met.get(fault, 0) + 1

    def way(self) -> float:
        """Return how many seconds something is on its way."""
        return self.chance.uniform(0.0, self.weather.latency)

    async def _dial(self, host: str, port: int, **_options: object) -> Wire:
        process = Process.current()
        await process.pass_time(self.weather.latency)
        if self.chance.random() < self.weather.refused:
            self.count("refused")
            process.trace(f"{process.name} is refused a connection")
            raise ConnectionRefusedError("refused")
        return Wire(self, process, host, port)


class Wire(asyncio.Transport):
    """A connection: to the client a transport and its socket, to the service a parser of requests.

    Args:
        network: The network that it belongs to.
        process: The process that connected.
        host: The host that it connected to.
        port: Its port.
    """

    def __init__(self, network: Network, process: Process, host: str, port: int) -> None:
        super().__init__()
        self._network = network
        self._process = process
        self._server = (host, port)
        self._loop = asyncio.get_running_loop()
        self._protocol: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._is_open = True
        self._arrives = 0.0  # when the last bytes reach the service
        self._incoming: collections.deque[bytes | Exception | None] = collections.deque()
        self._reading_paused = False
        self._request: _Request | None = None  # that the client is sending or waits for
        self._requests = 0
        process.wires[self] = None

    # Called by the client

    def recv(self, size: int, _flags: int) -> bytes:
        """Return what has arrived, and leave it there."""
        if not self._incoming:
            raise BlockingIOError
        first = self._incoming[0]
        if isinstance(first, Exception):
            raise first
        return b"" if first is None else first[:size]

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Store who is told of what arrives."""
        self._protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: each write waits until its bytes have arrived."""

    def is_closing(self) -> bool:
        """Return whether the connection is closed."""
        return not self._is_open

    def pause_reading(self) -> None:
        """Stop telling of what arrives."""
        self._reading_paused = True

    def resume_reading(self) -> None:
        """Tell of what arrives again."""
        self._reading_paused = False
        self._soon(self._tell)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes to the service."""
        if not (self._is_open and self._process.alive):
            return
        if self._request is None:
            self._request = self._begin(bytes(data))
        self._protocol.pause_writing()
        self._arrives = max(self._arrives, self._loop.time() + self._network.way() / 4)
        self._loop.call_at(self._arrives, self._arrive, bytes(data), context=Context())

    def abort(self) -> None:
        """Close the connection immediately."""
        self._close(None)

    # On the way

    def _begin(self, head: bytes) -> _Request:
        """Note that a request is being sent, and draw its fault."""
        network, process = self._network, self._process
        method, target, _ = head.split(b" ", 2)
        path = target.partition(b"?")[0].decode("ascii")
        is_call = path.startswith(API)
        self._requests += 1
        fault = network.weather.draw(network.chance)
        if fault == "refused" or (not is_call and fault not in _OF_DOWNLOADS):
            fault = ""
        if fault and not fault.startswith("rows_"):
            network.count(fault)
        if is_call:
            process.sent.append(self._loop.time())
            network.watch(process)
        request = _Request(method.decode("ascii"), target, fault)
        process.trace(f"{process.name} sends {request}{f' ({fault})' if fault else ''}")
        process.asking += request.looks
        return request

    def _arrive(self, data: bytes) -> None:
        """Give bytes to the service."""
        if not self._is_open:
            return
        self._protocol.resume_writing()
        request = self._request
        if request is None or request.fault == "never_arrives":
            return
        self._parser.feed_data(data)
        is_cut = request.fault == "cut_body" and self._network.chance.random() < _CUT_HERE
        if is_cut and not request.is_whole:
            self._incoming.append(ConnectionResetError("reset"))
            self._soon(self._tell)

    def _deliver(self, *items: bytes | Exception | None) -> None:
        """Let bytes, an error, or None for the end reach the client."""
        self._incoming.extend(items)
        self._soon(self._tell)

    def _tell(self) -> None:
        """Tell the client what has arrived, one piece at a time."""
        if self._reading_paused or not self._incoming or not self._is_open:
            return
        item = self._incoming.popleft()
        if self._incoming:
            self._soon(self._tell)
        if isinstance(item, Exception):
            self._close(item)
        elif item is not None:
            self._protocol.data_received(item)
        elif not self._protocol.eof_received():
            self._close(None)

    def _soon(self, work: Callable[[], None]) -> None:
        self._loop.call_soon(work, context=Context())

    def _close(self, error: Exception | None) -> None:
        if self._is_open:
            self._is_open = False
            self._process.wires.pop(self, None)
            self._end_request()
            self._loop.call_soon(self._protocol.connection_lost, error, context=Context())

    def _end_request(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            self._process.asking -= request.looks

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header of the request."""
        if self._request is not None:
            self._request.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Refuse a request early, if its fault says so."""
        request = self._request
        early = request is not None and request.fault in _REFUSALS
        if early and self._network.chance.random() < _EARLY:
            assert request is not None
            request.is_refused = True
            status, headers, content = self._refusal(request.fault)
            self._deliver(_message(status, [*headers, _LAST], content), None)

    def on_body(self, data: bytes) -> None:
        """Store a part of the request's body."""
        if self._request is not None:
            self._request.body.append(data)

    def on_message_complete(self) -> None:
        """Handle a request that has arrived."""
        request = self._request
        if request is None or request.is_refused:
            return
        if request.fault == "cut_body":
            self._deliver(ConnectionResetError("reset"))
            return
        request.is_whole = True
        self._loop.create_task(self._serve(request), context=Context())

    # The service

    async def _serve(self, request: _Request) -> None:
        """Handle a request, and send its response as its fault says."""
        network, fault = self._network, request.fault
        if fault in _REFUSALS:
            await asyncio.sleep(network.way())
            self._respond(request, *self._refusal(fault))
            return
        await asyncio.sleep(network.way())
        status, headers, content = await self._answer(request)
        self._process.trace(f"the service answers {self._process.name} {status} to {request}")
        if fault == "no_response":
            return
        late = network.chance.uniform(1.0, 59.0) if fault == "late_response" else 0.0
        await asyncio.sleep(network.way() + late)
        if fault == "lost_response":
            self._deliver(network.chance.choice((ConnectionResetError("reset"), None)))
        elif fault == "failed_after":
            self._respond(request, *self._refusal("failed"))
        else:
            self._respond(request, status, headers, content)

    def _respond(self, request: _Request, status: int, headers: Headers, content: bytes) -> None:
        """Send a response, changed as the fault of its request says."""
        if not self._is_open or self._request is not request:
            return
        network, fault, is_get = self._network, request.fault, request.method == "GET"
        half = content[: len(content) // 2]
        ends: tuple[bytes | Exception | None, ...] = ()
        if fault == "short_response":
            headers, content, ends = [*_unsized(headers), _LAST], half, (None,)
            network.shortened.add(half)
        elif fault == "page_response" and is_get:
            headers, content = [(b"content-type", b"text/html")], _PAGE
        elif fault in _ROWS and status == httpx.codes.OK and is_get:
            changed = _with_rows(content, _ROWS[fault], network.chance)
            if changed != content:
                network.count(fault)
                headers, content = _unsized(headers), changed
        message = _message(status, headers, content)
        if fault == "cut_response" and len(content) > 1:
            message = message[: len(half) - len(content)]
            ends = (network.chance.choice((ConnectionResetError("reset"), None)),)
        elif fault == "duplicated_response":
            ends = (message,)
        elif fault == "hung_up":
            self._loop.call_later(
                network.chance.uniform(0.0, 5.0), self._hang_up, self._requests, context=Context()
            )
        at = network.chance.randrange(len(message)) if network.chance.random() < _SPLIT else 0
        pieces = (message[:at], message[at:]) if at else (message,)
        self._end_request()
        self._deliver(*pieces, *ends)

    def _hang_up(self, after: int) -> None:
        """Close the connection, unless a further request has arrived in whole or in part."""
        request = self._request
        if self._requests == after or (request is not None and not request.headers):
            self._process.trace(f"the service hangs up on {self._process.name}")
            self._deliver(None, ConnectionResetError("reset"))
            if request is not None:
                request.fault = "never_arrives"

    def _refusal(self, fault: str) -> tuple[int, Headers, bytes]:
        chance = self._network.chance
        statuses, key, hint = _REFUSALS[fault]
        status = chance.choice(statuses)
        headers = [(b"content-type", b"application/json")]
        if chance.random() < hint:
            headers.append((b"retry-after", b"%d" % chance.randint(1, 5)))
        content = orjson.dumps([{"error_key": key, "error_message": "refused"}] if key else [])
        return status, headers, content

    async def _answer(self, request: _Request) -> tuple[int, Headers, bytes]:
        """Return the status, the headers, and the body of the service's answer."""
        path, _, query = request.target.partition(b"?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "https",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "headers": request.headers,
            "client": ("simulated", 1),
            "server": self._server,
        }
        body = b"".join(request.body)
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

        await self._network.app(scope, receive, send)
        return status, headers, content


@attrs.define(eq=False)
class _Request:
    """A request on its way.

    Attributes:
        method: Its method.
        target: Its path and query.
        fault: What goes wrong with it, or "".
        headers: The headers that have arrived.
        body: The parts of the body that have arrived.
        is_whole: Whether all of it has arrived.
        is_refused: Whether it was refused before all of it had arrived.
    """

    method: str
    target: bytes
    fault: str
    headers: Headers = attrs.field(factory=list)
    body: list[bytes] = attrs.field(factory=list)
    is_whole: bool = False
    is_refused: bool = False

    @property
    def looks(self) -> bool:
        """Whether it asks for the statuses of uploads."""
        return b"/uploadstatus/" in self.target

    def __str__(self) -> str:
        return f"{self.method} {self.target.partition(b'?')[0].decode('ascii')}"


class _VirtualTime:
    """Takes the place of the module `time` for connections."""

    @staticmethod
    def monotonic() -> float:
        """Return the virtual time."""
        return asyncio.get_running_loop().time()


async def _hand_over(wire: Wire, stream: Any, _tls: object, _host: str) -> None:
    wire.set_protocol(stream)
    stream.connection_made(wire)


def _unsized(headers: Headers) -> Headers:
    return [pair for pair in headers if pair[0] != b"content-length"]


def _message(status: int, headers: Headers, content: bytes) -> bytes:
    """Return a response as it is sent."""
    headers = [*headers]
    if not any(name == b"content-length" for name, _ in headers) and _LAST not in headers:
        headers.append((b"content-length", b"%d" % len(content)))
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %d \r\n%b\r\n%b" % (status, lines, content)


_LAST = (b"connection", b"close")
_UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CUT_HERE = 0.3
_EARLY = 0.3
_SPLIT = 0.2
"""How likely a connection breaks at one place, a refusal comes early, and a response in parts."""

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
