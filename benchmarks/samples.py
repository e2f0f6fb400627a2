"""The files to upload. They are made when needed, each with the receipt that it must produce."""

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
    """A file on disk, and the receipt that the server must return for it."""

    path: Path
    receipt: Receipt


def make(directory: Path, count: int, size: int) -> list[Sample]:
    """Make `count` different files of `size` random bytes, the same in every run."""
    return [_write(directory / f"{size}-{index}.pdf", size, index) for index in range(count)]


def make_sparse(directory: Path, size: int) -> Sample:
    """Make a file of `size` zero bytes that takes no space on the disk."""
    path = directory / f"{size}-sparse.pdf"
    with path.open("wb") as file:
        file.truncate(size)
    block = bytes(_BLOCK)
    crc = 0
    for offset in range(0, size, _BLOCK):
        crc = zlib.crc32(memoryview(block)[: size - offset], crc)
    return Sample(path, Receipt(path.name, size, crc))


def cycle(samples: Sequence[Sample], uploads: int) -> list[Sample]:
    """Return `uploads` samples, and repeat them if there are fewer."""
    return [samples[index % len(samples)] for index in range(uploads)]


def receipts(sent: Sequence[Sample]) -> Counter[Receipt]:
    """Return the receipts that the server must have once all of these have been sent."""
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
