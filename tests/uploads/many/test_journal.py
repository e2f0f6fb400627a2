"""The journal of a bulk upload: its rows, what the next run does with them, and its lock."""

# ruff: noqa: ASYNC240  # a test may touch its few small files where it stands
from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import BulkState, FileToUpload, errors
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.files import databases
from ccv2_async.transport.files.threads import FileThreads
from ccv2_async.uploads.ledger import Action
from ccv2_async.uploads.many.journal import (
    Journal,
    JournalEntry,
    read_journal,
    retry_files,
    storable,
)
from tests.support.clocks import settle
from tests.support.probes import nothing_left, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from ccv2_async import UploadResult
    from ccv2_async.client import ConstantContact
    from tests.support.clocks import SkippingClock

Pictures: TypeAlias = "Callable[..., list[Path]]"
POSTS = ("POST", "/library/files")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the journal is kept."""
    return tmp_path / "upload.db"


@pytest.fixture
async def threads() -> AsyncIterator[FileThreads]:
    """Threads to open files in."""
    threads = FileThreads(limit=1)
    yield threads
    await threads.aclose()


async def run(
    client: ConstantContact, files: list[Any], journal: Path, **options: Any
) -> list[UploadResult]:
    upload = client.upload_many(files, journal=journal, **options)
    return [result async for result in upload]


async def closed(opening: Awaitable[Journal | None]) -> None:
    journal = await opening
    assert journal is not None
    await journal.aclose()


async def rows_of(journal: Path) -> dict[str, JournalEntry]:
    return {row.name: row async for row in read_journal(str(journal))}


def set_row(journal: Path, name: str, **values: Any) -> None:
    """Put a row into the state in which a killed process would have left it."""
    changes = ", ".join(f"{column} = ?" for column in values)
    with sqlite3.connect(journal) as database:
        database.execute(
            f"UPDATE files SET {changes} WHERE name = ?",  # noqa: S608  # our own names
            (*values.values(), name),
        )
    database.close()


# States and what they lead to


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_two_paths_have_two_rows(one: str, other: str) -> None:
    assert (storable(one) == storable(other)) == (one == other)
    storable(one).encode("utf-8")


# Runs


async def test_every_state_is_recorded(
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[tuple[BulkState, int]] = []
    write = Journal.write

    async def noting(self: Journal, entry: JournalEntry) -> JournalEntry:
        kept = await write(self, entry)
        written.append((entry.state, len(sandbox.admin.requests())))
        return kept

    monkeypatch.setattr(Journal, "write", noting)

    (result,) = await run(client, pictures("a.png"), journal)

    assert written == [(BulkState.SENDING, 0), (BulkState.ACCEPTED, 1), (BulkState.DONE, 2)]
    (row,) = (await rows_of(journal)).values()
    assert (row.state, row.file_id, row.status) == (BulkState.DONE, result.id, "Active")
    assert (row.path, row.name, row.folder, row.folder_id) == (result.path, "a.png", "0", "0")
    assert client.resume(row.token).id == result.id
    assert row.updated >= (row.since or 0.0) > 0


async def test_running_again_sends_nothing_again(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    paths = pictures("a.png", "virus.png", "notes.txt")
    first = await run(client, paths, journal)
    asked = len(sandbox.admin.requests())

    second = await run(client, paths, journal)

    assert len(sandbox.admin.requests()) == asked
    states = {Path(result.path).name: result.state for result in first}
    assert {Path(result.path).name: result.state for result in second} == states
    assert {Path(result.path).name: result.earlier for result in second} == {
        "a.png": True,
        "virus.png": True,
        "notes.txt": False,
    }
    (virus,) = [result for result in second if result.name == "virus.png"]
    assert isinstance(virus.error, errors.UploadFailed)
    assert "found a virus" in virus.error.message


async def test_a_later_run_adds_new_files(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    await run(client, pictures("a.png"), journal)

    await run(client, pictures("b.png") + pictures("a.png"), journal, dry_run=True)
    results = await run(client, pictures("b.png"), journal)

    assert [result.state for result in results] == [BulkState.DONE]
    assert len(sandbox.admin.files()) == 2


async def test_the_next_run_follows_an_accepted_file(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    paths = pictures("a.png", "virus.png")
    accepted = await run(client, paths, journal, wait=False)
    assert {row.state for row in (await rows_of(journal)).values()} == {BulkState.ACCEPTED}
    again = await run(client, paths, journal, wait=False)
    assert {result.id for result in again} == {result.id for result in accepted}

    results = {result.name: result for result in await run(client, paths, journal)}

    assert results["a.png"].state is BulkState.DONE
    assert isinstance(results["virus.png"].error, errors.VirusFound)
    assert results["virus.png"].error.message.startswith("upload of virus.png")
    assert len(sandbox.admin.requests(*POSTS)) == 2


async def test_a_file_accepted_hours_ago_is_still_followed(
    connect: Callable[..., Any], clock: SkippingClock, journal: Path, pictures: Pictures
) -> None:
    with Sandbox(mode="looks", looks=1) as sandbox:
        client = await connect(sandbox)
        await run(client, pictures("a.png"), journal, wait=False)
        clock.now += 7200
        later = await connect(sandbox)

        (result,) = await run(later, pictures("a.png"), journal)

    assert result.state is BulkState.DONE


async def test_an_accepted_file_that_disappeared_is_lost(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    await run(await connect(sandbox), pictures("a.png"), journal, wait=False)
    sandbox.admin.reset()

    (result,) = await run(await connect(sandbox), pictures("a.png"), journal)

    assert isinstance(result.error, errors.JobNotFound)
    (row,) = (await rows_of(journal)).values()
    assert (row.state, row.final) == (BulkState.FAILED, True)


async def test_a_file_in_state_sending_that_arrived_is_adopted(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    (first,) = await run(await connect(sandbox), pictures("a.png"), journal)
    set_row(journal, "a.png", state="sending", file_id="", token="", status=None)

    (result,) = await run(await connect(sandbox), pictures("a.png"), journal)

    assert (result.state, result.id) == (BulkState.DONE, first.id)
    assert len(sandbox.admin.requests(*POSTS)) == 1


async def test_a_file_in_state_sending_that_did_not_arrive_is_sent_once(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    await run(await connect(sandbox), pictures("a.png"), journal)
    sandbox.admin.reset()
    set_row(journal, "a.png", state="sending", file_id="", token="", status=None)

    (result,) = await run(await connect(sandbox), pictures("a.png"), journal)

    assert result.state is BulkState.DONE
    assert len(sandbox.admin.files()) == 1
    looked, posted = (
        [entry.number for entry in sandbox.admin.requests(*what)]
        for what in (("GET", "/library/files"), POSTS)
    )
    assert len([number for number in looked if number < min(posted)]) == 3
    assert len(posted) == 1


async def test_a_file_in_state_sending_with_two_candidates_stays_ambiguous(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    client = await connect(sandbox)
    (path,) = pictures("a.png")
    await run(client, [path], journal)
    set_row(journal, "a.png", state="sending", file_id="", token="", status=None)
    await client.library.upload(path)

    for _ in range(2):
        (result,) = await run(await connect(sandbox), [path], journal)
        assert (result.state, result.earlier) == (BulkState.AMBIGUOUS, False)
        assert isinstance(result.error, errors.AmbiguousUpload)
        assert "2 candidates" in result.error.message
    assert len(sandbox.admin.files()) == 2


async def test_the_next_run_looks_for_a_file_that_could_not_be_looked_for(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    sandbox.admin.fault("lose_response", *POSTS)
    sandbox.admin.fault("server_error", "GET", times=None)

    with pytest.raises(errors.ServiceUnavailable):
        await run(await connect(sandbox), pictures("a.png"), journal)
    assert (await rows_of(journal))["a.png"].state is BulkState.SENDING
    sandbox.admin.clear_faults()

    (result,) = await run(await connect(sandbox), pictures("a.png"), journal)
    assert result.state is BulkState.DONE
    assert len(sandbox.admin.files()) == 1


async def test_the_next_run_sends_a_refused_file_again(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    sandbox.admin.fault("answer", *POSTS, status=413, body="[]")

    (result,) = await run(client, pictures("a.png"), journal)
    assert isinstance(result.error, errors.BadRequest)
    row = (await rows_of(journal))["a.png"]
    assert (row.state, row.final, row.error) == (BulkState.FAILED, False, result.error.message)

    (result,) = await run(client, pictures("a.png"), journal)
    assert result.state is BulkState.DONE
    assert (await rows_of(journal))["a.png"].error == ""


async def test_the_next_run_continues_after_the_daily_quota_ended(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    paths = pictures(*(f"{n}.png" for n in range(20)))
    sandbox.admin.fault("over_ratelimit", *POSTS, skip=7, times=None)
    with pytest.raises(errors.DailyQuotaExceeded):
        await run(await connect(sandbox), paths, journal, concurrency=3)
    states = {row.state for row in (await rows_of(journal)).values()}
    assert BulkState.FAILED not in states
    assert BulkState.AMBIGUOUS not in states
    sandbox.admin.clear_faults()

    results = await run(await connect(sandbox), paths, journal)

    assert {result.state for result in results} == {BulkState.DONE}
    assert len(sandbox.admin.files()) == 20


async def test_a_file_that_changed_since_the_last_run_is_not_sent(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    (path,) = pictures("a.png")
    (first,) = await run(client, [path], journal)
    path.write_bytes(b"\x89PNG\r\n\x1a\n another picture")

    (planned,) = await run(client, [path], journal, dry_run=True)
    (result,) = await run(client, [path], journal)

    assert planned.action is Action.REFUSE
    assert isinstance(result.error, errors.FileRefused)
    assert f"done with ID {first.id}, and it has changed since" in result.error.message
    assert len(sandbox.admin.files()) == 1


async def test_a_touched_file_counts_as_changed(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    (path,) = pictures("a.png")
    await run(client, [path], journal)
    os.utime(path, ns=(1, 1))

    (result,) = await run(client, [path], journal)

    assert isinstance(result.error, errors.FileRefused)


@pytest.mark.parametrize("content", [b"a longer picture", b"x", None], ids=str)
async def test_a_file_that_changes_before_its_row_is_written_is_not_sent_under_that_row(
    *,
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
) -> None:
    (path,) = pictures("a.png")
    before = path.read_bytes()
    find = Journal.find

    async def changing(self: Journal, key: tuple[str, str, str]) -> JournalEntry | None:
        if path.read_bytes() == before:
            path.write_bytes(before[::-1] if content is None else content)
            os.utime(path, ns=(1, 1))
        return await find(self, key)

    monkeypatch.setattr(Journal, "find", changing)

    (result,) = await run(client, [path], journal)
    assert isinstance(result.error, errors.FileChanged)
    assert not sandbox.admin.files()
    row = (await rows_of(journal))["a.png"]
    assert (row.state, row.final, row.size) == (BulkState.FAILED, False, len(before))

    (result,) = await run(client, [path], journal)
    assert result.state is BulkState.DONE
    (stored,) = sandbox.admin.files()
    row = (await rows_of(journal))["a.png"]
    now = path.stat()
    assert (row.size, row.written_ns) == (now.st_size, now.st_mtime_ns)
    assert stored["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


async def test_the_file_of_an_unfinished_look_for_a_copy_belongs_to_no_other_upload(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    paths = pictures("a/same.png", "b/same.png")
    paths[1].write_bytes(paths[0].read_bytes())
    (first,) = await run(await connect(sandbox), paths[1:], journal)
    set_row(journal, "same.png", state="sending", sends=2, token="", status=None)
    (entry,) = (await rows_of(journal)).values()
    row = {**entry.row, "path": str(paths[0]), "file_id": "", "sends": 1}
    row["written_ns"] = paths[0].stat().st_mtime_ns
    with sqlite3.connect(journal) as database:
        marks = ", ".join("?" * len(row))
        database.execute(f"INSERT INTO files VALUES ({marks})", [*row.values()])  # noqa: S608
    database.close()

    results = await run(await connect(sandbox), paths, journal, concurrency=1)

    assert {result.state for result in results} == {BulkState.DONE}
    assert {result.id for result in results} == {file["id"] for file in sandbox.admin.files()}
    assert first.id in {result.id for result in results}
    assert len(sandbox.admin.files()) == 2


@pytest.mark.parametrize("size", [100, 3_000_000], ids=["read at once", "read in blocks"])
@pytest.mark.parametrize("kept_size", [True, False], ids=["same size", "shorter"])
async def test_a_file_that_changes_after_its_row_was_written_is_not_sent_under_that_row(
    *,
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    kept_size: bool,
) -> None:
    path = tmp_path / "a.png"
    before = bytes(size)
    path.write_bytes(before)
    write = Journal.write

    async def changing(self: Journal, entry: JournalEntry) -> JournalEntry:
        kept = await write(self, entry)
        if entry.state is BulkState.SENDING and path.read_bytes() == before:
            path.write_bytes(b"x" * size if kept_size else b"x")
            os.utime(path, ns=(1, 1))
        return kept

    monkeypatch.setattr(Journal, "write", changing)

    (result,) = await run(client, [path], journal)
    row = (await rows_of(journal))["a.png"]
    assert row.size == size
    if size == 100:  # its bytes were read before the row was written: those of the row were sent
        (stored,) = sandbox.admin.files()
        assert stored["sha256"] == hashlib.sha256(before).hexdigest()
        assert result.state is row.state is BulkState.DONE
        (result,) = await run(client, [path], journal)
        assert isinstance(result.error, errors.FileRefused)
        assert len(sandbox.admin.files()) == 1
    else:
        assert isinstance(result.error, errors.FileChanged)
        assert not sandbox.admin.files()
        assert (row.state, row.final) == (BulkState.FAILED, False)


async def test_a_file_that_disappears_before_its_row_is_written_fails_alone(
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone, fine = pictures("a.png", "b.png")
    find = Journal.find

    async def removing(self: Journal, key: tuple[str, str, str]) -> JournalEntry | None:
        gone.unlink(missing_ok=True)
        return await find(self, key)

    monkeypatch.setattr(Journal, "find", removing)

    results = await run(client, [gone, fine], journal, concurrency=1)

    assert [type(result.error) for result in results] == [errors.FileChanged, type(None)]
    assert [file["name"] for file in sandbox.admin.files()] == ["b.png"]


async def test_one_file_for_two_folders_is_two_files(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    folder = await client.library.create_folder("Menus")
    (path,) = pictures("a.png")
    both = [path, FileToUpload(path, folder_id=folder.id), FileToUpload(path, name="b.png")]

    for _ in range(2):
        results = await run(client, both, journal)
        assert [result.state for result in results] == [BulkState.DONE] * 3

    assert len(sandbox.admin.files()) == 3


async def test_a_file_named_twice_is_sent_once_and_reported_twice(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    (path,) = pictures("a.png")
    relative = os.path.relpath(path)
    upload = client.upload_many([path, relative, path], journal=journal)

    results = [result async for result in upload]

    assert len(sandbox.admin.files()) == 1
    assert sorted(result.path for result in results) == sorted([str(path), relative, str(path)])
    assert {(result.state, result.id) for result in results} == {(BulkState.DONE, results[0].id)}
    assert (upload.progress.seen, upload.progress.settled) == (3, 3)


async def test_files_with_the_same_name_are_sent_in_sequence(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    paths = pictures(*(f"{place}/a.png" for place in "abcdef"))
    sandbox.admin.fault("lose_response", *POSTS, chance=0.5, times=None)
    most = 0
    upload = client.upload_many(paths, journal=journal)

    async for _ in upload:
        most = max(most, upload.progress.sending)

    assert most <= 1
    assert {row.state for row in (await rows_of(journal)).values()} == {BulkState.DONE}
    assert len({file["sha256"] for file in sandbox.admin.files()}) == 6


async def test_bytes_and_streams_are_refused_with_a_journal(
    client: ConstantContact, journal: Path
) -> None:
    (result,) = await run(client, [FileToUpload(b"abc", name="a.png")], journal)

    assert isinstance(result.error, errors.InvalidField)
    assert "a path, because a journal is used" in result.error.message


async def test_names_with_any_bytes_are_kept_apart(
    client: ConstantContact, sandbox: Sandbox, journal: Path, tmp_path: Path
) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)  # noqa: PTH102  # a name that is no text
    files = []
    for number, name in enumerate(
        (b"a\xff.png", b"a\\udcff.png", b"a\xfe?#%41.png", "ä ö.png".encode())
    ):
        with open(os.path.join(folder, name), "wb") as file:  # noqa: ASYNC230, PTH118, PTH123  # a few bytes
            file.write(b"\x89PNG\r\n\x1a\n" + name)
        path = os.fsdecode(os.path.join(folder, name))  # noqa: PTH118  # bytes
        files.append(FileToUpload(path, name=f"{number}.png"))
    odd = journal.with_name("50% off? #1.db")

    for _ in range(2):
        results = await run(client, files, odd)
        assert [result.state for result in results] == [BulkState.DONE] * 4
    assert len(sandbox.admin.files()) == 4
    assert len(await rows_of(odd)) == 4


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "j.db"])
async def test_a_journal_name_is_always_a_file_name(
    client: ConstantContact,
    tmp_path: Path,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    paths = pictures("a.png")
    monkeypatch.chdir(tmp_path)

    await run(client, paths, Path(name))

    assert [row.state async for row in read_journal(name)] == [BulkState.DONE]
    (result,) = await run(client, paths, Path(name))
    assert result.earlier


async def test_an_error_that_names_an_odd_path_can_be_kept(
    client: ConstantContact, sandbox: Sandbox, journal: Path, tmp_path: Path
) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.png")
    with open(path, "wb") as file:  # noqa: ASYNC230, PTH123  # a few bytes
        file.write(bytes(100))
    sandbox.admin.fault(
        "answer", *POSTS, status=400, body=b'[{"error_key": "x", "error_message": "y"}]'
    )

    (result,) = await run(client, [FileToUpload(path, name="a.png")], journal)

    assert isinstance(result.error, errors.BadRequest)
    assert (await rows_of(journal))["a.png"].error


# Dry runs


def around(journal: Path) -> dict[str, bytes]:
    """Return every file next to the journal, and the journal."""
    return {path.name: path.read_bytes() for path in journal.parent.iterdir() if path.is_file()}


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
async def test_a_dry_run_creates_no_journal(
    client: ConstantContact, journal: Path, pictures: Pictures, content: bytes | None
) -> None:
    if content is not None:
        journal.write_bytes(content)
    before = around(journal)

    (planned,) = await run(client, pictures("a.png"), journal, dry_run=True)

    assert (planned.state, planned.action) == (BulkState.PENDING, Action.SEND)
    assert around(journal) == before


async def test_a_dry_run_reads_the_journal_and_does_not_change_it(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    paths = pictures("a.png", "b.png", "c.png")
    await run(client, paths[:2], journal)
    set_row(journal, "b.png", state="sending", file_id="", token="", status=None)
    before, asked = around(journal), len(sandbox.admin.requests())

    planned = await run(client, paths, journal, dry_run=True)

    assert {result.name: result.action for result in planned} == {
        "a.png": Action.SKIP,
        "b.png": Action.LOOK,
        "c.png": Action.SEND,
    }
    assert around(journal) == before
    assert len(sandbox.admin.requests()) == asked


async def test_a_dry_run_can_read_a_journal_in_use(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    paths = pictures("a.png", "b.png", "c.png")
    first = aiter(client.upload_many(paths, journal=journal, concurrency=1))
    done = await anext(first)

    planned = await run(client, paths, journal, dry_run=True)

    assert {result.path: result.action for result in planned}[done.path] is Action.SKIP
    assert len([result async for result in first]) == 2


@pytest.mark.parametrize("year", [1601, 1900, 2120, 2400])
async def test_a_file_with_a_strange_date_is_sent_once(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures, year: int
) -> None:
    files = pictures("a.png", "b.png")
    written = (year - 1970) * 31_556_952 * 10**9
    os.utime(files[0], ns=(written, written))
    for _ in range(2):
        results = await run(client, files, journal)
        assert [result.state for result in results] == [BulkState.DONE] * 2
    assert sorted(file["name"] for file in sandbox.admin.files()) == ["a.png", "b.png"]
    local = str(files[0].parent)
    for _ in range(2):
        assert (await client.library.mirror(local)).equal == 2


async def test_a_dry_run_reports_an_unusable_journal(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    client = await connect(sandbox)
    with pytest.raises(errors.UsageError, match="journal cannot be opened"):
        await run(client, pictures("a.png"), journal.parent / "missing" / "j.db", dry_run=True)
    with pytest.raises(errors.InvalidField, match="or contain null characters"):
        await run(client, pictures("a.png"), Path("a\0b"), dry_run=True)
    await run(client, pictures("a.png"), journal)
    sandbox.admin.configure(access_token="another")
    other = await connect(sandbox)
    with pytest.raises(errors.UsageError, match="belongs to another account"):
        await run(other, pictures("a.png"), journal, dry_run=True)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 20])
async def test_a_dry_run_does_not_change_a_file_that_is_not_a_journal(
    client: ConstantContact, journal: Path, pictures: Pictures, content: bytes
) -> None:
    journal.write_bytes(content)
    before = around(journal)

    with pytest.raises(errors.UsageError, match="this is not a journal"):
        await run(client, pictures("a.png"), journal, dry_run=True)

    assert around(journal) == before


# Who is let in


async def test_a_journal_of_another_account_is_refused(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    await run(await connect(sandbox), pictures("a.png"), journal)
    sandbox.admin.configure(access_token="another")
    other = await connect(sandbox)
    asked = len(sandbox.admin.requests())

    with pytest.raises(errors.UsageError, match="belongs to another account"):
        await run(other, pictures("a.png"), journal)

    assert len(sandbox.admin.requests()) == asked


async def test_a_journal_of_an_earlier_token_is_used_with_that_token_and_a_refresh(
    connect: Callable[..., Any], sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    await run(await connect(sandbox), pictures("a.png"), journal)
    earlier = sandbox.client_options()["access_token"]
    sandbox.admin.configure(access_token="new")
    with pytest.raises(errors.UsageError, match="pass the earlier token, and a refresh_token"):
        await run(await connect(sandbox), pictures("a.png", "b.png"), journal)

    client = await connect(sandbox, access_token=earlier, refresh_token=lambda: "new")
    await run(client, pictures("a.png", "b.png"), journal)

    assert sorted(file["name"] for file in sandbox.admin.files()) == ["a.png", "b.png"]


async def test_a_journal_of_another_service_is_refused(
    connect: Callable[..., Any], client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    await run(client, pictures("a.png"), journal)
    with Sandbox() as elsewhere:
        other = await connect(elsewhere)
        with pytest.raises(errors.UsageError, match=r"belongs to another service \(http://127"):
            await run(other, pictures("a.png"), journal)


async def test_a_journal_of_another_version_is_refused(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    await run(client, pictures("a.png"), journal)
    with sqlite3.connect(journal) as database:
        database.execute("UPDATE about SET value = '1' WHERE name = 'version'")
    database.close()

    before = journal.read_bytes()
    for used in (
        run(client, pictures("a.png"), journal),
        run(client, pictures("a.png"), journal, dry_run=True),
        rows_of(journal),
        retry_files(journal),
    ):
        with pytest.raises(
            errors.UsageError, match=r"has version 1, .* reads version 2\. Use"
        ) as caught:
            await used
        assert str(caught.value).startswith(f"{journal}: this journal has version 1, ")
    assert journal.read_bytes() == before


@pytest.mark.parametrize("code", ["FULL", "IOERR", "CANTOPEN", "BUSY", "CORRUPT"])
async def test_a_journal_that_the_disk_cannot_read_is_not_called_another_file(
    client: ConstantContact,
    journal: Path,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
) -> None:
    await run(client, pictures("a.png"), journal)
    error = sqlite3.OperationalError("the disk says no")
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{code}")

    class Failing(sqlite3.Connection):
        def execute(self, statement: str, /, *values: Any) -> sqlite3.Cursor:
            if "WAL" in statement:
                raise error
            return super().execute(statement, *values)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Failing))
    with pytest.raises(errors.UsageError, match="journal cannot be opened") as caught:
        await run(client, pictures("a.png"), journal)
    assert "another file" not in str(caught.value)


async def test_a_journal_serves_one_upload_at_a_time(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    first = aiter(client.upload_many(pictures("a.png", "b.png"), journal=journal))
    await anext(first)

    with pytest.raises(errors.UsageError, match="another process is uploading with this journal"):
        await run(client, pictures("a.png"), journal)

    assert len([result async for result in first]) == 1
    assert len(await run(client, pictures("a.png"), journal)) == 1


async def test_a_journal_serves_one_upload_at_a_time_under_all_its_names(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    link = journal.with_name("link.db")
    link.symlink_to(journal)
    first = aiter(client.upload_many(pictures("a.png", "b.png"), journal=journal))
    await anext(first)
    with pytest.raises(errors.UsageError, match="another process is uploading with this journal"):
        await run(client, pictures("a.png"), link)
    await first.aclose()
    first = aiter(client.upload_many(pictures("a.png", "b.png"), journal=link))
    await anext(first)
    with pytest.raises(errors.UsageError, match="another process is uploading with this journal"):
        await run(client, pictures("a.png"), journal)
    await first.aclose()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" * 20])
async def test_a_file_that_is_not_a_journal_is_unchanged(
    client: ConstantContact, journal: Path, pictures: Pictures, content: bytes
) -> None:
    journal.write_bytes(content)
    client._open_parts.threads.executor._max_workers = 1
    await client._open_parts.threads.run(int)  # its only thread
    async with nothing_left():
        with pytest.raises(errors.UsageError, match="this is not a journal"):
            await run(client, pictures("a.png"), journal)

    assert journal.read_bytes() == content


async def test_another_database_is_unchanged(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    with sqlite3.connect(journal) as database:
        database.execute("CREATE TABLE files (name TEXT)")
    database.close()
    before = journal.read_bytes()

    with pytest.raises(errors.UsageError, match="it is another database"):
        await run(client, pictures("a.png"), journal)

    assert journal.read_bytes() == before


@pytest.mark.parametrize("where", ["missing/upload.db", "."])
async def test_a_journal_that_cannot_be_opened_is_reported(
    client: ConstantContact, tmp_path: Path, pictures: Pictures, where: str
) -> None:
    client._open_parts.threads.executor._max_workers = 1
    await client._open_parts.threads.run(int)  # its only thread
    async with nothing_left():
        with pytest.raises(errors.UsageError, match="journal cannot be opened"):
            await run(client, pictures("a.png"), Path(f"{tmp_path}/{where}"))


async def test_a_journal_that_can_no_longer_be_written_ends_the_upload(
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ccv2_async.uploads.many.journal.UPSERT", "INSERT INTO nowhere VALUES (1)")

    with pytest.raises(errors.JournalError, match=r"upload.db: the journal cannot be written"):
        await run(client, pictures("a.png", "b.png"), journal)

    assert not sandbox.admin.requests(*POSTS)


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
async def test_a_journal_that_is_deleted_or_replaced_during_an_upload_ends_it(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures, replaced: bool
) -> None:
    async def files() -> AsyncIterator[Path]:
        first, second = pictures("a.png", "b.png")
        yield first
        await until(lambda: sandbox.admin.requests(*POSTS))
        journal.unlink()
        if replaced:
            journal.write_bytes(b"")
        yield second

    with pytest.raises(errors.JournalError, match="moved, deleted, or replaced"):
        async for _ in client.upload_many(files(), journal=journal):
            pass

    assert len(sandbox.admin.requests(*POSTS)) == 1


async def test_a_file_whose_acceptance_could_not_be_recorded_is_adopted_by_the_next_run(
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = Journal.write

    async def fail_at_acceptance(self: Journal, entry: JournalEntry, /) -> JournalEntry:
        if entry.state is BulkState.ACCEPTED:
            raise errors.JournalError("The journal cannot be written.")
        return await write(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", fail_at_acceptance)
        with pytest.raises(errors.JournalError):
            await run(client, pictures("a.png"), journal)

    (result,) = await run(client, pictures("a.png"), journal)
    assert result.state is BulkState.DONE
    assert len(sandbox.admin.requests(*POSTS)) == 1


@attrs.define
class Cancelling:
    """Cancels its task at the n-th point where `work` waits.

    Attributes:
        work: What is awaited.
        point: The number of the point, from 1.
        late: Whether to cancel when the wait is over but `work` has not continued yet, instead of
            as soon as it waits.
        points: How many points `work` has reached.
    """

    work: Awaitable[Any]
    point: int
    late: bool
    points: int = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        steps = self.work.__await__()
        try:
            future = next(steps)
            while True:
                self.points += 1
                if self.points == self.point and self.late:
                    future.add_done_callback(lambda _: task.cancel())
                elif self.points == self.point:
                    task.cancel()
                try:
                    yield future
                except asyncio.CancelledError as cancelled:
                    future = steps.throw(cancelled)
                else:
                    future = next(steps)
        except StopIteration as end:
            return end.value

    async def outcome(self) -> Any:
        """Return the outcome of `work`."""
        return await self


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_cancelled_open_leaves_nothing_open(
    threads: FileThreads, tmp_path: Path, dry_run: bool, late: bool
) -> None:
    about: dict[str, Any] = {"account": "a", "base_url": "b", "now": lambda: 0.0}
    await threads.run(int)  # its only thread
    for point in itertools.count(1):
        path = str(tmp_path / f"{point}.db")
        if dry_run:
            await closed(Journal.open(path, threads, **about))
        async with nothing_left():
            opening = Journal.open(path, threads, dry_run=dry_run, **about)
            cancelling = Cancelling(opening, point, late)
            running = asyncio.create_task(cancelling.outcome())
            await asyncio.wait([running])
            # Keep the result until the end: its exception must not hold anything that is open.
            cancelled = running.cancelled()
            assert cancelled == (cancelling.points >= point)
            if not cancelled:
                await running.result().aclose()
        await closed(Journal.open(path, threads, **about))
        if cancelling.points < point:
            break
    assert point > 1, "it waits for the thread that opens the file and the database"


@pytest.mark.parametrize("what", ["lock", "connect"])
async def test_a_cancelled_open_in_a_thread_leaves_nothing_open(
    threads: FileThreads, journal: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    about: dict[str, Any] = {"account": "a", "base_url": "b", "now": lambda: 0.0}
    at_it, go_on = threading.Event(), threading.Event()
    owner, name = (databases, "take_lock") if what == "lock" else (sqlite3, "connect")
    work = getattr(owner, name)

    def slow(*args: Any, **options: Any) -> Any:
        at_it.set()
        assert go_on.wait(30)
        return work(*args, **options)

    await threads.run(int)  # its only thread
    async with nothing_left():
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, slow)
            opening = asyncio.create_task(Journal.open(str(journal), threads, **about))
            await until(at_it.is_set)
            opening.cancel()
            await settle()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await opening
        # The next upload must not find the lock of this one.
        await closed(Journal.open(str(journal), threads, **about))


# Reading it


async def test_a_journal_can_be_read_while_it_is_in_use(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    upload = client.upload_many(pictures("a.png", "b.png"), journal=journal, concurrency=1)

    async for _ in upload:
        rows = await rows_of(journal)
        assert any(row.state is BulkState.DONE for row in rows.values())


@pytest.mark.parametrize("use", ["read", "retry", "upload"])
async def test_using_a_journal_again_does_not_release_the_locks_of_sqlite(
    client: ConstantContact, journal: Path, pictures: Pictures, use: str
) -> None:
    paths = pictures("a.png", "b.png")
    first = aiter(client.upload_many(paths, journal=journal, concurrency=1))
    await anext(first)
    if use == "read":
        await rows_of(journal)
    elif use == "retry":
        with pytest.raises(errors.UsageError, match="another process is uploading"):
            await retry_files(journal)
    else:
        with pytest.raises(errors.UsageError, match="another process is uploading"):
            await run(client, paths, journal)

    # The last connection to a database deletes its log, and a process that is killed loses it.
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM files')"
    command = [sys.executable, "-c", code, str(journal)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    assert Path(f"{journal}-wal").exists()
    assert len([result async for result in first]) == 1


async def test_every_row_of_a_long_journal_is_read_once_in_order(
    threads: FileThreads, journal: Path
) -> None:
    await closed(Journal.open(str(journal), threads, account="a", base_url="b", now=lambda: 0.0))
    # Where a portion ends, rows may differ only in their names.
    written = sorted((f"/{n:04}.png", "0", name) for n in range(700) for name in ("a", "b", "c"))
    with sqlite3.connect(journal) as database:
        database.executemany(
            "INSERT INTO files (path, folder, name, size, written_ns, state, updated) "
            "VALUES (?, ?, ?, 1, 1, 'done', 0)",
            written,
        )
    database.close()

    assert [row.key async for row in read_journal(str(journal))] == written


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_read_leaves_nothing_open(
    client: ConstantContact, journal: Path, pictures: Pictures, late: bool
) -> None:
    await run(client, pictures("a.png", "b.png"), journal)
    for point in itertools.count(1):
        async with nothing_left():
            cancelling = Cancelling(rows_of(journal), point, late)
            running = asyncio.create_task(cancelling.outcome())
            await asyncio.wait([running])
            assert running.cancelled() == (cancelling.points >= point)
        if cancelling.points < point:
            break
    assert point > 4, "it waits for the file, the database and its rows"


async def test_reading_does_not_change_the_journal(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    await run(client, pictures("a.png"), journal)
    before = journal.read_bytes()
    journal.chmod(0o400)

    assert len(await rows_of(journal)) == 1
    assert journal.read_bytes() == before


async def test_a_journal_can_be_read_in_a_directory_that_cannot_be_written(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    await run(client, pictures("a.png"), journal)
    # As there, SQLite cannot create its file.
    journal.with_name(f"{journal.name}-shm").symlink_to("missing/directory")

    assert (await rows_of(journal))["a.png"].state is BulkState.DONE
    journal.with_name(f"{journal.name}-wal").unlink()  # which SQLite could create here
    (planned,) = await run(client, pictures("a.png"), journal, dry_run=True)
    assert planned.action is Action.SKIP


async def test_a_journal_with_unread_changes_is_not_read_without_them(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    await run(client, pictures("a.png"), journal)
    journal.with_name(f"{journal.name}-shm").symlink_to("missing/directory")
    journal.with_name(f"{journal.name}-wal").write_bytes(b"changes")

    with pytest.raises(errors.UsageError, match="unable to open database file"):
        await rows_of(journal)


async def test_a_damaged_row_does_not_hide_the_others(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    await run(client, pictures("a.png", "b.png", "c.png"), journal)
    damage(journal, "UPDATE files SET size = 'ten' WHERE name = 'b.png'")

    rows = await rows_of(journal)

    assert {name: row.state.value for name, row in rows.items()} == {
        "a.png": "done", "b.png": "ambiguous", "c.png": "done"
    }  # fmt: skip
    assert "size is of type str" in rows["b.png"].error


@pytest.mark.parametrize("content", [None, b"", b"no database" * 100])
async def test_only_a_journal_can_be_read(journal: Path, content: bytes | None) -> None:
    if content is not None:
        journal.write_bytes(content)

    with pytest.raises(errors.UsageError, match="the journal cannot be read"):
        await rows_of(journal)

    assert journal.exists() == (content is not None)


async def test_a_pipe_in_place_of_a_journal_is_refused_without_waiting(journal: Path) -> None:
    os.mkfifo(journal)
    for used in (rows_of(journal), retry_files(journal)):
        with pytest.raises(errors.UsageError, match="it is a named pipe, not a file"):
            await asyncio.wait_for(used, 10)


def test_similar_paths_have_separate_rows() -> None:
    paths = ["a\\udcff", "a\udcff", "a\\\\udcff", "a\\", "a"]

    assert all(storable(a) != storable(b) for a, b in itertools.combinations(paths, 2))


# Sending again what a person has decided about


@pytest.mark.parametrize("state", [BulkState.AMBIGUOUS, BulkState.FAILED])
async def test_files_marked_by_a_person_are_sent_again(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    state: BulkState,
) -> None:
    first, second = paths = pictures("a.png", "b.png")
    await run(await connect(sandbox), paths, journal)
    set_row(journal, "a.png", state=state, final=1, error="it is not known", sends=2)
    set_row(journal, "a.png", duplicates='["9"]')

    assert await retry_files(journal, state=state) == [str(first)]
    assert await retry_files(journal, state=state) == []
    rows = await rows_of(journal)
    assert (rows["a.png"].state, rows["a.png"].error) == (BulkState.PENDING, "")
    assert (rows["a.png"].sends, rows["a.png"].duplicates) == (0, ())
    assert rows["b.png"].state is BulkState.DONE

    results = await run(await connect(sandbox), [first, second], journal)
    assert [result.state for result in results] == [BulkState.DONE] * 2
    assert len(sandbox.admin.requests(*POSTS)) == 3


async def test_only_ambiguous_or_failed_files_can_be_marked(
    client: ConstantContact, journal: Path, pictures: Pictures
) -> None:
    with pytest.raises(errors.UsageError, match="No such file"):
        await retry_files(journal)
    upload = aiter(client.upload_many(pictures("a.png"), journal=journal))
    await anext(upload)
    with pytest.raises(errors.UsageError, match="another process is uploading"):
        await retry_files(journal)
    await upload.aclose()
    for state in (BulkState.DONE, BulkState.SENDING, BulkState.ACCEPTED, BulkState.PENDING):
        with pytest.raises(errors.InvalidField, match="ambiguous or failed"):
            await retry_files(journal, state=state)
    journal.write_bytes(b"no database" * 100)
    with pytest.raises(errors.UsageError, match="it cannot be used"):
        await retry_files(journal)


@pytest.mark.parametrize("duplicates", [(), ("12",), ("12", "13"), ("in row 3", ", ")])
@pytest.mark.parametrize("error", ["", "it failed; try again", "sent 9 times; further copies"])
@pytest.mark.parametrize("state", [BulkState.DONE, BulkState.FAILED, BulkState.AMBIGUOUS])
def test_a_row_keeps_the_copies_the_sends_and_the_error(
    state: BulkState, error: str, duplicates: tuple[str, ...]
) -> None:
    sends = 2 if state is BulkState.AMBIGUOUS else 0
    entry = JournalEntry(
        path="/a.png",
        folder="0",
        size=1,
        state=state,
        error=error,
        duplicates=duplicates,
        sends=sends,
    )
    assert JournalEntry.from_row(entry.row.values()) == entry


@pytest.mark.parametrize("since", [100.0, 7301.0, float("inf")])
def test_a_file_was_not_first_sent_after_its_row_was_written(since: float) -> None:
    state = BulkState.SENDING
    entry = JournalEntry(path="/a.png", folder="0", size=1, state=state, updated=100.0)
    row = {**entry.row, "since": since}  # later than that if the clock was set back
    assert JournalEntry.from_row(row.values()) == attrs.evolve(entry, since=100.0)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("size", "ten"),
        ("size", 1.5),
        ("size", 2**63 - 1),
        ("since", "soon"),
        ("since", b"\x00"),
        ("file_id", b"\x00"),
        ("duplicates", "{}"),
        ("duplicates", "[1]"),
        ("sends", "two"),
        ("status", b"\x00"),
        ("error", b"\x00"),
        ("updated", "soon"),
    ],
)
async def test_a_row_with_a_value_of_another_type_says_that_its_file_may_have_arrived(
    journal: Path, threads: FileThreads, column: str, value: object
) -> None:
    entry = JournalEntry(path="/a.png", folder="0", name="a.png", size=1, state=BulkState.SENDING)
    opened = await Journal.open(
        str(journal), threads, account="me", base_url="http://here", now=lambda: 1.0
    )
    assert opened is not None
    try:
        await opened.write(entry)
        await opened._change(f"UPDATE files SET {column} = ?", (value,))  # noqa: S608
        with pytest.raises(errors.AmbiguousUpload, match=rf"damaged \({column} is .*\)"):
            await opened.find(entry.key)
        row = (await rows_of(journal))["a.png"]
        assert row.state is BulkState.AMBIGUOUS
        assert f"damaged ({column} is " in row.error
    finally:
        await opened.aclose()


DAMAGE = [
    "size = 'ten'",
    "size = -1",
    "written_ns = x'00'",
    "state = 'paused'",
    "state = CAST(x'fffe' AS TEXT)",
    "since = 'soon'",
    "file_id = x'fffe'",
    "folder_id = x'00'",
    "duplicates = x'00'",
    "duplicates = '[5]'",
    "sends = 'two'",
    "token = x'00'",
    "status = CAST(x'fffe' AS TEXT)",
    "final = 'no'",
    "error = x'00'",
    "updated = 'now'",
]


def damage(journal: Path, statement: str) -> None:
    with sqlite3.connect(journal) as database:
        assert database.execute(statement).rowcount == 1
    database.close()


@pytest.mark.parametrize("values", DAMAGE)
async def test_a_file_whose_row_is_damaged_is_ambiguous_and_the_others_are_sent(
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    values: str,
) -> None:
    await run(client, pictures("a.png", "b.png"), journal)
    damage(journal, f"UPDATE files SET {values} WHERE name = 'a.png'")  # noqa: S608  # our own
    for options in ({"dry_run": True}, {}, {}):
        results = await run(client, pictures("a.png", "b.png", "c.png"), journal, **options)
        (bad,) = [result for result in results if result.path.endswith("a.png")]
        assert bad.state is BulkState.AMBIGUOUS
        assert isinstance(bad.error, errors.AmbiguousUpload)
        assert "its row in the journal" in bad.error.message
        assert "It was not sent now" in bad.error.message
        assert not [result for result in results if result is not bad and result.error]
    assert len(sandbox.admin.requests(*POSTS)) == 3


@pytest.mark.parametrize(
    "key",
    [f"{c} = {v}" for c in ("path", "folder", "name") for v in ("x'00'", "CAST(x'ff' AS TEXT)")],
)
async def test_a_journal_that_has_lost_the_name_of_a_file_is_refused(
    client: ConstantContact,
    sandbox: Sandbox,
    journal: Path,
    pictures: Pictures,
    key: str,
) -> None:
    await run(client, pictures("a.png", "b.png"), journal)
    damage(journal, f"UPDATE files SET {key} WHERE name = 'a.png'")  # noqa: S608  # our own
    for options in ({"dry_run": True}, {}):
        with pytest.raises(errors.JournalError, match="does not say which file it is about"):
            await run(client, pictures("a.png", "b.png", "c.png"), journal, **options)
    assert len(sandbox.admin.requests(*POSTS)) == 2


async def test_a_damaged_byte_in_the_key_of_a_row_never_leads_to_a_second_upload(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures
) -> None:
    files = pictures("a.png", "b.png")
    await run(client, files, journal)
    whole, refused = journal.read_bytes(), 0
    places = [place for place in range(len(whole)) if whole.startswith(b"/a.png", place)]
    for place in places:  # one of each copy of the path
        journal.write_bytes(whole[: place + 1] + b"c" + whole[place + 2 :])
        with contextlib.suppress(errors.JournalError):
            await run(client, files, journal)
            continue
        refused += 1
    assert refused > 1
    assert len(sandbox.admin.requests(*POSTS)) == 2


@pytest.mark.parametrize("byte", [b"x", b"\xff"])
async def test_a_damaged_name_of_a_table_is_a_plain_error_and_nothing_is_sent(
    client: ConstantContact, sandbox: Sandbox, journal: Path, pictures: Pictures, byte: bytes
) -> None:
    files = pictures("a.png")
    await run(client, files, journal)
    whole = journal.read_bytes()
    assert b"tableabout" in whole
    journal.write_bytes(whole.replace(b"tableabout", b"tableab" + byte + b"ut", 1))
    for options in ({"dry_run": True}, {}):
        with pytest.raises(errors.UsageError, match="the journal cannot be opened"):
            await run(client, files, journal, **options)
    with pytest.raises(errors.UsageError, match="the journal cannot be read"):
        await anext(read_journal(journal))
    assert len(sandbox.admin.requests(*POSTS)) == 1
