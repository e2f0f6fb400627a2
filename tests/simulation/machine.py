"""A simulated machine: processes that can be killed, a disk, and the parts that run on them.

Everything that a process does to the outside world goes through `Process.pass_time`. After a kill
it never returns, so a dead process changes nothing more, whatever its code still tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio.to_thread
import attrs

from ccv2_async.backup.journal import Journal as BackupJournal
from ccv2_async.transport.files.databases import Database
from ccv2_async.transport.files.threads import FileThreads

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterator
    from unittest.mock import _patch

DAY = 86_400.0
MIDNIGHT = 20_834 * DAY
"""A midnight in UTC, in seconds since 1970."""

TO_STOP = 180.0
"""Virtual seconds within which a process that is canceled must have ended."""

_running: ContextVar[Process | None] = ContextVar("simulated process", default=None)


@attrs.define(eq=False)
class Trace:
    """What happened, line by line, each with its virtual time.

    Attributes:
        lines: The lines.
        directory: A path that differs in each run, and is left out.
    """

    lines: list[str] = attrs.field(factory=list)
    directory: str = "\n"

    def __call__(self, text: str) -> None:
        """Add a line."""
        now = asyncio.get_running_loop().time()
        self.lines.append(f"{now:10.3f}  {text.replace(self.directory, '')}")


@attrs.define(eq=False)
class Process:
    """A process of the machine.

    Attributes:
        name: Its name in the trace.
        chance: The random numbers of the run.
        disk: The longest time that one access to the disk takes, in seconds.
        alive: Whether it runs.
        sent: The times at which it sent calls of the API.
        asking: How many of its status requests for uploads are in flight.
        wires: Its open connections.
    """

    name: str
    chance: random.Random
    trace: Trace
    disk: float = 0.005
    alive: bool = True
    sent: list[float] = attrs.field(factory=list)
    asking: int = 0
    wires: dict[object, None] = attrs.field(factory=dict)
    # In the order in which they began, so that a seed does the same each time.
    _tasks: dict[asyncio.Task[Any], None] = attrs.field(factory=dict)
    _handles: list[Database | BackupJournal] = attrs.field(factory=list)

    @staticmethod
    def current() -> Process:
        """Return the process that runs this code."""
        process = _running.get()
        assert process is not None, "no simulated process runs this"
        return process

    def start(self, main: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start the process, and return its main task."""
        token = _running.set(self)
        try:
            return asyncio.get_running_loop().create_task(main, name=self.name)
        finally:
            _running.reset(token)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Count a task as one of this process."""
        self._tasks[task] = None
        task.add_done_callback(lambda task: self._tasks.pop(task, None))

    def hold(self, handle: Database | BackupJournal) -> None:
        """Note a database that the system closes, with its lock, when the process dies."""
        self._handles.append(handle)

    async def pass_time(self, longest: float) -> None:
        """Let an access to the outside world take its time; a dead process never comes back."""
        await asyncio.sleep(self.chance.uniform(0.0, longest))
        if not self.alive:
            await asyncio.get_running_loop().create_future()

    async def interrupt(self, main: asyncio.Task[Any]) -> bool:
        """Cancel the main task, as Ctrl-C does, and return whether it ended in time."""
        self.trace(f"{self.name} is canceled")
        main.cancel()
        await asyncio.wait({main}, timeout=TO_STOP)
        return main.done()

    async def kill(self) -> None:
        """End the process as SIGKILL does: nothing that it still runs has an effect."""
        self.trace(f"{self.name} is killed")
        self.alive = False
        # Its code is of no interest any more, but Python wants every task to end.
        for _ in range(100):
            tasks = [task for task in self._tasks if not task.done()]
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.1)
        self._close_handles()

    @property
    def left(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended."""
        return [task for task in self._tasks if not task.done()]

    def _close_handles(self) -> None:
        for handle in self._handles:
            handle.close()
        self._handles.clear()


class _Task(asyncio.Task[Any]):
    """A task whose place in a set depends on nothing but the order of creation."""

    _numbers = itertools.count()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number


def make_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task that belongs to the process whose code creates it."""
    context = options.get("context")
    process = _running.get() if context is None else context.get(_running)
    task: asyncio.Task[Any] = _Task(coro, loop=loop, **options)
    if process is not None:
        process.adopt(task)
    return task


class _Queue:
    """The queue of a single thread: each piece of work is done after a time of the disk."""

    def __init__(self) -> None:
        self._process = Process.current()
        self._waiting: list[tuple[asyncio.Future[Any], Callable[[], Any], bool]] = []
        self._busy = False

    def put(self, work: Callable[[], Any], *, done_anyway: bool) -> asyncio.Future[Any]:
        """Return a future for the result of `work`.

        Args:
            work: The work.
            done_anyway: Whether to do it if the future was canceled before its turn came.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((future, work, done_anyway))
        if not self._busy and self._process.alive:
            self._next()
        return future

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            delay = self._process.chance.uniform(0.0, self._process.disk)
            asyncio.get_running_loop().call_later(delay, self._work)

    def _work(self) -> None:
        future, work, done_anyway = self._waiting.pop(0)
        if not self._process.alive:
            return
        if done_anyway or not future.done():
            try:
                result = _held(self._process, work())
            except Exception as error:  # noqa: BLE001  # as the thread does
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)
        self._next()


_QUEUES: WeakKeyDictionary[FileThreads, _Queue] = WeakKeyDictionary()


def _held(process: Process, result: Any) -> Any:
    if isinstance(result, Database | BackupJournal):
        process.hold(result)
    return result


async def _run(
    threads: FileThreads,
    work: Callable[..., Any],
    *args: object,
    undo: Callable[[Any], object] | None = None,
) -> Any:
    if threads.executor._max_workers == 1:
        return await _run_in_turn(threads, partial(work, *args), undo)
    process = Process.current()
    await process.pass_time(process.disk)
    result = _held(process, work(*args))
    try:
        await process.pass_time(process.disk)
    except asyncio.CancelledError:
        if undo is not None and process.alive:
            undo(result)
        raise
    return result


async def _run_in_turn(
    threads: FileThreads, work: Callable[[], Any], undo: Callable[[Any], object] | None
) -> Any:
    if threads not in _QUEUES:
        _QUEUES[threads] = _Queue()
    future = _QUEUES[threads].put(work, done_anyway=undo is None)
    try:
        return await future
    except asyncio.CancelledError:
        done = future.done() and not future.cancelled() and future.exception() is None
        if done and undo is not None and Process.current().alive:
            undo(future.result())
        raise


def _dispose(_threads: FileThreads, work: Callable[[], object]) -> asyncio.Future[object]:
    done = asyncio.get_running_loop().create_future()
    done.set_result(work())
    return done


async def _end(_threads: FileThreads) -> None:
    pass


async def _run_sync(work: Callable[..., Any], *args: Any, **_options: object) -> Any:
    await asyncio.sleep(0)
    return work(*args)


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """Replace each thread of the client by work that takes virtual time."""
    from unittest.mock import patch

    patches: list[_patch[Any]] = [
        patch.object(FileThreads, "run", _run),
        patch.object(FileThreads, "dispose", _dispose),
        patch.object(FileThreads, "aclose", _end),
        patch.object(anyio.to_thread, "run_sync", _run_sync),
    ]
    with contextlib.ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


@attrs.frozen
class WallClock:
    """The clock of a process: virtual time, and a wall clock that may be set back or forth.

    Attributes:
        start: The wall clock at the start, in seconds since 1970.
        offset: Returns the seconds that its wall clock is ahead.
    """

    start: float
    offset: Callable[[], float]

    def monotonic(self) -> float:
        """Return the virtual time."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """Return the seconds since 1970, as this machine believes."""
        return self.start + asyncio.get_running_loop().time() + self.offset()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of virtual time."""
        await asyncio.sleep(max(0.0, seconds))

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """Return a context that raises `TimeoutError` after `seconds`."""
        return asyncio.timeout(seconds)
