from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from tests.contract import samples

if TYPE_CHECKING:
    from ccv2_async import ConstantContact, models
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.contract.stock import Stock

JSON = {"content-type": "application/json"}
REPORTS = ("sends", "opens", "clicks", "forwards", "bounces", "unsubscribes")


@pytest.fixture
async def sent(client: ConstantContact, stock: Stock) -> models.Campaign:
    """A campaign that went to a few readers."""
    list_id = await stock.id("listId")
    for number in range(12):
        written = samples.new_contact(f"reader{number}@example.com", list_id)
        await client.contacts.create(written)
    campaign_id = await stock.id("campaignId")
    await client.campaigns.create_schedule(campaign_id, None)
    return await client.campaigns.get(campaign_id)


async def test_the_summary_agrees_with_the_reports(
    client: ConstantContact, sent: models.Campaign
) -> None:
    summary = await client.tracking.campaign_summary(sent.id)
    assert summary.sends == 12
    for name in REPORTS:
        rows = await getattr(client.tracking, f"campaign_{name}")(sent.id).collect()
        assert getattr(summary, name) == len(rows), name


async def test_the_report_of_all_activity_contains_the_others(
    client: ConstantContact, sent: models.Campaign
) -> None:
    counts = Counter(
        [row.activity_type async for row in client.tracking.campaign_activities(sent.id)]
    )
    for name in REPORTS:
        rows = await getattr(client.tracking, f"campaign_{name}")(sent.id).collect()
        assert counts[f"EMAIL_{name.upper().removesuffix('S')}"] == len(rows), name


async def test_contact_reports_add_up_to_the_campaign_report(
    client: ConstantContact, sent: models.Campaign
) -> None:
    opens = 0
    async for send in client.tracking.campaign_sends(sent.id):
        summary = await client.tracking.contact_summary(str(send.contact_id))
        opens += summary.opens or 0
        for row in await client.tracking.contact_summary_by_campaign(str(send.contact_id)):
            assert (row.campaign_id, row.opens) == (sent.id, summary.opens)
    assert opens == (await client.tracking.campaign_summary(sent.id)).opens


async def test_clicks_can_be_filtered_by_link(
    client: ConstantContact, sent: models.Campaign
) -> None:
    (link,) = sent.click_through_details
    every = await client.tracking.campaign_clicks(sent.id).collect()
    on_link = await client.tracking.campaign_link_clicks(sent.id, str(link.url_uid)).collect()
    assert on_link == every != []
    reader = str(every[0].contact_id)
    of_reader = await client.tracking.contact_link_clicks(reader, str(link.url_uid)).collect()
    assert {(row.link_uri, row.contact_id) for row in of_reader} == {(link.url, reader)}


async def test_a_report_starts_at_the_requested_date(
    client: ConstantContact, sent: models.Campaign, sandbox: Sandbox
) -> None:
    later = datetime.fromtimestamp(sandbox.admin.time(), UTC) + timedelta(hours=1)
    assert await client.tracking.campaign_sends(sent.id, created_since=later).collect() == []


async def test_row_35_camel_case_parameter_names_are_sent_unchanged(
    client: ConstantContact, sent: models.Campaign, ear: Ear
) -> None:
    reader = await client.tracking.campaign_sends(sent.id).first()
    assert reader is not None
    await client.tracking.campaign_summary(sent.id, update_summary=True)
    assert ear.calls[-1].query == (("updateSummary", "true"),)
    await client.tracking.contact_summary_by_campaign(str(reader.contact_id))
    assert ear.calls[-1].path.endswith("/reports/summaryByCampaign")


@pytest.mark.parametrize("campaign_id", [1100394165290, "1100394165290"])
async def test_row_30_the_campaign_id_of_a_row_is_always_text(
    client: ConstantContact, sandbox: Sandbox, campaign_id: object
) -> None:
    rows = [{"activity_type": "EMAIL_OPEN", "campaign_id": campaign_id, "contact_id": 7}]
    body = json.dumps({"meta": {"pagination": {}}, "results": rows})
    sandbox.admin.fault("answer", status=200, headers=JSON, body=body)
    row = await client.tracking.campaign_opens("1100394165290").first()
    assert row is not None
    assert (row.campaign_id, row.contact_id) == ("1100394165290", "7")


async def test_unknown_activity_types_and_codes_are_accepted(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    rows = [{"activity_type": "EMAIL_ARCHIVE", "bounce_code": "Q"}]
    body = json.dumps({"meta": {"pagination": {}}, "results": rows})
    sandbox.admin.fault("answer", status=200, headers=JSON, body=body)
    row = await client.tracking.campaign_activities("7").first()
    assert row is not None
    assert (row.activity_type, row.bounce_code) == ("EMAIL_ARCHIVE", "Q")


@pytest.mark.parametrize("subject", ["campaign", "contact"])
@pytest.mark.parametrize("name", [*REPORTS, "activities"])
async def test_page_sizes_are_1_to_500(
    client: ConstantContact, ear: Ear, subject: str, name: str
) -> None:
    report: Any = getattr(client.tracking, f"{subject}_{name}")
    for limit in (0, 501):
        with pytest.raises(errors.InvalidField, match="from 1 to 500"):
            report("7", limit=limit)
    assert ear.calls == []
