"""The six operations of contact lists."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.contacts import PAGE_LIMIT, show_contact
from ccv2_async.sandbox.areas.rows import (
    CREATE,
    DELETE_ONE,
    READ_ONE,
    SINCE,
    UPDATE,
    modified_since,
)
from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.fields import Field
from ccv2_async.sandbox.operations import Answer, JsonBody, Operation, Shape
from ccv2_async.sandbox.paging import page
from ccv2_async.sandbox.schemas import contacts as contact_schemas
from ccv2_async.sandbox.schemas import lists as schemas

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.contacts import ContactList


def _show(row: ContactList) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "created_date": utc_stamp(row.created),
        "modified_date": utc_stamp(row.modified),
        "contact_count": len(row.members),
    }


def lists_list(call: Call) -> Answer:
    """All lists, as a bare array."""
    rows = modified_since(call, call.world.contacts.lists.values())
    shown = [_show(row) for row in rows]
    if call.query["include_list_id"]:
        for row in shown:
            row["list_id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"list:{row['id']}"))
    return Answer(200, shown)


def list_create(call: Call) -> Answer:
    """Create a list."""
    made = call.world.contacts.create_list(call.body["name"], call.body["status"], call.now)
    return Answer(201, _show(made), {"Location": call.url(f"/lists/{made.id}")})


def list_get(call: Call) -> Answer:
    """Return one list."""
    return Answer(200, _show(call.world.contacts.contact_list(call.ids["listId"])))


def list_update(call: Call) -> Answer:
    """Change the name and status of a list."""
    body = call.body
    changed = call.world.contacts.change_list(
        call.ids["listId"], body["name"], body["status"], call.now
    )
    return Answer(200, _show(changed))


def list_delete(call: Call) -> Answer:
    """Delete a list. Its contacts remain."""
    call.world.contacts.delete_list(call.ids["listId"], call.now)
    return Answer(204)


def list_contacts(call: Call) -> Answer:
    """List the contacts of a list."""
    members = call.world.contacts.members(call.ids["listId"])
    return page(call, modified_since(call, members), show_contact)


_ONE = Shape("one", schemas.CONTACT_LIST)
_WRITE = JsonBody.of(schemas.CONTACT_LIST_WRITE)

OPERATIONS = (
    Operation(
        "lists_list",
        "GET",
        "/lists",
        lists_list,
        READ_ONE,
        Shape("array", schemas.CONTACT_LIST),
        query={"modified_since": SINCE, "include_list_id": (Field("boolean"), False)},
    ),
    Operation("list_create", "POST", "/lists", list_create, CREATE, _ONE, body=_WRITE),
    Operation("list_get", "GET", "/lists/{listId}", list_get, READ_ONE, _ONE),
    Operation(
        "list_update", "PUT", "/lists/{listId}", list_update, (*UPDATE, 409), _ONE, body=_WRITE
    ),
    Operation("list_delete", "DELETE", "/lists/{listId}", list_delete, DELETE_ONE),
    Operation(
        "list_contacts",
        "GET",
        "/lists/{listId}/contacts",
        list_contacts,
        READ_ONE,
        Shape("page", contact_schemas.CONTACT),
        query={"limit": PAGE_LIMIT, "modified_since": SINCE},
    ),
)
