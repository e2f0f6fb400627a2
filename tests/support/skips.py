"""Fail skipped tests where everything is installed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

VARIABLE = "CCV2_NO_SKIPS"
"""`.ci/run` sets it: it has installed a browser, Redis and every extra, so nothing is missing."""

_ALLOWED = re.compile(
    r"root may read everything"
    r"|a CGI script is never given HTTP_PROXY"
    r"|reference with its sample payloads is not beside this repository"
    r"|CCV2_SCREENSHOTS=1 draws"
)
"""Reasons that have nothing to do with what is installed."""


def judged(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip for something that is missing into a failure, where nothing may be missing."""
    if not os.environ.get(VARIABLE) or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not _ALLOWED.search(reason):
        report.outcome = "failed"
        report.longrepr = f"{VARIABLE} is set, and this was left out: {reason}"
