"""Run the benchmarks: `python -m benchmarks [--only P1,P2] [--quick] --json FILE`."""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plot import draw
from benchmarks.report import as_json, as_markdown, show
from benchmarks.results import Plan
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from benchmarks.report import Outcome


def main() -> int:
    """Run the benchmarks, write the results, and return the exit code."""
    options = _options()
    outcome = asyncio.run(_measure(options.only, options.quick))
    show(outcome)
    options.results.mkdir(parents=True, exist_ok=True)
    stem = "-".join(
        [*(outcome if len(outcome) < len(TARGETS) else ["all"]), *["quick"] * options.quick]
    )
    options.json.write_text(json.dumps(as_json(outcome), indent=1) + "\n")
    (options.results / f"{stem}.md").write_text(as_markdown(outcome))
    draw(outcome, options.results / f"{stem}.png")
    return 0


async def _measure(wanted: list[str], quick: bool) -> Outcome:
    families = defaultdict(set)
    for target_id in wanted:
        families[TARGETS[target_id].family].add(target_id)
    outcome: Outcome = {}
    with tempfile.TemporaryDirectory(prefix="ccv2-bench-") as directory:
        plan = Plan(quick, Path(directory), functools.partial(_tell, time.monotonic()))
        for family, targets in families.items():
            module = importlib.import_module(f"benchmarks.{family}")
            outcome |= await module.measure(frozenset(targets), plan)
    return {target_id: outcome[target_id] for target_id in wanted}


def _tell(began: float, what: str) -> None:
    print(f"{time.monotonic() - began:5.0f} s  {what}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the client and its peers against the same simple server.",
    )
    parser.add_argument(
        "--only",
        type=_targets,
        default=list(TARGETS),
        metavar="P1,P2",
        help=f"only these targets, of {', '.join(TARGETS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a quick check; its figures mean little"
    )
    parser.add_argument(
        "--json", type=Path, required=True, metavar="FILE", help="the file for the results"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(__file__).parent / "results",
        metavar="DIRECTORY",
        help="where the plot and the Markdown table go (default: benchmarks/results)",
    )
    return parser.parse_args()


def _targets(text: str) -> list[str]:
    asked = {name.strip().upper() for name in text.split(",")}
    unknown = asked - set(TARGETS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such target: {', '.join(sorted(unknown))}")
    return [target_id for target_id in TARGETS if target_id in asked]


if __name__ == "__main__":
    sys.exit(main())
