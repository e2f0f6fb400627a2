from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.activities.split import (
    ASKED_AT_ONCE,
    LOST,
    Lines,
    SplitActivity,
    combined_status,
    moved,
)
from ccv2_async.models import ActivityError, ActivityStatus
from ccv2_async.models.activities import row_error
from ccv2_async.polling.job import Row
from ccv2_async.sandbox import Sandbox
from tests.support.probes import nothing_left
from tests.support.servers import RawServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from tests.support.servers import Wire


JSON = {"content-type": "application/json"}


def addresses(count: int) -> list[str]:
    return [f"person{number}@example.com" for number in range(1, count + 1)]


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    path = tmp_path / "gone.txt"
    path.write_text("\n".join(addresses(45_000)))
    return path


@attrs.define
class Service:
    """Accepts any activity, and reports for each what the test says.

    Attributes:
        stories: The statuses of each activity, one for each look at it; the last one stays.
        details: Additional fields of an activity.
        seen: The request lines so far.
    """

    stories: list[list[str]]
    details: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    seen: list[str] = attrs.field(factory=list)
    started: int = 0

    def server(self) -> RawServer:
        return RawServer(self._serve)

    def _row(self, number: int) -> dict[str, Any]:
        story = self.stories[number - 1]
        status = story.pop(0) if len(story) > 1 else story[0]
        name = f"a{number}"
        return {"id": name, "type": "ADD_CONTACTS", "status": status, **self.details.get(name, {})}

    async def _serve(self, wire: Wire) -> None:
        while True:
            request = await wire.request()
            path = request.target.partition("?")[0].removeprefix("/v2/activities")
            self.seen.append(f"{request.method} {path}")
            if request.method == "POST":
                self.started += 1
                await wire.answer("201 Created", f'{{"id": "a{self.started}"}}'.encode())
            elif not path:
                rows = [self._row(number) for number in range(1, self.started + 1)]
                known = [row for row in rows if row["status"] != "unknown"]
                await wire.answer(body=json.dumps(known).encode())
            else:
                row = self._row(int(path[2:]))
                if row["status"] == "unknown":
                    await wire.answer("404 Not Found")
                else:
                    await wire.answer(body=json.dumps(row).encode())


async def test_45_000_removals_are_split_awaited_together_and_summed(
    client: ConstantContact, sandbox: Sandbox, gone: Path
) -> None:
    sandbox.admin.add_contacts(1)
    await client.activities.add_contacts(["person44999@example.com"], lists=["1"])

    poller = await client.activities.begin_remove_contacts(gone, lists=["1"])
    activity = await poller

    assert isinstance(activity, SplitActivity)
    assert activity.id == poller.id == ",".join(poller.ids)
    assert len(poller.ids) == 3
    assert [part.contact_count for part in activity.parts] == [20_000, 20_000, 5_000]
    assert [part.file_name for part in activity.parts] == [
        "gone-part1.txt",
        "gone-part2.txt",
        "gone-part3.txt",
    ]
    assert (activity.contact_count, activity.error_count) == (45_000, 44_999)
    assert activity.status is ActivityStatus.COMPLETE
    assert activity.type == "REMOVE_CONTACTS_FROM_LISTS"
    assert activity.created_date == min(filter(None, (p.created_date for p in activity.parts)))
    assert activity.finish_date == max(filter(None, (p.finish_date for p in activity.parts)))
    found = {row_error(row).line_number: row_error(row).email_address for row in activity.errors}
    assert set(range(1, 45_001)) - set(found) == {44_999}
    assert all(email == f"person{line}@example.com" for line, email in found.items())
    assert (await client.lists.get("1")).contact_count == 1
    assert await poller is activity


@pytest.mark.parametrize("errors_as_text", [False, True])
async def test_import_errors_name_lines_of_the_whole_file(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path, errors_as_text: bool
) -> None:
    sandbox.admin.configure(errors_as_text=errors_as_text)
    rows = [f'{address},"x\ny"' for address in addresses(20_010)]
    for row in (0, 19_999, 20_000, 20_009):
        rows[row] = f'wrong{row},"x\ny"'
    path = tmp_path / "guests.csv"
    path.write_text("\n".join(["Email,Note", *rows]))

    activity = await client.activities.add_contacts(path, lists=["1"])

    assert isinstance(activity, SplitActivity)
    assert len(activity.parts) == 2
    assert [row_error(row).line_number for row in activity.errors] == [2, 40_000, 40_002, 40_020]
    assert [row_error(row).line_number for row in activity.parts[1].errors] == [2, 20]
    assert isinstance(activity.errors[0], str) is errors_as_text


async def test_rows_are_split_like_files_and_numbered_continuously(
    client: ConstantContact,
) -> None:
    rows = addresses(20_003)
    rows[20_001] = "wrong"

    activity = await client.activities.add_contacts(rows, lists=["1"])

    assert isinstance(activity, SplitActivity)
    assert [part.contact_count for part in activity.parts] == [20_000, 3]
    assert [row_error(row).line_number for row in activity.errors] == [20_002]


@pytest.mark.parametrize("form", ["rows", "file"])
@pytest.mark.parametrize(("max_rows", "sizes"), [(40_000, [40_000, 3]), (30_000, [30_000, 10_003])])
async def test_an_import_holds_more_rows_on_request(
    client: ConstantContact, tmp_path: Path, max_rows: int, sizes: list[int], form: str
) -> None:
    contacts: Any = addresses(40_003)
    if form == "file":
        path = tmp_path / "guests.csv"
        path.write_text("\n".join(["Email", *contacts]))
        contacts = path
    activity = await client.activities.add_contacts(contacts, lists=["1"], max_rows=max_rows)
    assert isinstance(activity, SplitActivity)
    assert [part.contact_count for part in activity.parts] == sizes


@pytest.mark.parametrize("wrong", [0, -1, 40_001, 1.0, True, "20000", None])
async def test_an_invalid_number_of_rows_is_refused(
    client: ConstantContact, sandbox: Sandbox, wrong: Any
) -> None:
    with pytest.raises(errors.InvalidField, match="a number from 1 to 40,000") as caught:
        await client.activities.begin_add_contacts(["a@b.example"], lists=["1"], max_rows=wrong)
    assert caught.value.field == "max_rows"
    assert sandbox.admin.requests() == []


async def test_the_first_contact_of_every_request_must_have_an_address(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    rows = addresses(20_003)
    rows[20_000] = "wrong"
    with pytest.raises(errors.InvalidField) as caught:
        await client.activities.begin_add_contacts(rows, lists=["1"])
    assert caught.value.field == "import_data[20000].email_addresses"
    assert sandbox.admin.requests() == []


async def test_status_changes_combine_those_of_all_parts(
    connect: Callable[..., Any], gone: Path
) -> None:
    service = Service(
        [
            ["PENDING", "RUNNING", "COMPLETE"],
            ["PENDING", "QUEUED", "RUNNING", "COMPLETE"],
            ["UNCONFIRMED", "PENDING", "RUNNING", "RUNNING", "COMPLETE"],
        ]
    )
    async with service.server() as server:
        cc = await connect(server)
        poller = await cc.activities.begin_remove_contacts(gone, lists=["1"])
        seen = [update async for update in poller]
        assert [update.status for update in seen] == ["PENDING", "RUNNING", "COMPLETE"]
        assert seen[-1].is_final
        assert seen[-1].description == "3 of 3 activities ended"
        assert poller.done
        assert poller.location == f"{server.base_url}/activities"
        await cc.aclose()
    looks = [line for line in service.seen if line.startswith("GET")]
    # One request a look as long as several are going on, and none for one that has ended.
    assert looks == ["GET "] * 4 + ["GET /a3"]


async def test_one_failed_activity_fails_the_job_with_the_errors_of_all(
    connect: Callable[..., Any], gone: Path
) -> None:
    service = Service(
        [["COMPLETE"], ["RUNNING", "ERROR"], ["COMPLETE"]],
        {
            "a1": {"contact_count": 20_000, "error_count": 1, "errors": ["Line 7: nobody"]},
            "a2": {
                "contact_count": "5",
                "error_count": 2,
                "errors": [
                    {"message": "broken", "line_number": 3, "email_address": "x@example.com"},
                    {"message": "all of it", "line_number": 0, "email_address": ""},
                ],
                "warnings": ["Line 1: odd", "Odd"],
            },
        },
    )
    async with service.server() as server:
        cc = await connect(server)
        poller = await cc.activities.begin_remove_contacts(gone, lists=["1"])
        with pytest.raises(errors.ActivityFailed) as caught:
            await poller
        with pytest.raises(errors.ActivityFailed):
            await poller
        await cc.aclose()
    error = caught.value
    assert (error.status, error.id) == ("ERROR", "a1,a2,a3")
    assert "1 of 3 did not succeed (a2 ERROR); the others were carried out" in error.message
    assert "First error: line 7: nobody" in error.message
    activity = error.activity
    assert (activity.contact_count, activity.error_count) == (20_005, 3)
    assert [row_error(row).line_number for row in activity.errors] == [7, 20_003, 0]
    assert activity.warnings == ("Line 20001: odd", "Odd")


async def test_no_activity_is_said_to_be_carried_out_if_all_failed(
    connect: Callable[..., Any], gone: Path
) -> None:
    async with Service([["ERROR"], ["CANCELLED"], ["ERROR"]]).server() as server:
        cc = await connect(server)
        poller = await cc.activities.begin_remove_contacts(gone, lists=["1"])
        with pytest.raises(errors.ActivityFailed, match=r"3 of 3 .* start again\.$") as caught:
            await poller
        await cc.aclose()
    assert "others" not in caught.value.message


async def test_an_activity_that_the_service_forgot_fails_the_job_and_is_named(
    connect: Callable[..., Any], gone: Path
) -> None:
    service = Service([["COMPLETE"], ["unknown"], ["COMPLETE"]])
    async with service.server() as server:
        cc = await connect(server)
        poller = await cc.activities.begin_remove_contacts(gone, lists=["1"])
        with pytest.raises(errors.ActivityFailed, match=f"a2 {LOST}"):
            await poller
        await cc.aclose()


@pytest.mark.parametrize("status", [400, 404, 409, 410])
async def test_a_part_whose_result_is_refused_lacks_only_its_counts(
    client: ConstantContact, sandbox: Sandbox, gone: Path, status: int
) -> None:
    poller = await client.activities.begin_remove_contacts(gone, lists=["1"])
    body = '[{"error_key": "http.status.refused", "error_message": "no"}]'
    refused: dict[str, Any] = {"status": status, "headers": {}, "body": body}
    sandbox.admin.fault("answer", "GET", f"/activities/{poller.ids[1]}", times=None, **refused)
    result = await poller
    assert isinstance(result, SplitActivity)
    assert [part.contact_count for part in result.parts] == [20_000, None, 5_000]


@pytest.mark.parametrize("status", [200, 400, 404, 409])
async def test_a_page_in_place_of_the_result_of_a_part_loses_no_counts(
    client: ConstantContact, sandbox: Sandbox, gone: Path, status: int
) -> None:
    poller = await client.activities.begin_remove_contacts(gone, lists=["1"])
    page: dict[str, Any] = {"status": status, "body": "<html>Something went wrong"}
    sandbox.admin.fault("answer", "GET", f"/activities/{poller.ids[1]}", times=None, **page)
    with pytest.raises((errors.APIError, errors.DecodeError), match=r"an HTML page|is not JSON"):
        await poller
    sandbox.admin.clear_faults()
    result = await poller
    assert isinstance(result, SplitActivity)
    assert [part.contact_count for part in result.parts] == [20_000, 20_000, 5_000]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        {"status": 403, "message": "Forbidden"},
        {"type": "about:blank", "title": "Forbidden", "status": 403},
        {"id": "3f2a8c1e-7a11-4b52-9c6e-0a1b2c3d4e5f", "errors": ["Forbidden"]},
        {"id": "a9", "status": "COMPLETE"},
        {"errors": "Forbidden"},
    ],
)
async def test_json_of_a_gateway_in_place_of_the_result_of_a_part_loses_no_failed_rows(
    client: ConstantContact, sandbox: Sandbox, gone: Path, body: dict[str, Any], *, strict: bool
) -> None:
    poller = await client.activities.begin_remove_contacts(gone, lists=["1"], strict=strict)
    error: dict[str, Any] = {"status": 200, "body": json.dumps(body), "headers": JSON}
    sandbox.admin.fault("answer", "GET", f"/activities/{poller.ids[1]}", times=None, **error)
    for _ in range(2):
        with pytest.raises(errors.DecodeError, match=f"activity {poller.ids[1]}"):
            await poller
    sandbox.admin.clear_faults()
    if strict:
        with pytest.raises(errors.PartialFailure, match=r"rows failed \(45,000 of 45,000"):
            await poller
    else:
        assert (await poller).contact_count == 45_000


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, '[{"error_key": "http.status.not_found", "error_message": "no"}]'), (200, "{")],
)
async def test_strict_counts_no_unknown_result_of_a_part_as_free_of_failed_rows(
    client: ConstantContact, sandbox: Sandbox, gone: Path, status: int, body: str
) -> None:
    poller = await client.activities.begin_remove_contacts(gone, lists=["1"], strict=True)
    refused: dict[str, Any] = {"status": status, "headers": JSON, "body": body}
    sandbox.admin.fault("answer", "GET", f"/activities/{poller.ids[1]}", times=None, **refused)
    for _ in range(2):
        with pytest.raises(
            (errors.NotFound, errors.DecodeError), match="not known whether rows of this activity"
        ):
            await poller
    asked = [request.path for request in sandbox.admin.requests("GET", "/activities/*")]
    assert sum(poller.ids[2] in path for path in asked) == 1
    sandbox.admin.clear_faults()
    with pytest.raises(errors.PartialFailure, match=r"rows failed \(45,000 of 45,000"):
        await poller


async def test_the_error_of_a_split_call_that_was_started_has_all_tokens(
    client: ConstantContact, sandbox: Sandbox, gone: Path
) -> None:
    sandbox.admin.fault("inactive", "GET", "/activities*", times=None)

    with pytest.raises(errors.Forbidden) as caught:
        await client.activities.remove_contacts(gone, lists=["1"])

    assert not caught.value.safe_to_retry
    assert str(caught.value).count("ccv2p1.") == 3


async def test_a_job_unknown_to_the_service_is_not_found(
    connect: Callable[..., Any], gone: Path
) -> None:
    service = Service([["unknown"], ["unknown"], ["unknown"]])
    async with service.server() as server:
        cc = await connect(server)
        poller = await cc.activities.begin_remove_contacts(gone, lists=["1"])
        with pytest.raises(errors.JobNotFound, match="does not know the ID a1,a2,a3"):
            await poller
        await cc.aclose()


async def test_strict_sees_the_failed_rows_of_every_part(
    client: ConstantContact, gone: Path
) -> None:
    poller = await client.activities.begin_remove_contacts(gone, lists=["1"], strict=True)
    with pytest.raises(errors.PartialFailure, match=r"rows failed \(45,000 of 45,000") as caught:
        await poller
    assert isinstance(caught.value.activity, SplitActivity)


async def test_each_activity_has_a_token_and_the_poller_says_so(
    client: ConstantContact, connect: Callable[..., Any], sandbox: Sandbox, gone: Path
) -> None:
    poller = await client.activities.begin_remove_contacts(gone, lists=["1"])
    tokens = poller.tokens()

    with pytest.raises(errors.TokenError, match=r"3 activities.*tokens\(\)"):
        poller.token()

    assert len(set(tokens)) == 3
    assert all(len(token) <= 400 for token in tokens)
    elsewhere = await connect(sandbox)
    resumed = [elsewhere.resume(token) for token in tokens]
    assert [part.id for part in resumed] == list(poller.ids)
    results = await elsewhere.wait_all(resumed)
    assert sum(activity.contact_count for activity in results) == 45_000


async def test_wait_all_accepts_a_split_job_among_others(
    client: ConstantContact, gone: Path
) -> None:
    split = await client.activities.begin_remove_contacts(gone, lists=["1"])
    single = await client.activities.begin_add_contacts(["a@example.com"], lists=["1"])

    ended = [poller async for poller in client.as_completed([split, single])]
    results = await client.wait_all([split, single])

    assert set(ended) == {split, single}
    assert [activity.contact_count for activity in results] == [45_000, 1]


async def test_the_parts_can_be_followed_one_by_one(client: ConstantContact, gone: Path) -> None:
    poller = await client.activities.begin_remove_contacts(gone, lists=["1"])
    activities = [await part for part in poller.parts]
    assert [activity.id for activity in activities] == list(poller.ids)


async def test_a_wait_that_ends_early_says_that_the_activities_continue(
    connect: Callable[..., Any], tmp_path: Path, sandbox: Sandbox
) -> None:
    path = tmp_path / "stuck.txt"
    path.write_text("\n".join(addresses(20_001)))
    cc = await connect(sandbox)
    poller = await cc.activities.begin_remove_contacts(path, lists=["1"])

    with pytest.raises(errors.PollTimeout, match="resume it by token") as caught:
        await poller.wait(timeout=0.0)

    assert caught.value.token == ""
    assert caught.value.id == poller.id


async def test_with_too_many_jobs_the_next_part_waits_for_one_to_end(
    connect: Callable[..., Any], gone: Path
) -> None:
    with Sandbox(mode="looks", looks=1, max_jobs=1) as sandbox:
        cc = await connect(sandbox)
        poller = await cc.activities.begin_remove_contacts(gone, lists=["1"])
        assert len(poller.ids) == 3
        activity = await poller
        assert activity.contact_count == 45_000
        await cc.aclose()


@pytest.mark.parametrize("kind", ["too_many_requests", "over_ratelimit"])
async def test_the_refusal_is_raised_without_a_job_to_wait_for_or_daily_quota(
    client: ConstantContact, sandbox: Sandbox, gone: Path, kind: Any
) -> None:
    skip = 1 if kind == "over_ratelimit" else 0
    sandbox.admin.fault(kind, "POST", "/activities/*", skip=skip, times=None)
    with pytest.raises(errors.QuotaExceeded) as caught:
        await client.activities.begin_remove_contacts(gone, lists=["1"])
    assert isinstance(caught.value, errors.DailyQuotaExceeded) is bool(skip)
    assert ("accepted 1 of 3 activities" in caught.value.message) is bool(skip)


async def test_an_error_names_the_parts_that_were_started_before_it(
    client: ConstantContact, sandbox: Sandbox, gone: Path
) -> None:
    sandbox.admin.fault("unauthorized", "POST", "/activities/*", skip=1)

    with pytest.raises(errors.AuthenticationFailed) as caught:
        await client.activities.begin_remove_contacts(gone, lists=["1"])

    (started,) = await client.activities.all()
    assert f"accepted 1 of 3 activities ({started.id})" in caught.value.message
    assert "part 2 of 3" in caught.value.message
    assert str(caught.value) == caught.value.message


async def test_a_file_that_changes_between_two_parts_ends_the_call(
    client: ConstantContact, sandbox: Sandbox, gone: Path
) -> None:
    sandbox.admin.fault("over_qps", "POST", "/activities/*", skip=1)
    waiting = client._open_parts.session.budget.pause

    def changed(seconds: float) -> None:
        gone.write_text("somebody@example.com")
        waiting(seconds)

    client._open_parts.session.budget.pause = changed  # type: ignore[method-assign]  # to know when
    with pytest.raises(errors.FileChanged, match="accepted 1 of 3 activities"):
        await client.activities.begin_remove_contacts(gone, lists=["1"])
    assert len(await client.activities.all()) == 1


async def test_cancelling_leaves_nothing_open(connect: Callable[..., Any], gone: Path) -> None:
    with Sandbox(mode="looks", looks=10**9) as sandbox:
        async with nothing_left():
            cc = await connect(sandbox)
            poller = await cc.activities.begin_remove_contacts(gone, lists=["1"])
            waiting = asyncio.create_task(poller.wait())
            begun = asyncio.create_task(cc.activities.begin_remove_contacts(gone, lists=["1"]))
            while len(sandbox.admin.requests("GET")) < 2:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.001)
            for task in (waiting, begun):
                task.cancel()
            await asyncio.gather(waiting, begun, return_exceptions=True)
            await cc.aclose()
        assert waiting.cancelled()


async def test_the_split_jobs_of_all_views_are_one_kind_of_job(
    client: ConstantContact, gone: Path
) -> None:
    for _ in range(3):
        view = client.with_options(deadline=600.0)
        await view.activities.remove_contacts(gone, lists=["1"])
    assert len(client._open_parts.sweep._queues) == 2  # with that of the activities themselves


async def test_many_activities_are_polled_through_the_summary(
    client: ConstantContact,
) -> None:
    from ccv2_async.activities.split import Part, SplitJobs
    from ccv2_async.activities.status import ACTIVITY

    sweep = client._open_parts.sweep
    parts = tuple(Part(sweep.start(ACTIVITY, f"a{number}")) for number in range(120))
    split = SplitJobs().add(parts)

    ids = [job.id for job in split.open]
    assert ids == [f"a{number}" for number in range(120 - ASKED_AT_ONCE, 120)]
    for job in split.jobs[60:]:
        job.learn(Row("COMPLETE"), 0.0)
    assert [job.id for job in split.open] == [f"a{number}" for number in range(10, 60)]


words = st.sampled_from([None, LOST, "Frozen", *map(str, ActivityStatus)])
FINAL = {LOST, "COMPLETE", "ERROR", "CANCELLED"}


@given(st.lists(words, min_size=1))
def test_a_split_job_succeeds_only_if_all_parts_succeed(
    statuses: list[str | None],
) -> None:
    status = combined_status(statuses)

    assert (status in FINAL) == (set(statuses) <= FINAL)
    assert (status == "COMPLETE") == (set(statuses) == {"COMPLETE"})
    assert (status is None) == (set(statuses) == {None})


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["COMPLETE", "CANCELLED"], "CANCELLED"),
        (["CANCELLED", "ERROR"], "ERROR"),
        (["COMPLETE", LOST], "ERROR"),
        (["COMPLETE", None], "RUNNING"),
        (["PENDING", "RUNNING", "QUEUED"], "RUNNING"),
        (["PENDING", "UNCONFIRMED"], "PENDING"),
        ([None, "Frozen"], "Frozen"),
    ],
)
def test_the_state_of_a_split_job_follows_the_table(
    statuses: list[str | None], status: str
) -> None:
    assert combined_status(statuses) == status


@given(
    header=st.integers(0, 3),
    first=st.integers(1, 10**6),
    line=st.integers(1, 10**5),
    word=st.sampled_from(["Line ", "line ", " LINE "]),
)
def test_line_numbers_are_shifted_in_both_error_forms(
    header: int, first: int, line: int, word: str
) -> None:
    lines = Lines(header, first)
    text = moved(f"{word}{line}: the line 3 is wrong", lines)
    row = moved(ActivityError("the line 3 is wrong", line, "x@example.com"), lines)

    assert isinstance(row, ActivityError)
    assert row_error(text).line_number == row.line_number == lines.original(line)
    assert row_error(text).message == row.message == "the line 3 is wrong"
    if line > header:
        assert row.line_number == first + (line - header) - 1


def test_an_error_without_a_line_is_unchanged() -> None:
    lines = Lines(1, 500)
    assert moved("Too many columns", lines) == "Too many columns"
    assert moved(ActivityError("x", 0, ""), lines) == ActivityError("x", 0, "")
    assert moved(ActivityError("x", None, ""), lines) == ActivityError("x", None, "")
    assert row_error("Too many columns") == ActivityError("Too many columns", 0)
    assert str(row_error("Line 2: wrong")) == "line 2: wrong"
    assert str(row_error(ActivityError("wrong", 0, "x@example.com"))) == "x@example.com: wrong"
