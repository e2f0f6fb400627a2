"""Ports for servers that are stopped and restarted on the same port."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000


def lasting_port() -> int:
    """A free port that the system gives to nobody by itself, so that it is still free later on.

    A port of the usual kind may go to any connection that is opened while the server is away:
    even to a client of the server itself, which then talks to itself.
    """
    lowest_given = int(_RANGE.read_text("ascii").split()[0])
    while True:
        port = random.randrange(_LOWEST, max(lowest_given, _LOWEST + 1))  # noqa: S311  # no secret
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
