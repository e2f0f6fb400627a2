"""The memory of a contestant's process, as the kernel reports it."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sending import send

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.clients import Client, Ours
    from ccv2_async.polling.poller import Poller

AT_FIRST = 100
SETTLING = 0.5
_STATUS = Path("/proc/self/status")

Tasks = list[asyncio.Task[Any]]


def held(entry: str) -> float:
    """Return a figure in bytes: `VmRSS` is the current memory, `VmHWM` the peak.

    `getrusage` does not work for this: on Linux, a child process inherits the peak of its parent.
    """
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == entry:
            return float(value.split()[0]) * 1024
    raise LookupError(entry)


async def peak_of_sending(client: Client, paths: Sequence[str], in_flight: int) -> float:
    """Send all of these at the same time, and return the peak memory in MB."""
    await send(client, paths, in_flight)
    return held("VmHWM") / 1e6


async def tokens_of_uploads(client: Ours, path: str, number: int, in_flight: int) -> list[str]:
    """Upload one file many times, and return the resume tokens."""
    waiting = iter(range(number))

    async def upload_some() -> list[str]:
        return [(await client.begin(Path(path))).token() for _ in waiting]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(upload_some()) for _ in range(in_flight)]
    return [token for task in tasks for token in task.result()]


async def held_by_awaited(client: Ours, tokens: Sequence[str]) -> float:
    """Return the KB per poller if a task awaits each."""
    return await _held_by_pollers(client, tokens, _await_each)


async def held_by_gathered(client: Ours, tokens: Sequence[str]) -> float:
    """Return the KB per poller if one task waits for all."""
    return await _held_by_pollers(client, tokens, _await_together)


async def held_by_plain_tasks(_: Client, number: int) -> float:
    """Return the KB per task if each sleeps between looks, with a timeout, but never looks.

    This is the cost of a client that polls each job separately, without the requests.
    """

    async def follow() -> None:
        async with asyncio.timeout(900.0):
            while True:  # noqa: ASYNC110 - to sleep in a loop is what is measured
                await asyncio.sleep(5.0)

    before = held("VmRSS")
    tasks = [asyncio.create_task(follow()) for _ in range(number)]
    await asyncio.sleep(1.0)
    return await _grown(before, tasks) / number


async def _held_by_pollers(
    client: Ours,
    tokens: Sequence[str],
    wait: Callable[[Ours, Sequence[Poller[Any]]], Tasks],
) -> float:
    # The first few set up everything that is made only once: imports, connections, decoders.
    first = wait(client, [client.resume(token) for token in tokens[:AT_FIRST]])
    await asyncio.sleep(SETTLING)
    await _cancel(first)
    gc.collect()
    before = held("VmRSS")
    pollers = [client.resume(token) for token in tokens[AT_FIRST:]]
    tasks = wait(client, pollers)
    while any(poller.status is None for poller in pollers):  # noqa: ASYNC110 - a slow watch is fine
        await asyncio.sleep(SETTLING)
    return await _grown(before, tasks) / len(pollers)


def _await_each(_: Ours, pollers: Sequence[Poller[Any]]) -> Tasks:
    return [asyncio.create_task(poller.wait()) for poller in pollers]


def _await_together(client: Ours, pollers: Sequence[Poller[Any]]) -> Tasks:
    return [asyncio.create_task(client.wait_all(pollers))]


async def _grown(before: float, tasks: Tasks) -> float:
    """Return the KB that were added while these tasks wait, then cancel them."""
    gc.collect()
    grown = held("VmRSS") - before
    await _cancel(tasks)
    return grown / 1000


async def _cancel(tasks: Tasks) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
