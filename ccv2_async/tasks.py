"""Wait for tasks that must end, even while the caller is being cancelled.

A `CancelScope(shield=True)` of anyio keeps out anyio's own cancellations only: `Task.cancel` of
asyncio interrupts what is inside, as often as it is called.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

T = TypeVar("T")

__all__ = ["all_ended", "being_cancelled", "uninterrupted"]


def being_cancelled() -> bool:
    """Return whether the running task is being cancelled, and did not only raise a cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def all_ended(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Return when all tasks have ended; raise a cancellation of the caller only then."""
    left, cancelled = set(tasks), False
    with anyio.CancelScope(shield=True):
        while left := {task for task in left if not task.done()}:
            try:
                await asyncio.wait(left)
            except asyncio.CancelledError:
                cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which runs to its end even if the caller is cancelled."""
    has_begun = cancelled = False

    async def begin() -> T:
        nonlocal has_begun
        has_begun = True
        return await work

    while not has_begun:  # `asyncio.run` also cancels tasks that have not begun when it ends
        task = asyncio.create_task(begin())
        try:
            await all_ended([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        if not task.cancelled():
            task.exception()  # a caller that was cancelled does not want it
        raise asyncio.CancelledError
    return task.result()
