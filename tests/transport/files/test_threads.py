from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.errors import ClientClosed, UsageError
from ccv2_async.transport.files.sources import PathSource
from ccv2_async.transport.files.threads import FileThreads
from tests.support.probes import until

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1024


def file_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "ccv2-files" in thread.name]


@pytest.mark.parametrize(
    ("streaming", "block"),
    [(0, 1536), (2, 1536), (3, 1365), (4, 1024), (8, 512), (16, 256), (100, 128)],
)
def test_blocks_get_smaller_with_more_uploads(streaming: int, block: int) -> None:
    threads = FileThreads()
    threads.streaming = streaming

    assert threads.block_size // KIB == block
    assert 3 * streaming * threads.block_size <= max(12, streaming * 3 / 8) * KIB * KIB


async def test_threads_start_on_first_use_and_end_with_close() -> None:
    threads = FileThreads(limit=3)
    assert file_threads() == []

    met = threading.Barrier(3)
    await asyncio.gather(*(threads.run(met.wait, 10) for _ in range(3)))
    assert len(file_threads()) == 3

    await threads.aclose()
    assert file_threads() == []


async def test_closing_twice_or_unused_works() -> None:
    threads = FileThreads()
    await threads.aclose()
    await threads.aclose()

    used = FileThreads()
    await used.run(len, b"")
    await used.aclose()
    await used.aclose()

    assert file_threads() == []


@pytest.mark.parametrize("used", [False, True])
async def test_work_after_close_is_refused(used: bool, tmp_path: Path) -> None:
    threads = FileThreads()
    if used:
        await threads.run(len, b"")
    await threads.aclose()
    (tmp_path / "file").write_bytes(b"x")

    with pytest.raises(ClientClosed, match="file threads have ended"):
        await PathSource(tmp_path / "file").open(threads)

    assert file_threads() == []


async def test_a_full_default_executor_does_not_delay_reads(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    release = threading.Event()
    blocker = loop.run_in_executor(None, release.wait, 10)
    (tmp_path / "file").write_bytes(b"x")
    threads = FileThreads()

    opened = await PathSource(tmp_path / "file").open(threads)
    assert await opened.read() == b"x"
    await opened.aclose()
    await threads.aclose()

    assert not blocker.done()
    release.set()
    assert await blocker


async def test_closing_waits_for_running_work_without_blocking_the_loop() -> None:
    threads = FileThreads()
    started, release = threading.Event(), threading.Event()

    def work() -> bool:
        started.set()
        return release.wait(10)

    working = asyncio.create_task(threads.run(work))
    assert await asyncio.to_thread(started.wait, 10)
    closing = asyncio.create_task(threads.aclose())
    for _ in range(10):
        await asyncio.sleep(0)

    assert not closing.done()
    release.set()
    await closing
    assert await working
    assert file_threads() == []


async def test_cancelled_work_returns_at_once_and_is_undone() -> None:
    threads = FileThreads()
    started, release = threading.Event(), threading.Event()
    undone: list[str] = []

    def work() -> str:
        started.set()
        assert release.wait(10)
        return "opened"

    working = asyncio.create_task(threads.run(work, undo=undone.append))
    assert await asyncio.to_thread(started.wait, 10)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert undone == []

    release.set()
    await threads.aclose()
    assert undone == ["opened"]


@pytest.mark.parametrize("known_to_the_loop", [False, True])
async def test_work_that_ends_while_being_cancelled_is_undone(
    known_to_the_loop: bool,
) -> None:
    threads = FileThreads()
    undone: list[str] = []
    working = asyncio.create_task(threads.run(lambda: "opened", undo=undone.append))
    await asyncio.sleep(0)
    threads.executor.shutdown()  # blocks until the work has ended; the task has not heard of it

    cancel_now_or_right_after_the_news(working, known_to_the_loop)
    with pytest.raises(asyncio.CancelledError):
        await working

    assert undone == ["opened"]
    await threads.aclose()


def cancel_now_or_right_after_the_news(task: asyncio.Task[Any], after: bool) -> None:
    if after:
        asyncio.get_running_loop().call_soon(task.cancel)
    else:
        task.cancel()


async def test_work_that_never_started_is_not_undone() -> None:
    threads = FileThreads(limit=1)
    release = threading.Event()
    first = asyncio.create_task(threads.run(release.wait, 10))
    undone: list[int] = []
    second = asyncio.create_task(threads.run(len, b"", undo=undone.append))
    await asyncio.sleep(0)

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second

    release.set()
    assert await first
    await threads.aclose()
    assert undone == []


@pytest.mark.parametrize("known_to_the_loop", [False, True])
async def test_a_failure_without_a_waiter_is_not_reported(known_to_the_loop: bool) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    threads = FileThreads()
    undone: list[Any] = []

    def fail() -> None:
        raise OSError("no")

    working = asyncio.create_task(threads.run(fail, undo=undone.append))
    await asyncio.sleep(0)
    threads.executor.shutdown()
    cancel_now_or_right_after_the_news(working, known_to_the_loop)
    with pytest.raises(asyncio.CancelledError):
        await working
    del working
    await threads.aclose()
    gc.collect()
    await asyncio.sleep(0)

    assert undone == []
    assert reported == []


def test_work_that_outlives_its_loop_ends_silently(caplog: pytest.LogCaptureFixture) -> None:
    threads = FileThreads()
    begun, release = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait(10)

    async def leave() -> None:
        working = asyncio.create_task(threads.run(work))
        await until(begun.is_set)
        working.cancel()

    asyncio.run(leave())
    release.set()
    threads.executor.shutdown(wait=True)

    assert caplog.records == []
    assert file_threads() == []


async def test_disposal_runs_even_after_the_threads_have_ended() -> None:
    threads = FileThreads()
    done: list[str] = []

    await threads.dispose(lambda: done.append("before"))
    await threads.aclose()
    await threads.dispose(lambda: done.append("after"))

    assert done == ["before", "after"]
    assert file_threads() == []


async def test_disposal_after_the_end_never_blocks_the_event_loop() -> None:
    threads = FileThreads()
    release = threading.Event()
    await threads.aclose()

    disposing = threads.dispose(release.wait)
    await asyncio.sleep(0)
    assert not disposing.done()
    release.set()
    await disposing


async def test_closing_leaves_work_that_hangs_and_tells_its_caller() -> None:
    threads = FileThreads(limit=1)
    begun, release = threading.Event(), threading.Event()
    undone: list[str] = []

    def hang() -> str:
        begun.set()
        assert release.wait(30)
        return "opened"

    hanging = asyncio.create_task(threads.run(hang, undo=undone.append))
    queued = asyncio.create_task(threads.run(len, b"", undo=undone.append))
    await until(begun.is_set)
    async with asyncio.timeout(20):
        await threads.aclose()
        for work in (hanging, queued):
            with pytest.raises(ClientClosed, match="while a file was in use"):
                await work
    assert undone == []

    release.set()
    await until(lambda: file_threads() == [])
    assert undone == ["opened"]


async def test_a_cancelled_close_still_ends_the_threads() -> None:
    threads = FileThreads()
    release = threading.Event()
    working = asyncio.create_task(threads.run(release.wait, 10))
    await asyncio.sleep(0)
    closing = asyncio.create_task(threads.aclose())
    await asyncio.sleep(0)

    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    release.set()
    assert await working
    await threads.aclose()

    assert file_threads() == []


async def test_stop_iteration_in_a_thread_reaches_the_caller() -> None:
    threads = FileThreads()
    async with asyncio.timeout(30):
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            await threads.run(next, iter(()))
    assert isinstance(caught.value.__cause__, StopIteration)
    await threads.aclose()


async def test_work_is_done_by_the_threads_that_the_system_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = FileThreads(limit=3)
    start, allowed = threading.Thread.start, 0

    def limited(thread: threading.Thread) -> None:
        nonlocal allowed
        if not allowed:
            raise RuntimeError("can't start new thread")
        allowed -= 1
        start(thread)

    done: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(UsageError, match="could not start a thread to work with files"):
        await threads.run(done.append, "without a thread")
    await threads.dispose(lambda: done.append("at once"))
    allowed = 1
    await asyncio.gather(*(threads.run(done.append, name) for name in ("a", "b", "c")))
    assert done == ["at once", "a", "b", "c"]
    await threads.aclose()
    await until(lambda: file_threads() == [])
    with pytest.raises(ClientClosed):
        await threads.run(len, b"")
