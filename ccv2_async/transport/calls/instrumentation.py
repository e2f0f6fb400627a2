"""What the log and the user's hook get to know about one call."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ccv2_async.observe import CallEnded, CallRetried, CallSent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccv2_async.clock import Clock
    from ccv2_async.observe import Hook
    from ccv2_async.transport.calls.call import Call

logger: logging.Logger = logging.getLogger("ccv2_async.transport")


class CallAccount:
    """Keeps account of one call, attempt by attempt.

    Attributes:
        status: The HTTP status of the attempt that is under way, once there is an answer.
    """

    __slots__ = (
        "_attempt", "_call", "_clock", "_hook", "_number", "_server", "_started", "_told", "status",
    )  # fmt: skip

    def __init__(
        self, hook: Hook, clock: Clock, call: Call, number: int, server: tuple[str, int]
    ) -> None:
        self._hook = hook
        self._clock = clock
        self._call = call
        self._number = number
        self._server = server
        self._attempt = 0
        self._started = 0.0
        self._told = False
        self.status: int | None = None

    @contextmanager
    def attempt(self, attempt: int) -> Iterator[None]:
        """Report one attempt, also if it ends with an exception."""
        self._attempt, self.status, self._told = attempt, None, False
        self._started = self._clock.monotonic()
        call = self._call
        if self._hook.active:
            lane = call.lane.name.lower()
            sent = CallSent(
                self._number, call.what, call.method, call.path, lane, attempt, *self._server
            )
            self._hook(sent)
        try:
            yield
        except BaseException as error:
            if not self._told:
                self.ended(type(error).__name__)
            raise

    def ended(self, outcome: str) -> None:
        """How the attempt ended: "ok", or what happened."""
        self._told = True
        call, seconds = self._call, self._clock.monotonic() - self._started
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s: %s (attempt %d, %.3f s)",
                call.method,
                call.path,
                outcome,
                self._attempt,
                seconds,
                extra={
                    "ccv2_event": "call",
                    "ccv2_path": call.path,
                    "ccv2_status": self.status,
                    "ccv2_attempt": self._attempt,
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
                    attempt=self._attempt,
                    seconds=seconds,
                    status=self.status,
                    outcome=outcome,
                )
            )

    def again(self, outcome: str, delay: float) -> None:
        """That the call will be sent again."""
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
