"""Show the outcome as a table in the terminal, a table in Markdown, and JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.clients import CLIENTS
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.results import Case, Series
    from benchmarks.targets import Target

Outcome = dict[str, list["Case"]]

_SIGNS = {"ratio at least": "≥ {:g}x", "ratio at most": "≤ {:g}x", "ours at most": "≤ {:g} {}"}
_VERDICTS = {True: "yes", False: "NO", None: "-"}


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the targets by ID, each with its cases, their bounds, and whether they are met."""
    return {
        target_id: {
            "title": TARGETS[target_id].title,
            "unit": TARGETS[target_id].unit,
            "sense": TARGETS[target_id].sense,
            "cases": [_case_as_json(TARGETS[target_id], case) for case in cases],
            "must": {name: bound.must for name, bound in TARGETS[target_id].bounds.items()},
            "aim": {name: bound.aim for name, bound in TARGETS[target_id].bounds.items()},
            "met": TARGETS[target_id].met(cases),
        }
        for target_id, cases in outcome.items()
    }


def _case_as_json(target: Target, case: Case) -> dict[str, Any]:
    if case.skipped:
        figures: dict[str, Any] = {"ours": None, "peer": None, "ratio": None}
        return {"name": case.name, **figures, "peer_name": case.peer_name, "skipped": case.skipped}
    return {
        "name": case.name,
        "ours": case.ours.median,
        "peer": case.peer.median if case.peer else None,
        "ratio": case.ratio,
        "peer_name": case.peer_name,
        "ours_range": [case.ours.low, case.ours.high],
        "peer_range": [case.peer.low, case.peer.high] if case.peer else None,
        "met": _verdict(target, case, "must"),
        "aim_met": _verdict(target, case, "aim"),
    }


def show(outcome: Outcome) -> None:
    """Print the table: median (lowest to highest) of both sides, the ratio, the verdict."""
    console = Console()
    table = Table("", "case", "unit", "ours", "peer", "ratio", "must", "aim", "met", expand=False)
    for target_id, cases in outcome.items():
        target = TARGETS[target_id]
        table.add_section()
        table.add_row(target_id, f"[bold]{target.title}[/bold]")
        for case in cases:
            table.add_row("", *_row(target, case))
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def as_markdown(outcome: Outcome) -> str:
    """Return the table in Markdown, with the versions and the machine."""
    lines = [
        "| | workload | case | ours | peer | ratio | must | aim | met |",
        "|---|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for target_id, cases in outcome.items():
        target = TARGETS[target_id]
        head = [target_id, target.title]
        for case in cases:
            name, unit, ours, peer, *rest = _row(target, case)
            cells = [*head, name, f"{ours} {unit}" if ours else "", peer, *rest]
            lines.append(f"| {' | '.join(cells)} |")
            head = ["", ""]
    return "\n".join([*lines, "", _surroundings(), ""])


def _row(target: Target, case: Case) -> list[str]:
    if case.skipped:
        return [case.name, target.unit, "", f"skipped: {case.skipped}", *("",) * 3, "-"]
    bound = target.bounds.get(case.name)
    limits = (bound.must, bound.aim) if bound else ()
    sign = _SIGNS[target.sense]
    peer = f"{case.peer_name}: {_spread(case.peer)}" if case.peer else ""
    return [
        case.name,
        target.unit,
        _spread(case.ours),
        peer,
        "" if case.ratio is None else f"{case.ratio:.2f}x",
        *([sign.format(limit, target.unit) for limit in limits] or ["", ""]),
        _VERDICTS[_verdict(target, case, "must")],
    ]


def _verdict(target: Target, case: Case, limit: str) -> bool | None:
    bound = target.bounds.get(case.name)
    return target.reaches(case, getattr(bound, limit)) if bound else None


def _spread(series: Series) -> str:
    return f"{_digits(series.median)} ({_digits(series.low)} to {_digits(series.high)})"


def _digits(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _surroundings() -> str:
    versions = ", ".join(f"{name} {number}" for name, number in _versions().items())
    return (
        f"Median (lowest to highest). Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"loopback; {versions}."
    )


def _versions() -> Mapping[str, str]:
    packages = {package for entry in CLIENTS.values() for package in entry.packages}
    found = {}
    for package in sorted(packages - {"ccv2-async"}):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
