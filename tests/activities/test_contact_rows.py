"""Contacts from mappings, from `csv.DictReader`, and from tables."""

from __future__ import annotations

import csv
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.activities.contact_rows import contacts_of, rows_of
from ccv2_async.models import ImportAddress, ImportCustomField, ImportData

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from tests.contract.ear import Ear

ROWS: list[dict[str, Any]] = [
    {"Email Address": "ann@example.com", "First Name": "Ann", "Custom Field 3": "42"},
    {"Email Address": "bob@example.com", "First Name": None, "Custom Field 3": ""},
]
WANTED = [
    ImportData(
        ["ann@example.com"],
        first_name="Ann",
        custom_fields=[ImportCustomField("custom_field_3", "42")],
    ),
    ImportData(["bob@example.com"]),
]


class NaTType:
    """What pandas has in place of a date that is missing."""


class Polars:
    """A table as polars has it."""

    def iter_rows(self, *, named: bool = False) -> Any:
        return iter(ROWS if named else [tuple(row.values()) for row in ROWS])

    def to_dicts(self) -> Any:
        raise AssertionError("iter_rows takes less memory")

    def to_dict(self) -> Any:
        raise AssertionError("of columns")


class Dicts:
    """A table with `to_dicts` alone."""

    def to_dicts(self) -> Any:
        return ROWS


class Pandas:
    """A table as pandas has it: iterating gives the names of its columns."""

    def __iter__(self) -> Any:
        return iter(ROWS[0])

    def to_dict(self, orient: str = "dict") -> Any:
        return ROWS if orient == "records" else {}


@pytest.mark.parametrize("make", [lambda: ROWS, lambda: iter(ROWS), Polars, Dicts, Pandas])
def test_rows_and_tables_become_contacts(make: Callable[[], Any]) -> None:
    assert contacts_of(rows_of(make())) == WANTED


def test_columns_are_known_by_heading_and_by_field() -> None:
    (contact,) = contacts_of(
        [
            {
                "E-Mail": " ann@example.com ",
                "last_name": "Smith",
                "COMPANY": "ACME",
                "Birthday_Month": 5.0,
                "birthday_day": 7,
                "anniversary": dt.date(2005, 3, 12),
                "home phone": float("nan"),
                "work_phone": NaTType(),
                "Address Line 1": "1 Main St",
                "US State/CA Province": "NH",
                "zip/postal code": 1,
                "Country": "us",
            }
        ]
    )
    assert contact == ImportData(
        ["ann@example.com"],
        last_name="Smith",
        company_name="ACME",
        birthday_month="5",
        birthday_day="7",
        anniversary="03/12/2005",
        addresses=[
            ImportAddress(line1="1 Main St", state_code="NH", postal_code="1", country_code="us")
        ],
    )


def test_what_to_dict_writes_is_read_again() -> None:
    assert contacts_of([contact.to_dict() for contact in WANTED]) == WANTED
    with pytest.raises(errors.InvalidField, match=r"contacts\[0\]"):
        contacts_of([{"email_addresses": ["ann@example.com"], "addresses": 7}])


def test_empty_text_is_sent_only_to_erase() -> None:
    row = {"email": "ann@example.com", "first_name": ""}
    assert contacts_of([row])[0].first_name is None
    assert contacts_of([row], blanks=True)[0].first_name == ""


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ({"email": "a@b.cc", "Fist Name": "x"}, "contacts[1]['Fist Name']", "First Name?"),
        ({"email": "a@b.cc", "Shoe Size": 42}, "contacts[1]['Shoe Size']", "Custom Field 1"),
        ({"email": "a@b.cc", None: ["y"]}, "contacts[1][None]", "more values than there are"),
        ({"email": "a@b.cc", "First Name": True}, "contacts[1]['First Name']", "must be text"),
        ({"email": "a@b.cc", "First Name": ["x"]}, "contacts[1]['First Name']", "must be text"),
        ({"email": "a@b.cc", "e-mail": "b@b.cc"}, "contacts[1]['e-mail']", "another column"),
        ({"email": "", "First Name": "x"}, "contacts[1]", "has an e-mail address"),
        ({}, "contacts[1]", "has an e-mail address"),
    ],
)
def test_an_error_names_row_and_column(row: Any, field: str, reason: str) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        contacts_of([{"email": "ok@example.com"}, row])
    assert caught.value.field == field
    assert reason in caught.value.message


class Sheet:
    """A sheet of openpyxl, whose `iter_rows` takes other arguments."""

    def iter_rows(self, *, values_only: bool = False) -> Any:
        return iter(())


@pytest.mark.parametrize("wrong", [7, b"a@b.cc", {"email": "a@b.cc"}, WANTED[0], Sheet(), None])
def test_what_has_no_rows_is_refused(wrong: Any) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        rows_of(wrong)
    assert caught.value.field == "contacts"


def test_a_row_of_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"email,first name\nann@example.com,Ann\nrene@example.com,Ren\xe9\n")
    with (
        path.open(encoding="utf-8", newline="") as file,
        pytest.raises(errors.InvalidField, match="UnicodeDecodeError"),
    ):
        rows_of(csv.DictReader(file))
    lines = ["email,first name", "ann@example.com,Ann", 'bob@example.com,"Bo"b']
    with pytest.raises(errors.InvalidField, match="its row 1 cannot be read"):
        rows_of(csv.DictReader(lines, strict=True))


@pytest.mark.parametrize("make", [csv.DictReader, lambda _: Polars()])
async def test_rows_are_imported_and_removed(
    client: ConstantContact, ear: Ear, tmp_path: Path, make: Callable[..., Any]
) -> None:
    path = tmp_path / "people.csv"
    path.write_text("Email Address,First Name,Custom Field 3\nann@example.com,Ann,42\n")
    with path.open(newline="") as file:
        await client.activities.add_contacts(make(file), lists=["1"])
    sent = next(call for call in ear.calls if call.method == "POST")
    ear.calls[:] = [sent]
    assert ear.sent["import_data"][0] == WANTED[0].to_dict()
    assert ear.sent["column_names"] == ["EMAIL", "FIRST NAME", "CUSTOM FIELD 3"]
    (found,) = await client.contacts.all(email="ann@example.com").collect()
    assert found.first_name == "Ann"

    with path.open(newline="") as file:
        await client.activities.remove_contacts(make(file), lists=["1"])
    rows = await client.lists.contacts("1").collect()
    assert "ann@example.com" not in [row.email for row in rows]
