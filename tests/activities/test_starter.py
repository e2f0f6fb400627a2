from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.activities import starter
from ccv2_async.activities.status import ACTIVITY
from tests.support.probes import until
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import ManualClock
    from tests.support.servers import Request, Wire


async def test_starting_a_part_does_not_wait_forever_for_another_part(
    connect: Callable[..., Any], manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A day of looks would take the test many seconds.
    monkeypatch.setattr(starter, "ACTIVITY", attrs.evolve(ACTIVITY, deadline=300.0))
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
        with pytest.raises(errors.QuotaExceeded, match=r"accepted 1 of 2 activities \(a1\)"):
            await starting


async def test_the_id_of_an_earlier_part_is_not_believed(connect: Callable[..., Any]) -> None:
    posts: list[Request] = []

    async def replay(wire: Wire, request: Request) -> None:
        posts.append(request)
        await wire.answer("201 Created", b'{"id": "a1"}' if len(posts) != 2 else b'{"id": "a2"}')

    addresses = [f"reader{number}@example.com" for number in range(6)]
    async with serving(replay) as server:
        client = await connect(server)
        with pytest.raises(errors.OutcomeUnknown, match="ID of an earlier part, a1") as caught:
            await client.activities.begin_add_contacts(addresses, lists=["1"], max_rows=2)
    assert "part 3 of 3" in caught.value.message
    assert "accepted 2 of 3 activities (a1, a2)" in caught.value.message
    assert len(posts) == 3


@pytest.mark.parametrize("ending", ["cancelled", "timeout"])
async def test_a_cancelled_start_names_what_was_accepted(
    client: ConstantContact, sandbox: Sandbox, ending: str
) -> None:
    path = "/activities/addcontacts"
    sandbox.admin.fault("hang", "POST", path, skip=2, times=None)
    addresses = [f"reader{number}@example.com" for number in range(6)]

    async def begin() -> None:
        async with asyncio.timeout(None) as limit:
            starting = asyncio.create_task(until(lambda: len(sandbox.admin.requests("POST")) == 3))
            starting.add_done_callback(
                lambda _: limit.reschedule(0) if ending == "timeout" else None
            )
            await client.activities.begin_add_contacts(addresses, lists=["1"], max_rows=2)

    task = asyncio.create_task(begin())
    await until(lambda: len(sandbox.admin.requests("POST")) == 3)
    if ending == "cancelled":
        task.cancel()
    with pytest.raises((TimeoutError, asyncio.CancelledError)) as caught:
        await task
    cancelled = caught.value.__cause__ if ending == "timeout" else caught.value
    assert isinstance(cancelled, asyncio.CancelledError)
    ids = [row.id for row in await client.activities.all()]
    (note,) = cancelled.__notes__
    assert note.startswith(
        f"Before that, the service accepted 2 of 3 activities ({ids[1]}, {ids[0]})"
    )
    assert (await client.resume_activity(ids[0])).status == "COMPLETE"


async def test_a_cancelled_start_of_one_activity_has_nothing_to_name(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("hang", "POST", times=None)
    task = asyncio.create_task(client.activities.begin_clear_lists(["1"]))
    await until(lambda: sandbox.admin.requests("POST"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert not hasattr(caught.value, "__notes__")


async def test_a_cancelled_wait_names_the_tokens_of_the_job(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.configure(mode="looks", looks=1_000_000)
    addresses = [f"reader{number}@example.com" for number in range(4)]
    task = asyncio.create_task(client.activities.add_contacts(addresses, lists=["1"], max_rows=2))
    await until(lambda: sandbox.admin.requests("GET", "/activities*"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    (note,) = caught.value.__notes__
    tokens = [word.strip(",") for word in note.split() if word.startswith("ccv2p1.")]
    assert {client.resume(token).id for token in tokens} == {
        row.id for row in await client.activities.all()
    }
