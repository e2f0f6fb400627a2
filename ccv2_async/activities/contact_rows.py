"""JSON requests from rows of contacts, and the columns of the rows. Pure.

Source: `column_names` of the "Import contacts" page of the service's documentation; the names of
the address column as its pages and samples write it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import attrs

from ccv2_async.activities.csv_survey import MOST_ROWS, Unfit, is_address, split_rows
from ccv2_async.errors import InvalidField
from ccv2_async.models import AddContactsRequest, ImportData
from ccv2_async.models.convert import encode_body
from ccv2_async.models.validation import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ContactRow: TypeAlias = ImportData | str
"""A contact, or its address alone."""

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
    # The documentation's sample names STATE for it; its list of columns has the other name too.
    "state_code": ("STATE", "US STATE/CA PROVINCE"),
    "country_code": ("COUNTRY",),
    "postal_code": ("ZIP/POSTAL CODE",),
    "sub_postal_code": ("SUB ZIP/POSTAL CODE",),
}
_KNOWN = {
    *(ADDRESS_COLUMN, "EMAIL ADDRESS", "E-MAIL", "E-MAIL ADDRESS", "EMAILADDRESS"),
    *("COMPANY", "ADDRESS LINE"),
    *(name for names in (_COLUMNS | _ADDRESS_COLUMNS).values() for name in names),
    *(f"CUSTOM FIELD {number}" for number in range(1, 16)),
    *(f"CUSTOM_FIELD_{number}" for number in range(1, 16)),
}


def unknown_columns(columns: Iterable[str]) -> list[str]:
    """Return the columns that the service does not know; a column without a name by its number.

    Case and spacing do not matter.
    """
    return [
        column.strip() or f"column {number}, which has no name"
        for number, column in enumerate(columns, 1)
        if re.sub(r"\s+", " ", column.strip()).upper() not in _KNOWN
    ]


@attrs.frozen
class RowsRequest:
    """The body of one request.

    Attributes:
        content: JSON.
        first: The number of its first row in the whole, from 1.
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
        lists: Ids of the lists.
        column_names: The columns that are used, EMAIL among them; an empty list imports addresses
            only. None uses the columns of every property that any of the contacts has.
        most_rows: The most contacts of a request.

    Raises:
        InvalidField: The service would refuse a value; the error names the row. Nothing was sent.
    """
    contacts = [_contact(row, number) for number, row in enumerate(rows)]
    columns = columns_of(contacts) if column_names is None else list(column_names)
    check(AddContactsRequest(tuple(contacts[:1]), tuple(lists), tuple(columns)))
    for number, (row, contact) in enumerate(zip(rows, contacts, strict=True)):
        if row is contact:  # one made from an address alone is valid
            check(contact, prefix=f"import_data[{number}].")
    encoded = [_encoded(contact) for contact in contacts]
    requests = _requests(encoded, {"lists": list(lists), "column_names": columns}, most_rows)
    for request in requests:
        number = request.first - 1
        if not is_address(contacts[number].email_addresses[0]):
            raise InvalidField(
                f"import_data[{number}].email_addresses",
                contacts[number].email_addresses,
                "the first contact of a request needs a valid address, or all of it is refused",
            )
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

    The service ignores a property if its column is not named.
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
    if isinstance(row, str) and row.strip():
        return ImportData((row.strip(),))
    raise InvalidField(f"import_data[{number}]", row, "an ImportData, or an address as text")


def _encoded(contact: ImportData) -> bytes:
    # Copied, because every result of the JSON library takes about 4 KB.
    return bytes(memoryview(encode_body(contact)))


def _requests(
    encoded: Sequence[bytes], rest: Mapping[str, object], most_rows: int = MOST_ROWS
) -> list[RowsRequest]:
    if not encoded:
        raise InvalidField("contacts", [], "at least one contact")
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
