"""Tasks that end although their caller is cancelled, by asyncio or by anyio."""

from __future__ import annotations

import asyncio
import threading

import anyio
import anyio.lowlevel
import pytest

from ccv2_async.tasks import all_ended, in_thread, uninterrupted


async def test_work_ends_however_often_its_caller_is_cancelled() -> None:
    go_on, done = asyncio.Event(), []

    async def work() -> None:
        await go_on.wait()
        done.append(True)

    caller = asyncio.create_task(uninterrupted(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0.01)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done


def test_work_that_has_not_begun_is_done_when_the_event_loop_ends() -> None:
    done, callers = [], []

    async def work() -> None:
        done.append(True)

    async def main() -> None:
        # Its turn comes when the loop ends already, so that of its work never comes.
        callers.append(asyncio.create_task(uninterrupted(work())))

    asyncio.run(main())
    assert done


async def test_work_ends_in_a_cancelled_scope_which_then_ends_too() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(True)

    with anyio.CancelScope() as scope:
        scope.cancel()
        await uninterrupted(work())
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert done


async def test_the_result_and_the_error_of_work_reach_the_caller() -> None:
    async def work(*, fails: bool) -> int:
        if fails:
            raise ValueError("it failed")
        return 7

    assert await uninterrupted(work(fails=False)) == 7
    with pytest.raises(ValueError, match="it failed"):
        await uninterrupted(work(fails=True))


async def test_all_tasks_end_before_a_cancellation_is_raised() -> None:
    async def slow(seconds: float) -> None:
        await asyncio.sleep(seconds)

    tasks = [asyncio.create_task(slow(seconds)) for seconds in (0.0, 0.02)]
    caller = asyncio.create_task(all_ended(tasks))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert all(task.done() for task in tasks)


async def test_work_is_done_at_once_if_the_system_starts_no_more_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[int] = []

    def fail(number: int) -> None:
        done.append(number)
        raise RuntimeError("of the work itself")

    with pytest.raises(RuntimeError, match="of the work itself"):
        await in_thread(fail, 1)
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="of the work itself"):
        await asyncio.create_task(in_thread(fail, 2))
    assert done == [1, 2]
