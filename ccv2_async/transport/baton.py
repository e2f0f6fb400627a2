"""Waiters that drive shared work themselves: one leads, the rest sleep, and the lead is handed on.

A library that starts no background task still has work that serves many callers at once (the
pace of a quota, one status request for many jobs). Whoever waits first does that work, for all,
until what it waits for has come; then, or when it is cancelled, it wakes another to go on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Waiter:
    """One caller that waits; `Baton.finish` says that what it waits for has come."""

    __slots__ = ("_future", "done")

    def __init__(self) -> None:
        self.done: bool = False
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let the caller look again whether it is done or should lead."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def sleep(self) -> None:
        """Return when somebody calls `wake`."""
        self._future = asyncio.get_running_loop().create_future()
        try:
            await self._future
        finally:
            self._future = None


class Baton:
    """The lead over one piece of shared work."""

    __slots__ = ("_followers", "_leader")

    def __init__(self) -> None:
        self._leader: Waiter | None = None
        self._followers: dict[Waiter, None] = {}

    def finish(self, waiter: Waiter) -> None:
        """Say that what `waiter` waits for has come."""
        waiter.done = True
        self._followers.pop(waiter, None)
        waiter.wake()

    async def drive(self, waiter: Waiter, step: Callable[[], Awaitable[None]]) -> None:
        """Return when `waiter.done`; meanwhile lead (run `step` again and again) or follow.

        At most one caller is inside `step` at any time. An exception from `step` goes to the
        caller that led, and the lead to the next.
        """
        try:
            while not waiter.done:
                if self._leader is None:
                    self._leader = waiter
                    try:
                        while not waiter.done:
                            await step()
                    finally:
                        self._leader = None
                else:
                    self._followers[waiter] = None
                    await waiter.sleep()
        finally:
            self._followers.pop(waiter, None)
            # Whoever leaves (done, failed, or cancelled between being woken and running) makes
            # sure that somebody leads.
            if self._leader is None:
                self._hand_on()

    def _hand_on(self) -> None:
        for follower in self._followers:
            follower.wake()
            return
