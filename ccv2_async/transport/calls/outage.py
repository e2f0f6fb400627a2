"""Hold bulk calls back while the service is down, and probe until it is back."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ccv2_async import errors
from ccv2_async.observe import OutageBegan, OutageEnded
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.circuit import FAILURES, Circuit, State, signal_of
from ccv2_async.transport.calls.deadline import Deadline
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.leader import SharedWork, Waiter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from ccv2_async.clock import Clock
    from ccv2_async.observe import Hook
    from ccv2_async.transport.calls.retry import FailureKind

logger: logging.Logger = logging.getLogger("ccv2_async.transport")

PROBE = Call(
    "GET", "/library/info", Effect.SAFE, "asking whether the service is back", lane=Lane.BULK
)
"""The call that asks whether the service is back: cheap, and it changes nothing."""

Probe: TypeAlias = "Callable[[], Awaitable[object]]"
WhileOpen: TypeAlias = "Callable[[str], AbstractAsyncContextManager[None]]"

SYMPTOMS = (errors.TransportError, errors.ServerError)
"""The errors of calls during an outage."""

MOST_FAILURES = 10
"""How often work fails over five to ten minutes, although probes are answered in between, until
the outage is not the reason."""

SETBACK = 1.0
"""The seconds of patience that each failure costs, so that one that has failed less leads."""

BLOCKED = (errors.AuthenticationFailed, errors.Forbidden, errors.UnexpectedRedirect)
"""The errors that affect every call, unless a firewall blocks one because of its contents."""

FATAL = (*errors.AFFECTS_EVERY_CALL, *BLOCKED)
"""The errors that affect every call; of `BLOCKED`, only `Session.ends_all` can tell."""


class Outage:
    """The state of an outage of the service, as one client knows it.

    Args:
        clock: The clock for the intervals.
        hook: Called when an outage begins and ends.
        probe: Sends `PROBE` for all callers, so without the deadlines of any.
        while_open: Interrupts a wait when the client is closed; see `Session.while_open`.
    """

    def __init__(self, clock: Clock, hook: Hook, probe: Probe, while_open: WhileOpen) -> None:
        self._clock = clock
        self._probe = probe
        self._while_open = while_open
        self._hook = hook
        self._circuit = Circuit()
        self._waiters = SharedWork(clock)
        self._why = ""
        self._reported = False
        self._trying: Waiter | None = None
        self.is_total: bool = False
        """Whether the last probe failed too, and not only uploads or some records."""
        self.openings: int = 0
        """How many failures have opened the circuit so far, or kept it open."""

    @property
    def is_ongoing(self) -> bool:
        """Whether the service is down, as far as the client knows."""
        return self._circuit.state is State.OPEN

    @property
    def seconds(self) -> float | None:
        """How long the outage has lasted, in seconds; None when there is none."""
        if self._circuit.state is State.CLOSED:
            return None
        return self._clock.monotonic() - self._circuit.since

    def explains(self, error: errors.ConstantContactError, openings: int) -> bool:
        """Return whether an outage may have caused an error, even if it is over by now.

        Args:
            error: The error of an upload, whose look may have been held back.
            openings: The count before the upload.
        """
        held_back = isinstance(error.__cause__, errors.ServiceUnavailable)
        return held_back or self.is_ongoing or self.openings != openings

    def note(self, effect: Effect, kind: FailureKind | None, why: str = "") -> None:
        """Take one attempt at a call into account.

        Args:
            effect: What the call does.
            kind: How it failed; None if it succeeded.
            why: The reason, for messages.
        """
        if (signal := signal_of(effect, kind)) is None:
            return
        lasted = self.seconds
        self._circuit.note(signal, self._clock.monotonic())
        self.is_total &= self.is_ongoing
        self.openings += self.is_ongoing and signal in FAILURES
        if self._circuit.state is not State.CLOSED:
            self._why = why or self._why
            self._waiters.stir()  # the call of the one that tries may have failed
        elif lasted is not None:
            self._waiters.finish_all()
            self._over(lasted)

    def holds(self, call: Call) -> bool:
        """Return whether a call must wait.

        Only bulk calls are held back. A read is held back only while a caller waits for the end of
        the outage, or if many reads fail: one record that the service fails to read says nothing
        about the next one. Once a probe is due, any of them may be the probe.
        """
        circuit = self._circuit
        fails = circuit.reads_fail or (circuit.writes_fail and call.effect is not Effect.SAFE)
        held = call.lane is Lane.BULK and (fails or self._waiters.has_waiters)
        return held and self.is_ongoing and self._clock.monotonic() < circuit.probe_at

    def stops_retries(self, lane: Lane) -> bool:
        """Return whether calls of this lane are not retried.

        These include status checks once a caller waits for the end of the outage, because they
        are repeated at growing intervals anyway.
        """
        concerned = lane is Lane.BULK or (lane is Lane.POLL and self._waiters.has_waiters)
        return concerned and self.is_ongoing

    def refusal(self, what: str) -> errors.ServiceUnavailable:
        """Return the error of a call that is held back."""
        return errors.ServiceUnavailable.from_parts(
            what, f"the service is not available ({self._why})", "It was not sent; try again later."
        )

    @asynccontextmanager
    async def turn(
        self, limit: Deadline | None, since: float, patience: float, failures: int = 0
    ) -> AsyncIterator[None]:
        """Wait for the end of an outage before a bulk call.

        During an outage, the caller that has the most time probes the service. When a probe is
        answered, the one that has failed least may try its call; the others follow once it
        succeeds, or one at a time. A caller whose patience ends during such a try may try its call
        too. No caller that tries is in a queue, where its deadline would hide that of others.

        Args:
            limit: The earliest deadline of the caller.
            since: When the caller began its work, on the monotonic clock.
            patience: How many seconds of an outage the caller waits.
            failures: How often its call has failed; see `SETBACK`.

        Raises:
            DeadlineExceeded: The deadline passed first. Nothing was sent.
            ServiceUnavailable: The outage lasted longer than `patience`.
            ClientClosed: The client was closed.
            ConstantContactError: A probe failed for a reason other than an outage.
        """
        waiter = Waiter()
        try:
            if self._circuit.state is not State.CLOSED:
                self._report()
                step = partial(self._advance, waiter)
                ends = max(since, self._circuit.since) + patience - SETBACK * failures
                most = Deadline(patience, ends, self._clock)
                limit = most.or_earlier(limit)
                self._waiters.enter(waiter, max(0.0, limit.left))
                try:
                    async with self._while_open("waiting for the end of the outage"):
                        while not waiter.done:
                            await self._waiters.lead_or_sleep(waiter, step)
                except TimeoutError:
                    if limit is not most or self._circuit.state is State.OPEN:
                        raise self._too_late(limit, is_deadline=limit is not most) from None
                finally:
                    self._waiters.leave(waiter)
            yield
        finally:
            if self._trying is waiter:
                self._trying = None
                self._waiters.stir()

    def _too_late(self, limit: Deadline, *, is_deadline: bool) -> errors.TransportError:
        if is_deadline:
            return errors.DeadlineExceeded(
                f"The service was not available within {limit.seconds:g} s ({self._why}). "
                "Nothing was sent; try again later."
            )
        time = f"{limit.seconds:g} s" if limit.seconds < 60.0 else f"{limit.seconds / 60.0:g} min"
        return errors.ServiceUnavailable(
            f"The service has not been available for {time} ({self._why}). "
            "The work was stopped. The rest was not done; run it again later."
        )

    async def _advance(self, leader: Waiter) -> None:
        """Rest until a probe is due, or probe. End the leader's wait if it may try its call."""
        now, due = self._clock.monotonic(), self._circuit.probe_at
        if now >= leader.deadline:
            raise TimeoutError  # no timer is faster than probes that fail at once
        if self.is_ongoing and now >= due:
            self._trying = None  # it may work on for long after its call has failed
            try:
                with suppress(errors.DeadlineExceeded):  # no answer in two minutes
                    await self._probe()
            except errors.ConstantContactError:
                if self.is_ongoing and self._circuit.probe_at == due:  # it was not counted
                    raise  # it says nothing about an outage
            self.is_total = self.is_ongoing
        elif self.is_ongoing or self._trying is not None:
            await self._waiters.rest((due if self.is_ongoing else leader.deadline) - now)
        elif self._waiters.appoint() is leader:
            self._trying = leader
            leader.finish()

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
