from __future__ import annotations

import asyncio
import csv
import io
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.models import Activity
from ccv2_async.transport.calls.retry import ATTEMPTS
from ccv2_async.transport.calls.saving import BLOCK
from tests.support.probes import nothing_left
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.support.servers import Request, Wire

CONTENT = b"Email Address\r\n" + b"ann@example.com\r\n" * 50_000


def exported(link: Any | None, **fields: Any) -> Activity:
    known: dict[str, Any] = {"type": "EXPORT_CONTACTS", "status": "COMPLETE"}
    return Activity("a07e1", file_name=link, **{**known, **fields})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def begun(folder: Path) -> bool:
    return any(path.stat().st_size for path in folder.iterdir())


@attrs.define
class Writer:
    taken: list[bytes] = attrs.field(factory=list)

    async def write(self, data: bytes) -> int:
        await asyncio.sleep(0)
        self.taken.append(data)
        return len(data)


async def test_an_export_asks_for_one_list_and_its_columns(
    client: ConstantContact, ear: Ear
) -> None:
    await client.activities.begin_export_contacts(
        "1", column_names=["Email Address", "First Name"], sort_by="date_desc"
    )
    assert ear.requests == ["POST /activities/exportcontacts"]
    assert ear.sent == {
        "file_type": "CSV",
        "sort_by": "DATE_DESC",
        "export_date_added": True,
        "export_added_by": True,
        "lists": ["1"],
        "column_names": ["Email Address", "First Name"],
    }


@pytest.mark.parametrize(
    ("list_id", "options", "field"),
    [
        ("", {}, "list_id"),
        ("1", {"column_names": ["First Name"]}, "column_names"),
        ("1", {"column_names": []}, "column_names"),
        ("1", {"sort_by": "NAME"}, "sort_by"),
    ],
)
async def test_an_export_that_the_service_would_refuse_is_not_requested(
    client: ConstantContact, ear: Ear, list_id: str, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.activities.begin_export_contacts(list_id, **options)
    assert caught.value.field == field
    assert ear.calls == []


@pytest.mark.parametrize("export_link", ["absolute", "relative", "other_host"])
async def test_an_export_from_any_host_is_written_to_a_path(
    connect: Callable[..., Any], sandbox: Sandbox, tmp_path: Path, export_link: Any
) -> None:
    sandbox.admin.configure(export_link=export_link)
    sandbox.admin.add_contacts(1_200)
    cc = await connect(sandbox)
    to = tmp_path / "contacts.csv"

    activity = await cc.activities.export_contacts("1", column_names=["Email Address"])
    size = await cc.activities.download_export(activity, to)

    content = to.read_bytes()
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert size == len(content)
    assert len(rows) == activity.contact_count == 1_200
    assert {row["Email Address"] for row in rows} == {
        f"contact{number}@example.com" for number in range(1, 1_201)
    }
    assert names(tmp_path) == ["contacts.csv"]
    await cc.aclose()


async def test_an_export_can_be_downloaded_by_its_id(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.admin.add_contacts(3)
    activity = await client.activities.export_contacts("1")

    size = await client.activities.download_export(activity.id, str(tmp_path / "x.csv"))

    assert size == (tmp_path / "x.csv").stat().st_size > 0


async def test_100_000_contacts_are_written_to_disk_without_filling_memory(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.admin.add_contacts(100_000)
    activity = await client.activities.export_contacts("1")
    to = tmp_path / "contacts.csv"

    tracemalloc.start()
    try:
        size = await client.activities.download_export(activity, to)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size == to.stat().st_size > 5_000_000
    with to.open("rb") as file:
        assert sum(1 for _ in file) == 100_001
    # What the server in the same process builds for a batch is in it, too.
    assert peak < size / 2


async def test_an_async_writer_gets_the_export_in_chunks(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.add_contacts(2_000)
    activity = await client.activities.export_contacts("1")
    writer = Writer()

    size = await client.activities.download_export(activity, writer)

    assert size == sum(map(len, writer.taken))
    assert len(writer.taken) > 1
    assert b"".join(writer.taken).count(b"\r\n") == 2_001


async def test_an_export_can_be_iterated(client: ConstantContact, sandbox: Sandbox) -> None:
    sandbox.admin.add_contacts(2_000)
    activity = await client.activities.export_contacts("1")

    for export in (activity, activity.id):
        async with client.activities.open_export(export) as pieces:
            content = b"".join([piece async for piece in pieces])
        assert content.count(b"\r\n") == 2_001


@pytest.mark.parametrize(
    ("activity", "reason"),
    [
        (exported("/x.csv", type="ADD_CONTACTS"), "its type is ADD_CONTACTS"),
        (exported("/x.csv", type=None), "its type is None"),
        (exported("/x.csv", status="RUNNING"), "its status is RUNNING"),
        (exported(""), "has none"),
        (exported(None), "has none"),
    ],
)
async def test_only_the_name_of_a_complete_export_is_fetched(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path, activity: Activity, reason: str
) -> None:
    with pytest.raises(errors.InvalidField, match=reason):
        await client.activities.download_export(activity, tmp_path / "x.csv")
    with pytest.raises(errors.InvalidField, match=reason):
        async with client.activities.open_export(activity):
            pass
    assert sandbox.admin.requests() == []
    assert names(tmp_path) == []


async def test_a_file_object_that_would_block_the_loop_is_refused(
    client: ConstantContact, tmp_path: Path
) -> None:
    with (tmp_path / "x.csv").open("wb") as file, pytest.raises(errors.InvalidField, match="block"):
        await client.activities.download_export(exported("/x.csv"), file)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(errors.InvalidField, match="async write"):
        await client.activities.download_export(exported("/x.csv"), 7)  # type: ignore[arg-type]  # the mistake


async def whole(wire: Wire, _request: Request) -> None:
    await wire.answer(body=CONTENT, json=False)


async def cut(wire: Wire, _request: Request) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    await wire.write(head.encode() + CONTENT[: BLOCK * 2])
    wire.writer.close()


async def test_a_broken_download_starts_over(connect: Callable[..., Any], tmp_path: Path) -> None:
    to = tmp_path / "x.csv"
    async with serving(cut, cut, whole) as server:
        cc = await connect(server)
        assert await cc.activities.download_export(exported("/x.csv"), to) == len(CONTENT)
        await cc.aclose()
    assert to.read_bytes() == CONTENT


async def test_a_download_that_never_completes_keeps_the_old_file(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    to = tmp_path / "x.csv"
    to.write_bytes(b"before")
    async with serving(cut) as server:
        cc = await connect(server)
        with pytest.raises(errors.ConnectionLost, match="file of export a07e1"):
            await cc.activities.download_export(exported("/x.csv"), to)
        assert server.connections == ATTEMPTS
        await cc.aclose()
    assert to.read_bytes() == b"before"
    assert names(tmp_path) == ["x.csv"]


async def test_a_writer_never_gets_a_chunk_twice(connect: Callable[..., Any]) -> None:
    writer = Writer()
    async with serving(cut, whole) as server:
        cc = await connect(server)
        with pytest.raises(errors.ConnectionLost):
            await cc.activities.download_export(exported("/x.csv"), writer)
        assert server.connections == 1
        await cc.aclose()
    assert CONTENT.startswith(b"".join(writer.taken))


@pytest.mark.parametrize(
    "body",
    [
        b"\n <!DOCTYPE html><html>Log in</html>",
        "\ufeff<html>Log in</html>".encode(),
        "<html>Log in</html>".encode("utf-16"),
        "<html>Log in</html>".encode("utf-16-be"),
        b'{"error": "expired"}',
        b'[{"error_key": "http.status.gone"}]',
    ],
)
async def test_a_page_in_place_of_a_table_is_refused(
    connect: Callable[..., Any], tmp_path: Path, body: bytes
) -> None:
    async def page(wire: Wire, _request: Request) -> None:
        await wire.answer(body=body, json=False)

    writer = Writer()
    async with serving(page) as server:
        cc = await connect(server)
        for to in (tmp_path / "x.csv", writer):
            with pytest.raises(errors.DecodeError, match="a page arrived"):
                await cc.activities.download_export(exported("/x.csv"), to)
        await cc.aclose()
    assert names(tmp_path) == []
    assert writer.taken == []


async def test_cancelling_a_download_leaves_nothing_behind(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    async def endless(wire: Wire, _request: Request) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await wire.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    async with serving(endless) as server, nothing_left():
        cc = await connect(server)
        to = tmp_path / "x.csv"
        running = asyncio.create_task(cc.activities.download_export(exported("/x.csv"), to))
        while not begun(tmp_path):  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(0.001)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert names(tmp_path) == []
        await cc.aclose()


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
        with pytest.raises(errors.DeadlineExceeded, match="did not finish within 5 s"):
            await cc.activities.download_export(
                exported("/x.csv"), tmp_path / "x.csv", deadline=5.0
            )
        await cc.aclose()
    assert names(tmp_path) == []


async def test_an_unwritable_target_is_reported_before_any_request(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    async with serving(whole) as server:
        cc = await connect(server)
        with pytest.raises(errors.UsageError, match="cannot be written there"):
            await cc.activities.download_export(exported("/x.csv"), tmp_path / "no" / "x.csv")
        with pytest.raises(errors.InvalidField, match="a regular file"):
            await cc.activities.download_export(exported("/x.csv"), tmp_path)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(errors.InvalidField, match="a regular file"):
            await cc.activities.download_export(exported("/x.csv"), tmp_path / "pipe")
        assert server.connections == 0
        await cc.aclose()


async def test_a_full_disk_is_reported_and_the_old_file_stays(
    connect: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    to = tmp_path / "x.csv"
    to.write_bytes(b"before")
    monkeypatch.setattr("ccv2_async.transport.files.partial.os.fsync", full)
    async with serving(whole) as server:
        cc = await connect(server)
        with pytest.raises(errors.UsageError, match="No space left on device"):
            await cc.activities.download_export(exported("/x.csv"), to)
        await cc.aclose()
    assert to.read_bytes() == b"before"
    assert names(tmp_path) == ["x.csv"]


async def test_a_replaced_file_keeps_its_permissions_and_a_link_its_target(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    target = tmp_path / "target.csv"
    target.write_bytes(b"before")
    target.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(target)

    async with serving(whole) as server:
        cc = await connect(server)
        await cc.activities.download_export(exported("/x.csv"), link)
        await cc.aclose()

    assert link.is_symlink()
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode & 0o777 == 0o640
    assert link.readlink() == target
