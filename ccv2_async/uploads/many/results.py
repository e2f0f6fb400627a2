"""The results of a bulk upload, per file and in total. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from ccv2_async import errors
from ccv2_async.uploads.ledger import Action, BulkState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ccv2_async.errors import ConstantContactError
    from ccv2_async.uploads.many.journal import JournalEntry


@attrs.frozen
class UploadResult:
    """The result of one file of a bulk upload.

    Attributes:
        path: The file, as it was given.
        name: Its name in the library.
        folder_id: The folder it went to; "" if it was not sent.
        state: DONE, FAILED or AMBIGUOUS; ACCEPTED without waiting; PENDING in a dry run.
        id: The library's ID of the file; "" when it has none.
        status: The last status from the service, or None.
        token: A resume token, or "".
        error: Why it failed, or None.
        size: Bytes of the file; None if it could not be read.
        folders: Names of the folders, below the upload's own folder, that it goes to.
        earlier: Whether an earlier run had settled it already, or the folder had it.
        existing: Whether it was not sent because the folder had a file with its name and size.
        action: What a dry run would do.
        duplicates: IDs of extra copies that a lost response left in the folder.
    """

    path: str
    name: str
    folder_id: str
    state: BulkState
    id: str = ""
    status: str | None = None
    token: str = ""
    error: ConstantContactError | None = None
    size: int | None = None
    folders: tuple[str, ...] = ()
    earlier: bool = False
    existing: bool = False
    action: Action = Action.SEND
    duplicates: tuple[str, ...] = ()


@attrs.frozen
class BulkProgress:
    """The progress of a bulk upload at one moment.

    Attributes:
        seen: Files started so far.
        total: The total number of files, or None when that is not known.
        sending: Files being sent.
        processing: Files that the service is processing.
        done: Files that are Active.
        accepted: Files that the service has accepted, if the upload does not wait for them.
        planned: Files of a dry run that could be sent.
        failed: Files that failed.
        ambiguous: Files that may or may not have arrived.
        earlier: Files among those done, failed, or ambiguous that an earlier run had settled, or
            that were already in their folders.
        bytes_sent: Bytes of accepted files.
        elapsed: Seconds since the start.
        seconds_left: Seconds until all are settled, at the pace at which the last hundred files
            were sent; None while that is not known, as in the first moments.
        calls: API calls since the start, as this client's budget counts them.
        remaining_today: Calls left today, or None without a limit.
        outage: Seconds for which the service has been down and the upload has waited; None if the
            service is not down.
    """

    seen: int = 0
    total: int | None = None
    sending: int = 0
    processing: int = 0
    done: int = 0
    accepted: int = 0
    planned: int = 0
    failed: int = 0
    ambiguous: int = 0
    earlier: int = 0
    bytes_sent: int = 0
    elapsed: float = 0.0
    seconds_left: float | None = None
    calls: int = 0
    remaining_today: int | None = None
    outage: float | None = None

    @property
    def settled(self) -> int:
        """Files that are finished: each has its result."""
        return self.done + self.accepted + self.planned + self.failed + self.ambiguous

    @property
    def per_second(self) -> float:
        """Files that this run has settled per second since its start."""
        return (self.settled - self.earlier) / self.elapsed if self.elapsed > 0 else 0.0


@attrs.frozen
class FileProgress:
    """The progress of one file of a bulk upload, before it has a result.

    Attributes:
        path: The file, as it was given.
        state: SENDING; ACCEPTED, once the service has it; PENDING, when it was refused for a
            reason that ends the whole upload.
        size: Bytes of the file.
        sent: Bytes sent in this attempt.
        attempt: The number of the attempt to send it; 0 while it waits for its turn.
        status: The service's last word on it, or None.
        token: A resume token, once the service has it; "" before.
    """

    path: str
    state: BulkState
    size: int
    sent: int = 0
    attempt: int = 0
    status: str | None = None
    token: str = ""


OnFileProgress: TypeAlias = "Callable[[FileProgress], object]"
"""A plain function that is called with each `FileProgress`."""

OnBulkProgress: TypeAlias = "Callable[[BulkProgress], Awaitable[object] | object]"
"""A function or coroutine function that is called with each `BulkProgress`."""


def result_of(
    entry: JournalEntry, error: errors.ConstantContactError | None = None
) -> UploadResult:
    """Return the result of a file from its entry, or from its error.

    As with the functions below, the caller sets the file's path.
    """
    return UploadResult(
        path=entry.path,
        name=entry.name,
        folder_id=entry.folder_id,
        state=entry.state if entry.settled or error is None else BulkState.FAILED,
        id=entry.file_id,
        status=entry.status,
        token=entry.token,
        error=error,
        size=entry.size,
        duplicates=entry.duplicates,
    )


def earlier_result(known: JournalEntry, action: Action) -> UploadResult:
    """Return the result of a file that an earlier run settled, or that changed since."""
    if action is Action.REFUSE:
        with_id = f" with ID {known.file_id}" if known.file_id else ""
        reason = (
            f"the journal records it as {known.state.value}{with_id}, and it has changed since; "
            "use another journal to upload the new version too"
        )
        return refused_result(errors.FileRefused(known.path, reason))
    error: errors.ConstantContactError | None = None
    if known.state is BulkState.FAILED:
        error = errors.UploadFailed(
            known.error, id=known.file_id, status=known.status, token=known.token
        )
    return attrs.evolve(result_of(known, error), earlier=True)


def planned_result(entry: JournalEntry, action: Action) -> UploadResult:
    """Return the result of a file in a dry run."""
    return attrs.evolve(result_of(entry), folder_id=entry.folder, action=action)


def refused_result(error: errors.ConstantContactError) -> UploadResult:
    """Return the result of a file that was refused, or that its journal may have sent before."""
    state = BulkState.AMBIGUOUS if isinstance(error, errors.AmbiguousUpload) else BulkState.FAILED
    return UploadResult(path="", name="", folder_id="", state=state, error=error)
