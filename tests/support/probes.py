"""Compare the open sockets, files, tasks, and threads of a process before and after."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_TURNS = 1000


def descriptors() -> dict[str, str]:
    """The open descriptors of this process, by number, with what they point to."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = str(entry.readlink())
    return found


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """A block after which there are no more tasks, descriptors and threads than before."""
    tasks, threads, files = asyncio.all_tasks(), set(threading.enumerate()), descriptors()
    yield
    for _ in range(_TURNS):  # sockets and asynchronous generators close within some turns
        new_tasks = {task for task in asyncio.all_tasks() - tasks if not task.done()}
        new_files = {n: what for n, what in descriptors().items() if files.get(n) != what}
        new_threads = set(threading.enumerate()) - threads
        if not (new_tasks or new_files or new_threads):
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"left behind: {new_tasks=} {new_files=} {new_threads=}")


def chained(error: BaseException) -> Iterator[BaseException]:
    """An exception with all its causes, contexts and group members."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


async def until(true: Callable[[], object]) -> None:
    """Return once `true()` is true, for events on a real socket that take their own time."""
    while not true():  # noqa: ASYNC110  # what is waited for has no event of its own
        await asyncio.sleep(0.001)
