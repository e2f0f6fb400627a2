"""The threads that touch files, so that a slow disk never holds up the event loop.

They are the client's own: the loop's default executor also resolves host names, and 64 slow
reads in it would delay every connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ccv2_async.errors import ClientClosed

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

__all__ = ["WHOLE_FILE_LIMIT", "FileThreads"]

T = TypeVar("T")
P = ParamSpec("P")

_KIB = 1024
WHOLE_FILE_LIMIT = 1024 * _KIB
"""Bytes up to which a file is read in one go and sent as one piece."""

_SMALLEST_BLOCK = 256 * _KIB
_LARGEST_BLOCK = 1536 * _KIB
# Each upload in flight holds up to three blocks: one on its way out, one in the socket's buffer,
# one read ahead. 4 MiB of blocks therefore means 12 MiB of memory, however many share it up to 16;
# and the event loop hands all of them to the kernel within a few milliseconds.
_BLOCKS_IN_ALL = 4 * 1024 * _KIB


class _Executor(ThreadPoolExecutor):
    """Threads that say what it means when they have ended."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError as error:
            raise ClientClosed("The client is closed: its file threads have ended.") from error


class FileThreads:
    """A bounded set of threads for file work, started when first needed.

    Args:
        limit: The most threads at once; each serves one read at a time.

    Attributes:
        streaming: How many files are being opened or sent block by block just now.
        roots: The real paths of the directories that paths must lead into; empty for no limit.
    """

    def __init__(self, limit: int = 32) -> None:
        self._limit = limit
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False
        self.streaming = 0
        self.roots: tuple[str, ...] = ()

    @property
    def block_size(self) -> int:
        """Bytes to read at a time: 1.5 MiB while few files are streamed, 256 KiB when many are."""
        share = _BLOCKS_IN_ALL // max(1, self.streaming)
        return max(_SMALLEST_BLOCK, min(_LARGEST_BLOCK, share))

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The executor itself, for what takes one; raises `ClientClosed` once it has ended."""
        if self._executor is None:
            self._executor = _Executor(self._limit, thread_name_prefix="ccv2-files")
            if self._closed:
                self._executor.shutdown()
        return self._executor

    async def run(
        self, work: Callable[..., T], *args: object, undo: Callable[[T], object] | None = None
    ) -> T:
        """The result of `work(*args)`, run in a thread.

        A caller that is cancelled leaves at once; the thread finishes by itself.

        Args:
            work: What to run.
            args: Its arguments.
            undo: Called with the result when nobody is left to take it, so that an opened file
                is closed.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        job = self.executor.submit(work, *args)

        def tell(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop did not wait and is closed
                loop.call_soon_threadsafe(_hand_over, job, done)

        # Half of what `asyncio.wrap_future` costs, and one turn of the loop less.
        job.add_done_callback(tell)
        try:
            return await done
        except asyncio.CancelledError:
            if undo is not None and not job.cancel():
                job.add_done_callback(lambda done: _undo(done, undo))
            raise

    def dispose(self, work: Callable[[], object]) -> asyncio.Future[object] | None:
        """Run `work` without anybody having to wait for it.

        Returns:
            A future to wait for, if you like; None when the threads have ended and it was
            done on the spot.
        """
        try:
            job = self.executor.submit(work)
        except ClientClosed:
            work()
            return None
        return asyncio.wrap_future(job)

    async def aclose(self) -> None:
        """Let the work at hand finish and end every thread; the loop goes on meanwhile."""
        self._closed = True
        if self._executor is None:
            return
        executor = self._executor
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def shut_down() -> None:
            executor.shutdown(wait=True)
            with contextlib.suppress(RuntimeError):  # the loop did not wait and is closed
                loop.call_soon_threadsafe(_resolve, ended)

        # A thread of its own waits: the default executor may be full, and the loop must not.
        waiter = threading.Thread(target=shut_down, name="ccv2-files-end", daemon=True)
        waiter.start()
        await ended
        waiter.join()


def _undo(job: Future[T], undo: Callable[[T], object]) -> None:
    if not job.cancelled() and job.exception() is None:
        undo(job.result())


def _hand_over(job: Future[T], done: asyncio.Future[T]) -> None:
    if done.done():
        return
    error = job.exception()
    if error is None:
        done.set_result(job.result())
    else:
        done.set_exception(error)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
