"""The two operations of an event's registrants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.rows import READ_ONE, limit
from ccv2_async.sandbox.operations import Answer, Operation, Shape
from ccv2_async.sandbox.paging import page
from ccv2_async.sandbox.schemas import registrants as schemas
from ccv2_async.sandbox.state.events import USED, find

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.events import Event, Row


_CODE_FIELDS = (
    "code_name",
    "code_type",
    "discount_amount",
    "discount_percent",
    "discount_scope",
    "discount_type",
)


def _show(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "email": row["email"],
        "guest_count": len(row["guests"]),
        "attendance_status": "NOT_ATTENDED",
        "payment_status": "PENDING" if _total(row) else "NA",
        "registration_status": "REGISTERED",
        "registration_date": row["date"],
        "updated_date": row["date"],
        "ticket_id": row["ticket_id"],
    }


def _total(row: Row) -> float:
    return float(sum(line["amount"] * line["quantity"] for line in [*row["fees"], *row["items"]]))


def _field(name: str, label: str, value: str) -> dict[str, str]:
    return {"type": "single_value", "name": name, "label": label, "value": value}


def _show_guest(guest: Row) -> dict[str, Any]:
    fields = [
        _field("NAME_FIRST", "First Name", guest["first_name"]),
        _field("NAME_LAST", "Last Name", guest["last_name"]),
    ]
    section = {"label": "Personal Information", "fields": fields}
    return {"guest_id": guest["guest_id"], "guest_section": section}


def _show_promocode(event: Event, redeemed: Row) -> dict[str, Any]:
    code = next((row for row in event.promocodes if row["id"] == redeemed["id"]), {})
    info = {name: code[name] for name in _CODE_FIELDS if name in code}
    return {
        "total_discount": redeemed["total_discount"],
        "promo_code_info": {**info, "redemption_count": code.get(USED, 0)},
    }


def _show_detail(row: Row, event: Event) -> dict[str, Any]:
    personal = [
        _field("NAME_FIRST", "First Name", row["first_name"]),
        _field("NAME_LAST", "Last Name", row["last_name"]),
        _field("EMAIL_ADDRESS", "Email Address", row["email"]),
    ]
    order = {
        "order_id": row["order_id"],
        "order_date": row["date"],
        "currency_type": event.fields.get("currency_type", "USD"),
        "total": _total(row),
        "fees": row["fees"],
        "items": row["items"],
    }
    payment: dict[str, Any] = {
        "payment_status": "PENDING" if _total(row) else "NA",
        "payment_type": row["paid"],
        "order": order,
    }
    if row["promo_code"] is not None:
        payment["promo_code"] = _show_promocode(event, row["promo_code"])
    return {
        "id": row["id"],
        "sections": [{"label": "Personal Information", "fields": personal}],
        "ticket_id": row["ticket_id"],
        "registration_date": row["date"],
        "attendance_status": "NOT_ATTENDED",
        "guests": {
            "guest_count": len(row["guests"]),
            "guest_info": [_show_guest(guest) for guest in row["guests"]],
        },
        "payment_summary": payment,
    }


def registrants_list(call: Call) -> Answer:
    """List the registrants of an event."""
    event = call.world.events.event(call.ids["eventId"])
    return page(call, event.registrants, _show)


def registrant_get(call: Call) -> Answer:
    """Return one registrant with all details."""
    event = call.world.events.event(call.ids["eventId"])
    row = find(event.registrants, call.ids["registrantId"], "Registrant")
    return Answer(200, _show_detail(row, event))


_REGISTRANTS = "/eventspot/events/{eventId}/registrants"

REGISTRANT_OPERATIONS = (
    Operation(
        "registrants_list",
        "GET",
        _REGISTRANTS,
        registrants_list,
        READ_ONE,
        Shape("page", schemas.REGISTRANT),
        query={"limit": limit(500, 50)},
    ),
    Operation(
        "registrant_get",
        "GET",
        f"{_REGISTRANTS}/{{registrantId}}",
        registrant_get,
        READ_ONE,
        Shape("one", schemas.REGISTRANT_DETAIL),
    ),
)
