# ruff: noqa: ASYNC240  # a test may touch its few small files where it stands
"""Which files a bulk upload finds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import FileToUpload
from ccv2_async.errors import FileRefused
from ccv2_async.transport.files.threads import FileThreads
from ccv2_async.uploads.many.items import count_files, each_file
from ccv2_async.uploads.many.journal import JournalFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


NO_JOURNAL = JournalFiles(None)


@pytest.fixture
async def threads() -> AsyncIterator[FileThreads]:
    """Threads to read folders in."""
    threads = FileThreads()
    yield threads
    await threads.aclose()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files, folders, hidden entries, and links."""
    root = tmp_path / "tree"
    for name in ("b.png", "a.png", ".hidden.png", "x/c.png", "x/y/d.png", ".git/e.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (root / "empty").mkdir()
    (root / "linked.png").symlink_to(root / "a.png")
    (root / "loop").symlink_to(root)
    return root


async def found(items: Any, threads: FileThreads, *, keep_folders: bool = False) -> list[Any]:
    return [
        file async for file in each_file(items, threads, keep_folders=keep_folders, own=NO_JOURNAL)
    ]


async def test_a_folder_expands_to_its_files_in_order(threads: FileThreads, tree: Path) -> None:
    files = await found([tree], threads)

    below = [os.path.relpath(file.file, tree) for file in files]
    assert below == ["a.png", "b.png", "linked.png", "x/c.png", "x/y/d.png"]
    assert {file.folders for file in files} == {()}


async def test_a_thousand_folders_in_each_other_are_read(
    threads: FileThreads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    monkeypatch.chdir(top)
    for _ in range(1100):
        os.mkdir("a")  # noqa: PTH102 - a plain name
        os.chdir("a")
    deep = top / ("a/" * 1100 + "deep.png")
    deep.write_bytes(b"x")

    (file,) = await found([top], threads)

    assert file.path == str(deep)
    assert await count_files([top], threads, NO_JOURNAL, keep_folders=True) == 1
    deep.unlink()
    for folder in list(deep.parents)[:1100]:  # pytest could not remove them
        folder.rmdir()


async def test_folder_names_are_set_when_folders_are_kept(threads: FileThreads, tree: Path) -> None:
    given = FileToUpload(tree, folder_id="-3", folders=("Ours",), description="d")

    files = await found([given], threads, keep_folders=True)

    assert [file.folders for file in files] == [("Ours",)] * 3 + [("Ours", "x"), ("Ours", "x", "y")]
    assert {(file.folder_id, file.description, file.name) for file in files} == {("-3", "d", None)}


async def test_a_folder_without_files_is_reported(threads: FileThreads, tree: Path) -> None:
    (refused,) = await found([tree / "empty"], threads)

    assert isinstance(refused, FileRefused)
    assert "no files in this folder" in refused.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_folder_is_reported(threads: FileThreads, tree: Path) -> None:
    (tree / "x").chmod(0)
    try:
        refused = [one for one in await found([tree], threads) if isinstance(one, FileRefused)]
        assert await count_files([tree], threads, NO_JOURNAL) == 4
    finally:
        (tree / "x").chmod(0o700)
    assert "cannot be read" in refused[0].message


async def test_a_folder_that_disappears_during_the_scan_is_reported(
    threads: FileThreads, tree: Path
) -> None:
    files = each_file([tree], threads, keep_folders=False, own=NO_JOURNAL)
    seen = [await anext(files) for _ in range(3)]
    (tree / "x").rename(tree / "z")

    rest = [file async for file in files]

    assert len(seen) == 3
    (refused,) = rest
    assert isinstance(refused, FileRefused)
    assert "this folder cannot be read (No such file or directory)" in refused.message


async def test_files_are_counted_if_that_needs_no_iteration(
    threads: FileThreads, tree: Path
) -> None:
    assert (
        await count_files(
            [tree, tree / "a.png", FileToUpload(b"x", name="x.png")], threads, NO_JOURNAL
        )
        == 7
    )
    assert await count_files([tree / "missing"], threads, NO_JOURNAL) == 1
    assert await count_files(iter([tree]), threads, NO_JOURNAL) is None


async def test_missing_files_are_reported_by_the_upload(
    threads: FileThreads, tmp_path: Path
) -> None:
    (file,) = await found([str(tmp_path / "missing.png")], threads)

    assert file.path == str(tmp_path / "missing.png")
    assert file.label == str(tmp_path / "missing.png")


def test_bytes_are_labeled_by_their_name() -> None:
    assert FileToUpload(b"x", name="a.png").label == "a.png"
    assert FileToUpload(b"x").label == "bytes or stream"
    assert FileToUpload(b"x").path is None
