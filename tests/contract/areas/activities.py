"""Bulk activities."""

from __future__ import annotations

from ccv2_async import models
from tests.contract.operation import START, Operation
from tests.contract.samples import FILES

OPERATIONS = (
    Operation(
        "activities_list",
        "GET",
        "/activities",
        (200, 400, 401, 500),
        "activities.all",
        lambda c, _: c.activities.all(status="complete", type="clear_contacts_from_lists"),
        answer=list[models.Activity],
        query={"status": "COMPLETE", "type": "CLEAR_CONTACTS_FROM_LISTS"},
        needs=("activityId",),
    ),
    Operation(
        "activity_get",
        "GET",
        "/activities/{activityId}",
        (200, 400, 401, 404, 500),
        "activities.get",
        lambda c, at: c.activities.get(at["activityId"]),
        answer=models.Activity,
    ),
    Operation(
        "activity_add_contacts",
        "POST",
        "/activities/addcontacts",
        (201, 400, 401, 406, 415, 429, 500),
        "activities.begin_add_contacts",
        lambda c, at: c.activities.begin_add_contacts(
            ["ann@example.com"], lists=[at["listId"]], blanks_enabled=True
        ),
        answer=models.Activity,
        query={"blanks_enabled": "true"},
        body="json",
        needs=("listId",),
    ),
    Operation(
        "activity_add_contacts_multipart",
        "POST",
        "/activities/addcontacts",
        (201, 400, 401, 415, 429, 500),
        "activities.begin_add_contacts",
        lambda c, at: c.activities.begin_add_contacts(
            FILES / "contacts.csv", lists=[at["listId"]], blanks_enabled=True
        ),
        answer=models.Activity,
        query={"blanks_enabled": "true"},
        body="multipart",
        parts=("file_name", "lists", "data"),
        needs=("listId",),
    ),
    Operation(
        "activity_remove_contacts",
        "POST",
        "/activities/removefromlists",
        START,
        "activities.begin_remove_contacts",
        lambda c, at: c.activities.begin_remove_contacts(["ann@example.com"], lists=[at["listId"]]),
        answer=models.Activity,
        body="json",
        needs=("listId",),
    ),
    Operation(
        "activity_remove_contacts_multipart",
        "POST",
        "/activities/removefromlists",
        (201, 400, 401, 415, 429, 500),
        "activities.begin_remove_contacts",
        lambda c, at: c.activities.begin_remove_contacts(FILES / "gone.txt", lists=[at["listId"]]),
        answer=models.Activity,
        body="multipart",
        parts=("file_name", "lists", "data"),
        needs=("listId",),
    ),
    Operation(
        "activity_clear_lists",
        "POST",
        "/activities/clearlists",
        START,
        "activities.begin_clear_lists",
        lambda c, at: c.activities.begin_clear_lists([at["listId"]]),
        answer=models.Activity,
        body="json",
        needs=("listId",),
    ),
    Operation(
        "activity_export_contacts",
        "POST",
        "/activities/exportcontacts",
        START,
        "activities.begin_export_contacts",
        lambda c, at: c.activities.begin_export_contacts(at["listId"]),
        answer=models.Activity,
        body="json",
        needs=("listId",),
    ),
)
