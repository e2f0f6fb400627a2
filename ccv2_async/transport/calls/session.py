"""Make one call: wait for the quota, sign, send, judge the response, and retry or return."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import attrs
import httpx

from ccv2_async import errors
from ccv2_async.models.convert import SMALL, is_heavy
from ccv2_async.models.validation import unchanged
from ccv2_async.observe import Hook, Throttled
from ccv2_async.tasks import in_thread, running_loop
from ccv2_async.transport.calls import deadline, responses
from ccv2_async.transport.calls.call import CALL_DEADLINE, Call, Response, carried_out, parsed
from ccv2_async.transport.calls.circuit import FAILED_READS, FAIR_TIME
from ccv2_async.transport.calls.deadline import Deadline
from ccv2_async.transport.calls.download import stream_unsigned, target_of
from ccv2_async.transport.calls.instrumentation import CallReport, watched
from ccv2_async.transport.calls.outage import BLOCKED, MOST_FAILURES, PROBE, SYMPTOMS, Outage
from ccv2_async.transport.calls.outcome import (
    PAUSE_OVER_RATE,
    Failed,
    Judge,
    raise_unless_connection_failed,
    without_frames,
)
from ccv2_async.transport.calls.renewal import TokenRenewal
from ccv2_async.transport.calls.retry import (
    LONGEST_HINT,
    MAY_HAVE_BEEN_CARRIED_OUT,
    QUICK_LOOK,
    Decision,
    Effect,
    FailureKind,
    RetryAllowance,
    Tries,
    backoff,
)
from ccv2_async.transport.calls.signing import RequestMaker
from ccv2_async.transport.http.engine import close_quietly
from ccv2_async.transport.http.messages import read_bounded, streamed
from ccv2_async.transport.http.protocol import NothingSent
from ccv2_async.transport.quota import Lane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from ccv2_async.clock import Clock
    from ccv2_async.transport.calls.call import Timeouts
    from ccv2_async.transport.calls.credentials import Credentials
    from ccv2_async.transport.calls.instrumentation import ResponseInfo
    from ccv2_async.transport.calls.renewal import RefreshToken
    from ccv2_async.transport.files.body import BodyAttempt
    from ccv2_async.transport.http.engine import Engine
    from ccv2_async.transport.quota.budget import Budget

R = TypeVar("R")
T = TypeVar("T")

logger: logging.Logger = logging.getLogger("ccv2_async.transport")

REPORT_WAITS_FROM = 0.02
"""Seconds from which a wait is reported; a busy machine causes shorter ones by itself."""

LATE = 0.1
"""Seconds that opening a file and connecting may take. After that, the call loses its turn."""

REFUSED_WITHIN = 5.0
"""Seconds to wait for the reason of a refusal, once its status is known."""


@attrs.define(eq=False)
class _Shared:
    """State that a session and its views share. It is also their common identity."""

    is_closed: bool = False
    waits: set[asyncio.Timeout] = attrs.field(factory=set)


class Session:
    """Sends the calls of all resources and pollers of a client.

    It belongs to the event loop in which it is created.

    Args:
        engine: The connections.
        base_url: The URL of the API, without a trailing slash.
        credentials: The key and token.
        budget: The quota.
        clock: The clock for backoff and deadlines.
        timeouts: Time limits for the steps of a call.
        max_in_flight: How many calls of one lane are sent at the same time.
        user_agent: The User-Agent header.
        refresh_token: Returns a fresh access token after a 401, or raises.
        visible_url: Whether the engine reads the visible URL; see `shows_visible_url`.
        hook: Called for calls, retries, and waits for the quota.
        jitter: Returns random numbers from 0 to 1.

    Attributes:
        seconds: The maximum number of seconds for each call, or None; see `view`.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        base_url: str,
        credentials: Credentials,
        budget: Budget,
        clock: Clock,
        timeouts: Timeouts,
        max_in_flight: int,
        user_agent: str,
        refresh_token: RefreshToken | None = None,
        visible_url: bool = False,
        hook: Hook | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.hook: Hook = hook or Hook()
        self.outage: Outage = Outage(clock, self.hook, self._probe, self.while_open)
        self._numbers = itertools.count(1)
        self.budget = budget
        self.clock = clock
        self.credentials = credentials
        self.base_url = base_url
        url = httpx.URL(base_url)
        self._server = (url.host, url.port or (443 if url.scheme == "https" else 80))
        self._engine = engine
        self._requests = RequestMaker(
            base_url=base_url,
            credentials=credentials,
            timeouts=timeouts,
            user_agent=user_agent,
            visible_url=visible_url,
        )
        self._judge = Judge(credentials, budget, clock, base_url)
        self._gates = {lane: asyncio.Semaphore(max_in_flight) for lane in Lane}
        self._allowance = RetryAllowance()
        self._renewal = TokenRenewal(refresh_token, credentials)
        self._jitter = jitter
        self._shared = _Shared()
        self._lane = Lane.INTERACTIVE
        self.seconds: float | None = None
        self.loop: asyncio.AbstractEventLoop = running_loop()
        anyio.get_cancelled_exc_class()  # import it now: later, no file may be left to open

    def view(
        self,
        *,
        lane: Lane | None = None,
        seconds: float | None = None,
        timeouts: Timeouts | None = None,
    ) -> Session:
        """Return a session that shares everything with this one, except these options.

        Only the original is closed. An option that is None stays as it is here.

        Args:
            lane: The lane of interactive calls.
            seconds: The maximum number of seconds for each call, including all waits.
            timeouts: Time limits for the steps of a call.
        """
        view = copy(self)
        if lane is not None:
            view._lane = lane  # noqa: SLF001  # of this class
        if seconds is not None:
            view.seconds = seconds
        if timeouts is not None:
            view._requests = self._requests.with_timeouts(timeouts)  # noqa: SLF001
        return view

    def responses(self, limit: int) -> AbstractContextManager[list[ResponseInfo]]:
        """Collect the responses to the calls of a `with` block, the newest `limit` of them."""
        return watched(self._shared, limit)

    def deadline(self, seconds: float | None) -> AbstractContextManager[None]:
        """Limit the total time of the calls in a `with` block to `seconds` from now.

        Everything that a call waits for counts: the quota, a place among the calls in flight, a
        fresh token, the connection, the response, and the delays between attempts. Other code in
        the block that waits must check `time_left`. Blocks can be nested, and the earliest deadline
        counts. None adds no limit.

        Do not yield inside the block: that would limit the code that iterates too.
        """
        return deadline.limited(self._shared, seconds, self.clock)

    def no_deadline(self) -> AbstractContextManager[None]:
        """Lift the outer deadlines for a `with` block whose work is shared with other callers."""
        return deadline.unlimited(self._shared)

    @property
    def limit(self) -> Deadline | None:
        """The earliest `deadline` block around the caller, or None."""
        return deadline.current(self._shared)

    @property
    def time_left(self) -> float | None:
        """The seconds left in the earliest `deadline` block around the caller; None for no limit.

        Zero or less if the deadline has passed.
        """
        limit = self.limit
        return None if limit is None else limit.left

    def within(self, seconds: float) -> float:
        """Return `seconds`, or the time left in the earliest `deadline` block if that is shorter.

        Zero if the deadline has passed.
        """
        left = self.time_left
        return seconds if left is None else min(seconds, max(0.0, left))

    def call_limit(self) -> Deadline | None:
        """Return the earliest deadline for a call that begins now."""
        if self.seconds is None:
            return self.limit
        return Deadline.after(self.seconds, self.clock).or_earlier(self.limit)

    async def send(self, call: Call) -> Response:
        """Return the complete response to a successful call.

        Raises:
            ConstantContactError: See `errors`.
        """
        return await self._carry_out(call, self._read_whole)

    async def read(self, call: Call, parse: Callable[[Response], T]) -> T:
        """Return the parsed response to a read.

        If `parse` cannot read a response, the call is retried as if there had been none.

        Raises:
            DecodeError: No attempt got a response that can be read.
            ConstantContactError: As for `send`.
        """

        async def finish(call: Call, response: httpx.Response) -> T:
            return await parsed(await self._read_whole(call, response), parse)

        return await self._carry_out(call, finish)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the body of a successful response in pieces, for downloads of any length.

        Failures before the first piece are retried as usual; after it, the caller decides. The
        call's own deadline applies to the first piece, and a `deadline` block to all of them.

        Raises:
            ConstantContactError: As for `send`, even while the pieces are read.
        """
        limit = self.call_limit()
        response = await self._carry_out(call, _left_open)
        try:
            async with (
                aclosing(streamed(response, call.what, partial(self._broke_off, call))) as pieces,
                aclosing(deadline.in_time(pieces, limit, call.what)) as timely,
            ):
                yield timely
        finally:
            await close_quietly(response)

    @asynccontextmanager
    async def download(self, link: str, what: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the file behind a link from the service in pieces.

        At the configured origin, the request is signed like any call. Elsewhere it is sent without
        the key and the token, and does not count toward the quota.

        Raises:
            DecodeError: The link cannot be followed.
            ConstantContactError: As for `stream`.
        """
        try:
            target = target_of(link, self.base_url)
        except ValueError as why:
            raise errors.DecodeError(
                f"{what}: the service gave a link that cannot be followed: {why}."
            ) from None
        if target.own:
            path, query = target.path, target.query
            call = Call("GET", path, Effect.SAFE, what, query, accept="*/*", from_root=True)
            stream = self.stream(call)
        else:
            self._require_open(what)
            self.require_loop(what)
            stream = stream_unsigned(
                self._engine,
                target.url,
                what=what,
                user_agent=self._requests.user_agent,
                extensions=self._requests.extensions,
                base_url=self.base_url,
                clock=self.clock,
                limit=self.call_limit(),
            )
        async with stream as pieces:
            yield pieces

    async def aclose(self) -> None:
        """Close the connections. Calls that wait, or have to be sent again, get `ClientClosed`."""
        self._shared.is_closed = True
        while self._shared.waits:
            self._shared.waits.pop().reschedule(0.0)
        await self._engine.aclose()

    @asynccontextmanager
    async def while_open(self, what: str, advice: str = "It was not sent.") -> AsyncIterator[None]:
        """Interrupt a block that waits when the client is closed, or if it is closed already.

        Args:
            what: What the caller wants to do, for messages.
            advice: What that means for the caller.

        Raises:
            ClientClosed: The block was interrupted.
        """
        try:
            async with asyncio.timeout(0.0 if self._shared.is_closed else None) as wait:
                self._shared.waits.add(wait)
                yield
                return
        except TimeoutError:
            if not wait.expired():
                raise
        finally:
            self._shared.waits.discard(wait)
        self._require_open(what, advice)

    async def encoded(self, encode: Callable[[T], R], body: T, what: str) -> R:
        """Return `encode(body)`, computed in a thread if the model or JSON is large.

        An object that is written back is as large as the service sent it.

        Args:
            encode: Validates and encodes.
            body: What is to be sent.
            what: The call, for messages.

        Raises:
            InvalidField: Another task changed the body meanwhile. Nothing was sent.
            DeadlineExceeded: The deadline passed first. Nothing was sent.
            ClientClosed: The client was closed. Nothing was sent.
        """
        if not is_heavy(body):
            return encode(body)
        self.require_loop(what)
        with unchanged("request body", body):
            async with self.while_open(what), self.starting(what, self.call_limit()):
                return await in_thread(encode, body)

    async def sleep(self, seconds: float, what: str) -> None:
        """Wait before a call, for as long as the client is open.

        Args:
            seconds: How long; zero or less yields to the event loop once.
            what: The call, for messages.

        Raises:
            ClientClosed: The client was closed.
        """
        async with self.while_open(what):
            await self.clock.sleep(seconds)

    async def _probe(self) -> None:
        with self.no_deadline():
            await self.send(PROBE)

    async def ends_all(self, error: errors.ConstantContactError) -> bool:
        """Return whether an error would affect every other item as well, so that it ends the work.

        A firewall may block one file because of its bytes. Then it lets a cheap read pass.
        """
        if not isinstance(error, BLOCKED) or getattr(error, "is_from_service", False):
            return isinstance(error, (*errors.AFFECTS_EVERY_CALL, *BLOCKED))
        try:
            await self.send(PROBE)
        except errors.ConstantContactError as refused:
            return isinstance(refused, type(error))
        return False

    async def outlast(self, work: Callable[[], Awaitable[T]], since: float, patience: float) -> T:
        """Return the result of work that may be repeated, before or after an outage.

        Args:
            work: Makes the calls.
            since: When the caller began its work, on the monotonic clock.
            patience: How many seconds of an outage the caller waits.

        Raises:
            ServiceUnavailable: The outage lasted longer than `patience`.
            ConstantContactError: The work failed, and not because of an outage.
        """
        # At first, it does not wait: what must wait is held back, and other hosts may be there.
        turn: AbstractAsyncContextManager[None] = nullcontext()
        failures = 0
        while True:
            async with turn:
                began = self.clock.monotonic()
                try:
                    return await work()
                except errors.ServiceUnavailable:
                    pass  # it was held back, even if the service is back by now
                except SYMPTOMS:
                    # Ten failures without a response would outlast `patience`. So each half a
                    # minute that the work took counts as a failure, up to three.
                    failures += min(3, max(1, int((self.clock.monotonic() - began) / 30.0)))
                    if failures >= MOST_FAILURES or not self.outage.is_ongoing:
                        raise
            turn = self.outage.turn(self.limit, since, patience, failures)

    async def _carry_out(
        self, call: Call, finish: Callable[[Call, httpx.Response], Awaitable[T]]
    ) -> T:
        self._require_open(call.what)
        self.require_loop(call.what)
        if call.lane is Lane.INTERACTIVE is not self._lane:
            call = attrs.evolve(call, lane=self._lane)
        self._renewal.refuse_reentry(call.what)
        limit = self.call_limit()
        gate = self._gates[call.lane]
        opened = self.while_open(call.what) if gate.locked() else nullcontext()
        async with opened, self.starting(call.what, limit):
            await gate.acquire()
        try:
            async with self.starting(call.what, limit):
                await self._take_turn(call)
            tries = Tries(began=self.clock.monotonic())
            call, ends = self._limited(call, limit)
            report = CallReport(
                self.hook, self.clock, call, next(self._numbers), self._server, self._shared
            )
            while True:
                try:
                    self._require_open(call.what)
                    with report.attempt(tries.number):
                        outcome = await self._attempt(call, tries, ends, finish, report)
                        report.outcome = self._note(call, outcome, tries, ends)
                    if not isinstance(outcome, Failed):
                        self._allowance.succeeded(tries.sent)
                        if tries.doubtful and isinstance(outcome, Response):
                            return attrs.evolve(outcome, doubtful=tries.doubtful)
                        return outcome
                    await self._prepare_retry(call, outcome, tries, ends, report)
                except errors.ConstantContactError as error:
                    if isinstance(error, errors.APIError):
                        error.call = report.number
                    # If it is about several files, only one of them may be unknown. No contact is
                    # deleted.
                    gone = isinstance(error, errors.NotFound) and error.is_from_service
                    gone = gone and "," not in call.path and not call.path.startswith("/contacts/")
                    if gone and tries.doubtful and call.method == "DELETE":
                        return await finish(call, httpx.Response(204))  # an earlier attempt did it
                    if tries.doubtful and call.effect is not Effect.SAFE:
                        _admit_doubt(error, call, tries)
                    raise
        finally:
            gate.release()

    def _limited(self, call: Call, limit: Deadline | None) -> tuple[Call, float | None]:
        """Return the call with the earlier of its own deadline and `limit`, and when that ends."""
        own = math.inf if call.deadline is None else self.clock.monotonic() + call.deadline
        if limit is not None and limit.ends < own:
            return attrs.evolve(call, deadline=limit.seconds), limit.ends
        return call, None if call.deadline is None else own

    @asynccontextmanager
    async def holding(self, lock: asyncio.Lock, what: str) -> AsyncIterator[None]:
        """Hold a lock that calls need; wait for it until the caller's deadline.

        Args:
            lock: The lock.
            what: What the caller wants to do, for messages.

        Raises:
            DeadlineExceeded: It was not free in time. Nothing was sent.
            ClientClosed: The client was closed. Nothing was sent.
        """
        async with self.while_open(what), self.starting(what, self.limit):
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @asynccontextmanager
    async def starting(
        self, what: str, limit: Deadline | None, failed: Failed | None = None
    ) -> AsyncIterator[None]:
        """Limit a block with steps before an attempt.

        Args:
            what: What the caller wants to do, for messages.
            limit: The deadline, if any; see `call_limit`.
            failed: The attempt before it, if any.

        Raises:
            DeadlineExceeded: The deadline passed first.
        """
        if limit is None:
            yield
            return
        if limit.left > 0.0:
            with suppress(TimeoutError):
                async with self.clock.timeout(limit.left):
                    yield
                    return
        reason = f"the call could not start within {limit.seconds:g} s"
        advice, sent = "It sent nothing; try again with more time.", "nothing"
        if failed is not None:
            reason, sent = failed.error.reason, getattr(failed.error, "sent", sent)
            sent = "wholly" if failed.kind in MAY_HAVE_BEEN_CARRIED_OUT else sent
            advice = f"There was no time left to send it again within {limit.seconds:g} s."
        raise errors.DeadlineExceeded.from_parts(what, reason, advice, sent=sent) from None

    async def _take_turn(self, call: Call) -> None:
        """Wait for the quota, and report the wait if it took time.

        Raises:
            ServiceUnavailable: The service is down, and bulk calls are held back. Nothing was sent.
        """
        since = self.clock.monotonic()
        self._require_open(call.what)
        if self.outage.holds(call):
            raise self.outage.refusal(call.what)
        async with self.while_open(call.what):
            await self.budget.acquire(call.lane, call.what)
        if self.outage.holds(call):  # other calls discovered it while this one waited
            self.budget.give_back()
            raise self.outage.refusal(call.what)
        if (waited := self.clock.monotonic() - since) >= REPORT_WAITS_FROM:
            self.hook(Throttled(call.what, call.lane.name.lower(), waited))

    async def _keep_turn(self, call: Call, tries: Tries) -> None:
        """Take another turn if the attempt is too late for its own.

        Otherwise, calls of this second and of the next would be sent together.
        """
        if self.clock.monotonic() - tries.granted > LATE:
            tries.counts = False
            self.budget.give_back()
            await self._take_turn(call)
            tries.granted, tries.counts = self.clock.monotonic(), True

    def _require_open(self, what: str, advice: str = "It was not sent.") -> None:
        if self._shared.is_closed:
            raise errors.ClientClosed.from_parts(what, "the client was closed", advice)

    def require_loop(self, what: str) -> None:
        """Check that the caller runs in the event loop of this session.

        Args:
            what: What the caller wants to do, for messages.

        Raises:
            UsageError: It runs in another event loop, or in none. Nothing was sent.
        """
        if running_loop() is not self.loop:
            raise errors.UsageError(
                f"{what}: this client was opened in another event loop. Nothing was sent; open "
                "another client in each event loop."
            )

    async def _attempt(
        self,
        call: Call,
        tries: Tries,
        ends: float | None,
        finish: Callable[[Call, httpx.Response], Awaitable[T]],
        report: CallReport,
    ) -> T | Failed:
        """Make one attempt over the wire. Return a failure as data."""
        left = None if ends is None else ends - self.clock.monotonic()
        token = self.credentials.generation
        attempt: BodyAttempt | None = None
        response: httpx.Response | None = None
        tries.granted, tries.counts = self.clock.monotonic(), True
        keep_turn, unsent = partial(self._keep_turn, call, tries), set[str]()
        try:
            async with self.clock.timeout(left):
                if call.body is not None:
                    async with self.while_open(call.what):
                        attempt = await call.body.attempt(tries.doubtful)
                    attempt.guard = partial(self.while_open, call.what, "It was not sent in full.")
                    await keep_turn()
                progress = {"connected": keep_turn, "unsent": unsent}
                response = await self._engine.send(
                    self._requests.make(call, attempt, progress, resend=tries.number > 1)
                )
                report.status = response.status_code
                if report.is_watched:
                    report.headers = self.credentials.redact_headers(response.headers)
                outcome: T | Failed
                if 200 <= response.status_code < 300:
                    outcome = await finish(call, response)
                else:
                    outcome = await self._refused(call, response, token, tries.number)
                response = None
                return outcome
        except BaseException as error:  # noqa: BLE001  # judged below
            failure = without_frames(error)
        finally:
            await _close(response, attempt)
        unopened = call.body is not None and attempt is None
        unsent_yet = getattr(attempt, "sent", "nothing") == "nothing"
        if tries.counts and (unopened or (unsent_yet and isinstance(failure, errors.UsageError))):
            self.budget.give_back()
        try:
            overdue = isinstance(failure, TimeoutError) and (
                ends is not None and self.clock.monotonic() >= ends
            )
            if call.effect is Effect.SAFE and (garbled := _garbled(failure, tries.number)):
                return garbled
            raise_unless_connection_failed(failure, attempt)
            if unopened and not overdue:
                raise failure  # the user's source, which could not be opened; nothing was sent
            if overdue and unsent and not tries.doubtful:
                failure = NothingSent("There was no connection in time.")
            failed = self._judge.broken(call, attempt, failure, overdue=overdue)
        finally:
            del failure  # it and this frame would keep each other, and the request, alive
        if tries.counts and isinstance(failed.error, errors.ConnectFailed):
            self.budget.give_back()
        return failed

    def _note(self, call: Call, outcome: object, tries: Tries, ends: float | None) -> str:
        """Count the end of an attempt toward outages, and describe it in a few words."""
        if not isinstance(outcome, Failed):
            self.outage.note(call.effect, None)
            return "ok"
        now, hint = self.clock.monotonic(), outcome.hint or 0.0
        is_over = ends is not None and now + hint >= ends >= tries.began + CALL_DEADLINE
        # A call is a series if it is not repeated because the service asks for a long wait; a read
        # also if its own time is up, and not its caller's.
        is_series = (is_over and call.effect is Effect.SAFE) or hint > LONGEST_HINT
        if is_series or not outcome.final or now - tries.granted >= FAIR_TIME:
            for _ in range(FAILED_READS if is_series else 1):
                self.outage.note(call.effect, outcome.kind, outcome.error.reason)
        return outcome.kind.value

    async def _read_whole(self, call: Call, response: httpx.Response) -> Response:
        content, flaw = b"", ""
        try:
            is_read = call.effect is Effect.SAFE
            with nullcontext() if is_read else carried_out(response.status_code):
                content = await read_bounded(response, call.max_response, call.what)
        except (httpx.HTTPError, OSError, errors.DecodeError) as broken:
            if call.effect in (Effect.SAFE, Effect.IDEMPOTENT):
                raise
            # The status says that the call was carried out; only the body is lost.
            flaw = "cannot be read" if isinstance(broken, errors.DecodeError) else "was cut off"
            await close_quietly(response)
        return Response(
            status=response.status_code,
            headers=self.credentials.redact_headers(response.headers),
            content=await self._without_secrets(content),
            what=call.what,
            redact=self.credentials.redact,
            flaw=flaw,
        )

    async def _without_secrets(self, content: bytes) -> bytes:
        """Return the body of a response without secrets; redact a large one in a thread."""
        redact = self.credentials.redact_content
        return redact(content) if len(content) <= SMALL else await in_thread(redact, content)

    def _broke_off(self, call: Call, failure: Exception) -> errors.ConnectionLost:
        why = self._judge.described(failure)
        reason = f"the connection broke while the response was being read ({why})"
        return errors.ConnectionLost.from_parts(call.what, reason, "Try again.", sent="wholly")

    async def _refused(
        self, call: Call, response: httpx.Response, token: int, number: int
    ) -> Failed:
        """Return the failure for an error response, and apply its effects on other calls."""
        content, limit = b"", min(call.max_response, responses.MAX_REFUSAL)
        try:
            with suppress(httpx.HTTPError, OSError, errors.DecodeError):  # the status is enough
                async with asyncio.timeout(REFUSED_WITHIN):
                    content = await read_bounded(response, limit, call.what)
        finally:
            await close_quietly(response)
        return self._judge.refused(
            call, response.status_code, response.headers, content, token=token, number=number
        )

    async def _prepare_retry(
        self, call: Call, failed: Failed, tries: Tries, ends: float | None, report: CallReport
    ) -> None:
        """Wait as the retry table says, or raise."""
        decision = tries.decide(failed.kind, call.effect)
        repeatable = call.body is None or call.body.repeatable
        if decision in (Decision.LOOK, Decision.RAISE) or failed.final or not repeatable:
            raise failed.error
        limit = None if ends is None else Deadline(call.deadline or 0.0, ends, self.clock)
        again = partial(self.starting, call.what, limit, failed)
        if decision is Decision.REFRESH:
            async with self.while_open(call.what), again():
                await self._renewal.renew(failed)
                await self._take_turn(call)
            return
        hint = failed.hint
        delay = max(hint or 0.0, PAUSE_OVER_RATE)
        if decision is not Decision.WAIT:
            delay = backoff(tries.sent, self._jitter(), hint)
        elif call.lane is Lane.BULK:  # it may take longer than a call that somebody waits for
            delay = backoff(tries.waits, 1.0, delay)
        too_late = ends is not None and self.clock.monotonic() + delay >= ends
        if (hint or 0.0) > LONGEST_HINT or too_late:
            raise failed.error
        slow_look = call.lane is Lane.POLL and self.clock.monotonic() - tries.granted > QUICK_LOOK
        if decision is not Decision.WAIT and (
            slow_look or self.outage.stops_retries(call.lane) or not self._allowance.take()
        ):
            raise failed.error
        report.retry(failed.kind.value, delay)
        if decision is not Decision.WAIT or call.lane is Lane.BULK:  # others: the budget's pause
            await self.sleep(delay, call.what)
        async with again():
            await self._take_turn(call)


def _admit_doubt(error: errors.ConstantContactError, call: Call, tries: Tries) -> None:
    """Make the error of a change say that an attempt at it may have been carried out.

    Raises:
        OutcomeUnknown: In place of the error, if the call adds something.
    """
    if call.effect is Effect.ADDITIVE:
        times = f"It was sent {tries.sent} times. " if tries.sent > 1 else ""
        raise errors.OutcomeUnknown.from_parts(
            call.what,
            error.reason,
            f"{times}It may have been carried out, and was not sent again; check the account "
            "before you repeat it.",
            sends=tries.doubtful,
        ) from error
    is_open = isinstance(error, errors.ServerError | errors.DecodeError)
    if not is_open and getattr(error, "sent", "") != "wholly":
        error.extend("This is about the last attempt; an earlier one may have been carried out.")


def _garbled(failure: BaseException, number: int) -> Failed | None:
    """Return the failure for an unreadable response to a read; None if it is another failure."""
    if not isinstance(failure, errors.DecodeError) or isinstance(failure, errors.ResponseTooLarge):
        return None
    if number > 1:
        failure.extend(f"It was tried {number} times.")
    failure.safe_to_retry = True
    return Failed(FailureKind.GARBLED, failure)


async def _left_open(_call: Call, response: httpx.Response) -> httpx.Response:
    return response


async def _close(response: httpx.Response | None, attempt: BodyAttempt | None) -> None:
    """Close both, even while the caller is being cancelled."""
    try:
        if response is not None:
            await close_quietly(response)
    finally:
        if attempt is not None and not attempt.is_closed:
            with anyio.CancelScope(shield=True):
                await attempt.aclose()
