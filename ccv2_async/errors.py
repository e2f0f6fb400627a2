"""Every exception that leaves this package, and what each one says about trying again.

::

    ConstantContactError
    ├── UsageError                  wrong input or set-up; nothing was sent
    │   ├── MissingCredentials        no API key or no access token
    │   ├── ClientClosed              the client is not open
    │   ├── InvalidField              a value the service would refuse
    │   ├── FileRefused               not a readable regular file, too large, a type not accepted
    │   ├── SourceConsumed            a stream that can be read once was needed again
    │   └── TokenError                a resume token that is altered, expired or another account's
    ├── JournalError                the journal of a bulk upload cannot be read or written
    ├── FileChanged                 the file grew, shrank or went away while it was sent
    ├── TransportError              no complete answer came
    │   ├── ConnectFailed             no connection was made; nothing was sent
    │   ├── ConnectionLost            the connection broke; `sent` says how far the body got
    │   ├── DeadlineExceeded          the call's time was up; `sent` says how far the body got
    │   └── ServiceUnavailable        the service is down, so nothing was sent
    ├── OutcomeUnknown              sent in full, unanswered: it may have been carried out
    │   └── AmbiguousUpload           the same, and what was found in the folder does not settle it
    ├── UnexpectedRedirect          the service pointed elsewhere; credentials do not follow
    ├── DecodeError                 an answer that is not what its type or its model says
    │   ├── AnswerTooLarge            it is larger than its kind of call can need
    │   └── UnreadableRow             one row of a list; the rows before it were given
    ├── PaginationError             a cursor that repeats or a link that cannot be followed
    ├── APIError                    the service refused
    │   ├── BadRequest                400, 413, 415 and the other 4xx not named here
    │   ├── AuthenticationFailed      401
    │   ├── Forbidden                 403 that is not about the quota
    │   ├── NotFound                  404
    │   ├── Conflict                  409
    │   ├── EndpointRetired           400 `http.status.gone`
    │   ├── OptedOut                  the contact has opted out; only it can opt back in
    │   ├── GrantRefused              the OAuth2 server, or the account's owner, gave no access
    │   ├── ServerError               5xx, after the attempts that are allowed
    │   └── QuotaExceeded             over the calls per second, or too many jobs (429)
    │       └── DailyQuotaExceeded      over the calls per day; `resets_at` says until when
    └── JobError                    a long-running job; `token` picks it up again
        ├── UploadFailed              the service gave up on the file
        │   └── VirusFound              and says why
        ├── ActivityFailed            the activity ended in ERROR or CANCELLED
        ├── PartialFailure            COMPLETE with row errors, and `strict` was asked for
        ├── JobNotFound               the service does not know the job
        ├── StatusUnreadable          what the service says of the job cannot be read
        └── PollTimeout               waiting ended; the job goes on at the service

`safe_to_retry` on each class answers the first question of whoever catches it: True when the
same call can be made again without doing anything twice, False when repeating is pointless or
may double something. No message, attribute or representation ever holds the key or the token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ccv2_async.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = [
    "APIError",
    "ActivityFailed",
    "AmbiguousUpload",
    "AnswerTooLarge",
    "AuthenticationFailed",
    "BadRequest",
    "ClientClosed",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "ConstantContactError",
    "DailyQuotaExceeded",
    "DeadlineExceeded",
    "DecodeError",
    "EndpointRetired",
    "FileChanged",
    "FileRefused",
    "Forbidden",
    "GrantRefused",
    "InvalidField",
    "JobError",
    "JobNotFound",
    "JournalError",
    "MissingCredentials",
    "NotFound",
    "OptedOut",
    "OutcomeUnknown",
    "PaginationError",
    "PartialFailure",
    "PollTimeout",
    "QuotaExceeded",
    "SentState",
    "ServerError",
    "ServiceUnavailable",
    "SourceConsumed",
    "StatusUnreadable",
    "TokenError",
    "TransportError",
    "UnexpectedRedirect",
    "UnreadableRow",
    "UploadFailed",
    "UsageError",
    "VirusFound",
]

SentState = Literal["nothing", "partly", "wholly"]
"""How much of a request body was handed to the connection: the final boundary decides `wholly`."""


def _rebuild(cls: type[ConstantContactError], state: dict[str, Any]) -> ConstantContactError:
    error = cls.__new__(cls)
    error.args = (state["message"],)
    error.__dict__.update(state)
    return error


class ConstantContactError(Exception):
    """The root of everything this package raises.

    Attributes:
        message: What happened, to what, what was already done, and what to do next.
        safe_to_retry: Whether making the same call again can do no harm and may help.
    """

    safe_to_retry: bool = False

    def __init__(self, message: str) -> None:
        # Messages quote file names and the service: nothing of them may break or fake a log line.
        message = one_line(message)
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling, as worker processes need, whatever arguments a subclass takes."""
        return _rebuild, (type(self), dict(self.__dict__))


class UsageError(ConstantContactError, ValueError):
    """Wrong input or set-up. Nothing was sent. Trying again without a change will not help."""


class MissingCredentials(UsageError):
    """No API key or no access token was given. Nothing was sent.

    Attributes:
        subject: What is missing, such as "API key"; "" if the message alone says so.
        variable: The environment variable that can hold it, or "".
    """

    def __init__(self, message: str, *, subject: str = "", variable: str = "") -> None:
        self.subject = subject
        self.variable = variable
        super().__init__(message)


class ClientClosed(UsageError):
    """The client is not open: use it inside `async with`, or call `open()`. Nothing was sent."""


class InvalidField(UsageError):
    """A value the service would refuse. Nothing was sent.

    Attributes:
        field: The name of the argument or of the field in the request.
        value: What was given, shortened.
        rule: What the service accepts.
        hint: What else a Python program can do about it, or "".
    """

    def __init__(self, field: str, value: object, rule: str, *, hint: str = "") -> None:
        shown = _shown(value)
        self.field = field
        self.value: str = shown if len(shown) <= 80 else shown[:77] + "..."
        self.rule = rule
        self.hint = hint
        advice = f", {hint}" if hint else ""
        super().__init__(f"{field} is {self.value}: {rule}{advice}. Nothing was sent.")


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # the user's own class; or a number too long to be written
        return f"<{type(value).__name__}>"


class FileRefused(UsageError):
    """A file that cannot be uploaded as it is. Nothing was sent.

    Attributes:
        path: The file, as it was given.
        reason: Why it was refused.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}. Nothing was sent.")


class SourceConsumed(UsageError):
    """A stream that can be read only once would have to be sent again.

    Give a path, bytes, or a function that opens a new stream, to make it repeatable.
    """


class TokenError(UsageError):
    """A resume token that is altered, expired, of an unknown version or another account's."""


class JournalError(ConstantContactError):
    """The journal of a bulk upload cannot be read or written any more, so the upload was ended.

    What was sent before stands in it. Safe to try again: yes, once the journal's disk is mended;
    the same call goes on where it stopped.
    """

    safe_to_retry = True


class FileChanged(ConstantContactError):
    """The file grew, shrank or went away while it was being sent. The service got no whole file.

    Safe to try again: yes, once the file has come to rest.

    Attributes:
        path: The file.
    """

    safe_to_retry = True

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        super().__init__(
            f"{path}: {what} while it was being sent. The upload was broken off; "
            "send it again once the file no longer changes."
        )


class TransportError(ConstantContactError):
    """No complete answer came. Safe to try again: yes, unless a subclass says otherwise.

    Attributes:
        sent: How far the request body got: "nothing", "partly" or "wholly".
    """

    safe_to_retry = True

    def __init__(self, message: str, *, sent: SentState = "nothing") -> None:
        self.sent: SentState = sent
        super().__init__(message)


class ConnectFailed(TransportError):
    """No connection was made, so nothing was sent. Safe to try again: yes."""


class ConnectionLost(TransportError):
    """The connection broke before a whole answer came.

    Safe to try again: yes; a call that adds something and was sent in full raises
    `OutcomeUnknown` instead.
    """


class DeadlineExceeded(TransportError, TimeoutError):
    """The call's time was up. Safe to try again: only when `sent` is not "wholly", or for reads.

    Raised as `OutcomeUnknown` when the call adds something and was sent in full.
    """


class ServiceUnavailable(TransportError):
    """The service is down: calls before this one failed in a row, so nothing was sent.

    Safe to try again: yes, later.
    """


class OutcomeUnknown(ConstantContactError):
    """A call that adds something was sent in full, and no clear answer came.

    It may have been carried out. Safe to try again: no; look at the account first.

    Attributes:
        sends: How many times it was sent in full; 0 when that is not known.
    """

    def __init__(self, message: str, *, sends: int = 0) -> None:
        self.sends = sends
        super().__init__(message)


class AmbiguousUpload(OutcomeUnknown):
    """An upload went unanswered, and what is in the folder does not settle whether it arrived.

    Safe to try again: no; choose one of the candidates, or upload again on purpose.

    Attributes:
        file_name: The name it was sent under.
        folder_id: The folder that was looked through.
        candidates: Ids of the files in it that could be the one.
        sends: How many times the file was sent; 0 when that is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        file_name: str,
        folder_id: str,
        candidates: Sequence[str] = (),
        sends: int = 0,
    ) -> None:
        self.sends = sends
        self.file_name = file_name
        self.folder_id = folder_id
        self.candidates: tuple[str, ...] = tuple(candidates)
        super().__init__(message, sends=sends)


class UnexpectedRedirect(ConstantContactError):
    """The answer was a redirect, which is never followed with credentials.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)


class DecodeError(ConstantContactError):
    """An answer that is not what its Content-Type or its model says, or is too large.

    Safe to try again: reads yes, though they were asked for several times already; what changes
    something no, as it was carried out, which the message says. `safe_to_retry` says which it is.

    Attributes:
        where: The place in the document, such as `results[3].size`; "" for the whole.
        excerpt: A short piece of what came.
        status: The HTTP status, when an answer was read.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        excerpt: str = "",
        status: int | None = None,
        safe_to_retry: bool = False,
    ) -> None:
        self.safe_to_retry = safe_to_retry
        self.where = where
        self.excerpt = excerpt
        self.status = status
        super().__init__(message)


class AnswerTooLarge(DecodeError):
    """An answer that is larger than its kind of call can need. It was not read to its end.

    It is not asked for again: the same is likely.
    """


class UnreadableRow(DecodeError):
    """A row of a list that does not fit its model. The rows before it were given.

    `on_bad_row="skip"` goes on behind it. Safe to try again: yes, though the same is likely.

    Attributes:
        index: The number of the row in the whole list, from 0; `where` is its place in its page.
        id: The row's id, or "" if it has none that can be read.
        row: The row as it came, as JSON, without secrets, and cut after 500 characters.
        rows_before: The good rows before it, where they were not given one by one.
    """

    rows_before: Sequence[Any] = ()

    def __init__(
        self,
        message: str,
        *,
        where: str = "",
        excerpt: str = "",
        status: int | None = None,
        index: int,
        id: str,  # noqa: A002  # the service's own word
        row: str,
    ) -> None:
        self.index = index
        self.id = id
        self.row = row
        super().__init__(message, where=where, excerpt=excerpt, status=status, safe_to_retry=True)


class PaginationError(ConstantContactError):
    """The pages go round in a circle or point where nothing may follow. Safe to try again: yes."""

    safe_to_retry = True


class APIError(ConstantContactError):
    """The service refused the call.

    Attributes:
        status: The HTTP status; None when the refusal was foreseen and nothing was sent.
        error_key: The service's key for the first error, such as `json.email.invalid`, or "".
        errors: Every `(error_key, error_message)` of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None,
        errors: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.status = status
        self.errors: tuple[tuple[str, str], ...] = tuple(errors)
        super().__init__(message)

    @property
    def error_key(self) -> str:
        """The service's key for the first error, or ""."""
        return self.errors[0][0] if self.errors else ""


class BadRequest(APIError):
    """The service found fault with the request (400, or a 4xx with no class of its own)."""


class AuthenticationFailed(APIError):
    """The access token is invalid or revoked (401). Get a new one before trying again."""


class Forbidden(APIError):
    """The key is not active, or lacks the privilege (403)."""


class NotFound(APIError):
    """There is nothing under that id (404)."""


class Conflict(APIError):
    """The call conflicts with the current state of the account (409).

    The message repeats the service's reason: a name or address that is taken, the last fee of an
    event, a campaign that is scheduled.
    """


class EndpointRetired(APIError):
    """The service has withdrawn the endpoint (400 `http.status.gone`).

    Nothing in the request is wrong, and the call was not carried out. Safe to try again: no. The
    service is reported to answer every call for events so since 2024.
    """


class OptedOut(APIError):
    """The contact has opted out, and only the contact itself can opt back in.

    Nothing was changed, unless the message says so. Safe to try again: no; call again with
    `action_by="ACTION_BY_VISITOR"` once the contact has signed up again itself.

    Attributes:
        contact_id: The contact.
    """

    def __init__(self, message: str, *, contact_id: str, status: int | None = None) -> None:
        self.contact_id = contact_id
        super().__init__(message, status=status)


class GrantRefused(APIError):
    """No access was granted, or a grant was not what it should be. Start over at `authorize_url`.

    `error_key` is the OAuth2 server's word, such as `access_denied`; it is `state_mismatch`, with
    a `status` of None, when the answer to a request for access belongs to none of ours.
    """


class ServerError(APIError):
    """The service failed (5xx), also when asked again. Safe to try again: yes, later.

    Raised as `OutcomeUnknown` when the call adds something and may have been carried out.
    """

    safe_to_retry = True


class QuotaExceeded(APIError):
    """Over the calls per second, or too many jobs at once. Safe to try again: yes, after a wait.

    Attributes:
        retry_after: Seconds the service asked to wait, or None.
    """

    safe_to_retry = True

    def __init__(
        self,
        message: str,
        *,
        status: int | None,
        errors: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, status=status, errors=errors)


class DailyQuotaExceeded(QuotaExceeded):
    """The key's calls for today are used up. Safe to try again: yes, after `resets_at`.

    Attributes:
        resets_at: When the next day's quota is expected (UTC). The service does not say when its
            day begins; midnight UTC is assumed.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None,
        resets_at: datetime,
        errors: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.resets_at = resets_at
        super().__init__(message, status=status, errors=errors)


class JobError(ConstantContactError):
    """A long-running job did not end well, or not yet.

    Attributes:
        id: The job's id.
        status: Its last known status, or None.
        token: A resume token for it, or "".
    """

    def __init__(self, message: str, *, id: str, status: str | None, token: str = "") -> None:  # noqa: A002  # the service's own word
        self.id = id
        self.status = status
        self.token = token
        super().__init__(message)


class UploadFailed(JobError):
    """The service gave up on an uploaded file (Failed, or Deleted meanwhile)."""


class VirusFound(UploadFailed):
    """The service found a virus in the file. Do not send it again."""


class ActivityFailed(JobError):
    """A bulk activity ended in ERROR or CANCELLED.

    Attributes:
        activity: The activity as last read, with its row errors.
    """

    def __init__(
        self,
        message: str,
        *,
        id: str,  # noqa: A002  # the service's own word
        status: str | None,
        token: str = "",
        activity: Any = None,
    ) -> None:
        self.activity = activity
        super().__init__(message, id=id, status=status, token=token)


class PartialFailure(ActivityFailed):
    """A bulk activity is COMPLETE, but some rows failed, and `strict=True` was asked for."""


class JobNotFound(JobError):
    """The service does not know the job, or no longer (activities are kept 14 days)."""


class StatusUnreadable(JobError):
    """What the service says of the job cannot be read, and it said so for a minute and more.

    The job itself may go on, or have ended: look at the account, or resume it by its token later.

    Attributes:
        row: What came in place of its status, as JSON, without secrets, and cut after 500
            characters.
    """

    def __init__(
        self,
        message: str,
        *,
        id: str,  # noqa: A002  # the service's own word
        status: str | None,
        token: str = "",
        row: str,
    ) -> None:
        self.row = row
        super().__init__(message, id=id, status=status, token=token)


class PollTimeout(JobError, TimeoutError):
    """Waiting ended; the job goes on at the service. Safe to wait again: yes."""

    safe_to_retry = True
