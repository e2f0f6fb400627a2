"""The program that the kill test kills: each run uploads a folder with a journal.

Usage: uploading.py BASE_URL FOLDER JOURNAL
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

from ccv2_async.client import ConstantContact

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

SPEED = 20.0


def say(*words: object) -> None:
    """Signal the test."""
    print(*words, flush=True)  # noqa: T201  # this is a program


class FastClock:
    """Waits take a twentieth of their time; dates are real, because the service compares them."""

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / SPEED)

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(None if seconds is None else seconds / SPEED)


async def main(base_url: str, folder: str, journal: str) -> None:
    async with ConstantContact(
        api_key="sandbox-key",
        access_token="sandbox-token",
        base_url=base_url,
        per_second=4,
        per_day=None,
        clock=FastClock(),
    ) as client:
        say("begun")
        uploads = client.upload_many([folder], keep_folders=True, concurrency=6, journal=journal)
        async for result in uploads:
            say(result.state.value, result.path, result.id, result.error)
    say("ended")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
