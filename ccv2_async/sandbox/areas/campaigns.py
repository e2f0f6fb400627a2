"""The twelve operations of email campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.rows import (
    CREATE,
    CREATE_BELOW,
    DELETE_ONE,
    READ,
    READ_ONE,
    SINCE,
    UPDATE,
    UPDATE_SUMMARY,
    limit,
    modified_since,
)
from ccv2_async.sandbox.areas.tracking import tracking_summary
from ccv2_async.sandbox.clock import read_stamp, utc_stamp
from ccv2_async.sandbox.fields import Field
from ccv2_async.sandbox.operations import Answer, JsonBody, Operation, Shape
from ccv2_async.sandbox.paging import page
from ccv2_async.sandbox.problems import Refusal, absent_field
from ccv2_async.sandbox.schemas import campaigns as schemas
from ccv2_async.sandbox.state.contacts import address_problem, is_address
from ccv2_async.sandbox.state.tracking import CLICK

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.campaigns import Campaign

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
        deed.link.uid
        for deed in call.world.campaigns.tracking.by_campaign.get(campaign.id, [])
        if deed.kind == CLICK and deed.link is not None
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


def campaigns_list(call: Call) -> Answer:
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


def campaign_create(call: Call) -> Answer:
    """Create a draft."""
    made = call.world.campaigns.create(call.body, call.now)
    location = call.url(f"/emailmarketing/campaigns/{made.id}")
    return Answer(201, _show(call, made), {"Location": location})


def campaign_get(call: Call) -> Answer:
    """Return one campaign."""
    return Answer(200, _show(call, call.world.campaigns.campaign(call.ids["campaignId"])))


def campaign_update(call: Call) -> Answer:
    """Replace a campaign. Missing fields are erased."""
    changed = call.world.campaigns.change(call.ids["campaignId"], call.body, call.now)
    return Answer(200, _show(call, changed))


def campaign_delete(call: Call) -> Answer:
    """Delete a campaign. It can still be listed by that status."""
    call.world.campaigns.delete(call.ids["campaignId"], call.now)
    return Answer(204)


def campaign_preview(call: Call) -> Answer:
    """Return a campaign as its readers see it."""
    fields = call.world.campaigns.campaign(call.ids["campaignId"]).fields
    _refuse_xhtml(fields)
    body = {
        "subject": fields["subject"],
        "from_email": fields["from_email"],
        "reply_to_email": fields["reply_to_email"],
        "preview_email_content": fields["email_content"],
        "preview_text_content": fields["text_content"],
    }
    return Answer(200, body)


def _refuse_xhtml(fields: dict[str, Any]) -> None:
    if fields.get("email_content_format") == "XHTML":
        raise Refusal(400, "A campaign in XHTML cannot be previewed.")


def campaign_test_send(call: Call) -> Answer:
    """Send a campaign to a few addresses as a test."""
    campaigns, addresses = call.world.campaigns, call.body["email_addresses"]
    campaigns.campaign(call.ids["campaignId"])
    for email in addresses:
        if not is_address(email):
            raise address_problem(email)
    campaigns.test_send(call.ids["campaignId"], addresses, call.now)
    return Answer(200, call.body)


def _show_schedule(schedule_id: str, moment: float) -> dict[str, Any]:
    return {"id": schedule_id, "scheduled_date": utc_stamp(moment)}


def schedules_list(call: Call) -> Answer:
    """List the schedules of a campaign."""
    schedules = call.world.campaigns.campaign(call.ids["campaignId"]).schedules
    return Answer(200, [_show_schedule(*row) for row in schedules.items()])


def schedule_create(call: Call) -> Answer:
    """Schedule a campaign. Without a date it is sent in the next window."""
    campaigns, campaign_id = call.world.campaigns, call.ids["campaignId"]
    date = call.body.get("scheduled_date")
    at = None if date is None else read_stamp(date)
    schedule_id = campaigns.schedule(campaign_id, at, call.now)
    row = _show_schedule(schedule_id, campaigns.schedule_of(campaign_id, schedule_id))
    location = call.url(f"/emailmarketing/campaigns/{campaign_id}/schedules/{schedule_id}")
    return Answer(201, row, {"Location": location})


def schedule_get(call: Call) -> Answer:
    """Return one schedule."""
    schedule_id = call.ids["scheduleId"]
    moment = call.world.campaigns.schedule_of(call.ids["campaignId"], schedule_id)
    return Answer(200, _show_schedule(schedule_id, moment))


def schedule_update(call: Call) -> Answer:
    """Change the date of a schedule."""
    schedule_id, date = call.ids["scheduleId"], call.body.get("scheduled_date")
    campaigns = call.world.campaigns
    campaigns.schedule_of(call.ids["campaignId"], schedule_id)
    if date is None:
        raise absent_field("scheduled_date")
    campaigns.reschedule(call.ids["campaignId"], schedule_id, read_stamp(date), call.now)
    return schedule_get(call)


def schedule_delete(call: Call) -> Answer:
    """Delete a schedule."""
    call.world.campaigns.unschedule(call.ids["campaignId"], call.ids["scheduleId"])
    return Answer(204)


_CAMPAIGNS = "/emailmarketing/campaigns"
_CAMPAIGN = f"{_CAMPAIGNS}/{{campaignId}}"
_SCHEDULE = f"{_CAMPAIGN}/schedules/{{scheduleId}}"
_ONE = Shape("one", schemas.CAMPAIGN)
_ONE_SCHEDULE = Shape("one", schemas.SCHEDULE)
_WRITE = JsonBody.of(schemas.CAMPAIGN_WRITE)
_WRITE_SCHEDULE = JsonBody.of(schemas.SCHEDULE_WRITE)

OPERATIONS = (
    Operation(
        "campaigns_list",
        "GET",
        _CAMPAIGNS,
        campaigns_list,
        READ,
        Shape("page", schemas.CAMPAIGN_SUMMARY),
        query={
            "limit": limit(50, 50),
            "modified_since": SINCE,
            "status": (Field("string", allowed=("ALL", *_STATUSES)), "ALL"),
        },
    ),
    Operation("campaign_create", "POST", _CAMPAIGNS, campaign_create, CREATE, _ONE, body=_WRITE),
    Operation(
        "campaign_get",
        "GET",
        _CAMPAIGN,
        campaign_get,
        READ_ONE,
        _ONE,
        query={"updateSummary": UPDATE_SUMMARY},
    ),
    Operation(
        "campaign_update", "PUT", _CAMPAIGN, campaign_update, (*UPDATE, 409), _ONE, body=_WRITE
    ),
    Operation("campaign_delete", "DELETE", _CAMPAIGN, campaign_delete, (*DELETE_ONE, 409)),
    Operation(
        "campaign_preview",
        "GET",
        f"{_CAMPAIGN}/preview",
        campaign_preview,
        (*READ_ONE, 400),
        Shape("one", schemas.CAMPAIGN_PREVIEW),
    ),
    Operation(
        "campaign_test_send",
        "POST",
        f"{_CAMPAIGN}/tests",
        campaign_test_send,
        UPDATE,
        Shape("one", schemas.TEST_SEND),
        body=JsonBody.of(schemas.TEST_SEND),
    ),
    Operation(
        "schedules_list",
        "GET",
        f"{_CAMPAIGN}/schedules",
        schedules_list,
        READ_ONE,
        Shape("array", schemas.SCHEDULE),
    ),
    Operation(
        "schedule_create",
        "POST",
        f"{_CAMPAIGN}/schedules",
        schedule_create,
        CREATE_BELOW,
        _ONE_SCHEDULE,
        body=_WRITE_SCHEDULE,
    ),
    Operation("schedule_get", "GET", _SCHEDULE, schedule_get, READ_ONE, _ONE_SCHEDULE),
    Operation(
        "schedule_update",
        "PUT",
        _SCHEDULE,
        schedule_update,
        UPDATE,
        _ONE_SCHEDULE,
        body=_WRITE_SCHEDULE,
    ),
    Operation("schedule_delete", "DELETE", _SCHEDULE, schedule_delete, DELETE_ONE),
)
