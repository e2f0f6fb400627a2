"""`Workers`: the tasks, and everything that they need, as one object."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
from typing import TYPE_CHECKING, Any, Self

import attrs
from taskiq import InMemoryBroker, TaskiqEvents

from ccv2_async.client import ConstantContact
from ccv2_async.clock import SystemClock
from ccv2_async.errors import InvalidField, UsageError
from ccv2_async.transport.calls.credentials import Credentials
from ccv2_async.transport.quota.budget import Budget
from ccv2_async.transport.quota.shared import SharedBudget
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.prepare import prepare
from ccv2_async.workers.brokers import (
    ends_at_once_on_signals,
    ends_taskiq_on_errors,
    make_broker,
    taskiq_manager,
    trim,
)
from ccv2_async.workers.leases import Lease, LeaseLost
from ccv2_async.workers.records import (
    UPLOAD_TASK,
    JobRecord,
    key_of_upload,
    lock_of_upload,
)
from ccv2_async.workers.sending import ACTIVITIES, Sender
from ccv2_async.workers.settings import WorkerSettings
from ccv2_async.workers.sqlite_store import SqliteStore
from ccv2_async.workers.store import RecordUnreadable, StoreUnavailable
from ccv2_async.workers.sweeping import FIRST_PATIENCE, Round, Sweeper
from ccv2_async.workers.tasks import register

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType

    from taskiq import AsyncBroker, AsyncTaskiqTask, TaskiqState

    from ccv2_async.clock import Clock
    from ccv2_async.workers.store import JobStore
    from ccv2_async.workers.tasks import Answer, Tasks

logger: logging.Logger = logging.getLogger("ccv2_async.workers")

SWEEP_LOCK = "sweep"
TICK_LOCK = "tick"
LEFT_OVER_AT_ONCE = 10_000
STORE_RETRY_SECONDS = 1.0


@attrs.frozen
class Asked:
    """A job that was handed to the workers.

    Attributes:
        key: Names the job; `Workers.record` shows it.
        task: The task of the queue; `await task.wait_result()` gives what the worker answered.
    """

    key: str
    task: AsyncTaskiqTask[Answer]


class Workers:
    """Tasks that upload files and start activities, and the round that follows them all.

    In one process, use it in `async with`: the queue is in memory, and the jobs are done right
    here. Over Redis, `async with` makes a process that asks for jobs; those that carry them out
    are started with `ccv2 worker`.

    Args:
        settings: How they are set up; from the environment unless given.
        clock: The time that waits run on.
        client_options: More options of the client that the workers use.

    Raises:
        UsageError: A setting is wrong, or an extra is missing.
        MissingCredentials: Raised by `async with`, by those who only ask for jobs too: without
            a key no worker that reads the same settings could begin.

    Attributes:
        settings: How they are set up.
        broker: The queue; more tasks and middlewares may be added to it.
        tasks: The tasks that upload a file, start an activity, and follow all open jobs.
    """

    def __init__(
        self,
        settings: WorkerSettings | None = None,
        *,
        clock: Clock | None = None,
        **client_options: Any,
    ) -> None:
        self.settings: WorkerSettings = settings or WorkerSettings.from_env()
        self.broker: AsyncBroker = make_broker(self.settings)
        self._clock: Clock = clock or SystemClock()
        self._client_options = client_options
        self._store = self._make_store()
        self._name = f"{socket.gethostname()[:40]}.{os.getpid()}.{secrets.token_hex(4)}"
        self._slots = asyncio.Semaphore(self.settings.concurrency)
        self._client: ConstantContact | None = None
        self._budget: Budget | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._closing = False
        self.tasks: Tasks = register(self.broker, _Work(self))
        self.broker.add_event_handler(TaskiqEvents.CLIENT_STARTUP, self._open_store)
        self.broker.add_event_handler(TaskiqEvents.CLIENT_SHUTDOWN, self._close_store)
        self.broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, self._start_working)
        self.broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, self._stop_working)

    async def __aenter__(self) -> Self:
        await self.broker.startup()
        if self.embedded:
            await self._take_up_what_was_left()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        await self._stop_ticking()
        if isinstance(self.broker, InMemoryBroker):
            await self.broker.wait_all()  # what is being sent is sent; the rest stays on record
        await self.broker.shutdown()

    async def check(self) -> None:
        """Check that worker processes with these settings could start now.

        It asks Redis, and it does not call the service.

        Raises:
            MissingCredentials: The key or the token is missing.
            UsageError: A setting is wrong, or there is no Redis through which the processes could
                get their jobs.
            StoreUnavailable: Redis does not answer. Safe to try again: yes.
        """
        self._check_shared()
        self._check_credentials()
        async with self._make_client(Budget(self.settings.per_second, self.settings.per_day)):
            pass
        try:
            await self._store.open()
        finally:
            await self._store.aclose()

    @property
    def embedded(self) -> bool:
        """Whether everything is in this process."""
        return self.settings.redis_url is None

    async def ask_upload(
        self,
        path: str | os.PathLike[str],
        *,
        folder_id: str = "0",
        name: str | None = None,
        description: str = "",
        key: str | None = None,
    ) -> Asked:
        """Have a file uploaded; returns when the job is on record and in the queue.

        Args:
            path: The file; every worker has to see it under this path.
            folder_id: The folder it goes to; "0" is the root.
            name: Its name in the library; the path's own unless given.
            description: At most 100 characters.
            key: Names the job: of one key, one file is uploaded. Unless given, the same path to
                the same folder under the same name is the same job.

        Raises:
            InvalidField: A value the service would refuse. Nothing was put on record.
            StoreUnavailable: Safe to try again: yes, the key sees to it.
        """
        record = self.upload_record(os.fspath(path), folder_id, name, description, key)
        await self._store.add(record)
        return Asked(record.key, await self._hand_out(record))

    async def ask_activity(self, activity: str, *, key: str | None = None, **given: Any) -> Asked:
        """Have a bulk activity started; returns when the job is on record and in the queue.

        Args:
            activity: "add_contacts", "remove_contacts", "clear_lists" or "export_contacts".
            key: Names the job: of one key, one activity is started. A new one unless given.
            given: The arguments of `client.activities.begin_...`, as JSON has them: a file is
                given by its path, contacts as a list of addresses.

        Raises:
            InvalidField: There is no such activity. Nothing was put on record.
            StoreUnavailable: Safe to try again: yes, with the same key.
        """
        record = self.activity_record(activity, given, key or secrets.token_hex(16))
        await self._store.add(record)
        return Asked(record.key, await self._hand_out(record))

    async def record(self, key: str) -> JobRecord | None:
        """What is known of a job; None when nobody asked for it, or it was long ago."""
        return await self._store.find(key)

    async def records(self, state: BulkState, *, most: int = 100) -> list[JobRecord]:
        """Jobs in a state, the last changed first."""
        return await self._store.listed(BulkState(state), most)

    async def counts(self) -> dict[BulkState, int]:
        """How many jobs are in each state."""
        return await self._store.counts()

    async def settled(self, keys: Iterable[str], *, every: float = 0.5) -> AsyncIterator[JobRecord]:
        """The records of these jobs as they are settled, for whoever wants to wait for them.

        Args:
            keys: The jobs.
            every: Seconds from one look at the records to the next; asks nothing of the service.
        """
        waiting = dict.fromkeys(keys)
        while waiting:
            for key in list(waiting):
                try:
                    record = await self._store.find(key)
                except RecordUnreadable:
                    record = None  # it was logged; the others have their turn
                if record is None or record.settled:
                    del waiting[key]
                    if record is not None:
                        yield record
            if waiting:
                await self._clock.sleep(every)

    async def sweep(self) -> Round:
        """Look after all open jobs once; does nothing while another worker is at it."""
        sweeper = Sweeper(
            store=self._store,
            client=self._working_client,
            clock=self._clock,
            hand_out=self._hand_out,
            upload_deadline=self.settings.upload_deadline,
            activity_deadline=self.settings.activity_deadline,
            redeliver_seconds=self.settings.redeliver_seconds,
            jitter=random.random,
        )
        lease = Lease(
            self._store,
            SWEEP_LOCK,
            self._holder(),
            seconds=self.settings.lease_seconds,
            clock=self._clock,
        )
        try:
            done = await lease.run(sweeper.round, Round())
        except LeaseLost:
            return Round()
        await trim(self.settings)
        return done

    async def carry_out(self, record: JobRecord) -> JobRecord:
        """The record of a job once it was sent, or as it is when there is nothing to do."""
        async with self._slots:
            if self._closing:
                return record
            sender = Sender(
                store=self._store,
                client=self._working_client,
                clock=self._clock,
                lease_seconds=self.settings.lease_seconds,
                jitter=random.random,
            )
            return await sender.send(record, self._holder())

    async def _hand_out(self, record: JobRecord) -> AsyncTaskiqTask[Answer]:
        task: AsyncTaskiqTask[Answer]
        if record.task == UPLOAD_TASK:
            task = await self.tasks.upload.kiq(**record.arguments, key=record.key)
        else:
            task = await self.tasks.start_activity.kiq(record.task, record.arguments, record.key)
        return task

    def upload_record(
        self, path: str, folder_id: str, name: str | None, description: str, key: str | None
    ) -> JobRecord:
        """The record of an upload that is asked for."""
        path = os.path.abspath(path)  # noqa: PTH100  # no I/O but getcwd
        upload = prepare(
            path,
            folder_id=folder_id,
            name=name,
            description=description,
            source="MyComputer",
            file_type=None,
            length=None,
        )
        return self._new_record(
            key or key_of_upload(path, upload.folder_id, upload.name),
            UPLOAD_TASK,
            {
                "path": path,
                "folder_id": upload.folder_id,
                "name": upload.name,
                "description": description,
            },
            lock=lock_of_upload(upload.folder_id, upload.name),
            name=upload.name,
            folder_id=upload.folder_id,
        )

    def activity_record(self, activity: str, given: dict[str, Any], key: str) -> JobRecord:
        """The record of a bulk activity that is asked for."""
        if activity not in ACTIVITIES:
            raise InvalidField("activity", activity, f"one of {', '.join(ACTIVITIES)}")
        if "lane" in given:
            raise InvalidField("lane", given["lane"], "left out: workers use the one for bulk")
        return self._new_record(key, activity, given, lock=f"job:{key}", name=activity)

    def _new_record(self, key: str, task: str, given: dict[str, Any], **more: Any) -> JobRecord:
        now = self._clock.time()
        patience = max(FIRST_PATIENCE, self.settings.redeliver_seconds)
        return JobRecord(
            key=key, task=task, arguments=given, created=now, attend_at=now + patience, **more
        )

    def _holder(self) -> str:
        return f"{self._name}/{secrets.token_hex(6)}"

    def _make_store(self) -> JobStore:
        keep = self.settings.keep_seconds or None
        if self.settings.redis_url is None:
            return SqliteStore(self.settings.store, now=self._clock.time, keep=keep)
        from ccv2_async.workers.redis_store import RedisStore  # noqa: PLC0415  # only with Redis

        return RedisStore(
            self.settings.redis_url,
            namespace=self.settings.namespace,
            now=self._clock.time,
            keep=keep,
        )

    @property
    def _working_client(self) -> ConstantContact:
        assert self._client is not None  # noqa: S101  # tasks run after the worker's start
        return self._client

    def _check_credentials(self) -> None:
        """Refuse settings without credentials, also where nothing but asking is done.

        Workers with the same settings do not start, and whoever asked would wait for ever.
        """
        Credentials(self.settings.api_key, self.settings.access_token)

    def _check_shared(self) -> None:
        if self.embedded:
            raise UsageError(
                "CCV2_REDIS_URL is not set. Worker processes get their jobs through Redis; set it "
                "to redis://HOST:PORT/0."
            )

    async def _open_store(self, _: TaskiqState) -> None:
        self._check_credentials()
        await self._store.open()

    async def _close_store(self, _: TaskiqState) -> None:
        await self._store.aclose()

    async def _start_working(self, _: TaskiqState) -> None:
        with ends_taskiq_on_errors():
            if taskiq_manager() is not None:
                self._check_shared()
            self._check_credentials()
            self._budget = self._make_budget()
            self._client = self._make_client(self._budget)
        await self._open_store_when_it_answers()
        await self._client.open()
        self._client._open_parts.threads.roots = self.settings.roots or ()  # noqa: SLF001  # ours
        self._ticker = asyncio.create_task(self._tick(), name="ccv2 workers: ticker")

    async def _open_store_when_it_answers(self) -> None:
        """Open the store; under `taskiq worker`, wait until it answers.

        taskiq would start a process that ends again and again, with the same words each time.
        """
        try:
            return await self._store.open()
        except StoreUnavailable as error:
            if taskiq_manager() is None:
                raise
            logger.warning(
                "%s This worker starts when Redis answers. To end with an exit code instead, "
                "run `ccv2 worker`.",
                error.message,
                extra={"ccv2_event": "store_unavailable"},
            )
        with ends_at_once_on_signals():
            while True:
                await self._clock.sleep(STORE_RETRY_SECONDS)
                with contextlib.suppress(StoreUnavailable):
                    return await self._store.open()

    async def _stop_working(self, _: TaskiqState) -> None:
        await self._stop_ticking()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
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
        """Make a round every so often: one for all workers, whichever is first.

        It does not stand in the queue alone, behind all that is still to be sent. It stands there
        too: a worker takes over what another left unacknowledged only when a message comes.
        """
        troubled = False
        every = self.settings.sweep_seconds
        while True:
            await self._clock.sleep(every / 2)
            try:
                if await self._store.hold(TICK_LOCK, self._name, every * 0.9):
                    await self.tasks.sweep.kiq()
                    await self.sweep()
            except Exception as error:  # noqa: BLE001  # those of the queue and of Redis are many
                if not troubled:
                    logger.warning(
                        "No round over the open jobs could be made (%s); it is tried again.",
                        type(error).__name__,
                    )
                troubled = True
            else:
                troubled = False

    async def _stop_ticking(self) -> None:
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker

    async def _take_up_what_was_left(self) -> None:
        """Begin again with what an earlier process did not come to: its queue ended with it."""
        with contextlib.suppress(StoreUnavailable):
            for record in await self._store.upcoming("send", LEFT_OVER_AT_ONCE):
                await self._hand_out(record)


@attrs.frozen
class _Work:
    """What the tasks do, by way of `Workers`."""

    workers: Workers

    async def upload(
        self, path: str, folder_id: str, name: str | None, description: str, key: str | None
    ) -> Answer:
        record = self.workers.upload_record(path, folder_id, name, description, key)
        return (await self.workers.carry_out(record)).answer()

    async def start_activity(self, activity: str, arguments: dict[str, Any], key: str) -> Answer:
        record = self.workers.activity_record(activity, arguments, key)
        return (await self.workers.carry_out(record)).answer()

    async def sweep(self) -> Answer:
        return attrs.asdict(await self.workers.sweep())
