"""A file as a bulk upload takes it up: what is to be sent, and its row as it would be now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ccv2_async import errors
from ccv2_async.transport.files.sources import PathSource
from ccv2_async.transport.quota.budget import Lane
from ccv2_async.uploads.many.folders import check_depth, check_names
from ccv2_async.uploads.many.journal import JournalEntry, storable
from ccv2_async.uploads.prepare import empty, prepare

if TYPE_CHECKING:
    from ccv2_async.transport.files.sources import Source
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.many.items import FileToUpload
    from ccv2_async.uploads.many.options import Options
    from ccv2_async.uploads.prepare import Upload


async def describe(
    file: FileToUpload, options: Options, threads: FileThreads
) -> tuple[Upload, JournalEntry]:
    """The upload, and its row as it would be now.

    Raises:
        InvalidField: The service would refuse what is said of the file.
        FileRefused: It cannot be sent.
    """
    check_depth(file.folders)
    check_names(file.folders)
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
        on_duplicate=options.on_duplicate,
        lane=Lane.BULK,
    )
    path = file.path
    if path is None and options.journal is not None:
        raise errors.InvalidField("file", file.label, "a path, as a journal is kept")
    size, written_ns = await _state(upload.source, threads)
    if size == 0:
        raise empty(upload.source.name)  # before it costs a call, and in a dry run too
    entry = JournalEntry(
        path=storable(path or file.label),
        folder=storable("/".join((upload.folder_id, *file.folders))),
        name=upload.name,
        size=size,
        written_ns=written_ns,
    )
    return upload, entry


async def _state(source: Source, threads: FileThreads) -> tuple[int, int]:
    """Bytes, and when they were last written; a file is sent as it is now or not at all."""
    if not isinstance(source, PathSource):
        return await source.prepare(threads), 0
    state = await source.hold(threads)
    return state.length, state.written_ns
