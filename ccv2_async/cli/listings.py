"""`ccv2 lists`, `ccv2 campaigns` and `ccv2 account`: what is in the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.jobs import counted
from ccv2_async.cli.output import Output, clean
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service, open_client
from ccv2_async.cli.tables import moment, table
from ccv2_async.errors import InvalidField
from ccv2_async.models import (
    CampaignStatus,  # noqa: TC001  # cyclopts reads it at run time
    unstructure,
)

if TYPE_CHECKING:
    from ccv2_async.models import AccountInfo

__all__ = ["account", "campaigns", "lists"]

_PAGE = 50


def lists(
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the contact lists, with their ids and sizes.

    Args:
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)

    async def listed() -> Exit:
        async with open_client(service) as client:
            found = await client.lists.all()
        rows = table("id", "name", "state", "contacts", "changed")
        for row in found:
            if output.as_json:
                output.record(unstructure(row))
            rows.add_row(
                clean(row.id),
                Text(clean(row.name or "")),
                clean(str(row.status or "")),
                "" if row.contact_count is None else f"{row.contact_count:,}",
                moment(row.modified_date),
            )
        if found and not output.as_json:
            output.show(rows)
        output.say(f"{counted(len(found), 'list')}.")
        return Exit.OK

    return run(listed, output)


def campaigns(
    *,
    status: CampaignStatus | None = None,
    limit: int | None = None,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """List the e-mail campaigns.

    Deleted ones are listed only when they are asked for.

    Args:
        status: Only those that stand so.
        limit: The most campaigns that are listed; all unless given.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    if limit is not None and limit < 1:
        raise InvalidField("--limit", limit, "a number of campaigns, 1 or more")

    async def listed() -> Exit:
        async with open_client(service) as client:
            listing = client.campaigns.all(status=status, limit=min(limit or _PAGE, _PAGE))
            found = await listing.collect(limit=limit)
        rows = table("id", "name", "state", "changed")
        for row in found:
            if output.as_json:
                output.record(unstructure(row))
            rows.add_row(
                clean(row.id),
                Text(clean(row.name or "")),
                clean(str(row.status or "")),
                moment(row.modified_date),
            )
        if found and not output.as_json:
            output.show(rows)
        output.say(f"{counted(len(found), 'campaign')}.")
        return Exit.OK

    return run(listed, output)


def account(
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Show who the account belongs to.

    Args:
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)

    async def told() -> Exit:
        async with open_client(service) as client:
            info = await client.account.info()
        if output.as_json:
            output.record(unstructure(info))
        else:
            output.show(_card(info))
        return Exit.OK

    return run(told, output)


def _card(info: AccountInfo) -> Table:
    card = Table.grid(padding=(0, 2))
    lines = {
        "organisation": info.organization_name,
        "owner": " ".join(name for name in (info.first_name, info.last_name) if name),
        "e-mail": info.email,
        "telephone": info.phone,
        "website": info.website,
        "time zone": info.time_zone,
        "country": ", ".join(code for code in (info.state_code, info.country_code) if code),
    }
    for address in info.organization_addresses:
        parts = (address.line1, address.line2, address.line3, address.postal_code, address.city)
        lines["address"] = ", ".join(part for part in parts if part)
    for name, value in lines.items():
        if value:
            card.add_row(Text(name, style="bold"), Text(clean(value)))
    return card
