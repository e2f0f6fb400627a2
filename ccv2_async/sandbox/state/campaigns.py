"""Email campaigns and their schedules: DRAFT, SCHEDULED, RUNNING, SENT; DELETED.

Also the reactions of contacts to a sent campaign, drawn from the seed.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.responses import Refusal, absent_field, bad_field, lookup, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccv2_async.sandbox.settings import Settings
    from ccv2_async.sandbox.state.contacts import Account, Contact, Contacts

SEND, OPEN, CLICK = "EMAIL_SEND", "EMAIL_OPEN", "EMAIL_CLICK"
FORWARD, BOUNCE, UNSUBSCRIBE = "EMAIL_FORWARD", "EMAIL_BOUNCE", "EMAIL_UNSUBSCRIBE"
BOUNCE_CODES = {
    "B": "Non-existent address",
    "D": "Undeliverable",
    "F": "Mailbox full",
    "S": "Suspended",
    "V": "Vacation or auto-reply",
    "X": "Other",
    "Z": "Blocked",
}
_LINK = re.compile(r"""href\s*=\s*["'](https?://[^"']+)["']""", re.IGNORECASE)
_STEP = 0.001
MAX_UNVERIFIED_TESTS = 50
_DAY = 86_400
_WINDOW = 300.0
_FIRST_ID = 1_100_395_494_220
# The fields that are required when a flag is set.
_NEEDED_WITH = {
    "permission_reminder_text": "is_permission_reminder_enabled",
    "view_as_web_page_text": "is_view_as_webpage_enabled",
    "view_as_web_page_link_text": "is_view_as_webpage_enabled",
}


@attrs.frozen
class Link:
    """A link in a campaign; `uid` is what reports call it."""

    uid: str
    url: str


@attrs.frozen
class TrackingEntry:
    """One entry of the tracking reports, such as an open or a bounce."""

    kind: str
    campaign_id: str
    contact_id: str
    email: str
    at: float
    link: Link | None = None
    bounce_code: str = ""


def find_links(content: str, campaign_id: str) -> list[Link]:
    """Return the links of a campaign's content, each once."""
    urls = list(dict.fromkeys(_LINK.findall(content)))
    return [Link(f"{campaign_id}{number:02d}", url) for number, url in enumerate(urls, 1)]


def make_entries(
    seed: int, campaign_id: str, links: list[Link], contact: Contact, sent: float
) -> Iterator[TrackingEntry]:
    """Return one contact's reactions to a campaign sent at `sent`, oldest first."""
    draw = random.Random(f"{seed}:{campaign_id}:{contact.id}")  # noqa: S311 - made-up reports
    moment = sent

    def entry(kind: str, link: Link | None = None, code: str = "") -> TrackingEntry:
        nonlocal moment
        moment += _STEP
        return TrackingEntry(kind, campaign_id, contact.id, contact.email, moment, link, code)

    yield entry(SEND)
    if draw.random() < 0.04:
        yield entry(BOUNCE, code=draw.choice(sorted(BOUNCE_CODES)))
        return
    for _ in range(draw.choice((0, 0, 1, 1, 2))):
        yield entry(OPEN)
        if links and draw.random() < 0.5:
            yield entry(CLICK, draw.choice(links))
        if draw.random() < 0.05:
            yield entry(FORWARD)
    if draw.random() < 0.02:
        yield entry(UNSUBSCRIBE)


@attrs.define
class Tracking:
    """The tracking reports: all, by campaign, and by contact, as they were recorded."""

    entries: list[TrackingEntry] = attrs.field(factory=list)
    by_campaign: dict[str, list[TrackingEntry]] = attrs.field(factory=dict)
    by_contact: dict[str, list[TrackingEntry]] = attrs.field(factory=dict)

    def record(self, entry: TrackingEntry) -> None:
        """Add an entry."""
        self.entries.append(entry)
        self.by_campaign.setdefault(entry.campaign_id, []).append(entry)
        self.by_contact.setdefault(entry.contact_id, []).append(entry)


@attrs.define
class Campaign:
    """A campaign. `fields` are those that a client sets."""

    id: str
    fields: dict[str, Any]
    created: float
    modified: float
    status: str = "DRAFT"
    schedules: dict[str, float] = attrs.field(factory=dict)
    links: list[Link] = attrs.field(factory=list)
    last_run: float | None = None
    deleted: bool = False
    next_schedule: int = 1

    @property
    def name(self) -> str:
        """Its name, unique in the account."""
        return str(self.fields["name"])

    def next_run(self) -> float | None:
        """Return the time when it is sent next."""
        return min(self.schedules.values(), default=None)


@attrs.define
class Campaigns:
    """All campaigns of the account.

    Attributes:
        settings: The time that a campaign takes to go out, and the seed of its reports.
        account: The account, with the addresses that may send campaigns.
        contacts: The contacts that may receive campaigns.
        tracking: The reports of sent campaigns.
        campaigns: Campaigns by ID, including deleted ones.
    """

    settings: Settings
    account: Account
    contacts: Contacts
    tracking: Tracking = attrs.field(factory=Tracking)
    campaigns: dict[str, Campaign] = attrs.field(factory=dict)
    _tests: list[float] = attrs.field(factory=list)

    def campaign(self, campaign_id: str) -> Campaign:
        """Return the campaign, or raise a 404."""
        if (found := self.campaigns.get(campaign_id)) is None or found.deleted:
            raise missing(f"Campaign {campaign_id}")
        return found

    def create(self, fields: dict[str, Any], now: float) -> Campaign:
        """Create a draft, or raise a 400 or 409."""
        self._check(fields)
        campaign_id = str(_FIRST_ID + len(self.campaigns))
        made = Campaign(campaign_id, fields, now, now)
        self.campaigns[campaign_id] = made
        return made

    def change(self, campaign_id: str, fields: dict[str, Any], now: float) -> Campaign:
        """Replace a campaign, or raise a 400, 404 or 409."""
        changed = self.campaign(campaign_id)
        self._check(fields, besides=campaign_id)
        if changed.status in ("SCHEDULED", "RUNNING"):
            raise Refusal(409, f"A campaign cannot be changed while it is {changed.status}.")
        changed.fields, changed.modified = fields, now
        return changed

    def delete(self, campaign_id: str, now: float) -> None:
        """Delete a campaign, or raise a 404 or 409."""
        gone = self.campaign(campaign_id)
        if gone.status in ("SCHEDULED", "RUNNING"):
            raise Refusal(409, f"A campaign cannot be deleted while it is {gone.status}.")
        gone.deleted, gone.modified = True, now

    def test_send(self, campaign_id: str, addresses: list[str], now: float) -> None:
        """Count a test send, or raise a 400 or 404."""
        if self.campaign(campaign_id).status == "RUNNING":
            raise Refusal(400, "A campaign cannot be tested while it is RUNNING.")
        unverified = [email for email in addresses if not self.account.confirmed(email)]
        self._tests = [moment for moment in self._tests if moment > now - _DAY]
        if len(self._tests) + len(unverified) > MAX_UNVERIFIED_TESTS:
            raise Refusal(
                400, f"At most {MAX_UNVERIFIED_TESTS} unverified addresses can be tested per day."
            )
        self._tests += [now] * len(unverified)

    def schedule(self, campaign_id: str, at: float | None, now: float) -> tuple[str, float]:
        """Schedule a campaign, by default for the next window. Return its ID and time."""
        campaign = self.campaign(campaign_id)
        if campaign.status not in ("DRAFT", "SENT"):
            raise Refusal(409, f"A campaign cannot be scheduled while it is {campaign.status}.")
        if not campaign.fields.get("sent_to_contact_lists"):
            raise bad_field("sent_to_contact_lists", "the campaign has no list.")
        moment = self._moment(at, now)
        schedule_id = str(campaign.next_schedule)
        campaign.next_schedule += 1
        campaign.schedules[schedule_id] = moment
        campaign.status, campaign.modified = "SCHEDULED", now
        return schedule_id, moment

    def schedule_of(self, campaign_id: str, schedule_id: str) -> float:
        """Return the time when a schedule is due, or raise a 404."""
        return lookup(self.campaign(campaign_id).schedules, schedule_id, "Schedule")

    def reschedule(self, campaign_id: str, schedule_id: str, at: float, now: float) -> None:
        """Move a schedule, or raise a 400 or 404."""
        self.schedule_of(campaign_id, schedule_id)
        self.campaign(campaign_id).schedules[schedule_id] = self._moment(at, now)

    def unschedule(self, campaign_id: str, schedule_id: str) -> None:
        """Delete a schedule, or raise a 404."""
        self.schedule_of(campaign_id, schedule_id)
        campaign = self.campaign(campaign_id)
        del campaign.schedules[schedule_id]
        campaign.status = "DRAFT" if campaign.last_run is None else "SENT"

    def settle(self, now: float) -> None:
        """Send every campaign that is due by `now`, and complete those that are sent."""
        for campaign in self.campaigns.values():
            due = campaign.next_run()
            if campaign.status == "SCHEDULED" and due is not None and due <= now:
                self._run(campaign, due)
                campaign.status = "RUNNING"
            sent = (campaign.last_run or 0.0) + self._takes(self.settings.seconds)
            if campaign.status == "RUNNING" and now >= sent:
                campaign.status = "SENT"

    def restored(self) -> None:
        """Complete the data read from a file, or raise a `ValueError` if it contradicts itself."""
        entries, self.tracking = self.tracking.entries, Tracking()
        for entry in entries:
            if entry.campaign_id not in self.campaigns:
                raise ValueError(f"campaigns: there is no campaign {entry.campaign_id}")
            self.tracking.record(entry)

    def _takes(self, seconds: float) -> float:
        timed = self.settings.mode in ("seconds", "lognormal")
        return seconds / self.settings.speed if timed else 0.0

    def _moment(self, at: float | None, now: float) -> float:
        if at is None:
            return now + self._takes(_WINDOW)
        if at < now:
            raise bad_field("scheduled_date", "it is in the past.")
        return at

    def _run(self, campaign: Campaign, at: float) -> None:
        campaign.links = find_links(campaign.fields["email_content"], campaign.id)
        recipients = self._recipients(campaign)
        campaign.schedules.clear()
        campaign.last_run = campaign.modified = at
        for contact in recipients:
            seed = self.settings.draw_seed
            for entry in make_entries(seed, campaign.id, campaign.links, contact, at):
                self.tracking.record(entry)
                if entry.kind == UNSUBSCRIBE:
                    self.contacts.opt_out(contact, entry.at)

    def _recipients(self, campaign: Campaign) -> list[Contact]:
        """Return the active contacts of its lists. A later run gets only those added since."""
        since = float("-inf") if campaign.last_run is None else campaign.last_run
        found: dict[str, Contact] = {}
        for row in campaign.fields["sent_to_contact_lists"]:
            if row["id"] not in self.contacts.lists:
                continue
            for contact in self.contacts.members(row["id"]):
                if contact.status == "ACTIVE" and contact.lists[row["id"]] > since:
                    found[contact.id] = contact
        return list(found.values())

    def _check(self, fields: dict[str, Any], besides: str | None = None) -> None:
        for name in ("from_email", "reply_to_email"):
            if not self.account.confirmed(fields[name]):
                raise bad_field(name, f"{fields[name]} is not a confirmed address of the account.")
        for name, flag in _NEEDED_WITH.items():
            if fields.get(flag) and not fields.get(name):
                raise absent_field(name)
        if lists := [row["id"] for row in fields.get("sent_to_contact_lists", [])]:
            self.contacts.check_lists(lists)
        for other in self.campaigns.values():
            if other.name == fields["name"] and not other.deleted and other.id != besides:
                raise Refusal(409, f"A campaign named {fields['name']} already exists.")
