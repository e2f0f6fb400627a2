"""Clients, pollers, and budgets that are used from a second event loop."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async import Budget, ConstantContact, errors, verify_backup
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.http.engine import DirectEngine
from ccv2_async.transport.quota import Lane
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from pathlib import Path

BOTH = r"opened in another event loop\. Nothing was sent"


class Loop:
    """An event loop that runs in a thread, as a web framework or a notebook has one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        if not self.loop.is_closed():
            self.loop.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in which jobs take a while."""
    with Sandbox(mode="seconds") as sandbox:
        yield sandbox


@pytest.fixture
def other() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


async def calls(cc: ConstantContact, folder: Path) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Every kind of call that a client can make."""
    poller = await cc.library.begin_upload(b"x", name="a.png")
    path = folder / "b.png"
    path.write_bytes(b"b")
    rows = ["a@b.example"]

    async def every_file() -> None:
        async for file in cc.library.files():
            assert file

    async def many() -> None:
        async for result in cc.upload_many([path], journal=folder / "journal"):
            assert result

    async def as_completed() -> None:
        async for done in cc.as_completed([poller]):
            assert done

    async def limited() -> None:
        with cc.deadline(5):
            await cc.account.info()

    return {
        "a call": cc.account.info,
        "a listing": every_file,
        "an upload": lambda: cc.library.begin_upload(path, name="b.png"),
        "an import": lambda: cc.activities.add_contacts(rows, lists=["1"]),
        "a poller": lambda: asyncio.wait_for(poller, 20),
        "its status": poller.poll_once,
        "a poller of a token": lambda: asyncio.wait_for(cc.resume(poller.token()), 20),
        "all pollers": lambda: cc.wait_all([poller]),
        "pollers as they end": as_completed,
        "a sweep": lambda: cc.sweep([poller.token()]),
        "many files": many,
        "a call with a deadline": limited,
        "closing": cc.aclose,
        "opening": cc.open,
    }


async def test_every_call_from_a_second_loop_is_refused_at_once(
    connect: Callable[..., Any], sandbox: Sandbox, other: Loop, tmp_path: Path
) -> None:
    cc = await connect(sandbox, clock=None)
    everything = await calls(cc, tmp_path)
    before = len(sandbox.admin.requests())
    for work in everything.values():
        with pytest.raises(errors.UsageError, match=BOTH):
            await asyncio.to_thread(other.do, work)
    assert len(sandbox.admin.requests()) == before
    assert not (tmp_path / "journal").exists()
    assert await cc.account.info()  # all is well where it was opened


async def test_waiters_of_two_loops_do_not_interfere(
    connect: Callable[..., Any], sandbox: Sandbox, other: Loop
) -> None:
    """A poller that leads in one loop cannot wake one that sleeps in another."""
    cc = await connect(sandbox, clock=None)
    poller = await cc.library.begin_upload(b"x", name="a.png")
    leading = asyncio.ensure_future(poller)
    await until(lambda: cc._open_parts.sweep._work._leader is not None)
    with pytest.raises(errors.UsageError, match=BOTH):
        await asyncio.to_thread(other.do, lambda: poller)
    leading.cancel()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_of_a_closed_loop_is_refused(sandbox: Sandbox) -> None:
    kept = [ConstantContact(**sandbox.client_options())]

    async def use() -> None:
        cc = kept[0]
        await cc.open()
        await cc.account.info()
        await cc.library.begin_upload(b"x", name="a.png")

    asyncio.run(use())
    with pytest.raises(errors.UsageError, match=BOTH):
        asyncio.run(kept[0].account.info())
    with pytest.raises(errors.UsageError, match=re.escape("closing the client")):
        asyncio.run(kept[0].aclose())
    asyncio.run(kept[0].aclose())  # closed already
    with pytest.raises(errors.ClientClosed):
        asyncio.run(kept[0].open())
    kept.clear()
    gc.collect()  # asyncio warns of the socket that the ended loop left open


def test_a_budget_can_be_used_in_a_new_loop(sandbox: Sandbox) -> None:
    budget = Budget(1000, None)
    options: dict[str, Any] = {**sandbox.client_options(), "budget": budget}

    async def use() -> None:
        async with ConstantContact(**options) as cc:
            await asyncio.gather(*[cc.account.info() for _ in range(5)])

    for _ in range(3):
        asyncio.run(use())
    assert budget.used == 15


def test_a_budget_forgets_waiters_of_an_aborted_loop() -> None:
    budget = Budget(0.01, None)

    async def hang() -> None:
        await budget.acquire(Lane.BULK)
        tasks = [asyncio.ensure_future(budget.acquire(Lane.BULK)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left.extend(tasks)

    left: list[asyncio.Future[None]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(hang())
    with pytest.raises(errors.UsageError, match="another event loop uses the same Budget"):
        asyncio.run(budget.acquire(Lane.BULK))
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.wait(left))
    loop.close()
    budget._recent.clear()
    asyncio.run(budget.acquire(Lane.BULK))


async def test_a_budget_serves_one_running_loop(
    connect: Callable[..., Any], sandbox: Sandbox, other: Loop
) -> None:
    budget = Budget(None, None)
    options: dict[str, Any] = {**sandbox.client_options(), "budget": budget}
    cc = await connect(sandbox, clock=None, budget=budget)
    await cc.account.info()

    async def use() -> None:
        async with ConstantContact(**options) as second:
            await second.account.info()

    with pytest.raises(errors.UsageError, match="another event loop uses the same Budget"):
        await asyncio.to_thread(other.do, use)
    await cc.account.info()


def test_without_an_event_loop_of_asyncio_nothing_is_sent(
    sandbox: Sandbox, other: Loop, tmp_path: Path
) -> None:
    opened = ConstantContact(**sandbox.client_options())
    other.do(opened.open)
    request = httpx.Request("GET", f"{sandbox.base_url}/library/info")
    work: list[Callable[[], Coroutine[Any, Any, Any]]] = [
        ConstantContact(**sandbox.client_options()).open,
        opened.library.info,
        lambda: opened.contacts.upsert("a@b.example", lists=["1"]),
        lambda: Budget().acquire(Lane.INTERACTIVE),
        lambda: DirectEngine(verify=True).send(request),
        lambda: verify_backup(tmp_path),
    ]
    for start in work:
        coroutine = start()  # trio, for example, would run it
        with pytest.raises(errors.UsageError, match="No asyncio event loop is running"):
            coroutine.send(None)
    other.do(opened.aclose)
    assert not sandbox.admin.requests()
