"""Callers with little time neither cause an outage nor keep it from ending."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from ccv2_async import ConstantContact, errors
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane
from tests.support.clocks import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.clocks import ManualClock

READ = Call("GET", "/account/info", Effect.SAFE, "reading")
WRITE = Call("POST", "/library/folders", Effect.ADDITIVE, "adding", lane=Lane.BULK)


class Service:
    """A service whose time is the clock's.

    Attributes:
        answers_after: Seconds until it responds to a call.
        status: The status of its responses.
        bad_paths: Calls whose paths end like this get 500.
        fails_after: Seconds until it responds to these; None for `answers_after`.
        silent_paths: Calls whose paths end like this get no response.
        headers: The headers of its responses.
        calls: How many calls have come.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.answers_after = 1.0
        self.status = 200
        self.bad_paths: tuple[str, ...] = ()
        self.fails_after: float | None = None
        self.silent_paths: tuple[str, ...] = ()
        self.headers: dict[str, str] = {}
        self.calls = 0

    async def respond(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        silent = request.url.path.endswith(self.silent_paths)
        bad = request.url.path.endswith(self.bad_paths)
        after = self.fails_after if bad and self.fails_after is not None else self.answers_after
        await self._clock.sleep(1e6 if silent else after)
        status = 500 if bad else self.status
        return httpx.Response(status, headers=self.headers, json={})


@pytest.fixture
def service(manual_clock: ManualClock) -> Service:
    return Service(manual_clock)


@pytest.fixture
async def client(service: Service, manual_clock: ManualClock) -> AsyncIterator[ConstantContact]:
    http = httpx.AsyncClient(transport=httpx.MockTransport(service.respond))
    async with (
        http,
        ConstantContact(
            api_key="key",
            access_token="token",
            clock=manual_clock,
            per_second=None,
            http_client=http,
        ) as client,
    ):
        yield client


async def begin_outage(client: ConstantContact, service: Service, clock: ManualClock) -> None:
    """Let writes fail until the client holds bulk calls back."""
    service.status, service.answers_after = 500, 0.0
    for _ in range(2):
        with pytest.raises(errors.ConstantContactError):
            await client._open_parts.session.send(WRITE)
    assert client._open_parts.session.outage.is_ongoing


async def in_turn(client: ConstantContact, limit: float) -> None:
    """Make a bulk call after the outage, within `limit` seconds."""
    session = client._open_parts.session
    with client.deadline(limit):
        async with session.outage.turn(session.limit, session.clock.monotonic(), 900.0):
            await session.send(WRITE)


async def test_callers_with_little_time_notice_the_end_of_an_outage(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    service.status, service.answers_after = 200, 1.0

    callers = []
    for _ in range(300):
        callers.append(asyncio.create_task(in_turn(client, 3.0)))
        await manual_clock.advance(0.1)
    await manual_clock.advance(5.0)
    ended = await asyncio.gather(*callers, return_exceptions=True)

    assert client._open_parts.session.outage.seconds is None
    assert ended[60:] == [None] * 240


@pytest.mark.parametrize("waited", [0.0, 5.0], ids=["before the probe", "during the probe"])
async def test_closing_the_client_ends_the_waits_for_the_end_of_an_outage(
    client: ConstantContact, service: Service, manual_clock: ManualClock, waited: float
) -> None:
    await begin_outage(client, service, manual_clock)
    service.answers_after = 1e6
    outage, now = client._open_parts.session.outage, manual_clock.monotonic()

    async def wait() -> None:
        async with outage.turn(None, now, 900.0):
            pytest.fail("the service is down")

    callers = [asyncio.create_task(wait()) for _ in range(3)]
    await manual_clock.advance(waited)
    await client.aclose()
    await settle()

    assert all(caller.done() for caller in callers)
    for late in (*callers, wait()):
        with pytest.raises(errors.ClientClosed, match="the client was closed"):
            await late


async def test_calls_with_short_deadlines_are_no_sign_of_an_outage(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session = client._open_parts.session
    for call in (READ, WRITE) * 5:
        with client.deadline(0.5):
            sent = asyncio.create_task(session.send(call))
            await manual_clock.advance(1.0)
        with pytest.raises((errors.DeadlineExceeded, errors.OutcomeUnknown)):
            await sent

    assert not session.outage.is_ongoing


async def test_calls_without_a_response_for_ten_seconds_are_signs_of_an_outage(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, service.answers_after = client._open_parts.session, 1e6
    for _ in range(3):
        with client.deadline(10.0):
            sent = asyncio.create_task(session.send(READ))
            await manual_clock.advance(10.0)
        with pytest.raises(errors.DeadlineExceeded):
            await sent

    assert session.outage.is_ongoing


@pytest.mark.parametrize("call", [READ, WRITE], ids=["read", "write"])
async def test_one_call_shows_an_outage_if_the_service_asks_for_a_long_wait(
    client: ConstantContact, service: Service, call: Call
) -> None:
    session, service.status, service.answers_after = client._open_parts.session, 503, 0.0
    service.headers = {"Retry-After": "300"}
    with pytest.raises(errors.ConstantContactError):
        await session.send(call)

    assert session.outage.is_ongoing
    assert service.calls == 1


@pytest.mark.parametrize("wait", ["", "59", "90"], ids=["silent", "busy", "busy for long"])
@pytest.mark.parametrize("limit", [None, 221.0, 219.0])
async def test_a_read_that_had_all_its_time_shows_an_outage(
    client: ConstantContact,
    service: Service,
    manual_clock: ManualClock,
    wait: str,
    limit: float | None,
) -> None:
    session, service.status = client._open_parts.session, 503
    service.answers_after, service.headers = 1.0 if wait else 1e6, {"Retry-After": wait}
    with client.deadline(limit):
        await manual_clock.advance(100.0)
        with pytest.raises(errors.ConstantContactError):
            await manual_clock.run(session.send(READ))

    assert session.outage.is_ongoing is (limit != 219.0)
    assert service.calls < 3


async def test_probes_that_outlast_the_limit_of_a_call_grow_rarer(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    service.answers_after = 1e6
    session = client.with_options(deadline=5.0)._open_parts.session
    calls = service.calls

    async def wait() -> None:
        async with session.outage.turn(session.limit, manual_clock.monotonic(), 600.0):
            pass

    waiting = asyncio.create_task(wait())
    await manual_clock.advance(605.0)

    with pytest.raises(errors.ServiceUnavailable, match="not been available for 10 min"):
        await waiting
    assert service.calls - calls < 15


def reading(client: ConstantContact, record: str) -> Any:
    """A function that reads a record in the bulk lane."""
    call = Call("GET", f"/contacts/{record}", Effect.SAFE, f"contact {record}", lane=Lane.BULK)
    return lambda: client._open_parts.session.send(call)


async def test_work_that_only_reads_continues_after_an_outage(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, began = client._open_parts.session, manual_clock.now
    service.answers_after, service.bad_paths = 0.0, ("/contacts/1", "/library/info")
    works = [
        asyncio.create_task(session.outlast(reading(client, "1"), since=began, patience=900.0))
        for _ in range(4)
    ]
    await manual_clock.advance(20.0)
    assert session.outage.is_ongoing
    service.bad_paths = ()
    await manual_clock.advance(20.0)
    await asyncio.gather(*works)

    assert session.outage.seconds is None
    await manual_clock.advance(1000.0)
    await session.outlast(reading(client, "2"), since=began, patience=900.0)


async def test_work_that_only_reads_continues_although_uploads_failed(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    session, began, service.status = client._open_parts.session, manual_clock.now, 200
    for _ in range(100):
        work = session.outlast(reading(client, "1"), since=began, patience=900.0)
        await manual_clock.run(work)
        await manual_clock.advance(20.0)

    assert session.outage.seconds is not None


async def test_work_that_fails_although_probes_are_answered_fails_alone(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, began = client._open_parts.session, manual_clock.now
    service.answers_after, service.bad_paths = 0.1, ("/1",)
    with pytest.raises(errors.ServerError, match="contact 1"):
        await manual_clock.run(session.outlast(reading(client, "1"), since=began, patience=900.0))

    assert manual_clock.now - began < 400.0
    await manual_clock.run(session.outlast(reading(client, "2"), since=began, patience=900.0))


async def test_work_without_a_response_although_probes_are_answered_fails_alone(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, began = client._open_parts.session, manual_clock.now
    service.answers_after, service.silent_paths = 0.1, ("/1",)
    with pytest.raises(errors.DeadlineExceeded, match="contact 1"):
        await manual_clock.run(session.outlast(reading(client, "1"), since=began, patience=900.0))

    assert manual_clock.now - began < 600.0
    await manual_clock.run(session.outlast(reading(client, "2"), since=began, patience=900.0))


async def test_work_outlasts_minutes_of_slow_failures_although_probes_are_answered(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, began = client._open_parts.session, manual_clock.now
    service.answers_after, service.bad_paths = 12.0, ("/1",)
    work = session.outlast(reading(client, "1"), since=began, patience=900.0)
    task = asyncio.create_task(work)
    await manual_clock.advance(200.0)
    assert not task.done()
    service.bad_paths = ()
    await manual_clock.run(task)


async def test_work_that_an_outage_interrupts_after_minutes_is_repeated(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, times = client._open_parts.session, 0

    async def download() -> None:
        nonlocal times
        times += 1
        await manual_clock.sleep(400.0)
        if times == 1:
            await begin_outage(client, service, manual_clock)
            service.status = 200
            raise errors.ConnectionLost("the connection broke", sent="wholly")

    await manual_clock.run(session.outlast(download, since=manual_clock.now, patience=900.0))
    assert times == 2


async def test_a_record_that_cannot_be_read_does_not_hold_the_next_call_back(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    service.answers_after, service.bad_paths = 0.0, ("/1",)
    with pytest.raises(errors.ServerError, match="contact 1"):
        await manual_clock.run(reading(client, "1")())
    await reading(client, "2")()
    await client._open_parts.session.send(WRITE)


async def test_reads_are_held_back_once_several_calls_have_failed(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    service.answers_after, service.status = 0.0, 500
    ended = []
    for number in range(100):
        with pytest.raises((errors.ServerError, errors.ServiceUnavailable)) as caught:
            await manual_clock.run(reading(client, str(number))())
        ended.append(type(caught.value))

    assert ended == [errors.ServerError] * 4 + [errors.ServiceUnavailable] * 96
    assert service.calls == 6
    service.status = 200
    await manual_clock.advance(2.0)
    for number in range(3):
        await reading(client, str(number))()


async def test_a_caller_that_no_longer_waits_holds_no_reads_back(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    session, began = client._open_parts.session, manual_clock.now
    with pytest.raises(errors.ServiceUnavailable, match="not been available"):
        await manual_clock.run(session.outlast(reading(client, "1"), since=began, patience=30.0))
    await manual_clock.advance(60.0)
    service.status, service.bad_paths = 200, ("/1",)
    for number in (2, 1, 3):
        bad = pytest.raises(errors.ServerError) if number == 1 else nullcontext()
        with bad:
            await reading(client, str(number))()


async def test_work_that_was_held_back_is_repeated_even_if_the_outage_is_over_by_then(
    client: ConstantContact, manual_clock: ManualClock
) -> None:
    session, calls = client._open_parts.session, []

    async def work() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise session.outage.refusal("the work")
        return len(calls)

    assert await session.outlast(work, since=manual_clock.now, patience=900.0) == 2


async def test_the_caller_that_has_failed_least_tries_first(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    session, tried = client._open_parts.session, []

    async def attempt(failures: int) -> None:
        async with session.outage.turn(None, manual_clock.now, 900.0, failures):
            tried.append(failures)
            await manual_clock.sleep(10.0)
            await session.send(WRITE)

    callers = [asyncio.create_task(attempt(failures)) for failures in (3, 0, 2)]
    await settle()
    service.status = 200
    await manual_clock.advance(9.0)
    assert tried == [0]

    await manual_clock.advance(30.0)
    await asyncio.gather(*callers)


async def test_a_caller_whose_patience_ends_while_another_tries_may_try_too(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    session, since = client._open_parts.session, manual_clock.now

    async def attempt() -> None:
        async with session.outage.turn(None, since, 30.0):
            await manual_clock.sleep(60.0)
            await session.send(WRITE)

    service.status, callers = 200, []
    for _ in range(3):
        callers.append(asyncio.create_task(attempt()))
        await manual_clock.advance(0.1)
    await manual_clock.advance(200.0)

    await asyncio.gather(*callers)
    assert session.outage.seconds is None


async def test_only_an_outage_of_the_probes_too_is_total(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, began = client._open_parts.session, manual_clock.now
    records = [f"/{n}" for n in range(20)]
    service.answers_after, service.fails_after, service.bad_paths = 0.1, 59.0, tuple(records)
    rest, ended = iter(range(20)), []

    async def worker() -> None:
        for record in rest:
            work = session.outlast(reading(client, str(record)), since=began, patience=900.0)
            with pytest.raises(errors.ServiceUnavailable, match="not been available"):
                await work
            ended.append(session.outage.is_total)

    await manual_clock.run(asyncio.gather(*[worker() for _ in range(8)]))
    assert ended == [False] * 20

    service.status = 500
    work = session.outlast(reading(client, "1"), since=manual_clock.now, patience=900.0)
    with pytest.raises(errors.ServiceUnavailable, match="not been available"):
        await manual_clock.run(work)
    assert session.outage.is_total


async def test_work_that_makes_no_calls_does_not_wait_for_the_end_of_an_outage(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    session, since = client._open_parts.session, manual_clock.now
    await begin_outage(client, service, manual_clock)
    await manual_clock.advance(1000.0)

    async def download_from_another_host() -> int:
        return 7

    assert await session.outlast(download_from_another_host, since=since, patience=900.0) == 7


async def test_patience_does_not_count_from_uploads_that_failed_long_before(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    session, since, service.status = client._open_parts.session, manual_clock.now, 200
    for _ in range(100):
        work = session.outlast(reading(client, "1"), since=since, patience=900.0)
        await manual_clock.run(work)
        await manual_clock.advance(60.0)

    service.status = 500
    task = asyncio.create_task(session.outlast(reading(client, "1"), since=since, patience=900.0))
    await manual_clock.advance(30.0)
    service.status = 200
    await manual_clock.run(task)


async def test_a_caller_that_tries_for_long_hides_neither_probes_nor_deadlines(
    client: ConstantContact, service: Service, manual_clock: ManualClock
) -> None:
    await begin_outage(client, service, manual_clock)
    outage, began = client._open_parts.session.outage, manual_clock.now

    async def work(*sent: Call, lasts: float = 0.0) -> None:
        with client.deadline(50.0):
            async with outage.turn(client._open_parts.session.limit, began, 900.0):
                for call in sent:
                    await client._open_parts.session.send(call)
                await manual_clock.sleep(lasts)

    service.status = 200
    first = asyncio.create_task(work(lasts=1e5))
    await manual_clock.advance(10.0)
    with pytest.raises(errors.DeadlineExceeded, match="not available within 50 s"):
        await manual_clock.run(work(), limit=51.0)
    first.cancel()
    await manual_clock.run(work(WRITE))
    assert outage.seconds is None

    await begin_outage(client, service, manual_clock)
    service.status = 200
    second = asyncio.create_task(work(WRITE, lasts=1e5))
    await manual_clock.advance(10.0)
    await begin_outage(client, service, manual_clock)
    service.status = 200
    await manual_clock.run(work(WRITE), limit=10.0)
    second.cancel()


@pytest.mark.parametrize(("lane", "lasts"), [(Lane.BULK, 90.0), (Lane.INTERACTIVE, 8.0)])
async def test_a_call_waits_while_others_use_the_rate_and_a_bulk_call_for_longer(
    client: ConstantContact, service: Service, manual_clock: ManualClock, lane: Lane, lasts: float
) -> None:
    session, began = client._open_parts.session, manual_clock.now
    service.status, service.answers_after = 429, 0.0
    call = attrs.evolve(WRITE, lane=lane)
    with pytest.raises(errors.QuotaExceeded):
        await manual_clock.run(session.send(call))
    assert manual_clock.now - began == pytest.approx(lasts, abs=1.0)

    sent = asyncio.create_task(session.send(call))
    await manual_clock.advance(lasts - 1.0)
    service.status = 200
    await manual_clock.advance(lasts)

    assert (await sent).status == 200
