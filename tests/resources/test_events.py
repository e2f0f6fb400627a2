from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors, models
from tests.contract import samples

if TYPE_CHECKING:
    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear
    from tests.contract.stock import Stock

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("status", ["ACTIVE", "active", models.EventStatus.ACTIVE])
async def test_row_42_an_event_is_published_with_the_patch_of_the_service(
    client: ConstantContact, stock: Stock, ear: Ear, status: str
) -> None:
    event_id = await stock.id("eventId")
    event = await client.events.set_status(event_id, status)
    assert ear.requests[-1] == f"PATCH /eventspot/events/{event_id}"
    assert ear.sent == [{"op": "REPLACE", "path": "#/status", "value": "ACTIVE"}]
    assert event.status is models.EventStatus.ACTIVE


async def test_an_event_is_published_and_cancelled_by_name(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    event_id = await stock.id("eventId")
    assert (await client.events.get(event_id)).status is models.EventStatus.DRAFT
    assert (await client.events.publish(event_id)).active_date is not None
    cancelled = await client.events.cancel(event_id)
    assert cancelled.status is models.EventStatus.CANCELLED
    assert ear.sent == [{"op": "REPLACE", "path": "#/status", "value": "CANCELLED"}]


@pytest.mark.parametrize("status", ["DRAFT", "COMPLETE", "DELETED", "OPEN"])
async def test_no_other_event_status_can_be_set(
    client: ConstantContact, ear: Ear, status: str
) -> None:
    with pytest.raises(errors.InvalidField, match="one of ACTIVE, CANCELLED"):
        await client.events.set_status("7", status)
    assert ear.calls == []


async def test_a_lost_response_to_publish_is_retried(
    client: ConstantContact, stock: Stock, sandbox: Sandbox
) -> None:
    event_id = await stock.id("eventId")
    sandbox.admin.fault("reset", method="PATCH", after_bytes=5)
    assert (await client.events.publish(event_id)).status is models.EventStatus.ACTIVE
    assert len(sandbox.admin.requests("PATCH")) == 2


async def test_a_listing_has_summaries_and_get_has_the_rest(
    client: ConstantContact, stock: Stock
) -> None:
    event_id = await stock.id("eventId")
    (row,) = await client.events.all().collect()
    assert (row.id, row.name, row.title) == (event_id, "Bread day", "An evening of cake")
    event = await client.events.get(event_id)
    assert event.track_information is not None
    assert event.track_information.guest_limit == 3


async def test_row_46_changing_one_field_keeps_the_others(
    client: ConstantContact, stock: Stock
) -> None:
    event_id = await stock.id("eventId")
    before = await client.events.get(event_id)
    after = await client.events.update(event_id, title="A night of cake")
    assert after == attrs.evolve(before, title="A night of cake", updated_date=after.updated_date)


async def test_row_46_a_replacement_erases_fields_it_leaves_out(
    client: ConstantContact, stock: Stock
) -> None:
    replaced = await client.events.replace(samples.event(await stock.id("eventId")))
    assert replaced.address is None
    assert replaced.payment_options == ()


async def test_the_status_of_an_event_cannot_be_changed_by_an_update(
    client: ConstantContact, ear: Ear
) -> None:
    with pytest.raises(errors.InvalidField, match="cannot be changed"):
        await client.events.update("7", status="ACTIVE")  # type: ignore[call-arg]  # the mistake
    assert ear.calls == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "BREAKFAST"}, "type"),
        ({"contact": models.EventContact()}, "contact.name"),
        ({"payment_options": ("CHECK",)}, "payable_to"),
        ({"payment_options": ("PAYPAL",)}, "paypal_account_email"),
        ({"is_virtual_event": True}, "online_meeting"),
        ({"currency_type": "XXX"}, "currency_type"),
        (
            {"track_information": models.TrackInformation(guest_limit=101)},
            "track_information.guest_limit",
        ),
    ],
)
async def test_invalid_values_are_refused_before_sending(
    client: ConstantContact, ear: Ear, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.events.create(attrs.evolve(samples.new_event("Tasting"), **changes))
    assert caught.value.field == field
    assert ear.calls == []


@pytest.mark.parametrize("scope", ["REGISTRANT", "registrant", "REGISTRANTS"])
async def test_row_38_registrants_is_sent_for_either_spelling(
    client: ConstantContact, stock: Stock, ear: Ear, scope: str
) -> None:
    event_id = await stock.id("eventId")
    fee = await client.events.create_fee(event_id, models.FeeWrite("Dinner", 20.0, scope))
    assert ear.sent["fee_scope"] == "REGISTRANTS"
    await client.events.update_fee(event_id, fee.id, fee_scope=scope)
    assert ear.sent["fee_scope"] == "REGISTRANTS"


async def test_row_38_a_fee_with_the_other_spelling_is_sent_back_with_ours(
    client: ConstantContact, sandbox: Sandbox, ear: Ear
) -> None:
    row = {"id": "7", "label": "Dinner", "fee": 20.0, "fee_scope": "REGISTRANT"}
    for _ in range(2):
        sandbox.admin.fault("answer", status=200, headers=JSON, body=json.dumps(row))
    fee = await client.events.update_fee("1", "7", label="Supper")
    assert fee.fee_scope is models.FeeScope.REGISTRANT
    assert ear.sent["fee_scope"] == "REGISTRANTS"


async def test_fees_are_created_changed_and_deleted(client: ConstantContact, stock: Stock) -> None:
    await stock.bring(["feeId"])
    event_id, fee_id = stock["eventId"], stock["feeId"]
    assert len(await client.events.fees(event_id)) == 2
    changed = await client.events.update_fee(event_id, fee_id, fee=30.0, early_fee=None)
    assert (changed.fee, changed.early_fee, changed.label) == (30.0, None, "Dinner")
    await client.events.delete_fee(event_id, fee_id)
    with pytest.raises(errors.NotFound):
        await client.events.get_fee(event_id, fee_id)


async def test_the_last_fee_of_an_event_cannot_be_deleted(
    client: ConstantContact, stock: Stock
) -> None:
    event_id = await stock.id("eventId")
    fee = await client.events.create_fee(event_id, samples.new_fee("Dinner"))
    with pytest.raises(errors.APIError):
        await client.events.delete_fee(event_id, fee.id)


async def test_row_41_an_item_with_attributes_has_no_quantity_of_its_own(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["itemId"])
    item = await client.events.get_item(stock["eventId"], stock["itemId"])
    assert item.default_quantity_available == 10
    await stock.bring(["attributeId"])
    item = await client.events.get_item(stock["eventId"], stock["itemId"])
    assert item.default_quantity_available is None
    assert item.default_quantity_total == 4
    assert [attribute.id for attribute in item.attributes] == [stock["attributeId"]]


async def test_row_39_an_attribute_is_changed_at_its_own_url(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    await stock.bring(["attributeId"])
    at = stock["eventId"], stock["itemId"], stock["attributeId"]
    changed = await client.events.update_item_attribute(*at, quantity_total=9)
    assert (changed.name, changed.quantity_total) == ("Small", 9)
    assert ear.calls[-1].path == "/eventspot/events/{}/items/{}/attributes/{}".format(*at)


async def test_updating_an_item_keeps_its_other_fields(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["itemId"])
    changed = await client.events.update_item(stock["eventId"], stock["itemId"], price=0.0)
    assert (changed.price, changed.name, changed.per_registrant_limit) == (0.0, "Apron", 2)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price": -1.0}, "price"),
        ({"name": ""}, "name"),
        ({"per_registrant_limit": -1}, "per_registrant_limit"),
        ({"description": "x" * 2049}, "description"),
        ({"show_quantity_available": None}, "show_quantity_available"),
    ],
)
async def test_an_invalid_item_update_makes_no_call(
    client: ConstantContact, ear: Ear, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.events.update_item("1", "2", **changes)
    assert caught.value.field == field
    assert ear.calls == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code_name": "ABC"}, "code_name"),
        ({"code_name": "HALF OFF"}, "code_name"),
        ({"discount_percent": 0}, "discount_percent"),
        ({"discount_percent": 101}, "discount_percent"),
        ({"discount_scope": None}, "discount_scope"),
        ({"code_type": "ACCESS"}, "fee_ids"),
        ({"quantity_total": -2}, "quantity_total"),
    ],
)
async def test_an_invalid_promotion_code_is_not_sent(
    client: ConstantContact, ear: Ear, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidField) as caught:
        await client.events.create_promocode(
            "1", attrs.evolve(samples.new_promocode("CAKE"), **changes)
        )
    assert caught.value.field == field
    assert ear.calls == []


async def test_a_promotion_code_without_a_limit_is_minus_one(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["promocodeId"])
    (code,) = await client.events.promocodes(stock["eventId"])
    assert (code.quantity_total, code.quantity_available) == (-1, -1)
    paused = await client.events.update_promocode(stock["eventId"], code.id, is_paused=True)
    assert paused.status is models.PromocodeStatus.PAUSED
    assert paused.discount_percent == 10


async def test_ids_of_43_characters_are_sent_in_full(
    client: ConstantContact, stock: Stock, ear: Ear
) -> None:
    await stock.bring(["promocodeId"])
    assert len(stock["promocodeId"]) == 43
    await client.events.get_promocode(stock["eventId"], stock["promocodeId"])
    assert ear.calls[-1].path.endswith("/" + stock["promocodeId"])


async def test_registrants_of_a_published_event_can_be_read(
    client: ConstantContact, stock: Stock
) -> None:
    await stock.bring(["feeId", "registrantId"])
    async for row in client.events.registrants(stock["eventId"]):
        detail = await client.events.get_registrant(stock["eventId"], row.id)
        assert detail.ticket_id == row.ticket_id
        assert detail.payment_summary is not None
        assert detail.payment_summary.order is not None
        assert detail.payment_summary.order.total == 20.0


@pytest.mark.parametrize("key", ["guest_info", "guests_info", "guest_sections"])
async def test_row_40_guests_are_read_under_every_name(
    client: ConstantContact, sandbox: Sandbox, key: str
) -> None:
    row = {"id": "7", "guests": {"guest_count": 1, key: [{"guest_id": "9"}]}}
    sandbox.admin.fault("answer", status=200, headers=JSON, body=json.dumps(row))
    detail = await client.events.get_registrant("1", "7")
    assert detail.guests is not None
    assert [guest.guest_id for guest in detail.guests.guest_info] == ["9"]


async def test_pages_of_events_have_1_to_50_rows_and_pages_of_registrants_any_number(
    client: ConstantContact,
) -> None:
    with pytest.raises(errors.InvalidField, match="from 1 to 50"):
        client.events.all(limit=51)
    client.events.registrants("7", limit=5000)
    with pytest.raises(errors.InvalidField, match="1 or more"):
        client.events.registrants("7", limit=0)
