"""The commands that change folders and files, and their confirmation."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ccv2_async.cli.exits import Exit
from tests.cli.conftest import environment_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


def folders(sandbox: Sandbox) -> dict[str, str]:
    return {folder["name"]: folder["id"] for folder in sandbox.admin.state()["folders"]}


def test_folders_are_created_renamed_and_deleted(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    spring = ccv2("folders", "create", "Spring").out.strip()
    menu = ccv2("folders", "create", "Menu", "--parent", spring).out.strip()
    assert (folders(service)["Spring"], folders(service)["Menu"]) == (spring, menu)
    assert ccv2("folders", "rename", menu, "Menus").out.strip() == menu
    assert folders(service)["Menus"] == menu
    (created,) = ccv2("folders", "create", "Autumn", "--json").rows
    assert created["name"] == "Autumn"
    assert ccv2("folders", "delete", menu, "--yes").code == Exit.OK
    assert ccv2("folders", "delete", spring, "--yes", "--json").rows == [
        {"id": spring, "name": "Spring", "deleted": True}
    ]
    assert not {"Spring", "Menus"} & set(folders(service))


def test_an_existing_folder_is_reported_in_one_sentence(
    ccv2: Callable[..., Ran], service: Sandbox
) -> None:
    ccv2("folders", "create", "Spring")
    ran = ccv2("folders", "create", "Spring")
    assert (ran.code, ran.out) == (Exit.SOME_FAILED, "")
    assert "409" in ran.err
    assert ccv2("folders", "create", "x" * 41).code == Exit.USAGE
    assert ccv2("folders", "creat", "Spring").code == Exit.USAGE


def test_files_are_moved_and_deleted_and_the_trash_is_emptied(
    ccv2: Callable[..., Ran], service: Sandbox, picture: Callable[..., Path]
) -> None:
    ccv2("upload", picture("a.png"), picture("b.png"))
    spring = ccv2("folders", "create", "Spring").out.strip()
    ids = [file["id"] for file in service.admin.files()]
    ran = ccv2("files", "move", *ids, "--to", spring, "--json")
    assert [(row["id"], row["folder"]) for row in ran.rows] == [(id_, spring) for id_ in ids]
    assert {file["folder_id"] for file in service.admin.files()} == {spring}
    assert "1 file moved to the trash" in ccv2("files", "delete", ids[0], ids[0]).err
    assert ccv2("files", "delete", ids[1], "--json").rows == [{"id": ids[1], "deleted": True}]
    assert sorted(row["id"] for row in ccv2("files", "trash", "--json").rows) == ids
    assert "a.png" in ccv2("files", "trash").out
    assert ccv2("files", "trash", "--empty", "--yes").err == "The trash is empty.\n"
    assert ccv2("files", "trash").err == "0 files.\n"
    assert ccv2("files", "trash", "--empty", "--yes", "--json").rows == [{"emptied": True}]


def test_an_unknown_file_is_not_moved(ccv2: Callable[..., Ran], service: Sandbox) -> None:
    ran = ccv2("files", "move", "77", "--to", "-1")
    assert ran.code == Exit.SOME_FAILED
    assert "File 77 does not exist" in ran.err


@pytest.mark.parametrize("arguments", [("folders", "delete", "-1"), ("files", "trash", "--empty")])
def test_without_a_terminal_the_yes_option_is_required(
    start: Callable[..., subprocess.Popen[str]], service: Sandbox, arguments: tuple[str, ...]
) -> None:
    process = start(*arguments, stdin=subprocess.DEVNULL)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (Exit.USAGE, "")
    assert "Confirm with --yes" in err
    assert service.admin.requests("DELETE") == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [("y\n", Exit.OK), ("n\n", Exit.SOME_FAILED), ("\n", Exit.SOME_FAILED), (None, 130)],
)
def test_on_a_terminal_the_command_asks_and_only_yes_confirms(
    ccv2: Callable[..., Ran], service: Sandbox, answer: str | None, code: int
) -> None:
    spring = ccv2("folders", "create", "Spring").out.strip()
    main, side = pty.openpty()
    process = subprocess.Popen(  # noqa: S603  # our own
        [sys.executable, "-m", "ccv2_async.cli", "folders", "delete", spring],
        stdin=side,
        stdout=side,
        stderr=side,
        env={**os.environ, **environment_of(service), "TERM": "xterm"},
    )
    os.close(side)
    try:
        said = read(main, until="[y/N] ")
        assert f"Delete the folder Spring ({spring})?" in said
        if answer is None:
            process.send_signal(signal.SIGINT)
        else:
            os.write(main, answer.encode())
        read(main, until=None)
        assert process.wait(timeout=20) == code
    finally:
        process.kill()
        process.wait()
        os.close(main)
    assert ("Spring" in folders(service)) == (code != Exit.OK)


def read(main: int, *, until: str | None) -> str:
    """Return the output up to `until`, or to the end."""
    seen = b""
    while until is None or until.encode() not in seen:
        assert select.select([main], [], [], 20.0)[0], seen.decode()
        block = b""
        with contextlib.suppress(OSError):
            block = os.read(main, 65_536)
        if not block:
            break
        seen += block
    return seen.decode()
