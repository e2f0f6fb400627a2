from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors, models
from ccv2_async.models import check
from ccv2_async.models.validation import check_kinds
from tests.contract import samples

CONTACT = samples.new_contact("ann@example.com", "1")
EVENT = samples.new_event("Tasting")
ITEM = samples.new_item("Apron")

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.builds(object),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=5,
)


def refused(value: object) -> errors.InvalidField:
    with pytest.raises(errors.InvalidField) as caught:
        check(value)
    return caught.value


@pytest.mark.parametrize("model", [CONTACT, EVENT, ITEM])
def test_values_of_the_right_type_pass(model: object) -> None:
    check(model)


@pytest.mark.parametrize(
    ("model", "field", "wrong", "rule"),
    [
        (CONTACT, "first_name", 5, "it must be text"),
        (CONTACT, "first_name", b"Ann", "it must be text"),
        (CONTACT, "first_name", "\ud800", "it must be text"),
        (CONTACT, "lists", "1", "a list or tuple; each entry must be a ContactListRef"),
        (CONTACT, "extra", [1], "a dict of additional fields by name"),
        (CONTACT, "extra", {1: 2}, "a dict of additional fields by name"),
        (EVENT, "start_date", "2030-01-01", "a datetime with a time zone"),
        (EVENT, "contact", {"name": "Ann"}, "it must be an EventContact"),
        (EVENT, "is_map_displayed", "no", "True or False"),
        (ITEM, "price", "9.50", "it must be a number"),
        (ITEM, "price", float("nan"), "it must be a number"),
        (ITEM, "per_registrant_limit", 1.0, "a whole number"),
        (ITEM, "per_registrant_limit", True, "a whole number"),
        (ITEM, "per_registrant_limit", 2**64, "64 bits"),
    ],
)
def test_an_error_for_a_wrong_type_names_field_and_expected_type(
    model: Any, field: str, wrong: object, rule: str
) -> None:
    problem = refused(attrs.evolve(model, **{field: wrong}))
    assert problem.field == field
    assert rule in problem.rule


def test_an_error_for_a_wrong_entry_names_its_path() -> None:
    wrong = attrs.evolve(CONTACT, lists=(models.ContactListRef("1"), {"id": "2"}))  # type: ignore[arg-type]  # the mistake
    assert refused(wrong).field == "lists[1]"
    deeper = attrs.evolve(CONTACT, lists=(models.ContactListRef("1", status=3),))  # type: ignore[arg-type]  # the mistake
    assert refused(deeper).field == "lists[0].status"
    further = attrs.evolve(CONTACT, extra={"why": object()})
    assert refused(further).field == "extra['why']"


def test_an_id_may_be_a_number() -> None:
    check(attrs.evolve(CONTACT, lists=(models.ContactListRef(4),)))  # type: ignore[arg-type]  # taken all the same


def test_extra_fields_may_hold_any_json_value() -> None:
    extra = {"a": [1, {"b": None}], "when": datetime(2030, 1, 1, tzinfo=UTC), "ref": ITEM}
    check(attrs.evolve(CONTACT, extra=extra))


def test_a_model_with_extra_none_is_encoded() -> None:
    event = attrs.evolve(samples.event("7"), extra=None)  # type: ignore[arg-type]  # the point of the test
    check_kinds({"extra": None}, models.Event)
    assert models.unstructure(event) == models.unstructure(samples.event("7"))


@given(value=ANYTHING, name=st.sampled_from([a.name for a in attrs.fields(models.Event)]))
def test_every_model_that_passes_validation_can_be_encoded(value: Any, name: str) -> None:
    model = attrs.evolve(samples.event("7"), **{name: value})
    try:
        check_kinds(attrs.asdict(model, recurse=False), models.Event)
    except errors.InvalidField:
        return
    models.encode(model)
