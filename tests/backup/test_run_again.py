"""The second run fetches what is new or has changed, and keeps what is gone."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from ccv2_async import verify_backup
from ccv2_async.backup.journal import Journal
from tests.backup.conftest import digests, held, lines

if TYPE_CHECKING:
    from pathlib import Path

    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox

_CAMPAIGNS = "/v2/emailmarketing/campaigns"


def namesakes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("IMG_0300*")}


def paths(sandbox: Sandbox, since: int = 0) -> list[str]:
    return [entry.path for entry in sandbox.admin.requests()][since:]


async def test_the_second_run_fetches_no_file_no_campaign_and_no_tracking(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    first = await cc.backup(tmp_path, trash=True)
    before = len(demo.admin.requests())
    again = await cc.backup(tmp_path, trash=True)
    assert (again.files, again.downloaded) == (0, 0)
    asked = paths(demo, before)
    assert len(demo.admin.downloads()) == first.files
    details = [path for path in asked if path.startswith(_CAMPAIGNS) and path.count("/") == 4]
    assert details == []
    assert not [path for path in asked if path.endswith("/tracking")]
    assert again.rows == first.rows
    assert (await verify_backup(tmp_path)).faults == ()


async def test_a_full_run_fetches_everything_again(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    first = await cc.backup(tmp_path)
    before = len(demo.admin.requests())
    library = cc.library
    file = await library.files().first()
    assert file is not None
    await library.update_file(file.id, name="renamed.png")
    again = await cc.backup(tmp_path, full=True)
    assert again.files == first.files
    assert again.rows == first.rows
    assert "modified_since" not in [e.query for e in demo.admin.requests(path="/contacts")][-1]
    details = [path for path in paths(demo, before) if path.startswith(_CAMPAIGNS)]
    assert [path for path in details if path.count("/") == 4]
    assert digests(tmp_path) == held(demo)
    assert (await verify_backup(tmp_path)).faults == ()
    assert (await cc.backup(tmp_path)).files == 0


def test_a_full_run_begins_once_and_is_then_continued(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    runs = []
    for full in (False, True, True, False):
        journal.begin("now", full=full)
        runs.append(journal.run)
    journal.remember(ended="then")
    for full in (True, True):
        journal.begin("now", full=full)
        runs.append(journal.run)
    journal.close()
    assert runs == [1, 2, 2, 2, 3, 3]


async def test_only_the_changed_file_contact_and_campaign_are_fetched(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    demo.admin.advance(3600)
    await cc.backup(tmp_path)
    demo.admin.advance(3600)
    file = (await cc.library.files().collect(limit=1))[0]
    await cc.library.update_file(file.id, description="Another text")
    contact = next(each["id"] for each in lines(tmp_path / "contacts.jsonl") if each["lists"])
    await cc.contacts.update(contact, first_name="Another")
    draft = next(each for each in lines(tmp_path / "campaigns.jsonl") if each["status"] == "DRAFT")
    await cc.campaigns.update(draft["id"], subject="Another subject")
    before = len(demo.admin.requests())
    result = await cc.backup(tmp_path)
    assert result.files == 1
    asked = paths(demo, before)
    assert [path for path in asked if path.startswith(f"{_CAMPAIGNS}/{draft['id']}")] == [
        f"{_CAMPAIGNS}/{draft['id']}"
    ]
    sent = [entry.query for entry in demo.admin.requests(path="/contacts")][-1]
    assert "modified_since" in sent
    names = {each["id"]: each.get("first_name") for each in lines(tmp_path / "contacts.jsonl")}
    assert len(names) == result.rows["contacts"] == 120
    assert names[contact] == "Another"
    subjects = {each["id"]: each["subject"] for each in lines(tmp_path / "campaigns.jsonl")}
    assert subjects[draft["id"]] == "Another subject"
    assert digests(tmp_path) == held(demo)
    assert (await verify_backup(tmp_path)).faults == ()


async def test_a_gateway_whose_clock_is_ahead_hides_no_changed_contact(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    demo.admin.configure(date_offset=3 * 3600.0)
    await cc.backup(tmp_path)
    contact = next(each["id"] for each in lines(tmp_path / "contacts.jsonl") if each["lists"])
    await cc.contacts.update(contact, first_name="Another")
    await cc.backup(tmp_path)
    names = {each["id"]: each.get("first_name") for each in lines(tmp_path / "contacts.jsonl")}
    assert names[contact] == "Another"


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"])
async def test_a_contact_with_an_impossible_date_has_all_contacts_fetched_again(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, date: str
) -> None:
    row = {"id": "1", "modified_date": date}
    body = json.dumps({"meta": {}, "results": [row]})
    headers = {"content-type": "application/json"}
    demo.admin.fault("answer", "GET", "/contacts", status=200, headers=headers, body=body)
    await cc.backup(tmp_path)
    await cc.backup(tmp_path)
    assert len(lines(tmp_path / "contacts.jsonl")) == 120


async def test_records_that_the_service_deleted_stay_and_are_listed(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    file = next(each for each in lines(tmp_path / "library.jsonl") if each["name"] == "menu.pdf")
    campaign = lines(tmp_path / "campaigns.jsonl")[0]
    of_list = lines(tmp_path / "lists.jsonl")[-1]
    content = (tmp_path / "library" / "menu.pdf").read_bytes()
    await cc.library.delete_files(file["id"])
    await cc.campaigns.delete(campaign["id"])
    await cc.lists.delete(of_list["id"])
    for _ in range(2):  # the third run notices nothing more
        result = await cc.backup(tmp_path)
        gone = {row["dataset"]: row for row in lines(tmp_path / "vanished.jsonl")}
        assert {name: row["id"] for name, row in gone.items()} == {
            "campaigns": campaign["id"],
            "library": file["id"],
            "lists": of_list["id"],
        }
        assert gone["library"]["record"] == file
        assert gone["library"]["path"] == "library/menu.pdf"
        assert (tmp_path / "library" / "menu.pdf").read_bytes() == content
        assert result.vanished == 3
        assert campaign["id"] not in {row["id"] for row in lines(tmp_path / "campaigns.jsonl")}
        assert (await verify_backup(tmp_path)).faults == ()


async def test_a_renamed_or_moved_file_moves_on_disk_and_overwrites_nothing(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    rows = {row["name"]: row["id"] for row in lines(tmp_path / "library.jsonl")}
    # Two files swap their names, and a third one takes the place of the first in its folder.
    await cc.library.update_file(rows["logo.png"], name="swap.png")
    await cc.library.update_file(rows["logo-dark.png"], name="logo.png")
    await cc.library.update_file(rows["logo.png"], name="logo-dark.png")
    products = next(row for row in lines(tmp_path / "folders.jsonl") if row["name"] == "Products")
    await cc.library.update_folder(products["id"], name="Goods")
    result = await cc.backup(tmp_path)
    assert digests(tmp_path) == held(demo)
    assert not result.failed
    assert (tmp_path / "library" / "Goods" / "Bread" / "rye.png").is_file()
    assert not (tmp_path / "library" / "Products" / "Bread").exists()
    assert (await verify_backup(tmp_path)).faults == ()


async def test_a_file_that_was_deleted_or_cut_on_disk_is_fetched_again(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    (tmp_path / "library" / "menu.pdf").unlink()
    (tmp_path / "library" / "Logos" / "logo.png").write_bytes(b"x")
    html = next((tmp_path / "campaigns").glob("*.html"))
    html.unlink()
    result = await cc.backup(tmp_path)
    assert result.files == 2
    assert html.is_file()
    assert digests(tmp_path) == held(demo)
    assert (await verify_backup(tmp_path)).faults == ()


async def test_files_of_the_same_name_keep_their_paths_from_run_to_run(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path
) -> None:
    world = demo._world
    files = list(world.library.files.values())
    for file in files[:3]:
        world.library.rename_file(file, "IMG_0300.JPG")
        file.folder_id = files[0].folder_id
    await cc.backup(tmp_path)
    first = namesakes(tmp_path)
    assert len(first) == len(set(first.values())) == 3
    for _ in itertools.repeat(None, 2):
        await cc.backup(tmp_path)
        assert namesakes(tmp_path) == first
