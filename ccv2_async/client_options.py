"""Validate the options of a client when it is created."""

from __future__ import annotations

import ipaddress
import logging
import re
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import httpx

from ccv2_async.errors import InvalidField, UsageError
from ccv2_async.models import validation
from ccv2_async.transport.calls.call import Timeouts
from ccv2_async.transport.quota.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger: logging.Logger = logging.getLogger("ccv2_async")

_CLOCK = ("monotonic", "time", "sleep", "timeout")
# URLs may hold a password. A string in place of an object is often a secret itself, such as a
# refresh token in place of its function, or the URL of a database in place of the budget.
_NOT_SHOWN = frozenset(
    {"base_url", "proxy", "http_client", "budget", "refresh_token", "on_event", "clock"}
)


def check_options(**options: object) -> None:
    """Check the options of a client; their values may be secrets, so hide the tracebacks.

    Raises:
        UsageError: An option has a wrong value. The message shows only the type of a value that may
            hold a secret.
    """
    for name, value in options.items():
        fits, rule = _OPTIONS[name]
        if not fits(value):
            raise InvalidField(name, type(value) if name in _NOT_SHOWN else value, rule)
    own = options.get("proxy") or options.get("verify", True) is not True
    if own and options.get("http_client") is not None:
        raise UsageError("http_client has its own proxy and verify; set them there, not here.")


def _is_users_client(value: object) -> bool:
    """Return whether a value can be an asynchronous client, which httpx's blocking one is not."""
    blocking = any(
        kind.__name__ == "Client" and kind.__module__.partition(".")[0] in ("httpx", "httpx2")
        for kind in type(value).__mro__
    )
    sends = callable(getattr(value, "send", None)) and not isinstance(value, type)
    return value is None or (sends and not blocking)


def _are_timeouts(value: object) -> bool:
    if not isinstance(value, Timeouts):
        return value is None
    steps = attrs.astuple(value, recurse=False)
    return all(step is None or (validation.is_number(step) and step > 0) for step in steps)


def _is_clock(value: object) -> bool:
    return value is None or all(callable(getattr(value, name, None)) for name in _CLOCK)


_OPTIONS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "base_url": (validation.is_text, "it must be a URL as text"),
    "budget": (
        lambda value: value is None or isinstance(value, Budget),
        "it must be a Budget, or None",
    ),
    "http_client": (_is_users_client, "it must be an httpx.AsyncClient, or None"),
    "proxy": (
        lambda value: value is None or validation.is_text(value),
        f"{validation.TEXT}, or None",
    ),
    "verify": (
        lambda value: validation.is_flag(value) or isinstance(value, ssl.SSLContext),
        "it must be an ssl.SSLContext, True, or False",
    ),
    "trust_env": (validation.is_flag, validation.FLAG),
    "timeouts": (_are_timeouts, "it must be Timeouts whose values are numbers above 0, or None"),
    "max_in_flight": (validation.is_count, "it must be a whole number, 1 or more"),
    "settle_time": (validation.is_seconds, "it must be a number of seconds, 0 or more"),
    "refresh_token": (
        validation.is_function,
        "it must be a function or coroutine function, or None",
    ),
    "on_event": (validation.is_plain_function, "it must be a plain function (not async), or None"),
    "clock": (_is_clock, f"it must have the methods {', '.join(_CLOCK)}"),
}


def checked_origin(url: str) -> str:
    """Return the base URL without a trailing slash. Log a warning if it sends secrets unencrypted.

    Args:
        url: The URL of the API, such as `https://api.constantcontact.com/v2`.

    Raises:
        InvalidField: It is not an http or https URL, or has credentials, a query or a fragment.
            The message shows only its scheme and host.
    """
    if not _is_base_url(url):
        url = _without_secrets(url)
        rule = "it must be an http or https URL without a user name, query or fragment"
        raise InvalidField("base_url", url, rule)
    parts = urlsplit(url)
    if parts.scheme == "http" and not _stays_here(parts.hostname or ""):
        logger.warning(
            "The base URL is http, so the key and the token go to %s unencrypted; use https.",
            parts.hostname,
        )
    return url.rstrip("/")


_SCHEME_AND_HOST = re.compile(r"(?P<scheme>[a-z]+://)(?:[^/?#]*@)?(?P<host>[\w.-]*)", re.IGNORECASE)


def _without_secrets(url: str) -> str:
    """Return the scheme and the host of something that may be a URL."""
    found = _SCHEME_AND_HOST.match(url)
    return found["scheme"] + found["host"] if found else "not a URL"


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = httpx.URL(url).host  # httpx checks host names
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
            and not (parts.query or parts.fragment)
            and url.isprintable()
            and " " not in url
        )
    except (httpx.InvalidURL, ValueError):
        return False


def _stays_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
