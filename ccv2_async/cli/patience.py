"""Say when the service takes long to answer, so that a quiet command does not look dead."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ccv2_async.observe import CallEnded, CallSent

if TYPE_CHECKING:
    from ccv2_async.observe import Event, OnEvent

SECONDS = 10.0
"""Seconds without an answer after which the command says so."""

logger: logging.Logger = logging.getLogger("ccv2_async.cli")


class Patience:
    """A hook for events that warns once of each call that waits long for its answer.

    Args:
        then: Another hook that gets the events too.
    """

    def __init__(self, then: OnEvent | None = None) -> None:
        self._then = then
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __call__(self, event: Event) -> None:
        """Start or stop the timer of a call."""
        if isinstance(event, CallSent):
            loop = asyncio.get_running_loop()
            self._stop(event.call)
            self._timers[event.call] = loop.call_later(SECONDS, _tell, event.what)
        elif isinstance(event, CallEnded):
            self._stop(event.call)
        if self._then is not None:
            self._then(event)

    def close(self) -> None:
        """Stop all timers."""
        for call in tuple(self._timers):
            self._stop(call)

    def _stop(self, call: int) -> None:
        timer = self._timers.pop(call, None)
        if timer is not None:
            timer.cancel()


def _tell(what: str) -> None:
    logger.warning("%s: the service has not answered for %g s; still waiting.", what, SECONDS)
