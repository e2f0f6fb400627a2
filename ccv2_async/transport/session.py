"""One call: sign, wait for the budget, send, judge, and retry or return."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import random
from contextlib import aclosing, asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import quote

import anyio
import attrs
import httpx

from ccv2_async import errors
from ccv2_async.models.convert import decode
from ccv2_async.observe import Hook, Throttled
from ccv2_async.transport import answers
from ccv2_async.transport.accounts import CallAccount
from ccv2_async.transport.budget import Lane
from ccv2_async.transport.connections import SealedURL, never_connected
from ccv2_async.transport.elsewhere import stream_unsigned, target_of
from ccv2_async.transport.retry import (
    LONGEST_HINT,
    Effect,
    Happening,
    RetryAllowance,
    Tries,
    Verdict,
    backoff,
    parse_retry_after,
)
from ccv2_async.transport.unpacking import read_bounded, unpacked

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Mapping,
    )

    from ccv2_async.clock import Clock
    from ccv2_async.transport.body import Body, BodyAttempt
    from ccv2_async.transport.budget import Budget
    from ccv2_async.transport.connections import Engine
    from ccv2_async.transport.credentials import Credentials

T = TypeVar("T")

RefreshToken: TypeAlias = "Callable[[], Awaitable[str] | str]"
"""A function or coroutine function that gives a fresh access token, or raises."""

logger: logging.Logger = logging.getLogger("ccv2_async.transport")

MAX_ANSWER = 16 * 1024 * 1024
CALL_DEADLINE = 120.0
UPLOAD_DEADLINE = 900.0
PAUSE_OVER_RATE = 1.0
TELL_OF_WAITS_FROM = 0.001
LONGEST_EXCERPT = 4096
_NO_URL = httpx.URL("")  # a text would be parsed for each request


@attrs.frozen
class Timeouts:
    """How long a single step of a call may take, in seconds; None for no limit.

    Attributes:
        connect: Until a connection is made, TLS included.
        read: Between two pieces of an answer.
        write: Until the connection takes the next block.
    """

    connect: float | None = 10.0
    read: float | None = 60.0
    write: float | None = 60.0

    def as_extension(self) -> dict[str, float | None]:
        """What httpx transports read from a request."""
        return {
            "connect": self.connect,
            "read": self.read,
            "write": self.write,
            "pool": self.connect,
        }


@attrs.frozen
class Call:
    """One call of the API, before it is signed.

    Attributes:
        method: The HTTP method.
        path: Below the base URL, percent-encoded, such as `/library/files/7`.
        effect: What it does to the account; decides what may be repeated.
        what: What is asked, for messages: "upload of menu.pdf".
        query: Names and values, not yet encoded.
        body: What is sent, or None.
        lane: Who goes first when calls wait for the quota.
        deadline: Seconds from the first attempt to the whole answer, retries included; waiting
            for the quota before the first attempt does not count.
        max_answer: The largest answer in bytes, unpacked.
        accept: The media types that are asked for.
        from_root: Whether the path begins at the host instead of the base URL.
    """

    method: str
    path: str
    effect: Effect
    what: str
    query: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    lane: Lane = Lane.INTERACTIVE
    deadline: float | None = CALL_DEADLINE
    max_answer: int = MAX_ANSWER
    accept: str = "application/json"
    from_root: bool = False


@attrs.frozen
class Answer:
    """A whole answer that the service gave with success."""

    status: int
    # A server may echo the key anywhere, and tracebacks with local variables show every `repr`.
    headers: Mapping[str, str] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)
    what: str
    redact: Callable[[str], str] = attrs.field(repr=False, eq=False)
    flaw: str = ""

    def read(self, model: type[T]) -> T:
        """The body as a model.

        Raises:
            DecodeError: It is not what the model says; the message names the place.
        """
        if self.flaw:
            raise errors.OutcomeUnknown(
                f"{self.what}: the service answered {self.status}, so it was carried out, but the "
                f"answer {self.flaw}. It was not sent again; read the result from the account."
            )
        refused = self._not_json()
        if refused is not None:
            raise refused
        try:
            return decode(model, self.content, what=self.what, redact=self.redact)
        except errors.DecodeError as error:
            failed = error
        failed.status = self.status
        failed.__context__ = None  # it and the frames below hold the answer as it came
        raise failed.with_traceback(None)

    def _not_json(self) -> errors.DecodeError | None:
        kind = self.headers.get("content-type", "")
        if not self.content or not kind or "json" in kind.lower():
            return None
        text = self.content[:LONGEST_EXCERPT].decode("utf-8", "replace")
        excerpt = self.redact(text)[:80]
        return errors.DecodeError(
            f"{self.what}: the service answered {self.status} with "
            f"{self.redact(kind)[:80]!r} instead of JSON: {excerpt!r}.",
            excerpt=excerpt,
            status=self.status,
        )


@attrs.frozen
class _Failed:
    """How an attempt ended other than well, and what to raise when nothing more is tried."""

    happening: Happening
    error: errors.ConstantContactError
    hint: float | None = None
    token: int = 0
    final: bool = False


class Session:
    """What every resource and poller sends its calls through.

    Args:
        engine: The connections.
        base_url: Where the API lives, without a trailing slash.
        credentials: The key and token.
        budget: The quota.
        clock: The time that back-off and deadlines run on.
        timeouts: Limits on single steps.
        max_in_flight: Calls of one lane that are on the wire at once.
        user_agent: What the client calls itself.
        refresh_token: Gives a fresh access token after a 401, or raises.
        visible_url: Whether the engine reads the visible URL; see `shows_visible_url`.
        hook: Told of calls, retries and waits for the quota.
        jitter: A source of numbers from 0 to 1.
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
        self._numbers = itertools.count(1)
        self.budget = budget
        self.clock = clock
        self.credentials = credentials
        self.base_url = base_url
        self._engine = engine
        self._visible_url = visible_url
        self._extensions = timeouts.as_extension()
        self._gates = {lane: asyncio.Semaphore(max_in_flight) for lane in Lane}
        self._allowance = RetryAllowance()
        self._refresh_token = refresh_token
        self._refreshing = asyncio.Lock()
        self._jitter = jitter
        self._closed = False
        self._url = lru_cache(maxsize=64)(self._make_url)
        self._user_agent = user_agent
        origin = httpx.URL(base_url)
        self._root = f"{origin.scheme}://{origin.netloc.decode('ascii')}"
        self._headers = [
            (b"Host", origin.netloc),
            (b"User-Agent", user_agent.encode("ascii")),
            (b"Accept-Encoding", b"gzip"),
            (b"X-Ctct-Request-Source", b"sdk.python.ccv2_async"),
        ]

    async def send(self, call: Call) -> Answer:
        """The answer of the service, whole, once it is a success.

        Raises:
            ConstantContactError: See `errors`; `safe_to_retry` and the message say what was done.
        """
        return await self._carry_out(call, self._read_whole)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of a successful answer in pieces, for downloads of any length.

        What breaks before the first piece is retried as usual; after it, the caller decides.

        Raises:
            ConstantContactError: As `send`, also while the pieces are read.
        """
        response = await self._carry_out(call, _left_open)
        try:
            async with aclosing(self._pieces(call, response)) as pieces:
                yield pieces
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    @asynccontextmanager
    async def download(self, link: str, what: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The file that a link of the service names, in pieces.

        Signed like any call at the configured origin; anywhere else it is asked for without the
        key and the token, and costs nothing of the quota.

        Raises:
            DecodeError: The link cannot be asked for.
            ConstantContactError: As `stream`.
        """
        try:
            target = target_of(link, self.base_url)
        except ValueError as why:
            raise errors.DecodeError(
                f"{what}: the service gave a link that cannot be followed: {why}."
            ) from None
        if target.own:
            call = Call(
                "GET",
                target.path,
                Effect.SAFE,
                what,
                query=target.query,
                accept="*/*",
                from_root=True,
            )
            stream = self.stream(call)
        else:
            self._require_open(what)
            stream = stream_unsigned(
                self._engine,
                target.url,
                what=what,
                user_agent=self._user_agent,
                extensions=self._extensions,
                clock=self.clock,
            )
        async with stream as pieces:
            yield pieces

    async def aclose(self) -> None:
        """Close the connections; calls that wait or would be sent again end with `ClientClosed`."""
        self._closed = True
        await self._engine.aclose()

    async def _carry_out(
        self, call: Call, finish: Callable[[Call, httpx.Response], Awaitable[T]]
    ) -> T:
        self._require_open(call.what)
        if call.lane not in self._gates:
            raise errors.InvalidField("lane", call.lane, "a Lane, such as Lane.BULK")
        async with self._gates[call.lane]:
            await self._take_turn(call)
            tries = Tries()
            ends = self._ends(call)
            account = CallAccount(self.hook, self.clock, call, next(self._numbers))
            while True:
                self._require_open(call.what)
                with account.attempt(tries.number):
                    outcome = await self._attempt(call, tries.number, ends, finish, account)
                if not isinstance(outcome, _Failed):
                    self._allowance.succeeded(tries.repeats)
                    return outcome
                await self._prepare_retry(call, outcome, tries, ends, account)

    async def _take_turn(self, call: Call) -> None:
        """Wait for the quota, and tell of it when it took time."""
        since = self.clock.monotonic()
        await self.budget.acquire(call.lane, call.what)
        if self.hook.active:
            waited = self.clock.monotonic() - since
            if waited >= TELL_OF_WAITS_FROM:
                self.hook(Throttled(call.what, call.lane.name.lower(), waited))

    def _require_open(self, what: str) -> None:
        if self._closed:
            raise errors.ClientClosed(f"{what}: the client was closed. It was not sent.")

    async def _attempt(
        self,
        call: Call,
        number: int,
        ends: float | None,
        finish: Callable[[Call, httpx.Response], Awaitable[T]],
        account: CallAccount,
    ) -> T | _Failed:
        """One time over the wire. What goes wrong comes back as data, free of foreign frames.

        The frames of the HTTP library hold the signed request, so no exception that passed
        through them leaves with its traceback, nor as anybody's context.
        """
        left = None if ends is None else ends - self.clock.monotonic()
        token = self.credentials.generation
        attempt: BodyAttempt | None = None
        response: httpx.Response | None = None
        try:
            async with self.clock.timeout(left):
                attempt = await call.body.attempt() if call.body is not None else None
                response = await self._engine.send(self._request(call, attempt))
                account.status = response.status_code
                outcome: T | _Failed
                if 200 <= response.status_code < 300:
                    outcome = await finish(call, response)
                else:
                    outcome = await self._judge(call, response, token, number)
                response = None
        except Exception as error:  # noqa: BLE001  # engines raise more than they document
            failure: BaseException = error
        except asyncio.CancelledError as error:
            failure = error
        else:
            account.ended(outcome.happening.value if isinstance(outcome, _Failed) else "ok")
            return outcome
        finally:
            await _close(response, attempt)
        try:
            overdue = isinstance(failure, TimeoutError) and (
                ends is not None and self.clock.monotonic() >= ends
            )
            self._raise_what_is_no_accident(failure, attempt)
            if call.body is not None and attempt is None and not overdue:
                raise failure  # the user's source, which could not be opened; nothing was sent
            failed = self._broken(call, attempt, failure, overdue=overdue)
        finally:
            del failure  # it and this frame would keep each other, and the request, alive
        account.ended(failed.happening.value)
        return failed

    @staticmethod
    def _raise_what_is_no_accident(failure: BaseException, attempt: BodyAttempt | None) -> None:
        """Raise a cancellation, our own errors, and what the user's source of bytes raised.

        Some engines hide the last behind an error of the connection, and one starts a body again
        by itself, which `SourceConsumed` refuses.
        """
        if attempt is not None and not isinstance(failure, asyncio.CancelledError):
            if attempt.failure is not None:
                raise attempt.failure.with_traceback(attempt.trace)
            if isinstance(failure, errors.SourceConsumed):
                return
        if isinstance(failure, (errors.ConstantContactError, asyncio.CancelledError)):
            failure.__context__ = None
            raise failure.with_traceback(None)

    def _request(self, call: Call, attempt: BodyAttempt | None) -> httpx.Request:
        headers = [*self._headers, (b"Accept", call.accept.encode("ascii"))]
        headers.append((b"Authorization", self.credentials.bearer))
        if attempt is not None and call.body is not None:
            headers.append((b"Content-Type", call.body.content_type.encode("ascii")))
            headers.append((b"Content-Length", str(attempt.length).encode("ascii")))
        elif call.method in ("GET", "DELETE"):
            headers.append((b"Content-Type", b"application/json"))
        request = httpx.Request(
            call.method,
            _NO_URL,
            headers=headers,
            stream=attempt if attempt is not None else httpx.ByteStream(b""),
            extensions={"timeout": self._extensions},
        )
        if attempt is None:
            request.read()  # engines that see an unread body send it in chunks
        request.url = self._url(call.path, call.query, call.from_root)
        return request

    def _make_url(
        self, path: str, query: tuple[tuple[str, str], ...], from_root: bool
    ) -> httpx.URL:
        pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
        base = self._root if from_root else self.base_url
        url = httpx.URL(f"{base}{path}{'?' if pairs else ''}{pairs}")
        sealed = SealedURL(url, self.credentials)
        if self._visible_url:
            # The transport below reads the visible URL; the filter on httpx's logger hides the key.
            return url.copy_with(raw_path=sealed.raw_path)
        return sealed

    async def _read_whole(self, call: Call, response: httpx.Response) -> Answer:
        content, flaw = b"", ""
        try:
            content = await read_bounded(response, call.max_answer, call.what)
        except (httpx.HTTPError, OSError, errors.DecodeError) as broken:
            if call.effect in (Effect.SAFE, Effect.IDEMPOTENT):
                raise
            # The status says that it was carried out; what is lost is only the body.
            flaw = "cannot be read" if isinstance(broken, errors.DecodeError) else "broke off"
            await _close(response, None)
        return Answer(
            status=response.status_code,
            headers=response.headers,
            content=content,
            what=call.what,
            redact=self.credentials.redact,
            flaw=flaw,
        )

    async def _pieces(self, call: Call, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        failure: Exception | None = None
        try:
            async with aclosing(unpacked(response, None, call.what)) as pieces:
                async for piece in pieces:
                    yield piece
        except errors.ConstantContactError:
            raise
        except Exception as error:  # noqa: BLE001  # engines raise more than they document
            failure = error
        if failure is not None:
            raise errors.ConnectionLost(
                f"{call.what}: the connection broke while the answer was read "
                f"({self._told(failure)}). Ask for it again.",
                sent="wholly",
            )

    async def _judge(
        self, call: Call, response: httpx.Response, token: int, number: int
    ) -> _Failed:
        """What an answer that is not a success means for this call and for the others."""
        status = response.status_code
        headers = response.headers
        try:
            content = await read_bounded(response, call.max_answer, call.what)
        except (httpx.HTTPError, OSError, errors.DecodeError):
            content = b""  # the status alone says enough
        finally:
            await _close(response, None)
        found = answers.parse_errors(content, headers, self.credentials.redact)
        hint = parse_retry_after(headers.get("retry-after"), self.clock.time())
        happening = answers.happening_of(status, found, hinted=hint is not None)
        error: errors.ConstantContactError
        match happening:
            case Happening.REDIRECTED:
                error = errors.UnexpectedRedirect(
                    f"{call.what}: the service answered {status}, a redirect. It was not followed, "
                    "so that the credentials go nowhere else; check base_url.",
                    status=status,
                )
            case Happening.OVER_DAY:
                self.budget.end_day()
                error = self.budget.day_exceeded(call.what, status=status, found=found)
            case Happening.OVER_RATE:
                self.budget.pause(min(max(hint or 0.0, PAUSE_OVER_RATE), LONGEST_HINT))
                error = answers.refusal(status, found, call.what, sent=number)
                if isinstance(error, errors.QuotaExceeded):
                    error.retry_after = hint
            case _:
                error = answers.refusal(status, found, call.what, sent=number)
        return _Failed(happening, error, hint, token=token)

    def _broken(
        self, call: Call, attempt: BodyAttempt | None, failure: BaseException, *, overdue: bool
    ) -> _Failed:
        """What a connection that failed means, by how far the body got and not by its name.

        Engines call the same accident by different names (one of them calls a lost answer a
        connect time-out), so a failed connect counts as such only while nothing was sent.
        """
        sent: errors.SentState = "wholly"
        if call.body is not None:
            sent = "nothing" if attempt is None else attempt.sent
        connecting = never_connected(failure) and (attempt is None or sent == "nothing")
        if connecting or sent == "nothing":
            happening = Happening.NEVER_CONNECTED
        elif sent == "partly":
            happening = Happening.PARTLY_SENT
        else:
            happening = Happening.UNANSWERED
        told = self._told(failure)
        if overdue:
            done = _DONE[sent] if call.body is not None else "no whole answer came"
            error: errors.TransportError = errors.DeadlineExceeded(
                f"{call.what}: {done} within {call.deadline:g} s.", sent=sent
            )
        elif connecting:
            error = errors.ConnectFailed(
                f"{call.what}: no connection to {httpx.URL(self.base_url).host} ({told}). "
                "Nothing was sent; check the network and base_url, then try again."
            )
        else:
            done = _DONE[sent] if call.body is not None else "no whole answer came"
            error = errors.ConnectionLost(f"{call.what}: {done} ({told}).", sent=sent)
        return _Failed(happening, error, final=overdue)

    def _told(self, failure: BaseException) -> str:
        text = self.credentials.redact(str(failure))[:200]
        return f"{type(failure).__name__}: {text}" if text else type(failure).__name__

    async def _prepare_retry(
        self,
        call: Call,
        failed: _Failed,
        tries: Tries,
        ends: float | None,
        account: CallAccount,
    ) -> None:
        """Wait as the table says, or raise."""
        verdict = tries.decide(failed.happening, call.effect)
        if verdict is Verdict.LOOK:
            raise errors.OutcomeUnknown(
                f"{answers.without_advice(failed.error)} It may have been carried out, and was "
                "not sent again; look before you repeat it."
            )
        if verdict is Verdict.RAISE or failed.final or not _repeatable(call):
            raise failed.error
        if verdict is Verdict.REFRESH:
            await self._in_time(self._refresh(failed), call, failed, ends)
            await self._in_time(self._take_turn(call), call, failed, ends)
            return
        hint = failed.hint
        delay = (
            max(hint or 0.0, PAUSE_OVER_RATE)
            if verdict is Verdict.WAIT
            else backoff(tries.sent, self._jitter(), hint)
        )
        too_late = ends is not None and self.clock.monotonic() + delay >= ends
        if (hint or 0.0) > LONGEST_HINT or too_late:
            raise failed.error
        if verdict is not Verdict.WAIT and not self._allowance.take():
            raise failed.error
        account.again(failed.happening.value, delay)
        if verdict is not Verdict.WAIT:  # a wait for the quota is the budget's pause
            await self.clock.sleep(delay)
        await self._in_time(self._take_turn(call), call, failed, ends)

    async def _in_time(
        self, work: Awaitable[None], call: Call, failed: _Failed, ends: float | None
    ) -> None:
        """Do what comes before another attempt, or raise once the call's time is up."""
        left = None if ends is None else ends - self.clock.monotonic()
        try:
            async with self.clock.timeout(left):
                await work
        except TimeoutError:
            late = True
        else:
            late = False
        if late:
            raise errors.DeadlineExceeded(
                f"{answers.without_advice(failed.error)} There was no time left to send it again "
                f"within {call.deadline:g} s.",
                sent=getattr(failed.error, "sent", "nothing"),
            )

    async def _refresh(self, failed: _Failed) -> None:
        if self._refresh_token is None:
            raise failed.error
        async with self._refreshing:
            if self.credentials.generation != failed.token:
                return  # another call has renewed it meanwhile
            trouble = await self._renew()
        if trouble:
            raise errors.AuthenticationFailed(
                f"{failed.error.message} Asking refresh_token for a fresh one failed ({trouble}).",
                status=401,
                errors=getattr(failed.error, "errors", ()),
            )

    async def _renew(self) -> str:
        """Ask for a fresh token; what went wrong, or "". No frame of an error holds the token."""
        assert self._refresh_token is not None  # noqa: S101  # `_refresh` has looked
        try:
            fresh = self._refresh_token()
            if inspect.isawaitable(fresh):
                fresh = await fresh
            self.credentials.renew(fresh)
        except errors.ConstantContactError as error:
            return self.credentials.redact(error.message)
        except Exception as error:  # noqa: BLE001  # the user's own code
            return self._told(error)
        return ""

    def _ends(self, call: Call) -> float | None:
        return None if call.deadline is None else self.clock.monotonic() + call.deadline


_DONE: dict[errors.SentState, str] = {
    "nothing": "nothing of the body was sent, and the connection was lost",
    "partly": "the connection was lost while the body was being sent",
    "wholly": "the body was sent in full, and no whole answer came",
}


def _repeatable(call: Call) -> bool:
    return call.body is None or call.body.repeatable


async def _left_open(_call: Call, response: httpx.Response) -> httpx.Response:
    return response


async def _close(response: httpx.Response | None, attempt: BodyAttempt | None) -> None:
    """Close both, also while the caller is being cancelled; closing has nothing to say."""
    with anyio.CancelScope(shield=True):
        try:
            if response is not None:
                await response.aclose()
        except Exception:  # noqa: BLE001  # engines raise more than they document
            logger.debug("closing an answer failed")
        finally:
            if attempt is not None:
                await attempt.aclose()
