"""`Workers`: the tasks and everything they need, in one object."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from typing import TYPE_CHECKING, Any, Self

import attrs
import orjson
from taskiq import InMemoryBroker, TaskiqEvents

from ccv2_async.client import ConstantContact
from ccv2_async.clock import SystemClock
from ccv2_async.errors import InvalidField, UsageError
from ccv2_async.models.validation import checked_text, is_whole
from ccv2_async.secret import without_arguments
from ccv2_async.tasks import cancel_all, uninterrupted
from ccv2_async.transport.calls.credentials import Credentials
from ccv2_async.transport.files.sources import absolute, path_text
from ccv2_async.transport.quota.budget import Budget
from ccv2_async.transport.quota.shared import SharedBudget
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers.queue import (
    Tasks,
    ends_at_once_on_signals,
    ends_taskiq_on_errors,
    make_broker,
    taskiq_manager,
    trim,
)
from ccv2_async.workers.records import (
    ACTIVITIES,
    UPLOAD_TASK,
    JobRecord,
    key_of_upload,
    lock_of_upload,
)
from ccv2_async.workers.redis_store import RedisStore, answered
from ccv2_async.workers.sending import Lease, LeaseLost, Sender, upload_of
from ccv2_async.workers.settings import WorkerSettings
from ccv2_async.workers.stores import RecordUnreadable, SqliteStore, StoreUnavailable
from ccv2_async.workers.sweeping import FIRST_PATIENCE, Round, Sweeper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from taskiq import AsyncBroker, AsyncTaskiqTask, TaskiqState

    from ccv2_async.clock import Clock
    from ccv2_async.workers.queue import TaskResult
    from ccv2_async.workers.stores import JobStore

logger: logging.Logger = logging.getLogger("ccv2_async.workers")

SWEEP_LOCK = "sweep"
TICK_LOCK = "tick"
LEFT_OVER_AT_ONCE = 10_000
STORE_RETRY_SECONDS = 1.0
_PLAIN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


@attrs.frozen
class EnqueuedJob:
    """A job that was submitted to the workers.

    Attributes:
        key: The name of the job, for `Workers.record`.
        task: The task of the queue; `await task.wait_result()` returns the worker's response.
    """

    key: str
    task: AsyncTaskiqTask[TaskResult]


class Workers:
    """Tasks that upload files and start activities, and a periodic round that follows all of them.

    In one process, use it in `async with`: the queue is in memory, and the jobs run in this
    process. With Redis, the process in `async with` only submits jobs. Start the processes that run
    them with `ccv2 worker`.

    Args:
        settings: The settings of the workers. The default comes from the environment.
        clock: The clock for waits.
        client_options: More options for the workers' client.

    Raises:
        UsageError: A setting is wrong, or an extra is missing.
        MissingCredentials: Raised by `async with`, even in a process that only submits jobs:
            without a key, no worker with the same settings could start.

    Attributes:
        settings: The settings of the workers.
        broker: The queue. You can add tasks and middleware to it.
        tasks: The tasks that upload a file, start an activity, and follow all open jobs.
    """

    @without_arguments
    def __init__(
        self,
        settings: WorkerSettings | None = None,
        *,
        clock: Clock | None = None,
        **client_options: Any,
    ) -> None:
        self.settings: WorkerSettings = settings or WorkerSettings.from_env()
        self._clock: Clock = clock or SystemClock()
        self._client_options = client_options
        self._store = self._make_store()  # refuses an invalid URL of Redis
        self.broker: AsyncBroker = make_broker(self.settings)
        self._name = f"{socket.gethostname()[:40]}.{os.getpid()}.{secrets.token_hex(4)}"
        self._slots = asyncio.Semaphore(self.settings.concurrency)
        self._client: ConstantContact | None = None
        self._budget: Budget | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._closing = False
        self._missed: dict[str, JobRecord] = {}  # their messages may be acknowledged all the same
        self.tasks: Tasks = self._register()
        for event, handler in (
            (TaskiqEvents.CLIENT_STARTUP, self._open_store),
            (TaskiqEvents.CLIENT_SHUTDOWN, self._close_store),
            (TaskiqEvents.WORKER_STARTUP, self._start_working),
            (TaskiqEvents.WORKER_SHUTDOWN, self._stop_working),
        ):
            self.broker.add_event_handler(event, handler)

    async def __aenter__(self) -> Self:
        try:
            await (self.broker.startup() if self.embedded else answered(self.broker.startup()))
            if self.embedded:  # the queue of an earlier process is gone; its jobs are on record
                with contextlib.suppress(StoreUnavailable):
                    for record in await self._store.upcoming("send", LEFT_OVER_AT_ONCE):
                        await self._enqueue(record)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        landing = asyncio.create_task(self._land())
        try:
            await asyncio.wait([landing])
        finally:
            await uninterrupted(self._end(landing))

    async def _land(self) -> None:
        """Wait for the files in flight; the rest stay on record."""
        await self._stop_ticking()
        if isinstance(self.broker, InMemoryBroker):
            await self.broker.wait_all()

    async def _end(self, landing: asyncio.Task[None]) -> None:
        """Close everything, after ending the files in flight if this was cancelled."""
        while not landing.done():
            landing.cancel()  # ends one file; then it waits for the next
            await asyncio.wait([landing], timeout=0.1)
        await self.broker.shutdown()

    async def check(self) -> None:
        """Check that worker processes with these settings could start now.

        It contacts Redis, but does not call the service.

        Raises:
            MissingCredentials: The key or the token is missing.
            UsageError: A setting is wrong, or there is no Redis through which the processes could
                get their jobs.
            StoreUnavailable: Redis does not answer. Safe to try again: yes.
        """
        self._check_shared()
        async with self._make_client(Budget(self.settings.per_second, self.settings.per_day)):
            pass
        async with contextlib.aclosing(self._store):
            await self._store.open()

    @property
    def embedded(self) -> bool:
        """Whether everything runs in this process."""
        return self.settings.redis_url is None

    async def enqueue_upload(
        self,
        path: str | os.PathLike[str],
        *,
        folder_id: str = "0",
        name: str | None = None,
        description: str = "",
        key: str | None = None,
    ) -> EnqueuedJob:
        """Submit the upload of a file; return when the job is on record and in the queue.

        Args:
            path: The file. Every worker must be able to read it at this path.
            folder_id: The folder to upload to; "0" is the root.
            name: Its name in the library. The default is the path's own name.
            description: At most 100 characters.
            key: The name of the job: one file is uploaded for each key. By default, the same path,
                folder, and name make the same job. A job that failed before the service accepted it
                starts over.

        Raises:
            InvalidField: The service would refuse a value. Nothing was put on record.
            StoreUnavailable: Safe to try again: yes; the key keeps the job from being done twice.
        """
        record = self.upload_record(path_text(path), folder_id, name, description, key)
        return await self._submit(record)

    async def enqueue_activity(
        self, activity: str, *, key: str | None = None, **given: Any
    ) -> EnqueuedJob:
        """Submit the start of a bulk activity; return when the job is on record and in the queue.

        Args:
            activity: "add_contacts", "remove_contacts", "clear_lists" or "export_contacts".
            key: The name of the job: one activity is started for each key. The default is a new
                key.
            given: The arguments of `client.activities.begin_...`, as JSON values: a file as its
                path, contacts as a list of addresses.

        Raises:
            InvalidField: There is no such activity. Nothing was put on record.
            StoreUnavailable: Safe to try again: yes, with the same key.
        """
        record = self._activity_record(activity, given, key or secrets.token_hex(16))
        return await self._submit(record)

    async def record(self, key: str) -> JobRecord | None:
        """Return the record of a job; None if it was never submitted or is no longer kept."""
        return await self._store.find(checked_text(key, "key"))

    async def records(self, state: BulkState, *, most: int = 100) -> list[JobRecord]:
        """Return the jobs in a state, the most recently changed first.

        Raises:
            InvalidField: There is no such state, or `most` is not a number of records.
        """
        if state not in tuple(BulkState):
            raise InvalidField("state", state, f"it must be one of {', '.join(BulkState)}")
        if not is_whole(most) or most < 0:
            raise InvalidField("most", most, "it must be a whole number, 0 or more")
        return await self._store.listed(BulkState(state), most)

    async def counts(self) -> dict[BulkState, int]:
        """Return how many jobs are in each state."""
        return await self._store.counts()

    async def settled(self, keys: Iterable[str], *, every: float = 0.5) -> AsyncIterator[JobRecord]:
        """Wait for jobs, and yield the record of each when it is settled.

        Args:
            keys: The jobs.
            every: Seconds between two reads of the records. A read does not call the service.
        """
        waiting = dict.fromkeys(checked_text(key, "keys") for key in keys)
        while waiting:
            for key in list(waiting):
                record: JobRecord | None = None
                with contextlib.suppress(RecordUnreadable):  # it was logged; others continue
                    record = await self._store.find(key)
                if record is None or record.settled:
                    del waiting[key]
                    if record is not None:
                        yield record
            if waiting:
                await self._clock.sleep(every)

    async def sweep(self) -> Round:
        """Check all open jobs once; do nothing while another worker does it.

        Raises:
            StoreUnavailable: Nothing was lost; the next round does the work.
        """
        store, client = self._store, self._working_client
        sweeper = Sweeper(store, client, self._clock, self.settings, self._enqueue)
        try:
            done = await self._lease(SWEEP_LOCK).run(sweeper.round, Round())
        except LeaseLost:
            return Round()
        await answered(trim(self.settings))
        return done

    def upload_record(
        self, path: str, folder_id: str, name: str | None, description: str, key: str | None
    ) -> JobRecord:
        """Return the record for an upload to submit."""
        path = checked_text(absolute(path), "path")
        given = {"path": path, "folder_id": folder_id, "name": name, "description": description}
        upload = upload_of(given)
        return self._new_record(
            key or key_of_upload(path, upload.folder_id, upload.name),
            UPLOAD_TASK,
            given | {"folder_id": upload.folder_id, "name": upload.name},
            lock=lock_of_upload(upload.folder_id, upload.name),
            name=upload.name,
            folder_id=upload.folder_id,
        )

    def _activity_record(self, activity: str, given: dict[str, Any], key: str) -> JobRecord:
        if activity not in ACTIVITIES:
            raise InvalidField("activity", activity, f"it must be one of {', '.join(ACTIVITIES)}")
        for name, value in given.items():
            try:
                orjson.dumps(value, option=_PLAIN)
            except TypeError as error:
                rule = f"it must be a value that JSON can represent ({error})"
                raise InvalidField(name, value, rule) from None
        if "lane" in given:
            raise InvalidField("lane", given["lane"], "leave it out; workers use Lane.BULK")
        if isinstance(given.get("contacts"), str):  # a worker may have another working directory
            given = given | {"contacts": absolute(given["contacts"])}
        return self._new_record(key, activity, given, lock=f"job:{key}", name=activity)

    def _new_record(self, key: str, task: str, given: dict[str, Any], **more: Any) -> JobRecord:
        checked_text(key, "key")
        now = self._clock.time()
        patience = max(FIRST_PATIENCE, self.settings.redeliver_seconds)
        return JobRecord(
            key=key, task=task, arguments=given, created=now, attend_at=now + patience, **more
        )

    async def _submit(self, record: JobRecord) -> EnqueuedJob:
        if not await self._store.add(record):
            with contextlib.suppress(RecordUnreadable):  # its task says so
                known = await self._store.find(record.key)
                if known is not None and known.state is BulkState.FAILED and not known.final:
                    await self._store.add(record, again=True)
        return EnqueuedJob(record.key, await self._enqueue(record))

    async def _enqueue(self, record: JobRecord) -> AsyncTaskiqTask[TaskResult]:
        if record.task == UPLOAD_TASK:
            return await answered(self.tasks.upload.kiq(**record.arguments, key=record.key))
        start = self.tasks.start_activity
        return await answered(start.kiq(record.task, record.arguments, record.key))

    def _register(self) -> Tasks:
        """Register the tasks. The broker renames the functions, so they are made here."""

        # The queue reads these annotations when a message arrives.
        async def upload(
            path: str,
            folder_id: str = "0",
            name: str | None = None,
            description: str = "",
            key: str | None = None,
        ) -> dict[str, Any]:
            """Upload a file; return its token when the service has accepted it."""
            record = self.upload_record(path, folder_id, name, description, key)
            return await self._carry_out(record)

        async def start_activity(
            activity: str, arguments: dict[str, Any], key: str
        ) -> dict[str, Any]:
            """Start a bulk activity; return its tokens when the service has accepted it."""
            return await self._carry_out(self._activity_record(activity, arguments, key))

        async def sweep() -> dict[str, Any]:
            """Check all open jobs once; do nothing while another worker does it."""
            return attrs.asdict(await self.sweep())

        return Tasks(
            self.broker.register_task(upload, "ccv2_async:upload"),
            self.broker.register_task(start_activity, "ccv2_async:start_activity"),
            self.broker.register_task(sweep, "ccv2_async:sweep"),
        )

    async def _carry_out(self, record: JobRecord) -> TaskResult:
        """Send a job unless there is nothing to do; return the task result from its record."""
        async with self._slots:
            if not self._closing:
                client = self._working_client
                outage = client._open_parts.session.outage  # noqa: SLF001  # ours
                sender = Sender(client, self._lease(record.lock), outage)
                try:
                    record = await sender.send(record)
                except StoreUnavailable:
                    self._missed[record.key] = record
                    raise
        return record.task_result()

    def _lease(self, lock: str) -> Lease:
        holder = f"{self._name}/{secrets.token_hex(6)}"
        seconds, clock = self.settings.lease_seconds, self._clock
        return Lease(self._store, lock, holder, seconds=seconds, clock=clock)

    def _make_store(self) -> JobStore:
        settings, now = self.settings, self._clock.time
        keep = settings.keep_seconds or None
        if settings.redis_url is None:
            return SqliteStore(settings.store, now=now, keep=keep)
        return RedisStore(settings.redis_url, namespace=settings.namespace, now=now, keep=keep)

    @property
    def _working_client(self) -> ConstantContact:
        assert self._client is not None  # noqa: S101  # tasks run after the worker's start
        return self._client

    def _check_shared(self) -> None:
        if self.embedded:
            raise UsageError(
                "CCV2_REDIS_URL is not set. Worker processes get their jobs through Redis; set it "
                "to redis://HOST:PORT/0."
            )

    async def _open_store(self, _: TaskiqState) -> None:
        # Even if this process only submits jobs: without credentials, no worker with the same
        # settings starts, so it would wait forever.
        Credentials(self.settings.api_key, self.settings.access_token)
        await self._store.open()

    async def _close_store(self, _: TaskiqState) -> None:
        await self._store.aclose()

    async def _start_working(self, _: TaskiqState) -> None:
        with ends_taskiq_on_errors():
            if taskiq_manager() is not None:
                self._check_shared()
            Credentials(self.settings.api_key, self.settings.access_token)  # named if missing
            self._budget = self._make_budget()
            self._client = self._make_client(self._budget)
        await self._open_store_when_it_answers()
        await self._client.open()
        self._client._open_parts.threads.roots = self.settings.roots or ()  # noqa: SLF001  # ours
        self._ticker = asyncio.create_task(self._tick(), name="ccv2 workers: ticker")

    async def _open_store_when_it_answers(self) -> None:
        """Open the store; under `taskiq worker`, wait until it answers.

        Otherwise taskiq would restart the process again and again, with the same error each time.
        """
        try:
            return await self._store.open()
        except StoreUnavailable as error:
            if taskiq_manager() is None:
                raise
            text = "%s It starts when Redis answers. To end with an exit code, run `ccv2 worker`."
            logger.warning(text, error.message, extra={"ccv2_event": "store_unavailable"})
        with ends_at_once_on_signals():
            while True:
                await self._clock.sleep(STORE_RETRY_SECONDS)
                with contextlib.suppress(StoreUnavailable):
                    return await self._store.open()

    async def _stop_working(self, _: TaskiqState) -> None:
        await self._stop_ticking()
        if self._client is not None:
            await self._client.aclose()
        if isinstance(self._budget, SharedBudget):
            await self._budget.aclose()
        await self._store.aclose()

    def _make_client(self, budget: Budget) -> ConstantContact:
        settings = self.settings
        return ConstantContact(
            api_key=settings.api_key,
            access_token=settings.access_token,
            base_url=settings.base_url,
            budget=budget,
            clock=self._clock,
            **{"trust_env": settings.trust_env, **self._client_options},
        )

    def _make_budget(self) -> Budget:
        settings = self.settings
        if settings.redis_url is None or (settings.per_second is None and not settings.per_day):
            return Budget(settings.per_second, settings.per_day, clock=self._clock)
        return SharedBudget(
            settings.redis_url,
            api_key=settings.api_key,
            per_second=settings.per_second,
            per_day=settings.per_day,
            margin=settings.quota_margin,
            clock=self._clock,
        )

    async def _tick(self) -> None:
        """Make a round at intervals: the first worker makes it for all.

        It does not wait in the queue behind everything that is still to be sent. But a round is
        also put into the queue, because a worker takes over unacknowledged messages of others only
        when a message arrives.
        """
        troubled, every = False, self.settings.sweep_seconds
        while True:
            await self._clock.sleep(every / 2)
            try:
                leads = await self._store.hold(TICK_LOCK, self._name, every * 0.9)
                for key, record in tuple(self._missed.items()):  # the store answers again
                    await self._enqueue(record)
                    del self._missed[key]
                if leads:
                    await answered(self.tasks.sweep.kiq())
                    await self.sweep()
                troubled = False
            except Exception as error:  # noqa: BLE001  # those of the queue and of Redis are many
                if not troubled:
                    text = "The open jobs could not be checked (%s). Workers will try again soon."
                    logger.warning(text, type(error).__name__)
                troubled = True

    async def _stop_ticking(self) -> None:
        if self._ticker is not None:
            await cancel_all([self._ticker])
