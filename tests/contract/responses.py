"""Responses of a broken service: real ones, with other values, shapes, headers, and bytes."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.transport.calls.responses import OVER_DAY_KEY, OVER_RATE_KEY, RETIRED_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

KEY = 'k3y/"of"+the&app%'
TOKEN = "t0ken~of\\the/account=="

Place = tuple[str | int, ...]
"""The keys and indexes that lead to a value in a JSON document."""


@attrs.frozen
class Real:
    """A response of the sandbox, from which every drawn response starts.

    Attributes:
        status: The HTTP status.
        headers: Its headers, of those that the client reads.
        document: The JSON of its body; None if it is empty.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    document: Any = attrs.field(eq=False)
    places: tuple[Place, ...] = attrs.field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "places", tuple(_places(self.document))[:2000])


@attrs.frozen
class Drawn:
    """An answer as it is sent.

    Attributes:
        data: Its bytes.
        keeps: Whether the connection stays open after it.
    """

    data: bytes
    keeps: bool


def _places(value: Any, above: Place = ()) -> Iterator[Place]:
    yield above
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(below, (*above, key))


# `json.dumps` cannot write these, so a text stands for each until the document is written.
_SPELLED = {
    "<deep list>": "[" * 6000 + "]" * 6000,
    "<quite deep list>": "[" * 900 + "]" * 900,
    "<deep object>": '{"a":' * 3000 + "1" + "}" * 3000,
    "<long number>": "1" * 5000,
    "<1e999>": "1e999",
    "<minus zero>": "-0.0",
    "<NaN>": "NaN",
    "<half a pair>": '"\\ud800"',
    "<two keys>": '{"id": 1, "id": "2", "status": "Active", "status": null}',
    "<many>": "[" + "{}," * 3000 + "{}]",
}

ODD: tuple[tuple[Any, ...], ...] = (
    (None, True, False),
    (0, -1, 7, 2**31, 2**63, 10**30, 0.5, -1e308, 1e15, "7", "-1", "1e5", "٣"),
    ("", " ", "true", "null", "x" * 5000, "a\x00b", "\r\nX: y", "\x1b[31m", "🎂", "../..", "%2e"),
    ("Active", "ACTIVE", "PENDING", "Processing", "COMPLETE", "ERROR", "Virus", "Failed", "gone"),
    ("2026-11-29T04:00:00.000Z", "2026-13-40T99:99:99Z", "0000-00-00", "10000-01-01", "now"),
    ("/v2/x?next=abc", "?next=", "http://[::1", "https://evil.example.com/v2/library/files/9"),
    (KEY, TOKEN, f"Bearer {TOKEN}", f"/v2/x?api_key={KEY}&next={TOKEN}", {TOKEN: KEY}, [KEY]),
    ([], {}, [[]], [{}], [None], {"": ""}, ["7", 7], {"id": 7}),
    tuple(_SPELLED),
)
"""Values of a kind, by kind."""

REFUSALS: tuple[Any, ...] = (
    [{"error_key": OVER_RATE_KEY, "error_message": "Slow down."}],
    [{"error_key": OVER_DAY_KEY, "error_message": KEY}],
    [{"error_key": RETIRED_KEY, "error_message": "Gone."}],
    [{"error_key": "json.email.invalid", "error_message": f"{TOKEN} is invalid"}],
    [{"error_key": ["a", {}], "error_message": 7}] * 30,
    {"error": "invalid_grant", "error_description": KEY},
    [KEY, None, 7, []],
)

PROSE: tuple[bytes, ...] = (
    *(b"", b"null", b"<html>Bad gateway</html>", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"[", b"\x00"),
    *(f"{KEY} {TOKEN}".encode(), b'"' + b"\\u0041" * 999 + b'"', b"busy\r\n\r\n" * 50),
)

STATUSES: tuple[int, ...] = (
    *(200, 200, 201, 202, 204, 206, 207, 301, 302, 304, 400, 401, 403, 404, 405, 406, 408),
    *(409, 410, 413, 415, 418, 429, 429, 499, 500, 502, 503, 503, 504, 599, 600, 999),
)

WAITS: tuple[str, ...] = (
    *("0", "1", "3600", "-1", "1e3", "9" * 400, "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT"),
    *("Sun, 99 Foo 2026 00:00:00 GMT", "Thu, 01 Jan 9999 00:00:00 GMT", "NaN", "inf"),
)
LINKS: tuple[str, ...] = (
    *("/v2/library/files/77", "/v2/activities/a07", "https://evil.example.com/v2/activities/9"),
    *("http://[::1", "", "/", "..", f"/v2/library/files/{KEY}", "/v2/activities/" * 300),
)

NAMED: dict[str, tuple[str, ...]] = {
    "Retry-After": WAITS,
    "Date": WAITS,
    "Location": LINKS,
    "Id": ("77", "a07", "", "../9", "9" * 200, TOKEN),
    "Content-Type": ("application/json", "APPLICATION/JSON; charset=utf-16", "text/html", "", "a"),
    "Content-Encoding": ("gzip", "deflate", "br", "identity", "gzip, gzip"),
    "X-Mashery-Error-Code": ("ERR_403_DEVELOPER_OVER_QPS", "ERR_403_DEVELOPER_OVER_RATE", KEY),
    "Connection": ("close", "keep-alive", "Upgrade", "x" * 20_000),
    "Content-Length": ("0", "7", "-1", "1" * 30, "7, 7", "x"),
    "Set-Cookie": (f"a={TOKEN}", "a=" + "b" * 9000),
    "Upgrade": ("h2c", "websocket"),
}
HEADERS = [(name, value) for name, values in NAMED.items() for value in values]
HEADERS += [("", "x"), ("A\tb", "x"), ("X:Y", "x"), ("X", "\x00"), ("X", "\xe9\x7f"), (" X", " y ")]
"""Headers that the client reads, and others that are not allowed."""


def draw(chance: Random, real: Real) -> Drawn:
    """Draw an answer around a real one."""
    status = chance.choice((real.status,) * 60 + STATUSES)
    body = _body(chance, real, refused=status >= 400)
    headers = [*real.headers, *chance.choices(HEADERS, k=chance.choice((0, 0, 0, 1, 2)))]
    packing = chance.choice(("",) * 9 + ("gzip", "deflate", "cut gzip"))
    if packing:
        headers.append(("Content-Encoding", packing.removeprefix("cut ")))
        body = zlib.compress(body) if packing == "deflate" else gzip.compress(body, mtime=0)
        body = body[: len(body) // 2] if packing == "cut gzip" else body
    framing = chance.choice(("length",) * 12 + ("chunked", "close", "short", "long", "both"))
    data = _framed(status, headers, body, framing)
    if chance.randint(0, 5):
        return Drawn(data, keeps=framing in ("length", "chunked") and status != 204)
    return Drawn(_spoiled(chance, data), keeps=False)


def _body(chance: Random, real: Real, *, refused: bool) -> bytes:
    kind = chance.choice(("real",) * 8 + ("refusal", "prose", "bytes", "json"))
    if kind == "prose":
        return chance.choice(PROSE)
    if kind == "bytes":
        return chance.randbytes(chance.randint(0, 200))
    document = copy.deepcopy(real.document)
    if kind == "json":
        document = _odd(chance)
    elif kind == "refusal" or refused:
        document = copy.deepcopy(chance.choice(REFUSALS))
    elif document is None:
        return b""
    places = real.places if kind == "real" and not refused else tuple(_places(document))
    for _ in range(chance.randint(0, 3)):
        document = _changed(chance, document, chance.choice(places))
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    for name, spelled in _SPELLED.items():
        text = text.replace(f'"{name}"', spelled)
    return text.encode(chance.choice(("utf-8",) * 9 + ("utf-16", "latin-1")), "replace")


def _changed(chance: Random, document: Any, place: Place) -> Any:
    """Return the document with the value at a place changed, if the place is still there."""
    if not place:
        wrapped = ([document], [document, document], {"results": document}, {"": document})
        return chance.choice(wrapped) if chance.random() < 0.5 else _odd(chance)
    holder = document
    for key in place[:-1]:
        holder = _at(holder, key)
    last = place[-1]
    there = isinstance(holder, dict | list) and (
        last in holder if isinstance(holder, dict) else isinstance(last, int) and last < len(holder)
    )
    if not there:
        return document
    change = chance.choice(("odd", "odd", "odd", "gone", "renamed", "wrapped", "repeated"))
    value = holder[last]
    if change == "odd":
        holder[last] = _odd(chance)
    elif change == "gone":
        del holder[last]
    elif change == "wrapped":
        holder[last] = chance.choice(([value], {"value": value}, str(value)[:500]))
    elif isinstance(holder, dict):
        holder[chance.choice((str(last).upper(), f"_{last}", TOKEN))] = value
        if change == "renamed":
            del holder[last]
    else:
        holder.append(copy.deepcopy(value))
    return document


def _odd(chance: Random) -> Any:
    return copy.deepcopy(chance.choice(chance.choice(ODD)))


def _at(holder: Any, key: str | int) -> Any:
    try:
        return holder[key]
    except (KeyError, IndexError, TypeError):
        return None


def _framed(status: int, headers: Sequence[tuple[str, str]], body: bytes, framing: str) -> bytes:
    lines = [f"HTTP/1.1 {status} OK", *(f"{name}: {value}" for name, value in headers)]
    if framing in ("length", "both", "short", "long"):
        lines.append(f"Content-Length: {len(body) + {'short': -1, 'long': 9}.get(framing, 0)}")
    if framing in ("chunked", "both"):
        lines.append("Transfer-Encoding: chunked")
        half = len(body) // 2
        pieces = [piece for piece in (body[:half], body[half:], b"") if piece] + [b""]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + body


def _spoiled(chance: Random, data: bytes) -> bytes:
    """Return the bytes with some cut, put in, or changed."""
    for _ in range(chance.randint(1, 3)):
        # Half of the accidents strike the status line and the headers.
        end = chance.choice((min(len(data), 300), len(data)))
        start = chance.randint(0, end)
        kind = chance.choice(("cut", "insert", "replace", "delete", "repeat", "twice"))
        if kind == "cut":
            data = data[:start]
        elif kind == "twice":
            data += data
        elif kind == "repeat":
            data = data[:start] + data[start : start + 40] * 2 + data[start + 40 :]
        else:
            put = b"" if kind == "delete" else chance.randbytes(chance.randint(1, 6))
            data = data[:start] + put + data[start + (0 if kind == "insert" else len(put) or 9) :]
    return data
