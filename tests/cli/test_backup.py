"""`ccv2 backup` copies an account, estimates, checks, and shows."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit
from ccv2_async.sandbox import Sandbox
from tests.cli.conftest import environment_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Ran


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox with the demo account, which the environment names as the service."""
    with Sandbox(mode="at_once", seed="demo") as sandbox:
        for name, value in environment_of(sandbox).items():
            monkeypatch.setenv(name, value)
        yield sandbox


def test_a_backup_is_made_checked_and_shown(
    ccv2: Callable[..., Ran], demo: Sandbox, tmp_path: Path
) -> None:
    ran = ccv2("backup", str(tmp_path), "--trash")
    assert ran.code == Exit.OK, ran.err
    assert f"in {tmp_path}. This run downloaded 15 files" in ran.err
    ran = ccv2("backup", "verify", str(tmp_path))
    assert ran.code == Exit.OK
    assert "Everything matches the manifest: " in ran.err
    ran = ccv2("backup", "show", str(tmp_path))
    assert ran.code == Exit.OK
    assert "contacts" in ran.out
    assert "of owner@example.com at" in ran.err
    (tmp_path / "library" / "menu.pdf").write_bytes(b"x")
    ran = ccv2("backup", "verify", str(tmp_path))
    assert ran.code == Exit.SOME_FAILED
    assert ran.out.startswith("library/menu.pdf: its size in bytes is 1 instead of ")
    assert "Files that differ from the manifest: 1 of " in ran.err
    assert "run the backup again" in ran.err


def test_with_json_results_are_lines_of_json(
    ccv2: Callable[..., Ran], demo: Sandbox, tmp_path: Path
) -> None:
    (row,) = ccv2("backup", str(tmp_path), "--dry-run", "--json").rows
    assert row["files"] == 14
    assert row["days"] == 1
    (row,) = ccv2("backup", str(tmp_path), "--json").rows
    assert row["rows"]["contacts"] == 120
    (row,) = ccv2("backup", "show", str(tmp_path), "--json").rows
    assert row["rows"]["contacts"] == 120
    (tmp_path / "contacts.csv").unlink()
    ran = ccv2("backup", "verify", str(tmp_path), "--json")
    assert ran.rows == [{"path": "contacts.csv", "reason": "it is missing"}]


def test_an_estimate_is_printed_and_nothing_is_written(
    ccv2: Callable[..., Ran], demo: Sandbox, tmp_path: Path
) -> None:
    ran = ccv2("backup", str(tmp_path / "new"), "--dry-run")
    assert ran.code == Exit.OK
    assert ran.out.startswith("About ")
    assert "with this quota, that takes 1 day." in ran.out
    assert "A contact counts once per list" in ran.err
    assert not (tmp_path / "new").exists()


def test_failed_and_omitted_parts_are_named(
    ccv2: Callable[..., Ran], demo: Sandbox, tmp_path: Path
) -> None:
    gone = json.dumps([{"error_key": "http.status.gone", "error_message": "Gone."}])
    header = {"content-type": "application/json"}
    demo.admin.fault(
        "answer", path="/eventspot/*", status=400, body=gone, headers=header, times=None
    )
    demo.admin.fault("answer", path="/activities", status=400, body="[]", headers=header)
    ran = ccv2("backup", str(tmp_path))
    assert ran.code == Exit.SOME_FAILED
    assert "left out: events: " in ran.err
    assert "failed: activities: " in ran.err
    assert "Run the same command again" in ran.err
    ran = ccv2("backup", "show", str(tmp_path))
    assert "left out: events: " in ran.err


def test_errors_are_one_sentence_and_a_code(
    ccv2: Callable[..., Ran], demo: Sandbox, tmp_path: Path
) -> None:
    ran = ccv2("backup", "verify", str(tmp_path))
    assert ran.code == Exit.USAGE
    assert "there is no manifest" in ran.err
    demo.admin.fault("over_ratelimit", path="/contacts", times=None)
    ran = ccv2("backup", str(tmp_path))
    assert ran.code == Exit.QUOTA
    assert "The backup stopped" in ran.err
    (tmp_path / "file").write_text("mine")
    ran = ccv2("backup", str(tmp_path / "file"))
    assert ran.code == Exit.USAGE
    assert "cannot be written there (File exists)" in ran.err


def test_an_interrupted_backup_says_how_to_continue(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, tmp_path: Path
) -> None:
    service.admin.fault("hang", "GET", "/contacts", times=None)
    process = start("backup", tmp_path / "copy")
    while not service.admin.requests("GET", "/contacts"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "Interrupted. Run the same command again to continue" in err
    assert not (tmp_path / "copy" / "manifest.json").exists()
