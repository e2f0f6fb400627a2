"""Files that exist in their folder are skipped on request, by name and size."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import pytest

from ccv2_async import BulkState, FileToUpload
from ccv2_async.uploads.ledger import Action
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import UploadResult
    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox

Pictures: TypeAlias = "Callable[..., list[Path]]"
PNG = b"\x89PNG\r\n\x1a\n"


async def upload(client: ConstantContact, files: Any, **options: Any) -> list[UploadResult]:
    return [result async for result in client.upload_many(files, **options)]


def png(name: str, size: int = 20, *folders: str) -> FileToUpload:
    return FileToUpload(PNG + bytes(size), name=name, folders=folders)


async def test_existing_files_are_skipped_after_one_listing(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    files = [png(f"{number}.png") for number in range(5)]
    first = await upload(client, files)
    posts = len(sandbox.admin.requests("POST"))
    second = await upload(client, files, skip_existing=True)
    assert len(sandbox.admin.requests("POST")) == posts
    assert len(sandbox.admin.requests("GET", "/library/files")) == 1
    assert {result.id for result in second} == {result.id for result in first}
    assert all(result.existing and result.state is BulkState.DONE for result in second)


async def test_without_the_option_a_file_is_stored_again(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    await upload(client, [png("a.png")])
    (again,) = await upload(client, [png("a.png")])
    assert not again.existing
    assert [file["name"] for file in sandbox.admin.files()] == ["a.png", "a(1).png"]


async def test_a_flaw_in_the_row_of_a_file_does_not_hide_it(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    (first,) = await upload(client, [png("a.png")])
    row = {"id": first.id, "name": "a.png", "size": 28, "status": "Active", "thumbnail": 5}
    body = orjson.dumps({"meta": {"pagination": {}}, "results": [{"thumbnail": 5}, row]})
    sandbox.admin.fault("answer", "GET", "/library/files", status=200, body=body)
    results = await upload(client, [png("a.png"), png("b.png")], skip_existing=True)
    assert {result.existing for result in results if result.id == first.id} == {True}
    assert [file["name"] for file in sandbox.admin.files()] == ["a.png", "b.png"]


async def test_another_size_or_folder_is_another_file(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    await upload(client, [png("a.png"), png("b.png", 20, "Spring")])
    wanted = [png("a.png", 21), png("a.png", 20, "Spring"), png("b.png", 20, "Spring")]
    results = await upload(client, wanted, skip_existing=True)
    assert [result.existing for result in sorted(results, key=lambda one: one.existing)] == [
        False,
        False,
        True,
    ]
    assert len(sandbox.admin.files()) == 4


async def test_a_failed_file_does_not_count_as_existing(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    await upload(client, [png("a.png")])
    sandbox.admin.set_status(sandbox.admin.files()[0]["id"], "VirusFound")
    (again,) = await upload(client, [png("a.png")], skip_existing=True)
    assert not again.existing


async def test_an_existing_file_that_is_being_processed_is_followed(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    (first,) = await upload(client, [png("stuck.png")], wait=False)
    sandbox.admin.set_status(first.id, "Processing")
    (again,) = await upload(client, [png("stuck.png")], skip_existing=True, wait=False)
    assert (again.id, again.state) == (first.id, BulkState.ACCEPTED)
    assert len(sandbox.admin.files()) == 1


async def test_a_dry_run_reports_existing_files(client: ConstantContact, sandbox: Sandbox) -> None:
    await upload(client, [png("a.png", 20, "Spring")])
    wanted = [png("a.png", 20, "Spring"), png("b.png", 20, "Spring"), png("c.png", 20, "Fall")]
    plan = await upload(client, wanted, skip_existing=True, dry_run=True)
    actions = {result.name: result.action for result in plan}
    assert actions == {"a.png": Action.EXISTS, "b.png": Action.SEND, "c.png": Action.SEND}
    assert "Fall" not in {folder["name"] for folder in sandbox.admin.state()["folders"]}


@pytest.mark.parametrize("name", ["Frühling.png", "Fru\u0308hling.png"])
async def test_names_are_compared_in_normalized_form(
    client: ConstantContact, sandbox: Sandbox, name: str
) -> None:
    await upload(client, [png("Frühling.png")])
    (again,) = await upload(client, [png(name)], skip_existing=True)
    assert again.existing


async def test_a_skipped_file_is_done_in_the_journal(
    client: ConstantContact, sandbox: Sandbox, pictures: Pictures, tmp_path: Path
) -> None:
    files = pictures("a.png")
    await upload(client, files)
    journal = tmp_path / "x.db"
    (skipped,) = await upload(client, files, skip_existing=True, journal=journal)
    assert skipped.existing
    calls = len(sandbox.admin.requests())
    (known,) = await upload(client, files, journal=journal)
    assert (known.earlier, known.id) == (True, skipped.id)
    assert len(sandbox.admin.requests()) == calls


async def test_two_files_that_match_one_in_the_folder_each_get_a_result(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    (first,) = await upload(client, [png("slow.png")], wait=False)
    sandbox.admin.set_status(first.id, "Processing")
    twice = [png("slow.png"), png("slow.png")]
    uploading = asyncio.create_task(upload(client, twice, skip_existing=True))
    await asyncio.sleep(0.1)
    sandbox.admin.set_status(first.id, "Active")
    async with asyncio.timeout(20):
        results = await uploading
    assert [(result.id, result.state) for result in results] == [(first.id, BulkState.DONE)] * 2


@pytest.fixture
def alike(tmp_path: Path) -> list[Path]:
    """Two files of the same name and size, with different bytes."""
    paths = [tmp_path / "1" / "a.png", tmp_path / "2" / "a.png"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(PNG + path.parent.name.encode())
    return paths


async def test_the_file_of_another_upload_of_the_journal_is_not_an_existing_one(
    client: ConstantContact,
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    alike: list[Path],
) -> None:
    options: dict[str, Any] = {"journal": tmp_path / "journal", "skip_existing": True}
    (done,) = await upload(client, alike[:1], **options)  # then it was interrupted
    again = await connect(sandbox)
    plan = await upload(again, alike, **options, dry_run=True)
    assert [result.action for result in plan] == [Action.SKIP, Action.SEND]

    results = await upload(again, alike, **options)

    assert [result.existing for result in results] == [False, False]
    assert [result.id for result in results] == [file["id"] for file in sandbox.admin.files()]
    stored = [sandbox.admin.content(file["id"]) for file in sandbox.admin.files()]
    assert stored == [path.read_bytes() for path in alike]
    # A copy of the first one is not sent: its bytes are there.
    moved = tmp_path / "moved" / "a.png"
    moved.parent.mkdir()
    moved.write_bytes(alike[0].read_bytes())
    (skipped,) = await upload(again, [moved], **options)
    assert (skipped.existing, skipped.id) == (True, done.id)
    # Another journal knows nothing about them, so the name and the size decide.
    (skipped,) = await upload(again, alike[1:], journal=tmp_path / "other", skip_existing=True)
    assert (skipped.existing, skipped.id) == (True, done.id)


async def test_an_extra_copy_of_another_upload_of_the_journal_is_not_an_existing_file(
    client: ConstantContact,
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    alike: list[Path],
) -> None:
    options: dict[str, Any] = {"journal": tmp_path / "journal", "skip_existing": True}
    (copy,) = await upload(client, [png("a.png", 1)])
    (done,) = await upload(client, alike[:1], journal=options["journal"])
    with closing(sqlite3.connect(options["journal"], isolation_level=None)) as journal:
        journal.execute("UPDATE files SET duplicates = ?", (f'["{copy.id}"]',))
    (result,) = await upload(await connect(sandbox), alike[1:], **options)
    assert not result.existing
    assert result.id not in (copy.id, done.id)


@pytest.mark.parametrize("together", [True, False])
async def test_the_file_of_an_interrupted_upload_is_not_an_existing_one_for_another(
    client: ConstantContact,
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    alike: list[Path],
    *,
    together: bool,
) -> None:
    first, second = alike
    options: dict[str, Any] = {"journal": tmp_path / "journal", "skip_existing": True}
    sandbox.admin.fault("delay_response", "POST", seconds=30)
    interrupted = asyncio.create_task(upload(client, [second], **options))
    await until(sandbox.admin.files)
    interrupted.cancel()
    await asyncio.wait([interrupted])

    runs = [[first, second]] if together else [[first], [second]]
    results = [
        result
        for files in runs
        for result in await upload(await connect(sandbox), files, **options)
    ]

    assert not any(result.existing for result in results)
    stored = {file["id"]: sandbox.admin.content(file["id"]) for file in sandbox.admin.files()}
    assert len(stored) == 2, "the interrupted upload had arrived"
    ids = {result.path: result.id for result in results}
    assert [stored[ids[str(path)]] for path in alike] == [path.read_bytes() for path in alike]
