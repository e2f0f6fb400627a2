"""Judge failed attempts at a call: an error response, or no response."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import attrs
import httpx

from ccv2_async import errors
from ccv2_async.text import described
from ccv2_async.transport.calls import responses
from ccv2_async.transport.calls.retry import LONGEST_HINT, FailureKind
from ccv2_async.transport.http.clients import never_connected
from ccv2_async.transport.http.protocol import NothingSent
from ccv2_async.transport.quota import Lane

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.clock import Clock
    from ccv2_async.transport.calls.call import Call
    from ccv2_async.transport.calls.credentials import Credentials
    from ccv2_async.transport.files.body import BodyAttempt
    from ccv2_async.transport.quota.budget import Budget

E = TypeVar("E", bound=BaseException)

PAUSE_OVER_RATE = 1.0

_UNANSWERED = "no complete response arrived"
_DONE: dict[errors.SentState, tuple[FailureKind, str]] = {
    "nothing": (FailureKind.NEVER_CONNECTED, "none of the body was sent"),
    "partly": (FailureKind.PARTLY_SENT, "only a part of the body was sent"),
    "wholly": (FailureKind.UNANSWERED, f"the body was sent in full, but {_UNANSWERED}"),
}


@attrs.frozen
class Failed:
    """A failed attempt, and the error to raise if no other attempt is made.

    Attributes:
        kind: The row of the retry table.
        error: The error to raise.
        hint: The seconds that the service asked to wait, or None.
        token: The generation of the access token of the attempt.
        final: Whether the call's time is up.
    """

    kind: FailureKind
    error: errors.ConstantContactError
    hint: float | None = None
    token: int = 0
    final: bool = False


class Judge:
    """Judges failed attempts, for their call and for others.

    Args:
        credentials: The secrets to remove from messages.
        budget: The quota, which a refusal may pause.
        clock: The clock that dates in responses are compared with.
        base_url: The URL of the API, for messages.
    """

    def __init__(
        self, credentials: Credentials, budget: Budget, clock: Clock, base_url: str
    ) -> None:
        self._credentials = credentials
        self._budget = budget
        self._clock = clock
        self._host = httpx.URL(base_url).host

    def refused(
        self,
        call: Call,
        status: int,
        headers: Mapping[str, str],
        content: bytes,
        *,
        token: int,
        number: int,
    ) -> Failed:
        """Judge an unsuccessful response, and pause the quota if the response says so."""
        found = responses.parse_errors(content, headers, self._credentials.redact)
        hint = responses.wait_of(headers, self._clock.time())
        kind = responses.failure_kind(status, found, hinted=hint is not None)
        error: errors.ConstantContactError
        match kind:
            case FailureKind.REDIRECTED:
                error = errors.UnexpectedRedirect.from_parts(
                    call.what,
                    f"the service returned {status}, a redirect",
                    "It was not followed, so the credentials went nowhere else; check the base "
                    "URL (CCV2_BASE_URL).",
                    status=status,
                )
            case FailureKind.OVER_DAY:
                self._budget.end_day()
                error = self._budget.day_exceeded(call.what, status=status, found=found)
            case _:
                of_job = call.lane is Lane.POLL
                if of_job and not found and content.strip() != b"[]":  # the service says why
                    found = (("", "no reason given"),)
                error = responses.refusal(status, found, call.what, sent=number, of_job=of_job)
        if kind is FailureKind.OVER_RATE:
            self._budget.pause(min(max(hint or 0.0, PAUSE_OVER_RATE), LONGEST_HINT))
            if isinstance(error, errors.QuotaExceeded):
                error.retry_after = hint
        if isinstance(error, errors.APIError):
            error.headers = dict(self._credentials.redact_headers(httpx.Headers(headers)))
        return Failed(kind, error, hint, token=token)

    def broken(
        self, call: Call, attempt: BodyAttempt | None, failure: BaseException, *, overdue: bool
    ) -> Failed:
        """Judge a failed connection by how much of the body was sent.

        Transports have different names for the same failure; one of them calls a lost response a
        connect timeout. So an error counts as a failed connect only if nothing was sent.
        `NothingSent` comes from our own connection, and is certain.
        """
        connecting = never_connected(failure) and (attempt is None or attempt.sent == "nothing")
        sent: errors.SentState = "wholly"
        if connecting or isinstance(failure, NothingSent):
            sent = "nothing"
        elif call.body is not None:
            sent = "nothing" if attempt is None else attempt.sent
        kind, done = _DONE[sent]
        if call.body is None:
            done = "nothing was sent" if sent == "nothing" else _UNANSWERED
        why = self.described(failure)
        if overdue:
            error: errors.TransportError = errors.DeadlineExceeded.from_parts(
                call.what, f"{done} within {call.deadline:g} s", sent=sent
            )
        elif connecting:
            error = errors.ConnectFailed.from_parts(
                call.what,
                f"no connection to {self._host} ({why})",
                "Nothing was sent; check the network and the base URL (CCV2_BASE_URL), then try "
                "again.",
            )
        else:
            error = errors.ConnectionLost.from_parts(call.what, f"{done} ({why})", sent=sent)
        return Failed(kind, error, final=overdue)

    def described(self, failure: BaseException) -> str:
        """Return an exception in a few words, without secrets."""
        return self._credentials.redact(described(failure), 200)


def without_frames(error: E) -> E:
    """Return an exception without its traceback and its context.

    Frames of HTTP libraries hold the signed request, and others hold the raw response, which may
    echo a secret.
    """
    error.__context__ = None
    return error.with_traceback(None)


def raise_unless_connection_failed(failure: BaseException, attempt: BodyAttempt | None) -> None:
    """Raise anything but a failed connection: our errors, the user's, and interrupts.

    Some engines hide an error of the user's source behind a connection error. One engine sends
    a body again by itself, which `SourceConsumed` refuses.
    """
    if attempt is not None and not isinstance(failure, asyncio.CancelledError):
        if attempt.failure is not None:
            raise attempt.failure.with_traceback(attempt.trace)
        if isinstance(failure, errors.SourceConsumed):
            return
    if isinstance(failure, errors.ConstantContactError) or not isinstance(failure, Exception):
        raise failure
