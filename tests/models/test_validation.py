from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors, models
from ccv2_async.models import (
    FileType,
    LibraryFileUpdate,
    LibraryFolderWrite,
    Rule,
    check,
    structure,
)
from ccv2_async.models.validation import checked_ids, rule, rules_of


def broken(values: object, rules: dict[str, Rule] | None = None) -> errors.InvalidField:
    with pytest.raises(errors.InvalidField) as caught:
        check(values, rules)
    return caught.value


def test_a_model_within_its_limits_passes() -> None:
    check(LibraryFolderWrite("x" * 40))
    check(LibraryFileUpdate("", name="x" * 80))


def test_an_error_for_a_long_name_shows_field_value_and_rule() -> None:
    problem = broken(LibraryFolderWrite("x" * 41))
    assert (problem.field, problem.rule) == (
        "name",
        "its length is 41, but the maximum is 40",
    )
    assert "xxx" in problem.value


def test_a_folder_name_outside_iso_8859_1_is_refused() -> None:
    check(LibraryFolderWrite("Größe"))
    assert "ISO 8859-1" in broken(LibraryFolderWrite("菜单")).rule


@pytest.mark.parametrize(
    ("limits", "good", "bad", "said"),
    [
        ({"required": True}, ["", 0, False, "x", (1,)], [None, (), []], "requires it"),
        ({"max_length": 2}, [None, "ab", (1, 2)], ["abc", (1, 2, 3)], "the maximum is 2"),
        ({"min_length": 2}, [None, "ab", (1, 2)], ["a", (1,), ()], "the minimum is 2"),
        ({"least": 1}, [None, 1, 1.5, "x"], [0, 0.99, float("nan")], "the minimum"),
        ({"most": 100}, [None, 100, -1], [101, float("inf"), float("nan")], "the maximum"),
        ({"allowed": FileType}, [None, "PDF", "pdf", FileType.PDF], ["TIFF", ""], "PDF, DOC"),
        (
            {"allowed": ("A", "B")},
            ["a", ("A", "b"), 3],
            ["C", ("A", "C")],
            "the accepted values are A, B",
        ),
        ({"holds": ("A",)}, [None, (), ("x", "a")], [("x",)], "one of its entries must be A"),
        (
            {"pattern": r"\w+", "pattern_means": "letters, digits and _ are accepted"},
            [None, "a_1"],
            ["a b", "", "a\n"],
            "letters, digits",
        ),
    ],
)
def test_each_limit_accepts_good_values_and_names_itself_for_bad_ones(
    limits: dict[str, Any], good: list[Any], bad: list[Any], said: str
) -> None:
    rules = {"field": rule(**limits)["rule"]}
    for value in good:
        check({"field": value}, rules)
    for value in bad:
        assert said in broken({"field": value}, rules).rule


def test_a_missing_argument_is_refused() -> None:
    assert broken({}, {"name": Rule(required=True)}).field == "name"


def test_a_nested_model_is_checked_and_its_path_named() -> None:
    @attrs.frozen
    class Outer:
        one: LibraryFolderWrite | None = None
        many: tuple[LibraryFolderWrite, ...] = ()

    long = LibraryFolderWrite("x" * 41)
    assert broken(Outer(one=long)).field == "one.name"
    assert broken(Outer(many=(LibraryFolderWrite("x"), long))).field == "many[1].name"
    assert broken({"folders": [long]}).field == "folders[0].name"


def test_the_limits_table_has_only_fields_with_limits() -> None:
    assert set(rules_of(LibraryFileUpdate)) == {"description", "name"}


@given(st.text(), st.integers(0, 20), st.integers(0, 20))
def test_a_text_passes_exactly_when_its_length_is_within_the_limits(
    text: str, low: int, high: int
) -> None:
    said = Rule(min_length=low, max_length=high).broken_by(text)
    assert (said is None) == (low <= len(text) <= high)


def campaign(**changes: Any) -> models.CampaignWrite:
    return models.CampaignWrite("n", "s", "f", "f@x.com", "r@x.com", "<p>", "t", **changes)


def event(**changes: Any) -> models.EventWrite:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    changes = {"contact": models.EventContact(name="Ann")} | changes
    return models.EventWrite("n", "t", "OTHER", now, now, "US/Eastern", **changes)


def promocode(**changes: Any) -> models.PromocodeWrite:
    return models.PromocodeWrite("CODE", **changes)


@pytest.mark.parametrize(
    "good",
    [
        campaign(),
        campaign(is_permission_reminder_enabled=True, permission_reminder_text="x"),
        campaign(is_permission_reminder_enabled=False),
        event(),
        event(
            payment_options=("DOOR", "check"),
            payable_to="me",
            payment_address=models.EventAddress(),
        ),
        event(payment_options=("PAYPAL",), paypal_account_email="a@example.com"),
        event(is_virtual_event=True, online_meeting=models.OnlineMeeting(url="https://x")),
        promocode(code_type="ACCESS", fee_ids=("1",)),
        promocode(code_type="DISCOUNT", discount_scope="ORDER_TOTAL", discount_percent=10),
        promocode(code_type="DISCOUNT", discount_scope="ORDER_TOTAL", discount_amount=0.01),
        models.TrackInformation(is_guest_anonymous_enabled=True, is_guest_name_required=False),
        models.ItemWrite("i", 0, 0, 0, show_quantity_available=False),
        models.VerifiedEmailAddress("a@example.com"),
        models.ScheduleWrite(),
        models.AccountInfo(),
        models.AddContactsRequest((models.ImportData(("a@b",)),), ("1",), ("email", "FIRST NAME")),
        models.AddContactsRequest((models.ImportData(("a@b",)),), ("1",)),
    ],
    ids=repr,
)
def test_fields_that_fit_together_pass(good: object) -> None:
    check(good)


@pytest.mark.parametrize(
    ("bad", "field", "said"),
    [
        (
            campaign(is_permission_reminder_enabled=True),
            "permission_reminder_text",
            "requires permission_reminder_text when is_permission_reminder_enabled is true",
        ),
        (
            campaign(is_view_as_webpage_enabled=True, view_as_web_page_text="x"),
            "view_as_web_page_link_text",
            "is_view_as_webpage_enabled is true",
        ),
        (event(payment_options=("DOOR", "CHECK")), "payable_to", "payment_options contains CHECK"),
        (event(payment_options=("COINS",)), "payment_options", "accepted values are ONLINE_CREDIT"),
        (event(is_virtual_event=True), "online_meeting", "is_virtual_event is true"),
        (promocode(code_type="ACCESS"), "fee_ids", "exactly one entry"),
        (promocode(code_type="access", fee_ids=("1", "2")), "fee_ids", "exactly one entry"),
        (promocode(code_type="DISCOUNT"), "discount_scope", "code_type is DISCOUNT"),
        (
            promocode(code_type="DISCOUNT", discount_scope="ORDER_TOTAL"),
            "discount_amount",
            "requires discount_amount or discount_percent when code_type is DISCOUNT",
        ),
        (
            promocode(code_type="DISCOUNT", discount_scope="FEE_LIST", discount_percent=1),
            "fee_ids",
            "discount_scope is FEE_LIST",
        ),
        (
            event(
                track_information=models.TrackInformation(
                    is_guest_anonymous_enabled=True, is_guest_name_required=True
                )
            ),
            "track_information.is_guest_name_required",
            "it cannot be true",
        ),
        (event(contact=None), "contact", "requires it"),
        (event(contact=models.EventContact()), "contact.name", "requires it"),
        (models.PromocodeWrite("a b c", "ACCESS"), "code_name", "letters, digits and _"),
        (models.TestSend(("a@b",) * 6), "email_addresses", "the maximum is 5"),
        (models.AddContactsRequest((), ("1",)), "import_data", "requires it"),
        (
            models.AddContactsRequest(
                (models.ImportData(("a@b",)), models.ImportData(("a@b", "c@d"))), ("1",)
            ),
            "import_data[1].email_addresses",
            "the maximum is 1",
        ),
        (
            models.AddContactsRequest((models.ImportData(("a@b",)),), ("1",), ("FIRST NAME",)),
            "column_names",
            "one of its entries must be EMAIL",
        ),
        (
            models.RemoveContactsRequest((models.ImportData(("a@b",)),) * 20_001, ("1",)),
            "import_data",
            "but the maximum is 20000",
        ),
        (
            structure(models.Contact, {"id": "1", "lists": [{"id": "2"}]}),
            "email_addresses",
            "requires it",
        ),
        (models.ItemWrite("", 0, 0, 0, show_quantity_available=False), "name", "the minimum is 1"),
        (models.ItemWrite("i", -1, 0, 0, show_quantity_available=False), "price", "minimum"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_conflicting_fields_are_refused_with_field_and_reason(
    bad: object, field: str, said: str
) -> None:
    problem = broken(bad)
    assert problem.field == field
    assert said in problem.rule


@pytest.mark.parametrize("ids", [b"7", bytearray(b"7"), {"7": 1}, 7.0], ids=repr)
def test_only_a_list_of_ids_is_taken_for_one(ids: object) -> None:
    with pytest.raises(errors.InvalidField, match="list of IDs"):
        checked_ids(ids)
