"""The registrants of an event, their guests, and their payments.

Source: the EventSpot registrant pages of the v2 reference.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum

import attrs

from ccv2_async.models.base import Model, TupleOf
from ccv2_async.models.event_sales import (
    DiscountScope,  # noqa: TC001  # read at run time
    DiscountType,  # noqa: TC001  # read at run time
    PromocodeType,  # noqa: TC001  # read at run time
)
from ccv2_async.models.events import CurrencyType  # noqa: TC001  # read at run time

__all__ = ["AttendanceStatus", "Guest", "Guests", "OrderLine", "PaymentSummary", "PromocodeInfo"]
__all__ += ["Registrant", "RegistrantDetail", "RegistrantField", "RegistrantOrder"]
__all__ += ["RegistrantPromocode", "RegistrantSection"]


class AttendanceStatus(StrEnum):
    """The attendance of a registrant."""

    ATTENDED = "ATTENDED"
    NOT_ATTENDED = "NOT_ATTENDED"


@attrs.frozen(weakref_slot=False)
class Registrant(Model):
    """A row of a listing of registrants.

    Attributes:
        id: The registrant's ID.
        email: Address.
        first_name: First name.
        last_name: Last name.
        guest_count: The number of guests.
        attendance_status: Whether the registrant attended.
        payment_status: The state of the payment, a word such as NA or PENDING.
        registration_status: The state of the registration, a word such as REGISTERED.
        registration_date: The date of the registration.
        updated_date: The date it was last changed.
        ticket_id: The registrant's ticket.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    guest_count: int | None = None
    attendance_status: AttendanceStatus | str | None = None
    payment_status: str | None = None
    registration_status: str | None = None
    registration_date: datetime | None = None
    updated_date: datetime | None = None
    ticket_id: str | None = None


@attrs.frozen(weakref_slot=False)
class RegistrantField(Model):
    """One question for a registrant.

    Attributes:
        type: `single_value`, or a kind with `values`.
        name: Its name.
        label: The question.
        value: The answer.
        values: The answers, where there may be several.
        extra: Fields that the service sent beyond those above.
    """

    type: str | None = None
    name: str | None = None
    label: str | None = None
    value: str | None = None
    values: tuple[str, ...] = attrs.field(default=(), converter=TupleOf[str])


@attrs.frozen(weakref_slot=False)
class RegistrantSection(Model):
    """A section of questions.

    Attributes:
        label: Its heading.
        fields: The questions and answers.
        extra: Fields that the service sent beyond those above.
    """

    label: str | None = None
    fields: tuple[RegistrantField, ...] = attrs.field(
        default=(), converter=TupleOf[RegistrantField]
    )


@attrs.frozen(weakref_slot=False)
class Guest(Model):
    """A guest of a registrant.

    Attributes:
        guest_id: The guest's ID.
        guest_section: The guest's questions and answers.
        extra: Fields that the service sent beyond those above.
    """

    guest_id: str | None = None
    guest_section: RegistrantSection | None = None


@attrs.frozen(weakref_slot=False)
class Guests(Model):
    """The guests of a registrant.

    Attributes:
        guest_count: The number of guests.
        guest_info: Each of them.
        extra: Fields that the service sent beyond those above.
    """

    guest_count: int | None = None
    guest_info: tuple[Guest, ...] = attrs.field(
        default=(),
        metadata={"aliases": ("guests_info", "guest_sections")},
        converter=TupleOf[Guest],
    )


@attrs.frozen(weakref_slot=False)
class OrderLine(Model):
    """A fee or an item of an order.

    Attributes:
        id: The fee's or item's ID.
        name: Its name.
        type: Its kind.
        fee_period_type: Early, regular or late.
        promo_type: The kind of promotion.
        quantity: The number of them.
        amount: The amount.
        extra: Fields that the service sent beyond those above.
    """

    id: str | None = None
    name: str | None = None
    type: str | None = None
    fee_period_type: str | None = None
    promo_type: str | None = None
    quantity: int | None = None
    amount: float | None = None


@attrs.frozen(weakref_slot=False)
class RegistrantOrder(Model):
    """The order of a registrant.

    Attributes:
        order_id: The order's ID.
        order_date: The date of the order.
        currency_type: The currency.
        total: The amount.
        fees: The fees in it.
        items: The items in it.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    order_id: str | None = None
    order_date: datetime | None = None
    currency_type: CurrencyType | str | None = None
    total: float | None = None
    fees: tuple[OrderLine, ...] = attrs.field(default=(), converter=TupleOf[OrderLine])
    items: tuple[OrderLine, ...] = attrs.field(default=(), converter=TupleOf[OrderLine])


@attrs.frozen(weakref_slot=False)
class PromocodeInfo(Model):
    """The promotion code of an order.

    Attributes:
        code_name: Its name.
        code_type: ACCESS or DISCOUNT.
        discount_amount: The amount.
        discount_percent: Percent.
        discount_scope: The amount that is lowered.
        discount_type: The unit of the discount.
        redemption_count: The number of uses so far.
        extra: Fields that the service sent beyond those above.
    """

    code_name: str | None = None
    code_type: PromocodeType | str | None = None
    discount_amount: float | None = None
    discount_percent: int | None = None
    discount_scope: DiscountScope | str | None = None
    discount_type: DiscountType | str | None = None
    redemption_count: int | None = None


@attrs.frozen(weakref_slot=False)
class RegistrantPromocode(Model):
    """The discount of a promotion code on an order.

    Attributes:
        total_discount: The amount, below zero.
        promo_code_info: The code.
        extra: Fields that the service sent beyond those above.
    """

    total_discount: float | None = None
    promo_code_info: PromocodeInfo | None = None


@attrs.frozen(weakref_slot=False)
class PaymentSummary(Model):
    """The payment of a registrant.

    Attributes:
        payment_status: The state of the payment.
        payment_type: A word such as CHECK or DOOR.
        order: The order.
        promo_code: The promotion code that was used.
        extra: Fields that the service sent beyond those above.
    """

    payment_status: str | None = None
    payment_type: str | None = None
    order: RegistrantOrder | None = None
    promo_code: RegistrantPromocode | None = None


@attrs.frozen(weakref_slot=False)
class RegistrantDetail(Model):
    """A registrant with all details.

    Source: eventspot-apis, individual-registrants.

    Attributes:
        id: The registrant's ID.
        sections: The registrant's questions and answers.
        ticket_id: The registrant's ticket.
        registration_date: The date of the registration.
        attendance_status: Whether the registrant attended.
        guests: The registrant's guests.
        payment_summary: The registrant's payment.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here.
    """

    id: str
    sections: tuple[RegistrantSection, ...] = attrs.field(
        default=(), converter=TupleOf[RegistrantSection]
    )
    ticket_id: str | None = None
    registration_date: datetime | None = None
    attendance_status: AttendanceStatus | str | None = None
    guests: Guests | None = None
    payment_summary: PaymentSummary | None = None
