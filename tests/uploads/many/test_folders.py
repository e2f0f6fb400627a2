"""Folder trees of a bulk upload: found or created once, even if others create them too."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from ccv2_async import BulkState, FileToUpload, errors
from ccv2_async.uploads.many.folders import FolderMap, check_depth
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import UploadResult
    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.support.servers import Request, Wire

Pictures: TypeAlias = "Callable[..., list[Path]]"
CREATE = ("POST", "/library/folders")
PICTURE = b"\x89PNG\r\n\x1a\n"


def places(sandbox: Sandbox) -> dict[str, str]:
    """Return the folders of each file, by name."""
    state = sandbox.admin.state()
    folders = {folder["id"]: folder for folder in state["folders"]}

    def path(folder_id: str | None) -> str:
        if folder_id is None:
            return ""
        folder = folders[folder_id]
        above = path(folder["parent_id"])
        return f"{above}/{folder['name']}" if above else str(folder["name"])

    return {file["name"]: path(file["folder_id"]) for file in state["files"]}


def below(number: int, *folders: str) -> list[FileToUpload]:
    return [FileToUpload(PICTURE, name=f"{n}.png", folders=folders) for n in range(number)]


async def upload(client: ConstantContact, files: Any, **options: Any) -> list[UploadResult]:
    return [result async for result in client.upload_many(files, **options)]


async def test_a_tree_is_kept_three_levels_deep(
    client: ConstantContact, sandbox: Sandbox, pictures: Pictures, tmp_path: Path
) -> None:
    pictures("a.png", "x/b.png", "x/y/c.png", "x/y/z/d.png", "w/y/e.png", "x/y/z/v/f.png")

    results = await upload(client, [tmp_path / "pictures"], keep_folders=True)

    assert places(sandbox) == {
        "a.png": "",
        "b.png": "x",
        "c.png": "x/y",
        "d.png": "x/y/z",
        "e.png": "w/y",
    }
    (deep,) = [result for result in results if result.error is not None]
    assert isinstance(deep.error, errors.InvalidField)
    assert "at most 3 levels" in deep.error.message
    assert deep.path.endswith("f.png")
    assert len(sandbox.admin.requests(*CREATE)) == 5


async def test_without_keep_folders_all_files_go_to_one_folder(
    client: ConstantContact, sandbox: Sandbox, pictures: Pictures, tmp_path: Path
) -> None:
    pictures("a.png", "x/b.png")
    folder = await client.library.create_folder("All")

    await upload(client, [tmp_path / "pictures"], folder_id=folder.id)

    assert places(sandbox) == {"a.png": "All", "b.png": "All"}


async def test_a_folder_that_many_files_need_is_created_once(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    await upload(client, below(30, "Spring", "Tulips"), concurrency=10)

    assert set(places(sandbox).values()) == {"Spring/Tulips"}
    assert len(sandbox.admin.requests(*CREATE)) == 2


async def test_existing_folders_are_used(client: ConstantContact, sandbox: Sandbox) -> None:
    spring = await client.library.create_folder("Spring")
    await client.library.create_folder("Tulips", parent_id=spring.id)

    await upload(client, below(3, "Spring", "Tulips"))

    assert set(places(sandbox).values()) == {"Spring/Tulips"}
    assert len(sandbox.admin.requests(*CREATE)) == 2


async def test_a_tree_may_start_in_any_folder_and_its_level_counts(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    top = await client.library.create_folder("Top")
    second = await client.library.create_folder("Second", parent_id=top.id)
    files = [
        FileToUpload(PICTURE, name="fits.png", folder_id=second.id, folders=("Third",)),
        FileToUpload(PICTURE, name="deep.png", folder_id=second.id, folders=("Third", "Fourth")),
        FileToUpload(PICTURE, name="images.png", folder_id="-2", folders=("Ours",)),
    ]

    results = {result.name: result for result in await upload(client, files)}

    assert places(sandbox) == {"fits.png": "Top/Second/Third", "images.png": "Images/Ours"}
    (deep,) = [result for result in results.values() if result.error is not None]
    assert isinstance(deep.error, errors.InvalidField)


async def test_a_folder_created_by_someone_else_in_the_meantime_is_used(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    clients = [await connect(sandbox) for _ in range(4)]

    results = await asyncio.gather(
        *(upload(client, below(5, "Spring", "Tulips")) for client in clients)
    )

    assert {result.state for some in results for result in some} == {BulkState.DONE}
    names = [folder["name"] for folder in sandbox.admin.state()["folders"]]
    assert sorted(names) == ["Documents", "Images", "Spring", "Tulips"]


@pytest.mark.parametrize("fault", ["lose_response", "server_error", "cut_response"])
async def test_a_folder_with_a_lost_response_is_not_created_twice(
    client: ConstantContact, sandbox: Sandbox, fault: Any
) -> None:
    sandbox.admin.fault(fault, *CREATE)

    results = await upload(client, below(5, "Spring"))

    assert {result.state for result in results} == {BulkState.DONE}
    assert set(places(sandbox).values()) == {"Spring"}


async def test_names_that_are_equal_to_the_service_share_a_folder(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    files = [
        FileToUpload(PICTURE, name="1.png", folders=("Spring",)),
        FileToUpload(PICTURE, name="2.png", folders=("SPRING",)),
        FileToUpload(PICTURE, name="3.png", folders=("SPRING", "x")),
    ]

    results = await upload(client, files, concurrency=1)

    assert {result.state for result in results} == {BulkState.DONE}
    assert len(sandbox.admin.state()["folders"]) == 4


async def test_an_unexplained_conflict_fails_only_its_files(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", *CREATE, status=409, body="[]", times=1)

    results = await upload(client, [*below(1, "Spring"), *below(1)], concurrency=1)

    assert [type(result.error) for result in results] == [errors.Conflict, type(None)]


async def test_a_folder_that_never_answers_fails_only_its_files(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("server_error", *CREATE, times=2)

    results = await upload(client, [*below(1, "Spring"), *below(1)], concurrency=1)

    assert [type(result.error) for result in results] == [errors.OutcomeUnknown, type(None)]


async def test_unreadable_folder_listings_are_read_again(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    await client.library.create_folder("Spring")
    sandbox.admin.fault("server_error", "GET", "/library/folders", times=3)

    results = await upload(client, below(2, "Spring"), concurrency=1)

    assert [result.error for result in results] == [None, None]  # an outage is waited for
    assert len(sandbox.admin.requests(*CREATE)) == 1


async def test_an_impossible_folder_name_fails_its_file(client: ConstantContact) -> None:
    results = await upload(client, [*below(1, "\u65e5\u672c"), *below(1)])

    assert sorted(result.state for result in results) == [BulkState.DONE, BulkState.FAILED]


async def test_without_folder_names_no_folders_are_listed(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    assert await FolderMap(client.library, client.library._session).resolve("-7", ()) == "-7"
    assert not sandbox.admin.requests()


def test_four_levels_are_too_deep_from_any_start() -> None:
    check_depth(("a", "b", "c"))
    check_depth(("c",), 2)
    with pytest.raises(errors.InvalidField):
        check_depth(("a", "b", "c", "d"))
    with pytest.raises(errors.InvalidField):
        check_depth(("c", "d"), 2)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("name", ["日本語", "n" * 41, "smart\u2019quote"])
async def test_a_folder_name_that_the_service_refuses_is_reported_once(  # noqa: PLR0917  # fixtures
    client: ConstantContact,
    sandbox: Sandbox,
    pictures: Pictures,
    tmp_path: Path,
    name: str,
    dry_run: bool,
) -> None:
    pictures("a.png", f"x/{name}/b.png", f"x/{name}/c.png", f"x/{name}/deeper/d.png", "x/e.png")
    bulk = client.upload_many([tmp_path / "pictures"], keep_folders=True, dry_run=dry_run)
    results = [result async for result in bulk]
    (refused,) = [result for result in results if result.error is not None]
    assert refused.path.endswith(f"x/{name}")
    assert isinstance(refused.error, errors.FileRefused)
    assert "folder" in refused.error.message
    assert len(results) == 3
    assert bulk.progress.total == bulk.progress.seen == 3
    assert all(file["name"] in {"a.png", "e.png"} for file in sandbox.admin.files())


async def test_given_folder_names_are_checked_before_anything_is_sent(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    (result,) = await upload(client, below(1, "日本語"))
    assert isinstance(result.error, errors.InvalidField)
    assert "日本語" in result.error.message
    assert sandbox.admin.requests() == []


async def test_a_decomposed_folder_name_is_sent_in_composed_form(
    client: ConstantContact, sandbox: Sandbox, pictures: Pictures, tmp_path: Path
) -> None:
    pictures("Fru\u0308hling/a.png")
    (result,) = await upload(client, [tmp_path / "pictures"], keep_folders=True)
    assert result.error is None
    assert places(sandbox) == {"a.png": "Fr\u00fchling"}


def folder_service(rows: list[Any], sent: list[str], *created: Any) -> Any:
    """Serve folders. `sent` collects each file's folder, and `created` answers for a new one."""

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST" and "/library/files" in request.target:
            sent.append(re.findall(rb'name="folder_id"\r\n\r\n([^\r]*)', request.body)[0].decode())
            await wire.answer("202 Accepted", b"", "Location: /v2/library/files/7")
        elif request.method == "POST":
            await wire.answer(*created)
        else:
            await wire.answer(body=json.dumps({"meta": {}, "results": rows}).encode())

    return answer


async def test_an_unreadable_folder_row_fails_no_other_folder(
    connect: Callable[..., Any],
) -> None:
    rows = [{"id": "-5", "name": "spring", "children": []}, {"id": "-6", "name": ["autumn"]}]
    sent: list[str] = []
    async with serving(folder_service(rows, sent, "409 Conflict", b"[]")) as server:
        client = await connect(server)
        files = [
            FileToUpload(b"one", name="1.png", folders=("spring",)),
            FileToUpload(b"two", name="2.png", folders=("autumn",)),
        ]
        results = [result async for result in client.upload_many(files, wait=False)]
    assert sent == ["-5"]
    assert [type(result.error) for result in results if result.error] == [errors.Conflict]
    assert len(results) == 2


async def test_a_new_folder_is_used_if_the_service_returns_another_name(
    connect: Callable[..., Any],
) -> None:
    sent: list[str] = []
    created = ("201 Created", b'{"id": "-5", "name": "Spring", "children": []}')
    async with serving(folder_service([], sent, *created)) as server:
        client = await connect(server)
        files = [FileToUpload(b"one", name="1.png", folders=("spring",))]
        (result,) = [result async for result in client.upload_many(files, wait=False)]
    assert (result.error, sent) == (None, ["-5"])
