"""Run one backup in its own process, and print its peak memory in MB."""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.footprint import held
from ccv2_async import ConstantContact


async def main() -> None:
    """Back up an account: the first argument has its options, the second names the directory."""
    options, directory = sys.argv[1:]
    async with ConstantContact(**json.loads(options)) as cc:
        await cc.backup(directory)
    print(json.dumps({"peak": held("VmHWM") / 1e6}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
