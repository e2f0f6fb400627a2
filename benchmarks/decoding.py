"""P13: run `decode`, and make a case of its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.decode import measure as measure_decode
from benchmarks.results import Case, Series

if TYPE_CHECKING:
    from benchmarks.results import Plan

PEER = "orjson.loads"


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """Return the case of P13."""
    plan.tell("structuring a page of 500 rows")
    cases = [
        Case(
            case["name"],
            Series(tuple(case["ours_values"])),
            Series(tuple(case["peer_values"])),
            PEER,
        )
        for case in measure_decode(plan.quick)["cases"]
    ]
    return dict.fromkeys(wanted, cases)
