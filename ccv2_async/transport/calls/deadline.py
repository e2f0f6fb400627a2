"""The deadline that the calls of a `with` block share.

A deadline is a point in time, not a time limit for each call: the time that the first call takes is
not available to the second. Blocks can be nested, and the earliest deadline counts. Each task sees
the blocks of its own code and those around the code that created it.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

import attrs

from ccv2_async.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ccv2_async.clock import Clock


@attrs.frozen
class Deadline:
    """A point in time by which something must be done.

    Attributes:
        seconds: The original time limit, for messages.
        ends: The point in time, on the monotonic clock.
        clock: The clock.
    """

    seconds: float
    ends: float
    clock: Clock = attrs.field(repr=False)

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Deadline:
        """Return the deadline that is `seconds` from now."""
        return cls(seconds, clock.monotonic() + seconds, clock)

    @property
    def left(self) -> float:
        """The seconds left; zero or less if the deadline has passed."""
        return self.ends - self.clock.monotonic()

    def or_earlier(self, other: Deadline | None) -> Deadline:
        """Return the earlier of two deadlines; if they are equal, the other one."""
        return self if other is None or self.ends < other.ends else other

    def exceeded(self, what: str) -> DeadlineExceeded:
        """Return the exception for a response that was not complete in time."""
        return DeadlineExceeded(
            f"{what}: the response was not complete within {self.seconds:g} s. "
            "Try again with more time.",
            sent="wholly",
        )


@attrs.frozen
class _Block:
    owner: object
    deadline: Deadline | None
    outer: _Block | None


_innermost: ContextVar[_Block | None] = ContextVar("ccv2_async_deadline", default=None)


def current(owner: object) -> Deadline | None:
    """Return the earliest deadline of the blocks around the running code, or None.

    Args:
        owner: The object whose calls are limited.
    """
    block = _innermost.get()
    while block is not None:
        if block.owner is owner:
            return block.deadline
        block = block.outer
    return None


@contextmanager
def limited(owner: object, seconds: float | None, clock: Clock) -> Iterator[None]:
    """Limit the calls of the block to `seconds` from now; None adds no limit.

    Do not yield inside the block: that would limit the code that iterates too.
    """
    outer = current(owner)
    added = outer if seconds is None else Deadline.after(seconds, clock).or_earlier(outer)
    with nullcontext() if added is outer else _entered(owner, added):
        yield


@contextmanager
def unlimited(owner: object) -> Iterator[None]:
    """Lift the deadlines around the block, for work that is shared by several callers."""
    with nullcontext() if current(owner) is None else _entered(owner, None):
        yield


@contextmanager
def _entered(owner: object, deadline: Deadline | None) -> Iterator[None]:
    outer = _innermost.get()
    _innermost.set(_Block(owner, deadline, outer))
    try:
        yield
    finally:
        # A fixture may leave the block in another context, where a token cannot be reset.
        _innermost.set(outer)


def in_time(
    pieces: AsyncGenerator[bytes, None], deadline: Deadline | None, what: str
) -> AsyncGenerator[bytes, None]:
    """Return the pieces; iterating raises `DeadlineExceeded` if one comes too late."""
    return pieces if deadline is None else _in_time(pieces, deadline, what)


async def _in_time(
    pieces: AsyncGenerator[bytes, None], deadline: Deadline, what: str
) -> AsyncGenerator[bytes, None]:
    while True:
        # A piece that has already arrived comes without a wait that could time out.
        if deadline.left <= 0.0:
            raise deadline.exceeded(what)
        late = False
        try:
            async with deadline.clock.timeout(deadline.left):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            late = True
        if late:  # outside, so that no frame of the HTTP library is its context
            raise deadline.exceeded(what)
        yield piece
