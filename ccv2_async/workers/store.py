"""Where the workers keep their jobs, and who is at work on which."""

from __future__ import annotations

import abc
import logging
from typing import TYPE_CHECKING, Self

from ccv2_async import errors
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers.records import JobRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ccv2_async.uploads.ledger import Line

logger: logging.Logger = logging.getLogger("ccv2_async.workers")


class StoreUnavailable(errors.ConstantContactError):
    """The store of the workers does not answer. Safe to try again: yes."""

    safe_to_retry = True


class RecordUnreadable(errors.ConstantContactError):
    """The record of a job is damaged, or was written by a version that this one cannot read.

    It is left as it is, and the job is not touched. Safe to try again: no; use the version that
    wrote it.
    """


MOST_TOLD = 1000

# Keys of records that were warned of already.
_told: set[str] = set()


def readable(key: str, document: bytes | str) -> JobRecord | None:
    """Return a kept record, or None for one that cannot be read; that is logged once."""
    try:
        return JobRecord.from_json(document)
    except ValueError as why:
        reason = str(why)
    if key not in _told and len(_told) < MOST_TOLD:
        _told.add(key)
        logger.warning(
            "The record of job %s cannot be read (%s): it is damaged, or another version wrote it. "
            "It is left as it is, and the others go on. Said once for this job.",
            key[:100],
            reason[:200],
            extra={"ccv2_event": "record_unreadable"},
        )
    return None


def required(key: str, document: bytes | str) -> JobRecord:
    """Return a kept record.

    Raises:
        RecordUnreadable: It cannot be read.
    """
    record = readable(key, document)
    if record is None:
        raise RecordUnreadable(
            f"The record of job {key[:100]} cannot be read: it is damaged, or another version "
            "wrote it. It was left as it is, and nothing was sent; use the version that wrote it."
        )
    return record


class JobStore(abc.ABC):
    """Jobs by their keys, in the order in which they want attention, and locks that expire.

    Every method may raise `StoreUnavailable`. What is written is kept when the method returns.
    Records that cannot be read are left out of every list, and stay as they are.
    """

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @abc.abstractmethod
    async def open(self) -> None:
        """Get ready; done once."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Let go of files and connections."""

    @abc.abstractmethod
    async def find(self, key: str) -> JobRecord | None:
        """The record of a job, or None.

        Raises:
            RecordUnreadable: There is one, which cannot be read.
        """

    @abc.abstractmethod
    async def add(self, record: JobRecord) -> bool:
        """Keep the record if its key is new; whether it was."""

    @abc.abstractmethod
    async def save(self, record: JobRecord, *, holder: str | None = None) -> bool:
        """Keep the record; with a holder, only while that one holds the record's lock.

        Returns:
            Whether it was kept.
        """

    @abc.abstractmethod
    async def schedule(self, key: str, line: Line, at: float) -> None:
        """Let a job want attention at another time, if it is still in this line.

        Nothing else of it is written, so whoever is at work on it is not disturbed.
        """

    @abc.abstractmethod
    async def upcoming(self, line: Line, most: int) -> list[JobRecord]:
        """The jobs of a line that want attention first, `most` of them."""

    @abc.abstractmethod
    async def listed(self, state: BulkState, most: int) -> list[JobRecord]:
        """The jobs in a state, the last changed first."""

    @abc.abstractmethod
    async def counts(self) -> dict[BulkState, int]:
        """How many jobs are in each state."""

    @abc.abstractmethod
    async def file_ids(self, lock: str) -> Sequence[str]:
        """The library's ids of all uploads that shared a lock: those are spoken for."""

    @abc.abstractmethod
    async def hold(self, lock: str, holder: str, seconds: float) -> bool:
        """Take the lock for so long, if nobody has it; whether it was free."""

    @abc.abstractmethod
    async def renew(self, lock: str, holder: str, seconds: float) -> bool:
        """Hold it so long from now on; False when it was lost meanwhile."""

    @abc.abstractmethod
    async def release(self, lock: str, holder: str) -> None:
        """Let go of the lock, if it is still held."""

    @abc.abstractmethod
    async def is_held(self, lock: str) -> bool:
        """Whether anybody holds the lock."""


def log_outcome(record: JobRecord) -> None:
    """Write one line about a job that has ended: what it was, how it ended, and why."""
    if not record.settled:
        return
    went_well = record.state is BulkState.DONE
    details = f"id {record.file_id}" if record.file_id else ""
    logger.log(
        logging.INFO if went_well else logging.WARNING,
        "%s: %s%s (job %s)",
        record.name or record.task,
        record.state.value,
        "".join(f", {part}" for part in (details, record.error) if part),
        record.key,
        extra={"ccv2_event": "job_settled"},
    )
