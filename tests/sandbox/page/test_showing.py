"""How the page shows requests, and which parts it hides."""

from __future__ import annotations

import shlex
import subprocess
from html import unescape
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from ccv2_async.sandbox.page import views
from ccv2_async.sandbox.page.showing import Part, curl, parts_of, size_text
from ccv2_async.sandbox.state.gateway import Entry, Side, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from ccv2_async.sandbox.state.gateway import Record


def entry(number: int = 1, **fields: Any) -> Entry:
    return attrs.evolve(Entry(number, 0.0, "POST", "/v2/library/files", {}, {}, 1), **fields)


def recorded(body: bytes, limit: int = 1000, **headers: str) -> Record:
    traffic = Traffic(body_limit=limit)
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    record = traffic.begin(entry(headers=names))
    record.request.write(body)
    traffic.end(record, ("key", "token"))
    return record


def form(limit: int = 1000) -> Record:
    built = httpx.Request(
        "POST",
        "http://127.0.0.1/",
        data={"file_name": "menü.pdf", "description": ""},
        files={"data": ("menü.pdf", b"x" * 500)},
    )
    return recorded(built.read(), limit, content_type=built.headers["content-type"])


@pytest.mark.parametrize("limit", [1000, 400])
def test_the_parts_of_a_form_have_names_and_sizes(limit: int) -> None:
    assert parts_of(form(limit)) == [
        Part("file_name", 9, "menü.pdf"),
        Part("description", 0, ""),
        Part("data", 500, None, "menü.pdf"),
    ]


def test_another_body_has_no_parts() -> None:
    assert parts_of(recorded(b"{}", content_type="application/json")) == []
    assert parts_of(recorded(b"--x", content_type="multipart/form-data; boundary=x")) == []


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (12_345, "12 KB"), (5_242_880, "5.2 MB")],
)
def test_sizes_are_written_as_people_do(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_request_is_shown_with_both_sides_and_without_its_secrets(
    page: httpx.Client, api: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("echo", "POST", "/lists")
    body = {"name": "sandbox-token", "status": "ACTIVE"}
    api.post("/lists", json=body, params={"note": "sandbox-key"})
    shown = unescape(page.get("/requests/1").text)
    assert "Bad request for api_key=(hidden) with Authorization: Bearer (hidden)" in shown
    assert '"name": "(hidden)"' in shown
    assert "fault: echo" in shown
    for secret in ("sandbox-key", "sandbox-token", "sandbox-secret"):
        assert secret not in shown
        assert secret not in page.get("/requests").text


def test_a_wrong_key_that_was_sent_is_hidden_too(page: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.admin.fault("echo")
    httpx.get(
        f"{sandbox.base_url}/lists",
        params={"api_key": "sandbox-key"},
        headers={"authorization": "Bearer my-real-token"},
        trust_env=False,
    )
    httpx.get(f"{sandbox.base_url}/lists?api_key=my-real-key", trust_env=False)
    httpx.get(f"{sandbox.base_url}/lists?access_token=my-real-token", trust_env=False)
    for path in ("/requests", "/requests/1", "/requests/2", "/requests/3"):
        assert "my-real-" not in page.get(path).text


def test_curl_repeats_a_request_with_variables_for_its_secrets(
    api: httpx.Client, page: httpx.Client, sandbox: Sandbox
) -> None:
    api.post("/lists", json={"name": "It's $HOME", "status": "ACTIVE"}, params={"a": "b c"})
    text = unescape(page.get("/requests/1").text)
    command = text.partition('<pre id="curl" tabindex="0">')[2].partition("</pre>")[0]
    assert '"$CCV2_API_KEY"' in command
    assert '"Authorization: Bearer $CCV2_ACCESS_TOKEN"' in command
    # The words as a shell gives them to curl.
    script = command.replace("curl", "printf '%s\\n'", 1)
    variables = {"CCV2_API_KEY": "KEY", "CCV2_ACCESS_TOKEN": "TOKEN", "HOME": "/"}
    words = subprocess.run(  # noqa: S602  # the text under test, made of what this test sent
        script, shell=True, env=variables, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert words[:3] == ["-X", "POST", f"{sandbox.base_url}/lists?a=b+c&api_key=KEY"]
    assert "Authorization: Bearer TOKEN" in words
    assert words[words.index("--data-raw") + 1] == '{"name":"It\'s $HOME","status":"ACTIVE"}'


def test_curl_repeats_a_form() -> None:
    words = shlex.split(curl(form(), "http://127.0.0.1:1"))
    assert words[words.index("-F") + 1] == "data=@menü.pdf"
    assert "file_name=menü.pdf" in words
    assert not any("multipart" in word for word in words)


def test_curl_names_a_file_for_a_body_that_was_too_large_to_keep() -> None:
    assert "--data-binary @body" in curl(recorded(b"x" * 50, limit=40), "http://127.0.0.1:1")


def test_requests_are_filtered(page: httpx.Client, api: httpx.Client) -> None:
    api.get("/lists")
    api.get("/contacts/1")
    api.get("/contacts")

    def shown(**query: str) -> list[str]:
        text = page.get("/requests", params=query).text
        return [row.partition('"')[0] for row in text.split('<tr id="request-')[1:]]

    assert shown() == ["3", "2", "1"]
    assert shown(q="CONTACTS") == ["3", "2"]
    assert shown(q="404") == ["2"]
    assert shown(q="get /v2/lists") == ["1"]
    assert shown(status="failed") == ["2"]
    assert shown(status="ok") == ["3", "1"]
    assert shown(q="nothing") == []


def test_downloads_are_among_the_requests(
    page: httpx.Client, api: httpx.Client, upload: Callable[..., httpx.Response]
) -> None:
    file_id = upload("menu.pdf").headers["id"]
    for _ in range(3):
        api.get(f"/library/files/uploadstatus/{file_id}")
    url = api.get(f"/library/files/{file_id}").json()["url"]
    assert httpx.get(url, trust_env=False).status_code == 200
    assert "/content/1/" in page.get("/requests/d1").text


def test_a_broken_connection_is_shown_as_one(
    page: httpx.Client, api: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("reset", "GET", after_bytes=0)
    with pytest.raises(httpx.TransportError):
        api.get("/lists")
    assert "no response" in page.get("/requests").text
    assert "the fault broke the connection" in page.get("/requests/1").text


def test_the_memory_of_both_sides_is_bounded() -> None:
    traffic = Traffic(most=3, most_bytes=100, body_limit=40)
    records = []
    for number in range(1, 6):
        record = traffic.begin(entry(number))
        record.request.write(b"x" * 30)
        record.request.write(b"y" * 30)
        traffic.end(record, ("", ""))
        records.append(record)
    assert records[0].request == Side(40, size=60, body=b"x" * 30 + b"y" * 10)
    assert [number for number in range(1, 6) if traffic.find(number)] == [4, 5]


def test_a_request_that_is_no_longer_kept_whole_is_still_listed(
    page: httpx.Client, api: httpx.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SHOWN", 3)
    sandbox._world.traffic = Traffic(most=2)
    for _ in range(4):
        api.get("/lists")
    assert "are kept only for the latest requests." in page.get("/requests/1").text
    assert "Only the newest 3 are shown" in page.get("/requests").text
    assert page.get("/requests/5").status_code == 404
