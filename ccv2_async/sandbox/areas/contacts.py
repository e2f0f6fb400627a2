"""The eight operations of contacts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.rows import (
    CREATE,
    DELETE_ONE,
    READ_ONE,
    SINCE,
    UPDATE,
    limit,
    modified_since,
)
from ccv2_async.sandbox.clock import utc_stamp
from ccv2_async.sandbox.fields import Field
from ccv2_async.sandbox.operations import Answer, JsonBody, Operation, Shape
from ccv2_async.sandbox.paging import page
from ccv2_async.sandbox.problems import Refusal, bad_field
from ccv2_async.sandbox.schemas import contacts as schemas
from ccv2_async.sandbox.state.contacts import address_problem, is_address

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.contacts import Contact

PAGE_LIMIT = limit(500, 50)
_TEXTS = (
    "prefix_name",
    "first_name",
    "middle_name",
    "last_name",
    "job_title",
    "department_name",
    "company_name",
    "home_phone",
    "work_phone",
    "cell_phone",
    "fax",
)
_ACTIONS = ("ACTION_BY_OWNER", "ACTION_BY_VISITOR")
_STATUSES = ("ACTIVE", "UNCONFIRMED", "OPTOUT", "REMOVED", "NON_SUBSCRIBER")


def show_contact(contact: Contact) -> dict[str, Any]:
    """Return a contact as the service shows it."""
    fields = contact.fields
    address = {
        "id": f"e{contact.id}",
        "email_address": contact.email,
        "status": contact.status,
        "confirm_status": "NO_CONFIRMATION_REQUIRED",
        "opt_in_source": contact.opt_in_source,
        "opt_in_date": utc_stamp(contact.opt_in),
        "opt_out_date": utc_stamp(contact.opt_out),
    }
    return {
        "id": contact.id,
        "status": contact.status,
        "confirmed": False,
        **{name: fields.get(name, "") for name in _TEXTS},
        "addresses": [
            {"id": _address_id(contact, row), **row} for row in fields.get("addresses", [])
        ],
        "email_addresses": [address],
        "lists": [{"id": list_id, "status": "ACTIVE"} for list_id in contact.lists],
        "custom_fields": [{"label": row["name"], **row} for row in fields.get("custom_fields", [])],
        "notes": fields.get("notes", []),
        "source": contact.source,
        "source_details": fields.get("source_details", ""),
        "created_date": utc_stamp(contact.created),
        "modified_date": utc_stamp(contact.modified),
    }


def _address_id(contact: Contact, address: dict[str, Any]) -> str:
    """Return the id of a postal address: a contact has one of each type."""
    kind = address.get("address_type", "")
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"contact:{contact.id}:address:{kind}"))


def contacts_list(call: Call) -> Answer:
    """Contacts, all or those that the query chooses."""
    contacts, query = call.world.contacts, call.query
    if query["email"] is not None:
        found = contacts.by_email(query["email"])
        rows = [] if found is None else [found]
    else:
        rows = list(contacts.contacts.values())
    status = query["status"]
    rows = [row for row in modified_since(call, rows) if status in ("ALL", row.status)]
    if not query["include_contact_id"]:
        return page(call, rows, show_contact)

    def with_id(row: Contact) -> dict[str, Any]:
        contact_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"contact:{row.id}"))
        return {**show_contact(row), "contact_id": contact_id}

    return page(call, rows, with_id)


def _checked(call: Call) -> tuple[str, list[str], dict[str, Any]]:
    body: dict[str, Any] = dict(call.body)
    addresses = body.pop("email_addresses")
    email = addresses[0]["email_address"]
    if not is_address(email):
        raise address_problem(email)
    lists = call.world.contacts.check_lists(row["id"] for row in body.pop("lists"))
    kinds = [row.get("address_type") for row in body.get("addresses", [])]
    if len(kinds) > len(set(kinds)):
        raise bad_field("addresses", "one PERSONAL and one BUSINESS address are accepted.")
    source = addresses[0].get("opt_in_source")
    if source not in (None, *_ACTIONS):
        raise Refusal(
            400,
            f"Valid options are: {', '.join(reversed(_ACTIONS))}",
            "json.field.opt_in_source.value.invalid",
        )
    return email, lists, body


def _set_fields(contact: Contact, fields: dict[str, Any], now: float) -> None:
    """Set what a client writes; a note that was there already keeps its id and its dates."""
    before = {note["note"]: note for note in contact.fields.get("notes", []) if "note" in note}
    used = {int(note["id"]) for note in before.values()}
    for note in fields.get("notes", []):
        known = before.pop(note.get("note"), None)
        if known is None:
            used.add(max(used, default=0) + 1)
            stamp = utc_stamp(now)
            known = {"id": str(max(used)), "created_date": stamp, "modified_date": stamp}
        note |= {name: known[name] for name in ("id", "created_date", "modified_date")}
    contact.fields = fields


def contact_create(call: Call) -> Answer:
    """Create a contact, or bring back one that was removed or had opted out."""
    email, lists, fields = _checked(call)
    contacts = call.world.contacts
    stored = contacts.by_email(email)
    if stored is not None and stored.status == "ACTIVE":
        raise Refusal(409, f"A contact with the address {email} is there already.")
    contact = contacts.add(email, "API", call.query["action_by"], call.now)
    _set_fields(contact, fields, call.now)
    contacts.join(contact, lists, call.now)
    location = call.url(f"/contacts/{contact.id}")
    return Answer(201, show_contact(contact), {"Location": location})


def contact_get(call: Call) -> Answer:
    """Return one contact."""
    return Answer(200, show_contact(call.world.contacts.contact(call.ids["contactId"])))


def contact_update(call: Call) -> Answer:
    """Replace a contact. Missing fields are erased."""
    contacts = call.world.contacts
    contact = contacts.contact(call.ids["contactId"])
    email, lists, fields = _checked(call)
    contacts.readdress(contact, email)
    contacts.add(email, contact.source, call.query["action_by"], call.now)
    _set_fields(contact, fields, call.now)
    contacts.join(contact, lists, call.now)
    contacts.leave(contact, [old for old in contact.lists if old not in lists], call.now)
    return Answer(200, show_contact(contact))


def contact_optout(call: Call) -> Answer:
    """Unsubscribe a contact. It is not deleted."""
    contacts = call.world.contacts
    contacts.opt_out(contacts.contact(call.ids["contactId"]), call.now)
    return Answer(204)


def contact_remove_from_lists(call: Call) -> Answer:
    """Remove a contact from all lists."""
    contacts = call.world.contacts
    contact = contacts.contact(call.ids["contactId"])
    contacts.leave(contact, contact.lists, call.now)
    return Answer(204)


def contact_remove_from_list(call: Call) -> Answer:
    """Remove a contact from one list."""
    contacts = call.world.contacts
    contact = contacts.contact(call.ids["contactId"])
    contacts.leave(contact, [contacts.contact_list(call.ids["listId"]).id], call.now)
    return Answer(204)


def signup_form_create(call: Call) -> Answer:
    """Create a sign-up form for lists."""
    named = [row.get("id") if isinstance(row, dict) else row for row in call.body["contact_lists"]]
    lists = call.world.contacts.check_lists(str(list_id) for list_id in named)
    origin = call.base_url.removesuffix("/v2")
    url = f"{origin}/__sandbox__/signup?lists={','.join(lists)}"
    return Answer(200, {**call.body, "signup_form_url": url})


_ONE = Shape("one", schemas.CONTACT)
_WRITE = JsonBody.of(schemas.CONTACT_WRITE)
_ACTION = {"action_by": (Field("string", allowed=_ACTIONS), "ACTION_BY_OWNER")}

OPERATIONS = (
    Operation(
        "contacts_list",
        "GET",
        "/contacts",
        contacts_list,
        READ_ONE,
        Shape("page", schemas.CONTACT),
        query={
            "email": (Field("string"), None),
            "limit": PAGE_LIMIT,
            "modified_since": SINCE,
            "status": (Field("string", allowed=("ALL", *_STATUSES)), "ALL"),
            "include_contact_id": (Field("boolean"), False),
        },
    ),
    Operation(
        "contact_create",
        "POST",
        "/contacts",
        contact_create,
        CREATE,
        _ONE,
        query=_ACTION,
        body=_WRITE,
    ),
    Operation("contact_get", "GET", "/contacts/{contactId}", contact_get, READ_ONE, _ONE),
    Operation(
        "contact_update",
        "PUT",
        "/contacts/{contactId}",
        contact_update,
        UPDATE,
        _ONE,
        query=_ACTION,
        body=_WRITE,
    ),
    Operation("contact_optout", "DELETE", "/contacts/{contactId}", contact_optout, DELETE_ONE),
    Operation(
        "contact_remove_from_lists",
        "DELETE",
        "/contacts/{contactId}/lists",
        contact_remove_from_lists,
        DELETE_ONE,
    ),
    Operation(
        "contact_remove_from_list",
        "DELETE",
        "/contacts/{contactId}/lists/{listId}",
        contact_remove_from_list,
        DELETE_ONE,
    ),
    Operation(
        "signup_form_create",
        "POST",
        "/signupform",
        signup_form_create,
        (200, 400, 401, 500),
        Shape("one", schemas.SIGNUP_FORM),
        body=JsonBody.of(schemas.SIGNUP_FORM_WRITE),
    ),
)
