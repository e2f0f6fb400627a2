"""Run one seed: pick its world, draw its plan, live through it, and report."""

from __future__ import annotations

import random
import tempfile
import traceback
from pathlib import Path

from benchmarks.virtual_time import run
from tests.simulation.invariants import BrokenInvariantError
from tests.simulation.life import Plan, Report
from tests.simulation.machine import no_threads
from tests.simulation.worlds import BY_NAME, WORLDS

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a seed writes a lot


def world_of(seed: int) -> str:
    """Return the name of the world that a seed picks."""
    pick = random.Random(f"world {seed}")  # noqa: S311  # no secrets
    [world] = pick.choices(list(WORLDS), list(WORLDS.values()))
    return world.name


def simulate(seed: int, files: int = 12, world: str = "") -> Report:
    """Run one seed, and return its report.

    Args:
        seed: The seed.
        files: How many files, or jobs, there are.
        world: The name of the world; the seed picks one by default.
    """
    chance = random.Random(seed)  # noqa: S311  # no secrets
    # The client's own jitter and the like.
    random.seed(chance.getrandbits(64))
    world = world or world_of(seed)
    report = Report(seed, world, Plan.drawn(chance, files))
    with tempfile.TemporaryDirectory(dir=_MEMORY) as directory, no_threads():
        life = BY_NAME[world](report, chance, Path(directory))
        try:
            run(life.lived())
        except Exception as error:  # noqa: BLE001  # a foreign exception breaks a promise too
            first: BaseException = error
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            broken = isinstance(first, BrokenInvariantError)
            report.broken = str(first) if broken else f"{type(first).__name__}: {first}"
            if not broken:
                report.trace.lines += traceback.format_exception(first)
    return report
