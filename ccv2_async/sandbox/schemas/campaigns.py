"""The bodies of email campaigns."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields

MESSAGE_FOOTER = Model(
    "MessageFooter",
    {
        **fields("string", "organization_name address_line_1 address_line_2 address_line_3 city"),
        **fields("string", "state international_state postal_code country forward_email_link_text"),
        "subscribe_link_text": Field("string"),
        **fields("boolean", "include_forward_email include_subscribe_link"),
    },
)

TRACKING_SUMMARY = Model(
    "TrackingSummary",
    {**fields("integer", "sends opens clicks forwards unsubscribes bounces spam_count")},
)

CLICK_THROUGH_DETAIL = Model(
    "ClickThroughDetail", {**fields("string", "url url_uid"), "click_count": Field("integer")}
)

SENT_TO_CONTACT_LIST = Model("SentToContactList", {"id": Field("id", required=True)})

CAMPAIGN = Model(
    "Campaign",
    {
        "id": Field("id", required=True, read_only=True),
        **fields("string", "name subject"),
        **fields("string", "status template_type", read_only=True),
        **fields("string", "from_name from_email reply_to_email email_content text_content"),
        **fields("string", "email_content_format style_sheet"),
        "is_permission_reminder_enabled": Field("boolean"),
        "permission_reminder_text": Field("string"),
        "is_view_as_webpage_enabled": Field("boolean"),
        **fields("string", "view_as_web_page_text view_as_web_page_link_text greeting_name"),
        **fields("string", "greeting_salutations greeting_string"),
        "message_footer": Field("object", model=MESSAGE_FOOTER),
        "sent_to_contact_lists": Field("array", items=Field("object", model=SENT_TO_CONTACT_LIST)),
        "tracking_summary": Field("object", model=TRACKING_SUMMARY, read_only=True),
        "click_through_details": Field(
            "array", items=Field("object", model=CLICK_THROUGH_DETAIL), read_only=True
        ),
        "permalink_url": Field("string", read_only=True),
        "is_visible_in_ui": Field("boolean"),
        **fields("datetime", "created_date modified_date last_run_date", read_only=True),
        **fields("datetime", "last_sent_date next_run_date", read_only=True),
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
        **fields("string", "view_as_web_page_text view_as_web_page_link_text"),
        "greeting_name": Field(
            "string", allowed=("FIRST_NAME", "LAST_NAME", "FIRST_AND_LAST_NAME", "NONE")
        ),
        **fields("string", "greeting_salutations greeting_string"),
        "message_footer": Field("object", model=MESSAGE_FOOTER),
        "sent_to_contact_lists": Field("array", items=Field("object", model=SENT_TO_CONTACT_LIST)),
        "is_visible_in_ui": Field("boolean"),
    },
)

CAMPAIGN_SUMMARY = Model(
    "CampaignSummary",
    {
        "id": Field("id", required=True),
        **fields("string", "name status"),
        "modified_date": Field("datetime"),
    },
)

SCHEDULE = Model(
    "Schedule", {"id": Field("id", required=True), "scheduled_date": Field("datetime")}
)

SCHEDULE_WRITE = Model("ScheduleWrite", {"scheduled_date": Field("datetime")})

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
        **fields("string", "subject from_email reply_to_email preview_email_content"),
        "preview_text_content": Field("string"),
    },
)
