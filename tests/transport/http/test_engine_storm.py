"""A storm of cancellations on our connections."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from ccv2_async import ConstantContact
from tests.support.probes import nothing_left
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.servers import RawServer, Request, Wire

ROUNDS, CALLERS, WITHIN, AFTERWARDS = 20, 30, 0.020, 10


async def answer(wire: Wire, _: Request) -> None:
    await wire.answer(body=b'{"image_root": "x"}')


def server() -> RawServer:
    return serving(answer)


async def storm(call: Callable[[], Awaitable[Any]]) -> int:
    """Cancel 30 calls within 20 ms, 20 times; return how many of 10 more calls succeed."""
    chance = random.Random(7)  # noqa: S311  # when to cancel
    loop = asyncio.get_running_loop()
    for _ in range(ROUNDS):
        tasks = [asyncio.ensure_future(call()) for _ in range(CALLERS)]
        for task in tasks:
            loop.call_later(chance.random() * WITHIN, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
    results = await asyncio.gather(*(call() for _ in range(AFTERWARDS)), return_exceptions=True)
    return sum(not isinstance(result, BaseException) for result in results)


async def test_after_a_storm_of_cancellations_every_call_succeeds() -> None:
    async with server() as wire, nothing_left(), ConstantContact(
        api_key="k", access_token="t", base_url=wire.base_url,
        per_second=None, per_day=None,
    ) as cc:  # fmt: skip
        assert await storm(cc.library.info) == AFTERWARDS
