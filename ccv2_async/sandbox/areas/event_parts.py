"""Fees, items, attributes and promocodes of an event: twenty operations from four descriptions.

Each kind is a collection below its event (attributes: below their item) with the same five
operations; a `Part` says what differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ccv2_async.sandbox.areas.rows import CREATE_BELOW, DELETE_ONE, READ_ONE, UPDATE
from ccv2_async.sandbox.operations import Answer, JsonBody, Operation, Shape
from ccv2_async.sandbox.problems import Refusal, absent_field, bad_field
from ccv2_async.sandbox.schemas import events as schemas
from ccv2_async.sandbox.state.events import USED, find

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccv2_async.sandbox.fields import Model
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.events import Event, Row


@attrs.frozen
class Part:
    """One kind of thing that belongs to an event.

    Attributes:
        name: What its operations are called after, in the singular.
        title: What an error calls it.
        path: Its collection's path.
        parameter: The path parameter with its id.
        key: The field that is unique in its collection.
        model: What an answer shows.
        write: What a request sends.
        rows: Its collection.
        check: Raises a refusal where the fields that were sent do not go together.
        shown: A row with what the service adds to it.
        keeps_one: Whether the last of a collection has to stay.
    """

    name: str
    title: str
    path: str
    parameter: str
    key: str
    model: Model
    write: Model
    rows: Callable[[Call], list[Row]]
    check: Callable[[Call, Row], None] = lambda _call, _fields: None
    shown: Callable[[Row], Row] = dict
    keeps_one: bool = False

    def one(self, call: Call) -> Row:
        """Return the row that the path names, or raise a 404."""
        return find(self.rows(call), call.ids[self.parameter], self.title)

    def check_fields(self, call: Call, others: list[Row], conflict: int) -> Row:
        """Return the valid fields, or raise a 400, or `conflict` for a key that is taken."""
        fields: Row = dict(call.body)
        if not fields[self.key].strip():
            raise bad_field(self.key, "it must not be empty.")
        if any(row[self.key] == fields[self.key] for row in others):
            raise Refusal(conflict, f"{self.title} {fields[self.key]} is there already.")
        self.check(call, fields)
        return fields


def _event(call: Call) -> Event:
    return call.world.events.event(call.ids["eventId"])


def _fees(call: Call) -> list[Row]:
    return _event(call).fees


def _items(call: Call) -> list[Row]:
    return _event(call).items


def _promocodes(call: Call) -> list[Row]:
    return _event(call).promocodes


def _attributes(call: Call) -> list[Row]:
    item = find(_items(call), call.ids["itemId"], "Item")
    rows: list[Row] = item.setdefault("attributes", [])
    return rows


def _shown_fee(row: Row) -> Row:
    return {"has_restricted_access": False, **row}


def _check_item(_call: Call, fields: Row) -> None:
    if fields["per_registrant_limit"] > fields["default_quantity_total"]:
        raise bad_field("per_registrant_limit", "it is more than there are.")


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


def _check_promocode(call: Call, fields: Row) -> None:
    fee_ids = fields.get("fee_ids", [])
    known = {fee["id"] for fee in _fees(call)}
    for fee_id in fee_ids:
        if fee_id not in known:
            raise bad_field("fee_ids", f"the event has no fee {fee_id}.")
    if fields["code_type"] == "ACCESS":
        if len(fee_ids) != 1:
            raise bad_field("fee_ids", "an ACCESS code takes exactly one fee.")
        return
    if "discount_scope" not in fields:
        raise absent_field("discount_scope")
    if "discount_amount" not in fields and "discount_percent" not in fields:
        raise absent_field("discount_amount")
    if fields["discount_scope"] == "FEE_LIST" and not fee_ids:
        raise absent_field("fee_ids")


def _shown_promocode(row: Row) -> Row:
    total = row.get("quantity_total", -1)
    paused = row.get("is_paused", False)
    used = row.get(USED, 0)
    left = total if total < 0 else max(0, total - used)
    status = "PAUSED" if paused else "DEPLETED" if left == 0 else "LIVE"
    return {
        "is_paused": paused,
        "quantity_total": total,
        **{name: value for name, value in row.items() if name != USED},
        "quantity_available": left,
        "quantity_used": used,
        "status": status,
    }


def _listed(part: Part) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        return Answer(200, [part.shown(row) for row in part.rows(call)])

    return handler


def _created(part: Part) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        rows = part.rows(call)
        row = {"id": call.world.events.new_id(), **part.check_fields(call, rows, 409)}
        rows.append(row)
        location = call.url(f"{call.path}/{row['id']}")
        return Answer(201, part.shown(row), {"Location": location})

    return handler


def _got(part: Part) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        return Answer(200, part.shown(part.one(call)))

    return handler


def _updated(part: Part) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        row = part.one(call)
        others = [other for other in part.rows(call) if other is not row]
        fields = part.check_fields(call, others, 400)
        kept: Row = {name: row[name] for name in ("id", "attributes", USED) if name in row}
        row.clear()
        row.update({**fields, **kept})
        return Answer(200, part.shown(row))

    return handler


def _deleted(part: Part) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        row, rows = part.one(call), part.rows(call)
        if part.keeps_one and len(rows) == 1:
            raise Refusal(409, f"{part.title} {row['id']} is the only one, and one has to stay.")
        rows.remove(row)
        return Answer(204)

    return handler


_EVENT = "/eventspot/events/{eventId}"
PARTS = (
    Part(
        "fee",
        "Fee",
        f"{_EVENT}/fees",
        "feeId",
        "label",
        schemas.FEE,
        schemas.FEE_WRITE,
        _fees,
        shown=_shown_fee,
        keeps_one=True,
    ),
    Part(
        "item",
        "Item",
        f"{_EVENT}/items",
        "itemId",
        "name",
        schemas.ITEM,
        schemas.ITEM_WRITE,
        _items,
        _check_item,
        _shown_item,
    ),
    Part(
        "item_attribute",
        "Attribute",
        f"{_EVENT}/items/{{itemId}}/attributes",
        "attributeId",
        "name",
        schemas.ITEM_ATTRIBUTE,
        schemas.ITEM_ATTRIBUTE_WRITE,
        _attributes,
        shown=_shown_attribute,
    ),
    Part(
        "promocode",
        "Promocode",
        f"{_EVENT}/promocodes",
        "promocodeId",
        "code_name",
        schemas.PROMOCODE,
        schemas.PROMOCODE_WRITE,
        _promocodes,
        _check_promocode,
        _shown_promocode,
    ),
)


def _operations(part: Part) -> tuple[Operation, ...]:
    one, many = Shape("one", part.model), Shape("array", part.model)
    write, single = JsonBody.of(part.write), f"{part.path}/{{{part.parameter}}}"
    name = part.name
    deletable = (*DELETE_ONE, 409) if part.keeps_one else DELETE_ONE
    return (
        Operation(f"{name}s_list", "GET", part.path, _listed(part), READ_ONE, many),
        Operation(
            f"{name}_create", "POST", part.path, _created(part), CREATE_BELOW, one, body=write
        ),
        Operation(f"{name}_get", "GET", single, _got(part), READ_ONE, one),
        Operation(f"{name}_update", "PUT", single, _updated(part), UPDATE, one, body=write),
        Operation(f"{name}_delete", "DELETE", single, _deleted(part), deletable),
    )


PART_OPERATIONS = tuple(operation for part in PARTS for operation in _operations(part))
