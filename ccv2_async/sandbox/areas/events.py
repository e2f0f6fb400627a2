"""The operations of events and their registrants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.clock import utc_stamps
from ccv2_async.sandbox.fields import MODELS, define
from ccv2_async.sandbox.operations import READ, Operations, page
from ccv2_async.sandbox.state.events import USED, find_row

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.responses import APIResponse
    from ccv2_async.sandbox.state.events import Event, Row

OPERATIONS = Operations()
define(
    """
    EventAddress: line1 line2 line3 city state state_code country country_code postal_code
        latitude:float longitude:float
    PaymentAddress: line1 line2 line3 city state state_code country country_code postal_code
        latitude:float longitude:float
    EventContact: name! email_address organization_name phone_number
    NotificationOption: notification_type is_opted_in:bool
    OnlineMeeting: instructions provider_type url provider_meeting_id:id
    TrackInformation: early_fee_date:date late_fee_date:date registration_limit_date:date
        guest_display_label guest_limit:int registration_limit_count:int
        information_sections:string[] is_guest_anonymous_enabled:bool is_guest_name_required:bool
        is_registration_closed_manually:bool is_ticketing_link_displayed:bool
    Event: id!-:id name title status- type description location start_date:date end_date:date
        time_zone_id time_zone_description- address:EventAddress contact:EventContact currency_type
        payment_options:string[] payable_to payment_address:PaymentAddress paypal_account_email
        google_merchant_id google_analytics_key online_meeting:OnlineMeeting
        notification_options:NotificationOption[] track_information:TrackInformation
        is_virtual_event:bool is_calendar_displayed:bool is_checkin_available:bool
        is_home_page_displayed:bool is_listed_in_external_directory:bool is_map_displayed:bool
        are_registrants_public:bool theme_name twitter_hash_tag meta_data_tags registration_url-
        event_detail_url- total_registered_count-:int created_date-:date updated_date-:date
        active_date-:date cancelled_date-:date deleted_date-:date
    EventWrite < Event: name!>=1<=100 title!>=1<=100
        type!:AUCTION|BIRTHDAY|BUSINESS_FINANCE_SALES|CLASSES_WORKSHOPS|COMPETITION_SPORTS|
        CONFERENCES_SEMINARS_FORUM|CONVENTIONS_TRADESHOWS_EXPOS|FESTIVALS_FAIRS|FOOD_WINE|
        FUNDRAISERS_CHARITIES|HOLIDAY|INCENTIVE_REWARD_RECOGNITION|MOVIES_FILM|MUSIC_CONCERTS|
        NETWORKING_CLUBS|PERFORMING_ARTS|OUTDOORS_RECREATION|RELIGION_SPIRITUALITY|
        SCHOOLS_REUNIONS_ALUMNI|PARTIES_SOCIAL_EVENTS_MIXERS|TRAVEL|WEBINAR_TELESEMINAR_TELECLASS|
        WEDDINGS|OTHER
        start_date!:date end_date!:date time_zone_id!>=1 contact!:EventContact
        currency_type:USD|CAD|AUD|CHF|CZK|DKK|EUR|GBP|HKD|HUF|ILS|JPY|MXN|NOK|NZD|PHP|PLN|SEK|SGD|
        THB|TWD
        payment_options:ONLINE_CREDIT_CARD_PROCESSOR|PAYPAL|GOOGLE_CHECKOUT|CHECK|DOOR[]
    EventSummary: id!:id name title status type location description time_zone_id
        address:EventAddress start_date:date end_date:date created_date:date active_date:date
        is_checkin_available:bool event_detail_url
    EventStatusPatch: op!:|REPLACE path!:|#/status value!:ACTIVE|CANCELLED
    Registrant: id!:id email first_name last_name guest_count:int attendance_status payment_status
        registration_status registration_date:date updated_date:date ticket_id:id
    RegistrantField: type name label value values:string[]
    RegistrantSection: label fields:RegistrantField[]
    Guest: guest_id:id guest_section:RegistrantSection
    Guests: guest_count:int guest_info:Guest[]
    RegistrantFee: id:id name type fee_period_type promo_type quantity:int amount:float
    SaleItem: id:id name type fee_period_type promo_type quantity:int amount:float
    RegistrantOrder: order_id:id order_date:date currency_type total:float fees:RegistrantFee[]
        items:SaleItem[]
    PromocodeInfo: code_name code_type discount_scope discount_type discount_amount:float
        discount_percent:int redemption_count:int
    RegistrantPromocode: total_discount:float promo_code_info:PromocodeInfo
    PaymentSummary: payment_status payment_type order:RegistrantOrder promo_code:RegistrantPromocode
    RegistrantDetail: id!:id sections:RegistrantSection[] ticket_id:id registration_date:date
        attendance_status guests:Guests payment_summary:PaymentSummary
    """
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
    return {
        "id": event.id,
        **_DEFAULTS,
        **event.fields,
        "status": event.status,
        "time_zone_description": event.fields["time_zone_id"],
        "registration_url": f"https://events.example.com/register?llr={event.id}",
        "total_registered_count": len(event.registrants),
        **utc_stamps(
            created_date=event.created,
            active_date=event.active,
            cancelled_date=event.cancelled,
            updated_date=event.modified,
        ),
    }


def _show_summary(event: Event) -> dict[str, Any]:
    shown = _show(event)
    return {
        **{name: shown[name] for name in MODELS["EventSummary"].fields if name in shown},
        "event_detail_url": f"https://events.example.com/event?llr={event.id}",
    }


@OPERATIONS.add("GET", _EVENTS, "EventSummary page", codes=READ, query="limit:int>=1<=50=50")
def events_list(call: Call) -> dict[str, Any]:
    """List summaries of the events, newest first."""
    events = list(call.world.events.events.values())
    return page(call, events[::-1], _show_summary)


@OPERATIONS.add("POST", _EVENTS, "Event", body="EventWrite")
def event_create(call: Call) -> APIResponse:
    """Create a draft.

    Its name must be unique, and it must not end before it starts. `payable_to` and
    `payment_address` are required with the payment option CHECK, `paypal_account_email` with
    PAYPAL, and the URL of `online_meeting` with `is_virtual_event`. GOOGLE_CHECKOUT is no longer
    accepted.
    """
    return call.created(_show(call.world.events.create(call.body, call.now)))


@OPERATIONS.add("GET", _EVENT, "Event")
def event_get(call: Call) -> dict[str, Any]:
    """Return one event without null fields."""
    return _show(_event(call))


@OPERATIONS.add("PUT", _EVENT, "Event", body="EventWrite")
def event_update(call: Call) -> dict[str, Any]:
    """Replace an event. Missing fields are erased.

    The rules for a new event apply, except that its name may be taken.
    """
    return _show(call.world.events.change(call.ids["eventId"], call.body, call.now))


@OPERATIONS.add("PATCH", _EVENT, "Event", body="EventStatusPatch[]>=1<=1")
def event_set_status(call: Call) -> dict[str, Any]:
    """Publish or cancel an event.

    A DRAFT can become ACTIVE, and an ACTIVE event CANCELLED.
    """
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
    info = {name: code[name] for name in MODELS["PromocodeInfo"].fields if name in code}
    return {
        "total_discount": redeemed["total_discount"],
        "promo_code_info": {**info, "redemption_count": code.get(USED, 0)},
    }


def _show_detail(row: Row, event: Event) -> dict[str, Any]:
    order = {name: row[name] for name in ("order_id", "fees", "items")}
    currency = event.fields.get("currency_type", "USD")
    order |= {"order_date": row["date"], "currency_type": currency, "total": _total(row)}
    payment: dict[str, Any] = {
        "payment_status": "PENDING" if _total(row) else "NA",
        "payment_type": row["paid"],
        "order": order,
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


@OPERATIONS.add("GET", _REGISTRANTS, "Registrant page", query="limit:int>=1<=500=50")
def registrants_list(call: Call) -> dict[str, Any]:
    """List the registrants of an event."""
    return page(call, _event(call).registrants, _show_registrant)


@OPERATIONS.add("GET", f"{_REGISTRANTS}/{{registrantId}}", "RegistrantDetail")
def registrant_get(call: Call) -> dict[str, Any]:
    """Return one registrant with all details."""
    event = _event(call)
    return _show_detail(find_row(event.registrants, call.ids["registrantId"], "Registrant"), event)
