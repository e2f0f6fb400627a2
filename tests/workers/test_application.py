# ruff: noqa: ASYNC240  # files of a few bytes hold up no loop
"""Workers in one process, against the sandbox: deliveries, deaths, deadlines, and outcomes."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from taskiq import InMemoryBroker

from ccv2_async import Timeouts
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.client import ConstantContact
from ccv2_async.clock import SystemClock
from ccv2_async.errors import InvalidField
from ccv2_async.transport.calls.circuit import FAILED_WRITES
from ccv2_async.uploads.status import UPLOAD
from ccv2_async.workers import BulkState, JobRecord, Workers, WorkerSettings, application, sweeping
from ccv2_async.workers.records import MOST_ATTEMPTS
from ccv2_async.workers.sending import Lease, LeaseLost
from ccv2_async.workers.stores import StoreUnavailable
from ccv2_async.workers.sweeping import patience, worth_asking
from tests.support.probes import nothing_left, until
from tests.support.servers import serving, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.support.servers import Request, Wire


HOURS = 3600.0


class ShiftedClock(SystemClock):
    """The machine's time, moved by as much as the test says; backoff takes no time."""

    def __init__(self) -> None:
        self.shift = 0.0

    def time(self) -> float:
        return super().time() + self.shift

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.01) if seconds < HOURS / 10 else seconds)


@pytest.fixture
def time_of_workers() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def start(
    sandbox: Sandbox, time_of_workers: ShiftedClock
) -> AsyncIterator[Callable[..., Any]]:
    """Starts workers of the sandbox that make no rounds of their own, and ends them."""
    async with AsyncExitStack() as stack:

        async def start_one(**settings: Any) -> Workers:
            given = {
                **sandbox.client_options(),
                "per_second": None,
                "per_day": None,
                "sweep_seconds": HOURS,
                **settings,
            }
            workers = Workers(WorkerSettings(**given), clock=time_of_workers)
            return await stack.enter_async_context(workers)

        yield start_one


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG" + bytes(5000))
    return path


async def answer_of(asked: Any) -> dict[str, Any]:
    result = await asked.task.wait_result(check_interval=0.01, timeout=20)
    assert not result.is_err, result.error
    value: dict[str, Any] = result.return_value
    return value


async def record_of(workers: Workers, key: str) -> JobRecord:
    record = await workers.record(key)
    assert record is not None
    return record


async def test_a_task_returns_the_token_at_once_and_a_sweep_records_the_outcome(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.configure(mode="looks", looks=1)
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    answer = await answer_of(asked)
    assert answer["state"] == "accepted"
    assert answer["token"].startswith("ccv2p1.")
    assert not sandbox.admin.requests("GET"), "nobody has waited for it"
    workers._clock.shift += 60
    assert (await workers.sweep()).settled == 0
    assert (await record_of(workers, asked.key)).status == "Uploaded"
    workers._clock.shift += 60
    assert (await workers.sweep()).settled == 1
    record = await record_of(workers, asked.key)
    assert (record.state, record.status, record.file_id) == (BulkState.DONE, "Active", answer["id"])


async def test_task_results_are_plain_json(start: Callable[..., Any], picture: Path) -> None:
    answer = await answer_of(await (await start()).enqueue_upload(picture))
    assert json.loads(json.dumps(answer)) == answer


async def test_a_redelivered_job_is_sent_once(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("delay_response", "POST", seconds=0.2)
    workers = await start()
    asked = await asyncio.gather(*(workers.enqueue_upload(picture) for _ in range(5)))
    await asyncio.gather(*(answer_of(one) for one in asked))
    again = await answer_of(await workers.enqueue_upload(picture))
    assert again["state"] == "accepted"
    await workers.sweep()
    assert (await answer_of(await workers.enqueue_upload(picture)))["state"] in ("accepted", "done")
    assert len(sandbox.admin.requests("POST")) == 1


async def test_a_file_may_be_deleted_after_it_was_sent(
    start: Callable[..., Any], picture: Path
) -> None:
    workers = await start()
    first = await answer_of(await workers.enqueue_upload(picture))
    picture.unlink()
    assert await answer_of(await workers.enqueue_upload(picture)) == first


async def test_another_key_is_another_job(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    workers = await start()
    for key in ("monday", "tuesday"):
        await answer_of(await workers.enqueue_upload(picture, key=key))
    assert len(sandbox.admin.files()) == 2


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_job_whose_worker_died_while_sending_is_settled_and_sent_once(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path, arrived: bool
) -> None:
    workers = await start()
    record = workers.upload_record(str(picture), "0", None, "", None)
    now = workers._clock.time()
    await workers._store.save(
        attrs.evolve(
            record,
            state=BulkState.SENDING,
            size=picture.stat().st_size,
            written_ns=picture.stat().st_mtime_ns,
            since=now,
            attend_at=now - 1,
        )
    )
    if arrived:
        async with ConstantContact(**sandbox.client_options()) as dead:
            await dead.library.begin_upload(picture)
    assert (await workers.sweep()).sent_again == 1
    await workers.broker.wait_all()
    settled = await record_of(workers, record.key)
    assert settled.state is BulkState.ACCEPTED, settled.error
    assert [file["id"] for file in sandbox.admin.files()] == [settled.file_id]


async def test_a_changed_file_of_an_interrupted_job_is_left_to_its_owner(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    workers = await start()
    record = workers.upload_record(str(picture), "0", None, "", None)
    await workers._store.save(attrs.evolve(record, state=BulkState.SENDING, size=1, since=1.0))
    answer = await answer_of(await workers.enqueue_upload(picture))
    assert answer["state"] == "ambiguous"
    assert "picture.png" in answer["error"]
    assert not sandbox.admin.requests()


async def test_identical_files_are_not_mistaken_for_each_other(
    start: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    paths = [tmp_path / side / "twin.png" for side in ("left", "right")]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_bytes(bytes([number]) * 100)
    workers = await start()
    left = await answer_of(await workers.enqueue_upload(paths[0]))
    record = workers.upload_record(str(paths[1]), "0", None, "", None)
    stat = paths[1].stat()
    now = workers._clock.time()
    await workers._store.save(
        attrs.evolve(
            record,
            state=BulkState.SENDING,
            size=stat.st_size,
            written_ns=stat.st_mtime_ns,
            since=now,
        )
    )
    right = await answer_of(await workers.enqueue_upload(paths[1]))
    assert left["id"] != right["id"]
    assert len(sandbox.admin.files()) == 2


@pytest.mark.parametrize("lease", [60.0, 2 * HOURS])
async def test_a_job_is_postponed_while_an_identical_file_is_uploaded(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path, lease: float
) -> None:
    workers = await start(lease_seconds=lease)
    record = workers.upload_record(str(picture), "0", None, "", None)
    assert await workers._store.hold(record.lock, "somebody", lease)
    answer = await answer_of(await workers.enqueue_upload(picture))
    assert answer["state"] == "pending"
    assert not sandbox.admin.requests()
    workers._clock.shift += 10
    assert (await workers.sweep()).sent_again == 0
    await workers._store.release(record.lock, "somebody")
    workers._clock.shift += 60
    assert (await workers.sweep()).sent_again == 1
    await workers.broker.wait_all()
    assert (await record_of(workers, record.key)).state is BulkState.ACCEPTED


async def test_temporary_failures_are_retried_later_but_not_forever(
    start: Callable[..., Any], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client's clock does not follow that of the workers; an hour later, a probe would be due.
    monkeypatch.setattr("ccv2_async.transport.calls.circuit.FIRST_INTERVAL", 0.0)
    workers = await start(base_url=f"http://127.0.0.1:{await unused_port()}/v2")
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    states = []
    for _ in range(MOST_ATTEMPTS):
        record = await record_of(workers, asked.key)
        states.append(record.state)
        workers._clock.shift += HOURS
        await workers.sweep()
        await workers.broker.wait_all()
    assert states == [BulkState.PENDING] * (MOST_ATTEMPTS - 1) + [BulkState.FAILED]
    assert record.error_type == "ConnectFailed"


async def test_a_job_postponed_during_an_outage_does_not_fail(
    start: Callable[..., Any], picture: Path
) -> None:
    workers = await start(base_url=f"http://127.0.0.1:{await unused_port()}/v2")
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    for _ in range(3 * MOST_ATTEMPTS):
        workers._clock.shift += HOURS
        await workers.sweep()
        await workers.broker.wait_all()

    record = await record_of(workers, asked.key)
    assert (record.state, record.error_type) == (BulkState.PENDING, "ServiceUnavailable")


async def test_looks_held_back_during_an_outage_leave_no_job_ambiguous(
    start: Callable[..., Any], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccv2_async.transport.calls.circuit.FIRST_INTERVAL", HOURS)
    workers = await start()
    sandbox.admin.fault("server_error", times=None)
    for number in range(4):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes([number]))
        await answer_of(await workers.enqueue_upload(str(path)))
    for _ in range(3 * MOST_ATTEMPTS):
        workers._clock.shift += HOURS
        await workers.sweep()
        await workers.broker.wait_all()

    assert len(await workers.records(BulkState.SENDING)) == FAILED_WRITES
    assert len(await workers.records(BulkState.PENDING)) == 4 - FAILED_WRITES


@pytest.mark.parametrize("kind", ["lose_response", "server_error"])
async def test_an_upload_hit_by_an_outage_is_settled_afterward(
    start: Callable[..., Any],
    sandbox: Sandbox,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
) -> None:
    monkeypatch.setattr("ccv2_async.transport.calls.circuit.FIRST_INTERVAL", 0.0)
    sandbox.admin.fault(kind, "POST")
    sandbox.admin.fault("server_error", "GET", "*", times=None)
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "sending"
    sandbox.admin.clear_faults()

    workers._clock.shift += HOURS
    await workers.sweep()
    await workers.broker.wait_all()

    assert (await record_of(workers, asked.key)).state is BulkState.ACCEPTED
    assert len(sandbox.admin.files()) == 1


@pytest.mark.parametrize("length", ["short", "long"])
@pytest.mark.parametrize(
    "kind", ["unavailable", "server_error", "html", "reset", "lose_response", "hang"]
)
async def test_after_any_outage_a_job_stores_its_file_once(  # noqa: PLR0917  # fixtures
    start: Callable[..., Any],
    sandbox: Sandbox,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    length: str,
) -> None:
    if kind == "hang":
        monkeypatch.setattr(Timeouts.__init__, "__defaults__", (10.0, 1.0, 60.0))
    # The clock of these tests shifts the date alone, and probes go by the monotonic clock.
    monkeypatch.setattr("ccv2_async.transport.calls.circuit.FIRST_INTERVAL", 0.0)
    monkeypatch.setattr("ccv2_async.transport.calls.circuit.LONGEST_INTERVAL", 0.0)
    sandbox.admin.fault(kind, times=2 if length == "short" else None)
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    for _ in range(3 if length == "long" else 0):
        workers._clock.shift += HOURS
        await workers.sweep()
        await workers.broker.wait_all()
    sandbox.admin.clear_faults()

    record = await record_of(workers, asked.key)
    for _ in range(4):
        if record.state is BulkState.ACCEPTED:
            break
        workers._clock.shift += HOURS
        await workers.sweep()
        await workers.broker.wait_all()
        record = await record_of(workers, asked.key)

    assert record.state in (BulkState.ACCEPTED, BulkState.DONE), record.error
    assert [file["id"] for file in sandbox.admin.files()] == [record.file_id]


async def test_a_job_stopped_by_the_daily_quota_continues_the_next_day(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("over_ratelimit", "POST")
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "pending"
    assert (await workers.sweep()).sent_again == 0
    workers._clock.shift += 25 * HOURS
    assert (await workers.sweep()).sent_again == 1
    await workers.broker.wait_all()
    assert (await record_of(workers, asked.key)).state is BulkState.ACCEPTED


async def test_a_refusal_is_recorded_with_its_reason(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("inactive", "POST")
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    answer = await answer_of(asked)
    assert answer["state"] == "failed"
    assert (await record_of(workers, asked.key)).error_type == "Forbidden"
    assert [record.key for record in await workers.records(BulkState.FAILED)] == [asked.key]


async def test_a_missing_file_fails_alone(start: Callable[..., Any]) -> None:
    workers = await start()
    answer = await answer_of(await workers.enqueue_upload("/nowhere/x.png"))
    assert answer["state"] == "failed"
    assert "/nowhere/x.png" in answer["error"]


async def test_a_failed_job_is_pending_again_once_it_is_submitted_again(
    start: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    workers = await start(concurrency=1)
    path = tmp_path / "late.png"
    asked = await workers.enqueue_upload(path)
    assert (await answer_of(asked))["state"] == "failed"
    path.write_bytes(b"\x89PNG")
    again = await workers.tasks.upload.kiq(str(path), key=asked.key)  # as if delivered twice
    await again.wait_result(check_interval=0.01, timeout=20)
    assert not sandbox.admin.requests("POST")
    async with workers._slots:  # no worker takes it yet
        asked = await workers.enqueue_upload(path)
        record = await record_of(workers, asked.key)
        assert (record.state, record.attempts, record.error) == (BulkState.PENDING, 0, "")
    assert (await answer_of(asked))["state"] == "accepted"


async def test_an_invalid_job_is_refused_before_it_is_recorded(
    start: Callable[..., Any],
) -> None:
    workers = await start()
    with pytest.raises(InvalidField):
        await workers.enqueue_upload("/x/notes.txt")
    with pytest.raises(InvalidField):
        await workers.enqueue_upload(5)
    with pytest.raises(InvalidField):
        await workers.enqueue_activity("launch_rockets")
    with pytest.raises(InvalidField):
        await workers.enqueue_activity("clear_lists", lists=["1"], lane=0)
    assert await workers.counts() == {}


async def test_a_job_is_followed_after_the_clock_was_set_back(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.configure(mode="at_once")
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    workers._clock.shift -= 2 * HOURS
    assert (await workers.sweep()).settled == 1
    assert (await record_of(workers, asked.key)).state is BulkState.DONE


async def test_a_job_that_no_worker_has_is_sent_after_the_clock_was_set_back(
    start: Callable[..., Any], picture: Path
) -> None:
    workers = await start()
    record = workers.upload_record(str(picture), "0", None, "", "key")
    far = attrs.evolve(record, attend_at=workers._clock.time() + 48 * HOURS)
    tomorrow = attrs.evolve(record, key="other", attend_at=workers._clock.time() + 24 * HOURS)
    await workers._store.add(far)
    await workers._store.add(tomorrow)
    assert [(await workers.sweep()).sent_again for _ in range(2)] == [1, 0]


async def test_a_stuck_job_ends_at_its_deadline_with_a_recorded_error(
    start: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "stuck.png"
    path.write_bytes(b"x" * 10)
    workers = await start()
    asked = await workers.enqueue_upload(path)
    await answer_of(asked)
    workers._clock.shift += UPLOAD.deadline - 1
    assert (await workers.sweep()).settled == 0
    workers._clock.shift += 60
    assert (await workers.sweep()).settled == 1
    record = await record_of(workers, asked.key)
    assert (record.state, record.error_type) == (BulkState.FAILED, "PollTimeout")
    assert "still Processing" in record.error or "still Uploaded" in record.error
    assert workers._client.resume(record.token).id == record.file_id


async def test_jobs_do_not_time_out_while_the_service_cannot_be_reached(
    start: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "stuck.png"
    path.write_bytes(b"x" * 10)
    workers = await start()
    asked = await workers.enqueue_upload(path)
    await answer_of(asked)
    sandbox.admin.fault("unavailable", "GET", times=None)
    workers._clock.shift += UPLOAD.deadline + 1
    assert (await workers.sweep()).settled == 0
    workers._clock.shift += UPLOAD.deadline
    assert (await workers.sweep()).settled == 1
    assert (await record_of(workers, asked.key)).state is BulkState.FAILED


async def test_a_virus_is_recorded_as_such(start: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "virus.png"
    path.write_bytes(b"x" * 10)
    workers = await start()
    asked = await workers.enqueue_upload(path)
    await answer_of(asked)
    workers._clock.shift += 60
    await workers.sweep()
    record = await record_of(workers, asked.key)
    assert (record.state, record.error_type, record.final) == (
        BulkState.FAILED,
        "VirusFound",
        True,
    )


async def test_a_file_that_the_service_forgets_is_lost_after_several_looks(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    sandbox.admin.reset()
    for _ in range(3):
        assert (await record_of(workers, asked.key)).state is BulkState.ACCEPTED
        workers._clock.shift += 50
        await workers.sweep()
    assert (await record_of(workers, asked.key)).error_type == "JobNotFound"


RECORD: dict[str, Any] = {"kind": "answer", "status": 200, "times": None}


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        (None, ""),
        ({"kind": "unavailable", "times": 4}, ""),
        (RECORD | {"status": 404, "body": "[]"}, "JobNotFound"),
    ],
)
async def test_a_file_whose_status_is_forgotten_is_looked_up(
    start: Callable[..., Any],
    sandbox: Sandbox,
    picture: Path,
    fault: dict[str, Any] | None,
    error_type: str,
) -> None:
    sandbox.admin.configure(mode="at_once")
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    forgotten: dict[str, Any] = {"path": "/library/files/uploadstatus/*", "body": "[]"}
    sandbox.admin.fault("answer", "GET", status=200, times=None, **forgotten)
    if fault:
        sandbox.admin.fault(method="GET", path="/library/files/[0-9]*", **fault)
    for _ in range(4):
        workers._clock.shift += 50
        await workers.sweep()
    record = await record_of(workers, asked.key)
    assert (record.state is BulkState.DONE, record.error_type) == (error_type == "", error_type)
    assert record.status == (None if error_type else "Active")


async def test_a_token_of_other_credentials_fails_only_its_job(
    start: Callable[..., Any], picture: Path
) -> None:
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    foreign = attrs.evolve(
        workers.upload_record(str(picture), "0", None, "", "foreign"),
        state=BulkState.ACCEPTED,
        tokens=("ccv2p1.e30.x",),
        attend_at=0.0,
    )
    await workers._store.save(foreign)
    workers._clock.shift += 60
    assert (await workers.sweep()).settled == 2
    assert (await record_of(workers, "foreign")).error_type == "TokenError"
    assert (await record_of(workers, asked.key)).state is BulkState.DONE


async def test_two_hundred_open_jobs_cost_two_or_three_requests(
    start: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    workers = await start(concurrency=20)
    asked = []
    for number in range(200):
        path = tmp_path / f"{number}.png"
        path.write_bytes(b"x" * 10)
        asked.append(await workers.enqueue_upload(path))
    await workers.broker.wait_all()
    workers._clock.shift += 60
    assert (await workers.sweep()).settled == 200
    assert len(sandbox.admin.requests("GET")) <= 3
    assert await workers.counts() == {"done": 200}


async def test_a_job_that_arrived_while_the_store_was_unavailable_is_sent_when_it_answers(
    start: Callable[..., Any], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = await start(sweep_seconds=0.1)
    find, failures = workers._store.find, iter(range(3))

    async def failing(key: str) -> JobRecord | None:
        if next(failures, None) is not None:
            raise StoreUnavailable("The store is away.")
        found: JobRecord | None = await find(key)
        return found

    enqueue, refusals = workers._enqueue, iter(range(2))

    async def enqueue_later(record: JobRecord) -> Any:
        if next(refusals, None) is not None:
            raise StoreUnavailable("The queue is away.")
        return await enqueue(record)

    monkeypatch.setattr(workers._store, "find", failing)
    asked = await workers.enqueue_upload(picture)
    monkeypatch.setattr(workers, "_enqueue", enqueue_later)
    assert (await asked.task.wait_result(check_interval=0.01, timeout=20)).is_err
    async with asyncio.timeout(20):
        while (await find(asked.key)).state is not BulkState.ACCEPTED:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_job_is_not_queued_again_while_the_store_is_unavailable(
    start: Callable[..., Any], picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = await start(sweep_seconds=0.1)
    enqueue, asks, queued = workers._enqueue, iter(range(5)), list[JobRecord]()
    is_over = asyncio.Event()

    async def away(*_: object) -> Any:
        if next(asks, None) is None:
            is_over.set()
        raise StoreUnavailable("The store is away.")

    async def note(record: JobRecord) -> Any:
        queued.append(record)
        return await enqueue(record)

    with monkeypatch.context() as patch:
        patch.setattr(workers._store, "find", away)
        patch.setattr(workers._store, "hold", away)
        asked = await workers.enqueue_upload(picture)
        patch.setattr(workers, "_enqueue", note)
        assert (await asked.task.wait_result(check_interval=0.01, timeout=20)).is_err
        await asyncio.wait_for(is_over.wait(), 20)
        assert queued == []
    async with asyncio.timeout(20):
        while (await record_of(workers, asked.key)).state is not BulkState.ACCEPTED:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_only_one_sweep_runs_at_a_time(start: Callable[..., Any], picture: Path) -> None:
    workers = await start()
    await answer_of(await workers.enqueue_upload(picture))
    workers._clock.shift += 60
    assert await workers._store.hold("sweep", "another worker", 60)
    assert (await workers.sweep()).looked_at == 0


async def test_activities_are_started_once_and_their_counts_are_recorded(
    start: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    contacts = tmp_path / "new.csv"
    contacts.write_text("EMAIL\na@example.com\nb@example.com\n")
    workers = await start()
    answers = [
        await answer_of(
            await workers.enqueue_activity(
                "add_contacts", key="import", contacts=str(contacts), lists=["1"]
            )
        )
        for _ in range(2)
    ]
    assert answers[1]["tokens"] == answers[0]["tokens"]
    assert len(sandbox.admin.requests("POST")) == 1
    workers._clock.shift += 60
    await workers.sweep()
    record = await record_of(workers, "import")
    assert (record.state, record.status) == (BulkState.DONE, "COMPLETE")
    assert record.result["contact_count"] == 2


async def test_a_relative_path_of_contacts_is_that_of_the_process_that_submits_the_job(
    start: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = await start(concurrency=1)
    (tmp_path / "new.csv").write_text("EMAIL\na@example.com\n")
    monkeypatch.chdir(tmp_path)
    async with workers._slots:
        asked = await workers.enqueue_activity("add_contacts", contacts="new.csv", lists=["1"])
        monkeypatch.chdir("/")  # as in a worker
    assert (await answer_of(asked))["state"] == "accepted"


async def test_an_activity_with_invalid_arguments_fails_with_their_names(
    start: Callable[..., Any], sandbox: Sandbox
) -> None:
    workers = await start()
    answer = await answer_of(await workers.enqueue_activity("clear_lists", list="1"))
    assert answer["state"] == "failed"
    assert "list" in answer["error"]
    assert not sandbox.admin.requests()


async def test_an_activity_that_contradicts_its_list_holds_up_no_round(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "RESULT_WITHIN", 0.2, raising=False)
    ids, said = ["a1", "a2"], "RUNNING"

    async def answer(wire: Wire, request: Request) -> None:
        if request.method == "POST":
            await wire.answer("201 Created", b"", f"Location: /v2/activities/{ids[0]}")
            ids.append(ids.pop(0))
        elif (name := request.target.partition("?")[0].rpartition("/")[2]) == "activities":
            rows = [{"id": id_, "status": "COMPLETE"} for id_ in ids]
            await wire.answer(body=json.dumps(rows).encode())
        else:
            await wire.answer(body=json.dumps({"id": name, "status": said}).encode())

    async with serving(answer) as server:
        workers = await start(base_url=server.base_url)
        for key in ("a", "b"):
            await answer_of(await workers.enqueue_activity("clear_lists", key=key, lists=["1"]))
        workers._clock.shift += 60
        assert (await asyncio.wait_for(workers.sweep(), 10)).settled == 0
        said = "ERROR"
        workers._clock.shift += 600
        assert (await asyncio.wait_for(workers.sweep(), 10)).settled == 2
        assert (await record_of(workers, "a")).error_type == "ActivityFailed"


async def test_results_of_activities_that_contradict_their_list_are_awaited_together(
    start: Callable[..., Any],
) -> None:
    ids, asked = ["a1", "a2", "a3"], set[str]()

    async def answer(wire: Wire, request: Request) -> None:
        name = request.target.partition("?")[0].rpartition("/")[2]
        if request.method == "POST":
            await wire.answer("201 Created", b"", f"Location: /v2/activities/{ids[0]}")
            ids.append(ids.pop(0))
        elif name == "activities":
            rows = [{"id": id_, "status": "COMPLETE"} for id_ in ids]
            await wire.answer(body=json.dumps(rows).encode())
        else:
            asked.add(name)
            await wire.answer(body=json.dumps({"id": name, "status": "RUNNING"}).encode())

    async with serving(answer) as server:
        workers = await start(base_url=server.base_url)
        for key in ids.copy():
            await answer_of(await workers.enqueue_activity("clear_lists", key=key, lists=["1"]))
        workers._clock.shift += 60
        sweep = asyncio.create_task(workers.sweep())
        await asyncio.wait_for(until(lambda: asked == set(ids)), 60)
        sweep.cancel()
        await asyncio.wait([sweep])


async def test_a_stuck_activity_ends_at_its_own_deadline(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    contacts = tmp_path / "stuck.csv"
    contacts.write_text("EMAIL\na@example.com\n")
    workers = await start()
    asked = await workers.enqueue_activity("add_contacts", contacts=str(contacts), lists=["1"])
    await answer_of(asked)
    workers._clock.shift += ACTIVITY.deadline + 1
    assert (await workers.sweep()).settled == 1
    assert (await record_of(workers, asked.key)).error_type == "PollTimeout"


async def test_jobs_in_a_file_continue_in_the_next_process(
    sandbox: Sandbox, picture: Path, tmp_path: Path
) -> None:
    settings = WorkerSettings(**sandbox.client_options(), store=str(tmp_path / "jobs.db"))
    async with Workers(settings) as workers:
        record = workers.upload_record(str(picture), "0", None, "", None)
        await workers._store.add(record)  # and the process ends before its queue comes to it
    async with Workers(settings) as workers:
        assert isinstance(workers.broker, InMemoryBroker)
        await workers.broker.wait_all()
        assert (await record_of(workers, record.key)).state is BulkState.ACCEPTED


async def test_settled_jobs_are_reported_as_they_end(sandbox: Sandbox, picture: Path) -> None:
    settings = WorkerSettings(**sandbox.client_options(), sweep_seconds=0.1)
    async with Workers(settings) as workers:
        asked = await workers.enqueue_upload(picture)
        told = [record async for record in workers.settled([asked.key, "unheard of"], every=0.05)]
    assert [record.state for record in told] == [BulkState.DONE]


async def test_workers_leave_nothing_behind(sandbox: Sandbox, picture: Path) -> None:
    async with nothing_left(), Workers(WorkerSettings(**sandbox.client_options())) as workers:
        await answer_of(await workers.enqueue_upload(picture))


async def test_a_round_whose_queue_cannot_be_trimmed_says_that_redis_does_not_answer(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise RedisConnectionError

    workers = await start()
    monkeypatch.setattr(application, "trim", fail)
    with pytest.raises(StoreUnavailable, match="Redis does not answer"):
        await workers.sweep()


async def test_workers_that_are_cancelled_while_they_start_leave_nothing_behind(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = asyncio.Event()

    async def hang(*_: object) -> None:
        looking.set()
        await asyncio.Event().wait()

    async with nothing_left():
        settings = WorkerSettings(**sandbox.client_options(), store=str(tmp_path / "jobs.db"))
        workers = Workers(settings)
        monkeypatch.setattr(workers._store, "upcoming", hang)
        starting = asyncio.create_task(workers.__aenter__())
        await looking.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting


async def test_workers_that_wait_for_files_in_flight_can_be_cancelled(
    sandbox: Sandbox, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.admin.fault("delay_response", "POST", times=None, seconds=60.0)
    async with nothing_left():
        settings = WorkerSettings(**sandbox.client_options(), store=str(tmp_path / "jobs.db"))
        workers = Workers(settings)
        save, sending = workers._store.save, 0

        async def noted(record: JobRecord, **more: Any) -> bool:
            nonlocal sending
            sending += record.state is BulkState.SENDING
            return await save(record, **more)

        monkeypatch.setattr(workers._store, "save", noted)

        async def use() -> None:
            async with workers:
                for name in "ab":
                    await workers.enqueue_upload(picture, name=f"{name}.png")
                await until(lambda: sending == 2)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(use(), 3)


async def test_workers_with_wrong_settings_leave_nothing_behind(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    given: dict[str, Any] = {**sandbox.client_options(), "base_url": "ftp://x"}
    async with nothing_left():
        with pytest.raises(InvalidField, match="base_url"):
            async with Workers(WorkerSettings(**given, store=str(tmp_path / "jobs.db"))):
                pass


async def test_a_job_that_loses_its_lock_is_aborted(start: Callable[..., Any]) -> None:
    workers = await start()
    store = workers._store
    lease = Lease(store, "lock", "me", seconds=0.3, clock=SystemClock())
    broken_off = asyncio.Event()

    async def work() -> None:
        await store.release("lock", "me")
        try:
            await asyncio.Event().wait()
        finally:
            broken_off.set()

    with pytest.raises(LeaseLost):
        await lease.run(work, None)
    assert broken_off.is_set()


async def test_a_lock_is_kept_for_as_long_as_its_work_takes(start: Callable[..., Any]) -> None:
    workers = await start()
    store, seconds = workers._store, 6.0
    lease = Lease(store, "lock", "me", seconds=seconds, clock=SystemClock())
    begun, renewed, renew = workers._clock.time(), asyncio.Event(), store.renew

    async def counted(*given: Any) -> bool:
        kept: bool = await renew(*given)
        renewed.set()
        return kept

    store.renew = counted

    async def work() -> bool:
        await renewed.wait()
        # It would have run out by now, if it were still held as it was taken.
        workers._clock.shift = begun + seconds + 0.1 - SystemClock().time()
        held: bool = await store.is_held("lock", seconds)
        return held

    assert await lease.run(work, otherwise=False)
    assert not await store.is_held("lock", seconds)


def job(key: str, at: float, tokens: int = 1) -> JobRecord:
    return JobRecord(
        key=key, task="upload", arguments={}, lock="", attend_at=at, tokens=("t",) * tokens
    )


def test_jobs_that_are_not_due_join_a_request_that_is_made_anyway() -> None:
    jobs = [job(str(n), float(n)) for n in range(300)]
    assert worth_asking(jobs, -1.0) == []
    assert len(worth_asking(jobs, 0.0)) == 100
    assert len(worth_asking(jobs, 120.0)) == 200
    assert len(worth_asking(jobs, 1000.0)) == 300


def test_a_job_in_a_long_queue_is_redelivered_less_and_less_often() -> None:
    fresh = job("a", 0.0)
    waits = [patience(attrs.evolve(fresh, created=0.0), now, 60.0) for now in (1.0, 600.0, 6000.0)]
    assert waits == [300.0, 600.0, 6000.0]
    assert patience(attrs.evolve(fresh, state=BulkState.SENDING), 600.0, 60.0) == 60.0


def test_every_setting_can_come_from_the_environment() -> None:
    settings = WorkerSettings.from_env(
        {
            "CCV2_API_KEY": "key",
            "CCV2_ACCESS_TOKEN": "token",
            "CCV2_RATE": "10",
            "CCV2_RATE_PER_DAY": "250000",
            "CCV2_WORKER_CONCURRENCY": "3",
            "CCV2_SWEEP_SECONDS": "2.5",
            "CCV2_WORKER_STORE": "/x/jobs.db",
        },
        namespace="mine",
    )
    assert (settings.per_second, settings.per_day, settings.concurrency) == (10.0, 250_000, 3)
    assert (settings.sweep_seconds, settings.store, settings.namespace) == (
        2.5,
        "/x/jobs.db",
        "mine",
    )
    assert "key" not in repr(settings).replace("keep", "")
    assert WorkerSettings.from_env({"CCV2_RATE": "0"}).per_day is None


@pytest.mark.parametrize(
    "variables",
    [{"CCV2_SWEEP_SECONDS": "soon"}, {"CCV2_LEASE_SECONDS": "0"}, {"CCV2_RATE_PER_DAY": "1.5"}],
)
def test_an_invalid_setting_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidField):
        WorkerSettings.from_env(variables)


async def test_a_second_copy_is_recorded_and_named_in_the_result(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("lose_response", "POST")
    nothing = '{"meta": {"pagination": {}}, "results": []}'  # the listing lags
    sandbox.admin.fault("answer", "GET", "/library/files", status=200, body=nothing, times=3)
    workers = await start()
    asked = await workers.enqueue_upload(picture)
    answer = await answer_of(asked)

    first, second = (file["id"] for file in sandbox.admin.files())
    assert (answer["id"], answer["duplicates"]) == (second, [first])
    assert (await record_of(workers, asked.key)).duplicates == (first,)


async def test_a_worker_does_not_adopt_the_file_of_another_worker(
    start: Callable[..., Any], sandbox: Sandbox, picture: Path, tmp_path: Path
) -> None:
    store = str(tmp_path / "jobs.sqlite")
    first = await answer_of(await (await start(store=store)).enqueue_upload(picture, key="one"))
    two = await start(store=store)
    sandbox.admin.fault("reset", "POST", after_bytes=10_000_000)
    second = await answer_of(await two.enqueue_upload(picture, key="two"))
    assert first["id"] != second["id"]
    assert len(sandbox.admin.files()) == 2


@pytest.mark.parametrize(
    ("refused", "ask"),
    [
        ("path", lambda workers: workers.enqueue_upload("/\udcff/a.png")),
        ("key", lambda workers: workers.enqueue_upload("/a.png", key="\ud800")),
        ("key", lambda workers: workers.enqueue_upload("/a.png", key=[1])),
        ("key", lambda workers: workers.enqueue_activity("clear_lists", key=5, lists=["1"])),
        ("file", lambda workers: workers.enqueue_activity("add_contacts", file=object())),
        ("lists", lambda workers: workers.enqueue_activity("clear_lists", lists={"1"})),
        ("lists", lambda workers: workers.enqueue_activity("clear_lists", lists=["\ud800"])),
        ("lists", lambda workers: workers.enqueue_activity("clear_lists", lists={1: 2})),
        ("state", lambda workers: workers.records("paused")),
        ("most", lambda workers: workers.records(BulkState.DONE, most=2**70)),
        ("key", lambda workers: workers.record(5)),
        ("key", lambda workers: workers.record("\ud800")),
        ("keys", lambda workers: anext(workers.settled(["\ud800"]))),
    ],
)
async def test_a_job_that_cannot_be_recorded_is_refused(
    start: Callable[..., Any], refused: str, ask: Callable[[Workers], Any]
) -> None:
    with pytest.raises(InvalidField) as info:
        await ask(await start())
    assert info.value.field == refused
