"""Connections to Redis that let themselves be cancelled."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ccv2_async.errors import UsageError


def open_redis(url: str, *, connect_timeout: float) -> Redis:
    """A client of Redis; whoever uses it sets a limit on each command, by `asyncio.timeout`.

    It has no limit of its own: redis-py keeps that by `asyncio.wait_for`, which in Python 3.11 may
    swallow a cancellation that comes just when a command has been sent.

    Args:
        url: `redis://host:port/0`, `rediss://` or `unix://`.
        connect_timeout: Seconds until a connection is made.

    Raises:
        UsageError: The URL is none of these. Its text is not shown: it may hold a password.
    """
    try:
        return Redis.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=connect_timeout,
            retry=Retry(NoBackoff(), 1),  # one more try, for a connection that broke while idle
        )
    except ValueError:
        raise UsageError(
            "Invalid Redis URL: expected redis://HOST:PORT/0, rediss://, or unix://."
        ) from None
