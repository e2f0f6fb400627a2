"""Results that contradict the status that was read before them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.activities.split import SplitActivity
from ccv2_async.observe import JobEnded
from ccv2_async.polling.job import Row, State
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


@attrs.define
class Ahead:
    """A service whose lists say that each job has succeeded.

    Attributes:
        told: What a job's own resource says, one document for each request; the last one stays.
        started: The number of jobs.
        asked: The requests for resources.
    """

    told: list[dict[str, Any]]
    started: int = 0
    asked: int = 0

    async def __call__(self, wire: Wire, request: Request) -> None:
        path = request.target.partition("?")[0]
        name = path.rpartition("/")[2]
        if request.method == "POST":
            self.started += 1
            parent = path.rpartition("/")[0] if "activities" in path else path
            await wire.answer("201 Created", b"", f"Location: {parent}/{6 + self.started}")
        elif "uploadstatus" in path:
            rows = [{"file_id": str(6 + n), "status": "Active"} for n in range(1, self.started + 1)]
            await wire.answer(body=json.dumps(rows).encode())
        elif name == "activities":
            rows = [{"id": id_, "status": "COMPLETE"} for id_ in ("7", "8")]
            await wire.answer(body=json.dumps(rows).encode())
        else:
            self.asked += 1
            told = self.told.pop(0) if len(self.told) > 1 else self.told[0]
            await wire.answer(body=json.dumps({"id": name, "name": "a.png"} | told).encode())


async def test_a_file_whose_record_is_behind_is_fetched_until_it_is_active(
    connect: Callable[..., Any],
) -> None:
    service = Ahead([{"status": "Processing"}] * 3 + [{"status": "Active", "url": "http://a/b"}])
    async with serving(service) as server:
        client = await connect(server)
        poller = await client.library.begin_upload(PICTURE, name="a.png")
        file = await poller
    assert (file.status, file.url) == ("Active", "http://a/b")
    assert service.asked == 4


@pytest.mark.parametrize("seconds", [300, 1000])
async def test_a_record_that_stays_behind_ends_the_wait_in_time(
    connect: Callable[..., Any], manual_clock: ManualClock, seconds: int
) -> None:
    service = Ahead([{"status": "Processing"}])
    async with serving(service) as server:
        client = await connect(server, clock=manual_clock)
        poller = await client.library.begin_upload(PICTURE, name="a.png")
        before = manual_clock.now
        waiting = asyncio.create_task(poller.wait(timeout=seconds))
        while not waiting.done():
            await manual_clock.advance(1.0)
            await asyncio.sleep(0.002)
        with pytest.raises(errors.PollTimeout):
            await waiting
        assert manual_clock.now - before == pytest.approx(seconds, abs=2)
        assert 20 < service.asked < seconds / 5
        service.told = [{"status": "Active"}]
        assert (await poller).status == "Active"


async def test_records_that_stay_behind_share_the_time_to_look_again(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    service = Ahead([{"status": "Processing"}])
    async with serving(service) as server:
        client = await connect(server, clock=manual_clock)
        pollers = [
            await client.library.begin_upload(PICTURE + bytes([n]), name=f"{n}.png")
            for n in range(4)
        ]
        before = manual_clock.now
        waiting = asyncio.create_task(client.wait_all(pollers, return_errors=True))
        while not waiting.done():
            if manual_clock.now > before + 890 and len(service.told) == 1:
                service.told = [{"status": "Processing"}] * 4 + [{"status": "Active"}]
            await manual_clock.advance(1.0)
            await asyncio.sleep(0.002)
        results = await waiting
    assert manual_clock.now - before == pytest.approx(920, abs=25)
    assert isinstance(results[0], errors.PollTimeout)
    assert results[-1].status == "Active"  # each one had a look


async def test_a_file_whose_record_says_that_it_failed_has_failed(
    connect: Callable[..., Any],
) -> None:
    seen: list[Any] = []
    async with serving(Ahead([{"status": "VirusFound"}])) as server:
        client = await connect(server, on_event=seen.append)
        poller = await client.library.begin_upload(PICTURE, name="a.png")
        for _ in range(2):
            with pytest.raises(errors.VirusFound):
                await poller
    assert (poller.status, poller.state) == ("VirusFound", State.FAILED)
    assert [e.state for e in seen if isinstance(e, JobEnded)] == ["succeeded", "failed"]


@pytest.mark.parametrize("kind", ["upload", "activity"])
async def test_the_resource_of_another_job_is_not_a_result(
    connect: Callable[..., Any], kind: str
) -> None:
    service = Ahead([{"id": "999", "status": "Active" if kind == "upload" else "COMPLETE"}])
    async with serving(service) as server:
        client = await connect(server)
        if kind == "upload":
            poller = await client.library.begin_upload(PICTURE, name="a.png")
        else:
            poller = client.resume_activity("7")
            poller._job.learn(Row("COMPLETE"), 0.0)
        with pytest.raises(errors.DecodeError, match="another one, with the ID '999'") as caught:
            await poller
        assert caught.value.safe_to_retry
        service.told = [{"status": "Active" if kind == "upload" else "COMPLETE"}]
        assert (await poller).id == "7"


async def test_an_activity_that_answers_for_another_one_is_unreadable(
    connect: Callable[..., Any],
) -> None:
    async with serving(Ahead([{"id": "999", "status": "COMPLETE"}])) as server:
        client = await connect(server)
        with pytest.raises(errors.StatusUnreadable, match="activity 999"):
            await client.resume_activity("7")


@pytest.mark.parametrize("status", ["RUNNING", "PENDING", "UNCONFIRMED"])
async def test_an_activity_that_is_still_running_has_no_result_yet(
    connect: Callable[..., Any], status: str
) -> None:
    service = Ahead([{"status": status}] * 4 + [{"status": "COMPLETE", "contact_count": 5}])
    async with serving(service) as server:
        client = await connect(server)
        pollers = [client.resume_activity(id_) for id_ in ("7", "8")]
        activities = await client.wait_all(pollers)
    assert [activity.status for activity in activities] == ["COMPLETE"] * 2
    assert [activity.contact_count for activity in activities] == [5, 5]


async def test_an_activity_that_says_that_it_failed_has_failed(connect: Callable[..., Any]) -> None:
    async with serving(Ahead([{"status": "ERROR", "errors": ["Line 2: no address"]}])) as server:
        client = await connect(server)
        pollers = [client.resume_activity(id_) for id_ in ("7", "8")]
        failed = await client.wait_all(pollers, return_errors=True)
    for error in failed:
        assert isinstance(error, errors.ActivityFailed)
        assert "no address" in error.message
        assert error.activity is not None


@pytest.mark.parametrize("first", ["ERROR", "RUNNING"])
async def test_the_parts_of_a_split_import_have_the_status_that_they_say_themselves(
    connect: Callable[..., Any], first: str
) -> None:
    last = {"status": "ERROR", "errors": ["Line 1: no address"]}
    service = Ahead([{"status": first, "errors": last["errors"]}, last])
    async with serving(service) as server:
        client = await connect(server)
        poller = await client.activities.begin_add_contacts(
            ["a@b.co", "b@b.co"], lists=["1"], max_rows=1
        )
        with pytest.raises(errors.ActivityFailed, match="2 of 2 did not succeed") as caught:
            await poller
    assert isinstance(caught.value.activity, SplitActivity)
    assert [part.status for part in caught.value.activity.parts] == ["ERROR", "ERROR"]
