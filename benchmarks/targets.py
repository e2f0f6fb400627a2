"""What is measured and what must come out: one row a target, one module a workload family.

To add a target, add its row here and let `measure` of its family return cases with the names
that its bounds have. A family is a module of this package with::

    async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.results import Case

Sense = Literal["ratio at least", "ratio at most", "ours at most"]


@attrs.frozen
class Bound:
    """The figure that must be reached, and the one to aim for."""

    must: float
    aim: float


@attrs.frozen
class Target:
    """One workload: what is bounded, in which sense, by how much in each case."""

    id: str
    title: str
    unit: str
    family: str
    sense: Sense
    bounds: Mapping[str, Bound]

    def figure(self, case: Case) -> float | None:
        """The figure of a case that its bound speaks of."""
        if case.skipped:
            return None
        return case.ours.median if self.sense == "ours at most" else case.ratio

    def reaches(self, case: Case, limit: float) -> bool | None:
        """Whether a case keeps to a limit; None when it was not measured."""
        figure = self.figure(case)
        if figure is None:
            return None
        return figure >= limit if self.sense == "ratio at least" else figure <= limit

    def met(self, cases: list[Case]) -> bool | None:
        """Whether every bounded case that was measured reaches "must"; None without any."""
        verdicts = [
            self.reaches(case, self.bounds[case.name].must)
            for case in cases
            if case.name in self.bounds
        ]
        known = [verdict for verdict in verdicts if verdict is not None]
        return all(known) if known else None


QUOTA_LOADS = tuple(f"{files:,} files at {rate}/s" for files in (1000, 3000) for rate in (4, 10))
SMALL_LOADS = tuple(f"{level} in flight{tls}" for tls in ("", ", TLS") for level in (8, 100))
HTTPX, HTTPX2, AIOHTTP = "httpx files=", "httpx2 files=", "aiohttp FormData"
TOOLBELT, RUST, RAW = "requests + toolbelt", "pyreqwest", "raw streams"
STREAMS = HTTPX_STREAM, AIOHTTP_STREAM = "httpx stream", "aiohttp stream"
AT_ONCE, LARGE = "16 of 5 MB at once", "one of 1 GB"

TARGETS: dict[str, Target] = {
    target.id: target
    for target in (
        Target(
            "P1",
            "20 KB uploads a second, against the client in Rust",
            "uploads/s",
            "uploads",
            "ratio at least",
            {name: Bound(1.0, 1.2) for name in SMALL_LOADS},
        ),
        Target(
            "P2",
            "CPU time for a 20 KB upload, against raw streams",
            "us",
            "uploads",
            "ratio at most",
            {name: Bound(3.0, 2.2) for name in SMALL_LOADS},
        ),
        Target(
            "P3",
            "20 KB uploads a second, against others",
            "uploads/s",
            "uploads",
            "ratio at least",
            {f"{HTTPX}, {name}": Bound(3.0, 5.0) for name in SMALL_LOADS}
            | {f"{HTTPX2}, {name}": Bound(2.0, 3.0) for name in SMALL_LOADS}
            | {f"{AIOHTTP}, {name}": Bound(1.3, 2.0) for name in SMALL_LOADS},
        ),
        Target(
            "P4",
            "4 MB uploads, 8 in flight",
            "MB/s",
            "uploads",
            "ratio at least",
            {
                HTTPX: Bound(1.3, 2.0),
                HTTPX2: Bound(1.3, 2.0),
                AIOHTTP: Bound(1.0, 1.2),
                TOOLBELT: Bound(2.0, 3.0),
                RUST: Bound(2.0, 4.0),
            },
        ),
        Target(
            "P5",
            "one body of 256 MB",
            "MB/s",
            "uploads",
            "ratio at least",
            {HTTPX: Bound(1.6, 2.2), "curl": Bound(0.5, 0.7)},
        ),
        Target(
            "P6",
            "4 MB uploads over TLS, 8 in flight",
            "MB/s",
            "uploads",
            "ratio at least",
            {HTTPX: Bound(1.3, 1.7), HTTPX2: Bound(1.0, 1.3), AIOHTTP: Bound(1.0, 1.3)},
        ),
        Target(
            "P7",
            "lag of the event loop, p99, 16 uploads of 5 MB at once",
            "ms",
            "responsiveness",
            "ours at most",
            {"hot cache": Bound(15.0, 10.0), "disk of 50 ms a read": Bound(3.0, 2.0)},
        ),
        Target(
            "P8",
            "growth of memory over one upload of 4 MB",
            "MB",
            "memory",
            "ours at most",
            {"one file of 1 GB": Bound(4.0, 2.0), "32 uploads at once": Bound(16.0, 12.0)},
        ),
        Target(
            "P9",
            "calls of the API for each file, upload to Active (simulated time)",
            "calls",
            "quota",
            "ours at most",
            {name: Bound(1.06, 1.04) for name in QUOTA_LOADS}
            # The calls left of a day's 10,000 decide this one.
            | {"9,400 files at 4/s in one day": Bound(10_000 / 9_400, 1.04)},
        ),
        Target(
            "P10",
            "time until the last Active is known, over an oracle (simulated time)",
            "s",
            "quota",
            "ratio at most",
            {name: Bound(1.06 if "4/s" in name else 1.10, 1.05) for name in QUOTA_LOADS},
        ),
        Target(
            "P11",
            "completion noticed after it happened (simulated time)",
            "s",
            "quota",
            "ours at most",
            # `benchmarks/notice.py` shows that less than 3 s needs more than 1.04 calls a file.
            {f"{name}, median": Bound(3.0, 2.5) for name in QUOTA_LOADS}
            | {f"{name}, p95": Bound(6.0, 5.0) for name in QUOTA_LOADS},
        ),
        Target(
            "P12",
            "memory for each of 10,000 pollers that wait",
            "KB",
            "memory",
            "ours at most",
            {f"10,000 waiting{how}": Bound(2.0, 1.0) for how in (", a task each", " in one task")},
        ),
        Target(
            "P13",
            "a page of 500 rows structured, against orjson.loads of it",
            "us",
            "decoding",
            "ratio at most",
            {"500 rows": Bound(7.0, 4.0)},
        ),
        Target(
            "P14",
            "import in a cold process, over an empty one, against httpx",
            "ms",
            "startup",
            "ratio at most",
            {
                "import ccv2_async": Bound(0.5, 0.2),
                "from ccv2_async import ConstantContact": Bound(1.15, 0.5),
            },
        ),
        Target(
            "P15",
            "growth of memory over a backup of 10 contacts and one file of 4 MB",
            "MB",
            "memory",
            "ours at most",
            {"100,000 contacts": Bound(64.0, 16.0), "library of 1 GB": Bound(64.0, 16.0)},
        ),
        Target(
            "P16",
            "downloads to disk; ours are hashed and synced, the peers' are not",
            "MB/s",
            "downloads",
            "ratio at least",
            {
                f"{AT_ONCE}, {HTTPX_STREAM}": Bound(1.0, 1.5),
                f"{AT_ONCE}, {AIOHTTP_STREAM}": Bound(1.0, 1.2),
                f"{LARGE}, {HTTPX_STREAM}": Bound(1.0, 1.5),
                f"{LARGE}, {AIOHTTP_STREAM}": Bound(1.0, 1.2),
            },
        ),
        Target(
            "P17",
            "lag of the event loop, p99, 16 downloads of 5 MB at once",
            "ms",
            "downloads",
            "ours at most",
            {AT_ONCE: Bound(10.0, 5.0)},
        ),
        Target(
            "P18",
            "growth of memory over one download of 4 MB",
            "MB",
            "downloads",
            "ours at most",
            {LARGE: Bound(8.0, 4.0)},
        ),
        Target(
            "P19",
            "CPU time for a 4 MB upload, against raw streams",
            "us",
            "uploads",
            "ratio at most",
            {"TLS": Bound(1.25, 1.15)},
        ),
    )
}
