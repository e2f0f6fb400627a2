"""Views of a client: other lanes, deadlines, and timeouts over the same connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import ConstantContact, Lane, Timeouts, errors
from ccv2_async.models import AccountInfo
from ccv2_async.transport.quota.budget import Budget
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire


LONG = "x" * 100_000
WRITES: dict[str, Callable[[ConstantContact], Awaitable[object]]] = {
    "raw": lambda cc: cc.request("PUT", "/account/info", json={"website": LONG}),
    "model": lambda cc: cc.account.replace_info(AccountInfo(extra={"a": LONG})),
}


async def fine(wire: Wire, _: Request) -> None:
    await wire.answer("200 OK", b"{}")


async def silent(wire: Wire, _: Request) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Lane]:
    """The lanes of all calls, in order."""
    lanes: list[Lane] = []
    acquire = Budget.acquire

    async def note(self: Budget, lane: Lane, *rest: Any) -> None:
        lanes.append(lane)
        await acquire(self, lane, *rest)

    monkeypatch.setattr(Budget, "acquire", note)
    return lanes


async def test_a_view_sends_interactive_calls_in_its_lane(
    connect: Callable[..., Any], taken: list[Lane]
) -> None:
    async with serving(fine, fine, fine, fine) as server:
        cc = await connect(server)
        nightly = cc.with_options(lane=Lane.BULK)
        await nightly.request("GET", "/x")
        await nightly.request("GET", "/x", lane=Lane.POLL)
        await nightly.with_options(lane=Lane.INTERACTIVE).request("GET", "/x")
        await cc.request("GET", "/x")
    assert taken == [Lane.BULK, Lane.POLL, Lane.INTERACTIVE, Lane.INTERACTIVE]


async def test_a_view_shares_connections_quota_and_jobs(client: ConstantContact) -> None:
    view = client.with_options(lane=Lane.BULK)
    poller = await view.library.begin_upload(b"%PDF-1.4", name="menu.pdf")
    assert (await client.resume(poller.token())).id == poller.id
    assert view.budget is client.budget
    assert view.remaining_today == client.remaining_today
    assert view.library is view.library is not client.library
    results = [result async for result in view.upload_many([])]
    assert results == []


async def test_two_uploads_of_one_name_take_turns_across_views(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    view = client.with_options(lane=Lane.BULK)
    files = await asyncio.gather(
        *(cc.library.upload(b"%PDF-1.4", name="menu.pdf") for cc in (client, view, client))
    )
    assert len({file.id for file in files}) == 3
    assert len([row async for row in view.library.files()]) == 3


async def test_closing_a_view_closes_nothing(client: ConstantContact) -> None:
    async with client.with_options(lane=Lane.BULK) as view:
        await view.account.info()
    await view.aclose()
    assert "open" in repr(view)
    assert repr(view) == f"<view of {client!r}>"
    await view.account.info()
    await client.account.info()


async def test_a_view_works_only_while_its_client_is_open(sandbox: Sandbox) -> None:
    client = ConstantContact(**sandbox.client_options())
    view = client.with_options(deadline=5)
    with pytest.raises(errors.ClientClosed, match="not open yet"):
        await view.open()
    async with client:
        await view.open()
        await view.account.info()
    with pytest.raises(errors.ClientClosed, match="was closed"):
        await view.account.info()


async def test_the_deadline_of_a_view_limits_each_call_by_itself(
    connect: Callable[..., Any], manual_clock: ManualClock
) -> None:
    reached = asyncio.Event()

    async def hang(wire: Wire, _: Request) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with serving(fine, fine, hang) as server:
        cc = await connect(server, clock=manual_clock, timeouts=Timeouts(read=None))
        quick = cc.with_options(deadline=5).with_options(lane=Lane.BULK)
        await quick.request("GET", "/x")
        await manual_clock.advance(7)
        await quick.request("GET", "/x")
        late = asyncio.create_task(quick.request("GET", "/x"))
        await reached.wait()
        await manual_clock.advance(4)
        assert not late.done()
        await manual_clock.advance(2)
        with pytest.raises(errors.DeadlineExceeded, match="within 5 s"):
            await late


async def test_the_earliest_of_block_and_view_counts(connect: Callable[..., Any]) -> None:
    async with serving(silent, silent) as server:
        cc = await connect(server, timeouts=Timeouts(read=None))
        with cc.deadline(0.1), pytest.raises(errors.DeadlineExceeded, match=r"within 0\.1 s"):
            await cc.with_options(deadline=5).request("GET", "/x")
        with cc.deadline(5), pytest.raises(errors.DeadlineExceeded, match=r"within 0\.1 s"):
            await cc.with_options(deadline=0.1).request("GET", "/x")


async def test_a_view_has_its_own_timeouts(connect: Callable[..., Any]) -> None:
    async with serving(silent, silent, silent, fine) as server:
        cc = await connect(server)
        with pytest.raises(errors.ConnectionLost):
            await cc.with_options(timeouts=Timeouts(read=0.02)).request("GET", "/x")
        assert (await cc.request("GET", "/x")).status == 200


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"lane": 2}, "lane"),
        ({"lane": "BULK"}, "lane"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": "5"}, "deadline"),
        ({"timeouts": 5}, "timeouts"),
    ],
)
async def test_a_wrong_option_of_a_view_is_named(
    client: ConstantContact, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        client.with_options(**options)
    assert caught.value.field == field


@pytest.mark.parametrize("write", WRITES.values(), ids=[*WRITES])
async def test_the_deadline_of_a_view_includes_the_time_that_encoding_takes(
    connect: Callable[..., Any],
    manual_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[ConstantContact], Awaitable[object]],
) -> None:
    encoding, encoded, reached = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slowly(work: Callable[..., Any], *args: object) -> Any:
        encoding.set()
        await encoded.wait()
        return work(*args)

    async def hang(wire: Wire, _: Request) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("ccv2_async.transport.calls.session.in_thread", slowly)
    async with serving(hang) as server:
        cc = await connect(server, clock=manual_clock, timeouts=Timeouts(read=None))
        late = asyncio.ensure_future(write(cc.with_options(deadline=5)))
        await encoding.wait()
        await manual_clock.advance(4)
        encoded.set()
        await reached.wait()
        await manual_clock.advance(2)
        with pytest.raises(errors.DeadlineExceeded, match="within 5 s"):
            await asyncio.wait_for(late, 20)
