"""The sandbox's page over plain HTTP: what it shows, and what guards it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.page import views

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = ("/", "/requests", "/jobs", "/contacts", "/campaigns", "/controls")
ACTIONS = (
    *("fault", "disarm", "clear-faults", "configure", "retire", "restore", "reset"),
    *("file", "job", "upload"),
)
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.mark.parametrize("seed", [None, "demo"])
def test_every_page_is_shown_empty_and_full(seed: Any) -> None:
    with Sandbox(seed=seed) as sandbox, httpx.Client(trust_env=False) as client:
        for path in PAGES:
            answer = client.get(sandbox.origin + path)
            assert answer.status_code == 200
            assert "<h1>" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "sandbox", "10.0.0.1"])
def test_dns_rebinding_cannot_read_the_page(page: httpx.Client, host: str) -> None:
    for path in (*PAGES, "/page/events", "/page/static/page.js", "/requests/1"):
        headers = {"host": host, "origin": f"http://{host}"}
        assert page.get(path, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example"},
    ],
    ids=str,
)
def test_a_foreign_page_cannot_send_its_forms(
    page: httpx.Client, sandbox: Sandbox, headers: dict[str, str]
) -> None:
    form = {"kind": "hang", "times": "1"}
    for action in ACTIONS:
        answer = page.post(f"/page/do/{action}", data=form, headers=headers)
        assert answer.status_code == 403
    assert sandbox.admin.faults() == []


def test_a_form_without_an_origin_is_refused(page: httpx.Client) -> None:
    del page.headers["origin"]
    for action in ACTIONS:
        answer = page.post(f"/page/do/{action}", data={"a": "b"})
        assert answer.status_code == 403
        assert "Origin" in answer.text


def test_nothing_changes_by_get(page: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.admin.add_contacts(3)
    query = {"kind": "hang", "times": "1", "seed": "demo", "group": "events", "id": "1"}
    for action in ACTIONS:
        assert page.get(f"/page/do/{action}", params=query).status_code == 405
    assert sandbox.admin.faults() == []
    assert sandbox.admin.state()["contacts"] == 3


def test_only_the_scripts_of_the_page_run(page: httpx.Client) -> None:
    for path in (*PAGES, "/requests/9", "/page/static/page.js", "/page/nothing"):
        headers = page.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_what_clients_send_is_shown_as_text(
    page: httpx.Client, api: httpx.Client, sandbox: Sandbox, upload: Callable[..., httpx.Response]
) -> None:
    upload(f"{MARKUP}.png")
    api.post("/lists", json={"name": MARKUP, "status": "ACTIVE"})
    api.get("/lists", params={"modified_since": MARKUP}, headers={"x-note": MARKUP})
    api.get(f"/contacts/{MARKUP}")
    sandbox.admin.fault("answer", body=MARKUP, headers={"content-type": "text/html"})
    api.get("/contacts")
    paths = [*PAGES, f"/requests?q={MARKUP}", *(f"/requests/{number}" for number in range(1, 6))]
    for path in paths:
        answer = page.get(path)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
    assert "&lt;script&gt;" in page.get("/requests/5").text


def test_files_beyond_the_newest_are_found_by_name(
    page: httpx.Client, upload: Callable[..., httpx.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "SHOWN", 2)
    for name in ("Menu.pdf", "menu-2.pdf", "card.pdf", "sign.pdf"):
        upload(name)

    def shown(**query: str) -> list[str]:
        text = page.get("/", params=query).text
        return [row.partition('"')[0] for row in text.split('data-name="')[1:]]

    assert shown() == ["sign.pdf", "card.pdf"]
    assert "The search covers all of them." in page.get("/").text
    assert shown(q="MENU") == ["menu-2.pdf", "Menu.pdf"]
    assert shown(q="menu", folder="trash") == []
    assert "No file matches the search." in page.get("/", params={"q": "flag"}).text


def test_a_contact_is_found_with_its_id_and_lists(page: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.admin.configure(seed="demo")
    sandbox.admin.reset()
    text = page.get("/contacts", params={"q": "AMARA BRANDT"}).text
    assert '<tr id="contact-13"><th scope="row">amara.brandt@example.com</th>' in text
    assert "General Interest, Newsletter, Wholesale customers" in text
    assert "1 contact" in text
    assert "17 contacts" in page.get("/contacts", params={"list": "3"}).text
    assert page.get("/contacts", params={"list": "99"}).status_code == 404


def test_a_campaign_is_previewed_where_nothing_runs(page: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.admin.configure(seed="demo")
    sandbox.admin.reset()
    shown = page.get("/campaigns").text
    link = shown.partition('href="/campaigns/')[2].partition('"')[0]
    assert f'src="/campaigns/{link}/preview" sandbox' in page.get(f"/campaigns/{link}").text
    preview = page.get(f"/campaigns/{link}/preview")
    assert "<h1>" in preview.text
    policy = preview.headers["content-security-policy"]
    assert "sandbox" in policy.split("; ")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n<script>", "image/png"),
        (b"GIF89a<script>", "image/gif"),
        (b"\xff\xd8\xff<script>", "image/jpeg"),
        (b"<html><script>alert(1)</script>", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", None),
    ],
)
def test_a_picture_is_served_as_a_picture_or_not_at_all(
    page: httpx.Client,
    sandbox: Sandbox,
    upload: Callable[..., httpx.Response],
    content: bytes,
    kind: str | None,
) -> None:
    upload("a.png", content)
    [file] = sandbox.admin.files()
    answer = page.get(f"/page/pictures/{file['id']}")
    if kind is None:
        assert answer.status_code == 404
        return
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert sandbox.admin.downloads() == []


def test_a_form_without_scripts_leads_back_with_its_outcome(page: httpx.Client) -> None:
    answer = page.post("/page/do/fault", data={"kind": "hang", "times": "2"})
    assert answer.url.path == "/controls"
    assert "hang will apply to the next 2 calls of the API." in answer.text
    answer = page.post("/page/do/fault", data={"kind": MARKUP, "times": "2"})
    assert "is not a kind of fault" in answer.text
    assert MARKUP not in answer.text


@pytest.mark.parametrize(
    ("referer", "place"),
    [
        ("http://127.0.0.1//evil.example/", "/evil.example/"),
        ("https://evil.example/a?b=c", "/a"),
        ("", "/"),
    ],
)
def test_a_form_never_leads_to_another_site(page: httpx.Client, referer: str, place: str) -> None:
    answer = page.post(
        "/page/do/clear-faults", headers={"referer": referer}, follow_redirects=False
    )
    assert answer.status_code == 303
    location = httpx.URL(answer.headers["location"])
    assert (location.host, location.path) == ("", place)


def test_a_note_that_nobody_wrote_is_not_shown(page: httpx.Client) -> None:
    assert "Send your password" not in page.get("/", params={"note": "Send your password"}).text


def test_the_stream_reports_each_change_and_ends_with_the_sandbox(
    page: httpx.Client, sandbox: Sandbox
) -> None:
    with page.stream("GET", "/page/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        seen = {next(lines)}
        sandbox.admin.add_contacts(1)
        seen.add(next(lines))
        sandbox.admin.fault("hang")
        seen.add(next(lines))
        assert len(seen) == 3
        sandbox.stop()


def test_a_sandbox_stops_quietly_while_pages_are_open(
    page: httpx.Client, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with page.stream("GET", "/page/events"), page.stream("GET", "/page/events"):
        sandbox.stop()
    assert caplog.text == ""


def test_a_sandbox_without_visitors_imports_nothing_for_the_page() -> None:
    script = (
        "import sys\nfrom ccv2_async.sandbox import Sandbox\nwith Sandbox():\n"
        "    print([name for name in sys.modules if 'jinja2' in name or '.page.' in name])"
    )
    found = subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
