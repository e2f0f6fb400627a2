"""Web pages in the developer's browser cannot use a running sandbox."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ADMIN = "/__sandbox__"
JSON = {"content-type": "application/json"}


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.origin, trust_env=False) as client:
        yield client


@pytest.fixture
def uploaded(sandbox: Sandbox, api: httpx.Client) -> str:
    """The path of the content of an uploaded file."""
    form = {
        "file_name": "a.png",
        "file_type": "PNG",
        "folder_id": "0",
        "description": "",
        "source": "MyComputer",
    }
    answer = api.post(
        "/library/files",
        data=form,
        files={"data": ("a.png", b"\x89PNG\r\n\x1a\n123", "image/png")},
    )
    assert answer.status_code == 202, answer.text
    return f"{ADMIN}/files/{sandbox.admin.files()[0]['id']}/content"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example"]
)
@pytest.mark.parametrize(
    "path", [f"{ADMIN}/settings", f"{ADMIN}/state", f"{ADMIN}/requests", "/v2/library/files"]
)
def test_dns_rebinding_cannot_read_anything(
    http: httpx.Client, sandbox: Sandbox, host: str, path: str
) -> None:
    options = sandbox.client_options()
    answer = http.get(
        path,
        params={"api_key": options["api_key"]},
        headers={"host": host, "authorization": f"Bearer {options['access_token']}"},
    )
    assert answer.status_code == 403
    assert "Host" in answer.json()[0]["error_message"]


def test_dns_rebinding_cannot_read_an_upload(http: httpx.Client, uploaded: str) -> None:
    assert http.get(uploaded).content.endswith(b"123")
    assert http.get(uploaded, headers={"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{ADMIN}/settings", b'{"looks": 9}'),
        ("POST", f"{ADMIN}/faults", b'{"kind": "hang"}'),
        ("POST", f"{ADMIN}/reset", b""),
        ("DELETE", f"{ADMIN}/faults", b""),
    ],
)
def test_a_page_of_another_origin_cannot_change_anything(  # noqa: PLR0917  # fixtures
    http: httpx.Client,
    sandbox: Sandbox,
    headers: dict[str, str],
    method: str,
    path: str,
    body: bytes,
) -> None:
    before = sandbox.admin.settings(), sandbox.admin.faults()
    answer = http.request(method, path, content=body, headers={**JSON, **headers})
    assert answer.status_code == 403
    assert (sandbox.admin.settings(), sandbox.admin.faults()) == before


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        None,
    ],
)
def test_an_html_form_cannot_change_anything(
    http: httpx.Client, sandbox: Sandbox, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = http.post(f"{ADMIN}/settings", content=b'{"looks": 9}', headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.json()[0]["error_message"]
    assert sandbox.admin.settings()["looks"] != 9


def test_a_chunked_body_needs_a_content_type(http: httpx.Client, sandbox: Sandbox) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"looks": 9}'

    assert http.post(f"{ADMIN}/settings", content=chunks()).status_code == 415
    assert sandbox.admin.settings()["looks"] != 9


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
@pytest.mark.parametrize("more", [{}, {"content-type": "application/json; charset=utf-8"}])
def test_programs_on_this_machine_keep_working(
    http: httpx.Client, sandbox: Sandbox, name: str, more: dict[str, Any]
) -> None:
    host = {"host": f"{name}:{urlsplit(sandbox.origin).port}"}
    settings = http.post(
        f"{ADMIN}/settings", content=b'{"looks": 9}', headers={**JSON, **more, **host}
    )
    assert settings.json()["looks"] == 9
    assert http.post(f"{ADMIN}/reset", headers=host).status_code == 200
    assert http.delete(f"{ADMIN}/faults", headers=host).status_code == 200
    assert http.get(f"{ADMIN}/state", headers=host).status_code == 200


@pytest.mark.parametrize(
    "host", ["api.constantcontact.com", "api.constantcontact.com:8765", "sandbox:8765", "10.0.0.7"]
)
def test_other_host_names_reach_only_the_api(http: httpx.Client, host: str) -> None:
    assert http.get(f"{ADMIN}/state", headers={"host": host}).status_code == 403
    answer = http.get("/v2/library/info", headers={"host": host})
    assert answer.json()[0]["error_message"] == "Developer Inactive"  # the guard let it pass


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *(("127.0.0.1:8765", 200), ("sandbox:8765", 200), ("10.0.0.7", 200), ("[fe80::1]", 200)),
        *(("evil.example", 403), ("api.constantcontact.com", 403)),
    ],
)
def test_a_sandbox_in_a_network_is_controlled_by_names_that_no_stranger_can_register(
    name: str, status: int
) -> None:
    with Sandbox(host="0.0.0.0") as sandbox:  # noqa: S104  # that is the point
        url = f"{sandbox.origin}{ADMIN}/state"
        assert httpx.get(url, headers={"host": name}, trust_env=False).status_code == status


def test_a_sandbox_may_be_called_by_the_name_that_it_was_told_to_listen_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        sandbox = Sandbox(host="sandbox.lan").start()
    try:
        port = urlsplit(sandbox.origin).port
        url = f"http://127.0.0.1:{port}{ADMIN}/state"
        for name, status in (("sandbox.lan", 200), ("Sandbox.LAN:80", 200), ("sandboxxlan", 403)):
            answer = httpx.get(url, headers={"host": name}, trust_env=False)
            assert answer.status_code == status
    finally:
        sandbox.stop()


def test_pages_of_the_sandbox_itself_may_call_it(http: httpx.Client, sandbox: Sandbox) -> None:
    own = {"origin": sandbox.origin, "sec-fetch-site": "same-origin"}
    assert http.post(f"{ADMIN}/settings", json={"looks": 9}, headers=own).status_code == 200


def test_a_link_to_an_upload_opens_in_a_browser(http: httpx.Client, uploaded: str) -> None:
    followed = http.get(uploaded, headers={"sec-fetch-site": "cross-site"})
    assert followed.status_code == 200
    assert followed.headers["x-content-type-options"] == "nosniff"
