"""The bodies of tracking reports: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

SEND_ACTIVITY = Model(
    "SendActivity",
    {
        "activity_type": Field("string"),
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "email_address": Field("string"),
        "send_date": Field("datetime"),
    },
)

OPEN_ACTIVITY = Model(
    "OpenActivity",
    {
        "activity_type": Field("string"),
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "email_address": Field("string"),
        "open_date": Field("datetime"),
    },
)

CLICK_ACTIVITY = Model(
    "ClickActivity",
    {
        "activity_type": Field("string"),
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "email_address": Field("string"),
        "click_date": Field("datetime"),
        "link_id": Field("id"),
        "link_uri": Field("string"),
    },
)

FORWARD_ACTIVITY = Model(
    "ForwardActivity",
    {
        "activity_type": Field("string"),
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "email_address": Field("string"),
        "forward_date": Field("datetime"),
    },
)

BOUNCE_ACTIVITY = Model(
    "BounceActivity",
    {
        "activity_type": Field("string"),
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "email_address": Field("string"),
        "bounce_code": Field("string"),
        "bounce_date": Field("datetime"),
        "bounce_description": Field("string"),
        "bounce_message": Field("string"),
    },
)

UNSUBSCRIBE_ACTIVITY = Model(
    "UnsubscribeActivity",
    {
        "activity_type": Field("string"),
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "email_address": Field("string"),
        "unsubscribe_date": Field("datetime"),
        "unsubscribe_source": Field("string"),
        "unsubscribe_reason": Field("string"),
    },
)

TRACKING_ACTIVITY = Model(
    "TrackingActivity",
    {
        "activity_type": Field("string"),
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "email_address": Field("string"),
        "send_date": Field("datetime"),
        "open_date": Field("datetime"),
        "click_date": Field("datetime"),
        "link_id": Field("id"),
        "link_uri": Field("string"),
        "forward_date": Field("datetime"),
        "bounce_code": Field("string"),
        "bounce_date": Field("datetime"),
        "bounce_description": Field("string"),
        "bounce_message": Field("string"),
        "unsubscribe_date": Field("datetime"),
        "unsubscribe_source": Field("string"),
        "unsubscribe_reason": Field("string"),
        "opens": Field("integer"),
        "clicks": Field("integer"),
        "bounces": Field("integer"),
        "forwards": Field("integer"),
    },
)

CONTACT_TRACKING_SUMMARY = Model(
    "ContactTrackingSummary",
    {
        "sends": Field("integer"),
        "opens": Field("integer"),
        "clicks": Field("integer"),
        "forwards": Field("integer"),
        "unsubscribes": Field("integer"),
        "bounces": Field("integer"),
        "contact_id": Field("id"),
    },
)

CONTACT_CAMPAIGN_SUMMARY = Model(
    "ContactCampaignSummary",
    {
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        "opens": Field("integer"),
        "clicks": Field("integer"),
        "forwards": Field("integer"),
        "bounces": Field("integer"),
    },
)
