"""Contacts given as rows, as the JSON of the requests they are sent in. Pure."""

from __future__ import annotations

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
    """The requests that import these contacts: one, or more if they are too many for it.

    Args:
        rows: The contacts.
        lists: Ids of the lists.
        column_names: The columns that are used, EMAIL among them; none imports addresses only.
            None stands for the columns of every property that any of the contacts has.
        most_rows: How many contacts a request holds at most.

    Raises:
        InvalidField: A value the service would refuse; names the row. Nothing was sent.
    """
    contacts = [_contact(row, number) for number, row in enumerate(rows)]
    columns = columns_of(contacts) if column_names is None else list(column_names)
    check(AddContactsRequest(tuple(contacts[:1]), tuple(lists), tuple(columns)))
    for number, (row, contact) in enumerate(zip(rows, contacts, strict=True)):
        if row is contact:  # made from an address alone, it is as it has to be
            check(contact, prefix=f"import_data[{number}].")
    encoded = [_encoded(contact) for contact in contacts]
    requests = _requests(encoded, {"lists": list(lists), "column_names": columns}, most_rows)
    for request in requests:
        number = request.first - 1
        if not is_address(contacts[number].email_addresses[0]):
            raise InvalidField(
                f"import_data[{number}].email_addresses",
                contacts[number].email_addresses,
                "the first contact of a request needs a valid address, else all of it is refused",
            )
    return requests


def removal_requests(rows: Sequence[ContactRow], lists: Sequence[str]) -> list[RowsRequest]:
    """The requests that remove these contacts from lists: one, or more if they are too many.

    Raises:
        InvalidField: A value the service would refuse; names the row. Nothing was sent.
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
    """The columns of every property that any of the contacts has, EMAIL first.

    Properties whose column is not named are ignored by the service.
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
    # Copied, because what the JSON library gives holds on to some 4 KB, however short it is.
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
