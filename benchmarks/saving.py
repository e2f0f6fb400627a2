"""One backup in a process of its own: prints the MB that the process held at most."""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.footprint import held
from ccv2_async import ConstantContact


async def main() -> None:
    """Back up the account of the options in the first argument into the second one."""
    options, directory = sys.argv[1:]
    async with ConstantContact(**json.loads(options)) as cc:
        await cc.backup(directory)
    print(json.dumps({"peak": held("VmHWM") / 1e6}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
