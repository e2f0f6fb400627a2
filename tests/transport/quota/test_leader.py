from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.clock import SystemClock
from ccv2_async.transport.quota.leader import SharedWork, Waiter
from tests.support.clocks import settle


async def test_a_finished_waiter_never_becomes_the_leader() -> None:
    desk = Desk()
    waiter = Waiter()
    waiter.finish()
    await desk.take_part(waiter)
    assert not desk.most_inside


async def test_the_lead_moves_on_when_the_leader_is_cancelled() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.wait(number)) for number in range(3)]
    await settle()
    for cancelled in (0, 1):
        assert desk.inside == 1
        tasks[cancelled].cancel()
        await settle()
    desk.work.release()
    await settle()
    assert await tasks[2] == 2
    assert desk.most_inside == 1


async def test_a_follower_cancelled_as_it_is_woken_hands_the_lead_on() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.wait(number)) for number in range(3)]
    await settle()
    tasks[0].cancel()
    await asyncio.sleep(0)  # the leader has gone and woken the first follower, who has not run
    tasks[1].cancel()
    await settle()
    assert desk.inside == 1
    desk.work.release()
    await settle()
    assert tasks[2].done()


async def test_an_error_of_the_step_goes_only_to_the_leader() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.wait(number)) for number in range(2)]
    await settle()
    desk.trouble = True
    desk.work.release()
    await settle()
    with pytest.raises(OSError, match="the step"):
        await tasks[0]
    desk.work.release()
    assert await tasks[1] == 1


class Desk:
    """Shared work: each step needs a permit from the test, and serves the first waiter."""

    def __init__(self) -> None:
        self.shared = SharedWork(SystemClock())
        self.work = asyncio.Semaphore(0)
        self.queue: list[Waiter] = []
        self.trouble = False
        self.inside = self.most_inside = 0

    async def step(self) -> None:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await self.work.acquire()
        finally:
            self.inside -= 1
        if self.trouble:
            self.trouble = False
            raise OSError("the step failed")
        if self.queue:
            self.queue.pop(0).finish()

    async def wait(self, number: int) -> int:
        waiter = Waiter()
        self.queue.append(waiter)
        try:
            await self.take_part(waiter)
        finally:
            if waiter in self.queue:
                self.queue.remove(waiter)
        return number

    async def take_part(self, waiter: Waiter) -> None:
        self.shared.enter(waiter)
        try:
            while not waiter.done:
                await self.shared.lead_or_sleep(waiter, self.step)
        finally:
            self.shared.leave(waiter)


actions = st.lists(
    st.tuples(
        st.sampled_from(["wait", "cancel", "serve", "fail", "turn", "settle"]), st.integers(0, 30)
    ),
    max_size=60,
)


@given(actions)
def test_no_interleaving_loses_a_wakeup_or_has_two_leaders(plan: list[tuple[str, int]]) -> None:
    async def play() -> None:
        desk = Desk()
        tasks: list[asyncio.Task[int]] = []
        for action, number in plan:
            alive = [task for task in tasks if not task.done()]
            match action:
                case "wait":
                    tasks.append(asyncio.create_task(desk.wait(len(tasks))))
                case "cancel" if alive:
                    alive[number % len(alive)].cancel()
                case "serve":
                    desk.work.release()
                case "fail":
                    desk.trouble = True
                case "turn":
                    await asyncio.sleep(0)
                case _:
                    await settle()
            assert desk.inside <= 1
        await settle()
        desk.trouble = False
        waiting = [task for task in tasks if not task.done()]
        assert desk.inside == bool(waiting), "somebody leads exactly while somebody waits"
        for _ in waiting:
            desk.work.release()
            await settle()
        assert all(task.done() for task in tasks), "every waiter is served in the end"
        assert desk.most_inside <= 1
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not desk.shared._lines
        assert desk.shared._leader is None

    asyncio.run(play())
