from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from benchmarks.slow_disk import slow_disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"x" * 300_000


def by_path(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(65_536) + file.read(65_536)


def by_builtin(path: Path) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - it is one of the ways that are covered
        return file.read(65_536) + file.read(65_536)


def by_descriptor(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as file:
        return file.read(65_536) + file.read(65_536)


def unbuffered(path: Path) -> bytes:
    with io.open(os.open(path, os.O_RDONLY), "rb", buffering=0) as file:  # noqa: UP020 - ditto
        return file.read(65_536) + file.read(65_536)


def by_subclass(path: Path) -> bytes:
    class Own(io.FileIO):
        pass

    with Own(os.open(path, os.O_RDONLY), "rb") as file:
        return file.read(65_536) + file.read(65_536)


def by_system_call(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 65_536) + os.pread(descriptor, 65_536, 65_536)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "reading", [by_path, by_builtin, by_descriptor, unbuffered, by_subclass, by_system_call]
)
def test_each_read_of_a_block_waits_once_however_the_file_is_opened(
    reading: Callable[[Path], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(CONTENT)
    with slow_disk(tmp_path, 0.0) as disk:
        assert reading(path) == CONTENT[: 2 * 65_536]
        assert disk.reads == 2
    assert reading(path) == CONTENT[: 2 * 65_536]
    assert disk.reads == 2


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="the system has no such reads")
def test_a_slow_disk_has_nothing_for_reads_that_do_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(CONTENT)
    descriptor = os.open(path, os.O_RDONLY)
    with slow_disk(tmp_path, 0.0) as disk, pytest.raises(BlockingIOError):
        os.preadv(descriptor, [bytearray(10)], 0, os.RWF_NOWAIT)
    os.close(descriptor)
    assert disk.reads == 0


def test_files_elsewhere_are_read_at_full_speed(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    path = tmp_path / "a.pdf"
    path.write_bytes(CONTENT)
    with slow_disk(slow, 0.0) as disk:
        assert by_path(path) + by_system_call(path)
        assert disk.reads == 0
