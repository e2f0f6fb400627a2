"""One API key's quota shared by any number of processes and machines, through Redis.

Each process keeps its own queue with its lanes, and asks Redis for one slot at a time, for the
first waiter. The slot goes to the waiter that is first when it arrives. Between processes, Redis
keeps the lanes: see `redis_window.py`.

When Redis is unavailable, each process uses a share of the quota, and logs this once. It asks
Redis before each call from its share, and every second, so it stops using the share once Redis is
back. Afterwards, the calls made during that time are added to the day's count, and the newest of
them to the window. No process starts before all have had time to return.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from typing import TYPE_CHECKING

from ccv2_async.errors import InvalidField, UsageError
from ccv2_async.models.validation import is_count, is_number, is_text
from ccv2_async.secret import Secret, without_arguments
from ccv2_async.transport.quota.budget import DAY, SHORTEST_WAIT, Budget

if TYPE_CHECKING:
    from ccv2_async.clock import Clock
    from ccv2_async.transport.quota import Lane

logger: logging.Logger = logging.getLogger("ccv2_async.transport")

MARGIN = 0.05
PROBE_SECONDS = 1.0
FRESH_SECONDS = 0.05
"""Seconds for which Redis still counts as unavailable after it did not answer."""
TIMEOUT = 0.5
EXPECTED = 4
_AFTER_AN_OUTAGE = "-"
_TOO_LATE_AT_MOST = 2


class SharedBudget(Budget):
    """Calls per second and per day of one API key, over all processes that use the same Redis.

    Pass it to the client as `budget=`, and close it after the client. Needs the extra `[redis]`
    and Redis 6.2 or later.

    The seconds are measured by Redis's clock, but each process takes the day from its own. While
    the clocks of two processes show different days (UTC), each day has a count of its own.

    Args:
        url: The URL of Redis: `redis://host:port/0`, `rediss://` or `unix://`.
        api_key: The application's key, as a string or a `Secret`. Redis gets a digest of it, never
            the key.
        per_second: Calls in any one second of all processes together; None lifts the limit.
        per_day: Calls in one day (UTC) of all processes together; None lifts the limit.
        margin: Seconds by which the window is wider than one second. Calls sent a second apart may
            arrive closer together, by the difference of their latencies: 50 ms is enough for
            machines near each other, and costs 5% of the quota.
        expected: The number of processes that share the key, which decides the share of each while
            Redis is unavailable. If more were seen, their number counts.
        timeout: Seconds without a response after which Redis counts as unavailable.
        clock: The clock for waits and days.

    Raises:
        InvalidField: A limit is not above zero, or the key is not text.
        UsageError: The extra is not installed, or the URL is not a Redis URL.
    """

    @without_arguments
    def __init__(
        self,
        url: str,
        *,
        api_key: str | Secret[str],
        per_second: float | None = 4,
        per_day: int | None = 10_000,
        margin: float = MARGIN,
        expected: int = EXPECTED,
        timeout: float = TIMEOUT,
        clock: Clock | None = None,
    ) -> None:
        api_key = Secret(api_key)
        if not is_text(api_key.reveal()) or api_key.reveal() == "":
            raise InvalidField("api_key", type(api_key.reveal()), "it must be the key, as text")
        if not is_number(margin) or not 0 <= margin <= 10:
            raise InvalidField("margin", margin, "it must be from 0 to 10 seconds")
        if not is_count(expected):
            raise InvalidField("expected", expected, "it must be a whole number, 1 or more")
        super().__init__(per_second, per_day, clock=clock)
        if per_second is not None:
            self._window = (1.0 + margin) * max(1.0, self._burst / per_second)
        self._margin = margin
        self._expected = expected
        try:
            from ccv2_async.transport.quota.redis_window import PacedWindow  # noqa: PLC0415  # the extra
        except ImportError as error:
            raise UsageError(
                f"A shared quota needs the extra: pip install 'ccv2-async[redis]' ({error.name} is "
                "missing)."
            ) from None
        self._shared = PacedWindow(
            url,
            api_key=api_key,
            me=f"{socket.gethostname()[:40]}.{os.getpid()}.{secrets.token_hex(4)}",
            burst=self._burst,
            window=self._window,
            per_day=per_day,
            settle=PROBE_SECONDS + TIMEOUT + self._window,
            timeout=timeout,
        )
        self._local: Budget | None = None
        self._missed = self._ask_again = 0.0
        self._seen = 1
        self._epoch: bytes | str = ""
        self._used_by_all = self._unreported = self._reported = 0
        self._unsent_pause = self._unsent_end = 0.0
        self._quickest = float("inf")
        self._too_late = 0

    @property
    def degraded(self) -> bool:
        """Whether Redis is unavailable, so that this process uses only its share."""
        return self._local is not None

    @property
    def remaining_today(self) -> int | None:
        """Calls left today by the last known count of all processes; None means no limit."""
        if not (remaining := super().remaining_today) or self.per_day is None:
            return remaining
        return max(0, self.per_day - max(self._used_by_all, self._used_today))

    def pause(self, seconds: float) -> None:
        """Hold back the calls of all processes for some seconds."""
        super().pause(seconds)
        self._unsent_pause = max(self._unsent_pause, self._clock.monotonic() + seconds)
        self._work.stir()

    def end_day(self) -> None:
        """Treat today's calls as used up, in every process."""
        super().end_day()
        self._unsent_end = self._over_until

    async def acquire(self, lane: Lane, what: str = "call") -> None:
        """Wait until a call of this lane may be sent; it is then counted for all processes.

        Args:
            lane: The priority of the call.
            what: The name of the call, for messages.

        Raises:
            DailyQuotaExceeded: The day's calls are used up. Nothing was sent.
            UsageError: Another event loop uses the budget. Nothing was sent.
        """
        self._enter_loop(what)
        if self._unsent_end and self._local is None:
            await self._ask(lane)
        await super().acquire(lane, what)

    def give_back(self) -> None:
        """Do nothing: the slot is used up in Redis, so the shared count may be too high by one."""

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._shared.aclose()

    def _leave_loop(self) -> None:
        super()._leave_loop()
        self._shared.forget_connections()

    def _take_at_once(self) -> bool:
        return False

    def _delay(self) -> float:
        now = self._clock.monotonic()
        wait = self._ask_again - now
        if self._local is not None:
            share = self._local._delay()  # noqa: SLF001  # of this class
            wait = min(share, self._missed + PROBE_SECONDS - now)
        return max(super()._delay(), wait if wait > SHORTEST_WAIT else 0.0)

    def _check_day(self) -> None:
        day = self._day
        super()._check_day()
        if self._day != day:
            self._used_by_all = 0

    async def _step(self) -> None:
        """Bring the first waiter one step closer to its call; the leader calls this."""
        if (delay := self._delay()) > 0.0 and not self._has_news():
            await self._work.rest(delay)
        self._drop_done()
        if not self._queue:
            return
        if self.remaining_today == 0:
            self._refuse_all()
            return
        if await self._has_slot(self._queue[0].order[0]):
            self._drop_done()
            if self.remaining_today == 0:
                self._refuse_all()
            elif self._queue:
                self._used_by_all += 1
                self._grant_first()

    def _has_news(self) -> bool:
        """Return whether other processes must be notified before this one rests."""
        may_ask = self._local is None or self._missed_for(PROBE_SECONDS)
        return may_ask and (self._unsent_end > 0.0 or self._unsent_pause > 0.0)

    def _missed_for(self, seconds: float) -> bool:
        """Return whether the last request to Redis failed, at least this many seconds ago."""
        return self._clock.monotonic() - self._missed >= seconds

    async def _has_slot(self, lane: Lane) -> bool:
        """Return whether Redis gives a slot, or the share has one while Redis is unavailable."""
        fresh = PROBE_SECONDS if self.per_second is None else FRESH_SECONDS
        if (self._local is None or self._missed_for(fresh)) and await self._ask(lane):
            return True
        # Meanwhile, the service may have asked for a pause, or all waiters may have left.
        if self._local is None or self._delay() > 0.0 or not self.contended:
            return False
        self._local._count()  # noqa: SLF001
        self._unreported += 1
        return True

    async def _ask(self, lane: Lane) -> bool:
        """Ask Redis for a slot; return whether there is one now."""
        asked, day, unreported = self._clock.monotonic(), self._today(), self._unreported
        pause, end = self._unsent_pause, self._unsent_end
        try:
            reply = await self._shared.ask(
                int(lane),
                day,
                pause=max(0.0, pause - asked),
                end=min(max(0.0, end - self._now()), DAY),  # the clock may have been set back
                unreported=unreported,
                reported=self._reported,
                recent=min(unreported, self._taken_lately()),
                epoch=self._epoch,
            )
        except Exception as error:  # noqa: BLE001  # redis-py raises many for odd responses
            self._degrade(error)
            return False
        # Changes during the request go into the next one.
        if self._unsent_end == end:
            self._unsent_end = 0.0
        if self._unsent_pause == pause:
            self._unsent_pause = 0.0
        self._unreported -= unreported
        self._reported += unreported
        self._recover()
        self._check_day()
        self._seen, self._epoch = reply.seen, reply.epoch
        if self._day == day:  # otherwise, midnight has passed since
            self._used_by_all = reply.used
        if reply.word == "over":
            if reply.wait:
                self._end_calls(self._now() + reply.wait)
            return False
        if reply.word == "wait":
            self._ask_again = self._clock.monotonic() + reply.wait
            return False
        self._used_by_all -= 1  # counted again where it is granted
        return self._in_time(self._clock.monotonic() - asked)

    def _taken_lately(self) -> int:
        """Return how many calls from the share may still count in the window."""
        since = self._clock.monotonic() - self._window
        return sum(at > since for at in self._local._recent) if self._local else 0  # noqa: SLF001

    def _in_time(self, took: float) -> bool:
        """Return whether a slot may be used. A late slot may be too close to the next one.

        A late slot is lost. That happens at most twice in a row, so that a slow network does not
        stop all calls.
        """
        self._quickest = min(self._quickest, took)
        late = took - self._quickest > max(self._margin, 0.02) / 2
        self._too_late = self._too_late + 1 if late else 0
        return not late or self._too_late > _TOO_LATE_AT_MOST

    def _degrade(self, error: Exception) -> None:
        self._missed = self._clock.monotonic()
        self._epoch = _AFTER_AN_OUTAGE
        if self._local is not None:
            return
        sharers = max(self._expected, self._seen)
        share = None if self.per_second is None else self.per_second / sharers
        # The day's count is kept in this object; the service itself refuses calls over it.
        self._local = Budget(share, None, clock=self._clock)
        # Others, or a process that this one replaces, may have used up this second.
        self._local.pause(self._window)
        text = (
            "Redis does not answer (%s): the quota is no longer shared. This process uses 1/%d of "
            "it until Redis is back."
        )
        logger.warning(text, type(error).__name__, sharers, extra={"ccv2_event": "quota_degraded"})

    def _recover(self) -> None:
        if self._local is not None:
            self._local = None
            logger.warning(
                "Redis is back: the quota is shared again.", extra={"ccv2_event": "quota_recovered"}
            )
