"""Send one job: upload its file, or start its activity.

A job may be delivered twice, or abandoned by a worker that was killed. It is still done only once:
the worker that sends holds the job's lock, the record says "sending" before the first byte can
leave, and a job whose record says "sending" is looked for before anything is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from ccv2_async import errors
from ccv2_async.polling.schedule import first_look
from ccv2_async.tasks import all_ended, uninterrupted
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads.ledger import Action, BulkState, action_for, advance
from ccv2_async.uploads.prepare import prepare
from ccv2_async.uploads.settle import sent_as
from ccv2_async.uploads.settling import Sending
from ccv2_async.workers.records import UPLOAD_TASK, after_failure, lock_of_upload
from ccv2_async.workers.stores import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from ccv2_async.activities.split import BulkPoller
    from ccv2_async.client import ConstantContact
    from ccv2_async.clock import Clock
    from ccv2_async.transport.calls.outage import Outage
    from ccv2_async.transport.files.sources import PathSource
    from ccv2_async.uploads.prepare import Upload
    from ccv2_async.workers.records import JobRecord
    from ccv2_async.workers.stores import JobStore

T = TypeVar("T")

WRITE_ATTEMPTS = 8
COME_AGAIN = 5.0


class LeaseLost(errors.ConstantContactError):
    """Another worker has the lock, or it could not be renewed, so this worker must stop."""


@attrs.frozen
class Lease:
    """Work that runs while a lock is held, and stops when the lock is lost.

    Attributes:
        store: The store of the locks.
        lock: The name of the lock.
        holder: The unique name of this holder.
        seconds: Seconds for which the lock is held after its holder dies.
        clock: The clock for renewals.
    """

    store: JobStore
    lock: str
    holder: str
    seconds: float = attrs.field(kw_only=True)
    clock: Clock = attrs.field(kw_only=True)

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]], otherwise: T) -> T:
        """Return the result of `work` under the lock, or of `otherwise` if another holds it.

        Raises:
            LeaseLost: The lock was lost; the work was cancelled before another could begin.
            StoreUnavailable: The lock could not be taken.
        """
        if not await self.store.hold(self.lock, self.holder, self.seconds):
            return otherwise
        over = asyncio.Event()
        working = asyncio.create_task(work(), name="ccv2 workers: job")
        renewing = asyncio.create_task(self._renew(over), name="ccv2 workers: lease")
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise LeaseLost("The lock was lost during the job, so the job was stopped.")
        finally:
            over.set()
            working.cancel()
            await uninterrupted(self._release_after(working, renewing))

    async def _release_after(self, *tasks: asyncio.Task[Any]) -> None:
        """Release the lock when tasks have ended; their errors were handled or came too late."""
        try:
            await all_ended(tasks)
        finally:
            for task in tasks:
                if not task.cancelled():
                    task.exception()
            with contextlib.suppress(StoreUnavailable):
                await self.store.release(self.lock, self.holder)

    async def _renew(self, over: asyncio.Event) -> None:
        """Keep renewing the lock; return when it is lost, or may be soon."""
        held_until = self.clock.monotonic() + self.seconds
        while self.clock.monotonic() < held_until - self.seconds / 3:
            with contextlib.suppress(TimeoutError):
                async with self.clock.timeout(self.seconds / 6):
                    await over.wait()
                return
            asked = self.clock.monotonic()
            try:
                if not await self.store.renew(self.lock, self.holder, self.seconds):
                    return
            except StoreUnavailable:
                continue
            held_until = asked + self.seconds


@attrs.frozen
class Sender:
    """Sends one job while its lock is held, and stores its record, as the ledger's `Store`.

    Attributes:
        client: The client that sends.
        lease: Holds the job's lock for this delivery.
        outage: The state of an outage, as the client knows it.
        jitter: A source of numbers from 0 to 1.
    """

    wants_tokens = True

    client: ConstantContact
    lease: Lease
    outage: Outage
    jitter: Callable[[], float] = random.random

    async def send(self, record: JobRecord) -> JobRecord:
        """Send a job unless there is nothing to do; return its new record.

        Args:
            record: The current record, or the first one if the key is new.

        Raises:
            StoreUnavailable: Nothing can be recorded. If the record says "sending", the job is
                settled later.
        """
        store = self.lease.store
        if not await store.add(record):
            record = await store.find(record.key) or record
        # A record from an earlier version, or for a key that was given twice, has its own lock.
        sender = attrs.evolve(self, lease=attrs.evolve(self.lease, lock=record.lock))

        async def work() -> JobRecord | None:
            return await sender._send(await store.find(record.key) or record)  # noqa: SLF001

        with contextlib.suppress(LeaseLost):
            if (sent := await sender.lease.run(work, None)) is not None:
                return sent
        known = await store.find(record.key) or record
        if known.state is BulkState.PENDING:
            # Another worker has this job, or one of the same name. It is checked again soon.
            await store.schedule(known.key, "send", self.lease.clock.time() + COME_AGAIN)
        return known

    async def find(self, key: str, /) -> JobRecord | None:
        """Return the record of a job, or None."""
        return await self.lease.store.find(key)

    async def write(self, record: JobRecord, /) -> JobRecord:
        """Store a record that says "sending" or "accepted", and return it.

        Raises:
            LeaseLost: Another worker has taken the job over.
            StoreUnavailable: It cannot be stored.
        """
        now = self.lease.clock.time()
        if record.state is BulkState.SENDING:
            return await self._keep(record, attend_at=now + self.lease.seconds + COME_AGAIN)
        # The service has the job now, so store this even if the task is cancelled.
        record = attrs.evolve(record, accepted=now, attend_at=now + first_look(None), error_type="")
        return await uninterrupted(self._keep_surely(record))

    async def owned(self, folder_id: str, name: str, /) -> list[str]:
        """Return the IDs of the files of all jobs that may have sent a file of this name.

        Raises:
            LeaseLost: One of them is being sent now, so its ID is not known yet.
            StoreUnavailable: They cannot be read.
        """
        store, owned = self.lease.store, list[str]()
        for sent in sent_as(name):
            lock = lock_of_upload(folder_id, sent)
            held = lock != self.lease.lock and await store.is_held(lock, self.lease.seconds)
            if held and (folder_id, sent) not in self.client._open_parts.uploader.undecided:  # noqa: SLF001
                raise LeaseLost(f"another worker is sending a file that may be {name}")
            owned += await store.file_ids(lock)
        return owned

    async def _keep_surely(self, record: JobRecord) -> JobRecord:
        """Store a record; if the store is briefly unavailable, wait for it."""
        for attempt in range(1, WRITE_ATTEMPTS):
            with contextlib.suppress(StoreUnavailable):
                return await self._keep(record)
            await self.lease.clock.sleep(0.1 * 2.0**attempt)
        return await self._keep(record)

    async def _keep(self, record: JobRecord, **facts: Any) -> JobRecord:
        record = attrs.evolve(record, **facts)
        if not await self.lease.store.save(record, holder=self.lease.holder):
            raise LeaseLost(f"{record.name or record.task}: another worker has taken it over.")
        return record

    async def _send(self, known: JobRecord) -> JobRecord:
        if known.line != "send":
            return known
        openings = self.outage.openings
        begin = self._upload if known.task == UPLOAD_TASK else self._start_activity
        try:
            return await begin(known)
        except (LeaseLost, StoreUnavailable):
            raise
        except errors.ConstantContactError as error:
            latest = await self.find(known.key) or known
            # It was written before it was sent.
            sent = latest.updated != known.updated and not self.outage.explains(error, openings)
            now = self.lease.clock.time()
            return await self._keep(after_failure(latest, error, now, self.jitter(), sent=sent))

    async def _upload(self, known: JobRecord) -> JobRecord:
        parts = self.client._open_parts  # noqa: SLF001  # the client is ours
        upload = upload_of(known.arguments)
        # Files of other jobs are never this one, even if they look alike.
        parts.uploader.claim(await self.lease.store.file_ids(known.lock))
        size, written_ns = known.size, known.written_ns
        try:
            # A worker uploads paths only. The file is sent as it is now, or not at all.
            state = await cast("PathSource", upload.source).hold(parts.threads)
            size, written_ns = state.length, state.written_ns
        except errors.FileRefused:
            if known.state is not BulkState.SENDING:
                raise  # otherwise it is gone, but may have arrived
        if action_for(known, size, written_ns) is Action.REFUSE:
            return await self._keep(
                advance(known, BulkState.AMBIGUOUS, final=True),
                error=f"{upload.name}: it was being sent when its worker ended, and has changed "
                "since, so it cannot be looked for. It may be in folder "
                f"{upload.folder_id}; look there, then upload it with another key if it is "
                "missing.",
                error_type=errors.FileChanged.__name__,
            )
        place: dict[str, Any] = {"name": upload.name, "folder_id": upload.folder_id}
        entry = attrs.evolve(known, **place, size=size, written_ns=written_ns)
        sending = Sending(upload, entry, self)
        try:
            await parts.uploader.send(sending)  # the lease holds the file's name in its folder
        except errors.AmbiguousUpload as error:
            error.__cause__ = error.__cause__ or sending.refusal
            raise
        return sending.entry

    async def _start_activity(self, known: JobRecord) -> JobRecord:
        """Start an activity, even if an earlier worker may have started it: a repeat is safe."""
        sending = await self.write(advance(known, BulkState.SENDING, since=self.lease.clock.time()))
        begin: Any = getattr(self.client.activities, f"begin_{known.task}")
        try:
            poller: BulkPoller = await begin(**known.arguments, lane=Lane.BULK)
        except TypeError as error:
            raise errors.InvalidField("arguments", known.arguments, str(error)) from None
        return await self.write(
            advance(sending, BulkState.ACCEPTED, tokens=tuple(poller.tokens()), error="")
        )


def upload_of(given: Mapping[str, Any]) -> Upload:
    """Return the upload for the arguments of a job.

    Raises:
        InvalidField: A value the service would refuse.
    """
    options = {name: value for name, value in given.items() if name != "path"}
    return prepare(given["path"], lane=Lane.BULK, **options)
