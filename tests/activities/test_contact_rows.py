"""Contacts from mappings, from `csv.DictReader`, and from tables."""

from __future__ import annotations

import csv
import datetime as dt
import json
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from ccv2_async import errors
from ccv2_async.activities.contact_rows import (
    contacts_of,
    import_requests,
    reads_rows,
    removal_requests,
    rows_of,
    unknown_columns,
)
from ccv2_async.activities.csv_survey import BELOW_BYTES
from ccv2_async.models import ImportAddress, ImportCustomField, ImportData

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact
    from ccv2_async.activities.contact_rows import RowsRequest
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
    """The value that pandas has for a missing date."""


class Polars:
    """A table like that of polars."""

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
    """A table like that of pandas: iterating yields the names of its columns."""

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


def test_the_output_of_to_dict_is_read_again() -> None:
    assert contacts_of([contact.to_dict() for contact in WANTED]) == WANTED


def test_a_contact_of_the_service_that_cannot_be_read_is_refused() -> None:
    row = {"email_addresses": ["a@b.cc"], "addresses": [{"line1": []}]}
    with pytest.raises(errors.InvalidField) as caught:
        contacts_of([row])
    assert caught.value.message == (
        f"contacts[0] is {row}: addresses[0].line1 is not valid: an array of length 0. "
        "Nothing was sent."
    )


def test_empty_text_is_sent_only_to_erase() -> None:
    row = {"email": "ann@example.com", "first_name": ""}
    assert contacts_of([row])[0].first_name is None
    assert contacts_of([row], blanks=True)[0].first_name == ""


def test_unknown_columns_are_named_or_numbered() -> None:
    columns = ["EMAIL", " first \t name", "", "Shoe Size", " ", "custom_field_15"]
    assert unknown_columns(columns) == [
        "column 3, which has no name",
        "Shoe Size",
        "column 5, which has no name",
    ]


@pytest.mark.parametrize("row", [{"email": "a@b.cc", 1: 2}, {1: 2, "email": "a@b.cc"}])
def test_other_columns_are_left_out_if_only_addresses_are_wanted(row: Any) -> None:
    assert contacts_of([row], address_only=True) == [ImportData(["a@b.cc"])]


@pytest.mark.parametrize(
    ("row", "place", "value", "reason"),
    [
        ({"email": "a@b.cc", "Fist Name": "x"}, "['Fist Name']", "'x'", "use First Name"),
        ({"email": "a@b.cc", "Shoe Size": 42}, "['Shoe Size']", "42", "Custom Field 1"),
        ({"email": "a@b.cc", "Phone": "1"}, "['Phone']", "'1'", "Custom Field 1"),
        ({"email": "a@b.cc", None: ["y"]}, "[None]", "['y']", "more values than there are"),
        ({"email": "a@b.cc", "First Name": True}, "['First Name']", "True", "must be text"),
        ({"email": "a@b.cc", "First Name": ["x"]}, "['First Name']", "['x']", "must be text"),
        ({"email": "a@b.cc", "Work Phone": 10**5000}, "['Work Phone']", "<int>", "must be text"),
        (
            {"email": "a@b.cc", "Work Phone": 10**400},
            "['Work Phone']",
            f"1{'0' * 76}...",
            "must be text",
        ),
        ({"email": "a@b.cc", "e-mail": "b@b.cc"}, "['e-mail']", "'b@b.cc'", "another column"),
        ({"email": "", "City": "x"}, "", "['email', 'City']", "has an email address"),
        ({}, "", "[]", "has an email address"),
    ],
)
def test_an_error_names_row_and_column(row: Any, place: str, value: str, reason: str) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        contacts_of([{"email": "ok@example.com"}, row])
    assert caught.value.field == f"contacts[1]{place}"
    assert caught.value.value == value
    assert reason in caught.value.message


class Sheet:
    """A sheet of openpyxl, whose `iter_rows` takes other arguments."""

    def iter_rows(self, *, values_only: bool = False) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("contacts", "reads"),
    [
        (csv.DictReader([]), True),
        (Polars(), True),
        (Dicts(), True),
        (Pandas(), True),
        (ROWS, False),
        (WANTED, False),
        (WANTED[0], False),
        (ROWS[0], False),
        (7, False),
    ],
)
def test_a_file_and_a_table_take_a_while_to_read(contacts: Any, reads: bool) -> None:
    assert reads_rows(contacts) is reads


@pytest.mark.parametrize("wrong", [7, b"a@b.cc", {"email": "a@b.cc"}, WANTED[0], None])
def test_a_source_without_rows_is_refused(wrong: Any) -> None:
    with pytest.raises(errors.InvalidField, match="a table, or a list of ImportData") as caught:
        rows_of(wrong)
    assert caught.value.field == "contacts"
    assert caught.value.value[:77] == repr(wrong)[:77]


def test_a_table_that_gives_no_named_rows_is_refused() -> None:
    with pytest.raises(errors.InvalidField, match="its row 0 cannot be read") as caught:
        rows_of(Sheet())
    assert (caught.value.field, caught.value.value) == ("contacts", repr(Sheet))


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


def sent_rows(request: RowsRequest) -> list[str]:
    return [row["email_addresses"][0] for row in json.loads(request.content)["import_data"]]


def test_many_contacts_take_several_requests() -> None:
    addresses = [f"{number}@example.com" for number in range(5)]
    requests = import_requests(addresses, ["1"], None, most_rows=2)
    assert [request.first for request in requests] == [1, 3, 5]
    assert [sent_rows(request) for request in requests] == [
        addresses[:2],
        addresses[2:4],
        addresses[4:],
    ]


@pytest.mark.parametrize(
    ("details", "place"),
    [
        ({"custom_fields": [{"name": "custom_field_1", "value": "x"}]}, "custom_fields[0]"),
        ({"custom_fields": [ImportCustomField(cast("str", None), "x")]}, "custom_fields[0].name"),
        ({"addresses": [{"city": "Rome"}]}, "addresses[0]"),
        ({"addresses": 5}, "addresses"),
    ],
)
def test_a_part_of_a_contact_of_another_type_is_refused(
    details: dict[str, Any], place: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        import_requests(["a@b.cc", ImportData(["b@b.cc"], **details)], ["1"], None)
    assert caught.value.field == f"import_data[1].{place}"


def test_a_request_is_smaller_than_the_service_accepts() -> None:
    (smallest,) = removal_requests(["x", "y"], ["1"])
    room = BELOW_BYTES - 1 - len(smallest.content)
    (full,) = removal_requests(["x" * (1 + room), "y"], ["1"])
    assert len(full.content) == BELOW_BYTES - 1
    assert [sent_rows(each)[0][0] for each in removal_requests(["x" * (2 + room), "y"], ["1"])] == [
        "x",
        "y",
    ]


def test_the_first_contact_of_each_request_needs_a_valid_address() -> None:
    rows = ["a@b.cc", "nobody", "b@b.cc"]
    assert len(import_requests(rows, ["1"], None)) == 1
    with pytest.raises(
        errors.InvalidField, match="the first contact needs a valid address"
    ) as caught:
        import_requests(rows, ["1"], None, most_rows=1)
    assert caught.value.field == "import_data[1].email_addresses"
    assert caught.value.values == ("nobody",)


@pytest.mark.parametrize(
    "requests", [removal_requests, partial(import_requests, column_names=None)]
)
def test_an_address_that_is_not_valid_text_is_refused_with_its_row(requests: Any) -> None:
    with pytest.raises(errors.InvalidField, match=r"^import_data\[1\] is .* Nothing was sent"):
        requests(["a@example.com", "b\ud800@example.com"], ["1"])


def test_a_column_whose_number_is_too_long_to_be_written_is_refused() -> None:
    with pytest.raises(errors.InvalidField, match="none of its columns has an email address"):
        contacts_of([{10**5000: "x"}], address_only=True)
    with pytest.raises(errors.InvalidField, match="contacts have no such column"):
        contacts_of([{"Email Address": "a@b.cc", 10**5000: "x"}])
