"""Decide when an outage has begun and when it is over: a circuit breaker. Pure.

Calls are sent while the circuit is closed. Consecutive failures open it. While it is open, one
probe after another is sent, at growing intervals. A probe is a cheap read, and its response proves
little about uploads, so the circuit is then half-open: one upload may try. If that is answered, the
circuit is closed; if it fails, the circuit opens again and the intervals keep growing. If no upload
has failed, an answered read closes it too::

                failures in a row
    CLOSED ───────────────────────────> OPEN <──┐
      ^                                 │  ^  │ │ a probe fails
      │ a write is answered             │  │  └─┘
      │<────────────────────────────────┤  │
      │                 a probe is      │  │ a call fails
      │                 answered        v  │
      └────── a read is answered (3) ─ HALF_OPEN

The table, which is `TABLE` in the code::

                       CLOSED        OPEN             HALF_OPEN
    READ_ANSWERED      CLOSED        HALF_OPEN (2)    HALF_OPEN (3)
    WRITE_ANSWERED     CLOSED        CLOSED           CLOSED
    READ_FAILED        CLOSED (1)    OPEN             OPEN
    WRITE_FAILED       CLOSED (1)    OPEN             OPEN

(1) OPEN at the second failure of a write, or the third of a read, in a row. An answered read does
not interrupt a series of failed writes: a service may answer reads while it refuses uploads.

(2) Once the next probe is due. An earlier response belongs to a call that was not the probe, and
would cancel the interval.

(3) CLOSED if fewer than two writes in a row have failed. Then only reads have shown the outage, and
a client that only reads would never see its end otherwise.

A call that its caller's time limit ends after less than `FAIR_TIME` counts neither as answered nor
as failed: it says more about the limit than about the service. A call that is not repeated counts
as a series of failures if the service asks to wait longer than `LONGEST_HINT`. A read also does if
its own time is up: that is enough for two attempts without a response.
"""

from __future__ import annotations

import enum

import attrs

from ccv2_async.transport.calls.retry import MAY_HAVE_BEEN_CARRIED_OUT, Effect, FailureKind

FAILED_WRITES = 2
"""The number of consecutive failed writes that opens the circuit."""

FAILED_READS = 3
"""The number of consecutive failed reads that opens the circuit."""

FIRST_INTERVAL = 2.0
LONGEST_INTERVAL = 60.0
"""Seconds between two probes, at first and at most; each failure doubles them."""

LONGEST_TRY = 1000.0
"""Seconds, more than an upload takes. A failure so long after the last probe was due begins another
outage: only a client that has uploaded nothing since then is still half-open."""

FAIR_TIME = 10.0
"""The seconds that a caller must give a call, so that its end without a response is a failure."""


class State(enum.Enum):
    """Whether calls are sent."""

    CLOSED = "calls go out"
    OPEN = "probes go out"
    HALF_OPEN = "calls that wait go out one at a time"


class Signal(enum.Enum):
    """A signal about the service from one attempt at a call."""

    READ_ANSWERED = "a read was answered"
    WRITE_ANSWERED = "a write was answered"
    READ_FAILED = "a read got no response, or a server error"
    WRITE_FAILED = "a write got no response, or a server error"


def _row(closed: State, opened: State, half_open: State) -> dict[State, State]:
    return {State.CLOSED: closed, State.OPEN: opened, State.HALF_OPEN: half_open}


TABLE: dict[Signal, dict[State, State]] = {
    Signal.READ_ANSWERED: _row(State.CLOSED, State.HALF_OPEN, State.HALF_OPEN),
    Signal.WRITE_ANSWERED: _row(State.CLOSED, State.CLOSED, State.CLOSED),
    Signal.READ_FAILED: _row(State.CLOSED, State.OPEN, State.OPEN),
    Signal.WRITE_FAILED: _row(State.CLOSED, State.OPEN, State.OPEN),
}

FAILURES = (Signal.READ_FAILED, Signal.WRITE_FAILED)

# No response, or one that says that the service fails.
_SIGNS = MAY_HAVE_BEEN_CARRIED_OUT | {FailureKind.NEVER_CONNECTED, FailureKind.PARTLY_SENT}


def signal_of(effect: Effect, kind: FailureKind | None) -> Signal | None:
    """Return the signal from an attempt, or None if it gives none.

    Args:
        effect: What the call does.
        kind: How the attempt failed; None if it succeeded.
    """
    read = effect is Effect.SAFE
    if kind in _SIGNS:
        return Signal.READ_FAILED if read else Signal.WRITE_FAILED
    if kind is not None and kind is not FailureKind.REFUSED:
        return None  # a gateway in front of the service says this too
    return Signal.READ_ANSWERED if read else Signal.WRITE_ANSWERED


@attrs.define
class Circuit:
    """The circuit of one service. Times are passed in, on the monotonic clock.

    Attributes:
        state: Whether calls are sent.
        since: When the outage began; meaningless while the circuit is closed.
        probe_at: When the next probe is due; meaningless unless the circuit is open.
    """

    state: State = State.CLOSED
    since: float = 0.0
    probe_at: float = 0.0
    _interval: float = FIRST_INTERVAL
    _failed_reads: int = 0
    _failed_writes: int = 0

    @property
    def writes_fail(self) -> bool:
        """Whether failed writes alone show an outage."""
        return self._failed_writes >= FAILED_WRITES

    @property
    def reads_fail(self) -> bool:
        """Whether more reads than the attempts at one or two records have failed in a row."""
        return self._failed_reads >= 2 * FAILED_READS

    def note(self, signal: Signal, now: float) -> None:
        """Take one attempt at a call into account, when it has ended."""
        before = self.state
        self.state = TABLE[signal][before]
        if signal in FAILURES:
            self.state = self._failed(signal, before, now)
            return
        self._failed_reads = 0
        if signal is Signal.WRITE_ANSWERED:
            self._failed_writes = 0
        elif before is State.OPEN and now < self.probe_at:
            self.state = State.OPEN
        elif before is State.HALF_OPEN and not self.writes_fail:
            self.state = State.CLOSED

    def _failed(self, signal: Signal, before: State, now: float) -> State:
        self._failed_writes += signal is Signal.WRITE_FAILED
        self._failed_reads += signal is Signal.READ_FAILED
        if before is State.CLOSED and not self.writes_fail and self._failed_reads < FAILED_READS:
            return State.CLOSED
        if before is State.OPEN and now < self.probe_at:
            return State.OPEN  # it was sent before the circuit opened, so it proves nothing
        if before is State.CLOSED or now > self.probe_at + LONGEST_TRY:
            self.since, self._interval = now, FIRST_INTERVAL
        else:
            self._interval = min(LONGEST_INTERVAL, 2.0 * self._interval)
        self.probe_at = now + self._interval
        return State.OPEN
