"""Request bodies that a test can inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.transport.files.body import BodyAttempt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class PiecesBody:
    """A body in pieces; `before` is called, if given, before each piece with its number.

    Attributes:
        attempts: The attempts that were made.
    """

    content_type = "application/octet-stream"

    def __init__(
        self,
        *pieces: bytes,
        before: Callable[[int], Awaitable[object]] | None = None,
        repeatable: bool = True,
    ) -> None:
        self.pieces = pieces
        self.before = before
        self.repeatable = repeatable
        self.attempts: list[PiecesAttempt] = []

    async def attempt(self, doubtful: int = 0) -> BodyAttempt:
        self.attempts.append(PiecesAttempt(self))
        return self.attempts[-1]


class PiecesAttempt(BodyAttempt):
    """One try; `closed` counts how often it was closed."""

    def __init__(self, body: PiecesBody) -> None:
        super().__init__(sum(map(len, body.pieces)))
        self._body = body
        self._at = 0
        self.closed = 0

    async def _next(self) -> bytes:
        if self._body.before is not None:
            await self._body.before(self._at)
        self._at += 1
        return self._body.pieces[self._at - 1]

    async def aclose(self) -> None:
        self.closed += 1
