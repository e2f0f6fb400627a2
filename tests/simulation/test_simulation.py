"""Bulk uploads keep their promises in simulated worlds, and the simulation notices broken ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def simulation(*arguments: str) -> str:
    """Run the simulation in a process of its own, and return what it printed."""
    done = subprocess.run(  # noqa: S603  # this interpreter, our own module
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.timeout(600)
def test_no_seed_breaks_a_promise() -> None:
    assert "40 seeds" in simulation("--seeds", "40")


@pytest.mark.timeout(600)
def test_every_planted_bug_is_caught() -> None:
    assert " 0 missed" in simulation("--planted")


def test_a_seed_gives_the_same_trace_each_time() -> None:
    first, second = (_without_time(simulation("--seed", "3", "--trace")) for _ in range(2))
    assert first == second
    assert len(first) > 50


def _without_time(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if " seeds in " not in line]
