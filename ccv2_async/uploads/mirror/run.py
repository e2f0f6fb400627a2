"""`library.mirror`: list both sides, plan, upload, and only then trash the replaced files.

A file that has changed is uploaded next to the old one, under a numbered name from the service.
When it is Active it gets its own name, and then the old one is trashed. So the name is never
missing from the folder. If the service refuses a name that is taken, the old file is trashed first.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import attrs

from ccv2_async import errors
from ccv2_async.models.base import Outcome
from ccv2_async.models.library import ROOT_FOLDER_IDS, file_outcome
from ccv2_async.models.validation import is_plain_function
from ccv2_async.tasks import uninterrupted
from ccv2_async.transport.files.reading import FileState, open_regular, state_in
from ccv2_async.transport.files.sources import as_source
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.looks import compare, every_file, is_same_picture
from ccv2_async.uploads.many.folders import MOST_LEVELS, ROOT, LibraryFolders, check_depth
from ccv2_async.uploads.many.items import FileToUpload, describe, walk
from ccv2_async.uploads.many.journal import JournalFiles
from ccv2_async.uploads.many.run import BulkUpload
from ccv2_async.uploads.mirror.journal import MirrorJournal
from ccv2_async.uploads.mirror.plan import (
    Known,
    LocalFile,
    MirrorAction,
    MirrorEntry,
    RemoteFile,
    Unfinished,
    allowed_deletions,
    decide,
    key_of,
    same_case,
)
from ccv2_async.uploads.settle import Evidence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from ccv2_async.models import LibraryFile, LibraryFolder, LibraryInfo
    from ccv2_async.uploads.many.items import Options
    from ccv2_async.uploads.many.journal import JournalEntry
    from ccv2_async.uploads.many.run import Parts
    from ccv2_async.uploads.mirror.plan import Key, MirrorResult, Plan

T = TypeVar("T")
Names: TypeAlias = tuple[str, ...]
Places: TypeAlias = dict[str, Names | None]

JOURNAL = ".ccv2-mirror.sqlite"
"""The name of the journal in the local folder. Hidden files are never uploaded."""

_AT_ONCE = 100
_SYSTEM_LEVEL = 0
_SENT = (MirrorAction.UPLOAD, MirrorAction.REPLACE)

# What the service answers when it cannot do something with one of the files.
_OF_ONE = (errors.BadRequest, errors.Conflict, errors.DecodeError, errors.NotFound)


class MirroredLibrary(LibraryFolders, Protocol):
    """The calls of the library's resource group that a mirror makes."""

    async def info(self) -> LibraryInfo:
        """Return the limits of the account's library."""

    async def get_folder(self, folder_id: str) -> LibraryFolder:
        """Return one folder with its children."""

    async def get_file(self, file_id: str) -> LibraryFile:
        """Return one file of the library."""

    async def replace_file(self, file: LibraryFile) -> LibraryFile:
        """Replace a file's record, and return what the service stored."""

    async def delete_files(self, *file_ids: str) -> None:
        """Move up to a hundred files to the trash."""


@attrs.define
class _Folders:
    """The library's folders, and the files in the mirrored one and those below it.

    Attributes:
        level: The level of the mirrored folder.
        names: The names that lead to each folder, by ID; None if it is not below the base.
        reserved: Names that a local folder may not have.
        files: The files, by ID.
    """

    level: int
    names: Places
    reserved: set[str] = attrs.field(factory=set, init=False)
    files: dict[str, RemoteFile] = attrs.field(factory=dict, init=False)

    def add(self, folder: LibraryFolder, above: Names | None) -> None:
        """Add a folder and those below it."""
        names = self.names.setdefault(folder.id, _below(above, folder))
        for child in folder.children:
            self.add(child, names)


def _below(above: Names | None, folder: LibraryFolder) -> Names | None:
    """Return the names that lead to a folder from those of the one above it."""
    if above is None or (not above and _required(folder, "level") == _SYSTEM_LEVEL):
        return None
    return (*above, _required(folder, "name"))


def _required(folder: LibraryFolder, name: str) -> Any:
    """Return a field of a folder: its name, or its level, which alone tells whose folder it is."""
    if (value := getattr(folder, name)) in {None, ""}:
        text = f"library folder {folder.id}: it has no {name}."
        raise errors.DecodeError(text, safe_to_retry=True)
    return value


@attrs.define(eq=False, repr=False)
class Mirror:
    """One run of a mirror.

    Args:
        parts: The parts of the client.
        library: The library.
        local: The local folder.
        options: The options of its uploads; they have a journal.
        delete: Whether to trash files that exist only in the library.
        max_delete: How many of them, or which share; None for all.
        on_plan: Called with the plan before anything is changed.
        on_entry: Called with each file of the plan that is done or has failed.

    Raises:
        InvalidField: `max_delete`, `on_plan`, or `on_entry` is not valid.
    """

    _parts: Parts
    _library: MirroredLibrary
    _local: str
    _options: Options
    _delete: bool
    _max_delete: int | str | None
    _on_plan: Callable[[MirrorResult], object] | None
    _on_entry: Callable[[MirrorEntry], object] | None
    _base: str = attrs.field(init=False)
    _started: float = attrs.field(init=False)
    _files: dict[Key, LocalFile] = attrs.field(factory=dict, init=False)
    _uploads: dict[Key, JournalEntry] = attrs.field(factory=dict, init=False)
    _refused: list[MirrorEntry] = attrs.field(factory=list, init=False)
    _outcomes: dict[MirrorEntry, MirrorEntry] = attrs.field(factory=dict, init=False)
    _unread: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        allowed_deletions(self._max_delete, 0)
        for name, called in (("on_plan", self._on_plan), ("on_entry", self._on_entry)):
            if not is_plain_function(called):
                raise errors.InvalidField(name, called, "it must be a plain function, or None")
        self._base = ROOT if self._options.folder_id in ROOT_FOLDER_IDS else self._options.folder_id
        self._started = self._parts.session.clock.monotonic()

    async def run(self) -> MirrorResult:
        """Carry out the mirror, or plan it in a dry run.

        Raises:
            UsageError: The plan has too many deletions, or the journal cannot be used.
            ConstantContactError: An error that concerns all files.
        """
        self._parts.session.require_loop("mirroring a folder")
        if not await self._parts.threads.run(os.path.isdir, self._local):
            raise errors.UsageError(f"{self._local}: this is not a folder. Nothing was sent.")
        journal = await self._parts.open_journal(MirrorJournal, self._options)
        try:
            if journal is not None:
                await journal.load(self._base)
            plan = await self._through_outages(partial(self._plan, journal))
            if self._on_plan is not None:
                self._on_plan(plan.result)
            if journal is None or self._options.dry_run:
                return plan.result
            self._check_deletions(plan.result)
            await journal.record_all(plan.known)
            return await self._carry_out(plan.result, journal)
        finally:
            if journal is not None:
                await uninterrupted(journal.aclose())

    async def _plan(self, journal: MirrorJournal | None) -> Plan:
        self._files, self._uploads, self._refused = {}, {}, []
        folders = await self._folders()
        async with self._parts.session.starting("reading the folder", self._parts.session.limit):
            await self._scan(folders)
        unfinished = Unfinished()
        known: Mapping[Key, Known] = {}
        if journal is not None:
            unfinished = await journal.take_up(self._uploads)
            known = journal.known
        await self._list(folders, {each.file_id for each in known.values()})
        known = {**known, **await self._find_missing(known, folders, unfinished)}
        for key in known.keys() & self._files.keys():
            file = self._files[key]
            if known[key].needs_digest(file):
                self._files[key] = attrs.evolve(file, digest=await self._digest(file))
        decided = partial(
            decide,
            self._files.values(),
            folders.files.values(),
            known,
            refused=self._refused,
            unfinished=unfinished,
            delete=self._delete,
        )
        plan = await self._parts.threads.run(decided)
        result = attrs.evolve(plan.result, dry_run=self._options.dry_run)
        return attrs.evolve(plan, result=await self._limited(result))

    async def _folders(self) -> _Folders:
        """Return the folders below the mirrored one.

        Raises:
            InvalidField: It is one of the service's own folders.
        """
        found = _Folders(0, {ROOT: ()})
        if self._base != ROOT:
            base = await self._library.get_folder(self._base)
            if (level := _required(base, "level")) == _SYSTEM_LEVEL:
                rule = "it must be a folder of your own; the service's own folders are not mirrored"
                raise errors.InvalidField("folder_id", self._base, rule)
            found = _Folders(level, {ROOT: None, base.id: ()})
            found.add(base, None)
        async for top in self._library.folders(limit=1000):  # either listing may lack a folder
            found.add(top, found.names[ROOT])
            if top.level == _SYSTEM_LEVEL and self._base == ROOT:
                found.reserved.add(same_case(top.name))
        return found

    async def _scan(self, folders: _Folders) -> None:
        """Read the local folder, and refuse what cannot be sent."""
        found = walk(self._local, JournalFiles(self._options.journal), keep_folders=True)
        while (files := await self._parts.threads.run(next, found, None)) is not None:
            for path, names in files:
                if isinstance(path, errors.FileRefused):
                    self._unread = self._unread or isinstance(path.__cause__, OSError)
                    self._refuse(path.path, names, path)
                else:
                    await self._take(FileToUpload(path, folders=names), path, folders)

    async def _take(self, item: FileToUpload, path: str, folders: _Folders) -> None:
        try:
            upload, entry = await describe(item, self._options, self._parts.threads)
            file = LocalFile(path, item.folders, upload.name, entry.size, entry.written_ns)
            self._check(file, folders)
        except (errors.InvalidField, errors.FileRefused) as error:
            self._refuse(path, item.folders, error)
        else:
            self._files[file.key], self._uploads[file.key] = file, entry

    def _check(self, file: LocalFile, folders: _Folders) -> None:
        """Raise the error of a file that the library cannot accept."""
        check_depth(file.folders, folders.level)
        if file.folders and same_case(file.folders[0]) in folders.reserved:
            reason = f"{file.folders[0]} is the name of one of the service's own folders"
            raise errors.FileRefused(file.path, reason)
        if (other := self._files.get(file.key)) is not None:
            reason = f"the library cannot tell its name apart from that of {other.path}"
            raise errors.FileRefused(file.path, reason)

    def _refuse(self, path: str, names: Names, error: errors.ConstantContactError) -> None:
        name = os.path.basename(path)  # noqa: PTH119  # a plain string
        self._refused.append(MirrorEntry(MirrorAction.REFUSE, name, names, path=path, error=error))

    async def _limited(self, plan: MirrorResult) -> MirrorResult:
        """Return the plan without the files that are larger than the account may upload."""
        if not any(entry.action in _SENT for entry in plan.entries):
            return plan
        limit = (await self._library.info()).max_upload_size_limit

        def limited(entry: MirrorEntry) -> MirrorEntry:
            if entry.action not in _SENT or limit is None or (entry.size or 0) <= limit:
                return entry
            reason = f"it is larger than the {limit:,} bytes that the account accepts"
            error = errors.FileRefused(entry.path, reason)
            return attrs.evolve(entry, action=MirrorAction.REFUSE, error=error)

        entries = sorted(map(limited, plan.entries), key=lambda entry: entry.error is None)
        return attrs.evolve(plan, entries=tuple(entries))

    async def _list(self, folders: _Folders, recorded: set[str]) -> None:
        """Find the files of the mirrored folder and those below it.

        If a folder cannot be read, a file in it may be any local one, unless the journal knows it.
        """
        if self._base == ROOT:
            async for file in self._listed(ROOT):
                try:
                    await self._place(file, folders, folders.names)
                except _OF_ONE as error:
                    if isinstance(error, errors.NotFound) and error.is_from_service:
                        folders.names[file.folder_id or ROOT] = None  # ask only once
                    elif file.id not in recorded:
                        raise
            return
        wanted = {key[0] for key in self._files} | {same_case("")}
        for folder_id, names in folders.names.items():
            if names is not None and (self._delete or key_of(names, "")[0] in wanted):
                async for file in self._listed(folder_id):
                    folders.files[file.id] = RemoteFile(file, names)

    async def _listed(self, folder_id: str) -> AsyncIterator[LibraryFile]:
        async for file in every_file(folder_id, self._parts.session):
            if isinstance(file, errors.UnreadableRow):
                raise file  # it may be any file
            yield file

    async def _place(self, file: LibraryFile, folders: _Folders, known: Places) -> None:
        """Add a file if its folder is mirrored."""
        folder_id = ROOT if file.folder_id in ROOT_FOLDER_IDS else file.folder_id or ROOT
        names = await self._names_of(folder_id, known)
        folders.files.pop(file.id, None)
        if names is not None:
            folders.files[file.id] = RemoteFile(file, names)

    async def _names_of(self, id_: str, known: Places, levels: int = MOST_LEVELS) -> Names | None:
        """Return the names that lead to a folder, which is requested if it is not known."""
        if id_ not in known:
            folder = await self._library.get_folder(id_)
            if not levels:
                raise errors.DecodeError(f"library folder {id_}: it is too deep.")
            parent = ROOT if folder.is_top else folder.parent_id or ROOT
            known[id_] = _below(await self._names_of(parent, known, levels - 1), folder)
        return known[id_]

    async def _find_missing(
        self, known: Mapping[Key, Known], folders: _Folders, unfinished: Unfinished
    ) -> dict[Key, Known]:
        """Request files in the journal that are not listed in their folder: a listing may lag.

        Return records of those in whose place another mirror has uploaded the same content.
        """
        owned = {id_ for each in known.values() for id_ in (each.file_id, *each.replaces)}
        others = {each.key: each.file for id_, each in folders.files.items() if id_ not in owned}
        found, parts = {}, self._parts
        asked: Places = {ROOT: None} | {id_: () for id_, at in folders.names.items() if at == ()}
        for key in self._files.keys() & known.keys():
            local, record, own = self._files[key], known[key], None
            listed = folders.files.get(record.file_id)
            if not record.file_id or (listed is not None and listed.key[0] == key[0]):
                continue
            try:
                own = await self._library.get_file(record.file_id)
                if file_outcome(own.status) is not Outcome.FAILURE:
                    await self._place(own, folders, asked)
            except _OF_ONE as error:
                # Unless the service does not know it, it may be there, and is not sent again.
                if own or not (isinstance(error, errors.NotFound) and error.is_from_service):
                    self._refuse(local.path, local.folders, error)
                    del self._files[key]
                    continue
            if key not in others or key in unfinished.pending or record.file_id in folders.files:
                continue
            file, source = others[key], as_source(local.path)
            evidence = await compare(source, local.size, file, parts.session, parts.threads)
            same = evidence is Evidence.SAME_BYTES
            local = attrs.evolve(local, digest=await self._digest(local))
            if evidence is Evidence.UNKNOWN and own is not None and record.is_content_of(local):
                # The service may have converted the pictures of both mirrors, in the same way.
                same = await is_same_picture(own, file, parts.session, parts.threads)
            if same:
                facts = (local.size, local.written_ns, local.digest, record.replaces)
                found[key] = Known(file.id, *facts)
        return found

    async def _digest(self, file: LocalFile) -> str:
        """Return the SHA-256 of a file; "" if it has changed since it was listed."""
        session = self._parts.session
        async with session.starting(f"reading {file.path}", session.limit):
            return await self._parts.threads.run(_digest_of, file)

    def _check_deletions(self, plan: MirrorResult) -> None:
        number = plan.count(MirrorAction.TRASH)
        allowed = allowed_deletions(self._max_delete, plan.listed)
        if allowed is not None and number > allowed:
            raise errors.UsageError(
                f"The plan moves {number:,} of {plan.listed:,} files to the trash, but the limit "
                f"is {allowed:,}. Nothing was changed. If the plan is right, raise the limit: "
                "max_delete in Python, --max-delete on the command line."
            )

    async def _carry_out(self, plan: MirrorResult, journal: MirrorJournal) -> MirrorResult:
        if by_path := {entry.path: entry for entry in plan.entries if entry.action in _SENT}:
            items = [FileToUpload(entry.path, folders=entry.folders) for entry in by_path.values()]
            bulk = BulkUpload(self._parts, items, self._options, journal)
            async with aclosing(aiter(bulk)) as results:
                async for result in results:
                    entry = by_path[result.path]
                    if result.state is BulkState.DONE:
                        await self._adopt(entry, result.id, journal)
                    else:
                        self._note(entry, error=result.error, file_id=result.id)
        # An upload may have found its file among the extra ones, after its response was lost.
        trash, own = MirrorAction.TRASH, {entry.file_id for entry in self._outcomes.values()}
        entries = tuple(e for e in plan.entries if e.action is not trash or e.file_id not in own)
        plan = attrs.evolve(plan, entries=entries)
        kept = await self._trash_extras(plan)
        for entry in plan.entries:
            if entry.action is MirrorAction.FINISH:
                await self._finish(entry, entry.file_id, journal)
        entries = tuple(self._outcomes.get(entry, entry) for entry in plan.entries)
        return attrs.evolve(plan, entries=entries, kept_because=kept)

    async def _adopt(self, entry: MirrorEntry, file_id: str, journal: MirrorJournal) -> None:
        """Record an upload that is done; then give the file its name and trash the old one."""
        digest = await self._digest(self._files[entry.key])
        upload = await journal.find(self._uploads[entry.key].key)
        assert upload is not None, entry.path  # noqa: S101  # it is written before its result
        if (await journal.adopt(upload, digest)).replaces:
            await self._finish(entry, file_id, journal)
        else:
            self._note(entry, done=True, file_id=file_id)

    async def _finish(self, entry: MirrorEntry, file_id: str, journal: MirrorJournal) -> None:
        """Give a file its own name, and trash its older versions, once the service is there."""
        await self._do([entry], partial(self._take_name, entry, file_id, journal), file_id=file_id)

    async def _do(
        self, entries: Sequence[MirrorEntry], work: Callable[[], Awaitable[None]], **facts: Any
    ) -> None:
        """Do work for some files, and note how it ended; raise an error that concerns all files.

        Several files are to be trashed. If the service refuses that, each is trashed by itself.
        """
        try:
            await self._through_outages(work)
        except errors.ConstantContactError as error:
            if await self._parts.session.ends_all(error):
                raise
            if len(entries) > 1 and isinstance(error, _OF_ONE):
                for entry in entries:
                    await self._do([entry], partial(self._trash, [entry.file_id]))
                return
            facts["error"] = error
        for entry in entries:
            self._note(entry, done="error" not in facts, **facts)

    async def _through_outages(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of work that may be repeated; wait while the service is down."""
        return await self._parts.session.outlast(work, self._started, self._options.outage_timeout)

    async def _take_name(self, entry: MirrorEntry, file_id: str, journal: MirrorJournal) -> None:
        known = journal.known[entry.key]
        has_name = await self._rename(entry, file_id, is_free=not known.replaces)
        if known.replaces:
            for replaced in known.replaces:
                await self._trash([replaced])
            await journal.record(entry.key, attrs.evolve(known, replaces=()))
            has_name = has_name or await self._rename(entry, file_id, is_free=True)
        if not has_name:
            raise errors.ConstantContactError(
                f"{entry.path}: it is in the library as file {file_id}, but the service gave it "
                f"a name other than {entry.name}. The next run tries again."
            )

    async def _rename(self, entry: MirrorEntry, file_id: str, *, is_free: bool) -> bool:
        """Return whether a file has its name now; the service may refuse a name that is taken."""
        file = await self._library.get_file(file_id)
        wanted = same_case(entry.name)
        if same_case(file.name) == wanted:
            return True
        try:
            file = await self._library.replace_file(attrs.evolve(file, name=entry.name))
        except (errors.BadRequest, errors.Conflict) as error:
            if is_free or not error.is_from_service:
                raise
            return False
        return same_case(file.name) == wanted

    async def _trash_extras(self, plan: MirrorResult) -> str:
        """Trash files that exist only in the library, or return why not if something failed."""
        extras = [entry for entry in plan.entries if entry.action is MirrorAction.TRASH]
        if extras and self._unread:
            return "a local folder could not be read"
        if extras and any(entry.error is not None for entry in self._outcomes.values()):
            return "other files failed"
        for start in range(0, len(extras), _AT_ONCE):
            part = extras[start : start + _AT_ONCE]
            await self._do(part, partial(self._trash, [entry.file_id for entry in part]))
        return ""

    async def _trash(self, file_ids: Sequence[str]) -> None:
        """Move files to the trash. A single one may be gone already, if the service says so."""
        try:
            await self._library.delete_files(*file_ids)
        except errors.NotFound as error:
            if len(file_ids) > 1 or not error.is_from_service:
                raise

    def _note(self, entry: MirrorEntry, **outcome: Any) -> None:
        self._outcomes[entry] = attrs.evolve(entry, **outcome)
        if self._on_entry is not None:
            self._on_entry(self._outcomes[entry])


def _digest_of(file: LocalFile) -> str:
    """Return what `_digest` does; runs in a thread."""
    with suppress(OSError), open_regular(file.path) as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if state_in(os.fstat(opened.fileno())) == FileState(file.size, file.written_ns):
            return digest
    return ""
