"""Report each attempt at a call to the log and to the user's hook."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from ccv2_async.observe import CallEnded, CallRetried, CallSent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccv2_async.clock import Clock
    from ccv2_async.observe import Hook
    from ccv2_async.transport.calls.call import Call

logger: logging.Logger = logging.getLogger("ccv2_async.transport")


@attrs.define(eq=False)
class CallReport:
    """Report one call, attempt by attempt.

    Attributes:
        status: The HTTP status of the current attempt, once there is an answer.
        outcome: How the current attempt ended: "ok", or what happened.
    """

    _hook: Hook
    _clock: Clock
    _call: Call
    _number: int
    _server: tuple[str, int]
    status: int | None = None
    outcome: str = "ok"

    @contextmanager
    def attempt(self, attempt: int) -> Iterator[None]:
        """Report one attempt, also if it ends with an exception."""
        call, self.status = self._call, None
        started = self._clock.monotonic()
        if self._hook.active:
            lane = call.lane.name.lower()
            self._hook(
                CallSent(
                    self._number, call.what, call.method, call.path, lane, attempt, *self._server
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
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s: %s (attempt %d, %.3f s)",
                call.method,
                call.path,
                self.outcome,
                attempt,
                seconds,
                extra={
                    "ccv2_event": "call",
                    "ccv2_path": call.path,
                    "ccv2_status": self.status,
                    "ccv2_attempt": attempt,
                    "ccv2_seconds": seconds,
                },
            )
        if self._hook.active:
            self._hook(
                CallEnded(
                    call=self._number,
                    what=call.what,
                    method=call.method,
                    path=call.path,
                    attempt=attempt,
                    seconds=seconds,
                    status=self.status,
                    outcome=self.outcome,
                )
            )

    def retry(self, outcome: str, delay: float) -> None:
        """Report that the call will be sent again."""
        call = self._call
        logger.info(
            "%s: %s; again in %.2f s",
            call.what,
            outcome,
            delay,
            extra={"ccv2_event": "retry", "ccv2_path": call.path, "ccv2_delay": delay},
        )
        if self._hook.active:
            self._hook(CallRetried(self._number, call.what, outcome, delay))
