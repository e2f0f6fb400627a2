"""Find the event loop, and wait for tasks that must end even while the caller is being cancelled.

A `CancelScope(shield=True)` of anyio keeps out anyio's own cancellations only: `Task.cancel` of
asyncio interrupts the code inside, each time it is called.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

T = TypeVar("T")

_MOST_THREADS = 40
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("_limiter")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        UsageError: The code does not run in asyncio, but in trio, for example. Nothing was sent.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "No asyncio event loop is running. Nothing was sent; use asyncio.run, not trio."
        ) from None


def ends_task(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Return whether an exception comes from outside and ends the task or the program.

    Any other was raised by code that runs in the task, such as the user's own.

    Args:
        error: The exception.
        task: The task that handles it, determined before it was raised.
    """
    if isinstance(error, asyncio.CancelledError):
        return task is not None and task.cancelling() > 0
    if isinstance(error, GeneratorExit):
        # A coroutine that is closed while it waits is not running in its task.
        with contextlib.suppress(RuntimeError):  # no event loop is running either
            return asyncio.current_task() is not task
        return True
    return isinstance(error, KeyboardInterrupt | SystemExit)


async def in_thread(work: Callable[..., T], *args: object) -> T:
    """Return `work(*args)`, computed in a thread, or here if the system starts no more threads.

    The threads are limited apart from anyio's own, all of which the application may use for long.
    """
    has_begun = False

    def begin() -> T:
        nonlocal has_begun
        has_begun = True
        return work(*args)

    limiter = _limiter.get(None) or anyio.CapacityLimiter(_MOST_THREADS)
    _limiter.set(limiter)
    try:
        return await anyio.to_thread.run_sync(begin, abandon_on_cancel=True, limiter=limiter)
    except RuntimeError:
        if has_begun:
            raise
    return work(*args)


async def all_ended(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Return when all tasks have ended; only then raise a cancellation of the caller."""
    left, cancelled = set(tasks), False
    with anyio.CancelScope(shield=True):
        while left := {task for task in left if not task.done()}:
            try:
                await asyncio.wait(left)
            except asyncio.CancelledError:
                cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def cancel_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and return when all have ended."""
    left = list(tasks)
    for task in left:
        task.cancel()
    await all_ended(left)


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
