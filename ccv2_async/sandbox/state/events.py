"""Events and their parts: fees, items with attributes, promocodes, registrants."""

from __future__ import annotations

import base64
import hashlib
import random
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.clock import read_stamp, utc_stamp
from ccv2_async.sandbox.responses import Refusal, absent_field, bad_field, lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccv2_async.sandbox.settings import Settings

Row = dict[str, Any]
_MOVES = {("DRAFT", "ACTIVE"), ("ACTIVE", "CANCELLED")}
_NEEDED_WITH_PAYMENT = {
    "CHECK": ("payable_to", "payment_address"),
    "PAYPAL": ("paypal_account_email",),
}
USED = "used"
"""The hidden key of a promotion code's number of uses."""
_NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov")


@attrs.define
class Event:
    """An event. `fields` are those that a client sets; the rest are rows, each with an ID."""

    id: str
    fields: Row
    created: float
    modified: float
    status: str = "DRAFT"
    active: float | None = None
    cancelled: float | None = None
    fees: list[Row] = attrs.field(factory=list)
    items: list[Row] = attrs.field(factory=list)
    promocodes: list[Row] = attrs.field(factory=list)
    registrants: list[Row] = attrs.field(factory=list)


def find_row(rows: list[Row], row_id: str, what: str) -> Row:
    """Return the row with this ID, or raise a 404."""
    return lookup({row["id"]: row for row in rows}, row_id, what)


@attrs.define
class Events:
    """All events of the account.

    Attributes:
        settings: The number of registrants of a published event, and the seed they come from.
        events: Events by ID.
    """

    settings: Settings
    events: dict[str, Event] = attrs.field(factory=dict)
    _made: int = 0

    def event(self, event_id: str) -> Event:
        """Return the event, or raise a 404."""
        return lookup(self.events, event_id, "Event")

    def create(self, fields: Row, now: float) -> Event:
        """Create a draft, or raise a 400 or 409."""
        check_event(fields)
        if "GOOGLE_CHECKOUT" in fields.get("payment_options", []):
            raise bad_field("payment_options", "GOOGLE_CHECKOUT is no longer accepted.")
        for other in self.events.values():
            if other.fields["name"] == fields["name"]:
                raise Refusal(409, f"An event named {fields['name']} already exists.")
        self._made += 1
        event_id = f"a07e8{self._digest('event')[:14]}"
        made = Event(event_id, fields, now, now)
        self.events[event_id] = made
        return made

    def change(self, event_id: str, fields: Row, now: float) -> Event:
        """Replace an event, or raise a 400 or 404."""
        changed = self.event(event_id)
        check_event(fields)
        changed.fields, changed.modified = fields, now
        return changed

    def set_status(self, event_id: str, status: str, now: float) -> Event:
        """Publish or cancel an event, or raise a 400 or 404."""
        event = self.event(event_id)
        if (event.status, status) not in _MOVES:
            raise Refusal(400, f"An event cannot go from {event.status} to {status}.")
        event.status, event.modified = status, now
        if status == "CANCELLED":
            event.cancelled = now
        else:
            event.active = now
            self._register(event, now)
        return event

    def new_id(self) -> str:
        """Return an ID for a fee, item, attribute or promocode: 43 characters of base64url."""
        self._made += 1
        digest = hashlib.sha256(self._digest("row").encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _digest(self, kind: str) -> str:
        return hashlib.sha256(f"{self.settings.draw_seed}:{kind}:{self._made}".encode()).hexdigest()

    def _register(self, event: Event, now: float) -> None:
        """Sign up registrants; the API has no call for that."""
        draw = random.Random(f"{self.settings.draw_seed}:{event.id}")  # noqa: S311 - made-up people
        for number in range(self.settings.registrants):
            self._made += 1
            registrant_id = self._digest("registrant")[:20]
            name = _NAMES[number % len(_NAMES)]
            row = _registrant(event, registrant_id, f"{name} {number + 1}", draw, now)
            row["guests"] = _guests(event, registrant_id, number)
            row["promo_code"] = _redeemed(event, row) if number % 2 == 0 else None
            event.registrants.append(row)


def check_event(fields: Mapping[str, Any]) -> None:
    """Raise a 400 if the fields of an event are inconsistent."""
    if read_stamp(fields["end_date"]) < read_stamp(fields["start_date"]):
        raise bad_field("end_date", "it is before start_date.")
    for option in fields.get("payment_options", []):
        for name in _NEEDED_WITH_PAYMENT.get(option, ()):
            if not fields.get(name):
                raise absent_field(name)
    if fields.get("is_virtual_event") and not fields.get("online_meeting", {}).get("url"):
        raise absent_field("online_meeting")


def _guests(event: Event, registrant_id: str, number: int) -> list[Row]:
    """Return the guests of a registrant: from none to the limit, in turn."""
    limit = min(event.fields.get("track_information", {}).get("guest_limit") or 0, 3)
    return [
        {
            "guest_id": f"{registrant_id[:8]}-guest-{guest}",
            "first_name": _NAMES[(number + guest) % len(_NAMES)].partition(" ")[0],
            "last_name": f"Guest {guest}",
        }
        for guest in range(1, (number + 1) % (limit + 1) + 1)
    ]


def _redeemed(event: Event, row: Row) -> Row | None:
    """Return the discount of a registrant's promotion code; None without a live code."""
    for code in event.promocodes:
        total = code.get("quantity_total", -1)
        used = code.get(USED, 0)
        if code["code_type"] != "DISCOUNT" or code.get("is_paused") or 0 <= total <= used:
            continue
        code[USED] = used + 1
        lines = [*row["fees"], *row["items"]]
        if code["discount_scope"] == "FEE_LIST":
            lines = [line for line in row["fees"] if line["id"] in code["fee_ids"]]
        amount = float(sum(line["amount"] * line["quantity"] for line in lines))
        if "discount_percent" in code:
            discount = amount * code["discount_percent"] / 100
        else:
            discount = min(amount, code["discount_amount"])
        return {"id": code["id"], "total_discount": -round(discount, 2)}
    return None


def _registrant(
    event: Event, registrant_id: str, name: str, draw: random.Random, now: float
) -> Row:
    first, _, last = name.partition(" ")
    items = [item for item in event.items if draw.random() < 0.5]
    return {
        "id": registrant_id,
        "first_name": first,
        "last_name": last,
        "email": f"{first}.{last.replace(' ', '.')}@example.com".lower(),
        "ticket_id": f"{registrant_id[:8]}-1",
        "date": utc_stamp(now),
        "paid": draw.choice(("CHECK", "DOOR")),
        "order_id": registrant_id[:12],
        "fees": [_line(fee["id"], fee["label"], fee["fee"], "FEE") for fee in event.fees[:1]],
        "items": [_line(item["id"], item["name"], item["price"], "ITEM") for item in items],
    }


def _line(row_id: str, name: str, amount: float, kind: str) -> Row:
    return {
        "id": row_id,
        "name": name,
        "type": kind,
        "fee_period_type": "FEE" if kind == "FEE" else "NONE",
        "promo_type": "NONE",
        "quantity": 1,
        "amount": amount,
    }
