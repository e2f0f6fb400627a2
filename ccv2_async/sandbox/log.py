"""What was asked of the sandbox, without the secrets it was asked with."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@attrs.define
class Entry:
    """One request.

    Attributes:
        number: Counts from 1 since the last reset.
        time: When its head had arrived, on the sandbox's clock.
        method: The HTTP method.
        path: The path, as it was sent, without the query.
        query: The query without `api_key`.
        headers: The headers without the credentials.
        client: The port it came from: the same for requests of one connection.
        status: What was answered; None while it runs and when no answer went out.
        received: Bytes of body that were taken in.
        parts: The names of a form's parts, in their order.
        fault: The kind of fault that struck it.
        ended: When it was done.
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
        size: How many are kept.
        total: How many there were.
        running: How many have not ended.
        most_running: The most that ran at one time.
    """

    size: int
    total: int = 0
    running: int = 0
    most_running: int = 0
    _entries: deque[Entry] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._entries = deque(maxlen=self.size)

    def begin(
        self,
        *,
        now: float,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        client: int,
    ) -> Entry:
        """A new entry for a request that has just come in."""
        self.total += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        kept = {name: value for name, value in headers.items() if name not in _SECRET_HEADERS}
        shown = {name: value for name, value in query.items() if name != "api_key"}
        entry = Entry(self.total, now, method, path, shown, kept, client)
        self._entries.append(entry)
        return entry

    def end(self, entry: Entry, now: float) -> None:
        """The request is done, whichever way it went."""
        entry.ended = now
        self.running -= 1

    def entries(self, wanted: Callable[[Entry], bool] | None = None) -> list[Entry]:
        """The kept entries, oldest first; copies, so that they stay as they are."""
        return [attrs.evolve(entry) for entry in self._entries if wanted is None or wanted(entry)]
