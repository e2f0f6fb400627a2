"""`library.mirror` against the sandbox, over a socket."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import unicodedata
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest

from ccv2_async import errors
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import read_journal
from ccv2_async.uploads.mirror.plan import MirrorAction, MirrorResult
from ccv2_async.uploads.mirror.run import JOURNAL
from tests.support.probes import until
from tests.uploads.many.test_run import no_task_left

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from pathlib import Path

    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox

PNG = b"\x89PNG\r\n\x1a\n"
Tree: TypeAlias = "Callable[..., Path]"
Mirror: TypeAlias = "Callable[..., Awaitable[MirrorResult]]"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes pictures with the given content into a local folder."""
    times = itertools.count(1_800_000_000)

    def write(files: dict[str, bytes | str]) -> Path:
        root = tmp_path / "pictures"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else PNG + content.encode())
            at = next(times)
            os.utime(path, (at, at))
        return root

    return write


@pytest.fixture
def mirror(client: ConstantContact) -> Mirror:
    """Mirrors a local folder."""
    call: Mirror = client.library.mirror
    return call


def sent(sandbox: Sandbox, method: str, path: str = "/library/files*") -> list[str]:
    """Return the paths of the requests with a method so far, without their prefix."""
    return [
        entry.path.removeprefix("/v2/library/files").lstrip("/")
        for entry in sandbox.admin.requests(method, path)
    ]


def stored(sandbox: Sandbox) -> dict[str, bytes]:
    """Return the content of each file outside the trash by name; names must be unique."""
    files = [file for file in sandbox.admin.files() if file["status"] != "Deleted"]
    assert len({file["name"] for file in files}) == len(files)
    return {file["name"]: (sandbox.admin.content(file["id"]) or b"")[8:] for file in files}


def told(result: MirrorResult) -> dict[str, str]:
    return {entry.name: entry.action.value for entry in result.entries}


async def test_the_second_run_sends_nothing(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b", "spring/c.png": "c", "spring/tulips/d.png": "d"})

    first = await client.library.mirror(root)

    assert told(first) == dict.fromkeys(["a.png", "b.png", "c.png", "d.png"], "upload")
    assert all(entry.done and entry.file_id for entry in first.entries)
    assert stored(sandbox) == {"a.png": b"a", "b.png": b"b", "c.png": b"c", "d.png": b"d"}
    folders = {folder.name: folder async for folder in client.library.folders()}
    assert [child.name for child in folders["spring"].children] == ["tulips"]

    before = len(sandbox.admin.requests())
    second = await client.library.mirror(root)

    assert second == MirrorResult(equal=4, listed=4)
    requests = [f"{entry.method} {entry.path}" for entry in sandbox.admin.requests()[before:]]
    assert requests == ["GET /v2/library/folders", "GET /v2/library/files"]


async def test_one_changed_byte_costs_one_upload_and_one_trash_and_the_name_never_disappears(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree({"a.png": "old", "b.png": "b"})
    first = await client.library.mirror(root)
    (old,) = [entry.file_id for entry in first.entries if entry.name == "a.png"]
    tree({"a.png": "new"})
    sandbox.admin.configure(mode="looks", looks=2)
    names = names_after_each_request(sandbox, monkeypatch)
    uploads = len(sent(sandbox, "POST"))

    result = await client.library.mirror(root)

    (entry,) = result.entries
    assert (entry.action, entry.replaces, entry.done) == (MirrorAction.REPLACE, (old,), True)
    assert (len(sent(sandbox, "POST")) - uploads, sent(sandbox, "DELETE")) == (1, [old])
    assert stored(sandbox) == {"a.png": b"new", "b.png": b"b"}
    assert {"a(1).png" in seen for seen in names} == {True, False}  # it was numbered in between
    assert all("a.png" in seen for seen in names)
    assert (await client.library.mirror(root)).entries == ()


def names_after_each_request(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the names that a listing would show after each request from now on."""
    seen: list[list[str]] = []
    log = type(sandbox._world.log)
    end = log.end

    def note(self: Any, *rest: Any) -> None:
        end(self, *rest)
        world = sandbox._world
        seen.append([file.name for file in world.library.live_files(world.clock.time())])

    monkeypatch.setattr(log, "end", note)
    return seen


def as_another_client(sandbox: Sandbox, method: str, path: str, **request: Any) -> None:
    """Make a call immediately, like a client in another process."""
    answer = httpx.request(
        method,
        f"{sandbox.base_url}{path}",
        params={"api_key": "sandbox-key"},
        headers={"Authorization": "Bearer sandbox-token"},
        **request,
    )
    assert answer.is_success, answer.text


def add_as_another_client(sandbox: Sandbox, name: str, content: bytes) -> None:
    form = {"file_name": name, "folder_id": "0", "description": "", "source": "MyComputer"}
    as_another_client(
        sandbox,
        "POST",
        "/library/files",
        data=form | {"file_type": "PNG"},
        files={"data": (name, content, "image/png")},
    )


# What is compared


async def test_a_new_time_alone_sends_nothing(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "same"})
    await client.library.mirror(root)
    tree({"a.png": "same"})  # written again, later
    assert (await client.library.mirror(root)).equal == 1
    tree({"a.png": "diff"})  # of the same size
    assert told(await client.library.mirror(root)) == {"a.png": "replace"}
    assert stored(sandbox) == {"a.png": b"diff"}


async def test_a_file_that_changes_after_its_upload_is_replaced_by_the_next_run(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "one"})

    def change(event: Any) -> None:
        if event.state is BulkState.ACCEPTED:
            tree({"a.png": "two"})

    await client.library.mirror(root, on_file=change)
    assert stored(sandbox) == {"a.png": b"one"}
    assert told(await client.library.mirror(root)) == {"a.png": "replace"}
    assert stored(sandbox) == {"a.png": b"two"}


@pytest.mark.timeout(60)  # a bound for hangs
@pytest.mark.parametrize("instead", ["nothing", "a pipe", "a device"])
async def test_a_file_that_is_gone_after_its_upload_is_recorded_without_a_digest(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, instead: str
) -> None:
    root = tree({"a.png": "one"})

    def remove(event: Any) -> None:
        if event.state is BulkState.ACCEPTED:
            (root / "a.png").unlink()
            if instead == "a pipe":
                os.mkfifo(root / "a.png")
            elif instead == "a device":
                (root / "a.png").symlink_to("/dev/zero")

    result = await client.library.mirror(root, on_file=remove)
    assert [entry.done for entry in result.entries] == [True]
    (root / "a.png").unlink(missing_ok=True)
    tree({"a.png": "one"})
    assert told(await client.library.mirror(root)) == {"a.png": "replace"}


async def test_without_a_journal_entry_name_and_size_decide(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    add_as_another_client(sandbox, "a.png", PNG + b"xyz")
    add_as_another_client(sandbox, "b.png", PNG + b"longer")
    root = tree({"a.png": "abc", "b.png": "b"})
    result = await client.library.mirror(root)
    assert (told(result), result.equal) == ({"b.png": "replace"}, 1)
    assert stored(sandbox) == {"a.png": b"xyz", "b.png": b"b"}


def flawed_listing(sandbox: Sandbox, name: str, flaw: dict[str, Any]) -> None:
    """From now on, the library's listing has a flaw in the row of one file."""
    rows = [{key: file[key] for key in ("id", "name", "size")} for file in sandbox.admin.files()]
    rows = [row | {"status": "Active"} | (flaw if row["name"] == name else {}) for row in rows]
    body = json.dumps({"meta": {"pagination": {}}, "results": rows}).encode()
    sandbox.admin.fault("answer", "GET", "/library/files", body=body, status=200, times=None)


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("flaw", [{"thumbnail": 5}, {"status": {}}])
async def test_a_row_that_cannot_be_read_stops_no_other_file(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, flaw: dict[str, Any], *, journal: bool
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})
    await client.library.mirror(root)
    if not journal:
        (root / JOURNAL).unlink()
    flawed_listing(sandbox, "a.png", flaw)
    tree({"b.png": "new", "c.png": "c"})

    result = await client.library.mirror(root)

    assert (told(result), result.equal) == ({"b.png": "replace", "c.png": "upload"}, 1)
    assert stored(sandbox) == {"a.png": b"a", "b.png": b"new", "c.png": b"c"}


@pytest.mark.parametrize("other", [{"thumbnail": 5}, {}])
@pytest.mark.parametrize(
    "flaw",
    [{"name": []}, {"name": ""}, {"id": None}, {"id": ""}, {"id": "x,y"}, {"folder_id": []}],
)
async def test_a_file_that_cannot_be_told_from_others_stops_the_mirror(
    client: ConstantContact,
    sandbox: Sandbox,
    tree: Tree,
    flaw: dict[str, Any],
    other: dict[str, Any],
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})
    await client.library.mirror(root)
    (root / "a.png").unlink()
    flawed_listing(sandbox, "a.png", flaw | other)
    before = len(sandbox.admin.requests())

    with pytest.raises(errors.UnreadableRow):
        await client.library.mirror(root, delete=True, max_delete=None)

    assert {entry.method for entry in sandbox.admin.requests()[before:]} == {"GET"}


async def test_a_name_that_is_not_text_in_a_row_with_another_flaw_stops_the_mirror(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a"})
    await client.library.mirror(root)
    flawed_listing(sandbox, "a.png", {"name": 5, "thumbnail": 5})
    with pytest.raises(errors.UnreadableRow):
        await client.library.mirror(root, delete=True, max_delete=None)


async def test_names_in_another_unicode_form_or_case_are_the_same(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    sandbox.admin.configure(composed_names=True)
    add_as_another_client(sandbox, "LOGO.png", PNG + b"logo")
    decomposed = unicodedata.normalize("NFD", "Menü.png")
    root = tree({decomposed: "menu", "logo.png": "logo", "Ü/a.png": "a"})
    assert len((await client.library.mirror(root)).entries) == 2
    assert set(stored(sandbox)) == {"Menü.png", "LOGO.png", "a.png"}
    assert (await client.library.mirror(root)).equal == 3


async def test_a_file_that_becomes_a_folder_after_the_plan_is_an_error_of_that_file(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})

    def replace(_: MirrorResult) -> None:
        (root / "a.png").unlink()
        tree({"a.png/c.png": "c"})

    result = await client.library.mirror(root, on_plan=replace)

    (failed,) = result.failed
    assert (failed.name, type(failed.error)) == ("a.png", errors.FileRefused)
    assert stored(sandbox) == {"b.png": b"b"}


async def test_of_two_names_that_the_library_cannot_tell_apart_the_second_is_refused(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"A.png": "1", "a.png": "2"})
    result = await client.library.mirror(root)
    assert told(result) == {"a.png": "refuse", "A.png": "upload"}
    assert "A.png" in str(result.failed[0].error)
    assert stored(sandbox) == {"A.png": b"1"}


# What is refused


async def test_files_that_cannot_be_sent_come_first_and_the_rest_is_uploaded(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    sandbox.admin.configure(max_upload_size=200)
    root = tree(
        {
            "notes.txt": "text",
            "empty.png": b"",
            "large.png": "x" * 300,
            "n" * 90 + ".png": "long",
            "1/2/3/4/deep.png": "deep",
            "Вёсна/a.png": "folder name",
            "fine.png": "fine",
            ".hidden.png": "hidden",
        }
    )
    plans: list[MirrorResult] = []

    result = await client.library.mirror(root, on_plan=plans.append)

    (plan,) = plans
    actions = [entry.action for entry in plan.entries]
    assert actions == [MirrorAction.REFUSE] * 6 + [MirrorAction.UPLOAD]
    assert len(result.failed) == 6
    assert all(entry.error is not None and not entry.done for entry in result.failed)
    assert stored(sandbox) == {"fine.png": b"fine"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"local": 3}, "local"),
        ({"local": b"bytes"}, "local"),
        ({"local": ""}, "local"),
        ({"max_delete": "some"}, "max_delete"),
        ({"folder_id": ""}, "folder_id"),
        ({"folder_id": "-2"}, "folder_id"),
        ({"delete": 1}, "delete"),
        ({"dry_run": "no"}, "dry_run"),
        ({"on_plan": 3}, "on_plan"),
        ({"journal": 3}, "journal"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
async def test_wrong_arguments_are_refused(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, options: dict[str, Any], field: str
) -> None:
    options = {"local": tree({"a.png": "a"}), **options}
    with pytest.raises(errors.InvalidField) as caught:
        await client.library.mirror(**options)
    assert caught.value.field == field
    assert not sent(sandbox, "POST")


async def test_a_missing_folder_is_refused(
    client: ConstantContact, sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(errors.UsageError, match="not a folder"):
        await client.library.mirror(tmp_path / "none", delete=True)
    assert not sandbox.admin.requests()
    with pytest.raises(errors.NotFound):
        await client.library.mirror(tmp_path, folder_id="-77")


# Folders


async def test_a_folder_of_the_library_and_the_ones_below_it(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    top = await client.library.create_folder("Top")
    sub = await client.library.create_folder("sub", parent_id=top.id)
    await client.library.create_folder("other", parent_id=top.id)
    elsewhere = await client.library.upload(PNG + b"elsewhere", name="else.png")
    below = await client.library.upload(PNG + b"below", name="b.png", folder_id=sub.id)
    root = tree({"a.png": "a", "SUB/c.png": "c", "x/y/z.png": "deep"})

    result = await client.library.mirror(root, folder_id=top.id)

    assert told(result) == {"z.png": "upload", "a.png": "upload", "c.png": "upload"}
    assert {entry.name for entry in result.failed} == set()
    result = await client.library.mirror(root, folder_id=top.id, delete=True)
    assert [(entry.file_id, entry.folders) for entry in result.entries] == [(below.id, ("sub",))]
    assert set(stored(sandbox)) == {"a.png", "c.png", "else.png", "z.png"}
    assert (await client.library.get_file(elsewhere.id)).status == "Active"
    result = await client.library.mirror(root, folder_id=sub.id)
    assert told(result)["z.png"] == "refuse"  # it would be on the fourth level


async def test_the_services_own_folders_are_not_touched(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    theirs = await client.library.upload(PNG + b"t", name="theirs.png", folder_id="-2")
    root = tree({"images/a.png": "a", "b.png": "b"})
    result = await client.library.mirror(root, delete=True)
    assert told(result) == {"a.png": "refuse", "b.png": "upload"}
    assert "Images" not in {entry.name for entry in result.entries}
    assert (await client.library.get_file(theirs.id)).status == "Active"


async def test_an_empty_local_folder_is_a_folder_without_files(
    client: ConstantContact, tree: Tree
) -> None:
    assert (await client.library.mirror(tree({}))).entries == ()


# Deletions


async def test_files_gone_locally_are_trashed_on_request_and_never_emptied(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b", "sub/c.png": "c"})
    await client.library.mirror(root)
    (root / "b.png").unlink()
    result = await client.library.mirror(root)
    assert (result.entries, result.extra) == ((), 1)
    assert set(stored(sandbox)) == {"a.png", "b.png", "c.png"}

    result = await client.library.mirror(root, delete=True)

    assert told(result) == {"b.png": "trash"}
    assert result.entries[0].done
    assert [file.name async for file in client.library.trash()] == ["b.png"]
    assert (await client.library.mirror(root, delete=True)).entries == ()
    tree({"b.png": "b"})
    assert told(await client.library.mirror(root, delete=True)) == {"b.png": "upload"}


@pytest.mark.parametrize(
    ("limit", "stopped"), [("50%", True), (1, True), (2, False), (None, False)]
)
async def test_too_many_deletions_stop_the_plan(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, limit: Any, stopped: bool
) -> None:
    root = tree({"a.png": "a", "b.png": "b", "c.png": "c"})
    await client.library.mirror(root)
    (root / "a.png").unlink()
    (root / "b.png").unlink()
    tree({"d.png": "d"})
    plans: list[MirrorResult] = []
    run = client.library.mirror(root, delete=True, max_delete=limit, on_plan=plans.append)
    if stopped:
        with pytest.raises(errors.UsageError, match="2 of 3 files to the trash"):
            await run
        assert set(stored(sandbox)) == {"a.png", "b.png", "c.png"}
    else:
        await run
        assert set(stored(sandbox)) == {"c.png", "d.png"}
    assert plans[0].count(MirrorAction.TRASH) == 2
    # A dry run shows the plan all the same.
    await client.library.mirror(root, delete=True, max_delete=0, dry_run=True)


async def test_nothing_is_trashed_if_a_folder_cannot_be_read(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree({"a.png": "a", "sub/b.png": "b", "c.png": "c"})
    await client.library.mirror(root)
    (root / "c.png").unlink()
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = await client.library.mirror(root, delete=True, max_delete=None)
    assert told(result) == {"sub": "refuse", "b.png": "trash", "c.png": "trash"}
    assert result.kept_because == "a local folder could not be read"
    assert not any(entry.done for entry in result.entries)
    assert set(stored(sandbox)) == {"a.png", "b.png", "c.png"}


async def test_nothing_is_trashed_after_an_upload_failed(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b", "c.png": "c"})
    await client.library.mirror(root)
    (root / "a.png").rename(root / "eicar_virus.png")
    sandbox.admin.fault("answer", "POST", "/library/files", status=400, body=b"[]")
    result = await client.library.mirror(root, delete=True)
    assert told(result) == {"eicar_virus.png": "upload", "a.png": "trash"}
    assert result.kept_because == "other files failed"
    assert set(stored(sandbox)) == {"a.png", "b.png", "c.png"}


async def test_files_purged_in_the_meantime_count_as_gone(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})
    await client.library.mirror(root)
    (root / "a.png").unlink()
    (root / "b.png").unlink()

    def purge(plan: MirrorResult) -> None:
        first = plan.entries[0].file_id
        as_another_client(sandbox, "DELETE", f"/library/files/{first}")
        as_another_client(sandbox, "DELETE", "/library/folders/trash/files")

    result = await client.library.mirror(root, delete=True, max_delete=None, on_plan=purge)
    assert [entry.done for entry in result.entries] == [True, True]
    assert stored(sandbox) == {}


# A dry run


async def test_a_dry_run_changes_nothing_not_even_on_disk(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})
    result = await client.library.mirror(root, dry_run=True)
    assert (told(result), result.dry_run) == ({"a.png": "upload", "b.png": "upload"}, True)
    assert sorted(path.name for path in root.iterdir()) == ["a.png", "b.png"]
    await client.library.mirror(root)
    (root / "b.png").unlink()
    tree({"a.png": "A"})
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    for _ in range(2):
        result = await client.library.mirror(root, dry_run=True, delete=True)
        assert told(result) == {"a.png": "replace", "b.png": "trash"}
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before
    assert not sent(sandbox, "DELETE")


# Others at work


async def test_another_client_that_takes_the_name_in_between_keeps_it(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "mine"})
    await client.library.mirror(
        root, on_plan=lambda _: add_as_another_client(sandbox, "a.png", PNG + b"theirs")
    )
    assert stored(sandbox) == {"a.png": b"theirs", "a(1).png": b"mine"}
    result = await client.library.mirror(root)
    assert (result.entries, [each.name for each in result.possible_copies]) == ((), ["a.png"])
    result = await client.library.mirror(root, delete=True)
    assert [entry.action.value for entry in result.entries] == ["trash", "finish"]
    assert stored(sandbox) == {"a.png": b"mine"}


async def test_another_process_with_the_same_journal_is_refused(
    client: ConstantContact, connect: Callable[..., Any], sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a"})
    sandbox.admin.fault("hang", "GET", "/library/folders")
    first = asyncio.create_task(client.library.mirror(root))
    await until(sandbox.admin.requests)
    other = await connect(sandbox)
    with pytest.raises(errors.UsageError, match="another process"):
        await other.library.mirror(root)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert told(await other.library.mirror(root)) == {"a.png": "upload"}


async def test_the_calls_leave_room_for_others(
    client: ConstantContact, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: set[Lane] = set()
    acquire = client.budget.acquire

    async def note(lane: Lane, *rest: Any) -> None:
        lanes.add(lane)
        await acquire(lane, *rest)

    monkeypatch.setattr(client.budget, "acquire", note)
    root = tree({"sub/a.png": "a"})
    await client.library.mirror(root)
    tree({"sub/a.png": "b"})
    await client.library.mirror(root)
    assert lanes == {Lane.BULK, Lane.POLL}


# When something goes wrong


async def test_a_change_whose_response_is_lost_leaves_the_old_file_until_it_is_settled(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "old"})
    await client.library.mirror(root)
    tree({"a.png": "new"})
    uploads = len(sent(sandbox, "POST"))

    def break_looks(_: MirrorResult) -> None:
        sandbox.admin.fault("lose_response", "POST", "/library/files")
        sandbox.admin.fault("answer", "GET", "/library/files", status=400, times=None)

    result = await client.library.mirror(root, delete=True, on_plan=break_looks)

    (entry,) = result.entries
    assert isinstance(entry.error, errors.AmbiguousUpload)
    assert stored(sandbox)["a.png"] == b"old"
    sandbox.admin.clear_faults()
    result = await client.library.mirror(root, delete=True)
    assert [(entry.action.value, entry.done) for entry in result.entries] == [("replace", True)]
    assert stored(sandbox) == {"a.png": b"new"}
    assert len(sent(sandbox, "POST")) - uploads == 1


async def test_a_file_that_changed_after_a_lost_response_is_sent_as_it_is_now(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "one"})

    def break_looks(_: MirrorResult) -> None:
        sandbox.admin.fault("lose_response", "POST", "/library/files")
        sandbox.admin.fault("answer", "GET", "/library/files", status=400, times=None)

    await client.library.mirror(root, on_plan=break_looks)
    sandbox.admin.clear_faults()
    tree({"a.png": "two"})  # of the same size, so the size does not show the change
    assert told(await client.library.mirror(root)) == {"a.png": "replace"}
    assert stored(sandbox) == {"a.png": b"two"}


async def test_a_copy_of_a_file_that_was_sent_twice_and_then_changed_is_named_until_it_is_gone(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "one"})
    sandbox.admin.configure(listing_lag=3600.0)
    sandbox.admin.fault("lose_response", "POST", "/library/files")
    sandbox.admin.fault("delay_response", "POST", "/library/files", seconds=60.0)
    run = asyncio.create_task(client.library.mirror(root))
    await until(lambda: len(sandbox.admin.files()) == 2)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    sandbox.admin.configure(listing_lag=0.0)
    (copy,) = [file["id"] for file in sandbox.admin.files() if file["name"] == "a(1).png"]

    tree({"a.png": "two"})
    for actions in ({"a.png": "replace"}, {}, {}):
        result = await client.library.mirror(root)
        assert told(result) == actions
        assert [(each.action, each.name, each.file_id) for each in result.possible_copies] == [
            (MirrorAction.KEEP, "a(1).png", copy)
        ]
    assert stored(sandbox) == {"a.png": b"two", "a(1).png": b"one"}
    result = await client.library.mirror(root, delete=True, max_delete=None)
    assert (told(result), result.possible_copies) == ({"a(1).png": "trash"}, ())
    assert stored(sandbox) == {"a.png": b"two"}


def numbered(sandbox: Sandbox) -> bytes:
    """The record of the next file, with a number in its name; the sandbox counts its IDs up."""
    next_id = max(int(file["id"]) for file in sandbox.admin.files()) + 1
    return json.dumps({"id": str(next_id), "name": "a(1).png", "description": ""}).encode()


async def test_if_the_service_refuses_a_taken_name_the_old_file_goes_first(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "0"})
    await client.library.mirror(root)
    taken = b'[{"error_key": "http.status.conflict", "error_message": "The name is taken."}]'
    for version, status in enumerate((400, 409, 200), start=1):
        tree({"a.png": str(version)})
        body = numbered(sandbox) if status == 200 else taken
        sandbox.admin.fault("answer", "PUT", status=status, body=body)
        puts = len(sent(sandbox, "PUT"))
        assert not (await client.library.mirror(root)).failed
        assert len(sent(sandbox, "PUT")) - puts == 2
        assert stored(sandbox) == {"a.png": str(version).encode()}


async def test_a_service_that_never_gives_the_name_is_reported(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "0"})
    await client.library.mirror(root)
    tree({"a.png": "1"})
    sandbox.admin.fault("answer", "PUT", status=200, body=numbered(sandbox), times=2)
    (entry,) = (await client.library.mirror(root)).failed
    assert "a name other than a.png" in str(entry.error)
    assert stored(sandbox) == {"a(1).png": b"1"}
    assert told(await client.library.mirror(root)) == {"a.png": "finish"}
    assert stored(sandbox) == {"a.png": b"1"}


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("PUT", {"status": 400}),
        ("DELETE", {"status": 400}),
        ("DELETE", {"status": 404, "body": "<html>404 Not Found"}),
        ("DELETE", {"status": 200, "body": "<html>Log in"}),
    ],
)
async def test_a_replacement_that_was_not_finished_is_finished_by_the_next_run(
    mirror: Mirror, sandbox: Sandbox, tree: Tree, method: str, answer: dict[str, Any]
) -> None:
    root = tree({"a.png": "old", "b.png": "b"})
    await mirror(root)
    tree({"a.png": "new"})
    sandbox.admin.fault("answer", method, "/library/files/*", times=None, **answer)
    (entry,) = (await mirror(root)).failed
    assert getattr(entry.error, "status", None) == answer["status"]
    sandbox.admin.clear_faults()
    posts = len(sent(sandbox, "POST"))
    result = await mirror(root)
    assert [(entry.action.value, entry.done) for entry in result.entries] == [("finish", True)]
    assert len(sent(sandbox, "POST")) == posts
    assert stored(sandbox) == {"a.png": b"new", "b.png": b"b"}


async def test_an_error_that_concerns_all_files_ends_the_run_and_the_same_call_continues(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({f"{n}.png": str(n) for n in range(12)})
    sandbox.admin.fault("unauthorized", "POST", "/library/files", skip=5, times=None)
    with pytest.raises(errors.AuthenticationFailed):
        await client.library.mirror(root, concurrency=2)
    sandbox.admin.clear_faults()
    await client.library.mirror(root)
    assert stored(sandbox) == {f"{n}.png": str(n).encode() for n in range(12)}
    assert len(sandbox.admin.files()) == 12


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_error_that_concerns_all_files_ends_the_last_steps_too(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, method: str
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})
    await client.library.mirror(root)
    if method == "GET":
        tree({"a.png": "A"})
    else:
        (root / "a.png").unlink()
    sandbox.admin.fault("unauthorized", method, "/library/files/*", skip=int(method == "GET"))
    with pytest.raises(errors.AuthenticationFailed):
        await client.library.mirror(root, delete=True)
    await client.library.mirror(root, delete=True)
    assert (await client.library.mirror(root, delete=True)).entries == ()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/library/files"), ("POST", "/library/files"), ("PUT", "*"), ("DELETE", "*")],
)
async def test_an_outage_is_waited_for_in_every_step(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, method: str, path: str
) -> None:
    root = tree({"a.png": "old", "b.png": "b", "c.png": "c"})
    await client.library.mirror(root)
    tree({"a.png": "new"})
    (root / "b.png").unlink()
    for armed in (method, "GET"):
        where = path if armed == method else "/library/info"
        sandbox.admin.fault("unavailable", armed, where, times=9 if armed == method else 2)
    result = await client.library.mirror(root, delete=True)
    assert not result.failed
    assert stored(sandbox) == {"a.png": b"new", "c.png": b"c"}
    assert len(sandbox.admin.files()) == 4


async def test_a_long_outage_ends_the_run(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a"})
    sandbox.admin.fault("unavailable", times=None)
    with pytest.raises(errors.ServiceUnavailable):
        await client.library.mirror(root, outage_timeout=60.0)
    sandbox.admin.clear_faults()
    assert told(await client.library.mirror(root)) == {"a.png": "upload"}


@pytest.mark.parametrize(
    "answer", [{"status": 400}, {"status": 404, "body": "<html>404 Not Found"}]
)
async def test_deletions_that_fail_are_reported_and_tried_again(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, answer: dict[str, Any]
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})
    await client.library.mirror(root)
    (root / "a.png").unlink()
    sandbox.admin.fault("answer", "DELETE", times=None, **answer)
    (entry,) = (await client.library.mirror(root, delete=True)).failed
    assert entry.action is MirrorAction.TRASH
    sandbox.admin.clear_faults()
    assert told(await client.library.mirror(root, delete=True)) == {"a.png": "trash"}
    assert stored(sandbox) == {"b.png": b"b"}


async def test_a_deletion_that_is_refused_does_not_stop_the_others(
    mirror: Mirror, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b", "c.png": "c", "d.png": "d"})
    first = await mirror(root)
    ids = {entry.name: entry.file_id for entry in first.entries}
    for name in ("a.png", "b.png", "c.png"):
        (root / name).unlink()
    sandbox.admin.fault("answer", "DELETE", f"*{ids['b.png']}*", status=409, times=None)
    result = await mirror(root, delete=True, max_delete=None)
    assert {entry.name: entry.done for entry in result.entries} == {
        "a.png": True, "b.png": False, "c.png": True,
    }  # fmt: skip
    assert stored(sandbox) == {"b.png": b"b", "d.png": b"d"}


@pytest.mark.parametrize(
    ("status", "body"), [(400, "[]"), (404, "<html>404 Not Found"), (410, "[]"), (200, "{}")]
)
async def test_a_file_that_cannot_be_looked_up_does_not_stop_the_others(
    mirror: Mirror, sandbox: Sandbox, tree: Tree, status: int, body: str
) -> None:
    root = tree({"a.png": "a"})
    (entry,) = (await mirror(root)).entries
    sandbox.admin.configure(listing_lag=3600.0)
    tree({"b.png": "b"})
    answer: dict[str, Any] = {"status": status, "headers": {}, "body": body}
    sandbox.admin.fault("answer", "GET", f"/library/files/{entry.file_id}", times=None, **answer)
    result = await mirror(root, delete=True)
    assert told(result) == {"a.png": "refuse", "b.png": "upload"}
    assert [failed.name for failed in result.failed] == ["a.png"]
    sandbox.admin.clear_faults()
    assert (await mirror(root)).equal == 2
    assert len(sent(sandbox, "POST")) == 2


async def test_a_file_that_the_listing_does_not_show_yet_is_not_sent_again(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    sandbox.admin.configure(listing_lag=3600.0)
    root = tree({"a.png": "a", "sub/b.png": "b"})
    await client.library.mirror(root)
    assert (await client.library.mirror(root)).equal == 2
    assert len(sandbox.admin.files()) == 2


async def test_a_file_that_is_gone_from_the_library_is_sent_again(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a", "b.png": "b"})
    first = await client.library.mirror(root)
    ids = {entry.name: entry.file_id for entry in first.entries}
    await client.library.delete_files(ids["b.png"])
    await client.library.empty_trash()
    await client.library.delete_files(ids["a.png"])
    assert told(await client.library.mirror(root)) == {"a.png": "upload", "b.png": "upload"}
    assert stored(sandbox) == {"a.png": b"a", "b.png": b"b"}


async def test_two_mirrors_with_their_own_journals_settle_after_a_change(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, tmp_path: Path
) -> None:
    journals = [tmp_path / "one.sqlite", tmp_path / "other.sqlite"]
    for content in ("one", "two", "longer"):
        root = tree({"a.png": content})
        plans = [await client.library.mirror(root, journal=each) for each in journals * 2]
        assert [len(plan.entries) for plan in plans] == [1, 0, 0, 0]
        assert stored(sandbox) == {"a.png": content.encode()}
    assert len(sent(sandbox, "POST")) == 3


def convert(sandbox: Sandbox, file_id: str, content: bytes) -> None:
    """Make the service store bytes that differ from those that were sent."""
    path = f"/content/*/{file_id}.*"
    sandbox.admin.fault("answer", "GET", path, body=content, status=200, times=None)


@pytest.mark.parametrize("emptied", [False, True])
async def test_two_mirrors_settle_after_a_change_of_a_picture_that_the_service_converts(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, tmp_path: Path, emptied: bool
) -> None:
    journals = [tmp_path / "one.sqlite", tmp_path / "other.sqlite"]
    for content in ("one", "two"):
        convert(sandbox, "*", PNG + b"converted " + content.encode())
        root = tree({"a.png": content})
        for each in journals:
            await client.library.mirror(root, journal=each)
        if emptied and content == "two":
            await client.library.empty_trash()
        plans = [await client.library.mirror(root, journal=each) for each in journals * 2]
        settled = not emptied or content == "one"
        assert [len(plan.entries) for plan in plans][2:] == [0, 0]
        assert len(plans[0].entries) == (0 if settled else 1)
        sandbox.admin.clear_faults()
    assert stored(sandbox) == {"a.png": b"two"}


@pytest.mark.parametrize("theirs", [PNG + b"theirs", b"<html>This page is served for any file."])
async def test_another_picture_in_place_of_a_converted_one_is_replaced(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, theirs: bytes
) -> None:
    root = tree({"a.png": "one"})
    (entry,) = (await client.library.mirror(root)).entries
    await client.library.delete_files(entry.file_id)
    add_as_another_client(sandbox, "a.png", PNG + b"two")
    if theirs.startswith(PNG):
        convert(sandbox, entry.file_id, PNG + b"ours")
    convert(sandbox, "*", theirs)
    assert told(await client.library.mirror(root)) == {"a.png": "replace"}


async def test_another_clients_file_of_the_same_size_in_place_of_a_recorded_one_is_replaced(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "one"})
    (entry,) = (await client.library.mirror(root)).entries
    await client.library.delete_files(entry.file_id)
    add_as_another_client(sandbox, "a.png", PNG + b"two")
    assert told(await client.library.mirror(root)) == {"a.png": "replace"}
    assert stored(sandbox) == {"a.png": b"one"}
    assert (await client.library.mirror(root)).equal == 1


async def test_a_local_folder_that_was_moved_keeps_its_journal(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, tmp_path: Path
) -> None:
    root = tree({"a.png": "a"})
    sandbox.admin.configure(mode="looks", looks=10**6)
    run = asyncio.create_task(client.library.mirror(root))
    await until(lambda: len(sent(sandbox, "GET", "/library/files/uploadstatus/*")) > 1)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    moved = root.rename(tmp_path / "moved")
    sandbox.admin.configure(mode="at_once")
    (file,) = sandbox.admin.files()
    sandbox.admin.set_status(file["id"], "Active")
    result = await client.library.mirror(moved)
    assert [(entry.action.value, entry.file_id) for entry in result.entries] == [
        ("upload", file["id"])
    ]
    assert [entry async for entry in read_journal(moved / ".ccv2-mirror.sqlite")] == []
    assert (await client.library.mirror(moved)).equal == 1


async def test_a_file_that_the_service_refused_for_good_is_not_sent_again(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "a"})
    sandbox.admin.configure(mode="looks", looks=10**6)
    run = asyncio.create_task(client.library.mirror(root))
    await until(sandbox.admin.files)
    sandbox.admin.set_status(sandbox.admin.files()[0]["id"], "VirusFound")
    (entry,) = (await run).failed
    assert isinstance(entry.error, errors.UploadFailed)
    assert len((await client.library.mirror(root)).failed) == 1
    assert len(sent(sandbox, "POST")) == 1
    sandbox.admin.configure(mode="at_once")
    tree({"a.png": "clean"})
    assert not (await client.library.mirror(root)).failed


class Cancelled:
    """Awaits something, and cancels the task before one of its suspensions."""

    def __init__(self, work: Any, before: int) -> None:
        self.work = work
        self.left = before

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        steps = self.work.__await__()
        try:
            yielded = steps.send(None)
            while True:
                if self.left == 0:
                    task.cancel()
                self.left -= 1
                try:
                    sent = yield yielded
                except BaseException as error:  # noqa: BLE001  # handed on
                    yielded = steps.throw(error)
                else:
                    yielded = steps.send(sent)
        except StopIteration as done:
            return done.value


@pytest.mark.timeout(120)
async def test_a_run_that_is_cancelled_at_any_await_is_continued_by_the_next(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree({"a.png": "0", "keep.png": "k"})
    await client.library.mirror(root)
    names = names_after_each_request(sandbox, monkeypatch)
    cancelled = True
    for number in itertools.count():
        if not cancelled:
            break
        gone, new = f"{number}.png", f"{number + 1}.png"
        tree({"a.png": f"version {number}", new: "n"})
        (root / gone).unlink(missing_ok=True)

        async def run(number: int = number) -> MirrorResult:
            done: MirrorResult = await Cancelled(
                client.library.mirror(root, delete=True), before=number
            )
            return done

        async with no_task_left():
            task = asyncio.create_task(run())
            await asyncio.wait([task])
        cancelled = task.cancelled()
        assert cancelled or not task.result().failed
        result = await client.library.mirror(root, delete=True)
        assert not result.failed, result
        assert stored(sandbox) == {
            "a.png": f"version {number}".encode(),
            "keep.png": b"k",
            new: b"n",
        }
        # Each version of each file was stored once.
        assert len(sandbox.admin.files()) == 2 + 2 * (number + 1)
        assert (await client.library.mirror(root, delete=True)).entries == ()
    assert number > 30
    assert all("a.png" in seen and "keep.png" in seen for seen in names)
    trashed = [id_ for path in sent(sandbox, "DELETE") for id_ in path.split(",")]
    assert len(set(trashed)) == 2 * number - 1


async def test_a_file_that_a_firewall_blocks_fails_alone(
    mirror: Mirror, sandbox: Sandbox, tree: Tree
) -> None:
    root = tree({"a.png": "1", "b.png": "2", "c.png": "3"})
    page = "<html>Request blocked</html>"
    sandbox.admin.fault("answer", "POST", "/library/files", status=403, body=page)

    result, rerun = await mirror(root), await mirror(root)

    assert [type(entry.error) for entry in result.failed] == [errors.Forbidden]
    assert (len(rerun.failed), len(sandbox.admin.files())) == (0, 3)


@pytest.mark.parametrize("status", [400, 405, 409, 413])
async def test_a_page_of_a_firewall_does_not_mean_that_a_name_is_taken(
    mirror: Mirror, sandbox: Sandbox, tree: Tree, status: int
) -> None:
    await mirror(tree({"menu.png": "1"}))
    root = tree({"menu.png": "2"})
    page: dict[str, Any] = {"status": status, "body": "<html>Request blocked</html>"}
    sandbox.admin.fault("answer", "PUT", "/library/files/*", times=None, **page)

    result = await mirror(root)

    assert [entry.name for entry in result.failed] == ["menu.png"]
    active = [file["name"] for file in sandbox.admin.files() if file["status"] == "Active"]
    assert "menu.png" in active

    sandbox.admin.clear_faults()
    assert (await mirror(root)).failed == ()
    active = [file["name"] for file in sandbox.admin.files() if file["status"] == "Active"]
    assert active == ["menu.png"]


@pytest.mark.parametrize("content", ["2", "3"])
@pytest.mark.parametrize("delete", [False, True])
async def test_a_file_that_the_service_did_not_know_is_asked_for_again(
    mirror: Mirror, sandbox: Sandbox, tree: Tree, delete: bool, content: str
) -> None:
    await mirror(tree({"a.png": "1"}))
    root = tree({"a.png": "2"})
    unknown: dict[str, Any] = {"status": 200, "body": "[]", "times": None}
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", **unknown)
    unknown["status"] = 404
    sandbox.admin.fault("answer", "GET", "/library/files/[0-9]*", **unknown)
    (failed,) = (await mirror(root)).failed
    assert isinstance(failed.error, errors.JobNotFound)

    sandbox.admin.clear_faults()
    if content != "2":
        tree({"a.png": content})
    result = await mirror(root, delete=delete)

    assert result.failed == ()
    assert stored(sandbox) == {"a.png": content.encode()}


async def test_a_file_that_an_upload_has_found_is_not_trashed_as_an_extra_one(
    connect: Callable[..., Awaitable[ConstantContact]], sandbox: Sandbox, tree: Tree
) -> None:
    first, second = await connect(sandbox), await connect(sandbox)
    await first.library.mirror(tree({"a.png": "1"}))
    await first.library.upload(PNG + b"2", name="a(1).png")
    sandbox.admin.fault("answer", "POST", "/library/files", status=500, read_body=True)

    result = await second.library.mirror(tree({"a.png": "2"}), delete=True)

    assert told(result) == {"a.png": "replace"}
    assert stored(sandbox) == {"a.png": b"2"}


# Incomplete listings


def incomplete(sandbox: Sandbox, path: str, change: Callable[[list[Any]], object]) -> None:
    """From now on, a listing answers as it does now, with a change in its rows."""
    answer = httpx.get(
        f"{sandbox.base_url}{path}",
        params={"api_key": "sandbox-key"},
        headers={"Authorization": "Bearer sandbox-token"},
    ).json()
    change(answer.get("results") or answer["children"])
    body = json.dumps(answer)
    headers = {"Content-Type": "application/json"}
    sandbox.admin.fault("answer", "GET", path, status=200, headers=headers, body=body, times=None)


def row(rows: list[Any], name: str) -> dict[str, Any]:
    return next(row for row in rows if row["name"] == name)


FOLDER_FLAWS: dict[str, Callable[[list[Any]], object]] = {
    "no row": lambda rows: rows.remove(row(rows, "sub")),
    "a null row": lambda rows: rows.__setitem__(rows.index(row(rows, "sub")), None),
    "no children": lambda rows: row(rows, "sub").pop("children"),
    "null children": lambda rows: row(rows, "sub").update(children=None),
    "a number as name": lambda rows: row(rows, "sub").update(name=0),
}


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("flaw", FOLDER_FLAWS)
async def test_a_folder_that_a_listing_lacks_is_requested(
    client: ConstantContact,
    sandbox: Sandbox,
    tree: Tree,
    flaw: str,
    *,
    journal: bool,
    top: bool,
) -> None:
    if flaw == "a number as name" and not journal:
        return  # it cannot be told from a folder with this name
    root = tree({"a.png": "a", "sub/b.png": "b", "sub/deep/c.png": "c"})
    base = "0" if top else (await client.library.create_folder("Top")).id
    await client.library.mirror(root, folder_id=base)
    if not journal:
        (root / JOURNAL).unlink()
    path = "/library/folders" if top else f"/library/folders/{base}"
    incomplete(sandbox, path, FOLDER_FLAWS[flaw])

    result = await client.library.mirror(root, folder_id=base, delete=True)

    assert (result.entries, result.equal) == ((), 3)


FOLDER_LACKS: dict[str, tuple[str, Callable[[list[Any]], object]]] = {
    "an empty name": ("no name", lambda rows: row(rows, "sub").update(name="")),
    "no level": ("no level", lambda rows: row(rows, "sub").pop("level")),
    "no level of the service's own": ("no level", lambda rows: row(rows, "Images").pop("level")),
}


@pytest.mark.parametrize("lacking", FOLDER_LACKS)
async def test_a_folder_without_a_name_or_level_stops_the_mirror(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, lacking: str
) -> None:
    root = tree({"sub/b.png": "b"})
    await client.library.mirror(root)
    reason, change = FOLDER_LACKS[lacking]
    incomplete(sandbox, "/library/folders", change)
    before = len(sandbox.admin.requests())
    with pytest.raises(errors.DecodeError, match=f"it has {reason}"):
        await client.library.mirror(root, delete=True, max_delete=None)
    assert {entry.method for entry in sandbox.admin.requests()[before:]} == {"GET"}


async def test_a_mirrored_folder_without_a_level_stops_the_mirror(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    folder = await client.library.create_folder("Top")
    body = json.dumps({"id": folder.id, "name": "Top", "children": []})
    sandbox.admin.fault("answer", "GET", f"/library/folders/{folder.id}", status=200, body=body)
    with pytest.raises(errors.DecodeError, match="it has no level"):
        await client.library.mirror(tree({"a.png": "a"}), folder_id=folder.id)
    assert not sandbox.admin.requests("POST", "/library/files")


@pytest.mark.parametrize(
    ("status", "answer"),
    [(404, []), (400, []), (200, {"name": ""}), (200, {"parent_id": "own"})],
)
async def test_a_file_in_a_folder_that_cannot_be_found_is_not_sent_again(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, status: int, answer: Any
) -> None:
    root = tree({"a.png": "a", "sub/b.png": "b", "sub/c.png": "c"})
    await client.library.mirror(root)
    own = row(sandbox.admin.files(), "b.png")["folder_id"]
    incomplete(sandbox, "/library/folders", FOLDER_FLAWS["no row"])
    if status == 200:
        answer = {"id": own, "name": "sub", "parent_id": "0"} | answer
        answer["parent_id"] = answer["parent_id"].replace("own", own)
    headers = {"Content-Type": "application/json"}
    facts: dict[str, Any] = {"status": status, "headers": headers, "body": json.dumps(answer)}
    sandbox.admin.fault("answer", "GET", f"/library/folders/{own}", times=None, **facts)
    (root / "a.png").unlink()

    result = await client.library.mirror(root, delete=True, max_delete=None)

    assert told(result) == {"a.png": "trash", "b.png": "refuse", "c.png": "refuse"}
    sandbox.admin.clear_faults()
    assert (await client.library.mirror(root, delete=True)).equal == 2
    assert len(sent(sandbox, "POST")) == 3


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    ("status", "answer"),
    [(404, "<html>"), (404, ""), (400, "<html>"), (200, "<html>"), (200, "{}")],
)
async def test_an_unreadable_folder_of_a_file_without_a_record_stops_the_mirror(
    client: ConstantContact,
    sandbox: Sandbox,
    tree: Tree,
    status: int,
    answer: str,
    *,
    recorded: bool,
) -> None:
    root = tree({"sub/b.png": "b"})
    await client.library.mirror(root)
    own = row(sandbox.admin.files(), "b.png")["folder_id"]
    if recorded:  # but not the other file of the folder
        await client.library.upload(tree({"sub/c.png": "c"}) / "sub/c.png", folder_id=own)
    else:
        (root / JOURNAL).unlink()
    incomplete(sandbox, "/library/folders", FOLDER_FLAWS["no row"])
    facts: dict[str, Any] = {"status": status, "body": answer, "times": None}
    sandbox.admin.fault("answer", "GET", f"/library/folders/{own}", **facts)
    before = len(sandbox.admin.requests())

    with pytest.raises(errors.ConstantContactError, match=f"library folder {own}"):
        await client.library.mirror(root, delete=True, max_delete=None)

    assert {entry.method for entry in sandbox.admin.requests()[before:]} == {"GET"}
    sandbox.admin.clear_faults()
    result = await client.library.mirror(root)
    assert (result.entries, result.equal) == ((), 1 + recorded)


async def test_a_file_in_a_folder_that_the_service_does_not_know_is_left_alone(
    client: ConstantContact, sandbox: Sandbox, tree: Tree
) -> None:
    other = await client.library.create_folder("sub")
    root = tree({"a.png": "a"})
    await client.library.upload(root / "a.png", folder_id=other.id)
    incomplete(sandbox, "/library/folders", lambda rows: rows.remove(row(rows, "sub")))
    body = json.dumps([{"error_key": "http.status.not_found", "error_message": "No folder."}])
    facts: dict[str, Any] = {"status": 404, "body": body, "times": None}
    facts["headers"] = {"Content-Type": "application/json"}
    sandbox.admin.fault("answer", "GET", f"/library/folders/{other.id}", **facts)

    result = await client.library.mirror(root, delete=True, max_delete=None)

    assert told(result) == {"a.png": "upload"}
    assert len(sandbox.admin.files()) == 2


@pytest.mark.parametrize("answers", [True, False])
async def test_a_file_whose_row_lacks_its_folder_is_requested(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, *, answers: bool
) -> None:
    root = tree({"a.png": "a", "sub/b.png": "b"})
    first = await client.library.mirror(root)
    (own,) = [entry.file_id for entry in first.entries if entry.name == "b.png"]
    incomplete(sandbox, "/library/files", lambda rows: row(rows, "b.png").pop("folder_id"))
    if not answers:
        sandbox.admin.fault("answer", "GET", f"/library/files/{own}", status=400, body="[]")

    result = await client.library.mirror(root, delete=True, max_delete=None)

    assert told(result) == ({} if answers else {"b.png": "refuse"})
    assert set(stored(sandbox)) == {"a.png", "b.png"}


@pytest.mark.parametrize("top", [True, False])
async def test_a_file_that_was_moved_to_another_folder_is_sent_again(
    client: ConstantContact, sandbox: Sandbox, tree: Tree, *, top: bool
) -> None:
    root = tree({"a.png": "a", "sub/b.png": "b"})
    elsewhere = await client.library.create_folder("elsewhere")
    base = "0" if top else (await client.library.create_folder("Top")).id
    await client.library.mirror(root, folder_id=base)
    files = [file["id"] for file in sandbox.admin.files()]
    await client.library.move_files("-2" if top else elsewhere.id, files)
    result = await client.library.mirror(root, folder_id=base, delete=True)
    assert told(result) == {"a.png": "upload", "b.png": "upload"}
    assert (await client.library.mirror(root, folder_id=base)).listed == 2
