"""The twelve operations of email campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.answers import Refusal, absent_field
from ccv2_async.sandbox.areas.tracking import TRACKING_SUMMARY, tracking_summary
from ccv2_async.sandbox.clock import read_stamp, utc_stamp
from ccv2_async.sandbox.fields import OWN_ID, Field, Model, array_of, choice, fields, object_of
from ccv2_async.sandbox.operations import (
    CREATE_BELOW,
    DELETE_ONE,
    FLAG,
    READ,
    READ_ONE,
    SINCE,
    UPDATE,
    Operations,
    Shape,
    limit,
    modified_since,
    page,
)
from ccv2_async.sandbox.state.campaigns import CLICK
from ccv2_async.sandbox.state.contacts import check_address

if TYPE_CHECKING:
    from ccv2_async.sandbox.answers import Answer
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.campaigns import Campaign

OPERATIONS = Operations()
MESSAGE_FOOTER = Model(
    "MessageFooter",
    **fields("string", "organization_name address_line_1 address_line_2 address_line_3 city"),
    **fields("string", "state international_state postal_code country forward_email_link_text"),
    subscribe_link_text=Field("string"),
    **fields("boolean", "include_forward_email include_subscribe_link"),
)
CLICK_THROUGH_DETAIL = Model(
    "ClickThroughDetail", **fields("string", "url url_uid"), click_count=Field("integer")
)
SENT_TO_CONTACT_LIST = Model("SentToContactList", id=Field("id", required=True))
CAMPAIGN = Model(
    "Campaign",
    id=OWN_ID,
    **fields("string", "name subject"),
    **fields("string", "status template_type", read_only=True),
    **fields("string", "from_name from_email reply_to_email email_content text_content"),
    **fields("string", "email_content_format style_sheet permission_reminder_text"),
    **fields("string", "view_as_web_page_text view_as_web_page_link_text greeting_name"),
    **fields("string", "greeting_salutations greeting_string"),
    **fields("boolean", "is_permission_reminder_enabled is_view_as_webpage_enabled"),
    message_footer=object_of(MESSAGE_FOOTER),
    sent_to_contact_lists=array_of(SENT_TO_CONTACT_LIST),
    tracking_summary=object_of(TRACKING_SUMMARY, read_only=True),
    click_through_details=array_of(CLICK_THROUGH_DETAIL, read_only=True),
    permalink_url=Field("string", read_only=True),
    is_visible_in_ui=Field("boolean"),
    **fields("datetime", "created_date modified_date last_run_date", read_only=True),
    **fields("datetime", "last_sent_date next_run_date", read_only=True),
)
CAMPAIGN_WRITE = CAMPAIGN.writable(
    "CampaignWrite",
    name=Field("string", required=True, min_length=1, max_length=80),
    subject=Field("string", required=True, min_length=1, max_length=200),
    from_name=Field("string", required=True, min_length=1, max_length=100),
    **fields("string", "from_email reply_to_email", required=True, max_length=80),
    **fields(
        "string", "email_content text_content", required=True, min_length=1, max_length=930000
    ),
    email_content_format=choice("HTML XHTML"),
    greeting_name=choice("FIRST_NAME LAST_NAME FIRST_AND_LAST_NAME NONE"),
)
CAMPAIGN_SUMMARY = Model(
    "CampaignSummary",
    id=Field("id", required=True),
    **fields("string", "name status"),
    modified_date=Field("datetime"),
)
SCHEDULE = Model("Schedule", id=Field("id", required=True), scheduled_date=Field("datetime"))
SCHEDULE_WRITE = Model("ScheduleWrite", scheduled_date=Field("datetime"))
TEST_SEND = Model(
    "TestSend",
    email_addresses=array_of("string", required=True, minimum=1, maximum=5),
    format=choice("HTML TEXT HTML_AND_TEXT", required=True),
    personal_message=Field("string"),
)
CAMPAIGN_PREVIEW = Model(
    "CampaignPreview",
    **fields("string", "subject from_email reply_to_email preview_email_content"),
    preview_text_content=Field("string"),
)

_CAMPAIGNS = "/emailmarketing/campaigns"
_CAMPAIGN = f"{_CAMPAIGNS}/{{campaignId}}"
_SCHEDULES = f"{_CAMPAIGN}/schedules"
_SCHEDULE = f"{_SCHEDULES}/{{scheduleId}}"
_STATUSES = ("DRAFT", "RUNNING", "SENT", "SCHEDULED", "DELETED")
_DEFAULTS = {
    "email_content_format": "HTML",
    "style_sheet": "",
    "is_permission_reminder_enabled": False,
    "is_view_as_webpage_enabled": False,
    "greeting_name": "NONE",
    "sent_to_contact_lists": [],
    "is_visible_in_ui": True,
}


def _status(campaign: Campaign) -> str:
    return "DELETED" if campaign.deleted else campaign.status


def _order(campaign: Campaign) -> tuple[int, float]:
    status = _status(campaign)
    moments = {"SENT": campaign.last_run, "SCHEDULED": campaign.next_run()}
    return _STATUSES.index(status), -(moments.get(status) or campaign.modified)


def _show(call: Call, campaign: Campaign) -> dict[str, Any]:
    dates = {
        "created_date": campaign.created,
        "modified_date": campaign.modified,
        "last_run_date": campaign.last_run,
        "next_run_date": campaign.next_run(),
    }
    clicks = [
        entry.link.uid
        for entry in call.world.campaigns.tracking.by_campaign.get(campaign.id, [])
        if entry.kind == CLICK and entry.link is not None
    ]
    return {
        "id": campaign.id,
        **_DEFAULTS,
        **campaign.fields,
        "status": _status(campaign),
        "template_type": "CUSTOM",
        "tracking_summary": tracking_summary(call, campaign.id),
        "click_through_details": [
            {"url": link.url, "url_uid": link.uid, "click_count": clicks.count(link.uid)}
            for link in campaign.links
        ],
        "permalink_url": f"https://myemail.example.com/{campaign.id}.html",
        **{name: utc_stamp(moment) for name, moment in dates.items() if moment is not None},
    }


def _campaign(call: Call) -> Campaign:
    return call.world.campaigns.campaign(call.ids["campaignId"])


@OPERATIONS.add(
    "GET",
    _CAMPAIGNS,
    Shape("page", CAMPAIGN_SUMMARY),
    codes=READ,
    query={
        "limit": limit(50, 50),
        "modified_since": SINCE,
        "status": Field("string", allowed=("ALL", *_STATUSES), default="ALL"),
    },
)
def campaigns_list(call: Call) -> dict[str, Any]:
    """List campaigns by status. Deleted ones are listed only on request."""
    wanted = call.query["status"]

    def chosen(campaign: Campaign) -> bool:
        status = _status(campaign)
        return status == wanted or (wanted == "ALL" and status != "DELETED")

    rows = modified_since(call, filter(chosen, call.world.campaigns.campaigns.values()))

    def shown(campaign: Campaign) -> dict[str, Any]:
        return {
            "id": campaign.id,
            "name": campaign.name,
            "status": _status(campaign),
            "modified_date": utc_stamp(campaign.modified),
        }

    return page(call, sorted(rows, key=_order), shown)


@OPERATIONS.add("POST", _CAMPAIGNS, CAMPAIGN, body=CAMPAIGN_WRITE)
def campaign_create(call: Call) -> Answer:
    """Create a draft."""
    return call.created(_show(call, call.world.campaigns.create(call.body, call.now)))


@OPERATIONS.add("GET", _CAMPAIGN, CAMPAIGN, query={"updateSummary": FLAG})
def campaign_get(call: Call) -> dict[str, Any]:
    """Return one campaign."""
    return _show(call, _campaign(call))


@OPERATIONS.add("PUT", _CAMPAIGN, CAMPAIGN, codes=(*UPDATE, 409), body=CAMPAIGN_WRITE)
def campaign_update(call: Call) -> dict[str, Any]:
    """Replace a campaign. Missing fields are erased."""
    campaigns, campaign_id = call.world.campaigns, call.ids["campaignId"]
    return _show(call, campaigns.change(campaign_id, call.body, call.now))


@OPERATIONS.add("DELETE", _CAMPAIGN, codes=(*DELETE_ONE, 409))
def campaign_delete(call: Call) -> None:
    """Delete a campaign. It can still be listed by that status."""
    call.world.campaigns.delete(call.ids["campaignId"], call.now)


@OPERATIONS.add("GET", f"{_CAMPAIGN}/preview", CAMPAIGN_PREVIEW, codes=(*READ_ONE, 400))
def campaign_preview(call: Call) -> dict[str, Any]:
    """Return a campaign as its readers see it."""
    given = _campaign(call).fields
    if given.get("email_content_format") == "XHTML":
        raise Refusal(400, "A campaign in XHTML cannot be previewed.")
    return {
        **{name: given[name] for name in ("subject", "from_email", "reply_to_email")},
        "preview_email_content": given["email_content"],
        "preview_text_content": given["text_content"],
    }


@OPERATIONS.add("POST", f"{_CAMPAIGN}/tests", TEST_SEND, codes=UPDATE, body=TEST_SEND)
def campaign_test_send(call: Call) -> dict[str, Any]:
    """Send a campaign to a few addresses as a test."""
    campaign, addresses = _campaign(call), call.body["email_addresses"]
    for email in addresses:
        check_address(email)
    call.world.campaigns.test_send(campaign.id, addresses, call.now)
    return dict(call.body)


def _show_schedule(schedule_id: str, moment: float) -> dict[str, Any]:
    return {"id": schedule_id, "scheduled_date": utc_stamp(moment)}


@OPERATIONS.add("GET", _SCHEDULES, Shape("array", SCHEDULE))
def schedules_list(call: Call) -> list[dict[str, Any]]:
    """List the schedules of a campaign."""
    return [_show_schedule(*row) for row in _campaign(call).schedules.items()]


@OPERATIONS.add("POST", _SCHEDULES, SCHEDULE, codes=CREATE_BELOW, body=SCHEDULE_WRITE)
def schedule_create(call: Call) -> Answer:
    """Schedule a campaign. Without a date it is sent in the next window."""
    campaigns, campaign_id = call.world.campaigns, call.ids["campaignId"]
    date = call.body.get("scheduled_date")
    at = None if date is None else read_stamp(date)
    schedule_id = campaigns.schedule(campaign_id, at, call.now)
    moment = campaigns.schedule_of(campaign_id, schedule_id)
    return call.created(_show_schedule(schedule_id, moment))


@OPERATIONS.add("GET", _SCHEDULE, SCHEDULE)
def schedule_get(call: Call) -> dict[str, Any]:
    """Return one schedule."""
    schedule_id = call.ids["scheduleId"]
    moment = call.world.campaigns.schedule_of(call.ids["campaignId"], schedule_id)
    return _show_schedule(schedule_id, moment)


@OPERATIONS.add("PUT", _SCHEDULE, SCHEDULE, body=SCHEDULE_WRITE)
def schedule_update(call: Call) -> dict[str, Any]:
    """Change the date of a schedule."""
    campaigns, date = call.world.campaigns, call.body.get("scheduled_date")
    campaign_id, schedule_id = call.ids["campaignId"], call.ids["scheduleId"]
    campaigns.schedule_of(campaign_id, schedule_id)
    if date is None:
        raise absent_field("scheduled_date")
    campaigns.reschedule(campaign_id, schedule_id, read_stamp(date), call.now)
    return schedule_get(call)


@OPERATIONS.add("DELETE", _SCHEDULE)
def schedule_delete(call: Call) -> None:
    """Delete a schedule."""
    call.world.campaigns.unschedule(call.ids["campaignId"], call.ids["scheduleId"])
