from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.models import FileType, LibraryFileUpdate, LibraryFolderWrite, Rule, check
from ccv2_async.models.rules import rule, rules_of


def broken(values: object, rules: dict[str, Rule] | None = None) -> errors.InvalidField:
    with pytest.raises(errors.InvalidField) as caught:
        check(values, rules)
    return caught.value


def test_a_model_within_its_limits_passes() -> None:
    check(LibraryFolderWrite("x" * 40))
    check(LibraryFileUpdate("", name="x" * 80))


def test_too_long_a_name_is_told_with_field_value_and_rule() -> None:
    problem = broken(LibraryFolderWrite("x" * 41))
    assert (problem.field, problem.rule) == (
        "name",
        "at most 40 characters are accepted, it has 41",
    )
    assert "xxx" in problem.value


def test_a_folder_name_outside_iso_8859_1_is_refused() -> None:
    check(LibraryFolderWrite("Größe"))
    assert "ISO 8859-1" in broken(LibraryFolderWrite("菜单")).rule


@pytest.mark.parametrize(
    ("limits", "good", "bad", "said"),
    [
        ({"required": True}, ["", 0, False, "x", (1,)], [None, (), []], "requires it"),
        ({"max_length": 2}, [None, "ab", (1, 2)], ["abc", (1, 2, 3)], "at most 2"),
        ({"min_length": 2}, [None, "ab", (1, 2)], ["a", (1,), ()], "at least 2"),
        ({"least": 1}, [None, 1, 1.5, "x"], [0, 0.99, float("nan")], "the least"),
        ({"most": 100}, [None, 100, -1], [101, float("inf"), float("nan")], "the most"),
        ({"allowed": FileType}, [None, "PDF", "pdf", FileType.PDF], ["TIFF", ""], "PDF, DOC"),
        ({"allowed": ("A", "B")}, ["a"], ["C"], "accepted are A, B"),
        (
            {"pattern": r"\w+", "pattern_means": "letters, digits and _ are accepted"},
            [None, "a_1"],
            ["a b", "", "a\n"],
            "letters, digits",
        ),
    ],
)
def test_each_limit_lets_the_good_pass_and_names_itself_for_the_bad(
    limits: dict[str, Any], good: list[Any], bad: list[Any], said: str
) -> None:
    rules = {"field": rule(**limits)["rule"]}
    for value in good:
        check({"field": value}, rules)
    for value in bad:
        assert said in broken({"field": value}, rules).rule


def test_a_missing_argument_breaks_its_rule() -> None:
    assert broken({}, {"name": Rule(required=True)}).field == "name"


def test_a_model_inside_a_model_is_checked_and_its_place_named() -> None:
    @attrs.frozen
    class Outer:
        one: LibraryFolderWrite | None = None
        many: tuple[LibraryFolderWrite, ...] = ()

    long = LibraryFolderWrite("x" * 41)
    assert broken(Outer(one=long)).field == "one.name"
    assert broken(Outer(many=(LibraryFolderWrite("x"), long))).field == "many[1].name"
    assert broken({"folders": [long]}).field == "folders[0].name"


def test_the_table_of_a_model_holds_its_limited_fields_only() -> None:
    assert set(rules_of(LibraryFileUpdate)) == {"description", "name"}


@given(st.text(), st.integers(0, 20), st.integers(0, 20))
def test_a_text_passes_exactly_when_its_length_lies_between(text: str, low: int, high: int) -> None:
    said = Rule(min_length=low, max_length=high).broken_by(text)
    assert (said is None) == (low <= len(text) <= high)
