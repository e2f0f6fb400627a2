"""Faults: simulated failures, and the requests that they apply to.

A fault is armed beforehand and applies to the next requests that match it. Each kind acts on the
real socket: connections are reset, and responses arrive a few bytes at a time, or not at all.

==================  ==========================================================================
kind                what happens
==================  ==========================================================================
``answer``          `status`, `headers` and `body` are returned in place of the operation
``delay``           `seconds` pass before the request is carried out
``delay_response``  the request is carried out; its response follows `seconds` later
``hang``            there is no response; the request is not carried out
``trickle``         carried out; the response comes `size` bytes at a time, `seconds` apart
``lose_response``   carried out to the end; then the connection is reset instead of a response
``cut_response``    carried out; the connection is closed in the middle of the response
``reset``           the connection is reset after `after_bytes` of the body; not carried out
``raw``             `body` is written to the socket as it is, and the connection is closed
``echo``            `status`, and an error that repeats the key, the token and the headers
``huge``            status 200 and a JSON body of `size` bytes
``gzip_bomb``       as ``huge``, compressed to almost nothing
``gzip``            carried out; the response's body is compressed
``location``        carried out; `variant` says how Location and Id change
``shorten``         carried out; the second half of the body is missing, and nothing says so
==================  ==========================================================================

Ready-made responses, by the same `kind`: ``over_qps``, ``over_ratelimit``, ``inactive``,
``unavailable``, ``server_error``, ``too_many_requests``, ``throttled`` and ``quota_exceeded``
(429, the newer API's words for the second and the day), ``unauthorized``, ``gone`` (400, the
response of operations that the service has withdrawn), ``too_large_early`` (413, before the body is
read, and the connection is closed), ``empty``, ``garbage``, ``html`` (502), ``page`` (200, also
HTML), ``null``, ``range`` (416), ``redirect``.

Variants of ``location``: ``missing`` (no Id either), ``id_only``, ``location_only``,
``relative``, ``other_host``, ``query``, ``status_form``, ``trailing_slash``, ``contradicted``
(its ID differs from Id), ``absurd``.

A fault whose path starts with `/content/` applies to downloads of files, not to API calls.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import re
import zlib
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args
from urllib.parse import urlsplit

import attrs
import orjson

from ccv2_async.sandbox.responses import missing, picked
from ccv2_async.sandbox.settings import check_fields
from ccv2_async.sandbox.wire import Connection, as_bytes, send_raw

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ccv2_async.sandbox.state.gateway import Entry

CONTENT = "/content/"
"""The start of the path of a file's bytes."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_BLOCK = 1024 * 1024
_SPACES = b" " * _BLOCK


def _as_bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _is_header(pair: tuple[str, str]) -> bool:
    return bool(_NAME.fullmatch(pair[0]) and _VALUE.fullmatch(pair[1]))


@attrs.frozen
class Fault:
    """One simulated failure.

    Attributes:
        kind: The kind of fault; see the tables of this module.
        method: The HTTP method that it applies to; None for any.
        path: The path that it applies to, below `/v2` or `/content/`; `*` stands for anything.
        times: The number of requests that it applies to; None for all.
        skip: The number of matching requests that pass before it applies.
        chance: The share of the matching requests that it applies to, drawn from the seed.
        status: The status of the response.
        headers: The headers of the response.
        body: The body of the response.
        seconds: The delay, in seconds.
        after_bytes: Bytes of the request's body that are read before it is applied.
        read_body: Whether the request's body is read to its end before the response.
        close: Whether the connection is closed after the response.
        size: The size in bytes.
        variant: The form of a `location` fault.
    """

    kind: str
    method: str | None = None
    path: str = "*"
    times: int | None = 1
    skip: int = 0
    chance: float = 1.0
    status: int = 503
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", converter=_as_bytes)
    seconds: float = 0.0
    after_bytes: int = 1
    read_body: bool = True
    close: bool = False
    size: int = 1
    variant: str = ""

    def __attrs_post_init__(self) -> None:
        check_fields(self)
        for name, fits, rule in (
            ("times", self.times is None or self.times >= 1, "1 or more, or None"),
            ("skip", self.skip >= 0, "0 or more"),
            ("chance", 0 <= self.chance <= 1, "from 0 to 1"),
            ("status", 200 <= self.status <= 599, "from 200 to 599"),
            ("size", self.size >= 1, "1 or more"),
            ("headers", all(map(_is_header, self.headers.items())), "valid HTTP headers"),
            (
                "variant",
                self.kind != "location" or self.variant in _LOCATIONS,
                f"one of {', '.join(_LOCATIONS)}",
            ),
        ):
            if not fits:
                raise ValueError(f"{name} of a fault must be {rule}.")

    def matches(self, method: str, path: str) -> bool:
        """Return whether it applies to a request."""
        of_content = self.path.startswith(CONTENT) == path.startswith(CONTENT)
        return of_content and self.method in (None, method) and fnmatchcase(path, self.path)


_JSON = {"content-type": "application/json"}


def _refused(status: int, key: str, **more: Any) -> dict[str, Any]:
    body = f'[{{"error_key": "{key}", "error_message": "Refused by a fault."}}]'
    return {"status": status, "headers": dict(_JSON), "body": body, **more}


def _html(status: int, body: str) -> dict[str, Any]:
    return {"status": status, "headers": {"content-type": "text/html"}, "body": body}


PRESETS: dict[str, dict[str, Any]] = {
    "over_qps": _refused(403, "mashery.not.authorized.over.qps"),
    "over_ratelimit": _refused(403, "mashery.not.authorized.over.ratelimit"),
    "inactive": _refused(403, "mashery.not.authorized.inactive"),
    "unavailable": _refused(503, "http.status.service_unavailable"),
    "server_error": _refused(500, "http.status.internal_server_error"),
    "too_many_requests": _refused(429, "http.status.too_many_requests"),
    "throttled": _refused(429, "throttled"),
    "quota_exceeded": _refused(429, "quota_exceeded"),
    "gone": _refused(400, "http.status.gone"),
    "unauthorized": _refused(401, "http.status.authentication.invalid_token"),
    "too_large_early": _refused(
        413, "http.status.request_entity_too_large", read_body=False, close=True
    ),
    "empty": {"status": 200},
    "garbage": {"status": 200, "headers": dict(_JSON), "body": b'\x00\xff{"results": ['},
    "null": {"status": 200, "headers": dict(_JSON), "body": "null"},
    "html": _html(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
    "page": _html(200, "<!DOCTYPE html><html><body><h1>Log in</h1></body></html>"),
    "range": {"status": 416, "headers": {"content-range": "bytes */0"}},
    "redirect": {"status": 302, "headers": {"location": "https://elsewhere.example/v2/login"}},
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "trickle": {"seconds": 0.05, "size": 1},
    "huge": {"size": 32 * 1024 * 1024},
    "gzip_bomb": {"size": 256 * 1024 * 1024},
    "echo": {"status": 400},
}
_Slow = Literal["delay", "delay_response", "hang", "trickle"]
_Broken = Literal["cut_response", "lose_response", "raw", "reset", "shorten"]
_Odd = Literal["answer", "echo", "gzip", "gzip_bomb", "huge", "location"]
_OverQuota = Literal["over_qps", "over_ratelimit", "quota_exceeded", "throttled"]
_Refused = Literal["gone", "inactive", "too_large_early", "too_many_requests", "unauthorized"]
_Failed = Literal["empty", "garbage", "html", "null", "page", "server_error", "unavailable"]
_Elsewhere = Literal["range", "redirect"]
FaultKind = Literal[_Slow, _Broken, _Odd, _OverQuota, _Refused, _Failed, _Elsewhere]
"""The kinds of faults and the ready-made responses."""
KINDS = frozenset(get_args(FaultKind)) - PRESETS.keys()


class FaultFields(TypedDict, total=False):
    """The fields of a fault that can be set; see `Fault`."""

    times: int | None
    skip: int
    chance: float
    status: int
    headers: dict[str, str]
    body: str | bytes
    seconds: float
    after_bytes: int
    read_body: bool
    close: bool
    size: int
    variant: str


def make_fault(kind: str, **fields: Any) -> Fault:
    """Return a fault of a kind or a ready-made response. `fields` override its defaults.

    Raises:
        ValueError: The kind or a field is unknown, or a field has a wrong value.
    """
    if kind not in KINDS and kind not in PRESETS:
        raise ValueError(
            f"{kind!r} is not a kind of fault: choose from {', '.join(sorted([*KINDS, *PRESETS]))}."
        )
    given = {**DEFAULTS.get(kind, {}), **PRESETS.get(kind, {})}
    headers = {**given.pop("headers", {}), **fields.pop("headers", {})}
    try:
        return Fault("answer" if kind in PRESETS else kind, headers=headers, **{**given, **fields})
    except TypeError as error:
        raise ValueError(f"Unknown field of a fault: {error}") from None


@attrs.define
class _Armed:
    id: str
    fault: Fault
    kind: str
    skip: int
    left: int | None
    applied: int = 0


class Faults:
    """The armed faults, oldest first.

    Args:
        draw: The random source of chances.
    """

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._armed: list[_Armed] = []
        self._ids = count(1)

    def add(self, label: str, fault: Fault) -> None:
        """Arm a fault, shown under `label`."""
        self._armed.append(_Armed(str(next(self._ids)), fault, label, fault.skip, fault.times))

    def remove(self, fault_id: str) -> None:
        """Disarm one fault, or raise a 404."""
        kept = [armed for armed in self._armed if armed.id != fault_id]
        if len(kept) == len(self._armed):
            raise missing(f"Fault {fault_id}")
        self._armed = kept

    def clear(self) -> None:
        """Disarm all faults."""
        self._armed.clear()

    def take(self, method: str, path: str) -> tuple[str, Fault] | None:
        """Return the fault that applies to this request, with its label; None for no fault."""
        for armed in self._armed:
            if not armed.fault.matches(method, path):
                continue
            if armed.skip:
                armed.skip -= 1
                continue
            if armed.fault.chance < 1.0 and self._draw.random() >= armed.fault.chance:
                continue
            armed.applied += 1
            if armed.left is not None:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
            return armed.kind, armed.fault
        return None

    def pending(self) -> list[dict[str, Any]]:
        """Return the armed faults as plain data."""
        return [
            {**picked(armed, "id kind left skip"), **picked(armed.fault, "method path")}
            for armed in self._armed
        ]

    def unused(self) -> list[tuple[str, Fault]]:
        """Return the faults that have never been applied, each with its label."""
        return [(armed.kind, armed.fault) for armed in self._armed if not armed.applied]


@attrs.frozen
class Exchange:
    """One request, and the methods to answer it or not, one for each kind of fault.

    Attributes:
        app: The application that would answer it.
        scope: The request's ASGI scope.
        receive: Its ASGI receive function.
        send: Its ASGI send function.
        secrets: The key and the token of the request.
    """

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    secrets: tuple[str, str]

    async def run(self) -> None:
        """Carry out the request and answer it."""
        await self.app(self.scope, self.receive, self.send)

    async def run_with_faults(self, faults: Faults, path: str, entry: Entry) -> None:
        """Carry out the request, or apply the next fault for its path."""
        if (taken := faults.take(self.scope["method"], path)) is None:
            await self.run()
            return
        entry.fault, fault = taken
        if fault.read_body and fault.kind in _AFTER_BODY:
            await self._read()
        await EFFECTS[fault.kind](self, fault)

    @property
    def _connection(self) -> Connection:
        return Connection(self.scope, self.receive)

    async def _held(self) -> list[Message]:
        """Carry out the request and return its response unsent."""
        messages: list[Message] = []

        async def hold(message: Message) -> None:
            messages.append(message)

        await self.app(self.scope, self.receive, hold)
        return messages

    async def _read(self, enough: float = math.inf) -> None:
        """Read `enough` bytes of the body, or all of a shorter one."""
        taken = 0
        while taken < enough:
            message = await self.receive()
            taken += len(message.get("body", b""))
            if not message.get("more_body"):
                return

    async def _send_all(self, messages: list[Message]) -> None:
        for message in messages:
            await self.send(message)

    async def _respond(
        self, status: int, headers: dict[str, str], body: bytes, *, more: bool = False
    ) -> None:
        """Send a response of the fault's own; with `more`, its end follows later."""
        headers = {"content-length": str(len(body)), **headers}
        await send_raw(self.send, status, headers.items(), body, more=more)

    async def _write(self, data: bytes) -> None:
        """Write bytes directly, bypassing the server, and close the connection."""
        await self._connection.write(data)
        await self._connection.close()

    async def _answer(self, fault: Fault) -> None:
        if not fault.close:
            await self._respond(fault.status, fault.headers, fault.body)
            return
        headers = {**fault.headers, "connection": "close"}
        await self._respond(fault.status, headers, fault.body, more=True)
        # If it were closed with unread bytes, the connection would be reset, and the response lost
        # in transit.
        await self._read()
        await self.send(_END)

    async def _delay(self, fault: Fault) -> None:
        await asyncio.sleep(fault.seconds)
        await self.run()

    async def _delay_response(self, fault: Fault) -> None:
        messages = await self._held()
        await asyncio.sleep(fault.seconds)
        await self._send_all(messages)

    async def _hang(self, _fault: Fault) -> None:
        await self._connection.gone()

    async def _trickle(self, fault: Fault) -> None:
        answer = as_bytes(await self._held())
        for start in range(0, len(answer), fault.size):
            await self._connection.write(answer[start : start + fault.size])
            await asyncio.sleep(fault.seconds)
        await self._connection.close()

    async def _lose_response(self, _fault: Fault) -> None:
        await self._held()
        await self._connection.reset()

    async def _cut_response(self, _fault: Fault) -> None:
        head, separator, body = as_bytes(await self._held()).partition(b"\r\n\r\n")
        await self._write(head + separator + body[: len(body) // 2] if body else head)

    async def _reset(self, fault: Fault) -> None:
        await self._read(fault.after_bytes)
        await self._connection.reset()

    async def _raw(self, fault: Fault) -> None:
        await self._write(fault.body)

    async def _echo(self, fault: Fault) -> None:
        key, token = self.secrets
        text = f"Bad request for api_key={key} with Authorization: Bearer {token}"
        body = orjson.dumps([{"error_key": f"echo.{key}", "error_message": text}])
        location = f"/v2/library/files?api_key={key}&access_token={token}"
        await self._respond(fault.status, {**_JSON, "x-echo": text, "location": location}, body)

    async def _huge(self, fault: Fault) -> None:
        length = {"content-length": str(max(2, fault.size))}
        await self._respond(200, {**_JSON, **length}, b"", more=True)
        for block in _blocks(fault.size):
            await self.send({**_END, "body": block, "more_body": True})
        await self.send(_END)

    async def _gzip_bomb(self, fault: Fault) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        packed = bytearray()
        for block in _blocks(fault.size):
            packed += packer.compress(block)
            await asyncio.sleep(0)
        packed += packer.flush()
        await self._respond(200, {**_JSON, "content-encoding": "gzip"}, bytes(packed))

    async def _shorten(self, _fault: Fault) -> None:
        await self._send_changed(lambda body: body[: len(body) // 2])

    async def _gzip(self, _fault: Fault) -> None:
        await self._send_changed(gzip.compress, (b"content-encoding", b"gzip"))

    async def _send_changed(
        self, change: Callable[[bytes], bytes], *more: tuple[bytes, bytes]
    ) -> None:
        """Carry out the request, and send its response with a changed body, if it has one."""
        start, *rest = await self._held()
        if body := b"".join(message.get("body", b"") for message in rest):
            body = change(body)
            old = [pair for pair in start["headers"] if pair[0] != b"content-length"]
            start = {**start, "headers": [*old, (b"content-length", b"%d" % len(body)), *more]}
            rest = [{**_END, "body": body}]
        await self._send_all([start, *rest])

    async def _location(self, fault: Fault) -> None:
        start, *rest = await self._held()
        headers: dict[bytes, bytes] = dict(start["headers"])
        url, file_id = (headers.pop(name, b"").decode() for name in (b"location", b"id"))
        new = zip((b"location", b"id"), _LOCATIONS[fault.variant](url, file_id), strict=True)
        headers |= {name: value.encode("latin-1") for name, value in new if value is not None}
        await self._send_all([{**start, "headers": list(headers.items())}, *rest])


def _blocks(size: int) -> Iterator[bytes]:
    yield b"["
    for start in range(0, size - 2, _BLOCK):
        yield _SPACES[: min(_BLOCK, size - 2 - start)]
    yield b"]"


_END: Message = {"type": "http.response.body", "body": b""}
_AFTER_BODY = frozenset({"answer", "hang", "raw", "echo", "huge", "gzip_bomb"})
"""The faults that read the body first, unless `read_body` is False."""
_LOCATIONS: dict[str, Callable[[str, str], tuple[str | None, str | None]]] = {
    "missing": lambda _url, _id: (None, None),
    "id_only": lambda _url, id_: (None, id_),
    "location_only": lambda url, _id: (url, None),
    "relative": lambda url, id_: (urlsplit(url).path, id_),
    "other_host": lambda url, id_: (f"https://elsewhere.example{urlsplit(url).path}", id_),
    "query": lambda url, id_: (f"{url}?api_key=from-the-server&x=1#top", id_),
    "status_form": lambda url, id_: (url.replace("/files/", "/files/uploadstatus/"), id_),
    "trailing_slash": lambda url, id_: (f"{url}/", id_),
    "contradicted": lambda url, id_: (f"{url.partition('?')[0]}9999", id_),
    "absurd": lambda _url, id_: ("ht!tp://[::::/../../etc/passwd", id_),
}
EFFECTS: dict[str, Callable[[Exchange, Fault], Awaitable[None]]] = {
    kind: getattr(Exchange, f"_{kind}") for kind in KINDS
}
