"""File objects as the source of an upload."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.errors import FileChanged, FileRefused, InvalidField, SourceConsumed
from ccv2_async.transport.files.objects import FileObjectSource
from ccv2_async.transport.files.sources import as_source
from ccv2_async.transport.files.threads import WHOLE_FILE_LIMIT
from tests.support.disk import write

if TYPE_CHECKING:
    from pathlib import Path

    from ccv2_async.transport.files.sources import Source
    from ccv2_async.transport.files.threads import FileThreads

LARGE = WHOLE_FILE_LIMIT + 1_500_000


async def read_all(source: Source, threads: FileThreads) -> bytes:
    opened = await source.open(threads)
    content = b""
    try:
        while len(content) < opened.length:
            content += await opened.read()
    finally:
        await opened.aclose()
    return content


class Uploaded:
    """The parts of Django's uploaded file that an upload uses."""

    def __init__(self, content: bytes, name: str | None) -> None:
        self.file = io.BytesIO(content)
        self.name, self.size = name, len(content)
        self.read, self.tell = self.file.read, self.file.tell
        self.threads: set[str] = set()

    def seek(self, position: int, whence: int = 0) -> None:
        self.threads.add(threading.current_thread().name)
        self.file.seek(position, whence)

    def chunks(self) -> Any:
        yield self.file.read()


class Pipe(io.RawIOBase):
    """A file object that returns three bytes at a time, and cannot seek."""

    def __init__(self, content: bytes) -> None:
        self._inner = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._inner.read(min(size, 3) if size >= 0 else 3)


async def test_a_file_on_disk_is_sent_from_its_position_in_every_attempt(
    tmp_path: Path, threads: FileThreads
) -> None:
    content = write(tmp_path / "large.png", LARGE)
    with (tmp_path / "large.png").open("rb") as file:
        file.seek(7)
        source = as_source(file)
        assert await source.prepare(threads) == LARGE - 7
        assert (source.filename, source.repeatable) == ("large.png", True)
        for _ in range(2):
            assert await read_all(source, threads) == content[7:]
        assert not file.closed


async def test_a_django_file_is_read_in_the_threads_of_the_client(threads: FileThreads) -> None:
    file = Uploaded(b"picture", "menu.png")
    source = as_source(file)
    assert await source.prepare(threads) == 7
    assert await read_all(source, threads) == b"picture"
    assert source.filename == "menu.png"
    assert {name.rpartition("_")[0] for name in file.threads} == {"ccv2-files"}


async def test_an_aborted_attempt_restores_the_file_position(
    threads: FileThreads,
) -> None:
    file = io.BytesIO(b"ab" * LARGE)
    file.seek(2)
    opened = await as_source(file).open(threads)
    await opened.read()
    assert file.tell() > 2
    await opened.aclose()
    await opened.aclose()
    assert file.tell() == 2


async def test_two_uploads_of_one_file_do_not_mix_their_blocks(threads: FileThreads) -> None:
    content = os.urandom(LARGE)
    file = io.BytesIO(content)
    sources = [as_source(file) for _ in range(4)]
    assert set(await asyncio.gather(*(read_all(s, threads) for s in sources))) == {content}


async def test_an_unseekable_file_needs_a_length_and_is_read_once(threads: FileThreads) -> None:
    with pytest.raises(InvalidField, match="cannot seek") as caught:
        as_source(Pipe(b"abcdefg"))
    assert caught.value.field == "length"
    source = as_source(Pipe(b"abcdefg"), length=7)
    assert isinstance(source, FileObjectSource)
    assert source.is_read_once
    assert await source.prepare(threads) == 7
    assert await read_all(source, threads) == b"abcdefg"
    assert not source.repeatable
    with pytest.raises(SourceConsumed, match="cannot seek"):
        await source.open(threads)


@pytest.mark.parametrize(("length", "what"), [(8, "ended at byte 7"), (6, "grew past byte 6")])
async def test_a_wrong_length_aborts_the_upload(
    length: int, what: str, threads: FileThreads
) -> None:
    with pytest.raises(FileChanged, match=what):
        await read_all(as_source(Pipe(b"abcdefg"), length=length), threads)


async def test_a_length_that_differs_from_the_seekable_size_is_refused(
    threads: FileThreads,
) -> None:
    with pytest.raises(InvalidField, match="from its current position is 3"):
        await as_source(io.BytesIO(b"abc"), length=4).prepare(threads)
    assert await as_source(io.BytesIO(b"abc"), length=3).prepare(threads) == 3


async def test_a_file_at_its_end_is_refused_with_its_position(threads: FileThreads) -> None:
    file = io.BytesIO(b"abc")
    file.read()
    with pytest.raises(FileRefused, match=r"position, 3; call seek\(0\)"):
        await as_source(file).prepare(threads)


async def test_a_file_that_changes_during_or_between_attempts_is_detected(
    tmp_path: Path, threads: FileThreads
) -> None:
    path = tmp_path / "menu.png"
    path.write_bytes(b"abc")
    os.utime(path, ns=(1, 1))
    with path.open("rb") as file:
        source = as_source(file)
        await read_all(source, threads)
        os.utime(path, ns=(2, 2))
        with pytest.raises(FileChanged, match="was written to"):
            await source.open(threads)
        opened = await as_source(file).open(threads)
        os.utime(path, ns=(3, 3))
        with pytest.raises(FileChanged, match="was written to"):
            await opened.read()
        await opened.aclose()


async def test_a_file_that_is_closed_or_fails_during_the_upload_is_named(
    threads: FileThreads,
) -> None:
    file = io.BytesIO(b"abc")
    source = as_source(file, name="menu.png")
    opened = await source.open(threads)
    file.close()
    with pytest.raises(FileChanged, match=r"menu\.png.*could no longer be read.*closed"):
        await opened.read()
    await opened.aclose()
    with pytest.raises(FileChanged, match="cannot be read"):
        await source.open(threads)


async def test_a_read_that_returns_text_is_refused(threads: FileThreads) -> None:
    class Text:
        size = 3

        def read(self, size: int, /) -> Any:
            return "abc"

    with pytest.raises(FileChanged, match="returned str instead of bytes"):
        await read_all(as_source(Text()), threads)


def test_objects_that_cannot_be_read_as_bytes_are_refused_clearly(tmp_path: Path) -> None:
    path = tmp_path / "menu.txt"
    path.write_bytes(b"abc")
    closed = path.open("rb")
    closed.close()
    with (
        path.open() as text,
        path.open("ab") as writing,
        tempfile.NamedTemporaryFile("w+") as wrapped,
        socket.socket() as plug,
    ):
        for file, rule in [
            (text, "binary mode"),
            (wrapped, "binary mode"),
            (io.StringIO("abc"), "binary mode"),
            (writing, "opened for reading"),
            (closed, "is closed"),
            (plug, "it is a socket"),
        ]:
            with pytest.raises(InvalidField, match=rule) as caught:
                as_source(file, length=3)  # type: ignore[arg-type]  # the mistake is the point
            assert caught.value.field == "file"


def test_the_name_is_the_last_part_of_a_path_or_none() -> None:
    with tempfile.TemporaryFile() as unnamed:
        files: list[tuple[Any, str | None]] = [
            (Uploaded(b"a", "a/b/menu.png"), "menu.png"),
            (Uploaded(b"a", None), None),
            (unnamed, None),
            (io.BytesIO(b"a"), None),
        ]
        for file, name in files:
            assert as_source(file).filename == name
