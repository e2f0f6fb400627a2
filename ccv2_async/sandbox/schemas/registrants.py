"""The bodies of registrants: what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

REGISTRANT = Model(
    "Registrant",
    {
        "id": Field("id", required=True),
        "email": Field("string"),
        "first_name": Field("string"),
        "last_name": Field("string"),
        "guest_count": Field("integer"),
        "attendance_status": Field("string"),
        "payment_status": Field("string"),
        "registration_status": Field("string"),
        "registration_date": Field("datetime"),
        "updated_date": Field("datetime"),
        "ticket_id": Field("id"),
    },
)

REGISTRANT_FIELD = Model(
    "RegistrantField",
    {
        "type": Field("string"),
        "name": Field("string"),
        "label": Field("string"),
        "value": Field("string"),
        "values": Field("array", items=Field("string")),
    },
)

REGISTRANT_SECTION = Model(
    "RegistrantSection",
    {
        "label": Field("string"),
        "fields": Field("array", items=Field("object", model=REGISTRANT_FIELD)),
    },
)

GUEST = Model(
    "Guest",
    {
        "guest_id": Field("id"),
        "guest_section": Field("object", model=REGISTRANT_SECTION),
    },
)

GUESTS = Model(
    "Guests",
    {
        "guest_count": Field("integer"),
        "guest_info": Field("array", items=Field("object", model=GUEST)),
    },
)

REGISTRANT_FEE = Model(
    "RegistrantFee",
    {
        "id": Field("id"),
        "name": Field("string"),
        "type": Field("string"),
        "fee_period_type": Field("string"),
        "promo_type": Field("string"),
        "quantity": Field("integer"),
        "amount": Field("number"),
    },
)

SALE_ITEM = Model(
    "SaleItem",
    {
        "id": Field("id"),
        "name": Field("string"),
        "type": Field("string"),
        "fee_period_type": Field("string"),
        "promo_type": Field("string"),
        "quantity": Field("integer"),
        "amount": Field("number"),
    },
)

REGISTRANT_ORDER = Model(
    "RegistrantOrder",
    {
        "order_id": Field("id"),
        "order_date": Field("datetime"),
        "currency_type": Field("string"),
        "total": Field("number"),
        "fees": Field("array", items=Field("object", model=REGISTRANT_FEE)),
        "items": Field("array", items=Field("object", model=SALE_ITEM)),
    },
)

PROMOCODE_INFO = Model(
    "PromocodeInfo",
    {
        "code_name": Field("string"),
        "code_type": Field("string"),
        "discount_amount": Field("number"),
        "discount_percent": Field("integer"),
        "discount_scope": Field("string"),
        "discount_type": Field("string"),
        "redemption_count": Field("integer"),
    },
)

REGISTRANT_PROMOCODE = Model(
    "RegistrantPromocode",
    {
        "total_discount": Field("number"),
        "promo_code_info": Field("object", model=PROMOCODE_INFO),
    },
)

PAYMENT_SUMMARY = Model(
    "PaymentSummary",
    {
        "payment_status": Field("string"),
        "payment_type": Field("string"),
        "order": Field("object", model=REGISTRANT_ORDER),
        "promo_code": Field("object", model=REGISTRANT_PROMOCODE),
    },
)

REGISTRANT_DETAIL = Model(
    "RegistrantDetail",
    {
        "id": Field("id", required=True),
        "sections": Field("array", items=Field("object", model=REGISTRANT_SECTION)),
        "ticket_id": Field("id"),
        "registration_date": Field("datetime"),
        "attendance_status": Field("string"),
        "guests": Field("object", model=GUESTS),
        "payment_summary": Field("object", model=PAYMENT_SUMMARY),
    },
)
