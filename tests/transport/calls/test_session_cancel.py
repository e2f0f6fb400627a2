"""A call that is cancelled at any moment leaves no task, socket, or file."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from ccv2_async import ConstantContact, errors
from tests.support.probes import nothing_left, until
from tests.support.servers import RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.support.servers import Wire

TURNS = 60
OPTIONS: dict[str, Any] = {"per_second": None, "per_day": None}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(os.urandom(1_200_000))
    return path


async def by_the_loop(cc: ConstantContact, file: Path, turns: int) -> bool:
    """Cancel like asyncio after some iterations of the loop; return whether it was in time."""
    task = asyncio.create_task(cc.library.begin_upload(file))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def twice(cc: ConstantContact, file: Path, turns: int) -> bool:
    """Cancel again while the first cancellation is still on its way."""
    task = asyncio.create_task(cc.library.begin_upload(file))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def by_a_scope(cc: ConstantContact, file: Path, turns: int) -> bool:
    """Cancel like anyio: every await in the scope is cancelled, again and again."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            group.start_soon(cancel)
            await cc.library.begin_upload(file)
            group.cancel_scope.cancel()
    return scope.cancelled_caught


@pytest.mark.parametrize("way", [by_the_loop, twice, by_a_scope])
async def test_an_upload_cancelled_at_any_step_of_the_loop_leaves_nothing(
    sandbox: Sandbox, file: Path, way: Callable[..., Any]
) -> None:
    turns = random.Random(3).sample(range(TURNS), 20)  # noqa: S311  # which instants to try
    in_time = 0
    async with nothing_left():
        options: dict[str, Any] = {**sandbox.client_options(), **OPTIONS}
        async with ConstantContact(**options) as cc:
            for turn in turns:
                in_time += await way(cc, file, turn)
            assert (await (await cc.library.begin_upload(file))).size == 1_200_000
    assert in_time > 0


STAGES = {
    "before the response": b"",
    "in the head": b"HTTP/1.1 202 Acc",
    "in the body": b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n{",
    "in an error": b"HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\n{",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("way", ["loop", "scope"])
async def test_a_call_that_waits_for_its_response_can_be_cancelled(
    connect: Callable[..., Any], stage: str, way: str
) -> None:
    reached = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.write(STAGES[stage])
        reached.set()
        assert await wire.reader.read() == b"", "the client hangs up"

    async with RawServer(script) as server, nothing_left():
        cc = await connect(server)
        with anyio.CancelScope() as scope:
            upload = cc.library.begin_upload(b"abc", name="a.png")
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    await reached.wait()
                    task.cancel() if way == "loop" else scope.cancel()

                task = asyncio.ensure_future(upload)
                group.start_soon(cancel)
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await until(lambda: not server.open)
        await cc.aclose()


async def test_a_call_cancelled_during_its_backoff_leaves_nothing(
    connect: Callable[..., Any], sandbox: Sandbox, manual_clock: Any
) -> None:
    async with nothing_left():
        cc = await connect(sandbox, clock=manual_clock)
        sandbox.admin.fault("unavailable", headers={"retry-after": "30"})
        task = asyncio.create_task(cc.library.info())
        await until(lambda: manual_clock.slept)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cc.aclose()


async def test_a_cancelled_call_releases_its_slot(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    cc = await connect(sandbox, max_in_flight=2)
    sandbox.admin.fault("hang", times=10)
    for _ in range(5):
        tasks = [asyncio.create_task(cc.library.info()) for _ in range(2)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    sandbox.admin.clear_faults()
    await cc.library.info()


async def test_a_stream_is_closed_after_its_connection_breaks(
    connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    reading, closed = asyncio.Event(), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield b"x" * 1000
            reading.set()
            while True:
                await asyncio.sleep(0.001)
                yield b"x" * 1000
        finally:
            await asyncio.sleep(0)
            closed += 1

    async def script(wire: Wire) -> None:
        await wire.head()
        await reading.wait()
        wire.reset()

    async with RawServer(script) as server, nothing_left():
        cc = await connect(server)
        with pytest.raises(errors.ConnectionLost):
            await cc.library.begin_upload(endless, name="a.png", length=10_000_000)
        await until(lambda: closed == server.connections == 2)
        await cc.aclose()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
