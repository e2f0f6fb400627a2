"""The threads for file work, so that a slow disk never blocks the event loop.

Each client has its own. The default executor of the event loop also resolves host names, and slow
reads in it would delay connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ccv2_async.errors import ClientClosed, UsageError
from ccv2_async.tasks import in_thread, running_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

T = TypeVar("T")
P = ParamSpec("P")

_KIB = 1024
WHOLE_FILE_LIMIT = 1024 * _KIB
"""The size in bytes up to which a file is read and sent as one piece."""

_SMALLEST_BLOCK = 128 * _KIB
_LARGEST_BLOCK = 1536 * _KIB
# Each upload holds up to three blocks: one that is being sent, one in the buffer of the socket, and
# one that is read ahead. So 4 MiB of blocks use 12 MiB of memory for up to 32 uploads, and the loop
# passes them to the kernel within a few milliseconds.
_BLOCKS_IN_ALL = 4 * 1024 * _KIB

# Closing waits for running work, about a second in total, in case the disk hangs.
_CLOSING_PAUSES = [0.001 * 2**step for step in range(10)]


class _Executor(ThreadPoolExecutor):
    """Threads that raise `ClientClosed` after they have ended."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError as error:
            raise ClientClosed("The client is closed: its file threads have ended.") from error

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError as error:
            if not self._threads:  # those that run do the work too
                self._work_queue.get_nowait()  # nobody waits for it anymore
                raise UsageError(
                    f"The system could not start a thread to work with files ({error}). Raise its "
                    "limit on processes, or end some."
                ) from None


class FileThreads:
    """A limited number of threads for file work, started when they are first needed.

    Args:
        limit: The maximum number of threads.

    Attributes:
        executor: The executor, for APIs that take one. After `aclose` it raises `ClientClosed`.
        streaming: How many files are being opened or sent in blocks at the moment.
        roots: The real paths of the directories that files must be in; empty for no limit.
    """

    def __init__(self, limit: int = 32) -> None:
        self.executor: ThreadPoolExecutor = _Executor(limit, thread_name_prefix="ccv2-files")
        self.streaming = 0
        self.roots: tuple[str, ...] = ()
        self._awaited: set[asyncio.Future[Any]] = set()

    @property
    def block_size(self) -> int:
        """The bytes to read at a time: from 1.5 MiB for few files to 128 KiB for many."""
        share = _BLOCKS_IN_ALL // max(1, self.streaming)
        return max(_SMALLEST_BLOCK, min(_LARGEST_BLOCK, share))

    async def run(
        self, work: Callable[..., T], *args: object, undo: Callable[[T], object] | None = None
    ) -> T:
        """Run `work(*args)` in a thread, and return its result.

        If the caller is cancelled, this returns immediately, and the thread still finishes its
        work. No thread can be ended: one that hangs stays until its work returns.

        Args:
            work: The function to run.
            args: Its arguments.
            undo: Called with the result if the caller did not wait for it, to close an opened file.

        Raises:
            ClientClosed: The threads were closed, and the work has not ended in time.
        """
        loop = running_loop()
        done: asyncio.Future[T] = loop.create_future()
        job = self.executor.submit(work, *args)

        def pass_on(job: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop did not wait and is closed
                loop.call_soon_threadsafe(_hand_over, job, done)

        # This costs half as much as `asyncio.wrap_future`, and saves an iteration of the loop.
        job.add_done_callback(pass_on)
        self._awaited.add(done)
        try:
            return await done
        except (asyncio.CancelledError, ClientClosed):
            if undo is not None and not job.cancel():
                job.add_done_callback(lambda done: _undo(done, undo))
            raise
        finally:
            self._awaited.discard(done)

    def dispose(self, work: Callable[[], object]) -> asyncio.Future[object]:
        """Run `work` in a thread, even after `aclose`, and return a future to wait for."""
        try:
            job = self.executor.submit(work)
        except UsageError:
            # Not in the event loop: it may wait for a thread that a disk blocks.
            return asyncio.ensure_future(in_thread(work))
        return asyncio.wrap_future(job)

    async def aclose(self) -> None:
        """Let the running work finish, and end all threads, without blocking the event loop.

        After a second, callers that still wait for work get `ClientClosed`.
        """
        self.executor.shutdown(wait=False)
        threads = self.executor._threads  # noqa: SLF001  # ours
        for pause in _CLOSING_PAUSES if threads else ():
            is_working = any(thread.is_alive() for thread in threads)
            await asyncio.sleep(pause if is_working else 0)  # the last results arrive meanwhile
            if not is_working:
                break
        for done in tuple(self._awaited):
            if not done.done() and not done.get_loop().is_closed():
                done.set_exception(ClientClosed("The client was closed while a file was in use."))


def _undo(job: Future[T], undo: Callable[[T], object]) -> None:
    if not job.cancelled() and job.exception() is None:
        undo(job.result())


def _hand_over(job: Future[T], done: asyncio.Future[T]) -> None:
    if done.done():
        return
    if (error := job.exception()) is None:
        done.set_result(job.result())
    elif isinstance(error, StopIteration):
        # A future cannot hold it, and the caller would wait forever.
        stopped = RuntimeError("the work in a thread raised StopIteration")
        stopped.__cause__ = error
        done.set_exception(stopped)
    else:
        done.set_exception(error)
