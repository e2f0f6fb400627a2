"""The example web backend, tested with an HTTP client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from examples.web_backend import incoming
from examples.web_backend.board import Mailbox
from examples.web_backend.uploads import Store, Upload
from tests.support.probes import nothing_left, until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.web.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

COOKIES = {"visitor": "me"}
PDF = os.urandom(300_000)
LARGE = os.urandom(1_000_000)
PATIENCE = 50.0
"""Seconds; only a hang takes so long, on a busy machine too."""


@contextlib.asynccontextmanager
async def visitor(site: Site, name: str = "me") -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=site.url, cookies={"visitor": name}, trust_env=False, timeout=PATIENCE
    ) as http:
        yield http


async def events(http: httpx.AsyncClient) -> AsyncGenerator[tuple[str, Any], None]:
    """The news, until the stream is closed or the caller has enough."""
    async with http.stream("GET", "/uploads", timeout=PATIENCE) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield kind, json.loads(line.removeprefix("data: "))


async def first_list(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    async with contextlib.aclosing(events(http)) as news:
        async for kind, rows in news:
            assert kind == "uploads"
            return list(rows)
    raise AssertionError("no list came")


async def told(
    http: httpx.AsyncClient, enough: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """The news up to the one that is enough, or to the end of the stream."""
    seen: list[dict[str, Any]] = []
    async with contextlib.aclosing(events(http)) as news:
        async for kind, data in news:
            for row in data if kind == "uploads" else [data]:
                seen.append(row)
                if enough(row):
                    return seen
    return seen


async def phases_until(http: httpx.AsyncClient, *ends: str) -> list[dict[str, Any]]:
    """The news up to an upload in one of these phases."""
    return await told(http, lambda row: row["phase"] in ends)


async def test_a_file_is_forwarded_byte_for_byte_and_followed_to_active(site: Site) -> None:
    async with visitor(site) as http:
        answer = await http.post("/uploads", params={"name": "menü.pdf"}, content=PDF)
        assert answer.status_code == 202
        assert answer.json()["phase"] == "processing"
        seen = await phases_until(http, "active")
    assert seen[-1]["url"].startswith("http")
    assert {row["status"] for row in seen} >= {"Active"}
    assert site.sandbox.admin.content(site.file_id("menü.pdf")) == PDF


async def test_a_body_of_known_length_is_streamed_without_storage(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", None)
    async with visitor(site) as http:
        answer = await http.post("/uploads", params={"name": "a.pdf"}, content=PDF)
    assert answer.status_code == 202


@pytest.mark.parametrize("size", [1000, incoming.IN_MEMORY, incoming.IN_MEMORY + 1, 3_000_000])
async def test_a_body_of_unknown_length_is_spooled(site: Site, size: int) -> None:
    content = os.urandom(size)

    async def body() -> AsyncIterator[bytes]:
        for at in range(0, size, 70_000):
            yield content[at : at + 70_000]

    async with visitor(site) as http:
        answer = await http.post("/uploads", params={"name": "a.pdf"}, content=body())
    assert answer.status_code == 202, answer.text
    assert site.sandbox.admin.content(site.file_id("a.pdf")) == content


async def test_a_spooled_body_can_be_resent(site: Site) -> None:
    site.sandbox.admin.fault("unavailable", "POST", headers={"Retry-After": "0"})

    async def body() -> AsyncIterator[bytes]:
        yield PDF

    async with visitor(site) as http:
        answer = await http.post("/uploads", params={"name": "a.pdf"}, content=body())
    assert answer.status_code == 202, answer.text
    assert len(site.sandbox.admin.requests("POST", "/library/files")) == 2


@pytest.mark.parametrize(
    ("name", "content", "status", "says"),
    [
        ("a.exe", PDF, 422, "PDF"),
        ("a.pdf", b"", 422, "empty"),
        ("a.pdf", b"x" * 2_000_001, 413, "Larger than"),
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["length", "chunked"])
async def test_invalid_files_are_refused_with_a_reason(  # noqa: PLR0917  # a table
    serve: Serve, name: str, content: bytes, status: int, says: str, known: bool
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield content

    async with serve(largest=2_000_000) as site, visitor(site) as http:
        sent = content if known else body()
        answer = await http.post("/uploads", params={"name": name}, content=sent)
        assert answer.status_code == status
        assert says in answer.json()["detail"]
        (row,) = await first_list(http)
    assert (row["phase"], row["message"]) == ("refused", answer.json()["detail"])
    assert site.uploads() == []


async def test_a_refusal_by_the_service_is_shown_to_the_visitor(site: Site) -> None:
    site.sandbox.admin.fault("answer", "POST", status=400, body="[]")
    async with visitor(site) as http:
        answer = await http.post("/uploads", params={"name": "a.pdf"}, content=PDF)
        assert answer.status_code == 502
        (row,) = await first_list(http)
    assert row["phase"] == "refused"


@pytest.mark.parametrize(
    ("name", "says"), [("virus.png", "virus"), ("fail.pdf", "complete"), ("deleted.pdf", "process")]
)
async def test_the_outcome_of_a_bad_file_is_shown(site: Site, name: str, says: str) -> None:
    async with visitor(site) as http:
        await http.post("/uploads", params={"name": name}, content=PDF)
        seen = await phases_until(http, "refused", "active")
    assert seen[-1]["phase"] == "refused"
    assert says in seen[-1]["message"]


async def test_visitors_see_only_their_own_uploads(site: Site) -> None:
    async with visitor(site) as mine, visitor(site, "you") as yours:
        await mine.post("/uploads", params={"name": "a.pdf"}, content=PDF)
        assert [row["name"] for row in await first_list(mine)] == ["a.pdf"]
        assert await first_list(yours) == []
    async with httpx.AsyncClient(base_url=site.url, trust_env=False) as nobody:
        assert (await nobody.get("/uploads")).status_code == 403
        assert (await nobody.post("/uploads?name=a.pdf", content=PDF)).status_code == 403
        assert "visitor" in (await nobody.get("/")).cookies


async def test_tokens_and_owners_are_not_sent_to_the_browser(site: Site) -> None:
    async with visitor(site) as http:
        answer = await http.post("/uploads", params={"name": "a.pdf"}, content=PDF)
        seen = await phases_until(http, "active")
    text = answer.text + json.dumps(seen)
    for secret in ("ccv2p1", "sandbox-key", "sandbox-token", '"owner"', '"token"'):
        assert secret not in text


async def test_the_service_is_not_polled_when_no_page_is_open(site: Site) -> None:
    status = "/library/files/uploadstatus/*"
    async with visitor(site) as http:
        await http.post("/uploads", params={"name": "stuck.pdf"}, content=PDF)
        assert site.sandbox.admin.requests("GET", status) == []
        async with nothing_left(), visitor(site) as page:
            await told(page, lambda row: row["status"] == "Uploaded")
        asked = len(site.sandbox.admin.requests("GET", status))
        assert asked
        await site.client.library.info()
        assert len(site.sandbox.admin.requests("GET", status)) == asked


async def test_two_pages_share_status_requests(site: Site) -> None:
    async with visitor(site) as http:
        await http.post("/uploads", params={"name": "a.pdf"}, content=PDF)
        both = await asyncio.gather(phases_until(http, "active"), phases_until(http, "active"))
    assert [rows[-1]["status"] for rows in both] == ["Active", "Active"]
    looks = site.sandbox.admin.requests("GET", "/library/files/uploadstatus/*")
    assert len(looks) == 3  # two that find it unfinished, and the last


async def test_uploads_continue_from_their_tokens_after_a_restart(serve: Serve) -> None:
    async with serve() as site, visitor(site) as http:
        await http.post("/uploads", params={"name": "a.pdf"}, content=PDF)
    async with serve() as site, visitor(site) as http:
        seen = await phases_until(http, "active")
        assert [row["name"] for row in seen] == ["a.pdf"] * len(seen)
        assert seen[0]["phase"] == "processing"
    async with serve() as site, visitor(site) as http:
        (row,) = await first_list(http)
    assert (row["phase"], row["status"]) == ("active", "Active")
    assert len(site.sandbox.admin.requests("POST")) == 1


async def test_a_token_of_other_credentials_is_reported_and_not_followed(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve() as site, visitor(site) as http:
        async with Store.opened(tmp_path / "uploads.db") as store:
            await store.save(
                Upload(owner="me", name="a.pdf", phase="processing", token="ccv2p1.e30.x")
            )
        seen = await phases_until(http, "refused")
    assert "token" in seen[-1]["message"]


async def test_an_upload_interrupted_by_a_crash_is_shown_as_such(
    serve: Serve, tmp_path: Path
) -> None:
    async with Store.opened(tmp_path / "uploads.db") as store:
        await store.save(Upload(owner="me", name="a.pdf"))
    async with serve() as site, visitor(site) as http:
        (row,) = await first_list(http)
    assert row["phase"] == "broken"
    assert "server stopped" in row["message"]


async def half_an_upload(site: Site) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = (
        "POST /uploads?name=half.pdf HTTP/1.1\r\nHost: x\r\nCookie: visitor=me\r\n"
        f"Content-Length: {2 * len(LARGE)}\r\n\r\n"
    )
    writer.write(head.encode() + LARGE)
    await writer.drain()
    return writer


async def test_a_browser_that_disconnects_aborts_its_upload(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with nothing_left(), serve() as site:
        tasks = asyncio.all_tasks()
        writer = await half_an_upload(site)
        async with visitor(site) as http:
            # Bytes of it are on their way to the service by now.
            await told(http, lambda row: row["sent"] > 0)
            writer.close()
            await writer.wait_closed()
            seen = await phases_until(http, "broken")
        await until(lambda: asyncio.all_tasks() == tasks)
        assert site.uploads() == []
    assert "the browser disconnected before" in seen[-1]["message"]
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]


async def test_a_server_that_stops_during_an_upload_logs_no_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with nothing_left():
        async with serve(grace=0) as site, visitor(site) as http:
            writer = await half_an_upload(site)
            await told(http, lambda row: row["sent"] > 0)
        writer.close()
    assert [r for r in caplog.records if r.exc_info] == []
    async with serve() as site, visitor(site) as http:
        (row,) = await first_list(http)
    assert "server stopped" in row["message"]


async def test_open_streams_do_not_keep_the_server_from_stopping(serve: Serve) -> None:
    async with serve() as site, visitor(site) as http:
        await http.post("/uploads", params={"name": "stuck.pdf"}, content=PDF)
        reading = asyncio.create_task(phases_until(http, "active"))
        await until(lambda: site.app.state.backend.board._mailboxes)
        async with asyncio.timeout(PATIENCE):
            stopping = site.app.state.backend.board
            stopping.close()
            seen = await reading
    assert seen[-1]["phase"] == "processing"


async def test_a_slow_page_gets_only_the_latest_state() -> None:
    mailbox = Mailbox()
    upload = Upload(owner="me", name="a.pdf")
    for sent in range(1000):
        mailbox.put(Upload(owner="me", name="a.pdf", id=upload.id, sent=sent))
    news = await mailbox.get()
    assert [one.sent for one in news or ()] == [999]
    mailbox.close()
    assert await mailbox.get() is None


@pytest.mark.parametrize(
    ("name", "length", "status"), [("big.pdf", 10**9, 413), ("notes.txt", 1000, 422)]
)
@pytest.mark.parametrize("sent", [b"", b"%PDF"])
async def test_a_refusal_does_not_wait_for_a_silent_sender(
    serve: Serve, name: str, length: int, status: int, sent: bytes
) -> None:
    async with serve() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        head = (
            f"POST /uploads?name={name} HTTP/1.1\r\nHost: x\r\nCookie: visitor=me\r\n"
            f"Content-Length: {length}\r\n\r\n"
        )
        writer.write(head.encode() + sent)
        async with asyncio.timeout(PATIENCE):
            line = await reader.readline()
        writer.close()
    assert int(line.split()[1]) == status


async def test_a_refusal_reaches_a_client_that_reads_only_at_the_end(serve: Serve) -> None:
    async with serve(largest=1_000_000) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        head = (
            "POST /uploads?name=big.pdf HTTP/1.1\r\nHost: x\r\nCookie: visitor=me\r\n"
            "Content-Length: 8000000\r\n\r\n"
        )
        writer.write(head.encode())
        async with asyncio.timeout(PATIENCE):
            for _ in range(8):
                writer.write(bytes(1_000_000))
                await writer.drain()
            line = await reader.readline()
        writer.close()
    assert int(line.split()[1]) == 413
