"""The file of an export, streamed to a path, to an async writer, or into an async iterator."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeAlias

from ccv2_async import errors
from ccv2_async.models import ActivityStatus, ActivityType
from ccv2_async.transport.calls.saving import Download, Saving, Target, without_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccv2_async.models import Activity
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.threads import FileThreads

ExportTarget: TypeAlias = Target
"""The destination for the file of an export."""


class Exports:
    """Fetches the files of exports.

    Args:
        session: Sends the calls.
        threads: The threads that write files.
    """

    def __init__(self, session: Session, threads: FileThreads) -> None:
        self._session = session
        self._saving = Saving(session, threads)

    @contextlib.asynccontextmanager
    async def open(self, activity: Activity) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the file in pieces of any size.

        Raises:
            InvalidField: The activity has no file. Nothing was sent.
            ConstantContactError: The read failed, perhaps between two pieces.
        """
        what = f"file of export {activity.id}"
        async with (
            self._session.download(link_of(activity), what) as pieces,
            contextlib.aclosing(without_page(pieces, what, "a CSV file")) as checked,
        ):
            yield checked

    async def save(self, activity: Activity, to: ExportTarget) -> int:
        """Write the file within the session's deadline, and return the number of bytes.

        Raises:
            DeadlineExceeded: The deadline passed first.
            ConstantContactError: The read failed, as in `open`.
        """
        link_of(activity)
        what = f"file of export {activity.id}"
        return await self._saving.save(Download(what, lambda: self.open(activity)), to)


def link_of(activity: Activity) -> str:
    """Return the link of an export's file. `file_name` of other activities is not a link.

    Raises:
        InvalidField: The activity is not a COMPLETE export, or has no file.
    """
    if activity.type != ActivityType.EXPORT_CONTACTS:
        rule = f"an export; {activity.id} is of the type {activity.type}"
    elif activity.status != ActivityStatus.COMPLETE:
        rule = f"an export that is COMPLETE; {activity.id} is {activity.status}"
    elif not activity.file_name:
        rule = f"an export with a file; {activity.id} names none"
    else:
        return activity.file_name
    raise errors.InvalidField("activity", activity.id, rule)
