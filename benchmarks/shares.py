"""Where the CPU time of small uploads goes: `python -m benchmarks.shares`.

A signal arrives after every millisecond of CPU time. It counts toward the part of the client whose
code runs at that moment. While a thread reads a file, the event loop waits, so a sample in the
selector is either the system call itself or the work of such a thread.
"""

from __future__ import annotations

import asyncio
import collections
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.arena import Arena, build_sink
from benchmarks.clients import Ours
from benchmarks.samples import KB, make
from benchmarks.sending import send

if TYPE_CHECKING:
    from types import FrameType

UPLOADS = 10_000
FILES = 400
IN_FLIGHT = 8
SECONDS = 0.001
PARTS = (
    ("ccv2_async/transport/http/messages", "parsing responses (llhttp), writing heads"),
    ("ccv2_async/transport/http", "the connection: writes, reads, the pool"),
    ("ccv2_async/transport/files", "reading files, and the multipart body"),
    ("ccv2_async/transport/quota", "the quota"),
    ("ccv2_async/transport/calls", "the call: signing, retries, events, the response"),
    ("ccv2_async", "the upload: checks, the lock for a name, the poller"),
    ("httpx/", "httpx's requests, responses, and URLs"),
    ("benchmarks/", "the benchmark itself"),
    ("selectors.py", "waiting for sockets (system call), and the threads that read files"),
    ("concurrent/futures", "handing work to the threads that read files"),
    ("asyncio/", "the event loop: tasks, timeouts, sockets (system calls)"),
)
"""The parts of the client, each with a piece of its path. The first match counts."""


def part_of(frame: FrameType | None) -> str:
    """Return the part that a stack belongs to: the innermost frame that fits one decides."""
    while frame is not None:
        path = frame.f_code.co_filename
        for piece, name in PARTS:
            if piece in path:
                return name
        frame = frame.f_back
    return "the rest"


async def measure() -> tuple[float, collections.Counter[str]]:
    """Return the CPU time of an upload in microseconds, and the samples of each part."""
    samples: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="ccv2-bench-") as text:
        directory = Path(text)
        paths = [str(sample.path) for sample in make(directory, FILES, 20 * KB)]
        async with (
            Arena.open(directory, sink=build_sink(directory)) as arena,
            Ours(arena.site) as client,
        ):
            await send(client, paths, IN_FLIGHT)
            signal.signal(signal.SIGPROF, lambda _, frame: samples.update((part_of(frame),)))
            used = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS, SECONDS)
            for _ in range(UPLOADS // FILES):
                await send(client, paths, IN_FLIGHT)
            signal.setitimer(signal.ITIMER_PROF, 0)
            used = time.process_time() - used
    return used / UPLOADS * 1e6, samples


def main() -> int:
    """Print the shares as a Markdown table."""
    cost, samples = asyncio.run(measure())
    lines = [
        f"20 KB files, {IN_FLIGHT} in flight, {cost:.0f} us of CPU time per upload",
        "",
        "| part | share | us |",
        "|---|--:|--:|",
    ]
    for name, count in samples.most_common():
        share = count / samples.total()
        lines.append(f"| {name} | {share:.0%} | {share * cost:.0f} |")
    sys.stdout.write("\n".join([*lines, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
