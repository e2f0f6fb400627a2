"""Run one client in its own process: `python -m benchmarks.contestant`. It reads JSON lines.

The first line is an `Opening`. Each further line names a coroutine function of this package,
``{"call": "module:function", "args": {...}}``; it is awaited with the open client, and its result
is the answer. The process ends when its stdin is closed.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks.clients import CLIENTS, Site
from benchmarks.slow_disk import slow_disk

if TYPE_CHECKING:
    from benchmarks.clients import Client

LINE_LIMIT = 1 << 22


@attrs.frozen
class Opening:
    """Which client to open, for which server, and on which disk."""

    client: str
    origin: str
    authority: str | None = None
    slow_directory: str | None = None
    read_seconds: float = 0.0


async def perform(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """The answer to one order: a result, or the traceback of its failure."""
    module, _, function = order["call"].partition(":")
    gc.collect()
    try:
        result = await getattr(importlib.import_module(module), function)(client, **order["args"])
    except Exception:  # noqa: BLE001 - it is told to the process that asked
        return {"error": traceback.format_exc(limit=-6, chain=False)}
    return {"result": result}


async def main() -> None:
    """Open the client that the first line names, and carry out orders until stdin is closed."""
    orders = asyncio.StreamReader(limit=LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    opening = Opening(**json.loads(await orders.readline()))
    site = Site(opening.origin, opening.authority)
    slow = opening.slow_directory
    # Set up the disk first: opening the client imports it.
    with slow_disk(Path(slow), opening.read_seconds) if slow else nullcontext() as disk:
        async with CLIENTS[opening.client].build(site) as client:
            while line := await orders.readline():
                answer = await perform(client, json.loads(line))
                print(json.dumps(answer | {"slow_reads": disk.reads if disk else 0}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
