"""Library uploads as jobs: the row of the table for `JobKind`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ccv2_async import errors
from ccv2_async.models import FileUploadStatus, LibraryFile
from ccv2_async.models.library import FILE_OUTCOMES
from ccv2_async.polling.jobs import JobKind, Row
from ccv2_async.transport.budget import Lane
from ccv2_async.transport.calls import Call
from ccv2_async.transport.links import segment
from ccv2_async.transport.retry import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccv2_async.polling.jobs import Job
    from ccv2_async.transport.session import Session

STATUS_PATH = "/library/files/uploadstatus/{}"


async def ask(session: Session, ids: Sequence[str]) -> Mapping[str, Row]:
    """The status rows of these uploads, by id; rows of others are left out."""
    answer = await session.send(
        Call(
            method="GET",
            path=STATUS_PATH.format(segment(",".join(ids))),
            effect=Effect.SAFE,
            what=f"status of {len(ids)} uploads" if len(ids) > 1 else f"status of upload {ids[0]}",
            lane=Lane.POLL,
        )
    )
    asked = frozenset(ids)
    # Answer order is not promised, and an empty body means the same as an empty array.
    rows = answer.read(list[FileUploadStatus]) if answer.content.strip() else []
    # Thousands of rows say the same in as many copies; interned, all of them hold one.
    return {
        row.file_id: Row(status=str(row.status), description=sys.intern(row.description or ""))
        for row in rows
        if row.file_id in asked
    }


async def fetch(session: Session, job: Job) -> LibraryFile:
    """The library's record of a file that became Active."""
    answer = await session.send(
        Call(
            method="GET",
            path=f"/library/files/{segment(job.id)}",
            effect=Effect.SAFE,
            what=f"library file {job.id}",
        )
    )
    return answer.read(LibraryFile)


def failure(job: Job, token: str) -> errors.JobError:
    """The exception for an upload that ended other than Active."""
    said = job.history[-1].description
    because = f" ({said})" if said and said.casefold() != (job.status or "").casefold() else ""
    kind: type[errors.JobError] = errors.UploadFailed
    match (job.status or "").casefold():
        case "virusfound":
            kind = errors.VirusFound
            advice = f"found a virus in it{because}. Do not send it again"
        case "deleted":
            advice = f"says that it was deleted meanwhile{because}; it may be in the trash"
        case _:
            advice = (
                f"gave up on it with the status {job.status}{because}. "
                "Check that the file is whole and of the type its name says"
            )
    return kind(
        f"upload of {job.label} (id {job.id}): the service {advice}.",
        id=job.id,
        status=job.status,
        token=token,
    )


UPLOAD = JobKind(
    name="upload",
    noun="upload",
    path=STATUS_PATH,
    outcomes=FILE_OUTCOMES,
    most=100,
    deadline=15 * 60.0,
    kept=14 * 86_400.0,
    ask=ask,
    fetch=fetch,
    failure=failure,
)
"""How uploads are polled: up to a hundred ids in a request, given up after 15 minutes."""
