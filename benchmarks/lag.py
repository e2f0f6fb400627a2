"""The lag of the event loop while a contestant uploads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.sending import send

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.clients import Client

TICK = 0.001


class LagProbe:
    """A timer that fires every millisecond and records how late it was."""

    def __init__(self) -> None:
        self.lateness: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._handle = self._ask()

    def _ask(self) -> asyncio.TimerHandle:
        return self._loop.call_later(TICK, self._turn, self._loop.time() + TICK)

    def _turn(self, due: float) -> None:
        self.lateness.append(self._loop.time() - due)
        self._handle = self._ask()

    def stop(self) -> None:
        self._handle.cancel()

    def p99(self) -> float:
        """Return the lag in seconds that 99 of 100 timers did not exceed."""
        ordered = sorted(self.lateness)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


async def lag_while_sending(
    client: Client, paths: Sequence[str], in_flight: int, seconds: float
) -> dict[str, Any]:
    """Return the p99 lag in ms, and whether everything was sent within `seconds`."""
    probe = LagProbe()
    finished = True
    try:
        async with asyncio.timeout(seconds):
            await send(client, paths, in_flight)
    except TimeoutError:
        finished = False
    finally:
        probe.stop()
    return {"p99": probe.p99() * 1000, "finished": finished}


async def lag_of_idle_loop(_: Client, seconds: float) -> float:
    """Return the p99 lag in ms while nothing is sent: that of the machine and its timers."""
    probe = LagProbe()
    await asyncio.sleep(seconds)
    probe.stop()
    return probe.p99() * 1000
