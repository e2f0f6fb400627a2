"""The bodies of tracking reports."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields

_ROW = {
    "activity_type": Field("string"),
    "campaign_id": Field("id", read_only=True),
    "contact_id": Field("id"),
    "email_address": Field("string"),
}
_CLICK = {"click_date": Field("datetime"), "link_id": Field("id"), "link_uri": Field("string")}
_BOUNCE = {
    "bounce_code": Field("string"),
    "bounce_date": Field("datetime"),
    **fields("string", "bounce_description bounce_message"),
}
_UNSUBSCRIBE = {
    "unsubscribe_date": Field("datetime"),
    **fields("string", "unsubscribe_source unsubscribe_reason"),
}

SEND_ACTIVITY = Model("SendActivity", {**_ROW, "send_date": Field("datetime")})
OPEN_ACTIVITY = Model("OpenActivity", {**_ROW, "open_date": Field("datetime")})
CLICK_ACTIVITY = Model("ClickActivity", {**_ROW, **_CLICK})
FORWARD_ACTIVITY = Model("ForwardActivity", {**_ROW, "forward_date": Field("datetime")})
BOUNCE_ACTIVITY = Model("BounceActivity", {**_ROW, **_BOUNCE})
UNSUBSCRIBE_ACTIVITY = Model("UnsubscribeActivity", {**_ROW, **_UNSUBSCRIBE})

TRACKING_ACTIVITY = Model(
    "TrackingActivity",
    {
        **_ROW,
        **fields("datetime", "send_date open_date"),
        **_CLICK,
        "forward_date": Field("datetime"),
        **_BOUNCE,
        **_UNSUBSCRIBE,
        **fields("integer", "opens clicks bounces forwards"),
    },
)

CONTACT_TRACKING_SUMMARY = Model(
    "ContactTrackingSummary",
    {
        **fields("integer", "sends opens clicks forwards unsubscribes bounces"),
        "contact_id": Field("id"),
    },
)

CONTACT_CAMPAIGN_SUMMARY = Model(
    "ContactCampaignSummary",
    {
        "campaign_id": Field("id", read_only=True),
        "contact_id": Field("id"),
        **fields("integer", "opens clicks forwards bounces"),
    },
)
