"""Bulk uploads keep their promises in simulated worlds, and the simulation notices broken ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.once_failed import ONCE_FAILED
from tests.simulation.worlds import BY_NAME

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
def test_no_seed_that_once_failed_fails_again() -> None:
    assert f"{len(ONCE_FAILED)} seeds" in simulation("--once-failed")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", BY_NAME)
def test_no_seed_breaks_a_promise(world: str) -> None:
    assert "12 seeds" in simulation("--seeds", "12", "--world", world)


@pytest.mark.timeout(600)
def test_every_planted_bug_is_caught() -> None:
    assert " 0 missed" in simulation("--planted")


@pytest.mark.timeout(600)
def test_seeds_give_the_same_traces_each_time() -> None:
    first, second = (simulation("--seeds", "12").splitlines() for _ in range(2))
    assert first[-1].startswith("traces: ")
    assert first[1:] == second[1:]


def test_a_trace_says_who_did_what_and_when() -> None:
    lines = simulation("--seed", "3", "--world", "uploads", "--trace").splitlines()
    assert any(
        re.fullmatch(r" +\d+\.\d{3}  first last 0 sends POST /v2/.*", line) for line in lines
    )
