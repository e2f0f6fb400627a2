"""The API key and the access token, kept out of every log, representation and message."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import weakref
from html.entities import codepoint2name
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ccv2_async.errors import MissingCredentials

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "[hidden]"

SHORTEST_TELLING = 6
"""Characters; a shorter secret, as only tests have it, would take letters out of every record."""

# Loggers below us that write whole URLs or response headers, which a server may fill with echoes.
_FOREIGN_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
    "aiohttp.client",
)
_alive: weakref.WeakSet[Credentials] = weakref.WeakSet()


class Credentials:
    """The key and token of one account; signs requests and takes both out of any text.

    Args:
        api_key: The application's key.
        access_token: The account owner's grant.

    Raises:
        MissingCredentials: One of them is empty, or holds what no header can carry.
    """

    __slots__ = (
        "__weakref__",
        "_access_token",
        "_api_key",
        "_checksum_key",
        "_elsewhere",
        "_redacting",
        "_secrets",
        "fingerprint",
        "generation",
    )

    def __init__(self, api_key: str, access_token: str) -> None:
        self._api_key = _checked(api_key, "API key", "api_key=", "CCV2_API_KEY")
        self._access_token = _checked(
            access_token, "access token", "access_token=", "CCV2_ACCESS_TOKEN"
        )
        self._secrets: set[str] = set()
        self._remember(self._api_key, self._access_token)
        self.generation: int = 0
        """Rises with each fresh token, so that a call can see that another has renewed it."""
        self._checksum_key = hmac.digest(
            f"{api_key}\n{access_token}".encode(), b"ccv2_async checksum key 1", hashlib.sha256
        )
        self.fingerprint: str = self.checksum(b"account")
        """Tells two accounts apart without telling anything about their secrets."""
        _alive.add(self)
        _guard_foreign_loggers()

    def __repr__(self) -> str:
        return f"Credentials(api_key={HIDDEN!r}, access_token={HIDDEN!r})"

    @property
    def bearer(self) -> bytes:
        """The value of the Authorization header."""
        return b"Bearer " + self._access_token.encode("ascii")

    def sign(self, target: bytes) -> bytes:
        """The request target (path and query) with the API key added to its query."""
        joint = b"&" if b"?" in target else b"?"
        return target + joint + b"api_key=" + quote(self._api_key, safe="").encode("ascii")

    def renew(self, access_token: str) -> None:
        """Use another access token of the same account from now on."""
        self._access_token = _checked(
            access_token, "fresh access token", "refresh_token=", "CCV2_ACCESS_TOKEN"
        )
        self._remember(access_token)
        self.generation += 1

    def checksum(self, data: bytes) -> str:
        """A keyed checksum of `data` as 16 URL-safe characters; the same after `renew`."""
        digest = hmac.digest(self._checksum_key, data, hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:12]).decode("ascii")

    def redact(self, text: str) -> str:
        """`text` with every form of the key and of any token it had taken out."""
        return self._redacting.sub(HIDDEN, text)

    def redact_elsewhere(self, text: str) -> str:
        """The same for the records of others, where a few letters may stand by chance."""
        return text if self._elsewhere is None else self._elsewhere.sub(HIDDEN, text)

    def _remember(self, *secrets: str) -> None:
        self._secrets.update(secrets)
        self._redacting = any_of(self._secrets)
        telling = [secret for secret in self._secrets if len(secret) >= SHORTEST_TELLING]
        self._elsewhere = any_of(telling) if telling else None


def any_of(secrets: Iterable[str]) -> re.Pattern[str]:
    """A pattern for each of some secrets, none of them empty, in every form."""
    # The longest first, so that no form is cut short by one that it contains.
    ordered = sorted(secrets, key=len, reverse=True)
    return re.compile("|".join(_in_every_form(secret) for secret in ordered))


def _in_every_form(secret: str) -> str:
    """A pattern for a secret as it stands, percent-encoded, or escaped in JSON, HTML or a repr.

    What has to be encoded differs from one encoder to the next, so each character may be or not.
    """
    return "".join(map(_in_any_form, secret))


def _in_any_form(char: str) -> str:
    if char.isalnum():
        return char
    digits = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{ord(char):02x}")
    forms = [
        r"\\+" if char == "\\" else r"\\*" + re.escape(char),
        f"%(?:25)*{digits}",
        rf"\\+(?:u00|x){digits}",
        f"&#0*{ord(char)};|&#[xX]0*{digits};",
    ]
    name = codepoint2name.get(ord(char), "apos" if char == "'" else "")
    if name:
        forms.append(f"&{name};")
    return f"(?:{'|'.join(reversed(forms))})"


def _checked(value: Any, what: str, argument: str, variable: str) -> str:
    if value and not isinstance(value, str):
        raise MissingCredentials(
            f"The {what} must be text, not {type(value).__name__}. Nothing was sent."
        )
    if not value:
        raise MissingCredentials(f"No {what}: give {argument} or set {variable}. Nothing was sent.")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise MissingCredentials(
            f"The {what} holds a blank, a line end or a character outside ASCII, "
            "so it cannot be the one the service issued. Nothing was sent."
        )
    return str(value)


class _RedactingFilter(logging.Filter):
    """Rewrites records of the HTTP libraries that would show a secret of a living client."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        cleaned = message
        for credentials in list(_alive):
            cleaned = credentials.redact_elsewhere(cleaned)
        if cleaned != message:
            record.msg, record.args = cleaned, None
        return True


_filter = _RedactingFilter()


def _guard_foreign_loggers() -> None:
    for name in _FOREIGN_LOGGERS:
        logging.getLogger(name).addFilter(_filter)  # adding it again changes nothing
