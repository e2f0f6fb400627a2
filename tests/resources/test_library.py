"""The public methods of `client.library`, against the sandbox."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.models.library import ROOT_FOLDER_IDS
from ccv2_async.polling.poller import UploadPoller
from tests.contract.ear import Ear
from tests.support.clocks import settle
from tests.support.probes import nothing_left
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire


@pytest.fixture
def cc(client: ConstantContact) -> ConstantContact:
    return client


async def add(cc: ConstantContact, count: int, folder_id: str = "0") -> list[str]:
    """So many files, oldest first."""
    names = [f"file{number}.pdf" for number in range(count)]
    return [
        (await cc.library.begin_upload(b"abc", name=name, folder_id=folder_id)).id for name in names
    ]


async def test_a_file_from_disk_gets_its_name_type_and_description(
    cc: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "Menü des Tages.PNG"
    path.write_bytes(b"picture")
    told: list[int] = []
    file = await cc.library.upload(
        path, description="Today's", source="mycomputer", on_progress=lambda p: told.append(p.sent)
    )
    assert (file.name, file.description, file.size) == ("Menü des Tages.PNG", "Today's", 7)
    assert sandbox.admin.content(file.id) == b"picture"
    assert told == [0, 7]


async def test_file_objects_are_sent_from_their_position_and_stay_open(
    cc: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "menu.pdf"
    path.write_bytes(b"skipped, sent")
    memory = io.BytesIO(b"picture")
    sandbox.admin.fault("throttled", "POST", path="/library/files")
    with path.open("rb") as file:
        file.seek(9)
        stored = await cc.library.upload(file)
        assert not file.closed
    picture = await cc.library.begin_upload(memory, name="logo.png")
    assert (stored.name, sandbox.admin.content(stored.id)) == ("menu.pdf", b"sent")
    assert (sandbox.admin.content(picture.id), memory.closed) == (b"picture", False)


async def test_a_file_object_without_a_name_or_remaining_bytes_is_refused(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    with pytest.raises(errors.InvalidField, match="name"):
        await cc.library.upload(io.BytesIO(b"abc"))
    read = io.BytesIO(b"abc")
    read.read()
    with pytest.raises(errors.FileRefused, match="seek"):
        await cc.library.upload(read, name="menu.pdf")
    with pytest.raises(errors.FileRefused, match="empty"):
        await cc.library.upload(io.BytesIO(), name="menu.pdf")
    assert sandbox.admin.requests("POST") == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": "x" * 77 + ".png"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a/"}, "name"),
        ({"name": "a\nb.png"}, "name"),
        ({"name": None}, "name"),
        ({"name": "a.exe"}, "file_type"),
        ({"name": "noextension"}, "file_type"),
        ({"file_type": "EXE"}, "file_type"),
        ({"description": "x" * 101}, "description"),
        ({"source": "Elsewhere"}, "source"),
        ({"folder_id": ""}, "folder_id"),
        ({"folder_id": ".."}, "folder_id"),
        ({"folder_id": "a b"}, "folder_id"),
        ({"folder_id": None}, "folder_id"),
        ({"on_ambiguous": "lok"}, "on_ambiguous"),
        ({"lane": "bulk"}, "lane"),
        ({"length": 3}, "length"),
    ],
)
async def test_invalid_uploads_are_refused_before_sending(
    cc: ConstantContact, sandbox: Sandbox, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField, match="Nothing was sent") as caught:
        await cc.library.upload(b"abc", **{"name": "a.png", **options})
    assert caught.value.field == field
    assert sandbox.admin.requests() == []


async def test_an_empty_file_is_refused(cc: ConstantContact, sandbox: Sandbox) -> None:
    with pytest.raises(errors.FileRefused, match="it is empty"):
        await cc.library.upload(b"", name="a.png")
    assert sandbox.admin.files() == []


async def test_no_resume_token_is_made_until_it_is_asked_for(
    cc: ConstantContact, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    token = UploadPoller.token

    def noted(poller: UploadPoller) -> str:
        made.append(poller.id)
        return token(poller)

    monkeypatch.setattr(UploadPoller, "token", noted)
    poller = await cc.library.begin_upload(b"abc", name="a.pdf")
    assert not made
    assert cc.resume(poller.token()).id == poller.id
    assert made == [poller.id]


async def test_listings_follow_pages_and_can_be_read_in_part(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    ids = await add(cc, 7)
    newest_first = ids[::-1]
    listing = cc.library.files(limit=3)
    assert [file.id async for file in listing] == newest_first
    assert [file.id async for file in listing] == newest_first, "it can be iterated again"
    assert [len(page) async for page in listing.pages()] == [3, 3, 1]
    before = len(sandbox.admin.requests())
    first = await listing.first()
    assert first is not None
    assert first.id == newest_first[0]
    assert [file.id for file in await listing.collect(limit=3)] == newest_first[:3]
    assert await listing.collect(limit=0) == []
    assert len(sandbox.admin.requests()) == before + 2, "no page more than needed"
    assert await cc.library.files(type="DOCUMENTS").collect() != []
    assert await cc.library.files(type="images").first() is None
    assert "library files" in repr(listing)


async def test_a_listing_that_is_left_early_leaves_nothing_open(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    async with nothing_left():
        cc = await connect(sandbox)
        await add(cc, 5)
        async for _ in cc.library.files(limit=2):
            break
        await cc.library.files(limit=2).first()
        await cc.aclose()


def paging(*links: str | None) -> Any:
    """A service whose pages link to each other like this, one row on each."""
    asked: list[str] = []

    async def serve(wire: Wire, request: Request) -> None:
        asked.append(request.target)
        link = links[min(len(asked), len(links)) - 1]
        pagination = {} if link is None else {"next_link": link}
        row = {"id": str(len(asked)), "name": "a.pdf"}
        body = {"meta": {"pagination": pagination}, "results": [row]}
        await wire.answer(body=json.dumps(body).encode())

    server: Any = serving(serve)
    server.asked = asked
    return server


async def test_only_the_cursor_of_a_link_is_used(connect: Callable[..., Any]) -> None:
    links = ("https://elsewhere.example/x?next=A%2F%2B&limit=9", "/v2/other?next=b", None)
    async with paging(*links) as server:
        cc = await connect(server)
        assert len(await cc.library.files(type="ALL", limit=1).collect()) == 3
    assert server.asked == [
        "/v2/library/files?limit=1&type=ALL&api_key=sandbox-key",
        "/v2/library/files?next=A%2F%2B&api_key=sandbox-key",
        "/v2/library/files?next=b&api_key=sandbox-key",
    ]


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (["/x?next=a", "/x?next=b", "/x?next=a"], "same cursor twice"),
        (["/x?next=a"], "same cursor twice"),
        (["/v2/library/files"], "has no cursor"),
    ],
)
async def test_pages_that_never_end_raise_an_error(
    connect: Callable[..., Any], links: list[str], message: str
) -> None:
    async with paging(*links) as server:
        cc = await connect(server)
        with pytest.raises(errors.PaginationError, match=message):
            await cc.library.files().collect()


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_an_invalid_page_size_is_refused_before_sending(
    cc: ConstantContact, limit: int
) -> None:
    with pytest.raises(errors.InvalidField, match="limit"):
        cc.library.files(limit=limit)


async def test_a_file_is_read_changed_and_deleted(cc: ConstantContact, sandbox: Sandbox) -> None:
    [file_id] = await add(cc, 1)
    changed = await cc.library.update_file(file_id, name="new.pdf")
    assert (changed.name, changed.id) == ("new.pdf", file_id)
    await cc.library.update_file(file_id, description="d", include_payload=False)
    read = await cc.library.get_file(file_id)
    assert (read.name, read.description) == ("new.pdf", "d"), "what was not given has stayed"
    replaced = await cc.library.replace_file(read)
    assert replaced.name == "new.pdf"
    await cc.library.replace_file(read, include_payload=False)
    await cc.library.delete_files(file_id)
    assert [file.id async for file in cc.library.trash()] == [file_id]
    await cc.library.empty_trash()
    assert await cc.library.trash().collect() == []
    with pytest.raises(errors.NotFound):
        await cc.library.get_file(file_id)


async def test_an_update_without_changes_is_refused_before_any_request(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    with pytest.raises(errors.InvalidField):
        await cc.library.update_file("1")
    with pytest.raises(errors.InvalidField):
        await cc.library.update_folder("1")
    with pytest.raises(errors.InvalidField):
        await cc.library.move_files("1", [])
    assert sandbox.admin.requests() == []


async def test_folders_are_created_filled_and_deleted(cc: ConstantContact) -> None:
    top = await cc.library.create_folder("Top")
    below = await cc.library.create_folder("Below", parent_id=top.id)
    with pytest.raises(errors.Conflict, match="already exists"):
        await cc.library.create_folder("Top")
    ids = await add(cc, 3)
    moved = await cc.library.move_files(below.id, ids[:2])
    assert [result.id for result in moved] == ids[:2]
    inside = [file.id async for file in cc.library.files_in_folder(below.id)]
    assert sorted(inside) == sorted(ids[:2])
    renamed = await cc.library.update_folder(below.id, name="Deeper")
    assert (renamed.name, renamed.parent_id) == ("Deeper", top.id)
    read = await cc.library.get_folder(top.id)
    assert [child.name for child in read.children] == ["Deeper"]
    assert top.id in [folder.id async for folder in cc.library.folders()]
    await cc.library.delete_folder(below.id)
    with pytest.raises(errors.NotFound):
        await cc.library.get_folder(below.id)


@pytest.mark.parametrize("top", ["", "0"])
async def test_the_top_folder_is_recognized_in_every_spelling(
    cc: ConstantContact, monkeypatch: pytest.MonkeyPatch, top: str
) -> None:
    ear = Ear.at(cc, monkeypatch)
    above = await cc.library.create_folder("Above", parent_id=top)
    assert above.is_top
    assert ear.sent["parent_id"] == "0"
    below = await cc.library.create_folder("Below", parent_id=above.id)
    [file_id] = await add(cc, 1, below.id)

    assert (await cc.library.update_folder(below.id, parent_id=top)).is_top
    assert ear.sent["parent_id"] == "0"
    assert (await cc.library.update_file(file_id, folder_id=top)).folder_id in ROOT_FOLDER_IDS
    assert ear.sent["folder_id"] == "0"


async def test_a_folder_cannot_be_moved_to_an_invalid_parent(
    cc: ConstantContact, sandbox: Sandbox
) -> None:
    wrong: Any
    for wrong in (" ", "..", "a/b", [], b""):
        with pytest.raises(errors.InvalidField, match="parent_id is "):
            await cc.library.update_folder("1", parent_id=wrong)
    assert sandbox.admin.requests() == []


async def test_a_single_id_may_be_text_or_a_number(cc: ConstantContact) -> None:
    folder = await cc.library.create_folder("Menus")
    for_text, for_number = await add(cc, 2)
    number: Any = int(for_number)
    assert [moved.id for moved in await cc.library.move_files(folder.id, for_text)] == [for_text]
    assert [moved.id for moved in await cc.library.move_files(folder.id, number)] == [for_number]


@pytest.mark.parametrize("count", [1, 30, 100])
async def test_status_of_up_to_a_hundred_files_takes_one_request(
    cc: ConstantContact, sandbox: Sandbox, count: int
) -> None:
    known = await add(cc, 2)
    unknown = [f"9{number:08}" for number in range(count - 1)]
    before = len(sandbox.admin.requests())
    statuses = await cc.library.upload_status(known[0], *unknown)
    assert [(row.file_id, row.status) for row in statuses] == [(known[0], "Active")]
    assert len(sandbox.admin.requests()) == before + 1


@pytest.mark.parametrize("count", [30, 100])
async def test_up_to_a_hundred_files_are_deleted_in_one_request(
    cc: ConstantContact, sandbox: Sandbox, count: int
) -> None:
    ids = await asyncio.gather(
        *(cc.library.begin_upload(b"abc", name=f"{n}.pdf") for n in range(count))
    )
    before = len(sandbox.admin.requests())
    await cc.library.delete_files(*(poller.id for poller in ids))
    assert len(sandbox.admin.requests()) == before + 1
    assert await cc.library.files().collect() == []


@pytest.mark.parametrize("ids", [[], ["1"] * 101, ["1,2"], [""], ["."], ["a/../b c"]])
async def test_ids_that_cannot_be_joined_are_refused(cc: ConstantContact, ids: list[str]) -> None:
    with pytest.raises(errors.InvalidField):
        await cc.library.upload_status(*ids)
    with pytest.raises(errors.InvalidField):
        await cc.library.delete_files(*ids)


@pytest.mark.parametrize("kind", ["empty", "null"])
async def test_an_empty_status_response_is_an_empty_list(
    cc: ConstantContact, sandbox: Sandbox, kind: Any
) -> None:
    sandbox.admin.fault(kind)
    assert await cc.library.upload_status("1") == []


@pytest.mark.parametrize("as_list", [False, True])
async def test_the_library_limits_are_decoded_from_both_shapes(
    cc: ConstantContact, sandbox: Sandbox, as_list: bool
) -> None:
    sandbox.admin.configure(info_as_list=as_list)
    info = await cc.library.info()
    assert info.max_upload_size_limit == 5_242_880
    assert info.usage_summary is not None


async def test_an_upload_in_asyncio_debug_mode_logs_no_slow_callback(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"x" * 3_000_000)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 5.0
    async with nothing_left():
        cc = await connect(sandbox)
        await asyncio.gather(*(cc.library.upload(path) for _ in range(4)))
        await cc.aclose()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
async def test_a_file_that_cannot_be_sent_costs_no_daily_quota(
    connect: Any, sandbox: Sandbox, tmp_path: Path, content: bytes | None
) -> None:
    cc = await connect(sandbox, per_day=10)
    path = tmp_path / "menu.pdf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.FileRefused):
        await cc.library.begin_upload(path)
    assert cc.remaining_today == 10
    path.write_bytes(b"%PDF")
    await cc.library.begin_upload(path)
    assert cc.remaining_today == 9


@pytest.mark.parametrize("name", ["pictures", "old.pictures", "pictures.png"])
async def test_a_directory_or_missing_path_is_reported_before_type_and_name(
    cc: ConstantContact, sandbox: Sandbox, tmp_path: Path, name: str
) -> None:
    with pytest.raises(errors.FileRefused, match="there is no such file"):
        await cc.library.upload(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(errors.FileRefused, match="directory"):
        await cc.library.begin_upload(tmp_path / name)
    assert sandbox.admin.requests() == []


async def test_an_unsupported_file_type_is_reported_as_such(
    cc: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(errors.InvalidField, match="must be one of JPEG"):
        await cc.library.begin_upload(tmp_path / "notes.txt")
    assert sandbox.admin.requests() == []


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
async def test_a_file_that_cannot_be_sent_is_reported_before_its_turn(
    connect: Any,
    sandbox: Sandbox,
    manual_clock: ManualClock,
    tmp_path: Path,
    content: bytes | None,
) -> None:
    cc = await connect(sandbox, per_second=1, clock=manual_clock)
    await cc.library.begin_upload(b"%PDF", name="first.pdf")
    waiting = asyncio.create_task(cc.library.begin_upload(b"%PDF", name="second.pdf"))
    await settle()
    path = tmp_path / "menu.pdf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.FileRefused):
        await cc.library.begin_upload(path)
    assert not waiting.done()
    waiting.cancel()
