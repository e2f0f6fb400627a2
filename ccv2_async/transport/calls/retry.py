"""Decide what to do when a call fails: a table, and the delays between attempts.

The decision depends on what the call does and how far it got, not on its HTTP method.

Effects::

    SAFE        reads
    IDEMPOTENT  PUT, DELETE: doing it twice is doing it once
    CONVERGENT  bulk activities: a repeat ends in the same place, but starts another job
    ADDITIVE    library upload, create folder, campaign, event: a repeat makes a duplicate

The table, which is `TABLE` in the code::

                       SAFE      IDEMPOTENT   CONVERGENT   ADDITIVE
    NEVER_CONNECTED    RETRY     RETRY        RETRY        RETRY
    PARTLY_SENT        RETRY     RETRY        RETRY        RETRY_ONCE
    UNANSWERED         RETRY     RETRY        RETRY_ONCE   LOOK
    OVER_RATE          WAIT      WAIT         WAIT         WAIT
    OVER_DAY           RAISE     RAISE        RAISE        RAISE
    SERVER_BUSY        RETRY     RETRY        RETRY        RETRY      (503 with Retry-After)
    SERVER_FAILED      RETRY     RETRY        RETRY        LOOK
    UNAUTHORIZED       REFRESH   REFRESH      REFRESH      REFRESH
    REDIRECTED         RAISE     RAISE        RAISE        RAISE
    REFUSED            RAISE     RAISE        RAISE        RAISE
    GARBLED            RETRY     RAISE        RAISE        RAISE      (carried out)

LOOK means that the caller must check whether the call was carried out before it is repeated. If an
attempt at an ADDITIVE call may have been carried out, and the call ends with any error, the error
is `OutcomeUnknown`; the error of another change says it. If an attempt at a DELETE of one resource
may have been carried out, and the service then says that it does not know the resource, the call
has succeeded; but not if it is of a contact, which is opted out or leaves lists, and stays known.

A download is a read whose bytes come after the response. When they break off, or another host
refuses them, the table decides as well: 429 of another host is SERVER_BUSY, and a WAIT is over,
because the call itself has waited.

A status request that failed slowly is not repeated; see `QUICK_LOOK`.
"""

from __future__ import annotations

import enum
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

import attrs

ATTEMPTS = 3
"""The maximum number of attempts at a call; waits for the quota do not count."""

RATE_WAITS = 8
"""How many times a call waits for the quota before it fails."""

QUICK_LOOK = 1.0
"""Seconds. A status request that took longer to fail is not repeated: it holds up other jobs."""

BASE_DELAY = 0.5
MAX_DELAY = 20.0
LONGEST_HINT = 120.0
"""In seconds. If the server asks for a longer wait, the call fails immediately."""


class Effect(enum.Enum):
    """What a call does to the account."""

    SAFE = "safe"
    IDEMPOTENT = "idempotent"
    CONVERGENT = "convergent"
    ADDITIVE = "additive"


class FailureKind(enum.Enum):
    """How an attempt failed."""

    NEVER_CONNECTED = "never connected"
    PARTLY_SENT = "body partly sent, connection lost"
    UNANSWERED = "sent in full, no response"
    OVER_RATE = "over the calls per second, or too many jobs"
    OVER_DAY = "over the calls per day"
    SERVER_BUSY = "503 with Retry-After"
    SERVER_FAILED = "408, 500, 502, 503, 504 and similar"
    UNAUTHORIZED = "401"
    REDIRECTED = "a redirect"
    REFUSED = "another 4xx"
    GARBLED = "success, but the response cannot be read"


class Decision(enum.Enum):
    """What to do next."""

    RETRY = "send it again"
    RETRY_ONCE = "send it again, once"
    WAIT = "wait for the quota, then send it again"
    REFRESH = "ask the credentials for a fresh token, once"
    LOOK = "check whether it was carried out before repeating anything"
    RAISE = "tell the caller"


def _row(
    safe: Decision, convergent: Decision | None = None, additive: Decision | None = None
) -> dict[Effect, Decision]:
    """Return a row. An effect without a decision gets that of the column to its left."""
    convergent = convergent or safe
    return {
        Effect.SAFE: safe,
        Effect.IDEMPOTENT: safe,
        Effect.CONVERGENT: convergent,
        Effect.ADDITIVE: additive or convergent,
    }


TABLE: dict[FailureKind, dict[Effect, Decision]] = {
    FailureKind.NEVER_CONNECTED: _row(Decision.RETRY),
    FailureKind.PARTLY_SENT: _row(Decision.RETRY, Decision.RETRY, Decision.RETRY_ONCE),
    FailureKind.UNANSWERED: _row(Decision.RETRY, Decision.RETRY_ONCE, Decision.LOOK),
    FailureKind.OVER_RATE: _row(Decision.WAIT),
    FailureKind.OVER_DAY: _row(Decision.RAISE),
    FailureKind.SERVER_BUSY: _row(Decision.RETRY),
    FailureKind.SERVER_FAILED: _row(Decision.RETRY, Decision.RETRY, Decision.LOOK),
    FailureKind.UNAUTHORIZED: _row(Decision.REFRESH),
    FailureKind.REDIRECTED: _row(Decision.RAISE),
    FailureKind.REFUSED: _row(Decision.RAISE),
    FailureKind.GARBLED: {**_row(Decision.RAISE), Effect.SAFE: Decision.RETRY},
}


MAY_HAVE_BEEN_CARRIED_OUT = frozenset(
    {FailureKind.UNANSWERED, FailureKind.SERVER_BUSY, FailureKind.SERVER_FAILED}
)


@attrs.define
class Tries:
    """The attempts at one call so far.

    Attributes:
        sent: How many attempts failed.
        once: Whether the single retry of a `RETRY_ONCE` has been used.
        waits: How many times the call has waited for the quota.
        doubtful: How many failed attempts may have been carried out.
        refreshed: Whether the call has used a fresh token.
        counts: Whether the day's count includes the current attempt.
        granted: When the quota admitted the current attempt, on the monotonic clock.
        began: When it admitted the first one.
    """

    sent: int = 0
    once: bool = False
    waits: int = 0
    doubtful: int = 0
    refreshed: bool = False
    counts: bool = False
    granted: float = 0.0
    began: float = 0.0

    @property
    def number(self) -> int:
        """The number of the next attempt, from 1; a fresh token or a wait counts too."""
        return self.sent + self.waits + 1

    def decide(self, kind: FailureKind, effect: Effect) -> Decision:
        """Return the decision of the table, or RAISE if the call has no such retry left.

        It counts each retry that it grants, so call it once for each failed attempt.
        """
        decision = TABLE[kind][effect]
        self.sent += 1
        if kind in MAY_HAVE_BEEN_CARRIED_OUT:
            self.doubtful += 1
        match decision:
            case Decision.RETRY:
                granted = self.sent < ATTEMPTS
            case Decision.RETRY_ONCE:
                granted = self.sent < ATTEMPTS and not self.once
                self.once = True
            case Decision.WAIT:
                granted = self.waits < RATE_WAITS
                self.waits += 1
                # A refusal by the gateway does not count as an attempt: nothing was carried out.
                self.sent -= 1
            case Decision.REFRESH:
                granted = not self.refreshed
                self.refreshed = True
            case Decision.LOOK | Decision.RAISE:
                return decision
        return decision if granted else Decision.RAISE


def backoff(attempt: int, jitter: float, hint: float | None = None) -> float:
    """Return the seconds to wait after an attempt: full jitter, but at least the hint.

    Args:
        attempt: How many times the call was sent.
        jitter: A random number from 0 (inclusive) to 1.
        hint: The seconds that the server asked to wait, or None.
    """
    ceiling = min(MAX_DELAY, BASE_DELAY * 2.0 ** min(attempt, 16))
    return max(jitter * ceiling, hint or 0.0)


_LONGEST_DATE = 100  # characters; parsing very many takes long
_SECONDS = re.compile(r"[+]?[0-9]*(?:\.[0-9]*)?")


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a Retry-After header, or None if it is not valid.

    Accepts seconds, fractions, and HTTP dates; a date in the past is 0. Negative numbers, NaN, and
    other text are None. A number with too many digits becomes infinity, which no caller waits for.

    Args:
        value: The header, or None.
        now: Seconds since 1970, to measure dates from.
    """
    if value is None:
        return None
    text = value.strip()
    if any(char.isdigit() for char in text) and _SECONDS.fullmatch(text):
        return float(text)  # too many digits give inf, never an error
    if len(text) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(text)
        # Without a zone it is UTC, as HTTP dates are, and not the local time of this machine.
        when = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None
    return max(0.0, when - now)


@attrs.define
class RetryAllowance:
    """The retries that all calls of a client share, so that an outage does not multiply traffic.

    The numbers are those of botocore's standard mode: 500 at the start and 5 for each retry. A
    retry that succeeds returns 5, and a call that succeeds without a retry returns 1.
    """

    capacity: float = 500.0
    cost: float = 5.0
    refund: float = 1.0
    left: float = attrs.field(
        default=attrs.Factory(lambda self: self.capacity, takes_self=True), init=False
    )

    def take(self) -> bool:
        """Take one retry, or return False if none is left."""
        if self.left < self.cost:
            return False
        self.left -= self.cost
        return True

    def succeeded(self, retries: int) -> None:
        """Give back the cost of a call that succeeded after this many retries."""
        self.left = min(self.capacity, self.left + (self.cost if retries else self.refund))
