"""P16 to P18: the speed of downloads, the lag of the event loop, and the memory.

Ours hashes each file, syncs it to disk, and renames it. The peers only write the pieces to an open
file: httpx on the event loop, as its documentation shows, and aiohttp in a thread, like a program
that must not block its loop.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks.arena import Arena, absences, build_sink
from benchmarks.results import Case, Series
from benchmarks.samples import GB, MB
from benchmarks.targets import AT_ONCE, HTTPX_STREAM, LARGE, STREAMS

if TYPE_CHECKING:
    from benchmarks.results import Plan

OURS = "ours"


@attrs.frozen
class Load:
    """Files to download at the same time, and the number of rounds; amounts are (quick, full)."""

    name: str
    size: tuple[int, int]
    number: int
    rounds: tuple[int, int]


LOADS = (
    Load(AT_ONCE, (1 * MB, 5 * MB), 16, (1, 7)),
    Load(LARGE, (32 * MB, 1 * GB), 1, (1, 3)),
)
IDLE = "nothing downloaded: the machine itself"
SMALL = Load("", (4 * MB,) * 2, 1, (1, 1))


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """Return the cases of P16 to P18. Each client is measured once for all of them."""
    missing = absences((OURS, *STREAMS))
    names = [name for name in (OURS, *STREAMS) if name not in missing]
    told: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    least: dict[str, list[float]] = defaultdict(list)
    idle: dict[str, list[float]] = {}
    sink = build_sink(plan.directory)
    async with Arena.open(plan.directory, sink=sink) as arena:
        for load in LOADS:
            for turn in range(plan.either(*load.rounds)):
                plan.tell(f"downloads, {load.name}")
                # Each round begins with a different client, so that none always follows the same.
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    told[load.name, name].append(await _fetch(arena, name, load, plan))
        for name in {OURS, HTTPX_STREAM} - missing.keys():
            idle[name] = [await _idle(arena, name) for _ in range(plan.either(1, 5))]
            least[name].append((await _fetch(arena, name, SMALL, plan))["peak"])
    cases = {
        "P16": [
            _case(f"{load.name}, {peer}", peer, _rates(load, told, peer, plan), missing)
            for load in LOADS
            for peer in STREAMS
        ],
        "P17": [
            _case(AT_ONCE, HTTPX_STREAM, _figures(told, AT_ONCE, "p99"), missing),
            _case(IDLE, HTTPX_STREAM, idle, missing),
        ],
        "P18": [_case(LARGE, HTTPX_STREAM, _growth(told, least), missing)],
    }
    return {target_id: cases[target_id] for target_id in wanted}


async def _idle(arena: Arena, name: str) -> float:
    async with arena.guest(name) as contestant:
        lag: float = await contestant.call("benchmarks.lag:lag_of_idle_loop", seconds=0.5)
    return lag


async def _fetch(arena: Arena, name: str, load: Load, plan: Plan) -> dict[str, Any]:
    async with arena.guest(name) as contestant:
        where = {"directory": str(plan.directory), "size": 20_000, "number": 1}
        if load is not SMALL:
            # Imports and the first connection are not measured.
            await contestant.call("benchmarks.fetching:fetch", **where)
        where |= {"size": plan.either(*load.size), "number": load.number}
        told: dict[str, Any] = await contestant.call("benchmarks.fetching:fetch", **where)
    return told


def _figures(
    told: dict[tuple[str, str], list[dict[str, Any]]], load: str, figure: str
) -> dict[str, list[float]]:
    return {name: [each[figure] for each in told[load, name]] for name in (OURS, HTTPX_STREAM)}


def _rates(
    load: Load, told: dict[tuple[str, str], list[dict[str, Any]]], peer: str, plan: Plan
) -> dict[str, list[float]]:
    amount = plan.either(*load.size) * load.number / MB
    return {
        name: [amount / each["seconds"] for each in told[load.name, name]] for name in (OURS, peer)
    }


def _growth(
    told: dict[tuple[str, str], list[dict[str, Any]]], least: dict[str, list[float]]
) -> dict[str, list[float]]:
    return {
        name: [max(0.0, peak - least[name][0]) for peak in peaks]
        for name, peaks in _figures(told, LARGE, "peak").items()
    }


def _case(name: str, peer: str, figures: dict[str, list[float]], missing: dict[str, str]) -> Case:
    reason = missing.get(OURS) or missing.get(peer)
    if reason:
        return Case(name, peer_name=peer, skipped=reason)
    return Case(name, Series(tuple(figures[OURS])), Series(tuple(figures[peer])), peer)
