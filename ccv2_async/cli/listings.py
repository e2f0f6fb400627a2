"""`ccv2 lists`, `ccv2 campaigns`, and `ccv2 account`, and the table of every listing."""

from __future__ import annotations

from contextlib import aclosing
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from rich.table import Table
from rich.text import Text

from ccv2_async import Listing
from ccv2_async.cli.exits import Exit, message_of
from ccv2_async.cli.service import Run, between, command
from ccv2_async.cli.tables import cell, counted, table
from ccv2_async.models import CampaignStatus, unstructure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from ccv2_async.cli.output import Output
    from ccv2_async.errors import UnreadableRow
    from ccv2_async.models import AccountInfo

    Found: TypeAlias = Listing[Any] | Awaitable[Sequence[Any]]

_PAGE = 50
_COLUMNS = {"id": "id", "name": "name", "state": "status"}


Limit = Annotated[int | None, between("--limit", 1, inf, "a number of 1 or more")]
"""The largest number of rows to show; None for all."""


class Unreadable:
    """Reports the rows of a listing that cannot be read, while the others are shown.

    Pass it as `on_bad_row`.

    Attributes:
        exit: The exit code of a command that shows the listing.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.exit: Exit = Exit.OK

    def __call__(self, error: UnreadableRow) -> None:
        """Report one row."""
        self._output.complain(message_of(error))
        self.exit = Exit.SOME_FAILED


async def show_rows(
    output: Output,
    found: Callable[[Unreadable], Found],
    noun: str,
    columns: Mapping[str, str],
    *,
    limit: int | None = None,
) -> Exit:
    """Show the rows of a listing, and return the exit code.

    Args:
        output: The streams.
        found: Returns the listing. It gets the function to call with rows that cannot be read.
        noun: The word for one row.
        columns: The columns of the table, each with the field that it shows.
        limit: The most rows to show; None for all.
    """
    bad = Unreadable(output)
    rows = table(*columns)
    count = 0
    async with aclosing(_each(found(bad))) as each:
        async for row in each:
            if output.as_json:
                output.record(unstructure(row))
            else:
                rows.add_row(*(cell(getattr(row, field), name) for name, field in columns.items()))
            count += 1
            if count == limit:
                break
    if count and not output.as_json:
        output.show(rows)
    output.say(f"{counted(count, noun)}.")
    return bad.exit


async def _each(found: Found) -> AsyncGenerator[Any, None]:
    if isinstance(found, Listing):
        async with aclosing(aiter(found)) as rows:
            async for row in rows:
                yield row
    else:
        for row in await found:
            yield row


@command()
async def lists(run: Run) -> Exit:
    """List the contact lists, with their IDs and sizes."""
    columns = _COLUMNS | {"contacts": "contact_count", "changed": "modified_date"}
    return await show_rows(
        run.output, lambda bad: run.client.lists.all(on_bad_row=bad), "list", columns
    )


@command()
async def campaigns(run: Run, *, status: CampaignStatus | None = None, limit: Limit = None) -> Exit:
    """List the email campaigns.

    Deleted campaigns are listed only with --status deleted.

    Args:
        run: The run of the command.
        status: Only campaigns with this status.
        limit: The largest number of campaigns to list; all by default.
    """
    page = min(limit or _PAGE, _PAGE)
    return await show_rows(
        run.output,
        lambda bad: run.client.campaigns.all(status=status, limit=page, on_bad_row=bad),
        "campaign",
        _COLUMNS | {"changed": "modified_date"},
        limit=limit,
    )


@command()
async def account(run: Run) -> Exit:
    """Show the account and its owner."""
    info = await run.client.account.info()
    if run.output.as_json:
        run.output.record(unstructure(info))
    else:
        run.output.show(_card(info))
    return Exit.OK


def _card(info: AccountInfo) -> Table:
    card = Table.grid(padding=(0, 2))
    lines = {
        "organization": info.organization_name,
        "owner": " ".join(name for name in (info.first_name, info.last_name) if name),
        "email": info.email,
        "phone": info.phone,
        "website": info.website,
        "time zone": info.time_zone,
        "country": ", ".join(code for code in (info.state_code, info.country_code) if code),
    }
    for address in info.organization_addresses:
        parts = (address.line1, address.line2, address.line3, address.postal_code, address.city)
        lines["address"] = ", ".join(part for part in parts if part)
    for name, value in lines.items():
        if value:
            card.add_row(Text(name, style="bold"), cell(value))
    return card
