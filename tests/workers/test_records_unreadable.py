"""An unreadable record is left alone, and every other job continues."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async.errors import UsageError
from ccv2_async.workers import BulkState, Workers, WorkerSettings, stores
from ccv2_async.workers.records import JobRecord
from ccv2_async.workers.redis_store import RedisStore
from ccv2_async.workers.stores import IN_MEMORY, RecordUnreadable, SqliteStore
from tests.support.clocks import NOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ccv2_async.workers.stores import JobStore
    from tests.support.redis_server import RedisServer


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_warned", set())


@pytest.fixture(params=["memory", "file", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobStore]:
    made: JobStore
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        made = RedisStore(server.url, namespace="test", now=lambda: NOON, keep=None)
    else:
        path = IN_MEMORY if request.param == "memory" else str(tmp_path / "jobs.db")
        made = SqliteStore(path, now=lambda: NOON, keep=None)
    async with made:
        yield made


def job(key: str, **fields: Any) -> JobRecord:
    return JobRecord(
        key=key, **{"task": "upload", "arguments": {"path": "/x.png"}, "lock": "l", **fields}
    )


def document(**changes: Any) -> str:
    kept = json.loads(job("bad", state="accepted", tokens=("t",)).to_json())
    return json.dumps(kept | changes)


async def spoil(store: JobStore, key: str, text: str) -> None:
    """Put something else in the place of a job's record."""
    if isinstance(store, RedisStore):
        await store._redis.set(store._name("job", key), text)
    else:
        assert isinstance(store, SqliteStore)
        await store._do("UPDATE jobs SET record = ? WHERE key = ?", (text, key))


DAMAGED = {
    "nothing": "",
    "half of it": document()[:40],
    "no JSON": "\x00\x01",
    "an array": "[]",
    "null": "null",
    "a state of a newer version": document(state="paused"),
    "no key": json.dumps({"task": "upload"}),
    "a time that is text": document(created="yesterday"),
    "a time that is null": document(attend_at=None),
    "arguments that are text": document(arguments="x"),
    "tokens that are text": document(tokens="abc"),
    "tokens that are numbers": document(tokens=[1]),
    "a count that is true": document(unknown=True),
    "a count that cannot be raised": document(looks=2**64 - 1),
    "a time in the far future": document(written_ns=-(2**63)),
    "a task of a newer version": document(task="archive"),
    "an upload without a path": document(arguments={}),
    "an upload whose path is a number": document(arguments={"path": 5}),
    "an argument of a newer version": document(arguments={"path": "/x.png", "key": "other"}),
    "a result that is nested too deeply": document().replace(
        '"result": {}', '"result": {"x": ' + "[" * 300 + "]" * 300 + "}"
    ),
    "the record of another job": document(key="good"),
}


@pytest.mark.parametrize("kind", DAMAGED)
async def test_other_jobs_are_listed_and_an_unreadable_record_is_reported_once(
    store: JobStore, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for key in ("a", "bad", "b"):
        await store.save(job(key, state="accepted", tokens=("t",), attend_at=1.0))
    await spoil(store, "bad", DAMAGED[kind])
    with caplog.at_level(logging.WARNING, "ccv2_async.workers"):
        for _ in range(3):
            upcoming = await store.upcoming("follow", 10)
            assert sorted(record.key for record in upcoming) == ["a", "b"]
            listed = await store.listed(BulkState.ACCEPTED, 10)
            assert sorted(record.key for record in listed) == ["a", "b"]
        with pytest.raises(RecordUnreadable, match="nothing was sent"):
            await store.find("bad")
    assert len(caplog.records) == 1
    assert "job bad cannot be read" in caplog.text
    assert not await store.add(job("bad"))


async def test_a_job_in_a_line_that_its_record_does_not_name_is_left_out(store: JobStore) -> None:
    await store.save(job("bad", state="accepted", tokens=("t",)))
    await spoil(store, "bad", document(state="done"))
    assert await store.upcoming("follow", 10) == []


async def test_a_row_that_is_damaged_does_not_hide_other_jobs(tmp_path: Path) -> None:
    async with SqliteStore(str(tmp_path / "jobs.db"), now=lambda: NOON, keep=None) as kept:
        damages = (
            "record = CAST(x'fffe' AS TEXT)",
            "key = CAST(x'fffe' AS TEXT)",
            "key = x'fffe'",
            "attend_at = 'soon'",
            "attend_at = x'fffe'",
            "file_id = x'fffe'",
        )
        for number, damage in enumerate(damages):
            await kept.save(job(f"{number}"))
            await kept._do(f"UPDATE jobs SET {damage} WHERE key = '{number}'")  # noqa: S608
        await kept.save(job("good", attend_at=1.0))
        upcoming = await kept.upcoming("send", 10)
        assert {record.key for record in upcoming} == {"3", "4", "5", "good"}
        assert await kept.file_ids("l") == []
        assert all(isinstance(record.attend_at, float) for record in upcoming)
        assert "good" in {record.key for record in await kept.listed(BulkState.PENDING, 10)}


async def test_a_record_that_is_null_is_unreadable_and_not_a_new_job(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteStore(str(path), now=lambda: NOON, keep=None) as kept:
        await kept.save(job("a"))
        await kept._do("PRAGMA writable_schema = ON")
        await kept._do(
            "UPDATE sqlite_master SET sql = replace(sql, 'record TEXT NOT NULL', 'record TEXT')"
        )
    async with SqliteStore(str(path), now=lambda: NOON, keep=None) as kept:
        await kept._do("UPDATE jobs SET record = NULL")
        with pytest.raises(RecordUnreadable):
            await kept.find("a")


@pytest.mark.parametrize("key", ["x'00'", "CAST(x'fffe' AS TEXT)"])
async def test_a_job_whose_key_is_not_text_continues_from_its_record(
    tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "jobs.db")
    kept_job = job("a", state="accepted", tokens=("t",), file_id="7")
    async with SqliteStore(path, now=lambda: NOON, keep=None) as kept:
        await kept.save(kept_job)
        await kept._do(f"UPDATE jobs SET key = {key}")  # noqa: S608
    for warnings in (1, 1):
        async with SqliteStore(path, now=lambda: NOON, keep=None) as kept:
            assert await kept.upcoming("follow", 10) == [attrs.evolve(kept_job, updated=NOON)]
            assert set(await kept.file_ids("l")) == {"7"}
        assert caplog.text.count("jobs.db: a row was damaged") == warnings


JOB = {"state": "accepted", "tokens": ("t",), "file_id": "id-of-a-file", "lock": "lock-of-a-job"}
TEXTS = (b"key-of-a-job", b"lock-of-a-job", b"id-of-a-file", b"follow", b"accepted")


async def test_no_damaged_byte_loses_another_job_or_lets_one_be_done_twice(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    others = {"another-job", "last-job"}
    async with SqliteStore(str(path), now=lambda: NOON, keep=None) as kept:
        for key in ("key-of-a-job", *others):
            await kept.save(job(key, **JOB))
    whole = path.read_bytes()
    places = [at for text in TEXTS for at in range(len(whole)) if whole.startswith(text, at)]
    unreadable = 0
    for place in places:
        path.write_bytes(whole[:place] + b"x" + whole[place + 1 :])
        async with SqliteStore(str(path), now=lambda: NOON, keep=None) as kept:
            found = {record.key for record in await kept.upcoming("follow", 10)}
            for key in ("key-of-a-job", *others):
                assert not await kept.add(job(key))
                if key not in found:
                    unreadable += 1
                    with pytest.raises(RecordUnreadable):
                        await kept.find(key)
    assert len(places) > 30
    assert unreadable == 4, "those whose record is damaged: the key, or the state of one of three"


async def test_a_damaged_row_next_to_a_record_of_a_newer_version_is_mended(tmp_path: Path) -> None:
    path = str(tmp_path / "jobs.db")
    newer = job("new").to_json().decode().replace('"upload"', '"task of a newer version"')
    async with SqliteStore(path, now=lambda: NOON, keep=None) as kept:
        await kept.save(job("a"))
        await kept.save(job("new"))
        await kept._do("UPDATE jobs SET record = ? WHERE key = 'new'", (newer,))
        await kept._do("UPDATE jobs SET key = x'00' WHERE key = 'a'")
    async with SqliteStore(path, now=lambda: NOON, keep=None) as kept:
        assert [record.key for record in await kept.upcoming("send", 10)] == ["a"]
        assert await kept._document("new") == newer
        with pytest.raises(RecordUnreadable):
            await kept.find("new")


async def test_a_store_whose_rows_and_records_are_damaged_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "jobs.db")
    async with SqliteStore(path, now=lambda: NOON, keep=None) as kept:
        await kept.save(job("a"))
        await kept._do("UPDATE jobs SET key = x'00', record = '[]'")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"not a JSON object.*Restore it from a copy"):
            await SqliteStore(path, now=lambda: NOON, keep=None).open()


async def test_a_name_in_redis_that_is_not_text_does_not_hide_other_jobs(
    redis_server: RedisServer,
) -> None:
    async with RedisStore(redis_server.url, namespace="test", now=lambda: NOON, keep=None) as kept:
        await kept.save(job("good", attend_at=1.0))
        await kept._redis.zadd("test:line:send", {b"\xff\xfe": 0.0})
        await kept._redis.sadd("test:ids:l", b"\xff", b"7")
        assert [record.key for record in await kept.upcoming("send", 10)] == ["good"]
        assert "7" in await kept.file_ids("l")


async def test_many_unreadable_records_do_not_hide_later_jobs(store: JobStore) -> None:
    for number in range(25):
        await store.save(job(f"{number:02}", attend_at=float(number)))
    for number in range(20):
        await spoil(store, f"{number:02}", "[]")
    assert [record.key for record in await store.upcoming("send", 3)] == ["20", "21", "22"]
    assert len(await store.upcoming("send", 10)) == 5


async def test_a_record_with_fields_of_a_newer_version_is_read(store: JobStore) -> None:
    await store.save(job("bad", state="accepted", tokens=("t",)))
    await spoil(store, "bad", document(colour="blue"))
    found = await store.find("bad")
    assert found is not None
    assert attrs.evolve(found, updated=0.0) == job("bad", state="accepted", tokens=("t",))


async def test_workers_start_and_sweep_despite_an_unreadable_record(
    sandbox: Any, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    path = str(tmp_path / "jobs.db")
    async with SqliteStore(path, now=lambda: NOON, keep=None) as kept:
        for key in ("bad", "worse"):
            await kept.save(job(key, attend_at=0.0))
        await kept.save(job("tokenless", state="accepted", attend_at=0.0))
        await spoil(kept, "bad", "[]")
        await spoil(kept, "worse", document(state="paused"))
        await kept._do("UPDATE jobs SET state = 'paused' WHERE key = 'worse'")
    options = {**sandbox.client_options(), "per_second": None, "per_day": None}
    settings = WorkerSettings(**options, store=path, sweep_seconds=3600.0)
    async with Workers(settings) as workers:
        asked = await workers.enqueue_upload(picture)
        result = await asked.task.wait_result(check_interval=0.01, timeout=20)
        assert result.return_value["state"] == "accepted"
        assert [record async for record in workers.settled(["bad"], every=0.01)] == []
        await workers.sweep()
        await workers.counts()
        tokenless = await workers.record("tokenless")
        assert tokenless is not None
        assert tokenless.error_type == "TokenError"
