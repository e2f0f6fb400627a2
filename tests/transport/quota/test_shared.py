from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("limits", reason="the extra [redis] is not installed")

import redis

from ccv2_async.errors import DailyQuotaExceeded, InvalidField, UsageError
from ccv2_async.secret import Secret
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.shared import SharedBudget
from tests.support.clocks import NOON, ManualClock
from tests.support.exposure import texts_of
from tests.support.probes import until
from tests.support.servers import RawServer, speaking_resp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.redis_server import RedisServer
    from tests.support.servers import Wire

KEY = "an-api-key-that-nobody-may-see"
MIDNIGHT = NOON + 43_200.0


@pytest.fixture
async def share() -> AsyncIterator[Callable[..., SharedBudget]]:
    """Opens budgets for one key, like several processes, and closes them."""
    async with AsyncExitStack() as stack:

        def open_one(server: RedisServer, *args: Any, **options: Any) -> SharedBudget:
            budget = SharedBudget(
                server.url,
                api_key=KEY,
                per_second=args[0] if args else 4,
                per_day=options.pop("per_day", None),
                timeout=options.pop("timeout", 5.0),
                **options,
            )
            stack.push_async_callback(budget.aclose)
            return budget

        yield open_one


def is_away(budget: SharedBudget) -> bool:
    return budget.degraded


def stored(server: RedisServer) -> dict[bytes, Any]:
    with redis.Redis(port=server.port) as client:
        return {key: client.type(key) for key in client.scan_iter()}


async def test_processes_share_one_window(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    budgets = [share(redis_server, 20) for _ in range(3)]
    before = redis_server.now()
    await asyncio.gather(*(b.acquire(Lane.BULK) for b in budgets for _ in range(17)))
    # 51 calls: the 41st can only go when two whole windows have passed since the first.
    assert redis_server.now() - before > 2 * 1.05
    assert sum(budget.used_today for budget in budgets) == 51


async def test_redis_may_listen_on_a_unix_socket(redis_server: RedisServer) -> None:
    budget = SharedBudget(f"unix://{redis_server.socket}", api_key=KEY, per_second=0.01, per_day=5)
    try:
        await budget.acquire(Lane.INTERACTIVE)
        assert not budget.degraded
        assert budget.remaining_today == 4
    finally:
        await budget.aclose()


async def test_a_slow_rate_is_kept_across_processes(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    budgets = [share(redis_server, 1.5) for _ in range(2)]
    before = redis_server.now()
    await asyncio.gather(*(budget.acquire(Lane.BULK) for budget in budgets))
    assert redis_server.now() - before > 1.0


async def test_other_keys_have_their_own_quota(redis_server: RedisServer) -> None:
    for key in ("one", "other"):
        budget = SharedBudget(redis_server.url, api_key=key, per_second=0.01, per_day=None)
        await budget.acquire(Lane.BULK)
        await budget.aclose()


async def test_redis_never_gets_the_key(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    await share(redis_server).acquire(Lane.BULK)
    found = stored(redis_server)
    assert found
    assert not any(KEY.encode() in name for name in found)


async def test_keys_in_redis_expire(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    await share(redis_server).acquire(Lane.BULK)
    with redis.Redis(port=redis_server.port) as client:
        assert all(client.ttl(key) > 0 for key in client.scan_iter())


async def test_interactive_calls_go_before_bulk_calls_of_other_processes(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    web, worker = share(redis_server, 4), share(redis_server, 4)
    order: list[str] = []

    begun = asyncio.Event()

    async def call(budget: SharedBudget, lane: Lane, name: str) -> None:
        await budget.acquire(lane)
        order.append(name)
        if len(order) == 4:
            begun.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(call(worker, Lane.BULK, "bulk"))
        await begun.wait()
        for _ in range(3):
            group.create_task(call(web, Lane.INTERACTIVE, "interactive"))
    first = order.index("interactive")
    # A slot that was due while the interactive call came in may still have gone to the other.
    assert first <= 6
    assert order[first : first + 3].count("interactive") >= 2


async def test_lanes_keep_their_priority_within_a_process(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    budget = share(redis_server, 5)
    order: list[Lane] = []

    async def call(lane: Lane) -> None:
        await budget.acquire(lane)
        order.append(lane)

    await budget.acquire(Lane.BULK)
    budget.pause(0.05)
    await asyncio.gather(*(call(lane) for lane in (Lane.BULK, Lane.POLL, Lane.INTERACTIVE)))
    assert order == [Lane.INTERACTIVE, Lane.POLL, Lane.BULK]


async def test_a_pause_holds_every_process(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    refused, other = share(redis_server), share(redis_server)
    await refused.acquire(Lane.BULK)
    before = redis_server.now()
    refused.pause(0.8)
    retry = asyncio.create_task(refused.acquire(Lane.BULK))
    await asyncio.sleep(0.2)
    await other.acquire(Lane.INTERACTIVE)
    await retry
    assert redis_server.now() - before >= 0.79


async def test_daily_calls_are_counted_across_processes(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    budgets = [share(redis_server, 100, per_day=4) for _ in range(2)]
    for budget in (*budgets, *budgets):
        await budget.acquire(Lane.BULK)
    for budget in budgets:
        with pytest.raises(DailyQuotaExceeded):
            await budget.acquire(Lane.BULK, "upload of x.png")
        assert budget.remaining_today == 0
    assert [budget.used_today for budget in budgets] == [2, 2]


async def test_the_remaining_daily_calls_are_shared(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    one, other = (share(redis_server, 100, per_day=10) for _ in range(2))
    for _ in range(3):
        await one.acquire(Lane.BULK)
    await other.acquire(Lane.BULK)
    assert other.remaining_today == 6


async def test_the_end_of_the_day_reaches_the_others_although_redis_was_being_asked(
    redis_server: RedisServer,
    share: Callable[..., SharedBudget],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = share(redis_server, None), share(redis_server, None)
    ask = one._shared.ask

    async def ask_while_the_day_ends(*args: Any, **options: Any) -> Any:
        reply = await ask(*args, **options)
        one.end_day()
        return reply

    monkeypatch.setattr(one._shared, "ask", ask_while_the_day_ends)
    with pytest.raises(DailyQuotaExceeded):
        await one.acquire(Lane.BULK)
    monkeypatch.undo()
    with pytest.raises(DailyQuotaExceeded):
        await one.acquire(Lane.BULK)
    with pytest.raises(DailyQuotaExceeded):
        await other.acquire(Lane.BULK)


async def test_the_end_of_the_daily_quota_in_one_process_ends_it_for_all(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    one, other = share(redis_server), share(redis_server)
    await one.acquire(Lane.BULK)
    one.end_day()
    with pytest.raises(DailyQuotaExceeded):
        await one.acquire(Lane.BULK)
    with pytest.raises(DailyQuotaExceeded):
        await other.acquire(Lane.BULK)


async def test_a_refusal_early_in_a_day_ends_the_calls_of_all_processes_for_as_long(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    clock, other_clock = ManualClock(epoch=MIDNIGHT + 1.0), ManualClock(epoch=MIDNIGHT - 2.0)
    one, other = share(redis_server, clock=clock), share(redis_server, clock=other_clock)
    one.end_day()
    for budget in (one, other):
        with pytest.raises(DailyQuotaExceeded):
            await budget.acquire(Lane.BULK)
    assert one.resets_at.timestamp() == MIDNIGHT + 61.0
    assert MIDNIGHT + 50.0 < other.resets_at.timestamp() <= MIDNIGHT + 58.0
    await other_clock.advance(61.0)
    assert other.remaining_today is None


async def test_the_end_of_a_day_that_redis_did_not_hear_of_does_not_end_the_next_day(
    cuttable: tuple[SharedBudget, Way, ManualClock],
) -> None:
    budget, way, clock = cuttable
    way.is_cut = True
    budget.end_day()
    with pytest.raises(DailyQuotaExceeded):
        await budget.acquire(Lane.BULK)
    way.is_cut = False
    await clock.advance(86_400.0)
    await moved(clock, asyncio.create_task(budget.acquire(Lane.BULK)))
    assert not is_away(budget)
    assert budget.used_today == 1


async def test_the_end_of_a_day_lasts_a_day_at_most_when_the_clock_is_set_back(
    cuttable: tuple[SharedBudget, Way, ManualClock],
) -> None:
    budget, way, clock = cuttable
    way.is_cut = True
    clock.suspend(365 * 86_400.0)
    budget.end_day()
    clock.suspend(-365 * 86_400.0)
    way.is_cut = False
    call = asyncio.create_task(budget.acquire(Lane.BULK))
    await moved(clock, call)
    assert isinstance(call.exception(), DailyQuotaExceeded)
    assert budget.resets_at.timestamp() <= clock.time() + 86_400.0


async def test_a_report_that_arrives_late_takes_no_calls_back(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    ask = partial(share(redis_server)._shared.ask, 2, 20_000, pause=0.0, end=0.0)
    later, earlier = [await ask(unreported=n, reported=0, recent=0, epoch="") for n in (7, 5)]
    assert earlier.used >= later.used


async def test_a_count_that_arrives_after_midnight_is_not_that_of_the_new_day(
    redis_server: RedisServer,
    share: Callable[..., SharedBudget],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = ManualClock(epoch=MIDNIGHT - 1.0)
    one, other = (share(redis_server, None, per_day=1, clock=clock) for _ in range(2))
    await one.acquire(Lane.BULK)
    ask = other._shared.ask

    async def ask_over_midnight(*args: Any, **options: Any) -> Any:
        reply = await ask(*args, **options)
        await clock.advance(2.0)
        monkeypatch.undo()
        return reply

    monkeypatch.setattr(other._shared, "ask", ask_over_midnight)
    await other.acquire(Lane.BULK)
    assert (other.used_today, other.remaining_today) == (1, 0)


async def test_a_cancelled_caller_does_not_delay_others(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    budget = share(redis_server, 2)
    tasks = [asyncio.create_task(budget.acquire(Lane.BULK)) for _ in range(6)]
    await asyncio.sleep(0.05)
    for task in tasks[:4]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[4:] == [None, None]
    assert not budget.contended


async def test_without_redis_a_process_uses_its_share_warns_once_and_recovers(
    own_redis_server: RedisServer,
    share: Callable[..., SharedBudget],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "ccv2_async")
    # A slot that a busy disk delays is given up, but Redis has counted it.
    monkeypatch.setattr(SharedBudget, "_in_time", lambda *_: True)
    budget = share(own_redis_server, 40, per_day=1000, expected=4)
    await budget.acquire(Lane.BULK)
    own_redis_server.stop()
    for _ in range(15):
        await budget.acquire(Lane.BULK)
    assert is_away(budget)
    own_redis_server.start()
    while is_away(budget):
        await budget.acquire(Lane.BULK)
    used = budget.used_today
    said = [(r.levelname, r.getMessage()) for r in caplog.records if "Redis" in r.getMessage()]
    assert [level for level, _ in said] == ["WARNING", "WARNING"]
    assert "1/4" in said[0][1]
    assert "again" in said[1][1]
    other = share(own_redis_server, 40, per_day=1000)
    await other.acquire(Lane.BULK)
    assert other.remaining_today == 1000 - used - 1, "what was sent without Redis is counted too"


async def test_without_redis_from_the_start_a_process_uses_its_share(
    unused_port_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    budget = SharedBudget(unused_port_url, api_key=KEY, per_second=8, expected=2)
    await asyncio.gather(*(budget.acquire(Lane.BULK) for _ in range(4)))
    assert budget.degraded
    assert sum("does not answer" in record.getMessage() for record in caplog.records) == 1
    await budget.aclose()


async def test_without_redis_from_the_start_a_process_leaves_its_predecessor_a_window(
    unused_port_url: str,
) -> None:
    clock = ManualClock()
    budget = SharedBudget(unused_port_url, api_key=KEY, per_second=4, clock=clock)
    began, call = clock.now, asyncio.create_task(budget.acquire(Lane.BULK))
    await until(lambda: budget.degraded and budget.contended)
    while not call.done():
        await clock.advance(0.1)
        await asyncio.sleep(0.001)
    assert clock.now - began > 1.0, "the process that it replaces may have sent a call just now"
    await budget.aclose()


@pytest.fixture
async def poor(unused_port_url: str) -> AsyncIterator[tuple[SharedBudget, ManualClock]]:
    """A budget without Redis that has used its share, until the test moves the clock."""
    clock = ManualClock()
    budget = SharedBudget(unused_port_url, api_key=KEY, per_second=8, expected=16, clock=clock)
    call = asyncio.create_task(budget.acquire(Lane.BULK))
    while not call.done():
        await clock.advance(0.5)
        await asyncio.sleep(0.001)
    yield budget, clock
    await budget.aclose()


async def waiting(budget: SharedBudget, count: int) -> list[asyncio.Task[None]]:
    """Start calls, and wait until the first of them waits for its share."""
    calls = [asyncio.create_task(budget.acquire(Lane.BULK, "call")) for _ in range(count)]
    await until(lambda: budget.degraded and budget.contended)
    return calls


async def test_without_redis_a_wait_that_is_cancelled_does_not_count(
    poor: tuple[SharedBudget, ManualClock],
) -> None:
    budget, clock = poor
    cancelled, goes_on = await waiting(budget, 2)

    cancelled.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert (budget.used_today, budget._unreported) == (1, 1), "what was not sent does not count"

    while not goes_on.done():
        await clock.advance(1.0)
        await asyncio.sleep(0.001)
    assert (budget.used_today, budget._unreported) == (2, 2)


async def test_without_redis_a_pause_still_holds_waiting_calls(
    poor: tuple[SharedBudget, ManualClock],
) -> None:
    budget, clock = poor
    (call,) = await waiting(budget, 1)
    began = clock.now

    budget.pause(60)
    while not call.done():
        await clock.advance(1.0)
        await asyncio.sleep(0.001)

    assert clock.now - began >= 60


async def test_without_redis_the_end_of_the_daily_quota_still_raises_at_once(
    poor: tuple[SharedBudget, ManualClock],
) -> None:
    budget, _ = poor
    calls = await waiting(budget, 2)

    budget.end_day()
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(error) for error in ended] == [DailyQuotaExceeded] * 2
    assert (budget.used_today, budget._unreported) == (1, 1)


class Way:
    """A connection of one process to Redis that can be cut.

    Attributes:
        is_cut: Whether each connection is closed when it is used.
        loses_replies: Whether each connection is closed once Redis has answered.
    """

    def __init__(self, port: int) -> None:
        self.is_cut = self.loses_replies = False
        self._port = port
        self.server = RawServer(self._forward)

    async def _forward(self, wire: Wire) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while data := await wire.reader.read(65536):
                if self.is_cut:
                    break
                writer.write(data)
                reply = await reader.read(65536)
                if self.loses_replies and b"EVALSHA" in data:
                    break
                await wire.write(reply)
        finally:
            writer.close()


@pytest.fixture
async def cuttable(redis_server: RedisServer) -> AsyncIterator[tuple[SharedBudget, Way, Any]]:
    """A budget that can lose its connection to Redis, with that connection and its clock."""
    way, clock = Way(redis_server.port), ManualClock()
    async with way.server as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        budget = SharedBudget(
            url, api_key=KEY, per_second=4, expected=1, per_day=None, timeout=5.0, clock=clock
        )
        yield budget, way, clock
        await budget.aclose()


async def moved(clock: ManualClock, call: asyncio.Task[None]) -> None:
    while not call.done():
        await clock.advance(0.05)
        await asyncio.sleep(0.002)


async def test_a_process_takes_no_share_once_redis_is_back(
    cuttable: tuple[SharedBudget, Way, ManualClock],
) -> None:
    budget, way, clock = cuttable
    await moved(clock, asyncio.create_task(budget.acquire(Lane.BULK)))
    way.is_cut = True
    call = asyncio.create_task(budget.acquire(Lane.BULK))
    await until(lambda: is_away(budget))
    way.is_cut = False
    await moved(clock, call)
    assert not is_away(budget)
    assert budget._unreported == 0, "it asked Redis before it took a share"


async def test_calls_without_redis_count_in_the_window_of_the_others(
    redis_server: RedisServer,
    share: Callable[..., SharedBudget],
    cuttable: tuple[SharedBudget, Way, ManualClock],
) -> None:
    budget, way, clock = cuttable
    await moved(clock, asyncio.create_task(budget.acquire(Lane.BULK)))
    way.is_cut = True
    for _ in range(2):
        await moved(clock, asyncio.create_task(budget.acquire(Lane.BULK)))
    assert budget._unreported == 2
    other = share(redis_server, 4)
    await other.acquire(Lane.BULK)
    way.is_cut = False
    await clock.advance(0.1)
    call = asyncio.create_task(budget.acquire(Lane.BULK))
    await until(lambda: not is_away(budget))
    with redis.Redis(port=redis_server.port) as client:
        (window,) = client.keys("*/second")
        times = [float(at) for at in client.lrange(window, 0, -1)]
    assert len(times) == 4
    assert times[0] == times[1] > times[2], "as if they were made when they were reported"
    await moved(clock, call)


async def test_times_from_before_redis_set_its_clock_back_delay_nothing(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    budget = share(redis_server, 4)
    await budget.acquire(Lane.BULK)
    later = redis_server.now() + 7200.0
    with redis.Redis(port=redis_server.port) as client:
        (state,) = client.keys("*/state")
        (window,) = client.keys("*/second")
        client.hset(state, mapping={"asked": str(later), "paused": str(later + 60.0)})
        client.delete(window)
        client.lpush(window, *[str(later)] * 4)
        client.zadd(state.replace(b"/state", b"/lane/0"), {"another": later})
    async with asyncio.timeout(10):
        await budget.acquire(Lane.BULK)
    assert not budget.degraded


@pytest.mark.parametrize(
    "answer",
    [
        b"+OK\r\n",
        b":5\r\n",
        b"*0\r\n",
        b"*5\r\n$3\r\nyes\r\n$1\r\n0\r\n:1\r\n:1\r\n$1\r\ne\r\n",
        b"*5\r\n$4\r\nwait\r\n$3\r\nnan\r\n:1\r\n:1\r\n$1\r\ne\r\n",
        b"*5\r\n$2\r\ngo\r\n$1\r\n0\r\n:1\r\n$400\r\n" + b"1" * 400 + b"\r\n$1\r\ne\r\n",
        b"*5\r\n$4\r\nwait\r\n$2\r\n-5\r\n:1\r\n:1\r\n$1\r\ne\r\n",
        b"*5\r\n$2\r\n\xff\xfe\r\n$1\r\n0\r\n:1\r\n:1\r\n$1\r\ne\r\n",
        b":five\r\n",
        b"*x\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_a_server_that_is_not_redis_counts_as_unavailable(answer: bytes) -> None:
    async with speaking_resp(lambda name: answer if name == b"EVALSHA" else b"+OK\r\n") as server:
        budget = SharedBudget(f"redis://127.0.0.1:{server.port}/0", api_key=KEY, per_second=100)
        try:
            await budget.acquire(Lane.BULK)
            assert budget.degraded
        finally:
            await budget.aclose()


async def test_a_state_in_redis_that_is_not_text_is_used(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    budget = share(redis_server, 100)
    await budget.acquire(Lane.BULK)
    with redis.Redis(port=redis_server.port) as client:
        (state,) = client.keys("*/state")
        client.hset(state, mapping={"epoch": b"\xff\xfe"})
    for _ in range(2):
        await budget.acquire(Lane.BULK)
    assert not budget.degraded


async def test_after_redis_returns_empty_calls_wait_until_all_processes_are_back(
    redis_server: RedisServer, share: Callable[..., SharedBudget]
) -> None:
    one, other = share(redis_server, 20), share(redis_server, 20)
    for budget in (one, other):
        await budget.acquire(Lane.BULK)
    redis_server.empty()
    before = redis_server.now()
    await asyncio.gather(one.acquire(Lane.BULK), other.acquire(Lane.BULK))
    assert redis_server.now() - before > 2.0


@pytest.mark.parametrize(
    "options",
    [{"margin": -1}, {"margin": float("nan")}, {"expected": 0}, {"per_second": -1}],
)
def test_invalid_options_are_refused_without_showing_the_key(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as caught:
        SharedBudget("redis://127.0.0.1:1/0", api_key=KEY, **options)
    assert KEY not in "".join(texts_of(caught.value))


@pytest.mark.parametrize("key", ["", KEY.encode(), KEY + "\udc80"])
def test_a_key_that_is_not_text_is_refused_without_showing_it(key: Any) -> None:
    with pytest.raises(InvalidField, match="api_key") as caught:
        SharedBudget("redis://127.0.0.1:1/0", api_key=key)
    assert KEY not in "".join(texts_of(caught.value))


@pytest.mark.parametrize("url", ["somewhere:6379", "redis://127.0.0.1:x/0", 5])
def test_an_invalid_url_is_refused_without_showing_the_key(url: Any) -> None:
    with pytest.raises(UsageError, match="redis://") as caught:
        SharedBudget(url, api_key=KEY)
    assert KEY not in "".join(texts_of(caught.value))


@pytest.mark.parametrize(
    "url", ["redis://somewhere", "redis://somewhere/0", "redis://u:p@[::1]/1", "unix:///a.sock"]
)
async def test_any_url_of_redis_will_do(url: str) -> None:
    await SharedBudget(url, api_key=Secret(KEY)).aclose()


async def test_calls_without_redis_count_once_although_replies_are_lost(
    redis_server: RedisServer,
    share: Callable[..., SharedBudget],
    cuttable: tuple[SharedBudget, Way, ManualClock],
) -> None:
    budget, way, clock = cuttable
    await moved(clock, asyncio.create_task(budget.acquire(Lane.BULK)))
    for _ in range(2):  # the second time, Redis still knows what it was told the first time
        way.loses_replies = True
        for _ in range(6):
            await moved(clock, asyncio.create_task(budget.acquire(Lane.BULK)))
        way.loses_replies = False
        await clock.advance(1.0)
        while is_away(budget):
            await moved(clock, asyncio.create_task(budget.acquire(Lane.BULK)))
    with redis.Redis(port=redis_server.port) as client:
        (day,) = client.keys("*/day")
        counted = int(client.get(day))
    # Redis gave two slots whose replies were lost, each time.
    assert budget.used_today <= counted <= budget.used_today + 2 * 2
