"""The API key and the access token: sign requests with them, and redact them everywhere else."""

from __future__ import annotations

import base64
import codecs
import hashlib
import hmac
import logging
import re
import weakref
from contextlib import suppress
from html.entities import codepoint2name
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import quote

import httpx
import orjson

from ccv2_async.errors import MissingCredentials
from ccv2_async.models.convert import MAX_WEIGHT, weight_of
from ccv2_async.secret import HIDDEN, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_Cleaner = TypeVar("_Cleaner", "Redacting", "SignedURL")

SHORTEST_TELLING = 6
"""In characters. A shorter secret, as in tests, would remove single letters from all records."""

_TOKENS = 3
"""How many tokens are removed from text, the newest ones: each makes every search take longer."""

# Loggers of HTTP/2 headers, packed or parts of URLs, and of the passwords of proxies.
_LEFT_OUT = ("hpack.hpack", "hpack.table", "httpcore.socks", "httpcore2.socks")
# Loggers of HTTP libraries that write whole URLs or response headers.
_FOREIGN_LOGGERS = (
    "httpx",
    "httpx2",
    "aiohttp.client",
    *_LEFT_OUT,
    *(
        f"{library}.{part}"
        for library in ("httpcore", "httpcore2")
        for part in ("connection", "http11", "http2", "proxy")
    ),
)
_alive: weakref.WeakValueDictionary[int, Redacting | SignedURL] = weakref.WeakValueDictionary()


class Credentials:
    """The key and token of one account. Signs requests, and redacts both in any text.

    Args:
        api_key: The API key of the application.
        access_token: The access token of the account.

    Raises:
        MissingCredentials: One of them is empty, or cannot be sent in a header.
    """

    __slots__ = (
        "_access_token",
        "_checksum_key",
        "_elsewhere",
        "_lasting",
        "_redacting",
        "_secrets",
        "_signature",
        "fingerprint",
        "generation",
    )

    def __init__(self, api_key: str | Secret[str], access_token: str | Secret[str]) -> None:
        api_key, access_token = Secret(api_key), Secret(access_token)
        _check(api_key, "API key", "api_key=", "CCV2_API_KEY")
        _check(access_token, "access token", "access_token=", "CCV2_ACCESS_TOKEN")
        self._access_token = access_token
        self._signature = Secret(f"api_key={quote(api_key.reveal(), safe='')}".encode("ascii"))
        self._secrets: list[Secret[str]] = []
        self._lasting = 1  # how many of them, from the first, are not tokens
        self._remember(api_key, access_token)
        self.generation: int = 0
        """Increases with each fresh token, so that a call can see that another one renewed it."""
        self._checksum_key = Secret(
            hmac.digest(
                f"{api_key.reveal()}\n{access_token.reveal()}".encode(),
                b"ccv2_async checksum key 1",
                hashlib.sha256,
            )
        )
        self.fingerprint: str = self.checksum(b"account")
        """Differs between accounts, and reveals nothing about their secrets."""

    def __repr__(self) -> str:
        return f"Credentials(api_key={HIDDEN!r}, access_token={HIDDEN!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("Credentials cannot be pickled or copied: they hold secrets.")

    def authorization(self) -> bytes:
        """Return the value of the Authorization header."""
        return b"Bearer " + self._access_token.reveal().encode("ascii")

    def sign(self, target: bytes) -> bytes:
        """Return a request target (path and query) with the API key added to its query."""
        return target + (b"&" if b"?" in target else b"?") + self._signature.reveal()

    def renew(self, access_token: str | Secret[str]) -> None:
        """Use another access token of the same account from now on."""
        access_token = Secret(access_token)
        _check(access_token, "fresh access token", "refresh_token=", "CCV2_ACCESS_TOKEN")
        self._access_token = access_token
        self._remember(access_token)
        self.generation += 1

    def hide(self, secret: Secret[str]) -> None:
        """Redact another secret too, unless it is as short as a common word."""
        if len(secret.reveal()) >= SHORTEST_TELLING:
            self._secrets.insert(0, secret)
            self._lasting += 1
            self._remember()

    def checksum(self, data: bytes) -> str:
        """Return a keyed checksum of `data` as 16 URL-safe characters; `renew` keeps the key."""
        digest = hmac.digest(self._checksum_key.reveal(), data, hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:12]).decode("ascii")

    def redact(self, text: str, limit: int | None = None) -> str:
        """Return `text` without any form of the key and of the newest tokens.

        Args:
            text: Any text, of any length.
            limit: How many characters of the result are needed.
        """
        return self._redacting.clean(text, limit)

    def redact_content(self, content: bytes) -> bytes:
        """Return the body of a response without secrets that the service echoed.

        JSON stays JSON. Secrets of fewer than 6 characters are not removed.
        """
        if (redacting := self._elsewhere) is None or not content:
            return content
        escaped = b"\\u00" in content and _ESCAPED_ASCII.search(content)
        # A body that is too complex to parse elsewhere is not parsed here either.
        if escaped and weight_of(content) <= MAX_WEIGHT:
            # JSON may escape any letter; writing it again removes the escapes.
            with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):
                content = orjson.dumps(orjson.loads(content))
        return redacting.clean_bytes(content)

    def redact_headers(self, headers: httpx.Headers) -> httpx.Headers:
        """Return the headers of a response without secrets that the service echoed."""
        redacting = self._elsewhere
        if redacting is None or not redacting.may_be_in(b"\n".join(map(b":".join, headers.raw))):
            return headers
        clean = redacting.clean_bytes
        return httpx.Headers([(clean(name), clean(value)) for name, value in headers.raw])

    def _remember(self, *secrets: Secret[str]) -> None:
        earlier = [one for one in self._secrets[self._lasting :] if one not in secrets]
        self._secrets[self._lasting :] = [*earlier, *secrets][-_TOKENS:]
        self._redacting = Redacting(self._secrets)
        telling = [one for one in self._secrets if len(one.reveal()) >= SHORTEST_TELLING]
        self._elsewhere = hide_in_logs(Redacting(telling)) if telling else None


class Redacting:
    """Removes all forms of secrets from strings, in time linear in their length.

    Args:
        secrets: The secrets; none of them is empty.
    """

    __slots__ = ("__weakref__", "_longest", "_needles", "_pattern", "_secrets")

    def __init__(self, secrets: Sequence[Secret[str]]) -> None:
        # Many proxies read all bytes as Latin-1.
        read = {Secret(one.reveal().encode().decode("latin-1")) for one in secrets}
        # The longest first, so that a form that contains another is removed as a whole.
        self._secrets = sorted({*secrets, *read}, key=lambda one: len(one.reveal()), reverse=True)
        self._longest = len(self._secrets[0].reveal()) * _LONGEST_FORM
        self._needles = Secret([_needle(form).encode("ascii") for form in self._forms()])
        # Made when it is first needed, because that takes time.
        self._pattern: Secret[re.Pattern[str]] | None = None

    def _forms(self) -> list[str]:
        """Return the secrets as they are, and packed as a whole, the longest form first."""
        secrets = [one.reveal() for one in self._secrets]
        packed = {form for secret in secrets for form in _packed(secret)}
        return sorted({*secrets, *packed}, key=len, reverse=True)

    def may_be_in(self, content: bytes) -> bool:
        """Return whether `content` may hold a secret. False is certain, and fast."""
        if any(needle in content for needle in self._needles.reveal()):
            return True
        if not (b"%" in content or b"\\" in content or b"&#" in content):
            return False  # nothing in it is encoded
        # In steps, here and below, so that a thread that does this lets others run.
        return any(
            _ENCODED.search(content, at, at + _STEP + _LONGEST_FORM)
            for at in range(0, len(content), _STEP)
        )

    def _search(self, text: str, start: int, end: int) -> re.Match[str] | None:
        if self._pattern is None:
            patterns = [_in_every_form(form) for form in self._forms()]
            patterns += [_with_any_encoded(secret.reveal()) for secret in self._secrets]
            self._pattern = Secret(re.compile("|".join(patterns)))
        return self._pattern.reveal().search(text, start, end)

    def clean(self, text: str, limit: int | None = None) -> str:
        """Return `text` without the secrets, or the first `limit` characters of that.

        A limit saves time, and never leaves a part of a secret at the end.
        """
        # A secret that begins before the limit ends in this part: do not search the rest.
        part = text if limit is None else text[: limit + self._longest]
        if not self.may_be_in(part.encode("utf-8", "replace")):
            return text[:limit]
        pieces: list[str] = []
        at, room = 0, len(text) * len(HIDDEN) if limit is None else limit
        while room > 0 and at < len(text):
            step = min(room, _STEP)
            # A secret that begins within the step ends before this.
            found = self._search(text, at, at + step + self._longest)
            if found is None or found.start() >= at + step:
                piece, at = text[at : at + step], at + step
            else:
                piece, at = text[at : found.start()] + HIDDEN, found.end()
            pieces.append(piece)
            room -= len(piece)
        return "".join(pieces)[:limit]

    def clean_bytes(self, content: bytes) -> bytes:
        """Return `content` without the secrets."""
        if not self.may_be_in(content):
            return content
        text = content.decode("utf-8", "surrogateescape")
        return self.clean(text).encode("utf-8", "surrogateescape")


_STEP = 64 * 1024
# How many times a string may be encoded.
_BACKSLASHES = 32
_PERCENTS = 8
_ZEROS = 8
_LONGEST_FORM = _BACKSLASHES + len("u00") + 2
"""The length of one encoded character; only a row of backslashes before it may be longer."""


_FIRST_SLASHES = r"(?<!\\)\\++"
_SLASHES = rf"\\{{1,{_BACKSLASHES}}}"
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
# An encoded letter or digit in a URL, JSON, repr, or HTML.
_ENCODED = re.compile(
    rb"%%(?:25){0,%d}(?:3[0-9]|[4-7][0-9A-Fa-f])|\\(?:u00|x)[3-7]|&#[0-9xX]" % _PERCENTS
)


def _packed(secret: str) -> Iterator[str]:
    """Yield a secret in hexadecimal, and in base64 at each possible offset in the encoded data."""
    if len(secret) < SHORTEST_TELLING:
        return
    data = secret.encode()
    yield from (data.hex(), data.hex().upper())
    for before in range(3):
        shifted = bytes(before) + data
        # The first and the last character may hold bits of the neighbors.
        known = slice((before * 8 + 5) // 6, len(shifted) * 8 // 6)
        yield base64.b64encode(shifted).decode("ascii")[known]
        yield base64.urlsafe_b64encode(shifted).decode("ascii")[known]


def _needle(form: str) -> str:
    """Return the longest run of letters and digits: few encoders change them."""
    return max(re.findall("[0-9A-Za-z]+", form), key=len, default="")


def _in_every_form(secret: str) -> str:
    """Return a pattern for a secret in every form: plain, or encoded in a URL, JSON, HTML, or repr.

    Encoders differ in the characters that they encode, so any character but a letter or a digit
    may be encoded. A search reads each run of backslashes once, because the pattern starts at the
    first one.
    """
    pattern = ""
    for row in re.finditer(r"(.)\1*", secret, re.DOTALL):
        char, times = row[1], len(row[0])
        if char == "\\":
            pattern += _backslashes(times)
        elif pattern:
            pattern += f"{_in_any_form(char)}{{{times}}}"
        else:
            pattern = f"{_in_any_form(char, first=True)}{_in_any_form(char)}{{{times - 1}}}"
    return pattern


def _with_any_encoded(secret: str) -> str:
    """Return a pattern for a secret in which any character may be encoded, even letters."""
    slashes = (_FIRST_SLASHES, *[_SLASHES] * len(secret))
    return "".join(
        f"(?:{_encoded(char, row)}|{re.escape(char)})"
        for char, row in zip(secret, slashes, strict=False)
    )


def _backslashes(times: int) -> str:
    """Return a pattern for a run of backslashes in any form."""
    encoded = _encoded("\\", r"\\")
    return rf"(?:(?:{encoded}){{{times}}}|\\{{{times},{times * _BACKSLASHES}}})"


def _in_any_form(char: str, *, first: bool = False) -> str:
    if char.isalnum():
        return char
    slashes = _FIRST_SLASHES if first else _SLASHES
    return f"(?:{_encoded(char, slashes)}|(?:{slashes})?{re.escape(char)})"


def _encoded(char: str, slashes: str) -> str:
    percent = f"%(?:25){{0,{_PERCENTS}}}"
    number, *data = (f"(?i:{each:02x})" for each in (ord(char), *char.encode()))
    # Not `encode`: it would import the codec when no file can be opened.
    units = f"{_SLASHES}u".join(re.findall("....", codecs.utf_16_be_encode(char)[0].hex()))
    name = codepoint2name.get(ord(char), "apos" if char == "'" else f"#{ord(char)}")
    # A byte of Latin-1 may have been decoded as UTF-8.
    byte = "" if char.isascii() else f"|{percent}{number}|[\ufffd{chr(0xDC00 + ord(char) % 256)}]"
    return (
        f"&{name};|&#0{{0,{_ZEROS}}}{ord(char)};|&#[xX]0{{0,{_ZEROS}}}{number};|{slashes}"
        f"(?:u(?i:{units})|U0{{0,6}}{number}|x{number}|x{f'{_SLASHES}x'.join(data)})"
        f"|{percent}{percent.join(data)}{byte}"
    )


def _check(secret: Secret[str], what: str, argument: str, variable: str) -> None:
    flaw = flaw_of(secret.reveal())
    if flaw == "is empty":
        raise MissingCredentials(
            f"No {what}: pass {argument} or set {variable}. Nothing was sent.",
            subject=what,
            variable=variable,
        )
    if flaw is not None:
        raise MissingCredentials(f"The {what} {flaw}. Nothing was sent.")


def flaw_of(value: Any) -> str | None:
    """Return the flaw of a key or token, without showing its value; None if it has none."""
    if not value:
        return "is empty"
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if not (value.isascii() and value.isprintable()) or " " in value:
        return (
            "contains a space, a line break, or a non-ASCII character, so it cannot be the one "
            "that the service issued"
        )
    return None


class SignedURL:
    """A URL whose query may be signed.

    Args:
        url: The URL.
    """

    def __init__(self, url: httpx.URL) -> None:
        self._url = Secret(str(url))
        self._shown = str(url.copy_with(query=None))

    def clean(self, text: str) -> str:
        """Return `text`, in which the URL has no query."""
        return text.replace(self._url.reveal(), self._shown)


class _Filter(logging.Filter):
    """Redacts or leaves out log records that would show a secret that is in use."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = cleaned = record.getMessage()
        # The references are copied in one step, because other threads may add some.
        for cleaner in [found for one in _alive.valuerefs() if (found := one()) is not None]:
            if record.name in _LEFT_OUT:
                return False
            cleaned = cleaner.clean(cleaned)
        if cleaned != message:
            record.msg, record.args = cleaned, None
        return True


_filter = _Filter()


def hide_in_logs(cleaner: _Cleaner) -> _Cleaner:
    """Clean the log records of HTTP libraries for as long as `cleaner` exists, and return it."""
    _alive[id(cleaner)] = cleaner
    for name in _FOREIGN_LOGGERS:
        logging.getLogger(name).addFilter(_filter)  # adding it again changes nothing
    return cleaner
