"""JSON requests from rows of contacts, and the columns of the rows. Pure.

Source: `column_names` of the "Import contacts" page of the service's documentation; the names of
the address column in its pages and samples.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import attrs

from ccv2_async.activities.csv_survey import MOST_ROWS, Unfit, is_address, split_rows
from ccv2_async.errors import DecodeError, InvalidField
from ccv2_async.models import AddContactsRequest, ImportAddress, ImportCustomField, ImportData
from ccv2_async.models.base import Model
from ccv2_async.models.convert import encode_body
from ccv2_async.models.validation import check, is_text
from ccv2_async.text import described

if TYPE_CHECKING:
    from collections.abc import Sequence

ContactRow: TypeAlias = "ImportData | str | Mapping[str, Any]"
"""A contact, its address alone, or a mapping of column names to values."""


class _NamedRows(Protocol):
    def iter_rows(self, *, named: Literal[True]) -> Iterable[Mapping[str, Any]]: ...


class _Dicts(Protocol):
    def to_dicts(self) -> Iterable[Mapping[str, Any]]: ...


class _Records(Protocol):
    def to_dict(self, orient: Literal["records"]) -> Iterable[Mapping[Any, Any]]: ...


ContactTable: TypeAlias = _NamedRows | _Dicts | _Records
"""A table, such as a polars or pandas `DataFrame`."""

ADDRESS_COLUMN = "EMAIL"

_COLUMNS = {
    "first_name": ("FIRST NAME",),
    "middle_name": ("MIDDLE NAME",),
    "last_name": ("LAST NAME",),
    "birthday_day": ("BIRTHDAY_DAY",),
    "birthday_month": ("BIRTHDAY_MONTH",),
    "anniversary": ("ANNIVERSARY",),
    "job_title": ("JOB TITLE",),
    "company_name": ("COMPANY NAME",),
    "work_phone": ("WORK PHONE",),
    "home_phone": ("HOME PHONE",),
}
_ADDRESS_COLUMNS = {
    "line1": ("ADDRESS LINE 1",),
    "line2": ("ADDRESS LINE 2",),
    "line3": ("ADDRESS LINE 3",),
    "city": ("CITY",),
    "state": ("STATE",),
    # The documentation uses STATE in its sample; its list of columns has the other name too.
    "state_code": ("STATE", "US STATE/CA PROVINCE"),
    "country_code": ("COUNTRY",),
    "postal_code": ("ZIP/POSTAL CODE",),
    "sub_postal_code": ("SUB ZIP/POSTAL CODE",),
}
_EMAIL_COLUMNS = ("EMAIL", "EMAIL ADDRESS", "E-MAIL", "E-MAIL ADDRESS", "EMAIL ADDRESSES")
_CUSTOM = re.compile(r"customfield([1-9]|1[0-5])")
_ROW_METHODS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("iter_rows", {"named": True}),
    ("to_dicts", {}),
    ("to_dict", {"orient": "records"}),
)
"""The methods that return the rows of a table: two of polars, and one of pandas."""
_KNOWN = {
    *(ADDRESS_COLUMN, "EMAIL ADDRESS", "E-MAIL", "E-MAIL ADDRESS", "EMAILADDRESS"),
    *("COMPANY", "ADDRESS LINE"),
    *(name for names in (_COLUMNS | _ADDRESS_COLUMNS).values() for name in names),
    *(f"CUSTOM FIELD {number}" for number in range(1, 16)),
    *(f"CUSTOM_FIELD_{number}" for number in range(1, 16)),
}


def _bare(column: object) -> str:
    return re.sub(r"[^a-z0-9]", "", column.casefold()) if isinstance(column, str) else ""


# The field for the value of each column, by the bare name of the column.
_TARGETS = {
    _bare(name): field
    for field, names in (
        *_COLUMNS.items(),
        *_ADDRESS_COLUMNS.items(),
        ("company_name", ("COMPANY",)),
        ("line1", ("ADDRESS LINE",)),
        ("state", ("STATE",)),
        ("email", _EMAIL_COLUMNS),
    )
    for name in (field, *names)
}


def unknown_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns that the service does not know; one without a name is given by its number.

    Case and spacing do not matter.
    """
    return [
        column.strip() or f"column {number}, which has no name"
        for number, column in enumerate(columns, 1)
        if re.sub(r"\s+", " ", column.strip()).upper() not in _KNOWN
    ]


def reads_rows(contacts: object) -> bool:
    """Return whether taking the rows reads a file or converts a table, which takes time."""
    return isinstance(contacts, csv.DictReader) or _row_method(contacts) is not None


def _row_method(contacts: object) -> tuple[Any, dict[str, Any]] | None:
    if isinstance(contacts, Model):
        return None
    given = ((getattr(contacts, name, None), options) for name, options in _ROW_METHODS)
    return next(((method, options) for method, options in given if callable(method)), None)


def rows_of(contacts: Any) -> list[Any]:
    """Return the rows of a list, of a `csv.DictReader`, or of a table.

    Raises:
        InvalidField: It has no rows, or one of them cannot be read. Nothing was sent.
    """
    table = _row_method(contacts)
    rows: list[Any] = []
    try:
        if table is not None:
            method, options = table
            rows.extend(method(**options))
        elif isinstance(contacts, csv.DictReader):
            rows.extend(contacts)
    except Exception as error:  # noqa: BLE001  # of the user's file or of the table's library
        rule = f"its row {len(rows)} cannot be read ({described(error)})"
        raise InvalidField("contacts", type(contacts), rule) from None
    if rows or table is not None:
        return rows
    if isinstance(contacts, bytes | Mapping) or not isinstance(contacts, Iterable):
        rule = "it must be a path, a table, or a list of ImportData, mappings, or addresses"
        raise InvalidField("contacts", contacts, rule)
    return list(contacts)


def contacts_of(
    rows: Iterable[Any], *, blanks: bool = False, address_only: bool = False
) -> list[Any]:
    """Return rows with an `ImportData` in place of each mapping.

    Args:
        rows: The rows.
        blanks: Whether empty strings are sent.
        address_only: Whether all other columns are left out.

    Raises:
        InvalidField: A value cannot be sent; the error names its row and column.
    """
    return [
        _from_mapping(row, f"contacts[{number}]", blanks, address_only)
        if isinstance(row, Mapping)
        else row
        for number, row in enumerate(rows)
    ]


def _from_mapping(
    row: Mapping[Any, Any], place: str, blanks: bool, address_only: bool
) -> ImportData:
    if isinstance(row.get("email_addresses"), list | tuple):  # as the service writes it
        try:
            return ImportData.from_dict(row)
        except DecodeError as error:
            raise InvalidField(place, row, f"{error.where} is not valid: {error.excerpt}") from None
    found: dict[str, str] = {}
    for column, value in row.items():
        target = _TARGETS.get(_bare(column))
        if custom := _CUSTOM.fullmatch(_bare(column)):
            target = f"custom_field_{custom[1]}"
        if address_only and target != "email":
            continue
        where = f"{place}[{column!r}]" if isinstance(column, str | None) else place
        if target is None:
            raise InvalidField(where, value, _unknown(column))
        if (text := _text_of(value, where)) is None or (not text and not blanks):
            continue
        if found.setdefault(target, text) != text:
            raise InvalidField(where, value, f"another column has a different {target}")
    if not (address := found.pop("email", "")):
        raise InvalidField(place, list(row), "none of its columns has an email address")
    fields: dict[str, Any] = {name: found.pop(name) for name in _COLUMNS if name in found}
    parts: dict[str, Any] = {name: found.pop(name) for name in _ADDRESS_COLUMNS if name in found}
    return ImportData(
        (address,),
        **fields,
        addresses=[ImportAddress(**parts)] if parts else (),
        custom_fields=[ImportCustomField(name, value) for name, value in found.items()],
    )


def _unknown(column: object) -> str:
    if column is None:
        return "the row has more values than there are columns"
    import difflib  # noqa: PLC0415  # for errors only

    known = {_bare(name): name.title() for name in sorted(_KNOWN)}
    near = difflib.get_close_matches(_bare(column), known, n=1, cutoff=0.75)
    advice = f"use {known[near[0]]}" if near else "use a name such as Custom Field 1,"
    return f"contacts have no such column; {advice} or leave it out"


def _text_of(value: Any, where: str) -> str | None:
    """Return a value as a string; None if it is missing."""
    if value is None or type(value).__name__ in _MISSING:
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, date):
        return f"{value.month:02}/{value.day:02}/{value.year:04}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, bool) and isinstance(value, Integral) and abs(int(value)) < _TOO_LONG:
        return str(value)
    raise InvalidField(where, value, "it must be text, a whole number, or a date")


_MISSING = ("NAType", "NaTType")
"""The classes of missing values in pandas."""
_TOO_LONG = 10**400
"""A whole number that is too long for any column. Python refuses to write thousands of digits."""


@attrs.frozen
class RowsRequest:
    """The body of one request.

    Attributes:
        content: JSON.
        first: The number of its first row among all rows, from 1.
    """

    content: bytes = attrs.field(repr=False)
    first: int


def import_requests(
    rows: Sequence[ContactRow],
    lists: Sequence[str],
    column_names: Sequence[str] | None,
    most_rows: int = MOST_ROWS,
) -> list[RowsRequest]:
    """Return the requests that import these contacts: one, or several if there are too many.

    Args:
        rows: The contacts.
        lists: IDs of the lists.
        column_names: The columns that are used, including EMAIL; an empty list imports addresses
            only. None uses the columns of every property that any of the contacts has.
        most_rows: The maximum number of contacts in a request.

    Raises:
        InvalidField: The service would refuse a value; the error names the row. Nothing was sent.
    """
    contacts = [_contact(row, number) for number, row in enumerate(rows)]
    for number, (row, contact) in enumerate(zip(rows, contacts, strict=True)):
        if row is contact:  # one made from an address alone is valid
            check(contact, prefix=f"import_data[{number}].")
    columns = columns_of(contacts) if column_names is None else list(column_names)
    check(AddContactsRequest(tuple(contacts[:1]), tuple(lists), tuple(columns)))
    encoded = [_encoded(contact) for contact in contacts]
    requests = _requests(encoded, {"lists": list(lists), "column_names": columns}, most_rows)
    for request in requests:
        number = request.first - 1
        addresses = contacts[number].email_addresses
        if not is_address(addresses[0]):
            rule = "the first contact needs a valid address, or the service refuses the request"
            raise InvalidField(f"import_data[{number}].email_addresses", addresses, rule)
    return requests


def removal_requests(rows: Sequence[ContactRow], lists: Sequence[str]) -> list[RowsRequest]:
    """Return the requests that remove contacts from lists: one, or several if there are too many.

    Raises:
        InvalidField: The service would refuse a value; the error names the row. Nothing was sent.
    """
    encoded = []
    for number, row in enumerate(rows):
        contact = _contact(row, number)
        if row is contact:
            contact = ImportData(contact.email_addresses)
            check(contact, prefix=f"import_data[{number}].")
        encoded.append(_encoded(contact))
    return _requests(encoded, {"lists": list(lists)})


def columns_of(contacts: Iterable[ImportData]) -> list[str]:
    """Return the columns of every property that any of the contacts has, EMAIL first.

    The service ignores a property if its column is missing.
    """
    found: dict[str, None] = {ADDRESS_COLUMN: None}
    for contact in contacts:
        _note(contact, _COLUMNS, found)
        for address in contact.addresses:
            _note(address, _ADDRESS_COLUMNS, found)
        for field in contact.custom_fields:
            found[field.name.replace("_", " ").upper()] = None
    return list(found)


def _note(model: object, columns: Mapping[str, tuple[str, ...]], found: dict[str, None]) -> None:
    for name, headings in columns.items():
        if getattr(model, name) is not None:
            found.update(dict.fromkeys(headings))


def _contact(row: ContactRow, number: int) -> ImportData:
    if isinstance(row, ImportData):
        return row
    if is_text(row) and row.strip():
        return ImportData((row.strip(),))
    raise InvalidField(
        f"import_data[{number}]", row, "it must be an ImportData, a mapping, or an address"
    )


def _encoded(contact: ImportData) -> bytes:
    # Copied, because every result of the JSON library takes about 4 KB.
    return bytes(memoryview(encode_body(contact)))


def _requests(
    encoded: Sequence[bytes], rest: Mapping[str, object], most_rows: int = MOST_ROWS
) -> list[RowsRequest]:
    if not encoded:
        raise InvalidField("contacts", [], "pass at least one contact")
    before, after = b'{"import_data":[', b"]," + encode_body(rest)[1:]
    try:
        sizes = [len(row) for row in encoded]
        parts = split_rows(sizes, len(before) + len(after), most_rows=most_rows)
    except Unfit as unfit:
        raise InvalidField(f"import_data[{unfit.line - 1}]", "...", unfit.reason) from None
    return [
        RowsRequest(before + b",".join(encoded[part.start : part.stop]) + after, part.start + 1)
        for part in parts
    ]
