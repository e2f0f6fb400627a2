"""Polling bulk activities: one by its id, several through the summary list."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.activities.status import ACTIVITY, first_error
from ccv2_async.models.activities import Activity, ActivityError
from ccv2_async.polling.job import NO_NEWS, Job, Row, State
from ccv2_async.polling.poller import ActivityPoller
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from ccv2_async.client import ConstantContact
    from ccv2_async.transport.calls.call import Call
    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in which a job ends at the third look."""
    with Sandbox(mode="looks", looks=2) as sandbox:
        yield sandbox


Begin: TypeAlias = "Callable[..., Awaitable[ActivityPoller]]"


@pytest.fixture
def begin(tmp_path: Path) -> Begin:
    """Starts an import of two rows, one of them wrong, whose file's name may script it."""

    async def begin(client: ConstantContact, name: str = "new.csv") -> ActivityPoller:
        path = tmp_path / name
        path.write_bytes(b"EMAIL\nann@example.com\nnobody\n")
        return await client.activities.begin_add_contacts(path, lists=["1"])

    return begin


def asked(sandbox: Sandbox) -> list[str]:
    return [entry.path.removeprefix("/v2") for entry in sandbox.admin.requests("GET")]


async def test_one_activity_is_polled_by_its_id(
    client: ConstantContact, sandbox: Sandbox, begin: Begin
) -> None:
    poller = await begin(client)

    activity = await poller

    assert (activity.id, activity.status, activity.error_count) == (poller.id, "COMPLETE", 1)
    assert set(asked(sandbox)) == {f"/activities/{poller.id}"}
    assert poller.kind == "activity"
    assert poller.location.endswith(f"/v2/activities/{poller.id}")


async def test_several_activities_are_polled_through_the_summary(
    client: ConstantContact, sandbox: Sandbox, begin: Begin
) -> None:
    pollers = [await begin(client) for _ in range(5)]

    activities = await asyncio.gather(*pollers)

    assert [activity.id for activity in activities] == [poller.id for poller in pollers]
    assert [activity.error_count for activity in activities] == [1] * 5
    # The summary while they go on, then each once for its result.
    assert asked(sandbox).count("/activities") == 3
    assert len(asked(sandbox)) == 3 + 5


@pytest.mark.parametrize(
    ("name", "status"), [("fail.csv", "ERROR"), ("cancelled.csv", "CANCELLED")]
)
@pytest.mark.parametrize("several", [False, True])
async def test_a_failed_activity_raises_an_error_with_its_details(
    client: ConstantContact, name: str, status: str, several: bool, begin: Begin
) -> None:
    poller = await begin(client, name)
    other = [await begin(client)] if several else []

    error, *_ = await asyncio.gather(poller, *other, return_exceptions=True)

    assert isinstance(error, errors.ActivityFailed)
    assert error.status == status
    assert f"ended with the status {status}" in error.message
    assert isinstance(error.activity, Activity)
    assert client.resume(error.token).id == poller.id


async def test_a_failure_with_a_very_long_row_error_has_a_short_message(
    connect: Callable[..., Any],
) -> None:
    error = {"line_number": 2, "message": "a line\n" * 20_000}
    body = json.dumps({"id": "a1", "status": "ERROR", "errors": [error]}).encode()

    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(body=body)

    async with serving(say) as server:
        cc = await connect(server)
        with pytest.raises(errors.ActivityFailed) as caught:
            await cc.resume_activity("a1")
    assert 300 < len(caught.value.message) < 1000


async def test_a_failure_with_unreadable_details_still_raises(
    client: ConstantContact, sandbox: Sandbox, begin: Begin
) -> None:
    poller, other = await begin(client, "fail.csv"), await begin(client, "slow.csv")
    sandbox.admin.fault("server_error", "GET", f"/activities/{poller.id}", times=None)

    error, _ = await asyncio.gather(poller, other, return_exceptions=True)

    assert isinstance(error, errors.ActivityFailed)
    assert error.activity is None


async def test_an_activity_missing_from_the_last_fifty_is_polled_by_its_id(
    client: ConstantContact, sandbox: Sandbox, begin: Begin
) -> None:
    pollers = [await begin(client) for _ in range(52)]
    watched = [pollers[0], pollers[-1]]

    await asyncio.gather(*watched)

    assert asked(sandbox).count(f"/activities/{pollers[0].id}") >= 3
    assert asked(sandbox).count(f"/activities/{pollers[-1].id}") == 1
    assert asked(sandbox).count("/activities") == 3


async def test_an_activity_that_is_too_old_counts_as_lost(
    client: ConstantContact, sandbox: Sandbox, begin: Begin
) -> None:
    poller, other = await begin(client), await begin(client)
    sandbox.admin.reset()

    results = await asyncio.gather(poller, other, return_exceptions=True)

    assert [type(result) for result in results] == [errors.JobNotFound] * 2


async def test_an_activity_is_waited_for_a_day(
    connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock, begin: Begin
) -> None:
    poller = await begin(await connect(sandbox), "stuck.csv")
    begun = clock.now
    waiter = asyncio.create_task(poller.wait())
    while clock.now - begun < 40_000:
        await clock.advance(500)
        await asyncio.sleep(0.001)
    assert not waiter.done()
    while not waiter.done():
        await clock.advance(500)
        await asyncio.sleep(0.001)

    with pytest.raises(errors.PollTimeout, match="after 86400 s"):
        await waiter


async def test_an_activity_is_resumed_by_its_token_for_fourteen_days(
    connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock, begin: Begin
) -> None:
    token = (await begin(await connect(sandbox))).token()
    other = await connect(sandbox)

    poller = other.resume(token)

    assert isinstance(poller, ActivityPoller)
    assert (await poller).status == "COMPLETE"
    clock.now += ACTIVITY.kept + 1
    with pytest.raises(errors.TokenError, match="expired"):
        other.resume(token)


async def test_every_status_change_is_reported(client: ConstantContact, begin: Begin) -> None:
    poller = await begin(client)

    assert [update.status async for update in poller] == ["PENDING", "RUNNING", "COMPLETE"]


async def test_uploads_and_activities_are_waited_for_together(
    client: ConstantContact, begin: Begin
) -> None:
    activity = await begin(client)
    file = await client.library.begin_upload(b"\x89PNG\r\n\x1a\n", name="a.png")

    ended = [poller.id async for poller in client.as_completed([activity, file])]
    updates = await client.sweep([activity.token(), file.token()])

    assert sorted(ended) == sorted([activity.id, file.id])
    assert [update.status for update in updates.values() if update] == ["COMPLETE", "Active"]


async def test_an_unreadable_activity_does_not_delay_the_others(
    client: ConstantContact, sandbox: Sandbox, begin: Begin
) -> None:
    pollers = [await begin(client) for _ in range(53)]
    unreadable, *readable = pollers[:3]
    sandbox.admin.fault("server_error", "GET", f"/activities/{unreadable.id}", times=None)
    waiter = asyncio.create_task(unreadable.wait())

    activities = await asyncio.gather(*readable)

    assert [activity.status for activity in activities] == ["COMPLETE", "COMPLETE"]
    assert not waiter.done()
    sandbox.admin.clear_faults()
    assert (await waiter).id == unreadable.id


async def test_an_outage_is_detected_with_few_calls(
    client: ConstantContact, sandbox: Sandbox, begin: Begin
) -> None:
    pollers = [await begin(client) for _ in range(70)][:10]
    sandbox.admin.fault("server_error", "GET", "/activities/*", times=None)
    sandbox.admin.fault("answer", "GET", "/activities", status=200, body="[]", times=None)

    with pytest.raises(errors.ServerError):
        await client.sweep(poller.token() for poller in pollers)

    assert len(asked(sandbox)) == 1 + 3 * 3


@attrs.define
class Told:
    """A service that says this about activities: bodies, or a status line."""

    open_session: Callable[..., Any]
    asked: list[str] = attrs.field(factory=list)

    async def rows(self, ids: list[str], told: dict[str, Any]) -> dict[str, Row]:
        async def say(wire: Wire, request: Request) -> None:
            name = request.target.partition("?")[0].rpartition("/")[2]
            self.asked.append(name)
            if isinstance(told[name], str):
                await wire.answer(told[name])
            else:
                await wire.answer(body=json.dumps(told[name]).encode())

        async with serving(say) as server:
            return dict(await ACTIVITY.ask(await self.open_session(server), ids))


@pytest.fixture
def service(open_session: Callable[..., Any]) -> Told:
    return Told(open_session)


PENDING = {"id": "7", "status": "PENDING"}


@pytest.mark.parametrize(
    ("told", "row"),
    [
        (PENDING, Row("PENDING", detail=Activity("7", status="PENDING"))),
        ({"id": "7"}, Row("", unreadable="activity 7 with the status None")),
        ({"id": "x" * 999}, Row("", unreadable=f"activity {'x' * 291}")),
        (
            {"id": "8", "status": "COMPLETE"},
            Row("", unreadable="activity 8 with the status COMPLETE"),
        ),
        ({"id": "7", "status": []}, Row("", unreadable='{"id":"7","status":[]}')),
    ],
)
async def test_the_response_for_one_activity_becomes_its_row(
    service: Told, told: Any, row: Row
) -> None:
    assert await service.rows(["7"], {"7": told}) == {"7": row}


@pytest.mark.parametrize("field", ["errors", "warnings"])
async def test_a_look_keeps_no_long_list_of_row_errors(service: Told, field: str) -> None:
    few: dict[str, Any] = {"id": "7", "status": "RUNNING", field: ["Line 1: x"] * 1000}
    assert (await service.rows(["7"], {"7": few}))["7"].detail is not None
    many = few | {field: ["Line 1: x"] * 1001}
    assert await service.rows(["7"], {"7": many}) == {"7": Row("RUNNING")}


@pytest.mark.parametrize("status", ["COMPLETE", "ERROR"])
async def test_an_awaited_activity_has_all_its_row_errors(
    connect: Callable[..., Any], status: str
) -> None:
    rows = [f"Line {number}: x" for number in range(1, 5001)]
    body = json.dumps({"id": "a1", "status": status, "errors": rows}).encode()

    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(body=body)

    async with serving(say) as server:
        poller = (await connect(server)).resume_activity("a1")
        await poller.poll_once()
        try:
            activity = await poller
        except errors.ActivityFailed as error:
            activity = error.activity
    assert activity.errors == tuple(rows)


async def test_a_pending_activity_holds_no_details(service: Told) -> None:
    job = Job(ACTIVITY, "7", 0.0, 0.0, 0.0, "new.csv")
    job.learn((await service.rows(["7"], {"7": PENDING}))["7"], 1.0)
    assert job.detail is None


async def test_an_activity_that_is_not_found_has_no_row(service: Told) -> None:
    assert await service.rows(["7"], {"7": "404 Not Found"}) == {}


async def test_the_summary_is_completed_with_what_only_the_activities_themselves_say(
    service: Told,
) -> None:
    failed = {"id": "3", "status": "ERROR", "errors": ["Line 2: x"]}
    summary = [PENDING, {"id": "3", "status": "ERROR"}, {"id": "4", "status": "ERROR"}, {"id": "5"}]
    alone = {"3": failed, "4": {"id": "4"}, "5": "500 Oh", "6": "404 Not Found"}
    rows = await service.rows(["7", "3", "4", "5", "6"], {"activities": summary, **alone})
    assert rows == {
        "7": Row("PENDING"),
        "3": Row("ERROR", detail=Activity("3", status="ERROR", errors=("Line 2: x",))),
        "4": Row("ERROR"),
        "5": NO_NEWS,
    }
    assert rows["5"] is NO_NEWS
    assert service.asked == ["activities", "3", "4", "5", "5", "5", "6"]


async def test_of_two_rows_of_an_activity_the_final_one_counts(service: Told) -> None:
    summary = [{"id": "7", "status": status} for status in ("RUNNING", "COMPLETE", "PENDING")]
    rows = await service.rows(["7", "8"], {"activities": summary, "8": "404 Not Found"})
    assert rows == {"7": Row("COMPLETE")}


@pytest.mark.parametrize(("ids", "path"), [(["7"], "/activities/7"), (["7", "8"], "/activities")])
async def test_statuses_are_asked_for_in_the_lane_of_polls(ids: list[str], path: str) -> None:
    calls: list[Call] = []

    class Noting:
        async def read(self, call: Call, parse: object) -> Any:
            calls.append(call)
            raise errors.Forbidden("no", status=403)

    with pytest.raises(errors.Forbidden):
        await ACTIVITY.ask(Noting(), ids)  # type: ignore[arg-type]  # enough of a session
    [call] = calls
    assert (call.method, call.path, call.effect, call.lane) == (
        "GET",
        path,
        Effect.SAFE,
        Lane.POLL,
    )


async def test_after_three_failures_no_more_activities_are_asked_for(service: Told) -> None:
    down = dict.fromkeys("12345", "500 Oh")
    rows = await service.rows(["7", *down], {"activities": [PENDING], **down})
    assert rows == {"7": Row("PENDING"), **dict.fromkeys(down, NO_NEWS)}
    assert set(service.asked) == {"activities", "1", "2", "3"}


async def test_an_outage_is_an_error_that_names_the_activity_asked_for_last(service: Told) -> None:
    told = {"activities": [], "1": "500 Oh", "2": "404 Not Found", "3": "503 Oh"}
    with pytest.raises(errors.ServerError, match="activity 3:") as caught:
        await service.rows(["1", "2", "3"], told)
    assert caught.value.status == 503
    with pytest.raises(errors.ServerError, match="status of 2 activities:"):
        await service.rows(["1", "2"], {"activities": "500 Oh"})


@pytest.mark.parametrize("several", [False, True])
async def test_one_activity_with_news_is_not_an_outage(service: Told, several: bool) -> None:
    told = {"activities": [], "7": PENDING, "8": "500 Oh"}
    found = await service.rows(["7", "8"] if several else ["8", "7"], told)
    assert found == {"7": Row("PENDING", detail=Activity("7", status="PENDING")), "8": NO_NEWS}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ((), ""),
        (("Line 2: no address...", "Line 3"), "First: line 2: no address."),
        ((ActivityError("no X.X", 3, "ann@b"),), "First: line 3: ann@b: no X.X."),
        (("Y" * 301,), f"First: {'Y' * 300}."),
    ],
)
def test_the_first_row_error_is_one_sentence(rows: Any, text: str) -> None:
    assert first_error(Activity("7", errors=rows), "First: {}.") == text


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (Activity("7", errors=("Line 2: x",)), " First error: line 2: x."),
        (Activity("7"), ""),
        (None, ""),
        ("a page", ""),
    ],
)
def test_a_failure_names_the_activity_and_its_first_error(detail: Any, said: str) -> None:
    job = Job(ACTIVITY, "7", 0.0, 0.0, 0.0, "new.csv", detail=detail)
    job.change("ERROR", State.FAILED)
    error = ACTIVITY.failure(job, "the token")
    assert error.message == (
        f"activity new.csv (ID 7) ended with the status ERROR.{said} "
        "Correct the rows and start it again."
    )
    assert isinstance(error, errors.ActivityFailed)
    assert (error.id, error.status, error.token) == ("7", "ERROR", "the token")
    assert error.activity is (detail if isinstance(detail, Activity) else None)
