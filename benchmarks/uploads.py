"""P1 to P6: how fast files go out, from 20 KB each to 256 MB, plain and over TLS."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import attrs

from benchmarks.arena import Arena, absences
from benchmarks.results import Case, Series
from benchmarks.samples import KB, MB, cycle, make
from benchmarks.targets import FILES, FORM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.arena import Contestant
    from benchmarks.results import Plan

OURS, TOOLBELT, CURL = "ours", "requests + toolbelt", "curl"


@attrs.frozen
class Workload:
    """Files of one size, so many at a time; amounts as (quick, full)."""

    size: tuple[int, int]
    different: int
    uploads: tuple[int, int]
    in_flight: int
    rounds: tuple[int, int]
    tls: bool = False
    by_bytes: bool = True


# As many names as uploads: ours sends files of one name to one folder one after the other.
SMALL = {
    level: Workload((20 * KB,) * 2, 400, (100, 400), level, (2, 7), by_bytes=False)
    for level in (8, 32, 100)
}
MEDIUM = Workload((4 * MB,) * 2, 8, (8, 32), 4, (2, 7))
MEDIUM_TLS = attrs.evolve(MEDIUM, tls=True)
LARGE = Workload((32 * MB, 256 * MB), 1, (1, 1), 1, (2, 7))


@attrs.frozen
class Duel:
    """A case of a target: who is measured against whom on what."""

    target: str
    case: str
    workload: Workload
    ours: str
    peer: str


DUELS = (
    *(Duel("P1", f"{level} in flight", SMALL[level], OURS, FILES) for level in SMALL),
    *(Duel("P2", f"{level} in flight", SMALL[level], OURS, FORM) for level in SMALL),
    *(Duel("P4", peer, MEDIUM, OURS, peer) for peer in (FILES, FORM, TOOLBELT)),
    *(Duel("P5", peer, LARGE, OURS, peer) for peer in (FILES, CURL)),
    Duel("P6", FILES, MEDIUM_TLS, OURS, FILES),
)


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """The cases of P1 to P6 that are wanted; a client is measured once for all of them."""
    duels = [duel for duel in DUELS if duel.target in wanted]
    rates: dict[tuple[Workload, str], Series] = {}
    for tls in (False, True):
        here = [duel for duel in duels if duel.workload.tls is tls]
        if here:
            rates |= await _contest(here, plan, tls)
    missing = absences([name for duel in duels for name in (duel.ours, duel.peer)])
    cases: dict[str, list[Case]] = defaultdict(list)
    for duel in duels:
        cases[duel.target].append(_case(duel, rates, missing))
    return cases


def _case(duel: Duel, rates: dict[tuple[Workload, str], Series], missing: dict[str, str]) -> Case:
    reason = missing.get(duel.ours) or missing.get(duel.peer)
    if reason:
        return Case(duel.case, peer_name=duel.peer, skipped=reason)
    return Case(
        duel.case,
        rates[duel.workload, duel.ours],
        rates[duel.workload, duel.peer],
        duel.peer,
    )


async def _contest(
    duels: Sequence[Duel], plan: Plan, tls: bool
) -> dict[tuple[Workload, str], Series]:
    entries: dict[Workload, dict[str, None]] = defaultdict(dict)
    for duel in duels:
        entries[duel.workload] |= {duel.ours: None, duel.peer: None}
    names = {name: None for entry in entries.values() for name in entry}
    missing = absences(list(names))
    rates: dict[tuple[Workload, str], Series] = {}
    async with Arena.open(plan.directory, tls=tls) as arena:
        contestants = {name: await arena.admit(name) for name in names if name not in missing}
        for workload, entry in entries.items():
            present = [contestants[name] for name in entry if name in contestants]
            for name, series in (await _rounds(arena, workload, present, plan)).items():
                rates[workload, name] = series
    return rates


async def _rounds(
    arena: Arena, workload: Workload, contestants: Sequence[Contestant], plan: Plan
) -> dict[str, Series]:
    size = plan.either(*workload.size)
    plan.tell(f"{size // KB:,} KB, {workload.in_flight} in flight{', TLS' * workload.tls}")
    samples = make(plan.directory, workload.different, size)
    sent = cycle(samples, plan.either(*workload.uploads))
    warm_up = cycle(samples, min(workload.in_flight, len(sent)))
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for turn in range(plan.either(*workload.rounds)):
        # Each round begins with another client, so that none always follows the same one.
        order = [contestants[(turn + i) % len(contestants)] for i in range(len(contestants))]
        for contestant in order:
            for files in (warm_up, sent):
                seconds = await contestant.call(
                    "benchmarks.sending:send",
                    paths=[str(sample.path) for sample in files],
                    in_flight=workload.in_flight,
                )
                await arena.verify(files)
            amount = len(sent) * size / MB if workload.by_bytes else len(sent)
            rates[contestant.name].append(amount / seconds)
    return {name: Series(tuple(values)) for name, values in rates.items()}
