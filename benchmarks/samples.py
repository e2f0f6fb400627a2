"""The files that are uploaded: made on the spot, each with the receipt it must leave behind."""

from __future__ import annotations

import random
import zlib
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from benchmarks.receiving import Receipt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KB = 1000
MB = 1000 * KB
GB = 1000 * MB
_BLOCK = 4 * MB


@attrs.frozen
class Sample:
    """A file on disk and what the server must see of it."""

    path: Path
    receipt: Receipt


def make(directory: Path, count: int, size: int) -> list[Sample]:
    """`count` different files of `size` bytes of noise, the same on every run."""
    return [_write(directory / f"{size}-{index}.pdf", size, index) for index in range(count)]


def make_sparse(directory: Path, size: int) -> Sample:
    """One file of `size` zero bytes that takes no room on the disk."""
    path = directory / f"{size}-sparse.pdf"
    with path.open("wb") as file:
        file.truncate(size)
    block = bytes(_BLOCK)
    crc = 0
    for offset in range(0, size, _BLOCK):
        crc = zlib.crc32(memoryview(block)[: size - offset], crc)
    return Sample(path, Receipt(path.name, size, crc))


def cycle(samples: Sequence[Sample], uploads: int) -> list[Sample]:
    """`uploads` samples in turn, beginning again at the end."""
    return [samples[index % len(samples)] for index in range(uploads)]


def receipts(sent: Sequence[Sample]) -> Counter[Receipt]:
    """What the server must have noted once all of these have been sent."""
    return Counter(sample.receipt for sample in sent)


def _write(path: Path, size: int, seed: int) -> Sample:
    block = random.Random(seed).randbytes(min(size, _BLOCK))
    crc = 0
    with path.open("wb") as file:
        for offset in range(0, size, _BLOCK):
            piece = memoryview(block)[: size - offset]
            file.write(piece)
            crc = zlib.crc32(piece, crc)
    return Sample(path, Receipt(path.name, size, crc))
