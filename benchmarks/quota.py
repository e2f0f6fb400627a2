"""P9 to P11: thousands of uploads under a quota of a few calls per second, in simulated time.

The client and the sandbox run in one process, on an event loop with simulated time and a network
with a round trip of 80 ms. An hour passes in seconds, and a seed always gives the same run. The
sandbox has the same quota, and refuses calls beyond it.

- *ours*: `upload_many`, whose files share one status request.
- *per file*: each file is polled separately, as in most clients: after 1 s, then after 1.5 times as
  long each time, up to 10 s. The budget is the same, and polls go before uploads.
- *oracle*: knows when each file is done, and reads no status. No client can be better.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import httpx

from benchmarks import virtual_time
from benchmarks.results import Case, Series
from ccv2_async import ConstantContact, FileToUpload
from ccv2_async.sandbox import Sandbox
from ccv2_async.transport.quota.budget import Budget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from benchmarks.results import Plan

RESULTS = Path(__file__).parent / "results"
START = 1_767_225_600.0  # 2026-01-01: any day will do
ROUND_TRIP = 0.08
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(1000)
AT_ONCE = 8


DAYS_QUOTA = 10_000


@attrs.frozen
class Load:
    """The number of files, the quota, and the seed.

    Attributes:
        seconds: The median time that the service takes for a file.
        slow: If it is n, one file in n takes ten times as long; 0 for none.
        processes: How many clients share the key and the files.
    """

    files: int
    per_second: int
    per_day: int | None = None
    seed: int = 1
    seconds: float = 8.0
    slow: int = 0
    processes: int = 1

    @property
    def name(self) -> str:
        day = " in one day" if self.per_day else ""
        return f"{self.files:,} files at {self.per_second}/s{day}"


@attrs.frozen
class Outcome:
    """The result of a run: API calls, seconds until all was known, and the delay of each file."""

    calls: int
    seconds: float
    late: tuple[float, ...]
    refused: int

    def calls_per_file(self, load: Load) -> float:
        return self.calls / load.files

    def percentile(self, share: float) -> float:
        return sorted(self.late)[min(len(self.late) - 1, int(share * len(self.late)))]


class _Wire(httpx.AsyncBaseTransport):
    """The sandbox in this process, behind a network with latency."""

    def __init__(self, sandbox: Sandbox, seed: int) -> None:
        self._inner = httpx.ASGITransport(app=sandbox.app)
        self._random = random.Random(seed)
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(ROUND_TRIP / 2 * self._random.uniform(0.8, 1.2))
        response = await self._inner.handle_async_request(request)
        self.refused += response.status_code == 403
        await asyncio.sleep(ROUND_TRIP / 2 * self._random.uniform(0.8, 1.2))
        return response


@attrs.define
class _World:
    clients: list[ConstantContact]
    sandbox: Sandbox
    wire: _Wire
    known_at: dict[str, float] = attrs.field(factory=dict)

    @property
    def client(self) -> ConstantContact:
        return self.clients[0]

    def known(self, file_id: str) -> None:
        """Note that a file is now known to be Active."""
        self.known_at[file_id] = asyncio.get_running_loop().time()

    def really_done(self) -> dict[str, float]:
        """Return when each file became Active on the server, on the loop's clock."""
        files = self.sandbox._world.library.files.values()  # noqa: SLF001  # no API tells the future
        return {file.id: (file.plan.due() or START) - START for file in files}


async def _play(load: Load, way: Callable[[_World, Load], Awaitable[None]]) -> Outcome:
    clock = virtual_time.LoopClock(START)
    sandbox = Sandbox(
        clock=clock,
        mode="lognormal",
        seconds=load.seconds,
        sigma=0.6,
        seed=load.seed,
        per_second=load.per_second,
        per_day=load.per_day,
        keep_content=0,
    )
    wire = _Wire(sandbox, load.seed)
    budget = Budget(load.per_second, load.per_day, clock=clock)
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(transport=wire))
        clients = [
            await stack.enter_async_context(
                ConstantContact(
                    api_key="sandbox-key",
                    access_token="sandbox-token",
                    base_url="http://sandbox/v2",
                    http_client=http,
                    budget=budget,
                    clock=clock,
                )
            )
            for _ in range(load.processes)
        ]
        random.seed(load.seed)
        world = _World(clients, sandbox, wire)
        await way(world, load)
        done = world.really_done()
        if len(done) != load.files:
            raise AssertionError(f"{len(done)} files arrived instead of {load.files}")
        late = tuple(world.known_at[id_] - done[id_] for id_ in done)
        return Outcome(
            calls=budget.used_today,
            seconds=max(world.known_at.values()),
            late=late,
            refused=wire.refused,
        )


def _files(load: Load, process: int = 0) -> Iterator[FileToUpload]:
    for n in range(process, load.files, load.processes):
        slow = "slow-" if load.slow and n % load.slow == 0 else ""
        yield FileToUpload(PICTURE, name=f"{slow}{n}.png")


async def ours(world: _World, load: Load) -> None:
    """Call `upload_many` as a user would."""

    async def upload(process: int, client: ConstantContact) -> None:
        async for result in client.upload_many(_files(load, process), concurrency=AT_ONCE):
            world.known(result.id)

    async with asyncio.TaskGroup() as group:
        for process, client in enumerate(world.clients):
            group.create_task(upload(process, client))


async def oracle(world: _World, load: Load) -> None:
    """Make the same uploads, and know of each completion immediately."""
    bulk = world.client.upload_many(_files(load), concurrency=AT_ONCE, wait=False)
    async for _ in bulk:
        pass
    world.known_at.update(world.really_done())


async def per_file(world: _World, load: Load) -> None:
    """Poll for each file separately, like an ordinary client."""
    client = world.client

    async def follow(file_id: str) -> None:
        wait = 1.0
        while True:
            await asyncio.sleep(wait)
            rows = await client.library.upload_status(file_id)
            if rows and rows[0].status == "Active":
                world.known(file_id)
                return
            wait = min(wait * 1.5, 10.0)

    async def accepted() -> AsyncIterator[str]:
        async for result in client.upload_many(_files(load), concurrency=AT_ONCE, wait=False):
            yield result.id

    async with asyncio.TaskGroup() as group:
        async for file_id in accepted():
            group.create_task(follow(file_id))


WAYS = {"ours": ours, "per file": per_file, "oracle": oracle}


def simulate(load: Load, way: str) -> Outcome:
    """Run once, in simulated time."""
    gc.collect()
    return virtual_time.run(_play(load, WAYS[way]))


TARGET_LOADS = (Load(1000, 4), Load(3000, 4), Load(1000, 10), Load(3000, 10))
ONE_DAY = Load(9400, 4, per_day=DAYS_QUOTA)
GROWTH = (100, 300, 1000, 3000, 10_000)


async def measure(wanted: frozenset[str], plan: Plan) -> dict[str, list[Case]]:
    """Return the cases of P9, P10, and P11, and draw how calls and time grow."""
    loads = [Load(200, 4)] if plan.quick else TARGET_LOADS
    cases: dict[str, list[Case]] = {id_: [] for id_ in ("P9", "P10", "P11")}
    for load in loads:
        plan.tell(f"simulating {load.name}")
        runs = {way: await asyncio.to_thread(simulate, load, way) for way in WAYS}
        for id_, made in _cases(load, runs).items():
            cases[id_] += made
    if not plan.quick:
        plan.tell(f"simulating {ONE_DAY.name}")
        day = await asyncio.to_thread(simulate, ONE_DAY, "ours")
        calls = Series((day.calls_per_file(ONE_DAY),))
        cases["P9"].append(Case(ONE_DAY.name, calls))
        plan.tell("simulating how calls and time grow, up to 10,000 files")
        await asyncio.to_thread(draw_growth)
    return {id_: cases[id_] for id_ in wanted}


def draw_growth() -> None:
    """Draw the calls and minutes for 100 to 10,000 files at 4/s, of ours and the others, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (calls, minutes) = plt.subplots(1, 2, figsize=(10, 4))
    for way in WAYS:
        runs = [simulate(Load(files, 4), way) for files in GROWTH]
        calls.plot(GROWTH, [run.calls for run in runs], marker="o", label=way)
        minutes.plot(GROWTH, [run.seconds / 60 for run in runs], marker="o", label=way)
    calls.axhline(DAYS_QUOTA, color="grey", linestyle=":", label="a day's quota")
    calls.set_title("calls of the API")
    minutes.set_title("minutes until the last file is known to be Active")
    for axes in (calls, minutes):
        axes.set(xscale="log", yscale="log", xlabel="files, at 4 calls a second")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "growth.png", dpi=110)
    plt.close(figure)


def _cases(load: Load, runs: dict[str, Outcome]) -> dict[str, list[Case]]:
    own, peer, bound = runs["ours"], runs["per file"], runs["oracle"]

    def case(name: str, ours_: float, theirs: float, whom: str) -> Case:
        return Case(name, Series((ours_,)), Series((theirs,)), whom)

    return {
        "P9": [
            case(load.name, own.calls_per_file(load), peer.calls_per_file(load), "per-file polling")
        ],
        "P10": [
            case(load.name, own.seconds, bound.seconds, "oracle"),
            case(f"{load.name}, per file", peer.seconds, bound.seconds, "oracle"),
        ],
        "P11": [
            case(
                f"{load.name}, median",
                statistics.median(own.late),
                statistics.median(peer.late),
                "per-file polling",
            ),
            case(
                f"{load.name}, p95", own.percentile(0.95), peer.percentile(0.95), "per-file polling"
            ),
        ],
    }
