"""Events: plan, publish and cancel them, and read their sales and registrants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

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
from ccv2_async.models.events import Event, EventStatus, EventStatusPatch, EventSummary, EventWrite
from ccv2_async.models.registrants import Registrant, RegistrantDetail
from ccv2_async.models.validation import one_of
from ccv2_async.resources.base import Endpoint, Resource, path_to, result_of
from ccv2_async.transport.calls.retry import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Unpack

    from ccv2_async.models.event_sales import DiscountScope, DiscountType, PromocodeType
    from ccv2_async.models.events import (
        CurrencyType,
        EventAddress,
        EventContact,
        EventType,
        NotificationOption,
        OnlineMeeting,
        PaymentOption,
        TrackInformation,
    )
    from ccv2_async.resources.listing import Listing, OnBadRow

    F = TypeVar("F", Fee, FeeWrite)
    S = TypeVar("S", bound=str | None)

T = TypeVar("T")

EVENT = "/eventspot/events/{}"
MOST_ROWS = 50
PATCHABLE = (EventStatus.ACTIVE, EventStatus.CANCELLED)


def _sendable(fee: F) -> F:
    """Return the fee in the form that the service accepts."""
    return attrs.evolve(fee, fee_scope=_scope(fee.fee_scope))


def _scope(scope: S) -> S | FeeScope:
    """Return REGISTRANTS for REGISTRANT: the service sends both, but accepts only one."""
    one = isinstance(scope, str) and scope.upper() == FeeScope.REGISTRANT
    return FeeScope.REGISTRANTS if one else scope


EVENTS = Endpoint(Event, EventWrite, "/eventspot/events", "event", "event")
FEES = Endpoint(Fee, FeeWrite, EVENT + "/fees", "fee", "fee", "event", _sendable)
ITEMS = Endpoint(Item, ItemWrite, EVENT + "/items", "item", "item", "event")
ATTRIBUTES = Endpoint(
    ItemAttribute,
    ItemAttributeWrite,
    EVENT + "/items/{}/attributes",
    "attribute",
    "attribute",
    "item",
)
REGISTRANTS = Endpoint(RegistrantDetail, Any, EVENT + "/registrants", "registrant", owner="event")
PROMOCODES = Endpoint(
    Promocode, PromocodeWrite, EVENT + "/promocodes", "promotion code", "promocode", "event"
)


class EventSales(Resource):
    """The part of `client.events` for fees, items, and promotion codes."""

    async def fees(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Fee]:
        """Return the fees of an event. They come in one response, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Event fee collection", GET, of the service's documentation.
        """
        return await self._all_of(FEES, event_id, on_bad_row=on_bad_row)

    async def get_fee(self, event_id: str, fee_id: str) -> Fee:
        """Return one fee of an event.

        Raises:
            NotFound: There is no such event or fee.

        Source: "Event fee resource", GET, of the service's documentation.
        """
        return await self._one(FEES, event_id, fee_id)

    async def create_fee(self, event_id: str, fee: FeeWrite) -> Fee:
        """Create a fee of an event.

        Raises:
            Conflict: There is already one with that label.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: check `fees`
                first.

        Source: "Event fee collection", POST, of the service's documentation.
        """
        return await self._create_one(FEES, fee, event_id)

    async def update_fee(self, event_id: str, fee_id: str, **changes: Unpack[FeeChanges]) -> Fee:
        """Change fields of a fee of an event, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the fee and sends it back with the changes. If you have read it yourself,
        `replace_fee` makes one call.

        Source: "Event fee resource", PUT, of the service's documentation.
        """
        if "fee_scope" in changes:
            changes["fee_scope"] = _scope(changes["fee_scope"])
        return await self._update(FEES, changes, event_id, fee_id)

    async def replace_fee(self, event_id: str, fee: Fee) -> Fee:
        """Replace a fee of an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields.

        Source: "Event fee resource", PUT, of the service's documentation.
        """
        return await self._replace_one(FEES, fee, event_id)

    async def delete_fee(self, event_id: str, fee_id: str) -> None:
        """Delete a fee of an event. An event keeps at least one, so the last cannot be deleted.

        Raises:
            NotFound: There is no such event or fee.

        Source: "Event fee resource", DELETE, of the service's documentation.
        """
        await self._delete_one(FEES, event_id, fee_id)

    async def items(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Item]:
        """Return the items of an event. They come in one response, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Event item collection", GET, of the service's documentation.
        """
        return await self._all_of(ITEMS, event_id, on_bad_row=on_bad_row)

    async def get_item(self, event_id: str, item_id: str) -> Item:
        """Return one item of an event.

        Raises:
            NotFound: There is no such event or item.

        Source: "Event item resource", GET, of the service's documentation.
        """
        return await self._one(ITEMS, event_id, item_id)

    async def create_item(self, event_id: str, item: ItemWrite) -> Item:
        """Create an item of an event.

        Raises:
            Conflict: There is already one with that name.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: check `items`
                first.

        Source: "Event item collection", POST, of the service's documentation.
        """
        return await self._create_one(ITEMS, item, event_id)

    async def update_item(
        self, event_id: str, item_id: str, **changes: Unpack[ItemChanges]
    ) -> Item:
        """Change fields of an item of an event, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the item and sends it back with the changes. If you have read it yourself,
        `replace_item` makes one call.

        Source: "Event item resource", PUT, of the service's documentation.
        """
        return await self._update(ITEMS, changes, event_id, item_id)

    async def replace_item(self, event_id: str, item: Item) -> Item:
        """Replace an item of an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields.
        Attributes have calls of their own.

        Source: "Event item resource", PUT, of the service's documentation.
        """
        return await self._replace_one(ITEMS, item, event_id)

    async def delete_item(self, event_id: str, item_id: str) -> None:
        """Delete an item of an event.

        Raises:
            NotFound: There is no such event or item.

        Source: "Event item resource", DELETE, of the service's documentation.
        """
        await self._delete_one(ITEMS, event_id, item_id)

    async def item_attributes(
        self, event_id: str, item_id: str, *, on_bad_row: OnBadRow = "raise"
    ) -> list[ItemAttribute]:
        """Return the attributes of an item. They come in one response, without pages.

        Raises:
            NotFound: There is no such event or item.

        Source: "Item attribute collection", GET, of the service's documentation.
        """
        return await self._all_of(ATTRIBUTES, event_id, item_id, on_bad_row=on_bad_row)

    async def get_item_attribute(
        self, event_id: str, item_id: str, attribute_id: str
    ) -> ItemAttribute:
        """Return one attribute of an item.

        Raises:
            NotFound: There is no such event, item or attribute.

        Source: "Item attribute resource", GET, of the service's documentation.
        """
        return await self._one(ATTRIBUTES, event_id, item_id, attribute_id)

    async def create_item_attribute(
        self, event_id: str, item_id: str, attribute: ItemAttributeWrite
    ) -> ItemAttribute:
        """Create an attribute of an item.

        Raises:
            Conflict: There is already one with that name.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: check
                `item_attributes` first.

        Source: "Item attribute collection", POST, of the service's documentation.
        """
        return await self._create_one(ATTRIBUTES, attribute, event_id, item_id)

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
        return await self._update(ATTRIBUTES, changes, event_id, item_id, attribute_id)

    async def replace_item_attribute(
        self, event_id: str, item_id: str, attribute: ItemAttribute
    ) -> ItemAttribute:
        """Replace an attribute of an item, and return what the service stored.

        Fields that are None are erased, except for read-only fields.
        The name cannot change once any have been sold.

        Source: "Item attribute resource", PUT, of the service's documentation.
        """
        return await self._replace_one(ATTRIBUTES, attribute, event_id, item_id)

    async def delete_item_attribute(self, event_id: str, item_id: str, attribute_id: str) -> None:
        """Delete an attribute of an item.

        Raises:
            NotFound: There is no such event, item or attribute.

        Source: "Item attribute resource", DELETE, of the service's documentation.
        """
        await self._delete_one(ATTRIBUTES, event_id, item_id, attribute_id)

    async def promocodes(self, event_id: str, *, on_bad_row: OnBadRow = "raise") -> list[Promocode]:
        """Return the promotion codes of an event. They come in one response, without pages.

        Raises:
            NotFound: There is no such event.

        Source: "Promotion code collection", GET, of the service's documentation.
        """
        return await self._all_of(PROMOCODES, event_id, on_bad_row=on_bad_row)

    async def get_promocode(self, event_id: str, promocode_id: str) -> Promocode:
        """Return one promotion code of an event.

        Raises:
            NotFound: There is no such event or promotion code.

        Source: "Promotion code resource", GET, of the service's documentation.
        """
        return await self._one(PROMOCODES, event_id, promocode_id)

    async def create_promocode(self, event_id: str, promocode: PromocodeWrite) -> Promocode:
        """Create a promotion code of an event.

        An ACCESS code opens exactly one hidden fee; a DISCOUNT code lowers a price.

        Raises:
            Conflict: There is already one with that name.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: check `promocodes`
                first.

        Source: "Promotion code collection", POST, of the service's documentation.
        """
        return await self._create_one(PROMOCODES, promocode, event_id)

    async def update_promocode(
        self, event_id: str, promocode_id: str, **changes: Unpack[PromocodeChanges]
    ) -> Promocode:
        """Change fields of a promotion code of an event, and return the result.

        A field that is not given keeps its value, and None erases it. This makes two calls: it
        reads the promotion code and sends it back with the changes. If you have read it yourself,
        `replace_promocode` makes one call.

        Source: "Promotion code resource", PUT, of the service's documentation.
        """
        return await self._update(PROMOCODES, changes, event_id, promocode_id)

    async def replace_promocode(self, event_id: str, promocode: Promocode) -> Promocode:
        """Replace a promotion code of an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields.

        Source: "Promotion code resource", PUT, of the service's documentation.
        """
        return await self._replace_one(PROMOCODES, promocode, event_id)

    async def delete_promocode(self, event_id: str, promocode_id: str) -> None:
        """Delete a promotion code of an event.

        Raises:
            NotFound: There is no such event or promotion code.

        Source: "Promotion code resource", DELETE, of the service's documentation.
        """
        await self._delete_one(PROMOCODES, event_id, promocode_id)


class EventChanges(TypedDict, total=False):
    """The fields of an event that can be changed; see `EventWrite`."""

    name: str
    title: str
    type: EventType | str
    start_date: datetime
    end_date: datetime
    time_zone_id: str
    contact: EventContact
    description: str | None
    location: str | None
    address: EventAddress | None
    currency_type: CurrencyType | str | None
    payment_options: Iterable[PaymentOption | str]
    payable_to: str | None
    payment_address: EventAddress | None
    paypal_account_email: str | None
    google_merchant_id: str | None
    google_analytics_key: str | None
    is_virtual_event: bool | None
    online_meeting: OnlineMeeting | None
    notification_options: Iterable[NotificationOption]
    track_information: TrackInformation | None
    is_calendar_displayed: bool | None
    is_checkin_available: bool | None
    is_home_page_displayed: bool | None
    is_listed_in_external_directory: bool | None
    is_map_displayed: bool | None
    are_registrants_public: bool | None
    theme_name: str | None
    twitter_hash_tag: str | None
    meta_data_tags: str | None


class FeeChanges(TypedDict, total=False):
    """The fields of a fee that can be changed; see `FeeWrite`."""

    label: str
    fee: float
    fee_scope: FeeScope | str
    early_fee: float | None
    late_fee: float | None
    has_restricted_access: bool | None


class ItemChanges(TypedDict, total=False):
    """The fields of an item that can be changed; see `ItemWrite`."""

    name: str
    price: float
    default_quantity_total: int
    per_registrant_limit: int
    show_quantity_available: bool
    description: str | None


class ItemAttributeChanges(TypedDict, total=False):
    """The fields of an item's attribute that can be changed; see `ItemAttributeWrite`."""

    name: str
    quantity_total: int


class PromocodeChanges(TypedDict, total=False):
    """The fields of a promotion code that can be changed; see `PromocodeWrite`."""

    code_name: str
    code_type: PromocodeType | str
    discount_scope: DiscountScope | str | None
    discount_type: DiscountType | str | None
    discount_amount: float | None
    discount_percent: int | None
    fee_ids: Iterable[str]
    is_paused: bool | None
    quantity_total: int | None


class Events(EventSales):
    """`client.events`: events, their fees and items, and their registrants.

    The service reportedly withdrew these endpoints in 2024. It answers every call with 400
    `http.status.gone`, which raises `EndpointRetired`. The methods remain for accounts and test
    servers that still serve them.
    """

    def all(
        self, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> Listing[EventSummary]:
        """List the events of the account in brief; `get` returns all details.

        Args:
            limit: Rows per page, from 1 to 50. The default is 50.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Source: "Events collection", GET, of the service's documentation; an SDK for the limit.
        """
        return self._list(
            EventSummary,
            "/eventspot/events",
            what="events",
            limit=limit,
            most=MOST_ROWS,
            on_bad_row=on_bad_row,
        )

    async def get(self, event_id: str) -> Event:
        """Return one event.

        Raises:
            NotFound: There is no event with that ID.

        Source: "Individual events", GET, of the service's documentation.
        """
        return await self._one(EVENTS, event_id)

    async def create(self, event: EventWrite) -> Event:
        """Create an event as a DRAFT; `publish` opens it.

        Raises:
            Conflict: There is already an event with that name.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: check `all` first.

        Source: "Events collection", POST, of the service's documentation.
        """
        return await self._create_one(EVENTS, event)

    async def update(self, event_id: str, **changes: Unpack[EventChanges]) -> Event:
        """Change fields of an event, and return the result.

        A field that is not given keeps its value, and None erases it. `currency_type` and
        `theme_name` go back to their defaults, USD and Default. This makes two calls: it reads the
        event and sends it back with the changes. If you have read it yourself, `replace` makes one
        call.

        Args:
            event_id: The event.
            changes: The new values, by the field names of `EventWrite`.

        Source: "Individual events", PUT, of the service's documentation.
        """
        return await self._update(EVENTS, changes, event_id)

    async def replace(self, event: Event) -> Event:
        """Replace an event, and return what the service stored.

        Fields that are None are erased, except for read-only fields, such as the status.

        Source: "Individual events", PUT, of the service's documentation.
        """
        return await self._replace_one(EVENTS, event)

    async def set_status(self, event_id: str, status: EventStatus | str) -> Event:
        """Change the status of an event; `publish` and `cancel` do this by name.

        Args:
            event_id: The event.
            status: ACTIVE publishes a DRAFT; CANCELLED cancels an ACTIVE event.

        Raises:
            NotFound: There is no event with that ID.
            BadRequest: The status of the event does not allow it.

        Source: "Individual events", PATCH, of the service's documentation.
        """
        word = one_of("status", status, PATCHABLE)
        path, what = path_to(EVENT, event_id), f"setting event {event_id} to {word}"
        patch = [EventStatusPatch(str(word))]
        response = await self._write("PATCH", path, patch, effect=Effect.IDEMPOTENT, what=what)
        return await result_of(response, Event, event_id)

    async def publish(self, event_id: str) -> Event:
        """Open a DRAFT event for registration, and return it. It is then ACTIVE."""
        return await self.set_status(event_id, EventStatus.ACTIVE)

    async def cancel(self, event_id: str) -> Event:
        """Cancel an ACTIVE event, and return it. It is then CANCELLED."""
        return await self.set_status(event_id, EventStatus.CANCELLED)

    def registrants(
        self, event_id: str, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> Listing[Registrant]:
        """List the registrants of an event in brief; `get_registrant` returns all details.

        Args:
            event_id: The event.
            limit: Rows per page. The service does not document a maximum.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Raises:
            NotFound: There is no event with that ID. Raised when the listing is iterated.

        Source: "Registrants collection" page of the service's documentation.
        """
        return self._list(
            Registrant,
            path_to(EVENT + "/registrants", event_id),
            what=f"registrants of event {event_id}",
            limit=limit,
            most=None,
            on_bad_row=on_bad_row,
        )

    async def get_registrant(self, event_id: str, registrant_id: str) -> RegistrantDetail:
        """Return all details of one registrant: answers, guests and payments.

        Raises:
            NotFound: There is no such event or registrant.

        Source: "Registrants resource" page of the service's documentation.
        """
        return await self._one(REGISTRANTS, event_id, registrant_id)
