"""A picture of the faults that the seeds met: how often each kind struck, and in how many seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_COLOR = "#2a7f62"


def draw(met: Mapping[str, int], seeds: Mapping[str, int], ran: int, file: Path) -> None:
    """Write the picture in the format of the file's suffix.

    Args:
        met: How often each kind of fault struck.
        seeds: How many seeds met each kind.
        ran: How many seeds ran.
        file: Where the picture goes.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    kinds = sorted(met, key=lambda kind: (-met[kind], kind))
    figure, axes = plt.subplots(figsize=(10, 1.4 + 0.3 * len(kinds)), layout="constrained")
    axes.barh(range(len(kinds)), [met[kind] for kind in kinds], color=_COLOR)
    for place, kind in enumerate(kinds):
        axes.annotate(
            f"{met[kind]:,} in {seeds[kind]:,} seeds", (met[kind], place), (6, 0), va="center",
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(0.5, 10 * max(met.values(), default=1))
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(f"faults met by {ran:,} seeds (log scale)")
    figure.savefig(file, dpi=130)
    plt.close(figure)
