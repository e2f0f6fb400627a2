"""Download a number of files of one size at the same time; runs in a contestant."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.footprint import held
from benchmarks.lag import LagProbe
from benchmarks.server import BLOCK

if TYPE_CHECKING:
    from benchmarks.clients import Downloader


async def fetch(client: Downloader, directory: str, size: int, number: int) -> dict[str, Any]:
    """Return the seconds, the loop's p99 lag in ms, and the peak memory in MB."""
    paths = [Path(directory) / f"{client.__class__.__name__}-{index}" for index in range(number)]
    probe = LagProbe()
    started = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for path in paths:
                group.create_task(client.download(size, path))
    finally:
        seconds = time.perf_counter() - started
        probe.stop()
    peak = held("VmHWM") / 1e6
    for path in paths:
        _check(path, size)
        path.unlink()
    return {"seconds": seconds, "p99": probe.p99() * 1000, "peak": peak}


def _check(path: Path, size: int) -> None:
    """Raise unless the file holds the bytes that the server sent."""
    with path.open("rb") as file:
        left = size
        while left:
            expected = BLOCK[:left]
            if file.read(len(expected)) != expected:
                raise ValueError(f"{path.name} differs from what was served")
            left -= len(expected)
        if file.read(1):
            raise ValueError(f"{path.name} is longer than what was served")
