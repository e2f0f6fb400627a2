"""`ccv2 tracking`: who opened, clicked, and so on, by campaign or by contact."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.cli.contacts import find
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import Limit, Moment, show_rows
from ccv2_async.cli.service import Run, command, group
from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cyclopts import App

    from ccv2_async.cli.listings import Columns

tracking: App = group(
    "tracking", "List who opened, clicked, and so on, by campaign or by contact.", lists=False
)

_PAGE = 500
_CAMPAIGN: Columns = {"email": "email_address", "contact": "contact_id"}
_CONTACT: Columns = {"campaign": "campaign_id"}
_ARGUMENTS = """

Only campaigns that were sent have rows.

Args:
    run: The run of the command.
    campaign: ID of a campaign; see 'ccv2 campaigns'.
    contact: The ID or the address of a contact, instead of a campaign.
    since: Only rows since this date.
    limit: The maximum number of rows to list; all by default.
"""


@attrs.frozen
class _Report:
    """One command.

    Attributes:
        help: What it does.
        noun: The word for one row.
        columns: The columns after those that name the contact or the campaign.
        more: Additional fields that CSV has.
    """

    help: str
    noun: str
    columns: Columns
    more: str = ""


def _date(row: Any) -> Any:
    """Return the time when something happened, from a row of any kind."""
    kinds = ("send", "open", "click", "forward", "bounce", "unsubscribe")
    return next((date for kind in kinds if (date := getattr(row, f"{kind}_date"))), None)


_REASON = {"reason": "unsubscribe_reason", "source": "unsubscribe_source"}
_REPORTS = {
    "activities": _Report(
        "List all activity: sends, opens, clicks, and so on.",
        "activity",
        {"type": "activity_type", "date": _date},
        "link_id link_uri bounce_code bounce_description unsubscribe_reason",
    ),
    "sends": _Report("List the messages that were sent.", "send", {"sent": "send_date"}),
    "opens": _Report("List the messages that were opened.", "open", {"opened": "open_date"}),
    "clicks": _Report(
        "List the clicks on links.",
        "click",
        {"clicked": "click_date", "link": lambda row: row.link_uri or row.link_id},
        "link_id link_uri",
    ),
    "forwards": _Report(
        "List the messages that were forwarded.", "forward", {"forwarded": "forward_date"}
    ),
    "bounces": _Report(
        "List the messages that bounced, and why.",
        "bounce",
        {"bounced": "bounce_date", "code": "bounce_code", "reason": "bounce_description"},
        "bounce_message",
    ),
    "unsubscribes": _Report(
        "List who unsubscribed, and why.", "unsubscribe", {"left": "unsubscribe_date", **_REASON}
    ),
}


def _made(name: str, report: _Report) -> Callable[..., Exit]:
    """Return the command of a report."""

    async def body(
        run: Run,
        campaign: str | None = None,
        /,
        *,
        contact: str | None = None,
        since: Moment = None,
        limit: Limit = None,
    ) -> Exit:
        if (campaign is None) == (contact is None):
            raise UsageError("Pass either a campaign ID or --contact.")
        subject, id_ = "campaign", campaign
        if contact is not None:
            subject, id_ = "contact", (await find(run.client, contact)).id
        listing = getattr(run.client.tracking, f"{subject}_{name}")
        first, others = (_CAMPAIGN, _CONTACT) if contact is None else (_CONTACT, _CAMPAIGN)
        return await show_rows(
            run.output,
            partial(listing, id_, created_since=since),
            report.noun,
            {**first, **report.columns},
            more=" ".join((*map(str, others.values()), report.more)),
            limit=limit,
            page=_PAGE,
        )

    body.__doc__ = report.help + _ARGUMENTS
    return command(lists=True, names={"id": "ID", "email": "--contact"})(body)


for _name, _report in _REPORTS.items():
    tracking.command(
        _made(_name, _report),
        name=_name,
        usage=f"Usage: ccv2 tracking {_name} [OPTIONS] [CAMPAIGN]",
    )
