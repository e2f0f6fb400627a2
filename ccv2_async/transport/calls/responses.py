"""Read the service's responses: errors, the IDs of jobs, and cursors. Pure.

A URL in a response is read only for the ID or the cursor in it. Requests then use our own path at
the configured origin, so that no response can send the credentials elsewhere.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs
import orjson

from ccv2_async import errors
from ccv2_async.models.hooks import names_error
from ccv2_async.text import one_line
from ccv2_async.transport.calls.retry import FailureKind, parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sized

OVER_RATE_KEY = "mashery.not.authorized.over.qps"
OVER_DAY_KEY = "mashery.not.authorized.over.ratelimit"
INACTIVE_KEY = "mashery.not.authorized.inactive"
DAY_KEYS = frozenset({OVER_DAY_KEY, "quota_exceeded"})
"""The keys that mean the end of the day's quota; `quota_exceeded` is the newer API's word."""
RETIRED_KEY = "http.status.gone"

# The gateway's header says the same, even if the body was lost or rewritten.
_GATEWAY_CODES = {
    "ERR_403_DEVELOPER_OVER_QPS": OVER_RATE_KEY,
    "ERR_403_DEVELOPER_OVER_RATE": OVER_DAY_KEY,
    "ERR_403_DEVELOPER_INACTIVE": INACTIVE_KEY,
}

_BY_STATUS: dict[int, type[errors.APIError]] = {
    401: errors.AuthenticationFailed,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    429: errors.QuotaExceeded,
}

_ADVICE = {
    400: "Correct the request before sending it again.",
    401: "The access token is invalid or revoked; get a new one.",
    403: "The API key is not active, or lacks the privilege; or a firewall blocked the call.",
    404: "No resource has that ID, or the base URL (CCV2_BASE_URL) is wrong.",
    405: "The service does not offer this method here.",
    406: "The service could not answer in JSON.",
    409: "The request conflicts with the current state of the account; look at it before you "
    "send the request again.",
    410: "The service has withdrawn this endpoint. The request itself is correct, but sending it "
    "again does not help.",
    413: "It is larger than the service accepts.",
    415: "The service does not accept this type of content.",
    429: "Too many calls or jobs at once; wait and try again.",
}

MAX_REFUSAL = 256 * 1024
"""The largest response in bytes, unpacked, that is read when the service refuses a call."""

JobKindName = Literal["upload", "activity"]
_Errors: TypeAlias = tuple[tuple[str, str], ...]

_FORMS: dict[JobKindName, re.Pattern[str]] = {
    # "uploadstatus" is not an ID, and neither is "addcontacts" or "removefromlists".
    "upload": re.compile(r"(?:^|/)library/files/(?:uploadstatus/)?(?!uploadstatus/*\Z)([^/]+)/*\Z"),
    "activity": re.compile(r"(?:^|/)activities/(?![a-z]+(?:contacts|lists)/*\Z)([^/]+)/*\Z"),
}
# IDs of every fixture are digits, base-36, UUIDs or base64url; commas would join two of them.
_ID = re.compile(r"[A-Za-z0-9_=~.+-]{1,128}\Z")

MAX_ERRORS = 20
MAX_TEXT = 300
_MAX_PROSE = 64 * 1024
_LONGEST_LINK = 4096
MOST_EMPTY = 50
"""The maximum number of consecutive empty pages. A real listing has a few at most."""


def parse_errors(
    content: bytes, headers: Mapping[str, str], redact: Callable[[str, int], str]
) -> _Errors:
    """Return each `(error_key, error_message)` of an error response of any shape.

    The service sends an array of `{error_key, error_message}`. Gateways, proxies, and the OAuth2
    server also send a single object, `{error, error_description}`, another object, plain text,
    HTML, or nothing.

    Source: "Supported methods" page of the service's documentation.
    """
    found: list[tuple[str, str]] = []
    try:
        document = orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        document = _prose(content, redact)
    rows: list[Any] = document if isinstance(document, list) else [document]
    for row in rows[:MAX_ERRORS]:
        if isinstance(row, dict):
            key = _first(row, "error_key", "error_code", "error")
            message = _first(row, "error_message", "error_description", "message")
            if key or message:
                found.append((key, message))
        elif isinstance(row, str) and row:
            found.append(("", row))
    if document and not found and isinstance(document, dict):
        found.append(("", _prose(content, redact)))
    gateway = _GATEWAY_CODES.get(headers.get("x-mashery-error-code", ""))
    if gateway and all(key != gateway for key, _ in found):
        found.insert(0, (gateway, ""))
    return tuple(
        (one_line(redact(key, MAX_TEXT))[:MAX_TEXT], one_line(redact(message, MAX_TEXT))[:MAX_TEXT])
        for key, message in found
    )


def from_elsewhere(document: object, *, bare: str) -> bool:
    """Return whether JSON in response to a change is an error: an object with one, or text.

    No response of the service to a change has the field of an error at its top.

    Args:
        document: The JSON.
        bare: The path of a call that the service answers with an empty body, or "". Then all but an
            empty object, and one with an ID from the path, comes from elsewhere.
    """
    rows = document if isinstance(document, list) else [document]
    asked = [part for part in re.split("[/,]", unquote(bare)) if any(map(str.isdigit, part))]

    def is_foreign(row: object) -> bool:
        if not isinstance(row, dict):
            return isinstance(row, str) or (bare != "" and row is not None)
        is_full = any(value not in (None, "", [], {}) for value in row.values())
        return names_error(row) or (bare != "" and is_full and str(row.get("id")) not in asked)

    return bool(rows) and all(map(is_foreign, rows))


def _first(row: dict[str, Any], *names: str) -> str:
    """Return the first of the fields that is not empty: text, a number, or a list of them."""
    for name in names:
        value = row.get(name)
        values = value[:MAX_ERRORS] if isinstance(value, list) else [value]
        text = "; ".join(str(one) for one in values if one and isinstance(one, str | int | float))
        if text:
            return text
    return ""


def _prose(content: bytes, redact: Callable[[str, int], str]) -> str:
    text = content[:_MAX_PROSE].decode("utf-8", "replace").strip()
    # Redact first: a cut could leave half of a secret.
    return "an HTML page" if text[:1] == "<" else " ".join(redact(text, MAX_TEXT).split())


def failure_kind(status: int, found: _Errors, *, hinted: bool) -> FailureKind:
    """Return the row of the retry table for an unsuccessful response.

    Args:
        status: The HTTP status.
        found: The errors, from `parse_errors`.
        hinted: Whether the response says when to try again.
    """
    keys = {key for key, _ in found}
    if 300 <= status < 400:
        return FailureKind.REDIRECTED
    if status == 401:
        return FailureKind.UNAUTHORIZED
    if status in (403, 429) and DAY_KEYS & keys:
        return FailureKind.OVER_DAY
    if status == 429 or (status == 403 and OVER_RATE_KEY in keys):
        return FailureKind.OVER_RATE
    if status == 503 and hinted:
        return FailureKind.SERVER_BUSY
    return FailureKind.SERVER_FAILED if is_failure(status) else FailureKind.REFUSED


def is_failure(status: int) -> bool:
    """Return whether a status says that the server failed; 408 says that it hung up too early."""
    return status >= 500 or status == 408


def refusal(
    status: int, found: _Errors, what: str, *, sent: int = 1, of_job: bool = False
) -> errors.APIError:
    """Return the exception for an unsuccessful response, except for redirects.

    Args:
        status: The HTTP status.
        found: The errors, from `parse_errors`.
        what: What the call does, such as "upload of menu.pdf".
        sent: How many times it was sent.
        of_job: Whether the call asks for the status of jobs. A page of a gateway does not say that
            a job is unknown, or that its ID is refused.
    """
    kind = _BY_STATUS.get(status, errors.ServerError if is_failure(status) else errors.BadRequest)
    if status == 403 and OVER_RATE_KEY in dict(found):
        kind = errors.QuotaExceeded
    if 400 <= status < 500 and RETIRED_KEY in dict(found):
        kind = errors.EndpointRetired
    known = not found or errors.APIError("", status=status, errors=found).is_from_service
    if of_job and not known and kind in (errors.BadRequest, errors.Conflict, errors.NotFound):
        kind = errors.ServerError
    said = "; ".join(f"{key}: {text}" if key and text else key or text for key, text in found[:3])
    reason = f"{status} ({said.removesuffix('.')})" if said else f"{status} without giving a reason"
    alike = {errors.QuotaExceeded: 429, errors.EndpointRetired: 410}.get(kind, status)
    advice = _ADVICE.get(alike, _ADVICE[400])
    if kind is errors.ServerError:
        again = f" It was sent {sent} times." if sent > 1 else ""
        advice = f"The service failed.{again} Try again later."
    return kind.from_parts(
        what, f"the service returned {reason}", advice, status=status, errors=found
    )


def time_of(headers: Mapping[str, str]) -> float | None:
    """Return the server's own time, in seconds since 1970; None without a usable Date header.

    A date without a zone, which "-0000" means too, cannot be compared with other clocks.
    """
    try:
        date = parsedate_to_datetime(headers["date"])
        return date.timestamp() if date.tzinfo is not None else None
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return None


def wait_of(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait; see `parse_retry_after`.

    Args:
        headers: The headers of the response.
        now: Our own time. It may be behind; then a date would seem too far away.
    """
    return parse_retry_after(headers.get("retry-after"), max(now, time_of(headers) or 0.0))


def is_id(text: str) -> bool:
    """Return whether `text` can be an ID: short, printable, and a single path segment."""
    return bool(_ID.match(text)) and not set(text) <= {"."}


def job_id(kind: JobKindName, location: str | None, id_header: str | None = None) -> str | None:
    """Return the ID of the job that a response started, or None if there is none.

    The Location header takes precedence over the Id header. The Location may be absolute (on any
    host) or relative, may have the form of the status call, and may have a query. Only its last
    segment counts, and only below a path of this kind of job. A header that occurs several times
    counts once if all its lines name the same ID; otherwise nobody can tell which job was started.

    Source: upload and bulk activity pages; the official SDKs read one header or the other.
    """
    # httpx joins the lines of a header with ", ", which is in no URL and in no ID.
    named = {_linked_id(kind, link) for link in (location or "").split(", ")}
    if named == {None}:
        named = {text.strip() for text in (id_header or "").split(", ")}
    found = named.pop()
    return None if named or found is None or not is_id(found) else found


def without_id(headers: Mapping[str, str]) -> str:
    """Return, for a message, what a response did that names no job, or names several."""
    links = {*(headers.get("location") or headers.get("id") or "").split(", ")}
    return "named different IDs" if len(links) > 1 else "returned no ID"


def _linked_id(kind: JobKindName, link: str) -> str | None:
    try:
        path = "" if len(link) > _LONGEST_LINK else urlsplit(link.strip()).path
    except ValueError:
        path = ""
    found = _FORMS[kind].search(path)
    candidate = unquote(found[1]) if found and "," not in path else ""
    return candidate if is_id(candidate) else None


def cursor(next_link: str | None) -> str | None:
    """Return the opaque cursor of a `next_link`, decoded once; None on the last page.

    Raises:
        ValueError: The link is not a URL, has no cursor, or is too long to come from the service.
    """
    if not next_link:
        return None
    if len(next_link) > _LONGEST_LINK:
        raise ValueError("the link has no cursor, or is too long")
    for name, value in parse_qsl(urlsplit(next_link).query):
        if name == "next" and value:
            return value
    raise ValueError("no cursor")


@attrs.define
class Cursors:
    """The links from page to page of one listing, which must lead to an end.

    Attributes:
        what: The name of the listing, for messages.
        seen: The cursors so far.
    """

    what: str
    seen: set[str] = attrs.field(factory=set)
    _empty: int = 0

    def after(self, rows: Sized, next_link: str | None) -> str | None:
        """Return the cursor of the page after one with these rows; None on the last page.

        Raises:
            PaginationError: The link holds no cursor, or one that was seen before, or many
                consecutive pages were empty.
        """
        try:
            following = cursor(next_link)
        except ValueError:
            raise errors.PaginationError(
                f"{self.what}: the link to the next page has no cursor. The rows so far are "
                "complete; list again to get the rest."
            ) from None
        if following is None:
            return None
        if following in self.seen:
            raise errors.PaginationError(
                f"{self.what}: the service returned the same cursor twice, so the pages would "
                "never end. Narrow the listing, or list again."
            )
        self._empty = 0 if rows else self._empty + 1
        if self._empty == MOST_EMPTY:
            raise errors.PaginationError(
                f"{self.what}: {MOST_EMPTY} pages in a row were empty, and another one "
                "follows, so the pages may never end. Narrow the listing, or list again."
            )
        self.seen.add(following)
        return following


def segment(value: str) -> str:
    """Return a percent-encoded path segment. Commas stay, because they join IDs."""
    return quote(value, safe=",~")
