"""`ccv2 files get`."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.cli import download
from ccv2_async.cli.exits import Exit
from tests.cli.conftest import PNG, environment_of
from tests.cli.test_library import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ccv2_async.cli.jobs import JobItem
    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


@pytest.fixture
def ids(ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]) -> dict[str, str]:
    """Three files in the library, by name; two of them in the folder Spring.

    They are uploaded one after the other, so that their IDs follow their names.
    """
    service.admin.configure(mode="at_once")
    spring = ccv2("folders", "create", "Spring").out.strip()
    ccv2("upload", picture("in/a.png", PNG + b"a"), "--folder", spring)
    ccv2("upload", picture("in/b.png", PNG + b"b"), "--folder", spring)
    ccv2("upload", picture("in/c.pdf", b"%PDF" + b"c" * 99))
    found = {file["name"]: file["id"] for file in service.admin.files()}
    return found | {"Spring": spring}


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 - names, as the disk has them


def test_files_are_downloaded_by_their_ids_their_folder_or_all(
    ccv2: Callable[..., Ran], tmp_path: Path, ids: dict[str, str]
) -> None:
    to = tmp_path / "out"
    ran = ccv2("files", "get", ids["a.png"], ids["a.png"], "--to", to / "one")
    assert (ran.code, names(to / "one")) == (Exit.OK, ["a.png"])
    assert (to / "one" / "a.png").read_bytes() == PNG + b"a"
    assert "1 of 1 file in" in ran.err
    assert "a.png" in ran.out
    ran = ccv2("files", "get", "--folder", ids["Spring"], "--to", to / "two")
    assert (ran.code, names(to / "two")) == (Exit.OK, ["a.png", "b.png"])
    ran = ccv2("files", "get", "--all", "--to", to / "three", "--json")
    assert names(to / "three") == ["a.png", "b.png", "c.pdf"]
    assert {(row["id"], row["name"], row["path"]) for row in ran.rows} == {
        (ids[name], name, str(to / "three" / name)) for name in names(to / "three")
    }


def test_existing_files_are_not_downloaded_again(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, ids: dict[str, str]
) -> None:
    to = tmp_path / "out"
    ccv2("files", "get", "--all", "--to", to)
    (to / "b.png").unlink()
    (to / "c.pdf").write_bytes(b"mine")
    before = len(service.admin.downloads())
    ran = ccv2("files", "get", "--all", "--to", to)
    assert ran.code == Exit.SOME_FAILED
    assert "c.pdf: not downloaded: a file with a different size already exists; use --ov" in ran.err
    assert "2 of 3 files" in ran.err
    assert "1 of them already there" in ran.err
    assert len(service.admin.downloads()) == before + 1
    assert (to / "c.pdf").read_bytes() == b"mine"
    assert ccv2("files", "get", "--all", "--to", to, "--overwrite").code == Exit.OK
    assert (to / "c.pdf").read_bytes() == b"%PDF" + b"c" * 99
    assert len(service.admin.downloads()) == before + 4
    rows = ccv2("files", "get", ids["a.png"], "--to", to, "--json").rows
    assert [row["earlier"] for row in rows] == [True]


def test_a_file_that_another_program_writes_during_the_run_is_kept(
    ccv2: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ids: dict[str, str],
) -> None:
    look, late = download._look, tmp_path / "out" / "c.pdf"

    def look_before_it_is_written(items: list[JobItem]) -> None:
        look(items)
        late.write_bytes(b"mine")

    monkeypatch.setattr(download, "_look", look_before_it_is_written)
    ran = ccv2("files", "get", "--all", "--to", tmp_path / "out")
    assert ran.code == Exit.SOME_FAILED
    assert "c.pdf: a file with a different size already exists" in ran.err
    assert "2 of 3 files" in ran.err
    assert late.read_bytes() == b"mine"


def test_files_that_are_in_the_way_are_reported_in_one_line(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, ids: dict[str, str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").symlink_to("nowhere")
    for name in ("b.png", "c.pdf"):
        (tmp_path / "out" / name).write_bytes(b"mine")
    ran = ccv2("files", "get", "--all", "--to", tmp_path / "out")
    assert ran.code == Exit.SOME_FAILED
    (line,) = [line for line in ran.err.splitlines() if "a different size" in line]
    assert line.startswith("3 not downloaded (")
    assert service.admin.downloads() == []


def test_two_files_of_one_name_and_odd_names_are_told_apart(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, ids: dict[str, str]
) -> None:
    library = service._world.library
    for name, odd in (("b.png", "A.PNG"), ("c.pdf", "../con.pdf")):
        library.rename_file(library.files[ids[name]], odd)
    for _ in range(2):
        assert ccv2("files", "get", "--all", "--to", tmp_path / "out").code == Exit.OK
        assert names(tmp_path / "out") == sorted([f"A ({ids['b.png']}).PNG", "_._con.pdf", "a.png"])


def test_a_file_that_fails_does_not_stop_the_others(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, ids: dict[str, str]
) -> None:
    service.admin.fault("page", path=f"/content/*{ids['a.png']}*", times=None)
    service.admin.fault("cut_response", path=f"/content/*{ids['b.png']}*")
    ran = ccv2("files", "get", "--all", "--to", tmp_path / "out", "--json")
    assert ran.code == Exit.SOME_FAILED
    assert names(tmp_path / "out") == ["b.png", "c.pdf"]
    (failed,) = (row for row in ran.rows if "error" in row)
    assert failed["id"] == ids["a.png"]
    assert "a page arrived instead of the file" in failed["error"]
    assert ": retrying" in ran.err
    service.admin.assert_faults_struck()


@pytest.mark.parametrize("arguments", [[], ["7", "--all"], ["--all", "--folder", "-1"]])
def test_exactly_one_choice_of_files_is_required(
    ccv2: Callable[..., Ran], service: Sandbox, arguments: list[str]
) -> None:
    ran = ccv2("files", "get", *arguments)
    assert (ran.code, service.admin.requests()) == (Exit.USAGE, [])
    assert "pass IDs, --folder ID, or --all." in ran.err


def test_an_id_without_a_readable_record_does_not_stop_the_others(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, ids: dict[str, str]
) -> None:
    path = f"/library/files/{ids['b.png']}"
    service.admin.fault("null", path=path, times=None)
    given = (ids["a.png"], "77", ids["b.png"], ids["c.pdf"])
    ran = ccv2("files", "get", *given, "--to", tmp_path / "out")
    assert (ran.code, names(tmp_path / "out")) == (Exit.SOME_FAILED, ["a.png", "c.pdf"])
    assert "library file 77: the service returned 404" in ran.err
    assert ran.err.count("library file") == 2
    assert "2 of 2 files in" in ran.err


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("by_service", [False, True])
def test_a_page_that_blocks_one_id_does_not_stop_the_others(  # noqa: PLR0917  # fixtures
    ccv2: Callable[..., Ran],
    service: Sandbox,
    tmp_path: Path,
    ids: dict[str, str],
    by_service: bool,
    status: int,
) -> None:
    body = '[{"error_key": "mashery.not.authorized.inactive", "error_message": "No."}]'
    service.admin.fault(
        "answer",
        path=f"/library/files/{ids['b.png']}",
        status=status,
        body=body if by_service else "<html>Blocked</html>",
        headers={"content-type": "application/json" if by_service else "text/html"},
        times=None,
    )
    given = (ids["a.png"], ids["b.png"], ids["c.pdf"])
    ran = ccv2("files", "get", *given, "--to", tmp_path / "out")
    assert f"the service returned {status}" in ran.err
    if by_service:
        assert not (tmp_path / "out").exists()
    else:
        assert (ran.code, names(tmp_path / "out")) == (Exit.SOME_FAILED, ["a.png", "c.pdf"])
        assert "2 of 2 files in" in ran.err


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "answer", "status": 302, "headers": {"location": "https://sso.example/login"}},
        {"kind": "answer", "status": 409, "body": "<html>"},
        {"kind": "reset"},
    ],
)
def test_one_id_without_a_usable_response_does_not_stop_the_others(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    tmp_path: Path,
    ids: dict[str, str],
    fault: dict[str, Any],
) -> None:
    service.admin.fault(path=f"/library/files/{ids['b.png']}", times=None, **fault)
    given = (ids["a.png"], ids["b.png"], ids["c.pdf"])
    ran = ccv2("files", "get", *given, "--to", tmp_path / "out")
    assert (ran.code, names(tmp_path / "out")) == (Exit.SOME_FAILED, ["a.png", "c.pdf"])


def test_wrong_choices_are_reported_in_one_sentence(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    assert "77" in ccv2("files", "get", "77", "--to", tmp_path / "out").err
    assert ccv2("files", "get", "--folder", "x y").code == Exit.USAGE
    assert "--jobs" in ccv2("files", "get", "--all", "--jobs", "0").err
    ran = ccv2("files", "get", "--all", "--to", picture("file"))
    assert ran.code == Exit.SOME_FAILED
    assert "The operating system reported an error" in ran.err
    assert names(tmp_path) == ["file"]


def test_an_empty_library_is_no_failure(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    ran = ccv2("files", "get", "--all", "--to", tmp_path / "out")
    assert ran.code == Exit.OK
    assert "0 of 0 files" in ran.err


def test_many_failures_are_summed_up(
    ccv2: Callable[..., Ran], service: Sandbox, tmp_path: Path
) -> None:
    service.admin.configure(mode="at_once")
    service.admin.fault("page", path="/content/*", times=None)
    (tmp_path / "in").mkdir()
    for number in range(52):
        (tmp_path / "in" / f"{number}.png").write_bytes(PNG)
    ccv2("upload", tmp_path / "in")
    ran = ccv2("files", "get", "--all", "--to", tmp_path / "out")
    assert ran.code == Exit.SOME_FAILED
    assert "and 2 more files that failed" in ran.out
    assert names(tmp_path / "out") == []


def test_an_interrupted_download_says_how_to_continue(
    start: Callable[..., subprocess.Popen[str]],
    service: Sandbox,
    tmp_path: Path,
    ids: dict[str, str],
) -> None:
    service.admin.fault("hang", path=f"/content/*{ids['c.pdf']}*")
    process = start("files", "get", "--all", "--to", tmp_path / "out")
    while not {"a.png", "b.png"} <= set(names(tmp_path)) | set(
        names(tmp_path / "out") if (tmp_path / "out").exists() else []
    ):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert "Run the same command again to continue" in err
    assert names(tmp_path / "out") == ["a.png", "b.png"]
    process = start("files", "get", "--all", "--to", tmp_path / "out")
    _, err = process.communicate(timeout=20)
    assert (process.returncode, names(tmp_path / "out")) == (0, ["a.png", "b.png", "c.pdf"])
    assert "2 of them already there" in err


@contextlib.contextmanager
def on_terminal(service: Sandbox, to: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Download all files on a terminal of the test's own."""
    main, side = pty.openpty()
    command = [sys.executable, "-m", "ccv2_async.cli", "files", "get", "--all", "--to", str(to)]
    process = subprocess.Popen(  # noqa: S603  # our own
        command,
        stdin=side,
        stdout=side,
        stderr=side,
        env={**os.environ, **environment_of(service), "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(side)
    try:
        yield process, main
    finally:
        process.kill()
        process.wait()
        os.close(main)


def test_bars_are_shown_on_a_terminal(
    service: Sandbox, tmp_path: Path, ids: dict[str, str]
) -> None:
    service.admin.fault("hang", path=f"/content/*{ids['c.pdf']}*")
    with on_terminal(service, tmp_path / "out") as (process, main):
        read(main, until="2 of 3 done")
        process.send_signal(signal.SIGINT)
        read(main, until=None)
        assert process.wait(timeout=20) == Exit.INTERRUPTED
    with on_terminal(service, tmp_path / "out") as (process, main):
        assert "3 of 3 files in" in read(main, until=None)
        assert process.wait(timeout=20) == Exit.OK


def test_without_a_thread_one_sentence_says_why(
    ccv2: Callable[..., Ran], ids: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    ran = ccv2("files", "get", ids["a.png"], "--to", tmp_path / "out")
    assert ran.code == Exit.SOME_FAILED
    assert "The system could not start a thread to work with files" in ran.err
    assert "Traceback" not in ran.err
    assert names(tmp_path / "out") == []
