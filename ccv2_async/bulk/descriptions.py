"""A file as a bulk upload takes it up: what is to be sent, and its row as it would be now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from ccv2_async import errors
from ccv2_async.bulk.folders import check_depth
from ccv2_async.bulk.journal import Entry, storable
from ccv2_async.resources.uploads import empty, prepare
from ccv2_async.transport.budget import Lane

if TYPE_CHECKING:
    from ccv2_async.bulk.items import FileToUpload
    from ccv2_async.bulk.options import Options
    from ccv2_async.resources.uploads import Upload
    from ccv2_async.transport.threads import FileThreads


async def describe(
    file: FileToUpload, options: Options, threads: FileThreads
) -> tuple[Upload, Entry]:
    """The upload, and its row as it would be now.

    Raises:
        InvalidField: The service would refuse what is said of the file.
        FileRefused: It cannot be sent.
    """
    check_depth(file.folders)
    upload = attrs.evolve(
        prepare(
            file.file,
            folder_id=file.folder_id or options.folder_id,
            name=file.name,
            description=file.description,
            source="MyComputer",
            file_type=None,
            length=file.length,
        ),
        on_ambiguous=options.on_ambiguous,
        lane=Lane.BULK,
    )
    path = file.path
    if path is None and options.journal is not None:
        raise errors.InvalidField("file", file.label, "a path, as a journal is kept")
    size = await upload.source.prepare(threads)
    if size == 0:
        raise empty(upload.source.name)  # before it costs a call, and in a dry run too
    written_ns = 0 if path is None else await threads.run(_written_ns, path)
    entry = Entry(
        path=storable(path or file.label),
        folder=storable("/".join((upload.folder_id, *file.folders))),
        name=upload.name,
        size=size,
        written_ns=written_ns,
    )
    return upload, entry


def _written_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  # a plain string
    except OSError as error:
        raise errors.FileRefused(path, f"it is gone ({error.strerror})") from None
