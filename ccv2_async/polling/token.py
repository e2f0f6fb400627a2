"""Resume tokens: short strings that resume a job in another process, later. Pure.

A token is `ccv2p1.`, base64url JSON, a dot, and a keyed checksum. It names the kind and the ID of
the job, a fingerprint of the account, when the job was started, when the token expires, when the
next look makes sense, and the last status. It holds no URL, header, or secret. The checksum's key
comes from the credentials, so a token that was altered, for example in a browser, or that belongs
to another account is refused.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Any, get_args

import attrs
import orjson

from ccv2_async.clock import date_of, in_dates
from ccv2_async.errors import TokenError
from ccv2_async.transport.calls.responses import JobKindName, is_id

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "ccv2p1"
MAX_LENGTH = 400
LONGEST_STATUS = 40
_KINDS = frozenset(get_args(JobKindName))
_DAMAGED = "The resume token is damaged; copy the whole token again."


@attrs.frozen
class TokenData:
    """The content of a token.

    Attributes:
        kind: "upload" or "activity".
        id: The job's ID.
        account: The fingerprint of the credentials.
        submitted: When the job was started, in seconds since 1970.
        expires: When the token expires, in seconds since 1970.
        not_before: When the next look makes sense, in seconds since 1970.
        status: The last known status, or None.
    """

    kind: JobKindName
    id: str
    account: str
    submitted: int
    expires: int
    not_before: int
    status: str | None = None


_KEYS = {
    "k": "kind",
    "i": "id",
    "a": "account",
    "s": "submitted",
    "e": "expires",
    "n": "not_before",
    "t": "status",
}
"""The names of the fields in a token."""


def encode(data: TokenData, checksum: Callable[[bytes], str]) -> str:
    """Return the token for `data`, of at most `MAX_LENGTH` characters.

    Args:
        data: The content.
        checksum: A keyed checksum, as URL-safe text.
    """
    document: dict[str, Any] = {key: getattr(data, name) for key, name in _KEYS.items()}
    status = None if data.status is None else data.status[:LONGEST_STATUS]
    document["t"] = status
    # An unknown status may have any letters, but the length of a token is limited.
    if status is None or len(orjson.dumps(status)) > LONGEST_STATUS + 2:
        del document["t"]
    payload = base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=")
    return f"{VERSION}.{payload.decode('ascii')}.{checksum(payload)}"


def decode(text: str, *, account: str, now: float, checksum: Callable[[bytes], str]) -> TokenData:
    """Return the content of a token that is intact, of this account, and still valid.

    Args:
        text: The token.
        account: The fingerprint of the credentials it is to be used with.
        now: Seconds since 1970.
        checksum: The keyed checksum it was made with.

    Raises:
        TokenError: It is not valid; the message says why.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise TokenError(f"A resume token is a string of at most {MAX_LENGTH} characters.")
    version, _, rest = text.strip().partition(".")
    if version != VERSION:
        if version.startswith("ccv2p"):
            raise TokenError("The resume token was made by another version of ccv2_async.")
        raise TokenError(f"This is not a resume token: a resume token begins with {VERSION}.")
    payload, _, given = rest.partition(".")
    try:
        padded = payload.encode("ascii") + b"=" * (-len(payload) % 4)
        document = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except ValueError:  # also from base64
        raise TokenError(_DAMAGED) from None
    if not isinstance(document, dict):
        raise TokenError(_DAMAGED)
    if document.get("a") != account:
        raise TokenError(
            "The resume token belongs to other credentials; resume the job with the API key and "
            "access token that started the job."
        )
    expected = checksum(payload.encode("ascii"))
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode()):
        raise TokenError("The resume token was altered; copy the whole token again.")
    fields: dict[str, Any] = {name: document.get(key) for key, name in _KEYS.items()}
    data = TokenData(**fields)
    if not _is_valid(data):
        raise TokenError("The resume token has a format that this version does not know.")
    if in_dates(now) > data.expires:
        made = f"{date_of(data.submitted):%Y-%m-%d}"
        raise TokenError(
            f"The resume token of {data.kind} {data.id}, made on {made}, has expired: the service "
            "no longer keeps that job, unless a clock was wrong."
        )
    return data


def _is_valid(data: TokenData) -> bool:
    """Return whether the fields, which came from outside, have the right types."""
    return (
        data.kind in _KINDS
        and isinstance(data.id, str)
        and is_id(data.id)
        and all(type(time) is int for time in (data.submitted, data.expires, data.not_before))
        and (data.status is None or isinstance(data.status, str))
    )
