"""`upload_many` without a journal, against the sandbox, over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import logging
import os
import re
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

import attrs
import pytest

from ccv2_async import BulkState, FileToUpload, errors
from ccv2_async.client import ConstantContact
from ccv2_async.sandbox import Sandbox
from ccv2_async.uploads.ledger import Action
from ccv2_async.uploads.many import run as run_module
from ccv2_async.uploads.many.journal import read_journal
from ccv2_async.uploads.many.results import BulkProgress
from tests.support.clocks import SkippingClock, settle
from tests.support.paths import OddPath
from tests.support.probes import nothing_left, until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from ccv2_async import BulkUpload, FileProgress, UploadResult
    from tests.support.servers import Request, Wire

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)
Pictures: TypeAlias = "Callable[..., list[Path]]"
POSTS = ("POST", "/library/files")


@contextlib.asynccontextmanager
async def no_task_left() -> AsyncIterator[None]:
    """A block after which no new tasks run. The client keeps its connections."""
    before = asyncio.all_tasks()
    yield
    for _ in range(1000):  # what closes a file or a socket may need a thread
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        if not left:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"left behind: {left}")


async def results_of(upload: BulkUpload) -> list[UploadResult]:
    return [result async for result in upload]


async def read_into(seen: list[UploadResult], upload: BulkUpload) -> None:
    """Keep the results that come before an error."""
    async for result in upload:
        seen.append(result)  # noqa: PERF401  # a comprehension would lose it


def by_state(results: list[UploadResult]) -> dict[str, BulkState]:
    return {result.name: result.state for result in results}


def pieces(*names: str) -> list[FileToUpload]:
    return [FileToUpload(PICTURE, name=name) for name in names]


# What goes in


async def test_every_file_is_uploaded_and_reported_once(
    client: ConstantContact, sandbox: Sandbox, pictures: Pictures
) -> None:
    paths = pictures(*(f"{n}.png" for n in range(20)))

    results = await results_of(client.upload_many(paths))

    assert sorted(result.path for result in results) == sorted(map(str, paths))
    assert {result.state for result in results} == {BulkState.DONE}
    stored = {file["id"]: file["name"] for file in sandbox.admin.files()}
    assert stored == {result.id: result.name for result in results}
    assert all(result.status == "Active" and client.resume(result.token) for result in results)


async def test_an_async_iterable_is_accepted(client: ConstantContact) -> None:
    async def found() -> AsyncIterator[FileToUpload]:
        for file in pieces("a.png", "b.png"):
            await asyncio.sleep(0)
            yield file

    assert len(await results_of(client.upload_many(found()))) == 2


async def test_an_empty_iterable_is_not_an_error(client: ConstantContact, sandbox: Sandbox) -> None:
    assert await results_of(client.upload_many([])) == []
    assert not sandbox.admin.requests()


async def test_options_of_each_file_are_sent(client: ConstantContact, sandbox: Sandbox) -> None:
    folder = await client.library.create_folder("Menus")
    file = FileToUpload(PICTURE, folder_id=folder.id, name="a.png", description="our menu")

    (result,) = await results_of(client.upload_many([file], folder_id="-2"))

    (stored,) = sandbox.admin.files()
    assert (stored["folder_id"], stored["description"]) == (folder.id, "our menu")
    assert result.folder_id == folder.id


async def test_a_stream_is_uploaded(client: ConstantContact, sandbox: Sandbox) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield PICTURE

    file = FileToUpload(stream, name="a.png", length=len(PICTURE))

    (result,) = await results_of(client.upload_many([file]))

    assert (result.path, result.state) == ("a.png", BulkState.DONE)


async def test_file_objects_are_uploaded_under_their_names(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PICTURE)
    with (tmp_path / "a.png").open("rb") as file:
        many = client.upload_many([file, FileToUpload(io.BytesIO(PICTURE), name="b.png")])
        results = await results_of(many)
    assert {result.state for result in results} == {BulkState.DONE}
    assert {file["name"] for file in sandbox.admin.files()} == {"a.png", "b.png"}


async def awaited(_: object) -> None:
    """A coroutine function."""


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("files", "menu.png", "not a single file"),
        ("files", b"bytes", "not a single file"),
        ("files", bytearray(b"ab"), "not a single file"),
        ("files", FileToUpload("menu.png"), "not a single file"),
        ("files", io.StringIO("menu.png\n"), "not a single file"),
        ("files", None, "a list of paths or FileToUpload"),
        ("files", 5, "a list of paths or FileToUpload"),
        ("folder_id", "", "an ID"),
        ("folder_id", None, "an ID"),
        ("concurrency", 0, "a whole number, 1 or more"),
        ("concurrency", True, "a whole number, 1 or more"),
        ("concurrency", "8", "a whole number, 1 or more"),
        ("concurrency", 2.5, "a whole number, 1 or more"),
        ("journal", 5, "the path of a file, or None"),
        ("journal", b"j.db", "the path of a file, or None"),
        ("journal", "", "the path of a file, or None"),
        ("journal", "a\0.db", "or contain null characters"),
        ("on_ambiguous", "foo", '"look" or "raise"'),
        ("on_ambiguous", None, '"look" or "raise"'),
        ("on_progress", 5, "a function or coroutine function"),
        ("on_file", "print", "a plain function"),
        ("on_file", awaited, "a plain function"),
        ("wait", 30, "True or False"),
        ("dry_run", "no", "True or False"),
        ("fail_fast", None, "True or False"),
        ("keep_folders", 1, "True or False"),
    ],
)
async def test_an_invalid_argument_is_refused_at_the_call(
    client: ConstantContact, sandbox: Sandbox, field: str, value: Any, rule: str
) -> None:
    arguments: dict[str, Any] = {"files": [], field: value}

    with pytest.raises(errors.InvalidField) as caught:
        client.upload_many(**arguments)

    assert (caught.value.field, caught.value.value[:77]) == (field, repr(value)[:77])
    assert rule in caught.value.rule
    assert not sandbox.admin.requests()


@pytest.mark.parametrize("folders", ["Spring", ("Spring", 5), 5], ids=str)
def test_invalid_folder_names_are_refused_at_once(folders: Any) -> None:
    with pytest.raises(errors.InvalidField, match="a tuple of folder names"):
        FileToUpload("a.png", folders=folders)


async def test_an_invalid_file_fails_alone(client: ConstantContact, sandbox: Sandbox) -> None:
    files: list[Any] = [None, *pieces("a.png"), 5]

    results = await results_of(client.upload_many(files))

    wrong = [result.error for result in results if result.error]
    assert {str(error).partition(":")[0] for error in wrong} == {"file is None", "file is 5"}
    assert len(sandbox.admin.files()) == 1


@pytest.mark.parametrize("answer", [ValueError("gone"), StopIteration(), 5, ""], ids=repr)
@pytest.mark.parametrize("as_iterable", [list, iter])
async def test_a_path_that_cannot_be_read_fails_alone(
    client: ConstantContact, answer: Any, as_iterable: Any
) -> None:
    files: list[Any] = [OddPath(answer), *pieces("a.png")]

    results = await results_of(client.upload_many(as_iterable(files)))

    refused, sent = sorted(results, key=lambda result: result.name)
    assert isinstance(refused.error, errors.InvalidField | errors.FileRefused)
    assert sent.error is None


async def test_a_folder_given_as_bytes_by_a_path_object_is_uploaded(
    client: ConstantContact, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "b.png").write_bytes(b"y")
    entries: Any = os.scandir(os.fsencode(tmp_path))

    results = await results_of(client.upload_many(entries))

    assert sorted((result.name, result.error) for result in results) == [
        ("a.png", None),
        ("b.png", None),
    ]


async def test_an_upload_can_be_iterated_once(client: ConstantContact) -> None:
    upload = client.upload_many([])
    await results_of(upload)

    with pytest.raises(errors.UsageError, match="iterated only once"):
        await results_of(upload)


async def test_errors_of_the_iterable_are_raised(client: ConstantContact) -> None:
    def broken() -> Iterator[FileToUpload]:
        yield pieces("a.png")[0]
        raise LookupError("no more pictures")

    async with no_task_left():
        with pytest.raises(LookupError, match="no more pictures"):
            await results_of(client.upload_many(broken()))


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_cancelled_iterable_of_files_ends_the_upload(
    client: ConstantContact, asynchronous: bool
) -> None:
    async def one_by_one() -> AsyncIterator[FileToUpload]:
        for file in broken():
            yield file

    def broken() -> Iterator[FileToUpload]:
        yield pieces("a.png")[0]
        raise asyncio.CancelledError  # as an iterable that awaits a cancelled task does

    async with no_task_left():
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(30):
                await results_of(client.upload_many(one_by_one() if asynchronous else broken()))


async def test_a_stream_whose_producer_was_cancelled_fails_alone(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    async def stream() -> AsyncIterator[bytes]:
        producer = asyncio.create_task(asyncio.sleep(60))
        producer.cancel()
        yield b"half"
        await producer

    files = [FileToUpload(stream(), name="b.png", length=8), *pieces("a.png")]

    async with no_task_left(), asyncio.timeout(30):
        results = await results_of(client.upload_many(files))

    sent, failed = sorted(results, key=lambda result: result.name)
    assert isinstance(failed.error, errors.FileChanged)
    assert sent.error is None
    assert [file["name"] for file in sandbox.admin.files()] == ["a.png"]


async def test_a_stream_whose_close_raises_a_cancellation_is_uploaded(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    class Camera:
        def __init__(self) -> None:
            self.left = [b"picture"]

        def __aiter__(self) -> Camera:
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

        async def aclose(self) -> None:
            raise asyncio.CancelledError  # as one that awaits a cancelled task does

    files = [FileToUpload(Camera(), name="b.png", length=7)]

    (result,) = await results_of(client.upload_many(files))

    assert result.error is None
    assert [file["name"] for file in sandbox.admin.files()] == ["b.png"]


# How many at once


async def test_files_are_read_from_the_iterable_only_when_there_is_room(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    taken = 0

    def found() -> Iterator[FileToUpload]:
        nonlocal taken
        for file in pieces(*(f"{n}.png" for n in range(40))):
            taken += 1
            yield file

    sandbox.admin.fault("hang", *POSTS, times=None)
    upload = client.upload_many(found(), concurrency=3)
    async with no_task_left():
        results = asyncio.create_task(results_of(upload))
        await until(lambda: len(sandbox.admin.requests(*POSTS)) == 3)
        await settle()

        assert taken == 4, "three are being sent, and one waits for its turn"
        assert upload.progress.sending == 3
        results.cancel()
        with pytest.raises(asyncio.CancelledError):
            await results


async def test_concurrency_limits_the_files_sent_at_once(connect: Callable[..., Any]) -> None:
    sending = most = 0
    full = asyncio.Event()

    async def answer(wire: Wire, request: Request) -> None:
        nonlocal sending, most
        if request.method == "GET":
            ids = re.findall(r"\d+", unquote(request.target).partition("uploadstatus/")[2])
            rows = [{"file_id": id_, "status": "Active"} for id_ in ids]
            await wire.answer(body=json.dumps(rows).encode())
            return
        sending += 1
        most = max(most, sending)
        if sending == 5:
            full.set()
        await full.wait()  # answer none before the maximum number has arrived
        sending -= 1
        await wire.answer("202 Accepted", b"", f"Id: {next(numbers)}", json=False)

    numbers = itertools.count(1)
    async with serving(answer) as server:
        client = await connect(server)
        upload = client.upload_many(pieces(*(f"{n}.png" for n in range(30))), concurrency=5)
        results = await results_of(upload)

    assert [result.state for result in results] == [BulkState.DONE] * 30
    assert most == 5


async def test_files_being_processed_do_not_use_concurrency(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    with Sandbox(mode="looks", looks=2) as sandbox:
        client = await connect(sandbox)
        names = [*(f"stuck-{n}.png" for n in range(10)), "last.png"]
        upload = client.upload_many(pieces(*names), concurrency=2)

        async for result in upload:
            assert result.name == "last.png"
            break

        assert len(sandbox.admin.files()) == 11


async def test_results_are_yielded_as_files_end(connect: Callable[..., Any]) -> None:
    names: list[str] = []
    ids: dict[str, str] = {}

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            name = next(name for name in ("slow", "a", "b") if f"{name}.png" in str(request.body))
            ids[name] = str(len(ids) + 1)
            await wire.answer("202 Accepted", b"", f"Id: {ids[name]}", json=False)
            return
        asked = re.findall(r"\d+", unquote(request.target).partition("uploadstatus/")[2])
        slow = "Active" if len(names) == 2 else "Processing"
        rows = [
            {"file_id": id_, "status": slow if id_ == ids.get("slow") else "Active"}
            for id_ in asked
        ]
        await wire.answer(body=json.dumps(rows).encode())

    async with serving(answer) as server:
        client = await connect(server)
        async for result in client.upload_many(pieces("slow.png", "a.png", "b.png")):
            names.append(result.name)  # noqa: PERF401  # the service looks at it

    assert names[-1] == "slow.png"
    assert sorted(names) == ["a.png", "b.png", "slow.png"]


async def test_a_slow_reader_pauses_the_upload(
    client: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccv2_async.uploads.many.run.MOST_UNREAD", 5)
    files = pieces(*(f"{n}.png" for n in range(60)))
    upload = client.upload_many(files, concurrency=4, wait=False)
    results = aiter(upload)

    await anext(results)
    # One result was read. With five more unread, no file is started, and those in progress end.
    await until(lambda: upload.progress.seen == upload.progress.settled >= 6)
    await settle(200)

    assert upload.progress.seen == upload.progress.settled <= 5 + 4 + 2
    assert len([result async for result in results]) == 59


# Failures


async def test_one_failure_does_not_stop_the_others(
    client: ConstantContact, sandbox: Sandbox, pictures: Pictures
) -> None:
    gone, fine = pictures("gone.png", "fine.png")
    gone.unlink()
    files: list[Any] = [gone, *pieces("refused.png"), FileToUpload(b"", name="empty.png")]
    sandbox.admin.fault("answer", *POSTS, status=400, body="[]")

    results = await results_of(client.upload_many([*files, fine], concurrency=1))

    assert [type(result.error) for result in results if result.error is not None] == [
        errors.FileRefused,
        errors.BadRequest,
        errors.FileRefused,
    ]
    assert [result.name for result in results if result.error is None] == ["fine.png"]


async def test_a_virus_is_reported_with_the_file_name(client: ConstantContact) -> None:
    (result,) = await results_of(client.upload_many(pieces("virus.png")))

    assert isinstance(result.error, errors.VirusFound)
    assert result.error.message.startswith("upload of virus.png")
    assert (result.state, result.status) == (BulkState.FAILED, "VirusFound")


async def test_a_file_that_never_becomes_active_times_out_with_its_token(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    with Sandbox(mode="looks") as sandbox:
        client = await connect(sandbox)
        upload = client.upload_many(pieces("stuck.png"))
        results = asyncio.create_task(results_of(upload))
        await until(lambda: upload.progress.processing)
        while not results.done():
            await clock.advance(10)
            await asyncio.sleep(0.001)
        (result,) = await results

        assert isinstance(result.error, errors.PollTimeout)
        assert client.resume(result.token).id == result.id


async def test_a_later_file_gets_its_full_timeout(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    release = asyncio.Event()
    accepted: dict[str, float] = {}
    ended: dict[str, float] = {}

    async def found() -> AsyncIterator[FileToUpload]:
        yield pieces("stuck-1.png")[0]
        await release.wait()
        yield pieces("stuck-2.png")[0]

    def note(event: FileProgress) -> None:
        if event.state is BulkState.ACCEPTED:
            accepted.setdefault(event.path, clock.now)

    with Sandbox(mode="looks") as sandbox:
        client = await connect(sandbox)
        upload = client.upload_many(found(), on_file=note)

        async def read() -> None:
            async for result in upload:
                ended[result.name] = clock.now

        reader = asyncio.create_task(read())
        await until(lambda: "stuck-1.png" in accepted)
        while not reader.done():
            if clock.now - accepted["stuck-1.png"] > 500 and not release.is_set():
                release.set()
                # The clock stops while data goes over a socket, no matter how long that takes.
                await until(lambda: "stuck-2.png" in accepted)
            await clock.advance(10)
            await asyncio.sleep(0.001)

    for name in ("stuck-1.png", "stuck-2.png"):
        assert 900 <= round(ended[name] - accepted[name], 3) < 1100


async def test_fail_fast_raises_the_first_failure_and_starts_no_more_files(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", *POSTS, status=400, body="[]", skip=2)
    names = [f"{n}.png" for n in range(50)]
    seen: list[UploadResult] = []
    async with no_task_left():
        with pytest.raises(errors.BadRequest):
            await read_into(seen, client.upload_many(pieces(*names), concurrency=1, fail_fast=True))

    # What had been accepted before may still end after it, so it need not come last.
    assert [type(result.error) for result in seen if result.error] == [errors.BadRequest]
    assert len(sandbox.admin.requests(*POSTS)) <= 4


@pytest.mark.parametrize("wait", [False, True])
async def test_fail_fast_yields_the_failure_then_late_results_and_then_raises(
    connect: Callable[..., Any], tmp_path: Path, wait: bool
) -> None:
    seen_failing = asyncio.Event()
    sent: list[str] = []

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "GET":
            await wire.answer(body=b"[]")
            return
        name = "bad.png" if b"bad.png" in request.body else "late.png"
        sent.append(name)
        if name == "bad.png":
            await until(lambda: len(sent) == 2)
            await wire.answer("400 Bad Request")
        else:
            await seen_failing.wait()
            await wire.answer("202 Accepted", b"", "Location: /v2/library/files/7", json=False)

    paths = [tmp_path / f"{name}.png" for name in ("bad", "late", "never")]
    for path in paths:
        path.write_bytes(PICTURE)
    journal = tmp_path / "upload.db"
    seen: list[UploadResult] = []

    async def read(upload: BulkUpload) -> None:
        async for result in upload:
            seen.append(result)
            seen_failing.set()

    async with serving(answer) as server:
        client = await connect(server)
        with pytest.raises(errors.BadRequest) as caught:
            await read(
                client.upload_many(paths, concurrency=2, fail_fast=True, wait=wait, journal=journal)
            )

    assert caught.value is seen[0].error
    landed = [] if wait else [("late.png", BulkState.ACCEPTED)]
    assert [(result.name, result.state) for result in seen] == [
        ("bad.png", BulkState.FAILED),
        *landed,
    ]
    assert sorted(sent) == ["bad.png", "late.png"]
    # What was accepted meanwhile is followed by the next run.
    rows = {row.name: row.state async for row in read_journal(str(journal))}
    assert rows == {"bad.png": BulkState.FAILED, "late.png": BulkState.ACCEPTED}


async def test_results_that_come_too_late_after_fail_fast_are_not_waited_for(
    connect: Callable[..., Any],
) -> None:
    seen_failing, landed, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    sent: list[str] = []

    class Clock(SkippingClock):
        """Requests in flight get enough time for one of two to arrive."""

        def timeout(self, seconds: float | None) -> contextlib.AbstractAsyncContextManager[Any]:
            return self._landing() if seconds == run_module.LANDING else super().timeout(seconds)

        @contextlib.asynccontextmanager
        async def _landing(self) -> AsyncIterator[None]:
            seen_failing.set()
            async with asyncio.timeout(None) as limit:
                await landed.wait()
                limit.reschedule(0.0)
                yield

    async def answer(wire: Wire, request: Request) -> None:
        name = next(n for n in (b"bad", b"late", b"lost") if n + b".png" in request.body).decode()
        sent.append(name)
        await until(lambda: len(sent) == 3)
        if name == "bad":
            await wire.answer("400 Bad Request")
            return
        await (seen_failing if name == "late" else over).wait()
        await wire.answer("202 Accepted", b"", "Location: /v2/library/files/7", json=False)

    seen: list[UploadResult] = []
    async with serving(answer) as server:
        client = await connect(server, clock=Clock())
        upload = client.upload_many(
            pieces("bad.png", "late.png", "lost.png"), fail_fast=True, wait=False
        )

        async def land() -> None:
            await until(lambda: upload.progress.accepted)
            landed.set()

        landing = asyncio.create_task(land())
        async with asyncio.timeout(5):
            with pytest.raises(errors.BadRequest):
                await read_into(seen, upload)
        await landing
        over.set()

    assert by_state(seen) == {"bad.png": BulkState.FAILED, "late.png": BulkState.ACCEPTED}


async def test_fail_fast_counts_a_failure_of_an_earlier_run(
    client: ConstantContact, pictures: Pictures, tmp_path: Path
) -> None:
    paths = pictures("virus.png", "a.png")
    journal = tmp_path / "upload.db"
    await results_of(client.upload_many(paths[:1], journal=journal))
    seen: list[UploadResult] = []

    with pytest.raises(errors.UploadFailed):
        await read_into(
            seen, client.upload_many(paths, journal=journal, fail_fast=True, concurrency=1)
        )

    assert seen[0].earlier


async def test_a_lost_response_is_settled_and_nothing_is_sent_twice(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("lose_response", *POSTS, times=None, chance=0.3)

    results = await results_of(client.upload_many(pieces(*(f"{n}.png" for n in range(40)))))

    assert {result.state for result in results} == {BulkState.DONE}
    assert sorted(file["name"] for file in sandbox.admin.files()) == sorted(
        f"{n}.png" for n in range(40)
    )


async def test_a_lost_response_is_ambiguous_if_settling_is_off(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("lose_response", *POSTS)

    upload = client.upload_many(pieces("a.png"), on_ambiguous="raise")
    (result,) = await results_of(upload)

    assert result.state is BulkState.AMBIGUOUS
    assert isinstance(result.error, errors.AmbiguousUpload)
    assert (upload.progress.ambiguous, upload.progress.settled) == (1, 1)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("unauthorized", errors.AuthenticationFailed),
        ("inactive", errors.Forbidden),
        ("over_ratelimit", errors.DailyQuotaExceeded),
    ],
)
async def test_an_error_that_affects_every_file_ends_the_upload(
    client: ConstantContact, sandbox: Sandbox, fault: Any, kind: type[Exception]
) -> None:
    sandbox.admin.fault(fault, *POSTS, times=None, skip=5)
    async with no_task_left():
        with pytest.raises(kind):
            await results_of(
                client.upload_many(pieces(*(f"{n}.png" for n in range(50))), concurrency=2)
            )

    assert len(sandbox.admin.requests(*POSTS)) <= 9


@pytest.mark.parametrize("status", ["404", "[]", "null"])
async def test_a_file_whose_status_is_no_longer_kept_is_looked_up(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path, status: str
) -> None:
    (tmp_path / "a.png").write_bytes(PICTURE)
    file, journal = tmp_path / "a.png", tmp_path / "journal"
    unknown: dict[str, Any] = {"status": 200, "body": status}
    if status == "404":
        unknown = {"status": 404, "body": '[{"error_key": "http.status.not_found"}]'}
    path = "/library/files/uploadstatus/*"
    sandbox.admin.fault("answer", "GET", path, times=None, **unknown)

    (result,) = await results_of(client.upload_many([file], journal=journal))

    assert (result.state, result.error) == (BulkState.DONE, None)


async def test_a_file_that_the_service_did_not_know_is_asked_for_again(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(PICTURE)
    file, journal = tmp_path / "a.png", tmp_path / "journal"
    unknown: dict[str, Any] = {"status": 200, "body": "[]", "times": None}
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", **unknown)
    unknown["status"] = 404
    sandbox.admin.fault("answer", "GET", "/library/files/[0-9]*", **unknown)
    for _ in range(2):
        (result,) = await results_of(client.upload_many([file], journal=journal))
        assert isinstance(result.error, errors.JobNotFound)
        assert result.state is BulkState.FAILED

    sandbox.admin.clear_faults()
    (result,) = await results_of(client.upload_many([file], journal=journal))

    assert (result.state, result.error) == (BulkState.DONE, None)
    assert len(sandbox.admin.requests(*POSTS)) == 1


async def test_an_existing_file_that_the_service_did_not_know_is_asked_for_again(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "stuck.png").write_bytes(PICTURE)
    files, journal = [tmp_path / "stuck.png"], tmp_path / "journal"
    await results_of(client.upload_many(files, wait=False))
    unknown: dict[str, Any] = {"status": 200, "body": "[]", "times": None}
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", **unknown)
    unknown["status"] = 404
    sandbox.admin.fault("answer", "GET", "/library/files/[0-9]*", **unknown)
    (result,) = await results_of(client.upload_many(files, journal=journal, skip_existing=True))
    assert isinstance(result.error, errors.JobNotFound)

    sandbox.admin.clear_faults()
    rows = json.dumps([{"file_id": result.id, "status": "Active"}])
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", status=200, body=rows)
    (result,) = await results_of(client.upload_many(files, journal=journal))

    assert (result.state, result.error) == (BulkState.DONE, None)


BLOCKED: dict[str, Any] = {"status": 403, "body": "<html>Request blocked</html>"}


BLOCKING = pytest.mark.parametrize(
    ("blocked", "kind"),
    [
        (BLOCKED, errors.Forbidden),
        ({"status": 302, "headers": {"location": "/blocked"}}, errors.UnexpectedRedirect),
        ({"status": 401, "body": "<html>Sign in"}, errors.AuthenticationFailed),
    ],
)


@BLOCKING
async def test_a_file_that_a_firewall_blocks_fails_alone(
    client: ConstantContact,
    sandbox: Sandbox,
    tmp_path: Path,
    blocked: dict[str, Any],
    kind: type[errors.ConstantContactError],
) -> None:
    files, journal = [tmp_path / name for name in ("a.png", "b.png", "c.png")], tmp_path / "journal"
    for file in files:
        file.write_bytes(PICTURE)
    sandbox.admin.fault("answer", *POSTS, skip=1, **blocked)

    results = await results_of(client.upload_many(files, concurrency=1, journal=journal))
    rerun = await results_of(client.upload_many(files, concurrency=1, journal=journal))

    assert [type(result.error) for result in results if result.error] == [kind]
    assert [result.error for result in rerun] == [None] * 3
    assert len(sandbox.admin.files()) == 3


async def test_a_status_request_that_a_firewall_blocks_does_not_end_the_upload(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", **BLOCKED)

    results = await results_of(client.upload_many(pieces("a.png", "b.png")))

    assert [result.error for result in results] == [None, None]


async def test_a_folder_that_a_firewall_blocks_fails_only_its_files(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    files = [attrs.evolve(each, folders=("Menus",)) for each in pieces("a.png")]
    sandbox.admin.fault("answer", "POST", "/library/folders", **BLOCKED)

    results = await results_of(client.upload_many([*files, *pieces("b.png")]))

    assert {str(result.path): type(result.error) for result in results} == {
        "a.png": errors.Forbidden,
        "b.png": type(None),
    }


@BLOCKING
async def test_a_firewall_that_blocks_every_call_ends_the_upload(
    client: ConstantContact,
    sandbox: Sandbox,
    blocked: dict[str, Any],
    kind: type[errors.ConstantContactError],
) -> None:
    sandbox.admin.fault("answer", times=None, skip=9, **blocked)
    async with no_task_left():
        with pytest.raises(kind):
            await results_of(client.upload_many(pieces(*(f"{n}.png" for n in range(50)))))

    assert len(sandbox.admin.requests(*POSTS)) <= 25


async def test_one_read_decides_whether_a_firewall_blocks_every_call(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", *POSTS, **BLOCKED)
    sandbox.admin.fault("answer", "GET", "/library/info", **BLOCKED)  # and it passes the next one

    with pytest.raises(errors.Forbidden):
        await results_of(client.upload_many(pieces("a.png")))

    assert len(sandbox.admin.requests("GET", "/library/info")) == 1


@pytest.mark.parametrize("has_journal", [False, True])
async def test_only_an_upload_with_a_journal_is_safe_to_repeat(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path, has_journal: bool
) -> None:
    files = [tmp_path / f"{n}.png" for n in range(20)]
    for file in files:
        file.write_bytes(PICTURE)
    journal = tmp_path / "journal" if has_journal else None
    sandbox.admin.fault("over_ratelimit", *POSTS, times=None, skip=5)

    with pytest.raises(errors.DailyQuotaExceeded) as caught:
        await results_of(client.upload_many(files, journal=journal))

    assert caught.value.safe_to_retry is has_journal
    assert ("send files again" in str(caught.value)) is not has_journal


async def test_an_upload_that_may_have_arrived_is_not_safe_to_repeat(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("lose_response", *POSTS)
    sandbox.admin.fault("over_ratelimit", "GET")

    with pytest.raises(errors.DailyQuotaExceeded) as caught:
        await results_of(client.upload_many(pieces("a.png")))

    assert not caught.value.safe_to_retry


async def test_an_upload_that_ends_before_a_response_is_not_safe_to_repeat(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "LANDING", 0.0)
    sent: list[Request] = []

    async def answer(wire: Wire, request: Request) -> None:
        sent.append(request)
        await until(lambda: len(sent) == 2)
        if request is not sent[0]:
            await wire.answer("403 Forbidden", b'[{"error_key": "quota_exceeded"}]')
        await asyncio.Event().wait()

    async with serving(answer) as server:
        client = await connect(server)
        with pytest.raises(errors.DailyQuotaExceeded, match="send files again") as caught:
            await results_of(client.upload_many(pieces("a.png", "b.png")))

    assert not caught.value.safe_to_retry


async def test_the_daily_quota_ends_the_upload_at_the_look_for_an_unknown_file(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    unknown: dict[str, Any] = {"status": 200, "body": "[]", "times": None}
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", **unknown)
    sandbox.admin.fault("over_ratelimit", "GET", "/library/files/[0-9]*")

    with pytest.raises(errors.DailyQuotaExceeded):
        await results_of(client.upload_many(pieces("a.png")))


async def test_a_refused_status_request_ends_the_upload(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("inactive", "GET", "/library/files/uploadstatus/*")
    async with no_task_left():
        with pytest.raises(errors.Forbidden):
            await results_of(client.upload_many(pieces("a.png")))


async def test_the_daily_quota_ends_the_upload_and_reports_the_file_being_settled(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("lose_response", *POSTS)
    sandbox.admin.fault("over_ratelimit", "GET")
    seen: list[UploadResult] = []

    with pytest.raises(errors.DailyQuotaExceeded):
        await read_into(seen, client.upload_many(pieces("a.png")))

    assert [result.state for result in seen] == [BulkState.AMBIGUOUS]


# Leaving


async def test_leaving_early_leaves_nothing_behind(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("hang", *POSTS, times=None, skip=3)
    async with no_task_left():
        async for _ in client.upload_many(pieces(*(f"{n}.png" for n in range(30)))):
            break


@pytest.mark.parametrize("times", range(1, 9))
async def test_being_cancelled_again_while_cleaning_up_leaves_nothing_behind(
    clock: SkippingClock, sandbox: Sandbox, tmp_path: Path, pictures: Pictures, times: int
) -> None:
    sandbox.admin.fault("hang", *POSTS, times=None)
    paths = pictures(*(f"{n}.png" for n in range(8)))
    journal = tmp_path / "j.db"
    async with (
        nothing_left(),
        ConstantContact(clock=clock, **sandbox.client_options()) as client,
    ):
        upload = client.upload_many(paths, journal=journal)
        reader = asyncio.create_task(results_of(upload))
        await until(lambda: len(sandbox.admin.requests(*POSTS)) == 8)
        assert upload.progress.sending == 8
        for _ in range(times):
            reader.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await reader
        again = client.upload_many(paths, journal=journal, dry_run=True)
        assert {result.action for result in await results_of(again)} == {Action.LOOK}


async def test_the_generator_of_the_caller_is_closed(client: ConstantContact) -> None:
    closed = False

    async def found() -> AsyncIterator[FileToUpload]:
        nonlocal closed
        try:
            while True:
                yield pieces("a.png")[0]
        finally:
            closed = True

    async with no_task_left():
        async for _ in client.upload_many(found(), concurrency=1):
            break

    assert closed


# Without waiting, without sending


async def test_without_wait_results_come_when_files_are_accepted(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    upload = client.upload_many(pieces("a.png", "b.png"), wait=False)

    results = await results_of(upload)

    assert {result.state for result in results} == {BulkState.ACCEPTED}
    assert not sandbox.admin.requests("GET")
    assert (upload.progress.accepted, upload.progress.done, upload.progress.settled) == (2, 0, 2)
    statuses = await client.sweep(result.token for result in results)
    assert {update.status for update in statuses.values() if update} == {"Active"}


async def test_a_dry_run_sends_nothing_and_yields_the_plan(
    client: ConstantContact, sandbox: Sandbox, pictures: Pictures
) -> None:
    paths = pictures("tree/a.png", "tree/below/b.png", "tree/notes.txt")
    folder = paths[0].parent

    upload = client.upload_many([folder], keep_folders=True, dry_run=True)
    results = await results_of(upload)

    progress = upload.progress
    assert (progress.planned, progress.failed, progress.done, progress.settled) == (2, 1, 0, 3)
    planned = {result.name: result for result in results if result.error is None}
    assert planned["a.png"].action is Action.SEND
    assert planned["a.png"].state is BulkState.PENDING
    assert planned["b.png"].folder_id == "0/below"
    (refused,) = [result for result in results if result.error is not None]
    assert refused.path.endswith("notes.txt")
    assert not sandbox.admin.requests()


# Progress


async def test_progress_is_reported_and_ends_complete(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    told: list[BulkProgress] = []
    files = [*pieces("a.png", "virus.png"), FileToUpload(PICTURE, name="notes.txt")]

    upload = client.upload_many(files, on_progress=told.append)
    await results_of(upload)

    last = told[-1]
    assert (last.seen, last.total, last.done, last.failed) == (3, 3, 1, 2)
    assert (last.sending, last.processing, last.settled) == (0, 0, 3)
    assert last.bytes_sent == 2 * len(PICTURE)
    assert last.calls == len(sandbox.admin.requests())
    assert last.seconds_left == 0
    assert all(one.settled <= two.settled for one, two in itertools.pairwise(told))
    assert upload.progress.settled == 3


async def test_the_time_left_is_estimated_before_any_file_has_ended(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    told: list[BulkProgress] = []
    with Sandbox(mode="looks") as sandbox:
        client = await connect(sandbox)
        files = pieces(*(f"stuck-{n}.png" for n in range(40)))
        upload = client.upload_many(files, concurrency=1, on_progress=told.append)
        reader = asyncio.create_task(results_of(upload))

        await until(lambda: any(progress.seconds_left for progress in told))
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    assert next(progress for progress in told if progress.seconds_left).settled == 0


async def test_progress_is_reported_between_results(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("hang", *POSTS, times=None)
    sending = asyncio.Event()

    async def note(progress: BulkProgress) -> None:
        if progress.sending:
            sending.set()

    upload = client.upload_many(pieces("a.png"), on_progress=note)
    reader = asyncio.create_task(results_of(upload))

    await sending.wait()
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)


async def test_a_failing_progress_callback_does_not_stop_the_upload(
    client: ConstantContact, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: BulkProgress) -> None:
        raise LookupError("nobody listens")

    with caplog.at_level(logging.ERROR, "ccv2_async.uploads.many"):
        (result,) = await results_of(client.upload_many(pieces("a.png"), on_progress=fail))

    assert result.state is BulkState.DONE
    assert "the upload continues" in caplog.records[0].getMessage()


async def test_nothing_happens_before_the_upload_is_iterated(client: ConstantContact) -> None:
    progress = client.upload_many(pieces("a.png")).progress

    assert progress == BulkProgress()
    assert (progress.per_second, progress.seconds_left) == (0.0, None)


async def test_progress_includes_the_remaining_quota(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    client = await connect(sandbox, per_day=100)

    upload = client.upload_many(pieces("a.png", "b.png"))
    await results_of(upload)

    assert upload.progress.remaining_today == 100 - upload.progress.calls


async def test_the_daily_quota_can_end_while_files_are_processed(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    with Sandbox(mode="looks", looks=50) as sandbox:
        client = await connect(sandbox, per_day=6)

        with pytest.raises(errors.DailyQuotaExceeded):
            await results_of(client.upload_many(pieces("a.png")))


async def test_a_lost_response_at_the_end_is_still_reported(
    connect: Callable[..., Any],
) -> None:
    """The last file is completed and the last one is refused at the same moment."""

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "GET":
            await wire.answer(body=b'[{"file_id": "7", "status": "Active"}]')
        elif b"good.png" in request.body:
            await wire.answer("202 Accepted", b"", "Location: /v2/library/files/7", json=False)
        else:
            await wire.answer("400 Bad Request")

    async with serving(answer) as server:
        client = await connect(server)
        for _ in range(20):
            files = pieces("good.png", "bad.png")
            results = await results_of(client.upload_many(files))
            assert by_state(results)["good.png"] is BulkState.DONE
            assert len(results) == 2


@pytest.mark.usefixtures("deleted_working_directory")
async def test_relative_paths_below_a_deleted_working_directory_are_refused(
    client: ConstantContact,
) -> None:
    with pytest.raises(
        errors.UsageError, match=r"^a\.png: the working directory no longer exists\."
    ):
        _ = [result async for result in client.upload_many(["a.png"])]
