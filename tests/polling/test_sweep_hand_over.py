"""Check the sweep with a model: in any order of events, every waiter gets a result."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from ccv2_async import errors
from ccv2_async.polling.job import State
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet
from tests.polling.scripted import Service, refusal
from tests.support.clocks import ManualClock, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ccv2_async.polling.poller import Poller

TRANSIENT: dict[str, Callable[[], errors.ConstantContactError]] = {
    "lost": lambda: errors.ConnectionLost("the connection broke", sent="wholly"),
    "down": lambda: errors.ServerError("the service failed", status=503),
    "busy": lambda: errors.QuotaExceeded("over the rate", status=403),
    "late": lambda: errors.DeadlineExceeded("no answer in time", sent="wholly"),
}
PERMANENT: dict[str, Callable[[], errors.ConstantContactError]] = {
    "unauthorized": lambda: errors.AuthenticationFailed("the token was revoked", status=401),
    "forbidden": lambda: errors.Forbidden("the key is not active", status=403),
    "undecodable": lambda: errors.DecodeError("no JSON"),
    "closed": lambda: errors.ClientClosed("the client was closed"),
    "conflict": lambda: errors.BadRequest("odd", status=422),
}
PENDING = {"upload": ["Uploaded", "Processing", "Quarantined"], "activity": ["QUEUED", "RUNNING"]}
GOOD = {"upload": "Active", "activity": "COMPLETE"}
BAD = {"upload": ["Failed", "VirusFound", "Deleted"], "activity": ["ERROR", "CANCELLED"]}


@attrs.define(eq=False)
class Waiting:
    """One waiting task, and the results that it may end with."""

    task: asyncio.Task[Any]
    pollers: tuple[Poller[str], ...]
    how: str
    limit: float | None = None
    began: float = 0.0
    cancelled: bool = False
    troubles: int = 0


class HandOver(RuleBasedStateMachine):
    """Waiters arrive, leave, time out, and are cancelled while requests succeed and fail."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.service = self.do(self._make())
        self.kind_of: dict[str, str] = {}
        self.waiting: list[Waiting] = []
        self.troubles = 0
        self.parked_until = 0.0

    async def _make(self) -> Service:
        return Service(self.clock)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def let_run(self) -> None:
        self.do(settle(12))

    def wait(
        self,
        work: Coroutine[Any, Any, Any],
        *pollers: Poller[str],
        how: str,
        limit: float | None = None,
    ) -> None:
        task = self.loop.create_task(work)
        self.waiting.append(
            Waiting(task, pollers, how, limit, self.clock.now, troubles=self.troubles)
        )

    # What users do

    @rule(target=jobs, kind=st.sampled_from(["upload", "activity"]), number=st.integers(1, 4))
    def start(self, kind: str, number: int) -> Any:
        started = []
        for _ in range(number):
            id_ = f"{kind}-{len(self.kind_of)}"
            self.kind_of[id_] = kind
            started.append(self.service.start(kind, id_))
        return multiple(*started)

    @rule(poller=jobs, times=st.integers(1, 3))
    def await_it(self, poller: Poller[str], times: int) -> None:
        for _ in range(times):
            self.wait(poller.wait(), poller, how="wait")
        self.let_run()

    @rule(poller=jobs, limit=st.sampled_from([0.0, 0.5, 3.0, 30.0]))
    def wait_a_while(self, poller: Poller[str], limit: float) -> None:
        self.wait(poller.wait(timeout=limit), poller, how="wait", limit=limit)
        self.let_run()

    @rule(poller=jobs)
    def iterate(self, poller: Poller[str]) -> None:
        async def changes() -> list[Any]:
            return [update async for update in poller]

        self.wait(changes(), poller, how="changes")
        self.let_run()

    @rule(poller=jobs)
    def look_once(self, poller: Poller[str]) -> None:
        self.wait(poller.poll_once(), poller, how="look")
        self.let_run()

    @rule(pollers=st.lists(jobs, min_size=1, max_size=6), until=st.sampled_from(list(Until)))
    def wait_for_several(self, pollers: list[Poller[str]], until: Until) -> None:
        async def all_of_them() -> set[str]:
            with closing(JobSet(self.service.sweep, until)) as jobs:
                for poller in pollers:
                    jobs.add(poller._job)
                seen = set()
                while jobs:
                    job = await self.service.sweep.wait(jobs)
                    assert job is not None
                    seen.add(job.id)
                return seen

        self.wait(all_of_them(), *pollers, how="several")
        self.let_run()

    @rule(data=st.data(), before=st.booleans())
    def cancel_some(self, data: st.DataObject, before: bool) -> None:
        alive = [waiting for waiting in self.waiting if not waiting.task.done()]
        if not alive:
            return
        chosen = data.draw(st.lists(st.sampled_from(alive), unique_by=id, min_size=1))
        if before:
            self.service.answer()  # cancel in the iteration in which the response comes
        for waiting in chosen:
            waiting.cancelled = True
            waiting.task.cancel()
        self.let_run()

    # What the service does

    @rule(data=st.data(), poller=jobs)
    def change_status(self, data: st.DataObject, poller: Poller[str]) -> None:
        kind = self.kind_of[poller.id]
        now = self.service.statuses[poller.id]
        if now == GOOD[kind] or now in BAD[kind]:
            return
        options = [*PENDING[kind], GOOD[kind], *BAD[kind], None]
        self.service.statuses[poller.id] = data.draw(st.sampled_from(options))

    @rule()
    def answer(self) -> None:
        self.service.answer()
        self.let_run()

    @rule(name=st.sampled_from(sorted(TRANSIENT)))
    def fail_for_now(self, name: str) -> None:
        if self.service.on_their_way:
            self.troubles += 1
        self.service.fail(TRANSIENT[name]())
        self.let_run()

    @rule(name=st.sampled_from(sorted(PERMANENT)))
    def fail_for_good(self, name: str) -> None:
        if self.service.on_their_way:
            self.troubles += 1
        self.service.fail(PERMANENT[name]())
        self.let_run()

    @rule(status=st.sampled_from([400, 404, 413, 414]))
    def refuse(self, status: int) -> None:
        if self.service.on_their_way:
            self.troubles += 1
        self.service.fail(refusal(status))
        self.let_run()

    @rule(hours=st.sampled_from([0.1, 2.0, 20.0]))
    def end_the_day(self, hours: float) -> None:
        if self.service.on_their_way:
            self.troubles += 1
            self.parked_until = max(self.parked_until, self.clock.now + hours * 3600)
        resets = datetime.fromtimestamp(self.clock.time() + hours * 3600, UTC)
        self.service.fail(
            errors.DailyQuotaExceeded("the day is over", status=403, resets_at=resets)
        )
        self.let_run()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.do(self.clock.advance(seconds))

    # What always holds

    @invariant()
    def one_request_of_a_kind_at_most(self) -> None:
        assert self.service.busiest <= 1
        assert max(Counter(r.kind for r in self.service.on_their_way).values(), default=0) <= 1

    @invariant()
    def somebody_leads_while_somebody_waits(self) -> None:
        sweep = self.service.sweep
        alive = [waiting for waiting in self.waiting if not waiting.task.done()]
        if alive:
            assert sweep._work._leader is not None
            assert self.service.on_their_way or self.clock._due
        else:
            assert sweep._work._leader is None
            assert not self.service.on_their_way
            assert not sweep._work._lines
            assert not any(queue.waiters or queue._due for queue in sweep._queues.values())

    @invariant()
    def nobody_waits_for_longer_than_they_would(self) -> None:
        for waiting in self.waiting:
            if waiting.limit is not None and not waiting.task.done():
                assert self.clock.now < waiting.began + waiting.limit + 1e-6

    @invariant()
    def whoever_ended_got_the_right_answer(self) -> None:
        for waiting in [waiting for waiting in self.waiting if waiting.task.done()]:
            self.waiting.remove(waiting)
            self.judge(waiting)

    def judge(self, waiting: Waiting) -> None:
        if waiting.task.cancelled():
            assert waiting.cancelled
            return
        error = waiting.task.exception()
        (job, *_) = [poller._job for poller in waiting.pollers]
        if error is None:
            result = waiting.task.result()
            if waiting.how == "wait":
                assert job.state is State.SUCCEEDED
                assert result == f"result of {job.id}"
            elif waiting.how == "changes":
                assert result[-1].is_final
                assert not any(update.is_final for update in result[:-1])
                assert result == list(job.history)
            elif waiting.how == "several":
                assert result == {poller.id for poller in waiting.pollers}
        elif isinstance(error, errors.PollTimeout):
            assert waiting.how in ("wait", "changes")
            # The time may be up between the end of the job and the coming of its result.
            assert job.state is State.PENDING or waiting.limit is not None
            limit = job.kind.deadline if waiting.limit is None else waiting.limit
            assert self.clock.now - waiting.began >= limit
            assert error.token
        elif isinstance(error, errors.JobNotFound | errors.StatusUnreadable):
            assert job.state is State.LOST
            assert (job.unreadable is None) is isinstance(error, errors.JobNotFound)
        elif isinstance(error, errors.JobError):
            assert job.state is State.FAILED
            assert error.status == job.status
        else:
            assert isinstance(error, errors.ConstantContactError)
            assert self.troubles > waiting.troubles, "no request failed while it waited"

    def teardown(self) -> None:
        try:
            self.end_well()
        finally:
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.do(settle())
            self.loop.close()
            assert not left

    def end_well(self) -> None:
        """End every job and answer every request: then nobody waits anymore."""
        for id_, kind in self.kind_of.items():
            if self.service.statuses[id_] not in BAD[kind]:
                self.service.statuses[id_] = GOOD[kind]
        self.service.answer()
        self.service.by_itself = True
        # No look is more than eleven seconds away, unless the day's quota is used up.
        for _ in range(4):
            self.do(self.clock.advance(11.0))
        if not all(waiting.task.done() for waiting in self.waiting):
            assert self.clock.now < self.parked_until + 44.0, "a wake-up was lost"
            self.do(self.clock.advance(self.parked_until + 44.0 - self.clock.now))
        assert all(waiting.task.done() for waiting in self.waiting), "somebody waits for ever"
        self.whoever_ended_got_the_right_answer()
        self.somebody_leads_while_somebody_waits()


TestHandOver = HandOver.TestCase
TestHandOver.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
