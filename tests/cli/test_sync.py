from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit
from ccv2_async.clock import SystemClock
from tests.cli.conftest import environment_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


def names(service: Sandbox) -> set[str]:
    return {file["name"] for file in service.admin.files() if file["status"] != "Deleted"}


def test_the_plan_is_printed_then_carried_out_and_the_second_run_sends_nothing(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    picture("in/a.png")
    picture("in/below/b.png", b"x" * 2_000)
    ran = ccv2("sync", tmp_path / "in")
    assert ran.code == Exit.OK
    header, *rows = ran.out.splitlines()
    assert header.split() == ["action", "file", "size", "id"]
    assert [row.split()[:2] for row in rows] == [
        ["upload", str(tmp_path / "in" / name)] for name in ("a.png", "below/b.png")
    ]
    assert "2 uploaded, 0 in sync; " in ran.err
    assert f"{tmp_path / 'in' / 'a.png'}: Active" in ran.err
    assert names(service) == {"a.png", "b.png"}

    ran = ccv2("sync", tmp_path / "in")
    assert (ran.code, ran.out) == (Exit.OK, "")
    assert "2 in sync; " in ran.err
    assert ", 2 calls." in ran.err
    assert len(service.admin.requests("POST", "/library/files")) == 2


def test_a_dry_run_prints_the_plan_and_changes_nothing(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    path = picture("in/a.png")
    ran = ccv2("sync", tmp_path / "in", "--dry-run")
    assert (ran.code, names(service)) == (Exit.OK, set())
    assert "1 to be uploaded, 0 in sync" in ran.err
    assert "Nothing was changed." in ran.err
    ran = ccv2("sync", tmp_path / "in", "--dry-run", "--json")
    (row,) = ran.rows
    assert row == {
        "action": "upload",
        "path": str(path),
        "name": "a.png",
        "size": path.stat().st_size,
        "id": None,
        "done": False,
    }


def test_refused_files_come_first_and_the_rest_is_synced(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    bad, good = picture("in/a.txt"), picture("in/b.png")
    ran = ccv2("sync", tmp_path / "in", "--json")
    assert ran.code == Exit.SOME_FAILED
    refused, sent = ran.rows
    assert (refused["action"], refused["path"], refused["done"]) == ("refuse", str(bad), False)
    assert (sent["action"], sent["path"], sent["done"]) == ("upload", str(good), True)
    assert f"{bad}: not sent: the library does not accept this type" in ran.err
    assert "1 uploaded, 0 in sync, 1 failed or refused; " in ran.err
    assert names(service) == {"b.png"}


def test_files_refused_for_the_same_reason_are_one_line_of_the_plan(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    bad = [picture(f"in/{number}.txt") for number in range(5)]
    ran = ccv2("sync", tmp_path / "in", "--dry-run")
    (line,) = [line for line in ran.err.splitlines() if "does not accept" in line]
    assert line.startswith(f"5 not sent ({bad[0]}, 1.txt, 2.txt, and 2 more): ")


def test_too_many_deletions_stop_it_after_the_plan(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    paths = [picture(f"in/{name}.png") for name in "abc"]
    ccv2("sync", tmp_path / "in")
    for path in paths[:2]:
        path.unlink()
    ran = ccv2("sync", tmp_path / "in")
    assert "1 in sync, 2 only in the library; " in ran.err
    ran = ccv2("sync", tmp_path / "in", "--delete")
    assert ran.code == Exit.USAGE
    assert ran.out.count("trash ") == 2
    assert "The plan moves 2 of 3 files to the trash" in ran.err
    assert names(service) == {"a.png", "b.png", "c.png"}
    ran = ccv2("sync", tmp_path / "in", "--delete", "--max-delete", "2")
    assert ran.code == Exit.OK
    assert "2 moved to the trash, 1 in sync; " in ran.err
    assert names(service) == {"c.png"}
    ran = ccv2("sync", tmp_path / "in", "--max-delete", "lots")
    assert ran.code == Exit.USAGE
    assert "--max-delete is 'lots'" in ran.err


def test_a_change_replaces_the_file_and_says_which(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    path = picture("in/a.png")
    ccv2("sync", tmp_path / "in")
    path.write_bytes(b"\x89PNG\r\n\x1a\nchanged")
    (old,) = [file["id"] for file in service.admin.files()]
    ran = ccv2("sync", tmp_path / "in", "--json")
    (row,) = ran.rows
    assert (row["action"], row["replaces"], row["done"]) == ("replace", [old], True)
    assert names(service) == {"a.png"}


def test_failures_are_reported_with_their_files(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    gone, path = picture("in/a.png"), picture("in/b.png")
    picture("in/c.png")
    ccv2("sync", tmp_path / "in")
    gone.unlink()
    service.admin.fault("answer", "DELETE", status=400)
    ran = ccv2("sync", tmp_path / "in", "--delete")
    assert ran.code == Exit.SOME_FAILED
    assert "a.png: " in ran.err
    path.write_bytes(b"\x89PNG\r\n\x1a\nchanged")
    service.admin.fault("answer", "POST", status=400)
    ran = ccv2("sync", tmp_path / "in", "--delete")
    assert ran.code == Exit.SOME_FAILED
    assert "No file was moved to the trash: other files failed." in ran.err
    service.admin.fault("unauthorized", "GET", "/library/folders")
    assert ccv2("sync", tmp_path / "in").code == Exit.SOME_FAILED


def test_with_sandbox_no_journal_is_left_in_the_folder(
    ccv2: Callable[..., Ran],
    picture: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ccv2_async.clock.SystemClock", SystemClock)
    path = picture("in/a.png")
    assert ccv2("sync", tmp_path / "in", "--sandbox").code == Exit.OK
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_sync_says_how_to_continue(
    service: Sandbox, picture: Callable[..., Path], tmp_path: Path
) -> None:
    picture("in/a.png")
    service.admin.configure(mode="looks", looks=10**6)
    with subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-m", "ccv2_async.cli", "sync", str(tmp_path / "in")],
        env={**os.environ, **environment_of(service)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not service.admin.requests("GET", "/library/files/uploadstatus/*"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
    assert "Interrupted. Run the same command again to continue." in told


@pytest.mark.parametrize("json", [False, True])
def test_a_file_that_may_be_a_copy_of_a_local_one_is_named(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    picture: Callable[..., Path],
    tmp_path: Path,
    json: bool,
) -> None:
    ccv2("sync", picture("in/a.png").parent)
    ccv2("upload", tmp_path / "in" / "a.png")
    (copy,) = [file["id"] for file in service.admin.files() if file["name"] == "a(1).png"]
    ran = ccv2("sync", tmp_path / "in", *["--json"] * json)
    assert ran.code == Exit.OK
    if json:
        assert [(row["action"], row["id"]) for row in ran.rows] == [("keep", copy)]
    else:
        sentence = f"a(1).png (ID {copy}) is only in the library, and may be a copy of a local file"
        assert sentence in ran.err
