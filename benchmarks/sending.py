"""Send a number of uploads, several at a time; runs in a contestant."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.clients import Client


async def send(client: Client, paths: Sequence[str], in_flight: int) -> tuple[float, float]:
    """Upload all of these, `in_flight` at a time; return the seconds and the CPU seconds."""
    used = time.process_time()
    if len(paths) == 1:
        seconds = await _send_one(client, Path(paths[0]))
    else:
        seconds = await _send_all(client, paths, in_flight)
    return seconds, time.process_time() - used


async def _send_all(client: Client, paths: Sequence[str], in_flight: int) -> float:
    waiting = iter([Path(path) for path in paths])
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(_send_each(client, waiting))
    return time.perf_counter() - started


async def _send_each(client: Client, waiting: Iterator[Path]) -> None:
    for path in waiting:
        await client.upload(path)


async def _send_one(client: Client, path: Path) -> float:
    started = time.perf_counter()
    own_clock = await client.upload(path)
    return own_clock or time.perf_counter() - started
