"""The browser of the tests: Chromium without a window, driven by Playwright."""

from __future__ import annotations

import shutil

import pytest

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000
"""Milliseconds; only a hang takes so long, on a busy machine too."""

MARKS = [
    pytest.mark.skipif(
        CHROMIUM is None, reason="browser tests need Chromium: apt-get install chromium"
    ),
    pytest.mark.timeout(240),  # a browser and servers take their time on a busy machine
]
