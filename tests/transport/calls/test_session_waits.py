"""Deadlines, `Retry-After`, the quota, and the retry allowance."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async import errors
from ccv2_async.transport.calls.call import Call, Timeouts
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.http import dial, protocol
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import Budget
from tests.support.bodies import PiecesBody
from tests.support.clocks import settle
from tests.support.probes import nothing_left, until
from tests.support.servers import RawServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock, SkippingClock
    from tests.support.servers import Request, Wire

QPS = b'[{"error_key": "mashery.not.authorized.over.qps", "error_message": "m"}]'


def read(**options: Any) -> Call:
    return Call("GET", "/x", Effect.SAFE, "the thing", **options)


def add(body: Any = None, **options: Any) -> Call:
    return Call(
        "POST", "/x", Effect.ADDITIVE, "the thing", body=body or PiecesBody(b"{}"), **options
    )


def answer(status: str, body: bytes = b"[]", *headers: str) -> Any:
    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(status, body, *headers)

    return say


fine = answer("200 OK", b'"fine"')


class Stages:
    """A server that stops at a stage of its response, and signals when it gets there."""

    def __init__(self, *writes: bytes, read_body: bool = True) -> None:
        self.writes = writes
        self.read_body = read_body
        self.reached = asyncio.Event()

    async def __call__(self, wire: Wire) -> None:
        await (wire.request() if self.read_body else wire.head())
        for data in self.writes:
            await wire.write(data)
        self.reached.set()
        while await wire.reader.read(65536):
            pass


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
BAD_HEAD = b"HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\n\r\n"
TRICKLES = {
    "nothing at all": (),
    "half a head": (HEAD[:20],),
    "a head": (HEAD,),
    "half a body": (HEAD, b"x" * 500),
    "half an error": (BAD_HEAD, b"x" * 500),
}


@pytest.mark.parametrize("stage", TRICKLES)
async def test_the_deadline_ends_a_response_that_never_ends(
    open_session: Callable[..., Any], manual_clock: ManualClock, stage: str
) -> None:
    script = Stages(*TRICKLES[stage])
    async with RawServer(script) as server, nothing_left():
        session = await open_session(server, clock=manual_clock)
        task = asyncio.create_task(session.send(read(deadline=30)))
        await script.reached.wait()
        await manual_clock.advance(29.9)
        assert not task.done()
        await manual_clock.advance(0.2)
        with pytest.raises(
            errors.DeadlineExceeded, match=r"no complete response arrived within 30 s"
        ):
            await task
        assert server.connections == 1
        await session.aclose()


@pytest.mark.parametrize("sent", ["wholly", "partly"])
async def test_a_timed_out_additive_call_says_how_far_it_got(
    open_session: Callable[..., Any], manual_clock: ManualClock, sent: str
) -> None:
    read_body, pieces = (True, 2) if sent == "wholly" else (False, 400)
    reached = asyncio.Event()

    async def script(wire: Wire) -> None:
        await (wire.request() if read_body else wire.head())
        reached.set()
        await asyncio.Event().wait()

    async with RawServer(script) as server:
        session = await open_session(server, clock=manual_clock)
        body = PiecesBody(*[b"x" * 65536] * pieces)
        task = asyncio.create_task(session.send(add(body, deadline=30)))
        await reached.wait()
        await manual_clock.advance(31)
        expected = errors.OutcomeUnknown if sent == "wholly" else errors.DeadlineExceeded
        with pytest.raises(expected, match="within 30 s") as caught:
            await task
        if isinstance(caught.value, errors.DeadlineExceeded):
            assert caught.value.sent == sent
            assert isinstance(caught.value, TimeoutError)
        assert body.attempts[0].closed


async def test_a_step_that_times_out_follows_the_retry_table(
    open_session: Callable[..., Any],
) -> None:
    async with RawServer(Stages()) as server:
        session = await open_session(server, timeouts=Timeouts(read=0.02))
        with pytest.raises(
            errors.ConnectionLost, match=r"no complete response arrived \(ReadTimeout"
        ):
            await session.send(read())
        assert server.connections == 3


async def test_a_quota_wait_before_the_first_attempt_does_not_count(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    budget = Budget(1, clock=manual_clock)
    async with serving(fine) as server:
        session = await open_session(server, clock=manual_clock, budget=budget)
        await budget.acquire(Lane.BULK)
        budget.pause(500)
        task = asyncio.create_task(session.send(read(deadline=10)))
        await settle()
        await manual_clock.advance(501)
        assert (await task).read(str) == "fine"


async def test_calls_that_a_slow_disk_holds_up_stay_within_the_quota(
    open_session: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, arrived, held = manual_clock, [], 0

    class SlowBody(PiecesBody):
        async def attempt(self, doubtful: int = 0) -> Any:
            nonlocal held
            held += 1
            if held <= 16:  # these wake up together
                await clock.sleep(1004.0 - clock.now)
            return await super().attempt(doubtful)

    async def send(request: Any) -> httpx.Response:
        arrived.append(clock.monotonic())
        return httpx.Response(200, content=b"{}", request=request)

    session = await open_session(clock=clock, per_second=4, per_day=100)
    monkeypatch.setattr(session._engine, "send", send)
    calls = (session.send(add(SlowBody(b"{}"))) for _ in range(24))
    await clock.run(asyncio.gather(*calls))
    assert len(arrived) == 24
    assert all(later - first > 1.0 for first, later in zip(arrived, arrived[4:], strict=False))
    assert session.budget.used_today == 24


async def test_calls_that_wait_for_their_connections_stay_within_the_quota(
    open_session: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, arrived, connections = manual_clock, [], 0

    class NewConnection:
        def close(self) -> None:
            pass

        async def ask(self, _: httpx.Request) -> httpx.Response:
            arrived.append(clock.monotonic())
            return httpx.Response(200, content=b"{}")

    async def connect(*_: object) -> NewConnection:
        nonlocal connections
        connections += 1
        if connections <= 16:  # these wake up together
            await clock.sleep(1004.0 - clock.now)
        return NewConnection()

    session = await open_session(clock=clock, per_second=4, per_day=100)
    monkeypatch.setattr(session._engine, "_connect", connect)
    calls = (session.send(read() if number % 2 else add()) for number in range(24))
    await clock.run(asyncio.gather(*calls))
    assert len(arrived) == 24
    assert all(later - first > 1.0 for first, later in zip(arrived, arrived[4:], strict=False))
    assert session.budget.used_today == 24


async def test_a_connection_whose_call_loses_its_turn_is_closed(
    open_session: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow_dial(*args: Any, **options: Any) -> Any:
        sock = await dial.dial(*args, **options)
        manual_clock.now += 1.0
        session.budget.pause(500)
        return sock

    async with serving(fine) as server:
        session = await open_session(server, clock=manual_clock, per_second=4, per_day=100)
        monkeypatch.setattr(protocol, "dial", slow_dial)
        task = asyncio.create_task(session.send(read()))
        await until(lambda: server.open == 1)
        await settle()
        await session.aclose()
        with pytest.raises(errors.ClientClosed, match="not sent"):
            await task
        await until(lambda: server.open == 0)
        assert session.budget.used_today == 0


async def test_a_call_that_loses_its_turn_is_given_back_once(
    open_session: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow_dial(*args: Any, **options: Any) -> Any:
        manual_clock.now += 1.0
        session.budget.pause(500)
        return await dial.dial(*args, **options)

    async with serving(fine) as server:
        session = await open_session(server, clock=manual_clock, per_second=4, per_day=100)
        await session.budget.acquire(Lane.BULK)  # another client's call
        monkeypatch.setattr(protocol, "dial", slow_dial)
        task = asyncio.create_task(session.send(read()))
        await until(lambda: server.open == 1)
        await settle()
        await session.aclose()
        with pytest.raises(errors.ClientClosed):
            await task
        assert session.budget.used_today == 1


async def test_closing_the_client_ends_queued_calls_at_once(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    budget = Budget(1, clock=manual_clock)
    async with serving(fine) as server:
        options = {"clock": manual_clock, "budget": budget}
        session = await open_session(server, **options, max_in_flight=2)
        other = await open_session(server, **options)
        await budget.acquire(Lane.BULK)
        budget.pause(500)
        tasks = [asyncio.create_task(session.send(read(deadline=10))) for _ in range(5)]
        theirs = asyncio.create_task(other.send(read(deadline=10)))
        await settle()
        await session.aclose()
        await settle()
        for task in tasks:
            assert task.done()
            with pytest.raises(errors.ClientClosed, match="not sent"):
                await task
        assert not theirs.done()
        await manual_clock.advance(501)
        assert (await theirs).read(str) == "fine"
        assert server.connections == 1


async def test_closing_the_client_ends_the_wait_before_a_retry_at_once(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    async with serving(answer("503 Busy", b"", "Retry-After: 60")) as server:
        session = await open_session(server, clock=manual_clock)
        task = asyncio.create_task(session.send(read()))
        await until(lambda: manual_clock.slept)
        await session.aclose()
        async with asyncio.timeout(5):
            with pytest.raises(errors.ClientClosed, match="not sent"):
                await task
        assert server.connections == 1


async def test_closing_the_client_ends_the_wait_for_a_place_and_not_the_call_that_was_sent(
    open_session: Callable[..., Any],
) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def slow(wire: Wire, _: Request) -> None:
        asked.set()
        await gate.wait()
        await wire.answer(body=b'"fine"')

    async with serving(slow) as server:
        session = await open_session(server, max_in_flight=1)
        sent = asyncio.create_task(session.send(read()))
        await asked.wait()
        waiting = [asyncio.create_task(session.send(read())) for _ in range(3)]
        await settle()
        await session.aclose()
        async with asyncio.timeout(5):
            for task in waiting:
                with pytest.raises(errors.ClientClosed, match="not sent"):
                    await task
        gate.set()
        assert (await sent).read(str) == "fine"


async def test_closing_the_client_ends_the_wait_for_a_fresh_token(
    open_session: Callable[..., Any],
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def refresh() -> str:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()
        return "never"

    async with serving(answer("401 Unauthorized")) as server:
        session = await open_session(server, refresh_token=refresh)
        tasks = [asyncio.create_task(session.send(read())) for _ in range(3)]
        await began.wait()
        await session.aclose()
        async with asyncio.timeout(5):
            for task in tasks:
                with pytest.raises(errors.ClientClosed, match="not sent"):
                    await task
        assert ended.is_set()


async def test_closing_the_client_ends_the_wait_for_a_lock(
    open_session: Callable[..., Any],
) -> None:
    session, lock = await open_session(), asyncio.Lock()

    async def work() -> None:
        async with session.holding(lock, "the thing"):
            pass

    async with lock:
        task = asyncio.create_task(work())
        await settle()
        await session.aclose()
        async with asyncio.timeout(5):
            with pytest.raises(errors.ClientClosed, match="the thing"):
                await task


@pytest.mark.parametrize("effect", [Effect.SAFE, Effect.ADDITIVE])
async def test_a_quota_wait_before_a_retry_counts(
    open_session: Callable[..., Any], manual_clock: ManualClock, effect: Effect
) -> None:
    budget = Budget(4, clock=manual_clock)
    asked = asyncio.Event()

    async def refuse(wire: Wire, _: Request) -> None:
        budget.pause(500)
        await wire.answer("403 Forbidden", QPS)
        asked.set()

    async with serving(refuse) as server:
        session = await open_session(server, clock=manual_clock, budget=budget)
        call = Call("POST", "/x", effect, "the thing", body=PiecesBody(b"1"), deadline=10)
        task = asyncio.create_task(session.send(call))
        await asked.wait()
        await until(lambda: budget._queue)  # the answer is on its way over the socket
        await manual_clock.advance(11)
        with pytest.raises(
            errors.DeadlineExceeded, match="no time left to send it again"
        ) as caught:
            await task
        assert caught.value.sent == "nothing"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<p>down</p>"),
        ("application/json", b"{"),
        ("application/json", b"[" * 300_000),
        ("application/json\r\nContent-Encoding: gzip", b"not gzip"),
        ("application/json\r\nContent-Encoding: br", b"what?"),
    ],
)
async def test_an_unreadable_response_before_the_time_is_up_names_the_call_once(
    open_session: Callable[..., Any], manual_clock: ManualClock, kind: str, body: bytes
) -> None:
    budget = Budget(4, clock=manual_clock)

    async def garble(wire: Wire, _: Request) -> None:
        budget.pause(500)
        await wire.answer("200 OK", body, f"Content-Type: {kind}", json=False)

    async with serving(garble) as server:
        session = await open_session(server, clock=manual_clock, budget=budget)
        call = Call("GET", "/x", Effect.SAFE, "the thing", deadline=10)
        task = asyncio.create_task(session.read(call, lambda response: response.read(str)))
        await until(lambda: manual_clock.slept)
        await manual_clock.advance(5)
        await until(lambda: budget._queue)
        await manual_clock.advance(6)
        with pytest.raises(errors.DeadlineExceeded, match="no time left to send") as caught:
            await task
    assert caught.value.message.count("the thing") == 1


@pytest.mark.parametrize(
    ("hint", "waited"), [("0", 0.0), ("7", 7.0), ("1.5", 1.5), ("120", 120.0), ("soon", 0.0)]
)
@pytest.mark.parametrize("status", ["503 Busy", "500 Oops"])
async def test_the_retry_after_time_is_waited_for(
    open_session: Callable[..., Any], clock: SkippingClock, hint: str, waited: float, status: str
) -> None:
    async with serving(answer(status, b"", f"Retry-After: {hint}"), fine) as server:
        session = await open_session(server)
        assert (await session.send(read(deadline=None))).read(str) == "fine"
    assert waited <= clock.slept[-1] <= max(waited, 1.0)


@pytest.mark.parametrize(("ahead", "waited"), [(-3600, 0.0), (0, 7.0), (3600, 7.0)])
async def test_a_retry_after_date_is_compared_with_the_clock_of_the_service(
    open_session: Callable[..., Any], clock: SkippingClock, ahead: float, waited: float
) -> None:
    theirs = clock.time() + ahead
    when, now = formatdate(theirs + 7, usegmt=True), formatdate(theirs, usegmt=True)
    busy = answer("503 Busy", b"", f"Retry-After: {when}", f"Date: {now}")
    async with serving(busy, fine) as server:
        session = await open_session(server)
        assert (await session.send(read(deadline=None))).read(str) == "fine"
    assert waited - 1.0 <= clock.slept[-1] <= max(waited, 1.0)


@pytest.mark.parametrize("hint", ["121", "1e9", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("status", ["503 Busy", "403 Forbidden", "429 Slow down"])
async def test_a_retry_after_beyond_two_minutes_raises_at_once(
    open_session: Callable[..., Any], clock: SkippingClock, hint: str, status: str
) -> None:
    if hint == "1e9":
        hint = "1000000000"
    async with serving(answer(status, QPS, f"Retry-After: {hint}")) as server:
        session = await open_session(server)
        with pytest.raises(errors.APIError) as caught:
            await session.send(read(deadline=None))
        assert server.connections == 1
    assert clock.slept == []
    if isinstance(caught.value, errors.QuotaExceeded):
        assert caught.value.retry_after
        assert caught.value.retry_after > 120


async def test_a_retry_after_beyond_the_deadline_raises_at_once(
    open_session: Callable[..., Any], clock: SkippingClock
) -> None:
    async with serving(answer("503 Busy", b"", "Retry-After: 100")) as server:
        session = await open_session(server)
        with pytest.raises(errors.ServerError, match="returned 503"):
            await session.send(read(deadline=90))
    assert clock.slept == []


async def test_a_per_second_refusal_pauses_every_call_of_the_client(
    open_session: Callable[..., Any], manual_clock: ManualClock
) -> None:
    refused = asyncio.Event()
    served: list[float] = []

    async def refuse(wire: Wire, _: Request) -> None:
        await wire.answer("403 Forbidden", QPS, "Retry-After: 3")
        refused.set()

    async def serve(wire: Wire, _: Request) -> None:
        served.append(manual_clock.now)
        await wire.answer(body=b'"fine"')

    async with serving(refuse, serve) as server:
        session = await open_session(server, clock=manual_clock)
        first = asyncio.create_task(session.send(read()))
        await refused.wait()
        await until(lambda: session.budget._paused_until)
        second = asyncio.create_task(session.send(read(lane=Lane.BULK)))
        await manual_clock.advance(2.9)
        assert served == []
        await manual_clock.advance(0.2)
        await asyncio.gather(first, second)
        assert served == [1003.0, 1003.0]


async def test_a_daily_refusal_stops_all_calls(
    open_session: Callable[..., Any], sandbox: Sandbox
) -> None:
    sandbox.admin.fault("over_ratelimit")
    session = await open_session(sandbox)
    with pytest.raises(errors.DailyQuotaExceeded) as caught:
        await session.send(read())
    assert caught.value.status == 403
    assert caught.value.error_key == "mashery.not.authorized.over.ratelimit"
    assert caught.value.resets_at == session.budget.resets_at
    with pytest.raises(errors.DailyQuotaExceeded) as caught:
        await session.send(read())
    assert caught.value.status is None
    assert len(sandbox.admin.requests()) == 1


async def test_quota_exceeded_stops_all_calls_of_the_day(
    open_session: Callable[..., Any], sandbox: Sandbox
) -> None:
    sandbox.admin.fault("quota_exceeded")
    session = await open_session(sandbox)
    with pytest.raises(errors.DailyQuotaExceeded) as caught:
        await session.send(read())
    assert (caught.value.status, caught.value.error_key) == (429, "quota_exceeded")
    with pytest.raises(errors.DailyQuotaExceeded):
        await session.send(read())
    assert len(sandbox.admin.requests()) == 1


@pytest.mark.parametrize("kind", ["throttled", "too_many_requests"])
async def test_any_other_429_is_retried_after_a_wait(
    connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock, kind: Any
) -> None:
    sandbox.admin.fault(kind, times=2)
    cc = await connect(sandbox)
    await cc.library.info()
    assert len(sandbox.admin.requests()) == 3


@pytest.mark.parametrize("headers", [True, False])
async def test_calls_wait_to_stay_within_the_quota_of_the_sandbox(
    connect: Callable[..., Any], sandbox: Sandbox, headers: bool, clock: SkippingClock
) -> None:
    sandbox.admin.configure(quota_headers=headers)
    sandbox.admin.fault("over_qps", times=3)
    cc = await connect(sandbox)
    assert await cc.library.files().collect() == []
    assert len(sandbox.admin.requests()) == 4


async def test_an_outage_does_not_multiply_traffic(open_session: Callable[..., Any]) -> None:
    requests = 0

    async def fail(wire: Wire, _: Request) -> None:
        nonlocal requests
        requests += 1
        await wire.answer("500 Oops", b"")

    async with serving(fail) as server:
        session = await open_session(server)
        for _ in range(200):
            with pytest.raises(errors.ServerError):
                await session.send(read())
    assert requests == 200 + 100


async def test_the_number_of_calls_in_flight_per_lane_is_limited(
    open_session: Callable[..., Any],
) -> None:
    gate, inside, most = asyncio.Event(), 0, 0

    async def slow(wire: Wire, _: Request) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await gate.wait()
        inside -= 1
        await wire.answer(body=b'"fine"')

    async with serving(slow) as server:
        session = await open_session(server, max_in_flight=3)
        tasks = [asyncio.create_task(session.send(read(lane=Lane.BULK))) for _ in range(10)]
        await until(lambda: inside >= 3)
        poll = asyncio.create_task(session.send(read(lane=Lane.POLL)))
        await until(lambda: inside >= 4)  # a full lane does not keep the others waiting
        gate.set()
        await asyncio.gather(poll, *tasks)
    assert most == 4


async def test_after_the_client_is_closed_nothing_is_sent(
    connect: Callable[..., Any], sandbox: Sandbox, manual_clock: ManualClock
) -> None:
    cc = await connect(sandbox, clock=manual_clock)
    library, session = cc.library, cc._open_parts.session
    sandbox.admin.fault("unavailable", headers={"retry-after": "5"})
    retrying = asyncio.create_task(library.info())
    await until(lambda: manual_clock.slept)
    await cc.aclose()
    await manual_clock.advance(6)
    with pytest.raises(errors.ClientClosed):
        await retrying
    with pytest.raises(errors.ClientClosed, match="It was not sent"):
        await library.info()
    with pytest.raises(errors.ClientClosed):
        await session.send(read())
    assert len(sandbox.admin.requests()) == 1
