"""Run seeds, and print how to replay each one that breaks a promise.

`python -m tests.simulation --seeds 1000` runs many. `--seed 17 --trace` replays one, line by line.
`--world uploads` runs one world only; by default each seed picks one.
`--once-failed` runs the seeds that once broke a promise.
`--planted` plants known bugs one after another, and checks that the simulation catches each.
`--plot faults.svg` draws how many faults of each kind the seeds met; it needs matplotlib.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from tests.simulation.once_failed import ONCE_FAILED
from tests.simulation.planted import BUGS, seed_that_catches
from tests.simulation.planted_worlds import WORLD_BUGS
from tests.simulation.scenario import simulate
from tests.simulation.worlds import BY_NAME


def main() -> int:
    """Run the seeds that the command line names; return 1 if one breaks a promise."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of texts have an order that depends on it, and so has the trace.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, environment)  # noqa: S606  # this very program
    # Programs that are killed leave warnings behind, and a log is no news.
    warnings.simplefilter("ignore")
    logging.disable()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this seed only")
    parser.add_argument("--files", type=int, default=12, help="files in each run")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    parser.add_argument("--planted", action="store_true", help="plant known bugs instead")
    parser.add_argument("--once-failed", action="store_true", help="run the seeds that once failed")
    parser.add_argument("--world", default="", choices=[*BY_NAME], help="run this world only")
    parser.add_argument("--plot", type=Path, help="draw the faults that were met into this file")
    options = parser.parse_args()
    if options.planted:
        return _plant()
    seeds = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    runs = [(seed, options.world) for seed in seeds]
    if options.once_failed:
        runs = [(seed, world) for world, seed, _ in ONCE_FAILED]
    met: collections.Counter[str] = collections.Counter()
    seeds_that_met: collections.Counter[str] = collections.Counter()
    states: collections.Counter[str] = collections.Counter()
    broken = 0
    started = time.perf_counter()
    traces = hashlib.sha256()
    for seed, world in runs:
        report = simulate(seed, options.files, world)
        traces.update("\n".join(report.trace.lines).encode())
        met += report.met
        seeds_that_met.update(report.met.keys())
        states += report.states
        if options.trace:
            _say(*report.trace.lines, str(report.plan))
        if report.broken:
            broken += 1
            _say(
                f"seed {seed}: {report.broken}",
                f"  python -m tests.simulation --world {report.world} --files {options.files} "
                f"--trace --seed {seed}",
            )
    seconds = time.perf_counter() - started
    _say(
        f"{len(runs)} seeds in {seconds:.1f} s, {broken} broken",
        f"files: {dict(sorted(states.items()))}",
        f"faults: {dict(sorted(met.items()))}",
        f"traces: {traces.hexdigest()}",
    )
    if options.plot:
        from tests.simulation.plot import draw

        draw(met, seeds_that_met, len(runs), options.plot)
    return 1 if broken else 0


def _plant() -> int:
    """Plant each bug; return 1 if one of them is missed."""
    missed = 0
    bugs = [*BUGS, *WORLD_BUGS]
    for bug in bugs:
        seed = seed_that_catches(bug)
        missed += seed is None
        _say(f"{bug.name}: {'MISSED' if seed is None else f'caught by seed {seed}'}")
    _say(f"{len(bugs)} bugs planted, {missed} missed")
    return 1 if missed else 0


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
