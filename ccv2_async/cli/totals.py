"""What all items of a run come to: how many have ended, how fast they go, what is left today."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from ccv2_async.cli.jobs import Stage
from ccv2_async.cli.tables import in_bytes, lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccv2_async.cli.jobs import JobItem

__all__ = ["Quota", "Totals"]

_WINDOW = 10.0
"""Seconds over which speeds are taken."""


class Quota(Protocol):
    """The part of a client's budget that is shown."""

    @property
    def used(self) -> int:
        """Calls made so far, whatever the day."""
        ...

    @property
    def remaining_today(self) -> int | None:
        """Calls left today; None for no limit."""
        ...


class Totals:
    """The counts of one run, kept up to date change by change.

    Args:
        items: All that will be in the run.
        quota: Where calls are counted.
        finished: Those that an earlier run has finished, as far as is known. They take no time.
        clock: The time that speeds are taken on.

    Attributes:
        count: How many items there are.
        sending: Those that are being sent, in the order in which they began.
        at_service: Those that the service is at work on.
        done: How many have ended well.
        failed: How many have ended otherwise.
        earlier: How many of both were settled by an earlier run.
    """

    def __init__(
        self,
        items: Iterable[JobItem],
        quota: Quota,
        *,
        finished: Iterable[JobItem] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sizes = [item.size for item in items]
        self.count: int = len(sizes)
        self.sending: dict[JobItem, None] = {}
        self.at_service: dict[JobItem, None] = {}
        self.done: int = 0
        self.failed: int = 0
        self.earlier: int = 0
        self._quota = quota
        self._used_before = quota.used
        self._clock = clock
        self._began = clock()
        self._bytes = sum(sizes)
        self._sized = self._bytes > 0
        self._bytes_handed = 0
        self._handed = 0
        self._finished = set(finished)
        self._not_sent = len(self._finished)
        self._bytes -= sum(item.size for item in self._finished)
        self._samples: deque[tuple[float, int, int]] = deque([(self._began, 0, 0)])

    @property
    def ended(self) -> int:
        """How many have ended, well or not."""
        return self.done + self.failed

    @property
    def part(self) -> tuple[int, int]:
        """How much is done, and of how much: bytes, or items where nothing has a size."""
        return (self._bytes_sent, self._bytes) if self._bytes else (self.ended, self.count)

    def changed(self, item: JobItem) -> None:
        """Move the item to where it belongs; it has left the stage WAITING."""
        if item.stage is Stage.SENDING:
            self.sending[item] = None
            return
        if item in self.sending or item not in self.at_service:
            self._hand_over(item)
        self.sending.pop(item, None)
        if item.stage is Stage.AT_SERVICE:
            self.at_service[item] = None
            return
        self.at_service.pop(item, None)
        self.done += item.stage is Stage.DONE
        self.failed += item.stage is Stage.FAILED

    def _hand_over(self, item: JobItem) -> None:
        self.earlier += item.earlier
        if item in self._finished:  # it counts already, as one that is not sent
            self._finished.remove(item)
            self._not_sent -= 1
            self._bytes += item.size
        if item.attempt:
            self._handed += 1
            self._bytes_handed += item.size
        else:
            # Nothing of it was sent by this run: an earlier one did, or it was refused before.
            self._not_sent += 1
            self._bytes -= item.size

    @property
    def _bytes_sent(self) -> int:
        return self._bytes_handed + sum(item.sent for item in self.sending)

    def lines(self) -> list[str]:
        """Everything as text: counts and time to go, then speeds and quota."""
        counts = [f"{self.done:,} of {self.count:,} done"]
        if self.earlier:
            counts.append(f"{self.earlier:,} by an earlier run")
        if self.failed:
            counts.append(f"{self.failed:,} failed")
        if not self._sized:
            return [" · ".join([*counts, *self._calls()])]
        counts.append(f"{in_bytes(self._bytes_sent)} of {in_bytes(self._bytes)}")
        files, amount = self._speeds()
        left = self._time_left(files, amount)
        if left:
            counts.append(left)
        speeds = [f"{files:.1f} files/s"] * bool(files) + [f"{in_bytes(amount)}/s"] * bool(amount)
        return [" · ".join(counts), " · ".join([*speeds, *self._calls()])]

    def summary(self) -> str:
        """How long it took, and what it cost."""
        calls = max(0, self._quota.used - self._used_before)
        return f"{lasting(self._clock() - self._began)}, {_in_calls(calls)}"

    def _calls(self) -> list[str]:
        used = max(0, self._quota.used - self._used_before)
        left = self._quota.remaining_today
        limit = "no daily quota" if left is None else f"{left:,} left today"
        return [_in_calls(used), limit]

    def _speeds(self) -> tuple[float, float]:
        """Files and bytes that were sent a second, over the last seconds."""
        now = self._clock()
        self._samples.append((now, self._handed, self._bytes_sent))
        while self._samples[0][0] < now - _WINDOW:
            self._samples.popleft()
        since, files, amount = self._samples[0]
        passed = now - since
        if passed <= 0:
            return 0.0, 0.0
        return (self._handed - files) / passed, max(0.0, (self._bytes_sent - amount) / passed)

    def _time_left(self, files: float, amount: float) -> str:
        """How long it takes to send the rest: as long as its number or its bytes need."""
        waiting = self.count - self._not_sent - self._handed
        if not waiting:
            return f"waiting for {len(self.at_service):,}" if self.at_service else ""
        rests = ((waiting, files), (self._bytes - self._bytes_sent, amount))
        needs = [rest / rate for rest, rate in rests if rate]
        return f"{lasting(max(needs))} to go" if needs else ""


def _in_calls(calls: int) -> str:
    return "1 call" if calls == 1 else f"{calls:,} calls"
