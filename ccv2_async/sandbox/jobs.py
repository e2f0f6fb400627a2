"""Bulk activities: the columns of their rows, the files they read, and their work."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.state.activities import (
    ADD,
    CLEAR,
    REMOVE,
    Entry,
    Export,
    Outcome,
    RowProblem,
    UnreadableFile,
)
from ccv2_async.sandbox.state.contacts import is_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ccv2_async.sandbox.state.activities import Work
    from ccv2_async.sandbox.state.contacts import Contact, Contacts

_BATCH = 500
SYSTEM_LISTS = {"active": "ACTIVE", "opted-out": "OPTOUT", "removed": "REMOVED"}
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
EMAIL = "EMAIL"
MAX_CUSTOM_FIELDS = 15
_ALIASES = {
    "EMAIL ADDRESS": EMAIL,
    "E-MAIL": EMAIL,
    "US STATE/CA PROVINCE": "STATE",
    "ADDRESS LINE": "ADDRESS LINE 1",
    "COMPANY": "COMPANY NAME",
}
_NAMES = "first_name middle_name last_name job_title company_name work_phone home_phone"
_FIELDS = {name.replace("_", " ").upper(): name for name in _NAMES.split()}
_FIELDS |= {name.upper(): name for name in ("birthday_day", "birthday_month", "anniversary")}
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
_YEAR_FIRST = re.compile(r"(?P<y>\d{4})[/-](?P<m>\d{1,2})[/-](?P<d>\d{1,2})")
_MONTH_FIRST = re.compile(r"(?P<m>\d{1,2})[/-](?P<d>\d{1,2})[/-](?P<y>\d{4})")


def column_name(heading: str) -> str:
    """Return the canonical name of a column. An unknown heading is not changed."""
    name = re.sub(r"\s+", " ", heading.strip()).upper()
    if (custom := _CUSTOM.fullmatch(name)) is not None and 1 <= int(custom[1]) <= MAX_CUSTOM_FIELDS:
        return f"CUSTOM FIELD {int(custom[1])}"
    return _ALIASES.get(name, name)


def anniversary_problem(text: str, year: int) -> str | None:
    """Return the problem with an ANNIVERSARY in the year `year`; None if it is valid."""
    found = _YEAR_FIRST.fullmatch(text) or _MONTH_FIRST.fullmatch(text)
    try:
        found_year = date(*map(int, found.group("y", "m", "d") if found else ())).year
    except (TypeError, ValueError):
        return f"{text} is not a date."
    return None if 1900 < found_year <= year + 10 else f"{text} is outside the accepted years."


def json_columns(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns of one contact of a JSON import."""
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
    """Write columns to a contact. Empty ones erase only with `blanks`."""
    for column, text in columns.items():
        value = text.strip()
        if not value and not blanks:
            continue
        if column in _FIELDS:
            contact.fields[_FIELDS[column]] = value
        elif column in _ADDRESS_FIELDS:
            if not (addresses := contact.fields.setdefault("addresses", [])):
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
    """Return a contact's value in a column; empty for an unknown column."""
    if column == EMAIL:
        return contact.email
    if column in _FIELDS:
        return str(contact.fields.get(_FIELDS[column], ""))
    if column in _ADDRESS_FIELDS:
        return str((contact.fields.get("addresses") or [{}])[0].get(_ADDRESS_FIELDS[column], ""))
    name = f"CustomField{column.rpartition(' ')[2]}"
    rows = contact.fields.get("custom_fields", [])
    return next((str(row["value"]) for row in rows if row["name"] == name), "")


@attrs.frozen
class Line:
    """One row of a file.

    Attributes:
        number: The line where it begins, from 1.
        cells: Its cells.
    """

    number: int
    cells: list[str]


def read_table(content: bytes) -> list[Line]:
    """Return the rows of a file that are not empty.

    Raises:
        UnreadableFile: The file cannot be read as a table.
    """
    lines = _sheet_lines(content) if content.startswith((_ZIP, _OLE)) else _text_lines(content)
    return [line for line in lines if any(cell.strip() for cell in line.cells)]


def _text_lines(content: bytes) -> Iterator[Line]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("iso-8859-1")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",")
    number = 1
    try:
        for cells in reader:
            yield Line(number, cells)
            number = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(f"Line {number}: {error}") from None


def _sheet_lines(content: bytes) -> Iterator[Line]:
    # Needed only for spreadsheets, which are rare.
    from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415

    try:
        rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    except CalamineError as error:
        raise UnreadableFile(f"The spreadsheet cannot be read: {error}") from None
    for number, cells in enumerate(rows, 1):
        yield Line(number, [_cell(cell) for cell in cells])


def _cell(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def json_entries(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> Iterator[Entry]:
    """Yield the contacts of a JSON import. Columns that are not named are ignored."""
    wanted = {column_name(column) for column in columns}
    for number, row in enumerate(rows, 1):
        found = json_columns(row) if columns else {}
        kept = {column: value for column, value in found.items() if column in wanted}
        addresses = row["email_addresses"]
        yield Entry(number, addresses[0] if len(addresses) == 1 else "", kept)


def file_entries(content: bytes) -> Iterator[Entry]:
    """Yield the contacts of an import's file. Its first row names the columns.

    Raises:
        UnreadableFile: The file is not a table, or has no column of addresses.
    """
    if not (lines := read_table(content)):
        raise UnreadableFile("The file is empty.")
    columns = [column_name(heading) for heading in lines[0].cells]
    if EMAIL not in columns:
        raise UnreadableFile(f"Line {lines[0].number}: there is no column for email addresses.")
    for line in lines[1:]:
        found = dict(zip(columns, line.cells, strict=False))
        yield Entry(line.number, found.pop(EMAIL, "").strip(), found)


def removal_entries(content: bytes, most: int) -> Iterator[Entry]:
    """Yield the addresses of a removal's file: one per row, without headings.

    Raises:
        UnreadableFile: The file is not a table, or has more than `most` rows.
    """
    lines = read_table(content)
    if len(lines) > most:
        raise UnreadableFile(f"The file has {len(lines)} addresses; the maximum is {most}.")
    for line in lines:
        filled = [cell.strip() for cell in line.cells if cell.strip()]
        yield Entry(line.number, filled[0] if len(filled) == 1 else ",".join(filled))


def add_contacts(
    contacts: Contacts, entries: Iterable[Entry], lists: list[str], now: float, *, blanks: bool
) -> Outcome:
    """Add contacts to lists. Contacts that exist are updated, not replaced."""
    errors, warnings, count = [], [], 0
    year = datetime.fromtimestamp(now, UTC).year
    there = [list_id for list_id in lists if list_id in contacts.lists]
    for entry in entries:
        count += 1
        if (problem := _problem(entry, year)) is not None:
            errors.append(RowProblem(problem, entry.line, entry.email))
            continue
        if (stored := contacts.by_email(entry.email)) is not None and stored.status == "OPTOUT":
            warnings.append(RowProblem("The contact has opted out.", entry.line, entry.email))
            continue
        contact = contacts.add(entry.email, "API Bulk Import", "ACTION_BY_OWNER", now)
        apply_columns(contact, entry.columns, blanks=blanks)
        contacts.join(contact, there, now)
    return Outcome(count, errors, warnings)


def _problem(entry: Entry, year: int) -> str | None:
    if not is_address(entry.email):
        return "The email address is not valid."
    anniversary = entry.columns.get("ANNIVERSARY", "").strip()
    return anniversary_problem(anniversary, year) if anniversary else None


def remove_contacts(
    contacts: Contacts, entries: Iterable[Entry], lists: list[str], now: float
) -> Outcome:
    """Remove contacts from lists."""
    errors, count = [], 0
    for entry in entries:
        count += 1
        contact = contacts.by_email(entry.email)
        if not is_address(entry.email):
            errors.append(RowProblem("The email address is not valid.", entry.line, entry.email))
        elif contact is None:
            errors.append(RowProblem("The contact does not exist.", entry.line, entry.email))
        else:
            contacts.leave(contact, lists, now)
    return Outcome(count, errors)


def clear_lists(contacts: Contacts, lists: list[str], now: float) -> Outcome:
    """Remove all contacts from lists."""
    there = [list_id for list_id in lists if list_id in contacts.lists]
    return Outcome(sum(contacts.clear(list_id, now) for list_id in there))


def _export(contacts: Contacts, asked: dict[str, Any]) -> Outcome:
    """Export the current contacts of a list."""
    (name,) = asked["lists"]
    if name.casefold() in SYSTEM_LISTS:
        status = SYSTEM_LISTS[name.casefold()]
        members = [row for row in contacts.contacts.values() if row.status == status]
    else:
        members = list(contacts.members(name)) if name in contacts.lists else []
    if asked["sort_by"] == "EMAIL_ADDRESS":
        members.sort(key=lambda contact: contact.email.casefold())
    else:
        members.sort(key=lambda contact: contact.created, reverse=True)
    return Outcome(len(members), export=Export([contact.id for contact in members], asked))


def carry_out(contacts: Contacts, most: int, kind: str, work: Work, now: float) -> Outcome:
    """Do the work of a job.

    Args:
        contacts: The contacts of the account.
        most: The maximum number of addresses in a removal.
        kind: The kind of the job.
        work: The work of the job.
        now: The time.

    Raises:
        UnreadableFile: Its file cannot be read.
    """
    entries: Iterable[Entry] = work.entries
    if kind == ADD:
        entries = entries if work.file is None else file_entries(work.file)
        return add_contacts(contacts, entries, work.lists, now, blanks=work.blanks)
    if kind == REMOVE:
        entries = entries if work.file is None else removal_entries(work.file, most)
        return remove_contacts(contacts, entries, work.lists, now)
    return (
        clear_lists(contacts, work.lists, now) if kind == CLEAR else _export(contacts, work.asked)
    )


def export_chunks(contacts: Contacts, export: Export) -> Iterator[bytes]:
    """Yield the CSV (RFC 4180) of an export, a few hundred rows at a time."""
    headings, dated, by = (
        export.asked[name] for name in ("column_names", "export_date_added", "export_added_by")
    )
    columns = [column_name(heading) for heading in headings]
    members = [contacts.contact(contact_id) for contact_id in export.members]

    def cells(contact: Contact) -> list[str]:
        row = [read_column(contact, column) for column in columns]
        return row + [utc_stamp(contact.created)] * dated + [contact.source] * by

    yield _csv([headings + ["Date Added"] * dated + ["Added By"] * by])
    for start in range(0, len(members), _BATCH):
        yield _csv([cells(contact) for contact in members[start : start + _BATCH]])


def _csv(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()
