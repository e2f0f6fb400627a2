"""The reactions of readers to campaigns.

Source: the campaign and contact tracking pages of the v2 reference.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum

import attrs

from ccv2_async.models.base import Model

__all__ = ["BounceActivity", "BounceCode", "ClickActivity", "ContactCampaignSummary"]
__all__ += ["ContactTrackingSummary", "ForwardActivity", "OpenActivity", "SendActivity"]
__all__ += ["TrackingActivity", "TrackingActivityType", "UnsubscribeActivity", "UnsubscribeSource"]


class TrackingActivityType(StrEnum):
    """The kind of a tracking row."""

    EMAIL_BOUNCE = "EMAIL_BOUNCE"
    EMAIL_CLICK = "EMAIL_CLICK"
    EMAIL_FORWARD = "EMAIL_FORWARD"
    EMAIL_OPEN = "EMAIL_OPEN"
    EMAIL_SEND = "EMAIL_SEND"
    EMAIL_UNSUBSCRIBE = "EMAIL_UNSUBSCRIBE"


class BounceCode(StrEnum):
    """The reason for a bounce: B is an address that does not exist; the others are undocumented."""

    B = "B"
    D = "D"
    F = "F"
    S = "S"
    V = "V"
    X = "X"
    Z = "Z"


class UnsubscribeSource(StrEnum):
    """The person who ended a subscription."""

    ACTION_BY_CUSTOMER = "ACTION_BY_CUSTOMER"
    ACTION_BY_OWNER = "ACTION_BY_OWNER"
    ACTION_BY_CONTACT = "ACTION_BY_CONTACT"


@attrs.frozen(weakref_slot=False)
class _ReaderActivity(Model):
    """The fields that every row of a report has.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
    """

    activity_type: TrackingActivityType | str | None = None
    campaign_id: str | None = None
    contact_id: str | None = None
    email_address: str | None = None


@attrs.frozen(weakref_slot=False)
class SendActivity(_ReaderActivity):
    """A message that was sent.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
        send_date: The date it was sent.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    send_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class OpenActivity(_ReaderActivity):
    """A message that was opened.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
        open_date: The date it was opened.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    open_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class ClickActivity(_ReaderActivity):
    """A link that was clicked.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
        click_date: The date the link was clicked.
        link_id: The link.
        link_uri: The target of the link; in reports by contact.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    click_date: datetime | None = None
    link_id: str | None = None
    link_uri: str | None = None


@attrs.frozen(weakref_slot=False)
class ForwardActivity(_ReaderActivity):
    """A message that was forwarded.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
        forward_date: The date it was forwarded.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    forward_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class BounceActivity(_ReaderActivity):
    """A message that bounced.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
        bounce_code: The reason for the bounce.
        bounce_date: The date it bounced.
        bounce_description: A description of the reason.
        bounce_message: The message of the other server; may be "".
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    bounce_code: BounceCode | str | None = None
    bounce_date: datetime | None = None
    bounce_description: str | None = None
    bounce_message: str | None = None


@attrs.frozen(weakref_slot=False)
class UnsubscribeActivity(_ReaderActivity):
    """A reader who unsubscribed.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
        unsubscribe_date: The date the reader unsubscribed.
        unsubscribe_source: The person who ended it.
        unsubscribe_reason: The reason; may be "".
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    unsubscribe_date: datetime | None = None
    unsubscribe_source: UnsubscribeSource | str | None = None
    unsubscribe_reason: str | None = None


@attrs.frozen(weakref_slot=False)
class TrackingActivity(_ReaderActivity):
    """A row of a report on all activity; `activity_type` says which dates and details are present.

    Attributes:
        activity_type: The kind of the row.
        campaign_id: The campaign.
        contact_id: The contact.
        email_address: The address of the contact.
        send_date: The date it was sent.
        open_date: The date it was opened.
        click_date: The date the link was clicked.
        link_id: The link.
        link_uri: The target of the link; in reports by contact.
        forward_date: The date it was forwarded.
        bounce_code: The reason for the bounce.
        bounce_date: The date it bounced.
        bounce_description: A description of the reason.
        bounce_message: The message of the other server; may be "".
        unsubscribe_date: The date the reader unsubscribed.
        unsubscribe_source: The person who ended it.
        unsubscribe_reason: The reason; may be "".
        opens: Opens.
        clicks: Clicks.
        bounces: Bounced messages.
        forwards: Forwards.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    send_date: datetime | None = None
    open_date: datetime | None = None
    click_date: datetime | None = None
    link_id: str | None = None
    link_uri: str | None = None
    forward_date: datetime | None = None
    bounce_code: BounceCode | str | None = None
    bounce_date: datetime | None = None
    bounce_description: str | None = None
    bounce_message: str | None = None
    unsubscribe_date: datetime | None = None
    unsubscribe_source: UnsubscribeSource | str | None = None
    unsubscribe_reason: str | None = None
    opens: int | None = None
    clicks: int | None = None
    bounces: int | None = None
    forwards: int | None = None


@attrs.frozen(weakref_slot=False)
class ContactTrackingSummary(Model):
    """The counts of one contact over all campaigns.

    Attributes:
        sends: Messages sent to the contact.
        opens: Opens.
        clicks: Clicks.
        forwards: Forwards.
        unsubscribes: Times the contact unsubscribed.
        bounces: Bounced messages.
        contact_id: The contact.
        extra: Fields that the service sent beyond those above.
    """

    sends: int | None = None
    opens: int | None = None
    clicks: int | None = None
    forwards: int | None = None
    unsubscribes: int | None = None
    bounces: int | None = None
    contact_id: str | None = None


@attrs.frozen(weakref_slot=False)
class ContactCampaignSummary(Model):
    """The counts of one contact for one campaign.

    Attributes:
        campaign_id: The campaign.
        contact_id: The contact.
        opens: Opens.
        clicks: Clicks.
        forwards: Forwards.
        bounces: Bounced messages.
        extra: Fields that the service sent beyond those above.
    """

    campaign_id: str | None = None
    contact_id: str | None = None
    opens: int | None = None
    clicks: int | None = None
    forwards: int | None = None
    bounces: int | None = None
