"""Draw the outcome: how far each case is above or below the figure that it must reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Outcome
    from benchmarks.results import Case
    from benchmarks.targets import Target

_MET, _SHORT, _AIM = "#2a7f62", "#c44536", "#444444"
_FLOOR = 1e-2


@attrs.frozen
class Bar:
    """One case with a bound: 1.0 means "must", and more is better."""

    label: str
    text: str
    reached: float
    aim: float


def draw(outcome: Outcome, file: Path) -> None:
    """Write the picture as PNG, unless no case with a bound was measured."""
    bars = [bar for name, cases in outcome.items() for bar in _bars(TARGETS[name], cases)]
    if not bars:
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    places = range(len(bars))
    figure, axes = plt.subplots(figsize=(10, 1.4 + 0.36 * len(bars)), layout="constrained")
    colors = [_MET if bar.reached >= 1 else _SHORT for bar in bars]
    axes.barh(places, [bar.reached - _FLOOR for bar in bars], left=_FLOOR, color=colors)
    axes.scatter([bar.aim for bar in bars], places, marker="|", s=220, color=_AIM, label="aim")
    axes.axvline(1.0, color="black", linewidth=1.0, label="must")
    for place, bar in zip(places, bars, strict=True):
        axes.annotate(
            bar.text, (max(bar.reached, bar.aim, 1.0), place), (6, 0), va="center",
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    reach = [figure for bar in bars for figure in (bar.reached, bar.aim, 1.0)]
    axes.set_xscale("log")
    axes.set_xlim(min(reach) / 1.5, max(reach) * 4)
    axes.set_yticks(places, [bar.label for bar in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("times better than the bound that must be reached (log scale)")
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _bars(target: Target, cases: list[Case]) -> list[Bar]:
    return [bar for case in cases if case.name in target.bounds for bar in _bar(target, case)]


def _bar(target: Target, case: Case) -> list[Bar]:
    figure, bound = target.figure(case), target.bounds[case.name]
    if figure is None:
        return []
    text = f"{figure:.3g} {target.unit}" if target.sense == "ours at most" else f"{figure:.2f}x"
    if target.sense == "ratio at least":
        reached, aim = figure / bound.must, bound.aim / bound.must
    else:
        reached, aim = bound.must / max(figure, _FLOOR), bound.must / bound.aim
    return [Bar(f"{target.id}  {case.name}", text, max(reached, _FLOOR * 2), aim)]
