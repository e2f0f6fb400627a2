"""What is going to go wrong, and with which request.

A fault is armed beforehand and strikes the next requests that match it. Each kind is real on the
socket: connections are reset, answers arrive a few bytes at a time, or not at all.

==================  ==========================================================================
kind                what happens
==================  ==========================================================================
``answer``          `status`, `headers` and `body` are answered in place of the operation
``delay``           `seconds` pass before the request is looked at
``delay_answer``    the request is carried out; its answer follows `seconds` later
``hang``            no answer ever; the request is not carried out
``trickle``         carried out; the answer comes `size` bytes at a time, `seconds` apart
``lose_answer``     carried out to the end; then the connection is reset instead of an answer
``cut_answer``      carried out; the connection is closed in the middle of the answer
``reset``           the connection is reset after `after_bytes` of the body; not carried out
``raw``             `body` is written to the socket as it is, and the connection closed
``echo``            `status`, and an error that repeats the key, the token and the headers
``huge``            status 200 and a JSON body of `size` bytes
``gzip_bomb``       the same, compressed to almost nothing
``gzip``            carried out; the answer's body is compressed
``location``        carried out; `variant` says what becomes of Location and Id, see below
==================  ==========================================================================

Ready-made answers, by the same `kind`: ``over_qps``, ``over_ratelimit``, ``inactive``,
``unavailable``, ``server_error``, ``too_many_requests``, ``throttled`` and ``quota_exceeded``
(429, the newer API's words for the second and the day), ``unauthorized``, ``too_large_early``
(413, before the body is read, and the connection is closed), ``empty``, ``garbage``, ``html``,
``null``, ``redirect``.

Variants of ``location``: ``missing`` (no Id either), ``id_only``, ``location_only``,
``relative``, ``other_host``, ``query``, ``status_form``, ``trailing_slash``, ``contradicted``
(it names another id than Id), ``absurd``.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import attrs

if TYPE_CHECKING:
    import random


def _as_bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


@attrs.frozen
class Fault:
    """One thing that is going to go wrong.

    Attributes:
        kind: What happens; see the tables of this module.
        method: The HTTP method that it strikes; None for any.
        path: The path that it strikes, below `/v2`; `*` stands for anything.
        times: How many requests it strikes; None for all.
        skip: How many matching requests it lets by first.
        chance: The share of the matching requests that it strikes, drawn from the seed.
        status: The status that is answered.
        headers: The headers that are answered.
        body: The body that is answered.
        seconds: The time between, in seconds.
        after_bytes: Bytes of the request's body that are taken in before it strikes.
        read_body: Whether the request's body is read to its end before the answer.
        close: Whether the connection is closed behind the answer.
        size: Bytes.
        variant: Which form of the kind.
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

    def matches(self, method: str, path: str) -> bool:
        """Whether it strikes such a request."""
        return self.method in (None, method) and fnmatchcase(path, self.path)


_JSON = {"content-type": "application/json"}


def _refused(status: int, key: str, **more: Any) -> dict[str, Any]:
    body = f'[{{"error_key": "{key}", "error_message": "Refused by a fault."}}]'
    return {"status": status, "headers": dict(_JSON), "body": body, **more}


PRESETS: dict[str, dict[str, Any]] = {
    "over_qps": _refused(403, "mashery.not.authorized.over.qps"),
    "over_ratelimit": _refused(403, "mashery.not.authorized.over.ratelimit"),
    "inactive": _refused(403, "mashery.not.authorized.inactive"),
    "unavailable": _refused(503, "http.status.service_unavailable"),
    "server_error": _refused(500, "http.status.internal_server_error"),
    "too_many_requests": _refused(429, "http.status.too_many_requests"),
    "throttled": _refused(429, "throttled"),
    "quota_exceeded": _refused(429, "quota_exceeded"),
    "unauthorized": _refused(401, "http.status.authentication.invalid_token"),
    "too_large_early": _refused(
        413, "http.status.request_entity_too_large", read_body=False, close=True
    ),
    "empty": {"status": 200},
    "garbage": {"status": 200, "headers": dict(_JSON), "body": b'\x00\xff{"results": ['},
    "null": {"status": 200, "headers": dict(_JSON), "body": "null"},
    "html": {
        "status": 502,
        "headers": {"content-type": "text/html"},
        "body": "<html><body><h1>502 Bad Gateway</h1></body></html>",
    },
    "redirect": {"status": 302, "headers": {"location": "https://elsewhere.example/v2/login"}},
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "trickle": {"seconds": 0.05, "size": 1},
    "huge": {"size": 32 * 1024 * 1024},
    "gzip_bomb": {"size": 256 * 1024 * 1024},
    "echo": {"status": 400},
}
KINDS = frozenset(
    (
        "answer",
        "cut_answer",
        "delay",
        "delay_answer",
        "echo",
        "gzip",
        "gzip_bomb",
        "hang",
        "huge",
        "location",
        "lose_answer",
        "raw",
        "reset",
        "trickle",
    )
)


FaultKind = Literal[
    "answer",
    "cut_answer",
    "delay",
    "delay_answer",
    "echo",
    "empty",
    "garbage",
    "gzip",
    "gzip_bomb",
    "hang",
    "html",
    "huge",
    "inactive",
    "location",
    "lose_answer",
    "null",
    "over_qps",
    "over_ratelimit",
    "quota_exceeded",
    "raw",
    "redirect",
    "reset",
    "server_error",
    "throttled",
    "too_large_early",
    "too_many_requests",
    "trickle",
    "unauthorized",
    "unavailable",
]
"""The kinds of faults and the ready-made answers."""


class FaultFields(TypedDict, total=False):
    """What can be set about a fault; see `Fault`."""

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
    """A fault of a kind or of a ready-made answer; `fields` override what it brings along.

    Raises:
        ValueError: There is no such kind, or no such field.
    """
    if kind not in KINDS and kind not in PRESETS:
        raise ValueError(f"{kind!r} is no kind of fault: {', '.join(sorted([*KINDS, *PRESETS]))}.")
    given = {**DEFAULTS.get(kind, {}), **PRESETS.get(kind, {})}
    headers = {**given.pop("headers", {}), **fields.pop("headers", {})}
    try:
        return Fault("answer" if kind in PRESETS else kind, headers=headers, **{**given, **fields})
    except TypeError as error:
        raise ValueError(f"A fault has no such field: {error}") from None


@attrs.define
class _Armed:
    fault: Fault
    label: str
    skip: int
    left: int | None
    struck: int = 0


class Faults:
    """The faults that are armed, in the order in which they were.

    Args:
        draw: Where chances are drawn from.
    """

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._armed: list[_Armed] = []

    def add(self, label: str, fault: Fault) -> None:
        """Arm a fault, shown under `label`."""
        self._armed.append(_Armed(fault, label, fault.skip, fault.times))

    def clear(self) -> None:
        """Disarm all faults."""
        self._armed.clear()

    def take(self, method: str, path: str) -> tuple[str, Fault] | None:
        """The fault that strikes this request, with its label; None when it goes well."""
        for armed in self._armed:
            if not armed.fault.matches(method, path):
                continue
            if armed.skip:
                armed.skip -= 1
                continue
            if armed.fault.chance < 1.0 and self._draw.random() >= armed.fault.chance:
                continue
            armed.struck += 1
            if armed.left is not None:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
            return armed.label, armed.fault
        return None

    def pending(self) -> list[dict[str, Any]]:
        """What is still armed."""
        return [
            {
                "kind": armed.label,
                "method": armed.fault.method,
                "path": armed.fault.path,
                "left": armed.left,
                "skip": armed.skip,
            }
            for armed in self._armed
        ]

    def unused(self) -> list[tuple[str, Fault]]:
        """Return the faults that have never struck, each with its label."""
        return [(armed.label, armed.fault) for armed in self._armed if not armed.struck]
