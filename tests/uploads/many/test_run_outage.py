"""In an outage, an upload waits with few calls, and the same call completes it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccv2_async import BulkState, ConstantContact, Timeouts, errors
from ccv2_async.observe import CallSent, OutageBegan, OutageEnded
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.calls.circuit import FAILED_WRITES
from ccv2_async.transport.calls.retry import Effect, FailureKind
from ccv2_async.uploads.many.journal import read_journal
from tests.support.clocks import settle
from tests.support.lasting_ports import lasting_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.clocks import ManualClock

FILES = 300
HTML = "<html><body>502 Bad Gateway</body></html>"
KINDS: dict[str, dict[str, Any]] = {
    "503": {"kind": "answer", "status": 503, "body": "[]", "read_body": True},
    "500": {"kind": "answer", "status": 500, "body": "[]", "read_body": True},
    "502 HTML": {
        "kind": "answer",
        "status": 502,
        "body": HTML,
        "headers": {"content-type": "text/html"},
        "read_body": True,
    },
    "503 busy": {
        "kind": "answer",
        "status": 503,
        "body": "[]",
        "headers": {"retry-after": "1"},
        "read_body": True,
    },
    "reset": {"kind": "reset"},
    "answers lost": {"kind": "lose_response"},
}


class Events:
    """The outages and calls that a client reported.

    Attributes:
        at_end: What to do after so many calls of an outage.
    """

    def __init__(self, calls: int, at_end: Callable[[], object]) -> None:
        self.began: list[OutageBegan] = []
        self.ended: list[OutageEnded] = []
        self._left = calls
        self._at_end = at_end

    def __call__(self, event: object) -> None:
        if isinstance(event, OutageBegan):
            self.began.append(event)
        elif isinstance(event, OutageEnded):
            self.ended.append(event)
        elif isinstance(event, CallSent) and self.began and not self.ended:
            self._left -= 1
            if not self._left:
                self._at_end()


def probes(sandbox: Sandbox) -> int:
    """Count the calls that only ask whether the service is back, including failed looks."""
    looks = sandbox.admin.requests("GET", "/library/files/uploadstatus/*")
    failed = [look for look in looks if look.status != 200]
    return len(sandbox.admin.requests("GET", "/library/info")) + len(failed)


def cost(sandbox: Sandbox) -> float:
    """Return the calls per file, not counting the probes."""
    return (len(sandbox.admin.requests()) - probes(sandbox)) / FILES


async def run(client: ConstantContact, files: list[Path], journal: Path, **options: Any) -> Any:
    return [r async for r in client.upload_many(files, journal=journal, **options)]


@pytest.mark.parametrize("seconds", ["1", "300"])
async def test_an_upload_of_one_file_waits_as_long_as_the_service_asks_for_any_wait(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    seconds: str,
) -> None:
    client = await connect(sandbox)
    busy = KINDS["503 busy"] | {"headers": {"retry-after": seconds}}
    sandbox.admin.fault(busy.pop("kind"), None, "*", times=12, **busy)
    (path,) = pictures("a.png")

    (result,) = await run(client, [path], path.parent.with_name("j.db"))

    assert result.state is BulkState.DONE, result.error


@pytest.mark.parametrize(
    ("kind", "only"),
    [(kind, only) for kind in KINDS for only in (None, "POST")],
    ids=[f"{kind}, {only}" for kind in KINDS for only in ("all calls", "uploads")],
)
async def test_an_upload_waits_for_the_end_of_an_outage_with_few_calls(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    kind: str,
    only: str | None,
) -> None:
    fault = dict(KINDS[kind])
    events = Events(6, sandbox.admin.clear_faults)
    client = await connect(sandbox, on_event=events)
    sandbox.admin.fault(fault.pop("kind"), only, "*", skip=40, times=None, **fault)

    paths = pictures(*(f"{n}.png" for n in range(FILES)))
    results = await run(client, paths, paths[0].parent.with_name("j.db"))

    assert {(result.state, str(result.error or "")) for result in results} == {(BulkState.DONE, "")}
    assert len({file["name"] for file in sandbox.admin.files()}) == FILES
    assert len(sandbox.admin.files()) == FILES
    assert cost(sandbox) <= 1.2
    assert len(events.ended) == len(events.began) >= 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_long_outage_stops_the_upload_and_the_next_run_completes_it(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    kind: str,
) -> None:
    paths, journal = pictures(*(f"{n}.png" for n in range(FILES))), tmp_path / "j.db"
    fault = dict(KINDS[kind])
    sandbox.admin.fault(fault.pop("kind"), None, "*", skip=40, times=None, **fault)

    with pytest.raises(errors.ServiceUnavailable, match="not been available for 15 min "):
        await run(await connect(sandbox), paths, journal)
    states = {row.state async for row in read_journal(str(journal))}
    assert states <= {
        BulkState.DONE,
        BulkState.ACCEPTED,
        BulkState.PENDING,
        BulkState.SENDING,
    }
    with pytest.raises(errors.ServiceUnavailable):
        await run(await connect(sandbox), paths, journal)
    sandbox.admin.clear_faults()

    results = await run(await connect(sandbox), paths, journal)

    assert {(result.state, str(result.error or "")) for result in results} == {(BulkState.DONE, "")}
    assert len(sandbox.admin.files()) == FILES
    assert cost(sandbox) <= 1.2


async def test_an_unreachable_service_costs_no_daily_quota(
    connect: Callable[..., Any],
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port, paths = lasting_port(), pictures(*(f"{n}.png" for n in range(20)))
    with Sandbox(port, mode="at_once") as sandbox:
        client = await connect(sandbox, per_day=10_000)
    with caplog.at_level(logging.WARNING), pytest.raises(errors.ServiceUnavailable) as told:
        await run(client, paths, tmp_path / "j.db")

    assert client.budget.used_today == 0
    assert "no connection" in told.value.message
    paused = [r.message for r in caplog.records if "paused" in r.message]
    assert len(paused) == 1
    assert {row.state async for row in read_journal(str(tmp_path / "j.db"))} == {BulkState.PENDING}
    with Sandbox(port, mode="at_once") as sandbox:
        results = await run(await connect(sandbox), paths, tmp_path / "j.db")
        assert len(sandbox.admin.files()) == len(results) == 20


async def test_waiting_uploads_continue_when_the_service_is_back(
    connect: Callable[..., Any], pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    port, paths = lasting_port(), pictures(*(f"{n}.png" for n in range(20)))
    with Sandbox(port, mode="at_once") as sandbox:
        options = sandbox.client_options()
    back = asyncio.Event()
    client = await connect(None, **options, on_event=Events(4, back.set))
    uploading = asyncio.create_task(run(client, paths, tmp_path / "j.db", outage_timeout=1e9))
    await back.wait()

    with Sandbox(port, mode="at_once") as sandbox:
        assert {result.state for result in await uploading} == {BulkState.DONE}
        assert len(sandbox.admin.files()) == 20


async def test_a_caller_with_less_time_does_not_wait_for_one_with_more(
    sandbox: Sandbox, manual_clock: ManualClock
) -> None:
    async with ConstantContact(clock=manual_clock, **sandbox.client_options()) as client:
        session = client._open_parts.session
        for _ in range(FAILED_WRITES):
            session.outage.note(Effect.ADDITIVE, FailureKind.SERVER_FAILED, "a test")

        async def wait(limit: float | None, patience: float) -> None:
            with client.deadline(limit):
                async with session.outage.turn(session.limit, manual_clock.monotonic(), patience):
                    pass

        patient = asyncio.create_task(wait(None, 900.0))
        await settle()
        others = [asyncio.create_task(wait(*times)) for times in ((1.0, 900.0), (None, 1.0))]
        await settle()
        await manual_clock.advance(1.0)

        assert all(task.done() for task in others)
        with pytest.raises(errors.DeadlineExceeded, match="not available within 1 s"):
            await others[0]
        with pytest.raises(errors.ServiceUnavailable, match="not been available for 1 s"):
            await others[1]
        patient.cancel()


class Picky(httpx.AsyncHTTPTransport):
    """The way to a service that fails for one file."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and b"bad.png" in await request.aread():
            return httpx.Response(500)
        return await super().handle_async_request(request)


@pytest.mark.parametrize("concurrency", [1, 2, 6])
@pytest.mark.parametrize(
    "names",
    [
        "a bad c d",
        "bad worse-bad c d",
        "bad b-bad c-bad d-bad e",
        "a b c bad",
        "a bad worse-bad",
        "a b-bad c-bad d-bad",
        "bad worse-bad",
    ],
)
async def test_a_file_that_the_service_always_fails_does_not_stop_the_others(  # noqa: PLR0917
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    names: str,
    concurrency: int,
) -> None:
    async with httpx.AsyncClient(transport=Picky()) as http:
        client = await connect(sandbox, http_client=http)
        paths = pictures(*(f"{name}.png" for name in names.split()))

        for _ in range(2):
            results = await run(client, paths, tmp_path / "j.db", concurrency=concurrency)

            for result in results:
                bad = "bad" in result.path
                assert result.state is (BulkState.AMBIGUOUS if bad else BulkState.DONE), result
            assert len(results) == len(paths)


class WithoutUploads(httpx.AsyncHTTPTransport):
    """The way to a service that fails every upload for some minutes."""

    def __init__(self, clock: ManualClock, minutes: float) -> None:
        super().__init__()
        self._clock = clock
        self._end = clock.now + 60.0 * minutes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and self._clock.now < self._end:
            await request.aread()
            return httpx.Response(500)
        return await super().handle_async_request(request)


@pytest.mark.parametrize("concurrency", [1, 2, 6])
async def test_an_outage_of_uploads_alone_fails_no_file(  # noqa: PLR0917  # fixtures
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    clock: ManualClock,
    concurrency: int,
) -> None:
    async with httpx.AsyncClient(transport=WithoutUploads(clock, 14.0)) as http:
        client = await connect(sandbox, http_client=http)
        paths = pictures(*(f"{n}.png" for n in range(3 * concurrency)))

        results = await run(client, paths, tmp_path / "j.db", concurrency=concurrency)

    assert {(result.state, str(result.error or "")) for result in results} == {(BulkState.DONE, "")}
    assert len(sandbox.admin.files()) == len(paths)


class Refusing(httpx.AsyncHTTPTransport):
    """The way to a service that fails two uploads, and refuses all later ones."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.uploads = 0
        self._status = status

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            await request.aread()
            self.uploads += 1
            return httpx.Response(500 if self.uploads <= 2 else self._status)
        return await super().handle_async_request(request)


@pytest.mark.parametrize(("status", "uploads"), [(401, 3), (307, 3), (429, 11)])
async def test_a_refusal_after_an_outage_is_not_due_to_the_outage(  # noqa: PLR0917  # fixtures
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    status: int,
    uploads: int,
) -> None:
    way = Refusing(status)
    async with httpx.AsyncClient(transport=way) as http:
        client = await connect(sandbox, http_client=http)
        (result,) = await run(client, pictures("a.png"), tmp_path / "j.db")

    assert result.state is BulkState.AMBIGUOUS
    assert way.uploads == uploads


async def test_a_single_failure_does_not_pause_the_upload(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
) -> None:
    events = Events(100, lambda: None)
    client = await connect(sandbox, on_event=events)
    sandbox.admin.fault("server_error", "POST", "/library/files", skip=3)

    results = await run(client, pictures(*(f"{n}.png" for n in range(12))), tmp_path / "j.db")

    assert {result.state for result in results} == {BulkState.DONE}
    assert not events.began


async def test_progress_says_how_long_the_outage_has_lasted(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
) -> None:
    seen: list[float | None] = []
    client = await connect(sandbox)
    sandbox.admin.fault("server_error", None, "*", times=12)

    results = await run(
        client, pictures("a.png"), tmp_path / "j.db", on_progress=lambda p: seen.append(p.outage)
    )

    assert results[0].state is BulkState.DONE
    assert any(seconds is not None for seconds in seen)
    assert seen[-1] is None


@pytest.mark.timeout(240)  # calls hang for half a minute in total, and a machine may be busy
@pytest.mark.parametrize("is_long", [False, True], ids=["short", "long"])
async def test_a_silent_service_is_an_outage_like_a_refusing_one(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    is_long: bool,
) -> None:
    paths, journal = pictures(*(f"{n}.png" for n in range(FILES))), tmp_path / "j.db"
    # A response that is late on a busy machine must not count as a call that hangs.
    quick = {"timeouts": Timeouts(read=1.5 if is_long else 5.0)}
    sandbox.admin.fault("hang", None, "*", skip=40, times=None)
    if is_long:
        with pytest.raises(errors.ServiceUnavailable, match="not been available for 15 min "):
            await run(await connect(sandbox, **quick), paths, journal)
        sandbox.admin.clear_faults()
        client = await connect(sandbox)
    else:
        client = await connect(sandbox, **quick, on_event=Events(6, sandbox.admin.clear_faults))

    results = await run(client, paths, journal)

    assert {(result.state, str(result.error or "")) for result in results} == {(BulkState.DONE, "")}
    assert len(sandbox.admin.files()) == FILES
    assert cost(sandbox) <= 1.2
