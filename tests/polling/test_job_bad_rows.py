"""An unreadable status fails its own job and no other."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ccv2_async import errors
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.models.convert import BadRow
from ccv2_async.polling import job as jobs
from ccv2_async.polling.poller import ActivityPoller, UploadPoller
from ccv2_async.uploads.status import UPLOAD
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.polling.job import JobKind
    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire

COUNT = 30
BAD = "7"


def active(id_: str) -> dict[str, str]:
    return {"file_id": id_, "status": "Active"}


def file(id_: str) -> dict[str, Any]:
    return {"id": id_, "name": f"{id_}.png", "status": "Active", "size": 3}


class Service:
    """A server that answers status requests with `told()`, and file requests with files."""

    def __init__(self, told: Callable[[list[str]], Any]) -> None:
        self.told = told
        self.looks: list[list[str]] = []

    async def __call__(self, wire: Wire, request: Request) -> None:
        path = request.target.partition("?")[0]
        if "/uploadstatus/" in path:
            ids = path.rpartition("/")[2].replace("%2C", ",").split(",")
            self.looks.append(ids)
            told = self.told(ids)
            await wire.answer(body=told if isinstance(told, bytes) else orjson.dumps(told))
        else:
            await wire.answer(body=orjson.dumps(file(path.rpartition("/")[2])))


def instead(bad: Any) -> Callable[[list[str]], Any]:
    """Return the rows, with `bad` in place of the row of one job."""
    return lambda ids: [bad if id_ == BAD else active(id_) for id_ in ids]


def pollers(cc: Any, count: int = COUNT) -> list[UploadPoller]:
    parts = cc._open_parts
    return [
        UploadPoller(parts.session, parts.sweep, parts.sweep.start(UPLOAD, f"{number}"))
        for number in range(1, count + 1)
    ]


BAD_ROWS: dict[str, Any] = {
    "an empty object": {},
    "null": None,
    "text": "Active",
    "a number": 7,
    "an array": ["7", "Active"],
    "a status that is null": {"file_id": BAD, "status": None},
    "no status": {"file_id": BAD},
    "an empty status": {"file_id": BAD, "status": ""},
    "a status that is an object": {"file_id": BAD, "status": {"name": "Active"}},
    "an id that is null": {"file_id": None, "status": "Active"},
    "an id that is an array": {"file_id": [BAD], "status": "Active"},
    "a description that is an object": {"file_id": BAD, "status": "Active", "description": {}},
    "two ends": "twice",
}


@pytest.mark.parametrize("kind", BAD_ROWS)
async def test_a_bad_row_fails_its_own_job_and_no_other(
    connect: Callable[..., Any], kind: str
) -> None:
    bad = BAD_ROWS[kind]
    told = instead(bad)
    if bad == "twice":
        told = lambda ids: [*instead(active(BAD))(ids), {"file_id": BAD, "status": "Failed"}]  # noqa: E731
    async with serving(Service(told)) as server:
        cc = await connect(server)
        listed = pollers(cc)
        results = await cc.wait_all(listed, return_errors=True)
        assert [result.id for result in results] == [poller.id for poller in listed]
        (failed,) = [result for result in results if isinstance(result, errors.JobError)]
        assert isinstance(failed, errors.StatusUnreadable)
        assert failed.row
        assert len(failed.message) < 1000
        assert cc.resume(failed.token).id == BAD


@pytest.mark.parametrize("kind", [kind for kind in BAD_ROWS if kind != "two ends"])
async def test_a_row_that_is_bad_for_a_while_fails_nothing(
    connect: Callable[..., Any], kind: str
) -> None:
    def told(ids: list[str]) -> Any:
        told_well = len(service.looks) > 3
        return [active(id_) for id_ in ids] if told_well else instead(BAD_ROWS[kind])(ids)

    service = Service(told)
    async with serving(service) as server:
        cc = await connect(server)
        results = await cc.wait_all(pollers(cc))
        assert {result.status for result in results} == {"Active"}


GARBLED: dict[str, Any] = {
    "an object in place of the array": {"error_key": "x", "error_message": "y"},
    "text": "no",
    "no JSON": b"<html>",
    "nothing but garbage": [{}] * 300,
}


@pytest.mark.parametrize("kind", [kind for kind in GARBLED if kind != "no JSON"])
async def test_a_job_that_spoils_every_batch_does_not_fail_the_others(
    connect: Callable[..., Any], kind: str
) -> None:
    def told(ids: list[str]) -> Any:
        return GARBLED[kind] if BAD in ids else [active(id_) for id_ in ids]

    async with serving(Service(told)) as server:
        cc = await connect(server)
        results = await cc.wait_all(pollers(cc), return_errors=True)
    failed = [result for result in results if isinstance(result, errors.JobError)]
    assert [error.id for error in failed] == [BAD]
    assert type(failed[0]) is errors.StatusUnreadable


async def test_a_job_that_makes_every_batch_fail_is_polled_alone(
    connect: Callable[..., Any],
) -> None:
    def told(ids: list[str]) -> Any:
        return b"<html>" if BAD in ids else [active(id_) for id_ in ids]

    async with serving(Service(told)) as server:
        cc = await connect(server)
        ended = cc.as_completed(pollers(cc))
        async with aclosing(ended):
            found = {(await anext(ended)).id for _ in range(COUNT - 1)}
    assert len(found) == COUNT - 1
    assert BAD not in found


@pytest.mark.parametrize("kind", GARBLED)
async def test_a_single_poller_survives_garbled_responses(
    connect: Callable[..., Any], kind: str
) -> None:
    def told(ids: list[str]) -> Any:
        return GARBLED[kind] if len(service.looks) < 10 else [active(id_) for id_ in ids]

    service = Service(told)
    async with serving(service) as server:
        cc = await connect(server)
        assert (await pollers(cc, 1)[0]).status == "Active"


async def test_a_readable_row_beats_garbage_and_a_final_row_beats_an_older_one(
    connect: Callable[..., Any],
) -> None:
    def told(ids: list[str]) -> Any:
        processing = [{"file_id": id_, "status": "Processing"} for id_ in ids]
        garbage: list[Any] = [{}, None, 5, {"file_id": BAD}, {"file_id": "other", "status": "x"}]
        return [*processing, *garbage, *(active(id_) for id_ in ids), *processing, *garbage]

    async with serving(Service(told)) as server:
        cc = await connect(server)
        results = await cc.wait_all(pollers(cc))
        assert {result.status for result in results} == {"Active"}


async def test_hundreds_of_files_succeed_except_the_unreadable_ones(
    connect: Callable[..., Any],
) -> None:
    bad = {f"{number}" for number in range(20, 300, 40)}

    def told(ids: list[str]) -> Any:
        return [{} if id_ in bad else active(id_) for id_ in ids]

    async with serving(Service(told)) as server:
        cc = await connect(server)
        results = await cc.wait_all(pollers(cc, 300), return_errors=True)
    failed = {result.id for result in results if isinstance(result, errors.JobError)}
    assert failed == bad


async def test_the_raw_row_is_short_and_free_of_secrets(connect: Callable[..., Any]) -> None:
    row = {"file_id": BAD, "status": None, "note": "sandbox-token " + "x" * 5000 + " sandbox-key"}
    async with serving(Service(instead(row))) as server:
        cc = await connect(server)
        with pytest.raises(errors.StatusUnreadable) as caught:
            await pollers(cc)[int(BAD) - 1]
    shown = f"{caught.value!r} {caught.value.row} {vars(caught.value)}"
    assert "sandbox-token" not in shown
    assert "sandbox-key" not in shown
    assert BAD in caught.value.row
    assert len(caught.value.row) <= 500


async def test_upload_many_gives_each_file_its_result(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    numbers = iter(range(1, 100))

    async def say(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            location = f"Location: {server.base_url}/library/files/uploadstatus/{next(numbers)}"
            await wire.answer("202 Accepted", b"", location)
        else:
            await service(wire, request)

    paths = [tmp_path / f"{number}.png" for number in range(10)]
    for path in paths:
        path.write_bytes(b"x")
    service = Service(instead({"file_id": BAD}))
    async with serving(say) as server:
        cc = await connect(server)
        journal = tmp_path / "journal.db"
        results = [result async for result in cc.upload_many(paths, journal=journal)]
        failed = [result for result in results if result.error is not None]
        assert len(results) == 10
        assert [type(result.error) for result in failed] == [errors.StatusUnreadable]

        service.told = lambda ids: [active(id_) for id_ in ids]
        again = [result async for result in cc.upload_many(paths, journal=journal)]
        assert all(result.error is None for result in again)
        assert next(numbers) == 11


class Activities:
    """A server that answers requests for the summary and for single activities."""

    def __init__(self, summary: Any, single: Callable[[str], Any]) -> None:
        self.summary = summary
        self.single = single

    async def __call__(self, wire: Wire, request: Request) -> None:
        name = request.target.partition("?")[0].rpartition("/")[2]
        told = self.summary if name == "activities" else self.single(name)
        await wire.answer(body=told if isinstance(told, bytes) else orjson.dumps(told))


def complete(id_: str) -> dict[str, Any]:
    return {"id": id_, "type": "ADD_CONTACTS", "status": "COMPLETE", "contact_count": 1}


def activities(cc: Any) -> list[ActivityPoller]:
    parts = cc._open_parts
    return [
        ActivityPoller(parts.session, parts.sweep, parts.sweep.start(ACTIVITY, id_))
        for id_ in ("a1", "a2", "a3")
    ]


BAD_ACTIVITIES: dict[str, Any] = {
    "an empty object": {},
    "null": None,
    "text": "COMPLETE",
    "a status that is null": {"id": "a2", "status": None},
    "a status that is an array": {"id": "a2", "status": ["COMPLETE"]},
    "errors that are text": {"id": "a2", "status": "COMPLETE", "errors": "none"},
}


@pytest.mark.parametrize("kind", BAD_ACTIVITIES)
async def test_a_bad_summary_row_is_polled_by_its_id(
    connect: Callable[..., Any], kind: str
) -> None:
    summary = [complete("a1"), BAD_ACTIVITIES[kind], complete("a3")]
    async with serving(Activities(summary, complete)) as server:
        cc = await connect(server)
        results = await cc.wait_all(activities(cc))
    assert [result.id for result in results] == ["a1", "a2", "a3"]


@pytest.mark.parametrize("kind", BAD_ACTIVITIES)
async def test_an_activity_that_stays_unreadable_fails_alone(
    connect: Callable[..., Any], kind: str
) -> None:
    bad = BAD_ACTIVITIES[kind]

    def single(id_: str) -> Any:
        return bad if id_ == "a2" else complete(id_)

    async with serving(Activities([complete("a1"), bad, complete("a3")], single)) as server:
        cc = await connect(server)
        results = await cc.wait_all(activities(cc), return_errors=True)
    assert [type(result).__name__ for result in results] == [
        "Activity",
        "StatusUnreadable",
        "Activity",
    ]


HEAVY = b'{"id": "a2", "status": "COMPLETE", "errors": [' + b"{}," * 260_000 + b"{}]}"
UNREADABLE_DOCUMENTS: dict[str, bytes] = {
    "too many values": HEAVY,
    "more than 16 MB": HEAVY.ljust(17_000_000),
    "not UTF-8": b'{"id": "a2", "status": "COMPLETE", "errors": ["Line 2: \xff"]}',
    "cut": b'{"id": "a2", "stat',
}


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("kind", UNREADABLE_DOCUMENTS)
async def test_an_activity_whose_document_is_never_readable_is_given_up(
    connect: Callable[..., Any], clock: SkippingClock, kind: str, several: bool
) -> None:
    bad = UNREADABLE_DOCUMENTS[kind]

    def single(id_: str) -> Any:
        return bad if id_ == "a2" else complete(id_)

    async with serving(Activities([complete("a1"), complete("a3")], single)) as server:
        cc = await connect(server)
        before = clock.now
        followed = activities(cc) if several else activities(cc)[1:2]
        *others, error = sorted(await cc.wait_all(followed, return_errors=True), key=repr)
    assert isinstance(error, errors.StatusUnreadable)
    assert ".. The client" not in error.message
    assert 60 < clock.now - before < 600
    assert [other.id for other in others] == (["a1", "a3"] if several else [])


async def test_an_activity_is_waited_for_while_pages_come_instead(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    began = clock.now

    def single(id_: str) -> Any:
        return b"<html>Try later" if clock.now - began < 900 else complete(id_)

    async with serving(Activities(b"Try later", single)) as server:
        assert (await activities(await connect(server))[0]).status == "COMPLETE"


@pytest.mark.parametrize("summary", [HEAVY, b'[{"id": "a9", "status": "\xff'], ids=["heavy", "cut"])
async def test_an_unreadable_summary_fails_no_split_import(
    connect: Callable[..., Any], summary: bytes
) -> None:
    numbers = iter(range(1, 3))

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            await wire.answer("201 Created", b'{"id": "a%d"}' % next(numbers))
        else:
            await Activities(summary, complete)(wire, request)

    async with serving(answer) as server:
        cc = await connect(server)
        poller = await cc.activities.begin_add_contacts(
            ["a@b.co", "b@b.co"], lists=["1"], max_rows=1
        )
        assert (await poller).contact_count == 2


@pytest.mark.parametrize("told", [b"[" + b" " * 1_100_000 + b"]", b'[{"file_id": "1\xff'])
async def test_an_upload_whose_status_is_never_readable_is_given_up(
    connect: Callable[..., Any], clock: SkippingClock, told: bytes
) -> None:
    async with serving(Service(lambda ids: told)) as server:
        cc = await connect(server)
        before = clock.now
        with pytest.raises(errors.StatusUnreadable):
            await pollers(cc, 1)[0]
        assert 60 < clock.now - before < 300


async def test_warnings_about_unknown_statuses_are_few_and_short(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "_warned", set())
    with caplog.at_level(logging.WARNING, "ccv2_async.polling"):
        for number in range(10_000):
            word, _ = UPLOAD.read(f"{number}" + "x" * 10_000)
            assert len(word) == jobs.LONGEST_WORD
    assert len(jobs._warned) == jobs.MOST_WARNINGS
    assert sum(len(word) for _, word in jobs._warned) <= jobs.MOST_WARNINGS * jobs.LONGEST_WORD
    assert len(caplog.records) == jobs.MOST_WARNINGS
    assert "Further unknown statuses are not logged" in caplog.messages[-1]
    await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [UPLOAD, ACTIVITY], ids=["upload", "activity"])
async def test_many_rows_are_read_in_a_thread(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kind: JobKind
) -> None:
    # A thousand bad rows, 3 KB compressed, blocked the event loop for half a second at each look.
    row = {"file_id": "1", "id": "1", "status": [], "more": "\\u0041" * 80}
    seen: list[threading.Thread] = []
    original = BadRow.id

    def noted(bad: BadRow, *fields: str) -> str:
        seen.append(threading.current_thread())
        return original(bad, *fields)

    async def say(wire: Wire, request: Request) -> None:
        alone = "/activities/" in request.target
        await wire.answer(body=orjson.dumps(row if alone else [row] * 1000))

    monkeypatch.setattr(BadRow, "id", noted)
    async with serving(say) as server:
        session = (await connect(server))._open_parts.session
        await kind.ask(session, ["1", "2"])
    assert len(seen) >= 1000
    assert threading.current_thread() not in seen
