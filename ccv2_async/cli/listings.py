"""Show what a command lists or finds: as a table, as JSON, or as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from ccv2_async.cli.exits import Exit, message_of
from ccv2_async.cli.service import Run, between, command
from ccv2_async.cli.tables import cell, counted, table
from ccv2_async.errors import InvalidField
from ccv2_async.models import unstructure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from ccv2_async.cli.output import Output
    from ccv2_async.errors import ConstantContactError
    from ccv2_async.models import Contact, ContactList, LibraryFolder

    Found: TypeAlias = AsyncIterable[Any] | Awaitable[Sequence[Any]]
    Find: TypeAlias = Callable[..., Found]
    Columns: TypeAlias = Mapping[str, str | Callable[[Any], Any]]

Limit = Annotated[int | None, between("--limit", 1, inf, "it must be 1 or more")]
"""The maximum number of rows to show; None for all."""


def moment_of(_: object, tokens: Sequence[Any]) -> datetime:
    """Return the moment that was typed; without a time zone, it is in local time.

    Raises:
        InvalidField: It is not a date.
    """
    (token,) = tokens
    try:
        return datetime.fromisoformat(token.value).astimezone()
    except (ValueError, OverflowError, OSError):
        rule = "use a date or time such as 2026-12-01, 2026-12-01T09:30, or 2026-12-01T09:30Z"
        raise InvalidField(token.keyword, token.value, rule) from None


Moment = Annotated[datetime | None, Parameter(converter=moment_of, n_tokens=1)]
"""A date or a time."""


class Unreadable:
    """Reports the rows of a listing that cannot be read, while the others are shown.

    Pass it as `on_bad_row`, or call it with the error of a single record.

    Attributes:
        exit: The exit code of a command that shows the listing.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.exit: Exit = Exit.OK

    def __call__(self, error: ConstantContactError) -> None:
        """Report one row."""
        self._output.complain(message_of(error))
        self.exit = Exit.SOME_FAILED


async def show_rows(
    output: Output,
    find: Find,
    noun: str,
    columns: Columns,
    *,
    more: str = "",
    limit: int | None = None,
    page: int = 0,
) -> Exit:
    """Show the rows of a listing, and return the exit code. JSON and CSV are written as they come.

    Args:
        output: The streams.
        find: Returns the listing. It gets `on_bad_row`, and the size of a page as `limit`.
        noun: The word for one row.
        columns: The columns of the table, each with the field that it shows, or a function that
            returns its value.
        more: Additional fields that CSV has, separated by spaces.
        limit: The maximum number of rows to show; None for all.
        page: The maximum number of rows per page; 0 for a listing without pages.
    """
    sizes = {"limit": min(limit or page, page)} if page else {}
    bad = Unreadable(output)
    rows = table(*columns)
    count = 0
    if output.as_csv:
        output.values(_header(columns, more))
    async with aclosing(_each(find(on_bad_row=bad, **sizes))) as each:
        async for row in each:
            if output.as_json or output.as_csv:
                _write(output, row, columns, more)
            else:
                rows.add_row(*(_value(row, of) for of in columns.values()))
            count += 1
            if count == limit:
                break
    if rows.row_count:
        output.show(rows)
    output.say(f"{counted(count, noun)}.")
    return bad.exit


def show_one(output: Output, row: Any, columns: Columns, *, more: str = "") -> Exit:
    """Show one record, a line for each field that has a value; return the exit code.

    Args:
        output: The streams.
        row: The record.
        columns: The fields; see `show_rows`.
        more: Additional fields that CSV has, separated by spaces.
    """
    if output.as_csv:
        output.values(_header(columns, more))
    if output.as_csv or output.as_json:
        _write(output, row, columns, more)
        return Exit.OK
    cells = {name: cell(_value(row, of), name) for name, of in columns.items()}
    cells = {name: shown for name, shown in cells.items() if shown} or {"values": cell("none")}
    card = table(*cells)
    card.add_row(*cells.values())
    output.show(card, as_records=True)
    return Exit.OK


def print_id(output: Output, stored: ContactList | Contact | LibraryFolder) -> Exit:
    """Print the ID of a stored record, or the whole record as JSON; return the exit code."""
    if output.as_json:
        output.record(unstructure(stored))
    else:
        output.line(stored.id)
    return Exit.OK


async def delete_one(
    output: Output,
    noun: str,
    found: ContactList | LibraryFolder,
    count: int | None,
    of: str,
    *,
    delete: Callable[[str], Awaitable[object]],
    yes: bool,
) -> Exit:
    """Delete something after a confirmation, and return the exit code.

    Args:
        output: The streams.
        noun: The word for it.
        found: What to delete.
        count: How many things it holds.
        of: The noun for one of them.
        delete: Deletes the thing with an ID.
        yes: Whether the command line has confirmed it already.
    """
    what = f"the {noun} {found.name} ({found.id})"
    holds = f" with {counted(count, of)}" if count else ""
    if not await output.confirm(f"Delete {what}{holds}?", yes=yes):
        return Exit.SOME_FAILED
    await delete(found.id)
    return output.report({"id": found.id, "name": found.name, "deleted": True}, f"Deleted {what}.")


def _write(output: Output, row: Any, columns: Columns, more: str) -> None:
    if output.as_json:
        output.record(unstructure(row))
    else:
        output.values(_plain(_value(row, of)) for of in (*columns.values(), *more.split()))


def _header(columns: Columns, more: str) -> list[str]:
    """Return the CSV header: the service's name for each field, or ours if it has none."""
    fields = (of if isinstance(of, str) else name for name, of in columns.items())
    return [*fields, *more.split()]


def _value(row: Any, of: str | Callable[[Any], Any]) -> Any:
    return getattr(row, of) if isinstance(of, str) else of(row)


def _plain(value: Any) -> str:
    """Return a value as CSV holds it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(unstructure(value))


async def _each(found: Found) -> AsyncGenerator[Any, None]:
    if isinstance(found, AsyncIterable):
        async with aclosing(aiter(found)) as rows:  # type: ignore[type-var]  # a generator
            async for row in rows:
                yield row
    else:
        for row in await found:
            yield row


def joined(*fields: str, by: str = " ") -> Callable[[Any], str]:
    """Return a function that joins the fields of a record that have a value."""
    return lambda row: by.join(value for field in fields if (value := getattr(row, field)))


@command()
async def account(run: Run) -> Exit:
    """Show the account and its owner."""
    street = joined("line1", "line2", "line3", "postal_code", "city", by=", ")
    columns: Columns = {
        "organization": "organization_name",
        "owner": joined("first_name", "last_name"),
        "email": "email",
        "phone": "phone",
        "website": "website",
        "time zone": "time_zone",
        "country": joined("state_code", "country_code", by=", "),
        "address": lambda info: "; ".join(map(street, info.organization_addresses)),
    }
    return show_one(run.output, await run.client.account.info(), columns)
