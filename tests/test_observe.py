"""The event hook and the log get the right events, in order, without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from ccv2_async import errors
from ccv2_async.observe import (
    CallEnded,
    CallRetried,
    CallSent,
    Hook,
    JobEnded,
    JobStarted,
    Polled,
    StatusChanged,
    Throttled,
)
from ccv2_async.sandbox import Sandbox
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async import ConstantContact
    from ccv2_async.observe import Event

KEY, TOKEN = "k3y-of/the&app", "t0ken+of~the=account"
SECRETS = (KEY, TOKEN, "k3y-of%2Fthe%26app", "t0ken%2Bof~the%3Daccount", "t0ken%2Bof%7Ethe")


class Told(list["Event"]):
    """Every event of a client, in order."""

    def of(self, *kinds: type) -> list[Any]:
        return [event for event in self if isinstance(event, kinds)]

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def observed(connect: Callable[..., Any], sandbox: Sandbox, told: Told) -> ConstantContact:
    cc: ConstantContact = await connect(sandbox, on_event=told.append)
    return cc


async def test_the_events_of_an_upload_come_in_order(
    observed: ConstantContact, sandbox: Sandbox, told: Told
) -> None:
    sandbox.admin.configure(mode="looks", looks=1)
    poller = await observed.library.begin_upload(b"abc", name="menu.pdf")
    assert told.kinds == ["CallSent", "CallEnded", "JobStarted"]
    sent, ended, started = told
    assert started == JobStarted("upload", poller.id, "menu.pdf")
    assert isinstance(sent, CallSent)
    assert isinstance(ended, CallEnded)
    assert sent == CallSent(
        call=sent.call,
        what="upload of menu.pdf",
        method="POST",
        path="/library/files",
        lane="interactive",
        attempt=1,
        host="127.0.0.1",
        port=httpx.URL(sandbox.origin).port or 0,
    )
    assert (ended.call, ended.status, ended.outcome, ended.attempt) == (sent.call, 202, "ok", 1)
    assert ended.seconds >= 0
    told.clear()
    await poller
    look = ["CallSent", "CallEnded", "Polled", "StatusChanged"]
    assert told.kinds == [*look, *look, "JobEnded", "CallSent", "CallEnded"]
    assert [event.lane for event in told.of(CallSent)] == ["poll", "poll", "interactive"]
    assert [(event.kind, event.jobs, event.known) for event in told.of(Polled)] == [
        ("upload", 1, 1),
        ("upload", 1, 1),
    ]
    assert told.of(StatusChanged) == [
        StatusChanged("upload", poller.id, "menu.pdf", "Uploaded", "pending"),
        StatusChanged("upload", poller.id, "menu.pdf", "Active", "succeeded"),
    ]
    (end,) = told.of(JobEnded)
    assert (end.id, end.label, end.status, end.state) == (
        poller.id,
        "menu.pdf",
        "Active",
        "succeeded",
    )
    assert end.seconds > 0


async def test_an_unchanged_status_is_reported_once(
    observed: ConstantContact, sandbox: Sandbox, told: Told
) -> None:
    sandbox.admin.configure(mode="looks", looks=8)
    await observed.library.upload(b"abc", name="menu.pdf")
    statuses = [event.status for event in told.of(StatusChanged)]
    assert statuses == ["Uploaded", "Processing", "Active"]
    assert len(told.of(Polled)) == 9


async def test_one_status_request_for_many_jobs_is_one_event(
    observed: ConstantContact, sandbox: Sandbox, told: Told
) -> None:
    tokens = [
        (await observed.library.begin_upload(b"abc", name=f"{number}.pdf")).token()
        for number in range(5)
    ]
    told.clear()
    await observed.sweep(tokens)
    assert told.kinds == [
        "CallSent",
        "CallEnded",
        "Polled",
        *("StatusChanged", "JobEnded") * 5,
    ]
    (look,) = told.of(Polled)
    assert (look.jobs, look.known) == (5, 5)
    assert len(set(look.ids)) == 5


async def test_a_retry_event_comes_between_its_attempts(
    observed: ConstantContact, sandbox: Sandbox, told: Told, clock: Any
) -> None:
    sandbox.admin.fault("server_error", times=2)
    await observed.library.info()
    attempt = ["CallSent", "CallEnded"]
    assert told.kinds == [*attempt, "CallRetried", *attempt, "CallRetried", *attempt]
    assert [event.attempt for event in told.of(CallSent)] == [1, 2, 3]
    assert [event.attempt for event in told.of(CallEnded)] == [1, 2, 3]
    assert [event.status for event in told.of(CallEnded)] == [500, 500, 200]
    assert len({event.call for event in told.of(CallSent, CallEnded, CallRetried)}) == 1
    assert [event.delay for event in told.of(CallRetried)] == clock.slept
    assert {event.outcome for event in told.of(CallRetried)} == {
        event.outcome for event in told.of(CallEnded) if event.status == 500
    }


async def test_concurrent_calls_have_distinct_numbers(
    observed: ConstantContact, told: Told
) -> None:
    await asyncio.gather(*(observed.library.info() for _ in range(10)))
    sent, ended = told.of(CallSent), told.of(CallEnded)
    assert len({event.call for event in sent}) == 10
    assert {event.call for event in ended} == {event.call for event in sent}


async def test_a_quota_wait_event_comes_before_the_call(
    connect: Callable[..., Any], sandbox: Sandbox, told: Told
) -> None:
    cc = await connect(sandbox, on_event=told.append, per_second=2)
    for _ in range(3):
        await cc.library.info()
    waits = told.of(Throttled)
    assert waits
    assert {(event.what, event.lane) for event in waits} == {("library information", "interactive")}
    assert all(event.seconds > 0 for event in waits)
    assert told.kinds[told.index(waits[0]) + 1] == "CallSent"


@pytest.mark.parametrize(("name", "status"), [("virus.png", "VirusFound"), ("fail.pdf", "Failed")])
async def test_a_job_that_fails_ends_as_failed(
    observed: ConstantContact, told: Told, name: str, status: str
) -> None:
    with pytest.raises(errors.UploadFailed):
        await observed.library.upload(b"abc", name=name)
    assert told.kinds[-2:] == ["StatusChanged", "JobEnded"]
    assert (told[-1].status, told[-1].state) == (status, "failed")  # type: ignore[union-attr]  # a JobEnded


async def test_a_job_unknown_to_the_service_is_lost(
    observed: ConstantContact, sandbox: Sandbox, told: Told
) -> None:
    poller = await observed.library.begin_upload(b"abc", name="menu.pdf")
    sandbox.admin.reset()
    with pytest.raises(errors.JobNotFound):
        await poller
    (end,) = told.of(JobEnded)
    assert (end.state, end.status, end.label) == ("lost", None, "menu.pdf")
    assert {event.known for event in told.of(Polled)} <= {0}


async def test_a_failed_call_event_has_the_error(
    observed: ConstantContact, sandbox: Sandbox, told: Told
) -> None:
    with pytest.raises(errors.NotFound):
        await observed.library.get_file("404")
    (ended,) = told.of(CallEnded)
    assert ended.status == 404
    assert ended.outcome != "ok"
    told.clear()
    sandbox.admin.fault("hang", times=None)
    task = asyncio.create_task(observed.library.info())
    await until(lambda: told)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (ended,) = told.of(CallEnded)
    assert (ended.status, ended.outcome) == (None, "CancelledError")


async def test_activity_events_name_their_subject(observed: ConstantContact, told: Told) -> None:
    poller = await observed.activities.begin_clear_lists(["1"])
    await poller
    (end,) = told.of(JobEnded)
    assert (end.kind, end.id, end.label) == ("activity", poller.id, "list 1")
    assert end.status == "COMPLETE"


async def test_a_hook_that_raises_is_logged_once_and_dropped(
    connect: Callable[..., Any], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def broken(event: Event) -> None:
        calls.append(event)
        raise ZeroDivisionError("in the user's hook")

    cc = await connect(sandbox, on_event=broken)
    file = await cc.library.upload(b"abc", name="menu.pdf")
    assert file.status == "Active"
    assert len(calls) == 1
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.name == "ccv2_async"
    assert "on_event" in record.message
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


async def test_a_hook_does_not_swallow_a_keyboard_interrupt() -> None:
    def interrupt(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Hook(interrupt)(Throttled("it", "poll", 1.0))


async def test_events_are_emitted_in_the_task_of_the_caller(
    connect: Callable[..., Any], sandbox: Sandbox
) -> None:
    tasks = set()
    cc = await connect(sandbox, on_event=lambda _: tasks.add(asyncio.current_task()))
    await cc.library.upload(b"abc", name="menu.pdf")
    assert tasks == {asyncio.current_task()}


async def test_no_events_are_made_without_a_hook(client: ConstantContact) -> None:
    assert not client._hook.active
    await client.library.info()
    Hook()(Throttled("it", "poll", 1.0))


# The log.


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="ccv2_async")
    return caplog


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name.startswith("ccv2_")}


async def test_calls_and_retries_are_logged_with_fields(
    client: ConstantContact, sandbox: Sandbox, log: pytest.LogCaptureFixture
) -> None:
    sandbox.admin.fault("server_error", times=1)
    await client.library.info()
    first, retry, second = [r for r in log.records if r.name == "ccv2_async.transport"]
    assert (first.levelname, retry.levelname) == ("DEBUG", "INFO")
    seconds = fields(first).pop("ccv2_seconds")
    assert seconds >= 0
    assert fields(first) == {
        "ccv2_event": "call",
        "ccv2_call": 1,
        "ccv2_path": "/library/info",
        "ccv2_status": 500,
        "ccv2_attempt": 1,
        "ccv2_seconds": seconds,
    }
    assert fields(retry) == {
        "ccv2_event": "retry",
        "ccv2_path": "/library/info",
        "ccv2_delay": fields(retry)["ccv2_delay"],
    }
    assert fields(retry)["ccv2_delay"] > 0
    assert fields(second)["ccv2_status"] == 200
    assert fields(second)["ccv2_attempt"] == 2


async def test_all_records_go_to_one_logger(
    client: ConstantContact, sandbox: Sandbox, log: pytest.LogCaptureFixture
) -> None:
    sandbox.admin.fault("server_error", times=2)
    await client.library.upload(b"abc", name="strange.pdf")
    ours = [r for r in log.records if r.pathname.find("ccv2_async") >= 0]
    ours = [r for r in ours if "/sandbox/" not in r.pathname]
    assert ours
    assert {r.name.partition(".")[0] for r in ours} == {"ccv2_async"}


# No secrets.


async def test_events_and_log_records_contain_no_secret(
    connect: Callable[..., Any], told: Told, log: pytest.LogCaptureFixture
) -> None:
    with Sandbox(mode="at_once", api_key=KEY, access_token=TOKEN) as sandbox:
        cc = await connect(sandbox, on_event=told.append, per_second=5)
        poller = await cc.library.begin_upload(b"abc", name="menu.pdf")
        await poller
        token = poller.token()
        for status in (302, 400, 401, 403, 404, 429, 500, 503):
            sandbox.admin.fault("echo", status=status, times=None)
            for work in (
                cc.library.info(),
                cc.library.create_folder("x"),
                cc.library.begin_upload(b"abc", name="a.pdf"),
            ):
                with pytest.raises(errors.ConstantContactError):
                    await work
            fresh = await connect(sandbox, on_event=told.append)
            with contextlib.suppress(errors.ConstantContactError):  # 404: it is not known yet
                await fresh.resume(token).poll_once()
            sandbox.admin.clear_faults()
    assert {type(event) for event in told} >= {CallSent, CallEnded, CallRetried, Polled, JobEnded}
    shown = [repr(attrs.asdict(event)) for event in told]
    shown += [f"{record.getMessage()} {fields(record)}" for record in log.records]
    for text in shown:
        for secret in (*SECRETS, token):
            assert secret not in text
