"""The state of a sandbox as a file: for restarts, and as a seed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.saved import VERSION, write_file
from tests.sandbox.conftest import credentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "ccv2_sandbox_state"
CSV = b"Email Address,First Name\r\nann@example.com,Ann\r\nnot an address,X\r\n"
EXPORT = {
    "file_type": "CSV",
    "sort_by": "EMAIL_ADDRESS",
    "export_date_added": False,
    "export_added_by": False,
    "lists": ["1"],
    "column_names": ["Email Address", "First Name"],
}


class StoppedClock:
    now = 1_764_370_800.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "account.json"


def client_of(sandbox: Sandbox) -> httpx.Client:
    return httpx.Client(**credentials(sandbox), trust_env=False)


def upload(client: httpx.Client, name: str, content: bytes = b"12345678") -> str:
    texts = {"file_name": name, "folder_id": "0", "description": "", "source": "MyComputer"}
    kind = {"file_type": name.rpartition(".")[2].upper()}
    answer = client.post("/library/files", data=texts | kind, files={"data": content})
    assert answer.status_code == 202, answer.text
    return answer.headers["id"]


def status_of(client: httpx.Client, file_id: str) -> str:
    status: str = client.get(f"/library/files/uploadstatus/{file_id}").json()[0]["status"]
    return status


def import_file(client: httpx.Client, content: bytes = CSV) -> str:
    answer = client.post(
        "/activities/addcontacts",
        data={"file_name": "people.csv", "lists": "1"},
        files={"data": content},
    )
    activity_id: str = answer.json()["id"]
    return activity_id


def through_json(saved: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(saved, allow_nan=False))
    return document


def test_an_account_is_the_same_after_it_was_saved_and_loaded() -> None:
    clock = StoppedClock()
    with Sandbox(mode="seconds", seed="demo", clock=clock) as first, client_of(first) as api:
        sent = [upload(api, name) for name in ("a.png", "stuck.png", "late.png", "a.png")]
        api.delete(f"/library/files/{sent[-1]}")
        api.post("/library/folders", json={"name": "Menus"})
        jobs = [import_file(api), api.post("/activities/exportcontacts", json=EXPORT).json()["id"]]
        first.admin.advance(3)
        saved = first.admin.save()
        assert saved[KEY] == VERSION
    with Sandbox(mode="seconds", clock=clock) as second, client_of(second) as api:
        second.admin.load(through_json(saved))
        assert second.admin.save() == saved
        assert second.admin.time() == clock.now + 3
        assert second.admin.content(sent[0]) == b"12345678"
        assert status_of(api, sent[0]) == "Processing"
        second.admin.advance(5)
        assert [status_of(api, file_id) for file_id in sent[:2]] == ["Active", "Uploaded"]
        done = [api.get(f"/activities/{job}").json() for job in jobs]
        assert [row["status"] for row in done] == ["COMPLETE", "COMPLETE"]
        assert done[0]["contact_count"] == 2
        assert done[0]["errors"][0]["line_number"] == 3
        second.admin.load(through_json(second.admin.save()))
        exported = api.get(done[1]["file_name"]).text
        assert exported.count("\r\n") == done[1]["contact_count"] + 1 > 50
        assert "ann@example.com,Ann" in exported


def test_ids_keep_growing_after_a_restart(path: Path) -> None:
    made: list[tuple[int, ...]] = []
    for _ in range(3):
        with Sandbox(mode="at_once", state=path) as sandbox, client_of(sandbox) as api:
            file_id = upload(api, "a.png")
            name = f"List {len(made)}"
            row = api.post("/lists", json={"name": name, "status": "ACTIVE"}).json()
            folder = api.post("/library/folders", json={"name": name}).json()
            api.delete(f"/library/folders/{folder['id']}")
            made.append((int(file_id), int(row["id"]), -int(folder["id"])))
            api.delete(f"/library/files/{file_id}")
            api.delete("/library/folders/trash/files")
            api.delete(f"/lists/{row['id']}")
    assert made[1] == tuple(number + 1 for number in made[0])
    assert made[2] == tuple(number + 2 for number in made[0])


def test_a_state_goes_before_the_seed_and_a_reset_returns_to_the_seed(path: Path) -> None:
    with Sandbox(state=path, seed="demo") as sandbox:
        sandbox.admin.load({KEY: VERSION})
        assert sandbox.admin.state()["contacts"] == 0
    with Sandbox(state=path, seed="demo") as sandbox:
        assert sandbox.admin.state()["contacts"] == 0
        sandbox.admin.reset()
        assert sandbox.admin.state()["contacts"] == 120
    assert Sandbox(state=path).admin.state()["contacts"] == 120


def test_a_saved_account_is_a_seed(path: Path) -> None:
    path.write_text(json.dumps(Sandbox(seed="demo").admin.save()))
    with Sandbox(seed=path) as sandbox, client_of(sandbox) as api:
        assert sandbox.admin.state()["contacts"] == 120
        assert sandbox.admin.settings()["seed"] == str(path)
        api.delete("/lists/1")
        path.unlink()
        sandbox.admin.reset()
        assert api.get("/lists/1").status_code == 200
        sandbox.admin.configure(seed=None)
        sandbox.admin.reset()
        assert sandbox.admin.state()["contacts"] == 0


def test_a_seed_that_was_written_by_hand_needs_only_what_differs(path: Path) -> None:
    contacts = {"7": {"id": "7", "email": "ann@example.com", "lists": {"4": 0}}}
    lists = {"4": {"id": "4", "name": "Guests"}}
    path.write_text(json.dumps({KEY: 1, "contacts": {"contacts": contacts, "lists": lists}}))
    with Sandbox(seed=path) as sandbox, client_of(sandbox) as api:
        [row] = api.get("/lists/4/contacts").json()["results"]
        assert (row["id"], row["status"]) == ("7", "ACTIVE")
        body = {"email_addresses": [{"email_address": "bob@example.com"}], "lists": [{"id": "4"}]}
        assert api.post("/contacts", json=body).json()["id"] == "8"
        assert len(api.get("/library/folders").json()["results"]) == 2


def test_another_process_saves_and_loads_over_http() -> None:
    with Sandbox(seed="demo") as sandbox:
        url = f"{sandbox.origin}/__sandbox__/saved"
        saved = httpx.get(url, trust_env=False).json()
        sandbox.admin.load({KEY: VERSION})
        assert httpx.post(url, json=saved, trust_env=False).status_code == 200
        assert sandbox.admin.save() == saved
        wrongs: list[Any] = [{}, {KEY: 2}, [], {**saved, "colors": {}}]
        for wrong in wrongs:
            answer = httpx.post(url, json=wrong, trust_env=False)
            assert answer.status_code == 400
        assert sandbox.admin.save() == saved


def test_a_seed_over_http_reads_no_file(path: Path) -> None:
    path.write_text(json.dumps({KEY: VERSION}))
    with Sandbox() as sandbox:
        url = f"{sandbox.origin}/__sandbox__/settings"
        assert httpx.post(url, json={"seed": str(path)}, trust_env=False).status_code == 400


@pytest.mark.parametrize("argument", ["state", "seed"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not valid JSON"),
        ('{"ccv2_sandbox_state": 1, "contacts": {"lis', "it is not valid JSON"),
        ("[]", "it is not the state of a sandbox"),
        ('{"results": []}', "it is not the state of a sandbox"),
        ('{"ccv2_sandbox_state": true}', "it is not the state of a sandbox"),
        ('{"ccv2_sandbox_state": 2}', "it has version 2, .* up to 1: update ccv2-async"),
        ('{"ccv2_sandbox_state": 1, "colors": {}}', "colors is not a part"),
        ('{"ccv2_sandbox_state": 1, "contacts": []}', "contacts: an object is expected"),
        ('{"ccv2_sandbox_state": 1, "clock": {"offset": "x"}}', "clock.offset"),
    ],
)
def test_a_file_that_is_broken_or_newer_is_refused_and_stays(
    path: Path, argument: str, text: str, message: str
) -> None:
    path.write_text(text)
    arguments: Any = {argument: path}
    with pytest.raises(ValueError, match=f"account.json cannot be used: .*{message}") as caught:
        Sandbox(**arguments)
    assert "\n" not in str(caught.value)
    assert path.read_text() == text
    assert [each.name for each in path.parent.iterdir()] == [path.name]


FOLDER = {"id": "-5", "name": "x"}
CONTACT = {"id": "1", "email": "ann@example.com"}


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("contacts", {"contacts": {"1": {**CONTACT, "lists": {"9": 0}}}}, "list 9"),
        ("contacts", {"contacts": {"1": {**CONTACT, "email": "ann"}}}, "not an email address"),
        ("contacts", {"contacts": {"2": CONTACT}}, "has the id 1"),
        ("contacts", {"contacts": {"x": {**CONTACT, "id": "x"}}}, "'x' is not the number"),
        ("contacts", {"contacts": {"1": CONTACT, "2": {**CONTACT, "id": "2"}}}, "two contacts"),
        ("contacts", {"contacts": {"1": {**CONTACT, "id": 1}}}, "expected str"),
        ("contacts", {"contacts": {"1": {**CONTACT, "color": ""}}}, "extra fields .*color"),
        ("contacts", {"lists": {"1": {"id": "1", "name": "x", "members": ["4"]}}}, "contact 4"),
        ("contacts", {"lists": {"1": {"id": "1"}}}, "name"),
        ("library", {"folders": {"-5": {**FOLDER, "parent_id": "-5"}}}, "below itself"),
        ("library", {"folders": {"-5": {**FOLDER, "parent_id": "-6"}}}, "does not exist"),
        ("library", {"folders": {"-5": {**FOLDER, "created": 1e300}}}, "created"),
        ("library", {"kept": {"1": "?"}}, "kept"),
        ("campaigns", {"tracking": {"entries": [{}]}}, "required field missing"),
        ("events", {"made": "1"}, "invalid value @ events.made"),
        ("activities", {"settings": {}}, "unknown field settings"),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(
    part: str, content: dict[str, Any], message: str
) -> None:
    sandbox = Sandbox(seed="demo")
    before = sandbox.admin.save()
    with pytest.raises(ValueError, match=message):
        sandbox.admin.load({KEY: VERSION, part: content})
    assert sandbox.admin.save() == before


def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(path, b"old")
    link = path.with_name("link.json")
    link.symlink_to(path)

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_file(link, b"new")
    assert path.read_bytes() == b"old"
    assert {each.name for each in path.parent.iterdir()} == {path.name, link.name}
    write_file(link, b"new")
    assert path.read_bytes() == b"new"
    assert link.is_symlink()


@pytest.fixture
def running(path: Path) -> Iterator[Sandbox]:
    with Sandbox(mode="at_once", state=path) as sandbox:
        yield sandbox


def test_changes_are_written_while_the_sandbox_runs(running: Sandbox, path: Path) -> None:
    assert json.loads(path.read_text()) == running.admin.save()
    with client_of(running) as api:
        file_id = upload(api, "a.png")
    while file_id not in path.read_text():
        pass
    running.admin.add_contacts(1)
    while "contact1@example.com" not in path.read_text():
        pass


def test_a_pipe_in_place_of_a_state_is_refused_and_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ValueError, match="cannot be used: it is not a regular file"):
        Sandbox(state=path)


def test_a_file_that_another_sandbox_writes_is_refused(running: Sandbox, path: Path) -> None:
    second = Sandbox(state=path)
    with pytest.raises(OSError, match="another sandbox uses this file"):
        second.start()
    assert running.admin.files() == []


def test_a_link_to_itself_is_replaced_by_the_state(path: Path) -> None:
    path.symlink_to(path.name)
    with Sandbox(state=path):
        pass
    assert path.is_file()


def test_a_state_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Sandbox(state=tmp_path / "nowhere" / "account.json").start()


def test_a_state_that_a_full_disk_cannot_hold_is_named_in_the_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path, __: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ccv2_async.sandbox.saved.write_file", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        Sandbox(state=path).start()
    assert caught.value.filename == str(path)


def test_a_state_that_cannot_be_written_at_the_end_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    sandbox = Sandbox(state=home / "account.json").start()
    shutil.rmtree(home)
    sandbox.admin.add_contacts(1)
    with pytest.raises(FileNotFoundError):
        sandbox.stop()
    assert "cannot be written" in caplog.text
    home.mkdir()
    with sandbox:
        pass
    assert Sandbox(state=home / "account.json").admin.state()["contacts"] == 1
