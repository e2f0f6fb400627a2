"""The program that the kill test kills: each run mirrors a folder.

Usage: mirroring.py BASE_URL FOLDER
"""

from __future__ import annotations

import asyncio
import sys

from ccv2_async.client import ConstantContact
from tests.uploads.many.uploading import FastClock, say


async def main(base_url: str, folder: str) -> None:
    async with ConstantContact(
        api_key="sandbox-key",
        access_token="sandbox-token",
        base_url=base_url,
        per_second=4,
        per_day=None,
        clock=FastClock(),
    ) as client:
        say("begun")
        result = await client.library.mirror(folder, delete=True, max_delete=None, concurrency=4)
        for entry in result.failed:
            say(entry.action.value, entry.path, entry.error)
    say("ended")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
