"""`ccv2 campaigns`: the email campaigns of the account, their reports, and their schedules."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

from ccv2_async import errors
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.listings import Limit, Moment, show_one, show_rows
from ccv2_async.cli.service import Flag, Run, command, group
from ccv2_async.cli.tables import counted, moment
from ccv2_async.models import CampaignStatus, ClickThroughDetail, TestSendFormat, unstructure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cyclopts import App

    from ccv2_async.cli.listings import Columns
    from ccv2_async.models import Campaign

campaigns: App = group(
    "campaigns", "List, show, test, and schedule email campaigns, and report on them."
)

_PAGE = 50
_NAMES = {"id": "CAMPAIGN", "email_addresses": "ADDRESSES", "scheduled_date": "--at"}
_CARD: Columns = {
    "id": "id",
    "name": "name",
    "subject": "subject",
    "state": "status",
    "from": lambda campaign: f"{campaign.from_name} <{campaign.from_email}>",
    "reply to": "reply_to_email",
    "lists": lambda campaign: " ".join(each.id for each in campaign.sent_to_contact_lists),
    "created": "created_date",
    "changed": "modified_date",
    "sent": "last_sent_date",
    "next": "next_run_date",
    "page": "permalink_url",
}


def _count(name: str) -> Callable[[Campaign], int | None]:
    return lambda campaign: getattr(campaign.tracking_summary, name, None)


_REPORT: Columns = {
    "id": "id",
    "name": "name",
    "sent": lambda campaign: campaign.last_sent_date or campaign.last_run_date,
    **{name: _count(name) for name in ("sends", "opens", "clicks", "forwards", "bounces")},
    "unsubscribes": _count("unsubscribes"),
    "spam": _count("spam_count"),
}
_LINKS = {"link": "url_uid", "clicks": "click_count", "url": "url"}
_CONTENT = ("email_content", "text_content", "style_sheet", "message_footer")


@campaigns.default
@campaigns.command(name="list")
@command(lists=True)
async def list_campaigns(
    run: Run, *, status: CampaignStatus | None = None, since: Moment = None, limit: Limit = None
) -> Exit:
    """List the email campaigns.

    Deleted campaigns are listed only with --status deleted.

    Args:
        run: The run of the command.
        status: Only campaigns with this status.
        since: Only campaigns that have changed since this date.
        limit: The maximum number of campaigns to list; all by default.
    """
    return await show_rows(
        run.output,
        partial(run.client.campaigns.all, status=status, modified_since=since),
        "campaign",
        {"id": "id", "name": "name", "state": "status", "changed": "modified_date"},
        limit=limit,
        page=_PAGE,
    )


@campaigns.command
@command(lists=True, names=_NAMES)
async def show(run: Run, campaign: str, /) -> Exit:
    """Show a campaign. With --json, its content too.

    Args:
        run: The run of the command.
        campaign: Its ID; see 'ccv2 campaigns'.
    """
    return show_one(run.output, await run.client.campaigns.get(campaign), _CARD)


@campaigns.command
@command(lists=True, names={"id": "IDS"})
async def report(run: Run, ids: list[str], /) -> Exit:
    """Show how often campaigns were sent, opened, clicked, and so on.

    For a single campaign, the clicks on each link are shown too. 'ccv2 tracking' lists who did
    what.

    Args:
        run: The run of the command.
        ids: IDs of the campaigns; see 'ccv2 campaigns'.
    """
    output, links = run.output, list[ClickThroughDetail]()

    async def reports(**_: object) -> AsyncIterator[Campaign]:
        for id_ in ids:
            campaign = await run.client.campaigns.get(id_, update_summary=True)
            links.extend(campaign.click_through_details)
            yield attrs.evolve(campaign, **dict.fromkeys(_CONTENT))  # type: ignore[arg-type]

    async def clicks(**_: object) -> list[ClickThroughDetail]:
        return links

    code = await show_rows(output, reports, "campaign", _REPORT)
    if links and len(ids) == 1 and not (output.as_json or output.as_csv):
        await show_rows(output, clicks, "link", _LINKS)
    return code


@campaigns.command(name="send-test")
@command(carry_on=True, names=_NAMES)
async def send_test(
    run: Run,
    campaign: str,
    addresses: list[str],
    /,
    *,
    format: TestSendFormat = TestSendFormat.HTML_AND_TEXT,  # noqa: A002  # the service's own word
    message: str | None = None,
) -> Exit:
    """Send a campaign to a few addresses as a test.

    Args:
        run: The run of the command.
        campaign: Its ID; see 'ccv2 campaigns'.
        addresses: One to five email addresses.
        format: The format in which it is sent.
        message: A message to the recipients.
    """
    sent = await run.client.campaigns.send_test(
        campaign, addresses, format=format, personal_message=message
    )
    to = ", ".join(sent.email_addresses)
    return run.output.report(unstructure(sent), f"Sent a test of campaign {campaign} to {to}.")


@campaigns.command
@command(carry_on=True, names=_NAMES)
async def schedule(
    run: Run, campaign: str, /, *, at: Moment = None, now: Flag = False, yes: Flag = False
) -> Exit:
    """Schedule a campaign, or change when it is sent.

    A campaign that was sent before goes only to contacts that were added to its lists since then.

    Args:
        run: The run of the command.
        campaign: Its ID; see 'ccv2 campaigns'.
        at: When to send it, at least 20 minutes ahead. Local time, unless it has a time zone.
        now: Send it now.
        yes: Do not ask for confirmation.
    """
    if (at is None) != now:
        raise errors.UsageError("Choose when to send it: pass either --at TIME or --now.")
    client, output = run.client.campaigns, run.output
    found = await client.get(campaign)
    name = f"{found.name} ({found.id})"
    lists = counted(len(found.sent_to_contact_lists), "list")
    if now and not await output.confirm(f"Send {name} to {lists} now?", yes=yes):
        return Exit.SOME_FAILED
    if at is not None and found.status == CampaignStatus.SCHEDULED:
        known = (await client.schedules(campaign))[0]
        made = await client.update_schedule(campaign, known.id, at)
    else:
        made = await client.create_schedule(campaign, at)
    sentence = f"{name} will be sent to {lists} at {moment(made.scheduled_date or at)}."
    if now:
        sentence = f"{name} is being sent to {lists}."
    return output.report(unstructure(made), sentence)


@campaigns.command
@command(carry_on=True, names=_NAMES)
async def unschedule(run: Run, campaign: str, /) -> Exit:
    """Cancel the schedule of a campaign, so that it is not sent.

    Args:
        run: The run of the command.
        campaign: Its ID; see 'ccv2 campaigns'.
    """
    for known in await run.client.campaigns.schedules(campaign):
        await run.client.campaigns.delete_schedule(campaign, known.id)
    fields = {"id": campaign, "scheduled": False}
    return run.output.report(fields, f"Campaign {campaign} is no longer scheduled.")
