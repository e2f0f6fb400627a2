"""Downloads of library files from the sandbox's second port, and from servers that misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
import tracemalloc
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.models import LibraryFile
from ccv2_async.resources.downloads import download_of
from ccv2_async.transport.calls.retry import ATTEMPTS
from ccv2_async.transport.calls.saving import Saved
from ccv2_async.transport.files.partial import PartialFile
from tests.support.probes import nothing_left
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact, Progress
    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire

CONTENT = b"\x89PNG" + bytes(range(256)) * 5_000


@pytest.fixture
async def file(client: ConstantContact) -> LibraryFile:
    return await client.library.upload(CONTENT, name="photo.png")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208 - names, as the disk has them


def strike(sandbox: Sandbox, kind: Any, **fields: Any) -> None:
    sandbox.admin.fault(kind, path="/content/*", **fields)


@attrs.define
class Writer:
    taken: list[bytes] = attrs.field(factory=list)

    async def write(self, data: bytes) -> None:
        self.taken.append(data)


async def test_a_file_is_downloaded_by_its_record_or_its_id(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path
) -> None:
    before = len(sandbox.admin.requests())
    assert await client.library.download(file, tmp_path / "a.png") == len(CONTENT)
    assert len(sandbox.admin.requests()) == before
    assert await client.library.download(file.id, str(tmp_path / "b.png")) == len(CONTENT)
    assert len(sandbox.admin.requests()) == before + 1
    assert names(tmp_path) == ["a.png", "b.png"]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes() == CONTENT
    assert [entry.status for entry in sandbox.admin.downloads()] == [200, 200]


async def test_a_file_is_read_in_pieces_or_written_to_an_async_writer(
    client: ConstantContact, file: LibraryFile
) -> None:
    for wanted in (file, file.id):
        async with client.library.open(wanted) as pieces:
            assert b"".join([piece async for piece in pieces]) == CONTENT
    writer = Writer()
    assert await client.library.download(file, writer) == len(CONTENT)
    assert b"".join(writer.taken) == CONTENT


async def test_the_size_and_the_digest_are_known_after_a_download(
    client: ConstantContact, file: LibraryFile, tmp_path: Path
) -> None:
    library = client.library
    download = download_of(library._session, file)
    saved = await library._saving.to_path(download, tmp_path / "a.png")
    assert saved == Saved(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


async def test_a_file_in_the_trash_is_downloaded(
    client: ConstantContact, file: LibraryFile, tmp_path: Path
) -> None:
    await client.library.delete_files(file.id)
    (trashed,) = await client.library.trash().collect()
    assert await client.library.download(trashed, tmp_path / "a.png") == len(CONTENT)


async def test_a_record_without_a_url_is_read_once_more(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path
) -> None:
    early = attrs.evolve(file, url=None)
    assert await client.library.download(early, tmp_path / "a.png") == len(CONTENT)
    sandbox.admin.set_status(file.id, "Processing")
    with pytest.raises(errors.InvalidField, match="its status is Processing"):
        await client.library.download(early, tmp_path / "b.png")
    assert names(tmp_path) == ["a.png"]


async def test_progress_is_reported(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path
) -> None:
    strike(sandbox, "cut_response")
    seen: list[Progress] = []
    await client.library.download(file, tmp_path / "a.png", on_progress=seen.append)
    assert {event.total for event in seen} == {len(CONTENT)}
    assert {event.name for event in seen} == {"photo.png"}
    assert [event.attempt for event in seen] == sorted(event.attempt for event in seen)
    assert (seen[-1].sent, seen[-1].attempt) == (len(CONTENT), 2)


@pytest.mark.parametrize(
    "kind", ["cut_response", "shorten", "lose_response", "server_error", "unavailable", "html"]
)
async def test_a_download_that_fails_for_a_moment_starts_over(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path, kind: str
) -> None:
    strike(sandbox, kind, times=ATTEMPTS - 1)
    assert await client.library.download(file, tmp_path / "a.png") == len(CONTENT)
    assert (tmp_path / "a.png").read_bytes() == CONTENT
    assert len(sandbox.admin.downloads()) == ATTEMPTS
    sandbox.admin.assert_faults_struck()


@pytest.mark.parametrize(
    ("kind", "error", "reason", "requests"),
    [
        ("cut_response", errors.ConnectionLost, "connection", ATTEMPTS),
        ("shorten", errors.ConnectionLost, "640,002 of its 1,280,004 bytes arrived", ATTEMPTS),
        ("server_error", errors.ServerError, "returned 500", ATTEMPTS),
        ("page", errors.DecodeError, "a page arrived instead of the file", 1),
        ("range", errors.BadRequest, "returned 416", 1),
        ("redirect", errors.UnexpectedRedirect, "a redirect", 1),
        ("empty", errors.ConnectionLost, "0 of its 1,280,004 bytes arrived", ATTEMPTS),
        ("too_many_requests", errors.QuotaExceeded, "returned 429", ATTEMPTS),
    ],
)
async def test_a_download_that_keeps_failing_ends_in_a_clear_error(  # noqa: PLR0917 - fixtures
    client: ConstantContact,
    sandbox: Sandbox,
    file: LibraryFile,
    tmp_path: Path,
    kind: str,
    error: type[Exception],
    reason: str,
    requests: int,
) -> None:
    strike(sandbox, kind, times=None)
    (tmp_path / "a.png").write_bytes(b"before")
    with pytest.raises(error, match=reason) as caught:
        await client.library.download(file, tmp_path / "a.png")
    assert f"library file {file.id}" in str(caught.value)
    assert len(sandbox.admin.downloads()) == requests
    assert names(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"before"
    with pytest.raises(error, match=reason):
        async with client.library.open(file) as pieces:
            [piece async for piece in pieces]


@pytest.mark.parametrize("name", ["prices.xls", "scan.pdf"])
@pytest.mark.parametrize("size", [1, 28, 300_000])
async def test_a_file_that_looks_like_a_page_is_saved_if_its_size_is_right(
    client: ConstantContact, tmp_path: Path, name: str, size: int
) -> None:
    content = (b"<html><table></table></html>" * (size // 28 + 1))[:size]
    file = await client.library.upload(content, name=name)
    assert await client.library.download(file, tmp_path / name) == size
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_url_is_replaced_by_that_of_the_record(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path, status: int
) -> None:
    sandbox.admin.expire_urls(status)
    before = len(sandbox.admin.requests())
    assert await client.library.download(file, tmp_path / "a.png") == len(CONTENT)
    assert len(sandbox.admin.requests()) == before + 1
    assert [entry.status for entry in sandbox.admin.downloads()] == [status, 200]


async def test_an_expired_url_is_not_replaced_by_that_of_another_file(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path
) -> None:
    other = await client.library.upload(b"another", name="other.png")
    record = {"id": other.id, "name": other.name, "url": other.url, "size": other.size}
    sandbox.admin.expire_urls(403)
    path, body = f"/library/files/{file.id}", json.dumps(record)
    sandbox.admin.fault("answer", "GET", path, status=200, body=body, times=None)
    with pytest.raises(errors.DecodeError, match=f"another one, with the ID '{other.id}'"):
        await client.library.download(file, tmp_path / "a.png")
    assert names(tmp_path) == []


async def test_a_file_that_is_refused_for_good_costs_one_more_look_at_its_record(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path
) -> None:
    strike(sandbox, "answer", status=410, times=None)
    before = len(sandbox.admin.requests())
    with pytest.raises(errors.NotFound, match="returned 410"):
        await client.library.download(file, tmp_path / "a.png")
    assert len(sandbox.admin.requests()) == before + 1
    assert len(sandbox.admin.downloads()) == 1


async def test_a_file_that_was_deleted_in_the_meantime_is_not_found(
    client: ConstantContact, file: LibraryFile, tmp_path: Path
) -> None:
    await client.library.delete_files(file.id)
    await client.library.empty_trash()
    with pytest.raises(errors.NotFound):
        await client.library.download(file, tmp_path / "a.png")
    with pytest.raises(errors.NotFound):
        await client.library.download(file.id, tmp_path / "a.png")
    assert names(tmp_path) == []


async def test_an_expired_url_is_replaced_in_the_middle_of_the_attempts(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path
) -> None:
    def expire(event: Progress) -> None:
        if (event.attempt, event.sent) == (1, 0):
            sandbox.admin.expire_urls(403)

    strike(sandbox, "cut_response")
    to = tmp_path / "a.png"
    assert await client.library.download(file, to, on_progress=expire) == len(CONTENT)
    assert [entry.status for entry in sandbox.admin.downloads()] == [None, 403, 200]


def served(link: str, **fields: Any) -> LibraryFile:
    return LibraryFile("7", name="photo.png", url=link, **fields)


async def whole(wire: Wire, _request: Request) -> None:
    await wire.answer(body=CONTENT, json=False)


@pytest.mark.parametrize(
    "status", ["408 Request Timeout", "429 Too Many Requests", "503 Service Unavailable"]
)
async def test_a_download_waits_as_long_as_its_host_asks(
    connect: Callable[..., Any], clock: ManualClock, tmp_path: Path, status: str
) -> None:
    async def busy(wire: Wire, _request: Request) -> None:
        await wire.answer(status, b"", "Retry-After: 7")

    async with serving(busy, whole) as server, serving(whole) as api:
        cc = await connect(api)
        began = clock.monotonic()
        assert await cc.library.download(served(f"{server.origin}/a"), tmp_path / "a") == len(
            CONTENT
        )
        assert clock.monotonic() - began >= 7.0


@pytest.mark.parametrize(
    "status", ["408 Request Timeout", "429 Too Many Requests", "503 Service Unavailable"]
)
async def test_a_download_compares_a_date_with_the_clock_of_its_host(
    connect: Callable[..., Any], clock: ManualClock, tmp_path: Path, status: str
) -> None:
    theirs = clock.time() + 3600
    when, now = formatdate(theirs + 7, usegmt=True), formatdate(theirs, usegmt=True)

    async def busy(wire: Wire, _request: Request) -> None:
        await wire.answer(status, b"", f"Retry-After: {when}", f"Date: {now}")

    async with serving(busy, whole) as server, serving(whole) as api:
        cc = await connect(api)
        began = clock.monotonic()
        await cc.library.download(served(f"{server.origin}/a"), tmp_path / "a")
        assert 6.0 <= clock.monotonic() - began <= 8.0


@pytest.mark.parametrize("hint", ["121", "99999999999999999999"])
async def test_a_download_does_not_wait_longer_than_a_call(
    connect: Callable[..., Any], tmp_path: Path, hint: str
) -> None:
    async def busy(wire: Wire, _request: Request) -> None:
        await wire.answer("429 Too Many Requests", b"", f"Retry-After: {hint}")

    async with serving(busy, whole) as server, serving(whole) as api:
        cc = await connect(api)
        with pytest.raises(errors.QuotaExceeded) as caught:
            await cc.library.download(served(f"{server.origin}/a"), tmp_path / "a")
        assert caught.value.retry_after == float(hint)
        assert names(tmp_path) == []


async def test_more_bytes_than_the_record_says_are_refused(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    async with serving(whole) as server:
        cc = await connect(server)
        file = served(f"{server.origin}/7.png", size=len(CONTENT) - 1)
        with pytest.raises(errors.DecodeError, match="more bytes arrived than the 1,280,003 in"):
            await cc.library.download(file, tmp_path / "a.png")
        assert server.connections == 1
        size_unknown = attrs.evolve(file, size=None)
        assert await cc.library.download(size_unknown, tmp_path / "a.png") == len(CONTENT)
        await cc.aclose()


async def test_no_other_host_gets_the_key_or_the_token(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    heads: list[bytes] = []

    async def noted(wire: Wire, request: Request) -> None:
        heads.append(repr(request).encode())
        await whole(wire, request)

    async with serving(noted) as api, serving(noted) as other:
        cc = await connect(api)
        link = f"{other.origin}/7.png?v=1&api_key=x&access_token=y"
        await cc.library.download(served(link), tmp_path / "a.png")
        await cc.library.download(served("/7.png"), tmp_path / "a.png")
        await cc.aclose()
    unsigned, signed = heads
    for word in (b"api_key", b"access_token", b"uthorization", b"Bearer", b"cookie"):
        assert word not in unsigned
    assert b"Bearer" in signed


@pytest.mark.parametrize(
    "link",
    [
        "http://10.0.0.7/x.png",
        "http://169.254.169.254/latest",
        "http://[::1]/x.png",
        "file:///etc/passwd",
        "https://user@files.example/x.png",
    ],
)
async def test_links_into_private_networks_and_odd_links_are_not_followed(
    connect: Callable[..., Any], tmp_path: Path, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def public(_url: object) -> bool:
        return False

    monkeypatch.setattr("ccv2_async.transport.calls.download.has_only_private_addresses", public)
    async with serving(whole) as server:
        cc = await connect(server)
        with pytest.raises(errors.DecodeError, match="cannot be followed"):
            await cc.library.download(served(link), tmp_path / "a.png")
        assert server.connections == 0
        await cc.aclose()
    assert names(tmp_path) == []


@pytest.mark.parametrize("file", [None, 7, b"7", "", "a b", {"id": "7"}])
async def test_anything_but_a_file_or_an_id_is_refused(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path, file: Any
) -> None:
    with pytest.raises(errors.InvalidField, match="Nothing was sent"):
        await client.library.download(file, tmp_path / "a.png")
    with pytest.raises(errors.InvalidField, match="Nothing was sent"):
        async with client.library.open(file):
            pass
    assert sandbox.admin.requests() == []


async def test_a_target_that_cannot_be_written_is_refused_before_the_download(
    client: ConstantContact, sandbox: Sandbox, file: LibraryFile, tmp_path: Path
) -> None:
    with pytest.raises(errors.UsageError, match="cannot be written there"):
        await client.library.download(file, tmp_path / "missing" / "a.png")
    with pytest.raises(errors.InvalidField, match="a regular file"):
        await client.library.download(file, tmp_path)
    with pytest.raises(errors.InvalidField, match="async write"):
        await client.library.download(file, 7)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(errors.InvalidField, match="deadline"):
        await client.library.download(file, tmp_path / "a.png", deadline=-1)
    assert sandbox.admin.downloads() == []


async def endless(wire: Wire, _request: Request) -> None:
    await wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await wire.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


async def test_a_download_removes_leftovers_of_a_killed_one(
    client: ConstantContact, file: LibraryFile, tmp_path: Path
) -> None:
    killed = PartialFile(str(tmp_path / "x.png"))
    assert killed._file is not None
    killed._file.close()  # as the end of a process does
    await client.library.download(file, tmp_path / "a.png")
    assert names(tmp_path) == ["a.png"]


async def test_a_cancelled_download_leaves_nothing_behind(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    async with serving(endless) as server, nothing_left():
        cc = await connect(server)
        file = served(f"{server.origin}/7.png")
        running = asyncio.create_task(cc.library.download(file, tmp_path / "a.png"))
        while not any((tmp_path / name).stat().st_size for name in names(tmp_path)):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert names(tmp_path) == []
        await cc.aclose()


async def test_a_download_that_ended_while_the_disk_was_slow_replaces_nothing_later(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    file: LibraryFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, ready = threading.Event(), threading.Event()

    def fsync(_descriptor: int) -> None:
        asked.set()
        assert ready.wait(10)

    monkeypatch.setattr("ccv2_async.transport.files.partial.os.fsync", fsync)
    monkeypatch.setattr("ccv2_async.transport.calls.saving._CLOSING_SECONDS", 0.01)
    path, cc = tmp_path / "a.png", await connect(sandbox)
    path.write_bytes(b"old")
    running = asyncio.create_task(cc.library.download(file, path))
    assert await asyncio.to_thread(asked.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    path.write_bytes(b"mine, written after the download ended")
    ready.set()
    await cc.aclose()  # its threads have ended
    assert names(tmp_path) == ["a.png"]
    assert path.read_bytes() == b"mine, written after the download ended"


async def test_a_download_ends_with_its_deadline(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    async def trickle(wire: Wire, _request: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await wire.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.001)

    async with serving(trickle) as server:
        cc = await connect(server)
        file = served(f"{server.origin}/7.png")
        with pytest.raises(errors.DeadlineExceeded, match="did not finish within 5 s"):
            await cc.library.download(file, tmp_path / "a.png", deadline=5.0)
        await cc.aclose()
    assert names(tmp_path) == []


async def test_reading_the_record_counts_for_the_deadline(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    async def never(wire: Wire, _request: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await wire.reader.read()

    async with serving(never) as server:
        cc = await connect(server)
        with pytest.raises(errors.DeadlineExceeded, match="5 s"):
            await cc.library.download("7", tmp_path / "a.png", deadline=5.0)
        await cc.aclose()


async def test_a_large_file_is_not_held_in_memory(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    size = 64 * 1024 * 1024

    async def large(wire: Wire, _request: Request) -> None:
        await wire.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65_536):
            await wire.write(b"x" * 65_536)

    async with serving(large) as server:
        cc = await connect(server)
        file = served(f"{server.origin}/7.png", size=size)
        tracemalloc.start()
        try:
            assert await cc.library.download(file, tmp_path / "a.png") == size
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await cc.aclose()
    assert peak < size / 8


async def test_the_record_of_a_renewed_url_replaces_the_old_one(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    async def answers(wire: Wire, request: Request) -> None:
        if request.target.startswith("/v2/"):
            row = {"id": "7", "name": "photo.png", "url": "/new.png", "size": len(CONTENT)}
            await wire.answer(body=json.dumps(row).encode())
        elif request.target.startswith("/new.png"):
            await whole(wire, request)
        else:
            await wire.answer("404 Not Found", body=b"gone", json=False)

    async with serving(answers) as server:
        cc = await connect(server)
        file = served("/old.png", size=3)
        assert await cc.library.download(file, tmp_path / "a.png") == len(CONTENT)
        await cc.aclose()
