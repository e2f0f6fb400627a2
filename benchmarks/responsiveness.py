"""P7: how uploads delay the rest of a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from benchmarks.arena import Arena, BytesDifferError
from benchmarks.results import Case, Series
from benchmarks.samples import KB, MB, cycle, make
from benchmarks.targets import HTTPX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.arena import Contestant
    from benchmarks.results import Plan
    from benchmarks.samples import Sample

UPLOADS = 16
PATIENCE = 15.0
"""The seconds after which a run is aborted: `files=` on the slow disk would take minutes."""


@attrs.frozen
class Scene:
    """The disk, and how often all files are sent in one run; amounts are (quick, full)."""

    case: str
    read_seconds: float
    times: tuple[int, int]
    rounds: tuple[int, int]


SCENES = (
    Scene("hot cache", 0.0, (1, 4), (1, 7)),
    Scene("disk of 50 ms a read", 0.05, (1, 2), (1, 5)),
)
IDLE = "nothing sent: the machine itself"


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """Return the cases of P7, and for comparison the lag of a loop that sends nothing."""
    samples = make(plan.directory, UPLOADS, 5 * MB)
    async with Arena.open(plan.directory) as arena:
        cases = [await _case(arena, scene, samples, plan) for scene in SCENES]
        cases.append(await _idle(arena, plan))
    return dict.fromkeys(wanted, cases)


async def _case(arena: Arena, scene: Scene, samples: Sequence[Sample], plan: Plan) -> Case:
    plan.tell(f"{UPLOADS} uploads of 5 MB at once, {scene.case}")
    slow = {"slow_directory": str(plan.directory), "read_seconds": scene.read_seconds}
    options = slow if scene.read_seconds else {}
    contestants = [await arena.admit("ours", **options), await arena.admit(HTTPX, **options)]
    warm_up = make(plan.directory, 1, 20 * KB)
    for contestant in contestants:
        # Imports and the first connection are not measured.
        await contestant.call("benchmarks.sending:send", paths=_paths(warm_up), in_flight=1)
        await arena.verify(warm_up)
    sent = cycle(samples, UPLOADS * plan.either(*scene.times))
    lags: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _ in range(plan.either(*scene.rounds)):
        for contestant in list(contestants):
            p99, finished = await _lag(arena, contestant, sent, plan)
            lags[contestant.name].append(p99)
            if not finished:
                contestants.remove(contestant)
    for contestant in contestants:
        _check_that_it_read(contestant, scene)
    return _compared(scene.case, lags)


async def _lag(
    arena: Arena, contestant: Contestant, sent: Sequence[Sample], plan: Plan
) -> tuple[float, bool]:
    told = await contestant.call(
        "benchmarks.lag:lag_while_sending",
        paths=_paths(sent),
        in_flight=UPLOADS,
        seconds=PATIENCE / (5 if plan.quick else 1),
    )
    if told["finished"]:
        await arena.verify(sent)
    else:
        await arena.received()
    return told["p99"], told["finished"]


def _check_that_it_read(contestant: Contestant, scene: Scene) -> None:
    if scene.read_seconds and contestant.slow_reads < UPLOADS:
        raise BytesDifferError(
            f"{contestant.name} read the slow disk {contestant.slow_reads} times: it went past it"
        )


async def _idle(arena: Arena, plan: Plan) -> Case:
    lags: dict[str, list[float]] = {"ours": [], HTTPX: []}
    for name, values in lags.items():
        async with arena.guest(name) as contestant:
            for _ in range(plan.either(1, 5)):
                values.append(await contestant.call("benchmarks.lag:lag_of_idle_loop", seconds=0.5))
    return _compared(IDLE, lags)


def _paths(samples: Sequence[Sample]) -> list[str]:
    return [str(sample.path) for sample in samples]


def _compared(name: str, lags: Mapping[str, Sequence[float]]) -> Case:
    return Case(name, Series(tuple(lags["ours"])), Series(tuple(lags[HTTPX])), HTTPX)
