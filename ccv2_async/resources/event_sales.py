"""What an event sells: fees, items with their attributes, and promotion codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

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
from ccv2_async.models.validation import checked_model
from ccv2_async.resources.base import Resource, path_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from ccv2_async.resources.changes import (
        FeeChanges,
        ItemAttributeChanges,
        ItemChanges,
        PromocodeChanges,
    )
    from ccv2_async.resources.listing import OnBadRow

    F = TypeVar("F", Fee, FeeWrite)
    S = TypeVar("S", bound=str | None)

T = TypeVar("T")

EVENT = "/eventspot/events/{}"


def _sendable(fee: F) -> F:
    """Return the fee in the words that the service takes."""
    return attrs.evolve(fee, fee_scope=_scope(fee.fee_scope))


def _scope(scope: S) -> S | FeeScope:
    """Return REGISTRANTS for REGISTRANT: the service answers with both and takes one."""
    spelled = scope.upper() if isinstance(scope, str) else scope
    return FeeScope.REGISTRANTS if spelled == FeeScope.REGISTRANT else scope


@attrs.frozen
class Part(Generic[T]):
    """A kind of thing that belongs to an event or to one of its items.

    Attributes:
        model: The model that the service answers with.
        written: The model of a new one.
        path: The path of the collection.
        owner: What it belongs to, for messages.
        name: Its name, for messages.
        argument: The name of the argument that takes one.
        sendable: Returns the model as the service takes it; None sends it as it is.
    """

    model: type[T]
    written: type[Any]
    path: str
    owner: str
    name: str
    argument: str
    sendable: Callable[[Any], Any] | None = None

    def checked(self, value: object, model: type[Any]) -> Any:
        """Return the value of the argument as the service takes it.

        Raises:
            InvalidField: It is not an instance of the model. Nothing was sent.
        """
        checked = checked_model(value, model, self.argument)
        return self.sendable(checked) if self.sendable else checked


FEE = Part(Fee, FeeWrite, EVENT + "/fees", "event", "fee", "fee", _sendable)
ITEM = Part(Item, ItemWrite, EVENT + "/items", "event", "item", "item")
ATTRIBUTE = Part(
    ItemAttribute,
    ItemAttributeWrite,
    EVENT + "/items/{}/attributes",
    "item",
    "attribute",
    "attribute",
)
PROMOCODE = Part(
    Promocode, PromocodeWrite, EVENT + "/promocodes", "event", "promotion code", "promocode"
)


class EventSales(Resource):
    """The part of `client.events` that is about what an event sells."""

    async def fees(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Fee]:
        """Return the fees of an event. They come in one answer, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Event fee collection", GET, of the service's documentation.
        """
        return await self._parts(FEE, event_id, on_bad_row=on_bad_row)

    async def get_fee(self, event_id: str, fee_id: str) -> Fee:
        """Return one fee of an event.

        Raises:
            NotFound: There is no such event or fee.

        Source: "Event fee resource", GET, of the service's documentation.
        """
        return await self._part(FEE, event_id, fee_id)

    async def create_fee(self, event_id: str, fee: FeeWrite) -> Fee:
        """Create a fee of an event.

        Raises:
            Conflict: There is already one with that label.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at
                `fees` first.

        Source: "Event fee collection", POST, of the service's documentation.
        """
        return await self._create_part(FEE, fee, event_id)

    async def update_fee(self, event_id: str, fee_id: str, **changes: Unpack[FeeChanges]) -> Fee:
        """Change fields of a fee of an event, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the fee and sends it back with the changes. If you have read it yourself,
        `replace_fee` makes one call.

        Source: "Event fee resource", PUT, of the service's documentation.
        """
        if "fee_scope" in changes:
            changes["fee_scope"] = _scope(changes["fee_scope"])
        return await self._update_part(FEE, changes, event_id, fee_id)

    async def replace_fee(self, event_id: str, fee: Fee) -> Fee:
        """Replace a fee of an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields.

        Source: "Event fee resource", PUT, of the service's documentation.
        """
        return await self._replace_part(FEE, fee, event_id)

    async def delete_fee(self, event_id: str, fee_id: str) -> None:
        """Delete a fee of an event. An event keeps at least one, so the last cannot be deleted.

        Raises:
            NotFound: There is no such event or fee.

        Source: "Event fee resource", DELETE, of the service's documentation.
        """
        await self._delete_part(FEE, event_id, fee_id)

    async def items(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Item]:
        """Return the items of an event. They come in one answer, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Event item collection", GET, of the service's documentation.
        """
        return await self._parts(ITEM, event_id, on_bad_row=on_bad_row)

    async def get_item(self, event_id: str, item_id: str) -> Item:
        """Return one item of an event.

        Raises:
            NotFound: There is no such event or item.

        Source: "Event item resource", GET, of the service's documentation.
        """
        return await self._part(ITEM, event_id, item_id)

    async def create_item(self, event_id: str, item: ItemWrite) -> Item:
        """Create an item of an event.

        Raises:
            Conflict: There is already one with that name.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at
                `items` first.

        Source: "Event item collection", POST, of the service's documentation.
        """
        return await self._create_part(ITEM, item, event_id)

    async def update_item(
        self, event_id: str, item_id: str, **changes: Unpack[ItemChanges]
    ) -> Item:
        """Change fields of an item of an event, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the item and sends it back with the changes. If you have read it yourself,
        `replace_item` makes one call.

        Source: "Event item resource", PUT, of the service's documentation.
        """
        return await self._update_part(ITEM, changes, event_id, item_id)

    async def replace_item(self, event_id: str, item: Item) -> Item:
        """Replace an item of an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields.
        Attributes have calls of their own.

        Source: "Event item resource", PUT, of the service's documentation.
        """
        return await self._replace_part(ITEM, item, event_id)

    async def delete_item(self, event_id: str, item_id: str) -> None:
        """Delete an item of an event.

        Raises:
            NotFound: There is no such event or item.

        Source: "Event item resource", DELETE, of the service's documentation.
        """
        await self._delete_part(ITEM, event_id, item_id)

    async def item_attributes(
        self, event_id: str, item_id: str, *, on_bad_row: OnBadRow = "raise"
    ) -> list[ItemAttribute]:
        """Return the attributes of an item. They come in one answer, without pages.

        Raises:
            NotFound: There is no such event or item.

        Source: "Item attribute collection", GET, of the service's documentation.
        """
        return await self._parts(ATTRIBUTE, event_id, item_id, on_bad_row=on_bad_row)

    async def get_item_attribute(
        self, event_id: str, item_id: str, attribute_id: str
    ) -> ItemAttribute:
        """Return one attribute of an item.

        Raises:
            NotFound: There is no such event, item or attribute.

        Source: "Item attribute resource", GET, of the service's documentation.
        """
        return await self._part(ATTRIBUTE, event_id, item_id, attribute_id)

    async def create_item_attribute(
        self, event_id: str, item_id: str, attribute: ItemAttributeWrite
    ) -> ItemAttribute:
        """Create an attribute of an item.

        Raises:
            Conflict: There is already one with that name.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at
                `item_attributes` first.

        Source: "Item attribute collection", POST, of the service's documentation.
        """
        return await self._create_part(ATTRIBUTE, attribute, event_id, item_id)

    async def update_item_attribute(
        self,
        event_id: str,
        item_id: str,
        attribute_id: str,
        **changes: Unpack[ItemAttributeChanges],
    ) -> ItemAttribute:
        """Change fields of an attribute of an item, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the attribute and sends it back with the changes. If you have read it yourself,
        `replace_item_attribute` makes one call.

        Source: "Item attribute resource", PUT, of the service's documentation.
        """
        return await self._update_part(ATTRIBUTE, changes, event_id, item_id, attribute_id)

    async def replace_item_attribute(
        self, event_id: str, item_id: str, attribute: ItemAttribute
    ) -> ItemAttribute:
        """Replace an attribute of an item, and return what the service stored.

        Fields that are None are erased, except for read-only fields.
        The name cannot change once any was sold.

        Source: "Item attribute resource", PUT, of the service's documentation.
        """
        return await self._replace_part(ATTRIBUTE, attribute, event_id, item_id)

    async def delete_item_attribute(self, event_id: str, item_id: str, attribute_id: str) -> None:
        """Delete an attribute of an item.

        Raises:
            NotFound: There is no such event, item or attribute.

        Source: "Item attribute resource", DELETE, of the service's documentation.
        """
        await self._delete_part(ATTRIBUTE, event_id, item_id, attribute_id)

    async def promocodes(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Promocode]:
        """Return the promotion codes of an event. They come in one answer, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Promotion code collection", GET, of the service's documentation.
        """
        return await self._parts(PROMOCODE, event_id, on_bad_row=on_bad_row)

    async def get_promocode(self, event_id: str, promocode_id: str) -> Promocode:
        """Return one promotion code of an event.

        Raises:
            NotFound: There is no such event or promotion code.

        Source: "Promotion code resource", GET, of the service's documentation.
        """
        return await self._part(PROMOCODE, event_id, promocode_id)

    async def create_promocode(self, event_id: str, promocode: PromocodeWrite) -> Promocode:
        """Create a promotion code of an event.

        An ACCESS code opens exactly one hidden fee; a DISCOUNT code lowers a price.

        Raises:
            Conflict: There is already one with that name.
            OutcomeUnknown: No answer came; it may exist. Safe to try again: look at
                `promocodes` first.

        Source: "Promotion code collection", POST, of the service's documentation.
        """
        return await self._create_part(PROMOCODE, promocode, event_id)

    async def update_promocode(
        self, event_id: str, promocode_id: str, **changes: Unpack[PromocodeChanges]
    ) -> Promocode:
        """Change fields of a promotion code of an event, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the promotion code and sends it back with the changes. If you have read it yourself,
        `replace_promocode` makes one call.

        Source: "Promotion code resource", PUT, of the service's documentation.
        """
        return await self._update_part(PROMOCODE, changes, event_id, promocode_id)

    async def replace_promocode(self, event_id: str, promocode: Promocode) -> Promocode:
        """Replace a promotion code of an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields.

        Source: "Promotion code resource", PUT, of the service's documentation.
        """
        return await self._replace_part(PROMOCODE, promocode, event_id)

    async def delete_promocode(self, event_id: str, promocode_id: str) -> None:
        """Delete a promotion code of an event.

        Raises:
            NotFound: There is no such event or promotion code.

        Source: "Promotion code resource", DELETE, of the service's documentation.
        """
        await self._delete_part(PROMOCODE, event_id, promocode_id)

    # `ids` name the event, the item if there is one, and last the part if it exists.

    async def _parts(self, part: Part[T], *ids: str, on_bad_row: OnBadRow) -> list[T]:
        path = path_to(part.path, *ids)
        what = f"{part.name}s of {part.owner} {ids[-1]}"
        return await self._get_rows(part.model, path, what=what, on_bad_row=on_bad_row)

    async def _part(self, part: Part[T], *ids: str) -> T:
        path, what = _place(part, *ids)
        return await self._get(part.model, path, what=what)

    async def _create_part(self, part: Part[T], new: object, *ids: str) -> T:
        body = part.checked(new, part.written)
        path = path_to(part.path, *ids)
        article = "an" if part.name[0] in "ai" else "a"
        what = f"creation of {article} {part.name} of {part.owner} {ids[-1]}"
        return await self._create(part.model, path, body, what=what)

    async def _update_part(self, part: Part[T], changes: Mapping[str, Any], *ids: str) -> T:
        path, what = _place(part, *ids)
        return await self._update(
            part.model, path, changes, part.written, what=what, adapt=part.sendable
        )

    async def _replace_part(self, part: Part[T], whole: Any, *ids: str) -> T:
        body = part.checked(whole, part.model)
        path, what = _place(part, *ids, whole.id)
        return await self._replace(part.model, path, body, what=f"update of {what}")

    async def _delete_part(self, part: Part[Any], *ids: str) -> None:
        path, what = _place(part, *ids)
        await self._delete(path, what=f"deletion of {what}")


def _place(part: Part[Any], *ids: str) -> tuple[str, str]:
    """Return the path of one part, and its name for messages."""
    return path_to(part.path + "/{}", *ids), f"{part.name} {ids[-1]} of {part.owner} {ids[-2]}"
