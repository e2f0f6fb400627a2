"""An upload that is interrupted at any moment leaves an entry from which its file can be found."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.observe import DuplicateUpload
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import Journal, read_journal
from tests.support.probes import until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.uploads.many.journal import JournalEntry
    from tests.support.servers import Request, Wire


class Service:
    """A service with one folder, whose answer to each upload is scripted.

    Args:
        answers: What happens to the uploads in turn: "ok", "dropped", "lost", "throttled", "busy",
            or "stored, then busy".

    Attributes:
        on_post: Awaited when an upload has arrived.
        on_look: Awaited when the folder is listed.
        hidden: How many of the latest files are not listed yet.
    """

    def __init__(self, *answers: str) -> None:
        self.stored: list[dict[str, Any]] = []
        self.on_post: Callable[[], Awaitable[object]] | None = None
        self.hidden = 0
        self.on_look: Callable[[], Awaitable[object]] | None = None
        self._answers = list(answers)

    async def serve(self, wire: Wire, request: Request) -> None:
        if request.method == "POST":
            answer = self._answers.pop(0)
            id_ = str(len(self.stored) + 7)
            if answer not in ("dropped", "throttled", "busy"):
                numbered = f"({len(self.stored)})" if self.stored else ""
                self.stored.append(
                    {"id": id_, "name": f"a{numbered}.png", "size": 3, "url": f"/content/{id_}"}
                )
            if self.on_post is not None:
                await self.on_post()
            if answer == "ok":
                await wire.answer("202 Accepted", b"", f"Location: /v2/library/files/{id_}")
            elif answer == "throttled":
                await wire.answer("429 Too Many Requests", b"", "Retry-After: 0")
            elif answer.endswith("busy"):
                await wire.answer("503 Busy", b"", "Retry-After: 0")
            else:
                wire.reset()
        elif request.target.startswith("/content/"):
            await wire.answer("200 OK", b"abc")
        else:
            if self.on_look is not None:
                await self.on_look()
            body = {"meta": {"pagination": {}}, "results": self.stored[::-1][self.hidden :]}
            await wire.answer("200 OK", json.dumps(body).encode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    return path


async def run(cc: ConstantContact, file: Path) -> list[Any]:
    uploads = cc.upload_many([file], journal=file.with_suffix(".journal"), wait=False)
    return [result async for result in uploads]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_file_whose_acceptance_was_recorded_is_not_adopted_by_another_upload(
    connect: Callable[..., Any], file: Path, times: int
) -> None:
    service = Service("ok", "dropped", "ok")
    async with serving(service.serve) as server:
        cc = await connect(server)
        async for _ in cc.upload_many([], journal=file.with_suffix(".journal")):
            pass
        with closing(sqlite3.connect(file.with_suffix(".journal"), isolation_level=None)) as busy:

            async def keep_busy() -> None:
                busy.execute("BEGIN IMMEDIATE")

            service.on_post = keep_busy
            first = asyncio.create_task(run(cc, file))
            await until(lambda: busy.in_transaction)
            await asyncio.sleep(0.2)  # the answer arrives, and its row waits for the database
            for _ in range(times):
                first.cancel()
                await asyncio.sleep(0)
            busy.execute("COMMIT")
        with pytest.raises(asyncio.CancelledError):
            await first
        service.on_post = None
        second = await cc.library.begin_upload(b"abc", name="a.png")
        assert second.id == "8"
        (earlier,) = await run(cc, file)
        assert earlier.id == "7"
    assert len(service.stored) == 2


async def test_a_file_is_found_again_if_its_upload_is_cancelled_while_copies_are_looked_for(
    connect: Callable[..., Any], file: Path
) -> None:
    service = Service("dropped", "ok")
    looking = asyncio.Event()

    async def hang() -> None:
        if service.stored:
            looking.set()
            await asyncio.Event().wait()

    async with serving(service.serve) as server:
        cc = await connect(server)
        service.on_look = hang
        first = asyncio.create_task(run(cc, file))
        await looking.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        service.on_look = None
        (result,) = await run(cc, file)
        assert result.error is None
        assert result.id == "7"
    assert len(service.stored) == 1


async def test_a_file_whose_look_for_copies_was_cut_short_is_not_adopted_by_another_upload(
    connect: Callable[..., Any], file: Path
) -> None:
    service = Service("busy", "ok", "dropped", "ok")
    looking = asyncio.Event()

    async def hang() -> None:
        looking.set()
        await asyncio.Event().wait()

    async with serving(service.serve) as server:
        cc = await connect(server)
        service.on_look = hang
        first = asyncio.create_task(run(cc, file))
        await looking.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        service.on_look = None
        second = await cc.library.begin_upload(b"abc", name="a.png")
        assert second.id == "8"
        (earlier,) = await run(cc, file)
        assert earlier.id == "7"
    assert len(service.stored) == 2


async def test_a_recorded_file_whose_acceptance_cannot_be_written_is_not_adopted_by_another_upload(
    connect: Callable[..., Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Journal.write

    async def fail(self: Journal, entry: JournalEntry, /) -> JournalEntry:
        if entry.state is BulkState.ACCEPTED:
            raise errors.JournalError("the disk is full")
        return await write(self, entry)

    service = Service("busy", "ok", "dropped", "ok")
    async with serving(service.serve) as server:
        cc = await connect(server)
        with monkeypatch.context() as full:
            full.setattr(Journal, "write", fail)
            with pytest.raises(errors.JournalError, match="the disk is full"):
                await run(cc, file)
        second = await cc.library.begin_upload(b"abc", name="a.png")
        assert second.id == "8"
        (earlier,) = await run(cc, file)
        assert earlier.id == "7"
    assert len(service.stored) == 2


@pytest.mark.parametrize("how", ["closed", "cancelled", "the day's calls are used up"])
@pytest.mark.parametrize("readable", [True, False])
async def test_the_next_run_names_a_copy_if_the_look_for_it_was_interrupted(
    connect: Callable[..., Any], file: Path, how: str, readable: bool
) -> None:
    service = Service("stored, then busy", "ok")
    events, interruptions = list[Any](), list[asyncio.Task[object]]()
    service.hidden = 2

    async def interrupt() -> None:
        if how == "closed":
            interruptions.append(asyncio.create_task(cc.aclose()))
        elif how == "cancelled":
            first.cancel()
        await asyncio.sleep(0)

    async with serving(service.serve) as server:
        cc = await connect(server, **({"per_day": 2} if how.endswith("used up") else {}))
        service.on_look = interrupt
        first = asyncio.create_task(run(cc, file))
        with pytest.raises(
            (errors.ClientClosed, errors.DailyQuotaExceeded, asyncio.CancelledError)
        ):
            await first
        await asyncio.gather(*interruptions)
        service.on_look, service.hidden = None, 0
        if not readable:
            for stored in service.stored:
                stored["url"] = ""
        (result,) = await run(await connect(server, on_event=events.append), file)
    assert (result.id, result.duplicates, result.error) == ("8", ("7",), None)
    assert [each.duplicates for each in events if isinstance(each, DuplicateUpload)] == [("7",)]
    assert len(service.stored) == 2


@pytest.mark.parametrize(
    ("answers", "failing"), [("dropped ok", 2), ("busy ok", 2), ("busy dropped ok", 3)]
)
async def test_a_journal_that_fails_before_a_resend_ends_the_run_and_keeps_its_entry(
    connect: Callable[..., Any],
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: str,
    failing: int,
) -> None:
    write, sends = Journal.write, 0

    async def fail_once(self: Journal, entry: JournalEntry, /) -> JournalEntry:
        nonlocal sends
        sends += entry.state is BulkState.SENDING
        if entry.state is BulkState.SENDING and sends == failing:
            raise errors.JournalError("the disk is full")
        return await write(self, entry)

    monkeypatch.setattr(Journal, "write", fail_once)
    service = Service(*answers.split())
    async with serving(service.serve) as server:
        cc = await connect(server)
        with pytest.raises(errors.JournalError, match="the disk is full"):
            await run(cc, file)
        (entry,) = [entry async for entry in read_journal(file.with_suffix(".journal"))]
        assert entry.state is BulkState.SENDING
        (result,) = await run(cc, file)
        assert result.error is None
    assert len(service.stored) == 1


@pytest.mark.parametrize("lag", [0, 1])
async def test_the_next_run_knows_how_often_an_interrupted_upload_was_sent(
    connect: Callable[..., Any], file: Path, lag: int
) -> None:
    events: list[DuplicateUpload] = []
    service = Service("stored, then busy", "lost")
    arrived = asyncio.Event()

    async def hang() -> None:
        if len(service.stored) == 2:
            arrived.set()
            await asyncio.Event().wait()

    async def show_one_more() -> None:
        service.hidden = max(0, service.hidden - 1)

    async with serving(service.serve) as server:
        cc = await connect(server)
        service.on_post = hang
        first = asyncio.create_task(run(cc, file))
        await arrived.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        service.hidden, service.on_look = 1 + lag, show_one_more
        another = await connect(server, on_event=events.append)
        (result,) = await run(another, file)
    assert (result.id, result.duplicates) == ("7", ("8",))
    assert [event.duplicates for event in events if isinstance(event, DuplicateUpload)] == [("8",)]


async def test_the_next_run_does_not_count_an_attempt_that_was_refused(
    connect: Callable[..., Any], file: Path
) -> None:
    service = Service("throttled", "lost")
    arrived = asyncio.Event()

    async def hang() -> None:
        if service.stored:
            arrived.set()
            await asyncio.Event().wait()

    async with serving(service.serve) as server:
        service.on_post = hang
        first = asyncio.create_task(run(await connect(server), file))
        await arrived.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        # An upload of an equal file, which must not count as a second copy of this one.
        service.stored.append({**service.stored[0], "id": "8", "name": "a(1).png"})
        (entry,) = [entry async for entry in read_journal(file.with_suffix(".journal"))]
        (result,) = await run(await connect(server), file)
    assert entry.sends <= 1
    assert isinstance(result.error, errors.AmbiguousUpload)
    assert result.error.candidates == ("7", "8")
