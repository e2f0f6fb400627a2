"""`with client.responses() as seen:` collects status and headers of answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, Lane, errors
from ccv2_async.observe import CallSent
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox import Sandbox
    from tests.support.servers import Request, Wire


def answer(status: str, body: bytes, *headers: str) -> Any:
    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(status, body, *headers)

    return say


async def test_a_response_has_its_headers_and_the_number_of_its_call(sandbox: Sandbox) -> None:
    sent: list[Any] = []
    async with ConstantContact(**sandbox.client_options(), on_event=sent.append) as cc:
        with cc.responses() as seen:
            await cc.account.info()
        await cc.lists.all()
    (info,) = seen
    (first, _) = [event for event in sent if isinstance(event, CallSent)]
    assert (info.method, info.path, info.status) == ("GET", "/account/info", 200)
    assert (info.call, info.attempt) == (first.call, 1)
    assert info.headers["content-type"].startswith("application/json")
    assert info.seconds >= 0
    assert "content-type" not in repr(info)


async def test_retries_and_refusals_are_seen_and_the_error_names_its_call(
    connect: Callable[..., Any],
) -> None:
    busy = answer("503 Busy", b"[]")
    gone = answer("404 Not Found", b"[]", "X-Request-Id: abc")
    async with serving(busy, gone, answer("200 OK", b"{}")) as server:
        cc = await connect(server)
        with cc.responses() as seen, pytest.raises(errors.NotFound) as caught:
            await cc.request("GET", "/x")
    assert [(info.attempt, info.status) for info in seen] == [(1, 503), (2, 404)]
    assert caught.value.call == seen[0].call == seen[1].call
    assert caught.value.headers["x-request-id"] == seen[1].headers["x-request-id"] == "abc"


async def test_the_error_of_a_failed_refresh_has_the_headers_of_the_401(
    connect: Callable[..., Any],
) -> None:
    def fail() -> str:
        raise OSError("no store")

    async with serving(answer("401 No", b"[]", "X-Request-Id: abc")) as server:
        cc = await connect(server, refresh_token=fail)
        with pytest.raises(errors.AuthenticationFailed, match="no store") as caught:
            await cc.request("GET", "/x")
    assert caught.value.headers["x-request-id"] == "abc"
    assert caught.value.call is not None


async def test_a_block_sees_the_calls_of_its_own_tasks_only(client: ConstantContact) -> None:
    began = asyncio.Event()

    async def other() -> None:
        await began.wait()
        await client.lists.all()

    outside = asyncio.create_task(other())
    with client.responses() as seen:
        began.set()
        view = client.with_options(lane=Lane.BULK)
        await asyncio.gather(outside, asyncio.create_task(view.account.info()))
        with client.responses() as inner:
            await client.contacts.all().collect()
    assert [info.path for info in seen] == ["/account/info", "/contacts"]
    assert [info.path for info in inner] == ["/contacts"]


async def test_a_block_does_not_see_the_calls_of_another_client(
    connect: Callable[..., Any],
) -> None:
    fine = answer("200 OK", b"{}")
    async with serving(fine, fine) as server:
        one, other = await connect(server), await connect(server)
        with one.responses() as seen:
            await other.request("GET", "/x")
    assert seen == []


async def test_only_the_newest_responses_are_kept(client: ConstantContact) -> None:
    with client.responses(limit=2) as seen:
        for path in ("/account/info", "/lists", "/contacts"):
            await client.request("GET", path)
    assert [info.path for info in seen] == ["/lists", "/contacts"]
    for limit in (0, -1, True, "5"):
        with pytest.raises(errors.InvalidField, match="1 or more"):
            client.responses(limit=limit)  # type: ignore[arg-type]  # a wrong one


async def test_echoed_secrets_are_hidden_in_headers(connect: Callable[..., Any]) -> None:
    async with serving(answer("200 OK", b"{}", "X-Echo: sandbox-token")) as server:
        cc = await connect(server, access_token="sandbox-token")
        with cc.responses() as seen:
            await cc.request("GET", "/x")
    assert "sandbox-token" not in str(dict(seen[0].headers))
    assert "x-echo" in seen[0].headers
