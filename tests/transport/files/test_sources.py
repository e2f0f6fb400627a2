from __future__ import annotations

import asyncio
import errno
import io
import logging
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.errors import (
    FileChanged,
    FileRefused,
    InvalidField,
    SourceConsumed,
    UsageError,
)
from ccv2_async.transport.files import reading as files
from ccv2_async.transport.files import sources
from ccv2_async.transport.files.reading import CheckedFile, FileState, open_and_read
from ccv2_async.transport.files.sources import (
    BytesSource,
    PathSource,
    StreamSource,
    as_source,
)
from ccv2_async.transport.files.threads import WHOLE_FILE_LIMIT, FileThreads
from tests.support.clocks import settle
from tests.support.disk import open_below, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async.transport.files.sources import OpenSource, Source

LARGE = WHOLE_FILE_LIMIT + 1_500_000


async def read_all(source: Source, threads: FileThreads) -> list[bytes]:
    opened = await source.open(threads)
    blocks: list[bytes] = []
    try:
        while not blocks or sum(map(len, blocks)) < opened.length:
            blocks.append(await opened.read())
    finally:
        await opened.aclose()
    return blocks


def checked(path: Path) -> CheckedFile:
    descriptor = os.open(path, os.O_RDONLY)
    found = os.fstat(descriptor)
    state = FileState(length=found.st_size, written_ns=found.st_mtime_ns)
    return CheckedFile(descriptor, state, path.name)


async def read_on(opened: OpenSource, into: list[bytes]) -> None:
    """Read until something is raised, and collect the blocks before that."""
    while block := await opened.read():
        into.append(block)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_loop_of_links(path: Path) -> None:
    path.symlink_to(path)


REFUSED: list[tuple[Callable[[Path], object], str]] = [
    (lambda _: None, "there is no such file"),
    (Path.mkdir, "it is a directory"),
    (os.mkfifo, "it is a named pipe, not a file"),
    (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    (a_socket, "it is a socket, not a file"),
    (
        lambda path: path.symlink_to(path.parent / "nowhere"),
        "there is no such file: it is a link to a file that does not exist",
    ),
    (a_loop_of_links, "its symbolic links form a loop"),
]


@pytest.mark.parametrize("step", ["prepare", "open"])
@pytest.mark.parametrize(("make", "reason"), REFUSED)
async def test_a_path_that_is_not_a_regular_file_is_refused_at_once(
    make: Callable[[Path], object], reason: str, step: str, tmp_path: Path, threads: FileThreads
) -> None:
    path = tmp_path / "menu.pdf"
    make(path)

    with pytest.raises(FileRefused) as caught:
        await getattr(PathSource(path), step)(threads)

    assert caught.value.reason == reason
    assert str(caught.value) == f"{path}: {reason}. Nothing was sent."
    assert open_below(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a\0b", "its name has a character that is not allowed"),
        ("a\ud800b", "its name has a character that is not allowed"),
        ("n" * 300, "its name is too long"),
        ("/dev/null/x", "there is no such file"),
        ("/dev/zero", "it is a device, not a file"),
    ],
)
async def test_a_missing_path_is_refused(path: str, reason: str, threads: FileThreads) -> None:
    with pytest.raises(FileRefused) as caught:
        await PathSource(path).open(threads)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EACCES, "it cannot be read (permission denied)"),
        (errno.EIO, "it cannot be opened (Input/output error)"),
    ],
)
async def test_an_unreadable_file_is_refused(
    code: int,
    reason: str,
    tmp_path: Path,
    threads: FileThreads,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "secret.pdf"
    write(path, 10)

    def refuse(*args: object) -> int:
        raise OSError(code, os.strerror(code))

    # The tests may run as root, whom no permission bit keeps out.
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileRefused) as caught:
        await PathSource(path).open(threads)

    assert caught.value.reason == reason


async def test_a_pipe_that_takes_the_place_of_the_file_does_not_block(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular = tmp_path / "regular"
    write(regular, 10)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path: real(regular if path == str(pipe) else path))

    with pytest.raises(FileRefused, match="named pipe"):
        await PathSource(pipe).open(threads)

    assert open_below(tmp_path) == []


@pytest.mark.parametrize(
    "size", [0, 1, WHOLE_FILE_LIMIT - 1, WHOLE_FILE_LIMIT, WHOLE_FILE_LIMIT + 1, LARGE]
)
async def test_a_file_is_read_completely_and_through_a_symbolic_link(
    size: int, tmp_path: Path, threads: FileThreads
) -> None:
    content = write(tmp_path / "real", size)
    link = tmp_path / "link"
    link.symlink_to("real")
    source = PathSource(link)

    assert await source.prepare(threads) == size
    for _ in range(2):
        blocks = await read_all(source, threads)
        assert b"".join(blocks) == content
        assert (len(blocks) == 1) == (size <= WHOLE_FILE_LIMIT)
    assert open_below(tmp_path) == []


async def test_a_small_file_is_closed_before_it_is_sent(
    tmp_path: Path, threads: FileThreads
) -> None:
    write(tmp_path / "small", WHOLE_FILE_LIMIT)

    opened = await PathSource(tmp_path / "small").open(threads)

    assert open_below(tmp_path) == []
    await opened.aclose()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(WHOLE_FILE_LIMIT)
        file.write(b"other")
    os.utime(path, ns=(1, 1))  # file systems that count in seconds would not show it


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (append, f"grew past byte {LARGE}"),
    (lambda path: os.truncate(path, WHOLE_FILE_LIMIT + 5), "shrank from"),
    (lambda path: os.truncate(path, 0), "shrank from"),
    (rewrite, "was written to"),
]


@pytest.mark.parametrize(("change", "what"), CHANGES)
async def test_a_large_file_that_changes_during_reading_never_yields_its_last_byte(
    change: Callable[[Path], object], what: str, tmp_path: Path, threads: FileThreads
) -> None:
    path = tmp_path / "growing.pdf"
    content = write(path, LARGE)
    opened = await PathSource(path).open(threads)
    change(path)

    got: list[bytes] = []
    with pytest.raises(FileChanged, match=what) as caught:
        await read_on(opened, got)

    await opened.aclose()
    assert content.startswith(b"".join(got)[:WHOLE_FILE_LIMIT])
    assert len(b"".join(got)) < LARGE
    assert caught.value.path == str(path)
    assert open_below(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (append, "grew past byte 10"),
        (lambda path: os.truncate(path, 4), "shrank from 10 bytes to 4"),
        (lambda path: os.utime(path, ns=(1, 1)), "was written to"),
    ],
)
def test_a_small_file_that_changes_between_open_and_read_is_detected(
    change: Callable[[Path], object], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small"
    write(path, 10)
    real = os.open

    def open_then_change(*args: Any) -> int:
        monkeypatch.undo()
        descriptor = real(*args)
        found = os.fstat(descriptor)

        def fstat_then_change(_: int) -> os.stat_result:
            monkeypatch.undo()
            change(path)
            return found

        monkeypatch.setattr(os, "fstat", fstat_then_change)
        return descriptor

    monkeypatch.setattr(os, "open", open_then_change)
    with pytest.raises(FileChanged, match=what):
        open_and_read(str(path), "small", FileThreads())

    assert open_below(tmp_path) == []


def test_a_file_is_read_in_the_requested_sizes(tmp_path: Path) -> None:
    content = write(tmp_path / "file", 10)

    with checked(tmp_path / "file") as file:
        assert [file.read(4), file.read(4)] == [content[:4], content[4:8]]
        assert not file.closed
        assert file.read(None) == content[8:]
        assert file.closed


def test_short_reads_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write(tmp_path / "file", 10)

    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: real(descriptor, min(size, 3)))

    with checked(tmp_path / "file") as file:
        assert file.read(7) + file.read() == content


async def test_a_file_that_reports_size_zero_is_refused_if_it_has_content(
    threads: FileThreads,
) -> None:
    with pytest.raises(FileChanged, match="grew past byte 0"):
        await PathSource("/proc/self/status").open(threads)


async def test_a_disk_error_quotes_the_system(threads: FileThreads) -> None:
    with pytest.raises(FileChanged, match=r"could no longer be read \(Input/output error\)"):
        await PathSource("/proc/self/mem").open(threads)


async def test_a_file_deleted_during_reading_is_sent_completely(
    tmp_path: Path, threads: FileThreads
) -> None:
    path = tmp_path / "gone"
    content = write(path, LARGE)
    opened = await PathSource(path).open(threads)
    path.unlink()

    got = await opened.read()
    while len(got) < LARGE:
        got += await opened.read()

    await opened.aclose()
    assert got == content


async def test_a_file_deleted_before_it_was_opened_is_refused(
    tmp_path: Path, threads: FileThreads
) -> None:
    path = tmp_path / "gone"
    write(path, 10)
    source = PathSource(path)
    await source.prepare(threads)
    path.unlink()

    with pytest.raises(FileRefused, match="there is no such file"):
        await source.open(threads)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (Path.unlink, r"could not be opened \(there is no such file\)"),
        (append, "was written to"),
        (lambda path: os.utime(path, ns=(1, 1)), "was written to"),
    ],
)
@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_file_that_changes_between_two_attempts_is_not_sent_again(
    size: int,
    change: Callable[[Path], object],
    what: str,
    tmp_path: Path,
    threads: FileThreads,
) -> None:
    path = tmp_path / "file"
    write(path, size)
    source = PathSource(path)
    await read_all(source, threads)
    change(path)

    with pytest.raises(FileChanged, match=what):
        await source.open(threads)

    assert open_below(tmp_path) == []


async def test_a_failed_read_ahead_after_an_aborted_upload_is_not_reported(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_NO_WAIT", 0)
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    path = tmp_path / "file"
    write(path, LARGE)
    opened = await PathSource(path).open(threads)
    await opened.read()
    await opened.read()
    os.truncate(path, 10)
    (ahead,) = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait({ahead})

    await opened.aclose()
    del opened, ahead

    assert reported == []


def test_a_file_name_cannot_forge_a_log_line() -> None:
    source = PathSource("a\nERROR \x1b[31m\u202e\udcff.pdf")

    assert source.name == "a\\nERROR \\x1b[31m\\u202e\\udcff.pdf"
    assert PathSource("dir/menü 🎉.pdf").name == "dir/menü 🎉.pdf"
    assert PathSource("dir/menü 🎉.pdf").filename == "menü 🎉.pdf"


async def chunks(*given: Any) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk


class Reader:
    """An async reader that records how it was used."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)
        self.closed = False

    async def read(self, size: int, /) -> bytes:
        return self.content.read(size)

    async def close(self) -> None:
        self.closed = True


def test_mutable_bytes_are_copied() -> None:
    changing = bytearray(b"abc")
    source = as_source(changing)
    changing[0] = 0

    assert isinstance(source, BytesSource)
    assert (source.content, source.name, source.filename) == (b"abc", "bytes of length 3", None)
    assert isinstance(as_source(memoryview(b"abc")), BytesSource)


@pytest.mark.parametrize("size", [0, 1, WHOLE_FILE_LIMIT, LARGE])
async def test_large_bytes_are_read_in_blocks(size: int, threads: FileThreads) -> None:
    content = os.urandom(size)
    source = BytesSource(content, name="picture")

    assert await source.prepare(threads) == size
    blocks = await read_all(source, threads)

    assert b"".join(blocks) == content
    assert (len(blocks) == 1) == (size <= WHOLE_FILE_LIMIT)
    assert source.name == "picture"


@pytest.mark.parametrize(
    "make",
    [
        lambda: chunks(b"ab", b"", bytearray(b"c"), memoryview(b"de")),
        lambda: Reader(b"abcde"),
        lambda: lambda: chunks(b"abcde"),
        lambda: lambda: Reader(b"abcde"),
    ],
)
async def test_a_stream_of_the_announced_length_is_read_completely(
    make: Callable[[], Any], threads: FileThreads
) -> None:
    source = as_source(make(), length=5)

    assert await source.prepare(threads) == 5
    blocks = await read_all(source, threads)

    assert b"".join(blocks) == b"abcde"
    assert all(type(block) is bytes for block in blocks)


async def test_an_asyncio_stream_reader_is_accepted(threads: FileThreads) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"line\nline\n")
    reader.feed_eof()

    assert await read_all(as_source(reader, length=10), threads) == [b"line\nline\n"]


@pytest.mark.parametrize("make", [chunks, lambda: Reader(b"")])
async def test_an_empty_stream_is_accepted(make: Callable[[], Any], threads: FileThreads) -> None:
    assert await read_all(as_source(make(), length=0), threads) == [b""]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: chunks(b"ab", b"cd"), "ended after 4 of 5 bytes"),
        (lambda: Reader(b"abcd"), "ended after 4 of 5 bytes"),
        (lambda: chunks(b"abc", b"def"), "continued past its announced end at byte 5"),
        (lambda: chunks(b"abcde", b"", b"f"), "continued past its announced end at byte 5"),
        (lambda: Reader(b"abcdef"), "continued past its announced end at byte 5"),
    ],
)
async def test_a_stream_of_another_length_never_yields_its_last_byte(
    make: Callable[[], Any], what: str, threads: FileThreads
) -> None:
    opened = await as_source(make(), length=5, name="camera").open(threads)

    got: list[bytes] = []
    with pytest.raises(FileChanged, match=f"camera: it {what}"):
        await read_on(opened, got)

    await opened.aclose()
    assert len(b"".join(got)) < 5


async def test_a_stream_that_does_not_yield_bytes_is_refused(threads: FileThreads) -> None:
    opened = await as_source(chunks("text"), length=4).open(threads)

    with pytest.raises(UsageError, match="returned str instead of bytes"):
        await opened.read()

    await opened.aclose()


async def test_a_stream_is_read_once_and_says_so(threads: FileThreads) -> None:
    source = as_source(chunks(b"abc"), length=3, name="camera")
    unused = await source.open(threads)
    await unused.aclose()
    before = source.repeatable  # no connection was made: nothing was read

    await read_all(source, threads)

    assert (before, source.repeatable) == (True, False)
    with pytest.raises(SourceConsumed, match="camera: the stream was read by an earlier attempt"):
        await source.open(threads)


async def test_a_function_makes_a_stream_repeatable(threads: FileThreads) -> None:
    async def late() -> AsyncIterator[bytes]:
        return chunks(b"abc")

    for factory in (lambda: chunks(b"abc"), late):
        source = as_source(factory, length=3)
        for _ in range(2):
            assert await read_all(source, threads) == [b"abc"]
            assert source.repeatable


async def test_a_function_that_does_not_return_a_stream_is_refused(threads: FileThreads) -> None:
    with pytest.raises(InvalidField, match="must return an async stream"):
        await as_source(lambda: b"abc", length=3).open(threads)  # type: ignore[arg-type]  # the mistake is the point


async def test_leaving_early_runs_the_cleanup_of_the_generator(threads: FileThreads) -> None:
    ended: list[bool] = []

    async def generator() -> AsyncIterator[bytes]:
        try:
            yield b"ab"
            yield b"cd"
        finally:
            ended.append(True)

    opened = await as_source(generator(), length=4).open(threads)
    await opened.read()
    await opened.aclose()
    await opened.aclose()

    assert ended == [True]


class BluntReader(Reader):
    """A reader whose `close` is an ordinary method."""

    def close(self) -> None:  # type: ignore[override]  # real readers have either kind
        self.closed = True


@pytest.mark.parametrize("kind", [Reader, BluntReader])
async def test_only_readers_opened_by_the_client_are_closed(
    kind: type[Reader], threads: FileThreads
) -> None:
    theirs, ours = kind(b"abc"), kind(b"abc")

    await read_all(as_source(theirs, length=3), threads)
    await read_all(as_source(lambda: ours, length=3), threads)

    assert (theirs.closed, ours.closed) == (False, True)


async def test_a_stream_that_fails_to_close_is_logged(
    threads: FileThreads, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(Reader):
        async def close(self) -> None:
            raise OSError("no")

    with caplog.at_level(logging.WARNING, "ccv2_async"):
        await read_all(as_source(lambda: Stubborn(b"abc"), length=3, name="camera"), threads)

    assert [record.getMessage() for record in caplog.records] == [
        "camera: closing the stream failed"
    ]


@pytest.mark.parametrize("trouble", ["cancels", "hangs"])
async def test_a_stream_that_does_not_close_neither_cancels_nor_hangs_the_upload(
    threads: FileThreads, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    class Stubborn(Reader):
        async def close(self) -> None:
            if trouble == "cancels":  # as one that awaits a cancelled task does
                raise asyncio.CancelledError
            await asyncio.Event().wait()

    monkeypatch.setattr(sources, "_CLOSING_SECONDS", 0.01)
    async with asyncio.timeout(10):
        source = as_source(lambda: Stubborn(b"abc"), length=3)
        assert await read_all(source, threads) == [b"abc"]


class OddExit(BaseException):
    pass


@pytest.mark.parametrize("kind", [GeneratorExit, OddExit])
async def test_a_stream_whose_close_raises_another_base_exception_is_logged(
    threads: FileThreads, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    class Stubborn(Reader):
        async def close(self) -> None:
            raise kind

    source = as_source(lambda: Stubborn(b"abc"), length=3, name="camera")
    assert await read_all(source, threads) == [b"abc"]
    assert [record.getMessage() for record in caplog.records] == [
        "camera: closing the stream failed"
    ]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_an_exception_that_ends_the_program_passes_through_the_close_of_a_stream(
    threads: FileThreads, kind: type[BaseException]
) -> None:
    class Stubborn(Reader):
        async def close(self) -> None:
            raise kind

    opened = await as_source(lambda: Stubborn(b"abc"), length=3).open(threads)
    with pytest.raises(kind):
        await opened.aclose()


def test_a_close_that_waits_when_its_loop_ends_can_be_discarded() -> None:
    class Slow(Reader):
        async def close(self) -> None:
            await asyncio.Event().wait()

    async def begin() -> Any:
        opened = await as_source(lambda: Slow(b"abc"), length=3).open(FileThreads())
        closing = opened.aclose()
        task = asyncio.create_task(closing)
        await settle()
        return task, closing

    loop = asyncio.new_event_loop()
    task, closing = loop.run_until_complete(begin())
    loop.close()
    closing.close()  # a RuntimeError if it were to wait again
    task._log_destroy_pending = False


async def test_a_stream_that_only_yields_nothing_can_be_interrupted(threads: FileThreads) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        while True:
            yield b""

    opened = await as_source(nothing(), length=3).open(threads)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await opened.read()
    await opened.aclose()


def test_a_source_is_accepted_unchanged() -> None:
    for source in (
        BytesSource(b""),
        PathSource("x"),
        StreamSource(chunks(), length=0),
    ):
        assert as_source(source) is source


class BytesPath(os.PathLike[Any]):
    def __fspath__(self) -> bytes:
        return b"dir/x.png"


def test_paths_may_be_text_or_path_objects() -> None:
    for path in ("dir/x.png", Path("dir/x.png"), BytesPath()):
        source = as_source(path)
        assert isinstance(source, PathSource)
        assert (source.path, source.name, source.filename) == ("dir/x.png", "dir/x.png", "x.png")


@pytest.mark.parametrize(
    ("file", "length", "field"),
    [
        (42, 3, "file"),
        (Reader, 3, "file"),
        (None, None, "file"),
        (bytes, 3, "file"),
        (io.StringIO("abc"), 3, "file"),
        (io.BytesIO(b"abc"), -1, "length"),
        ("", None, "file"),
        ("x.png", 3, "length"),
        (b"abc", 3, "length"),
        (Reader(b""), None, "length"),
        (Reader(b""), -1, "length"),
        (Reader(b""), True, "length"),
        (Reader(b""), 1.5, "length"),
        (lambda: Reader(b""), None, "length"),
    ],
)
def test_any_other_source_is_refused_with_the_argument_name(
    file: Any, length: Any, field: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        as_source(file, length=length)

    assert caught.value.field == field


def test_closing_does_not_wait_for_a_running_read_or_interrupt_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write(tmp_path / "file", 100)
    file = checked(tmp_path / "file")
    started, go_on = threading.Event(), threading.Event()
    real = files._take

    def slow(*args: Any) -> bytes:
        started.set()
        assert go_on.wait(10)
        return real(*args)

    monkeypatch.setattr(files, "_take", slow)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(file.read(50)))
    reader.start()
    assert started.wait(10)

    file.close()
    assert not file.closed
    go_on.set()
    reader.join()

    assert got == [content[:50]]
    assert file.closed


def test_an_empty_path_has_a_visible_name() -> None:
    assert PathSource("").name == "''"


def test_a_relative_path_is_refused_when_the_working_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert sources.absolute("a/../b") == str(gone / "b")
    gone.rmdir()
    with pytest.raises(UsageError, match=r"^b: the working directory no longer exists\."):
        sources.absolute("b")
    assert sources.absolute("/a/../b") == "/b"
