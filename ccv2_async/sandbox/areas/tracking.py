"""The nineteen operations of tracking: nine of a campaign, ten of a contact."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.rows import READ_ONE, SINCE, UPDATE_SUMMARY, limit
from ccv2_async.sandbox.clock import read_stamp, utc_stamp
from ccv2_async.sandbox.operations import Answer, Operation, Shape
from ccv2_async.sandbox.paging import page
from ccv2_async.sandbox.problems import missing
from ccv2_async.sandbox.schemas import campaigns as campaign_schemas
from ccv2_async.sandbox.schemas import tracking as schemas
from ccv2_async.sandbox.state.tracking import (
    BOUNCE,
    BOUNCE_CODES,
    CLICK,
    FORWARD,
    OPEN,
    SEND,
    UNSUBSCRIBE,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccv2_async.sandbox.fields import Model
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.tracking import Deed

_DATES = {
    SEND: "send_date",
    OPEN: "open_date",
    CLICK: "click_date",
    FORWARD: "forward_date",
    BOUNCE: "bounce_date",
    UNSUBSCRIBE: "unsubscribe_date",
}
_COUNTS = {
    "sends": SEND,
    "opens": OPEN,
    "clicks": CLICK,
    "forwards": FORWARD,
    "unsubscribes": UNSUBSCRIBE,
    "bounces": BOUNCE,
}
_BY_CAMPAIGN = ("opens", "clicks", "forwards", "bounces")
# What is asked for, the kind of its rows, and their model.
_REPORTS: dict[str, tuple[str, Model]] = {
    "bounces": (BOUNCE, schemas.BOUNCE_ACTIVITY),
    "clicks": (CLICK, schemas.CLICK_ACTIVITY),
    "forwards": (FORWARD, schemas.FORWARD_ACTIVITY),
    "opens": (OPEN, schemas.OPEN_ACTIVITY),
    "sends": (SEND, schemas.SEND_ACTIVITY),
    "unsubscribes": (UNSUBSCRIBE, schemas.UNSUBSCRIBE_ACTIVITY),
}


def _counts(deeds: Iterable[Deed], names: Iterable[str] = tuple(_COUNTS)) -> dict[str, int]:
    found = Counter(deed.kind for deed in deeds)
    return {name: found[_COUNTS[name]] for name in names}


def tracking_summary(call: Call, campaign_id: str) -> dict[str, int]:
    """Return the counters of a campaign."""
    return {
        **_counts(call.world.campaigns.tracking.by_campaign.get(campaign_id, [])),
        "spam_count": 0,
    }


def _of_campaign(call: Call) -> list[Deed]:
    campaign = call.world.campaigns.campaign(call.ids["campaignId"])
    return call.world.campaigns.tracking.by_campaign.get(campaign.id, [])


def _of_contact(call: Call) -> list[Deed]:
    contact = call.world.contacts.contact(call.ids["contactId"])
    return call.world.campaigns.tracking.by_contact.get(contact.id, [])


def _show(deed: Deed, *, of_campaign: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "activity_type": deed.kind,
        # A number in the reports of a campaign, text in those of a contact, as the service does.
        "campaign_id": int(deed.campaign_id) if of_campaign else deed.campaign_id,
        "contact_id": deed.contact_id,
        "email_address": deed.email,
        _DATES[deed.kind]: utc_stamp(deed.at),
    }
    if deed.link is not None:
        row["link_id"] = deed.link.uid
        if not of_campaign:
            row["link_uri"] = deed.link.url
    if deed.kind == BOUNCE:
        row["bounce_code"] = deed.bounce_code
        row["bounce_description"] = BOUNCE_CODES[deed.bounce_code]
        row["bounce_message"] = ""
    if deed.kind == UNSUBSCRIBE:
        row["unsubscribe_source"] = "ACTION_BY_CUSTOMER"
        row["unsubscribe_reason"] = ""
    return row


def _page(call: Call, deeds: Iterable[Deed]) -> Answer:
    since = call.query["created_since"]
    after = float("-inf") if since is None else read_stamp(since)
    chosen = sorted((deed for deed in deeds if deed.at >= after), key=lambda deed: deed.at)
    of_campaign = "campaignId" in call.ids
    return page(call, chosen[::-1], lambda deed: _show(deed, of_campaign=of_campaign))


def _check_link(call: Call) -> str:
    link_id = call.ids["linkId"]
    campaigns = call.world.campaigns
    if "campaignId" in call.ids:
        known = campaigns.campaign(call.ids["campaignId"]).links
    else:
        known = [link for row in campaigns.campaigns.values() for link in row.links]
    if all(link.uid != link_id for link in known):
        raise missing(f"Link {link_id}")
    return link_id


def _report(whose: Callable[[Call], list[Deed]], kind: str | None) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        """List the rows of a report, newest first."""
        deeds = whose(call)
        if "linkId" in call.ids:
            link_id = _check_link(call)
            deeds = [deed for deed in deeds if deed.link is not None and deed.link.uid == link_id]
        return _page(call, (deed for deed in deeds if kind in (None, deed.kind)))

    return handler


def campaign_summary(call: Call) -> Answer:
    """Return the counters of a campaign."""
    campaign = call.world.campaigns.campaign(call.ids["campaignId"])
    return Answer(200, tracking_summary(call, campaign.id))


def contact_summary(call: Call) -> Answer:
    """Return the counters of a contact."""
    return Answer(200, {**_counts(_of_contact(call)), "contact_id": call.ids["contactId"]})


def contact_summary_by_campaign(call: Call) -> Answer:
    """Return the counters of a contact for each campaign, as a bare array."""
    deeds = _of_contact(call)
    campaigns = dict.fromkeys(deed.campaign_id for deed in deeds)
    rows = [
        {
            "campaign_id": campaign_id,
            "contact_id": call.ids["contactId"],
            **_counts((row for row in deeds if row.campaign_id == campaign_id), _BY_CAMPAIGN),
        }
        for campaign_id in campaigns
    ]
    return Answer(200, rows)


_CAMPAIGN = "/emailmarketing/campaigns/{campaignId}/tracking"
_CONTACT = "/contacts/{contactId}/tracking"
_QUERY = {"created_since": SINCE, "limit": limit(500, 500)}


def _reports(prefix: str, path: str, whose: Callable[[Call], list[Deed]]) -> list[Operation]:
    rows = [
        Operation(
            f"{prefix}_tracking_all",
            "GET",
            path,
            _report(whose, None),
            READ_ONE,
            Shape("page", schemas.TRACKING_ACTIVITY),
            query=_QUERY,
        )
    ]
    rows += [
        Operation(
            f"{prefix}_tracking_{name}",
            "GET",
            f"{path}/{name}",
            _report(whose, kind),
            READ_ONE,
            Shape("page", model),
            query=_QUERY,
        )
        for name, (kind, model) in _REPORTS.items()
    ]
    rows.append(
        Operation(
            f"{prefix}_tracking_clicks_by_link",
            "GET",
            f"{path}/clicks/{{linkId}}",
            _report(whose, CLICK),
            READ_ONE,
            Shape("page", schemas.CLICK_ACTIVITY),
            query=_QUERY,
        )
    )
    return rows


OPERATIONS = (
    Operation(
        "campaign_tracking_summary",
        "GET",
        f"{_CAMPAIGN}/reports/summary",
        campaign_summary,
        READ_ONE,
        Shape("one", campaign_schemas.TRACKING_SUMMARY),
        query={"updateSummary": UPDATE_SUMMARY},
    ),
    *_reports("campaign", _CAMPAIGN, _of_campaign),
    Operation(
        "contact_tracking_summary",
        "GET",
        f"{_CONTACT}/reports/summary",
        contact_summary,
        READ_ONE,
        Shape("one", schemas.CONTACT_TRACKING_SUMMARY),
        query={"updateSummary": UPDATE_SUMMARY},
    ),
    Operation(
        "contact_tracking_summary_by_campaign",
        "GET",
        f"{_CONTACT}/reports/summaryByCampaign",
        contact_summary_by_campaign,
        READ_ONE,
        Shape("array", schemas.CONTACT_CAMPAIGN_SUMMARY),
    ),
    *_reports("contact", _CONTACT, _of_contact),
)
