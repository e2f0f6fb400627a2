"""Processes that request jobs and processes that do them, connected only by Redis."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import redis
from taskiq.receiver import Receiver

from ccv2_async.errors import MissingCredentials, UsageError
from ccv2_async.tasks import cancel_all
from ccv2_async.workers import (
    BulkState,
    StoreUnavailable,
    Workers,
    WorkerSettings,
    queue,
    redis_store,
)
from tests.support.probes import nothing_left
from tests.support.servers import RawServer
from tests.workers.crew import Crew

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.support.redis_server import RedisServer
    from tests.support.servers import Wire


def settings_for(sandbox: Sandbox, server: RedisServer, **more: Any) -> WorkerSettings:
    options: dict[str, Any] = {**sandbox.client_options(), "redis_url": server.url, **more}
    return WorkerSettings(**options)


@asynccontextmanager
async def working(settings: WorkerSettings, **options: Any) -> AsyncIterator[Workers]:
    """A worker as `taskiq worker` runs it, in this process."""
    workers = Workers(settings, **options)
    workers.broker.is_worker_process = True
    end = asyncio.Event()
    with ThreadPoolExecutor(1) as executor:
        receiver = Receiver(workers.broker, executor, max_async_tasks=10)
        listening = asyncio.create_task(receiver.listen(end))
        try:
            yield workers
        finally:
            end.set()
            await listening
            await workers.broker.shutdown()


class Firewall:
    """A way to Redis that can forget its connections: they stay open, but carry nothing."""

    def __init__(self, port: int) -> None:
        self._port, self._open = port, object()
        self.server = RawServer(self._forward)

    def forget(self) -> None:
        self._open = object()

    async def _forward(self, wire: Wire) -> None:
        known = self._open
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if self._open is known:
                    target.write(data)
                    await target.drain()

        ways = [carry(wire.reader, writer), carry(reader, wire.writer)]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()
            await cancel_all(tasks)


def everything_in(server: RedisServer) -> dict[bytes, Any]:
    reads: dict[bytes, Any] = {
        b"string": lambda client, key: client.get(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
        b"set": lambda client, key: client.smembers(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1),
        b"hash": lambda client, key: client.hgetall(key),
        b"stream": lambda client, key: client.xrange(key),
        b"none": lambda client, key: None,  # it has expired since the scan
    }
    with redis.Redis(port=server.port) as client:
        return {key: reads[client.type(key)](client, key) for key in client.scan_iter()}


async def test_a_job_requested_in_one_process_is_done_in_another(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"x" * 100)
    settings = settings_for(sandbox, redis_server, sweep_seconds=0.2, per_second=50)
    async with Workers(settings) as office:
        asked = await office.enqueue_upload(path)  # before any worker has ever run
        async with working(settings):
            result = await asked.task.wait_result(check_interval=0.02, timeout=50)
            told = [record async for record in office.settled([asked.key], every=0.05)]
        assert result.return_value["token"].startswith("ccv2p1.")
        assert [record.state for record in told] == [BulkState.DONE]
        assert await office.counts() == {BulkState.DONE: 1}
    held = everything_in(redis_server)
    options = sandbox.client_options()
    assert options["api_key"] not in str(held)
    assert options["access_token"] not in str(held)
    results = [value for key, value in held.items() if key.startswith(b"ccv2:result")]
    assert results
    for value in results:
        json.loads(value)


async def test_outcomes_are_recorded_while_a_long_queue_is_still_being_sent(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.admin.fault("delay_response", "POST", "/library/files", times=None, seconds=0.2)
    given: dict[str, Any] = {"per_second": None, "per_day": None, "concurrency": 1}
    settings = settings_for(sandbox, redis_server, sweep_seconds=0.2, **given)
    async with Workers(settings) as office:
        for number in range(60):
            path = tmp_path / f"{number}.png"
            path.write_bytes(b"x")
            await office.enqueue_upload(path)
        async with working(settings):
            counts: dict[BulkState, int] = {}
            while not counts.get(BulkState.DONE):
                await asyncio.sleep(0.05)
                counts = await office.counts()
        assert counts[BulkState.PENDING] > 20, counts


async def test_acknowledged_messages_are_removed_from_redis(
    redis_server: RedisServer, sandbox: Sandbox
) -> None:
    settings = settings_for(sandbox, redis_server, sweep_seconds=3600, per_second=None)
    async with Workers(settings) as office:
        with redis.Redis(port=redis_server.port) as client:
            async with working(settings):
                for _ in range(300):
                    task = await office.tasks.sweep.kiq()
                await task.wait_result(check_interval=0.02, timeout=50)
                await (await office.tasks.sweep.kiq()).wait_result(timeout=50)
            assert int(client.xlen("ccv2:queue")) < 150


def test_an_invalid_redis_url_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError, match="redis://") as caught:
        Workers(WorkerSettings(redis_url="somewhere:geheim"))
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "missing"),
    [({}, "CCV2_API_KEY"), ({"api_key": "geheim"}, "CCV2_ACCESS_TOKEN")],
    ids=["nothing", "key alone"],
)
async def test_a_request_without_credentials_is_refused_at_once(
    redis_server: RedisServer, given: dict[str, str], missing: str
) -> None:
    async with nothing_left():
        office = Workers(WorkerSettings(redis_url=redis_server.url, **given))  # type: ignore[arg-type]  # texts all
        with pytest.raises(MissingCredentials, match=missing) as caught:
            await office.__aenter__()
    assert "geheim" not in str(caught.value)
    assert everything_in(redis_server) == {}


async def test_a_request_while_redis_is_down_says_so(
    unused_port_url: str, sandbox: Sandbox
) -> None:
    options = sandbox.client_options()
    office = Workers(WorkerSettings(**options, redis_url=unused_port_url))
    async with nothing_left():
        with pytest.raises(StoreUnavailable, match="Redis does not answer"):
            await office.__aenter__()


async def test_a_request_over_connections_that_redis_closed_while_idle_succeeds(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    async with Workers(settings_for(sandbox, redis_server)) as office:
        for path in paths:
            path.write_bytes(b"\x89PNG" + path.name.encode())
            await office.enqueue_upload(path)
            with redis.Redis(port=redis_server.port) as client:  # as its setting `timeout` does
                assert client.client_kill_filter(_type="normal", skipme=True) > 0
            await asyncio.sleep(0.1)


async def test_a_worker_whose_connections_are_forgotten_makes_new_ones(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_ANSWER_SECONDS", 2.0)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG")
    firewall = Firewall(redis_server.port)
    # The queue delivers again what a connection was forgotten with.
    settings = settings_for(sandbox, redis_server, redeliver_seconds=2, sweep_seconds=1)
    async with firewall.server as way, Workers(settings) as office:
        url = f"redis://127.0.0.1:{way.port}/0"
        async with working(attrs.evolve(settings, redis_url=url)):
            first = await office.enqueue_upload(path, key="first")
            await first.task.wait_result(check_interval=0.05, timeout=60)
            firewall.forget()

            asked = await office.enqueue_upload(path, key="second")
            result = await asked.task.wait_result(check_interval=0.05, timeout=60)
            assert result.return_value["state"] == "accepted"


async def test_an_entry_of_the_queue_without_a_message_ends_no_worker(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG")
    settings = settings_for(sandbox, redis_server, redeliver_seconds=1)
    async with Workers(settings) as office, working(settings):
        with redis.Redis(port=redis_server.port) as client:
            client.xadd(queue.stream_of(settings), {"note": "not a job"})
        asked = await office.enqueue_upload(path)
        result = await asked.task.wait_result(check_interval=0.05, timeout=60)
        assert result.return_value["state"] == "accepted"
        with redis.Redis(port=redis_server.port) as client:
            waiting: Any = client.xpending(queue.stream_of(settings), settings.namespace)
        assert waiting["pending"] == 0
    assert "an entry without a job" in caplog.text


async def test_idle_workers_can_be_stopped(
    redis_server: RedisServer, sandbox: Sandbox, tmp_path: Path
) -> None:
    options = sandbox.client_options()
    environment = {
        "CCV2_API_KEY": options["api_key"],
        "CCV2_ACCESS_TOKEN": options["access_token"],
        "CCV2_BASE_URL": options["base_url"],
        "CCV2_REDIS_URL": redis_server.url,
        "CCV2_SWEEP_SECONDS": "3600",  # no message comes that would wake them
    }
    with Crew(environment, 2, tmp_path / "workers.log") as crew:
        await asyncio.to_thread(crew.wait_for_workers)
    assert crew.said().count("The runner is stopped") == 2, crew.said()
    assert "Traceback" not in crew.said()


@pytest.mark.parametrize("trouble", ["refuses", "hangs"])
async def test_a_queue_that_takes_no_job_is_an_error_and_the_job_stays_on_record(
    sandbox: Sandbox,
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    async def kick(_: object) -> None:
        if trouble == "refuses":
            raise redis.exceptions.OutOfMemoryError
        await asyncio.Event().wait()

    monkeypatch.setattr(redis_store, "_REDIS_SECONDS", 0.5)
    async with Workers(settings_for(sandbox, redis_server)) as workers:
        monkeypatch.setattr(workers.broker, "kick", kick)
        with pytest.raises(StoreUnavailable):
            await workers.enqueue_upload(tmp_path / "a.png", key="one")
        assert await workers.record("one") is not None


async def test_a_queue_that_cannot_be_opened_is_an_error(
    sandbox: Sandbox, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(settings_for(sandbox, redis_server))
    monkeypatch.setattr(redis_store, "_REDIS_SECONDS", 0.1)
    monkeypatch.setattr(workers.broker, "startup", asyncio.Event().wait)
    with pytest.raises(StoreUnavailable):
        await workers.__aenter__()
