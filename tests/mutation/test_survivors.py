"""The list of changes that no test notices speaks of the code as it is, and gives reasons."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.mutation.__main__ import MODULES, ROOT, SURVIVORS

ROWS = tomllib.loads(SURVIVORS.read_text("utf-8"))["survivor"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["function"])
def test_a_listed_change_is_one_of_the_code_as_it_is_and_has_a_reason(row: dict[str, Any]) -> None:
    [module] = [m for m in MODULES if row["function"].startswith(f"{m.replace('/', '.')}.")]
    code = (ROOT / "ccv2_async" / f"{module}.py").read_text("utf-8").splitlines()
    was = row.get("was", "").splitlines()
    assert {line.strip() for line in was} <= {line.strip() for line in code}
    assert row["why"]
    assert row.get("import") or row["becomes"] != row["was"]


@pytest.mark.parametrize(("module", "patterns"), MODULES.items())
def test_every_module_that_is_changed_exists_and_has_its_tests(
    module: str, patterns: list[str]
) -> None:
    assert (ROOT / "ccv2_async" / f"{module}.py").is_file()
    for pattern in patterns:
        assert list((ROOT / "tests").glob(pattern)), pattern
