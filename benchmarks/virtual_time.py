"""An event loop whose time is simulated: when nothing is ready, it jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


class _Jumping(selectors.BaseSelector):
    """A selector that advances the loop's time instead of waiting."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Without a timer, only another thread can continue, so wait for it in real time.
        in_earnest = timeout is None or len(self._real.get_map()) > 1  # the loop's own pipe is one
        ready = self._real.select(None if timeout is None else 0) if in_earnest else []
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop for programs without sockets: waits take no real time, but time passes."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the simulated seconds since the loop was created."""
        return self._jumping.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in simulated time, and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


class LoopClock:
    """The clock of the running event loop.

    With a simulated event loop, hours pass in seconds, and every run is the same.

    Args:
        start: The seconds since 1970 at time 0 of the event loop.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._start = start

    def monotonic(self) -> float:
        """Return the time of the event loop."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """Return the seconds since 1970 (UTC)."""
        return self._start + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of the event loop's time."""
        await asyncio.sleep(max(0.0, seconds))

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """Return a context that raises `TimeoutError` after `seconds`."""
        return asyncio.timeout(seconds)
