"""A file that replaces its destination when it is complete."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.transport.files import partial
from ccv2_async.transport.files.partial import PartialFile, remove_leftovers

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path


@given(false_starts=st.lists(st.binary()), pieces=st.lists(st.binary()))
def test_the_digest_is_that_of_the_bytes_that_are_kept(
    tmp_path_factory: pytest.TempPathFactory, false_starts: list[bytes], pieces: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("partial") / "x"
    file = PartialFile(str(path))
    for piece in false_starts:
        file.write(piece)
        file.rewind()
    for piece in pieces:
        file.write(piece)
    assert file.keep() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.read_bytes() == b"".join(pieces)


def test_the_path_is_untouched_until_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x"
    file = PartialFile(str(path))
    file.write(b"half")
    assert not path.exists()
    file.discard()
    assert list(tmp_path.iterdir()) == []
    file.discard()
    file.keep()
    assert not path.exists()


@pytest.mark.usefixtures("deleted_working_directory")
def test_a_path_below_a_working_directory_that_is_gone_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="x: the file cannot be written there"):
        PartialFile("x")


def test_a_directory_that_cannot_be_synced_keeps_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    file = PartialFile(str(tmp_path / "x"))
    file.write(b"whole")
    monkeypatch.setattr("ccv2_async.transport.files.partial.os.open", refuse)
    file.keep()
    assert (tmp_path / "x").read_bytes() == b"whole"


def test_a_path_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="cannot be written there"):
        PartialFile(str(tmp_path / "missing" / "x"))


def hang(path: str, begun: Connection) -> None:
    file = PartialFile(path)
    file.write(b"half")
    begun.send(True)
    signal.pause()


def test_only_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    (tmp_path / ".ccv2-theirs.part").write_bytes(b"of another program or machine")
    begun, told = spawn.Pipe()
    other = spawn.Process(target=hang, args=(str(tmp_path / "a"), told))
    other.start()
    try:
        assert begun.recv()
        own = PartialFile(str(tmp_path / "b"))
        before = set(tmp_path.iterdir())
        assert len(before) == 3
        remove_leftovers(tmp_path)
        assert set(tmp_path.iterdir()) == before, "both are being written"
    finally:
        other.kill()
        other.join()
    remove_leftovers(tmp_path)
    assert len(set(tmp_path.iterdir())) == 2, "that of the killed process is gone"
    own.keep()
    assert sorted(os.listdir(tmp_path)) == [".ccv2-theirs.part", "b"]  # noqa: PTH208


def test_a_pipe_a_link_or_a_directory_named_like_a_leftover_does_not_block(tmp_path: Path) -> None:
    names = [tmp_path / f"{partial._PREFIX}{number}{partial._SUFFIX}" for number in range(3)]
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(names[0])
    names[1].symlink_to(tmp_path / "pipe")
    names[2].mkdir()
    remove_leftovers(tmp_path)
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_system_that_counts_no_links_does_not_start_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    def without_links(descriptor: int) -> os.stat_result:
        state = real(descriptor)
        return os.stat_result((*state[:3], 0, *state[4:10]))

    monkeypatch.setattr("ccv2_async.transport.files.partial.os.fstat", without_links)
    file = PartialFile(str(tmp_path / "x"))
    assert len(list(tmp_path.iterdir())) == 1
    file.discard()
