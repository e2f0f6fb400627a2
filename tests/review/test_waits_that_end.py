"""Every wait ends, and what cannot work is told when the client is opened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.activities import starter as starts
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.client import ConstantContact
from ccv2_async.uploads.many import FileToUpload
from tests.support.probes import until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.polling.poller import UploadPoller
    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def two_uploads(client: ConstantContact) -> tuple[UploadPoller, UploadPoller]:
    """One that ends, and one that never does."""
    ends = await client.library.begin_upload(PICTURE, name="ends.png")
    never = await client.library.begin_upload(PICTURE, name="never.png")
    return ends, never


async def half_active(wire: Wire, request: Request) -> None:
    """A service in which the first of two uploads becomes Active, and the second never."""
    if request.method == "POST":
        await wire.answer("201 Created", b"", f"Id: {1 if b'ends.png' in request.body else 2}")
    elif "uploadstatus" in request.target:
        rows = b'[{"file_id": "1", "status": "Active"}, {"file_id": "2", "status": "Processing"}]'
        await wire.answer(body=rows)
    else:
        await wire.answer(body=b'{"id": "1", "name": "ends.png"}')


async def hurried(task: asyncio.Task[Any], clock: ManualClock) -> None:
    """Let time run until the task has ended."""
    while not task.done():
        await clock.advance(5.0)
        await asyncio.sleep(0.001)


async def test_waiting_for_all_ends_when_one_of_them_never_does(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    async with serving(half_active) as server:
        client = await connect(server, clock=manual_clock)
        ends, never = await two_uploads(client)
        waiting = asyncio.create_task(client.wait_all([ends, never], return_errors=True))
        await hurried(waiting, manual_clock)
        first, second = await waiting
        assert first.id == "1"
        assert isinstance(second, errors.PollTimeout)
        assert second.id == "2"
        assert never.token()


async def test_going_through_the_completed_ends_when_one_of_them_never_is(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    seen: list[str] = []
    async with serving(half_active) as server:
        client = await connect(server, clock=manual_clock)
        pollers = await two_uploads(client)

        async def go_through() -> None:
            async for poller in client.as_completed(pollers):
                seen.append(poller.id)  # noqa: PERF401  # a comprehension would lose it

        going = asyncio.create_task(go_through())
        await hurried(going, manual_clock)
        with pytest.raises(errors.PollTimeout, match="after 900 s"):
            await going
    assert seen == ["1"]


async def test_starting_a_part_does_not_wait_forever_for_another_to_end(
    connect: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A day of looks would take the test many seconds.
    monkeypatch.setattr(starts, "ACTIVITY", attrs.evolve(ACTIVITY, deadline=300.0))
    started: list[Request] = []

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST" and started:
            await wire.answer("429 Too Many Requests", b'[{"error_key": "too.many.jobs"}]')
        elif request.method == "POST":
            started.append(request)
            await wire.answer("201 Created", b'{"id": "a1"}')
        else:
            await wire.answer(body=b'{"id": "a1", "status": "RUNNING"}')

    addresses = [f"reader{number}@example.com" for number in range(20_001)]
    async with serving(answer) as server:
        client = await connect(server, clock=manual_clock)
        starting = asyncio.create_task(
            client.activities.begin_remove_contacts(addresses, lists=["1"])
        )
        await until(lambda: started)
        while not starting.done():
            await manual_clock.advance(10.0)
            await asyncio.sleep(0.001)
        with pytest.raises(errors.QuotaExceeded, match=r"1 of 2 activities were started \(a1\)"):
            await starting


@pytest.mark.parametrize(
    "base_url", ["http://two words.example/v2", "http://\u2603..example/v2", "https://xn--/v2"]
)
def test_an_impossible_host_is_refused_with_an_error_of_ours(base_url: str) -> None:
    with pytest.raises(errors.InvalidField, match="base_url"):
        ConstantContact(api_key="key", access_token="token", base_url=base_url)


@pytest.mark.parametrize("proxy", ["nonsense", "ftp://proxy.example", "http://me:secret@[::1"])
async def test_an_impossible_proxy_is_refused_when_the_client_is_opened(proxy: str) -> None:
    client = ConstantContact(api_key="key", access_token="token", proxy=proxy)
    with pytest.raises(errors.UsageError, match="proxy") as raised:
        await client.open()
    assert "secret" not in str(raised.value)
    await client.aclose()


@pytest.mark.parametrize("wrong", [{"folder_id": ""}, {"on_ambiguous": "guess"}], ids=str)
async def test_wrong_options_of_a_bulk_upload_are_refused_before_its_first_file(
    client: ConstantContact, wrong: dict[str, Any]
) -> None:
    with pytest.raises(errors.InvalidField, match=next(iter(wrong))):
        client.upload_many([FileToUpload(PICTURE, name="a.png")], **wrong)
