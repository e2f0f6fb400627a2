"""The bodies of contact lists: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

CONTACT_LIST = Model(
    "ContactList",
    {
        "id": Field("id", required=True, read_only=True),
        "list_id": Field("id", read_only=True),
        "name": Field("string"),
        "status": Field("string"),
        "contact_count": Field("integer", read_only=True),
        "created_date": Field("datetime", read_only=True),
        "modified_date": Field("datetime", read_only=True),
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
        "status": Field("string", read_only=True),
    },
)
