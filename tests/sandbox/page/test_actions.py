"""The controls of the page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox

    Do = Callable[..., str]


def test_a_fault_strikes_the_next_calls_of_an_operation(
    do: Do, api: httpx.Client, sandbox: Sandbox
) -> None:
    said = do("fault", kind="unavailable", operation="GET /contacts/*", times="2")
    assert said == "unavailable will apply to the next 2 calls of GET /contacts/*."
    statuses = [api.get(path).status_code for path in ("/lists", "/contacts/1", "/contacts/2")]
    assert statuses == [200, 503, 503]
    assert api.get("/contacts/3").status_code == 404
    do("fault", kind="delay", times="", seconds="0.5")
    assert sandbox.admin.faults() == [
        {"id": "2", "kind": "delay", "method": None, "path": "*", "left": None, "skip": 0}
    ]
    do("clear-faults")
    assert sandbox.admin.faults() == []


def test_each_fault_that_can_be_armed_is_explained(page: httpx.Client) -> None:
    shown = page.get("/controls").text
    offered = re.findall(r"<option(?: selected)?>(\w+)</option>", shown.partition("</select>")[0])
    explained = dict(re.findall(r"<dt><code>(\w+)</code></dt><dd>(.+?)</dd>", shown))
    assert "lose_response" in offered
    assert sorted(offered) == sorted(explained)
    assert explained["unavailable"] == "status 503; not carried out"
    assert explained["hang"] == "there is no response; the request is not carried out"


def test_a_single_fault_is_disarmed(do: Do, page: httpx.Client, sandbox: Sandbox) -> None:
    for kind in ("hang", "reset", "hang"):
        do("fault", kind=kind, operation="GET /lists", times="")
    shown = page.get("/controls").text
    assert 'value="3" aria-label="Disarm hang to GET /lists"' in shown
    assert do("disarm", id="3") == "The fault is disarmed."
    assert [(row["id"], row["kind"]) for row in sandbox.admin.faults()] == [
        ("1", "hang"),
        ("2", "reset"),
    ]
    assert do("disarm", id="3") == "Fault 3 was not found."
    admin = f"{sandbox.origin}/__sandbox__/faults/1"
    assert httpx.delete(admin, trust_env=False).status_code == 200
    assert [row["kind"] for row in sandbox.admin.faults()] == ["reset"]


@pytest.mark.parametrize(
    ("action", "fields", "says"),
    [
        ("fault", {"kind": "hope", "times": "1"}, "'hope' is not a kind of fault"),
        ("fault", {"kind": "hang", "times": "0"}, "times of a fault must be 1 or more"),
        ("fault", {"times": "1"}, "kind is missing."),
        ("fault", {"kind": "delay", "seconds": "soon"}, "could not convert"),
        ("configure", {"speed": "0", "mode": "looks"}, "speed cannot be 0.0"),
        ("configure", {"speed": "1", "mode": "never"}, "mode cannot be 'never'"),
        ("disarm", {"id": "7"}, "Fault 7 was not found."),
        ("retire", {"name": "weather"}, "'weather' cannot be retired"),
        ("reset", {"seed": "spring"}, "invalid literal"),
        ("file", {"id": "1", "do": "hold"}, "File 1 was not found."),
        ("job", {"id": "1", "do": "hold"}, "Activity 1 was not found."),
        ("upload", {"folder_id": "0"}, "Choose a file first."),
        ("dance", {}, "dance is missing."),
    ],
)
def test_a_wrong_field_is_named(do: Do, action: str, fields: dict[str, Any], says: str) -> None:
    assert do(action, **fields).startswith(says)


def test_quota_and_speed_are_set(do: Do, sandbox: Sandbox) -> None:
    do("configure", per_second="4", per_day="", speed="2.5", mode="seconds")
    found = sandbox.admin.settings()
    shown = {name: found[name] for name in ("per_second", "per_day", "speed", "mode")}
    assert shown == {"per_second": 4, "per_day": None, "speed": 2.5, "mode": "seconds"}


def test_a_group_is_retired_and_brought_back(do: Do, api: httpx.Client) -> None:
    assert do("retire", name="lists") == "lists is retired: calls get 400."
    assert api.get("/lists").json()[0]["error_key"] == "http.status.gone"
    assert do("restore", name="lists") == "lists is no longer retired."
    assert api.get("/lists").status_code == 200


def test_a_single_operation_is_retired_and_brought_back(
    do: Do, page: httpx.Client, api: httpx.Client, sandbox: Sandbox
) -> None:
    offered = page.get("/controls").text.partition('action="/page/do/retire"')[2]
    assert "<option>lists</option>" in offered
    assert "<option>GET /contacts/{contactId}</option>" in offered
    name = "GET /contacts/{contactId}"
    assert do("retire", name=name) == "GET /contacts/* is retired: calls get 400."
    do("retire", name="events")
    assert api.get("/contacts/1").json()[0]["error_key"] == "http.status.gone"
    assert api.get("/contacts").status_code == 200
    assert 'value="GET /contacts/*"' in page.get("/controls").text
    assert do("restore", name="GET /contacts/*") == "GET /contacts/* is no longer retired."
    assert api.get("/contacts/1").status_code == 404
    assert sandbox.admin.settings()["retired"] == ("events",)


def test_the_sandbox_starts_over_with_a_seed(do: Do, sandbox: Sandbox) -> None:
    do("reset", seed="demo")
    assert sandbox.admin.state()["contacts"] == 120
    do("reset", seed="")
    assert sandbox.admin.state()["contacts"] == 0
    do("reset", seed="7")
    assert sandbox.admin.settings()["seed"] == 7


def test_the_sandbox_starts_over_with_the_file_that_it_was_given(
    do: Do, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "account.json"
    sandbox.admin.add_contacts(3)
    path.write_text(json.dumps(sandbox.admin.save()), "utf-8")
    sandbox.admin.configure(seed=path)
    sandbox.admin.add_contacts(5)
    assert do("reset", seed=str(path)) == f"Started over with {path}."
    assert sandbox.admin.state()["contacts"] == 3


def test_the_sandbox_starts_over_with_a_saved_account(
    page: httpx.Client, do: Do, sandbox: Sandbox, jobs: Callable[[list[str]], str]
) -> None:
    job = jobs(["ada@example.com"])
    do("job", id=job, do="hold")
    sandbox.admin.add_contacts(3)
    saved = page.get("/__sandbox__/saved").content
    do("reset", seed="")
    headers = {"accept": "application/json"}
    for content, says in (
        (saved, "Started over with the saved account."),
        (b"[]", "The file does not contain a saved account."),
        (b"{", "unexpected end of data"),
        (b"{}", "The state cannot be used"),
    ):
        answer = page.post("/page/do/reset", files={"saved": ("a.json", content)}, headers=headers)
        assert says in answer.json()["note"]
        assert sandbox.admin.state()["contacts"] == 3
    assert "held" in page.get("/jobs").text
    assert do("job", id=job, do="release") == f"The job {job} is released."
    do("job", id=job, do="COMPLETE")
    assert sandbox.admin.state()["contacts"] == 4


def test_a_file_is_held_released_and_ended(
    do: Do, sandbox: Sandbox, api: httpx.Client, upload: Callable[..., httpx.Response]
) -> None:
    upload("menu.pdf")
    [file] = sandbox.admin.files()

    def look() -> str:
        return str(api.get(f"/library/files/uploadstatus/{file['id']}").json()[0]["status"])

    assert do("file", id=file["id"], do="hold") == "menu.pdf is held at Uploaded."
    assert [look(), look(), look()] == ["Uploaded"] * 3
    do("file", id=file["id"], do="VirusFound")
    assert look() == "VirusFound"
    do("file", id=file["id"], do="release")
    assert look() == "Active"


def test_a_job_is_held_released_and_ended(
    do: Do, sandbox: Sandbox, api: httpx.Client, jobs: Callable[[list[str]], str]
) -> None:
    def look(job: str) -> str:
        return str(api.get(f"/activities/{job}").json()["status"])

    job = jobs(["ada@example.com", "nobody"])
    assert do("job", id=job, do="hold") == f"The job {job} is held at PENDING."
    assert [look(job) for _ in range(4)] == ["PENDING"] * 4
    do("job", id=job, do="release")
    assert look(job) == "COMPLETE"
    assert sandbox.admin.state()["contacts"] == 1
    do("job", id=job, do="ERROR")
    assert look(job) == "COMPLETE"  # it has ended already

    job = jobs(["bob@example.com"])
    do("job", id=job, do="hold")
    assert do("job", id=job, do="ERROR") == f"The job {job} has ended: ERROR."
    assert look(job) == "ERROR"
    assert sandbox.admin.state()["contacts"] == 1

    job = jobs(["bob@example.com"])
    assert do("job", id=job, do="COMPLETE") == f"The job {job} has ended: COMPLETE."
    assert sandbox.admin.state()["contacts"] == 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("menu.pdf", b"%PDF-1.4", "Uploaded menu.pdf."),
        ("menu.exe", b"MZ", "menu.exe: the library accepts only GIF, JPEG"),
        ("menu.pdf", b"", "menu.pdf: files have from 1 to 5,242,880 bytes."),
        ("menu.pdf", bytes(5_242_881), "menu.pdf: files have from 1 to 5,242,880 bytes."),
        ("m" * 77 + ".pdf", b"%PDF-1.4", "names have at most 80 characters."),
    ],
    ids=["good", "type", "empty", "large", "name"],
)
def test_files_are_uploaded_as_on_the_website(
    page: httpx.Client, sandbox: Sandbox, name: str, content: bytes, says: str
) -> None:
    answer = page.post(
        "/page/do/upload",
        data={"folder_id": "0"},
        files={"data": (name, content)},
        headers={"accept": "application/json"},
    )
    assert says in answer.json()["note"]
    assert len(sandbox.admin.files()) == (answer.status_code == 200)


def test_files_are_uploaded_although_others_are_refused(
    page: httpx.Client, sandbox: Sandbox
) -> None:
    types = ["a.exe", "b.exe", "c.exe", "d.exe"]
    files = [(name, b"x") for name in ("1.pdf", *types, "2.pdf")] + [("empty.pdf", b"")]
    answer = page.post(
        "/page/do/upload",
        data={"folder_id": "0"},
        files=[("data", file) for file in files],
        headers={"accept": "application/json"},
    )
    note = answer.json()["note"]
    assert answer.status_code == 400
    assert note.startswith("Uploaded 1.pdf, 2.pdf. Not uploaded: ")
    assert "a.exe, b.exe, c.exe, and 1 more: the library accepts only GIF" in note
    assert "empty.pdf: files have from 1 to 5,242,880 bytes." in note
    assert [file["name"] for file in sandbox.admin.files()] == ["1.pdf", "2.pdf"]


def test_an_upload_goes_to_the_open_folder(page: httpx.Client, sandbox: Sandbox, api: Any) -> None:
    folder = api.post("/library/folders", json={"name": "Menus"}).json()["id"]
    form = {"folder_id": folder}
    page.post("/page/do/upload", data=form, files={"data": ("virus.png", b"\x89PNG")})
    [file] = sandbox.admin.files()
    assert (file["folder_id"], file["size"]) == (folder, 4)
    assert 'data-name="virus.png"' in page.get("/", params={"folder": folder}).text
    assert 'data-name="virus.png"' not in page.get("/", params={"folder": "trash"}).text
    assert page.get("/", params={"folder": "-99"}).status_code == 404
