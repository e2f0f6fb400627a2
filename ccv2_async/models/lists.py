"""Contact lists.

Source: the contact list pages of the v2 reference.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import attrs

from ccv2_async.models.base import Model, names, to_tuple
from ccv2_async.models.validation import limited, rule

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ContactList", "ContactListRef", "ContactListStatus", "ContactListWrite"]


class ContactListStatus(StrEnum):
    """The state of a contact list."""

    ACTIVE = "ACTIVE"
    HIDDEN = "HIDDEN"
    REMOVED = "REMOVED"


_STATUS = rule(required=True, allowed=ContactListStatus)


@attrs.frozen(weakref_slot=False)
class ContactList(Model):
    """A contact list.

    Source: contact-list-api, contactlist-resource.

    Attributes:
        id: The list's id.
        list_id: Its UUID for migrations; only when asked for.
        name: At most 255 characters.
        status: ACTIVE or HIDDEN.
        contact_count: Contacts on it.
        created_date: The date it was created.
        modified_date: The date it was last changed.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Goes back when it is written.
    """

    __read_only__ = names("id list_id contact_count created_date modified_date")

    id: str
    list_id: str | None = None
    name: str | None = limited(required=True, max_length=255)
    status: ContactListStatus | str | None = limited(metadata=_STATUS)
    contact_count: int | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class ContactListWrite(Model):
    """The request to create or replace a list.

    Source: contact-list-api, contactlist-collection, POST.

    Attributes:
        name: At most 255 characters.
        status: Its state.
        extra: Further fields to send.
    """

    name: str = attrs.field(metadata=rule(required=True, max_length=255))
    status: ContactListStatus | str = limited(ContactListStatus.ACTIVE, metadata=_STATUS)


@attrs.frozen(weakref_slot=False)
class ContactListRef(Model):
    """A list that a contact is on.

    Attributes:
        id: The list's id.
        status: The state of the list.
        extra: Fields that the service sent beyond those above. Goes back when it is written.
    """

    __read_only__ = names("status")

    id: str = attrs.field(metadata=rule(required=True))
    status: ContactListStatus | str | None = None


def is_list_id(value: object) -> bool:
    """Return whether a value is the id of a list: text or a number."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def list_refs(values: Iterable[ContactListRef | str]) -> tuple[ContactListRef, ...]:
    """Return references to contact lists. An id becomes a reference."""
    found: Any = to_tuple(values)
    if isinstance(found, tuple):
        found = tuple(ContactListRef(entry) if is_list_id(entry) else entry for entry in found)
    return cast("tuple[ContactListRef, ...]", found)
