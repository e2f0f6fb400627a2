"""Library uploads as jobs: their `JobKind`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ccv2_async import errors
from ccv2_async.models import FileUploadStatus, LibraryFile
from ccv2_async.models.convert import BadRow
from ccv2_async.models.library import FILE_OUTCOMES
from ccv2_async.polling.job import LONGEST_TEXT, NO_NEWS, JobKind, Row, rows_of
from ccv2_async.polling.look import is_of_one, unreadable
from ccv2_async.transport.calls.call import MAX_STATUS_RESPONSE, Call
from ccv2_async.transport.calls.responses import segment
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.quota import Lane

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccv2_async.polling.job import Job
    from ccv2_async.transport.calls.call import Response
    from ccv2_async.transport.calls.session import Session

STATUS_PATH = "/library/files/uploadstatus/{}"


async def ask(session: Session, ids: Sequence[str]) -> Mapping[str, Row]:
    """Return the status rows of these uploads, by ID."""
    path = STATUS_PATH.format(segment(",".join(ids)))
    what = f"status of {len(ids)} uploads" if len(ids) > 1 else f"status of upload {ids[0]}"
    call = Call("GET", path, Effect.SAFE, what, lane=Lane.POLL, max_response=MAX_STATUS_RESPONSE)
    rows = status_rows if len(ids) > 1 else _rows_of_one
    # In the thread that parses a large response.
    return await session.read(call, lambda body: rows_of(UPLOAD, ids, rows(body), _row, "file_id"))


def status_rows(response: Response) -> list[FileUploadStatus | BadRow]:
    """Return the rows of an upload-status response; an empty body is an empty array."""
    return response.rows(FileUploadStatus).results if response.content.strip() else []


def _rows_of_one(response: Response) -> list[FileUploadStatus | BadRow]:
    """Return the status rows for a single upload: any JSON in the response is about that upload."""
    try:
        return status_rows(response)
    except errors.DecodeError:
        whole = response.one(list[FileUploadStatus])
    return [whole] if isinstance(whole, BadRow) else [*whole]


def _row(row: FileUploadStatus) -> tuple[str, Row]:
    status = str(row.status)
    if not status.strip():
        return row.file_id, Row(status="", unreadable="an empty status")
    # Thousands of rows hold equal strings. Interning them keeps one copy.
    description = sys.intern((row.description or "")[:LONGEST_TEXT])
    return row.file_id, Row(status=status, description=description)


async def fetch(session: Session, job: Job, lane: Lane = Lane.INTERACTIVE) -> LibraryFile:
    """Return the library's record of a file that became Active."""
    path, what = f"/library/files/{segment(job.id)}", f"library file {job.id}"
    call = Call("GET", path, Effect.SAFE, what, lane=lane)
    return await session.read(call, lambda response: response.read(LibraryFile, job.id))


async def find(session: Session, job: Job) -> Row | None:
    """Return the row of a file according to its record; None if the library has no such file."""
    try:
        file = await fetch(session, job, Lane.POLL)
    except errors.NotFound:
        return None
    except errors.ConstantContactError as error:
        return unreadable(error) if is_of_one(error) else NO_NEWS
    return _row(FileUploadStatus(file_id=job.id, status=str(file.status or "")))[1]


def failure(job: Job, token: str) -> errors.JobError:
    """Return the exception for an upload that did not become Active."""
    said = job.history[-1].description
    because = f" ({said})" if said and said.casefold() != (job.status or "").casefold() else ""
    kind: type[errors.JobError] = errors.UploadFailed
    match (job.status or "").casefold():
        case "virusfound":
            kind = errors.VirusFound
            advice = f"found a virus in it{because}. Do not send it again"
        case "deleted":
            advice = f"says that it was deleted in the meantime{because}; it may be in the trash"
        case _:
            advice = (
                f"gave up on it with the status {job.status}{because}. "
                "Check that the file is complete and that its type matches its name"
            )
    return kind(
        f"upload of {job.label} (ID {job.id}): the service {advice}.",
        id=job.id,
        status=job.status,
        token=token,
    )


UPLOAD = JobKind(
    name="upload",
    path=STATUS_PATH,
    outcomes=FILE_OUTCOMES,
    most=100,
    deadline=15 * 60.0,
    kept=14 * 86_400.0,
    ask=ask,
    fetch=fetch,
    failure=failure,
    find=find,
)
"""How uploads are polled: up to a hundred IDs per request, for at most 15 minutes by default."""
