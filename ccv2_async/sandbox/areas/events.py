"""The seven operations of events and their registrants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.fields import OWN_ID, Field, Model, array_of, choice, fields, object_of
from ccv2_async.sandbox.operations import (
    READ,
    JsonBody,
    Operations,
    Shape,
    limit,
    page,
)
from ccv2_async.sandbox.state.events import USED, find_row

if TYPE_CHECKING:
    from ccv2_async.sandbox.answers import Answer
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.events import Event, Row

OPERATIONS = Operations()
_PLACE = {
    **fields("string", "line1 line2 line3 city state state_code country country_code postal_code"),
    **fields("number", "latitude longitude"),
}
EVENT_ADDRESS = Model("EventAddress", **_PLACE)
PAYMENT_ADDRESS = Model("PaymentAddress", **_PLACE)
EVENT_CONTACT = Model(
    "EventContact",
    name=Field("string", required=True),
    **fields("string", "email_address organization_name phone_number"),
)
NOTIFICATION_OPTION = Model(
    "NotificationOption", notification_type=Field("string"), is_opted_in=Field("boolean")
)
ONLINE_MEETING = Model(
    "OnlineMeeting",
    **fields("string", "instructions provider_type url"),
    provider_meeting_id=Field("id"),
)
TRACK_INFORMATION = Model(
    "TrackInformation",
    **fields("datetime", "early_fee_date late_fee_date registration_limit_date"),
    guest_display_label=Field("string"),
    **fields("integer", "guest_limit registration_limit_count"),
    information_sections=array_of("string"),
    **fields("boolean", "is_guest_anonymous_enabled is_guest_name_required"),
    **fields("boolean", "is_registration_closed_manually is_ticketing_link_displayed"),
)
EVENT = Model(
    "Event",
    id=OWN_ID,
    **fields("string", "name title"),
    status=Field("string", read_only=True),
    **fields("string", "type description location"),
    **fields("datetime", "start_date end_date"),
    time_zone_id=Field("string"),
    time_zone_description=Field("string", read_only=True),
    address=object_of(EVENT_ADDRESS),
    contact=object_of(EVENT_CONTACT),
    currency_type=Field("string"),
    payment_options=array_of("string"),
    payable_to=Field("string"),
    payment_address=object_of(PAYMENT_ADDRESS),
    **fields("string", "paypal_account_email google_merchant_id google_analytics_key"),
    online_meeting=object_of(ONLINE_MEETING),
    notification_options=array_of(NOTIFICATION_OPTION),
    track_information=object_of(TRACK_INFORMATION),
    **fields("boolean", "is_virtual_event is_calendar_displayed is_checkin_available"),
    **fields("boolean", "is_home_page_displayed is_listed_in_external_directory"),
    **fields("boolean", "is_map_displayed are_registrants_public"),
    **fields("string", "theme_name twitter_hash_tag meta_data_tags"),
    **fields("string", "registration_url event_detail_url", read_only=True),
    total_registered_count=Field("integer", read_only=True),
    **fields("datetime", "created_date updated_date active_date", read_only=True),
    **fields("datetime", "cancelled_date deleted_date", read_only=True),
)
EVENT_WRITE = EVENT.writable(
    "EventWrite",
    **fields("string", "name title", required=True, max_length=100),
    type=choice(
        "AUCTION BIRTHDAY BUSINESS_FINANCE_SALES CLASSES_WORKSHOPS COMPETITION_SPORTS "
        "CONFERENCES_SEMINARS_FORUM CONVENTIONS_TRADESHOWS_EXPOS FESTIVALS_FAIRS "
        "FOOD_WINE FUNDRAISERS_CHARITIES HOLIDAY INCENTIVE_REWARD_RECOGNITION MOVIES_FILM "
        "MUSIC_CONCERTS NETWORKING_CLUBS PERFORMING_ARTS OUTDOORS_RECREATION "
        "RELIGION_SPIRITUALITY SCHOOLS_REUNIONS_ALUMNI PARTIES_SOCIAL_EVENTS_MIXERS "
        "TRAVEL WEBINAR_TELESEMINAR_TELECLASS WEDDINGS OTHER",
        required=True,
    ),
    **fields("datetime", "start_date end_date", required=True),
    time_zone_id=Field("string", required=True),
    contact=object_of(EVENT_CONTACT, required=True),
    currency_type=choice(
        "USD CAD AUD CHF CZK DKK EUR GBP HKD HUF ILS JPY MXN NOK NZD PHP PLN SEK SGD THB TWD"
    ),
    payment_options=array_of(
        choice("ONLINE_CREDIT_CARD_PROCESSOR PAYPAL GOOGLE_CHECKOUT CHECK DOOR")
    ),
)
EVENT_SUMMARY = Model(
    "EventSummary",
    id=Field("id", required=True),
    **fields("string", "name title status type location description time_zone_id"),
    address=object_of(EVENT_ADDRESS),
    **fields("datetime", "start_date end_date created_date active_date"),
    is_checkin_available=Field("boolean"),
    event_detail_url=Field("string"),
)
EVENT_STATUS_PATCH = Model(
    "EventStatusPatch",
    op=choice("REPLACE", required=True),
    path=choice("#/status", required=True),
    value=choice("ACTIVE CANCELLED", required=True),
)
REGISTRANT = Model(
    "Registrant",
    id=Field("id", required=True),
    **fields("string", "email first_name last_name"),
    guest_count=Field("integer"),
    **fields("string", "attendance_status payment_status registration_status"),
    **fields("datetime", "registration_date updated_date"),
    ticket_id=Field("id"),
)
REGISTRANT_FIELD = Model(
    "RegistrantField", **fields("string", "type name label value"), values=array_of("string")
)
REGISTRANT_SECTION = Model(
    "RegistrantSection", label=Field("string"), fields=array_of(REGISTRANT_FIELD)
)
GUEST = Model("Guest", guest_id=Field("id"), guest_section=object_of(REGISTRANT_SECTION))
GUESTS = Model("Guests", guest_count=Field("integer"), guest_info=array_of(GUEST))
_SALE = {
    "id": Field("id"),
    **fields("string", "name type fee_period_type promo_type"),
    "quantity": Field("integer"),
    "amount": Field("number"),
}
REGISTRANT_FEE = Model("RegistrantFee", **_SALE)
SALE_ITEM = Model("SaleItem", **_SALE)
REGISTRANT_ORDER = Model(
    "RegistrantOrder",
    order_id=Field("id"),
    order_date=Field("datetime"),
    currency_type=Field("string"),
    total=Field("number"),
    fees=array_of(REGISTRANT_FEE),
    items=array_of(SALE_ITEM),
)
PROMOCODE_INFO = Model(
    "PromocodeInfo",
    **fields("string", "code_name code_type discount_scope discount_type"),
    discount_amount=Field("number"),
    **fields("integer", "discount_percent redemption_count"),
)
REGISTRANT_PROMOCODE = Model(
    "RegistrantPromocode",
    total_discount=Field("number"),
    promo_code_info=object_of(PROMOCODE_INFO),
)
PAYMENT_SUMMARY = Model(
    "PaymentSummary",
    **fields("string", "payment_status payment_type"),
    order=object_of(REGISTRANT_ORDER),
    promo_code=object_of(REGISTRANT_PROMOCODE),
)
REGISTRANT_DETAIL = Model(
    "RegistrantDetail",
    id=Field("id", required=True),
    sections=array_of(REGISTRANT_SECTION),
    ticket_id=Field("id"),
    registration_date=Field("datetime"),
    attendance_status=Field("string"),
    guests=object_of(GUESTS),
    payment_summary=object_of(PAYMENT_SUMMARY),
)

_EVENTS = "/eventspot/events"
_EVENT = f"{_EVENTS}/{{eventId}}"
_REGISTRANTS = f"{_EVENT}/registrants"
_DEFAULTS: dict[str, Any] = {
    "currency_type": "USD",
    "is_virtual_event": False,
    "is_calendar_displayed": True,
    "is_checkin_available": False,
    "is_map_displayed": True,
    "are_registrants_public": False,
    "theme_name": "Default",
}


def _event(call: Call) -> Event:
    return call.world.events.event(call.ids["eventId"])


def _show(event: Event) -> dict[str, Any]:
    moments = {
        "created_date": event.created,
        "active_date": event.active,
        "cancelled_date": event.cancelled,
        "updated_date": event.modified,
    }
    return {
        "id": event.id,
        **_DEFAULTS,
        **event.fields,
        "status": event.status,
        "time_zone_description": event.fields["time_zone_id"],
        "registration_url": f"https://events.example.com/register?llr={event.id}",
        "total_registered_count": len(event.registrants),
        **{name: utc_stamp(moment) for name, moment in moments.items() if moment is not None},
    }


def _show_summary(event: Event) -> dict[str, Any]:
    shown = _show(event)
    return {
        **{name: shown[name] for name in EVENT_SUMMARY.fields if name in shown},
        "event_detail_url": f"https://events.example.com/event?llr={event.id}",
    }


@OPERATIONS.add(
    "GET", _EVENTS, Shape("page", EVENT_SUMMARY), codes=READ, query={"limit": limit(50, 50)}
)
def events_list(call: Call) -> dict[str, Any]:
    """List summaries of the events, newest first."""
    events = list(call.world.events.events.values())
    return page(call, events[::-1], _show_summary)


@OPERATIONS.add("POST", _EVENTS, EVENT, body=EVENT_WRITE)
def event_create(call: Call) -> Answer:
    """Create a draft."""
    return call.created(_show(call.world.events.create(call.body, call.now)))


@OPERATIONS.add("GET", _EVENT, EVENT)
def event_get(call: Call) -> dict[str, Any]:
    """Return one event without null fields."""
    return _show(_event(call))


@OPERATIONS.add("PUT", _EVENT, EVENT, body=EVENT_WRITE)
def event_update(call: Call) -> dict[str, Any]:
    """Replace an event. Missing fields are erased."""
    return _show(call.world.events.change(call.ids["eventId"], call.body, call.now))


@OPERATIONS.add("PATCH", _EVENT, EVENT, body=JsonBody.array(EVENT_STATUS_PATCH, exactly=1))
def event_set_status(call: Call) -> dict[str, Any]:
    """Publish or cancel an event."""
    status = call.body[0]["value"]
    return _show(call.world.events.set_status(call.ids["eventId"], status, call.now))


def _total(row: Row) -> float:
    return float(sum(line["amount"] * line["quantity"] for line in [*row["fees"], *row["items"]]))


def _show_registrant(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("id", "first_name", "last_name", "email", "ticket_id")},
        "guest_count": len(row["guests"]),
        "attendance_status": "NOT_ATTENDED",
        "payment_status": "PENDING" if _total(row) else "NA",
        "registration_status": "REGISTERED",
        "registration_date": row["date"],
        "updated_date": row["date"],
    }


_PERSONAL = {
    "first_name": ("NAME_FIRST", "First Name"),
    "last_name": ("NAME_LAST", "Last Name"),
    "email": ("EMAIL_ADDRESS", "Email Address"),
}


def _personal(row: Row) -> dict[str, Any]:
    """Return the section about a person, who may be a guest without an address."""
    shown = [
        {"type": "single_value", "name": name, "label": label, "value": row[key]}
        for key, (name, label) in _PERSONAL.items()
        if key in row
    ]
    return {"label": "Personal Information", "fields": shown}


def _show_promocode(event: Event, redeemed: Row) -> dict[str, Any]:
    code = next((row for row in event.promocodes if row["id"] == redeemed["id"]), {})
    info = {name: code[name] for name in PROMOCODE_INFO.fields if name in code}
    return {
        "total_discount": redeemed["total_discount"],
        "promo_code_info": {**info, "redemption_count": code.get(USED, 0)},
    }


def _show_detail(row: Row, event: Event) -> dict[str, Any]:
    payment: dict[str, Any] = {
        "payment_status": "PENDING" if _total(row) else "NA",
        "payment_type": row["paid"],
        "order": {
            "order_id": row["order_id"],
            "order_date": row["date"],
            "currency_type": event.fields.get("currency_type", "USD"),
            "total": _total(row),
            "fees": row["fees"],
            "items": row["items"],
        },
    }
    if row["promo_code"] is not None:
        payment["promo_code"] = _show_promocode(event, row["promo_code"])
    guests = [
        {"guest_id": guest["guest_id"], "guest_section": _personal(guest)}
        for guest in row["guests"]
    ]
    return {
        "id": row["id"],
        "sections": [_personal(row)],
        "ticket_id": row["ticket_id"],
        "registration_date": row["date"],
        "attendance_status": "NOT_ATTENDED",
        "guests": {"guest_count": len(guests), "guest_info": guests},
        "payment_summary": payment,
    }


@OPERATIONS.add("GET", _REGISTRANTS, Shape("page", REGISTRANT), query={"limit": limit(500, 50)})
def registrants_list(call: Call) -> dict[str, Any]:
    """List the registrants of an event."""
    return page(call, _event(call).registrants, _show_registrant)


@OPERATIONS.add("GET", f"{_REGISTRANTS}/{{registrantId}}", REGISTRANT_DETAIL)
def registrant_get(call: Call) -> dict[str, Any]:
    """Return one registrant with all details."""
    event = _event(call)
    return _show_detail(find_row(event.registrants, call.ids["registrantId"], "Registrant"), event)
