"""The bodies of contact lists: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

CONTACT_LIST = Model(
    "ContactList",
    {
        "id": Field("id", required=True),
        "list_id": Field("id"),
        "name": Field("string"),
        "status": Field("string"),
        "contact_count": Field("integer"),
        "created_date": Field("datetime"),
        "modified_date": Field("datetime"),
    },
)

CONTACT_LIST_WRITE = Model(
    "ContactListWrite",
    {
        "name": Field("string", required=True, max_length=255),
        "status": Field("string", required=True, allowed=("ACTIVE", "HIDDEN", "REMOVED")),
    },
)

CONTACT_LIST_REF = Model(
    "ContactListRef",
    {
        "id": Field("id", required=True),
        "status": Field("string"),
    },
)
