"""Where the workers keep their jobs, and who is at work on which."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Self

from ccv2_async import errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ccv2_async.bulk.results import BulkState
    from ccv2_async.workers.records import JobRecord, Line


class StoreUnavailable(errors.ConstantContactError):
    """The store of the workers does not answer. Safe to try again: yes."""

    safe_to_retry = True


class JobStore(abc.ABC):
    """Jobs by their keys, in the order in which they want attention, and locks that expire.

    Every method may raise `StoreUnavailable`. What is written is kept when the method returns.
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
        """The record of a job, or None."""

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
