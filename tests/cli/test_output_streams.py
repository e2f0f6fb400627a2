"""Commands report their result even if a stream is closed, full, or has lost its reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran

COMMANDS: dict[str, tuple[str, Exit, bool]] = {
    # name: the command line, its exit code, whether it has results for stdout
    "help": ("--help", Exit.OK, True),
    "version": ("--version", Exit.OK, True),
    "unknown command": ("nonsense", Exit.USAGE, False),
    "upload": ("upload {picture}", Exit.OK, True),
    "upload of nothing": ("upload {missing}", Exit.SOME_FAILED, False),
    "dry run": ("upload {picture} --dry-run", Exit.OK, True),
    "tokens": ("upload {picture} --no-wait", Exit.OK, True),
    "import": ("contacts import {csv} --list 1", Exit.OK, True),
    "export": ("contacts export --list 1 --to {folder}/out.csv", Exit.OK, True),
    "no files": ("files", Exit.OK, False),
    "folders": ("folders", Exit.OK, True),
    "trash": ("files trash --empty --yes", Exit.OK, False),
}


def shell(template: str, redirection: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell with its streams redirected."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    (tmp_path / "c.csv").write_text("Email Address,First Name\na@example.com,Ann\n")
    arguments = template.format(
        picture=tmp_path / "a.png",
        missing=tmp_path / "missing.png",
        csv=tmp_path / "c.csv",
        folder=tmp_path,
    )
    return subprocess.run(  # noqa: S602  # our own
        f"{sys.executable} -m ccv2_async.cli {arguments} {redirection}",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "2>/dev/full", ">/dev/full"])
def test_every_command_reports_on_the_stream_that_is_still_open(
    service: Sandbox, tmp_path: Path, name: str, redirection: str
) -> None:
    line, code, results = COMMANDS[name]
    ran = shell(line, redirection, tmp_path)
    left = ran.stdout if redirection.startswith("2") else ran.stderr
    assert left.strip()
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "Exception ignored" not in ran.stdout + ran.stderr
    lost = results and redirection == ">/dev/full"
    assert ran.returncode == (Exit.SOME_FAILED if lost and code is Exit.OK else code)
    assert ("No space left on device" in left) == lost


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>&1", ">&- 2>/dev/full"])
def test_a_command_without_any_stream_still_works(
    service: Sandbox, tmp_path: Path, redirection: str
) -> None:
    shell("upload {picture}", redirection, tmp_path)
    assert [file["name"] for file in service.admin.files()] == ["a.png"]


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_json_stays_json_when_stderr_is_gone(
    service: Sandbox, tmp_path: Path, redirection: str
) -> None:
    ran = shell("upload {picture} --json", redirection, tmp_path)
    assert [json.loads(line)["status"] for line in ran.stdout.splitlines()] == ["Active"]
    failed = shell("files --json --folder 4711", redirection, tmp_path)
    assert failed.returncode == Exit.SOME_FAILED
    (row,) = [json.loads(line) for line in failed.stdout.splitlines()]
    assert list(row) == ["error"]
    misused = shell("files --json --limit x", redirection, tmp_path)
    assert misused.returncode == Exit.USAGE
    assert "--limit" in json.loads(misused.stdout.splitlines()[0])["error"]


@pytest.mark.parametrize(
    "arguments",
    ["folders create menus", "folders create menus --json", "files trash --empty --yes --json"],
)
def test_a_change_is_reported_on_stderr_when_stdout_is_closed(
    service: Sandbox, tmp_path: Path, arguments: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ccv2_async.cli", *arguments.split()]
    ran = subprocess.run(  # noqa: S603  # our own
        command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)
    assert ran.returncode == Exit.CLOSED
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) >= 2


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_an_upload_is_summarized_when_its_reader_has_gone(
    start: Callable[..., subprocess.Popen[str]],
    service: Sandbox,
    picture: Callable[..., Path],
    more: tuple[str, ...],
) -> None:
    service.admin.configure(mode="at_once")
    reading, writing = os.pipe()
    os.close(reading)
    process = start("upload", picture("a.png"), *more, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert process.returncode == Exit.CLOSED
    assert "1 of 1 file" in err
    assert "Traceback" not in err


def test_the_descriptor_of_a_closed_stream_is_not_reused(service: Sandbox, tmp_path: Path) -> None:
    # Whatever opens a file next would get the number of the closed stream, and what a library
    # writes to "stderr" would land in that file.
    code = (
        "import os, sys; from ccv2_async.cli import main; sys.argv[1:] = ['--version']; main(); "
        "os.write(1, str(os.open(os.devnull, os.O_RDONLY)).encode())"
    )
    ran = subprocess.run(  # noqa: S603  # our own
        ["sh", "-c", f'{sys.executable} -c "{code}" <&- 2>&-'],  # noqa: S607  # every system has it
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert int(ran.stdout.splitlines()[-1]) > 2


@pytest.mark.parametrize("width", [1, 2])
def test_help_ends_on_a_terminal_of_one_or_two_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    ran = shell("login --help", "", tmp_path)  # it has a time limit
    assert ran.returncode == Exit.OK
    assert "Usage" in ran.stdout


def test_help_is_written_to_stdout(ccv2: Callable[..., Ran]) -> None:
    ran = ccv2("--help")
    assert "Usage" in ran.out
    assert ran.err == ""
