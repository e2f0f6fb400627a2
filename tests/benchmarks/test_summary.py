"""The README's table of figures."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks import summary
from benchmarks.targets import TARGETS
from benchmarks.uploads import DUELS

README = Path(__file__).parents[2] / "README.md"
PLACES = {
    place
    for row in summary.ROWS
    for places in (row.ours, *(cases for _, cases in row.peers))
    for place in places
}

MEASURED_TOO = {(duel.target, duel.case) for duel in DUELS}


@pytest.mark.parametrize(("target", "case"), sorted(PLACES))
def test_every_figure_of_the_table_is_measured(target: str, case: str) -> None:
    assert case in TARGETS[target].bounds or (target, case) in MEASURED_TOO


def test_each_figure_is_the_median_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(summary, "_draw", lambda *_: None)
    files = [tmp_path / f"{factor}.json" for factor in (1, 2, 9)]
    for factor, file in zip((1, 2, 9), files, strict=True):
        run: dict[str, dict[str, list[dict[str, object]]]] = {}
        for target, case in PLACES:
            entry = {"name": case, "ours": 100.0 * factor, "peer": 10.0 * factor}
            run.setdefault(target, {"cases": []})["cases"].append(entry)
        file.write_text(json.dumps(run))
    monkeypatch.setattr(sys, "argv", ["summary", *map(str, files)])
    assert summary.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 8
    assert lines[2] == (
        "| 20 KB uploads per second, 8 / 100 in flight | **200 / 200** | "
        "pyreqwest 20 / 20, aiohttp FormData 20 / 20, httpx files= 20 / 20 |"
    )
    assert lines[-1].endswith("| **200** | import httpx 20 |")


def test_the_readme_shows_the_rows_of_the_table() -> None:
    readme = re.sub(r"\s+", " ", README.read_text("utf-8"))
    for row in summary.ROWS:
        assert f"| {row.title} |" in readme
