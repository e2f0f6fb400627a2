from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import read_backup, verify_backup
from ccv2_async.errors import UsageError
from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
async def copy(connect: Callable[..., Any], tmp_path: Path) -> Path:
    """A whole backup of the demo account."""
    with Sandbox(mode="at_once", seed="demo") as sandbox:
        cc = await connect(sandbox)
        await cc.backup(tmp_path)
    return tmp_path


def files_in(directory: Path) -> list[Path]:
    """The files that people keep, without the manifest."""
    ours = ("manifest.json", ".ccv2-backup.sqlite", ".ccv2-backup.sqlite.lock")
    return [each for each in directory.rglob("*") if each.is_file() and each.name not in ours]


async def faults(directory: Path) -> dict[str, str]:
    return {each.path: each.reason for each in (await verify_backup(directory)).faults}


async def test_a_whole_backup_has_no_faults(copy: Path) -> None:
    assert await faults(copy) == {}


async def test_one_flipped_byte_is_found(copy: Path) -> None:
    path = copy / "library" / "menu.pdf"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert await faults(copy) == {"library/menu.pdf": "its bytes have changed"}


async def test_files_that_the_manifest_does_not_name_are_listed(copy: Path) -> None:
    assert (await verify_backup(copy)).extra == ()
    (copy / "library" / "mine.txt").write_bytes(b"x")
    (copy / "notes").mkdir()
    (copy / "notes" / "a.txt").write_bytes(b"x")
    check = await verify_backup(copy)
    assert check.extra == ("library/mine.txt", "notes/a.txt")
    assert check.faults == ()


async def test_other_files_are_listed_from_a_thousand_folders_in_each_other(copy: Path) -> None:
    (copy / "loop").symlink_to(copy)
    deep = copy
    for _ in range(1100):
        deep /= "a"
        deep.mkdir()
    (deep / "b.txt").write_bytes(b"")
    check = await verify_backup(copy)
    (deep / "b.txt").unlink()
    for folder in [deep, *deep.parents][:1100]:  # pytest could not remove them
        folder.rmdir()
    assert check.extra == (f"{'a/' * 1100}b.txt",)


async def test_one_missing_file_is_found(copy: Path) -> None:
    (copy / "library" / "Logos" / "logo.png").unlink()
    assert await faults(copy) == {"library/Logos/logo.png": "it is missing"}


async def test_one_missing_line_is_found(copy: Path) -> None:
    path = copy / "contacts.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert await faults(copy) == {"contacts.jsonl": "its line count is 119 instead of 120"}


async def test_one_missing_byte_is_found(copy: Path) -> None:
    path = copy / "account.json"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-2] + b"\n")
    reason = f"its size in bytes is {size - 1:,} instead of {size:,}"
    assert await faults(copy) == {"account.json": reason}


async def test_a_directory_in_place_of_a_file_is_found(copy: Path) -> None:
    (copy / "lists.jsonl").unlink()
    (copy / "lists.jsonl").mkdir()
    assert await faults(copy) == {"lists.jsonl": "it cannot be read (it is a directory)"}


async def test_a_path_that_leads_out_of_the_directory_is_not_read(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"][0]["path"] = "../secret"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert await faults(copy) == {"../secret": "its path is outside the directory"}


@pytest.mark.parametrize("path", ["library/a\0b", "library/\ud800"])
async def test_a_path_that_no_file_can_have_is_a_fault(copy: Path, path: str) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"][0]["path"] = path
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert "it cannot be read" in (await faults(copy))[path]


async def test_a_manifest_that_was_cut_anywhere_is_refused(copy: Path) -> None:
    whole = (copy / "manifest.json").read_bytes()
    for cut in range(0, len(whole.rstrip()), 97):
        (copy / "manifest.json").write_bytes(whole[:cut])
        with pytest.raises(UsageError, match="the manifest is damaged"):
            await verify_backup(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"files": None},
        {"files": [{"path": 1, "bytes": 1, "sha256": "a"}], "number_of_files": 1},
        {"files": [{"path": "a", "bytes": 1, "sha256": None}], "number_of_files": 1},
        {"files": [{"path": "a", "bytes": 10**40, "sha256": "a"}], "number_of_files": 1},
        {"files": [{"path": "a", "bytes": 1, "sha256": "a", "rows": []}], "number_of_files": 1},
        {"files": [7], "number_of_files": 1},
        {"rows": 7},
        {"rows": {"contacts": float("inf")}},
        {"failed": [{}]},
        {"failed": [7]},
    ],
)
async def test_a_manifest_that_does_not_make_sense_is_refused(
    copy: Path, change: dict[str, Any]
) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_text(json.dumps(manifest | change))
    with pytest.raises(UsageError, match="the manifest is damaged"):
        await verify_backup(copy)


async def test_a_pipe_and_a_device_in_place_of_a_file_are_found(copy: Path) -> None:
    pipe, device = files_in(copy)[:2]
    pipe.unlink()
    os.mkfifo(pipe)
    device.unlink()
    device.symlink_to("/dev/zero")
    found = await asyncio.wait_for(faults(copy), 10)
    assert "it is a named pipe, not a file" in found[pipe.relative_to(copy).as_posix()]
    assert "it is a device, not a file" in found[device.relative_to(copy).as_posix()]


async def test_a_manifest_of_another_format_names_the_format(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(UsageError, match="has format 2, but this package reads format 1"):
        await read_backup(copy)


async def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere: there is no such directory\."):
        await verify_backup(tmp_path / "nowhere")


async def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no manifest"):
        await verify_backup(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(UsageError, match=r"cannot be read \(it is a directory\)"):
        await verify_backup(tmp_path)


async def test_the_manifest_says_what_the_backup_holds(copy: Path) -> None:
    manifest = await read_backup(copy)
    assert manifest.account == "owner@example.com"
    assert manifest.rows["contacts"] == 120
    assert manifest.files == len(files_in(copy))
    assert manifest.failed == manifest.left_out == ()
