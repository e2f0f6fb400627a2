"""The bodies of email campaigns: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

MESSAGE_FOOTER = Model(
    "MessageFooter",
    {
        "organization_name": Field("string"),
        "address_line_1": Field("string"),
        "address_line_2": Field("string"),
        "address_line_3": Field("string"),
        "city": Field("string"),
        "state": Field("string"),
        "international_state": Field("string"),
        "postal_code": Field("string"),
        "country": Field("string"),
        "forward_email_link_text": Field("string"),
        "subscribe_link_text": Field("string"),
        "include_forward_email": Field("boolean"),
        "include_subscribe_link": Field("boolean"),
    },
)

TRACKING_SUMMARY = Model(
    "TrackingSummary",
    {
        "sends": Field("integer"),
        "opens": Field("integer"),
        "clicks": Field("integer"),
        "forwards": Field("integer"),
        "unsubscribes": Field("integer"),
        "bounces": Field("integer"),
        "spam_count": Field("integer"),
    },
)

CLICK_THROUGH_DETAIL = Model(
    "ClickThroughDetail",
    {
        "url": Field("string"),
        "url_uid": Field("string"),
        "click_count": Field("integer"),
    },
)

SENT_TO_CONTACT_LIST = Model(
    "SentToContactList",
    {
        "id": Field("id", required=True),
    },
)

CAMPAIGN = Model(
    "Campaign",
    {
        "id": Field("id", required=True, read_only=True),
        "name": Field("string"),
        "subject": Field("string"),
        "status": Field("string", read_only=True),
        "template_type": Field("string", read_only=True),
        "from_name": Field("string"),
        "from_email": Field("string"),
        "reply_to_email": Field("string"),
        "email_content": Field("string"),
        "text_content": Field("string"),
        "email_content_format": Field("string"),
        "style_sheet": Field("string"),
        "is_permission_reminder_enabled": Field("boolean"),
        "permission_reminder_text": Field("string"),
        "is_view_as_webpage_enabled": Field("boolean"),
        "view_as_web_page_text": Field("string"),
        "view_as_web_page_link_text": Field("string"),
        "greeting_name": Field("string"),
        "greeting_salutations": Field("string"),
        "greeting_string": Field("string"),
        "message_footer": Field("object", model=MESSAGE_FOOTER),
        "sent_to_contact_lists": Field("array", items=Field("object", model=SENT_TO_CONTACT_LIST)),
        "tracking_summary": Field("object", model=TRACKING_SUMMARY, read_only=True),
        "click_through_details": Field(
            "array", items=Field("object", model=CLICK_THROUGH_DETAIL), read_only=True
        ),
        "permalink_url": Field("string", read_only=True),
        "is_visible_in_ui": Field("boolean"),
        "created_date": Field("datetime", read_only=True),
        "modified_date": Field("datetime", read_only=True),
        "last_run_date": Field("datetime", read_only=True),
        "last_sent_date": Field("datetime", read_only=True),
        "next_run_date": Field("datetime", read_only=True),
    },
)

CAMPAIGN_WRITE = Model(
    "CampaignWrite",
    {
        "name": Field("string", required=True, min_length=1, max_length=80),
        "subject": Field("string", required=True, min_length=1, max_length=200),
        "from_name": Field("string", required=True, min_length=1, max_length=100),
        "from_email": Field("string", required=True, max_length=80),
        "reply_to_email": Field("string", required=True, max_length=80),
        "email_content": Field("string", required=True, min_length=1, max_length=930000),
        "text_content": Field("string", required=True, min_length=1, max_length=930000),
        "email_content_format": Field("string", allowed=("HTML", "XHTML")),
        "style_sheet": Field("string"),
        "is_permission_reminder_enabled": Field("boolean"),
        "permission_reminder_text": Field("string"),
        "is_view_as_webpage_enabled": Field("boolean"),
        "view_as_web_page_text": Field("string"),
        "view_as_web_page_link_text": Field("string"),
        "greeting_name": Field(
            "string", allowed=("FIRST_NAME", "LAST_NAME", "FIRST_AND_LAST_NAME", "NONE")
        ),
        "greeting_salutations": Field("string"),
        "greeting_string": Field("string"),
        "message_footer": Field("object", model=MESSAGE_FOOTER),
        "sent_to_contact_lists": Field("array", items=Field("object", model=SENT_TO_CONTACT_LIST)),
        "is_visible_in_ui": Field("boolean"),
    },
)

CAMPAIGN_SUMMARY = Model(
    "CampaignSummary",
    {
        "id": Field("id", required=True),
        "name": Field("string"),
        "status": Field("string"),
        "modified_date": Field("datetime"),
    },
)

SCHEDULE = Model(
    "Schedule",
    {
        "id": Field("id", required=True),
        "scheduled_date": Field("datetime"),
    },
)

SCHEDULE_WRITE = Model(
    "ScheduleWrite",
    {
        "scheduled_date": Field("datetime"),
    },
)

TEST_SEND = Model(
    "TestSend",
    {
        "email_addresses": Field(
            "array", required=True, minimum=1, maximum=5, items=Field("string")
        ),
        "format": Field("string", required=True, allowed=("HTML", "TEXT", "HTML_AND_TEXT")),
        "personal_message": Field("string"),
    },
)

CAMPAIGN_PREVIEW = Model(
    "CampaignPreview",
    {
        "subject": Field("string"),
        "from_email": Field("string"),
        "reply_to_email": Field("string"),
        "preview_email_content": Field("string"),
        "preview_text_content": Field("string"),
    },
)
