"""Downloads to a path. The tests of exports cover more of it on sockets."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors, read_backup, read_journal, retry_files, verify_backup
from ccv2_async.clock import SystemClock
from ccv2_async.models import LibraryFile
from ccv2_async.transport.calls.deadline import Deadline, in_time
from ccv2_async.transport.calls.retry import ATTEMPTS
from ccv2_async.transport.calls.saving import BLOCK, Download, Saved, Saving
from ccv2_async.transport.files.partial import PartialFile
from tests.support.paths import OddPath
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock

CONTENT = b"0123456789" * BLOCK
FILE = LibraryFile(id="1", name="a.png", url="http://127.0.0.1:1/a.png")


def download(*failures: Exception) -> Download:
    left = list(failures)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(CONTENT), 100_000):
            yield CONTENT[start : start + 100_000]
            if left and start > BLOCK:
                raise left.pop()

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        yield pieces()

    return Download("the file", opened)


def lost() -> errors.ConnectionLost:
    return errors.ConnectionLost("the file: the connection broke.", sent="wholly")


def saving(client: ConstantContact) -> Saving:
    internal: Any = client.activities
    return Saving(internal._session, internal._threads)


def test_a_client_does_not_remember_every_directory_that_it_has_saved_to(
    client: ConstantContact, tmp_path: Path
) -> None:
    saver = saving(client)
    for number in range(300):
        directory = tmp_path / str(number)
        directory.mkdir()
        saver._begin(str(directory / "a.png")).discard()
    gc.collect()
    known = [one for one in gc.get_objects() if isinstance(one, Path) and one.parent == tmp_path]
    assert len(known) <= 100 + 1  # `directory` of this test


async def test_a_saved_file_is_known_by_its_size_and_digest(
    client: ConstantContact, tmp_path: Path
) -> None:
    failures = [lost() for _ in range(ATTEMPTS - 1)]
    saved = await saving(client).to_path(download(*failures), tmp_path / "x")
    assert saved == Saved(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "x").read_bytes() == CONTENT


async def test_a_block_is_written_while_the_next_one_arrives(
    client: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_arrived = threading.Event()
    write = PartialFile.write

    def write_late(file: PartialFile, data: bytes) -> None:
        assert next_arrived.wait(30)
        write(file, data)

    async def pieces() -> AsyncIterator[bytes]:
        yield CONTENT[:BLOCK]
        await asyncio.sleep(0)
        next_arrived.set()
        yield CONTENT[BLOCK : 2 * BLOCK + 1]

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        yield pieces()

    monkeypatch.setattr(PartialFile, "write", write_late)
    await saving(client).to_path(Download("the file", opened), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT[: 2 * BLOCK + 1]


async def test_a_deadline_limits_a_writer_that_hangs(
    connect: Callable[..., Any], sandbox: Sandbox, manual_clock: ManualClock
) -> None:
    writing = asyncio.Event()

    class Stuck:
        async def write(self, _: bytes) -> None:
            writing.set()
            await asyncio.Event().wait()

    client = await connect(sandbox, clock=manual_clock)
    with client.deadline(5.0):
        running = asyncio.create_task(saving(client).save(download(), Stuck()))
    async with asyncio.timeout(30):
        await writing.wait()
        await manual_clock.advance(6.0)
        with pytest.raises(errors.DeadlineExceeded):
            await running


async def test_a_deadline_that_has_passed_ends_the_attempts(
    connect: Callable[..., Any], sandbox: Sandbox, manual_clock: ManualClock, tmp_path: Path
) -> None:
    client = await connect(sandbox, clock=manual_clock)
    with client.deadline(0.5):
        running = asyncio.create_task(
            saving(client).to_path(download(*[lost()] * ATTEMPTS), tmp_path / "x")
        )
    async with asyncio.timeout(30):
        await until(lambda: bool(manual_clock.slept))
        await manual_clock.advance(0.6)
        with pytest.raises(errors.DeadlineExceeded):
            await running
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - the loop is a test's own


async def test_many_downloads_start_in_one_iteration_of_the_loop_each(
    client: ConstantContact, tmp_path: Path
) -> None:
    iteration = 0
    begun: list[int] = []

    async def count() -> None:
        nonlocal iteration
        while True:
            iteration += 1
            await asyncio.sleep(0)

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        begun.append(iteration)
        async with download().open() as pieces:
            yield pieces

    counting = asyncio.create_task(count())
    to_path = saving(client).to_path
    await asyncio.gather(
        *(to_path(Download("the file", opened), tmp_path / str(number)) for number in range(16))
    )
    counting.cancel()
    assert len(set(begun)) == len(begun) == 16


@pytest.mark.parametrize(
    "failures",
    [[lost() for _ in range(ATTEMPTS)], [errors.DecodeError("a page came")], [ValueError("odd")]],
    ids=["too often", "not a failure of the connection", "not of this package"],
)
async def test_a_file_that_cannot_be_completed_leaves_nothing(
    client: ConstantContact, tmp_path: Path, failures: list[Exception]
) -> None:
    with pytest.raises(type(failures[0])):
        await saving(client).to_path(download(*failures), tmp_path / "x")
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - the loop is a test's own


async def test_other_tasks_have_their_turn_between_pieces_that_have_arrived(
    client: ConstantContact, tmp_path: Path
) -> None:
    turns = 0
    seen: list[int] = []

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            seen.append(turns)
            yield b"piece"

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        yield pieces()

    counting = asyncio.create_task(count())
    await saving(client).to_path(Download("the file", opened), tmp_path / "x")
    counting.cancel()
    assert len(set(seen)) == 100


class Hanging:
    """A writer that never takes its first piece."""

    async def write(self, _: bytes) -> None:
        await asyncio.Event().wait()


async def test_a_writer_that_hangs_is_ended_by_the_deadline(client: ConstantContact) -> None:
    with client.deadline(0.05), pytest.raises(errors.DeadlineExceeded, match="did not finish"):
        await saving(client).save(download(), Hanging())


async def test_no_piece_that_has_arrived_is_yielded_after_the_deadline() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    arrived: Any = pieces()
    passed = Deadline.after(0.0, SystemClock())
    with pytest.raises(errors.DeadlineExceeded):
        await anext(in_time(arrived, passed, "the file"))
    await arrived.aclose()


async def rows_of(path: Any) -> list[Any]:
    return [entry async for entry in read_journal(path)]


PATHS: dict[str, tuple[str, Callable[[ConstantContact, Any], Any]]] = {
    "download": ("to", lambda cc, path: cc.library.download(FILE, path)),
    "mirror": ("local", lambda cc, path: cc.library.mirror(path)),
    "journal of a mirror": ("journal", lambda cc, path: cc.library.mirror(".", journal=path)),
    "upload_many": ("journal", lambda cc, path: cc.upload_many([], journal=path)),
    "backup": ("directory", lambda cc, path: cc.backup(path)),
    "read_backup": ("directory", lambda _, path: read_backup(path)),
    "verify_backup": ("directory", lambda _, path: verify_backup(path)),
    "read_journal": ("path", lambda _, path: rows_of(path)),
    "retry_files": ("path", lambda _, path: retry_files(path)),
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    "path",
    [
        OddPath(ValueError("gone")),
        OddPath(RuntimeError()),
        OddPath(5),
        OddPath(""),
        "",
        "a\0b",
        b"bytes",
        5,
    ],
    ids=lambda path: repr(getattr(path, "_answer", path)),
)
async def test_anything_but_a_path_is_refused_before_anything_is_sent(
    client: ConstantContact, sandbox: Sandbox, name: str, path: Any
) -> None:
    field, call = PATHS[name]
    with pytest.raises(errors.InvalidField) as caught:
        await call(client, path)
    assert caught.value.field == field
    assert not sandbox.admin.requests()
