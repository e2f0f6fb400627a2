"""P8, P12, and P15: the memory of uploads, waiting pollers, and backups.

Each runs in a new process.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

from benchmarks.account import FILE_SIZE
from benchmarks.arena import Arena, ContestantError, child
from benchmarks.footprint import AT_FIRST
from benchmarks.results import Case, Series
from benchmarks.samples import GB, MB, make, make_sparse
from benchmarks.targets import HTTPX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Plan
    from benchmarks.samples import Sample

AT_ONCE = 32
WAITS = {
    "10,000 waiting, a task each": "benchmarks.footprint:held_by_awaited",
    "10,000 waiting in one task": "benchmarks.footprint:held_by_gathered",
}
SMALL_ACCOUNT = (10, 1)  # contacts, and files of 4 MB
PLAIN = "sleep and timeout, a task each"


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """Return the requested cases of P8, P12, and P15."""
    cases: dict[str, list[Case]] = {}
    if "P15" in wanted:
        cases["P15"] = await _backups(plan)
    async with Arena.open(plan.directory) as arena:
        if "P8" in wanted:
            cases["P8"] = await _uploads(arena, plan)
        if "P12" in wanted:
            cases["P12"] = await _pollers(arena, plan)
    return cases


async def _uploads(arena: Arena, plan: Plan) -> list[Case]:
    small = make(plan.directory, AT_ONCE, 4 * MB)
    large = make_sparse(plan.directory, plan.either(64 * MB, 1 * GB))
    loads = {"one file of 1 GB": [large], "32 uploads at once": small}
    grown: dict[tuple[str, str], list[float]] = {}
    for _ in range(plan.either(1, 3)):
        for name in ("ours", HTTPX):
            plan.tell(f"memory of uploads: {name}")
            least = await _peak(arena, name, small[:1])
            for case, sent in loads.items():
                peak = await _peak(arena, name, sent)
                grown.setdefault((case, name), []).append(max(0.0, peak - least))
    return [
        Case(case, Series(tuple(grown[case, "ours"])), Series(tuple(grown[case, HTTPX])), HTTPX)
        for case in loads
    ]


async def _peak(arena: Arena, name: str, sent: Sequence[Sample]) -> float:
    """Send these files at once in a new process, and return its peak memory in MB."""
    async with arena.guest(name) as contestant:
        peak: float = await contestant.call(
            "benchmarks.footprint:peak_of_sending",
            paths=[str(sample.path) for sample in sent],
            in_flight=len(sent),
        )
    await arena.verify(sent)
    return peak


async def _pollers(arena: Arena, plan: Plan) -> list[Case]:
    number = plan.either(500, 10_000)
    sample = make(plan.directory, 1, 100)[0]
    async with arena.guest("ours") as contestant:
        plan.tell(f"{number:,} uploads, for their tokens")
        tokens = await contestant.call(
            "benchmarks.footprint:tokens_of_uploads",
            path=str(sample.path),
            number=number + AT_FIRST,
            in_flight=8,
        )
    await arena.verify([sample] * len(tokens))
    plan.tell(f"memory of {number:,} waiting pollers")
    # All at once: the first look at each takes a while, and nothing here depends on time.
    held, *ours = await asyncio.gather(
        _call(arena, HTTPX, "benchmarks.footprint:held_by_plain_tasks", number=number),
        *(_call(arena, "ours", function, tokens=tokens) for function in WAITS.values()),
    )
    peer = Series((held,))
    return [
        Case(case, Series((kilobytes,)), peer, PLAIN)
        for case, kilobytes in zip(WAITS, ours, strict=True)
    ]


async def _call(arena: Arena, name: str, function: str, **args: object) -> float:
    async with arena.guest(name) as contestant:
        kilobytes: float = await contestant.call(function, **args)
    return kilobytes


async def _backups(plan: Plan) -> list[Case]:
    contacts, files = SMALL_ACCOUNT
    accounts = {
        "100,000 contacts": (plan.either(2_000, 100_000), files),
        "library of 1 GB": (contacts, plan.either(8, 250)),
    }
    grown: dict[str, list[float]] = {name: [] for name in accounts}
    for _ in range(plan.either(1, 3)):
        plan.tell("memory of backups")
        least = await _peak_of_backup(plan, *SMALL_ACCOUNT)
        for name, account in accounts.items():
            grown[name].append(max(0.0, await _peak_of_backup(plan, *account) - least))
    return [Case(name, Series(tuple(values))) for name, values in grown.items()]


async def _peak_of_backup(plan: Plan, contacts: int, files: int) -> float:
    """Back up an account in a new process, and return its peak memory in MB."""
    directory = plan.directory / "backup"
    async with child("benchmarks.account", str(contacts), str(files)) as account:
        assert account.stdout is not None
        options = (await account.stdout.readline()).decode()
        async with child("benchmarks.saving", options, str(directory)) as saving:
            assert saving.stdout is not None
            line = await saving.stdout.readline()
    if not line:
        raise ContestantError("the backup ended without a result")
    told = json.loads(line)
    stored = sum(1 for _ in (directory / "contacts.jsonl").open("rb"))
    saved = sum(path.stat().st_size for path in (directory / "library").rglob("*.pdf"))
    await asyncio.to_thread(shutil.rmtree, directory)
    if (stored, saved) != (contacts, files * FILE_SIZE):
        raise ContestantError(f"the backup holds {stored:,} contacts and {saved:,} bytes of files")
    peak: float = told["peak"]
    return peak
