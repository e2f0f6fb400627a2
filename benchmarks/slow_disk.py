"""A slow disk: every read of a file in one directory sleeps in the thread that reads.

The sleep is where the system call would block: in the raw file below Python's buffers, or in
`os.read` and similar functions. A client that reads on the event loop blocks the loop, and one that
reads in a thread blocks that thread. There is one sleep for each read that reaches the disk. The
disk does not know which client is reading, but a client that subclasses `io.FileIO` must be
imported after the disk is set up. The reads are counted, so that the measurement can check this.
"""

from __future__ import annotations

import builtins
import io
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DESCRIPTOR_READS = {
    **dict.fromkeys(("read", "pread", "readv", "preadv", "splice", "copy_file_range"), 0),
    "sendfile": 1,
}
"""The calls that read from a descriptor, and the position of that argument."""


class Disk:
    """The slow directory, the delay, and the number of reads.

    Attributes:
        reads: The number of reads so far.
    """

    def __init__(self, directory: Path, seconds: float) -> None:
        self.reads = 0
        self._directory = directory.resolve()
        self._seconds = seconds

    def holds(self, descriptor: int) -> bool:
        """Return whether an open file is on this disk."""
        return self._directory in Path(f"/proc/self/fd/{descriptor}").readlink().parents

    def wait(self) -> None:
        """Sleep for the time of one read."""
        self.reads += 1
        time.sleep(self._seconds)


@contextmanager
def slow_disk(directory: Path, seconds: float) -> Iterator[Disk]:
    """Make every read below `directory` take `seconds` longer."""
    disk = Disk(directory, seconds)
    slow_file = _file_class(disk)
    opened = _opener(slow_file)
    patches: list[tuple[Any, str, object]] = [
        (io, "FileIO", slow_file),
        (io, "open", opened),
        (builtins, "open", opened),
    ]
    patches += [
        (os, name, _descriptor_read(getattr(os, name), place, disk))
        for name, place in _DESCRIPTOR_READS.items()
        if hasattr(os, name)
    ]
    originals = [(module, name, getattr(module, name)) for module, name, _ in patches]
    for module, name, replacement in patches:
        setattr(module, name, replacement)
    try:
        yield disk
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


def _file_class(disk: Disk) -> type[io.FileIO]:
    class SlowFile(io.FileIO):
        """A raw file; each of these methods is one read of the disk."""

        def __init__(self, *args: Any, **kw: Any) -> None:
            super().__init__(*args, **kw)
            self._is_slow = disk.holds(self.fileno())

        def readinto(self, buffer: Any, /) -> Any:
            self._wait()
            return super().readinto(buffer)

        def readall(self) -> Any:
            self._wait()
            return super().readall()

        def read(self, size: int | None = -1, /) -> Any:
            self._wait()
            return super().read(size)

        def _wait(self) -> None:
            if self._is_slow:
                disk.wait()

    return SlowFile


def _opener(slow_file: type[io.FileIO]) -> Callable[..., Any]:
    stock = io.open

    def slow_open(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kw: Any) -> Any:
        if mode != "rb":
            return stock(file, mode, buffering, *args, **kw)
        raw = slow_file(file, mode, closefd=kw.get("closefd", True), opener=kw.get("opener"))
        return raw if buffering == 0 else io.BufferedReader(raw)

    return slow_open


def _descriptor_read(stock: Callable[..., Any], place: int, disk: Disk) -> Callable[..., Any]:
    def slow_read(*args: Any, **kw: Any) -> Any:
        if disk.holds(args[place]):
            if args[-1] == getattr(os, "RWF_NOWAIT", None) and stock.__name__ == "preadv":
                raise BlockingIOError  # nothing of this disk is in memory
            disk.wait()
        return stock(*args, **kw)

    return slow_read
