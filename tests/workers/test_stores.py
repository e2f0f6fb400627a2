"""One test suite for every store."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async.errors import UsageError
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers import redis_store
from ccv2_async.workers.records import JobRecord
from ccv2_async.workers.redis_store import RedisStore
from ccv2_async.workers.stores import (
    IN_MEMORY,
    RecordUnreadable,
    SqliteStore,
    StoreUnavailable,
)
from tests.support.clocks import NOON
from tests.support.servers import speaking_resp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ccv2_async.workers.stores import JobStore
    from tests.support.redis_server import RedisServer

KEEP = 3600.0


class Now:
    """The wall clock of a store; the test moves it."""

    def __init__(self) -> None:
        self.seconds = NOON

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture(params=["memory", "file", "redis"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, now: Now
) -> AsyncIterator[JobStore]:
    made: JobStore
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        made = RedisStore(server.url, namespace="test", now=now, keep=KEEP)
    else:
        path = IN_MEMORY if request.param == "memory" else str(tmp_path / "jobs.db")
        made = SqliteStore(path, now=now, keep=KEEP)
    async with made:
        yield made


def job(key: str = "k", **fields: Any) -> JobRecord:
    given = {"task": "upload", "arguments": {"path": "/x/ä.png"}, "lock": "lock", "name": "ä.png"}
    return JobRecord(key=key, **{**given, **fields})


async def test_a_record_round_trips(store: JobStore) -> None:
    record = job(
        state="accepted",
        tokens=("a", "b"),
        duplicates=("7",),
        size=3,
        since=1.5,
        result={"ids": ["1"]},
        error="é",
    )
    await store.save(record)
    found = await store.find("k")
    assert found is not None
    assert attrs.evolve(found, updated=0.0) == record
    assert found.updated == NOON
    assert await store.find("other") is None


async def test_a_job_is_added_once(store: JobStore) -> None:
    assert await store.add(job(name="first"))
    assert not await store.add(job(name="second"))
    found = await store.find("k")
    assert found is not None
    assert found.name == "first"


async def test_only_a_failed_job_is_added_again(store: JobStore) -> None:
    assert await store.add(job("new"), again=True)
    for state in BulkState:
        await store.save(job("known", state=state))
        assert await store.add(job("known"), again=True) is (state is BulkState.FAILED)


async def test_a_cancelled_caller_leaves_the_store_usable(
    store: JobStore,
) -> None:
    for turns in range(20):
        adding = asyncio.create_task(store.add(job(f"cancelled-{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0)
        adding.cancel()
        await asyncio.wait([adding])
        assert await store.add(job(f"next-{turns}"))
    assert await store.find("next-19") is not None


async def test_only_the_holder_of_a_lock_may_write_under_it(store: JobStore) -> None:
    assert not await store.save(job(), holder="me")
    assert await store.hold("lock", "me", 60)
    assert await store.save(job(), holder="me")
    assert not await store.save(job(name="other"), holder="you")
    found = await store.find("k")
    assert found is not None
    assert found.name == "ä.png"


async def test_a_lock_has_one_holder_and_is_free_once_released(store: JobStore) -> None:
    assert await store.hold("lock", "me", 60)
    assert not await store.hold("lock", "you", 60)
    assert not await store.renew("lock", "you", 60)
    assert await store.renew("lock", "me", 60)
    await store.release("lock", "you")
    assert await store.is_held("lock", 60)
    await store.release("lock", "me")
    assert not await store.is_held("lock", 60)
    assert await store.hold("lock", "you", 60)


async def test_one_of_many_callers_gets_the_lock(store: JobStore) -> None:
    got = await asyncio.gather(*(store.hold("lock", f"w{n}", 60) for n in range(20)))
    assert sum(got) == 1


async def test_an_expired_lock_is_lost_for_good(store: JobStore, now: Now) -> None:
    assert await store.hold("lock", "me", 0.05)
    now.seconds += 1.0  # SQLite goes by the store's clock, Redis by its own
    while await store.is_held("lock", 60):  # noqa: ASYNC110  # Redis tells nobody of the end
        await asyncio.sleep(0.01)
    assert not await store.renew("lock", "me", 60)
    assert not await store.save(job(), holder="me")
    assert await store.hold("lock", "you", 60)


async def test_jobs_are_queued_in_the_order_of_their_times(store: JobStore) -> None:
    for key, state, at in [
        ("a", "pending", 30.0),
        ("b", "sending", 10.0),
        ("c", "accepted", 20.0),
        ("d", "done", 5.0),
        ("e", "failed", 5.0),
        ("f", "ambiguous", 5.0),
        ("g", "accepted", 10.0),
    ]:
        await store.save(job(key, state=state, attend_at=at))
    assert [record.key for record in await store.upcoming("send", 10)] == ["b", "a"]
    assert [record.key for record in await store.upcoming("follow", 10)] == ["g", "c"]
    assert [record.key for record in await store.upcoming("follow", 1)] == ["g"]


async def test_a_new_time_does_not_change_the_record(store: JobStore) -> None:
    await store.save(job("a", attend_at=10.0))
    await store.save(job("b", attend_at=20.0))
    await store.schedule("a", "send", 30.0)
    upcoming = await store.upcoming("send", 10)
    assert [(record.key, record.attend_at) for record in upcoming] == [("b", 20.0), ("a", 30.0)]
    await store.save(job("a", state="accepted", attend_at=5.0))
    await store.schedule("a", "send", 1.0)
    assert [record.key for record in await store.upcoming("send", 10)] == ["b"]
    assert [record.attend_at for record in await store.upcoming("follow", 10)] == [5.0]


async def test_jobs_are_counted_and_listed_by_state(store: JobStore, now: Now) -> None:
    for key in "abc":
        now.seconds += 1
        await store.save(job(key))
    await store.save(job("b", state="done"))
    assert await store.counts() == {"pending": 2, "done": 1}
    listed = await store.listed(job().state, 10)
    assert [record.key for record in listed] == ["c", "a"]
    assert [record.key for record in await store.listed(job().state, 1)] == ["c"]


async def test_upload_ids_are_found_by_their_lock(
    store: JobStore,
) -> None:
    await store.save(job("a", state="accepted", file_id="7"))
    await store.save(job("b", state="done", file_id="8"))
    await store.save(job("c"))
    await store.save(job("d", state="done", file_id="9", lock="another"))
    assert sorted(await store.file_ids("lock")) == ["7", "8"]


async def test_settled_jobs_expire_and_open_ones_never_do(store: JobStore, now: Now) -> None:
    await store.save(job("old", state="done"))
    await store.save(job("open", state="accepted"))
    now.seconds += KEEP + 1
    await store.save(job("new", state="done"))
    assert (await store.counts()).get(job(state="done").state) == 1
    assert await store.find("open") is not None


async def test_jobs_in_a_file_outlive_the_process(tmp_path: Path, now: Now) -> None:
    path = str(tmp_path / "jobs.db")
    async with SqliteStore(path, now=now, keep=None) as store:
        await store.save(job())
    async with SqliteStore(path, now=now, keep=None) as store:
        assert await store.find("k") is not None


async def test_a_file_with_other_content_is_refused(tmp_path: Path, now: Now) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(UsageError, match="not a worker job store"):
        await SqliteStore(str(path), now=now, keep=None).open()
    assert path.read_bytes().startswith(b"not a database")


async def test_others_cannot_read_the_file_of_a_store(tmp_path: Path, now: Now) -> None:
    path = tmp_path / "jobs.sqlite"
    async with SqliteStore(str(path), now=now, keep=None) as store:
        await store.add(job())
        assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    async with SqliteStore(str(path), now=now, keep=None) as store:
        assert await store.find("k") is not None
    assert path.stat().st_mode & 0o777 == 0o640, "the user's own choice stays"


async def test_a_store_that_is_not_open_says_so(now: Now) -> None:
    with pytest.raises(StoreUnavailable):
        await SqliteStore(IN_MEMORY, now=now, keep=None).find("k")


async def test_an_unreachable_redis_is_named_without_its_password(
    unused_port_url: str, now: Now
) -> None:
    url = unused_port_url.replace("redis://", "redis://:geheim@")
    store = RedisStore(url, namespace="test", now=now, keep=None)
    for ask in (store.open(), store.find("k")):
        with pytest.raises(StoreUnavailable) as caught:
            await ask
        assert caught.value.safe_to_retry
        assert "geheim" not in str(caught.value)
    await store.aclose()
    with pytest.raises(UsageError) as refused:
        RedisStore("somewhere:geheim", namespace="test", now=now, keep=None)
    assert "geheim" not in str(refused.value)


ODD_ANSWERS = [
    b"+OK\r\n",
    b":5\r\n",
    b":five\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*1\r\n:1\r\n",
    b"*2\r\n*0\r\n+x\r\n",
    b"*3\r\n:1\r\n+1\r\n$-1\r\n",
    b"*1\r\n*1\r\n*1\r\n*0\r\n",
    b"*x\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
]


@pytest.mark.parametrize("answer", ODD_ANSWERS)
async def test_a_server_that_is_not_redis_only_makes_the_store_unavailable(
    now: Now, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(redis_store, "_REDIS_SECONDS", 0.1)  # some answers are too short
    record = job(state="done")
    async with speaking_resp(lambda _: answer) as server:
        store = RedisStore(
            f"redis://127.0.0.1:{server.port}/0", namespace="test", now=now, keep=KEEP
        )
        returned: list[Any] = []
        for ask in (
            store.open,
            lambda: store.upcoming("send", 10),
            lambda: store.listed(BulkState.DONE, 10),
            store.counts,
            lambda: store.file_ids("lock"),
            lambda: store.find("k"),
            lambda: store.add(record),
            lambda: store.save(record),
            lambda: store.schedule("k", "send", 1.0),
            lambda: store.hold("lock", "me", 60),
            lambda: store.renew("lock", "me", 60),
            lambda: store.release("lock", "me"),
            lambda: store.is_held("lock", 60),
        ):
            with contextlib.suppress(StoreUnavailable, RecordUnreadable):
                returned.append(await ask())
        await store.aclose()
    for found in returned:
        assert found in (None, True, False, [], {}), found


async def test_a_redis_that_hangs_is_named_with_the_time_that_was_waited(
    now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "_REDIS_SECONDS", 0.1)
    async with speaking_resp(lambda _: b"") as server:
        store = RedisStore(
            f"redis://127.0.0.1:{server.port}/0", namespace="test", now=now, keep=None
        )
        for asked in (store.open(), store.find("k")):
            with pytest.raises(StoreUnavailable) as caught:
                await asked
            assert "does not answer (no response within 0.1 seconds)" in caught.value.message
            assert "Check that Redis is running and can be reached" in caught.value.message
        await store.aclose()


async def test_a_value_of_another_type_in_redis_is_a_command_that_was_refused(
    redis_server: RedisServer, now: Now
) -> None:
    async with RedisStore(redis_server.url, namespace="test", now=now, keep=None) as store:
        await store._redis.lpush("test:job:k", "x")
        await store._redis.set("test:line:send", "x")
        for ask in (lambda: store.find("k"), lambda: store.upcoming("send", 10)):
            with pytest.raises(
                StoreUnavailable, match=r"Redis refused a command \(ResponseError\)"
            ):
                await ask()


@pytest.mark.parametrize("until", ["'later'", "x'ff'"])
async def test_a_lock_whose_end_is_damaged_is_free(tmp_path: Path, now: Now, until: str) -> None:
    async with SqliteStore(str(tmp_path / "jobs.db"), now=now, keep=None) as store:
        await store.hold("lock", "other", 60)
        await store._do(f"UPDATE locks SET until = {until}")  # noqa: S608
        assert not await store.is_held("lock", 60)
        assert await store.hold("lock", "me", 60)
        assert await store.is_held("lock", 60)


async def test_a_lock_that_was_taken_before_the_clock_was_set_back_is_free(
    tmp_path: Path, now: Now
) -> None:
    async with SqliteStore(str(tmp_path / "jobs.db"), now=now, keep=None) as store:
        await store.hold("lock", "killed", 60)
        await store.hold("long", "alive", 10_000)
        await store.hold("tick", "me", 4.5)
        now.seconds -= 60
        assert not await store.hold("tick", "other", 4.5)
        now.seconds -= 60
        assert await store.hold("tick", "me", 4.5), "rounds do not stop until the old time comes"
        assert not await store.hold("lock", "me", 60), "its holder may be alive"
        now.seconds -= 7200
        assert not await store.is_held("lock", 60)
        assert await store.hold("lock", "me", 60)
        assert not await store.hold("long", "me", 10_000)
        assert await store.is_held("long", 10_000)


async def test_times_of_a_clock_that_fails_are_stored_as_dates(store: JobStore, now: Now) -> None:
    now.seconds = float("inf")
    endless = job(state="pending", attend_at=now.seconds, created=now.seconds)
    assert await store.add(endless)
    now.seconds = NOON
    found = await store.find("k")
    assert found is not None
    assert found.created == found.attend_at == found.updated < float("inf")
    assert [record.key for record in await store.upcoming("send", 10)] == ["k"]


async def test_endless_unreadable_records_are_not_read_endlessly(
    now: Now,
) -> None:
    def answer(name: bytes) -> bytes:
        pair = b"$1\r\nk\r\n$1\r\n1\r\n"
        return b"*20\r\n" + 10 * pair if name == b"ZRANGE" else b"*10\r\n" + 10 * b"$1\r\nx\r\n"

    async with speaking_resp(answer) as server, asyncio.timeout(60):
        store = RedisStore(
            f"redis://127.0.0.1:{server.port}/0?protocol=2", namespace="test", now=now, keep=None
        )
        assert await store.upcoming("send", 10) == []
        await store.aclose()


async def test_unknown_fields_of_another_version_are_left_out() -> None:
    document = job().to_json()[:-1] + b',"colour":"green"}'
    assert JobRecord.from_json(document) == job()
