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

    def wake(self) -> bool:
        """Let the caller look again whether it is done or should lead; whether it was asleep."""
        if self._future is None or self._future.done():
            return False
        self._future.set_result(None)
        return True

    def sleep(self) -> asyncio.Future[None]:
        """What to await until somebody calls `wake`."""
        # Not a coroutine: of ten thousand who sleep, each would hold a frame more.
        self._future = asyncio.get_running_loop().create_future()
        return self._future


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

    @property
    def is_led(self) -> bool:
        """Whether somebody leads."""
        return self._leader is not None

    async def drive(self, waiter: Waiter, step: Callable[[], Awaitable[None]]) -> None:
        """Return when `waiter.done`; meanwhile lead (run `step` again and again) or follow.

        At most one caller is inside `step` at any time. An exception from `step` goes to the
        caller that led, and the lead to the next.
        """
        try:
            while not waiter.done:
                await self.turn(waiter, step)
        finally:
            self.leave(waiter)

    def turn(self, waiter: Waiter, step: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        """What a waiter that is not done awaits next: its lead, or to be woken.

        For those who save the frame of `drive`, and do as it does.
        """
        if self._leader is None:
            return self._lead(waiter, step)
        self._followers[waiter] = None
        return waiter.sleep()

    def leave(self, waiter: Waiter) -> None:
        """Say that `waiter` waits no longer, for whatever reason.

        Whoever leaves (done, failed, or cancelled between being woken and running) makes sure
        that somebody leads.
        """
        self._followers.pop(waiter, None)
        if self._leader is None:
            self._hand_on()

    async def _lead(self, waiter: Waiter, step: Callable[[], Awaitable[None]]) -> None:
        self._leader = waiter
        try:
            while not waiter.done:
                await step()
        finally:
            self._leader = None

    def _hand_on(self) -> None:
        for follower in self._followers:
            follower.wake()
            return
