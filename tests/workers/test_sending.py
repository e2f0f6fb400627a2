"""Sending one job while its store is unavailable or its lock is lost at the worst moment."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async.client import ConstantContact
from ccv2_async.uploads.ledger import advance
from ccv2_async.workers import BulkState, StoreUnavailable, Workers, WorkerSettings
from ccv2_async.workers.sending import WRITE_ATTEMPTS, Lease, Sender
from ccv2_async.workers.stores import IN_MEMORY, SqliteStore
from tests.support.probes import until
from tests.support.servers import serving
from tests.uploads.test_uploader_interrupted import Service
from tests.workers.test_application import (
    HOURS,
    ShiftedClock,
    answer_of,
    record_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from ccv2_async.workers import JobRecord
    from tests.support.clocks import SkippingClock


PICTURE = b"\x89PNG" + bytes(5000)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(PICTURE)
    return path


def workers_of(sandbox: Sandbox, **settings: Any) -> Workers:
    options = {**sandbox.client_options(), "per_second": None, "per_day": None, **settings}
    return Workers(WorkerSettings(**options, sweep_seconds=HOURS), clock=ShiftedClock())


def fail_to_keep_accepted(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, times: int
) -> list[str]:
    """Let the store fail so many times to keep that a job was accepted; return its failures."""
    save = workers._store.save
    failures: list[str] = []

    async def failing(record: JobRecord, **more: Any) -> bool:
        if record.state is BulkState.ACCEPTED and len(failures) < times:
            failures.append(record.key)
            raise StoreUnavailable("The store is away.")
        return await save(record, **more)

    monkeypatch.setattr(workers._store, "save", failing)
    return failures


def uploads(sandbox: Sandbox) -> int:
    return len(sandbox.admin.requests("POST"))


async def test_a_store_that_is_unavailable_at_acceptance_is_waited_for(
    sandbox: Sandbox, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers_of(sandbox) as workers:
        failures = fail_to_keep_accepted(workers, monkeypatch, WRITE_ATTEMPTS - 1)
        asked = await workers.enqueue_upload(picture)
        answer = await answer_of(asked)
        assert len(failures) == WRITE_ATTEMPTS - 1
        assert (answer["state"], uploads(sandbox)) == ("accepted", 1)


async def test_a_job_is_found_later_if_the_store_stays_unavailable_at_acceptance(
    sandbox: Sandbox, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers_of(sandbox) as workers:
        failures = fail_to_keep_accepted(workers, monkeypatch, WRITE_ATTEMPTS)
        asked = await workers.enqueue_upload(picture)
        result = await asked.task.wait_result(check_interval=0.01, timeout=20)
        assert result.is_err
        assert len(failures) == WRITE_ATTEMPTS
        assert (await record_of(workers, asked.key)).state is BulkState.SENDING
        answer = await answer_of(await workers.enqueue_upload(picture))
        assert (answer["state"], uploads(sandbox)) == ("accepted", 1)


async def test_nothing_is_sent_when_another_worker_took_the_lock(
    sandbox: Sandbox, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers_of(sandbox) as workers:
        file_ids = workers._store.file_ids

        async def lose_the_lock(lock: str) -> Any:
            await workers._store._do("UPDATE locks SET holder = 'another worker'")  # type: ignore[attr-defined]
            return await file_ids(lock)

        monkeypatch.setattr(workers._store, "file_ids", lose_the_lock)
        asked = await workers.enqueue_upload(picture)
        answer = await answer_of(asked)
        assert (answer["state"], uploads(sandbox)) == ("pending", 0)


async def test_a_job_that_an_earlier_version_put_on_record_under_another_lock_is_sent(
    sandbox: Sandbox, picture: Path
) -> None:
    async with workers_of(sandbox) as workers:
        # It made the lock of the name as it was given, which on macOS is decomposed.
        record = workers.upload_record(str(picture), "0", None, "", "key")
        await workers._store.add(attrs.evolve(record, lock="lock of an earlier version"))
        answer = await answer_of(await workers.enqueue_upload(picture, key="key"))
        assert (answer["state"], uploads(sandbox)) == ("accepted", 1)
        assert not await workers._store.is_held("lock of an earlier version", 30)


@pytest.mark.parametrize("times", [1, 3])
async def test_an_acceptance_is_recorded_although_its_task_is_cancelled(
    sandbox: Sandbox, picture: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    async with workers_of(sandbox) as workers:
        save, saving, go_on = workers._store.save, asyncio.Event(), asyncio.Event()

        async def slow(record: JobRecord, **more: Any) -> bool:
            if record.state is BulkState.ACCEPTED:
                saving.set()
                await go_on.wait()
            return await save(record, **more)

        monkeypatch.setattr(workers._store, "save", slow)
        record = workers.upload_record(str(picture), "0", None, "", "key")
        task = asyncio.create_task(workers._carry_out(record))
        await saving.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0.01)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await record_of(workers, "key")).state is BulkState.ACCEPTED
        assert not await workers._store.is_held(record.lock, 30)


@pytest.mark.parametrize("how", ["the day's calls are used up", "closed"])
async def test_an_accepted_file_is_not_sent_again_if_the_look_for_a_copy_fails(
    picture: Path, tmp_path: Path, how: str
) -> None:
    service = Service("busy", "ok", "ok")
    closing: list[asyncio.Task[None]] = []

    async def close() -> None:
        closing.append(asyncio.create_task(workers._working_client.aclose()))
        await asyncio.sleep(0)

    async with serving(service.serve) as server:
        settings = WorkerSettings(
            api_key="the-key",
            access_token="the-token",
            base_url=server.base_url,
            store=str(tmp_path / "jobs"),
            per_second=None,
            per_day=None if how == "closed" else 2,
            sweep_seconds=HOURS,
        )
        service.on_look, service.hidden = (close if how == "closed" else None), 1
        async with Workers(settings, clock=ShiftedClock()) as workers:
            asked = await workers.enqueue_upload(picture)
            answer = await answer_of(asked)
            assert (answer["state"], answer["id"]) == ("sending", "7")
        await asyncio.gather(*closing)
        service.on_look, service.hidden = None, 0
        async with Workers(attrs.evolve(settings, per_day=None), clock=ShiftedClock()) as workers:
            for _ in range(500):
                record = await record_of(workers, asked.key)
                if record.state is not BulkState.SENDING:
                    break
                await asyncio.sleep(0.01)
        assert (record.state, record.file_id) == (BulkState.ACCEPTED, "7")
    assert len(service.stored) == 1


async def test_a_job_outlasts_an_outage_of_uploads_alone(
    connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock, picture: Path
) -> None:
    record = workers_of(sandbox).upload_record(str(picture), "0", None, "", "key")
    client = await connect(sandbox)
    sandbox.admin.fault("answer", "POST", "*", times=7, status=500, body="[]", read_body=True)
    async with SqliteStore(IN_MEMORY, now=clock.time, keep=None) as store:
        lease = Lease(store, record.lock, "holder", seconds=HOURS, clock=ShiftedClock())

        for _ in range(10):
            if record.line == "send":
                await clock.advance(60.0)
                record = await Sender(client, lease, client._open_parts.session.outage).send(record)

    assert (record.state, record.error, uploads(sandbox)) == (BulkState.ACCEPTED, "", 8)
    assert len(sandbox.admin.files()) == 1


async def test_a_lost_file_does_not_adopt_the_file_of_a_job_with_a_numbered_name(
    sandbox: Sandbox, picture: Path, tmp_path: Path
) -> None:
    """Browsers number the second download of a file as the service numbers a taken name."""
    twin = tmp_path / "picture(1).png"
    twin.write_bytes(PICTURE)
    store = str(tmp_path / "jobs")
    async with workers_of(sandbox, store=store) as first, workers_of(sandbox, store=store) as other:
        sent = await answer_of(await first.enqueue_upload(twin))
        sandbox.admin.fault("reset", "POST", after_bytes=1_000_000)
        lost = await answer_of(await other.enqueue_upload(picture))
        assert (lost["state"], uploads(sandbox)) == ("accepted", 3)
    stored = {file["id"]: file["name"] for file in sandbox.admin.files()}
    assert stored == {sent["id"]: twin.name, lost["id"]: picture.name}


async def test_a_lost_file_is_not_settled_while_a_job_with_a_numbered_name_is_being_sent(
    sandbox: Sandbox, picture: Path
) -> None:
    async with workers_of(sandbox) as workers:
        store = workers._store
        twin = workers.upload_record(str(picture), "0", "picture(1).png", "", "twin")
        await store.add(twin)
        assert await store.hold(twin.lock, "another worker", workers.settings.lease_seconds)
        async with ConstantContact(**sandbox.client_options()) as client:
            file = await client.library.upload(picture, name=twin.name)
        sandbox.admin.fault("reset", "POST", after_bytes=1_000_000)

        asked = await workers.enqueue_upload(picture)
        answer = await answer_of(asked)
        assert (answer["state"], uploads(sandbox)) == ("sending", 2)
        assert "another worker is sending a file that may be picture(1).png" in answer["error"]

        sending = advance(twin, BulkState.SENDING, since=0.0)
        accepted = advance(sending, BulkState.ACCEPTED, file_id=file.id)
        assert await store.save(accepted, holder="another worker")
        await store.release(twin.lock, "another worker")
        workers._clock.shift += HOURS  # type: ignore[attr-defined]
        await workers.sweep()
        await until(lambda: uploads(sandbox) == 3)
        answer = await answer_of(await workers.enqueue_upload(picture))
    assert {answer["id"], file.id} == {stored["id"] for stored in sandbox.admin.files()}
    assert len(sandbox.admin.files()) == 2


async def test_a_key_that_was_given_twice_does_not_meet_its_own_lock(
    sandbox: Sandbox, picture: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(PICTURE)
    async with workers_of(sandbox) as workers:
        first = workers.upload_record(str(picture), "0", None, "", "key")
        size, now = len(PICTURE), workers._clock.time()
        facts = {"size": size, "written_ns": os.stat(picture).st_mtime_ns, "sends": 1}  # noqa: PTH116
        sending = advance(first, BulkState.SENDING, since=now, **facts)
        await workers._store.add(sending)
        async with ConstantContact(**sandbox.client_options()) as client:
            file = await client.library.upload(picture)

        answer = await answer_of(await workers.enqueue_upload(other, key="key"))

        assert (answer["state"], answer["id"], uploads(sandbox)) == ("accepted", file.id, 1)
