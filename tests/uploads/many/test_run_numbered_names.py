"""Files whose names differ only by the service's numbering, and whose responses are lost.

A file with such a name in the folder may be either of them; only its bytes show which, and if they
are equal, only the response. It must never be mistaken for a file that did not arrive, and no ID
may be given to two files.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import BulkState, FileToUpload
from ccv2_async.uploads.many.journal import read_journal
from tests.support.probes import until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import UploadResult
    from ccv2_async.client import ConstantContact
    from tests.support.servers import Request, Wire

ONE, TWO = "a.png", "a(1).png"
SIZE = 100
CONTENT = {ONE: b"1" * SIZE, TWO: b"2" * SIZE}


@attrs.define
class Folder:
    """A service that loses what it is told to lose.

    Attributes:
        lost: The names whose first upload gets no response, and whether it arrives anyway.
        lost_again: The names whose second upload arrives, but gets no response.
        held: Uploads that arrive before the folder is listed, and are answered on `release`.
        arrived: The names of the stored files. The ID of each is its position, from 1.
        readable: Whether the folder can be listed.
        comparable: Whether its files can be fetched.
        contents: The bytes of the files by name.
        on_fetch: Called after a file was fetched.
        pages: The number of pages of its listing. A request for the last one releases the held
            uploads, and is answered once they are followed.
    """

    lost: dict[str, bool] = attrs.field(factory=dict)
    lost_again: set[str] = attrs.field(factory=set)
    held: set[str] = attrs.field(factory=set)
    arrived: list[str] = attrs.field(factory=list)
    posts: Counter[str] = attrs.field(factory=Counter)
    readable: bool = True
    comparable: bool = True
    contents: dict[str, bytes] = attrs.field(factory=lambda: CONTENT)
    on_fetch: Callable[[], object] = lambda: None
    pages: int = 1
    followed: asyncio.Event = attrs.field(factory=asyncio.Event)
    release: asyncio.Event = attrs.field(factory=asyncio.Event)
    stored: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def answer(self, wire: Wire, request: Request) -> None:
        if request.method == "POST":
            found = re.search(rb'name="file_name"\r\n\r\n([^\r]*)', request.body)
            assert found is not None
            await self._upload(wire, found[1].decode())
        elif "uploadstatus" in request.target:
            ids = request.target.partition("uploadstatus/")[2].partition("?")[0]
            self.followed.set()
            rows = [{"file_id": id_, "status": "Active"} for id_ in re.findall(r"\d+", ids)]
            await wire.answer(body=json.dumps(rows).encode())
        elif request.target.startswith("/content/"):
            name = self.arrived[int(re.findall(r"\d+", request.target)[0]) - 1]
            await wire.answer("200 OK", self.contents[name] if self.comparable else b"<html>")
            self.on_fetch()
        elif not self.readable:
            await wire.answer("404 Not Found")
        else:
            if self.held:
                await self.stored.wait()
            await self._list(wire, request)

    async def _upload(self, wire: Wire, name: str) -> None:
        self.posts[name] += 1
        first = self.posts[name] == 1
        if not first or self.lost.get(name, True):
            self.arrived.append(name)
        id_ = len(self.arrived)
        if name in self.held:
            self.stored.set()
            await self.release.wait()
        if first and name in self.lost:
            # Do not let anyone look before all uploads that will be lost are in flight.
            await until(lambda: all(self.posts[other] for other in self.lost))
            wire.reset()
        elif self.posts[name] == 2 and name in self.lost_again:
            wire.reset()
        else:
            await wire.answer("202 Accepted", b"", f"Location: /v2/library/files/{id_}")

    async def _list(self, wire: Wire, request: Request) -> None:
        rows = [
            {"id": str(number), "name": name, "size": SIZE, "url": f"/content/{number}"}
            for number, name in enumerate(self.arrived, 1)
        ]
        first = "next=" not in request.target
        following = {"next_link": "/v2/library/files?next=x"} if first and self.pages > 1 else {}
        page = {"meta": {"pagination": following}, "results": rows[::-1]}
        if not first:
            self.release.set()
            await self.followed.wait()
            page["results"] = []
        await wire.answer(body=json.dumps(page).encode())


async def upload(
    client: ConstantContact, files: list[Any], folder: Folder, **options: Any
) -> dict[str, UploadResult]:
    results = {}
    async for result in client.upload_many(files, **options):
        results[result.name] = result
        folder.release.set()
    return results


def both(size: int = SIZE) -> list[FileToUpload]:
    two = CONTENT[TWO].ljust(size, b"2")
    return [FileToUpload(CONTENT[ONE], name=ONE), FileToUpload(two, name=TWO)]


def written(place: Path, names: tuple[str, ...]) -> list[Path]:
    for name in names:
        (place / name).write_bytes(CONTENT[name])
    return [place / name for name in names]


def check(results: dict[str, UploadResult], folder: Folder) -> None:
    """Check that no two files have one ID, and that every done file arrived under its own name."""
    ids = [result.id for result in results.values() if result.id]
    assert len(ids) == len(set(ids))
    for result in results.values():
        if result.state is BulkState.DONE:
            assert folder.arrived[int(result.id) - 1] == result.name
    assert max(Counter(folder.arrived).values(), default=0) <= 1


async def test_a_lost_file_does_not_adopt_one_that_is_just_arriving(
    connect: Callable[..., Any],
) -> None:
    folder = Folder(lost={ONE: False}, held={TWO})
    async with serving(folder.answer) as server:
        results = await upload(await connect(server), both(), folder)

    check(results, folder)
    assert {result.state for result in results.values()} == {BulkState.DONE}
    assert folder.arrived == [TWO, ONE]


async def test_a_lost_file_does_not_adopt_an_equal_one_whose_response_is_on_its_way(
    connect: Callable[..., Any],
) -> None:
    folder = Folder(lost={ONE: False}, held={TWO}, contents=dict.fromkeys((ONE, TWO), b"1" * SIZE))

    def release_soon() -> None:
        asyncio.get_running_loop().call_later(0.05, folder.release.set)

    folder.on_fetch = release_soon
    async with serving(folder.answer) as server:
        files = [FileToUpload(content, name=name) for name, content in folder.contents.items()]
        results = await upload(await connect(server), files, folder)

    check(results, folder)
    assert {result.state for result in results.values()} == {BulkState.DONE}
    assert folder.arrived == [TWO, ONE]


@pytest.mark.parametrize("lost_again", [{ONE}, {TWO}, {ONE, TWO}], ids=sorted)
@pytest.mark.parametrize("on_duplicate", ["trash", "report"])
async def test_the_file_of_an_upload_that_still_looks_is_no_copy_of_another(
    connect: Callable[..., Any], lost_again: set[str], on_duplicate: str
) -> None:
    """Nothing is deleted either: the folder answers a DELETE with its listing, an error."""
    folder = Folder(
        lost={ONE: False, TWO: False},
        lost_again=lost_again,
        contents=dict.fromkeys((ONE, TWO), b"1" * SIZE),
    )
    async with serving(folder.answer) as server:
        files = [FileToUpload(content, name=name) for name, content in folder.contents.items()]
        client = await connect(server)
        results = await upload(client, files, folder, on_duplicate=on_duplicate)

    check(results, folder)
    assert {result.state for result in results.values()} == {BulkState.DONE}
    assert sorted(folder.arrived) == [TWO, ONE]
    assert not any(result.duplicates for result in results.values())


async def test_the_next_run_looks_again_for_files_that_could_not_be_told_apart(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    paths, journal = written(tmp_path, (ONE, TWO)), tmp_path / "upload.db"
    folder = Folder(lost={ONE: False, TWO: True}, comparable=False)
    async with serving(folder.answer) as server:
        results = await upload(await connect(server), paths, folder, journal=journal)
        assert {result.state for result in results.values()} == {BulkState.AMBIGUOUS}
        assert all("(1 candidate: 1)" in str(result.error) for result in results.values())

        folder.comparable = True
        results = await upload(await connect(server), paths, folder, journal=journal)

    check(results, folder)
    assert {result.state for result in results.values()} == {BulkState.DONE}
    assert folder.arrived == [TWO, ONE]


async def test_two_lost_files_do_not_adopt_the_only_match(
    connect: Callable[..., Any],
) -> None:
    folder = Folder(lost={ONE: False, TWO: True})
    async with serving(folder.answer) as server:
        results = await upload(await connect(server), both(), folder)

    check(results, folder)
    assert {result.state for result in results.values()} == {BulkState.DONE}
    assert folder.arrived == [TWO, ONE]


@pytest.mark.parametrize("order", [(ONE, TWO), (TWO, ONE)], ids=str)
async def test_two_files_in_state_sending_do_not_adopt_the_only_match(
    connect: Callable[..., Any], tmp_path: Path, order: tuple[str, str]
) -> None:
    paths, journal = written(tmp_path, order), tmp_path / "upload.db"
    folder = Folder()
    async with serving(folder.answer) as server:
        await upload(await connect(server), paths, folder, journal=journal)
        with sqlite3.connect(journal) as database:
            database.execute("UPDATE files SET state = 'sending', file_id = '', token = ''")
        database.close()
        folder.arrived = [TWO]

        results = await upload(await connect(server), paths, folder, journal=journal, concurrency=1)

    check(results, folder)
    assert {result.state for result in results.values()} == {BulkState.DONE}
    assert folder.arrived == [TWO, ONE]


async def test_two_indistinguishable_files_are_never_sent_again(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    paths, journal = written(tmp_path, (ONE, TWO)), tmp_path / "upload.db"
    folder = Folder()
    runs = []
    async with serving(folder.answer) as server:
        await upload(await connect(server), paths, folder, journal=journal)
        with sqlite3.connect(journal) as database:
            database.execute("UPDATE files SET state = 'sending', file_id = '', token = ''")
        database.close()
        folder.arrived, folder.comparable = [TWO], False
        for _ in range(3):
            client = await connect(server)
            runs.append(await upload(client, paths, folder, journal=journal))
            rows = [row async for row in read_journal(str(journal))]
            assert {row.state for row in rows} == {BulkState.AMBIGUOUS}

    for results in runs:
        assert {result.state for result in results.values()} == {BulkState.AMBIGUOUS}
        assert all("(1 candidate: 1)" in str(result.error) for result in results.values())
    assert folder.arrived == [TWO], "nothing was sent again"


async def test_a_file_that_cannot_be_looked_for_is_looked_for_by_every_run(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    (path,), journal = written(tmp_path, (ONE,)), tmp_path / "upload.db"
    folder = Folder()
    async with serving(folder.answer) as server:
        await upload(await connect(server), [path], folder, journal=journal)
        with sqlite3.connect(journal) as database:
            database.execute("UPDATE files SET state = 'sending', file_id = '', token = ''")
        database.close()
        folder.readable = False
        for _ in range(3):
            results = await upload(await connect(server), [path], folder, journal=journal)
            assert results[ONE].state is BulkState.AMBIGUOUS
        folder.readable = True

        results = await upload(await connect(server), [path], folder, journal=journal)

    assert results[ONE].state is BulkState.DONE
    assert folder.arrived == [ONE]


async def test_an_id_issued_while_pages_are_read_is_not_adopted(
    connect: Callable[..., Any],
) -> None:
    """The other upload has its response, and no longer competes, before the last page arrives."""
    folder = Folder(lost={ONE: False}, held={TWO}, pages=2)
    async with serving(folder.answer) as server:
        results = await upload(await connect(server), both(), folder)

    check(results, folder)
    assert {result.state for result in results.values()} == {BulkState.DONE}
    assert folder.arrived == [TWO, ONE]


async def test_a_lost_file_is_adopted_beside_a_different_file(
    connect: Callable[..., Any],
) -> None:
    folder = Folder(lost={TWO: True})
    async with serving(folder.answer) as server:
        results = await upload(await connect(server), both(SIZE + 1)[::-1], folder)

    assert {result.state for result in results.values()} == {BulkState.DONE}
