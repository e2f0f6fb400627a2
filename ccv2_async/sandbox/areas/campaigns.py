"""The operations of email campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.tracking import tracking_summary
from ccv2_async.sandbox.clock import read_stamp, utc_stamp, utc_stamps
from ccv2_async.sandbox.fields import define
from ccv2_async.sandbox.operations import READ, UPDATE, Operations, modified_since, page
from ccv2_async.sandbox.responses import Refusal, absent_field, picked
from ccv2_async.sandbox.state.campaigns import CLICK
from ccv2_async.sandbox.state.contacts import check_address

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.responses import APIResponse
    from ccv2_async.sandbox.state.campaigns import Campaign

OPERATIONS = Operations()
define(
    """
    MessageFooter: organization_name address_line_1 address_line_2 address_line_3 city state
        international_state postal_code country forward_email_link_text subscribe_link_text
        include_forward_email:bool include_subscribe_link:bool
    ClickThroughDetail: url url_uid click_count:int
    SentToContactList: id!:id
    Campaign: id!-:id name subject status- template_type- from_name from_email reply_to_email
        email_content text_content email_content_format style_sheet permission_reminder_text
        view_as_web_page_text view_as_web_page_link_text greeting_name greeting_salutations
        greeting_string is_permission_reminder_enabled:bool is_view_as_webpage_enabled:bool
        message_footer:MessageFooter sent_to_contact_lists:SentToContactList[]
        tracking_summary-:TrackingSummary click_through_details-:ClickThroughDetail[] permalink_url-
        is_visible_in_ui:bool created_date-:date modified_date-:date last_run_date-:date
        last_sent_date-:date next_run_date-:date
    CampaignWrite < Campaign: name!>=1<=80 subject!>=1<=200 from_name!>=1<=100 from_email!:email<=80
        reply_to_email!:email<=80 email_content!>=1<=930000 text_content!>=1<=930000
        email_content_format:HTML|XHTML greeting_name:FIRST_NAME|LAST_NAME|FIRST_AND_LAST_NAME|NONE
    CampaignSummary: id!:id name status modified_date:date
    Schedule: id!:id scheduled_date:date
    ScheduleWrite: scheduled_date:date
    TestSend: email_addresses!:email[]>=1<=5 format!:HTML|TEXT|HTML_AND_TEXT personal_message
    CampaignPreview: subject from_email reply_to_email preview_email_content preview_text_content
    """
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
        **utc_stamps(
            created_date=campaign.created,
            modified_date=campaign.modified,
            last_run_date=campaign.last_run,
            next_run_date=campaign.next_run(),
        ),
    }


def _show_summary(campaign: Campaign) -> dict[str, Any]:
    dates = {"modified_date": utc_stamp(campaign.modified)}
    return {**picked(campaign, "id name"), "status": _status(campaign), **dates}


def _campaign(call: Call) -> Campaign:
    return call.world.campaigns.campaign(call.ids["campaignId"])


@OPERATIONS.add(
    "GET",
    _CAMPAIGNS,
    "CampaignSummary page",
    codes=READ,
    query=f"limit:int>=1<=50=50 modified_since:date status:ALL|{'|'.join(_STATUSES)}=ALL",
)
def campaigns_list(call: Call) -> dict[str, Any]:
    """List campaigns by status. Deleted ones are listed only on request."""
    wanted = call.query["status"]

    def chosen(campaign: Campaign) -> bool:
        status = _status(campaign)
        return status == wanted or (wanted == "ALL" and status != "DELETED")

    rows = modified_since(call, filter(chosen, call.world.campaigns.campaigns.values()))
    return page(call, sorted(rows, key=_order), _show_summary)


@OPERATIONS.add("POST", _CAMPAIGNS, "Campaign", body="CampaignWrite")
def campaign_create(call: Call) -> APIResponse:
    """Create a draft.

    Its name must be unique. `from_email` and `reply_to_email` must be confirmed addresses of the
    account, and its lists must exist. `permission_reminder_text` is required with
    `is_permission_reminder_enabled`, and the two texts of the web page with
    `is_view_as_webpage_enabled`.
    """
    return call.created(_show(call, call.world.campaigns.create(call.body, call.now)))


@OPERATIONS.add("GET", _CAMPAIGN, "Campaign", query="updateSummary:bool=false")
def campaign_get(call: Call) -> dict[str, Any]:
    """Return one campaign."""
    return _show(call, _campaign(call))


@OPERATIONS.add("PUT", _CAMPAIGN, "Campaign", also=(409,), body="CampaignWrite")
def campaign_update(call: Call) -> dict[str, Any]:
    """Replace a campaign. Missing fields are erased.

    The rules for a new campaign apply. One that is SCHEDULED or RUNNING cannot be changed.
    """
    campaigns, campaign_id = call.world.campaigns, call.ids["campaignId"]
    return _show(call, campaigns.change(campaign_id, call.body, call.now))


@OPERATIONS.add("DELETE", _CAMPAIGN, also=(409,))
def campaign_delete(call: Call) -> None:
    """Delete a campaign. It can still be listed by that status.

    One that is SCHEDULED or RUNNING cannot be deleted.
    """
    call.world.campaigns.delete(call.ids["campaignId"], call.now)


@OPERATIONS.add("GET", f"{_CAMPAIGN}/preview", "CampaignPreview", also=(400,))
def campaign_preview(call: Call) -> dict[str, Any]:
    """Return a campaign as its recipients see it.

    A campaign in XHTML cannot be previewed.
    """
    given = _campaign(call).fields
    if given.get("email_content_format") == "XHTML":
        raise Refusal(400, "A campaign in XHTML cannot be previewed.")
    return {
        **{name: given[name] for name in ("subject", "from_email", "reply_to_email")},
        "preview_email_content": given["email_content"],
        "preview_text_content": given["text_content"],
    }


@OPERATIONS.add("POST", f"{_CAMPAIGN}/tests", "TestSend", codes=UPDATE, body="TestSend")
def campaign_test_send(call: Call) -> dict[str, Any]:
    """Send a campaign to a few addresses as a test.

    The campaign must not be RUNNING. At most 50 addresses per day may be unconfirmed.
    """
    campaign, addresses = _campaign(call), call.body["email_addresses"]
    for email in addresses:
        check_address(email)
    call.world.campaigns.test_send(campaign.id, addresses, call.now)
    return dict(call.body)


def _show_schedule(schedule_id: str, moment: float) -> dict[str, Any]:
    return {"id": schedule_id, "scheduled_date": utc_stamp(moment)}


@OPERATIONS.add("GET", _SCHEDULES, "Schedule[]")
def schedules_list(call: Call) -> list[dict[str, Any]]:
    """List the schedules of a campaign."""
    return [_show_schedule(*row) for row in _campaign(call).schedules.items()]


@OPERATIONS.add("POST", _SCHEDULES, "Schedule", also=(404,), body="ScheduleWrite")
def schedule_create(call: Call) -> APIResponse:
    """Schedule a campaign. Without a date it is sent in the next window.

    The campaign must be a DRAFT or SENT, and have at least one list. The date must not be in the
    past.
    """
    campaigns, campaign_id = call.world.campaigns, call.ids["campaignId"]
    date = call.body.get("scheduled_date")
    at = None if date is None else read_stamp(date)
    return call.created(_show_schedule(*campaigns.schedule(campaign_id, at, call.now)))


@OPERATIONS.add("GET", _SCHEDULE, "Schedule")
def schedule_get(call: Call) -> dict[str, Any]:
    """Return one schedule."""
    schedule_id = call.ids["scheduleId"]
    moment = call.world.campaigns.schedule_of(call.ids["campaignId"], schedule_id)
    return _show_schedule(schedule_id, moment)


@OPERATIONS.add("PUT", _SCHEDULE, "Schedule", body="ScheduleWrite")
def schedule_update(call: Call) -> dict[str, Any]:
    """Change the date of a schedule.

    The date is required, and must not be in the past.
    """
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
