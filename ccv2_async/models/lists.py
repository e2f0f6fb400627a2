"""Contact lists.

Source: the contact list pages of the v2 reference.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # read at run time by the converter
from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import Any, ClassVar

import attrs

from ccv2_async.models.rules import rule

__all__ = [
    "ContactList",
    "ContactListRef",
    "ContactListStatus",
    "ContactListWrite",
]


class ContactListStatus(StrEnum):
    """The state of a contact list."""

    ACTIVE = "ACTIVE"
    HIDDEN = "HIDDEN"
    REMOVED = "REMOVED"


@attrs.frozen(weakref_slot=False)
class ContactList:
    """A contact list.

    Source: contact-list-api, contactlist-resource.

    Attributes:
        id: The list's id.
        list_id: Its UUID for migrations; only when asked for.
        name: At most 255 characters.
        status: ACTIVE or HIDDEN.
        contact_count: Contacts on it.
        created_date: When it was created.
        modified_date: When it was last changed.
        extra: What the service sent beyond the fields above, and the raw text of dates that are
            None here. Goes back when it is written.
    """

    __read_only__: ClassVar[frozenset[str]] = frozenset(
        {"id", "list_id", "contact_count", "created_date", "modified_date"}
    )

    id: str
    list_id: str | None = None
    name: str | None = attrs.field(default=None, metadata=rule(required=True, max_length=255))
    status: ContactListStatus | str | None = attrs.field(
        default=None, metadata=rule(required=True, allowed=ContactListStatus)
    )
    contact_count: int | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)


@attrs.frozen(weakref_slot=False)
class ContactListWrite:
    """What is sent to create or replace a list.

    Source: contact-list-api, contactlist-collection, POST.

    Attributes:
        name: At most 255 characters.
        status: Its state.
        extra: Further fields to send.
    """

    name: str = attrs.field(metadata=rule(required=True, max_length=255))
    status: ContactListStatus | str = attrs.field(
        default=ContactListStatus.ACTIVE, metadata=rule(required=True, allowed=ContactListStatus)
    )
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)


@attrs.frozen(weakref_slot=False)
class ContactListRef:
    """A list that a contact is on.

    Attributes:
        id: The list's id.
        status: The state of the list.
        extra: What the service sent beyond the fields above. Goes back when it is written.
    """

    __read_only__: ClassVar[frozenset[str]] = frozenset({"status"})

    id: str = attrs.field(metadata=rule(required=True))
    status: ContactListStatus | str | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, hash=False, kw_only=True)
