"""What a client is made with, checked when it is made and not when it is opened or first used."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models.validation import (
    FLAG,
    TEXT,
    is_flag,
    is_number,
    is_plain_function,
    is_text,
    is_whole,
)
from ccv2_async.transport.calls.call import Timeouts
from ccv2_async.transport.quota.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CLOCK = ("monotonic", "time", "sleep", "timeout")
# Addresses may hold a password. Where an object is expected, text is a mistake, and often a secret
# itself: a refresh token for its function, the address of the database for the budget.
_NOT_SHOWN = frozenset(
    {"base_url", "proxy", "http_client", "budget", "refresh_token", "on_event", "clock"}
)


def find_wrong_option(**options: object) -> InvalidField | None:
    """Return the error for the first option with a wrong value, or None.

    It is not raised here, because a traceback would show the values. The message shows only the
    type of a value that may hold a secret.
    """
    for name, value in options.items():
        fits, rule = _OPTIONS[name]
        if not fits(value):
            return InvalidField(name, type(value) if name in _NOT_SHOWN else value, rule)
    return None


def _is_function(value: object) -> bool:
    return value is None or callable(value)


def _is_users_client(value: object) -> bool:
    """Whether it can be a client that sends asynchronously: httpx's blocking one cannot."""
    blocking = any(
        kind.__name__ == "Client" and kind.__module__.partition(".")[0] in ("httpx", "httpx2")
        for kind in type(value).__mro__
    )
    sends = callable(getattr(value, "send", None)) and not isinstance(value, type)
    return value is None or (sends and not blocking)


def _are_timeouts(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, Timeouts):
        return False
    steps = attrs.astuple(value, recurse=False)
    return all(step is None or (is_number(step) and step > 0) for step in steps)


def _is_clock(value: object) -> bool:
    return value is None or all(callable(getattr(value, name, None)) for name in _CLOCK)


_OPTIONS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "base_url": (is_text, "it must be a URL as text"),
    "budget": (
        lambda value: value is None or isinstance(value, Budget),
        "it must be a Budget, or None",
    ),
    "engine": (
        lambda value: value is None,
        "this option was removed, and the built-in connections need nothing in its place",
    ),
    "http_client": (_is_users_client, "it must be an httpx.AsyncClient, or None"),
    "proxy": (lambda value: value is None or is_text(value), f"{TEXT}, or None"),
    "verify": (
        lambda value: is_flag(value) or isinstance(value, ssl.SSLContext),
        "it must be an ssl.SSLContext, or True or False",
    ),
    "trust_env": (is_flag, FLAG),
    "timeouts": (
        _are_timeouts,
        "it must be Timeouts, each of seconds above 0 or None",
    ),
    "max_in_flight": (
        lambda value: is_whole(value) and value >= 1,
        "a whole number of 1 or more",
    ),
    "settle_time": (
        lambda value: is_number(value) and value >= 0,
        "it must be seconds, 0 or more",
    ),
    "refresh_token": (_is_function, "it must be a function or coroutine function, or None"),
    "on_event": (
        lambda value: value is None or is_plain_function(value),
        "it must be a plain function, as nothing awaits it, or None",
    ),
    "clock": (_is_clock, f"it must have the methods {', '.join(_CLOCK)}"),
}
