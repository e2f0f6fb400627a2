"""Results of single files, made of what the journal and the service say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ccv2_async import errors
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.results import UploadResult

if TYPE_CHECKING:
    from ccv2_async.uploads.ledger import Action
    from ccv2_async.uploads.many.items import FileToUpload
    from ccv2_async.uploads.many.journal import JournalEntry
    from ccv2_async.uploads.prepare import Upload


def result_of(
    file: FileToUpload,
    entry: JournalEntry,
    state: BulkState,
    error: errors.ConstantContactError | None = None,
) -> UploadResult:
    """The result of a file whose row is `entry`."""
    return UploadResult(
        path=file.label,
        name=entry.name,
        folder_id=entry.folder_id,
        state=state,
        id=entry.file_id,
        status=entry.status,
        token=entry.token,
        error=error,
        size=entry.size,
        folders=file.folders,
        duplicates=entry.duplicates,
    )


def earlier_result(file: FileToUpload, known: JournalEntry) -> UploadResult:
    """The result of a file that an earlier run had settled, as the journal tells it."""
    error: errors.ConstantContactError | None = None
    if known.state is BulkState.AMBIGUOUS:
        error = errors.AmbiguousUpload(known.error, file_name=known.name, folder_id=known.folder_id)
    elif known.state is BulkState.FAILED:
        error = errors.UploadFailed(
            known.error, id=known.file_id, status=known.status, token=known.token
        )
    return attrs.evolve(result_of(file, known, known.state, error), earlier=True)


def planned_result(
    file: FileToUpload, upload: Upload, entry: JournalEntry, action: Action
) -> UploadResult:
    """What a dry run says of a file."""
    return UploadResult(
        path=file.label,
        name=upload.name,
        folder_id=entry.folder,
        state=BulkState.PENDING,
        size=entry.size,
        folders=file.folders,
        action=action,
    )


def refused_result(path: str, error: errors.ConstantContactError) -> UploadResult:
    """The result of a file that never got as far as the journal."""
    return UploadResult(path=path, name="", folder_id="", state=BulkState.FAILED, error=error)
