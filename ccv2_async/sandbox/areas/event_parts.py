"""Fees, items, attributes and promocodes of an event: twenty operations from four descriptions.

Each kind is a collection below its event (attributes: below their item) with the same five
operations; a `Part` describes the differences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ccv2_async.sandbox.fields import define
from ccv2_async.sandbox.operations import (
    CREATE_BELOW,
    DELETE_ONE,
    READ_ONE,
    UPDATE,
    Operation,
    Operations,
)
from ccv2_async.sandbox.responses import Refusal, absent_field, bad_field
from ccv2_async.sandbox.state.events import USED, find_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.responses import APIResponse
    from ccv2_async.sandbox.state.events import Event, Row

OPERATIONS = Operations()
define(
    """
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


@attrs.frozen
class Part:
    """One kind of thing that belongs to an event.

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
        given = self._checked(call, rows, 409)
        row = {"id": call.world.events.new_id(), **given}
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


def _event(call: Call) -> Event:
    return call.world.events.event(call.ids["eventId"])


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
    name, model, write = part.name, part.model, f"{part.model}Write"
    deletable = (*DELETE_ONE, 409) if part.keeps_one else DELETE_ONE
    many = f"/eventspot/events/{{eventId}}/{part.path}"
    one = f"{many}/{{{part.parameter}}}"
    rules = f"The {part.key} must be unique in its collection.{part.rules}"
    last = f"The last {part.name} of an event cannot be deleted." if part.keeps_one else ""
    OPERATIONS.extend(
        (
            Operation(f"{name}s_list", "GET", many, part.list_all, READ_ONE, f"{model}[]"),
            Operation(
                *(f"{name}_create", "POST", many, part.create, CREATE_BELOW, model),
                body=write,
                rules=rules,
            ),
            Operation(f"{name}_get", "GET", one, part.get, READ_ONE, model),
            Operation(
                *(f"{name}_update", "PUT", one, part.update, UPDATE, model), body=write, rules=rules
            ),
            Operation(f"{name}_delete", "DELETE", one, part.delete, deletable, "", rules=last),
        )
    )


for _part in PARTS:
    _add(_part)
