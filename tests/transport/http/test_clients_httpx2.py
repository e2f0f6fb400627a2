"""Custom clients of httpx2."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.http.clients import shows_visible_url
from tests.support.probes import nothing_left, until
from tests.support.servers import RawServer, serving, unused_port

httpx2 = pytest.importorskip("httpx2")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async.sandbox import Sandbox
    from tests.support.servers import Request, Wire

SECRETS = ("sandbox-key", "sandbox-token")


@pytest.fixture
async def own() -> AsyncIterator[Any]:
    async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as own:
        yield own


async def test_an_httpx2_client_is_used_unchanged_and_not_closed(
    connect: Callable[..., Any], sandbox: Sandbox, own: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert not shows_visible_url(own)
    cc = await connect(sandbox, http_client=own)
    content = os.urandom(1_500_000)
    file = await cc.library.upload(content, name="menu.pdf")
    assert sandbox.admin.content(file.id) == content
    await cc.library.create_folder("x")
    assert [row.id async for row in cc.library.files()] == [file.id]
    with pytest.raises(errors.NotFound):
        await cc.library.get_file("404404")
    await cc.aclose()
    assert not own.is_closed
    records = [r for r in caplog.records if not r.name.startswith("uvicorn")]
    assert any(record.name == "httpx2" for record in records)
    assert not [r for r in records for secret in SECRETS if secret in r.getMessage()]


async def test_requests_without_a_body_are_not_chunked_and_the_hooks_see_no_key(
    connect: Callable[..., Any],
) -> None:
    seen: list[Request] = []
    urls: list[str] = []

    async def note(wire: Wire, request: Request) -> None:
        seen.append(request)
        await wire.answer(body=b"{}")

    async def hook(request: Any) -> None:
        urls.extend((str(request.url), repr(request)))

    hooks = {"request": [hook]}
    async with serving(note) as server, httpx2.AsyncClient(event_hooks=hooks) as own:
        cc = await connect(server, http_client=own)
        await cc.library.info()
    assert "transfer-encoding" not in seen[0].headers
    assert seen[0].target == "/v2/library/info?api_key=sandbox-key"
    assert not [url for url in urls if "sandbox-key" in url]


@pytest.mark.parametrize("read", [False, True])
async def test_a_compressed_response_is_read_whether_or_not_a_hook_has_read_it(
    connect: Callable[..., Any], sandbox: Sandbox, read: bool
) -> None:
    async def hook(response: Any) -> None:
        if read:
            await response.aread()

    sandbox.admin.fault("gzip", times=None)
    async with httpx2.AsyncClient(event_hooks={"response": [hook]}) as own:
        cc = await connect(sandbox, http_client=own)
        assert (await cc.library.info()).max_upload_size_limit


async def test_httpx2_errors_are_handled_like_those_of_httpx(
    connect: Callable[..., Any], sandbox: Sandbox, own: Any
) -> None:
    cc = await connect(http_client=own, base_url=f"http://127.0.0.1:{await unused_port()}/v2")
    with pytest.raises(errors.ConnectFailed, match="Nothing was sent"):
        await cc.library.info()
    cc = await connect(sandbox, http_client=own)
    sandbox.admin.fault("lose_response", "POST")
    assert (await cc.library.upload(b"abc", name="a.pdf")).size == 3
    sandbox.admin.fault("cut_response", "GET")
    assert len(await cc.library.files().collect()) == 1
    sandbox.admin.fault("redirect")
    with pytest.raises(errors.UnexpectedRedirect):
        await cc.library.info()


async def test_a_cancelled_upload_leaves_nothing(connect: Callable[..., Any]) -> None:
    async def silent(wire: Wire) -> None:
        await wire.request()
        await wire.reader.read()

    async with RawServer(silent) as server, nothing_left(), httpx2.AsyncClient() as own:
        cc = await connect(server, http_client=own)
        task = asyncio.create_task(cc.library.begin_upload(b"abc", name="a.png"))
        await until(lambda: server.open)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await cc.aclose()


async def test_a_body_that_the_library_sends_again_is_never_empty(
    connect: Callable[..., Any],
) -> None:
    """httpcore2 sends a request again after an HTTP/2 GOAWAY, although its body was read."""
    sent: list[bytes] = []

    async def send_twice(request: Any) -> Any:
        for _ in range(2):
            body = aiter(request.stream)
            sent.append(b"".join([chunk async for chunk in body]))
        return httpx2.Response(201, json={"id": "1", "name": "x"})

    transport = httpx2.MockTransport(None)
    transport.handle_async_request = send_twice
    async with httpx2.AsyncClient(transport=transport) as own:
        cc = await connect(base_url="http://service.example/v2", http_client=own)
        with pytest.raises(errors.OutcomeUnknown):
            await cc.library.create_folder("x")
    assert sent == [b'{"name":"x"}']
