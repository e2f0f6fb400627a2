"""What an event sells: fees, items with their attributes, and promotion codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ccv2_async.models.arguments import checked_model
from ccv2_async.models.event_sales import (
    Fee,
    FeeScope,
    FeeWrite,
    Item,
    ItemAttribute,
    ItemAttributeWrite,
    ItemWrite,
    Promocode,
    PromocodeWrite,
)
from ccv2_async.resources.base import Resource, path_to

if TYPE_CHECKING:
    from typing import TypeVar, Unpack

    from ccv2_async.resources.changes import (
        FeeChanges,
        ItemAttributeChanges,
        ItemChanges,
        PromocodeChanges,
    )

    F = TypeVar("F", Fee, FeeWrite)
    S = TypeVar("S", bound=str | None)
    from ccv2_async.resources.listing import OnBadRow

EVENT = "/eventspot/events/{}"
FEES = EVENT + "/fees"
ITEMS = EVENT + "/items"
ATTRIBUTES = ITEMS + "/{}/attributes"
PROMOCODES = EVENT + "/promocodes"


class EventSales(Resource):
    """The part of `client.events` that is about what an event sells."""

    async def fees(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Fee]:
        """The fees of an event; they come in one answer, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Event fee collection", GET, of the service's documentation.
        """
        path = path_to(FEES, event_id)
        return await self._get_rows(
            Fee, path, what=f"fees of event {event_id}", on_bad_row=on_bad_row
        )

    async def get_fee(self, event_id: str, fee_id: str) -> Fee:
        """One fee of an event.

        Raises:
            NotFound: There is no such event or fee.

        Source: "Event fee resource", GET, of the service's documentation.
        """
        path = path_to(FEES + "/{}", event_id, fee_id)
        return await self._get(Fee, path, what=f"fee {fee_id} of event {event_id}")

    async def create_fee(self, event_id: str, fee: FeeWrite) -> Fee:
        """A new fee of an event.

        Raises:
            Conflict: There is one of that label already.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at `fees`
                first.

        Source: "Event fee collection", POST, of the service's documentation.
        """
        checked_model(fee, FeeWrite, "fee")
        path = path_to(FEES, event_id)
        return await self._create(
            Fee, path, _sendable(fee), what=f"creation of a fee of event {event_id}"
        )

    async def update_fee(self, event_id: str, fee_id: str, **changes: Unpack[FeeChanges]) -> Fee:
        """The changed fee; what is not given stays as it is, None erases.

        It is read first and sent back with the changes: two calls. `replace_fee` is the one
        call, for a fee that you have read yourself.

        Source: "Event fee resource", PUT, of the service's documentation.
        """
        if "fee_scope" in changes:
            changes["fee_scope"] = _scope(changes["fee_scope"])
        path = path_to(FEES + "/{}", event_id, fee_id)
        what = f"fee {fee_id} of event {event_id}"
        return await self._update(Fee, path, changes, FeeWrite, what=what, adapt=_sendable)

    async def replace_fee(self, event_id: str, fee: Fee) -> Fee:
        """The fee as the service keeps it after taking the whole that is given.

        What it leaves out is erased, except for read-only fields.

        Source: "Event fee resource", PUT, of the service's documentation.
        """
        checked_model(fee, Fee, "fee")
        path = path_to(FEES + "/{}", event_id, fee.id)
        return await self._replace(
            Fee, path, _sendable(fee), what=f"update of fee {fee.id} of event {event_id}"
        )

    async def delete_fee(self, event_id: str, fee_id: str) -> None:
        """Delete a fee of an event. An event keeps one at least: the last cannot be deleted.

        Raises:
            NotFound: There is no such event or fee.

        Source: "Event fee resource", DELETE, of the service's documentation.
        """
        path = path_to(FEES + "/{}", event_id, fee_id)
        await self._delete(path, what=f"deletion of fee {fee_id} of event {event_id}")

    async def items(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Item]:
        """The items of an event; they come in one answer, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Event item collection", GET, of the service's documentation.
        """
        path = path_to(ITEMS, event_id)
        return await self._get_rows(
            Item, path, what=f"items of event {event_id}", on_bad_row=on_bad_row
        )

    async def get_item(self, event_id: str, item_id: str) -> Item:
        """One item of an event.

        Raises:
            NotFound: There is no such event or item.

        Source: "Event item resource", GET, of the service's documentation.
        """
        path = path_to(ITEMS + "/{}", event_id, item_id)
        return await self._get(Item, path, what=f"item {item_id} of event {event_id}")

    async def create_item(self, event_id: str, item: ItemWrite) -> Item:
        """A new item of an event.

        Raises:
            Conflict: There is one of that name already.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at `items`
                first.

        Source: "Event item collection", POST, of the service's documentation.
        """
        checked_model(item, ItemWrite, "item")
        path = path_to(ITEMS, event_id)
        return await self._create(Item, path, item, what=f"creation of an item of event {event_id}")

    async def update_item(
        self, event_id: str, item_id: str, **changes: Unpack[ItemChanges]
    ) -> Item:
        """The changed item; what is not given stays as it is, None erases.

        It is read first and sent back with the changes: two calls. `replace_item` is the one
        call, for an item that you have read yourself.

        Source: "Event item resource", PUT, of the service's documentation.
        """
        path = path_to(ITEMS + "/{}", event_id, item_id)
        what = f"item {item_id} of event {event_id}"
        return await self._update(Item, path, changes, ItemWrite, what=what)

    async def replace_item(self, event_id: str, item: Item) -> Item:
        """The item as the service keeps it after taking the whole that is given.

        What it leaves out is erased, except for read-only fields.
        Attributes have calls of their own.

        Source: "Event item resource", PUT, of the service's documentation.
        """
        checked_model(item, Item, "item")
        path = path_to(ITEMS + "/{}", event_id, item.id)
        return await self._replace(
            Item, path, item, what=f"update of item {item.id} of event {event_id}"
        )

    async def delete_item(self, event_id: str, item_id: str) -> None:
        """Delete an item of an event.

        Raises:
            NotFound: There is no such event or item.

        Source: "Event item resource", DELETE, of the service's documentation.
        """
        path = path_to(ITEMS + "/{}", event_id, item_id)
        await self._delete(path, what=f"deletion of item {item_id} of event {event_id}")

    async def item_attributes(
        self, event_id: str, item_id: str, *, on_bad_row: OnBadRow = "raise"
    ) -> list[ItemAttribute]:
        """The attributes of an item; they come in one answer, without pages.

        Raises:
            NotFound: There is no such event or item.

        Source: "Item attribute collection", GET, of the service's documentation.
        """
        path = path_to(ATTRIBUTES, event_id, item_id)
        return await self._get_rows(
            ItemAttribute, path, what=f"attributes of item {item_id}", on_bad_row=on_bad_row
        )

    async def get_item_attribute(
        self, event_id: str, item_id: str, attribute_id: str
    ) -> ItemAttribute:
        """One attribute of an item.

        Raises:
            NotFound: There is no such event or item or attribute.

        Source: "Item attribute resource", GET, of the service's documentation.
        """
        path = path_to(ATTRIBUTES + "/{}", event_id, item_id, attribute_id)
        return await self._get(
            ItemAttribute, path, what=f"attribute {attribute_id} of item {item_id}"
        )

    async def create_item_attribute(
        self, event_id: str, item_id: str, attribute: ItemAttributeWrite
    ) -> ItemAttribute:
        """A new attribute of an item.

        Raises:
            Conflict: There is one of that name already.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at
                `item_attributes` first.

        Source: "Item attribute collection", POST, of the service's documentation.
        """
        checked_model(attribute, ItemAttributeWrite, "attribute")
        path = path_to(ATTRIBUTES, event_id, item_id)
        return await self._create(
            ItemAttribute, path, attribute, what=f"creation of an attribute of item {item_id}"
        )

    async def update_item_attribute(
        self,
        event_id: str,
        item_id: str,
        attribute_id: str,
        **changes: Unpack[ItemAttributeChanges],
    ) -> ItemAttribute:
        """The changed attribute; what is not given stays as it is, None erases.

        It is read first and sent back with the changes: two calls. `replace_item_attribute` is the
        one call, for an attribute that you have read yourself.

        Source: "Item attribute resource", PUT, of the service's documentation.
        """
        path = path_to(ATTRIBUTES + "/{}", event_id, item_id, attribute_id)
        what = f"attribute {attribute_id} of item {item_id}"
        return await self._update(ItemAttribute, path, changes, ItemAttributeWrite, what=what)

    async def replace_item_attribute(
        self, event_id: str, item_id: str, attribute: ItemAttribute
    ) -> ItemAttribute:
        """The attribute as the service keeps it after taking the whole that is given.

        What it leaves out is erased, except for read-only fields.
        The name cannot change once any was sold.

        Source: "Item attribute resource", PUT, of the service's documentation.
        """
        checked_model(attribute, ItemAttribute, "attribute")
        path = path_to(ATTRIBUTES + "/{}", event_id, item_id, attribute.id)
        return await self._replace(
            ItemAttribute,
            path,
            attribute,
            what=f"update of attribute {attribute.id} of item {item_id}",
        )

    async def delete_item_attribute(self, event_id: str, item_id: str, attribute_id: str) -> None:
        """Delete an attribute of an item.

        Raises:
            NotFound: There is no such event or item or attribute.

        Source: "Item attribute resource", DELETE, of the service's documentation.
        """
        path = path_to(ATTRIBUTES + "/{}", event_id, item_id, attribute_id)
        await self._delete(path, what=f"deletion of attribute {attribute_id} of item {item_id}")

    async def promocodes(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Promocode]:
        """The promotion codes of an event; they come in one answer, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Promotion code collection", GET, of the service's documentation.
        """
        path = path_to(PROMOCODES, event_id)
        return await self._get_rows(
            Promocode, path, what=f"promotion codes of event {event_id}", on_bad_row=on_bad_row
        )

    async def get_promocode(self, event_id: str, promocode_id: str) -> Promocode:
        """One promotion code of an event.

        Raises:
            NotFound: There is no such event or promotion code.

        Source: "Promotion code resource", GET, of the service's documentation.
        """
        path = path_to(PROMOCODES + "/{}", event_id, promocode_id)
        return await self._get(
            Promocode, path, what=f"promotion code {promocode_id} of event {event_id}"
        )

    async def create_promocode(self, event_id: str, promocode: PromocodeWrite) -> Promocode:
        """A new promotion code of an event.

        An ACCESS code opens exactly one hidden fee; a DISCOUNT code lowers a price.

        Raises:
            Conflict: There is one of that name already.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at `promocodes`
                first.

        Source: "Promotion code collection", POST, of the service's documentation.
        """
        checked_model(promocode, PromocodeWrite, "promocode")
        path = path_to(PROMOCODES, event_id)
        return await self._create(
            Promocode, path, promocode, what=f"creation of a promotion code of event {event_id}"
        )

    async def update_promocode(
        self, event_id: str, promocode_id: str, **changes: Unpack[PromocodeChanges]
    ) -> Promocode:
        """The changed promotion code; what is not given stays as it is, None erases.

        It is read first and sent back with the changes: two calls. `replace_promocode` is the one
        call, for a promotion code that you have read yourself.

        Source: "Promotion code resource", PUT, of the service's documentation.
        """
        path = path_to(PROMOCODES + "/{}", event_id, promocode_id)
        what = f"promotion code {promocode_id} of event {event_id}"
        return await self._update(Promocode, path, changes, PromocodeWrite, what=what)

    async def replace_promocode(self, event_id: str, promocode: Promocode) -> Promocode:
        """The promotion code as the service keeps it after taking the whole that is given.

        What it leaves out is erased, except for read-only fields.

        Source: "Promotion code resource", PUT, of the service's documentation.
        """
        checked_model(promocode, Promocode, "promocode")
        path = path_to(PROMOCODES + "/{}", event_id, promocode.id)
        return await self._replace(
            Promocode,
            path,
            promocode,
            what=f"update of promotion code {promocode.id} of event {event_id}",
        )

    async def delete_promocode(self, event_id: str, promocode_id: str) -> None:
        """Delete a promotion code of an event.

        Raises:
            NotFound: There is no such event or promotion code.

        Source: "Promotion code resource", DELETE, of the service's documentation.
        """
        path = path_to(PROMOCODES + "/{}", event_id, promocode_id)
        await self._delete(
            path, what=f"deletion of promotion code {promocode_id} of event {event_id}"
        )


def _sendable(fee: F) -> F:
    """The fee in the words that the service takes."""
    return attrs.evolve(fee, fee_scope=_scope(fee.fee_scope))


def _scope(scope: S) -> S | FeeScope:
    """REGISTRANTS for REGISTRANT: both are read, one is sent."""
    spelled = scope.upper() if isinstance(scope, str) else scope
    return FeeScope.REGISTRANTS if spelled == FeeScope.REGISTRANT else scope
