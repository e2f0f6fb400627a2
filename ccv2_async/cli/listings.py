"""`ccv2 lists`, `ccv2 campaigns`, and `ccv2 account`; and how every listing is shown."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ccv2_async import Listing
from ccv2_async.cli.exits import Exit, message_of
from ccv2_async.cli.service import Service
from ccv2_async.cli.tables import cell, counted, table
from ccv2_async.errors import InvalidField
from ccv2_async.models import (
    CampaignStatus,
    unstructure,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccv2_async import ConstantContact
    from ccv2_async.cli.output import Output
    from ccv2_async.errors import UnreadableRow
    from ccv2_async.models import AccountInfo

__all__ = ["Unreadable", "account", "campaigns", "check_limit", "lists", "show_rows"]

_PAGE = 50
_COLUMNS = {"id": "id", "name": "name", "state": "status"}


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
    found: Listing[Any] | Sequence[Any],
    output: Output,
    bad: Unreadable,
    noun: tuple[str, str],
    columns: Mapping[str, str],
    *,
    limit: int | None = None,
) -> Exit:
    """Show the rows of a listing, and return the exit code.

    Args:
        found: The listing, or its rows.
        output: Where it is shown.
        bad: What the listing calls with rows that cannot be read.
        noun: What one row is called, and what several are called.
        columns: The columns of the table, each with the field that it shows.
        limit: The most rows to show; None for all.
    """
    rows = table(*columns)
    count = 0

    def add(row: Any) -> None:
        if output.as_json:
            output.record(unstructure(row))
        else:
            rows.add_row(*(cell(getattr(row, field), name) for name, field in columns.items()))

    if isinstance(found, Listing):
        async with aclosing(aiter(found)) as each:
            async for row in each:
                add(row)
                count += 1
                if count == limit:
                    break
    else:
        for row in found:
            add(row)
            count += 1
    if count and not output.as_json:
        output.show(rows)
    output.say(f"{counted(count, *noun)}.")
    return bad.exit


def check_limit(limit: int | None, noun: str) -> None:
    """Check the value of --limit.

    Raises:
        InvalidField: It is not a positive number.
    """
    if limit is not None and limit < 1:
        raise InvalidField("--limit", limit, f"a number of {noun}, 1 or more")


def lists(
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the contact lists, with their IDs and sizes.

    Args:
        service: Options of every command that talks to the service.
    """

    async def listed(client: ConstantContact, output: Output) -> Exit:
        bad = Unreadable(output)
        return await show_rows(
            await client.lists.all(on_bad_row=bad),
            output,
            bad,
            ("list", "lists"),
            _COLUMNS | {"contacts": "contact_count", "changed": "modified_date"},
        )

    return service.run(listed)


def campaigns(
    *,
    status: CampaignStatus | None = None,
    limit: int | None = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the email campaigns.

    Deleted campaigns are listed only with --status deleted.

    Args:
        status: Only campaigns with this status.
        limit: The largest number of campaigns to list; all by default.
        service: Options of every command that talks to the service.
    """
    check_limit(limit, "campaigns")

    async def listed(client: ConstantContact, output: Output) -> Exit:
        bad, page = Unreadable(output), min(limit or _PAGE, _PAGE)
        return await show_rows(
            client.campaigns.all(status=status, limit=page, on_bad_row=bad),
            output,
            bad,
            ("campaign", "campaigns"),
            _COLUMNS | {"changed": "modified_date"},
            limit=limit,
        )

    return service.run(listed)


def account(
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Show who the account belongs to.

    Args:
        service: Options of every command that talks to the service.
    """

    async def show(client: ConstantContact, output: Output) -> Exit:
        info = await client.account.info()
        if output.as_json:
            output.record(unstructure(info))
        else:
            output.show(_card(info))
        return Exit.OK

    return service.run(show)


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
