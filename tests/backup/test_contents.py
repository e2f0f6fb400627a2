from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.backup.contents import PARTS, Contents, digest_of, part_name
from ccv2_async.backup.journal import Journal
from ccv2_async.transport.files.partial import _PREFIX, PartialFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(str(tmp_path))
    opened.begin("now", full=False)
    yield opened
    opened.close()


@pytest.fixture
def contents(tmp_path: Path, journal: Journal) -> Contents:
    made = Contents(tmp_path, journal)
    made.prepare()
    return made


def record(own: str, name: str, **more: Any) -> dict[str, Any]:
    return {"id": own, "name": name, "folder_id": "0", "modified_date": "1", "size": 3, **more}


def listed(journal: Journal, *records: dict[str, Any], dataset: str = "library") -> None:
    rows = [(each["id"], json.dumps(each)) for each in records]
    journal.page(dataset, "", rows, cursor="", position=len(rows), detail=False)


def download(contents: Contents, journal: Journal, own: str, content: bytes) -> None:
    """Do what a run does for one file, up to the moment before its bytes are moved."""
    entry = journal.file("library", own)
    assert entry is not None
    contents.part(entry).write_bytes(content)
    journal.stored(entry, entry.wanted, len(content), hashlib.sha256(content).hexdigest())


def test_a_run_that_was_killed_before_the_bytes_were_moved_moves_them_next_time(
    contents: Contents, journal: Journal, tmp_path: Path
) -> None:
    listed(journal, record("1", "a.png"))
    assert contents.plan() == 1
    download(contents, journal, "1", b"abc")
    assert not (tmp_path / "library").exists()
    Contents(tmp_path, journal).prepare()
    assert (tmp_path / "library" / "a.png").read_bytes() == b"abc"
    assert contents.plan() == 0


def test_a_file_that_changed_and_moved_before_its_bytes_were_moved_keeps_the_new_ones(
    contents: Contents, journal: Journal, tmp_path: Path
) -> None:
    listed(journal, record("1", "a.png"))
    contents.plan()
    download(contents, journal, "1", b"old")
    contents.prepare()
    listed(journal, record("1", "a.png", modified_date="2"))
    contents.plan()
    download(contents, journal, "1", b"new")
    with journal.transaction():
        contents._learn_names()
        contents._assign("library", "1", "b.png", "library")
    Contents(tmp_path, journal).prepare()
    assert (tmp_path / "library" / "b.png").read_bytes() == b"new"
    assert not (tmp_path / "library" / "a.png").exists()
    assert journal.moves() == []


def test_partial_files_of_a_killed_run_are_removed_and_those_of_others_are_kept(
    contents: Contents, journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "campaigns").mkdir()
    folders = (tmp_path, tmp_path / PARTS, tmp_path / "campaigns")
    half = [folder / f"{_PREFIX}0a.part" for folder in folders]
    others = [folder / ".ccv2-0123abcd-0a.part" for folder in folders]  # of another machine
    for path in (*half, *others):
        path.write_bytes(b"half")
    writing = [PartialFile(str(folder / "a.json")) for folder in folders]
    listed(journal, record("1", "a.png"))
    contents.plan()
    entry = journal.file("library", "1")
    assert entry is not None
    contents.part(entry).write_bytes(b"abc")
    again = Contents(tmp_path, journal)
    again.prepare()
    again.tidy()
    assert not [path for path in half if path.exists()]
    assert all(path.exists() for path in others)
    for partial in writing:
        partial.keep()
    assert all((folder / "a.json").exists() for folder in folders)
    assert contents.part(entry).read_bytes() == b"abc"
    assert digest_of(contents.part(entry)) == (3, hashlib.sha256(b"abc").hexdigest())
    assert digest_of(tmp_path / "none") is None


def test_each_version_of_each_file_has_its_own_part(contents: Contents, journal: Journal) -> None:
    listed(journal, record("1", "a.png"), record("2", "a.png"))
    contents.plan()
    first, second = journal.file("library", "1"), journal.file("library", "2")
    assert first is not None
    assert second is not None
    names = {part_name(entry, version) for entry in (first, second) for version in ("1 3", "2 3")}
    assert len(names) == 4
    assert first.path == "library/a.png"
    assert second.path == "library/a (2).png"


def test_a_chain_of_renames_overwrites_nothing(
    contents: Contents, journal: Journal, tmp_path: Path
) -> None:
    names = ["a.png", "b.png", "c.png"]
    listed(journal, *(record(str(n), name) for n, name in enumerate(names)))
    contents.plan()
    for n in range(3):
        download(contents, journal, str(n), str(n).encode() * 3)
    contents.prepare()
    for turn in range(1, 5):
        moved = names[turn % 3 :] + names[: turn % 3]
        listed(journal, *(record(str(n), name) for n, name in enumerate(moved)))
        assert contents.plan() == 0
        for n in range(3):
            entry = journal.file("library", str(n))
            assert entry is not None
            assert (tmp_path / entry.path).read_bytes() == str(n).encode() * 3
        assert len(list((tmp_path / "library").iterdir())) == 3


def test_parts_of_versions_that_nobody_wants_are_removed(
    contents: Contents, journal: Journal, tmp_path: Path
) -> None:
    listed(journal, record("1", "a.png"))
    contents.plan()
    entry = journal.file("library", "1")
    assert entry is not None
    contents.part(entry).write_bytes(b"abc")
    contents.tidy()
    assert contents.part(entry).exists()
    listed(journal, record("1", "a.png", modified_date="2"))
    contents.plan()
    contents.tidy()
    assert list((tmp_path / PARTS).iterdir()) == []


def test_the_cost_of_a_path_does_not_grow_with_their_number(
    journal: Journal, tmp_path: Path
) -> None:
    # Each path took a scan of all files: planning 40,000 of them took 97 s.
    for number in range(500):
        journal.assign("library", str(number), "", f"library/{number}", str(number))
    journal._database.execute("DROP INDEX IF EXISTS turns")  # as in journals of older versions
    journal.close()
    opened = Journal.open(str(tmp_path))
    steps: list[None] = []
    opened._database.set_progress_handler(lambda: steps.append(None), 1)
    opened.assign("library", "one more", "", "library/one more", "one more")
    opened.close()
    assert 0 < len(steps) < 200


_PLAN = """
import sys
from pathlib import Path
from ccv2_async.backup.contents import Contents
from ccv2_async.backup.journal import Journal

journal = Journal.open(sys.argv[1])
Contents(Path(sys.argv[1]), journal).plan()
"""


def test_a_backup_with_names_that_the_locale_cannot_encode_is_refused(
    contents: Contents, journal: Journal, tmp_path: Path
) -> None:
    listed(journal, record("1", "gr\xfcn.png"))
    contents.plan()
    journal.close()
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", _PLAN, str(tmp_path)]
    ran = subprocess.run(  # noqa: S603  # our own interpreter
        command, check=False, env=os.environ | locale, capture_output=True, text=True
    )
    assert "UsageError: " in ran.stderr
    assert "the backup cannot be written there ('ascii' codec can't encode" in ran.stderr
