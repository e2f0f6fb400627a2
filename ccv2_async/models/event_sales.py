"""The things that an event sells: fees, items with their attributes, and promotion codes.

Source: the EventSpot pages of the v2 reference.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import attrs

from ccv2_async.models.base import Model, TupleOf, named_last, names
from ccv2_async.models.validation import Need, limited, rule

__all__ = ["DiscountScope", "DiscountType", "Fee", "FeeScope", "FeeWrite", "Item", "ItemAttribute"]
__all__ += ["ItemAttributeWrite", "ItemWrite", "Promocode", "PromocodeStatus", "PromocodeType"]
__all__ += ["PromocodeWrite"]


class FeeScope(StrEnum):
    """The people who pay a fee. The service also returns REGISTRANT; send REGISTRANTS."""

    BOTH = "BOTH"
    REGISTRANTS = "REGISTRANTS"
    GUESTS = "GUESTS"
    REGISTRANT = "REGISTRANT"


class PromocodeType(StrEnum):
    """The effect of a promotion code: it opens a hidden fee or lowers the price."""

    ACCESS = "ACCESS"
    DISCOUNT = "DISCOUNT"


class DiscountScope(StrEnum):
    """The amount that a discount applies to."""

    FEE_LIST = "FEE_LIST"
    ORDER_TOTAL = "ORDER_TOTAL"


class DiscountType(StrEnum):
    """The unit of a discount."""

    PERCENT = "PERCENT"
    AMOUNT = "AMOUNT"


class PromocodeStatus(StrEnum):
    """The state of a promotion code."""

    LIVE = "LIVE"
    PAUSED = "PAUSED"
    DEPLETED = "DEPLETED"


_PROMOCODE_NEEDS = (
    Need("code_type", "DISCOUNT", ("discount_scope",)),
    Need("code_type", "DISCOUNT", ("discount_amount", "discount_percent"), any_of=True),
    Need("code_type", "ACCESS", single="fee_ids"),
    Need("discount_scope", "FEE_LIST", ("fee_ids",)),
)


@attrs.frozen(weakref_slot=False)
class Fee(Model):
    """A fee for an event.

    Source: eventspot-apis, event-fees.

    Attributes:
        id: Its ID.
        label: Unique in the event, at most 100 characters.
        fee: The amount.
        fee_scope: The people who pay it.
        early_fee: The amount before `track_information.early_fee_date`.
        late_fee: The amount after `track_information.late_fee_date`.
        has_restricted_access: Whether only an ACCESS code shows it; False by default.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("id")

    id: str = attrs.field(metadata=rule(max_length=50))
    label: str | None = limited(required=True, max_length=100)
    fee: float | None = limited(required=True)
    fee_scope: FeeScope | str | None = limited(required=True, allowed=FeeScope)
    early_fee: float | None = None
    late_fee: float | None = None
    has_restricted_access: bool | None = None


@attrs.frozen(weakref_slot=False)
class FeeWrite(Model):
    """The request to create or replace a fee.

    Source: eventspot-apis, event-fees.

    Attributes:
        label: Unique in the event, at most 100 characters.
        fee: The amount.
        fee_scope: The people who pay it.
        early_fee: The amount before `track_information.early_fee_date`.
        late_fee: The amount after `track_information.late_fee_date`.
        has_restricted_access: Whether only an ACCESS code shows it; False by default.
        extra: Other fields to send.
    """

    label: str = attrs.field(metadata=rule(required=True, max_length=100))
    fee: float = attrs.field(metadata=rule(required=True))
    fee_scope: FeeScope | str = attrs.field(
        metadata=rule(required=True, allowed=("BOTH", "REGISTRANTS", "GUESTS"))
    )
    early_fee: float | None = None
    late_fee: float | None = None
    has_restricted_access: bool | None = None


_NAME = rule(required=True, min_length=1, max_length=100)
_COUNT = rule(required=True, least=0)


@attrs.frozen(weakref_slot=False)
class ItemAttribute(Model):
    """A variant of an item.

    Source: eventspot-apis, item-attributes.

    Attributes:
        id: Its ID.
        name: Unique in the item, 1 to 100 characters; fixed once sold.
        quantity_total: The number for sale.
        quantity_available: The number that is left.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("id quantity_available")

    id: str = attrs.field(metadata=rule(max_length=100))
    name: str | None = limited(metadata=_NAME)
    quantity_total: int | None = limited(metadata=_COUNT)
    quantity_available: int | None = None


@attrs.frozen(weakref_slot=False)
class ItemAttributeWrite(Model):
    """The request to create or replace a variant of an item.

    Source: eventspot-apis, item-attributes.

    Attributes:
        name: Unique in the item, 1 to 100 characters; fixed once sold.
        quantity_total: The number for sale.
        extra: Other fields to send.
    """

    name: str = attrs.field(metadata=_NAME)
    quantity_total: int = attrs.field(metadata=_COUNT)


@attrs.frozen(weakref_slot=False)
class Item(Model):
    """An item that an event sells.

    Source: eventspot-apis, event-items.

    Attributes:
        id: Its ID.
        name: Unique in the event, 1 to 100 characters.
        price: The amount; 0 for free.
        default_quantity_total: The number for sale; the sum of the attributes' when it has any.
        per_registrant_limit: The maximum number that one registrant may take.
        show_quantity_available: Whether people see how many are left.
        description: At most 2,048 characters.
        default_quantity_available: The number that is left; None when it has attributes.
        attributes: Its variants; they are added by separate calls.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("id default_quantity_available attributes")

    id: str = attrs.field(metadata=rule(max_length=100))
    name: str | None = limited(metadata=_NAME)
    price: float | None = limited(metadata=_COUNT)
    default_quantity_total: int | None = limited(metadata=_COUNT)
    per_registrant_limit: int | None = limited(metadata=_COUNT)
    show_quantity_available: bool | None = limited(required=True)
    description: str | None = limited(max_length=2048)
    default_quantity_available: int | None = None
    attributes: tuple[ItemAttribute, ...] = attrs.field(
        default=(), converter=TupleOf[ItemAttribute]
    )


@attrs.frozen(weakref_slot=False)
class ItemWrite(Model):
    """The request to create or replace an item.

    Source: eventspot-apis, event-items.

    Attributes:
        name: Unique in the event, 1 to 100 characters.
        price: The amount; 0 for free.
        default_quantity_total: The number for sale; the sum of the attributes' when it has any.
        per_registrant_limit: The maximum number that one registrant may take.
        show_quantity_available: Whether people see how many are left.
        description: At most 2,048 characters.
        extra: Other fields to send.
    """

    name: str = attrs.field(metadata=_NAME)
    price: float = attrs.field(metadata=_COUNT)
    default_quantity_total: int = attrs.field(metadata=_COUNT)
    per_registrant_limit: int = attrs.field(metadata=_COUNT)
    show_quantity_available: bool = attrs.field(metadata=rule(required=True))
    description: str | None = limited(max_length=2048)


_CODE_NAME = rule(
    required=True,
    min_length=4,
    max_length=12,
    pattern="[A-Za-z0-9_]*",
    pattern_means="only letters, digits and _ are accepted",
)
_CODE_TYPE = rule(required=True, allowed=PromocodeType)
_DISCOUNT_SCOPE = rule(allowed=DiscountScope)
_DISCOUNT_TYPE = rule(allowed=DiscountType)


@attrs.frozen(weakref_slot=False, kw_only=True)
class _PromocodeFields(Model):
    """The optional fields that `Promocode` and `PromocodeWrite` share."""

    __needs__: ClassVar[tuple[Need, ...]] = _PROMOCODE_NEEDS

    discount_scope: DiscountScope | str | None = limited(metadata=_DISCOUNT_SCOPE)
    discount_type: DiscountType | str | None = limited(metadata=_DISCOUNT_TYPE)
    discount_amount: float | None = limited(least=0.01)
    discount_percent: int | None = limited(least=1, most=100)
    fee_ids: tuple[str, ...] = attrs.field(default=(), converter=TupleOf[str])
    is_paused: bool | None = None
    quantity_total: int | None = limited(least=-1)


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class Promocode(_PromocodeFields):
    """A code that opens a hidden fee or lowers the price.

    Source: eventspot-apis, promocodes.

    Attributes:
        id: Its ID.
        code_name: Unique, 4 to 12 letters, digits and underscores.
        code_type: ACCESS or DISCOUNT.
        discount_scope: The amount that is lowered; needed for DISCOUNT.
        discount_type: The unit of the discount.
        discount_amount: The amount, 0.01 at least.
        discount_percent: Percent, 1 to 100.
        fee_ids: The fees it is for: exactly one for ACCESS.
        is_paused: Whether it cannot be used for now; False by default.
        quantity_total: The number of uses; -1 without limit.
        quantity_available: The number of uses left; -1 without limit.
        quantity_used: The number of uses so far.
        status: Its state.
        extra: Fields that the service sent beyond those above. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names("id quantity_available quantity_used status")

    id: str = attrs.field(metadata=rule(max_length=50))
    code_name: str | None = limited(metadata=_CODE_NAME)
    code_type: PromocodeType | str | None = limited(metadata=_CODE_TYPE)
    quantity_available: int | None = None
    quantity_used: int | None = None
    status: PromocodeStatus | str | None = None


@attrs.frozen(weakref_slot=False, field_transformer=named_last)
class PromocodeWrite(_PromocodeFields):
    """The request to create or replace a promotion code.

    Source: eventspot-apis, promocodes.

    Attributes:
        code_name: Unique, 4 to 12 letters, digits and underscores.
        code_type: ACCESS or DISCOUNT.
        discount_scope: The amount that is lowered; needed for DISCOUNT.
        discount_type: The unit of the discount.
        discount_amount: The amount, 0.01 at least.
        discount_percent: Percent, 1 to 100.
        fee_ids: The fees it is for: exactly one for ACCESS.
        is_paused: Whether it cannot be used for now; False by default.
        quantity_total: The number of uses; -1 without limit.
        extra: Other fields to send.
    """

    __omit_empty__ = True

    code_name: str = attrs.field(metadata=_CODE_NAME)
    code_type: PromocodeType | str = attrs.field(metadata=_CODE_TYPE)
