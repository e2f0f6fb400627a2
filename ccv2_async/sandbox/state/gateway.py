"""The records of the gateway: the requests, without their secrets, and the counts of calls.

The last requests to the API are kept with both sides in full, for the sandbox's own page. That
memory is bounded, by the number of requests, the bytes of each body, and the total bytes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from starlette.types import Message, Scope

DAY = 86_400
# Timestamps of calls paced at exactly the quota differ only by rounding.
_ROUNDING = 1e-6
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
HIDDEN = b"(hidden)"
"""The replacement for a key or a token."""


@attrs.define
class Entry:
    """One request.

    Attributes:
        number: Counts from 1 since the last reset.
        time: The time at which its headers had arrived, on the sandbox's clock.
        method: The HTTP method.
        path: The path as it was sent, without the query.
        query: The query without `api_key`.
        headers: The headers without the credentials.
        client: The port it came from: the same for requests of one connection.
        status: The status of the response; None while it runs and when no response was sent.
        received: Bytes of the body that were read.
        parts: The names of a form's parts, in order.
        fault: The kind of fault that was applied to it.
        ended: The time of its end.
    """

    number: int
    time: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    client: int
    status: int | None = None
    received: int = 0
    parts: tuple[str, ...] = ()
    fault: str | None = None
    ended: float | None = None


@attrs.define
class Log:
    """The last requests.

    Attributes:
        size: The number of requests that are kept.
        total: The number of requests so far.
        running: The number of requests that have not ended.
        most_running: The maximum number that ran at the same time.
    """

    size: int
    total: int = 0
    running: int = 0
    most_running: int = 0
    _entries: deque[Entry] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._entries = deque(maxlen=self.size)

    def begin(
        self, scope: Scope, now: float, query: dict[str, str], headers: dict[str, str]
    ) -> Entry:
        """Add an entry, without its secrets, for a request that has just arrived."""
        self.total += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        kept = {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
        shown = {name: value for name, value in query.items() if name != "api_key"}
        port = (scope.get("client") or ("", 0))[1]
        entry = Entry(self.total, now, scope["method"], scope["path"], shown, kept, port)
        self._entries.append(entry)
        return entry

    def end(self, entry: Entry, now: float) -> None:
        """Record the end of a request."""
        entry.ended = now
        self.running -= 1

    def newest(self) -> Iterator[Entry]:
        """Yield the kept entries themselves, newest first."""
        return reversed(self._entries)

    def entries(self, wanted: Callable[[Entry], bool] | None = None) -> list[Entry]:
        """Return copies of the kept entries, oldest first."""
        return [attrs.evolve(entry) for entry in self._entries if wanted is None or wanted(entry)]


@attrs.define
class Quota:
    """The count of calls per key, in any second and in a day.

    A refused call is not counted.

    Attributes:
        per_second: Calls in any second; None for no limit.
        per_day: Calls in a day (UTC); None for no limit.
    """

    per_second: int | None
    per_day: int | None
    _recent: deque[float] = attrs.field(factory=deque)
    _day: int = -1
    _today: int = 0

    def refusal(self, now: float) -> str | None:
        """Count a call and return None, or return `over.qps` or `over.ratelimit`."""
        if int(now // DAY) != self._day:
            self._day, self._today = int(now // DAY), 0
        if self.per_day is not None and self._today >= self.per_day:
            return "over.ratelimit"
        while self._recent and now - self._recent[0] >= 1.0 - _ROUNDING:
            self._recent.popleft()
        if self.per_second is not None and len(self._recent) >= self.per_second:
            return "over.qps"
        self._recent.append(now)
        self._today += 1
        return None

    def used(self, now: float) -> tuple[int, int]:
        """Return the calls counted within the last second, and those of the day."""
        recent = sum(now - moment < 1.0 for moment in self._recent)
        return recent, self._today if int(now // DAY) == self._day else 0

    def resets_in(self, now: float) -> float:
        """Return the seconds until the day's count starts over."""
        return DAY - now % DAY


@attrs.define
class Side:
    """The data that one side sent.

    Attributes:
        raw_headers: The headers in order. Those of a request are in its entry of the log.
        size: Bytes of the body.
        body: The body, or its start if it is larger than the limit; complete at the end.
        limit: The maximum part of a body that is kept.
    """

    limit: int
    raw_headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    size: int = 0
    body: bytes = b""
    _chunks: list[bytes] = attrs.field(factory=list)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers as strings."""
        return [(str(name, "latin-1"), str(text, "latin-1")) for name, text in self.raw_headers]

    def write(self, chunk: bytes) -> None:
        """Add the next bytes."""
        if chunk and self.size < self.limit:
            self._chunks.append(chunk[: self.limit - self.size])
        self.size += len(chunk)

    def end(self, secrets: Iterable[str]) -> int:
        """Join the body, hide secrets in it and in the headers, and return its length."""
        self.body = b"".join(self._chunks)
        self._chunks.clear()
        for secret in secrets:
            hidden = secret.encode()
            self.body = self.body.replace(hidden, HIDDEN)
            if any(hidden in text for _, text in self.raw_headers):
                self.raw_headers = [
                    (name, text.replace(hidden, HIDDEN)) for name, text in self.raw_headers
                ]
        return len(self.body)


@attrs.define(eq=False)
class Record:
    """One request and its response.

    Attributes:
        entry: Its entry in the log.
        request: The client's side.
        answer: The sandbox's side. It is empty if a fault broke the connection.
        signed: Whether the request had a key, and whether it had a token.
    """

    entry: Entry
    request: Side
    answer: Side
    signed: tuple[bool, bool] = (False, False)

    def answered(self, message: Message) -> None:
        """Record an ASGI message of the response."""
        if message["type"] == "http.response.start":
            self.answer.raw_headers = message["headers"]
        else:
            self.answer.write(message.get("body", b""))


@attrs.define
class Traffic:
    """The last requests.

    Attributes:
        most: The maximum number of requests.
        most_bytes: The maximum number of bytes of all bodies together.
        body_limit: The maximum number of bytes of one body.
    """

    most: int = 500
    most_bytes: int = 8 * 1024 * 1024
    body_limit: int = 256 * 1024
    _records: dict[int, Record] = attrs.field(factory=dict)
    _kept: int = 0

    def begin(self, entry: Entry) -> Record:
        """Add a request that has just arrived."""
        record = Record(entry, Side(self.body_limit), Side(self.body_limit))
        self._records[entry.number] = record
        if len(self._records) > self.most:
            self._drop_oldest()
        return record

    def end(self, record: Record, secrets: tuple[str, str]) -> None:
        """Record the end of a request. `secrets` are its key and its token."""
        record.signed = (bool(secrets[0]), bool(secrets[1]))
        hidden = [secret for secret in secrets if secret]
        kept = record.request.end(hidden) + record.answer.end(hidden)
        if record.entry.number in self._records:
            self._kept += kept
        while self._kept > self.most_bytes:
            self._drop_oldest()

    def find(self, number: int) -> Record | None:
        """Return the request with this number, if it is still kept."""
        return self._records.get(number)

    def _drop_oldest(self) -> None:
        oldest = self._records.pop(next(iter(self._records)))
        self._kept -= len(oldest.request.body) + len(oldest.answer.body)
