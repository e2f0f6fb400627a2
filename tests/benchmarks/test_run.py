from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this interpreter, and arguments written below
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_quick_run_leaves_json_a_table_and_a_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='needs the dependency group "bench"')
    file = tmp_path / "outcome.json"
    ran = run("--quick", "--only", "P6,P13", "--json", str(file), "--results", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    told = json.loads(file.read_text())
    assert list(told) == ["P6", "P13"]
    for target in told.values():
        assert {"cases", "must", "aim", "met"} <= target.keys()
        assert isinstance(target["met"], bool)
        for case in target["cases"]:
            assert case["ratio"] == pytest.approx(case["ours"] / case["peer"])
            assert case["ours_range"][0] <= case["ours"] <= case["ours_range"][1]
    assert "httpx files=" in ran.stdout
    assert (tmp_path / "P6-P13-quick.md").read_text().startswith("| |")
    assert (tmp_path / "P6-P13-quick.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_target_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='needs the dependency group "bench"')
    ran = run("--only", "P1,P99", "--json", str(tmp_path / "outcome.json"))
    assert ran.returncode == 2
    assert "P99" in ran.stderr
