"""One odd file, folder, response, or row affects a bulk upload as little as possible."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from ccv2_async import BulkState, FileToUpload, errors
from ccv2_async.errors import JournalError
from ccv2_async.uploads.many.folders import FolderMap
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import UploadResult
    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def results_of(client: ConstantContact, files: Any, **options: Any) -> list[UploadResult]:
    return [result async for result in client.upload_many(files, **options)]


async def test_a_dangling_link_fails_one_file_and_not_the_whole_folder(
    client: ConstantContact, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PICTURE)
    (tmp_path / "round.png").symlink_to("round.png")
    (tmp_path / "nowhere.png").symlink_to("missing.png")

    results = await results_of(client, [tmp_path])

    assert {result.path.rpartition("/")[2]: result.state for result in results} == {
        "a.png": BulkState.DONE,
        "round.png": BulkState.FAILED,
        "nowhere.png": BulkState.FAILED,
    }
    assert client.budget.used == 2  # one upload, one look


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_empty_file_is_refused_before_it_costs_a_call(
    client: ConstantContact, tmp_path: Path, dry_run: bool
) -> None:
    path = tmp_path / "empty.png"
    path.write_bytes(b"")

    [result] = await results_of(client, [path], dry_run=dry_run)

    assert isinstance(result.error, errors.FileRefused)
    assert client.budget.used == 0


async def test_calls_are_counted_past_midnight(
    client: ConstantContact, clock: SkippingClock
) -> None:
    upload = client.upload_many([FileToUpload(PICTURE, name=f"{n}.png") for n in range(4)])
    told = 0
    async for _ in upload:
        told += 1
        if told == 2:
            clock.now += 86_400.0

    assert upload.progress.calls == client.budget.used >= 5
    assert client.budget.used_today < client.budget.used


async def test_an_unreadable_journal_raises_an_error_of_the_package(
    client: ConstantContact, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PICTURE)
    journal = tmp_path / "journal.db"
    await results_of(client, [path], journal=journal)
    with contextlib.closing(sqlite3.connect(journal)) as database, database:
        database.execute("ALTER TABLE files RENAME size TO length")

    used = client.budget.used
    with pytest.raises(JournalError, match="cannot be read"):
        await results_of(client, [path], journal=journal)
    assert client.budget.used == used


async def test_the_latest_ids_in_a_journal_are_claimed_last(
    client: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The number of claims is limited, and only recent files can be mixed up.
    journal = tmp_path / "journal.db"
    for name in ("z.png", "m.png", "a.png"):
        (tmp_path / name).write_bytes(PICTURE)
        await results_of(client, [tmp_path / name], journal=journal)
    with contextlib.closing(sqlite3.connect(journal)) as database:
        rows = database.execute("SELECT file_id FROM files ORDER BY since").fetchall()
    uploader = client._open_parts.uploader
    claimed: list[list[str]] = []
    monkeypatch.setattr(uploader, "claim", lambda ids: claimed.append(list(ids)))

    await results_of(client, [tmp_path / "a.png"], journal=journal)

    assert claimed == [[row[0] for row in rows]]


NO = b'[{"error_key": "http.status.no", "error_message": "no"}]'


async def test_a_folder_that_the_service_refuses_is_requested_once(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    asked: list[str] = []

    async def answer(wire: Wire, request: Request) -> None:
        asked.append(request.method)
        if request.method == "POST":
            await wire.answer(
                "400 Bad Request", b'[{"error_key": "json.no", "error_message": "no"}]'
            )
        else:
            await wire.answer(body=b'{"meta": {"pagination": {}}, "results": []}')

    folder = tmp_path / "tree" / "below"
    folder.mkdir(parents=True)
    for number in range(12):
        (folder / f"{number}.png").write_bytes(PICTURE)
    async with serving(answer) as server:
        client = await connect(server)
        results = await results_of(client, [tmp_path / "tree"], keep_folders=True)

    assert len(results) == 12
    assert all(isinstance(result.error, errors.BadRequest) for result in results)
    assert asked == ["GET", "POST"]


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_a_page_in_place_of_a_folder_fails_only_the_file_that_met_it(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path, status: int
) -> None:
    folder = tmp_path / "tree" / "below"
    folder.mkdir(parents=True)
    for number in range(6):
        (folder / f"{number}.png").write_bytes(PICTURE)
    page: dict[str, Any] = {"status": status, "body": "<html>Something went wrong"}
    sandbox.admin.fault("answer", "POST", "/library/folders", **page)

    results = await results_of(client, [tmp_path / "tree"], keep_folders=True)

    (failed,) = [result for result in results if result.error is not None]
    assert isinstance(failed.error, errors.APIError)
    assert failed.error.status == status
    assert len(results) == 6


async def test_an_unexplained_folder_conflict_is_met_once(connect: Callable[..., Any]) -> None:
    asked: list[str] = []

    async def answer(wire: Wire, request: Request) -> None:
        asked.append(request.method)
        if request.method == "POST":
            await wire.answer("409 Conflict", NO)
        else:
            await wire.answer(body=b'{"meta": {"pagination": {}}, "results": []}')

    async with serving(answer) as server:
        client = await connect(server)
        folders = FolderMap(client.library, client.library._session)
        for _ in range(3):
            with pytest.raises(errors.Conflict):
                await folders.resolve("0", ("hidden",))

    assert asked == ["GET", "POST", "GET"]


def _service_with_pages(pages: int) -> tuple[list[str], Any]:
    """A service whose first status requests are answered by a page of some gateway."""
    accepted: list[str] = []
    left = [pages]

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            accepted.append(str(len(accepted) + 1))
            await wire.answer("201 Created", b"", f"Id: {accepted[-1]}")
        elif left[0]:
            left[0] -= 1
            await wire.answer("200 OK", b"<html>", "Content-Type: text/html", json=False)
        else:
            found = re.search("uploadstatus/([^?]+)", unquote(request.target))
            assert found is not None
            rows = ",".join(
                f'{{"file_id": "{id_}", "status": "Active", "description": ""}}'
                for id_ in found.group(1).split(",")
            )
            await wire.answer(body=f"[{rows}]".encode())

    return accepted, answer


async def test_a_few_malformed_responses_do_not_end_the_upload(
    connect: Callable[..., Any],
) -> None:
    accepted, answer = _service_with_pages(3)
    async with serving(answer) as server:
        client = await connect(server)
        results = await results_of(
            client, [FileToUpload(PICTURE, name=f"{n}.png") for n in range(5)]
        )

    assert {result.state for result in results} == {BulkState.DONE}
    assert len(accepted) == 5


async def test_hours_of_malformed_responses_lose_no_file(
    connect: Callable[..., Any],
) -> None:
    """The clock ends no wait of more than a minute; otherwise, there would be a `PollTimeout`."""
    accepted, answer = _service_with_pages(1000)
    async with serving(answer) as server:
        client = await connect(server)
        [result] = await results_of(client, [FileToUpload(PICTURE, name="a.png")])

    assert result.state is BulkState.DONE
    assert accepted == [result.id]
