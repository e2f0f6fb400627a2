from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors, models
from tests.contract import samples
from tests.contract.samples import LATER, OWNER

if TYPE_CHECKING:
    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.contract.stock import Stock

JSON = {"content-type": "application/json"}


async def test_row_47_a_listing_has_four_fields_per_campaign_and_get_has_the_rest(
    client: ConstantContact, stock: Stock
) -> None:
    campaign_id = await stock.id("campaignId")
    row = await client.campaigns.all().first()
    assert row is not None
    assert (row.id, row.name, row.status) == (campaign_id, "Winter menu", "DRAFT")
    assert (await client.campaigns.get(campaign_id)).subject == "What we bake in spring"


async def test_row_32_a_page_holds_50_campaigns_at_most(client: ConstantContact) -> None:
    client.campaigns.all(limit=50)
    with pytest.raises(errors.InvalidField, match="from 1 to 50"):
        client.campaigns.all(limit=51)


@pytest.mark.parametrize("status", ["PENDING", "ARCHIVED", "LOST"])
async def test_a_status_that_cannot_be_filtered_by_is_refused(
    client: ConstantContact, status: str
) -> None:
    with pytest.raises(errors.InvalidField, match="one of ALL, DRAFT, RUNNING"):
        client.campaigns.all(status=status)


async def test_row_35_the_summary_is_refreshed_by_a_parameter_in_camel_case(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    campaign_id = await stock.id("campaignId")
    await client.campaigns.get(campaign_id, update_summary=True)
    await client.campaigns.get(campaign_id)
    assert [call.query for call in ear.calls[-2:]] == [(("updateSummary", "true"),), ()]


async def test_a_missing_footer_is_left_out_instead_of_null(
    client: ConstantContact, ear: Ear
) -> None:
    made = await client.campaigns.create(samples.new_campaign("Winter"))
    assert "message_footer" not in ear.sent
    await client.campaigns.update(made.id, subject="Snow")
    assert "message_footer" not in ear.sent


async def test_a_footer_survives_a_change_of_another_field(
    client: ConstantContact,
) -> None:
    foot = models.MessageFooter(organization_name="Bakery", city="Salem", country="US")
    written = attrs.evolve(samples.new_campaign("Winter"), message_footer=foot)
    made = await client.campaigns.create(written)
    changed = await client.campaigns.update(made.id, subject="Snow")
    assert changed.message_footer == foot
    assert changed.email_content == written.email_content
    without = await client.campaigns.update(made.id, message_footer=None)
    assert without.message_footer is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": "x" * 201}, "subject"),
        ({"name": "x" * 81}, "name"),
        ({"from_email": "x" * 81}, "from_email"),
        ({"email_content_format": "PDF"}, "email_content_format"),
        ({"greeting_name": "NICKNAME"}, "greeting_name"),
        ({"is_permission_reminder_enabled": True}, "permission_reminder_text"),
        ({"is_view_as_webpage_enabled": True}, "view_as_web_page_text"),
    ],
)
async def test_invalid_values_are_refused_before_sending(
    client: ConstantContact, ear: Ear, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.campaigns.create(attrs.evolve(samples.new_campaign("Winter"), **changes))
    assert caught.value.field == field
    assert ear.calls == []


async def test_a_second_campaign_with_the_same_name_is_a_conflict(client: ConstantContact) -> None:
    await client.campaigns.create(samples.new_campaign("Winter"))
    with pytest.raises(errors.Conflict):
        await client.campaigns.create(samples.new_campaign("Winter"))


async def test_a_deleted_campaign_is_not_found_but_listed_on_request(
    client: ConstantContact, stock: Stock
) -> None:
    campaign_id = await stock.id("campaignId")
    await client.campaigns.delete(campaign_id)
    with pytest.raises(errors.NotFound):
        await client.campaigns.get(campaign_id)
    assert await client.campaigns.all().collect() == []
    assert [row.id async for row in client.campaigns.all(status="deleted")] == [campaign_id]


async def test_a_campaign_goes_from_draft_to_scheduled_to_sent(
    client: ConstantContact, stock: Stock, sandbox: Sandbox
) -> None:
    await stock.bring(["contactId"])
    campaign_id = await stock.id("campaignId")
    at = datetime.fromtimestamp(sandbox.admin.time() + 3600, UTC)
    await client.campaigns.create_schedule(campaign_id, at)
    assert (await client.campaigns.get(campaign_id)).status == "SCHEDULED"
    sandbox.admin.advance(3700)
    assert (await client.campaigns.get(campaign_id)).status == "SENT"
    assert (await client.tracking.campaign_summary(campaign_id)).sends == 1


async def test_a_campaign_is_sent_now_only_on_request(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    campaign_id = await stock.id("campaignId")
    with pytest.raises(TypeError):
        await client.campaigns.create_schedule(campaign_id)  # type: ignore[call-arg]  # the mistake
    await client.campaigns.create_schedule(campaign_id, None)
    assert ear.sent == {}


async def test_a_schedule_can_be_changed_only_to_a_date(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    await stock.bring(["scheduleId"])
    east = LATER.replace(tzinfo=timezone(timedelta(hours=-5)))
    at = stock["campaignId"], stock["scheduleId"]
    changed = await client.campaigns.update_schedule(*at, east)
    assert changed.scheduled_date == east
    assert ear.sent == {"scheduled_date": "2099-05-01T17:00:00.000Z"}
    ear.calls.clear()
    with pytest.raises(errors.InvalidField, match="requires"):
        await client.campaigns.update_schedule(*at, None)  # type: ignore[arg-type]  # the mistake
    assert ear.calls == []


async def test_an_unscheduled_campaign_is_a_draft_again(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["scheduleId"])
    (schedule,) = await client.campaigns.schedules(stock["campaignId"])
    assert schedule == await client.campaigns.get_schedule(stock["campaignId"], schedule.id)
    await client.campaigns.delete_schedule(stock["campaignId"], schedule.id)
    assert (await client.campaigns.get(stock["campaignId"])).status == "DRAFT"


async def test_a_lost_response_to_a_schedule_never_sends_the_campaign_twice(
    client: ConstantContact, stock: Stock, sandbox: Sandbox
) -> None:
    campaign_id = await stock.id("campaignId")
    sandbox.admin.fault("lose_response", method="POST", path="*/schedules")
    with pytest.raises(errors.OutcomeUnknown):
        await client.campaigns.create_schedule(campaign_id, LATER)
    assert len(sandbox.admin.requests("POST", "*/schedules")) == 1
    assert len(await client.campaigns.schedules(campaign_id)) == 1


async def test_row_30_the_id_of_a_schedule_may_be_a_number(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", status=200, headers=JSON, body=json.dumps([{"id": 1}]))
    (schedule,) = await client.campaigns.schedules("7")
    assert schedule.id == "1"


async def test_row_34_a_test_uses_the_plural_name_for_addresses(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    campaign_id = await stock.id("campaignId")
    sent = await client.campaigns.send_test(campaign_id, OWNER, format="html_and_text")
    assert ear.sent == {"email_addresses": [OWNER], "format": "HTML_AND_TEXT"}
    assert sent.email_addresses == (OWNER,)


@pytest.mark.parametrize("count", [0, 6])
async def test_a_test_goes_to_one_to_five_addresses(
    client: ConstantContact, ear: Ear, count: int
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.campaigns.send_test("7", [OWNER] * count)
    assert caught.value.field == "email_addresses"
    assert ear.calls == []


async def test_a_preview_shows_what_readers_will_see(client: ConstantContact, stock: Stock) -> None:
    campaign_id = await stock.id("campaignId")
    campaign = await client.campaigns.get(campaign_id)
    preview = await client.campaigns.preview(campaign_id)
    assert preview.preview_email_content == campaign.email_content
    assert preview.subject == campaign.subject
