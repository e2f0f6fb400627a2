"""P1 to P6 and P19: the speed of uploads, and the CPU time that each takes.

The server is written in C and compiled for each run, so that it does not slow the clients down. It
only counts, so each client first sends some files to the server in Python, which checks every byte.
Without a C compiler, the server in Python does both, and affects the results.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

import attrs

from benchmarks.arena import Arena, absences, build_sink
from benchmarks.results import Case, Series
from benchmarks.samples import KB, MB, cycle, make
from benchmarks.targets import AIOHTTP, HTTPX, HTTPX2, RAW, RUST, TOOLBELT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.arena import Contestant
    from benchmarks.results import Plan
    from benchmarks.samples import Sample

OURS, CURL = "ours", "curl"
Figure = Literal["rate", "cpu"]


@attrs.frozen
class Workload:
    """Files of one size, and how many are sent at a time; amounts are (quick, full)."""

    size: tuple[int, int]
    different: int
    uploads: tuple[int, int]
    in_flight: int
    rounds: tuple[int, int]
    tls: bool = False
    by_bytes: bool = True


# As many names as uploads: ours sends files with the same name to a folder one after another.
SMALL = {
    f"{level} in flight{', TLS' * tls}": Workload(
        (20 * KB,) * 2, 400, (100, 2000), level, (2, 5), tls=tls, by_bytes=False
    )
    for tls in (False, True)
    for level in (8, 100)
}
MEDIUM = Workload((4 * MB,) * 2, 8, (8, 64), 8, (2, 5))
MEDIUM_TLS = attrs.evolve(MEDIUM, tls=True)
LARGE = Workload((32 * MB, 256 * MB), 1, (1, 1), 1, (2, 5))


@attrs.frozen
class Duel:
    """A case of a target: the peer, the workload, and the figure that counts."""

    target: str
    case: str
    workload: Workload
    peer: str
    figure: Figure = "rate"


DUELS = (
    *(Duel("P1", name, load, RUST) for name, load in SMALL.items()),
    *(Duel("P2", name, load, RAW, "cpu") for name, load in SMALL.items()),
    *(
        Duel("P3", f"{peer}, {name}", SMALL[name], peer)
        for peer in (HTTPX, HTTPX2, AIOHTTP, RAW)
        for name in SMALL
    ),
    *(Duel("P4", peer, MEDIUM, peer) for peer in (HTTPX, HTTPX2, AIOHTTP, TOOLBELT, RUST, RAW)),
    *(Duel("P5", peer, LARGE, peer) for peer in (HTTPX, CURL)),
    *(Duel("P6", peer, MEDIUM_TLS, peer) for peer in (HTTPX, HTTPX2, AIOHTTP, RUST, RAW)),
    Duel("P19", "plain", MEDIUM, RAW, "cpu"),
    Duel("P19", "TLS", MEDIUM_TLS, RAW, "cpu"),
)


@attrs.frozen
class Measured:
    """The figures of one client on one workload, one per round."""

    rate: Series
    cpu: Series


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """Return the requested cases. Each client is measured once for all of them."""
    duels = [duel for duel in DUELS if duel.target in wanted]
    sink = build_sink(plan.directory)
    if sink is None:
        plan.tell("no C compiler with OpenSSL: the server in Python affects the results")
    measured: dict[tuple[Workload, str], Measured] = {}
    for tls in (False, True):
        here = [duel for duel in duels if duel.workload.tls is tls]
        if here:
            measured |= await _contest(here, plan, tls, sink)
    missing = absences([OURS, *(duel.peer for duel in duels)])
    cases: dict[str, list[Case]] = defaultdict(list)
    for duel in duels:
        cases[duel.target].append(_case(duel, measured, missing))
    return cases


def _case(
    duel: Duel, measured: Mapping[tuple[Workload, str], Measured], missing: Mapping[str, str]
) -> Case:
    reason = missing.get(OURS) or missing.get(duel.peer)
    if reason:
        return Case(duel.case, peer_name=duel.peer, skipped=reason)
    ours, theirs = (measured[duel.workload, name] for name in (OURS, duel.peer))
    return Case(duel.case, getattr(ours, duel.figure), getattr(theirs, duel.figure), duel.peer)


async def _contest(
    duels: Sequence[Duel], plan: Plan, tls: bool, sink: Path | None
) -> dict[tuple[Workload, str], Measured]:
    entries: dict[Workload, dict[str, None]] = defaultdict(dict)
    for duel in duels:
        entries[duel.workload] |= {OURS: None, duel.peer: None}
    names = {name: None for entry in entries.values() for name in entry}
    missing = absences(list(names))
    present = [name for name in names if name not in missing]
    if sink is not None:
        await _check(entries, present, plan, tls)
    measured: dict[tuple[Workload, str], Measured] = {}
    async with Arena.open(plan.directory, tls=tls, sink=sink) as arena:
        contestants = {name: await arena.admit(name) for name in present}
        for workload, entry in entries.items():
            rivals = [contestants[name] for name in entry if name in contestants]
            for name, found in (await _rounds(arena, workload, rivals, plan)).items():
                measured[workload, name] = found
    return measured


async def _check(
    entries: Mapping[Workload, Mapping[str, None]], present: Sequence[str], plan: Plan, tls: bool
) -> None:
    """Make each client send some files to the server that checks every byte."""
    plan.tell(f"checking every byte{', TLS' * tls}")
    async with Arena.open(plan.directory, tls=tls) as arena:
        for name in present:
            async with arena.guest(name) as contestant:
                for workload in (load for load, entry in entries.items() if name in entry):
                    size = plan.either(*workload.size)
                    files = make(plan.directory, min(workload.different, workload.in_flight), size)
                    await _send(contestant, workload, files)
                    await arena.verify(files)


async def _send(
    contestant: Contestant, workload: Workload, files: Sequence[Sample]
) -> tuple[float, float]:
    seconds, cpu = await contestant.call(
        "benchmarks.sending:send",
        paths=[str(sample.path) for sample in files],
        in_flight=workload.in_flight,
    )
    return seconds, cpu


async def _rounds(
    arena: Arena, workload: Workload, contestants: Sequence[Contestant], plan: Plan
) -> dict[str, Measured]:
    size = plan.either(*workload.size)
    plan.tell(f"{size // KB:,} KB, {workload.in_flight} in flight{', TLS' * workload.tls}")
    samples = make(plan.directory, workload.different, size)
    sent = cycle(samples, plan.either(*workload.uploads))
    warm_up = cycle(samples, min(workload.in_flight, len(sent)))
    amount = len(sent) * size / MB if workload.by_bytes else len(sent)
    rates: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[float]] = defaultdict(list)
    for turn in range(plan.either(*workload.rounds)):
        # Each round begins with a different client, so that none always follows the same.
        order = [contestants[(turn + i) % len(contestants)] for i in range(len(contestants))]
        for contestant in order:
            await _send(contestant, workload, warm_up)
            await arena.verify(warm_up)
            seconds, cpu = await _send(contestant, workload, sent)
            await arena.verify(sent)
            rates[contestant.name].append(amount / seconds)
            costs[contestant.name].append(cpu / len(sent) * 1e6)
    return {
        name: Measured(Series(tuple(rates[name])), Series(tuple(costs[name]))) for name in rates
    }
