"""Contacts and the sign-up form."""

from __future__ import annotations

from ccv2_async import models
from ccv2_async.models import Page
from tests.contract.operation import CREATE, DELETE, READ_ONE, REPLACE, Operation
from tests.contract.samples import SINCE, contact, new_contact

OPERATIONS = (
    Operation(
        "contacts_list",
        "GET",
        "/contacts",
        READ_ONE,
        "contacts.all",
        lambda c, _: c.contacts.all(
            email="ann@example.com",
            status="active",
            modified_since=SINCE,
            include_contact_id=True,
            limit=7,
        ),
        answer=Page[models.Contact],
        query={
            "email": "ann@example.com",
            "status": "ACTIVE",
            "modified_since": "2013-01-02T03:04:05.678Z",
            "include_contact_id": "true",
            "limit": "7",
        },
        needs=("contactId",),
    ),
    Operation(
        "contact_create",
        "POST",
        "/contacts",
        CREATE,
        "contacts.create",
        lambda c, at: c.contacts.create(
            new_contact("bob@example.com", at["listId"]), action_by="action_by_visitor"
        ),
        answer=models.Contact,
        query={"action_by": "ACTION_BY_VISITOR"},
        body="json",
        needs=("listId",),
    ),
    Operation(
        "contact_get",
        "GET",
        "/contacts/{contactId}",
        READ_ONE,
        "contacts.get",
        lambda c, at: c.contacts.get(at["contactId"]),
        answer=models.Contact,
    ),
    Operation(
        "contact_update",
        "PUT",
        "/contacts/{contactId}",
        REPLACE,
        "contacts.replace",
        lambda c, at: c.contacts.replace(
            contact(at["contactId"], at["listId"]), action_by="ACTION_BY_OWNER"
        ),
        answer=models.Contact,
        query={"action_by": "ACTION_BY_OWNER"},
        body="json",
        needs=("listId",),
    ),
    Operation(
        "contact_optout",
        "DELETE",
        "/contacts/{contactId}",
        DELETE,
        "contacts.opt_out",
        lambda c, at: c.contacts.opt_out(at["contactId"]),
    ),
    Operation(
        "contact_remove_from_lists",
        "DELETE",
        "/contacts/{contactId}/lists",
        DELETE,
        "contacts.remove_from_lists",
        lambda c, at: c.contacts.remove_from_lists(at["contactId"]),
    ),
    Operation(
        "contact_remove_from_list",
        "DELETE",
        "/contacts/{contactId}/lists/{listId}",
        DELETE,
        "contacts.remove_from_list",
        lambda c, at: c.contacts.remove_from_list(at["contactId"], at["listId"]),
    ),
    Operation(
        "signup_form_create",
        "POST",
        "/signupform",
        (200, 400, 401, 500),
        "contacts.create_signup_form",
        lambda c, at: c.contacts.create_signup_form(
            models.SignupFormWrite(contact_lists=(at["listId"],), list_name="Regulars")
        ),
        answer=models.SignupForm,
        body="json",
        needs=("listId",),
    ),
)
