"""Pollers of uploads against the sandbox, over a socket, on a clock that skips waits."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import re
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from ccv2_async import errors
from ccv2_async.client import ConstantContact
from ccv2_async.observe import CallSent, JobEnded
from ccv2_async.polling import job as jobs
from ccv2_async.polling.job import State, Update
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.polling.schedule import GRACE
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads.status import UPLOAD
from tests.support.clocks import ManualClock, settle
from tests.support.probes import nothing_left
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ccv2_async.observe import Event
    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)
STATUS = "/library/files/uploadstatus/*"
FAILURES: list[tuple[Any, dict[str, Any]]] = [
    ("answer", {"status": 500, "headers": {}, "body": "[]"}),
    ("reset", {}),
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in which a job ends at the third look."""
    with Sandbox(mode="looks", looks=2) as sandbox:
        yield sandbox


async def begin(client: ConstantContact, name: str = "menu.png") -> UploadPoller:
    return await client.library.begin_upload(PICTURE, name=name)


async def begin_many(client: ConstantContact, number: int) -> list[UploadPoller]:
    return await asyncio.gather(*(begin(client, f"{n}.png") for n in range(number)))


def looks(sandbox: Sandbox) -> list[list[str]]:
    """Return the IDs of each status request."""
    return [
        entry.path.rpartition("/")[2].split(",") for entry in sandbox.admin.requests("GET", STATUS)
    ]


# One poller


async def test_a_notebook_shows_a_poller_with_a_bar(client: ConstantContact) -> None:
    poller: Any = await begin(client)
    assert poller._repr_html_().startswith("<progress></progress> UploadPoller")
    await poller
    assert (
        poller._repr_html_() == f'<progress value="1"></progress> UploadPoller {poller.id} Active'
    )
    other: Any = await begin(client, "other.png")
    other._job.learn(jobs.Row("<b>\n"), 0.0)
    assert "&lt;b&gt;\\n" in other._repr_html_()
    assert "\n" not in repr(other)


async def test_awaiting_a_poller_returns_the_file(client: ConstantContact) -> None:
    poller = await begin(client)

    file = await poller

    assert file.id == poller.id
    assert file.name == "menu.png"
    assert file.status == "Active"
    assert (poller.status, poller.state, poller.done) == ("Active", State.SUCCEEDED, True)


async def test_no_request_is_made_until_somebody_waits(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    await settle()

    assert (poller.status, poller.done) == (None, False)
    assert not looks(sandbox)


async def test_awaiting_again_makes_no_request(client: ConstantContact, sandbox: Sandbox) -> None:
    poller = await begin(client)
    file = await poller
    asked = len(sandbox.admin.requests())

    assert await poller is file
    assert await poller.wait(timeout=0) is file
    assert (await poller.poll_once()) is not None
    assert poller.next_delay == 0
    assert len(sandbox.admin.requests()) == asked


async def test_two_awaiters_share_requests_and_result(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)

    first, second = await asyncio.gather(poller.wait(), poller.wait())

    assert first is second
    assert len(looks(sandbox)) == 3
    assert len(sandbox.admin.requests("GET", f"/library/files/{poller.id}")) == 1


@pytest.mark.parametrize("who", [0, 1])
async def test_cancelling_an_awaiter_leaves_the_other_its_result(
    client: ConstantContact, sandbox: Sandbox, who: int
) -> None:
    sandbox.admin.fault("delay", "GET", STATUS, seconds=0.05)
    poller = await begin(client)
    waiters = [asyncio.create_task(poller.wait()) for _ in range(2)]
    while not looks(sandbox):  # noqa: ASYNC110  # the sandbox runs in another thread
        await asyncio.sleep(0)
    waiters[who].cancel()

    assert (await waiters[1 - who]).id == poller.id
    assert waiters[who].cancelled()


async def test_another_awaiter_fetches_the_result_when_the_first_is_cancelled(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    sandbox.admin.fault("hang", "GET", f"*/{poller.id}", skip=3)  # after the looks
    first, second = (asyncio.create_task(poller.wait()) for _ in range(2))
    while not sandbox.admin.requests("GET", f"/library/files/{poller.id}"):  # noqa: ASYNC110  # another thread
        await asyncio.sleep(0)
    (first if not first.done() else second).cancel()

    results = await asyncio.gather(first, second, return_exceptions=True)

    assert [getattr(result, "id", None) for result in results].count(poller.id) == 1


async def test_each_poller_of_a_job_fetches_the_result_with_its_own_options(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    seen: list[Event] = []
    client = await connect(sandbox, on_event=seen.append)
    poller = await begin(client.with_options(lane=Lane.BULK))
    sandbox.admin.fault("answer", "GET", f"*/{poller.id}", status=404, body="[]", skip=3)

    with pytest.raises(errors.NotFound):
        await poller
    assert (await client.resume(poller.token())).id == poller.id

    lanes = [event.lane for event in seen if isinstance(event, CallSent)]
    assert lanes == ["bulk", "poll", "poll", "poll", "bulk", "interactive"]


async def test_iterating_yields_every_change_including_the_last(client: ConstantContact) -> None:
    poller = await begin(client)

    updates = [update async for update in poller]

    assert [update.status for update in updates] == ["Uploaded", "Processing", "Active"]
    assert [update.is_final for update in updates] == [False, False, True]
    assert {update.id for update in updates} == {poller.id}


async def test_iterating_ends_without_an_error_when_the_job_failed(client: ConstantContact) -> None:
    poller = await begin(client, "virus.png")

    updates = [update async for update in poller]

    assert (updates[-1].status, updates[-1].state) == ("VirusFound", State.FAILED)


async def test_iterating_late_yields_earlier_changes_first(client: ConstantContact) -> None:
    poller = await begin(client)
    await poller

    assert [update.status async for update in poller] == ["Uploaded", "Processing", "Active"]


async def test_a_timed_out_wait_leaves_poller_and_token_usable(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    sandbox.admin.set_status(poller.id, "Processing")

    with pytest.raises(errors.PollTimeout, match=r"still .+ after 5 s of waiting. The job") as e:
        await poller.wait(timeout=5)
    sandbox.admin.set_status(poller.id, None)

    assert isinstance(e.value, TimeoutError)
    assert re.fullmatch(r"still .+ after 5 s of waiting", e.value.reason)
    assert e.value.safe_to_retry
    assert e.value.id == poller.id
    assert client.resume(e.value.token).id == poller.id
    assert (await poller).id == poller.id


async def test_waiting_for_an_upload_times_out_after_fifteen_minutes(
    connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock
) -> None:
    client = await connect(sandbox)
    poller = await begin(client, "stuck.png")
    waiter = asyncio.create_task(poller.wait())
    update = await poller.poll_once()
    assert update is not None
    assert update.status == "Uploaded"
    begun = clock.now
    while not waiter.done():
        await clock.advance(1)
        await asyncio.sleep(0.001)

    with pytest.raises(errors.PollTimeout, match="after 900 s"):
        await waiter
    assert clock.now - begun >= 800


async def test_iterating_times_out_when_nothing_changes_for_fifteen_minutes(
    connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock
) -> None:
    poller = await begin(await connect(sandbox), "stuck.png")
    seen = []

    async def iterate() -> None:
        async for update in poller:
            seen.append(update.status)  # noqa: PERF401  # what came before the error counts

    iterator = asyncio.create_task(iterate())
    while not iterator.done():
        await clock.advance(5)
        await asyncio.sleep(0.001)

    with pytest.raises(errors.PollTimeout, match="after 900 s"):
        await iterator
    assert seen == ["Uploaded"]


async def test_poll_once_makes_one_request_and_says_when_to_poll_again(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)

    update = await poller.poll_once()

    assert update is not None
    assert update.status == "Uploaded"
    assert len(looks(sandbox)) == 1
    assert 0 < poller.next_delay <= 10
    assert (await poller.poll_once()) is not None
    assert len(looks(sandbox)) == 2


async def test_poll_once_raises_a_failed_request_at_once(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    sandbox.admin.fault("server_error", "GET", STATUS, times=3)

    with pytest.raises(errors.ServerError) as caught:
        await poller.poll_once()

    assert caught.value.safe_to_retry
    assert (await poller.poll_once()) is not None


async def test_poll_once_returns_none_for_a_job_not_known_yet(client: ConstantContact) -> None:
    poller = await begin(client, "late.png")

    assert await poller.poll_once() is None
    assert poller.status is None


async def test_the_repr_of_a_poller_makes_no_request_and_shows_no_key(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    asked = len(sandbox.admin.requests())

    assert poller.kind == "upload"
    assert poller.location == f"{sandbox.base_url}/library/files/uploadstatus/{poller.id}"
    assert repr(poller) == f"<UploadPoller {poller.id} not looked at yet>"
    for text in (poller.location, repr(poller), poller.token()):
        assert "sandbox-key" not in text
        assert "sandbox-token" not in text
    assert len(sandbox.admin.requests()) == asked


# Failures


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("virus.png", errors.VirusFound, "VirusFound"),
        ("fail.png", errors.UploadFailed, "Failed"),
        ("deleted.png", errors.UploadFailed, "Deleted"),
    ],
)
async def test_a_failed_upload_raises_with_its_status_and_token(
    client: ConstantContact, name: str, kind: type[errors.JobError], status: str
) -> None:
    poller = await begin(client, name)

    for _ in range(2):
        with pytest.raises(kind, match=rf"upload of {name} \(ID {poller.id}\)") as caught:
            await poller
        assert caught.value.status == status
        assert caught.value.id == poller.id
        assert client.resume(caught.value.token).id == poller.id


async def test_an_unknown_status_is_pending_with_one_warning(
    client: ConstantContact, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_warned", set())
    first, second = await begin(client, "strange-1.png"), await begin(client, "strange-2.png")

    with caplog.at_level(logging.WARNING, "ccv2_async.polling"):
        statuses = [update.status async for update in first]
        await second

    assert statuses == ["Uploaded", "Quarantined", "Active"]
    (record,) = caplog.records
    assert record.getMessage() == (
        "An upload has the status 'Quarantined', which this version does not "
        "know; it counts as pending."
    )


async def test_a_file_not_known_at_first_is_waited_for(client: ConstantContact) -> None:
    assert (await (await begin(client, "late.png"))).name == "late.png"


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_file_that_never_becomes_known_is_lost_at_the_same_time_if_the_clock_is_set(
    connect: Callable[..., Any], clock: SkippingClock, step: float
) -> None:
    with Sandbox(mode="at_once") as sandbox:
        poller = await begin(await connect(sandbox))
        sandbox.admin.reset()
        before = clock.now
        clock.suspend(step)
        with pytest.raises(errors.JobNotFound):
            await poller
        assert 100 < clock.now - before < 300


@pytest.mark.parametrize("ahead", [3600.0, 259_200.0, -259_200.0])
async def test_a_token_from_a_machine_with_a_wrong_clock_is_polled_at_the_usual_pace(
    connect: Callable[..., Any], clock: SkippingClock, ahead: float
) -> None:
    with Sandbox(mode="at_once") as sandbox:
        clock.suspend(ahead)
        token = (await begin(await connect(sandbox))).token()
        clock.suspend(-ahead)
        sandbox.admin.reset()
        before = clock.now
        with pytest.raises(errors.JobNotFound):
            await (await connect(sandbox)).resume(token)
        assert clock.now - before < 300
        assert len(looks(sandbox)) < 40


@pytest.mark.parametrize("as_null", [False, True], ids=["[]", "null"])
async def test_a_file_that_never_becomes_known_is_lost_after_a_while(
    connect: Callable[..., Any], clock: SkippingClock, as_null: bool
) -> None:
    with Sandbox(mode="at_once", unknown_as_null=as_null) as sandbox:
        client = await connect(sandbox)
        poller = await begin(client)
        sandbox.admin.reset()
        before = clock.now

        with pytest.raises(errors.JobNotFound, match=f"does not know the ID {poller.id}") as e:
            await poller

        assert clock.now - before > 100
        assert len(looks(sandbox)) >= 3
        assert (e.value.status, poller.state) == (None, State.LOST)
        assert client.resume(e.value.token).id == poller.id
        assert [update.state async for update in poller] == [State.LOST]


def status_server(*bodies: bytes | int, has_file: bool = True) -> Any:
    """A server that accepts an upload with ID 7, then answers status requests with these."""
    left = list(bodies)

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            await wire.answer("202 Accepted", b"", "Location: /v2/library/files/7", json=False)
        elif "uploadstatus" in request.target:
            body = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(body, int):
                await wire.answer(f"{body} Refused", b"[]")
            else:
                await wire.answer(body=body)
        elif has_file:
            await wire.answer(body=b'{"id": "7", "name": "menu.png", "status": "Active"}')
        else:
            await wire.answer("404 Not Found", b"[]")

    return serving(answer)


ACTIVE = b'[{"file_id": "7", "status": "Active", "description": "Active"}]'


@pytest.mark.parametrize(
    "answers",
    [
        (b'[{"file_id": 7, "status": "Active", "description": null}]',),
        (b'[{"file_id": "8", "status": "Failed"}, {"file_id": "7", "status": "Active"}]',),
        (b'[{"file_id": "8", "status": "Failed"}]', ACTIVE),
        (b"null", ACTIVE),
        (b"[]", ACTIVE),
        (b"", ACTIVE),
        (404, 404, ACTIVE),
        (b'[{"file_id": "7", "status": "processing"}]', ACTIVE.replace(b"Active", b"ACTIVE")),
    ],
    ids=["number", "foreign row", "only foreign", "null", "[]", "nothing", "404", "other case"],
)
async def test_a_status_is_found_in_every_form_of_the_response(
    connect: Callable[..., Any], answers: tuple[bytes | int, ...]
) -> None:
    async with status_server(*answers) as server:
        client = await connect(server)
        file = await client.library.upload(PICTURE, name="menu.png")

    assert file.id == "7"


async def test_a_description_of_any_length_is_truncated(connect: Callable[..., Any]) -> None:
    text = "a line\\n" * 10_000
    row = f'[{{"file_id": "7", "status": "Failed", "description": "{text}"}}]'.encode()
    async with status_server(row) as server:
        client = await connect(server)
        poller = await begin(client)
        with pytest.raises(errors.UploadFailed) as caught:
            await poller
    assert 300 < len(caught.value.message) < 1000


async def test_the_description_of_a_status_is_in_the_error(connect: Callable[..., Any]) -> None:
    row = b'[{"file_id": "7", "status": "Failed", "description": "not a picture"}]'
    async with status_server(row) as server:
        client = await connect(server)
        with pytest.raises(errors.UploadFailed, match=r"status Failed \(not a picture\)"):
            await client.library.upload(PICTURE, name="menu.png")


async def test_a_file_that_disappears_during_the_wait_is_lost(
    connect: Callable[..., Any], clock: SkippingClock
) -> None:
    row = b'[{"file_id": "7", "status": "Processing"}]'
    async with status_server(row, 404, has_file=False) as server:
        client = await connect(server)
        poller = await begin(client)
        assert (await poller.poll_once()) is not None

        with pytest.raises(errors.JobNotFound) as caught:
            await poller
    assert caught.value.status is None


RECORD = "/library/files/[0-9]*"
FORGOTTEN: dict[str, Any] = {"path": "/library/files/uploadstatus/*", "status": 200, "body": "[]"}


@pytest.fixture
def forgetful() -> Iterator[Sandbox]:
    """A sandbox in which files are Active at once, but whose status requests know none of them."""
    with Sandbox(mode="at_once") as sandbox:
        sandbox.admin.fault("answer", "GET", times=None, **FORGOTTEN)
        yield sandbox


@pytest.mark.parametrize("status", [404, 503])
async def test_a_file_whose_status_is_forgotten_is_looked_up(
    connect: Callable[..., Any], forgetful: Sandbox, status: int
) -> None:
    seen: list[Event] = []
    client = await connect(forgetful, on_event=seen.append)
    poller = await begin(client)
    page: dict[str, Any] = {"status": status, "body": "<html>Something went wrong"}
    forgetful.admin.fault("answer", "GET", RECORD, times=4, **page)
    assert (await client.resume(poller.token())).id == poller.id
    assert [update.status async for update in poller] == ["Active"]
    assert [event.state for event in seen if isinstance(event, JobEnded)] == ["succeeded"]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"status": "VirusFound"}, errors.VirusFound),
        ({"status": ""}, errors.StatusUnreadable),
        ({"status": "Active", "size": "many"}, errors.StatusUnreadable),
    ],
)
async def test_the_record_of_a_file_says_how_its_upload_ended(
    connect: Callable[..., Any], forgetful: Sandbox, record: dict[str, Any], kind: type[Exception]
) -> None:
    poller = await begin(await connect(forgetful))
    body = json.dumps({"id": poller.id, "name": "menu.png"} | record)
    forgetful.admin.fault("answer", "GET", RECORD, status=200, body=body, times=None)
    with pytest.raises(kind):
        await poller


async def test_one_failed_look_up_stops_the_others_of_a_look(
    connect: Callable[..., Any], forgetful: Sandbox
) -> None:
    client = await connect(forgetful)
    pollers = await begin_many(client, 30)
    forgetful.admin.fault("unavailable", "GET", RECORD, times=40)

    assert len(await client.wait_all(pollers)) == 30
    assert len(looks(forgetful)) < 40
    assert len(forgetful.admin.requests("GET", RECORD)) <= 40 + 2 * 30


@pytest.mark.parametrize("status", [400, 404, 405, 409])
@pytest.mark.parametrize(
    "page",
    [
        "",
        "\n",
        "{}",
        "404",
        '[{"code": "E404"}]',
        "<html>404 Not Found</html>",
        "404 page not found",
        '{"message": "no Route matched"}',
        '{"status": 404, "error": "Not Found", "path": "/v2/library/files"}',
    ],
)
async def test_a_refusal_by_a_gateway_does_not_mean_that_a_job_is_lost(
    client: ConstantContact, sandbox: Sandbox, clock: SkippingClock, page: str, status: int
) -> None:
    pollers = await begin_many(client, 3)
    sandbox.admin.fault("answer", "GET", STATUS, status=status, body=page, times=60)
    before = clock.now

    files = await asyncio.gather(*pollers)

    assert clock.now - before > 2 * GRACE
    assert [file.id for file in files] == [poller.id for poller in pollers]


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ("over_ratelimit", STATUS),
        ("inactive", STATUS),
        ("server_error", "/library/files/[0-9]*"),
        ("reset", "/library/files/[0-9]*"),
        ("page", "/library/files/[0-9]*"),
    ],
)
async def test_an_upload_that_was_accepted_is_not_safe_to_repeat(
    client: ConstantContact, sandbox: Sandbox, fault: Any, path: str
) -> None:
    sandbox.admin.fault(fault, "GET", path, times=None)

    with pytest.raises(errors.ConstantContactError) as caught:
        await client.library.upload(PICTURE, name="menu.png")

    assert not caught.value.safe_to_retry
    (token,) = re.findall(r"resume it with (ccv2p1\.\S+) instead", str(caught.value))
    sandbox.admin.clear_faults()
    if fault != "over_ratelimit":  # it ended the calls of the day
        assert (await client.resume(token)).id == sandbox.admin.files()[0]["id"]
    assert len(sandbox.admin.files()) == 1


async def test_an_upload_that_takes_too_long_is_not_safe_to_repeat(
    client: ConstantContact, clock: SkippingClock
) -> None:
    upload = asyncio.create_task(client.library.upload(PICTURE, name="stuck.png"))
    while not upload.done():
        await clock.advance(5)
        await asyncio.sleep(0.001)

    with pytest.raises(errors.PollTimeout) as caught:
        await upload

    assert not caught.value.safe_to_retry
    assert caught.value.token


async def test_a_wait_for_the_record_of_a_finished_upload_does_not_say_that_the_job_continues(
    client: ConstantContact, sandbox: Sandbox, clock: SkippingClock
) -> None:
    poller = await begin(client)
    sandbox.admin.fault("hang", "GET", f"*/{poller.id}", skip=3, times=20)  # after the looks
    waiting = asyncio.create_task(poller.wait(timeout=100))
    while not waiting.done():
        if poller.status == "Active":
            await clock.advance(100)  # less than the deadline of the read
        await asyncio.sleep(0.001)

    with pytest.raises(errors.PollTimeout, match="it is Active, but its record did not") as caught:
        await waiting

    assert "The job has ended" in str(caught.value)


async def test_an_upload_that_was_not_accepted_is_safe_to_repeat(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("throttled", "POST", "/library/files", times=None)

    with pytest.raises(errors.QuotaExceeded) as caught:
        await client.library.upload(PICTURE, name="menu.png")

    assert caught.value.safe_to_retry


async def test_a_refused_request_reaches_every_awaiter_and_waiting_again_works(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    sandbox.admin.fault("inactive", "GET", STATUS)

    results = await asyncio.gather(*(poller.wait() for _ in range(3)), return_exceptions=True)

    assert [type(result) for result in results] == [errors.Forbidden] * 3
    assert len(set(map(id, results))) == 3
    assert (await poller).id == poller.id


async def test_failed_status_requests_are_repeated_while_there_is_time(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("server_error", "GET", STATUS, times=14)
    sandbox.admin.fault("lose_response", "GET", STATUS, times=7)

    assert (await (await begin(client))).status == "Active"


# Tokens


async def test_another_client_can_resume_a_token(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    first = await connect(sandbox)
    poller = await begin(first)
    await poller.poll_once()
    token = poller.token()
    await first.aclose()
    asked = len(sandbox.admin.requests())

    second = await connect(sandbox)
    resumed = second.resume(token)

    assert len(sandbox.admin.requests()) == asked
    assert (resumed.id, resumed.kind, resumed.status) == (poller.id, "upload", "Uploaded")
    assert len(token) <= 400
    assert (await resumed).name == "menu.png"


async def test_a_token_made_after_the_end_is_checked_once_more(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    first, second = await connect(sandbox), await connect(sandbox)
    poller = await begin(first)
    await poller
    before = len(looks(sandbox))

    resumed = second.resume(poller.token())

    assert (resumed.status, resumed.done) == ("Active", False)
    assert (await resumed).id == poller.id
    assert len(looks(sandbox)) == before + 1


async def test_pollers_of_one_job_in_one_client_share_its_state(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    resumed = client.resume(poller.token())

    assert await poller is await resumed
    assert len(looks(sandbox)) == 3


async def test_an_upload_is_resumed_from_its_token_as_an_upload(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    resumed = assert_type(client.resume_upload(poller.token()), UploadPoller)
    assert (await resumed).id == poller.id


async def test_a_token_of_an_activity_is_not_resumed_as_an_upload(
    client: ConstantContact,
) -> None:
    token = client.resume_activity("a07e1l5nydpb").token()
    with pytest.raises(errors.TokenError, match="bulk activity"):
        client.resume_upload(token)


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan, 1e300, -1e300])
async def test_a_clock_that_fails_makes_a_token_with_a_date(
    client: ConstantContact,
    clock: SkippingClock,
    monkeypatch: pytest.MonkeyPatch,
    odd: float,
) -> None:
    monkeypatch.setattr(clock, "time", lambda: odd)
    activity = client.resume_activity("a07e1l5nydpb")
    upload = await begin(client)
    assert client.resume(activity.token()).id == activity.id
    assert client.resume(upload.token()).id == upload.id


async def test_a_token_from_other_credentials_is_refused(
    connect: Callable[..., Any], client: ConstantContact, sandbox: Sandbox
) -> None:
    other = await connect(sandbox, access_token="somebody-else's")

    with pytest.raises(errors.TokenError, match="other credentials"):
        other.resume((await begin(client)).token())


# Many


async def test_many_pollers_share_their_requests(client: ConstantContact, sandbox: Sandbox) -> None:
    pollers = await begin_many(client, 40)

    files = await asyncio.gather(*pollers)

    assert [file.id for file in files] == [poller.id for poller in pollers]
    assert len(looks(sandbox)) <= 6


async def test_as_completed_yields_pollers_in_the_order_in_which_they_end(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    slow, virus, quick = [await begin(client, f"{n}.png") for n in ("slow", "virus", "quick")]
    sandbox.admin.set_status(quick.id, "Active")

    ended = [poller async for poller in client.as_completed([slow, virus, quick])]

    assert ended == [quick, virus, slow]


async def test_as_completed_yields_both_pollers_of_a_job_given_twice(
    client: ConstantContact,
) -> None:
    poller = await begin(client)
    other = client.resume(poller.token())

    assert [one async for one in client.as_completed([poller, other])] == [poller, other]
    assert [one async for one in client.as_completed([poller])] == [poller]
    assert [one async for one in client.as_completed(list[UploadPoller]())] == []


async def test_wait_all_returns_results_in_the_order_of_the_pollers(
    client: ConstantContact,
) -> None:
    pollers = [await begin(client, f"{name}.png") for name in ("slow", "a", "b")]

    files = await client.wait_all(pollers)

    assert [file.name for file in files] == ["slow.png", "a.png", "b.png"]


async def test_wait_all_raises_the_first_failure_once_all_have_ended(
    client: ConstantContact,
) -> None:
    pollers = [await begin(client, f"{name}.png") for name in ("slow", "virus", "fail")]

    with pytest.raises(errors.VirusFound):
        await client.wait_all(pollers)

    assert all(poller.done for poller in pollers)


async def test_wait_all_returns_failures_in_place_on_request(
    client: ConstantContact,
) -> None:
    pollers = [await begin(client, f"{name}.png") for name in ("virus", "a")]

    virus, file = await client.wait_all(pollers, return_errors=True)

    assert isinstance(virus, errors.VirusFound)
    assert not isinstance(file, errors.ConstantContactError)
    assert file.name == "a.png"


async def test_sweep_checks_up_to_a_hundred_jobs_in_one_request(
    connect: Callable[..., Any], client: ConstantContact, sandbox: Sandbox
) -> None:
    pollers = await begin_many(client, 260)
    sandbox.admin.set_status(pollers[0].id, "VirusFound")
    tokens = [poller.token() for poller in pollers]
    other = await connect(sandbox)

    updates = await other.sweep(tokens)

    assert [len(ids) for ids in looks(sandbox)] == [100, 100, 60]
    assert {id_ for ids in looks(sandbox) for id_ in ids} == {poller.id for poller in pollers}
    found = [update for update in updates.values() if update is not None]
    assert [update.status for update in found] == ["VirusFound"] + ["Uploaded"] * 259


async def test_sweep_returns_none_for_unknown_jobs_without_waiting(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    late, known = await begin(client, "late.png"), await begin(client)

    updates = await client.sweep([late.token(), known.token(), known.token()])

    assert updates[late.token()] is None
    assert len(looks(sandbox)) == 1
    assert await client.sweep([]) == {}


async def test_sweep_makes_no_request_if_a_token_is_unusable(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    token = (await begin(client)).token()

    with pytest.raises(errors.TokenError):
        await client.sweep([token, "ccv2p1.nonsense"])

    assert not looks(sandbox)


async def test_sweep_returns_a_token_error_in_place_on_request(
    client: ConstantContact,
) -> None:
    token = (await begin(client)).token()

    updates = await client.sweep([token, "ccv2p1.nonsense"], return_errors=True)

    assert isinstance(updates[token], Update)
    assert isinstance(updates["ccv2p1.nonsense"], errors.TokenError)


@pytest.mark.parametrize("token", [["x"], ({},), None])
async def test_sweep_refuses_a_token_that_is_not_text(client: ConstantContact, token: Any) -> None:
    with pytest.raises(errors.TokenError, match="is a string"):
        await client.sweep([token], return_errors=True)


@pytest.mark.parametrize("wrong", ["a1,a2", "\u00e9", "a?b", "a%2fb", '"' * 200, "a" * 129])
async def test_an_activity_is_resumed_only_by_an_id_that_a_token_accepts(
    client: ConstantContact, wrong: str
) -> None:
    with pytest.raises(errors.InvalidField, match="activity_id"):
        client.resume_activity(wrong)
    assert client.resume(client.resume_activity("a" * 128).token()).id == "a" * 128


async def test_an_unreadable_result_does_not_affect_the_others(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    pollers = [await begin(client, name) for name in ("a.png", "b.png")]
    path = f"/library/files/{pollers[0].id}"
    sandbox.admin.fault("answer", "GET", path, status=404, body="[]", times=None)

    lost, file = await client.wait_all(pollers, return_errors=True)

    assert isinstance(lost, errors.NotFound)
    assert getattr(file, "id", None) == pollers[1].id


@pytest.mark.parametrize("status", [400, 404, 413, 414])
async def test_a_refused_batch_request_is_quartered(
    client: ConstantContact, sandbox: Sandbox, status: int
) -> None:
    pollers = await begin_many(client, 8)
    refused: dict[str, Any] = {"status": status, "headers": {}, "body": "[]"}
    sandbox.admin.fault(
        "answer", "GET", "/library/files/uploadstatus/*,*,*,*", times=None, **refused
    )

    files = await asyncio.gather(*pollers)

    assert [file.id for file in files] == [poller.id for poller in pollers]
    assert [len(ids) for ids in looks(sandbox)][:3] == [8, 2, 4]


@pytest.mark.parametrize("status", [400, 405, 409, 410, 422, 431, 451])
async def test_one_bad_id_fails_its_own_job_and_no_other(
    client: ConstantContact, sandbox: Sandbox, status: int
) -> None:
    pollers = await begin_many(client, 9)
    refused: dict[str, Any] = {"status": status, "headers": {}, "body": "[]"}
    sandbox.admin.fault("answer", "GET", f"*{pollers[4].id}*", times=None, **refused)

    statuses = await client.sweep(poller.token() for poller in pollers)
    assert [*statuses.values()].count(None) == 1
    results = await client.wait_all(pollers, return_errors=True)

    unreadable = results.pop(4)
    assert isinstance(unreadable, errors.StatusUnreadable)
    assert f"the service returned {status}" in unreadable.message
    assert all(getattr(result, "status", None) == "Active" for result in results)


@pytest.mark.parametrize("fault", FAILURES)
async def test_one_id_at_which_the_service_fails_does_not_stop_the_others(
    client: ConstantContact, sandbox: Sandbox, fault: tuple[Any, dict[str, Any]]
) -> None:
    pollers = await begin_many(client, 9)
    kind, details = fault
    sandbox.admin.fault(kind, "GET", f"*{pollers[4].id}*", times=None, **details)

    waits = [asyncio.create_task(poller.wait()) for poller in pollers]
    failing = waits.pop(4)
    async with asyncio.timeout(30):
        results = await asyncio.gather(*waits)

    assert {result.status for result in results} == {"Active"}
    assert not failing.done()
    sandbox.admin.clear_faults()
    assert (await failing).status == "Active"


@pytest.mark.parametrize("fault", FAILURES)
async def test_one_id_at_which_the_service_fails_does_not_fail_a_sweep(
    client: ConstantContact, sandbox: Sandbox, fault: tuple[Any, dict[str, Any]]
) -> None:
    # Jobs that are due at the same time are asked for in the order of their IDs.
    pollers = sorted(await begin_many(client, 9), key=lambda poller: poller.id)
    tokens = [poller.token() for poller in pollers]
    kind, details = fault
    sandbox.admin.fault(kind, "GET", f"*{pollers[-1].id}*", times=None, **details)

    statuses = await client.sweep(tokens)

    assert [token for token in tokens if statuses[token] is None] == [tokens[-1]]


async def test_a_sweep_raises_if_the_service_fails_at_every_job(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    tokens = [poller.token() for poller in await begin_many(client, 9)]
    failure: dict[str, Any] = {"status": 500, "headers": {}, "body": "[]"}
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", times=None, **failure)

    with pytest.raises(errors.ServerError):
        await client.sweep(tokens)


async def test_a_sweep_raises_if_the_service_fails_at_a_job_with_two_tokens(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    poller = await begin(client)
    tokens = [poller.token()]
    await poller.poll_once()
    tokens.append(poller.token())
    failure: dict[str, Any] = {"status": 500, "headers": {}, "body": "[]"}
    sandbox.admin.fault("answer", "GET", "/library/files/uploadstatus/*", times=None, **failure)

    with pytest.raises(errors.ServerError):
        await client.sweep(tokens)


# Thousands


async def test_ten_thousand_pollers_can_wait_and_be_cancelled_without_leaks() -> None:
    clock = ManualClock()
    with Sandbox(mode="looks", looks=10**6) as sandbox:
        async with ConstantContact(clock=clock, **sandbox.client_options()) as client:
            first = await begin(client)
            await first.poll_once()
            sweep = client._open_parts.sweep
            jobs_before = len(sweep._queues[UPLOAD].known)
            async with nothing_left():
                pollers = [_poller_of(client, str(5000 + n)) for n in range(10_000)]
                tasks = [asyncio.create_task(poller.wait()) for poller in pollers]
                await settle()
                assert len(sweep._queues[UPLOAD].waiters) == 10_000
                await clock.advance(1.5)
                while len(looks(sandbox)) < 2:  # noqa: ASYNC110  # another thread
                    await asyncio.sleep(0)

                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)

            assert all(isinstance(one, asyncio.CancelledError) for one in ended)
            assert not sweep._queues[UPLOAD].waiters
            assert not sweep._queues[UPLOAD]._due
            assert not sweep._work._lines
            assert sweep._work._leader is None
            del pollers, tasks, ended, task
            clock._due.clear()  # the clock remembers timeouts that have ended
            await settle()
            gc.collect()
            assert len(sweep._queues[UPLOAD].known) == jobs_before


def _poller_of(client: ConstantContact, id_: str) -> UploadPoller:
    parts = client._open_parts
    return UploadPoller(parts.session, parts.sweep, parts.sweep.start(UPLOAD, id_))
