"""A cheap check of multipart bodies, which are read as they arrive and never kept.

The clients share two cores with the server, so the check must cost little and still be honest:
every byte of the file part goes through CRC-32 (3 GB per second), the length must be exact, and the
closing boundary must be where the announced length says.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

FILE_PART = b'name="data"'
HEAD_LIMIT = 16 * 1024


class Receipt(NamedTuple):
    """A summary of one upload. Equal receipts mean equal uploads."""

    file_name: str
    size: int
    crc: int


class BadBodyError(Exception):
    """The body is not the form that its headers announce."""


class UploadBody:
    """Reads one form of known length whose file part comes last, which is how all peers send it."""

    def __init__(self, boundary: bytes, length: int) -> None:
        self._delimiter = b"--" + boundary
        self._left = length
        self._head: bytearray | None = bytearray()
        self._file_left = 0
        self._size = 0
        self._crc = 0
        self._tail = bytearray()
        self._file_name = ""

    def feed(self, data: memoryview) -> int:
        """Read the bytes that belong to this body, and return how many there were."""
        taken = min(len(data), self._left)
        self._left -= taken
        chunk = data[:taken]
        if self._head is not None:
            chunk = self._feed_head(chunk)
        file_bytes = chunk[: self._file_left]
        if file_bytes:
            self._crc = zlib.crc32(file_bytes, self._crc)
            self._file_left -= len(file_bytes)
        self._tail += chunk[len(file_bytes) :]
        return taken

    @property
    def complete(self) -> bool:
        return self._left == 0

    def receipt(self) -> Receipt:
        """Return the receipt of a complete body. Raise `BadBodyError` if the form is wrong."""
        if self._head is not None:
            raise BadBodyError("the form has no file part")
        if bytes(self._tail) != b"\r\n" + self._delimiter + b"--\r\n":
            raise BadBodyError("the form does not end with its boundary")
        return Receipt(self._file_name, self._size, self._crc)

    def _feed_head(self, chunk: memoryview) -> memoryview:
        head = self._head
        assert head is not None
        before = len(head)
        head += chunk[:HEAD_LIMIT]
        part = head.find(FILE_PART)
        blank_line = head.find(b"\r\n\r\n", part) if part >= 0 else -1
        if blank_line < 0:
            if len(head) > HEAD_LIMIT:
                raise BadBodyError("the file part does not begin in the first 16 KB")
            return chunk[len(chunk) :]
        end = blank_line + 4
        rest = chunk[end - before :]
        self._size = len(rest) + self._left - len(self._delimiter) - 6
        self._file_left = max(0, self._size)
        self._file_name = self._field(bytes(head[:end]), b'name="file_name"')
        self._head = None
        return rest

    def _field(self, head: bytes, name: bytes) -> str:
        for part in head.split(self._delimiter):
            if name in part:
                return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n").decode()
        raise BadBodyError("the form has no file_name")
