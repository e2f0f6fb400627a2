"""The rules that `benchmarks/notice.py` compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.notice import EVEN, PER_SECOND, SKEWED, expecting, fixed, play, told

if TYPE_CHECKING:
    from benchmarks.notice import Times

FILES = 200


@pytest.mark.parametrize("times", [EVEN, SKEWED], ids=lambda times: times.name)
@pytest.mark.parametrize(
    "rule", [fixed(4.0), expecting(16), told(16)], ids=["fixed", "law", "told"]
)
@pytest.mark.parametrize("processes", [1, 5])
def test_every_rule_notices_each_end_once_and_never_early(
    rule: object, times: Times, processes: int
) -> None:
    point = play(rule, times, processes, FILES)  # type: ignore[arg-type]
    assert len(point.late) == FILES
    assert point.late[0] >= 0
    assert point.calls > 1


def test_a_fixed_rule_comes_to_the_figures_of_the_proof() -> None:
    point = play(fixed(6.0), EVEN, files=2000)
    x = 1 / (PER_SECOND * 6.0 - 1)
    assert point.calls == pytest.approx(1 + x, abs=0.01)
    assert point.median == pytest.approx(3.0, abs=0.25)
    assert point.p95 == pytest.approx(5.7, abs=0.25)
