"""Failures of the service: in rows, listings, files, and the quota."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, errors, verify_backup
from ccv2_async.transport.calls.responses import MOST_EMPTY
from ccv2_async.transport.calls.saving import DOWNLOAD_DEADLINE
from tests.backup.conftest import digests, held, lines, manifest
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock, SkippingClock

JSON = {"content-type": "application/json"}
RETIRED = '[{"error_key": "http.status.gone", "error_message": "Gone."}]'
FORBIDDEN = '[{"error_key": "http.status.forbidden", "error_message": "No."}]'
UNKNOWN = '[{"error_key": "http.status.not_found", "error_message": "No."}]'
PAGE: dict[str, Any] = {"body": "<html>No</html>", "headers": {"content-type": "text/html"}}
"""The refusal of a gateway."""

ALWAYS: dict[str, Any] = {"times": None}
LISTINGS = {
    "account": "/account/info",
    "folders": "/library/folders",
    "library": "/library/files",
    "trash": "/library/folders/trash/files",
    "verified_addresses": "/account/verifiedemailaddresses",
    "lists": "/lists",
    "contacts": "/contacts",
    "activities": "/activities",
    "campaigns": "/emailmarketing/campaigns",
    "events": "/eventspot/events",
}


def answer(sandbox: Sandbox, path: str, body: object, **more: Any) -> None:
    """Let the service answer with a body that the test chooses."""
    text = body if isinstance(body, str) else json.dumps(body)
    sandbox.admin.fault(
        "answer", "GET", path, **{"status": 200, "headers": JSON, "body": text, **more}
    )


def page(*rows: object, cursor: str = "") -> dict[str, Any]:
    pagination = {"next_link": f"/v2/x?next={cursor}"} if cursor else {}
    return {"meta": {"pagination": pagination}, "results": list(rows)}


async def test_a_row_that_cannot_be_kept_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    answer(
        demo,
        "/contacts",
        page({"id": "1", "unknown": {"kept": 1}}, 7, {"name": "no id"}, None, {"id": ["x"]}),
    )
    answer(demo, "/lists", '[{"id": "5"}, {"id": "6", "name": "half \\ud83d"}]')
    result = await cc.backup(tmp_path)
    assert lines(tmp_path / "contacts.jsonl") == [{"id": "1", "unknown": {"kept": 1}}]
    failed = {(each.dataset, each.id): each.reason for each in result.failed}
    assert [key for key in failed if key[0] == "contacts"] == [
        ("contacts", f"row {n}") for n in (1, 2, 3, 4)
    ]
    assert "no id" in failed["contacts", "row 2"]
    assert len(manifest(tmp_path)["failed"]) == len(result.failed)
    assert {each["id"] for each in lines(tmp_path / "lists.jsonl")} <= {"5", "6"}
    assert (await verify_backup(tmp_path)).faults == ()
    again = await cc.backup(tmp_path)
    assert again.failed == ()
    assert again.rows["contacts"] == 120


async def test_rows_of_one_id_are_one_row(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    answer(demo, "/contacts", page({"id": "1", "v": 1}, {"id": 1, "v": 2}, {"id": "1", "v": 3}))
    result = await cc.backup(tmp_path)
    assert result.rows["contacts"] == 1
    assert lines(tmp_path / "contacts.jsonl") == [{"id": "1", "v": 3}]


DEEP = f'{{"id": "1", "x": {"[" * 400}{"]" * 400}}}'
LARGE = f'{{"id": "1", "x": "{"x" * 5_000_000}"}}'
MANY = f'{{"id": "1", "x": [{"1," * 110_000}1]}}'
HALF = '{"id": "1\\ud83d"}'


@pytest.mark.parametrize("row", [DEEP, LARGE, MANY, HALF], ids=["deep", "large", "many", "half"])
async def test_a_row_unlike_any_from_the_service_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, row: str
) -> None:
    answer(demo, "/contacts", f'{{"meta": {{}}, "results": [{row}, {{"id": "2"}}]}}')
    result = await cc.backup(tmp_path)
    assert [each.dataset for each in result.failed] == ["contacts"]
    assert result.failed[0].id.isprintable()
    assert result.rows["contacts"] == 1
    assert (await verify_backup(tmp_path)).faults == ()


@pytest.mark.parametrize("record", [DEEP, LARGE, MANY], ids=["deep", "large", "many"])
async def test_a_record_unlike_any_from_the_service_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, record: str
) -> None:
    answer(demo, "/account/info", record, **ALWAYS)
    result = await cc.backup(tmp_path)
    assert [each.dataset for each in result.failed] == ["account"]
    assert result.rows["contacts"] == 120


async def test_rows_that_hold_each_other_do_not_fill_the_memory(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    row = f'{{"id": "1", "name": "{"x" * 3_000_000}"}}'
    for number in range(2, 100):
        row = f'{{"id": "{number}", "children": [{row}]}}'
    answer(demo, "/library/folders", f'{{"meta": {{}}, "results": [{row}]}}')
    result = await cc.backup(tmp_path)
    assert 0 < result.rows["folders"] < 30
    assert {each.dataset for each in result.failed} == {"folders"}


@pytest.mark.parametrize("row", ["7", "{}"])
async def test_a_page_of_very_many_bad_rows_fails_as_a_whole(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, row: str
) -> None:
    # 900,000 of them, 2 KB compressed, took 200 MB.
    answer(demo, "/contacts", f'{{"meta": {{}}, "results": [{f"{row}," * 5000}7]}}', **ALWAYS)
    result = await cc.backup(tmp_path)
    (failed,) = result.failed
    assert (failed.dataset, failed.id) == ("contacts", "")
    assert "over 1,000 rows cannot be kept" in failed.reason


async def test_an_estimate_is_made_from_odd_counts(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    answer(demo, "/library/info", {"usage_summary": [5]})
    assert (await cc.backup(tmp_path, dry_run=True)).files == 0


@pytest.mark.parametrize("id_", ["../1", "a/b", "..", " ", "x" * 5000, "\u202e1"])
async def test_an_id_that_cannot_be_part_of_a_path_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, id_: str
) -> None:
    answer(demo, "/emailmarketing/campaigns", page({"id": id_, "name": "x", "status": "SENT"}))
    result = await cc.backup(tmp_path)
    assert {each.dataset for each in result.failed} >= {"campaigns", "reports"}
    assert result.rows["contacts"] == 120
    assert digests(tmp_path) == held(demo)
    assert (await verify_backup(tmp_path)).faults == ()


async def test_a_file_that_keeps_trickling_in_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, clock: SkippingClock
) -> None:
    calls = (await cc.backup(tmp_path / "first")).calls
    demo.admin.fault("trickle", path="/content/*", size=400, seconds=30.0, times=1)
    run = asyncio.create_task(cc.backup(tmp_path / "second"))
    await until(lambda: demo.admin.state()["requests"]["total"] == 2 * calls)
    await until(lambda: demo.admin.state()["requests"]["running"] == 0)
    library = tmp_path / "second" / "library"
    await until(lambda: sum(each.is_file() for each in library.rglob("*")) == len(held(demo)) - 1)
    await clock.advance(DOWNLOAD_DEADLINE)
    (failed,) = (await run).failed
    assert (failed.dataset, "did not finish within 3600 s" in failed.reason) == ("library", True)
    assert len(digests(tmp_path / "second")) == len(held(demo)) - 1


async def test_cursors_in_a_circle_end_the_listing_with_the_rows_so_far(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    answer(demo, "/contacts", page({"id": "1"}, cursor="a"), times=1)
    answer(demo, "/contacts", page({"id": "2"}, cursor="b"), times=1)
    answer(demo, "/contacts", page({"id": "3"}, cursor="a"), times=1)
    result = await cc.backup(tmp_path)
    (failed,) = result.failed
    assert failed.dataset == "contacts"
    assert "the same cursor twice" in failed.reason
    assert (await cc.backup(tmp_path)).rows["contacts"] == 120


async def test_endless_empty_pages_end_the_listing_with_the_rows_so_far(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    for number in range(MOST_EMPTY + 5):
        rows = [{"id": "1"}] if not number else []
        answer(demo, "/contacts", page(*rows, cursor=f"c{number}"), times=1)
    result = await cc.backup(tmp_path)
    (failed,) = result.failed
    assert failed.dataset == "contacts"
    assert f"{MOST_EMPTY} pages in a row were empty" in failed.reason
    demo.admin.clear_faults()
    assert (await cc.backup(tmp_path)).rows["contacts"] == 120


async def test_a_cursor_that_is_refused_restarts_its_listing_only(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    answer(demo, "/contacts", page({"id": "1"}, cursor="a"), times=1)
    answer(demo, "/contacts", '[{"error_key": "query.param.invalid"}]', status=400, times=1)
    result = await cc.backup(tmp_path)
    assert result.failed == ()
    assert result.rows["contacts"] == 120
    asked = [entry.query.get("next") for entry in demo.admin.requests(path="/contacts")]
    assert asked[:3] == [None, "a", None]
    assert len(demo.admin.requests(path="/lists")) == 1


async def test_a_tracking_listing_that_starts_over_holds_no_row_twice(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    campaign = next(each.id for each in await cc.campaigns.all().collect() if each.status == "SENT")
    path = f"/emailmarketing/campaigns/{campaign}/tracking"
    fake = [{"activity_type": "EMAIL_OPEN", "n": n} for n in range(900)]
    answer(demo, path, page(*fake, cursor="a"), times=1)
    answer(demo, path, "[]", status=404, times=1)
    await cc.backup(tmp_path)
    rows = [each for each in lines(tmp_path / "tracking.jsonl") if "n" in each]
    assert rows == []


async def test_a_listing_that_leaves_a_row_out_does_not_lose_it(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    kept = lines(tmp_path / "library.jsonl")
    answer(demo, "/library/files", page(*kept[:-1]))
    result = await cc.backup(tmp_path)
    assert result.vanished == 0
    assert lines(tmp_path / "library.jsonl") == kept


async def test_a_listing_with_a_row_that_cannot_be_read_declares_no_row_gone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    first = await cc.backup(tmp_path)
    answer(demo, "/lists", ["what is this"])
    result = await cc.backup(tmp_path)
    assert result.vanished == 0
    assert result.rows["lists"] == first.rows["lists"]


async def test_retired_endpoints_and_missing_privileges_are_left_out(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    answer(demo, "/eventspot/*", RETIRED, status=400, **ALWAYS)
    answer(demo, "/account/verified*", FORBIDDEN, status=403, **ALWAYS)
    result = await cc.backup(tmp_path)
    assert result.failed == ()
    assert [each.dataset for each in result.left_out] == ["events", "verified_addresses"]
    said = {each["dataset"]: each["reason"] for each in manifest(tmp_path)["left_out"]}
    assert "withdrawn this endpoint" in said["events"]
    assert result.rows["events"] == 0
    assert (await verify_backup(tmp_path)).faults == ()


async def test_records_that_cannot_be_fetched_fail_alone_and_are_tried_again(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    draft = next(each.id for each in await cc.campaigns.all().collect() if each.status == "DRAFT")
    answer(demo, f"/emailmarketing/campaigns/{draft}", "{}", status=400)
    answer(demo, "/activities", {"not": "a list"}, **ALWAYS)
    result = await cc.backup(tmp_path)
    assert {(each.dataset, each.id) for each in result.failed} == {
        ("campaigns", draft),
        ("activities", ""),
    }
    rows = {each["id"]: each for each in lines(tmp_path / "campaigns.jsonl")}
    assert "name" in rows[draft], "the row of the listing stands in for the record"
    demo.admin.clear_faults()
    again = await cc.backup(tmp_path)
    assert again.failed == ()
    assert {each["id"]: each for each in lines(tmp_path / "campaigns.jsonl")}[draft]["subject"]


STRAY = [{"error": "session expired"}, {}, {"id": "999", "name": "another", "status": "SENT"}]


@pytest.mark.parametrize("stray", STRAY, ids=["error", "empty", "other"])
@pytest.mark.parametrize("path", ["/emailmarketing/campaigns", "/eventspot/events"])
async def test_an_object_that_is_not_the_record_is_never_kept_as_the_record(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, path: str, stray: object
) -> None:
    dataset = path.rpartition("/")[2]
    answer(demo, f"{path}/*", stray, **ALWAYS)
    result = await cc.backup(tmp_path)
    rows = {each["id"]: each for each in lines(tmp_path / f"{dataset}.jsonl")}
    assert {each.id for each in result.failed if each.dataset == dataset} == set(rows)
    assert "999" not in rows
    demo.admin.clear_faults()
    assert (await cc.backup(tmp_path)).failed == ()
    records = {each["id"]: each for each in lines(tmp_path / f"{dataset}.jsonl")}
    assert records.keys() == rows.keys()
    assert all(len(records[own]) > len(rows[own]) for own in rows)


async def test_an_object_that_is_not_a_summary_replaces_none(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    kept = lines(tmp_path / "reports.jsonl")
    answer(demo, "/emailmarketing/campaigns/*/summary", {"error": "session expired"}, **ALWAYS)
    result = await cc.backup(tmp_path)
    assert len([each for each in result.failed if each.dataset == "reports"]) == len(kept)
    assert lines(tmp_path / "reports.jsonl") == kept


async def test_another_files_record_cannot_say_that_a_file_is_deleted(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    kept = lines(tmp_path / "library.jsonl")
    missing = kept[-1]
    answer(demo, "/library/files", page(*kept[:-1]))
    other = {**missing, "id": "999", "status": "Deleted"}
    answer(demo, f"/library/files/{missing['id']}", other, **ALWAYS)
    result = await cc.backup(tmp_path)
    assert result.vanished == 0
    assert [each.id for each in result.failed] == [missing["id"]]
    assert "returned another one, with the ID '999'" in result.failed[0].reason
    assert lines(tmp_path / "library.jsonl") == kept


@pytest.mark.parametrize("kind", ["cut_response", "shorten", "page", "server_error", "range"])
async def test_a_file_that_cannot_be_fetched_fails_alone_and_is_tried_again(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, kind: Any
) -> None:
    file = next(each for each in demo.admin.files() if each["name"] == "menu.pdf")
    demo.admin.fault(kind, "GET", f"/content/*{file['id']}*", times=None)
    result = await cc.backup(tmp_path)
    demo.admin.assert_faults_struck()
    assert [(each.dataset, each.id) for each in result.failed] == [("library", file["id"])]
    assert not (tmp_path / "library" / "menu.pdf").exists()
    assert not list((tmp_path / ".ccv2-parts").iterdir())
    assert (await verify_backup(tmp_path)).faults == ()
    demo.admin.clear_faults()
    again = await cc.backup(tmp_path)
    assert (again.files, again.failed) == (1, ())
    assert digests(tmp_path) == held(demo)


@pytest.mark.parametrize("is_trashed", [False, True])
async def test_a_file_whose_row_cannot_be_read_is_looked_up_by_its_id(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, is_trashed: bool
) -> None:
    row = next(row for row in demo.admin.files() if row["status"] == "Active")
    odd = {"id": row["id"], "name": row["name"], "status": {"odd": 1}, "folder_id": "0"}
    answer(demo, "/library/files", page(odd))
    if is_trashed:
        await cc.library.delete_files(row["id"])
    result = await cc.backup(tmp_path)
    assert result.failed == ()
    assert (await verify_backup(tmp_path)).faults == ()
    assert result.files > 0
    assert any(path.name == row["name"] for path in (tmp_path / "library").rglob("*"))


async def test_a_file_without_a_url_is_left_out(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    row = {"id": "1", "name": "x.png", "status": "Processing", "url": "", "size": 1}
    answer(demo, "/library/files", page(row))
    result = await cc.backup(tmp_path)
    assert [(each.dataset, each.id) for each in result.left_out] == [("library", "1")]
    assert "status Processing" in result.left_out[0].reason
    (row,) = lines(tmp_path / "library.jsonl")


async def test_a_dead_token_or_key_ends_the_run(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    demo.admin.fault("unauthorized", path="/lists", times=None)
    with pytest.raises(errors.AuthenticationFailed):
        await cc.backup(tmp_path)
    demo.admin.clear_faults()
    demo.admin.fault("inactive", path="/contacts", times=None)
    with pytest.raises(errors.Forbidden):
        await cc.backup(tmp_path)
    demo.admin.clear_faults()
    assert (await cc.backup(tmp_path)).rows["contacts"] == 120


async def test_the_end_of_the_days_quota_ends_the_run_and_the_next_day_continues(
    demo: Sandbox, connect: Callable[..., Any], tmp_path: Path, clock: SkippingClock
) -> None:
    one: ConstantContact = await connect(demo, per_day=20)
    with pytest.raises(errors.DailyQuotaExceeded, match=r"Run it again after \d{4}-\d\d-\d\d"):
        await one.backup(tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    two: ConstantContact = await connect(demo)
    before = demo.admin.requests()
    result = await two.backup(tmp_path)
    asked = [(entry.path, str(entry.query)) for entry in demo.admin.requests()[len(before) :]]
    done = {(entry.path, str(entry.query)) for entry in before if entry.status == 200}
    assert not done.intersection(asked)
    assert result.rows["contacts"] == 120
    assert digests(tmp_path) == held(demo)


async def test_a_run_that_waits_continues_when_the_next_day_begins(
    demo: Sandbox, connect: Callable[..., Any], tmp_path: Path, clock: SkippingClock
) -> None:
    cc: ConstantContact = await connect(demo, per_day=20)
    began = clock.time()
    result = await cc.backup(tmp_path, wait=True)
    assert result.rows["contacts"] == 120
    assert digests(tmp_path) == held(demo)
    assert clock.time() - began > 3600


async def test_a_run_waits_no_longer_than_its_deadline(
    demo: Sandbox, connect: Callable[..., Any], tmp_path: Path, clock: SkippingClock
) -> None:
    cc: ConstantContact = await connect(demo, per_day=20)
    began = clock.time()
    with cc.deadline(3600), pytest.raises(errors.DailyQuotaExceeded):
        await cc.backup(tmp_path, wait=True)
    assert clock.time() - began < 3600
    assert (await cc.backup(tmp_path, wait=True)).rows["contacts"] == 120


async def test_closing_the_client_ends_the_wait_for_the_next_day(
    demo: Sandbox, tmp_path: Path, manual_clock: ManualClock
) -> None:
    options = demo.client_options() | {"per_second": None, "per_day": 20}
    async with ConstantContact(clock=manual_clock, **options) as cc:
        run = asyncio.create_task(cc.backup(tmp_path, wait=True))
        await until(lambda: any(seconds > 60.0 for seconds in manual_clock.slept))
        await cc.aclose()
        with pytest.raises(errors.ClientClosed, match="next call of the backup"):
            await run


async def test_an_outage_is_waited_out(demo: Sandbox, cc: ConstantContact, tmp_path: Path) -> None:
    demo.admin.fault("unavailable", times=12, skip=6)
    result = await cc.backup(tmp_path)
    assert result.failed == ()
    assert digests(tmp_path) == held(demo)


@pytest.mark.parametrize("path", ["/lists", "/emailmarketing/campaigns/*", "/library/folders"])
async def test_a_call_that_the_service_always_fails_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, clock: SkippingClock, path: str
) -> None:
    draft = next(each.id for each in await cc.campaigns.all().collect() if each.status == "DRAFT")
    demo.admin.fault("server_error", "GET", path.replace("*", draft), times=None)
    began = clock.now
    result = await cc.backup(tmp_path)
    demo.admin.assert_faults_struck()
    (failed,) = result.failed
    assert "returned 500" in failed.reason
    assert result.rows["contacts"] == 120
    assert clock.now - began < 400.0
    demo.admin.clear_faults()
    assert (await cc.backup(tmp_path)).failed == ()


async def test_calls_that_fail_one_after_another_do_not_end_the_run(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)  # no file is left to be downloaded meanwhile
    for path in ("/account/info", "/account/verifiedemailaddresses", "/lists"):
        demo.admin.fault("server_error", "GET", path, times=None)
    result = await cc.backup(tmp_path)
    assert len(result.failed) == 3
    assert all("returned 500" in failed.reason for failed in result.failed)
    assert result.rows["contacts"] == 120
    demo.admin.clear_faults()
    assert (await cc.backup(tmp_path)).failed == ()
    assert digests(tmp_path) == held(demo)


async def test_a_dataset_of_which_every_call_fails_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, clock: SkippingClock
) -> None:
    await cc.backup(tmp_path)  # no file is left to be downloaded meanwhile
    demo.admin.fault("server_error", "GET", "/emailmarketing/campaigns/*", times=None)
    began = clock.now
    result = await cc.backup(tmp_path, full=True)
    assert {failed.dataset for failed in result.failed} >= {"campaigns"}
    assert result.rows["events"] > 0
    assert clock.now - began < 3 * 3600.0
    demo.admin.clear_faults()
    assert (await cc.backup(tmp_path)).failed == ()
    assert digests(tmp_path) == held(demo)


async def test_a_service_that_stays_away_ends_the_run(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    demo.admin.fault("unavailable", times=None, skip=6)
    with pytest.raises(errors.ServiceUnavailable):
        await cc.backup(tmp_path)
    demo.admin.clear_faults()
    assert (await cc.backup(tmp_path)).failed == ()
    assert digests(tmp_path) == held(demo)


@pytest.mark.parametrize("body", ["", UNKNOWN], ids=["gateway", "service"])
@pytest.mark.parametrize("dataset", LISTINGS)
async def test_a_listing_that_is_not_found_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, dataset: str, body: str
) -> None:
    own = {"body": body, "headers": JSON} if body else PAGE
    demo.admin.fault("answer", "GET", LISTINGS[dataset], status=404, **own, **ALWAYS)
    result = await cc.backup(tmp_path, trash=True)
    assert [(each.dataset, each.id) for each in result.failed] == [(dataset, "")]
    assert result.left_out == ()
    assert (await verify_backup(tmp_path)).faults == ()
    demo.admin.clear_faults()
    again = await cc.backup(tmp_path, trash=True)
    assert again.failed == ()
    assert again.rows == (await cc.backup(tmp_path / "other", trash=True)).rows


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("dataset", LISTINGS)
async def test_a_listing_that_a_gateway_forbids_fails_alone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, dataset: str, status: int
) -> None:
    demo.admin.fault("answer", "GET", LISTINGS[dataset], status=status, **PAGE, **ALWAYS)
    result = await cc.backup(tmp_path, trash=True)
    assert [(each.dataset, each.id) for each in result.failed] == [(dataset, "")]
    assert result.left_out == ()


REFUSALS: list[dict[str, Any]] = [
    {"status": 400, "body": "[]"},
    {"status": 400, "body": RETIRED},
    {"status": 401, **PAGE},
    {"status": 403, **PAGE},
    {"status": 403, "body": FORBIDDEN},
    {"status": 404, **PAGE},
    {"status": 404, "body": UNKNOWN},
    {"status": 410, **PAGE},
    {"status": 200, **PAGE},
    {"status": 200, "body": ""},
    {"status": 204, "body": ""},
    {"status": 302, "headers": {"location": "/x"}},
    {"status": 500, **PAGE},
    {"status": 200, "body": '{"meta": {"pagination": {"next_link": "x"}}, "results": []}'},
]
"""Responses that leave a listing incomplete."""


@pytest.mark.parametrize("pages", [0, 1])
@pytest.mark.parametrize("refusal", REFUSALS, ids=range(len(REFUSALS)))
async def test_contacts_are_listed_in_full_until_a_listing_was_complete(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, refusal: dict[str, Any], pages: int
) -> None:
    demo.admin.add_contacts(600)
    demo.admin.advance(3 * 86_400)
    fault: dict[str, Any] = {"headers": JSON, **refusal, **ALWAYS}
    demo.admin.fault("answer", "GET", "/contacts", skip=pages, **fault)
    result = await cc.backup(tmp_path)
    offered = refusal.get("body") not in (RETIRED, FORBIDDEN) or pages
    assert [each.dataset for each in result.failed or result.left_out] == ["contacts"]
    assert bool(result.failed) == offered
    demo.admin.clear_faults()
    demo.admin.advance(86_400)
    assert (await cc.backup(tmp_path)).rows["contacts"] == 720


@pytest.mark.parametrize("refusal", REFUSALS, ids=range(len(REFUSALS)))
async def test_changes_are_listed_since_the_last_complete_listing(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, refusal: dict[str, Any]
) -> None:
    await cc.backup(tmp_path)
    demo.admin.advance(3 * 86_400)
    demo.admin.add_contacts(600)
    demo.admin.advance(3 * 86_400)
    fault: dict[str, Any] = {"headers": JSON, **refusal, **ALWAYS}
    demo.admin.fault("answer", "GET", "/contacts", **fault)
    assert (await cc.backup(tmp_path)).rows["contacts"] == 120
    demo.admin.clear_faults()
    demo.admin.advance(3 * 86_400)
    assert (await cc.backup(tmp_path)).rows["contacts"] == 720
    assert "modified_since" in demo.admin.requests(path="/contacts")[-2].query


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("status", [403, 404])
async def test_tracking_rows_stay_if_a_gateway_refuses_their_listing(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, status: int, full: bool
) -> None:
    if full:
        await cc.backup(tmp_path)
        kept = lines(tmp_path / "tracking.jsonl")
    path = "/emailmarketing/campaigns/*/tracking"
    demo.admin.fault("answer", "GET", path, status=status, times=1, **PAGE)
    result = await cc.backup(tmp_path, full=full)
    (failed,) = result.failed
    assert (failed.dataset, failed.id, result.left_out) == ("tracking", "", ())
    if full:
        assert all(row in lines(tmp_path / "tracking.jsonl") for row in kept)
    again = await cc.backup(tmp_path)
    assert again.failed == ()
    assert again.rows == (await cc.backup(tmp_path / "other")).rows


@pytest.mark.parametrize("pages", [1, 2])
async def test_an_incomplete_listing_of_tracking_does_not_double_its_rows(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, pages: int
) -> None:
    await cc.backup(tmp_path)
    kept = lines(tmp_path / "tracking.jsonl")
    campaign = next(row["campaign_id"] for row in kept)
    path = f"/emailmarketing/campaigns/{campaign}/tracking"
    rows = [row for row in kept if row["campaign_id"] == campaign]
    for number in range(pages):
        answer(demo, path, page(*rows, cursor=f"c{number}"), times=1)
    demo.admin.fault("answer", "GET", path, status=403, **PAGE)
    result = await cc.backup(tmp_path, full=True)
    assert [(each.dataset, each.parent) for each in result.failed] == [("tracking", str(campaign))]
    assert result.rows["tracking"] == len(kept)
    assert lines(tmp_path / "tracking.jsonl") == kept
    again = await cc.backup(tmp_path)
    assert (again.failed, again.rows["tracking"]) == ((), len(kept))


async def test_tracking_rows_stay_if_the_service_no_longer_has_their_campaign(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    kept = lines(tmp_path / "tracking.jsonl")
    answer(demo, "/emailmarketing/campaigns/*/tracking", UNKNOWN, status=404, **ALWAYS)
    result = await cc.backup(tmp_path, full=True)
    assert (result.failed, result.left_out) == ((), ())
    assert lines(tmp_path / "tracking.jsonl") == kept


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("path", "dataset"),
    [
        ("/emailmarketing/campaigns/*/tracking/reports/summary", "reports"),
        ("/emailmarketing/campaigns/[0-9]*[0-9]", "campaigns"),
        ("/eventspot/events/*/registrants", "events_registrants"),
        ("/content/*", "library"),
    ],
)
async def test_a_refusal_of_a_gateway_is_a_failure(
    demo: Sandbox, tmp_path: Path, path: str, dataset: str, status: int
) -> None:
    demo.admin.fault("answer", "GET", path, status=status, **PAGE, **ALWAYS)
    async with ConstantContact(**demo.client_options() | {"per_second": None}) as cc:
        result = await cc.backup(tmp_path)
        demo.admin.assert_faults_struck()
        demo.admin.clear_faults()
        again, other = await cc.backup(tmp_path), await cc.backup(tmp_path / "other")
    assert {each.dataset for each in result.failed} >= {dataset}
    assert (result.left_out, result.vanished) == ((), 0)
    assert (again.failed, again.rows) == ((), other.rows)
    assert digests(tmp_path) == held(demo)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_gateway_cannot_say_that_a_row_is_gone(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, status: int
) -> None:
    await cc.backup(tmp_path)
    kept = lines(tmp_path / "library.jsonl")
    answer(demo, "/library/files", page(*kept[1:]))
    demo.admin.fault("answer", "GET", f"/library/files/{kept[0]['id']}", status=status, **PAGE)
    result = await cc.backup(tmp_path)
    assert [(each.dataset, each.id) for each in result.failed] == [("library", kept[0]["id"])]
    assert (result.left_out, result.vanished) == ((), 0)
    assert lines(tmp_path / "library.jsonl") == kept
