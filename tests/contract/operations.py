"""All operations of the API, group by group."""

from __future__ import annotations

from tests.contract.areas import (
    account,
    activities,
    campaigns,
    contacts,
    events,
    library,
    lists,
    tracking,
)

OPERATIONS = (
    *library.OPERATIONS,
    *activities.OPERATIONS,
    *lists.OPERATIONS,
    *contacts.OPERATIONS,
    *campaigns.OPERATIONS,
    *tracking.OPERATIONS,
    *events.OPERATIONS,
    *account.OPERATIONS,
)

COUNTS = {
    "library": 16,
    "activities": 8,
    "lists": 6,
    "contacts": 8,
    "campaigns": 12,
    "tracking": 19,
    "events": 27,
    "account": 4,
}

# Methods that make no call of their own: they are made of those in the table.
MADE_OF_OTHERS = {
    "library.upload",
    "library.update_file",
    "library.update_folder",
    "activities.add_contacts",
    "activities.remove_contacts",
    "activities.clear_lists",
    "activities.export_contacts",
    "library.open",
    "library.download",
    "library.mirror",
    "activities.open_export",
    "activities.download_export",
    "lists.update",
    "contacts.update",
    "contacts.upsert",
    "campaigns.update",
    "events.update",
    "events.publish",
    "events.cancel",
    "events.update_fee",
    "events.update_item",
    "events.update_item_attribute",
    "events.update_promocode",
    "account.update_info",
}
