"""How far an upload has got, told to whoever asked, and never so often that it costs speed."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from ccv2_async.clock import Clock

__all__ = ["Progress", "ProgressCallback", "ProgressReporter"]

_BYTES_BETWEEN = 256 * 1024
_SECONDS_BETWEEN = 0.1

_log = logging.getLogger("ccv2_async")


@attrs.frozen
class Progress:
    """A moment of one upload.

    Attributes:
        name: The file, as it was given.
        sent: Bytes of the file that the connection has taken, in this attempt.
        total: Bytes of the file in all.
        attempt: 1 for the first; a higher number means that it started over, from 0.
    """

    name: str
    sent: int
    total: int
    attempt: int


ProgressCallback: TypeAlias = Callable[[Progress], Awaitable[object] | object]
"""A function, or a coroutine function, that is called with each `Progress`."""


class ProgressReporter:
    """Tells a callback how one upload goes: first, last, and between them not too often.

    Between the first and the last event of an attempt there is one every 256 KiB or every
    100 ms, whichever comes first. A callback that raises is logged and not called again for this
    upload; the upload goes on.

    Args:
        callback: A function or a coroutine function that takes a `Progress`.
        name: The file, as messages call it.
        clock: The time that the 100 ms are counted on.
    """

    def __init__(self, callback: ProgressCallback, *, name: str, clock: Clock) -> None:
        self._callback: ProgressCallback | None = callback
        self._name = name
        self._clock = clock
        self._attempt = 0
        self._total = 0
        self._told = 0
        self._told_at = 0.0

    async def begin(self, total: int) -> None:
        """Tell that an attempt to send `total` bytes begins."""
        self._attempt += 1
        self._total = total
        await self._tell(0)

    async def advance(self, sent: int) -> None:
        """Tell that `sent` bytes have gone, if it is time to."""
        due = (
            sent - self._told >= _BYTES_BETWEEN
            or self._clock.monotonic() - self._told_at >= _SECONDS_BETWEEN
        )
        if due:
            await self._tell(sent)

    async def finish(self) -> None:
        """Tell that all bytes have gone."""
        await self._tell(self._total)

    async def _tell(self, sent: int) -> None:
        self._told = sent
        self._told_at = self._clock.monotonic()
        if self._callback is None:
            return
        event = Progress(name=self._name, sent=sent, total=self._total, attempt=self._attempt)
        try:
            answer = self._callback(event)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # noqa: BLE001  # whatever the user's function raises
            self._callback = None
            _log.warning(
                "%s: the progress callback failed and is not called again; the upload goes on",
                self._name,
                exc_info=True,
            )
