"""Every exception that this package raises, and whether the call can be made again.

::

    ConstantContactError
    ├── UsageError                  the input or the setup is wrong; nothing was sent
    │   ├── MissingCredentials        no API key or no access token
    │   ├── ClientClosed              the client is not open
    │   ├── InvalidField              a value that the service would refuse
    │   ├── FileRefused               not a readable regular file, too large, or of the wrong type
    │   ├── SourceConsumed            a stream must be read again, and cannot be
    │   └── TokenError                a resume token is altered, expired, or from another account
    ├── JournalError                the journal of an upload or a backup cannot be read or written
    ├── FileChanged                 the file grew, shrank, or was deleted while being sent
    ├── TransportError              no complete response arrived
    │   ├── ConnectFailed             no connection was made, so nothing was sent
    │   ├── ConnectionLost            the connection broke; `sent` says how far the body got
    │   ├── DeadlineExceeded          the time ran out; `sent` says how far the body got
    │   └── ServiceUnavailable        the service is down, so nothing was sent
    ├── OutcomeUnknown              sent in full without a response; it may have been carried out
    │   └── AmbiguousUpload           checking the folder did not settle whether it arrived
    ├── UnexpectedRedirect          the service answered with a redirect, which is not followed
    ├── DecodeError                 a response that does not fit its type or model
    │   ├── ResponseTooLarge            it is larger than this kind of call can need
    │   └── UnreadableRow             one row of a list cannot be read
    ├── PaginationError             a cursor repeats, or a link cannot be followed
    ├── APIError                    the service refused the call
    │   ├── BadRequest                400, 413, 415 and the other 4xx not named here
    │   ├── AuthenticationFailed      401
    │   ├── Forbidden                 403 that is not about the quota
    │   ├── NotFound                  404
    │   ├── Conflict                  409
    │   ├── EndpointRetired           400 `http.status.gone`
    │   ├── OptedOut                  the contact opted out; only the contact can opt in
    │   ├── GrantRefused              the OAuth2 server or the account owner refused
    │   ├── ServerError               5xx or 408, after the allowed attempts
    │   └── QuotaExceeded             over the calls per second, or too many jobs (429)
    │       └── DailyQuotaExceeded      over the calls per day; `resets_at` says when that ends
    └── JobError                    a job failed, or has not ended; `token` resumes it
        ├── UploadFailed              the service could not process the file
        │   └── VirusFound              it found a virus
        ├── ActivityFailed            the activity ended in ERROR or CANCELLED
        ├── PartialFailure            COMPLETE with row errors, and `strict=True` was given
        ├── JobNotFound               the service does not know the job
        ├── StatusUnreadable          the status of the job cannot be read
        └── PollTimeout               the wait ended; the job continues on the server

`safe_to_retry` is True when the same call can be made again without doing anything twice. It is
False when a repeat does not help, or may do something twice. No message, attribute, or
representation holds the key or the token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ccv2_async.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Self

__all__ = [
    "APIError",
    "ActivityFailed",
    "AmbiguousUpload",
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
    "ResponseTooLarge",
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
"""How much of a request body was sent; "wholly" includes the final boundary."""


_LONGEST_MESSAGE = 8000
_ADVICE = 500


def _shortened(message: str) -> str:
    """Return a message cut to a limited length. Its end stays, because it says what to do."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return f"{message[: _LONGEST_MESSAGE - _ADVICE]} [...] {message[-_ADVICE:]}"


def _rebuild(cls: type[ConstantContactError], state: dict[str, Any]) -> ConstantContactError:
    error = cls.__new__(cls)
    error.args = (state["message"],)
    error.__dict__.update(state)
    return error


@dataclass(eq=False, repr=False)
class ConstantContactError(Exception):
    """The base class of all exceptions of this package.

    Attributes:
        message: What happened, to what, what was already done, and what to do next.
        reason: What happened, in a few words; the whole message where no shorter text is known.
        safe_to_retry: Whether the same call can be made again without harm, and may succeed.
    """

    safe_to_retry = False

    message: str
    reason: str = field(default="", kw_only=True)

    @classmethod
    def from_parts(cls, subject: str, reason: str, advice: str = "", **fields: Any) -> Self:
        """Return an error whose message consists of these parts.

        Args:
            subject: What it happened to, such as "upload of menu.pdf".
            reason: What happened, without a period.
            advice: What was already done and what to do next, in whole sentences.
            fields: The attributes of the class.
        """
        return cls(f"{subject}: {reason}. {advice}".rstrip(), reason=reason, **fields)

    def __post_init__(self) -> None:
        # Messages quote file names and the service, which must not break or fake a line of a log.
        self.message = one_line(_shortened(self.message))
        self.reason = one_line(_shortened(self.reason)) or self.message.removesuffix(".")
        self.args: tuple[Any, ...] = (self.message,)

    def extend(self, text: str) -> None:
        """Add whole sentences to the message."""
        self.message += f" {text}"
        self.args = (self.message,)

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling for any subclass; worker processes need it."""
        return _rebuild, (type(self), dict(self.__dict__))


class UsageError(ConstantContactError, ValueError):
    """The input or the setup is wrong. Nothing was sent. Change it before you try again."""


@dataclass(eq=False, repr=False, kw_only=True)
class MissingCredentials(UsageError):
    """No API key or no access token was given. Nothing was sent.

    Attributes:
        subject: What is missing, such as "API key"; "" if the message alone says so.
        variable: The environment variable that can hold it, or "".
    """

    subject: str = ""
    variable: str = ""


class ClientClosed(UsageError):
    """The client is not open: use it inside `async with`, or call `open()`. Nothing was sent."""


class InvalidField(UsageError):
    """A value that the service would refuse. Nothing was sent.

    Attributes:
        field: The name of the argument or of the field in the request.
        value: What was given, shortened.
        values: Its strings, if it was a short list or tuple of them; otherwise ().
        rule: What the service accepts.
        hint: What else a Python program can do about it, or "".
    """

    def __init__(self, field: str, value: object, rule: str, *, hint: str = "") -> None:
        shown = _shown(value)
        several = value if isinstance(value, list | tuple) and len(shown) <= 80 else ()
        self.values: tuple[str, ...] = tuple(text for text in several if isinstance(text, str))
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
        files: How many files were refused: all files in it, if it is a folder.
    """

    def __init__(self, path: str, reason: str, *, files: int = 1) -> None:
        self.path = path
        self.files = files
        super().__init__(f"{path}: {reason}. Nothing was sent.", reason=reason)


class SourceConsumed(UsageError):
    """A stream would have to be sent again, but can be read only once.

    Pass a path, bytes, or a function that opens a new stream instead.
    """


class TokenError(UsageError):
    """A resume token is altered, expired, of an unknown version, or from another account."""


class JournalError(ConstantContactError):
    """The journal of an upload, mirror, or backup cannot be read or written, so the run stopped.

    The journal holds what was done before. Safe to try again: yes, once the disk works again or
    the journal has been restored from a copy; the same call continues where it stopped.
    """

    safe_to_retry = True


class FileChanged(ConstantContactError):
    """The file changed or was deleted while it was being sent. It did not arrive in full.

    Safe to try again: yes, once the file no longer changes.

    Attributes:
        path: The file.
    """

    safe_to_retry = True

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        super().__init__(
            f"{path}: it {what} while it was being sent. The upload was stopped; "
            "send it again once the file no longer changes.",
            reason=f"it {what} while it was being sent",
        )


@dataclass(eq=False, repr=False, kw_only=True)
class TransportError(ConstantContactError):
    """No complete response arrived. Safe to try again: yes, unless a subclass says otherwise.

    Attributes:
        sent: How far the request body got: "nothing", "partly" or "wholly".
    """

    safe_to_retry = True

    sent: SentState = "nothing"


class ConnectFailed(TransportError):
    """No connection was made, so nothing was sent. Safe to try again: yes."""


class ConnectionLost(TransportError):
    """The connection broke before a complete response arrived.

    Safe to try again: yes; a call that adds something and was sent in full raises
    `OutcomeUnknown` instead.
    """


class DeadlineExceeded(TransportError, TimeoutError):
    """The time for the call ran out. Safe to try again: yes, except a write sent "wholly".

    Raised as `OutcomeUnknown` when the call adds something and was sent in full.
    """


class ServiceUnavailable(TransportError):
    """The service is down: earlier calls failed in a row, so this one was not sent.

    Safe to try again: yes, later.
    """


@dataclass(eq=False, repr=False, kw_only=True)
class OutcomeUnknown(ConstantContactError):
    """A call that adds something was sent in full, and no conclusive response arrived.

    It may have been carried out. Safe to try again: no; look at the account first.

    Attributes:
        sends: How many times it was sent in full; 0 when that is not known.
    """

    sends: int = 0


@dataclass(eq=False, repr=False, kw_only=True)
class AmbiguousUpload(OutcomeUnknown):
    """An upload got no response, and the files in its folder do not show whether it arrived.

    Also raised if the row of a file in a journal is damaged: it may have been sent before.

    Safe to try again: no; choose one of the candidates, or upload it again on purpose.

    Attributes:
        file_name: The name that it was sent with.
        folder_id: The folder that was searched.
        candidates: IDs of the files in it that may be the upload.
        sends: How many times the file was sent; 0 when that is not known.
    """

    file_name: str
    folder_id: str
    candidates: tuple[str, ...] = ()


@dataclass(eq=False, repr=False, kw_only=True)
class UnexpectedRedirect(ConstantContactError):
    """The response was a redirect. Redirects are not followed, to keep the credentials safe.

    Attributes:
        status: The HTTP status.
    """

    status: int


@dataclass(eq=False, repr=False, kw_only=True)
class DecodeError(ConstantContactError):
    """A response does not fit its Content-Type or its model, or is too large.

    Safe to try again: see `safe_to_retry`. It is true for reads, although they were tried several
    times already, and for a PUT or DELETE that something other than the service answered, such as a
    login page. It is false for other changes: the call was carried out, and the message says so.

    Attributes:
        where: The place in the document, such as `results[3].size`; "" for the whole.
        excerpt: A short piece of the response, on one printable line.
        status: The HTTP status, when a response was read.
    """

    where: str = ""
    excerpt: str = ""
    status: int | None = None
    safe_to_retry: bool = False

    def __post_init__(self) -> None:
        self.excerpt = one_line(self.excerpt)
        super().__post_init__()


class ResponseTooLarge(DecodeError):
    """A response is larger than this kind of call can need. Only its beginning was read.

    The call is not repeated, because the next response is likely to be the same.
    """


@dataclass(eq=False, repr=False, kw_only=True)
class UnreadableRow(DecodeError):
    """A row of a list does not fit its model. The rows before it were returned.

    `on_bad_row="skip"` skips it. Safe to try again: yes, but the row is likely to be the same; no,
    if the call changed something.

    Attributes:
        index: The number of the row in the whole list, from 0; `where` is its place in its page.
        id: The row's ID, or "" if it has none that can be read.
        row: The row as JSON, without secrets, truncated to 500 characters.
        rows_before: The readable rows before it, if they were not returned one by one.
    """

    index: int
    id: str
    row: str
    safe_to_retry: bool = True
    rows_before: Sequence[Any] = field(default=(), init=False)


class PaginationError(ConstantContactError):
    """The pages repeat, or a link to the next page cannot be followed. Safe to try again: yes."""

    safe_to_retry = True


@dataclass(eq=False, repr=False, kw_only=True)
class APIError(ConstantContactError):
    """The service refused the call.

    Attributes:
        status: The HTTP status; None if the client refused the call itself and sent nothing.
        error_key: The service's key for the first error, such as `json.email.invalid`, or "".
        errors: Every `(error_key, error_message)` of the response.
        headers: The headers of the response, with names in lower case; empty if nothing was sent,
            and for errors of `OAuthFlow`.
        call: The number of the call, as in events and the log; None where `headers` is empty.
    """

    status: int | None
    errors: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    call: int | None = None

    @property
    def error_key(self) -> str:
        """The service's key for the first error, or ""."""
        return self.errors[0][0] if self.errors else ""

    @property
    def is_from_service(self) -> bool:
        """Whether the service itself refused the call, not a gateway or firewall in front of it.

        Only the service names keys such as `http.status.not_found`: words joined by dots.
        So it is False for all errors of `OAuthFlow`, and if the client refused the call itself.
        """
        keys = (key for key, _ in self.errors if "." in key.strip("."))
        return any(key.replace(".", "_").isidentifier() for key in keys)


class BadRequest(APIError):
    """The service says that the request is wrong (400, or a 4xx without a class of its own)."""


class AuthenticationFailed(APIError):
    """The access token is invalid or revoked (401). Get a new one before trying again."""


class Forbidden(APIError):
    """The API key is not active, or lacks the privilege (403).

    Without `is_from_service`, a firewall may have blocked only this call.
    """


class NotFound(APIError):
    """No resource has that ID (404)."""


class Conflict(APIError):
    """The call conflicts with the current state of the account (409).

    The message gives the service's reason, such as a name or an address that is taken, the
    last fee of an event, or a campaign that is scheduled.
    """


class EndpointRetired(APIError):
    """The service has withdrawn the endpoint (400 `http.status.gone`).

    The request is not wrong, and it was not carried out. Safe to try again: no. The service has
    reportedly answered all calls for events in this way since 2024.
    """


@dataclass(eq=False, repr=False, kw_only=True)
class OptedOut(APIError):
    """The contact has opted out. Only the contact can opt in again.

    Nothing was changed, unless the message says so. Safe to try again: no; call again with
    `action_by="ACTION_BY_VISITOR"` once the contact has signed up again.

    Attributes:
        contact_id: The ID of the contact.
    """

    contact_id: str
    status: int | None = None


class GrantRefused(APIError):
    """Access was not granted, or the grant is not valid. Start over at `authorize_url`.

    `error_key` is the error of the OAuth2 server, such as `access_denied`. It is `state_mismatch`,
    with a `status` of None, if the redirect does not belong to the request.
    """


class ServerError(APIError):
    """The service failed (5xx or 408), and retries did not help. Safe to try again: yes, later.

    Raised as `OutcomeUnknown` when the call adds something and may have been carried out.
    """

    safe_to_retry = True


@dataclass(eq=False, repr=False, kw_only=True)
class QuotaExceeded(APIError):
    """Too many calls per second, or too many open jobs. Safe to try again: yes, after a wait.

    Attributes:
        retry_after: The number of seconds that the service asked to wait, or None.
    """

    safe_to_retry = True

    retry_after: float | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class DailyQuotaExceeded(QuotaExceeded):
    """The API key's daily calls are used up. Safe to try again: yes, after `resets_at`.

    Attributes:
        resets_at: When the quota is expected to start again (UTC). The service does not say when
            its day begins; the client assumes midnight UTC. In the first hour of a day, it is
            earlier, because the refusal may be about the day before.
    """

    resets_at: datetime


@dataclass(eq=False, repr=False, kw_only=True)
class JobError(ConstantContactError):
    """A long-running job failed, or has not ended yet.

    Attributes:
        id: The job's ID.
        status: Its last known status, or None.
        token: A resume token for it, or "".
    """

    id: str
    status: str | None
    token: str = ""


class UploadFailed(JobError):
    """The service could not process an uploaded file, or the file was deleted in the meantime."""


class VirusFound(UploadFailed):
    """The service found a virus in the file. Do not send it again."""


@dataclass(eq=False, repr=False, kw_only=True)
class ActivityFailed(JobError):
    """A bulk activity ended in ERROR or CANCELLED.

    Attributes:
        activity: The activity as last read, with its row errors.
    """

    activity: Any = None


class PartialFailure(ActivityFailed):
    """A bulk activity is COMPLETE, but some rows failed, and `strict=True` was given."""


class JobNotFound(JobError):
    """The service does not know the job. It keeps activities for 14 days."""


@dataclass(eq=False, repr=False, kw_only=True)
class StatusUnreadable(JobError):
    """The status of the job could not be read for more than a minute.

    The job may continue, or have ended. Look at the account, or resume it with its token later.

    Attributes:
        row: The row that was returned in place of its status, as JSON, or the reason why the
            service refused the request. Without secrets, truncated to 500 characters.
    """

    row: str


class PollTimeout(JobError, TimeoutError):
    """The wait ended; the job continues on the server. Safe to wait again: yes."""

    safe_to_retry = True


AFFECTS_EVERY_CALL = (
    AuthenticationFailed,
    ClientClosed,
    DailyQuotaExceeded,
    JournalError,
    ServiceUnavailable,
)
"""The errors that the next call would meet too, so that a run of many calls ends."""
