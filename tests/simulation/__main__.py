"""Run seeds, and print how to replay each one that breaks a promise.

`python -m tests.simulation --seeds 1000` runs many. `--seed 17 --trace` replays one, line by line.
`--planted` plants known bugs one after another, and checks that the simulation catches each.
`--plot faults.svg` draws how many faults of each kind the seeds met; it needs matplotlib.
"""

from __future__ import annotations

import argparse
import collections
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from tests.simulation.planted import BUGS, seed_that_catches
from tests.simulation.scenario import simulate


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
    parser.add_argument("--plot", type=Path, help="draw the faults that were met into this file")
    options = parser.parse_args()
    if options.planted:
        return _plant()
    seeds = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    met: collections.Counter[str] = collections.Counter()
    seeds_that_met: collections.Counter[str] = collections.Counter()
    states: collections.Counter[str] = collections.Counter()
    broken = 0
    started = time.perf_counter()
    for seed in seeds:
        report = simulate(seed, options.files)
        met += report.met
        seeds_that_met.update(report.met.keys())
        states += report.states
        if options.trace:
            _say(*report.trace.lines, str(report.plan))
        if report.broken:
            broken += 1
            _say(
                f"seed {seed}: {report.broken}",
                f"  python -m tests.simulation --files {options.files} --trace --seed {seed}",
            )
    seconds = time.perf_counter() - started
    _say(
        f"{len(seeds)} seeds in {seconds:.1f} s, {broken} broken",
        f"files: {dict(sorted(states.items()))}",
        f"faults: {dict(sorted(met.items()))}",
    )
    if options.plot:
        from tests.simulation.plot import draw

        draw(met, seeds_that_met, len(seeds), options.plot)
    return 1 if broken else 0


def _plant() -> int:
    """Plant each bug; return 1 if one of them is missed."""
    missed = 0
    for bug in BUGS:
        seed = seed_that_catches(bug)
        missed += seed is None
        _say(f"{bug.name}: {'MISSED' if seed is None else f'caught by seed {seed}'}")
    _say(f"{len(BUGS)} bugs planted, {missed} missed")
    return 1 if missed else 0


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
