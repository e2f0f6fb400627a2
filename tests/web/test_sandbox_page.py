"""The sandbox's own page in a real browser."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from ccv2_async import ConstantContact
from ccv2_async.errors import ConstantContactError
from ccv2_async.sandbox import Sandbox
from tests.support.browser import MARKS, PATIENCE

playwright = pytest.importorskip(
    "playwright.async_api", reason="browser tests need Playwright: pip install playwright"
)
pytestmark = MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser, Locator, Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ROOT / "examples" / "files"
PAGES = ("/", "/requests", "/jobs", "/contacts", "/campaigns", "/controls")

expect: Any = playwright.expect


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose jobs end when its clock is moved."""
    with Sandbox(mode="seconds", seconds=60.0) as sandbox:
        yield sandbox


@attrs.frozen
class Visit:
    """A page of the sandbox in a browser, and what went wrong in it.

    Attributes:
        page: The page.
        origin: The sandbox's.
        complaints: What the page wrote to its console, and errors of its scripts.
        asked: Every URL that was asked for.
    """

    page: Page
    origin: str
    complaints: list[str] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)

    async def go(self, path: str) -> None:
        await self.page.goto(self.origin + path)

    def row(self, name: str) -> Locator:
        return self.page.locator(f'#files li[data-name="{name}"]')

    async def shows(self, name: str, status: str) -> None:
        await expect(self.row(name).locator(".badge").first).to_have_text(status)

    async def says(self, text: str) -> None:
        await expect(self.page.locator("#note")).to_contain_text(text)

    def well(self) -> None:
        assert self.complaints == []
        assert [url for url in self.asked if not url.startswith(self.origin)] == []


async def visit(browser: Browser, sandbox: Sandbox, path: str = "/", **options: Any) -> Visit:
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    context.set_default_timeout(PATIENCE)
    visit = Visit(await context.new_page(), sandbox.origin)
    visit.page.on("console", lambda message: visit.complaints.append(message.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", lambda request: visit.asked.append(request.url))
    await visit.go(path)
    if options.get("java_script_enabled", True):
        await expect(visit.page.locator("#link")).to_have_text("live")
    return visit


def call(sandbox: Sandbox, method: str, path: str, **more: Any) -> httpx.Response:
    options = sandbox.client_options()
    return httpx.request(
        method,
        options["base_url"] + path,
        params={"api_key": options["api_key"]},
        headers={"authorization": f"Bearer {options['access_token']}"},
        trust_env=False,
        **more,
    )


async def test_an_uploaded_file_is_watched_until_it_is_active(
    browser: Browser, sandbox: Sandbox
) -> None:
    there = await visit(browser, sandbox)
    page = there.page
    await page.get_by_label("Drop files here").set_input_files(FILES / "logo.gif")
    await page.get_by_role("button", name="Upload").click()
    await there.says("Uploaded logo.gif.")
    await there.shows("logo.gif", "Uploaded")
    sandbox.admin.advance(31)
    await there.shows("logo.gif", "Processing")
    sandbox.admin.advance(30)
    await there.shows("logo.gif", "Active")
    picture = there.row("logo.gif").locator("img")
    assert await picture.evaluate("(img) => img.decode().then(() => img.naturalWidth)") == 240
    there.well()


async def test_a_dropped_file_is_uploaded_and_a_wrong_one_refused(
    browser: Browser, sandbox: Sandbox
) -> None:
    there = await visit(browser, sandbox)
    for name in ("ünïcode <b>&amp;.pdf", "note.txt"):
        await there.page.evaluate(
            """(name) => {
                const dropped = new DataTransfer();
                dropped.items.add(new File(["a few bytes"], name));
                dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, cancelable: true}));
            }""",
            name,
        )
        await there.says(name)
    await there.says("the library accepts only")
    await there.shows("ünïcode <b>&amp;.pdf", "Uploaded")
    assert [file["name"] for file in sandbox.admin.files()] == ["ünïcode <b>&amp;.pdf"]


async def test_an_armed_fault_reaches_the_client(browser: Browser, sandbox: Sandbox) -> None:
    there = await visit(browser, sandbox, "/controls")
    page = there.page
    await page.locator("[name=kind]").select_option("inactive")
    await page.locator("[name=operation]").select_option("GET /lists")
    await page.get_by_role("button", name="Arm the fault").click()
    await there.says("inactive will apply to the next call of GET /lists.")
    await expect(page.locator("#armed")).to_contain_text("GET /lists")
    async with ConstantContact(**sandbox.client_options()) as cc:
        with pytest.raises(ConstantContactError, match="inactive"):
            await cc.lists.all()
        assert len(await cc.lists.all()) == 1
    await expect(page.locator("#armed")).to_have_text("No fault is armed.")
    await there.go("/requests?status=failed")
    await expect(page.locator("#request-rows tr")).to_have_count(1)
    await expect(page.locator("#request-1 .fault")).to_have_text("inactive")
    there.well()


async def test_requests_are_shown_as_they_arrive(browser: Browser, sandbox: Sandbox) -> None:
    there = await visit(
        browser, sandbox, "/requests", permissions=["clipboard-write", "clipboard-read"]
    )
    page = there.page
    await expect(page.locator("#list")).to_contain_text("No request has arrived yet.")
    call(sandbox, "POST", "/lists", json={"name": "Readers", "status": "ACTIVE"})
    call(sandbox, "GET", "/contacts/7")
    await expect(page.locator("#request-2 .status")).to_have_text("404")
    field = page.get_by_role("searchbox")
    await field.fill("post")
    await expect(page.locator("#request-rows tr")).to_have_count(1)
    call(sandbox, "POST", "/lists", json={"name": "Writers", "status": "ACTIVE"})
    await expect(page.locator("#request-rows tr")).to_have_count(2)
    await expect(field).to_be_focused()
    await page.locator("#request-1 a").click()
    detail = page.locator("#detail")
    await expect(detail.get_by_label("Body of the request")).to_contain_text('"name": "Readers"')
    await expect(detail.get_by_label("Response body")).to_contain_text('"contact_count": 0')
    await detail.get_by_text("As curl", exact=True).click()
    await detail.get_by_role("button", name="Copy as curl").click()
    await there.says("Copied.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -X POST")
    assert "$CCV2_ACCESS_TOKEN" in copied
    assert "sandbox-token" not in await page.content()
    there.well()


async def test_jobs_are_held_and_ended_by_controls(browser: Browser, sandbox: Sandbox) -> None:
    there = await visit(browser, sandbox, "/jobs")
    page = there.page
    rows = [{"email_addresses": [address]} for address in ("ada@example.com", "nobody")]
    body = {"import_data": rows, "lists": ["1"], "column_names": ["Email Address"]}
    job = call(sandbox, "POST", "/activities/addcontacts", json=body).json()["id"]
    row = page.locator(f"#job-{job}")
    await row.get_by_role("button", name="Hold").click()
    await expect(row.locator(".state")).to_have_text(re.compile(r"PENDING\s+held"))
    await row.get_by_role("button", name="COMPLETE").click()
    await expect(row.locator(".state")).to_have_text("COMPLETE")
    await row.get_by_text("1 error", exact=True).click()
    await expect(row.get_by_role("cell", name="nobody")).to_be_visible()
    sandbox.admin.add_contacts(1)  # the page changes, and what is open stays open
    await expect(page.locator("#navigation a[href='/contacts']")).to_contain_text("2")
    await expect(row.get_by_role("cell", name="nobody")).to_be_visible()
    there.well()


async def test_the_keyboard_alone_is_enough(browser: Browser, sandbox: Sandbox) -> None:
    call(sandbox, "GET", "/lists")
    there = await visit(browser, sandbox)
    page = there.page
    press = page.keyboard.press

    async def tab_to(text: str) -> None:
        """Press Tab until something with this text or name has the focus."""
        words = "(e) => `${e.innerText} ${e.getAttribute('aria-label')} ${e.name} ${e.value}`"
        for _ in range(80):
            await press("Tab")
            focused = page.locator(":focus")
            if await focused.count() and text in await focused.evaluate(words):
                outline = "(e) => [e, ...[getComputedStyle(e), getComputedStyle(e, '::after')]]"
                outline += ".slice(1).some((style) => style.outlineStyle === 'solid')"
                assert await focused.evaluate(outline), f"{text}: no visible focus"
                return
        raise AssertionError(f"Tab never reaches {text!r}")

    await press("Tab")
    await expect(page.locator(":focus")).to_have_text("Skip to the content")
    await press("Enter")
    await tab_to("/v2/lists")
    await press("Enter")
    await expect(page.locator("#detail h2")).to_contain_text("GET /v2/lists")
    await tab_to("Controls")
    await press("Enter")
    await tab_to("kind")
    await page.keyboard.type("throttled")
    await tab_to("Arm the fault")
    await press("Enter")
    await there.says("throttled will apply to the next call of the API.")
    await expect(page.locator(":focus")).to_have_text("Arm the fault")

    sandbox.admin.configure(seed="demo")
    sandbox.admin.reset()
    await there.go("/")
    await tab_to("More about menu.pdf")
    await press("Enter")
    await tab_to("VirusFound")
    await press("Enter")
    await there.says("menu.pdf is now VirusFound.")
    await there.shows("menu.pdf", "VirusFound")
    await press("Escape")
    await expect(page.locator(":focus")).to_have_attribute("aria-label", "More about menu.pdf")
    there.well()


async def test_everything_can_be_read_and_sent_without_scripts(
    browser: Browser, sandbox: Sandbox
) -> None:
    there = await visit(browser, sandbox, java_script_enabled=False)
    page = there.page
    await page.get_by_label("Drop files here").set_input_files(FILES / "logo.gif")
    await page.get_by_role("button", name="Upload").click()
    await there.says("Uploaded logo.gif.")
    await there.shows("logo.gif", "Uploaded")
    await there.row("logo.gif").locator("summary").click()
    await there.row("logo.gif").get_by_role("button", name="Active").click()
    await there.says("logo.gif is now Active.")
    call(sandbox, "GET", "/contacts/7")
    await page.get_by_role("link", name="Requests").click()
    await page.get_by_role("searchbox").fill("404")
    await page.get_by_role("button", name="Filter").click()
    await page.locator("#request-1 a").click()
    await expect(page.get_by_label("Response body")).to_contain_text("Contact 7 was not found.")


async def serious(page: Page) -> list[str]:
    """Return the serious and critical problems that axe finds on a page."""
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{page.url}: {each['id']}: {node['html']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 375)])
async def test_axe_finds_nothing_serious(
    browser: Browser, sandbox: Sandbox, scheme: str, width: int
) -> None:
    sandbox.admin.configure(seed="demo", per_second=2, per_day=10_000)
    sandbox.admin.reset()
    sandbox.admin.fault("unavailable", "GET", "/lists")
    for path in ("/lists", "/contacts/999"):
        call(sandbox, "GET", path)
    sandbox.admin.fault("hang", times=None)
    for file, status in zip(sandbox.admin.files(), ("VirusFound", "Processing"), strict=False):
        sandbox.admin.set_status(file["id"], status)
    campaign = next(iter(sandbox._world.campaigns.campaigns))
    there = await visit(
        browser, sandbox, color_scheme=scheme, viewport={"width": width, "height": 860}
    )
    axe = (HERE / "axe" / "axe.min.js").read_text("utf-8")
    found = []
    for path in (*PAGES, "/requests/1", f"/campaigns/{campaign}", "/requests/99"):
        await there.go(path)
        await there.page.evaluate(axe)
        found += await serious(there.page)
        wide = await there.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is wider than the screen"
    assert found == []


@pytest.mark.skipif(
    not os.environ.get("CCV2_SCREENSHOTS"),
    reason="CCV2_SCREENSHOTS=1 draws docs/images/sandbox.png",
)
async def test_the_screenshots_of_the_documentation(browser: Browser, sandbox: Sandbox) -> None:
    sandbox.admin.configure(seed="demo", per_second=4, per_day=10_000)
    sandbox.admin.reset()
    sandbox.admin.fault("unavailable", "POST", "/contacts", times=3)
    there = await visit(browser, sandbox, viewport={"width": 1200, "height": 720})
    page = there.page
    texts = {"folder_id": "0", "description": "", "source": "MyComputer"}
    for name, source in (
        ("spring-walks.pdf", "brochure/walks.pdf"),
        ("virus.png", "ridges.png"),
        ("logo.gif", "logo.gif"),
        ("visitors.png", "visitors.png"),
    ):
        form = {**texts, "file_name": name, "file_type": name[-3:].upper()}
        answer = call(
            sandbox,
            "POST",
            "/library/files",
            data=form,
            files={"data": (name, (FILES / source).read_bytes())},
        )
        sandbox.admin.advance(1 if name == "logo.gif" else 19)
        call(sandbox, "GET", f"/library/files/uploadstatus/{answer.headers['id']}")
    sandbox.admin.advance(5)
    call(sandbox, "GET", "/lists")
    sandbox.admin.fault("unavailable", "POST", "/library/files")
    form = {**texts, "file_name": "menu.pdf", "file_type": "PDF"}
    call(sandbox, "POST", "/library/files", data=form, files={"data": ("menu.pdf", bytes(40_000))})
    await there.shows("virus.png", "Processing")
    images = ROOT / "docs" / "images"
    await page.mouse.move(0, 0)
    await page.wait_for_load_state("load")
    await page.screenshot(path=images / "sandbox.png")
    await there.go("/requests")
    await page.locator("#request-rows tr", has_text="503").locator("a").click()
    await expect(page.locator("#detail")).to_be_visible()
    await page.screenshot(path=images / "sandbox-request.png")
