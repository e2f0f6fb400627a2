"""The quota of an API key: in one process, and shared over Redis."""

import enum


class Lane(enum.IntEnum):
    """The priority of a call while it waits for the quota."""

    INTERACTIVE = 0
    POLL = 1
    BULK = 2
