"""Waits that end because the client is closed or the daily quota is used up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async import errors
from ccv2_async.client import ConstantContact
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.polling.queue import Until
from ccv2_async.polling.sweep import JobSet
from ccv2_async.sandbox import Sandbox
from ccv2_async.uploads.status import UPLOAD
from tests.polling.scripted import Service
from tests.support.clocks import settle
from tests.support.probes import nothing_left, until

if TYPE_CHECKING:
    from tests.support.clocks import ManualClock

HOUR = 3600.0


@pytest.fixture
def service(manual_clock: ManualClock) -> Service:
    return Service(manual_clock)


def over(clock: ManualClock, seconds: float) -> errors.DailyQuotaExceeded:
    resets = datetime.fromtimestamp(clock.time() + seconds, UTC)
    return errors.DailyQuotaExceeded("the day is over", status=403, resets_at=resets)


async def test_a_waiter_is_notified_at_once_when_the_client_is_closed(
    service: Service, manual_clock: ManualClock
) -> None:
    pollers = [service.start("activity", str(number)) for number in range(3)]
    watched = JobSet(service.sweep, Until.END)
    for poller in pollers:
        watched.add(poller._job)
    tasks: list[asyncio.Task[Any]] = [
        *(asyncio.create_task(poller.wait()) for poller in pollers),
        asyncio.create_task(pollers[0].poll_once()),
        asyncio.create_task(service.sweep.wait(watched)),
    ]
    await settle()
    began = manual_clock.now

    service.sweep.close()
    service.answer()
    await settle()

    assert all(task.done() for task in tasks)
    for task in tasks:
        with pytest.raises(
            errors.ClientClosed, match=r"client was closed .* The job continues on the server"
        ):
            await task
    assert manual_clock.now == began
    watched.close()


async def test_waiting_after_close_raises_without_a_request(
    service: Service,
) -> None:
    poller = service.start("upload", "1")
    service.sweep.close()
    with pytest.raises(errors.ClientClosed):
        await poller
    assert service.requests == []


async def test_a_wait_after_close_does_not_disturb_the_waits_that_close_ended(
    service: Service,
) -> None:
    poller = service.start("upload", "1")
    tasks = [asyncio.create_task(poller.wait()) for _ in range(2)]
    await settle()
    service.sweep.close()
    for wait in (poller.wait(), *tasks):
        with pytest.raises(errors.ClientClosed):
            await wait


async def test_an_existing_result_outlives_the_client(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = True
    poller = service.start("upload", "1")
    service.statuses["1"] = "Active"
    result = await manual_clock.run(poller.wait())
    service.sweep.close()
    assert await poller == result


async def test_closing_a_client_ends_the_waits_for_its_jobs(
    manual_clock: ManualClock,
) -> None:
    with Sandbox(mode="looks", looks=9) as sandbox:
        async with nothing_left():
            cc = ConstantContact(**sandbox.client_options(), clock=manual_clock)
            await cc.open()
            poller = await cc.library.begin_upload(b"%PDF", name="a.pdf")
            tasks = [asyncio.create_task(poller.wait()), asyncio.create_task(cc.wait_all([poller]))]
            await settle()
            await cc.aclose()
            for task in tasks:
                with pytest.raises(errors.ClientClosed):
                    await task


@pytest.mark.parametrize("at", ["status", "retry", "result"])
async def test_closing_a_client_ends_the_waits_during_a_request(
    manual_clock: ManualClock, at: str
) -> None:
    asked = asyncio.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        if at == "result" and "uploadstatus" in request.url.path:
            return httpx.Response(200, json=[{"file_id": "7", "status": "Active"}])
        if at != "retry":
            asked.set()
            await asyncio.Event().wait()
        return httpx.Response(503, headers={"Retry-After": "60"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http, nothing_left():
        cc = ConstantContact(
            api_key="key", access_token="token", http_client=http, clock=manual_clock
        )
        await cc.open()
        parts = cc._open_parts
        poller = UploadPoller(parts.session, parts.sweep, parts.sweep.start(UPLOAD, "7"))
        tasks = [asyncio.create_task(poller.wait()) for _ in range(3)]
        await manual_clock.advance(1.0)
        await until(lambda: asked.is_set() or 60.0 in manual_clock.slept)
        await cc.aclose()
        await settle()
        assert all(task.done() for task in tasks)
        for task in tasks:
            with pytest.raises(errors.ClientClosed, match="the client was closed"):
                await task


async def test_a_waiter_without_time_for_the_next_day_gets_the_quota_error(
    service: Service, manual_clock: ManualClock
) -> None:
    poller = service.start("activity", "1")
    short = asyncio.create_task(poller.wait(timeout=60))
    long = asyncio.create_task(poller.wait())
    await manual_clock.advance(1.1)
    service.fail(over(manual_clock, HOUR))
    await settle()

    assert short.done()
    with pytest.raises(errors.DailyQuotaExceeded):
        await short
    assert not long.done()
    service.by_itself = True
    service.statuses["1"] = "COMPLETE"
    await manual_clock.advance(HOUR + 1)
    assert await long == "result of 1"


async def test_an_upload_waits_for_the_next_day_if_its_timeout_allows(
    service: Service, manual_clock: ManualClock
) -> None:
    poller = service.start("upload", "1")
    usual = asyncio.create_task(poller.wait())
    patient = asyncio.create_task(poller.wait(timeout=2 * HOUR))
    await manual_clock.advance(1.1)
    service.fail(over(manual_clock, HOUR))
    await settle()

    assert usual.done()
    with pytest.raises(errors.DailyQuotaExceeded):
        await usual
    assert not patient.done()
    service.by_itself = True
    service.statuses["1"] = "Active"
    await manual_clock.advance(HOUR + 1)
    assert await patient == "result of 1"


async def test_a_late_waiter_gets_the_quota_error_while_others_wait_for_the_next_day(
    service: Service, manual_clock: ManualClock
) -> None:
    poller = service.start("activity", "1")
    long = asyncio.create_task(poller.wait())
    await manual_clock.advance(1.1)
    service.fail(over(manual_clock, HOUR))
    await settle()
    short = asyncio.create_task(poller.wait(timeout=60))
    await settle()
    service.fail(over(manual_clock, HOUR))
    await settle()

    assert short.done()
    with pytest.raises(errors.DailyQuotaExceeded):
        await short
    assert not long.done()
    long.cancel()
    await settle()


@pytest.mark.parametrize("wrong", ["3", float("nan"), True, b"", [], 2**80])
async def test_an_invalid_timeout_is_refused(service: Service, wrong: Any) -> None:
    poller = service.start("upload", "1")
    with pytest.raises(errors.InvalidField) as caught:
        await poller.wait(timeout=wrong)
    assert caught.value.field == "timeout"
    assert service.requests == []


async def test_the_status_in_a_token_is_dropped_once_the_service_does_not_know_the_job(
    service: Service, manual_clock: ManualClock
) -> None:
    service.by_itself = True
    now = manual_clock.time()
    job = service.sweep.resume(
        service.kinds["upload"], "1", submitted=now, not_before=now, status="Uploaded"
    )
    poller = service.poller(job)
    assert poller.status == "Uploaded"
    assert await poller.poll_once() is None
    service.statuses["1"] = "Uploaded"
    update = await poller.poll_once()
    assert update is not None
    assert update.status == "Uploaded"
