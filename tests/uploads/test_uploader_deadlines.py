"""An upload ends within its deadline, wherever the service hangs."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, errors
from ccv2_async.sandbox import Sandbox
from tests.support.probes import until
from tests.support.servers import RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.servers import Request, Wire

SIZE = 100_000

PATIENCE = 8.0
"""Seconds: much more than any deadline here, and much less than any limit of the client."""


@pytest.fixture
async def connect_real() -> AsyncIterator[Callable[..., Any]]:
    """Opens clients on the machine's clock."""
    async with AsyncExitStack() as stack:

        async def opened(**options: Any) -> ConstantContact:
            given: dict[str, Any] = {"per_second": None, "per_day": None, "trust_env": False}
            given |= {"api_key": "key", "access_token": "token"}
            return await stack.enter_async_context(ConstantContact(**given | options))

        yield opened


class HangingService:
    """Stores uploads, loses the answers, and hangs at one stage.

    Args:
        stage: "body", "answer", "look", "pages", "content", "trickle", "resend" or "after".
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.posts = 0

    async def script(self, wire: Wire) -> None:
        while True:
            request = await wire.head()
            if request.method == "POST":
                if self.stage == "body":
                    await asyncio.Event().wait()
                await wire.reader.readexactly(int(request.headers["content-length"]))
            await self._answer(wire, request)

    async def _answer(self, wire: Wire, request: Request) -> None:
        path = request.target.partition("?")[0]
        if request.method == "POST":
            self.posts += 1
            if self.stage == "answer" or (self.stage == "resend" and self.posts == 2):
                await asyncio.Event().wait()
            if self.posts == 2 or self.stage == "after":
                if self.posts == 1:
                    await wire.answer("503 Busy", b"", "Retry-After: 0")
                else:
                    await wire.answer("202 Accepted", b"", "Location: /v2/library/files/8")
            else:
                wire.reset()
        elif self.stage in ("look", "after") or (
            self.stage == "content" and path.startswith("/content")
        ):
            await asyncio.Event().wait()
        elif self.stage == "trickle" and path.startswith("/content"):
            await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                await wire.write(b"a")
                await asyncio.sleep(0.05)
        else:
            row = {"id": "7", "name": "menu.pdf", "size": SIZE, "url": "/content/7"}
            page: dict[str, Any] = {"meta": {}, "results": [] if self.stage == "resend" else [row]}
            if self.stage == "pages":
                page["results"] = []
                page["meta"] = {"pagination": {"next_link": f"/v2/library/files?next={self.posts}"}}
                await asyncio.sleep(0.05)
            await wire.answer("200 OK", json.dumps(page).encode())


class HangingTrash(HangingService):
    """Stores a file twice, shows it late, and hangs when a copy is moved to the trash."""

    def __init__(self) -> None:
        super().__init__("trash")

    async def _answer(self, wire: Wire, request: Request) -> None:
        if request.method == "POST":
            await super()._answer(wire, request)
        elif request.method == "DELETE":
            await asyncio.Event().wait()
        elif request.target.startswith("/content"):
            await wire.answer("200 OK", b"a" * SIZE, json=False)
        else:
            shown = [("8", "menu(1).pdf"), ("7", "menu.pdf")] if self.posts == 2 else []
            rows = [
                {"id": id_, "name": name, "size": SIZE, "url": f"/content/{id_}"}
                for id_, name in shown
            ]
            await wire.answer("200 OK", json.dumps({"meta": {}, "results": rows}).encode())


async def begin(
    cc: ConstantContact, form: str, *, seconds: float = 0.5, size: int = SIZE, **options: Any
) -> Any:
    deadline = seconds if form == "argument" else None
    with cc.deadline(seconds) if form == "block" else nullcontext():
        return await cc.library.begin_upload(
            b"a" * size, name="menu.pdf", deadline=deadline, **options
        )


@pytest.mark.parametrize("form", ["argument", "block"])
@pytest.mark.parametrize(
    "stage", ["body", "answer", "look", "pages", "content", "trickle", "resend", "after"]
)
async def test_an_upload_ends_within_its_deadline(
    connect_real: Callable[..., Any], stage: str, form: str
) -> None:
    service = HangingService(stage)
    async with RawServer(service.script) as server:
        cc = await connect_real(
            base_url=server.base_url, settle_time=0.1 if stage == "resend" else 15.0
        )
        since = time.monotonic()
        if stage == "after":
            assert (await begin(cc, form, seconds=1.5)).id == "8"
        elif stage == "body":
            with pytest.raises(errors.DeadlineExceeded, match=r"within 0\.5 s"):
                await begin(cc, form, size=40_000_000)
        else:
            with pytest.raises(errors.AmbiguousUpload, match=r"0\.5 s"):
                await begin(cc, form)
        assert time.monotonic() - since < PATIENCE


@pytest.mark.parametrize("form", ["argument", "block"])
async def test_moving_a_copy_to_the_trash_ends_within_the_deadline(
    connect_real: Callable[..., Any], form: str
) -> None:
    async with RawServer(HangingTrash().script) as server:
        cc = await connect_real(base_url=server.base_url, settle_time=0.1)
        since = time.monotonic()
        poller = await begin(cc, form, seconds=1.5, on_duplicate="trash")
        assert (poller.id, poller.duplicates) == ("7", ("8",))
        assert time.monotonic() - since < PATIENCE


async def test_waiting_for_an_upload_of_the_same_name_respects_the_deadline(
    connect_real: Callable[..., Any],
) -> None:
    async with RawServer(HangingService("answer").script) as server:
        cc = await connect_real(base_url=server.base_url)
        first = asyncio.create_task(begin(cc, "none"))
        await asyncio.sleep(0)
        with pytest.raises(errors.DeadlineExceeded, match=r"could not start within 0\.5 s"):
            await begin(cc, "block")
        first.cancel()
        await asyncio.wait([first])


@pytest.mark.parametrize("stage", ["body", "answer", "look", "content", "processing"])
async def test_a_bulk_upload_ends_within_its_deadline(
    tmp_path: Path, connect_real: Callable[..., Any], stage: str
) -> None:
    files = [tmp_path / f"{name}.pdf" for name in "abc"]
    for file in files:
        file.write_bytes(b"a" * SIZE)
    async with AsyncExitStack() as stack:
        if stage == "processing":
            sandbox = stack.enter_context(Sandbox(mode="seconds", seconds=3600))
            cc = await connect_real(**sandbox.client_options())
        else:
            server = await stack.enter_async_context(RawServer(HangingService(stage).script))
            cc = await connect_real(base_url=server.base_url)
        since = time.monotonic()
        with cc.deadline(0.5):
            results = [result async for result in cc.upload_many(files, concurrency=2)]
        assert time.monotonic() - since < PATIENCE
    assert len(results) == 3
    assert all(isinstance(result.error, errors.ConstantContactError) for result in results)


async def test_a_lost_file_of_an_earlier_run_is_settled_after_a_deadline(
    tmp_path: Path, connect_real: Callable[..., Any]
) -> None:
    file, journal = tmp_path / "menu.pdf", tmp_path / "journal"
    file.write_bytes(b"abc")
    with Sandbox(mode="at_once") as sandbox:
        cc = await connect_real(**sandbox.client_options())

        async def run() -> list[Any]:
            return [result async for result in cc.upload_many([file], journal=journal)]

        sandbox.admin.fault("delay_response", "POST", seconds=30)
        killed = asyncio.create_task(run())
        await until(sandbox.admin.files)
        killed.cancel()
        await asyncio.wait([killed])

        sandbox.admin.fault("hang", "POST")
        namesake = asyncio.create_task(cc.library.begin_upload(b"xyz", name="menu.pdf"))
        await until(lambda: len(sandbox.admin.requests("POST")) == 2)
        with cc.deadline(0.3):
            (result,) = await run()
        assert isinstance(result.error, errors.DeadlineExceeded)
        namesake.cancel()
        await asyncio.wait([namesake])

        (result,) = await run()
        assert [stored["id"] for stored in sandbox.admin.files()] == [result.id]
