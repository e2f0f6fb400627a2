"""Sending one job: an upload, or what starts an activity, and its record before and after.

Delivered twice, or left behind by a worker that was killed, a job is sent once: whoever sends
holds its lock, its record says "sending" before the first byte can leave, and what stands at
"sending" is looked for at the service before anything is sent again.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs

from ccv2_async import errors
from ccv2_async.polling.schedule import first_look
from ccv2_async.transport.quota.budget import Lane
from ccv2_async.uploads.ledger import Action, BulkState, action_for, advance
from ccv2_async.uploads.prepare import prepare
from ccv2_async.uploads.settling import Sending
from ccv2_async.workers.records import UPLOAD_TASK, after_failure
from ccv2_async.workers.stores import LeaseLost, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccv2_async.activities.split import BulkPoller
    from ccv2_async.client import ConstantContact
    from ccv2_async.clock import Clock
    from ccv2_async.transport.files.sources import PathSource
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.prepare import Upload
    from ccv2_async.workers.records import JobRecord
    from ccv2_async.workers.stores import JobStore, Lease

ACTIVITIES = ("add_contacts", "clear_lists", "export_contacts", "remove_contacts")
KEEPING_ATTEMPTS = 8
COME_AGAIN = 5.0


@attrs.frozen
class Sender:
    """Sends jobs, each while its lock is held.

    Attributes:
        store: Where the records are.
        client: The client that sends.
        clock: The time.
        lease_seconds: How long a job is left alone after its worker died.
        jitter: A source of numbers from 0 to 1.
    """

    store: JobStore
    client: ConstantContact
    clock: Clock
    lease_seconds: float
    jitter: Callable[[], float] = random.random

    async def send(self, record: JobRecord, lease: Lease) -> JobRecord:
        """Send a job unless there is nothing to do; return its record then.

        Args:
            record: As it is, or as it is to be if its key is new.
            lease: Holds the record's lock for this delivery.

        Raises:
            StoreUnavailable: Nothing can be put on record. What stands at "sending" is settled
                later.
        """
        await self.store.add(record)

        async def work() -> JobRecord | None:
            return await self._held(await self._known(record), lease.holder)

        try:
            sent = await lease.run(work, None)
        except LeaseLost:
            return await self._known(record)
        return sent or await self._put_off(record)

    async def _known(self, record: JobRecord) -> JobRecord:
        return await self.store.find(record.key) or record

    async def _put_off(self, record: JobRecord) -> JobRecord:
        """Somebody else is at it, or at its twin: see to it that it is looked at again soon."""
        known = await self._known(record)
        if known.state is BulkState.PENDING:
            await self.store.schedule(known.key, "send", self.clock.time() + COME_AGAIN)
        return known

    async def _held(self, known: JobRecord, holder: str) -> JobRecord:
        if known.state in (BulkState.ACCEPTED, BulkState.DONE, BulkState.AMBIGUOUS):
            return known
        if known.state is BulkState.FAILED and known.final:
            return known
        try:
            if known.task == UPLOAD_TASK:
                return await self._upload(known, holder)
            return await self._start_activity(known, holder)
        except (LeaseLost, StoreUnavailable):
            raise
        except errors.ConstantContactError as error:
            # What is on record now: when it was sent, that has been written since.
            latest = await self._known(known)
            failed = after_failure(
                latest,
                error,
                self.clock.time(),
                self.jitter(),
                sent=latest.updated != known.updated,
            )
            return await self.keep(failed, holder)

    async def _upload(self, known: JobRecord, holder: str) -> JobRecord:
        parts = self.client._open_parts  # noqa: SLF001  # the client is ours
        upload = upload_of(known.arguments)
        known = attrs.evolve(known, name=upload.name, folder_id=upload.folder_id)
        # Files that other jobs have got are not this one, however alike they look.
        parts.uploader.claim(await self.store.file_ids(known.lock))
        size, written_ns = await self._measure(upload, known, parts.threads)
        if action_for(known, size, written_ns) is Action.REFUSE:
            return await self._refuse(known, holder)
        entry = attrs.evolve(known, size=size, written_ns=written_ns)
        sending = Sending(upload, entry, _Ledger(self, holder))
        await parts.uploader.send(sending)  # the lease holds the name
        return sending.entry

    async def _measure(
        self, upload: Upload, known: JobRecord, threads: FileThreads
    ) -> tuple[int, int]:
        """Size and time of the file, which is sent as it is now or not at all.

        Those on record if it is gone and may have been sent.
        """
        try:
            state = await cast("PathSource", upload.source).hold(
                threads
            )  # the one that takes paths
        except errors.FileRefused:
            if known.state is BulkState.SENDING:
                return known.size, known.written_ns
            raise
        return state.length, state.written_ns

    async def _refuse(self, known: JobRecord, holder: str) -> JobRecord:
        """It was being sent, nobody knows whether it arrived, and it is another file now."""
        error = (
            f"{known.name}: it was being sent when its worker ended, and has changed since, so it "
            f"cannot be looked for. It may be in folder {known.folder_id}; look there, then upload "
            "it with another key if it is missing."
        )
        refused = attrs.evolve(
            known,
            state=BulkState.AMBIGUOUS,
            error=error,
            error_type=errors.FileChanged.__name__,
            final=True,
        )
        return await self.keep(refused, holder)

    async def _start_activity(self, known: JobRecord, holder: str) -> JobRecord:
        """Start it, also when an earlier worker may have done so: twice changes nothing more."""
        ledger = _Ledger(self, holder)
        sending = await ledger.write(
            advance(known, BulkState.SENDING, since=self.clock.time()),
        )
        begin: Any = getattr(self.client.activities, f"begin_{known.task}")
        try:
            poller: BulkPoller = await begin(**known.arguments, lane=Lane.BULK)
        except TypeError as error:
            raise errors.InvalidField("arguments", known.arguments, str(error)) from None
        return await ledger.write(
            advance(sending, BulkState.ACCEPTED, tokens=tuple(poller.tokens()), error="")
        )

    async def keep(self, record: JobRecord, holder: str) -> JobRecord:
        """Put it on record.

        Raises:
            LeaseLost: Another worker has taken the job over.
        """
        if not await self.store.save(record, holder=holder):
            raise LeaseLost(f"{record.name or record.task}: another worker has taken it over.")
        return record


@attrs.frozen
class _Ledger:
    """The store as the uploader uses it for a job whose lock is held.

    Attributes:
        sender: Writes.
        holder: Holds the job's lock.
    """

    sender: Sender
    holder: str

    async def find(self, key: str, /) -> JobRecord | None:
        """Return the record of a job, or None."""
        return await self.sender.store.find(key)

    async def write(self, record: JobRecord, /) -> JobRecord:
        """Put a job on record, and return its record.

        Raises:
            LeaseLost: Another worker has taken the job over.
            StoreUnavailable: It cannot be put on record.
        """
        now = self.sender.clock.time()
        if record.state is BulkState.SENDING:
            at = now + self.sender.lease_seconds + COME_AGAIN
            return await self.sender.keep(attrs.evolve(record, attend_at=at), self.holder)
        record = attrs.evolve(record, accepted=now, attend_at=now + first_look(None), error_type="")
        # It is at the service now: that is put on record whatever happens around us. A store that
        # is away for a moment is waited for; the record says "sending" until then.
        with anyio.CancelScope(shield=True):
            for attempt in range(1, KEEPING_ATTEMPTS):
                with contextlib.suppress(StoreUnavailable):
                    return await self.sender.keep(record, self.holder)
                await self.sender.clock.sleep(0.1 * 2.0**attempt)
            return await self.sender.keep(record, self.holder)
        raise AssertionError  # pragma: no cover


def upload_of(given: Mapping[str, Any]) -> Upload:
    """Return the upload that the arguments of a job ask for.

    Raises:
        InvalidField: A value the service would refuse.
    """
    upload = prepare(
        given["path"],
        folder_id=given.get("folder_id", "0"),
        name=given.get("name"),
        description=given.get("description", ""),
        source="MyComputer",
        file_type=None,
        length=None,
    )
    return attrs.evolve(upload, lane=Lane.BULK)
