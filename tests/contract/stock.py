"""The resources that a sample call needs; each is created when it is first used."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ccv2_async import ConstantContact
from ccv2_async.models import TrackingActivityType
from tests.contract import samples

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ccv2_async.sandbox import Sandbox

READERS = 250
"""So many that each kind of report has a row."""


class Stock(dict[str, str]):
    """Ids by the names that paths give them."""

    def __init__(self, cc: ConstantContact, ids: dict[str, str] | None = None) -> None:
        super().__init__(ids or {})
        self.cc = cc

    async def bring(self, names: Iterable[str]) -> None:
        """Make what is not there yet."""
        for name in names:
            await self.id(name)

    async def id(self, name: str) -> str:
        """The id of that name, of a thing that is made now if it is not there."""
        if name not in self:
            self[name] = await MAKERS[name](self)
        return self[name]


async def _folder(stock: Stock) -> str:
    return (await stock.cc.library.create_folder("Pictures")).id


async def _file(stock: Stock) -> str:
    folder_id = stock.get("folderId", "0")
    return (await stock.cc.library.upload(b"%PDF", name="a.pdf", folder_id=folder_id)).id


async def _trashed(stock: Stock) -> str:
    file_id = (await stock.cc.library.upload(b"%PDF", name="old.pdf")).id
    await stock.cc.library.delete_files(file_id)
    return file_id


async def _list(stock: Stock) -> str:
    return (await stock.cc.lists.create("Guests of honour")).id


async def _activity(stock: Stock) -> str:
    return (await stock.cc.activities.clear_lists([await stock.id("listId")])).id


async def _contact(stock: Stock) -> str:
    written = samples.new_contact("ann@example.com", await stock.id("listId"))
    return (await stock.cc.contacts.create(written)).id


async def _campaign(stock: Stock) -> str:
    written = samples.new_campaign("Winter menu", await stock.id("listId"))
    return (await stock.cc.campaigns.create(written)).id


async def _schedule(stock: Stock) -> str:
    campaign_id = await stock.id("campaignId")
    return (await stock.cc.campaigns.create_schedule(campaign_id, samples.LATER)).id


async def _event(stock: Stock) -> str:
    return (await stock.cc.events.create(samples.new_event("Bread day"))).id


async def _fee(stock: Stock) -> str:
    event_id = await stock.id("eventId")
    await stock.cc.events.create_fee(event_id, samples.new_fee("Children"))
    return (await stock.cc.events.create_fee(event_id, samples.new_fee("Dinner"))).id


async def _item(stock: Stock) -> str:
    event_id = await stock.id("eventId")
    return (await stock.cc.events.create_item(event_id, samples.new_item("Apron"))).id


async def _attribute(stock: Stock) -> str:
    event_id, item_id = await stock.id("eventId"), await stock.id("itemId")
    written = samples.new_item_attribute("Small")
    return (await stock.cc.events.create_item_attribute(event_id, item_id, written)).id


async def _promocode(stock: Stock) -> str:
    event_id = await stock.id("eventId")
    return (await stock.cc.events.create_promocode(event_id, samples.new_promocode("CAKE"))).id


async def _registrant(stock: Stock) -> str:
    event_id = await stock.id("eventId")
    await stock.cc.events.publish(event_id)
    first = await stock.cc.events.registrants(event_id).first()
    assert first is not None
    return first.id


MAKERS: dict[str, Callable[[Stock], Awaitable[str]]] = {
    "folderId": _folder,
    "fileId": _file,
    "trashedId": _trashed,
    "listId": _list,
    "activityId": _activity,
    "contactId": _contact,
    "campaignId": _campaign,
    "scheduleId": _schedule,
    "eventId": _event,
    "feeId": _fee,
    "itemId": _item,
    "attributeId": _attribute,
    "promocodeId": _promocode,
    "registrantId": _registrant,
}


async def send_a_campaign(sandbox: Sandbox) -> dict[str, dict[str, str]]:
    """Ids for reports, by kind of activity: a campaign, a reader who did that, and a link."""
    options = sandbox.client_options()
    async with ConstantContact(**options) as cc:
        stock = Stock(cc)
        list_id = await stock.id("listId")
        addresses = [f"reader{number}@example.com" for number in range(READERS)]
        writers = (cc.contacts.create(samples.new_contact(a, list_id)) for a in addresses)
        await asyncio.gather(*writers)
        campaign_id = await stock.id("campaignId")
        await cc.campaigns.create_schedule(campaign_id, None)
        campaign = await cc.campaigns.get(campaign_id)
        link_id = campaign.click_through_details[0].url_uid
        rows = await cc.tracking.campaign_activities(campaign_id).collect()
        readers = {str(row.activity_type): str(row.contact_id) for row in rows}
        assert set(readers) == set(TrackingActivityType)
        return {
            kind: {"campaignId": campaign_id, "contactId": reader, "linkId": str(link_id)}
            for kind, reader in readers.items()
        }
