"""P14: the time of an import in a new process, beyond that of a process that imports nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.arena import ROOT
from benchmarks.results import Case, Series

if TYPE_CHECKING:
    from benchmarks.results import Plan

NOTHING = "pass"
CLASS = "from ccv2_async import ConstantContact"
PEERS = {
    "import ccv2_async": "import httpx",
    CLASS: "import httpx",
    # Importing the class does not import its parts; the first client does that.
    f"{CLASS} as C; C(api_key='k', access_token='t')": "import httpx; httpx.AsyncClient()",
}


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """Return the cases of P14: the package, its main class, and httpx, which it builds on."""
    plan.tell("imports in new processes")
    with tempfile.TemporaryDirectory() as cache:
        return dict.fromkeys(wanted, _cases(plan, cache))


def _cases(plan: Plan, cache: str) -> list[Case]:
    times: dict[str, list[float]] = {statement: [] for pair in PEERS.items() for statement in pair}
    for statement in times:
        _run(statement, cache)  # unmeasured: compiles everything
    for _ in range(plan.either(3, 21)):
        empty = _run(NOTHING, cache)
        for statement, values in times.items():
            values.append(max(0.0, _run(statement, cache) - empty))
    series = {statement: Series(tuple(values)) for statement, values in times.items()}
    return [Case(ours, series[ours], series[peer], peer) for ours, peer in PEERS.items()]


def _run(statement: str, cache: str) -> float:
    """Return the milliseconds that an interpreter runs, with bytecode in `cache`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True, env=environment)
    return (time.perf_counter() - started) * 1000
