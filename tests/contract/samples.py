"""Sample resources, for the contract and for other tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccv2_async import models

FILES = Path(__file__).parent / "files"
SINCE = datetime(2013, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
LATER = datetime(2099, 5, 1, 12, 0, tzinfo=UTC)
OWNER = "owner@example.com"


def new_contact(email: str, *list_ids: str) -> models.ContactWrite:
    return models.ContactWrite(
        email_addresses=(models.EmailAddress(email),),
        lists=tuple(models.ContactListRef(list_id) for list_id in list_ids),
        first_name="Ann",
        last_name="Miller",
        addresses=(models.Address(address_type="PERSONAL", line1="1 Main Street", city="Salem"),),
        custom_fields=(models.CustomField("CustomField1", "likes cake"),),
    )


def contact(contact_id: str, *list_ids: str) -> models.Contact:
    return models.Contact(
        contact_id,
        email_addresses=(models.EmailAddress("ann@example.com"),),
        lists=tuple(models.ContactListRef(list_id) for list_id in list_ids),
        first_name="Anna",
    )


def new_campaign(name: str, *list_ids: str) -> models.CampaignWrite:
    return models.CampaignWrite(
        name=name,
        subject="What we bake in spring",
        from_name="Sandbox Bakery",
        from_email=OWNER,
        reply_to_email=OWNER,
        email_content='<html><body><a href="https://www.example.com/menu">Menu</a></body></html>',
        text_content="<text>Menu: https://www.example.com/menu</text>",
        email_content_format="HTML",
        sent_to_contact_lists=tuple(models.SentToContactList(list_id) for list_id in list_ids),
    )


def campaign(campaign_id: str) -> models.Campaign:
    return models.Campaign(
        campaign_id,
        name="Summer menu",
        subject="What we bake in summer",
        from_name="Sandbox Bakery",
        from_email=OWNER,
        reply_to_email=OWNER,
        email_content="<html><body>Ice</body></html>",
        text_content="<text>Ice</text>",
    )


def new_event(name: str) -> models.EventWrite:
    return models.EventWrite(
        name=name,
        title="An evening of cake",
        type="FOOD_WINE",
        start_date=LATER,
        end_date=LATER + timedelta(hours=3),
        time_zone_id="US/Eastern",
        contact=models.EventContact("Ann Miller", email_address=OWNER),
        location="The bakery",
        address=models.EventAddress(line1="1 Main Street", city="Salem", country_code="US"),
        payment_options=("DOOR",),
        track_information=models.TrackInformation(guest_limit=3, information_sections=("TIME",)),
    )


def event(event_id: str) -> models.Event:
    return models.Event(
        event_id,
        name="Tasting, new",
        title="A night of cake",
        type="FOOD_WINE",
        start_date=LATER,
        end_date=LATER + timedelta(hours=4),
        time_zone_id="US/Eastern",
        contact=models.EventContact("Ann Miller"),
        location="The bakery",
    )


def new_fee(label: str) -> models.FeeWrite:
    return models.FeeWrite(label, fee=20.0, fee_scope="registrants", early_fee=15.5)


def fee(fee_id: str) -> models.Fee:
    return models.Fee(fee_id, label="Dinner and wine", fee=25.0, fee_scope="BOTH")


def new_item(name: str) -> models.ItemWrite:
    return models.ItemWrite(
        name,
        price=9.5,
        default_quantity_total=10,
        per_registrant_limit=2,
        show_quantity_available=True,
    )


def item(item_id: str) -> models.Item:
    return models.Item(
        item_id,
        name="Apron, blue",
        price=10.0,
        default_quantity_total=12,
        per_registrant_limit=1,
        show_quantity_available=False,
    )


def new_item_attribute(name: str) -> models.ItemAttributeWrite:
    return models.ItemAttributeWrite(name, quantity_total=4)


def item_attribute(attribute_id: str) -> models.ItemAttribute:
    return models.ItemAttribute(attribute_id, name="Large", quantity_total=5)


def new_promocode(name: str) -> models.PromocodeWrite:
    return models.PromocodeWrite(
        name,
        code_type="DISCOUNT",
        discount_scope="ORDER_TOTAL",
        discount_type="PERCENT",
        discount_percent=10,
        quantity_total=-1,
    )


def promocode(promocode_id: str) -> models.Promocode:
    return models.Promocode(
        promocode_id,
        code_name="HALF_OFF",
        code_type="DISCOUNT",
        discount_scope="ORDER_TOTAL",
        discount_type="AMOUNT",
        discount_amount=5.0,
    )
