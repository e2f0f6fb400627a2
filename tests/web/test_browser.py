"""The example web backend in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.support.browser import MARKS, PATIENCE
from tests.support.lasting_ports import lasting_port
from tests.support.probes import until

playwright = pytest.importorskip(
    "playwright.async_api", reason="browser tests need Playwright: pip install playwright"
)
pytestmark = MARKS

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from playwright.async_api import Browser, BrowserContext, Locator, Page

    from ccv2_async.sandbox import Sandbox
    from tests.web.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

ROOT = Path(__file__).parents[2]
FILES = ROOT / "examples" / "files"
LARGE = os.urandom(4_000_000)

expect: Any = playwright.expect


@attrs.frozen
class Visitor:
    """A browser with cookies of its own, and what went wrong in it.

    Attributes:
        context: The browser's.
        complaints: What the page wrote to its console, and errors of its scripts.
        asked: Every URL that was asked for.
    """

    context: BrowserContext
    complaints: list[str] = attrs.field(factory=list)
    asked: list[str] = attrs.field(factory=list)

    async def open(self, url: str) -> Page:
        self.context.set_default_timeout(PATIENCE)
        page = await self.context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        await page.goto(url)
        await expect(page.locator("#link")).to_have_text("live")
        return page


@pytest.fixture
async def visitor(browser: Browser) -> Visitor:
    return Visitor(await browser.new_context(viewport={"width": 900, "height": 860}))


def copied(tmp_path: Path, name: str, source: str | bytes = "visitors.png") -> Path:
    """A file with this name, which decides the outcome in the sandbox."""
    path = tmp_path / name
    path.write_bytes(source if isinstance(source, bytes) else (FILES / source).read_bytes())
    return path


def row(page: Page, name: str) -> Locator:
    return page.locator(f'#uploads li[data-name="{name}"]')


async def shows(page: Page, name: str, state: str) -> None:
    await expect(row(page, name).locator(".state")).to_have_text(state)


async def slow_down(page: Page, bytes_a_second: int) -> None:
    """Let the page's connection be a slow one."""
    developer = await page.context.new_cdp_session(page)
    await developer.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": bytes_a_second,
        },
    )


class Line:
    """A way to the backend that lets only so many bytes of a connection reach it.

    A browser that is slowed down does not do for files that break off: its brake ends with the
    page, and what is left of the file is then sent in a moment.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.most: float = math.inf

    async def __call__(self, browser: StreamReader, answer: StreamWriter) -> None:
        backend, request = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.create_task(self._pass_on(backend, answer, lambda: math.inf))
        await self._pass_on(browser, request, lambda: self.most)
        await answers

    async def _pass_on(
        self, reader: StreamReader, writer: StreamWriter, most: Callable[[], float]
    ) -> None:
        passed = 0
        with contextlib.suppress(ConnectionError):
            while block := await reader.read(2**16):
                if passed + len(block) <= most():
                    passed += len(block)
                    writer.write(block)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def line(site: Site) -> AsyncIterator[tuple[Line, str]]:
    """Such a way, and its URL."""
    line = Line(site.port)
    server = await asyncio.start_server(line, "127.0.0.1", 0)
    async with server:
        yield line, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_selected_files_become_active_on_the_page(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    page = await visitor.open(site.url)
    stuck = copied(tmp_path, "stuck.pdf", "brochure/walks.pdf")
    await page.set_input_files("#files", [FILES / "sunrise.jpg", FILES / "logo.gif", stuck])
    await shows(page, "sunrise.jpg", "Active")
    await shows(page, "logo.gif", "Active")
    await shows(page, "stuck.pdf", "Uploaded")
    for status in ("Processing", "Active"):
        site.sandbox.admin.set_status(site.file_id("stuck.pdf"), status)
        await shows(page, "stuck.pdf", status)
    await expect(page.locator("#count")).to_have_text("3 of 3 active")
    file = await site.client.library.get_file(site.file_id("sunrise.jpg"))
    assert await row(page, "sunrise.jpg").locator("a").get_attribute("href") == file.url
    content = site.sandbox.admin.content(site.file_id("sunrise.jpg"))
    assert content == (FILES / "sunrise.jpg").read_bytes()
    assert visitor.complaints == []
    local = (site.url, "blob:" + site.url)
    assert [url for url in visitor.asked if not url.startswith(local)] == []


async def test_a_virus_is_reported_in_plain_language(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    page = await visitor.open(site.url)
    await page.set_input_files("#files", copied(tmp_path, "virus.png"))
    await shows(page, "virus.png", "Virus found")
    await expect(row(page, "virus.png").locator(".more")).to_have_text(
        "A virus was found in the file, so the library refused it."
    )
    await expect(row(page, "virus.png")).to_have_attribute("data-phase", "refused")


async def test_dropped_files_are_uploaded_like_selected_ones(site: Site, visitor: Visitor) -> None:
    page = await visitor.open(site.url)
    await page.evaluate("""() => {
        const dropped = new DataTransfer();
        for (const name of ["ünïcode <b>&amp;.pdf", "note.txt"])
            dropped.items.add(new File(["a few bytes"], name));
        dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, cancelable: true}));
    }""")
    await shows(page, "ünïcode <b>&amp;.pdf", "Active")
    await shows(page, "note.txt", "Refused")
    await expect(row(page, "note.txt").locator(".more")).to_contain_text("it must be one of")
    assert site.uploads() == ["ünïcode <b>&amp;.pdf"]


async def test_a_file_over_the_limit_is_not_sent(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    page = await visitor.open(site.url)
    await page.set_input_files("#files", copied(tmp_path, "huge.pdf", bytes(5 * 2**20 + 1)))
    await shows(page, "huge.pdf", "Refused")
    assert not [url for url in visitor.asked if "huge" in url]


async def test_a_reloaded_page_keeps_showing_states(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    page = await visitor.open(site.url)
    await page.set_input_files("#files", [FILES / "logo.gif", copied(tmp_path, "stuck.pdf")])
    await shows(page, "logo.gif", "Active")
    await shows(page, "stuck.pdf", "Uploaded")
    await page.reload()
    await shows(page, "logo.gif", "Active")
    await shows(page, "stuck.pdf", "Uploaded")
    site.sandbox.admin.set_status(site.file_id("stuck.pdf"), "Active")
    await shows(page, "stuck.pdf", "Active")
    assert len(site.sandbox.admin.requests("POST", "/library/files")) == 2


async def test_every_open_page_of_the_visitor_is_updated_and_no_other(
    site: Site, visitor: Visitor, browser: Browser
) -> None:
    page, second = await visitor.open(site.url), await visitor.open(site.url)
    other = Visitor(await browser.new_context())
    stranger = await other.open(site.url)
    await page.set_input_files("#files", FILES / "logo.gif")
    await shows(page, "logo.gif", "Active")
    await shows(second, "logo.gif", "Active")
    await expect(stranger.locator("#empty")).to_be_visible()
    await expect(stranger.locator("#uploads li")).to_have_count(0)


@pytest.mark.parametrize("leaving", ["close the page", "reload it", "press the button"])
async def test_leaving_the_page_aborts_the_upload(
    site: Site, line: tuple[Line, str], visitor: Visitor, tmp_path: Path, leaving: str
) -> None:
    way, url = line
    page = await visitor.open(url)
    tasks = asyncio.all_tasks()
    way.most = len(LARGE) / 2
    await page.set_input_files("#files", copied(tmp_path, "half.pdf", LARGE))
    await expect(row(page, "half.pdf").locator(".more")).to_have_text(re.compile(r"· [1-9]\d?%"))
    match leaving:
        case "close the page":
            await page.close()
            page = await visitor.open(url)
        case "reload it":
            await page.reload()
        case _:
            await row(page, "half.pdf").locator(".stop").click()
    await shows(page, "half.pdf", "Interrupted")
    await expect(row(page, "half.pdf").locator(".more")).to_contain_text("disconnected before the")
    assert site.uploads() == []
    await until(
        lambda: (
            not any("begin_upload" in str(task.get_coro()) for task in asyncio.all_tasks() - tasks)
        )
    )
    way.most = math.inf
    await page.set_input_files("#files", FILES / "logo.gif")
    await shows(page, "logo.gif", "Active")


@asynccontextmanager
async def process(sandbox: Sandbox, database: Path, port: int) -> AsyncIterator[tuple[Any, str]]:
    """The backend as a process of its own, by its own command; and its URL."""
    options = sandbox.client_options()
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.web_backend"),
        *("--port", str(port), "--database", str(database)),
        cwd=ROOT,
        env={
            "PATH": os.environ.get("PATH", ""),
            "CCV2_BASE_URL": options["base_url"],
            "CCV2_API_KEY": options["api_key"],
            "CCV2_ACCESS_TOKEN": options["access_token"],
            "CCV2_RATE": "0",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert running.stdout is not None
        line = (await running.stdout.readline()).decode()
        url = re.search(r"http://\S+", line)
        assert url is not None, (await running.communicate())[1].decode()
        yield running, url[0]
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def test_uploads_continue_after_the_server_was_killed_and_restarted(
    sandbox: Sandbox, visitor: Visitor, tmp_path: Path
) -> None:
    database = tmp_path / "uploads.db"
    stuck = copied(tmp_path, "stuck.pdf")
    port = lasting_port()
    async with process(sandbox, database, port) as (_, url):
        page = await visitor.open(url)
        await page.set_input_files("#files", stuck)
        await shows(page, "stuck.pdf", "Uploaded")
    await expect(page.locator("#link")).to_have_text("reconnecting")
    async with process(sandbox, database, port) as (_, url):
        await expect(page.locator("#link")).to_have_text("live")
        await shows(page, "stuck.pdf", "Uploaded")
        (file,) = sandbox.admin.files()
        sandbox.admin.set_status(file["id"], "Active")
        await shows(page, "stuck.pdf", "Active")


async def test_an_interrupted_server_stops_at_once_with_a_page_open(
    sandbox: Sandbox, visitor: Visitor, tmp_path: Path
) -> None:
    async with process(sandbox, tmp_path / "uploads.db", 0) as (running, url):
        await visitor.open(url)
        running.send_signal(2)
        _, complaints = await running.communicate()
    assert running.returncode == 0
    assert complaints == b""


@pytest.mark.skipif(
    not os.environ.get("CCV2_SCREENSHOTS"), reason="CCV2_SCREENSHOTS=1 draws docs/images/web.png"
)
async def test_the_screenshot_of_the_documentation(
    site: Site, visitor: Visitor, tmp_path: Path
) -> None:
    page = await visitor.open(site.url)
    for name, source, phase in (
        ("spring-walks.pdf", "brochure/walks.pdf", "active"),
        ("virus.png", "ridges.png", "refused"),
        ("visitors.png", "visitors.png", "active"),
        ("sunrise.jpg", "sunrise.jpg", "active"),
        ("newsletter.png", "ridges.png", "processing"),
    ):
        if phase == "processing":
            site.sandbox.admin.configure(looks=10**6)
        await page.set_input_files("#files", copied(tmp_path, name, source))
        await expect(row(page, name)).to_have_attribute("data-phase", phase)
    site.sandbox.admin.set_status(site.file_id("newsletter.png"), "Processing")
    await shows(page, "newsletter.png", "Processing")
    await slow_down(page, 300_000)
    await page.set_input_files("#files", FILES / "mountains.jpeg")
    await expect(row(page, "mountains.jpeg").locator(".more")).to_have_text(
        re.compile(r"· [3-9]\d%")
    )
    await page.mouse.move(0, 0)
    await page.screenshot(path=ROOT / "docs" / "images" / "web.png")
