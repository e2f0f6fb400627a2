"""The arguments of `upload_many`: its options and its files, which may be given as folders."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sized
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ccv2_async.errors import FileRefused, InvalidField
from ccv2_async.models import validation
from ccv2_async.text import one_line
from ccv2_async.transport.calls import OUTAGE_TIMEOUT
from ccv2_async.transport.calls.saving import checked_path
from ccv2_async.transport.files.objects import path_of
from ccv2_async.transport.files.reading import measure
from ccv2_async.transport.files.sources import PathSource, absolute, path_text
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads.many.folders import check_depth, check_names
from ccv2_async.uploads.many.journal import JournalEntry, storable
from ccv2_async.uploads.prepare import empty, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ccv2_async.transport.files.sources import FileInput, Source
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.many.journal import JournalFiles
    from ccv2_async.uploads.many.results import OnBulkProgress, OnFileProgress
    from ccv2_async.uploads.prepare import OnAmbiguous, OnDuplicate, Upload


def _names(folders: object) -> tuple[str, ...]:
    # A single string would be read as one folder per letter.
    names = (
        tuple(folders) if isinstance(folders, Iterable) and not isinstance(folders, str) else None
    )
    if names is None or not all(isinstance(name, str) for name in names):
        rule = 'it must be a tuple of folder names, such as ("Spring", "Tulips")'
        raise InvalidField("folders", folders, rule)
    # macOS writes an accent as a separate character, which the service does not accept in folder
    # names.
    return tuple(unicodedata.normalize("NFC", name) for name in names)


@attrs.frozen
class FileToUpload:
    """One file of a bulk upload, for files that need more than a path.

    Attributes:
        file: A path; without a journal also bytes, a file object or a stream.
        folder_id: The library folder. The default is the folder of the bulk upload.
        folders: Names of folders below that one. Missing ones are created.
        name: Its name in the library. The default is the path's own name.
        description: At most 100 characters.
        length: The size in bytes. Streams and file objects that cannot seek need it.
    """

    file: FileInput
    folder_id: str | None = None
    folders: tuple[str, ...] = attrs.field(default=(), converter=_names)
    name: str | None = None
    description: str = ""
    length: int | None = None

    @property
    def path(self) -> str | None:
        """The absolute path, or None for bytes, a file object, or a stream."""
        text = _path_text(self.file)
        return None if text is None else absolute(text)

    @property
    def label(self) -> str:
        """The name for messages."""
        text = _path_text(self.file)
        return self.name or path_of(self.file) or "bytes or stream" if text is None else text


def _path_text(file: object) -> str | None:
    """Return a path as a string; None if it is something else, or a path that cannot be read."""
    if isinstance(file, os.PathLike):
        with suppress(InvalidField):
            return path_text(file)
    return file if isinstance(file, str) else None


def _journal_path(value: str | os.PathLike[str] | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or value == "":
        raise InvalidField("journal", value, "it must be the path of a file, or None")
    return checked_path(value, "journal")


def _option(default: Any, is_right: Callable[[Any], bool], rule: str) -> Any:
    """Return a field of `Options` that accepts the values for which `is_right` is true."""

    def check(_: object, field: attrs.Attribute[Any], value: object) -> None:
        if not is_right(value):
            raise InvalidField(field.name, value, f"it must be {rule}")

    return attrs.field(default=default, validator=check)


def _word(default: str, other: str) -> Any:
    return _option(default, validation.words(default, other), f'"{default}" or "{other}"')


def _flag(*, default: bool = False) -> Any:
    return _option(default, validation.is_flag, "True or False")


@attrs.frozen
class Options:
    """The options of a bulk upload; see `ConstantContact.upload_many`.

    Raises:
        InvalidField: One of them is wrong.
    """

    folder_id: str = attrs.field(
        default="0", validator=lambda *of: validation.checked_id(of[2], "folder_id")
    )
    keep_folders: bool = _flag()
    concurrency: int = _option(8, validation.is_count, "a whole number, 1 or more")
    journal: str | None = attrs.field(default=None, converter=_journal_path)
    on_progress: OnBulkProgress | None = _option(  # noqa: RUF009  # a field
        None, validation.is_function, "a function or coroutine function, or None"
    )
    on_file: OnFileProgress | None = _option(  # noqa: RUF009  # a field
        None, validation.is_plain_function, "a plain function, or None"
    )
    on_ambiguous: OnAmbiguous = _word("look", "raise")  # noqa: RUF009  # a field
    outage_timeout: float = _option(
        OUTAGE_TIMEOUT, validation.is_seconds, "a number of seconds, 0 or more"
    )
    on_duplicate: OnDuplicate = _word("report", "trash")  # noqa: RUF009  # a field
    fail_fast: bool = _flag()
    dry_run: bool = _flag()
    wait: bool = _flag(default=True)
    skip_existing: bool = _flag()


Item: TypeAlias = "FileInput | FileToUpload"
Items: TypeAlias = "Iterable[Item] | AsyncIterable[Item]"


def checked_items(items: object) -> Items:
    """Validate the files of an upload, and return them.

    Raises:
        InvalidField: They are a single file, or not an iterable. Nothing was sent.
    """
    single = isinstance(items, str | bytes | bytearray | memoryview | os.PathLike | FileToUpload)
    if single or hasattr(items, "read"):
        raise InvalidField("files", items, "it must be a list of files, not a single file")
    if not isinstance(items, Iterable | AsyncIterable):
        raise InvalidField("files", items, "it must be a list of paths or FileToUpload")
    return items


async def each_file(
    items: Items, threads: FileThreads, *, keep_folders: bool, own: JournalFiles
) -> AsyncGenerator[FileToUpload | FileRefused, None]:
    """Yield every file of `items`, and every file below each folder in it.

    Nothing is read ahead: of a million paths, only one is in memory. Folders are read in a thread,
    one at a time and in the order of their names; hidden entries and links to folders are left out.

    Args:
        items: Paths, or `FileToUpload`s.
        threads: The threads that read folders.
        keep_folders: Whether the folders below a given one become library folders.
        own: The files of the upload's journal, which are left out.
    """
    async with aclosing(each_item(items)) as each:
        async for item in each:
            async with aclosing(_expanded(item, threads, keep_folders, own)) as files:
                async for file in files:
                    yield file


async def each_item(items: Items) -> AsyncGenerator[Any, None]:
    """Yield the files and folders of `items` as they are."""
    if isinstance(items, AsyncIterable):
        try:
            async for item in items:
                yield item
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()  # no other code closes it, and it may hold open resources
    else:
        for item in items:
            yield item


def _refusal_of(name: str) -> str:
    """Return why the library does not accept this folder's name; "" if it does."""
    try:
        check_names((unicodedata.normalize("NFC", name),))
    except InvalidField as error:
        return f"the library does not accept a folder with this name ({error.rule})"
    return ""


async def count_files(
    items: Items, threads: FileThreads, own: JournalFiles, *, keep_folders: bool = False
) -> int | None:
    """Return the number of files in `items`, or None if counting would require iterating."""
    if not isinstance(items, Sized) or not isinstance(items, Iterable):
        return None
    return await threads.run(_count, tuple(items), own, keep_folders)


def _count(items: tuple[Item, ...], own: JournalFiles, keep_folders: bool) -> int:  # private
    total = 0
    for item in items:
        path = item.path if isinstance(item, FileToUpload) else FileToUpload(item).path
        folder = path is not None and _is_folder(path, own)
        if path is not None and folder:
            total += sum(map(len, walk(path, own, keep_folders=keep_folders)))
        else:
            total += folder is not None
    return total


def _is_folder(path: str, own: JournalFiles) -> bool | None:
    """Return whether a path names a folder; None for the journal's own files."""
    if os.path.isdir(path):  # noqa: PTH112  # a plain string
        return True
    return False if own.removed_from([path]) else None


async def _expanded(
    item: Item, threads: FileThreads, keep_folders: bool, own: JournalFiles
) -> AsyncGenerator[FileToUpload | FileRefused, None]:
    given = item if isinstance(item, FileToUpload) else FileToUpload(item)
    path = given.path
    folder = False if path is None else await threads.run(_is_folder, path, own)
    if not folder:
        if folder is not None:
            yield given
        return
    found = False
    folders = walk(_path_text(given.file) or "", own, keep_folders=keep_folders)
    while (files := await threads.run(next, folders, None)) is not None:
        for file, names in files:
            found = True
            if isinstance(file, FileRefused):
                yield file
            else:
                below = (*given.folders, *names) if keep_folders else given.folders
                yield attrs.evolve(given, file=file, folders=below, name=None)
    if not found:
        yield FileRefused(given.label, "there are no files in this folder")


def walk(
    folder: str, own: JournalFiles, *, keep_folders: bool
) -> Iterator[list[tuple[str | FileRefused, tuple[str, ...]]]]:
    """Yield the files of a folder, then those of each folder below it; reads one at a time."""
    # Not recursive: Python could not call itself for a thousand levels.
    left: list[tuple[str, tuple[str, ...]]] = [(folder, ())]
    while left:
        folder, names = left.pop()
        if reason := _refusal_of(names[-1]) if keep_folders and names else "":
            if count := sum(map(len, walk(folder, own, keep_folders=False))):
                reason += "; it contains " + ("1 file" if count == 1 else f"{count:,} files")
                # One result for all files in it.
                yield [(FileRefused(folder, reason, files=count), names[:-1])]
            continue
        try:
            files, folders = _entries(folder, own)
        except OSError as error:
            why = f"this folder cannot be read ({error.strerror})"
            refused = FileRefused(one_line(folder) or "''", why)
            refused.__cause__ = error
            yield [(refused, names)]
            continue
        yield [(path, names) for path in files]
        # Joined so that the paths are kept as they were given.
        left += [(os.path.join(folder, name), (*names, name)) for name in reversed(folders)]  # noqa: PTH118


def _entries(folder: str, own: JournalFiles) -> tuple[list[str], list[str]]:
    """Return the paths of the files in a folder, and the names of the folders in it."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        shown.sort(key=lambda entry: entry.name)
        folders = [entry.name for entry in shown if entry.is_dir(follow_symlinks=False)]
        files = [entry.path for entry in shown if not _leads_to_folder(entry)]
    return own.removed_from(files), folders


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether it is a folder or a link to one; a broken link is not."""
    with suppress(OSError):
        return entry.is_dir()
    return False


async def describe(
    file: FileToUpload, options: Options, threads: FileThreads
) -> tuple[Upload, JournalEntry]:
    """Return the upload of a file, and its journal entry as it would be now.

    Raises:
        InvalidField: The service would refuse a field of the upload.
        FileRefused: The file cannot be sent.
    """
    check_depth(file.folders)
    check_names(file.folders)
    try:
        upload = prepare(
            file.file,
            folder_id=file.folder_id or options.folder_id,
            name=file.name,
            description=file.description,
            length=file.length,
            on_ambiguous=options.on_ambiguous,
            on_duplicate=options.on_duplicate,
            lane=Lane.BULK,
        )
    except InvalidField:
        if file.path is not None:  # a missing file is reported as missing, with any name
            await threads.run(measure, file.path, file.label, threads.roots)
        raise
    path = file.path
    if path is None and options.journal is not None:
        raise InvalidField("file", file.label, "it must be a path, because a journal is used")
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
    """Return its length and modification time. If the file changes after this, it is not sent."""
    if not isinstance(source, PathSource):
        return await source.prepare(threads), 0
    state = await source.hold(threads)
    return state.length, state.written_ns
