"""Skipped tests fail where everything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.skips import VARIABLE

ROOT = Path(__file__).parents[1]
NEEDS_REDIS = "tests/transport/quota/test_shared.py::test_redis_never_gets_the_key"
NEEDS_CHROMIUM = "tests/web/test_browser.py::test_a_virus_is_reported_in_plain_language"


def without_servers(
    test: str, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A run of one test on a machine that has neither Redis nor a browser."""
    given = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env={**given, "PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize(
    ("test", "reason"),
    [(NEEDS_REDIS, "no redis-server on this machine"), (NEEDS_CHROMIUM, "need Chromium")],
)
def test_a_skipped_test_fails_if_everything_is_installed(
    tmp_path: Path, test: str, reason: str
) -> None:
    ran = without_servers(test, tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "1 skipped" in ran.stdout
    strict = without_servers(test, tmp_path, **{VARIABLE: "1"})
    assert strict.returncode == 1
    assert f"{VARIABLE} is set, and this was left out: " in strict.stdout
    assert reason in strict.stdout
