"""The file of an export, streamed to a path, to an async writer, or into an async iterator."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeAlias

from ccv2_async import errors
from ccv2_async.models import ActivityStatus, ActivityType
from ccv2_async.transport.calls.saving import Download, Target, without_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccv2_async.models import Activity
    from ccv2_async.transport.calls.session import Session

ExportTarget: TypeAlias = Target
"""The destination for the file of an export."""


def export_of(session: Session, activity: Activity) -> Download:
    """Return the file of an export, to save it or to read it in pieces.

    Opening it sends the request.

    Raises:
        InvalidField: The activity is not a COMPLETE export. Nothing was sent.
    """
    link, what = _link_of(activity), f"file of export {activity.id}"

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[AsyncIterator[bytes]]:
        async with (
            session.download(link, what) as pieces,
            contextlib.aclosing(without_page(pieces, what, "a CSV file")) as checked,
        ):
            yield checked

    return Download(what, opened)


def _link_of(activity: Activity) -> str:
    """Return the link to an export's file. The `file_name` of other activities is not a link.

    Raises:
        InvalidField: The activity is not a COMPLETE export, or has no file.
    """
    if activity.type != ActivityType.EXPORT_CONTACTS:
        rule = f"it must be an export; {activity.id} has the type {activity.type}"
    elif activity.status != ActivityStatus.COMPLETE:
        rule = f"it must be a COMPLETE export; {activity.id} is {activity.status}"
    elif not activity.file_name:
        rule = f"it must be an export with a file; {activity.id} has none"
    else:
        return activity.file_name
    raise errors.InvalidField("activity", activity.id, rule)
