"""All operations that the sandbox serves, area by area."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccv2_async.sandbox.areas import (
    account,
    activities,
    campaigns,
    contacts,
    events,
    library,
    lists,
    tracking,
)

if TYPE_CHECKING:
    from ccv2_async.sandbox.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *library.OPERATIONS,
    *activities.OPERATIONS,
    *lists.OPERATIONS,
    *contacts.OPERATIONS,
    *campaigns.OPERATIONS,
    *tracking.OPERATIONS,
    *events.OPERATIONS,
    *account.OPERATIONS,
)
