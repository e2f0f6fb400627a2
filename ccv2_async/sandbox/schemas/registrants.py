"""The bodies of registrants."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields

REGISTRANT = Model(
    "Registrant",
    {
        "id": Field("id", required=True),
        **fields("string", "email first_name last_name"),
        "guest_count": Field("integer"),
        **fields("string", "attendance_status payment_status registration_status"),
        **fields("datetime", "registration_date updated_date"),
        "ticket_id": Field("id"),
    },
)

REGISTRANT_FIELD = Model(
    "RegistrantField",
    {**fields("string", "type name label value"), "values": Field("array", items=Field("string"))},
)

REGISTRANT_SECTION = Model(
    "RegistrantSection",
    {
        "label": Field("string"),
        "fields": Field("array", items=Field("object", model=REGISTRANT_FIELD)),
    },
)

GUEST = Model(
    "Guest", {"guest_id": Field("id"), "guest_section": Field("object", model=REGISTRANT_SECTION)}
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
        **fields("string", "name type fee_period_type promo_type"),
        "quantity": Field("integer"),
        "amount": Field("number"),
    },
)

SALE_ITEM = Model(
    "SaleItem",
    {
        "id": Field("id"),
        **fields("string", "name type fee_period_type promo_type"),
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
        **fields("string", "code_name code_type"),
        "discount_amount": Field("number"),
        "discount_percent": Field("integer"),
        **fields("string", "discount_scope discount_type"),
        "redemption_count": Field("integer"),
    },
)

REGISTRANT_PROMOCODE = Model(
    "RegistrantPromocode",
    {"total_discount": Field("number"), "promo_code_info": Field("object", model=PROMOCODE_INFO)},
)

PAYMENT_SUMMARY = Model(
    "PaymentSummary",
    {
        **fields("string", "payment_status payment_type"),
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
