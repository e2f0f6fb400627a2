"""Uploads of many files: journals, folder trees, dry runs, and runs that end early."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import Timeouts
from ccv2_async.cli.exits import Exit
from ccv2_async.clock import SystemClock
from ccv2_async.sandbox import Sandbox
from tests.cli.conftest import environment_of
from tests.support.lasting_ports import lasting_port

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran


@pytest.fixture
def pictures(picture: Callable[..., Path], tmp_path: Path) -> Callable[[int], Path]:
    """Writes a folder with so many small files."""

    def write(count: int) -> Path:
        for number in range(count):
            picture(f"in/{number:03}.png")
        return tmp_path / "in"

    return write


def posts(sandbox: Sandbox) -> int:
    return len(sandbox.admin.requests("POST", "/library/files"))


def names(sandbox: Sandbox) -> list[str]:
    return sorted(file["name"] for file in sandbox.admin.files())


def test_running_the_same_command_again_sends_nothing_twice(
    ccv2: Callable[..., Ran], service: Sandbox, pictures: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, journal = pictures(3), tmp_path / "x.db"
    first = ccv2("upload", folder, "--journal", journal)
    assert first.code == Exit.OK
    (folder / "new.png").write_bytes(b"new")
    again = ccv2("upload", folder, "--journal", journal)
    assert again.code == Exit.OK
    assert posts(service) == 4
    assert "4 of 4 files Active, 3 of them by an earlier run" in again.err
    assert "000.png:" not in again.err
    assert len(again.out.splitlines()) == 5
    rows = ccv2("upload", folder, "--journal", journal, "--json").rows
    assert all(row["earlier"] and row["status"] == "Active" and row["id"] for row in rows)


def test_after_sigkill_the_same_command_continues_where_it_stopped(
    start: Callable[..., subprocess.Popen[str]],
    ccv2: Callable[..., Ran],
    service: Sandbox,
    pictures: Callable[[int], Path],
    tmp_path: Path,
) -> None:
    service.admin.fault("delay_response", "POST", "/library/files", times=None, seconds=0.05)
    folder, journal = pictures(12), tmp_path / "x.db"
    process = start("upload", folder, "--journal", journal, "--jobs", "2", "--json")
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline()
    process.kill()
    process.wait()
    ran = ccv2("upload", folder, "--journal", journal, "--json")
    assert ran.code == Exit.OK
    assert len(ran.rows) == 12
    assert sum(row.get("earlier", False) for row in ran.rows) >= 3
    assert names(service) == [f"{number:03}.png" for number in range(12)]


def test_an_interrupt_with_a_journal_says_how_to_continue(
    start: Callable[..., subprocess.Popen[str]],
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    tmp_path: Path,
) -> None:
    stuck, journal = picture("stuck.png"), tmp_path / "x.db"
    process = start("upload", stuck, "--journal", journal)
    assert process.stderr is not None
    while ": Uploaded" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert f"1 file not finished. Run the same command again to continue from {journal}." in err
    assert "ccv2p1." not in err
    for file in service.admin.files():
        service.admin.set_status(file["id"], "Active")
    again = ccv2("upload", stuck, "--journal", journal, "--json")
    assert again.code == Exit.OK
    assert again.rows[0]["url"]
    assert posts(service) == 1


def test_an_unanswered_file_is_left_to_the_next_run(
    start: Callable[..., subprocess.Popen[str]],
    service: Sandbox,
    picture: Callable[..., Path],
    tmp_path: Path,
) -> None:
    service.admin.fault("hang", "POST", "/library/files", times=None)
    asked = picture("asked.png")
    process = start("upload", asked, "--journal", tmp_path / "x.db")
    while not service.admin.requests("POST", "/library/files"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "the next run with the same journal looks for it" in err


def test_the_end_of_the_daily_quota_ends_the_run_and_the_journal_continues(
    ccv2: Callable[..., Ran], service: Sandbox, pictures: Callable[[int], Path], tmp_path: Path
) -> None:
    service.admin.configure(per_day=6)
    folder, journal = pictures(20), tmp_path / "x.db"
    ran = ccv2("upload", folder, "--journal", journal, "--no-wait")
    assert ran.code == Exit.QUOTA
    assert ran.err.count("when the quota is expected to start again") == 1
    service.admin.configure(per_day=None)
    ran = ccv2("upload", folder, "--journal", journal)
    assert ran.code == Exit.OK
    assert "20 of 20 files Active" in ran.err
    assert len(service.admin.files()) == 20


def test_a_file_that_changed_since_the_last_run_is_refused(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    path, journal = picture("a.png"), tmp_path / "x.db"
    assert ccv2("upload", path, "--journal", journal).code == Exit.OK
    path.write_bytes(b"another content")
    ran = ccv2("upload", path, "--journal", journal)
    assert ran.code == Exit.SOME_FAILED
    assert "it has changed since" in ran.err
    assert posts(service) == 1


def test_a_permanent_failure_is_reported_again_and_not_sent_again(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    virus, journal = picture("virus.png"), tmp_path / "x.db"
    for _ in range(2):
        ran = ccv2("upload", virus, "--journal", journal, "--json")
        assert ran.code == Exit.SOME_FAILED
        assert ran.rows[0]["status"] == "VirusFound"
        assert "on the server. To keep waiting" not in ran.err
    assert ran.rows[0]["earlier"] is True
    assert posts(service) == 1


def test_a_journal_of_another_service_is_refused_before_anything_is_sent(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    path, journal = picture("a.png"), tmp_path / "x.db"
    assert ccv2("upload", path, "--journal", journal).code == Exit.OK
    ran = ccv2("upload", path, "--journal", journal, "--sandbox")
    assert ran.code == Exit.USAGE
    assert "each sandbox that a command starts is a new one" in ran.err
    assert "ccv2 sandbox" in ran.err
    service.admin.reset()
    other = tmp_path / "other.db"
    other.write_text("no database")
    ran = ccv2("upload", path, "--journal", other)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "this is not a journal" in ran.err
    assert posts(service) == 0


def test_the_embedded_sandbox_accepts_a_journal_for_one_run(
    ccv2: Callable[..., Ran],
    pictures: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ccv2_async.clock.SystemClock", SystemClock)
    ran = ccv2("upload", pictures(60), "--sandbox", "--journal", tmp_path / "x.db")
    assert ran.code == Exit.OK
    assert ran.out == ""
    assert "60 of 60 files Active" in ran.err


def test_folders_below_a_given_one_are_kept_in_the_library(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    picture("in/top.png")
    picture("in/spring/menu/card.png")
    picture("in/a/b/c/d/deep.png")
    ran = ccv2("upload", tmp_path / "in", "--tree")
    assert ran.code == Exit.SOME_FAILED
    assert "deep.png: not sent: its folder is too deep" in ran.err
    folders = {folder["id"]: folder["name"] for folder in service.admin.state()["folders"]}
    where = {file["name"]: folders.get(file["folder_id"], "") for file in service.admin.files()}
    assert where["card.png"] == "menu"
    assert where["top.png"] not in ("spring", "menu", "in")
    assert "d" not in folders.values()


def test_without_tree_all_files_go_to_one_folder(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    picture("in/spring/card.png")
    before = service.admin.state()["folders"]
    assert ccv2("upload", tmp_path / "in").code == Exit.OK
    assert service.admin.state()["folders"] == before


def test_a_dry_run_prints_the_plan_and_leaves_no_trace(
    ccv2: Callable[..., Ran], service: Sandbox, pictures: Callable[[int], Path], tmp_path: Path
) -> None:
    folder, journal = pictures(3), tmp_path / "x.db"
    ran = ccv2("upload", folder, "--journal", journal, "--dry-run")
    assert ran.code == Exit.OK
    assert [line.split()[1:] for line in ran.out.splitlines()[1:]] == [["0", "send"]] * 3
    assert "Nothing was sent." in ran.err
    assert not journal.exists()
    assert posts(service) == 0
    assert ccv2("upload", folder / "000.png", "--journal", journal).code == Exit.OK
    rows = ccv2("upload", folder, "--journal", journal, "--dry-run", "--json").rows
    assert [row["action"] for row in sorted(rows, key=lambda row: row["path"])] == [
        "skip",
        "send",
        "send",
    ]


def test_a_dry_run_reports_files_that_cannot_be_sent(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    good, bad = picture("a.png"), picture("a.txt")
    ran = ccv2("upload", good, bad, "--dry-run")
    assert ran.code == Exit.SOME_FAILED
    assert f"{bad}: not sent" in ran.err


def test_a_plan_of_many_files_is_shortened(
    ccv2: Callable[..., Ran], service: Sandbox, pictures: Callable[[int], Path]
) -> None:
    ran = ccv2("upload", pictures(60), "--dry-run")
    assert ran.out.splitlines()[-1] == "and 10 more files"
    assert len(ran.out.splitlines()) == 52
    assert "60 files: send" in ran.err


def test_the_table_of_many_files_shows_only_failures(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    pictures: Callable[[int], Path],
    picture: Callable[..., Path],
) -> None:
    folder = pictures(58)
    picture("in/virus1.png")
    picture("in/virus2.png")
    ran = ccv2("upload", folder)
    assert ran.code == Exit.SOME_FAILED
    header, *rows = ran.out.splitlines()
    assert header.split() == ["file", "id", "size", "state", "url"]
    assert len(rows) == 2
    assert all("VirusFound" in row for row in rows)
    assert "58 of 60 files Active" in ran.err
    # Nobody would see the URLs, so they are not looked up.
    assert service.admin.requests("GET", "/library/files") == []
    assert len(ran.err.splitlines()) < 10


def test_more_failures_than_a_table_holds_are_counted(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    for number in range(60):
        picture(f"in/virus{number}.png")
    ran = ccv2("upload", tmp_path / "in")
    assert ran.out.splitlines()[-1] == "and 10 more files that failed"


def test_an_active_file_with_an_unreadable_url_is_reported_as_active(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    service.admin.fault("answer", "GET", "/library/files/[0-9]*", status=404, body="[]")
    ran = ccv2("upload", picture("a.png"), "--json")
    assert ran.code == Exit.SOME_FAILED
    assert "a.png is Active, but its URL is unknown" in ran.err
    (row,) = ran.rows
    assert (row["status"], row["url"]) == ("Active", None)


def test_the_journal_command_shows_the_outcome_of_each_file(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    good, virus, journal = picture("a.png"), picture("virus.png"), tmp_path / "x.db"
    ccv2("upload", good, virus, "--journal", journal)
    ids = {file["name"]: file["id"] for file in service.admin.files()}
    ran = ccv2("journal", "show", journal)
    assert ran.code == Exit.OK
    first, second = ran.out.splitlines()
    assert first.split() == ["done", str(good), ids["a.png"]]
    assert second.split()[:4] == ["failed", str(virus), ids["virus.png"], "VirusFound"]
    assert ran.err.splitlines() == ["2 files.", "  1 done", "  1 failed"]
    (row,) = ccv2("journal", "show", journal, "--state", "failed", "--json").rows
    assert (row["path"], row["state"], row["folder"]) == (str(virus), "failed", "0")


def test_the_journal_command_names_further_copies(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    journal = tmp_path / "x.db"
    ccv2("upload", picture("a.png"), "--journal", journal)
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("""UPDATE files SET duplicates = '["12", "13"]'""")
    shown = ccv2("journal", "show", journal).out
    assert shown.endswith(" duplicates in the folder: 12, 13\n")
    (row,) = ccv2("journal", "show", journal, "--json").rows
    assert row["duplicates"] == ["12", "13"]


def test_a_file_that_is_not_a_journal_is_a_usage_error(
    ccv2: Callable[..., Ran], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE other (name TEXT)")
    for name in ("missing.db", "other.db", "."):
        ran = ccv2("journal", "show", tmp_path / name)
        assert (ran.code, ran.out) == (Exit.USAGE, "")
        assert "the journal cannot be read" in ran.err


def test_a_journal_that_is_in_use_refuses_a_second_upload(
    start: Callable[..., subprocess.Popen[str]],
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    tmp_path: Path,
) -> None:
    stuck, journal = picture("stuck.png"), tmp_path / "x.db"
    process = start("upload", stuck, "--journal", journal)
    assert process.stderr is not None
    while ": Uploaded" not in (line := process.stderr.readline()):
        assert line
    ran = ccv2("upload", stuck, "--journal", journal)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "another process is uploading with this journal" in ran.err
    (row,) = ccv2("journal", "show", journal, "--json").rows
    assert row["state"] == "accepted"


def test_a_run_that_ends_early_reports_every_file_in_json(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, pictures: Callable[[int], Path]
) -> None:
    service.admin.configure(mode="looks", looks=1_000_000)
    process = start("upload", pictures(60), "--json")
    while len(service.admin.files()) < 60:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    rows: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == Exit.TERMINATED
    assert len({row["path"] for row in rows}) == 60


# The journal is no file to upload


@pytest.mark.parametrize("options", [".", ". --tree", "a.png upload.db upload.db.lock"])
def test_a_journal_inside_the_folder_is_ignored(
    service: Sandbox,
    ccv2: Callable[..., Any],
    picture: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    options: str,
) -> None:
    folder = picture("a.png").parent
    monkeypatch.chdir(folder)
    command = ("upload", *options.split(), "--journal", "upload.db")
    first = ccv2(*command)
    for suffix in ("-wal", "-shm", "-journal"):
        (folder / f"upload.db{suffix}").touch()

    runs = [first, ccv2(*command), ccv2(*command, "--dry-run")]

    assert [ran.code for ran in runs] == [0, 0, 0]
    assert not any("upload.db" in ran.err + ran.out for ran in runs)
    assert len(service.admin.files()) == 1


def test_an_upload_of_only_its_own_journal_is_refused(
    service: Sandbox, ccv2: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = ccv2("upload", "upload.png", "--journal", "upload.png")

    assert ran.code == 2
    assert "the journal is the only file" in ran.err
    assert not service.admin.requests()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_folder_with_an_invalid_name_is_reported_once(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    tmp_path: Path,
    more: tuple[str, ...],
) -> None:
    for name in ("ok.png", "日本語/a.png", "日本語/b.png", "日本語/deeper/c.png"):
        picture(f"products/{name}")
    ran = ccv2("upload", tmp_path / "products", "--tree", *more)
    assert ran.code == Exit.SOME_FAILED
    assert ran.err.count("日本語") == 1
    assert "it contains 3 files" in ran.err
    assert "NAME" not in ran.err
    if more:
        assert "3 files: refused" in ran.err
    else:
        assert "1 of 4 files Active, 3 refused before sending" in ran.err
    assert {folder["name"] for folder in service.admin.state()["folders"]} <= {
        "Images",
        "Documents",
    }
    # Without --tree the folder's name does not matter.
    assert ccv2("upload", tmp_path / "products", *more).code == Exit.OK


@pytest.mark.parametrize("name", ["nothing.png", "nothing", "nothing.xyz", "no/such/nothing.png"])
def test_a_missing_path_is_reported_as_missing(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], name: str
) -> None:
    ran = ccv2("upload", name, picture("a.png"))
    assert f"{name}: not sent: there is no such file." in ran.err
    assert "1 of 2 files Active, 1 refused before sending" in ran.err
    alone = ccv2("upload", name)
    assert "Nothing was sent: 1 file refused." in alone.err
    assert alone.code == Exit.SOME_FAILED


def test_a_dangling_link_is_reported_as_such(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "gone.png")
    assert "a link to a file that does not exist" in ccv2("upload", link).err


def test_the_command_passes_on_the_option_for_second_copies(
    ccv2: Callable[..., Ran], service: Sandbox, pictures: Callable[[int], Path]
) -> None:
    assert ccv2("upload", pictures(1), "--on-duplicate", "trash").code == Exit.OK
    refused = ccv2("upload", pictures(1), "--on-duplicate", "keep")
    assert refused.code == Exit.USAGE
    assert "--on-duplicate" in refused.err
    assert posts(service) == 1


# Outages


@pytest.mark.parametrize("status", [500, 502, 503])
def test_running_the_command_again_completes_an_upload_stopped_by_an_outage(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    pictures: Callable[[int], Path],
    tmp_path: Path,
    status: int,
) -> None:
    command = ("upload", pictures(40), "--journal", tmp_path / "x.db", "--outage-timeout", "60")
    service.admin.fault(
        "answer", "POST", "*", status=status, body="<html>", skip=10, times=None, read_body=True
    )
    stopped = [ccv2(*command), ccv2(*command)]
    service.admin.clear_faults()
    healed = ccv2(*command)

    assert {ran.code for ran in stopped} <= {Exit.SOME_FAILED, Exit.AMBIGUOUS}
    for ran in stopped:
        told = " ".join(ran.err.split())  # lines are broken where the terminal ends
        assert told.count("The work is paused") == 1
        assert "has not been available for 1 min (" in told
    assert healed.code == Exit.OK
    assert "40 of 40 files Active" in healed.err
    assert len(service.admin.files()) == 40


KINDS: dict[str, dict[str, Any]] = {
    "503": {"kind": "unavailable"},
    "500": {"kind": "server_error"},
    "502 HTML": {"kind": "html"},
    "reset": {"kind": "reset"},
    "answers lost": {"kind": "lose_response"},
    "hang": {"kind": "hang"},
}


@pytest.mark.parametrize("length", ["short", "long"])
@pytest.mark.parametrize("kind", KINDS)
def test_after_any_outage_running_the_command_again_stores_every_file_once(  # noqa: PLR0917  # fixtures
    ccv2: Callable[..., Ran],
    service: Sandbox,
    pictures: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    length: str,
) -> None:
    command = ("upload", pictures(40), "--journal", tmp_path / "x.db", "--outage-timeout", "60")
    times = 6 if length == "short" else None
    service.admin.fault(skip=10, times=times, **KINDS[kind])
    with monkeypatch.context() as patch:
        if kind == "hang":
            patch.setattr(Timeouts.__init__, "__defaults__", (10.0, 2.0, 60.0))
        hit = ccv2(*command)
    if length == "long":
        assert hit.code != Exit.OK
    service.admin.clear_faults()
    healed = ccv2(*command)

    assert healed.code == Exit.OK, healed.err
    assert names(service) == sorted(f"{number:03}.png" for number in range(40))


def test_running_the_command_again_completes_an_upload_after_refused_connections(
    ccv2: Callable[..., Ran],
    pictures: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("upload", pictures(40), "--journal", tmp_path / "x.db", "--outage-timeout", "60")
    port = lasting_port()
    with Sandbox(port, mode="at_once") as sandbox:
        for name, value in environment_of(sandbox).items():
            monkeypatch.setenv(name, value)
    stopped = ccv2(*command)
    with Sandbox(port, mode="at_once") as sandbox:
        healed = ccv2(*command)
        calls = sandbox.admin.requests("POST", "/library/files")
        assert len(sandbox.admin.files()) == len(calls) == 40

    assert stopped.code == Exit.SOME_FAILED
    assert "Nothing was sent; check the network" in " ".join(stopped.err.split())
    assert healed.code == Exit.OK


def test_ambiguous_files_are_marked_to_be_sent_again(
    ccv2: Callable[..., Ran], service: Sandbox, pictures: Callable[[int], Path], tmp_path: Path
) -> None:
    journal = tmp_path / "x.db"
    assert ccv2("upload", pictures(2), "--journal", journal).code == Exit.OK
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE files SET state = 'ambiguous' WHERE path LIKE '%000.png'")

    marked = ccv2("journal", "retry", journal)
    nothing = ccv2("journal", "retry", journal, "--state", "failed")

    assert (marked.code, nothing.code) == (Exit.OK, Exit.OK)
    assert marked.out == f"{tmp_path / 'in' / '000.png'}\n"
    assert "1 file marked. Run the upload again to send it." in marked.err
    assert "The journal has no failed files." in nothing.err
    assert ccv2("journal", "retry", journal, "--state", "done").code == Exit.USAGE
    assert ccv2("upload", tmp_path / "in", "--journal", journal).code == Exit.OK
    assert len(service.admin.files()) == 3
