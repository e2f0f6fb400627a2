"""The directory of a backup: its owner, its users, and errors when it cannot be written."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors, verify_backup
from ccv2_async.backup import contents as contents_module
from ccv2_async.backup.contents import Contents
from ccv2_async.backup.journal import NAME, Journal
from ccv2_async.backup.run import Backup
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.files import databases
from ccv2_async.transport.files.partial import PartialFile
from tests.backup.conftest import digests, held, manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.backup.journal import FileEntry
    from ccv2_async.client import ConstantContact


def kept(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_a_directory_that_another_backup_uses_is_refused(
    cc: ConstantContact, tmp_path: Path
) -> None:
    journal = Journal.open(str(tmp_path))
    with pytest.raises(errors.UsageError, match="another process is backing up into this"):
        await cc.backup(tmp_path)
    journal.close()
    await cc.backup(tmp_path)


@pytest.mark.usefixtures("deleted_working_directory")
async def test_a_path_below_a_working_directory_that_is_gone_is_refused(
    cc: ConstantContact,
) -> None:
    with pytest.raises(errors.UsageError, match="out: the working directory no longer exists"):
        await cc.backup("out")


async def test_another_accounts_directory_is_refused_and_not_changed(
    demo: Sandbox, cc: ConstantContact, connect: Callable[..., Any], tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    before = kept(tmp_path)
    options = {**demo.client_options(), "access_token": "another-token"}
    demo._world.account.info["email"] = "somebody@else.example"
    demo.admin.configure(access_token="another-token")
    other: ConstantContact = await connect(None, **options)
    with pytest.raises(errors.UsageError, match=r"belongs to another account \(owner@example.com"):
        await other.backup(tmp_path)
    after = kept(tmp_path)
    assert after == before


async def test_a_new_token_of_the_same_account_continues_the_backup(
    demo: Sandbox, cc: ConstantContact, connect: Callable[..., Any], tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    demo.admin.configure(access_token="another-token")
    options = {**demo.client_options(), "access_token": "another-token"}
    other: ConstantContact = await connect(None, **options)
    assert (await other.backup(tmp_path)).files == 0


async def test_an_account_that_a_gateway_hides_at_first_is_known_at_the_end(
    demo: Sandbox, cc: ConstantContact, connect: Callable[..., Any], tmp_path: Path
) -> None:
    demo.admin.fault("answer", "GET", "/account/info", status=404, body="<html>")
    assert (await cc.backup(tmp_path)).failed == ()
    assert manifest(tmp_path)["account"] == "owner@example.com"
    demo.admin.configure(access_token="another-token")
    options = {**demo.client_options(), "access_token": "another-token"}
    other: ConstantContact = await connect(None, **options)
    assert (await other.backup(tmp_path)).files == 0


def hide_account(sandbox: Sandbox, body: str) -> None:
    headers = {"content-type": "application/json"}
    path = "/account/info"
    sandbox.admin.fault("answer", "GET", path, status=200, headers=headers, body=body, times=None)


async def test_a_page_in_place_of_the_account_does_not_lock_the_owner_out(
    demo: Sandbox, cc: ConstantContact, connect: Callable[..., Any], tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    hide_account(demo, '{"error": "denied"}')
    assert [each.dataset for each in (await cc.backup(tmp_path)).failed] == ["account"]
    assert manifest(tmp_path)["account"] == "owner@example.com"
    demo.admin.configure(access_token="another-token")
    options = {**demo.client_options(), "access_token": "another-token"}
    other: ConstantContact = await connect(None, **options)
    with pytest.raises(errors.DecodeError, match="the response has no email or"):
        await other.backup(tmp_path)
    demo.admin.clear_faults()
    assert (await other.backup(tmp_path)).failed == ()


async def test_an_account_without_a_name_keeps_the_known_one(
    demo: Sandbox, cc: ConstantContact, connect: Callable[..., Any], tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    hide_account(demo, '{"email": ""}')
    await cc.backup(tmp_path)
    demo.admin.clear_faults()
    demo.admin.configure(access_token="another-token")
    options = {**demo.client_options(), "access_token": "another-token"}
    other: ConstantContact = await connect(None, **options)
    assert (await other.backup(tmp_path)).failed == ()


async def test_another_services_directory_is_refused(
    cc: ConstantContact, connect: Callable[..., Any], tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    with Sandbox(mode="at_once") as elsewhere:
        other: ConstantContact = await connect(elsewhere)
        with pytest.raises(errors.UsageError, match="belongs to another service"):
            await other.backup(tmp_path)
        assert elsewhere.admin.requests() == []


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"no database at all, but long enough to be taken for one" * 100, "not the journal"),
        (b"SQLite format 3\x00" + b"\xff" * 5000, "not the journal"),
    ],
)
async def test_a_journal_that_cannot_be_read_is_named(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, content: bytes, match: str
) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(errors.UsageError, match=match):
        await cc.backup(tmp_path)
    assert demo.admin.requests() == []


async def test_another_database_and_a_newer_journal_are_refused(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    def change(statement: str) -> None:
        database = sqlite3.connect(tmp_path / NAME)
        database.execute(statement)
        database.commit()
        database.close()

    change("CREATE TABLE mine (x)")
    with pytest.raises(errors.UsageError, match="not the journal of a backup"):
        await cc.backup(tmp_path)
    (tmp_path / NAME).unlink()
    Journal.open(str(tmp_path)).close()
    change("UPDATE about SET value='2' WHERE name='version'")
    with pytest.raises(errors.UsageError, match="has version 2, but this package reads"):
        await cc.backup(tmp_path)
    assert demo.admin.requests() == []


@pytest.mark.parametrize("statement", ["DROP TABLE rows", "DROP TABLE scopes", "DROP TABLE files"])
async def test_a_damaged_journal_ends_the_run_with_a_plain_error(
    cc: ConstantContact, tmp_path: Path, statement: str
) -> None:
    Journal.open(str(tmp_path)).close()
    database = sqlite3.connect(tmp_path / NAME)
    database.execute(statement)
    database.close()
    with pytest.raises(errors.JournalError, match="the journal cannot be"):
        await cc.backup(tmp_path)


async def test_a_journal_with_a_damaged_name_of_a_table_cannot_be_opened(
    cc: ConstantContact, tmp_path: Path
) -> None:
    Journal.open(str(tmp_path)).close()
    whole = (tmp_path / NAME).read_bytes()
    assert b"tableabout" in whole
    (tmp_path / NAME).write_bytes(whole.replace(b"tableabout", b"tableab\xffut", 1))
    with pytest.raises(errors.UsageError, match="the name of a table is damaged"):
        await cc.backup(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE rows SET record = substr(listed, 2) WHERE dataset = 'campaigns'",
        "UPDATE rows SET record = CAST(x'fffe' AS TEXT) WHERE dataset = 'contacts'",
        "UPDATE files SET path = CAST(x'fffe' AS TEXT)",
    ],
)
async def test_damaged_rows_of_a_journal_end_the_run_with_a_plain_error(
    cc: ConstantContact, tmp_path: Path, statement: str
) -> None:
    await cc.backup(tmp_path)
    database = sqlite3.connect(tmp_path / NAME)
    assert database.execute(statement).rowcount
    database.commit()
    database.close()
    with pytest.raises(errors.JournalError, match="the journal cannot be read"):
        await cc.backup(tmp_path)


async def test_a_path_that_is_a_file_or_not_a_path_is_refused(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(errors.UsageError, match=r"cannot be written there \(File exists\)"):
        await cc.backup(tmp_path / "file")
    with pytest.raises(errors.UsageError, match=r"cannot be written there \(Not a directory\)"):
        await cc.backup(tmp_path / "file" / "below")
    for wrong in ("", "a\0b", 7, None):
        with pytest.raises(errors.InvalidField, match="directory is"):
            await cc.backup(wrong)  # type: ignore[arg-type]
    assert demo.admin.requests() == []


@pytest.mark.parametrize("after", [0, 3, 20])
async def test_a_full_disk_ends_the_run_which_continues_when_there_is_space(
    demo: Sandbox,
    cc: ConstantContact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    written = 0
    original = PartialFile.write

    def write(self: PartialFile, data: bytes) -> None:
        nonlocal written
        written += 1
        if written > after:
            with self._explained():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "write", write)
        with pytest.raises(errors.UsageError, match="No space left on device"):
            await cc.backup(tmp_path)
    assert not [path for path in kept(tmp_path) if path.suffix == ".part"]
    result = await cc.backup(tmp_path)
    assert digests(tmp_path) == held(demo)
    assert result.failed == ()


async def test_a_full_disk_under_the_journal_ends_the_run(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = databases.prepare

    def prepare(connection: sqlite3.Connection, *args: Any, **options: Any) -> Any:
        facts = original(connection, *args, **options)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages + 8}")
        return facts

    with monkeypatch.context() as patch:
        patch.setattr(databases, "prepare", prepare)
        with pytest.raises(errors.JournalError, match=r"cannot be written \(database or disk is"):
            await cc.backup(tmp_path)
    assert (await cc.backup(tmp_path)).failed == ()
    assert digests(tmp_path) == held(demo)


async def test_a_place_that_cannot_be_written_is_named(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    (tmp_path / "library").write_text("in the way")
    with pytest.raises(errors.UsageError, match="the backup cannot be written there"):
        await cc.backup(tmp_path)
    (tmp_path / "library").unlink()
    (tmp_path / "contacts.jsonl").mkdir()
    with pytest.raises(errors.UsageError, match=r"contacts\.jsonl: .* \(not a regular file\)"):
        await cc.backup(tmp_path)
    (tmp_path / "contacts.jsonl").rmdir()
    await cc.backup(tmp_path)
    assert digests(tmp_path) == held(demo)


@pytest.mark.parametrize("locked", ["", "library", "campaigns", ".ccv2-parts"])
async def test_a_directory_that_cannot_be_read_ends_the_run_with_a_plain_error(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    await cc.backup(tmp_path)
    stat, below = os.stat, f"{tmp_path / locked}{os.sep}"

    def refuse(path: Any, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and os.fspath(path).startswith(below):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        with pytest.raises(errors.UsageError, match="Permission denied"):
            await (cc.backup(tmp_path, full=True) if locked else cc.backup(tmp_path, dry_run=True))
        if locked:
            check = await verify_backup(tmp_path)
            assert all("Permission denied" in fault.reason for fault in check.faults)
    assert (await cc.backup(tmp_path, full=True)).failed == ()
    assert digests(tmp_path) == held(demo)


async def test_no_file_of_a_backup_shows_the_key_or_the_token(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    options = demo.client_options()
    for path, content in kept(tmp_path).items():
        for secret in (options["api_key"], options["access_token"]):
            assert secret.encode() not in content, path
    assert manifest(tmp_path)["account"] == "owner@example.com"


async def test_nothing_stays_open_after_a_run(cc: ConstantContact, tmp_path: Path) -> None:
    from tests.support.disk import open_below

    await cc.backup(tmp_path)
    assert open_below(tmp_path) == []


@pytest.mark.parametrize("name", ["contacts.csv", "manifest.json", "account.json"])
async def test_a_directory_with_a_file_that_a_first_backup_would_replace_is_refused(
    cc: ConstantContact, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / name
    mine.write_text("mine")
    with pytest.raises(errors.UsageError, match=f"{name}: this file does not belong to a backup"):
        await cc.backup(tmp_path)
    assert kept(tmp_path) == {mine: b"mine"}


async def test_a_file_that_is_not_the_backups_keeps_its_path(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    first = tmp_path / "library" / "Logos" / "logo.png"
    first.parent.mkdir(parents=True)
    first.write_text("mine")
    await cc.backup(tmp_path)
    page = next((tmp_path / "campaigns").glob("*.html"))
    later = [tmp_path / "library" / "later.png", page.with_stem(f"{page.stem}, later")]
    for path in later:
        path.write_text("mine")
    file = next(file for file in demo._world.library.files.values() if file.name == "menu.pdf")
    await cc.library.update_file(file.id, name="later.png")
    campaign = demo._world.campaigns.campaigns[page.name.partition(" ")[0]]
    campaign.fields["name"] += ", later"
    campaign.modified += 1.0
    await cc.backup(tmp_path)
    assert {path for path, content in kept(tmp_path).items() if content == b"mine"} == {
        first,
        *later,
    }
    assert digests(tmp_path) == held(demo)
    check = await verify_backup(tmp_path)
    assert (check.faults, len(check.extra)) == ((), 3)


def stop(*_: Any) -> None:
    raise errors.UsageError("stopped")


@pytest.mark.parametrize("name", ["contacts.csv", "manifest.json", "account.json"])
async def test_a_file_placed_after_an_interrupted_run_is_not_replaced_by_the_export(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Backup, "_write", stop)
        with pytest.raises(errors.UsageError, match="stopped"):
            await cc.backup(tmp_path)
    mine = tmp_path / name
    mine.write_text("mine")
    with pytest.raises(errors.UsageError, match=f"{name}: this file does not belong to a backup"):
        await cc.backup(tmp_path)
    assert mine.read_text() == "mine"
    mine.rename(tmp_path / "mine.txt")
    for _ in range(2):
        await cc.backup(tmp_path)
        assert digests(tmp_path) == held(demo)
        assert mine.read_text() != "mine"


async def test_a_file_placed_while_a_backup_runs_is_not_replaced(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    mine = tmp_path / "memberships.jsonl"
    with pytest.raises(errors.UsageError, match="this file does not belong to a backup"):
        await cc.backup(tmp_path, on_progress=lambda _: mine.write_text("mine"))
    assert mine.read_text() == "mine"
    mine.unlink()
    await cc.backup(tmp_path)
    assert digests(tmp_path) == held(demo)


@pytest.mark.parametrize("step", [(Backup, "_fetch_file"), (contents_module, "PartialFile")])
async def test_a_file_placed_on_a_planned_path_after_an_interrupted_run_is_not_replaced(
    demo: Sandbox,
    cc: ConstantContact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[Any, str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(*step, stop)
        with pytest.raises(errors.UsageError, match="stopped"):
            await cc.backup(tmp_path)
    with closing(Journal.open(str(tmp_path))) as journal:
        planned = [entry for entry in journal.files() if entry.wanted and not entry.version]
    mine = {tmp_path / entry.path for entry in planned}
    assert mine
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    for _ in range(2):
        await cc.backup(tmp_path)
        assert {path for path, content in kept(tmp_path).items() if content == b"mine"} == mine
        assert digests(tmp_path) == held(demo)
    check = await verify_backup(tmp_path)
    assert (check.faults, len(check.extra)) == ((), len(mine))


async def test_a_file_placed_on_a_planned_path_while_files_are_downloaded_is_not_replaced(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, mine = Contents.place, set[Path]()

    def place(self: Contents, entry: FileEntry, *bytes_: Any) -> None:
        path = tmp_path / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        mine.add(path)
        original(self, entry, *bytes_)

    monkeypatch.setattr(Contents, "place", place)
    await cc.backup(tmp_path)
    assert {path for path, content in kept(tmp_path).items() if content == b"mine"} == mine
    assert digests(tmp_path) == held(demo)


async def test_a_directory_in_place_of_a_file_keeps_its_path(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    mine = [
        tmp_path / "library" / "Logos" / "logo.png" / "mine",
        next((tmp_path / "campaigns").glob("*.html")) / "mine",
    ]
    for path in mine:
        path.parent.unlink()
        path.parent.mkdir()
        path.write_text("mine")
    for _ in range(2):
        assert (await cc.backup(tmp_path)).failed == ()
        assert digests(tmp_path) == held(demo)
    check = await verify_backup(tmp_path)
    assert (check.faults, len(check.extra)) == ((), len(mine))


async def test_a_file_in_place_of_a_folder_keeps_its_path(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    mine = tmp_path / "library" / "Logos"
    mine.rename(tmp_path / "moved")
    mine.write_text("mine")
    for _ in range(2):
        assert (await cc.backup(tmp_path)).failed == ()
        assert digests(tmp_path) == held(demo)
    assert mine.read_text() == "mine"
