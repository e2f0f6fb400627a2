"""A bulk upload does not upload the files of its own journal."""

# ruff: noqa: ASYNC240  # a test may touch its few small files where it stands
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import BulkState, FileToUpload
from ccv2_async.uploads.many.journal import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox

Ran = Any


def place_all(journal: Path) -> None:
    """Write the files that a killed run and another SQLite mode leave next to a journal."""
    for suffix in SUFFIXES[1:]:
        Path(f"{journal}{suffix}").touch()


def beside(tree: Path) -> str:
    return str(tree / "upload.db")


def relative(tree: Path) -> str:  # the test runs in it
    return "upload.db"


def roundabout(tree: Path) -> str:
    return str(tree / "sub" / ".." / "upload.db")


def through_a_linked_folder(tree: Path) -> str:
    (tree.parent / "linked").symlink_to(tree)
    return str(tree.parent / "linked" / "upload.db")


def by_a_link_into_the_folder(tree: Path) -> str:
    (tree.parent / "link.db").symlink_to(tree / "upload.db")
    return str(tree.parent / "link.db")


def by_a_link_in_the_folder(tree: Path) -> str:
    (tree / "link.db").symlink_to(tree.parent / "elsewhere.db")
    return str(tree / "link.db")


def named_like_a_picture(tree: Path) -> str:
    return str(tree / "upload.png")


PLACES = [
    beside,
    relative,
    roundabout,
    through_a_linked_folder,
    by_a_link_into_the_folder,
    by_a_link_in_the_folder,
    named_like_a_picture,
]


@pytest.fixture
def tree(pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three pictures that is the working directory."""
    (first, *_) = pictures("a.png", "b.png", "sub/c.png")
    monkeypatch.chdir(first.parent)
    return first.parent


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_a_folder_expands_to_its_files_without_the_journal(
    client: ConstantContact, sandbox: Sandbox, tree: Path, place: Callable[[Path], str]
) -> None:
    journal = place(tree)
    for earlier in (False, True):
        upload = client.upload_many(["."], journal=journal)
        results = [result async for result in upload]

        assert {result.name for result in results} == {"a.png", "b.png", "c.png"}
        assert {(result.state, result.earlier) for result in results} == {(BulkState.DONE, earlier)}
        assert upload.progress.total == len(results)
        place_all(Path(journal))
        os.link(os.path.realpath(journal), tree / f"hard link {earlier}.png")
    assert len(sandbox.admin.files()) == 3


@pytest.mark.parametrize("wrap", [str, Path, FileToUpload], ids=lambda wrap: wrap.__name__)
async def test_a_journal_named_among_the_files_is_skipped(
    client: ConstantContact, tree: Path, wrap: Callable[[str], Any]
) -> None:
    for _ in range(2):
        files = [*map(str, sorted(tree.glob("*.png"))), wrap("upload.db"), wrap("upload.db.lock")]
        upload = client.upload_many(files, journal="upload.db")

        assert {result.name async for result in upload} == {"a.png", "b.png"}
        assert upload.progress.total == 2


async def test_other_databases_are_uploaded(client: ConstantContact, tree: Path) -> None:
    (tree / "another.db").write_bytes(b"x")

    results = [result async for result in client.upload_many(["."], journal="upload.db")]

    assert {Path(result.path).name for result in results if result.error} == {"another.db"}


async def test_a_dry_run_skips_the_journal_of_an_earlier_run(
    client: ConstantContact, tree: Path
) -> None:
    assert len([r async for r in client.upload_many(["."], journal="upload.db")]) == 3
    place_all(tree / "upload.db")

    planned = [r async for r in client.upload_many(["."], journal="upload.db", dry_run=True)]

    assert {result.name for result in planned} == {"a.png", "b.png", "c.png"}
