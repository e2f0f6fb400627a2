from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from benchmarks.report import as_json, as_markdown
from benchmarks.results import Case, Series
from benchmarks.targets import TARGETS, Bound, Target

if TYPE_CHECKING:
    from benchmarks.targets import Sense

BOUNDS = MappingProxyType({"a": Bound(must=2.0, aim=4.0)})


def target(sense: Sense) -> Target:
    return Target("P0", "a test", "MB", "uploads", sense, BOUNDS)


def case(ours: float, peer: float, name: str = "a") -> Case:
    return Case(name, Series((ours, ours * 3, 0.0)), Series((peer,)), "a peer")


@pytest.mark.parametrize(
    ("sense", "ours", "met"),
    [
        ("ratio at least", 20.0, True),
        ("ratio at least", 19.0, False),
        ("ratio at most", 20.0, True),
        ("ratio at most", 21.0, False),
        ("ours at most", 2.0, True),
        ("ours at most", 2.1, False),
    ],
)
def test_a_target_is_met_when_its_figure_satisfies_must(
    sense: Sense, ours: float, met: bool
) -> None:
    assert target(sense).met([case(ours, 10.0)]) is met


def test_one_failing_case_means_that_the_target_is_not_met() -> None:
    both = Target(
        "P0", "", "", "uploads", "ratio at least", {"a": Bound(2.0, 3.0), "b": Bound(2.0, 3.0)}
    )
    assert both.met([case(30.0, 10.0), case(10.0, 10.0, "b")]) is False


def test_a_skipped_case_neither_meets_nor_misses_its_target() -> None:
    skipped = Case("a", peer_name="curl", skipped="curl is not installed")
    assert target("ratio at least").met([skipped]) is None


@pytest.mark.parametrize("target_id", TARGETS)
def test_every_target_has_a_family_that_measures_it(target_id: str) -> None:
    family = importlib.import_module(f"benchmarks.{TARGETS[target_id].family}")
    assert callable(family.measure)


def test_the_outcome_names_both_medians_their_ratio_and_the_verdict() -> None:
    told = as_json({"P5": [case(10.0, 20.0, "curl"), case(10.0, 5.0, "httpx files=")]})["P5"]
    assert [(c["name"], c["ours"], c["peer"], c["ratio"], c["met"]) for c in told["cases"]] == [
        ("curl", 10.0, 20.0, 0.5, True),
        ("httpx files=", 10.0, 5.0, 2.0, True),
    ]
    assert told["must"] == {"httpx files=": 1.6, "curl": 0.5}
    assert told["met"] is True


def test_a_skipped_case_says_why_in_both_reports() -> None:
    outcome = {"P5": [Case("curl", peer_name="curl", skipped="curl is not installed")]}
    assert as_json(outcome)["P5"]["cases"][0]["skipped"] == "curl is not installed"
    assert "curl is not installed" in as_markdown(outcome)
