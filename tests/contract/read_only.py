"""The fields that the service sets, by model, as its reference marks them.

Both sides have marks of their own: the client leaves the fields out of every body, the sandbox
ignores what it is sent for them. A test compares both with this table.
"""

from __future__ import annotations

READ_ONLY: dict[str, set[str]] = {
    "LibraryFile": {
        "id",
        "file_type",
        "type",
        "folder",
        "height",
        "width",
        "size",
        "is_image",
        "source",
        "status",
        "thumbnail",
        "url",
        "created_date",
        "modified_date",
    },
    "LibraryFolder": {
        "id",
        "level",
        "children",
        "item_count",
        "created_date",
        "modified_date",
    },
    "ContactList": {"id", "list_id", "contact_count", "created_date", "modified_date"},
    "ContactListRef": {"status"},
    # Besides, opt_in_source is written only as one of WRITABLE_SOURCES.
    "EmailAddress": {"id", "status", "confirm_status", "opt_in_date", "opt_out_date"},
    "Address": {"id"},
    "CustomField": {"label"},
    "Note": {"id", "created_date", "modified_date"},
    "Contact": {
        "id",
        "contact_id",
        "status",
        "confirmed",
        "source",
        "created_date",
        "modified_date",
        "insert_date",
        "last_update_date",
    },
    "Campaign": {
        "id",
        "status",
        "template_type",
        "tracking_summary",
        "click_through_details",
        "permalink_url",
        "created_date",
        "modified_date",
        "last_run_date",
        "last_sent_date",
        "next_run_date",
    },
    "Event": {
        "id",
        "status",
        "time_zone_description",
        "registration_url",
        "total_registered_count",
        "event_detail_url",
        "created_date",
        "updated_date",
        "active_date",
        "cancelled_date",
        "deleted_date",
    },
    "Fee": {"id"},
    "ItemAttribute": {"id", "quantity_available"},
    "Item": {"id", "default_quantity_available", "attributes"},
    "Promocode": {"id", "quantity_available", "quantity_used", "status"},
    "VerifiedEmailAddress": {"status"},
}

WRITABLE_SOURCES = {"ACTION_BY_VISITOR", "ACTION_BY_OWNER"}
