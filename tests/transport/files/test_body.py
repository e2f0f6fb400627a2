from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from python_multipart.multipart import MultipartParser

from ccv2_async.errors import ClientClosed, FileChanged, FileRefused, InvalidField, SourceConsumed
from ccv2_async.transport.files import reading as files
from ccv2_async.transport.files.body import BytesBody, MultipartBody, Progress, ProgressReporter
from ccv2_async.transport.files.multipart import FilePart, lay_out
from ccv2_async.transport.files.sources import BytesSource, PathSource, StreamSource
from ccv2_async.transport.files.threads import WHOLE_FILE_LIMIT, FileThreads
from tests.support.disk import open_below, write
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from ccv2_async.transport.files.body import BodyAttempt

KIB = 1024
LARGE = WHOLE_FILE_LIMIT + 1_500_000
BOUNDARY = "ccv2-0123456789abcdef"
LAYOUT = lay_out(
    [("file_name", "a.png"), FilePart("data", "a.png", "image/png"), ("folder_id", "0")],
    boundary=BOUNDARY,
)


async def handed_over(attempt: BodyAttempt) -> list[bytes]:
    try:
        return [chunk async for chunk in attempt]
    finally:
        await attempt.aclose()


async def iterate(attempt: BodyAttempt, into: list[bytes]) -> None:
    """Iterate until something is raised, and collect the items before that."""
    async for chunk in attempt:
        into.append(chunk)  # noqa: PERF401  # a comprehension would lose what came before


async def chunks(*given: bytes) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk


class MovedClock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        raise NotImplementedError


@pytest.mark.parametrize("size", [0, 1, 20_000, WHOLE_FILE_LIMIT])
async def test_a_small_file_is_read_in_one_thread_call_and_sent_in_one_chunk(
    size: int, tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write(tmp_path / "file", size)
    hops: list[object] = []
    submit = threads.executor.submit

    def count(work: Callable[..., Any], *args: object) -> object:
        hops.append(work)
        return submit(work, *args)

    monkeypatch.setattr(threads.executor, "submit", count)

    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    got = await handed_over(attempt)

    if size > 128 * KIB:  # to copy it would take longer than to send two pieces more
        assert got == [LAYOUT.head, content, LAYOUT.tail]
    else:
        assert got == [LAYOUT.head + content + LAYOUT.tail]
    assert attempt.length == attempt.bytes_sent == sum(map(len, got))
    assert len(hops) == 1


@pytest.mark.parametrize("is_cached", [True, False])
@pytest.mark.parametrize(
    ("streaming", "largest"), [(0, 1536 * KIB), (3, 1024 * KIB), (7, 512 * KIB), (100, 128 * KIB)]
)
async def test_a_large_file_is_sent_in_blocks_sized_by_load(
    streaming: int,
    largest: int,
    tmp_path: Path,
    threads: FileThreads,
    *,
    is_cached: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not is_cached:
        monkeypatch.setattr(files, "_NO_WAIT", 0)
    content = write(tmp_path / "file", LARGE)
    threads.streaming += streaming

    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    got = await handed_over(attempt)

    threads.streaming -= streaming
    assert b"".join(got) == LAYOUT.head + content + LAYOUT.tail
    assert attempt.length == attempt.bytes_sent == len(b"".join(got))
    assert all(type(chunk) is bytes for chunk in got)
    assert got[0] == LAYOUT.head + content[: 64 * KIB], "so that sending begins soon"
    assert got[-1].endswith(LAYOUT.tail)
    assert largest / 2 < max(map(len, got[:-1])) <= largest


async def test_cached_data_is_read_without_threads(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write(tmp_path / "file", LARGE)
    reads: list[int] = []

    def preadv(descriptor: int, buffers: list[memoryview], offset: int, flags: int) -> int:
        assert (offset, flags) == (-1, files._NO_WAIT)
        if len(reads) == 3:
            raise BlockingIOError
        reads.append(os.readv(descriptor, [buffers[0][:100_000]]))
        return reads[-1]

    monkeypatch.setattr(files, "_NO_WAIT", 8)
    monkeypatch.setattr(os, "preadv", preadv, raising=False)
    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    got: list[bytes] = []
    others_turns: list[int] = []
    async for chunk in attempt:
        got.append(chunk)
        asyncio.get_running_loop().call_soon(lambda: others_turns.append(len(got)))

    assert b"".join(got) == LAYOUT.head + content + LAYOUT.tail
    assert [len(block) for block in got[1:4]] == reads == [100_000] * 3
    assert others_turns[:4] == [1, 2, 3, 4], "the loop is not kept from other work"


async def test_many_simultaneous_uploads_start_with_small_blocks(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", LARGE)
    all_open = threading.Barrier(32)
    real = files._open_regular

    def open_together(path: str, label: str, roots: tuple[str, ...]) -> tuple[int, files.FileState]:
        all_open.wait(10)
        return real(path, label, roots)

    monkeypatch.setattr(files, "_open_regular", open_together)
    bodies = [MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads) for _ in range(32)]
    attempts = await asyncio.gather(*(body.attempt() for body in bodies))
    assert threads.streaming == 32
    firsts = [[await anext(stream), await anext(stream)] for stream in map(aiter, attempts)]
    await asyncio.gather(*(attempt.aclose() for attempt in attempts))

    assert {len(first) for first, _ in firsts} == {len(LAYOUT.head) + 64 * KIB}
    assert {len(second) for _, second in firsts} == {128 * KIB}
    # A read that was under way when its file was given up closes it when it returns.
    await until(lambda: open_below(tmp_path) == [])


@pytest.mark.parametrize("size", [0, 5, LARGE])
async def test_bytes_and_streams_make_the_same_body_as_a_file(
    size: int, tmp_path: Path, threads: FileThreads
) -> None:
    content = write(tmp_path / "file", size)
    third = size // 3
    pieces = [content[:third], content[third : 2 * third], content[2 * third :]]
    for source in (
        PathSource(tmp_path / "file"),
        BytesSource(content),
        StreamSource(chunks(*pieces), length=size),
    ):
        body = MultipartBody(LAYOUT, source, threads)
        attempt = await body.attempt()
        assert attempt.length == LAYOUT.length(size)
        assert b"".join(await handed_over(attempt)) == LAYOUT.head + content + LAYOUT.tail


async def test_the_body_state_says_how_much_may_have_arrived(
    tmp_path: Path, threads: FileThreads
) -> None:
    write(tmp_path / "file", LARGE)
    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    states = [(attempt.sent, attempt.bytes_sent)]

    got = 0
    async for chunk in attempt:
        got += len(chunk)
        states.append((attempt.sent, attempt.bytes_sent))
        assert attempt.bytes_sent == got

    await attempt.aclose()
    assert states[0] == ("nothing", 0)
    assert [state for state, _ in states[1:]] == ["partly"] * (len(states) - 2) + ["wholly"]
    assert states[-1][1] == attempt.length


async def test_a_body_in_one_chunk_goes_from_unsent_to_complete() -> None:
    body = BytesBody(b'{"a": 1}')
    for _ in range(2):
        attempt = await body.attempt()
        assert (attempt.sent, attempt.length) == ("nothing", 8)
        assert await handed_over(attempt) == [b'{"a": 1}']
        assert (attempt.sent, attempt.bytes_sent) == ("wholly", 8)
    assert (body.content_type, body.repeatable) == ("application/json", True)


async def test_an_empty_body_is_complete_once_it_is_read() -> None:
    attempt = await BytesBody(b"", "text/plain").attempt()

    assert b"".join(await handed_over(attempt)) == b""
    assert attempt.sent == "wholly"


async def test_an_attempt_can_be_iterated_once() -> None:
    attempt = await BytesBody(b"x").attempt()
    await handed_over(attempt)

    with pytest.raises(SourceConsumed, match="create another one"):
        await handed_over(attempt)


async def test_a_file_is_reopened_for_each_attempt(tmp_path: Path, threads: FileThreads) -> None:
    write(tmp_path / "file", LARGE)
    body = MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads)

    first = await body.attempt()
    async for _ in first:
        break
    await first.aclose()
    second = await handed_over(await body.attempt())

    assert body.repeatable
    assert sum(map(len, second)) == first.length
    assert open_below(tmp_path) == []


async def test_a_stream_can_be_retried_until_its_first_byte_is_read(
    threads: FileThreads,
) -> None:
    body = MultipartBody(LAYOUT, StreamSource(chunks(b"abc"), length=3), threads)
    never_connected = await body.attempt()
    await never_connected.aclose()
    before = body.repeatable

    await handed_over(await body.attempt())

    assert (before, body.repeatable) == (True, False)
    with pytest.raises(SourceConsumed):
        await body.attempt()


@pytest.mark.parametrize("size", [10, LARGE])
async def test_an_invalid_length_is_refused_before_sending_and_closes_the_file(
    size: int, tmp_path: Path, threads: FileThreads
) -> None:
    write(tmp_path / "file", size)

    async def check(length: int, _: int) -> None:
        raise InvalidField("file", length, "at most 5 bytes")

    body = MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads, check=check)
    with pytest.raises(InvalidField, match=f"file is {size}"):
        await body.attempt()

    assert open_below(tmp_path) == []


async def test_a_directory_is_refused_without_an_attempt(
    tmp_path: Path, threads: FileThreads
) -> None:
    with pytest.raises(FileRefused, match="it is a directory"):
        await MultipartBody(LAYOUT, PathSource(tmp_path), threads).attempt()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


CHANGES: list[Callable[[Path], object]] = [
    append,
    lambda path: os.truncate(path, LARGE - 1),
    lambda path: os.truncate(path, 0),
    lambda path: os.utime(path, ns=(1, 1)),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_final_boundary_of_a_changed_file_is_never_sent(
    change: Callable[[Path], object], tmp_path: Path, threads: FileThreads
) -> None:
    path = tmp_path / "file"
    write(path, LARGE)
    attempt = await MultipartBody(LAYOUT, PathSource(path), threads).attempt()
    change(path)

    got: list[bytes] = []
    with pytest.raises(FileChanged):
        await iterate(attempt, got)

    # The attempt has closed its file by itself.
    assert open_below(tmp_path) == []
    assert f"--{BOUNDARY}--".encode() not in b"".join(got)
    assert len(b"".join(got)) < attempt.length - len(LAYOUT.tail)
    assert attempt.sent == "partly"


@pytest.mark.parametrize("given", [[b"abc"], [b"abc", b"def"], [b"abcde", b"f"]])
async def test_the_final_boundary_of_a_stream_of_another_length_is_never_sent(
    given: list[bytes], threads: FileThreads
) -> None:
    source = StreamSource(chunks(*given), length=5)
    attempt = await MultipartBody(LAYOUT, source, threads).attempt()

    got: list[bytes] = []
    with pytest.raises(FileChanged):
        await iterate(attempt, got)

    assert LAYOUT.tail not in b"".join(got)
    assert attempt.sent != "wholly"


class Service:
    """A raw server that records what it receives, and answers 202 to a complete body."""

    def __init__(self) -> None:
        self.head = b""
        self.body = b""
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.head = await reader.readuntil(b"\r\n\r\n")
            headers = dict(
                line.lower().split(b": ", 1) for line in self.head.split(b"\r\n")[1:] if line
            )
            length = int(headers[b"content-length"])
            while len(self.body) < length:
                piece = await reader.read(65536)
                if not piece:
                    return
                self.body += piece
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            self.body += await reader.read()
        finally:
            writer.close()
            self.ended.set()


async def post(port: int, attempt: BodyAttempt) -> httpx.Response:
    headers = {
        "Host": "localhost",
        "Content-Length": str(attempt.length),
        "Content-Type": LAYOUT.content_type,
    }
    request = httpx.Request("POST", f"http://127.0.0.1:{port}/", headers=headers, stream=attempt)
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.send(request)
    finally:
        await attempt.aclose()


@pytest.mark.parametrize("size", [20_000, LARGE])
async def test_a_server_receives_exactly_the_announced_bytes_and_decodes_the_file(
    size: int, tmp_path: Path, threads: FileThreads
) -> None:
    content = write(tmp_path / "file", size)
    service = Service()
    async with await asyncio.start_server(service.serve, "127.0.0.1", 0) as server:
        attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
        answer = await post(server.sockets[0].getsockname()[1], attempt)
        await service.ended.wait()

    parts: list[bytearray] = []
    parser = MultipartParser(
        BOUNDARY,
        {
            "on_part_begin": lambda: parts.append(bytearray()),
            "on_part_data": lambda chunk, start, end: parts[-1].extend(chunk[start:end]),
        },
    )
    parser.write(service.body)
    assert answer.status_code == 202
    assert len(service.body) == attempt.length
    assert b"transfer-encoding" not in service.head.lower()
    assert parts == [b"a.png", content, b"0"]


async def test_a_server_never_receives_a_complete_body_of_a_file_that_grew(
    tmp_path: Path, threads: FileThreads
) -> None:
    path = tmp_path / "file"
    write(path, LARGE)
    service = Service()
    async with await asyncio.start_server(service.serve, "127.0.0.1", 0) as server:
        attempt = await MultipartBody(LAYOUT, PathSource(path), threads).attempt()
        append(path)
        with pytest.raises(FileChanged, match="grew"):
            await post(server.sockets[0].getsockname()[1], attempt)
        await service.ended.wait()

    assert 0 < len(service.body) < attempt.length
    assert BOUNDARY.encode() + b"--" not in service.body
    assert open_below(tmp_path) == []


async def until_cancelled(body: MultipartBody, turns: int) -> bool:
    """Read the body, and cancel after some iterations; return whether that was in time."""

    async def send() -> None:
        attempt = await body.attempt()
        try:
            async for _ in attempt:
                await asyncio.sleep(0)
        finally:
            await attempt.aclose()

    sending = asyncio.create_task(send())
    for _ in range(turns):
        await asyncio.sleep(0)
    sending.cancel()
    try:
        await sending
    except asyncio.CancelledError:
        return True
    return False


@pytest.mark.parametrize("size", [20_000, LARGE])
async def test_cancelling_at_any_moment_leaves_no_file_no_task_and_no_thread(
    size: int, tmp_path: Path
) -> None:
    write(tmp_path / "file", size)
    threads = FileThreads()
    for turns in range(40):
        body = MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads)
        assert await until_cancelled(body, turns) or turns > 2
        assert asyncio.all_tasks() == {asyncio.current_task()}

    await threads.aclose()
    assert open_below(tmp_path) == []
    assert threads.streaming == 0
    assert not [thread for thread in threading.enumerate() if "ccv2" in thread.name]


class SlowDisk:
    """Delays every read until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading = threading.Event()
        self.release = threading.Event()
        real = files._take

        def take(*args: Any) -> bytes:
            self.reading.set()
            assert self.release.wait(10)
            return real(*args)

        monkeypatch.setattr(files, "_take", take)
        monkeypatch.setattr(files, "_NO_WAIT", 0)

    async def until_reading(self) -> None:
        assert await asyncio.to_thread(self.reading.wait, 10)
        self.reading.clear()


async def test_a_slow_disk_does_not_hold_up_a_cancelled_opening(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", LARGE)
    disk = SlowDisk(monkeypatch)
    opening = asyncio.create_task(
        MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    )
    await disk.until_reading()

    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert len(open_below(tmp_path)) == 1  # the read goes on, and keeps its descriptor

    disk.release.set()
    await threads.aclose()
    assert open_below(tmp_path) == []


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_slow_disk_does_not_hold_up_a_cancelled_upload(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", LARGE)
    monkeypatch.setattr(files, "_CLOSING_SECONDS", 0.01)
    threads = FileThreads(limit)
    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    disk = SlowDisk(monkeypatch)
    sending = asyncio.create_task(handed_over(attempt))
    await disk.until_reading()

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not disk.release.is_set()
    assert threads.streaming == 0
    assert len(open_below(tmp_path)) == 1  # the read goes on, and keeps its descriptor

    disk.release.set()
    await threads.aclose()
    assert open_below(tmp_path) == []


async def test_leaving_between_two_blocks_leaves_no_read_ahead(
    tmp_path: Path, threads: FileThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", LARGE)
    monkeypatch.setattr(files, "_CLOSING_SECONDS", 0.01)
    monkeypatch.setattr(files, "_NO_WAIT", 0)
    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    stream = aiter(attempt)
    await anext(stream)
    await anext(stream)
    disk = SlowDisk(monkeypatch)
    await disk.until_reading()

    await attempt.aclose()

    assert asyncio.all_tasks() == {asyncio.current_task()}
    disk.release.set()
    await threads.aclose()
    assert open_below(tmp_path) == []


async def test_an_upload_that_outlives_its_client_ends_with_a_clear_error(tmp_path: Path) -> None:
    write(tmp_path / "file", LARGE)
    threads = FileThreads()
    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    await threads.aclose()

    with pytest.raises(ClientClosed, match="file threads have ended"):
        await handed_over(attempt)

    assert attempt.sent == "partly"
    assert open_below(tmp_path) == []


async def test_an_attempt_that_is_never_sent_closes_its_file(
    tmp_path: Path, threads: FileThreads
) -> None:
    write(tmp_path / "file", LARGE)
    attempt = await MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads).attempt()
    assert len(open_below(tmp_path)) == 1

    await attempt.aclose()
    await attempt.aclose()

    assert open_below(tmp_path) == []


async def test_progress_is_reported_at_the_start_and_end_of_a_small_file(
    tmp_path: Path, threads: FileThreads
) -> None:
    write(tmp_path / "file", 5)
    events: list[Progress] = []
    source = PathSource(tmp_path / "file", name="menu.pdf")
    body = MultipartBody(LAYOUT, source, threads, on_progress=events.append)

    for _ in range(2):
        await handed_over(await body.attempt())

    assert events == [
        Progress(name="menu.pdf", sent=sent, total=5, attempt=attempt)
        for attempt in (1, 2)
        for sent in (0, 5)
    ]


async def test_progress_counts_accepted_bytes_and_restarts_with_each_attempt(
    tmp_path: Path, threads: FileThreads
) -> None:
    write(tmp_path / "file", LARGE)
    events: list[Progress] = []

    async def listen(event: Progress) -> None:
        await asyncio.sleep(0)
        events.append(event)

    body = MultipartBody(LAYOUT, PathSource(tmp_path / "file"), threads, on_progress=listen)
    broken = await body.attempt()
    taken = 0
    async for chunk in broken:
        assert all(event.sent <= taken for event in events)
        taken += len(chunk)
        if taken > WHOLE_FILE_LIMIT * 3 // 2:
            break
    await broken.aclose()
    await handed_over(await body.attempt())

    for attempt in (1, 2):
        sent = [event.sent for event in events if event.attempt == attempt]
        assert sent[0] == 0
        assert sent == sorted(sent)
        assert (sent[-1] == LARGE) == (attempt == 2)
    assert [event.attempt for event in events] == sorted(event.attempt for event in events)


async def test_progress_is_reported_every_256_kib_or_100_ms() -> None:
    events: list[int] = []
    clock = MovedClock()
    reporter = ProgressReporter(
        lambda event: events.append(event.sent), name="menu.pdf", clock=clock
    )

    await reporter.begin(1000 * KIB)
    for sent in (100, 255, 256, 300, 511, 512):
        await reporter.advance(sent * KIB)
    clock.now = 0.0625
    await reporter.advance(520 * KIB)
    clock.now = 0.125
    await reporter.advance(530 * KIB)
    await reporter.advance(540 * KIB)
    await reporter.finish()

    assert [sent // KIB for sent in events] == [0, 256, 512, 530, 1000]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_failing_callback_is_logged_once_and_the_upload_continues(
    is_async: bool, threads: FileThreads, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Progress] = []

    def fail(event: Progress) -> None:
        calls.append(event)
        raise RuntimeError("the bar is gone")

    async def fail_later(event: Progress) -> None:
        fail(event)

    source = BytesSource(b"x" * LARGE, name="menu.pdf")
    body = MultipartBody(LAYOUT, source, threads, on_progress=fail_later if is_async else fail)
    with caplog.at_level(logging.DEBUG, "ccv2_async"):
        for _ in range(2):
            attempt = await body.attempt()
            await handed_over(attempt)
            assert attempt.sent == "wholly"

    assert len(calls) == 1
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("ccv2_async", "WARNING")
    assert "menu.pdf: on_progress failed" in record.getMessage()
    assert record.exc_info is not None
