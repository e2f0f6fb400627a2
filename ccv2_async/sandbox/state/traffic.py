"""The last requests to the API with both sides whole, for the sandbox's own page.

The memory is bounded: so many requests, so many bytes of each body, and so many bytes in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Message

    from ccv2_async.sandbox.state.gateway import Entry

HIDDEN = b"(hidden)"
"""What stands in place of a key or a token."""


@attrs.define
class Side:
    """What one side sent.

    Attributes:
        raw_headers: The headers in order. Those of a request are in its entry of the log.
        size: Bytes of the body.
        body: The body, or its start if it is larger than the limit; complete at the end.
        limit: The largest part of a body that is kept.
    """

    limit: int
    raw_headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    size: int = 0
    body: bytes = b""
    _chunks: list[bytes] = attrs.field(factory=list)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers as text."""
        return [(str(name, "latin-1"), str(text, "latin-1")) for name, text in self.raw_headers]

    def write(self, chunk: bytes) -> None:
        """Take in the next bytes."""
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
    """One request with both sides.

    Attributes:
        entry: Its entry in the log.
        request: What the client sent.
        answer: What the sandbox answered. A fault that breaks the connection answers nothing.
        signed: Whether the request had a key, and whether it had a token.
    """

    entry: Entry
    request: Side
    answer: Side
    signed: tuple[bool, bool] = (False, False)

    def answered(self, message: Message) -> None:
        """Take in a message of the response."""
        if message["type"] == "http.response.start":
            self.answer.raw_headers = message["headers"]
        else:
            self.answer.write(message.get("body", b""))


@attrs.define
class Traffic:
    """The last requests.

    Attributes:
        most: The largest number of requests.
        most_bytes: The most bytes of all bodies together.
        body_limit: The most bytes of one body.
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
