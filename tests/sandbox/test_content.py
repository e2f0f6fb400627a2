"""The host of the files' bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = b"%PDF-1.4 " + b"menu " * 1000


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(mode="at_once") as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=sandbox.base_url,
        params={"api_key": "sandbox-key"},
        headers={"Authorization": "Bearer sandbox-token"},
        trust_env=False,
    ) as client:
        yield client


def get(url: str, **options: Any) -> httpx.Response:
    return httpx.get(url, trust_env=False, **options)


def upload(api: httpx.Client, name: str = "menu.pdf", file_type: str = "PDF") -> dict[str, Any]:
    texts = {"file_name": name, "folder_id": "0", "description": "", "source": "MyComputer"}
    texts["file_type"] = file_type
    answer = api.post("/library/files", data=texts, files={"data": (name, DATA)})
    return record(api, answer.headers["id"])


def record(api: httpx.Client, file_id: str) -> dict[str, Any]:
    row: dict[str, Any] = api.get(f"/library/files/{file_id}").json()
    return row


def test_the_bytes_are_served_on_another_origin_outside_the_quota_and_the_log(
    api: httpx.Client, sandbox: Sandbox
) -> None:
    row = upload(api)
    before = len(sandbox.admin.requests())
    answer = get(row["url"])
    assert answer.content == DATA
    assert answer.headers["content-type"] == "application/pdf"
    assert httpx.URL(row["url"]).port != httpx.URL(sandbox.base_url).port
    assert len(sandbox.admin.requests()) == before
    assert [entry.path for entry in sandbox.admin.downloads()] == [httpx.URL(row["url"]).path]
    assert sandbox.admin.downloads()[0].status == 200


def test_thumbnails_are_served(api: httpx.Client) -> None:
    document, image = upload(api), upload(api, "menu.png", "PNG")
    assert get(document["thumbnail"]["url"]).content.startswith(b"\x89PNG")
    assert get(image["thumbnail"]["url"]).content == DATA


def test_the_host_takes_no_credentials_and_nothing_but_contents(
    api: httpx.Client, sandbox: Sandbox
) -> None:
    url = upload(api)["url"]
    assert get(url, params={"api_key": "x"}).status_code == 400
    assert get(url, headers={"Authorization": "Bearer x"}).status_code == 400
    assert get(str(httpx.URL(url).copy_with(path="/v2/library/info"))).status_code == 404
    assert httpx.post(url, trust_env=False).status_code == 404
    assert get(url.replace(".pdf", "9.pdf")).status_code == 404


@pytest.mark.parametrize("status", [403, 404, 410])
def test_urls_expire_until_the_record_is_read_again(
    api: httpx.Client, sandbox: Sandbox, status: int
) -> None:
    row = upload(api)
    sandbox.admin.expire_urls(status)
    assert get(row["url"]).status_code == status
    assert get(record(api, row["id"])["url"]).content == DATA


def test_contents_that_are_not_kept_are_not_served(api: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.admin.configure(keep_content=len(DATA))
    first, second = upload(api), upload(api)
    assert get(first["url"]).status_code == 404
    assert get(second["url"]).content == DATA


def test_faults_of_downloads_strike_no_calls_and_the_reverse(
    api: httpx.Client, sandbox: Sandbox
) -> None:
    url = upload(api)["url"]
    sandbox.admin.fault("server_error", path="/content/*")
    assert api.get("/library/info").status_code == 200
    assert get(url).status_code == 500
    sandbox.admin.fault("server_error")
    assert get(url).status_code == 200
    assert api.get("/library/info").status_code == 500
    sandbox.admin.assert_faults_struck()
    assert [entry.fault for entry in sandbox.admin.downloads()] == ["server_error", None]


def test_a_shortened_response_is_well_formed(api: httpx.Client, sandbox: Sandbox) -> None:
    url = upload(api)["url"]
    sandbox.admin.fault("shorten", path="/content/*")
    answer = get(url)
    assert answer.status_code == 200
    assert answer.content == DATA[: len(DATA) // 2]
    assert answer.headers["content-length"] == str(len(DATA) // 2)


@pytest.mark.parametrize(("kind", "status"), [("page", 200), ("range", 416)])
def test_responses_in_place_of_the_bytes(
    api: httpx.Client, sandbox: Sandbox, kind: Any, status: int
) -> None:
    url = upload(api)["url"]
    sandbox.admin.fault(kind, path="/content/*")
    answer = get(url)
    assert answer.status_code == status
    assert answer.content != DATA


def test_other_processes_expire_urls_and_read_the_log(api: httpx.Client, sandbox: Sandbox) -> None:
    row = upload(api)
    admin = f"{sandbox.origin}/__sandbox__"
    httpx.post(f"{admin}/expire", json={"status": 410}, trust_env=False)
    assert get(row["url"]).status_code == 410
    assert [entry["status"] for entry in get(f"{admin}/downloads").json()] == [410]


async def test_a_sandbox_without_a_socket_serves_the_bytes_itself() -> None:
    transport = httpx.ASGITransport(Sandbox(seed="demo").app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver/v2") as client:
        listing = await client.get(
            "/library/files",
            params={"api_key": "sandbox-key"},
            headers={"Authorization": "Bearer sandbox-token"},
        )
        row = listing.json()["results"][0]
        answer = await client.get(row["url"])
    assert len(answer.content) == row["size"]


@pytest.mark.parametrize("ending", ["html", "svg", "xhtml", "js", ""])
def test_a_file_is_not_served_as_something_that_can_run(
    api: httpx.Client, sandbox: Sandbox, ending: str
) -> None:
    row = upload(api)
    for origin in (sandbox.origin, sandbox.content_origin):
        place = f"{origin}/content/1/{row['id']}"
        assert get(f"{place}.pdf").headers["content-type"] == "application/pdf"
        assert get(f"{place}.{ending}").status_code == 404
