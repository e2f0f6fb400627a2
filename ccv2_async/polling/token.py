"""Resume tokens: a short text that picks a job up again in another process, later. Pure.

A token is `ccv2p1.`, base64url JSON, a dot, and a keyed checksum. It names the kind and the id of
the job, a fingerprint of the account, when the job was started, until when the token is good, when
the next look makes sense, and the last status. There is no URL, header or secret in it. The
checksum's key comes from the credentials, so an altered token, or one of another account, is
refused, also when it went through a browser.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Any, cast, get_args

import attrs
import orjson

from ccv2_async.errors import TokenError
from ccv2_async.transport.calls.answers import JobKindName, is_id

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "ccv2p1"
MAX_LENGTH = 400
LONGEST_STATUS = 40
_KINDS = frozenset(get_args(JobKindName))


@attrs.frozen
class TokenData:
    """What a token says.

    Attributes:
        kind: "upload" or "activity".
        id: The job's id.
        account: The fingerprint of the credentials.
        submitted: When the job was started, in seconds since 1970.
        expires: Until when the token is good, in seconds since 1970.
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


def encode(data: TokenData, checksum: Callable[[bytes], str]) -> str:
    """The token for `data`, of at most `MAX_LENGTH` characters.

    Args:
        data: What it is to say.
        checksum: A keyed checksum, as URL-safe text.
    """
    document: dict[str, Any] = {
        "k": data.kind,
        "i": data.id,
        "a": data.account,
        "s": data.submitted,
        "e": data.expires,
        "n": data.not_before,
    }
    if data.status is not None:
        shown = orjson.dumps(data.status[:LONGEST_STATUS])
        # A status that no documentation knows may be of any letters; a token is of bounded length.
        if len(shown) <= LONGEST_STATUS + 2:
            document["t"] = data.status[:LONGEST_STATUS]
    payload = base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=")
    return f"{VERSION}.{payload.decode('ascii')}.{checksum(payload)}"


def decode(text: str, *, account: str, now: float, checksum: Callable[[bytes], str]) -> TokenData:
    """What a token says, once it is known to be whole, ours and still good.

    Args:
        text: The token.
        account: The fingerprint of the credentials it is to be used with.
        now: Seconds since 1970.
        checksum: The keyed checksum it was made with.

    Raises:
        TokenError: It is not; the message says in which way.
    """
    if not isinstance(text, str) or len(text) > MAX_LENGTH:
        raise TokenError(f"A resume token is a text of at most {MAX_LENGTH} characters.")
    version, _, rest = text.strip().partition(".")
    if version != VERSION:
        if version.startswith("ccv2p"):
            raise TokenError("The resume token was made by another version of ccv2_async.")
        raise TokenError(f"This is no resume token: one begins with {VERSION}.")
    payload, _, given = rest.partition(".")
    try:
        padded = payload.encode("ascii") + b"=" * (-len(payload) % 4)
        document = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise TokenError("The resume token is damaged; copy it again, whole.") from None
    if not isinstance(document, dict):
        raise TokenError("The resume token is damaged; copy it again, whole.")
    if document.get("a") != account:
        raise TokenError(
            "The resume token belongs to other credentials; resume it with the API key and access "
            "token that started the job."
        )
    expected = checksum(payload.encode("ascii"))
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode()):
        raise TokenError("The resume token was altered; copy it again, whole.")
    data = _read(cast("dict[str, Any]", document))
    if now > data.expires:
        raise TokenError(
            f"The resume token of {data.kind} {data.id} has expired: the service no longer "
            "answers for that job."
        )
    return data


def _read(document: dict[str, Any]) -> TokenData:
    kind, id_, status = document.get("k"), document.get("i"), document.get("t")
    stamps = [document.get(name) for name in "sen"]
    if (
        kind not in _KINDS
        or not isinstance(id_, str)
        or not is_id(id_)
        or not all(type(stamp) is int for stamp in stamps)
        or not (status is None or isinstance(status, str))
    ):
        raise TokenError("The resume token is of a form this version does not know.")
    submitted, expires, not_before = cast("list[int]", stamps)
    return TokenData(
        kind=cast("JobKindName", kind),
        id=id_,
        account=cast("str", document["a"]),
        submitted=submitted,
        expires=expires,
        not_before=not_before,
        status=status,
    )
