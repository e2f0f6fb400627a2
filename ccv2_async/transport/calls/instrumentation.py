"""Report each attempt at a call to the log, to the user's hook, and to `responses` blocks."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import attrs

from ccv2_async.observe import CallEnded, CallRetried, CallSent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ccv2_async.clock import Clock
    from ccv2_async.observe import Hook
    from ccv2_async.transport.calls.call import Call

logger: logging.Logger = logging.getLogger("ccv2_async.transport")


@attrs.frozen
class ResponseInfo:
    """A response from the service, as `ConstantContact.responses` collects it.

    Attributes:
        call: The number of the call, as in events and `APIError.call`; all its attempts share it.
        method: The HTTP method.
        path: The path below the base URL, without the query.
        attempt: 1 for the first.
        status: The HTTP status.
        headers: The headers, with names in lower case, without secrets.
        seconds: The time from the start of the attempt to the complete response.
    """

    call: int
    method: str
    path: str
    attempt: int
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    seconds: float


@attrs.frozen(eq=False)
class _Watch:
    owner: object
    limit: int
    seen: list[ResponseInfo] = attrs.field(factory=list)


_watches: ContextVar[tuple[_Watch, ...]] = ContextVar("ccv2_async_watches", default=())


@contextmanager
def watched(owner: object, limit: int) -> Iterator[list[ResponseInfo]]:
    """Collect the newest responses to the calls of an owner in a `with` block."""
    outer, watch = _watches.get(), _Watch(owner, limit)
    _watches.set((*outer, watch))
    try:
        yield watch.seen
    finally:
        # A fixture may leave the block in another context, where a token cannot be reset.
        _watches.set(outer)


@attrs.define(eq=False)
class CallReport:
    """Report one call, attempt by attempt.

    Attributes:
        number: The number of the call.
        status: The HTTP status of the current attempt, once there is a response.
        headers: The headers of that response without secrets, if `is_watched`.
        outcome: How the current attempt ended: "ok", or what happened.
    """

    _hook: Hook
    _clock: Clock
    _call: Call
    number: int
    _server: tuple[str, int]
    _owner: object
    status: int | None = None
    headers: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    outcome: str = "ok"

    @property
    def is_watched(self) -> bool:
        """Whether the caller is in a `responses` block."""
        return bool(_watches.get())

    @contextmanager
    def attempt(self, attempt: int) -> Iterator[None]:
        """Report one attempt, even if it ends with an exception."""
        call, self.status, self.headers = self._call, None, None
        started = self._clock.monotonic()
        if self._hook.active:
            lane = call.lane.name.lower()
            self._hook(
                CallSent(
                    self.number, call.what, call.method, call.path, lane, attempt, *self._server
                )
            )
        try:
            yield
        except BaseException as error:
            self.outcome = type(error).__name__
            raise
        finally:
            self._ended(attempt, self._clock.monotonic() - started)

    def _ended(self, attempt: int, seconds: float) -> None:
        call = self._call
        for watch in _watches.get():
            if watch.owner is self._owner and self.status is not None and self.headers is not None:
                asked = self.number, call.method, call.path, attempt
                info = ResponseInfo(*asked, self.status, dict(self.headers), seconds)
                watch.seen[:] = [*watch.seen, info][-watch.limit :]
        if logger.isEnabledFor(logging.DEBUG):
            extra = {
                "ccv2_event": "call",
                "ccv2_call": self.number,
                "ccv2_path": call.path,
                "ccv2_status": self.status,
                "ccv2_attempt": attempt,
                "ccv2_seconds": seconds,
            }
            text, called = "%s %s: %s (attempt %d, %.3f s)", (call.method, call.path)
            logger.debug(text, *called, self.outcome, attempt, seconds, extra=extra)
        if self._hook.active:
            about = self.number, call.what, call.method, call.path, attempt, seconds
            self._hook(CallEnded(*about, self.status, self.outcome))

    def retry(self, outcome: str, delay: float) -> None:
        """Report that the call will be sent again."""
        call = self._call
        extra = {"ccv2_event": "retry", "ccv2_path": call.path, "ccv2_delay": delay}
        logger.info("%s: %s; retrying in %.2f s", call.what, outcome, delay, extra=extra)
        self._hook(CallRetried(self.number, call.what, outcome, delay))
