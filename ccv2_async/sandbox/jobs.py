"""What bulk activities do to lists and contacts when they are carried out."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.columns import (
    EMAIL,
    anniversary_problem,
    apply_columns,
    column_name,
    json_columns,
    read_column,
)
from ccv2_async.sandbox.state.activities import Outcome, RowProblem
from ccv2_async.sandbox.state.contacts import is_address
from ccv2_async.sandbox.tables import UnreadableFile, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ccv2_async.sandbox.state.contacts import Contact, Contacts

_BATCH = 500
SYSTEM_LISTS = {"active": "ACTIVE", "opted-out": "OPTOUT", "removed": "REMOVED"}


@attrs.frozen
class Entry:
    """One contact of an import or a removal: the line it stands on, address, other columns."""

    line: int
    email: str
    columns: Mapping[str, str] = attrs.field(factory=dict)


def json_entries(rows: Iterable[Mapping[str, Any]], columns: list[str]) -> Iterator[Entry]:
    """The contacts of a JSON import; with columns named, others are ignored."""
    wanted = {column_name(column) for column in columns}
    for number, row in enumerate(rows, 1):
        found = json_columns(row) if columns else {}
        kept = {column: value for column, value in found.items() if column in wanted}
        addresses = row["email_addresses"]
        yield Entry(number, addresses[0] if len(addresses) == 1 else "", kept)


def file_entries(content: bytes) -> Iterator[Entry]:
    """The contacts of an import's file; its first row names the columns.

    Raises:
        UnreadableFile: It is no table, or has no column of addresses.
    """
    lines = read_table(content)
    if not lines:
        raise UnreadableFile("The file is empty.")
    columns = [column_name(heading) for heading in lines[0].cells]
    if EMAIL not in columns:
        raise UnreadableFile(f"Line {lines[0].number}: there is no column for e-mail addresses.")
    for line in lines[1:]:
        found = dict(zip(columns, line.cells, strict=False))
        yield Entry(line.number, found.pop(EMAIL, "").strip(), found)


def removal_entries(content: bytes, most: int) -> Iterator[Entry]:
    """The addresses of a removal's file, one a row, without headings.

    Raises:
        UnreadableFile: It is no table, or has more than `most` rows.
    """
    lines = read_table(content)
    if len(lines) > most:
        raise UnreadableFile(f"The file has {len(lines)} addresses; {most} are accepted.")
    for line in lines:
        filled = [cell.strip() for cell in line.cells if cell.strip()]
        yield Entry(line.number, filled[0] if len(filled) == 1 else ",".join(filled))


def add_contacts(
    contacts: Contacts, entries: Iterable[Entry], lists: list[str], now: float, *, blanks: bool
) -> Outcome:
    """Add contacts to lists; those that are there already are updated, not replaced."""
    errors, warnings, count = [], [], 0
    year = datetime.fromtimestamp(now, UTC).year
    there = [list_id for list_id in lists if list_id in contacts.lists]
    for entry in entries:
        count += 1
        problem = _problem(entry, year)
        if problem is not None:
            errors.append(RowProblem(problem, entry.line, entry.email))
            continue
        stored = contacts.by_email(entry.email)
        if stored is not None and stored.status == "OPTOUT":
            warnings.append(RowProblem("The contact has opted out.", entry.line, entry.email))
            continue
        contact = contacts.add(entry.email, "API Bulk Import", "ACTION_BY_OWNER", now)
        apply_columns(contact, entry.columns, blanks=blanks)
        contacts.join(contact, there, now)
    return Outcome(count, errors, warnings)


def _problem(entry: Entry, year: int) -> str | None:
    if not is_address(entry.email):
        return "The e-mail address is not valid."
    anniversary = entry.columns.get("ANNIVERSARY", "").strip()
    return anniversary_problem(anniversary, year) if anniversary else None


def remove_contacts(
    contacts: Contacts, entries: Iterable[Entry], lists: list[str], now: float
) -> Outcome:
    """Take contacts off lists."""
    errors, count = [], 0
    for entry in entries:
        count += 1
        contact = contacts.by_email(entry.email)
        if not is_address(entry.email):
            errors.append(RowProblem("The e-mail address is not valid.", entry.line, entry.email))
        elif contact is None:
            errors.append(RowProblem("There is no such contact.", entry.line, entry.email))
        else:
            contacts.leave(contact, lists, now)
    return Outcome(count, errors)


def clear_lists(contacts: Contacts, lists: list[str], now: float) -> Outcome:
    """Take all contacts off lists."""
    there = [list_id for list_id in lists if list_id in contacts.lists]
    return Outcome(sum(contacts.clear(list_id, now) for list_id in there))


@attrs.frozen
class Export:
    """The contacts of one list, to be written as CSV.

    Attributes:
        members: The contacts, in their order.
        headings: The columns as they were asked for.
        dated: Whether a column tells when each contact was added.
        by: Whether a column tells who added it.
    """

    members: list[Contact]
    headings: list[str]
    dated: bool
    by: bool

    def chunks(self) -> Iterator[bytes]:
        """The CSV (RFC 4180) in pieces of some hundred rows."""
        extra = ["Date Added"] * self.dated + ["Added By"] * self.by
        columns = [column_name(heading) for heading in self.headings]
        yield _csv([[*self.headings, *extra]])
        for start in range(0, len(self.members), _BATCH):
            batch = self.members[start : start + _BATCH]
            yield _csv([self._row(contact, columns) for contact in batch])

    def _row(self, contact: Contact, columns: list[str]) -> list[str]:
        row = [read_column(contact, column) for column in columns]
        if self.dated:
            row.append(utc_stamp(contact.created))
        if self.by:
            row.append(contact.source)
        return row


def _csv(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def export_contacts(contacts: Contacts, asked: Mapping[str, Any]) -> Export:
    """The contacts of a list as they are now."""
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
    return Export(
        members, asked["column_names"], asked["export_date_added"], asked["export_added_by"]
    )
