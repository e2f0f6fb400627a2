"""MyLibrary: files, folders, the trash, and the limits of the account."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, overload

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models import validation
from ccv2_async.models.library import (
    ROOT_FOLDER_IDS,
    FileSortOrder,
    FileSource,
    FileTypeQuery,
    FolderSortOrder,
    LibraryFile,
    LibraryFileUpdate,
    LibraryFolder,
    LibraryFolderWrite,
    LibraryInfo,
    MoveResult,
)
from ccv2_async.polling.poller import UploadPoller
from ccv2_async.resources.base import Endpoint, Resource, path_to, result_of, result_rows, waits_for
from ccv2_async.resources.downloads import download_of
from ccv2_async.resources.listing import checked_on_bad_row, good_rows
from ccv2_async.transport.calls import OUTAGE_TIMEOUT
from ccv2_async.transport.calls.call import MAX_STATUS_RESPONSE, UPLOAD_DEADLINE, Call
from ccv2_async.transport.calls.responses import segment
from ccv2_async.transport.calls.retry import Effect
from ccv2_async.transport.calls.saving import DOWNLOAD_DEADLINE, Saving, checked_path
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads.ledger import Entry, NoStore
from ccv2_async.uploads.prepare import prepare
from ccv2_async.uploads.settling import Sending
from ccv2_async.uploads.status import status_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from ccv2_async.models.library import FileType, FileUploadStatus
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.resources.listing import Listing, OnBadRow
    from ccv2_async.transport.calls.saving import Target
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.body import ProgressCallback
    from ccv2_async.transport.files.sources import FileInput
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.many.results import OnBulkProgress, OnFileProgress
    from ccv2_async.uploads.mirror.plan import MirrorEntry, MirrorResult
    from ccv2_async.uploads.prepare import OnAmbiguous, OnDuplicate
    from ccv2_async.uploads.uploader import Uploader

MOST_ROWS = 1000

_TOP = "0"
_WITH_PAYLOAD = {"include_payload": "TRUE"}


FILES = Endpoint(LibraryFile, LibraryFileUpdate, "/library/files", "library file", "file")
FOLDERS = Endpoint(
    LibraryFolder, LibraryFolderWrite, "/library/folders", "library folder", "folder"
)


class Library(Resource):
    """`client.library`: the files and folders of MyLibrary."""

    def __init__(
        self, session: Session, sweep: Sweep, uploader: Uploader, threads: FileThreads
    ) -> None:
        super().__init__(session)
        self._saving = Saving(session, threads)
        self._sweep = sweep
        self._uploader = uploader
        self._threads = threads

    async def begin_upload(
        self,
        file: FileInput,
        *,
        folder_id: str = "0",
        name: str | None = None,
        description: str = "",
        source: FileSource | str = FileSource.MY_COMPUTER,
        file_type: FileType | str | None = None,
        length: int | None = None,
        on_progress: ProgressCallback | None = None,
        on_ambiguous: OnAmbiguous = "look",
        on_duplicate: OnDuplicate = "report",
        deadline: float | None = UPLOAD_DEADLINE,
        lane: Lane = Lane.INTERACTIVE,
    ) -> UploadPoller:
        """Upload a file, and return a poller once the service has accepted it.

        The file is streamed from disk in a thread, and only a few blocks of it are in memory. If
        the response is lost after the whole file was sent, the client checks the folder. It never
        uploads the file twice without saying so.

        Args:
            file: A path, bytes, a file object opened for reading bytes, an async stream of bytes
                (an async iterable or an object with an async `read(n)`), or a function that opens
                a new stream for each attempt. A file object is sent from its current position to
                its end, and is never closed.
            folder_id: The folder to upload to; "0" is the root.
            name: The name in the library, at most 80 characters. The default is the name of the
                path or the file object. Bytes and streams need a name.
            description: At most 100 characters.
            source: The source that the library shows.
            file_type: One of `FileType`. The default follows from the file extension.
            length: The size in bytes. Streams and file objects that cannot seek need it.
            on_progress: A function or coroutine function that is called with each `Progress`.
            on_ambiguous: What to do if the response is lost. "look" checks the folder; "raise"
                raises `AmbiguousUpload` immediately.
            on_duplicate: What to do if a lost response has left a second copy of the file in the
                folder. "report" names it in `poller.duplicates`, in the log, and in the event
                `DuplicateUpload`; "trash" also moves it to the trash.
            deadline: Seconds for sending, for retries, and for settling a lost response, counted
                from the first attempt; None for no limit. Time spent waiting for the quota, or for
                another upload of the same name into the folder, does not count;
                `client.deadline()` limits that too.
            lane: The priority while calls wait for the quota.

        Raises:
            UsageError: A value is invalid, or the file cannot be sent. Nothing was sent.
            FileChanged: The file changed while it was being sent. Safe to try again: yes.
            AmbiguousUpload: The file may have arrived. Safe to try again: no; look first.
            QuotaExceeded: The quota is used up. Safe to try again: yes, later.
            TransportError: The file did not arrive. Safe to try again: yes.

        Source: "Add files using multipart/form-data POST" page of the service's documentation.
        """
        try:
            upload = prepare(
                file,
                folder_id=folder_id,
                name=name,
                description=description,
                source=source,
                file_type=file_type,
                length=length,
                on_progress=on_progress,
                on_ambiguous=on_ambiguous,
                on_duplicate=on_duplicate,
                deadline=deadline,
                lane=lane,
            )
        except InvalidField as error:
            # A folder or a missing path gets its own error, before the type and the name are
            # checked.
            if error.field in {"file_type", "name"}:
                await self._uploader.require(file)
            raise
        if self._session.budget.contended:
            # The call may wait for hours: check now that the file can be sent.
            await self._uploader.require(file)
        sending = Sending(upload, Entry(name=upload.name, folder_id=upload.folder_id), NoStore())
        async with self._uploader.alone(upload):
            job = await self._uploader.send(sending)
        return UploadPoller(self._session, self._sweep, job, duplicates=sending.entry.duplicates)

    @waits_for(begin_upload)
    def upload(self) -> type[LibraryFile]:
        """Upload a file, and return the library's record of it once the service has made it Active.

        The arguments and errors are those of `begin_upload`. The method waits at most 15 minutes
        for the service.

        Raises:
            JobError: The service gave up on the file, or is still working on it; `token` resumes
                it. Safe to try again: no.
            ConstantContactError: As for `begin_upload`. If the service had accepted the file, the
                message says so, and has its token; it is not safe to try again.
        """
        return LibraryFile

    async def mirror(
        self,
        local: str | os.PathLike[str],
        *,
        folder_id: str = "0",
        delete: bool = False,
        max_delete: int | str | None = "50%",
        dry_run: bool = False,
        journal: str | os.PathLike[str] | None = None,
        concurrency: int = 8,
        on_plan: Callable[[MirrorResult], object] | None = None,
        on_entry: Callable[[MirrorEntry], object] | None = None,
        on_progress: OnBulkProgress | None = None,
        on_file: OnFileProgress | None = None,
        outage_timeout: float = OUTAGE_TIMEOUT,
    ) -> MirrorResult:
        """Make a library folder match a local one, and return what was done.

        New and changed files are uploaded, including subfolders, three levels at most. A changed
        file is uploaded next to the old one. When it is Active, it takes over the name, and then
        the old one is moved to the trash. Files that are in sync cost no calls except the listing.
        Hidden files and links to folders are left out. The service's own folders, such as Images,
        are never touched.

        A journal records the size, time, and digest of each file that is in sync, so a file is not
        sent if only its time has changed. A file without an entry in the journal counts as in sync
        if the library has one with its name and size; the bytes are not compared. Names that differ
        only in case count as the same. If the call is interrupted, the same call continues where it
        stopped, and nothing is sent twice.

        Args:
            local: The local folder.
            folder_id: The library folder; "0" is the root.
            delete: Whether to move all other files of the library folder and the folders below it
                to the trash, including those that were never in the local folder. Nothing is moved
                if an upload failed or a local folder cannot be read. Folders that become empty
                stay.
            max_delete: How many files `delete` may move to the trash: a number, a share of the
                library folder's files such as "50%", or None. If the plan has more, nothing is
                changed. Files that are replaced do not count.
            dry_run: Whether to only plan. Nothing is changed, not even on disk.
            journal: The journal. The default is a hidden file in `local`.
            concurrency: How many files are sent at the same time.
            on_plan: A plain function that is called with the plan before anything is changed.
            on_entry: A plain function that is called with each file of the plan when it is done or
                has failed.
            on_progress: As for `upload_many`.
            on_file: As for `upload_many`.
            outage_timeout: As for `upload_many`.

        Raises:
            UsageError: An argument is wrong, the plan has too many deletions, or another process
                uses the journal. Nothing was changed.
            DecodeError: A row of a listing cannot be read, or a folder has no name. Nothing was
                changed.
            ConstantContactError: An error that concerns all files, such as a used-up quota, or a
                folder that cannot be read, so that nobody knows where its files belong. The same
                call continues where it stopped. Errors of single files are in the result.
        """
        from ccv2_async.uploads.many.items import Options  # noqa: PLC0415  # when first used
        from ccv2_async.uploads.many.run import Parts  # noqa: PLC0415
        from ccv2_async.uploads.mirror.run import JOURNAL, Mirror  # noqa: PLC0415

        path = checked_path(local, "local")
        options = Options(
            folder_id=folder_id,
            concurrency=concurrency,
            journal=f"{path}{os.sep}{JOURNAL}" if journal is None else journal,
            on_progress=on_progress,
            on_file=on_file,
            on_duplicate="trash",
            outage_timeout=outage_timeout,
            dry_run=validation.checked_flag(dry_run, "dry_run"),
        )
        session = self._session.view(lane=Lane.BULK)
        uploader = self._uploader.over(session)
        bulk = Library(session, self._sweep, uploader, self._threads)
        parts = Parts(session, self._threads, self._sweep, bulk, uploader)
        return await Mirror(
            parts,
            bulk,
            path,
            options,
            delete=validation.checked_flag(delete, "delete"),
            max_delete=max_delete,
            on_plan=on_plan,
            on_entry=on_entry,
        ).run()

    async def upload_status(
        self, *file_ids: str, on_bad_row: OnBadRow = "raise"
    ) -> list[FileUploadStatus]:
        """Return the upload status of up to a hundred files. Unknown ones are left out.

        A file that was accepted a moment ago may be missing.

        Args:
            file_ids: The files.
            on_bad_row: "skip" to leave out rows that cannot be read, and log how many.

        Source: "File upload status" page of the service's documentation.
        """
        checked_on_bad_row(on_bad_row)
        path = f"/library/files/uploadstatus/{segment(validation.joined_ids(file_ids, 'file_ids'))}"
        call = Call("GET", path, Effect.SAFE, "upload status", max_response=MAX_STATUS_RESPONSE)
        rows = await self._session.read(call, status_rows)
        return await good_rows(rows, "upload status", on_bad_row)

    async def info(self) -> LibraryInfo:
        """Return the limits of the account's library, such as the largest upload in bytes.

        Source: "MyLibrary information" page of the service's documentation.
        """
        return await self._get(LibraryInfo, "/library/info", what="library information")

    def files(
        self,
        *,
        type: FileTypeQuery | str | None = None,  # noqa: A002  # the service's own word
        source: FileSource | str | None = None,
        sort_by: FileSortOrder | str | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[LibraryFile]:
        """List the files of the library. By default the newest come first.

        Args:
            type: ALL, IMAGES or DOCUMENTS.
            source: One of `FileSource`, or "ALL".
            sort_by: One of `FileSortOrder`.
            limit: Rows per page, from 1 to 1000. The default is 50.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Source: "File collections" page of the service's documentation.
        """
        return self._files(
            "/library/files", "library files", type, source, sort_by, limit, on_bad_row
        )

    def files_in_folder(
        self,
        folder_id: str,
        *,
        type: FileTypeQuery | str | None = None,  # noqa: A002  # the service's own word
        source: FileSource | str | None = None,
        sort_by: FileSortOrder | str | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[LibraryFile]:
        """List the files of one folder. The other arguments are those of `files`.

        Source: "File collections" page of the service's documentation.
        """
        path = path_to("/library/folders/{}/files", folder_id)
        return self._files(
            path, f"files of folder {folder_id}", type, source, sort_by, limit, on_bad_row
        )

    async def get_file(self, file_id: str) -> LibraryFile:
        """Return one file of the library.

        Raises:
            NotFound: There is no file with that ID.

        Source: "File resource" page of the service's documentation.
        """
        return await self._one(FILES, file_id)

    async def download(
        self,
        file: LibraryFile | str,
        to: Target,
        *,
        on_progress: ProgressCallback | None = None,
        deadline: float | None = DOWNLOAD_DEADLINE,
    ) -> int:
        """Download a file, and return how many bytes were written.

        The bytes come from the URL in the file's record. The key and the token are sent to
        the API's own host only. The file is streamed, never held in memory. For a path, it is
        written to a hidden file in the same folder, which is renamed once it is complete; a
        download that breaks is started again, with three attempts in total. An async writer gets
        the file in pieces, in one attempt. If the URL has expired, the record is read again once.

        Args:
            file: The file's record, or its ID.
            to: A path, or an object with an async `write(bytes)`.
            on_progress: A function or coroutine function that is called with each `Progress`.
            deadline: Seconds for everything: reading the record, waiting for the quota, and writing
                the file. None for no limit.

        Raises:
            UsageError: The file has no URL yet, or the path cannot be written.
            DecodeError: The service returned no usable URL, a page instead of the file, or more
                bytes than its record says.
            ConnectionLost: The connection broke, or fewer bytes arrived than the record says. Safe
                to try again: yes.
            ConstantContactError: As for any read. Safe to try again: yes.

        Source: "File resource" page of the service's documentation.
        """
        limit = validation.checked_seconds(deadline, "deadline")
        validation.checked_function(on_progress, "on_progress")
        with self._session.deadline(limit):
            download = download_of(self._session, await self._record(file), on_progress)
            return await self._saving.save(download, to)

    @asynccontextmanager
    async def open(self, file: LibraryFile | str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a file, to read its bytes in pieces of any size.

        Use it as a context manager::

            async with client.library.open(file) as pieces:
                async for piece in pieces: ...

        Args:
            file: The file's record, or its ID.

        Raises:
            InvalidField: On entering: the file has no URL yet.
            DecodeError: As for `download`, even between pieces.
            ConstantContactError: As for any read, even between pieces. Safe to try again: yes.

        Source: "File resource" page of the service's documentation.
        """
        async with download_of(self._session, await self._record(file)).open() as pieces:
            yield pieces

    async def _record(self, file: LibraryFile | str) -> LibraryFile:
        """Return the record of a file, read again if it is unknown or has no URL."""
        if not isinstance(file, str):
            if validation.checked_model(file, LibraryFile, "file").url:
                return file
            file = file.id
        return await self.get_file(file)

    @overload
    async def update_file(
        self,
        file_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        folder_id: str | None = None,
        include_payload: Literal[True] = True,
    ) -> LibraryFile: ...
    @overload
    async def update_file(
        self,
        file_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        folder_id: str | None = None,
        include_payload: Literal[False],
    ) -> None: ...
    async def update_file(
        self,
        file_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        folder_id: str | None = None,
        include_payload: bool = True,
    ) -> LibraryFile | None:
        """Change fields of a file, and return the result.

        A field that is not given keeps its value. This makes two calls: it reads the file and sends
        it back with the changes. If you have read it yourself, `replace_file` makes one call.

        Args:
            file_id: The file.
            name: The new name, at most 80 characters.
            description: The new description, at most 100 characters.
            folder_id: The folder to move the file to; "0" for the root.
            include_payload: Whether the service returns the file. If not, the result is None.

        Source: "File resource", PUT, of the service's documentation.
        """
        if name is None and description is None and folder_id is None:
            raise InvalidField("name", None, "pass a name, a description, or a folder_id to change")
        validation.checked_flag(include_payload, "include_payload")
        changes = _given(name=name, description=description, folder_id=folder_id)
        checked = validation.checked_changes(changes, LibraryFileUpdate)
        file = await self.get_file(file_id)
        changed = attrs.evolve(file, **({"description": file.description or ""} | checked))
        if include_payload:
            return await self.replace_file(changed)
        await self.replace_file(changed, include_payload=False)
        return None

    @overload
    async def replace_file(
        self, file: LibraryFile, *, include_payload: Literal[True] = True
    ) -> LibraryFile: ...
    @overload
    async def replace_file(self, file: LibraryFile, *, include_payload: Literal[False]) -> None: ...
    async def replace_file(
        self, file: LibraryFile, *, include_payload: bool = True
    ) -> LibraryFile | None:
        """Replace a file's record, and return what the service stored.

        Fields that are None are erased, except for read-only fields.

        Source: "File resource", PUT, of the service's documentation.
        """
        validation.checked_flag(include_payload, "include_payload")
        if validation.checked_model(file, LibraryFile, "file", written=True).description is None:
            file = attrs.evolve(file, description="")
        path, what = path_to("/library/files/{}", file.id), f"update of library file {file.id}"
        query = {"include_payload": str(include_payload).upper()}
        bare, effect = not include_payload, Effect.IDEMPOTENT
        put = await self._write("PUT", path, file, effect=effect, what=what, query=query, bare=bare)
        return await result_of(put, LibraryFile, file.id) if include_payload else None

    async def delete_files(self, *file_ids: str) -> None:
        """Move up to a hundred files to the trash.

        Raises:
            NotFound: The service knows none of the files.

        Source: "File resource", DELETE, of the service's documentation.
        """
        ids = validation.joined_ids(file_ids, "file_ids")
        what = f"deletion of file{'s' * (',' in ids)} {ids}"
        await self._delete(f"/library/files/{segment(ids)}", what=what)

    async def move_files(
        self, folder_id: str, file_ids: Iterable[str], *, on_bad_row: OnBadRow = "raise"
    ) -> list[MoveResult]:
        """Move files to a folder, and return what was moved.

        If the service does not know one of the IDs, it moves none of the files.

        Args:
            folder_id: The folder to move them to.
            file_ids: The files.
            on_bad_row: "skip" to leave out rows of the response that cannot be read, and log how
                many.

        Raises:
            UnreadableRow: A row of the response cannot be read. The files were moved, so do not try
                again.

        Source: "Move files" page of the service's documentation.
        """
        checked_on_bad_row(on_bad_row)
        ids = list(validation.checked_ids(file_ids, "file_ids"))
        path = path_to("/library/folders/{}/files", folder_id)
        what = f"moving {len(ids)} file{'s' * (len(ids) > 1)} to folder {folder_id}"
        response = await self._write("PUT", path, ids, effect=Effect.IDEMPOTENT, what=what)
        return await result_rows(response, MoveResult, on_bad_row)

    def folders(
        self,
        *,
        sort_by: FolderSortOrder | str | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[LibraryFolder]:
        """List the top folders, each with its children. There are at most three levels.

        Args:
            sort_by: One of `FolderSortOrder`.
            limit: Rows per page, from 1 to 1000. The default is 50.
            on_bad_row: "skip" to continue after rows that cannot be read; see `Listing`.

        Source: "Folder collection" page of the service's documentation.
        """
        return self._list(
            LibraryFolder,
            "/library/folders",
            what="library folders",
            limit=limit,
            most=MOST_ROWS,
            query={"sort_by": validation.one_of("sort_by", sort_by, FolderSortOrder)},
            on_bad_row=on_bad_row,
        )

    async def get_folder(self, folder_id: str) -> LibraryFolder:
        """Return one folder with its children.

        Raises:
            NotFound: There is no folder with that ID.

        Source: "Folder resource" page of the service's documentation.
        """
        return await self._one(FOLDERS, folder_id)

    async def create_folder(self, name: str, *, parent_id: str | None = None) -> LibraryFolder:
        """Create a folder, and return it.

        Args:
            name: At most 40 characters, from ISO 8859-1 only.
            parent_id: The folder to create it in. By default, and for "0" and "", it is created at
                the top. Folders are at most three levels deep.

        Raises:
            Conflict: There is already a folder with that name.
            OutcomeUnknown: No response arrived; it may exist. Safe to try again: yes, because the
                service refuses a second one with `Conflict`.

        Source: "Folder collection", POST, of the service's documentation.
        """
        parent = _TOP if validation.words("")(parent_id) else parent_id
        return await self._create_one(FOLDERS, LibraryFolderWrite(name=name, parent_id=parent))

    async def update_folder(
        self, folder_id: str, *, name: str | None = None, parent_id: str | None = None
    ) -> LibraryFolder:
        """Change fields of a folder, and return the result.

        A field that is not given keeps its value. This makes two calls: it reads the folder and
        sends it back with the changes. If you have read it yourself, `replace_folder` makes one
        call.

        Args:
            folder_id: The folder.
            name: The new name, at most 40 characters, from ISO 8859-1 only.
            parent_id: The folder to move it into; "0" or "" for the top.

        Source: "Folder resource", PUT, of the service's documentation.
        """
        if name is None and parent_id is None:
            raise InvalidField("name", None, "pass a name or a parent_id to change")
        changes = _given(name=name, parent_id=parent_id)
        return await self._update(FOLDERS, changes, folder_id, query=_WITH_PAYLOAD)

    async def replace_folder(self, folder: LibraryFolder) -> LibraryFolder:
        """Replace a folder's record, and return what the service stored.

        Source: "Folder resource", PUT, of the service's documentation.
        """
        return await self._replace_one(FOLDERS, folder, query=_WITH_PAYLOAD)

    async def delete_folder(self, folder_id: str) -> None:
        """Delete a folder.

        Source: "Folder resource", DELETE, of the service's documentation.
        """
        await self._delete_one(FOLDERS, folder_id)

    def trash(
        self,
        *,
        type: FileTypeQuery | str | None = None,  # noqa: A002  # the service's own word
        sort_by: FileSortOrder | str | None = None,
        limit: int | None = None,
        on_bad_row: OnBadRow = "raise",
    ) -> Listing[LibraryFile]:
        """List the files in the trash. The arguments are those of `files`.

        Source: "Trash" page of the service's documentation.
        """
        return self._files(
            "/library/folders/trash/files",
            "files in the trash",
            type,
            None,
            sort_by,
            limit,
            on_bad_row,
        )

    async def empty_trash(self) -> None:
        """Delete every file in the trash. They cannot be restored.

        Source: "Trash", DELETE, of the service's documentation.
        """
        await self._delete("/library/folders/trash/files", what="emptying the trash")

    def _files(  # noqa: PLR0917  # the filters of a listing
        self,
        path: str,
        what: str,
        type_: FileTypeQuery | str | None,
        source: FileSource | str | None,
        sort_by: FileSortOrder | str | None,
        limit: int | None,
        on_bad_row: OnBadRow,
    ) -> Listing[LibraryFile]:
        everything = isinstance(source, str) and source.upper() == "ALL"
        return self._list(
            LibraryFile,
            path,
            what=what,
            limit=limit,
            most=MOST_ROWS,
            query={
                "type": validation.one_of("type", type_, FileTypeQuery),
                "source": "ALL" if everything else validation.one_of("source", source, FileSource),
                "sort_by": validation.one_of("sort_by", sort_by, FileSortOrder),
            },
            on_bad_row=on_bad_row,
        )


def _given(**changes: str | None) -> dict[str, str]:
    """Return the changes that were given. IDs are validated as strictly as those in paths."""
    return {
        name: _place(value, name) if name.endswith("_id") else value
        for name, value in changes.items()
        if value is not None
    }


def _place(folder_id: str, field: str) -> str:
    """Return the ID of a folder as it is sent. Responses spell the top in several ways."""
    at_top = isinstance(folder_id, str) and folder_id in ROOT_FOLDER_IDS
    return _TOP if at_top else validation.checked_id(folder_id, field)
