"""No file is lost and no second copy goes unreported, for any clock, lag, or other client."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import unicodedata
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, errors
from ccv2_async.observe import DuplicateUpload, UploadFound
from ccv2_async.sandbox import Sandbox
from tests.support.probes import until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the machine's time zone to New York."""
    monkeypatch.setitem(os.environ, "TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def posts(sandbox: Sandbox) -> int:
    return len(sandbox.admin.requests("POST", "/library/files"))


class Service:
    """A service whose first upload is stored, but answered as the test says.

    Args:
        date: The Date header; None for none.
        first: The response to the first upload; None resets the connection.
        created: Returns the creation date of a file, given the time.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        date: str | None = None,
        first: tuple[str, ...] | None = None,
        created: float = 0.0,
        shown: bool = True,
    ) -> None:
        self.now, self.date, self.first, self.created = now, date, first, created
        self.shown = shown
        self.stored: list[dict[str, Any]] = []

    async def serve(self, wire: Wire, request: Request) -> None:
        headers = () if self.date is None else (f"Date: {self.date}",)
        if request.method == "POST":
            number = len(self.stored)
            self.stored.append(
                {
                    "id": str(number + 7),
                    "name": f"menu({number}).pdf" if number else "menu.pdf",
                    "size": 3,
                    "url": f"/content/{number + 7}",
                    "created_date": stamp(self.now() + self.created),
                }
            )
            if number == 0 and self.first is None:
                wire.reset()
            elif number == 0 and self.first is not None:
                status, *more = self.first
                await wire.answer(status, b"", *headers, *more)
            else:
                await wire.answer("202 Accepted", b"", f"Location: /v2/library/files/{number + 7}")
        elif request.target.startswith("/content/"):
            await wire.answer("200 OK", b"abc")
        else:
            rows = self.stored[::-1] if self.shown else []
            body = json.dumps({"meta": {"pagination": {}}, "results": rows}).encode()
            await wire.answer("200 OK", body, *headers)


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


async def upload(cc: ConstantContact, **options: Any) -> Any:
    return await cc.library.begin_upload(b"abc", name="menu.pdf", **options)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "form", ["%a %b %e %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S -0000", "%a, %d %b %Y %H:%M:%S"]
)
async def test_a_date_without_a_zone_is_not_read_as_local_time(
    connect: Callable[..., Any], clock: SkippingClock, form: str
) -> None:
    service = Service(clock.time, date=time.strftime(form, time.gmtime(clock.time())))
    async with serving(service.serve) as server:
        assert (await upload(await connect(server))).id == "7"
    assert len(service.stored) == 1


@pytest.mark.parametrize("seconds", [-50.0, -5.0, 5.0, 50.0])
async def test_the_two_clocks_of_the_service_may_differ(
    connect: Callable[..., Any], seconds: float
) -> None:
    with Sandbox(mode="at_once", created_offset=seconds) as sandbox:
        cc = await connect(sandbox)
        sandbox.admin.fault("lose_response", "POST")
        poller = await upload(cc)
        assert [file["id"] for file in sandbox.admin.files()] == [poller.id]


@pytest.mark.parametrize("seconds", [-1800.0, -100.0, 100.0, 1800.0, 5 * 3600.0, 1e8])
async def test_a_file_dated_by_a_wrong_clock_is_reported_and_not_resent(
    connect: Callable[..., Any], seconds: float
) -> None:
    with Sandbox(mode="at_once", created_offset=seconds) as sandbox:
        cc = await connect(sandbox)
        sandbox.admin.fault("lose_response", "POST")
        with pytest.raises(errors.AmbiguousUpload) as caught:
            await upload(cc)
        assert [file["id"] for file in sandbox.admin.files()] == list(caught.value.candidates)
        assert caught.value.sends == 1


@pytest.mark.parametrize("hours", [-30, -5])
async def test_a_second_copy_is_detected_by_the_clock_that_dated_both(
    connect: Callable[..., Any], hours: int
) -> None:
    with Sandbox(mode="at_once", created_offset=hours * 3600.0) as sandbox:
        cc = await connect(sandbox)
        sandbox.admin.fault("lose_response", "POST")
        poller = await upload(cc)
        assert {file["id"] for file in sandbox.admin.files()} == {poller.id, *poller.duplicates}
        assert len(poller.duplicates) == 1


async def test_a_local_clock_of_years_ago_does_not_lead_to_a_second_copy(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Service(clock.time, created=1e8)
    async with serving(service.serve) as server:
        with pytest.raises(errors.AmbiguousUpload) as caught:
            await upload(await connect(server))
    assert (caught.value.sends, caught.value.candidates) == (1, ("7",))
    assert len(service.stored) == 1


async def test_the_local_clock_may_be_set_back_during_the_upload(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Service(clock.time)

    async def serve(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            await service.serve(wire, request)
            clock._offset -= 10
        else:
            await service.serve(wire, request)

    async with serving(serve) as server:
        assert (await upload(await connect(server))).id == "7"
    assert len(service.stored) == 1


@pytest.mark.parametrize("back", [2 * 3600.0, 24 * 3600.0, 365 * 24 * 3600.0])
async def test_the_local_clock_may_be_set_back_between_two_runs(
    connect: Callable[..., Any], clock: SkippingClock, tmp_path: Path, back: float
) -> None:
    file, start = tmp_path / "menu.pdf", clock.time() - clock.monotonic()
    file.write_bytes(b"abc")

    def now() -> float:  # by the clock of the service, which nobody sets
        return start + clock.monotonic()

    class Dated(Service):
        async def serve(self, wire: Wire, request: Request) -> None:
            self.date = format_datetime(datetime.fromtimestamp(now(), UTC), usegmt=True)
            await super().serve(wire, request)

    async def run(**options: Any) -> list[Any]:
        cc = await connect(server, **options)
        return [result async for result in cc.upload_many([file], journal=tmp_path / "journal")]

    service = Dated(now)
    async with serving(service.serve) as server:
        with pytest.raises(errors.DailyQuotaExceeded):  # before it could look
            await run(per_day=1)
        await clock.advance(3 * 3600.0)
        clock.suspend(-back)
        (result,) = await run()
    assert isinstance(result.error, errors.AmbiguousUpload)
    assert result.error.candidates == ("7",)
    assert len(service.stored) == 1


@pytest.mark.parametrize("seconds", [3.0, 55.0])
async def test_an_upload_dated_before_an_earlier_one_is_found(
    connect: Callable[..., Any], clock: SkippingClock, seconds: float
) -> None:
    service = Service(clock.time, first=("202 Accepted", "Location: /v2/library/files/7"))

    async def serve(wire: Wire, request: Request) -> None:
        if request.method == "POST" and service.stored:
            # Another server of the service takes it, whose clock is behind.
            service.stored.append(
                service.stored[0]
                | {"id": "8", "size": 2, "created_date": stamp(clock.time() - seconds)}
            )
            wire.reset()
        elif request.target.startswith("/content/"):
            await wire.answer("200 OK", b"ab")
        else:
            service.stored.sort(key=lambda file: file["created_date"])
            await service.serve(wire, request)

    async with serving(serve) as server:
        cc = await connect(server)
        await upload(cc)
        poller = await cc.library.begin_upload(b"ab", name="menu.pdf")
    assert (poller.id, poller.duplicates) == ("8", ())
    assert len(service.stored) == 2


@pytest.fixture
async def patient() -> AsyncIterator[Callable[..., Any]]:
    """Opens clients on the real clock, with a short settling time."""
    clients: list[ConstantContact] = []

    async def opened(sandbox: Sandbox, **options: Any) -> ConstantContact:
        given: dict[str, Any] = {**sandbox.client_options(), **options}
        cc = ConstantContact(**given)
        await cc.open()
        clients.append(cc)
        return cc

    yield opened
    for cc in clients:
        await cc.aclose()


async def test_a_lagging_listing_is_waited_for(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    with Sandbox(mode="at_once", listing_lag=4.0, clock=clock) as sandbox:
        cc = await connect(sandbox, settle_time=20)
        sandbox.admin.fault("lose_response", "POST")
        poller = await upload(cc)
        assert [file["id"] for file in sandbox.admin.files()] == [poller.id]


@pytest.mark.parametrize("on_duplicate", ["report", "trash"])
async def test_a_listing_that_lags_longer_reveals_both_copies(
    connect: Callable[..., Any], clock: SkippingClock, on_duplicate: str
) -> None:
    seen: list[Any] = []
    with Sandbox(mode="at_once", listing_lag=100.0, clock=clock) as sandbox:
        cc = await connect(sandbox, settle_time=90, on_event=seen.append)
        # The settling time ends just before the first copy shows, and begins again after a resend.
        sandbox.admin.fault("lose_response", "POST")
        poller = await upload(cc, on_duplicate=on_duplicate)
        copies = [file["id"] for file in sandbox.admin.files()]
        trashed = [file["id"] for file in sandbox.admin.files() if file["status"] == "Deleted"]
    [told] = [event for event in seen if isinstance(event, DuplicateUpload)]
    assert len(copies) == 2
    if on_duplicate == "report":
        assert {poller.id, *poller.duplicates} == set(copies)
        assert (told.id, told.duplicates, told.trashed) == (poller.id, poller.duplicates, ())
        assert trashed == []
    else:
        assert [poller.id] == copies[:1], "the one with the name that was asked for"
        assert list(told.trashed) == trashed == copies[1:]
        assert poller.duplicates == told.duplicates == ()


async def test_a_copy_is_not_reported_as_trashed_if_a_page_answers(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    seen: list[Any] = []
    with Sandbox(mode="at_once", listing_lag=100.0, clock=clock) as sandbox:
        cc = await connect(sandbox, settle_time=90, on_event=seen.append)
        sandbox.admin.fault("lose_response", "POST")
        html = {"content-type": "text/html"}
        sandbox.admin.fault("answer", "DELETE", status=200, body="<html>Log in", headers=html)
        poller = await upload(cc, on_duplicate="trash")
        kept, copy = [file["id"] for file in sandbox.admin.files()]
    [told] = [event for event in seen if isinstance(event, DuplicateUpload)]
    assert (poller.id, poller.duplicates) == (kept, (copy,))
    assert (told.duplicates, told.trashed) == ((copy,), ())


async def test_older_files_are_never_trashed_as_copies_of_an_upload_that_is_not_listed_yet(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    with Sandbox(mode="at_once", listing_lag=100.0, clock=clock) as sandbox:
        cc, other = await connect(sandbox, settle_time=20), await connect(sandbox)
        older = [(await upload(other)).id for _ in range(2)]
        await clock.sleep(7 * 86400)
        sandbox.admin.fault("server_error", "POST")
        poller = await upload(cc, on_duplicate="trash")
        stored = {file["id"]: file["status"] for file in sandbox.admin.files()}
    assert stored == dict.fromkeys([*older, poller.id], "Active")


async def test_nothing_is_trashed_if_there_are_more_copies_than_were_sent(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    with Sandbox(mode="at_once", listing_lag=100.0, clock=clock) as sandbox:
        cc, other = await connect(sandbox, settle_time=90), await connect(sandbox)
        for _ in range(2):
            await upload(other)
        # Its resend finds both files of the other client, which show only now.
        sandbox.admin.fault("server_error", "POST")
        poller = await upload(cc, on_duplicate="trash")
        stored = sandbox.admin.files()
    assert [file["status"] for file in stored] == ["Active"] * 3
    assert {poller.id, *poller.duplicates} == {file["id"] for file in stored}


@pytest.mark.parametrize("record", ["its own", "that of another file"])
async def test_a_second_copy_missing_from_listings_is_detected_by_its_numbered_name(
    patient: Callable[..., Any], caplog: pytest.LogCaptureFixture, record: str
) -> None:
    seen: list[Any] = []
    with Sandbox(mode="at_once", listing_lag=100.0) as sandbox:
        cc = await patient(sandbox, settle_time=0.1, on_event=seen.append)
        sandbox.admin.fault("lose_response", "POST")
        if record != "its own":
            other = '{"id": "1", "name": "menu.pdf", "size": 3}'
            sandbox.admin.fault("answer", "GET", "/library/files/*", status=200, body=other)
        with caplog.at_level(logging.WARNING, "ccv2_async.uploads"):
            poller = await upload(cc)
        assert len(sandbox.admin.files()) == 2
    assert [event for event in seen if isinstance(event, DuplicateUpload)] == [
        DuplicateUpload("menu.pdf", "0", poller.id, ())
    ]
    assert "may have been stored more than once in folder 0" in caplog.text


async def test_a_resend_that_is_the_only_copy_is_not_reported_as_a_duplicate(
    patient: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    with Sandbox(mode="at_once", listing_lag=100.0) as sandbox:
        cc = await patient(sandbox, settle_time=0.1, on_event=seen.append)
        sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
        with caplog.at_level(logging.WARNING, "ccv2_async.uploads"):
            poller = await upload(cc)
        assert [file["id"] for file in sandbox.admin.files()] == [poller.id]
    assert not [event for event in seen if isinstance(event, DuplicateUpload)]
    assert caplog.text == ""


async def test_a_file_that_was_there_before_is_reported_when_it_counts_as_the_upload(
    connect: Callable[..., Any], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ccv2_async.uploads")
    seen: list[Any] = []
    cc, other = await connect(sandbox, on_event=seen.append), await connect(sandbox)
    before = await other.library.upload(b"abc", name="menu.pdf")
    sandbox.admin.fault("server_error", "POST")
    poller = await upload(cc)
    assert poller.id == before.id
    assert [event for event in seen if isinstance(event, UploadFound)] == [
        UploadFound("menu.pdf", "0", before.id)
    ]
    assert "found in folder 0" in caplog.text
    assert "and not sent again" in caplog.text


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_a_name_may_be_stored_in_another_unicode_form(
    connect: Callable[..., Any], form: Any
) -> None:
    with Sandbox(mode="at_once", composed_names=True) as sandbox:
        cc = await connect(sandbox)
        sandbox.admin.fault("lose_response", "POST")
        name = unicodedata.normalize(form, "menü.pdf")
        poller = await cc.library.begin_upload(b"abc", name=name)
        assert [file["id"] for file in sandbox.admin.files()] == [poller.id]


async def test_a_file_of_another_client_is_not_adopted_as_a_lost_one(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    cc, other = await connect(sandbox), await connect(sandbox)
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
    sandbox.admin.fault("delay", "GET", path="/library/files", seconds=0.2)
    mine = asyncio.create_task(upload(cc))
    await until(lambda: sandbox.admin.requests("GET", "/library/files"))
    theirs = await other.library.begin_upload(b"xyz", name="menu.pdf")
    poller = await mine
    assert poller.id != theirs.id
    assert poller.duplicates == ()
    assert {file["id"] for file in sandbox.admin.files()} == {poller.id, theirs.id}


async def test_a_file_with_unreadable_bytes_is_reported_and_not_adopted(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    cc = await connect(sandbox)
    sandbox.admin.fault("lose_response", "POST")
    sandbox.admin.fault("answer", "GET", path="*content", status=404, times=None)
    sandbox.admin.configure(keep_content=0)
    with pytest.raises(errors.AmbiguousUpload, match="cannot be compared with it") as caught:
        await upload(cc)
    assert list(caught.value.candidates) == [file["id"] for file in sandbox.admin.files()]
    assert posts(sandbox) == 1


async def test_a_503_with_retry_after_may_have_been_carried_out(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    service = Service(clock.time, first=("503 Service Unavailable", "Retry-After: 0"))
    async with serving(service.serve) as server:
        poller = await upload(await connect(server))
    assert (poller.id, poller.duplicates) == ("8", ("7",))


async def test_an_unrepeatable_stream_can_be_adopted(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"c"

    cc = await connect(sandbox)
    sandbox.admin.fault("lose_response", "POST")
    poller = await cc.library.begin_upload(once(), name="menu.pdf", length=3)
    assert [file["id"] for file in sandbox.admin.files()] == [poller.id]


async def test_a_file_object_that_cannot_seek_can_be_adopted(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    os.close(writing)
    cc = await connect(sandbox)
    sandbox.admin.fault("lose_response", "POST")
    with open(reading, "rb") as pipe:  # noqa: ASYNC230, PTH123  # a descriptor
        poller = await cc.library.begin_upload(pipe, name="menu.pdf", length=3)
    assert [file["id"] for file in sandbox.admin.files()] == [poller.id]


async def test_a_file_being_processed_is_followed_until_it_can_be_compared(
    connect: Callable[..., Any],
) -> None:
    with Sandbox(mode="looks", looks=2) as sandbox:
        cc = await connect(sandbox)
        sandbox.admin.fault("lose_response", "POST")
        file = await cc.library.upload(b"abc", name="menu.pdf")
        assert [stored["id"] for stored in sandbox.admin.files()] == [file.id]


async def test_simultaneous_looks_share_a_listing(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    cc = await connect(sandbox)
    sandbox.admin.fault("lose_response", "POST", times=40)
    sandbox.admin.fault("delay", "GET", path="/library/files", seconds=0.3, times=None)
    pollers = await asyncio.gather(
        *(cc.library.begin_upload(b"%d" % n, name=f"{n}.pdf") for n in range(40))
    )
    assert len({poller.id for poller in pollers}) == len(sandbox.admin.files()) == 40
    assert len(sandbox.admin.requests("GET", "/library/files")) < 10


async def test_looking_ends_at_the_deadline(patient: Callable[..., Any]) -> None:
    with Sandbox(mode="at_once", listing_lag=100.0) as sandbox:
        cc = await patient(sandbox, settle_time=60)
        sandbox.admin.fault("lose_response", "POST")
        with pytest.raises(errors.AmbiguousUpload, match=r"0\.5 s were not enough to find it"):
            await upload(cc, deadline=0.5)
        assert posts(sandbox) == 1


@pytest.mark.parametrize(
    ("bad", "sent"),
    [
        ({"id": "3", "name": "other.pdf", "size": 3, "created_date": []}, 2),
        ({"id": "3", "name": "menu.pdf", "size": 9, "thumbnail": 5}, 2),
        ({"id": "3", "name": "menu.pdf", "size": 3, "created_date": []}, 1),
        ({"id": "3", "name": ["menu.pdf"], "size": 3}, 1),
        ({}, 1),
        ("menu.pdf", 1),
        (None, 1),
    ],
)
async def test_an_unreadable_row_counts_as_a_possible_match(
    connect: Callable[..., Any], clock: SkippingClock, bad: Any, sent: int
) -> None:
    service = Service(clock.time)

    async def serve(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            await service.serve(wire, request)
            service.stored[:] = service.stored[1:] if sent == 2 else []
        elif request.target.startswith("/v2/library/files?"):
            rows = json.dumps({"meta": {}, "results": [bad, *service.stored]})
            await wire.answer("200 OK", rows.encode())

    async with serving(serve) as server:
        cc = await connect(server)
        if sent == 1:
            with pytest.raises(errors.AmbiguousUpload, match="cannot be compared with it"):
                await upload(cc)
        else:
            service.first = ("503 Service Unavailable",)
            with pytest.raises(
                errors.AmbiguousUpload, match="no file in the folder could be the upload"
            ):
                await upload(cc)


@pytest.mark.parametrize("hours", [0.5, 2.0, 70.0])
@pytest.mark.parametrize("dated", [True, False])
async def test_a_machine_may_be_suspended_between_sending_and_looking(
    connect: Callable[..., Any], clock: SkippingClock, hours: float, dated: bool
) -> None:
    service = Service(clock.time)

    async def serve(wire: Wire, request: Request) -> None:
        if dated:
            service.date = format_datetime(datetime.fromtimestamp(clock.time(), UTC), usegmt=True)
        suspended = request.method == "POST" and not service.stored
        await service.serve(wire, request)
        if suspended:
            clock.suspend(hours * 3600.0)

    async with serving(serve) as server:
        with pytest.raises(errors.AmbiguousUpload) as caught:
            await upload(await connect(server))
    assert caught.value.candidates == ("7",)
    assert len(service.stored) == 1
