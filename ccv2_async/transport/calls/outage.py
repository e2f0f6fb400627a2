"""Hold bulk calls back while the service is down, and probe until it is back."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from ccv2_async import errors
from ccv2_async.observe import OutageBegan, OutageEnded
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.circuit import Circuit, State, signal_of
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from ccv2_async.clock import Clock
    from ccv2_async.observe import Hook
    from ccv2_async.transport.calls.deadline import Deadline
    from ccv2_async.transport.calls.retry import FailureKind

logger: logging.Logger = logging.getLogger("ccv2_async.transport")

PROBE = Call(
    "GET", "/library/info", Effect.SAFE, "asking whether the service is back", lane=Lane.BULK
)
"""The call that asks whether the service is back: cheap, and it changes nothing."""

SYMPTOMS = (errors.TransportError, errors.ServerError)
"""The errors of calls during an outage."""


class _Calls(Protocol):
    """The session of a caller."""

    @property
    def limit(self) -> Deadline | None:
        """The earliest deadline block around the caller."""

    async def send(self, call: Call) -> object:
        """Make a call."""

    def holding(self, lock: asyncio.Lock, what: str) -> AbstractAsyncContextManager[None]:
        """Hold a lock that calls need."""


class Outage:
    """The state of an outage of the service, as one client knows it.

    Args:
        clock: The clock for the intervals.
        hook: Called when an outage begins and ends.
    """

    def __init__(self, clock: Clock, hook: Hook) -> None:
        self._clock = clock
        self._hook = hook
        self._circuit = Circuit()
        self._lock = asyncio.Lock()
        self._why = ""
        self._reported = False
        self.openings: int = 0
        """How many times the circuit has opened so far, including after failed probes."""

    @property
    def is_ongoing(self) -> bool:
        """Whether the service is down, as far as the client knows."""
        return self._is(State.OPEN)

    @property
    def seconds(self) -> float | None:
        """How long the outage has lasted, in seconds; None when there is none."""
        if self._circuit.state is State.CLOSED:
            return None
        return self._clock.monotonic() - self._circuit.since

    def note(self, effect: Effect, kind: FailureKind | None, why: str = "") -> None:
        """Take one attempt at a call into account.

        Args:
            effect: What the call does.
            kind: How it failed; None if it succeeded.
            why: The reason, for messages.
        """
        signal = signal_of(effect, kind)
        if signal is None:
            return
        lasted = self.seconds
        was_open = self._is(State.OPEN)
        self._circuit.note(signal, self._clock.monotonic())
        if self._is(State.OPEN) and not was_open:
            self.openings += 1
        if self._circuit.state is not State.CLOSED:
            self._why = why or self._why
        elif lasted is not None:
            self._over(lasted)

    def holds(self, lane: Lane) -> bool:
        """Return whether calls of this lane must wait.

        Only bulk calls are held back. Once a probe is due, any of them may be the probe.
        """
        return lane is Lane.BULK and self._is(State.OPEN) and not self._probe_is_due

    def stops_retries(self, lane: Lane) -> bool:
        """Return whether calls of this lane are not retried.

        These include status checks once a caller waits for the end of the outage, because they
        are repeated at growing intervals anyway.
        """
        concerned = lane is Lane.BULK or (lane is Lane.POLL and self._reported)
        return concerned and self._circuit.state is State.OPEN

    def refusal(self, what: str) -> errors.ServiceUnavailable:
        """Return the error of a call that is held back."""
        return errors.ServiceUnavailable.from_parts(
            what, f"the service is not available ({self._why})", "It was not sent; try again later."
        )

    @asynccontextmanager
    async def turn(self, session: _Calls, *, since: float, patience: float) -> AsyncIterator[None]:
        """Wait for the end of an outage before a bulk call.

        During an outage, one of the callers probes the service. When a probe is answered, one
        caller may try its call; the others follow once it succeeds.

        Args:
            session: Sends the probes. The deadline blocks around the caller limit the wait.
            since: When the caller began its work, on the monotonic clock.
            patience: How many seconds of an outage the caller waits.

        Raises:
            DeadlineExceeded: The deadline passed first. Nothing was sent.
            ServiceUnavailable: The outage lasted longer than `patience`.
            ConstantContactError: A probe failed for a reason other than an outage.
        """
        if self._is(State.CLOSED):
            yield
            return
        self._report()
        while not self._is(State.CLOSED):
            # Without the lock: the others may have less time, or less patience.
            ends = max(since, self._circuit.since) + patience
            if self._is(State.OPEN) and await self._rested(session.limit, ends, patience):
                continue
            async with session.holding(self._lock, "waiting for the service"):
                if self._is(State.OPEN) and self._probe_is_due:
                    await self._probe(session)
                if self._is(State.HALF_OPEN):
                    yield
                    return
        yield

    @property
    def _probe_is_due(self) -> bool:
        return self._clock.monotonic() >= self._circuit.probe_at

    def _is(self, state: State) -> bool:
        return self._circuit.state is state

    async def _rested(self, limit: Deadline | None, ends: float, patience: float) -> bool:
        """Wait until a probe is due, but no longer than the caller can; return whether it did."""
        if limit is not None and limit.left <= 0.0:
            raise errors.DeadlineExceeded(
                f"The service was not available within {limit.seconds:g} s ({self._why}). "
                "Nothing was sent; try again later."
            )
        now, due = self._clock.monotonic(), self._circuit.probe_at
        if now >= ends:
            raise errors.ServiceUnavailable(
                f"The service has not been available for {_lasting(patience)} ({self._why}). "
                "The work was stopped. The rest was not done; run it again later."
            )
        if now < due:
            at = min(due, ends) if limit is None else min(due, ends, limit.ends)
            await self._clock.sleep(at - now)
        return now < due

    async def _probe(self, session: _Calls) -> None:
        due = self._circuit.probe_at
        try:
            await session.send(PROBE)
        except errors.ConstantContactError:
            if self._circuit.state is State.OPEN and self._circuit.probe_at == due:
                raise  # it says nothing about an outage

    def _report(self) -> None:
        """Report once that the service is down."""
        if self._reported:
            return
        self._reported = True
        logger.warning(
            "The service is not available (%s). The work is paused, and will continue "
            "when the service is back.",
            self._why,
        )
        self._hook(OutageBegan(self._why))

    def _over(self, lasted: float) -> None:
        if self._reported:
            self._reported = False
            logger.warning("The service is back after %.0f s. The work continues.", lasted)
            self._hook(OutageEnded(lasted))


def _lasting(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60.0 else f"{seconds / 60.0:g} min"
