"""A call ends with its deadline or its client, whatever the user's code or a disk keeps waiting."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, FileToUpload, errors
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.files import reading
from ccv2_async.uploads.mirror import run as mirroring
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

SIZE = 3_000_000
PATIENCE = 10.0
"""Seconds: more than any wait here may take on a busy machine."""


class Stuck:
    """Everything that may hang, until the end of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.begun = threading.Event()
        self.release = threading.Event()

    def block(self) -> None:
        """Hang in a thread."""
        self.begun.set()
        assert self.release.wait(60)

    async def wait(self, *_: object) -> bytes:
        """Hang in the event loop."""
        self.begun.set()
        await asyncio.Event().wait()
        return b""

    async def stream(self, size: int) -> AsyncIterator[bytes]:
        if size:
            yield b"a" * size
        yield await self.wait()

    def file(self, good_reads: int, *, seekable: bool = True) -> io.RawIOBase:
        stuck = self

        class File(io.BytesIO):
            reads = 0

            def seekable(self) -> bool:
                return seekable

            def read(self, size: int | None = -1, /) -> bytes:
                self.reads += 1
                if self.reads > good_reads:
                    stuck.block()
                return super().read(size)

        return File(b"a" * SIZE)  # type: ignore[return-value]

    def path(self, name: str, content: bytes) -> Path:
        (self.directory / name).write_bytes(content)
        return self.directory / name

    def body(self) -> object:
        stuck = self

        class Body(dict[str, object]):
            def items(self) -> Any:
                stuck.block()
                return super().items()

        return Body({"website": "x" * 100_000})

    def rows(self) -> Iterator[str]:
        yield "Email"
        self.block()
        yield "a@example.com"


class Reader:
    def __init__(self, stuck: Stuck) -> None:
        self.read = stuck.wait


class Writer:
    def __init__(self, stuck: Stuck) -> None:
        self.write = stuck.wait


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[Stuck]:
    found = Stuck(tmp_path)
    yield found
    found.release.set()


@pytest.fixture
def stuck_disk(stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the second block of a file hang, and all of a small one."""
    take = reading._take

    def hang(descriptor: int, wanted: int, remaining: int, *rest: Any) -> bytes:
        if wanted == remaining or remaining < SIZE:
            stuck.block()
        return take(descriptor, wanted, remaining, *rest)

    monkeypatch.setattr(reading, "_NO_WAIT", 0)
    monkeypatch.setattr(reading, "_take", hang)


async def upload(cc: ConstantContact, file: Any, **options: Any) -> object:
    return await cc.library.begin_upload(file, name="menu.pdf", **options)


async def bulk_upload(cc: ConstantContact, items: Any, **options: Any) -> None:
    async for result in cc.upload_many(items, **options):
        assert result.error is not None
        raise result.error


async def upload_many(cc: ConstantContact, file: Any, **options: Any) -> None:
    await bulk_upload(cc, [FileToUpload(file, name="menu.pdf", **options)])


async def download(cc: ConstantContact, to: Any, **options: Any) -> object:
    (record,) = await cc.library.files().collect()
    return await cc.library.download(record, to, **options)


async def import_(cc: ConstantContact, contacts: Any) -> object:
    return await cc.activities.begin_add_contacts(contacts, lists=["1"])


CALLS: dict[str, Callable[[ConstantContact, Stuck], Awaitable[object]]] = {
    "stream": lambda cc, stuck: upload(cc, stuck.stream(0), length=SIZE),
    "stream, later": lambda cc, stuck: upload(cc, stuck.stream(SIZE), length=2 * SIZE),
    "factory": lambda cc, stuck: upload(cc, stuck.wait, length=SIZE),
    "reader": lambda cc, stuck: upload(cc, Reader(stuck), length=SIZE),
    "file object": lambda cc, stuck: upload(cc, stuck.file(0)),
    "file object, later": lambda cc, stuck: upload(cc, stuck.file(1)),
    "pipe": lambda cc, stuck: upload(cc, stuck.file(0, seekable=False), length=SIZE),
    "progress": lambda cc, stuck: upload(cc, b"a", on_progress=stuck.wait),
    "disk": lambda cc, stuck: upload(cc, stuck.path("menu.pdf", b"a" * SIZE)),
    "disk, at first": lambda cc, stuck: upload(cc, stuck.path("menu.pdf", b"a")),
    "many streams": lambda cc, stuck: upload_many(cc, stuck.stream(0), length=SIZE),
    "many files": lambda cc, stuck: upload_many(cc, stuck.path("menu.pdf", b"a" * SIZE)),
    "import": lambda cc, stuck: import_(cc, stuck.path("all.csv", b"Email\na@example.com\n")),
    "rows": lambda cc, stuck: import_(cc, csv.DictReader(stuck.rows())),
    "large body": lambda cc, stuck: cc.request("POST", "/lists", json=stuck.body()),
    "download": lambda cc, stuck: download(cc, Writer(stuck)),
    "download progress": lambda cc, stuck: download(
        cc, stuck.directory / "copy", on_progress=stuck.wait
    ),
}


async def hanging(
    cc: ConstantContact, stuck: Stuck, ending: str, call: Callable[[], Awaitable[object]]
) -> asyncio.Future[object]:
    """Return a call that hangs. On a busy machine, a deadline may pass before it gets so far."""
    for seconds in (0.5, 5.0, 20.0):
        with cc.deadline(seconds) if ending == "deadline" else nullcontext():
            calling = asyncio.ensure_future(call())
        await until(lambda it=calling: stuck.begun.is_set() or it.done())  # type: ignore[misc]
        if stuck.begun.is_set():
            return calling
        assert isinstance(calling.exception(), errors.DeadlineExceeded)
    raise AssertionError("the call does not hang")


@pytest.mark.usefixtures("stuck_disk")
@pytest.mark.parametrize("ending", ["close", "deadline"])
@pytest.mark.parametrize("form", CALLS)
async def test_a_call_that_hangs_ends_with_its_client_or_deadline(
    stuck: Stuck, form: str, ending: str
) -> None:
    with Sandbox() as sandbox:
        cc = ConstantContact(**sandbox.client_options())
        await cc.open()
        if form.startswith("download"):
            await cc.library.upload(b"a" * 1000, name="menu.pdf")

        calling = await hanging(cc, stuck, ending, lambda: CALLS[form](cc, stuck))
        since = time.monotonic()
        if ending == "close":
            await cc.aclose()
        expected = errors.ClientClosed if ending == "close" else errors.DeadlineExceeded
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(expected):
                await calling
            await cc.aclose()
        assert time.monotonic() - since < PATIENCE
        sent = [entry for entry in sandbox.admin.requests("POST") if entry.status is not None]
        assert len(sent) == form.startswith("download")


@pytest.mark.parametrize("form", ["items", "progress"])
async def test_a_bulk_upload_that_waits_for_the_caller_ends_with_its_client(
    stuck: Stuck, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Sandbox() as sandbox:
        cc = ConstantContact(**sandbox.client_options())
        await cc.open()
        if form == "items":
            calling = asyncio.create_task(bulk_upload(cc, stuck.stream(0)))
        else:
            item = stuck.path("menu.pdf", b"a")
            calling = asyncio.create_task(bulk_upload(cc, [item], on_progress=stuck.wait))
        await until(stuck.begun.is_set)
        await cc.aclose()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(errors.ClientClosed):
                await calling
    assert not caplog.records, "nothing of the caller's has failed"


@pytest.mark.parametrize("ending", ["close", "deadline"])
async def test_a_mirror_of_a_folder_that_hangs_ends_with_its_client_or_deadline(
    stuck: Stuck, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, **__: object) -> Iterator[object]:
        stuck.block()
        yield from ()

    monkeypatch.setattr(mirroring, "walk", hang)
    with Sandbox() as sandbox:
        cc = ConstantContact(**sandbox.client_options())
        await cc.open()
        calling = await hanging(cc, stuck, ending, lambda: cc.library.mirror(stuck.directory))
        if ending == "close":
            await cc.aclose()
        expected = errors.ClientClosed if ending == "close" else errors.DeadlineExceeded
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(
                expected, match="closed" if ending == "close" else "It sent nothing"
            ):
                await calling
            await cc.aclose()


async def test_a_stream_that_is_stopped_after_its_first_piece_was_not_sent_in_full(
    stuck: Stuck,
) -> None:
    with Sandbox() as sandbox:
        cc = ConstantContact(**sandbox.client_options())
        await cc.open()
        calling = asyncio.create_task(upload(cc, stuck.stream(SIZE), length=2 * SIZE))
        await until(lambda: stuck.begun.is_set() or calling.done())
        await cc.aclose()
        with pytest.raises(errors.ClientClosed, match="It was not sent in full"):
            await calling


async def test_a_mirrored_file_that_hangs_ends_the_mirror_at_its_deadline(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = stuck.directory / "pictures"
    root.mkdir()
    file = root / "a.png"
    file.write_bytes(b"a")

    def hang(*_: object) -> Any:
        stuck.block()
        raise OSError

    with Sandbox(mode="at_once") as sandbox:
        async with ConstantContact(**sandbox.client_options()) as cc:
            await cc.library.mirror(root)
            os.utime(file, (1, 1))  # only its digest shows whether it has changed
            with monkeypatch.context() as patched:
                patched.setattr(mirroring, "open_regular", hang)
                async with asyncio.timeout(PATIENCE):
                    with cc.deadline(5.0), pytest.raises(errors.DeadlineExceeded):
                        await cc.library.mirror(root)
            assert stuck.begun.is_set()
            stuck.release.set()
            await cc.library.mirror(root)
            assert len(sandbox.admin.requests("POST", "/library/files")) == 1


async def test_an_upload_that_was_sent_is_answered_after_its_client_is_closed(
    stuck: Stuck,
) -> None:
    async def finished(progress: Any) -> None:
        if progress.sent == progress.total:
            await stuck.wait()

    with Sandbox() as sandbox:
        cc = ConstantContact(**sandbox.client_options())
        await cc.open()
        sending = asyncio.create_task(
            cc.library.begin_upload(b"a" * SIZE, name="menu.pdf", on_progress=finished)
        )
        await until(stuck.begun.is_set)
        await cc.aclose()
        async with asyncio.timeout(PATIENCE):
            assert (await sending).id
