"""Many callers, outages, deadlines, cancellations, and a closed client: every wait ends."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async import ConstantContact, errors
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane
from tests.support.clocks import ManualClock

if TYPE_CHECKING:
    from ccv2_async.transport.calls.session import Session

WRITE = Call("POST", "/library/folders", Effect.ADDITIVE, "adding", lane=Lane.BULK)
KINDS = (500, 503, 429, "silent", "unreachable", "slow")
ROUNDING = 0.001


class Storm:
    """A random service, and callers that use it. All times are those of the clock.

    Attributes:
        calls: How many calls have come.
        late: The callers that ended after their deadlines.
    """

    def __init__(self, seed: int) -> None:
        self.calls = 0
        self.late: list[str] = []
        self.clock = ManualClock()
        self._random = choose = random.Random(seed)  # noqa: S311  # no secret
        self._began, start = self.clock.now, choose.uniform(0.0, 60.0)
        self._troubles: list[tuple[float, float, str, Any]] = []
        for _ in range(choose.randint(1, 4)):
            end = start + choose.choice([1.0, 5.0, 30.0, 120.0, 600.0, 1200.0])
            what = choose.choice(["all", "GET", "POST", "/library/info", "some"])
            self._troubles.append((start, end, what, choose.choice(KINDS)))
            start = end + choose.uniform(0.0, 400.0)
        self._bad = tuple(f"/{choose.randrange(60)}" for _ in range(choose.choice([0, 2, 20])))
        self._bad_kind, self._latency = choose.choice(KINDS), choose.choice([0.0, 0.1, 1.0, 12.0])

    def _kind(self, method: str, path: str) -> Any:
        now = self.clock.now - self._began
        for start, end, what, kind in self._troubles:
            hit = what in ("all", method) or path.endswith(what)
            if start <= now < end and (hit or (what == "some" and self._random.random() < 0.5)):
                return kind
        return self._bad_kind if path.endswith(self._bad) else 200

    async def respond(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        kind = self._kind(request.method, request.url.path)
        await self.clock.sleep(self._latency)
        if kind == "unreachable":
            raise httpx.ConnectError("no")
        if kind == "silent":
            await self.clock.sleep(60.0)
            raise httpx.ReadTimeout("late")
        if kind == "slow":
            await self.clock.sleep(59.0)
        return httpx.Response(504 if kind == "slow" else kind, json={})

    async def read(self, session: Session, patience: float) -> None:
        record = self._random.randrange(60)
        call = Call("GET", f"/contacts/{record}", Effect.SAFE, "reading", lane=Lane.BULK)
        lasts = self._random.choice([0.0, 0.0, 300.0])

        async def work() -> None:
            await session.send(call)
            await self.clock.sleep(session.within(lasts))

        await session.outlast(work, since=self.clock.now, patience=patience)

    async def write(self, session: Session, patience: float) -> None:
        since, failures = self.clock.now, 0
        while True:
            async with session.outage.turn(session.limit, since, patience, failures):
                openings = session.outage.openings
                try:
                    await session.send(WRITE)
                except errors.ServiceUnavailable:
                    continue
                except errors.ConstantContactError as error:
                    failures += 1
                    if failures == 10 or not session.outage.explains(error, openings):
                        raise
                    await self.clock.sleep(session.within(self._random.choice([0.0, 90.0])))
                else:
                    return

    async def caller(self, session: Session) -> None:
        choose = self._random
        use = choose.choice([self.read, self.write])
        patience = choose.choice([0.0, 30.0, 900.0, 900.0])
        limit = choose.choice([None, None, 3.0, 50.0])
        for _ in range(choose.randint(1, 10)):
            began = self.clock.now
            with suppress(errors.ConstantContactError), session.deadline(limit):
                await use(session, patience)
            if limit is not None and self.clock.now > began + limit + ROUNDING:
                self.late.append(f"{use.__name__}: {self.clock.now - began} s of {limit} s")
            await self.clock.sleep(choose.choice([0.0, 1.0, 10.0, 100.0]))

    async def run(self, client: ConstantContact) -> None:
        """Run all callers to their ends."""
        choose, session = self._random, client._open_parts.session
        callers = [asyncio.create_task(self.caller(session)) for _ in range(choose.randint(1, 14))]

        async def disturb() -> None:
            for _ in range(choose.randint(0, 5)):
                await self.clock.sleep(choose.choice([0.5, 10.0, 60.0, 300.0]))
                choose.choice(callers).cancel()
            if choose.random() < 0.3:
                await self.clock.sleep(choose.choice([1.0, 100.0, 700.0]))
                await client.aclose()

        for ended in await asyncio.gather(*callers, disturb(), return_exceptions=True):
            if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
                raise ended


@pytest.mark.parametrize("seed", [*range(26), 518, 734, 796, 802])
async def test_every_wait_in_a_storm_ends(seed: int) -> None:
    storm = Storm(seed)
    http = httpx.AsyncClient(transport=httpx.MockTransport(storm.respond))
    options: dict[str, Any] = {"clock": storm.clock, "http_client": http, "per_second": None}
    async with http, ConstantContact(api_key="key", access_token="token", **options) as client:
        outage = client._open_parts.session.outage
        await storm.clock.run(storm.run(client), limit=20_000.0)

    assert storm.late == []
    assert not outage._waiters.has_waiters
    assert outage._trying is None
    assert storm.calls < 1500
