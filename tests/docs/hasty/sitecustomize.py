"""Make waits pass ten times as fast in programs of the pages; Python imports this at its start."""

from __future__ import annotations

import ccv2_async.clock
from ccv2_async.pytest_plugin import _HastyClock

ccv2_async.clock.SystemClock = _HastyClock  # type: ignore[assignment, misc]  # that is the point
