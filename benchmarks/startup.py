"""P14: what an import costs in a cold process, over one that imports nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.arena import ROOT
from benchmarks.results import Case, Series

if TYPE_CHECKING:
    from benchmarks.results import Plan

PEER = "import httpx"
NOTHING = "pass"
STATEMENTS = ("import ccv2_async", "from ccv2_async import ConstantContact")


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """The cases of P14: the package alone, its main class, and httpx, which it builds on."""
    plan.tell("imports in cold processes")
    times: dict[str, list[float]] = {statement: [] for statement in (PEER, *STATEMENTS)}
    for statement in times:
        _run(statement)  # once unmeasured, so that bytecode and disk cache are warm for all
    for _ in range(plan.either(3, 21)):
        empty = _run(NOTHING)
        for statement, values in times.items():
            values.append(max(0.0, _run(statement) - empty))
    peer = Series(tuple(times[PEER]))
    cases = [Case(s, Series(tuple(times[s])), peer, PEER) for s in STATEMENTS]
    return dict.fromkeys(wanted, cases)


def _run(statement: str) -> float:
    """Milliseconds from the start of an interpreter to its end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True)
    return (time.perf_counter() - started) * 1000
