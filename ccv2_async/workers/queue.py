"""The queue between the processes that submit jobs and the workers: its broker and its tasks.

It is in this process, or in Redis. The tasks take and return plain JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
from redis import asyncio as redis
from taskiq import InMemoryBroker
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from ccv2_async.errors import ConstantContactError
from ccv2_async.transport.quota.redis_window import ONE_MORE_TRY, open_redis

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterator

    from taskiq import AckableMessage, AsyncBroker, AsyncTaskiqDecoratedTask

    from ccv2_async.workers.settings import WorkerSettings

TaskResult: TypeAlias = dict[str, Any]
"""The result of a task: for a job see `JobRecord.task_result`, for a round see `Round`."""

logger: logging.Logger = logging.getLogger("ccv2_async.workers")

RESULTS_KEPT = 86_400
_CLAIM_SECONDS = 10.0
_TRIM_SECONDS = 2.0
_ANSWER_SECONDS = 10.0
"""Seconds in which Redis must answer. It holds no answer back for more than one (`xread_block`)."""

# redis-py limits a command with `asyncio.wait_for`, which in Python 3.11 may swallow a cancellation
# that arrives just after the command was sent. The worker would then never stop.
_LIMITS: dict[str, Any] = {"socket_timeout": None, "retry": ONE_MORE_TRY}


@attrs.frozen
class Tasks:
    """The registered tasks; each is put into the queue by its `kiq`.

    Attributes:
        upload: `kiq(path, folder_id="0", name=None, description="", key=None)`.
        start_activity: `kiq(activity, arguments, key)`.
        sweep: `kiq()`.
    """

    upload: AsyncTaskiqDecoratedTask[..., Coroutine[Any, Any, TaskResult]]
    start_activity: AsyncTaskiqDecoratedTask[..., Coroutine[Any, Any, TaskResult]]
    sweep: AsyncTaskiqDecoratedTask[..., Coroutine[Any, Any, TaskResult]]


def make_broker(settings: WorkerSettings) -> AsyncBroker:
    """Return the broker for these settings; messages and results are JSON."""
    if settings.redis_url is None:
        broker: AsyncBroker = InMemoryBroker(max_stored_results=10_000)
    else:
        broker = _redis_broker(settings, settings.redis_url)
    broker.serializer = JSONSerializer()
    return broker


def _redis_broker(settings: WorkerSettings, url: str) -> AsyncBroker:
    broker = _Broker(
        url,
        queue_name=stream_of(settings),
        consumer_group_name=settings.namespace,
        # From the beginning, to include jobs that were submitted before the first worker ran.
        consumer_id="0",
        # A worker takes only as many jobs as it can start, and leaves the rest to the others.
        xread_count=settings.concurrency,
        xread_block=1000,
        idle_timeout=int(settings.redeliver_seconds * 1000),
        # A worker that dies while it claims messages must not block the others.
        unacknowledged_lock_timeout=_CLAIM_SECONDS,
        **_LIMITS,
    )
    results = RedisAsyncResultBackend[Any](
        url,
        serializer=JSONSerializer(),
        result_ex_time=RESULTS_KEPT,
        prefix_str=f"{settings.namespace}:result",
        **_LIMITS,
    )
    for pool in (broker.connection_pool, results.redis_pool):
        pool.connection_class = type("Limited", (_Limited, pool.connection_class), {})
    return broker.with_result_backend(results)


class _Broker(RedisStreamBroker):
    """The queue in Redis. It drops entries that hold no message, which would end every worker."""

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        while True:
            try:
                async with contextlib.aclosing(super().listen()) as messages:
                    async for message in messages:
                        yield message
            except (KeyError, TypeError):
                logger.warning("The queue held an entry without a job, which was dropped.")
                await self._drop_entries_without_message()

    async def _drop_entries_without_message(self) -> None:
        group, stream = self.consumer_group_name, self.queue_name
        async with redis.Redis(connection_pool=self.connection_pool) as client:
            found: Any = await client.xreadgroup(group, self.consumer_name, {stream: "0"})
            for id_, fields in found[0][1]:
                if b"data" not in (fields or ()):
                    await client.xack(stream, group, id_)


class _Limited(redis.connection.AbstractConnection):
    """A connection to Redis that breaks if no answer arrives in time.

    A firewall or a failover may forget a connection without closing it. Nothing would be sent on it
    again, so the system would notice after hours at the earliest.
    """

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await super().read_response(*args, **options)
        except TimeoutError:
            raise redis.ConnectionError("Redis did not answer in time") from None


def stream_of(settings: WorkerSettings) -> str:
    """Return the name of the stream in Redis that holds the messages."""
    return f"{settings.namespace}:queue"


async def trim(settings: WorkerSettings) -> None:
    """Remove the messages that every worker has acknowledged; Redis would keep them."""
    if settings.redis_url is None:
        return
    stream = stream_of(settings)
    async with (
        open_redis(settings.redis_url, connect_timeout=_TRIM_SECONDS) as client,
        asyncio.timeout(_TRIM_SECONDS),
    ):
        groups = await client.xinfo_groups(stream)
        oldest = [group["last-delivered-id"] for group in groups]
        for group in groups:
            pending = await client.xpending(stream, group["name"])
            if pending["min"] is not None:
                oldest.append(pending["min"])
        if oldest:
            await client.xtrim(stream, minid=min(oldest, key=_order), approximate=True)


def _order(message_id: bytes | str) -> tuple[int, ...]:
    text = message_id.decode() if isinstance(message_id, bytes) else message_id
    return tuple(map(int, text.split("-")))


def taskiq_manager() -> int | None:
    """Return the process ID of the `taskiq worker` that started this process, or None."""
    manager = multiprocessing.parent_process()
    if (
        manager is None
        or "taskiq.cli.worker.process_manager" not in sys.modules
        or not multiprocessing.current_process().name.startswith("worker-")
    ):
        return None
    return manager.pid


@contextlib.contextmanager
def ends_taskiq_on_errors() -> Iterator[None]:
    """End `taskiq worker` as a whole, with a short message, when the settings are wrong.

    taskiq restarts a worker process no matter how it ended, and passes on no exit code. So this
    stops taskiq; with `--max-fails`, it stops by itself and exits with an error code. In a process
    that `taskiq worker` did not start, the error is raised.
    """
    try:
        yield
    except ConstantContactError as error:
        if (manager := taskiq_manager()) is None:
            raise
        message = (
            f"{error.message} No worker was started. To check the settings first and get an exit "
            "code, run `ccv2 worker` instead of `taskiq worker`."
        )
    else:
        return
    first = multiprocessing.current_process().name == "worker-0"
    # One signal only: taskiq's handler cannot be interrupted by another of its kind, and hangs.
    if first and not any(word.startswith("--max-fails") for word in sys.argv):
        os.kill(manager, signal.SIGTERM)
    raise SystemExit(message if first else 1)  # the others would report the same


@contextlib.contextmanager
def ends_at_once_on_signals() -> Iterator[None]:
    """End the process on SIGINT or SIGTERM, because it has nothing to finish yet.

    taskiq's own handlers wait until the worker has started.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
