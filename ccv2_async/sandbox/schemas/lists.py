"""The bodies of contact lists."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields

CONTACT_LIST = Model(
    "ContactList",
    {
        "id": Field("id", required=True, read_only=True),
        "list_id": Field("id", read_only=True),
        **fields("string", "name status"),
        "contact_count": Field("integer", read_only=True),
        **fields("datetime", "created_date modified_date", read_only=True),
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
    "ContactListRef", {"id": Field("id", required=True), "status": Field("string", read_only=True)}
)
