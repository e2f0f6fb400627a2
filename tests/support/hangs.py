"""End a test process that hangs, and show failures while the others still run.

The time-out of a test raises an exception wherever the event loop is, and a task or a callback may
swallow it there. After a test has failed, there is no time-out for its teardown at all.
"""

from __future__ import annotations

import faulthandler
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRACE = 60.0
"""Seconds that a test may take to end after its time-out."""


_ERRORS = pytest.StashKey[int]()


def prepare(config: pytest.Config) -> None:
    """Keep the standard error stream, which pytest captures during the tests."""
    config.stash[_ERRORS] = os.dup(2)


@contextmanager
def ended_if_it_hangs(item: pytest.Item) -> Iterator[None]:
    """A block that ends the process if it takes much longer than the test may.

    The traces of all threads are written first. With xdist, the test then counts as failed, and the
    others go on in another process.
    """
    marker = item.get_closest_marker("timeout")
    limit: Any = marker.args[0] if marker else item.config.getini("timeout")
    errors = item.config.stash[_ERRORS]
    faulthandler.dump_traceback_later(float(limit) + _GRACE, exit=True, file=errors)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class ShowAtOnce:
    """Writes each failure when it happens, for a run that is ended before its summary."""

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the failure."""
        if report.failed:
            self._terminal.write_line(f"\n{report.nodeid} ({report.when})\n{report.longreprtext}")
