"""Looks into folders with listings that the real service does not send."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from ccv2_async import errors
from ccv2_async.models import LibraryFile
from ccv2_async.transport.calls.call import UPLOAD_DEADLINE
from ccv2_async.transport.calls.deadline import Deadline
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.files.sources import BytesSource, PathSource
from ccv2_async.transport.files.threads import FileThreads
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads import looks
from ccv2_async.uploads.settle import Evidence
from tests.support.clocks import settle
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ccv2_async.transport.calls.call import Call
    from ccv2_async.transport.calls.session import Session
    from tests.support.clocks import ManualClock
    from tests.support.servers import RawServer, Request, Wire


@pytest.fixture
async def threads() -> AsyncIterator[FileThreads]:
    threads = FileThreads()
    yield threads
    await threads.aclose()


def listing(rows: list[dict[str, Any]]) -> RawServer:
    """A server whose every page holds these rows, and a link to another page."""

    async def say(wire: Wire, request: Request) -> None:
        number = int(request.target.partition("next=")[2].partition("&")[0] or 0) + 1
        meta = {"pagination": {"next_link": f"/v2/x?next={number}"}}
        await wire.answer(body=json.dumps({"meta": meta, "results": rows}).encode())

    return serving(say)


async def test_only_the_known_fields_of_a_file_are_kept(open_session: Callable[..., Any]) -> None:
    look = looks.Look("/x", "looking")
    async with listing([{"id": "7", "name": "a.png", "more": ["x"] * 1000}]) as server:
        files = await look.page(0, await open_session(server), Lane.BULK)
    assert files is not None
    assert (files[0].id, files[0].name, files[0].extra) == ("7", "a.png", {})


async def test_a_page_larger_than_any_of_the_service_is_refused(
    open_session: Callable[..., Any],
) -> None:
    look = looks.Look("/x", "looking")
    async with listing([{"id": "7", "name": "x" * 5_000_000}]) as server:
        with pytest.raises(errors.ResponseTooLarge):
            await look.page(0, await open_session(server), Lane.BULK)


async def test_a_page_of_more_rows_than_a_whole_look_is_refused(
    open_session: Callable[..., Any],
) -> None:
    # 100,000 of them, 6 KB compressed, blocked the event loop for 0.7 s when they were compared.
    look = looks.Look("/x", "looking")
    async with listing([{"id": "7", "name": "a"}] * 10_001) as server:
        with pytest.raises(
            errors.DecodeError, match="looking is not a page of at most 10,000 rows"
        ):
            await look.page(0, await open_session(server), Lane.BULK)


@pytest.mark.parametrize(("rows", "pages"), [(4000, 3), (2000, 5), (1999, 6)])
async def test_pages_with_too_many_rows_count_as_several(
    open_session: Callable[..., Any], rows: int, pages: int
) -> None:
    look = looks.Look("/x", "looking")
    async with listing([{"id": "7", "name": "a"}] * rows) as server:
        session = await open_session(server)
        for number in range(pages):
            assert await look.page(number, session, Lane.BULK)
        with pytest.raises(errors.PaginationError, match="10,000 newest files"):
            await look.page(pages, session, Lane.BULK)


@attrs.define
class Folder:
    """A service with folders of three pages, one file on each. It records the requests."""

    status: str = "200 OK"
    date: str = "Date: Thu, 01 Jan 1970 01:00:00 GMT"
    pages: int = 3
    asked: list[str] = attrs.field(factory=list)

    def server(self) -> RawServer:
        async def say(wire: Wire, request: Request) -> None:
            target = request.target.replace("api_key=sandbox-key", "").rstrip("?&")
            self.asked.append(target.removeprefix("/v2"))
            number = int(target.partition("next=")[2].partition("&")[0] or 0)
            more = {"next_link": f"/v2/x?next={number + 1}"} if number + 1 < self.pages else {}
            rows = [{"id": str(number), "name": "a"}]
            body = {"meta": {"pagination": more}, "results": rows}
            await wire.answer(self.status, json.dumps(body).encode(), self.date)

        return serving(say)


FIRST = "?limit=500&sort_by=CREATED_DATE_DESC"


async def test_the_pages_of_a_look_are_fetched_once_each_and_newest_first(
    open_session: Callable[..., Any],
) -> None:
    folder, look = Folder(), looks.Look("/folder", "looking")
    async with folder.server() as server:
        session: Session = await open_session(server)
        for number in (0, 1, 0, 1, 2):
            files = await look.page(number, session, Lane.BULK)
            assert files is not None
            assert [file.id for file in files] == [str(number)]
        assert await look.page(3, session, Lane.BULK) is None
    assert folder.asked == [f"/folder{FIRST}", "/folder?next=1", "/folder?next=2"]


@pytest.mark.parametrize(
    ("date", "offset"),
    [("Date: Thu, 01 Jan 1970 01:00:00 GMT", 3600.0), ("Date: soon", None), ("X: y", None)],
)
async def test_a_look_knows_how_far_the_clock_of_the_service_is_ahead(
    open_session: Callable[..., Any], date: str, offset: float | None
) -> None:
    folder, look = Folder(date=date), looks.Look("/x", "looking")
    async with folder.server() as server:
        session: Session = await open_session(server)
        assert (look.clock_offset, look.taken) == (None, 0.0)
        await look.page(0, session, Lane.BULK)
        first = look.taken, look.clock_offset
        assert first == (session.clock.monotonic(), offset and offset - look.taken)
        await session.clock.sleep(100)
        folder.date = "Date: Thu, 01 Jan 1970 02:00:00 GMT"
        await look.page(1, session, Lane.BULK)
    assert (look.taken, look.clock_offset) == first


async def test_everyone_who_shares_a_failed_look_gets_its_error(
    open_session: Callable[..., Any],
) -> None:
    folder, look = Folder("404 Not Found"), looks.Look("/x", "looking in folder 7")
    async with folder.server() as server:
        session = await open_session(server)
        with pytest.raises(errors.NotFound, match="looking in folder 7") as first:
            await look.page(0, session, Lane.BULK)
        with pytest.raises(errors.NotFound) as second:
            await look.page(0, session, Lane.BULK)
    assert first.value is second.value
    assert len(folder.asked) == 1


async def test_the_deadline_of_one_upload_fails_no_other_that_shares_its_look(
    open_session: Callable[..., Any],
) -> None:
    folder, look = Folder(), looks.Look("/x", "looking")
    async with folder.server() as server:
        session: Session = await open_session(server)
        with session.deadline(1.0):
            await session.clock.sleep(2.0)  # the upload itself stops waiting for the page
            await look.page(0, session, Lane.BULK)
        assert await look.page(0, session, Lane.BULK)
    assert len(folder.asked) == 1


@pytest.mark.parametrize("lane", Lane)
async def test_a_page_is_requested_in_the_lane_of_its_upload(lane: Lane) -> None:
    calls: list[Call] = []

    class Noting:
        no_deadline = contextlib.nullcontext

        async def read(self, call: Call, parse: object) -> Any:
            calls.append(call)
            raise errors.Forbidden("no", status=403)

    with pytest.raises(errors.Forbidden):
        await looks.Look("/x", "looking").page(0, Noting(), lane)  # type: ignore[arg-type]  # enough of a session
    [call] = calls
    assert (call.method, call.path, call.effect) == ("GET", "/x", Effect.SAFE)
    assert (call.what, call.lane) == ("looking", lane)


async def test_a_look_ends_after_twenty_pages(open_session: Callable[..., Any]) -> None:
    folder, look = Folder(pages=30), looks.Look("/x", "looking")
    async with folder.server() as server:
        session = await open_session(server)
        assert await look.page(19, session, Lane.BULK)
        with pytest.raises(errors.PaginationError, match="looking: only the 10,000 newest"):
            await look.page(20, session, Lane.BULK)
    assert len(folder.asked) == 20


async def test_a_link_without_a_cursor_ends_a_look(open_session: Callable[..., Any]) -> None:
    async def say(wire: Wire, _: Request) -> None:
        meta = {"pagination": {"next_link": "/v2/x"}}
        await wire.answer(body=json.dumps({"meta": meta, "results": []}).encode())

    look = looks.Look("/x", "looking")
    async with serving(say) as server:
        with pytest.raises(errors.PaginationError, match="looking: the next link has no cursor"):
            await look.page(0, await open_session(server), Lane.BULK)


@pytest.mark.parametrize(
    ("folder_id", "path"),
    [("0", "/library/files"), ("", "/library/files"), ("7", "/library/folders/7/files")],
)
async def test_a_folder_is_read_at_its_own_path(
    open_session: Callable[..., Any], folder_id: str, path: str
) -> None:
    folder = Folder()
    async with folder.server() as server:
        shared = looks.FolderLooks(await open_session(server))
        found = [file.id async for _, file in shared.look(folder_id, Lane.BULK)]
        assert found == ["0", "1", "2"]
        assert not shared._turns, "nothing is kept of a look that has ended"
    assert folder.asked == [f"{path}{FIRST}", f"{path}?next=1", f"{path}?next=2"]


async def test_callers_that_wait_for_a_folder_share_a_look_that_begins_after_they_asked(
    open_session: Callable[..., Any],
) -> None:
    folder = Folder(pages=1)
    async with folder.server() as server:
        shared = looks.FolderLooks(await open_session(server))

        async def look(folder_id: str) -> looks.Look:
            [found] = [look async for look, _ in shared.look(folder_id, Lane.BULK)]
            return found

        first, *others = await asyncio.gather(*map(look, ("0", "", "0", "", "7")))
        assert len({id(other) for other in (first, *others[:3])}) == 2
        assert others[3] not in (first, *others[:3])
        assert await look("0") not in (first, *others)
    assert len(folder.asked) == 4


async def test_callers_that_wait_for_a_folder_share_the_failure_of_a_look(
    open_session: Callable[..., Any],
) -> None:
    folder = Folder("404 Not Found")
    async with folder.server() as server:
        shared = looks.FolderLooks(await open_session(server))
        waits = (anext(shared.look("7", Lane.BULK)) for _ in range(4))
        ended = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(error) for error in ended] == [errors.NotFound] * 4
    assert len(folder.asked) == 2


async def test_a_folder_has_one_queue_while_somebody_looks_into_it(
    open_session: Callable[..., Any],
) -> None:
    async with Folder().server() as server:
        shared = looks.FolderLooks(await open_session(server))
        first, second = shared.look("7", Lane.BULK), shared.look("7", Lane.BULK)
        await anext(first)
        line = id(shared._turns["7"])
        await anext(second)
        await second.aclose()
        assert id(shared._turns["7"]) == line
        await first.aclose()
        assert not shared._turns


async def test_uploads_that_run_out_of_time_one_after_the_other_let_a_slow_look_end(
    manual_clock: ManualClock,
) -> None:
    class Slow:
        clock = manual_clock
        no_deadline = contextlib.nullcontext
        requests = 0

        async def read(self, call: Call, parse: object) -> Any:
            self.requests += 1
            await self.clock.sleep(60.0 if self.requests == 1 else 0.5)
            return [], None, None

    session = Slow()
    shared = looks.FolderLooks(session)  # type: ignore[arg-type]  # enough of a session

    async def look() -> bool:
        async with manual_clock.timeout(3.0):
            limit = Deadline.after(3.0, manual_clock)
            return [found async for found in shared.look("7", Lane.BULK, limit)] == []

    tasks = []
    for _ in range(80):
        tasks.append(asyncio.create_task(look()))
        await manual_clock.advance(0.1)
    await manual_clock.advance(3.0)
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert ended[40:] == [True] * 40
    assert session.requests <= 20


async def test_the_readable_parts_of_a_bad_row_are_kept(open_session: Callable[..., Any]) -> None:
    rows = [
        {"id": "7", "name": ["a"], "size": 5, "folder_id": "3"},
        {"name": "b", "size": "5", "folder_id": 3},
        {"name": "c", "size": True},
        "text",
    ]
    look = looks.Look("/x", "looking")
    async with listing(rows) as server:  # type: ignore[arg-type]  # a row that is none
        files = await look.page(0, await open_session(server), Lane.BULK)
    assert files == [
        LibraryFile("7", name="", size=5, folder_id="3"),
        LibraryFile("in row 1", name="b", size=None, folder_id=None),
        LibraryFile("in row 2", name="c", size=None, folder_id=None),
        LibraryFile("in row 3", name="", size=None, folder_id=None),
    ]


@pytest.mark.parametrize("id_", ["", "x,y", "a/b", "..", " "])
@pytest.mark.parametrize("flaw", [{}, {"thumbnail": 5}])
async def test_a_row_with_an_id_that_no_file_can_have_is_one_without_an_id(
    open_session: Callable[..., Any], id_: str, flaw: dict[str, Any]
) -> None:
    rows = [
        {"id": "7", "name": "a"},
        {"id": id_, "name": "b", "size": 3, "url": "https://x/b", "status": "Pending", **flaw},
    ]
    look = looks.Look("/x", "looking")
    async with listing(rows) as server:
        session = await open_session(server)
        files = await look.page(0, session, Lane.BULK)
        async with contextlib.aclosing(looks.every_file("0", session)) as every:
            found = [await anext(every) for _ in rows]
    assert files == [LibraryFile("7", name="a"), LibraryFile("in row 1", name="b", size=3)]
    assert found[0] == LibraryFile("7", name="a")
    (row,) = found[1:]
    assert isinstance(row, errors.UnreadableRow)
    assert flaw or str(row).startswith("results[1].id of library files is not the ID of a file: ")


async def test_a_row_with_an_empty_name_is_one_without_a_name(
    open_session: Callable[..., Any],
) -> None:
    rows = [{"id": "7", "name": "", "size": 3, "url": "https://x/b", "folder_id": "5"}]
    look = looks.Look("/x", "looking")
    async with listing(rows) as server:
        session = await open_session(server)
        files = await look.page(0, session, Lane.BULK)
        async with contextlib.aclosing(looks.every_file("5", session)) as every:
            row = await anext(every)
    assert files == [LibraryFile("7", name="", size=3, folder_id="5")]
    assert isinstance(row, errors.UnreadableRow)
    assert (row.id, row.index) == ("7", 0)
    assert str(row).startswith("results[0].name of files of folder 5 is not a name: ''")


@pytest.mark.parametrize(
    ("folder_id", "path", "what"),
    [
        ("0", "/library/files", "library files"),
        ("", "/library/files", "library files"),
        ("7", "/library/folders/7/files", "files of folder 7"),
    ],
)
async def test_every_file_of_a_folder_is_read_page_by_page(
    open_session: Callable[..., Any], folder_id: str, path: str, what: str
) -> None:
    flaw: dict[str, Any] = {"thumbnail": 5}
    good: dict[str, Any] = {"id": "1", "name": "a"}
    pages: list[list[Any]] = [
        [good, {"id": "2", "name": "b", "size": 6, "folder_id": "3", **flaw}],
        [good, {"id": "4", "name": "c", "folder_id": None, **flaw}],
        [{"id": "5", "name": "", **flaw}, {"id": "", "name": "d", **flaw}],
        [{"id": "6", "name": "e", "folder_id": [], **flaw}, "text"],
    ]
    asked: list[str] = []

    async def say(wire: Wire, request: Request) -> None:
        number = len(asked)
        asked.append(request.target.partition("&api_key")[0].removeprefix("/v2"))
        links = {"next_link": f"/v2/x?next=c{number + 1}"} if pages[number + 1 :] else {}
        document = {"meta": {"pagination": links}, "results": pages[number]}
        await wire.answer(body=json.dumps(document).encode())

    async with serving(say) as server:
        session = await open_session(server)
        found = [file async for file in looks.every_file(folder_id, session)]

    assert asked == [f"{path}?limit=1000", *(f"{path}?next=c{number}" for number in (1, 2, 3))]
    assert found[:4] == [
        LibraryFile("1", name="a"),
        LibraryFile("2", name="b", size=6, folder_id="3"),
        LibraryFile("1", name="a"),
        LibraryFile("4", name="c"),
    ]
    rows = [row for row in found[4:] if isinstance(row, errors.UnreadableRow)]
    assert [(row.index, row.id) for row in rows] == [(4, "5"), (5, ""), (6, "6"), (7, "")]
    assert all(f"of {what} is not" in str(row) and "on_bad_row" not in str(row) for row in rows)


async def test_every_file_of_a_large_folder_is_read(open_session: Callable[..., Any]) -> None:
    folder = Folder(pages=60)
    async with folder.server() as server:
        found = [file async for file in looks.every_file("7", await open_session(server))]
    assert (len(folder.asked), len(found)) == (60, 60)


async def test_every_file_is_requested_by_a_read() -> None:
    calls: list[Call] = []

    class Noting:
        async def read(self, call: Call, parse: object) -> Any:
            calls.append(call)
            raise errors.Forbidden("no", status=403)

    with pytest.raises(errors.Forbidden):
        assert not [file async for file in looks.every_file("7", Noting())]  # type: ignore[arg-type]  # enough of a session
    [call] = calls
    assert (call.method, call.effect, call.what) == ("GET", Effect.SAFE, "files of folder 7")


async def test_the_cursors_of_a_folder_may_not_lead_in_a_circle(
    open_session: Callable[..., Any],
) -> None:
    async def say(wire: Wire, _: Request) -> None:
        meta = {"pagination": {"next_link": "/v2/x?next=c"}}
        await wire.answer(body=json.dumps({"meta": meta, "results": []}).encode())

    async with serving(say) as server:
        with pytest.raises(errors.PaginationError, match=r"files of folder 7: .*same cursor twice"):
            assert not [file async for file in looks.every_file("7", await open_session(server))]


@pytest.mark.parametrize(
    ("served", "size", "record", "evidence"),
    [
        (b"12345", 5, {}, Evidence.SAME_BYTES),
        (b"12345", 5, {"size": None}, Evidence.SAME_BYTES),
        (b"12346", 5, {}, Evidence.OTHER_BYTES),
        (b"1234", 5, {}, Evidence.UNKNOWN),
        (b"123456", 5, {}, Evidence.UNKNOWN),
        (None, 5, {}, Evidence.UNKNOWN),
        (b"12345", None, {}, Evidence.UNKNOWN),
        (b"12345", 5, {"url": ""}, Evidence.UNKNOWN),
        (b"12345", 5, {"url": None}, Evidence.UNKNOWN),
        (b"12345", 5, {"size": 6}, Evidence.UNKNOWN),
        (b"1234", 4, {"size": 4}, Evidence.UNKNOWN),
    ],
)
async def test_bytes_are_compared_as_far_as_they_can_be(  # noqa: PLR0917  # fixtures and parameters come by name
    open_session: Callable[..., Any],
    threads: FileThreads,
    served: bytes | None,
    size: int | None,
    record: dict[str, Any],
    evidence: Evidence,
) -> None:
    async def say(wire: Wire, _: Request) -> None:
        status = "404 Not Found" if served is None else "200 OK"
        await wire.answer(status, served or b"", "Content-Type: image/png", json=False)

    async with serving(say) as server:
        file = LibraryFile(
            **{"id": "7", "name": "a", "size": 5, "url": f"{server.origin}/f", **record}
        )
        source = BytesSource(b"12345")
        session = await open_session(server)
        assert await looks.compare(source, size, file, session, threads) is evidence


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2048


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (PNG, PNG, True),
        (PNG, PNG[:-1], False),
        (PNG, PNG[:-1] + b"x", False),
        (b"\xff\xd8\xff\xe0x", b"\xff\xd8\xff\xe0x", True),
        (b"GIF89a", b"GIF89a", True),
        (b"", b"", False),
        (b"<html>a page", b"<html>a page", False),
        (b"\n" + PNG, b"\n" + PNG, False),
        (PNG, None, False),
        (None, None, False),
    ],
)
async def test_two_pictures_of_the_library_are_the_same_if_their_bytes_are(
    open_session: Callable[..., Any],
    threads: FileThreads,
    one: bytes | None,
    other: bytes | None,
    same: bool,
) -> None:
    async def say(wire: Wire, request: Request) -> None:
        served = one if request.target.startswith("/one") else other
        await wire.answer("200 OK" if served is not None else "404 Gone", served or b"", json=False)

    async with serving(say) as server:
        session = await open_session(server)
        first, second = (
            LibraryFile("7", name="a", url=f"{server.origin}/{end}") for end in ("one", "second")
        )
        assert await looks.is_same_picture(first, second, session, threads) is same


async def test_a_file_whose_bytes_keep_trickling_in_proves_nothing(
    open_session: Callable[..., Any], threads: FileThreads, clock: ManualClock
) -> None:
    begun = asyncio.Event()

    async def trickle(wire: Wire, request: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while True:
            await wire.write(b"x")
            begun.set()
            await asyncio.sleep(0.01)

    async with serving(trickle) as server:
        session = await open_session(server)
        file = LibraryFile(id="7", name="a.png", url=f"{server.origin}/7.png")
        source = BytesSource(b"x" * 900)
        for work, unknown in (
            (looks.compare(source, 900, file, session, threads), Evidence.UNKNOWN),
            (looks.is_same_picture(file, file, session, threads), False),
        ):
            begun.clear()
            comparing = asyncio.create_task(work)
            await begun.wait()
            await clock.advance(UPLOAD_DEADLINE)
            assert await asyncio.wait_for(comparing, 5.0) is unknown


@pytest.mark.parametrize("url", [None, "", "not a URL"])
async def test_files_without_a_usable_link_are_not_the_same_picture(
    open_session: Callable[..., Any], threads: FileThreads, url: str | None
) -> None:
    file = LibraryFile("7", name="a", url=url)
    assert not await looks.is_same_picture(file, file, await open_session(), threads)


async def test_a_source_that_is_read_once_remembers_its_digest(
    open_session: Callable[..., Any], threads: FileThreads, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 1024
    path = tmp_path / "a.png"
    path.write_bytes(content)
    inner = PathSource(path, name="a picture")
    source = looks.DigestedSource(inner)
    assert (source.name, source.filename, source.repeatable) == ("a picture", "a.png", True)
    assert await source.prepare(threads) == len(content)
    file = LibraryFile("7", name="a", size=len(content), url="http://x")
    session = await open_session()
    assert await looks.compare(source, len(content), file, session, threads) is Evidence.UNKNOWN
    opened = await source.open(threads)
    left = opened.length
    for number in itertools.count():
        assert source.digest is None, number
        left -= len(await opened.read())
        if not left:
            break
    await opened.aclose()
    assert source.digest == await looks._digest_of(inner, len(content), threads)
    assert await looks._digest_of(source, 0, threads) == source.digest


async def test_files_of_many_pieces_are_compared(
    open_session: Callable[..., Any], threads: FileThreads
) -> None:
    content = bytes(range(256)) * 2048

    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(body=content, json=False)

    async with serving(say) as server:
        file = LibraryFile("7", name="a", size=len(content), url=f"{server.origin}/f")
        found = await looks.compare(
            BytesSource(content), len(content), file, await open_session(server), threads
        )
    assert found is Evidence.SAME_BYTES


class Slow(BytesSource):
    """A source that yields nothing, and closes slowly."""

    length = 5
    opened = closed = False

    async def open(self, threads: FileThreads) -> Slow:
        self.opened = True
        return self

    async def read(self) -> bytes:
        await anyio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


async def test_a_cancelled_comparison_closes_its_source(threads: FileThreads) -> None:
    source = Slow(b"12345")
    async with anyio.create_task_group() as group:
        group.start_soon(looks._digest_of, source, 5, threads)
        await settle()
        group.cancel_scope.cancel()
    assert source.closed


@pytest.mark.parametrize(("size", "url", "listed"), [(None, "x", None), (5, "", 5), (5, "x", 6)])
async def test_a_source_is_not_read_if_its_bytes_cannot_decide(
    open_session: Callable[..., Any],
    threads: FileThreads,
    size: int | None,
    url: str,
    listed: int | None,
) -> None:
    source, file = Slow(b"12345"), LibraryFile("7", name="a", size=listed, url=url)
    session = await open_session()
    assert await looks.compare(source, size, file, session, threads) is Evidence.UNKNOWN
    assert not source.opened
