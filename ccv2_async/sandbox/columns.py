"""The columns of bulk imports and exports, and the fields of a contact that they stand for."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.sandbox.state.contacts import Contact

EMAIL = "EMAIL"
MAX_CUSTOM_FIELDS = 15
_ALIASES = {
    "EMAIL ADDRESS": EMAIL,
    "E-MAIL": EMAIL,
    "US STATE/CA PROVINCE": "STATE",
    "ADDRESS LINE": "ADDRESS LINE 1",
    "COMPANY": "COMPANY NAME",
}
_FIELDS = {
    "FIRST NAME": "first_name",
    "MIDDLE NAME": "middle_name",
    "LAST NAME": "last_name",
    "JOB TITLE": "job_title",
    "COMPANY NAME": "company_name",
    "WORK PHONE": "work_phone",
    "HOME PHONE": "home_phone",
    "BIRTHDAY_DAY": "birthday_day",
    "BIRTHDAY_MONTH": "birthday_month",
    "ANNIVERSARY": "anniversary",
}
_ADDRESS_FIELDS = {
    "ADDRESS LINE 1": "line1",
    "ADDRESS LINE 2": "line2",
    "ADDRESS LINE 3": "line3",
    "CITY": "city",
    "STATE": "state_code",
    "COUNTRY": "country_code",
    "ZIP/POSTAL CODE": "postal_code",
    "SUB ZIP/POSTAL CODE": "sub_postal_code",
}
_CUSTOM = re.compile(r"CUSTOM[ _]FIELD[ _](\d{1,2})")
_YEAR_FIRST = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})")
_MONTH_FIRST = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})")


def column_name(heading: str) -> str:
    """The one name of a column, whichever way it is written; an unknown one stays as it is."""
    name = re.sub(r"\s+", " ", heading.strip()).upper()
    custom = _CUSTOM.fullmatch(name)
    if custom is not None and 1 <= int(custom[1]) <= MAX_CUSTOM_FIELDS:
        return f"CUSTOM FIELD {int(custom[1])}"
    return _ALIASES.get(name, name)


def anniversary_problem(text: str, year: int) -> str | None:
    """What is wrong with an ANNIVERSARY, in a year such as this; None when nothing is."""
    first, last = _YEAR_FIRST.fullmatch(text), _MONTH_FIRST.fullmatch(text)
    if first is not None:
        parts = int(first[1]), int(first[2]), int(first[3])
    elif last is not None:
        parts = int(last[3]), int(last[1]), int(last[2])
    else:
        return f"{text} is no date."
    try:
        date(*parts)
    except ValueError:
        return f"{text} is no date."
    if not 1900 < parts[0] <= year + 10:
        return f"{text} lies outside the years that are accepted."
    return None


def json_columns(row: Mapping[str, Any]) -> dict[str, str]:
    """The columns of one contact of a JSON import."""
    found = {column: row[field] for column, field in _FIELDS.items() if field in row}
    for address in row.get("addresses", [])[:1]:
        given = {"state_code": address.get("state"), **address}
        found |= {
            column: given[field]
            for column, field in _ADDRESS_FIELDS.items()
            if given.get(field) is not None
        }
    for custom in row.get("custom_fields", []):
        found[column_name(custom["name"])] = custom["value"]
    return found


def apply_columns(contact: Contact, columns: Mapping[str, str], *, blanks: bool) -> None:
    """Write columns into a contact; empty ones erase only with `blanks`."""
    for column, text in columns.items():
        value = text.strip()
        if not value and not blanks:
            continue
        if column in _FIELDS:
            contact.fields[_FIELDS[column]] = value
        elif column in _ADDRESS_FIELDS:
            addresses = contact.fields.setdefault("addresses", [])
            if not addresses:
                addresses.append({"address_type": "PERSONAL"})
            addresses[0][_ADDRESS_FIELDS[column]] = value
        elif column.startswith("CUSTOM FIELD "):
            _set_custom(contact, f"CustomField{column.rpartition(' ')[2]}", value)


def _set_custom(contact: Contact, name: str, value: str) -> None:
    rows = [row for row in contact.fields.get("custom_fields", []) if row["name"] != name]
    if value:
        rows.append({"name": name, "label": name, "value": value})
    contact.fields["custom_fields"] = rows


def read_column(contact: Contact, column: str) -> str:
    """What a contact has in a column; empty for one that is not known."""
    if column == EMAIL:
        return contact.email
    if column in _FIELDS:
        return str(contact.fields.get(_FIELDS[column], ""))
    if column in _ADDRESS_FIELDS:
        addresses = contact.fields.get("addresses") or [{}]
        return str(addresses[0].get(_ADDRESS_FIELDS[column], ""))
    name = f"CustomField{column.rpartition(' ')[2]}"
    rows = contact.fields.get("custom_fields", [])
    return next((str(row["value"]) for row in rows if row["name"] == name), "")
