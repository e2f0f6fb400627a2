"""An upload with a lost response is found, sent again, or reported."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.uploads import SETTLE_TIME, settling
from ccv2_async.uploads import looks as folder_looks
from ccv2_async.uploads.ledger import BulkState, Entry, NoStore
from ccv2_async.uploads.prepare import prepare
from ccv2_async.uploads.settling import Sending
from tests.support.probes import nothing_left, until
from tests.support.servers import RawServer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock, SkippingClock
    from tests.support.servers import Request, Wire


@pytest.fixture
async def cc(connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock) -> Any:
    # The service's clock and ours agree in these tests: its listings are judged by its own.
    return await connect(sandbox)


def sends(sandbox: Sandbox) -> int:
    return len(sandbox.admin.requests("POST", "/library/files"))


def looks(sandbox: Sandbox) -> int:
    return len(sandbox.admin.requests("GET", "/library/files")) + len(
        sandbox.admin.requests("GET", "/library/folders/*/files")
    )


@pytest.mark.parametrize("kind", ["lose_response", "cut_response"])
async def test_a_lost_upload_that_arrived_is_adopted(
    connect: Callable[..., Any], sandbox: Sandbox, kind: Any
) -> None:
    cc = await connect(sandbox)
    sandbox.admin.fault(kind, "POST")
    file = await cc.library.upload(b"abc", name="menu.pdf")
    [stored] = sandbox.admin.files()
    assert file.id == stored["id"]
    assert sends(sandbox) == 1


@pytest.mark.parametrize("kind", ["lose_response", "server_error", "unavailable", "html"])
async def test_an_upload_into_a_folder_is_settled_there(
    cc: ConstantContact, sandbox: Sandbox, kind: Any
) -> None:
    folder = await cc.library.create_folder("Menus")
    sandbox.admin.fault(kind, "POST")
    file = await cc.library.upload(b"abc", name="menu.pdf", folder_id=folder.id)
    assert file.folder_id == folder.id
    assert len(sandbox.admin.files()) == 1
    arrived = kind == "lose_response"
    assert sends(sandbox) == (1 if arrived else 2)
    assert looks(sandbox) == (1 if arrived else 4), "three before the resend, one after it"


async def test_a_file_that_did_not_arrive_is_resent_after_the_settling_time(
    cc: ConstantContact, sandbox: Sandbox, clock: SkippingClock
) -> None:
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
    file = await cc.library.upload(b"abc", name="menu.pdf")
    assert [stored["id"] for stored in sandbox.admin.files()] == [file.id]
    assert sends(sandbox) == 2
    assert looks(sandbox) == 4, "three before the resend, one after it"
    assert sum(clock.slept) >= SETTLE_TIME, "the listing may lag behind"


async def test_an_upload_without_any_response_is_sent_at_most_twice(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000, times=None)
    with pytest.raises(errors.AmbiguousUpload) as caught:
        await cc.library.upload(b"abc", name="menu.pdf")
    error = caught.value
    assert (error.file_name, error.folder_id, error.candidates) == ("menu.pdf", "0", ())
    assert error.message.startswith(
        "upload of menu.pdf: the body was sent in full, but no complete"
    )
    assert "It was sent twice, and may be in folder 0. Look there before" in error.message
    assert error.sends == 2
    assert not error.safe_to_retry
    assert sends(sandbox) == 2
    assert looks(sandbox) == 6
    assert sandbox.admin.files() == []


async def test_an_upload_that_is_refused_after_a_lost_response_gives_both_reasons(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
    sandbox.admin.fault("answer", "POST", status=413, body="")
    with pytest.raises(errors.AmbiguousUpload) as caught:
        await cc.library.upload(b"abc", name="menu.pdf")
    assert caught.value.reason.startswith("the body was sent in full, but no complete response")
    assert "and sending it again failed (the service returned 413" in caught.value.reason
    assert "It was sent once, and may be in folder 0." in caught.value.message


async def test_a_second_lost_response_is_settled_too(cc: ConstantContact, sandbox: Sandbox) -> None:
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
    sandbox.admin.fault("lose_response", "POST")
    file = await cc.library.upload(b"abc", name="menu.pdf")
    assert [stored["id"] for stored in sandbox.admin.files()] == [file.id]
    assert sends(sandbox) == 2


async def test_a_lost_upload_does_not_adopt_the_file_of_a_cancelled_one(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("delay_response", "POST", seconds=30)
    given_up = asyncio.create_task(cc.library.begin_upload(b"abc", name="menu.pdf"))
    await until(sandbox.admin.files)
    given_up.cancel()
    await asyncio.wait([given_up])
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)

    poller = await cc.library.begin_upload(b"xyz", name="menu.pdf")

    assert [file["id"] for file in sandbox.admin.files()][1:] == [poller.id]
    assert poller.duplicates == ()
    assert sends(sandbox) == 3


async def test_on_ambiguous_raise_neither_looks_nor_resends(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("lose_response", "POST")
    with pytest.raises(errors.AmbiguousUpload, match=r"menu.pdf"):
        await cc.library.upload(b"abc", name="menu.pdf", on_ambiguous="raise")
    assert (sends(sandbox), looks(sandbox)) == (1, 0)


@pytest.mark.parametrize(
    "kind", ["unavailable", "garbage", "null", "html", "huge", "unauthorized", "over_ratelimit"]
)
async def test_an_upload_is_ambiguous_if_looking_fails(
    cc: ConstantContact, sandbox: Sandbox, kind: Any
) -> None:
    sandbox.admin.fault("lose_response", "POST")
    sandbox.admin.fault(kind, "GET", times=None)
    with pytest.raises(errors.AmbiguousUpload, match=r"and looking for it failed: ") as caught:
        await cc.library.upload(b"abc", name="menu.pdf")
    assert ".." not in caught.value.message
    assert caught.value.message.count("It was sent") == 1
    assert "try again" not in caught.value.message.lower()
    assert sends(sandbox) == 1


@pytest.mark.parametrize(
    "listing", ['{"results": null, "error": "timed out"}', '{"results": [], "errors": ["x"]}']
)
async def test_an_upload_is_not_resent_because_an_error_looks_like_an_empty_folder(
    cc: ConstantContact, sandbox: Sandbox, listing: str
) -> None:
    sandbox.admin.fault("lose_response", "POST", "/library/files")
    kind = {"content-type": "application/json"}
    sandbox.admin.fault(
        "answer", "GET", "/library/files", times=None, status=200, body=listing, headers=kind
    )
    with pytest.raises(errors.AmbiguousUpload, match=r"and looking for it failed: "):
        await cc.library.begin_upload(b"abc", name="menu.pdf")
    assert len(sandbox.admin.requests("POST", "/library/files")) == 1


async def test_a_stream_that_cannot_be_repeated_is_not_resent(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"abc"

    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
    with pytest.raises(errors.AmbiguousUpload):
        await cc.library.upload(once(), name="menu.pdf", length=3)
    assert sends(sandbox) == 1


async def test_a_file_that_existed_before_is_not_adopted(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    older = await cc.library.upload(b"abc", name="menu.pdf")
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
    newer = await cc.library.upload(b"abc", name="menu.pdf")
    assert newer.id != older.id
    assert len(sandbox.admin.files()) == 2


async def test_a_file_of_another_client_with_the_same_name_and_size_is_not_adopted(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    cc, other = await connect(sandbox), await connect(sandbox)
    sandbox.admin.fault("lose_response", "POST")
    sandbox.admin.fault("delay", "GET", path="/library/files", seconds=0.05)
    mine = asyncio.create_task(cc.library.upload(b"abc", name="menu.pdf"))
    await until(lambda: looks(sandbox))
    theirs = await other.library.begin_upload(b"xyz", name="menu.pdf")
    file = await mine
    assert {stored["id"] for stored in sandbox.admin.files()} == {file.id, theirs.id}
    assert file.id != theirs.id
    assert sends(sandbox) == 2


async def test_identical_uploads_do_not_adopt_each_others_files(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("lose_response", "POST", times=4)
    twins = [cc.library.upload(b"abc", name="menu.pdf") for _ in range(8)]
    files = await asyncio.gather(*twins)
    assert len({file.id for file in files}) == len(sandbox.admin.files()) == 8


async def test_many_unanswered_uploads_are_each_settled_once(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("lose_response", "POST", times=None, chance=0.3)
    sandbox.admin.fault("server_error", "POST", times=None, chance=0.2)
    results = await asyncio.gather(
        *(cc.library.begin_upload(b"%d" % n, name=f"{n}.pdf") for n in range(60)),
        return_exceptions=True,
    )
    found = [r.id for r in results if not isinstance(r, BaseException)]
    assert {type(r) for r in results if isinstance(r, BaseException)} <= {errors.AmbiguousUpload}
    stored = [file["name"] for file in sandbox.admin.files()]
    assert len(stored) == len(set(stored)), "none is there twice"
    assert len(found) == len(set(found)) >= 50


# --- uploads that an earlier process left unsettled


async def settle_earlier(
    cc: ConstantContact,
    clock: SkippingClock,
    *,
    size: int = 3,
    claimed: str = "",
    deadline: float | None = 900.0,
) -> str:
    """Settle an upload like a run with a journal does: it was being sent ten seconds ago."""
    uploader = cc.library._uploader
    uploader.claim([claimed] if claimed else [])
    upload = prepare(
        b"abc", folder_id="0", name="menu.pdf", description="", source="MyComputer",
        file_type=None, length=None, deadline=deadline,
    )  # fmt: skip
    entry = Entry(size=size, state=BulkState.SENDING, since=clock.time() - 10)
    async with uploader.alone(upload):
        job = await uploader.send(Sending(upload, entry, NoStore()))
    return job.id


async def test_an_upload_of_an_earlier_process_is_adopted_if_it_arrived(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    now = clock.time()
    service = Listings([row("5", now - 9), row("4", now - 60)], date=now)
    async with serving(service.serve) as server:
        assert await settle_earlier(await connect(server), clock) == "5"
    assert service.posts == 0


@pytest.mark.parametrize("options", [{"size": 4}, {"claimed": "5"}])
async def test_an_upload_of_an_earlier_process_that_did_not_arrive_is_sent_once(
    connect: Callable[..., Any], clock: SkippingClock, options: dict[str, Any]
) -> None:
    service = Listings([row("5", clock.time() - 9)])
    async with serving(service.serve) as server:
        cc = await connect(server)
        if "claimed" in options:
            with pytest.raises(errors.AmbiguousUpload):
                await settle_earlier(cc, clock, **options)
        else:  # of another size than the file has now, which is sent, arrives, and is found
            assert await settle_earlier(cc, clock, **options) == "5"
    assert service.posts == 1


class Crowded:
    """A service with a file "7" that an earlier process sent, and that is not processed yet.

    The first upload never reaches it, and it lists nothing before it has accepted the second.
    """

    def __init__(self, clock: SkippingClock, *, processes: bool = True, shows: bool = True) -> None:
        self.now = clock.time()
        self.processes, self.shows = processes, shows
        self.processed = False
        self.posts = 0
        self.listed: list[dict[str, Any]] | None = None

    async def serve(self, wire: Wire, request: Request) -> None:
        url = "/content/7" if self.processed else None
        earlier = row("7", self.now, url=url, status="Active" if url else "Uploaded")
        if request.method == "POST":
            self.posts += 1
            if self.posts == 1:
                wire.reset()
            else:
                self.listed = [row("8", self.now + 15, name="menu(1).pdf")]
                await wire.answer("202 Accepted", b"", "Id: 8")
        elif "/uploadstatus/" in request.target:
            if not self.processes:
                await wire.answer("401 Unauthorized", b"[]")
                return
            self.processed = True
            await wire.answer(body=b'[{"file_id": "7", "status": "Active"}]')
        elif request.target.startswith("/content/"):
            await wire.answer("200 OK" if self.shows else "404 Not Found", b"abc")
        elif request.target.endswith("/7"):
            await wire.answer(body=json.dumps(earlier).encode())
        else:
            rows = [] if self.listed is None else [*self.listed, earlier]
            body = {"meta": {"pagination": {}}, "results": rows}
            await wire.answer(body=json.dumps(body).encode())


async def test_a_file_of_the_same_name_is_compared_before_it_counts_as_a_copy(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Crowded(clock)
    async with serving(service.serve) as server:
        cc = await connect(server)
        poller = await cc.library.begin_upload(b"xyz", name="menu.pdf")
        assert (poller.id, poller.duplicates) == ("8", ())
        assert await settle_earlier(cc, clock) == "7"
    assert service.posts == 2


async def test_a_file_that_may_be_the_copy_of_another_upload_is_not_sent_again(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Crowded(clock, shows=False)
    async with serving(service.serve) as server:
        cc = await connect(server)
        poller = await cc.library.begin_upload(b"xyz", name="menu.pdf")
        assert (poller.id, poller.duplicates) == ("8", ("7",))
        service.shows = True
        with pytest.raises(errors.AmbiguousUpload) as caught:
            await settle_earlier(cc, clock)
    assert caught.value.candidates == ("7",)
    assert service.posts == 2


async def test_a_candidate_is_named_even_if_it_cannot_be_followed(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Crowded(clock, processes=False)
    service.listed = []
    async with serving(service.serve) as server:
        with pytest.raises(errors.AmbiguousUpload, match="looking for it failed") as caught:
            await settle_earlier(await connect(server), clock)
    assert caught.value.candidates == ("7",)


@pytest.mark.parametrize("deadline", [900.0, None])
async def test_a_look_that_the_service_does_not_answer_has_failed(
    connect: Callable[..., Any], clock: SkippingClock, deadline: float | None
) -> None:
    async def serve(_wire: Wire, _request: Request) -> None:
        await clock.advance(200)  # longer than a call may take

    async with serving(serve) as server:
        cc = await connect(server)
        with pytest.raises(errors.AmbiguousUpload, match="and looking for it failed: ") as caught:
            await settle_earlier(cc, clock, deadline=deadline)
    assert isinstance(caught.value.__cause__, errors.DeadlineExceeded)


async def test_a_candidate_is_named_even_if_there_is_no_time_to_follow_it(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Crowded(clock)
    service.listed = []

    async def serve(wire: Wire, request: Request) -> None:
        if "/uploadstatus/" in request.target:
            await clock.advance(100)
        await service.serve(wire, request)

    async with serving(serve) as server:
        cc = await connect(server)
        with cc.deadline(90), pytest.raises(errors.AmbiguousUpload, match="90 s were") as caught:
            await settle_earlier(cc, clock)
    assert caught.value.candidates == ("7",)


async def test_a_possible_copy_is_named_even_if_it_cannot_be_followed(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Crowded(clock, processes=False)
    async with serving(service.serve) as server:
        cc = await connect(server)
        poller = await cc.library.begin_upload(b"xyz", name="menu.pdf")
    assert (poller.id, poller.duplicates) == ("8", ("7",))


async def test_a_limited_number_of_claimed_ids_is_remembered(
    cc: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "CLAIMED_IDS", 2)
    uploader = cc.library._uploader
    uploader.claim(["1", "2", "3"])
    assert list(uploader._settler._claimed) == ["2", "3"]


# --- unusual listings


class Listings:
    """A service that loses the response to every upload, and lists what the test says."""

    content = b"abc"

    def __init__(self, *pages: list[dict[str, Any]], date: float | None = None) -> None:
        self.pages = pages
        self.date = date
        self.posts = 0
        self.gets: list[str] = []

    async def serve(self, wire: Wire, request: Request) -> None:
        if request.method == "POST":
            self.posts += 1
            wire.reset()
            return
        if request.target.startswith("/content/"):
            await wire.answer("200 OK", self.content)
            return
        self.gets.append(request.target)
        number = int(request.target.partition("next=")[2].partition("&")[0] or 0)
        more = {"next_link": f"/v2/library/files?next={number + 1}"}
        last = number + 1 >= len(self.pages)
        meta = {"pagination": {} if last else more}
        body = json.dumps({"meta": meta, "results": self.pages[number]}).encode()
        headers = [] if self.date is None else [f"Date: {formatdate(self.date, usegmt=True)}"]
        await wire.answer("200 OK", body, *headers)


def stamp(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def row(id_: str, created: float | None, **fields: Any) -> dict[str, Any]:
    url = f"/content/{id_}"
    given = {"id": id_, "name": "menu.pdf", "size": 3, "folder_id": "0", "url": url, **fields}
    return given if created is None else {**given, "created_date": stamp(created)}


async def settled(connect: Callable[..., Any], service: Listings, **options: Any) -> str:
    async with serving(service.serve) as server:
        cc = await connect(server, **options)
        return str((await cc.library.begin_upload(b"abc", name="menu.pdf")).id)


async def test_the_clock_of_the_service_may_be_hours_off(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    for skew in (-7200.0, 7200.0):
        now = clock.time() + skew
        service = Listings([row("5", now), row("4", now - 60), row("3", now + 60)], date=now)
        assert await settled(connect, service) == "5"


async def test_without_a_date_header_the_local_clock_may_be_a_minute_off(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    now = clock.time()
    assert await settled(connect, Listings([row("5", now - 50)])) == "5"
    service = Listings([row("5", now - 70)])
    with pytest.raises(errors.AmbiguousUpload, match=r"cannot be compared .* \(1 candidate: 5\)"):
        await settled(connect, service)
    assert service.posts == 1, "it may be the file on a wrong clock"


@pytest.mark.parametrize("id_", ["", "x,y", "a/b"])
async def test_a_row_with_an_id_that_no_file_can_have_is_never_adopted(
    connect: Callable[..., Any], clock: SkippingClock, id_: str
) -> None:
    service = Listings([row("5", clock.time()) | {"id": id_}])
    with pytest.raises(errors.AmbiguousUpload, match=r"\(1 candidate: in row 0\)"):
        await settled(connect, service)
    assert service.posts == 1


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, True),
        ({"size": None}, True),
        ({"size": 4}, False),
        ({"name": "menu(1).pdf"}, True),
        ({"name": "menus.pdf"}, False),
        ({"folder_id": None}, True),
        ({"folder_id": ""}, True),
        ({"folder_id": "-5"}, False),
    ],
)
async def test_candidates_are_found_by_name_size_and_folder(
    connect: Callable[..., Any], clock: SkippingClock, fields: dict[str, Any], found: bool
) -> None:
    service = Listings([row("5", clock.time(), **fields)])
    if found:
        assert await settled(connect, service) == "5"
        assert service.posts == 1
    else:
        with pytest.raises(errors.AmbiguousUpload):
            await settled(connect, service)
        assert service.posts == 2


async def test_a_file_without_a_date_is_a_candidate(connect: Callable[..., Any]) -> None:
    assert await settled(connect, Listings([row("5", None)])) == "5"


async def test_settling_pages_past_newer_files(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    now = clock.time()
    newer = [row(str(n), now, name=f"{n}.pdf") for n in range(50)]
    service = Listings(newer, newer, [row("5", now)], [row("4", now)])
    with pytest.raises(
        errors.AmbiguousUpload, match="more identical files than were sent"
    ) as caught:
        await settled(connect, service)
    assert caught.value.candidates == ("4", "5")
    assert "sort_by=CREATED_DATE_DESC" in service.gets[0]
    older = [row("1", now - 100_000, name="old.pdf")]
    service = Listings(newer, [row("5", now), *older], [row("4", now)])
    assert await settled(connect, service) == "5"
    assert len(service.gets) == 2, "what is older than the upload is not asked for"


async def test_an_endless_listing_leaves_the_upload_ambiguous(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    newer = [row("7", clock.time(), name="other.pdf")]
    service = Listings(*[newer] * (folder_looks.PAGES + 5))
    with pytest.raises(errors.AmbiguousUpload, match="newest files were checked"):
        await settled(connect, service)
    assert service.posts == 1


async def test_a_page_link_without_a_cursor_leaves_the_upload_ambiguous(
    connect: Callable[..., Any],
) -> None:
    async def serve(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            wire.reset()
            return
        meta = {"pagination": {"next_link": "/v2/library/files"}}
        await wire.answer(body=json.dumps({"meta": meta, "results": []}).encode())

    async with serving(serve) as server:
        cc = await connect(server)
        with pytest.raises(errors.AmbiguousUpload, match="no cursor"):
            await cc.library.begin_upload(b"abc", name="menu.pdf")


async def test_both_attempts_share_one_deadline(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    service, stalled = Listings([]), asyncio.Event()

    async def serve(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            service.posts += 1
            stalled.set()
            await asyncio.Event().wait()
        await service.serve(wire, request)

    async with serving(serve) as server:
        cc = await connect(server, clock=manual_clock)
        task = asyncio.create_task(cc.library.begin_upload(b"abc", name="menu.pdf", deadline=100))
        await stalled.wait()
        await manual_clock.advance(100)
        with pytest.raises(errors.AmbiguousUpload, match="within 100 s"):
            await task
    assert service.posts == 1, "there was no time left for a second"


# --- responses with 202


@pytest.mark.parametrize(
    "variant",
    ["id_only", "location_only", "relative", "other_host", "query", "status_form",
     "trailing_slash", "absurd"],
)  # fmt: skip
async def test_the_id_is_read_from_any_part_of_the_response(
    cc: ConstantContact, sandbox: Sandbox, variant: str
) -> None:
    sandbox.admin.fault("location", "POST", variant=variant)
    poller = await cc.library.begin_upload(b"abc", name="menu.pdf")
    assert [stored["id"] for stored in sandbox.admin.files()] == [poller.id]
    assert poller.location == f"{sandbox.base_url}/library/files/uploadstatus/{poller.id}"
    assert looks(sandbox) == 0
    assert (await poller).id == poller.id
    assert all(r.headers["host"] in sandbox.origin for r in sandbox.admin.requests())


async def test_location_overrides_a_contradicting_id(cc: ConstantContact, sandbox: Sandbox) -> None:
    sandbox.admin.fault("location", "POST", variant="contradicted")
    poller = await cc.library.begin_upload(b"abc", name="menu.pdf")
    assert poller.id == f"{sandbox.admin.files()[0]['id']}9999"


async def test_an_accepted_upload_without_an_id_is_settled_and_never_resent(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("location", "POST", variant="missing", times=2)
    file = await cc.library.upload(b"abc", name="menu.pdf")
    assert sandbox.admin.files()[0]["id"] == file.id
    sandbox.admin.fault("answer", "GET", path="/library/files", times=None, status=200,
                        headers={"content-type": "application/json"},
                        body='{"meta": {"pagination": {}}, "results": []}')  # fmt: skip
    with pytest.raises(errors.AmbiguousUpload, match=r"accepted it \(202\) but returned no ID"):
        await cc.library.upload(b"abcd", name="lost.pdf")
    assert sends(sandbox) == 2


async def test_an_upload_with_two_locations_that_differ_is_looked_for_and_never_resent(
    connect: Callable[..., Any],
) -> None:
    posts: list[str] = []

    async def serve(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            posts.append(request.line)
            links = [f"Location: /v2/library/files/{number}" for number in (7, 8)]
            await wire.answer("202 Accepted", b"", *links, json=False)
        else:
            await wire.answer(body=b'{"meta": {"pagination": {}}, "results": []}')

    async with serving(serve) as server:
        cc = await connect(server)
        with pytest.raises(errors.AmbiguousUpload, match="named different IDs"):
            await cc.library.begin_upload(b"abc", name="menu.pdf")
    assert len(posts) == 1


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted"])
async def test_any_success_status_is_accepted(connect: Callable[..., Any], status: str) -> None:
    async def serve(wire: Wire, _: Request) -> None:
        await wire.answer(status, b"", "Id: 77", json=False)

    async with serving(serve) as server:
        cc = await connect(server)
        assert (await cc.library.begin_upload(b"abc", name="menu.pdf")).id == "77"


async def test_a_success_with_a_truncated_body_is_accepted_by_its_headers(
    connect: Callable[..., Any],
) -> None:
    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.write(b"HTTP/1.1 202 Accepted\r\nId: 77\r\nContent-Length: 9\r\n\r\n{")
        wire.writer.close()

    async with RawServer(script) as server:
        cc = await connect(server)
        assert (await cc.library.begin_upload(b"abc", name="menu.pdf")).id == "77"
        assert server.connections == 1


@pytest.mark.parametrize("sent", [1, 2])
async def test_closing_the_client_ends_the_pause_before_a_look(
    connect: Callable[..., Any], sandbox: Sandbox, manual_clock: ManualClock, sent: int
) -> None:
    sandbox.admin.configure(listing_lag=3600.0)
    sandbox.admin.fault("server_error", "POST")
    cc = await connect(sandbox, clock=manual_clock)
    task = asyncio.create_task(cc.library.begin_upload(b"abc", name="menu.pdf"))
    await until(lambda: any(manual_clock.slept))
    if sent == 2:
        await manual_clock.advance(4.0)
        await until(lambda: sum(manual_clock.slept) > 14.0)
        await manual_clock.advance(11.0)
        await until(lambda: sum(manual_clock.slept) > 18.0)
    assert sends(sandbox) == sent
    await cc.aclose()
    async with asyncio.timeout(5):
        if sent == 2:
            assert (await task).id == sandbox.admin.files()[0]["id"]
            return
        with pytest.raises(errors.AmbiguousUpload) as caught:
            await task
    assert isinstance(caught.value.__cause__, errors.ClientClosed)


# --- refused, killed


async def test_a_413_before_the_body_is_read_raises_at_once(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    sandbox.admin.fault("too_large_early", "POST")
    cc = await connect(sandbox)
    with pytest.raises(errors.BadRequest, match="larger than the service accepts") as caught:
        await cc.library.begin_upload(b"x" * 5_000_000, name="menu.pdf")
    assert caught.value.status == 413
    assert sends(sandbox) == 1


async def test_a_413_from_a_server_that_hangs_up_raises(
    connect: Callable[..., Any],
) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.answer("413 Too Large", b"", "Connection: close")
        wire.writer.write_eof()
        await wire.reader.read(200_000)
        await asyncio.sleep(0.01)

    async with RawServer(script) as server, nothing_left():
        cc = await connect(server)
        with pytest.raises((errors.BadRequest, errors.ConnectionLost)) as caught:
            await cc.library.begin_upload(b"x" * 20_000_000, name="menu.pdf")
        assert getattr(caught.value, "status", 413) == 413
        assert server.connections <= 2, "a lost connection in the middle is tried once more"
        await cc.aclose()


async def test_a_file_that_is_too_large_is_refused_by_the_service(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.configure(max_upload_size=1000)
    with pytest.raises(errors.BadRequest) as caught:
        await cc.library.begin_upload(b"x" * 2000, name="menu.pdf")
    assert caught.value.status == 413


async def test_a_service_killed_during_an_upload_is_an_error(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "large.pdf"
    path.write_bytes(os.urandom(4_000_000))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ccv2_async.cli", "sandbox", "--port", "0", "--json",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        options = json.loads(await process.stdout.readline())
        cc = await connect(**options)
        await cc.library.info()

        async def slowly() -> AsyncIterator[bytes]:
            content = path.read_bytes()
            yield content[:2_000_000]
            process.kill()
            await process.wait()
            for start in range(2_000_000, len(content), 100_000):
                yield content[start : start + 100_000]
                await asyncio.sleep(0)

        with pytest.raises(errors.TransportError) as caught:
            await cc.library.upload(lambda: slowly(), name="large.pdf", length=4_000_000)  # noqa: PLW0108  # a function
        assert caught.value.safe_to_retry
        assert caught.value.sent != "wholly"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves its pipe open
