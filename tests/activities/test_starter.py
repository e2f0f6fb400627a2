from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.activities import starter
from ccv2_async.activities.status import ACTIVITY
from tests.support.probes import until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire


async def test_starting_a_part_does_not_wait_forever_for_another_part(
    connect: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A day of looks would take the test many seconds.
    monkeypatch.setattr(starter, "ACTIVITY", attrs.evolve(ACTIVITY, deadline=300.0))
    started: list[Request] = []

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST" and started:
            await wire.answer("429 Too Many Requests", b'[{"error_key": "too.many.jobs"}]')
        elif request.method == "POST":
            started.append(request)
            await wire.answer("201 Created", b'{"id": "a1"}')
        else:
            await wire.answer(body=b'{"id": "a1", "status": "RUNNING"}')

    addresses = [f"reader{number}@example.com" for number in range(20_001)]
    async with serving(answer) as server:
        client = await connect(server, clock=manual_clock)
        starting = asyncio.create_task(
            client.activities.begin_remove_contacts(addresses, lists=["1"])
        )
        await until(lambda: started)
        while not starting.done():
            await manual_clock.advance(10.0)
            await asyncio.sleep(0.001)
        with pytest.raises(errors.QuotaExceeded, match=r"accepted 1 of 2 activities \(a1\)"):
            await starting
