"""The operations of contacts and contact lists."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.clock import utc_stamp, utc_stamps
from ccv2_async.sandbox.fields import MODELS, Field, define
from ccv2_async.sandbox.operations import Operations, modified_since, page
from ccv2_async.sandbox.responses import Refusal, bad_field, picked
from ccv2_async.sandbox.state.contacts import check_address

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.responses import APIResponse
    from ccv2_async.sandbox.state.contacts import Contact, ContactList

OPERATIONS = Operations()
define(
    """
    ContactList: id!-:id list_id-:id name status contact_count-:int created_date-:date
        modified_date-:date
    ContactListWrite < ContactList: name!>=1<=255 status!:ACTIVE|HIDDEN|REMOVED
    ContactListRef: id!:id status-
    EmailAddress: id-:id email_address!:email status- confirm_status- opt_in_source
        opt_in_date-:date opt_out_date-:date
    Address: id-:id address_type line1 line2 line3 city state state_code country_code postal_code
        sub_postal_code
    CustomField: name! label- value!
    Note: id-:id note created_date-:date modified_date-:date
    Contact: id!-:id contact_id-:id status- confirmed-:bool prefix_name first_name middle_name
        last_name job_title department_name company_name home_phone work_phone cell_phone fax
        addresses:Address[] email_addresses!:EmailAddress[] lists:ContactListRef[]
        custom_fields:CustomField[] notes:Note[] source- source_details created_date-:date
        modified_date-:date insert_date-:date last_update_date-:date
    ContactWrite: prefix_name first_name last_name job_title department_name company_name<=50
        home_phone<=50 work_phone<=50 cell_phone<=50 fax<=50 addresses:Address[]
        email_addresses!:EmailAddress[]>=1<=1 lists!:ContactListRef[]>=1
        custom_fields:CustomField[]<=15 notes:Note[] source_details
    SignupFormWrite: contact_lists!:id|ContactListRef[]>=1 list_name source
    SignupForm: contact_lists!:id|ContactListRef[] list_name source signup_form_url
    """
)

_LIMIT = "limit:int>=1<=500=50"
_ACTIONS = ("ACTION_BY_OWNER", "ACTION_BY_VISITOR")
_ACTION = f"action_by:{'|'.join(_ACTIONS)}=ACTION_BY_OWNER"
# The fields that every contact shows, empty ones too.
_TEXTS = [name for name, field in MODELS["Contact"].fields.items() if field == Field("string")]


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def _show_list(row: ContactList) -> dict[str, Any]:
    dates = utc_stamps(created_date=row.created, modified_date=row.modified)
    return {**picked(row, "id name status"), **dates, "contact_count": len(row.members)}


@OPERATIONS.add(
    "GET", "/lists", "ContactList[]", query="modified_since:date include_list_id:bool=false"
)
def lists_list(call: Call) -> list[dict[str, Any]]:
    """Return all lists as a bare array."""
    rows = modified_since(call, call.world.contacts.lists.values())
    shown = [_show_list(row) for row in rows]
    if call.query["include_list_id"]:
        for row in shown:
            row["list_id"] = _uuid(f"list:{row['id']}")
    return shown


@OPERATIONS.add("POST", "/lists", "ContactList", body="ContactListWrite")
def list_create(call: Call) -> APIResponse:
    """Create a list.

    Its name must be unique; case is ignored. An account can have at most 1000 lists.
    """
    made = call.world.contacts.create_list(call.body["name"], call.body["status"], call.now)
    return call.created(_show_list(made))


@OPERATIONS.add("GET", "/lists/{listId}", "ContactList")
def list_get(call: Call) -> dict[str, Any]:
    """Return one list."""
    return _show_list(call.world.contacts.contact_list(call.ids["listId"]))


@OPERATIONS.add("PUT", "/lists/{listId}", "ContactList", also=(409,), body="ContactListWrite")
def list_update(call: Call) -> dict[str, Any]:
    """Change the name and status of a list.

    Its name must be unique; case is ignored.
    """
    name, status = call.body["name"], call.body["status"]
    return _show_list(call.world.contacts.change_list(call.ids["listId"], name, status, call.now))


@OPERATIONS.add("DELETE", "/lists/{listId}")
def list_delete(call: Call) -> None:
    """Delete a list. Its contacts remain."""
    call.world.contacts.delete_list(call.ids["listId"], call.now)


@OPERATIONS.add(
    "GET", "/lists/{listId}/contacts", "Contact page", query=f"{_LIMIT} modified_since:date"
)
def list_contacts(call: Call) -> dict[str, Any]:
    """List the contacts of a list."""
    return page(call, modified_since(call, call.world.contacts.members(call.ids["listId"])), _show)


def _show(contact: Contact) -> dict[str, Any]:
    given = contact.fields
    address = {
        "id": f"e{contact.id}",
        "email_address": contact.email,
        **picked(contact, "status opt_in_source"),
        "confirm_status": "NO_CONFIRMATION_REQUIRED",
        **utc_stamps(opt_in_date=contact.opt_in, opt_out_date=contact.opt_out),
    }
    return {
        **picked(contact, "id status source"),
        "confirmed": False,
        **{name: given.get(name, "") for name in _TEXTS},
        "addresses": [
            # A contact has one postal address of each type.
            {"id": _uuid(f"contact:{contact.id}:address:{row.get('address_type', '')}"), **row}
            for row in given.get("addresses", [])
        ],
        "email_addresses": [address],
        "lists": [{"id": list_id, "status": "ACTIVE"} for list_id in contact.lists],
        "custom_fields": [{"label": row["name"], **row} for row in given.get("custom_fields", [])],
        "notes": given.get("notes", []),
        **utc_stamps(created_date=contact.created, modified_date=contact.modified),
    }


@OPERATIONS.add(
    "GET",
    "/contacts",
    "Contact page",
    query=f"email {_LIMIT} modified_since:date "
    "status:ALL|ACTIVE|UNCONFIRMED|OPTOUT|REMOVED|NON_SUBSCRIBER=ALL include_contact_id:bool=false",
)
def contacts_list(call: Call) -> dict[str, Any]:
    """List the contacts that match the query."""
    contacts, query = call.world.contacts, call.query
    if query["email"] is not None:
        found = contacts.by_email(query["email"])
        rows = [] if found is None else [found]
    else:
        rows = list(contacts.contacts.values())
    rows = [row for row in modified_since(call, rows) if query["status"] in ("ALL", row.status)]

    def shown(row: Contact) -> dict[str, Any]:
        extra = {"contact_id": _uuid(f"contact:{row.id}")} if query["include_contact_id"] else {}
        return {**_show(row), **extra}

    return page(call, rows, shown)


def _checked(call: Call) -> tuple[str, list[str], dict[str, Any]]:
    body: dict[str, Any] = dict(call.body)
    addresses = body.pop("email_addresses")
    email = addresses[0]["email_address"]
    check_address(email)
    lists = call.world.contacts.check_lists(row["id"] for row in body.pop("lists"))
    kinds = [row.get("address_type") for row in body.get("addresses", [])]
    if len(kinds) > len(set(kinds)):
        raise bad_field("addresses", "one PERSONAL and one BUSINESS address are accepted.")
    if addresses[0].get("opt_in_source") not in (None, *_ACTIONS):
        raise Refusal(
            400,
            f"Valid options are: {', '.join(reversed(_ACTIONS))}",
            "json.field.opt_in_source.value.invalid",
        )
    return email, lists, body


def _set_fields(contact: Contact, given: dict[str, Any], now: float) -> None:
    """Set the fields that a client sent. An existing note keeps its ID and its dates."""
    before = {note["note"]: note for note in contact.fields.get("notes", []) if "note" in note}
    used = {int(note["id"]) for note in before.values()}
    for note in given.get("notes", []):
        if (known := before.pop(note.get("note"), None)) is None:
            used.add(max(used, default=0) + 1)
            stamp = utc_stamp(now)
            known = {"id": str(max(used)), "created_date": stamp, "modified_date": stamp}
        note |= {name: known[name] for name in ("id", "created_date", "modified_date")}
    contact.fields = given


@OPERATIONS.add("POST", "/contacts", "Contact", query=_ACTION, body="ContactWrite")
def contact_create(call: Call) -> APIResponse:
    """Create a contact, or bring back one that was removed or had opted out.

    The lists must exist, and no active contact may have the address. There can be at most one
    postal address of each type. `opt_in_source`, if it is sent, must be ACTION_BY_OWNER or
    ACTION_BY_VISITOR.
    """
    email, lists, given = _checked(call)
    contacts = call.world.contacts
    if (stored := contacts.by_email(email)) is not None and stored.status == "ACTIVE":
        raise Refusal(409, f"A contact with the address {email} already exists.")
    contact = contacts.add(email, "API", call.query["action_by"], call.now)
    _set_fields(contact, given, call.now)
    contacts.join(contact, lists, call.now)
    return call.created(_show(contact))


def _contact(call: Call) -> Contact:
    return call.world.contacts.contact(call.ids["contactId"])


@OPERATIONS.add("GET", "/contacts/{contactId}", "Contact")
def contact_get(call: Call) -> dict[str, Any]:
    """Return one contact."""
    return _show(_contact(call))


@OPERATIONS.add("PUT", "/contacts/{contactId}", "Contact", query=_ACTION, body="ContactWrite")
def contact_update(call: Call) -> dict[str, Any]:
    """Replace a contact. Missing fields are erased.

    The lists must exist, and no other contact may have the address. There can be at most one postal
    address of each type. `opt_in_source`, if it is sent, must be ACTION_BY_OWNER or
    ACTION_BY_VISITOR.
    """
    contacts, contact = call.world.contacts, _contact(call)
    email, lists, given = _checked(call)
    contacts.readdress(contact, email)
    contacts.add(email, contact.source, call.query["action_by"], call.now)
    _set_fields(contact, given, call.now)
    contacts.join(contact, lists, call.now)
    contacts.leave(contact, [old for old in contact.lists if old not in lists], call.now)
    return _show(contact)


@OPERATIONS.add("DELETE", "/contacts/{contactId}")
def contact_optout(call: Call) -> None:
    """Unsubscribe a contact. It is not deleted."""
    call.world.contacts.opt_out(_contact(call), call.now)


@OPERATIONS.add("DELETE", "/contacts/{contactId}/lists")
def contact_remove_from_lists(call: Call) -> None:
    """Remove a contact from all lists.

    An active contact on no list becomes REMOVED.
    """
    contact = _contact(call)
    call.world.contacts.leave(contact, contact.lists, call.now)


@OPERATIONS.add("DELETE", "/contacts/{contactId}/lists/{listId}")
def contact_remove_from_list(call: Call) -> None:
    """Remove a contact from one list.

    An active contact on no list becomes REMOVED.
    """
    contacts, contact = call.world.contacts, _contact(call)
    contacts.leave(contact, [contacts.contact_list(call.ids["listId"]).id], call.now)


@OPERATIONS.add(
    "POST", "/signupform", "SignupForm", codes=(200, 400, 401, 500), body="SignupFormWrite"
)
def signup_form_create(call: Call) -> dict[str, Any]:
    """Create a sign-up form for lists.

    The lists must exist.
    """
    named = [row.get("id") if isinstance(row, dict) else row for row in call.body["contact_lists"]]
    lists = call.world.contacts.check_lists(str(list_id) for list_id in named)
    return {
        **call.body,
        "signup_form_url": f"{call.origin}/__sandbox__/signup?lists={','.join(lists)}",
    }
