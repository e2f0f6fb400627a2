"""Events, their registrants, and their parts: twenty operations from four descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.clock import utc_stamps
from ccv2_async.sandbox.fields import MODELS, define
from ccv2_async.sandbox.operations import READ, Operations, page
from ccv2_async.sandbox.responses import Refusal, absent_field, bad_field
from ccv2_async.sandbox.state.events import USED, find_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox.operations import Call, Handler
    from ccv2_async.sandbox.responses import APIResponse
    from ccv2_async.sandbox.state.events import Event, Row

OPERATIONS = Operations()
define(
    """
    EventAddress: line1 line2 line3 city state state_code country country_code postal_code
        latitude:float longitude:float
    PaymentAddress < EventAddress:
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
    SaleItem < RegistrantFee:
    RegistrantOrder: order_id:id order_date:date currency_type total:float fees:RegistrantFee[]
        items:SaleItem[]
    PromocodeInfo: code_name code_type discount_scope discount_type discount_amount:float
        discount_percent:int redemption_count:int
    RegistrantPromocode: total_discount:float promo_code_info:PromocodeInfo
    PaymentSummary: payment_status payment_type order:RegistrantOrder promo_code:RegistrantPromocode
    RegistrantDetail: id!:id sections:RegistrantSection[] ticket_id:id registration_date:date
        attendance_status guests:Guests payment_summary:PaymentSummary
    Fee: id!-:id label fee_scope fee:float early_fee:float late_fee:float has_restricted_access:bool
    FeeWrite < Fee: label!>=1<=100 fee_scope!:BOTH|REGISTRANTS|REGISTRANT|GUESTS fee!:float>=0
        early_fee:float>=0 late_fee:float>=0
    ItemAttribute: id!-:id name quantity_total:int quantity_available-:int
    ItemAttributeWrite < ItemAttribute: name!>=1<=100 quantity_total!:int>=0
    Item: id!-:id name description price:float default_quantity_total:int per_registrant_limit:int
        default_quantity_available-:int show_quantity_available:bool attributes-:ItemAttribute[]
    ItemWrite < Item: name!>=1<=100 description<=2048 price!:float>=0 default_quantity_total!:int>=0
        per_registrant_limit!:int>=0 show_quantity_available!:bool
    Promocode: id!-:id code_name code_type discount_scope discount_type discount_amount:float
        discount_percent:int fee_ids:id[] is_paused:bool quantity_total:int quantity_available-:int
        quantity_used-:int status-
    PromocodeWrite < Promocode: code_name!/[A-Za-z0-9_]{4,12}/ code_type!:ACCESS|DISCOUNT
        discount_scope:FEE_LIST|ORDER_TOTAL discount_type:PERCENT|AMOUNT discount_amount:float>=0.01
        discount_percent:int>=1<=100 quantity_total:int>=-1
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
    return page(call, list(call.world.events.events.values())[::-1], _show_summary)


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
    return _show(call.world.events.set_status(call.ids["eventId"], call.body[0]["value"], call.now))


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


@attrs.frozen
class Part:
    """A collection below an event (attributes: below their item), with the same five operations.

    Attributes:
        name: The noun in the names of its operations.
        title: Its name in errors.
        path: The path of its collection below the event's.
        parameter: The path parameter with its ID.
        key: The field that is unique in its collection.
        model: The model of a response; that of a request is its `Write` form.
        rows: Its collection.
        check: Raises a refusal if the sent fields are inconsistent.
        shown: A row with the fields that the service adds to it.
        keeps_one: Whether the last one of a collection must stay.
        rules: The rules for a request, besides the unique key.
    """

    name: str
    title: str
    path: str
    parameter: str
    key: str
    model: str
    rows: Callable[[Call], list[Row]]
    check: Callable[[Call, Row], None] = lambda _call, _fields: None
    shown: Callable[[Row], Row] = dict
    keeps_one: bool = False
    rules: str = ""

    def list_all(self, call: Call) -> list[Row]:
        """List all."""
        return [self.shown(row) for row in self.rows(call)]

    def create(self, call: Call) -> APIResponse:
        """Add one."""
        rows = self.rows(call)
        row = {"id": call.world.events.new_id(), **self._checked(call, rows, 409)}
        rows.append(row)
        return call.created(self.shown(row))

    def get(self, call: Call) -> Row:
        """Return one."""
        return self.shown(self._one(call))

    def update(self, call: Call) -> Row:
        """Replace one. Missing fields are erased."""
        row = self._one(call)
        others = [other for other in self.rows(call) if other is not row]
        given = self._checked(call, others, 400)
        kept: Row = {name: row[name] for name in ("id", "attributes", USED) if name in row}
        row.clear()
        row.update({**given, **kept})
        return self.shown(row)

    def delete(self, call: Call) -> None:
        """Delete one."""
        row, rows = self._one(call), self.rows(call)
        if self.keeps_one and len(rows) == 1:
            raise Refusal(409, f"{self.title} {row['id']} is the last one and cannot be deleted.")
        rows.remove(row)

    def _one(self, call: Call) -> Row:
        return find_row(self.rows(call), call.ids[self.parameter], self.title)

    def _checked(self, call: Call, others: list[Row], conflict: int) -> Row:
        """Return the valid fields, or raise a 400, or `conflict` for a key that is taken."""
        given: Row = dict(call.body)
        if any(row[self.key] == given[self.key] for row in others):
            raise Refusal(conflict, f"{self.title} {given[self.key]} already exists.")
        self.check(call, given)
        return given


def _attributes(call: Call) -> list[Row]:
    item = find_row(_event(call).items, call.ids["itemId"], "Item")
    rows: list[Row] = item.setdefault("attributes", [])
    return rows


def _check_item(_call: Call, given: Row) -> None:
    if given["per_registrant_limit"] > given["default_quantity_total"]:
        raise bad_field("per_registrant_limit", "it must not exceed default_quantity_total.")


def _shown_item(row: Row) -> Row:
    shown: Row = {"description": "", **row, "attributes": row.get("attributes", [])}
    if shown["attributes"]:
        quantities = [attribute["quantity_total"] for attribute in shown["attributes"]]
        shown["default_quantity_total"] = sum(quantities)
        shown["attributes"] = [_shown_attribute(attribute) for attribute in shown["attributes"]]
    else:
        shown["default_quantity_available"] = shown["default_quantity_total"]
    return shown


def _shown_attribute(row: Row) -> Row:
    return {**row, "quantity_available": row["quantity_total"]}


def _check_promocode(call: Call, given: Row) -> None:
    fee_ids = given.get("fee_ids", [])
    known = {fee["id"] for fee in _event(call).fees}
    for fee_id in fee_ids:
        if fee_id not in known:
            raise bad_field("fee_ids", f"the event has no fee {fee_id}.")
    if given["code_type"] == "ACCESS":
        if len(fee_ids) != 1:
            raise bad_field("fee_ids", "an ACCESS code takes exactly one fee.")
        return
    if "discount_scope" not in given:
        raise absent_field("discount_scope")
    if "discount_amount" not in given and "discount_percent" not in given:
        raise absent_field("discount_amount")
    if given["discount_scope"] == "FEE_LIST" and not fee_ids:
        raise absent_field("fee_ids")


def _shown_promocode(row: Row) -> Row:
    total = row.get("quantity_total", -1)
    paused = row.get("is_paused", False)
    used = row.get(USED, 0)
    left = total if total < 0 else max(0, total - used)
    return {
        "is_paused": paused,
        "quantity_total": total,
        **{name: value for name, value in row.items() if name != USED},
        "quantity_available": left,
        "quantity_used": used,
        "status": "PAUSED" if paused else "DEPLETED" if left == 0 else "LIVE",
    }


PARTS = (
    Part(
        *("fee", "Fee", "fees", "feeId", "label", "Fee"),
        rows=lambda call: _event(call).fees,
        shown=lambda row: {"has_restricted_access": False, **row},
        keeps_one=True,
    ),
    Part(
        *("item", "Item", "items", "itemId", "name", "Item"),
        rows=lambda call: _event(call).items,
        check=_check_item,
        shown=_shown_item,
        rules=" `per_registrant_limit` must be at most `default_quantity_total`.",
    ),
    Part(
        *("item_attribute", "Attribute", "items/{itemId}/attributes", "attributeId", "name"),
        "ItemAttribute",
        rows=_attributes,
        shown=_shown_attribute,
    ),
    Part(
        *("promocode", "Promocode", "promocodes", "promocodeId", "code_name", "Promocode"),
        rows=lambda call: _event(call).promocodes,
        check=_check_promocode,
        shown=_shown_promocode,
        rules=" The fees of `fee_ids` must exist. An ACCESS code has exactly one. A DISCOUNT "
        "has `discount_scope`, `discount_amount` or `discount_percent`, and with FEE_LIST at least "
        "one fee.",
    ),
)


def _add(part: Part) -> None:
    model, many = part.model, f"{_EVENT}/{part.path}"
    one = f"{many}/{{{part.parameter}}}"
    rules = f"The {part.key} must be unique in its collection.{part.rules}"
    written = {"body": f"{model}Write", "rules": rules}
    kept: dict[str, Any] = {}
    if part.keeps_one:
        kept = {"also": (409,), "rules": f"The last {part.name} of an event cannot be deleted."}

    def add(word: str, handler: Handler, method: str, path: str, answer: str, **more: Any) -> None:
        OPERATIONS.add(method, path, answer, name=f"{part.name}{word}", **more)(handler)

    add("s_list", part.list_all, "GET", many, f"{model}[]")
    add("_create", part.create, "POST", many, model, also=(404,), **written)
    add("_get", part.get, "GET", one, model)
    add("_update", part.update, "PUT", one, model, **written)
    add("_delete", part.delete, "DELETE", one, "", **kept)


for _part in PARTS:
    _add(_part)
