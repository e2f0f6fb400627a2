"""The example web backend on its own socket, with a sandbox behind it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi", reason="the web backend needs FastAPI: pip install '.[examples]'")

import attrs
import uvicorn

from ccv2_async import ConstantContact
from ccv2_async.pytest_plugin import _HastyClock
from ccv2_async.sandbox import Sandbox
from examples.web_backend.app import create_app, stop_streams
from tests.support.browser import ARGUMENTS, CHROMIUM, PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from fastapi import FastAPI
    from playwright.async_api import Browser


@attrs.frozen
class Site:
    """A running backend.

    Attributes:
        app: The application.
        port: Where it listens on 127.0.0.1.
        sandbox: The service behind it.
    """

    app: FastAPI
    port: int
    sandbox: Sandbox

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> ConstantContact:
        client: ConstantContact = self.app.state.backend.client
        return client

    def uploads(self) -> list[str]:
        """The names of the files that reached the library."""
        return [file["name"] for file in self.sandbox.admin.files()]

    def file_id(self, name: str) -> str:
        (found,) = [f["id"] for f in self.sandbox.admin.files() if f["name"] == name]
        return str(found)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose uploads are Active after two looks that find them unfinished."""
    with Sandbox(mode="looks", looks=2) as sandbox:
        yield sandbox


@contextlib.asynccontextmanager
async def serving(
    sandbox: Sandbox, database: Path, *, grace: int = 30, **options: Any
) -> AsyncIterator[Site]:
    """The backend in this event loop, its polls ten times as fast as they are."""

    def open_client() -> ConstantContact:
        return ConstantContact(
            **sandbox.client_options(),
            clock=_HastyClock(),
        )

    app = create_app(open_client, database=database, **options)
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=grace)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        task = asyncio.create_task(server.serve([sock]))
        try:
            while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn has no event
                await asyncio.sleep(0.001)
            yield Site(app, sock.getsockname()[1], sandbox)
        finally:
            stop_streams(app)
            server.should_exit = True
            await task


@pytest.fixture
def serve(sandbox: Sandbox, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Site]]:
    """Starts backends that share one database and one sandbox."""
    return lambda **options: serving(sandbox, tmp_path / "uploads.db", **options)


@pytest.fixture
async def site(serve: Callable[..., AbstractAsyncContextManager[Site]]) -> AsyncIterator[Site]:
    """One running backend."""
    async with serve() as site:
        yield site


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser; tests that use it carry the marks of `tests.support.browser`."""
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE
        )
        yield browser
        await browser.close()
