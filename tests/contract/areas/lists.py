"""Contact lists."""

from __future__ import annotations

from ccv2_async import models
from ccv2_async.models import Page
from tests.contract.operation import CREATE, DELETE, READ_ONE, Operation
from tests.contract.samples import SINCE

OPERATIONS = (
    Operation(
        "lists_list",
        "GET",
        "/lists",
        READ_ONE,
        "lists.all",
        lambda c, _: c.lists.all(modified_since=SINCE, include_list_id=True),
        answer=list[models.ContactList],
        query={"modified_since": "2013-01-02T03:04:05.678Z", "include_list_id": "true"},
        needs=("listId",),
    ),
    Operation(
        "list_create",
        "POST",
        "/lists",
        CREATE,
        "lists.create",
        lambda c, _: c.lists.create("Regulars", status="hidden"),
        answer=models.ContactList,
        body="json",
    ),
    Operation(
        "list_get",
        "GET",
        "/lists/{listId}",
        READ_ONE,
        "lists.get",
        lambda c, at: c.lists.get(at["listId"]),
        answer=models.ContactList,
    ),
    Operation(
        "list_update",
        "PUT",
        "/lists/{listId}",
        (200, 400, 401, 404, 406, 409, 415, 500),
        "lists.replace",
        lambda c, at: c.lists.replace(
            models.ContactList(at["listId"], name="Guests", status="ACTIVE")
        ),
        answer=models.ContactList,
        body="json",
    ),
    Operation(
        "list_delete",
        "DELETE",
        "/lists/{listId}",
        DELETE,
        "lists.delete",
        lambda c, at: c.lists.delete(at["listId"]),
    ),
    Operation(
        "list_contacts",
        "GET",
        "/lists/{listId}/contacts",
        READ_ONE,
        "lists.contacts",
        lambda c, at: c.lists.contacts(at["listId"], modified_since=SINCE, limit=7),
        answer=Page[models.Contact],
        query={"modified_since": "2013-01-02T03:04:05.678Z", "limit": "7"},
        needs=("contactId",),
    ),
)
