"""Make the README's table and picture of several runs: `python -m benchmarks.summary RUN.json ...`.

Each figure is the median of the runs. The table goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import attrs

from benchmarks.targets import AIOHTTP, AT_ONCE, HTTPX, HTTPX2, LARGE, RAW, RUST

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "speed.png"
STREAM = "aiohttp stream"


@attrs.frozen
class Row:
    """A row of the table.

    Attributes:
        title: The quantity that is measured, and its unit.
        ours: The target and the case of each of our figures.
        peers: For each peer, its name and the target and case of each of its figures.
    """

    title: str
    ours: tuple[tuple[str, str], ...]
    peers: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def _both(target: str, peer: str, cases: tuple[str, ...]) -> tuple[str, tuple[Any, ...]]:
    return peer, tuple((target, f"{peer}, {case}") for case in cases)


_PLAIN, _TLS = ("8 in flight", "100 in flight"), ("8 in flight, TLS", "100 in flight, TLS")
_AT_4 = "3,000 files at 4/s"

ROWS = (
    *(
        Row(
            f"20 KB uploads per second{how}, 8 / 100 in flight",
            tuple(("P1", case) for case in cases),
            (
                (RUST, tuple(("P1", case) for case in cases)),
                _both("P3", AIOHTTP, cases),
                _both("P3", HTTPX, cases),
            ),
        )
        for how, cases in (("", _PLAIN), (" over TLS", _TLS))
    ),
    Row(
        "4 MB uploads, 8 in flight, MB/s, plain / TLS",
        (("P4", HTTPX), ("P6", HTTPX)),
        tuple((peer, (("P4", peer), ("P6", peer))) for peer in (RUST, AIOHTTP, HTTPX)),
    ),
    Row(
        "event loop lag in ms, p99, 16 uploads of 5 MB at once: hot cache / disk with 50 ms reads",
        (("P7", "hot cache"), ("P7", "disk of 50 ms a read")),
        ((HTTPX, (("P7", "hot cache"), ("P7", "disk of 50 ms a read"))),),
    ),
    Row(
        "memory growth in MB: one file of 1 GB / 32 uploads of 4 MB at once",
        (("P8", "one file of 1 GB"), ("P8", "32 uploads at once")),
        ((HTTPX, (("P8", "one file of 1 GB"), ("P8", "32 uploads at once"))),),
    ),
    Row(
        "downloads in MB/s: 16 of 5 MB at once / one of 1 GB",
        (("P16", f"{AT_ONCE}, {STREAM}"), ("P16", f"{LARGE}, {STREAM}")),
        ((STREAM, (("P16", f"{AT_ONCE}, {STREAM}"), ("P16", f"{LARGE}, {STREAM}"))),),
    ),
    Row(
        "calls per file / median seconds until its completion is noticed, 3,000 files at 4 calls/s",
        (("P9", _AT_4), ("P11", f"{_AT_4}, median")),
        (("per-file polling", (("P9", _AT_4), ("P11", f"{_AT_4}, median"))),),
    ),
    Row(
        "import of `ConstantContact` in a new process, ms",
        (("P14", "from ccv2_async import ConstantContact"),),
        (("import httpx", (("P14", "from ccv2_async import ConstantContact"),)),),
    ),
)


def main() -> int:
    """Print the table, and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summary", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="results of `python -m benchmarks`")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args()
    runs = [json.loads(path.read_text()) for path in options.runs]
    lines = ["| | ccv2_async | peers |", "|---|--:|---|"]
    for row in ROWS:
        ours = _figures(runs, row.ours, "ours")
        peers = ", ".join(f"{name} {_figures(runs, cases, 'peer')}" for name, cases in row.peers)
        lines.append(f"| {row.title} | **{ours}** | {peers} |")
    sys.stdout.write("\n".join([*lines, ""]))
    _draw(runs, options.picture)
    return 0


def _figures(runs: list[Any], places: tuple[tuple[str, str], ...], side: str) -> str:
    return " / ".join(_digits(_figure(runs, target, case, side)) for target, case in places)


def _figure(runs: list[Any], target: str, case: str, side: str) -> float:
    found: list[float] = [
        entry[side]
        for run in runs
        for entry in run.get(target, {"cases": []})["cases"]
        if entry["name"] == case
    ]
    return statistics.median(found)


def _digits(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.{3 if figure >= 1 else 1}g}"


def _draw(runs: list[Any], file: Path) -> None:
    """Draw the rates of small uploads, client by client."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    clients = (HTTPX, HTTPX2, AIOHTTP, "ccv2_async", RUST, RAW)
    panels = (*_PLAIN, *_TLS)
    figure, axes = plt.subplots(
        1, len(panels), figsize=(11, 2.4), layout="constrained", sharey=True
    )
    for panel, axis in zip(panels, axes, strict=True):
        rates = [_rate(runs, panel, client) for client in clients]
        colors = ["#2a7f62" if client == "ccv2_async" else "#b8c4c0" for client in clients]
        bars = axis.barh(range(len(clients)), rates, color=colors)
        axis.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3, fontsize=8)
        axis.set_xlim(0, max(rates) * 1.25)
        axis.set_yticks(range(len(clients)), clients, fontsize=8)
        axis.tick_params(axis="x", labelsize=7)
        axis.set_title(panel, fontsize=9)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[0].invert_yaxis()
    figure.suptitle("20 KB uploads per second (longer is better)", fontsize=10)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _rate(runs: list[Any], panel: str, client: str) -> float:
    if client == "ccv2_async":
        return _figure(runs, "P1", panel, "ours")
    if client == RUST:
        return _figure(runs, "P1", panel, "peer")
    return _figure(runs, "P3", f"{client}, {panel}", "peer")


if __name__ == "__main__":
    sys.exit(main())
