"""The operations of tracking, for a campaign and for a contact."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.clock import read_stamp, utc_stamp
from ccv2_async.sandbox.fields import define
from ccv2_async.sandbox.operations import Operations, page
from ccv2_async.sandbox.responses import missing
from ccv2_async.sandbox.state.campaigns import BOUNCE, BOUNCE_CODES, CLICK, UNSUBSCRIBE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.campaigns import TrackingEntry

OPERATIONS = Operations()
define(
    """
    BounceActivity: activity_type email_address campaign_id-:int|id contact_id:id bounce_date:date
        bounce_code bounce_description bounce_message
    ClickActivity: activity_type email_address campaign_id-:int|id contact_id:id click_date:date
        link_id:id link_uri
    ForwardActivity: activity_type email_address campaign_id-:int|id contact_id:id forward_date:date
    OpenActivity: activity_type email_address campaign_id-:int|id contact_id:id open_date:date
    SendActivity: activity_type email_address campaign_id-:int|id contact_id:id send_date:date
    UnsubscribeActivity: activity_type email_address campaign_id-:int|id contact_id:id
        unsubscribe_date:date unsubscribe_source unsubscribe_reason
    TrackingActivity: activity_type email_address campaign_id-:int|id contact_id:id send_date:date
        open_date:date forward_date:date click_date:date link_id:id link_uri bounce_date:date
        bounce_code bounce_description bounce_message unsubscribe_date:date unsubscribe_source
        unsubscribe_reason opens:int clicks:int bounces:int forwards:int
    TrackingSummary: sends:int opens:int clicks:int forwards:int unsubscribes:int bounces:int
        spam_count:int
    ContactTrackingSummary: sends:int opens:int clicks:int forwards:int unsubscribes:int bounces:int
        contact_id:id
    ContactCampaignSummary: campaign_id-:int|id contact_id:id opens:int clicks:int forwards:int
        bounces:int
    """
)
_COUNTS = ("sends", "opens", "clicks", "forwards", "unsubscribes", "bounces")
_COUNTS_BY_CAMPAIGN = ("opens", "clicks", "forwards", "bounces")
# The kind of the rows of each report, by the last part of its path.
_WORDS = ("bounce", "click", "forward", "open", "send", "unsubscribe")
_REPORTS = {f"{word}s": f"EMAIL_{word.upper()}" for word in _WORDS}

_CAMPAIGN = "/emailmarketing/campaigns/{campaignId}/tracking"
_CONTACT = "/contacts/{contactId}/tracking"


def _word(kind: str) -> str:
    """Return the word in the names of a kind's date and model."""
    return kind.removeprefix("EMAIL_").lower()


def _counts(entries: Iterable[TrackingEntry], names: Iterable[str] = _COUNTS) -> dict[str, int]:
    found = Counter(entry.kind for entry in entries)
    return {name: found[_REPORTS[name]] for name in names}


def tracking_summary(call: Call, campaign_id: str) -> dict[str, int]:
    """Return the counters of a campaign."""
    entries = call.world.campaigns.tracking.by_campaign.get(campaign_id, [])
    return {**_counts(entries), "spam_count": 0}


def _of_campaign(call: Call) -> list[TrackingEntry]:
    campaign = call.world.campaigns.campaign(call.ids["campaignId"])
    return call.world.campaigns.tracking.by_campaign.get(campaign.id, [])


def _of_contact(call: Call) -> list[TrackingEntry]:
    contact = call.world.contacts.contact(call.ids["contactId"])
    return call.world.campaigns.tracking.by_contact.get(contact.id, [])


def _show(entry: TrackingEntry, *, of_campaign: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "activity_type": entry.kind,
        # A number in the reports of a campaign, a string in those of a contact, like the service.
        "campaign_id": int(entry.campaign_id) if of_campaign else entry.campaign_id,
        "contact_id": entry.contact_id,
        "email_address": entry.email,
        f"{_word(entry.kind)}_date": utc_stamp(entry.at),
    }
    if entry.link is not None:
        row["link_id"] = entry.link.uid
        if not of_campaign:
            row["link_uri"] = entry.link.url
    if entry.kind == BOUNCE:
        row["bounce_code"] = entry.bounce_code
        row["bounce_description"] = BOUNCE_CODES[entry.bounce_code]
        row["bounce_message"] = ""
    if entry.kind == UNSUBSCRIBE:
        row["unsubscribe_source"] = "ACTION_BY_CUSTOMER"
        row["unsubscribe_reason"] = ""
    return row


def _check_link(call: Call) -> str:
    link_id, campaigns = call.ids["linkId"], call.world.campaigns
    if "campaignId" in call.ids:
        known = campaigns.campaign(call.ids["campaignId"]).links
    else:
        known = [link for row in campaigns.campaigns.values() for link in row.links]
    if all(link.uid != link_id for link in known):
        raise missing(f"Link {link_id}")
    return link_id


def _report(
    whose: Callable[[Call], list[TrackingEntry]], kind: str | None
) -> Callable[[Call], Any]:
    def handler(call: Call) -> dict[str, Any]:
        """List the rows of a report, newest first."""
        entries = whose(call)
        if "linkId" in call.ids:
            link_id = _check_link(call)
            entries = [
                entry for entry in entries if entry.link is not None and entry.link.uid == link_id
            ]
        since = call.query["created_since"]
        after = float("-inf") if since is None else read_stamp(since)
        chosen = [entry for entry in entries if kind in (None, entry.kind) and entry.at >= after]
        chosen.sort(key=lambda entry: entry.at)
        of_campaign = "campaignId" in call.ids
        return page(call, chosen[::-1], lambda entry: _show(entry, of_campaign=of_campaign))

    return handler


@OPERATIONS.add(
    "GET", f"{_CAMPAIGN}/reports/summary", "TrackingSummary", query="updateSummary:bool=false"
)
def campaign_tracking_summary(call: Call) -> dict[str, int]:
    """Return the counters of a campaign."""
    return tracking_summary(call, call.world.campaigns.campaign(call.ids["campaignId"]).id)


@OPERATIONS.add(
    "GET", f"{_CONTACT}/reports/summary", "ContactTrackingSummary", query="updateSummary:bool=false"
)
def contact_tracking_summary(call: Call) -> dict[str, Any]:
    """Return the counters of a contact."""
    return {**_counts(_of_contact(call)), "contact_id": call.ids["contactId"]}


@OPERATIONS.add("GET", f"{_CONTACT}/reports/summaryByCampaign", "ContactCampaignSummary[]")
def contact_tracking_summary_by_campaign(call: Call) -> list[dict[str, Any]]:
    """Return the counters of a contact for each campaign, as a bare array."""
    by_campaign: dict[str, list[TrackingEntry]] = {}
    for entry in _of_contact(call):
        by_campaign.setdefault(entry.campaign_id, []).append(entry)
    return [
        {
            "campaign_id": campaign_id,
            "contact_id": call.ids["contactId"],
            **_counts(entries, _COUNTS_BY_CAMPAIGN),
        }
        for campaign_id, entries in by_campaign.items()
    ]


def _add_reports(prefix: str, path: str, whose: Callable[[Call], list[TrackingEntry]]) -> None:
    """Register the reports of a campaign or a contact: all rows, one kind, one link's clicks."""
    reports: dict[str, tuple[str, str | None]] = {
        "": ("all", None),
        **{f"/{name}": (name, kind) for name, kind in _REPORTS.items()},
        "/clicks/{linkId}": ("clicks_by_link", CLICK),
    }
    query = "created_since:date limit:int>=1<=500=500"
    for ending, (sort, kind) in reports.items():
        handler = _report(whose, kind)
        answer = f"{_word(kind or 'tracking').title()}Activity page"
        name = f"{prefix}_tracking_{sort}"
        OPERATIONS.add("GET", path + ending, answer, name=name, query=query)(handler)


_add_reports("campaign", _CAMPAIGN, _of_campaign)
_add_reports("contact", _CONTACT, _of_contact)
