"""From the paths of a command line to the files that can be uploaded, and why the others cannot.

Nothing is sent here, and the event loop is not needed: it runs before anything is connected.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

import attrs

from ccv2_async import errors
from ccv2_async.cli.jobs import counted
from ccv2_async.cli.wording import reworded
from ccv2_async.models import FileSource
from ccv2_async.transport.files.reading import measure
from ccv2_async.uploads.many.folders import check_depth, check_names
from ccv2_async.uploads.many.items import FileToUpload
from ccv2_async.uploads.many.journal import JournalFiles
from ccv2_async.uploads.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Found", "Refused", "collect", "too_large"]


@attrs.frozen
class Found:
    """A file that can be sent.

    Attributes:
        path: Its path as it will be shown.
        size: Bytes.
        folders: Names of library folders that it goes to, below the one of all.
    """

    path: str
    size: int
    folders: tuple[str, ...] = ()


@attrs.frozen
class Refused:
    """A path that cannot be sent.

    Attributes:
        path: The path as it will be shown.
        reason: Why it cannot be sent.
        files: How many files it stands for.
    """

    path: str
    reason: str
    files: int = 1


_WORDS = {
    "file_type": "the library does not take this type ({rule})",
    "name": "its name is not {rule}",
    "folders": "it lies too deep: the library takes {rule}",
}


def collect(
    paths: Iterable[str],
    *,
    folder_id: str,
    description: str,
    tree: bool = False,
    journal: str | None = None,
) -> tuple[list[Found], list[Refused]]:
    """The files behind the paths, in order, each once; and what cannot be sent.

    A folder stands for the files in it and below it, sorted by name; hidden ones (whose name
    begins with a dot) and links to folders are passed over.

    Args:
        paths: Files and folders.
        folder_id: The folder of the library they go to.
        description: The description they get.
        tree: Whether the folders below a given one become library folders.
        journal: The path of the upload's journal, whose files are passed over.

    Raises:
        InvalidField: The folder id or the description cannot be sent with any file.
        UsageError: The paths name nothing but the journal.
    """
    own = JournalFiles(journal)
    _check("any.png", folder_id, description)
    found: list[Found] = []
    refused: list[Refused] = []
    seen: set[str] = set()
    for path in paths:
        for entry in _expand(path, own, tree=tree):
            where = os.path.abspath(entry.path)  # noqa: PTH100  # Path would resolve no ".."
            if where in seen:
                continue
            seen.add(where)
            judged = entry if isinstance(entry, Refused) else _judge(entry, description, tree)
            (found if isinstance(judged, Found) else refused).append(judged)  # type: ignore[arg-type]  # one list for each class
    if not found and not refused:
        raise errors.UsageError(
            f"{journal}: there is nothing to upload but the journal itself. Name other files."
        )
    return found, refused


def too_large(found: Iterable[Found], limit: int | None) -> tuple[list[Found], list[Refused]]:
    """The files that fit the account's limit in bytes, and those that do not; None: no limit."""
    fits: list[Found] = []
    refused: list[Refused] = []
    for file in found:
        if limit is None or file.size <= limit:
            fits.append(file)
        else:
            reason = f"it has {file.size:,} bytes, and the account takes {limit:,} at most"
            refused.append(Refused(file.path, reason))
    return fits, refused


def _expand(path: str, own: JournalFiles, *, tree: bool) -> Iterator[Found | Refused]:
    """The path itself, or what is in the folder that it names."""
    if not os.path.isdir(path):  # noqa: PTH112  # a name with a NUL character is no error here
        for file in own.removed_from([path]):
            yield Found(file, 0)
        return
    troubles: list[Refused] = []

    def note(error: OSError) -> None:
        troubles.append(
            Refused(str(error.filename), f"this folder cannot be read ({error.strerror})")
        )

    empty = True
    for folder, below, names in os.walk(path, onerror=note):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in tuple(below) if tree else ():
            refused = _refused_folder(os.path.join(folder, name), name, own)  # noqa: PTH118  # keeps the path as given
            if refused is not None:
                empty = False
                below.remove(name)
                yield refused
        shown = (name for name in sorted(names) if not name.startswith("."))
        for file in own.removed_from(os.path.join(folder, name) for name in shown):  # noqa: PTH118  # keeps the path as given
            empty = False
            folders = PurePath(os.path.relpath(folder, path)).parts  # () for the folder itself
            yield Found(file, 0, folders)
    yield from troubles
    if empty and not troubles:
        yield Refused(path, "there are no files in this folder")


def _refused_folder(path: str, name: str, own: JournalFiles) -> Refused | None:
    """Return why no library folder can be made for this one; None if one can, or none is needed."""
    try:
        check_names(FileToUpload(path, folders=(name,)).folders)
    except errors.InvalidField as error:
        files = sum(isinstance(entry, Found) for entry in _expand(path, own, tree=False))
        if files:
            reason = f"the library takes no folder of this name ({reworded(error.rule)})"
            return Refused(path, f"{reason}; it holds {counted(files, 'file')}", files)
    return None


def _judge(entry: Found, description: str, tree: bool) -> Found | Refused:
    path = entry.path
    folders = entry.folders if tree else ()
    try:
        os.stat(path)  # noqa: PTH116  # a plain string
    except (FileNotFoundError, NotADirectoryError):
        return Refused(path, _why_missing(path))
    except (OSError, ValueError):
        pass  # it is refused below, with the reason
    try:
        _check(path, "0", description)
        check_depth(folders)
        size = measure(path, path)
    except errors.InvalidField as error:
        return Refused(path, _WORDS.get(error.field, "{rule}").format(rule=reworded(error.rule)))
    except errors.FileRefused as error:
        return Refused(path, error.reason)
    if size == 0:
        return Refused(path, "it is empty")
    return Found(path, size, folders)


def _why_missing(path: str) -> str:
    if os.path.islink(path):  # noqa: PTH114  # a plain string
        return "it is a link to a file that does not exist"
    return "there is no such file or folder"


def _check(path: str, folder_id: str, description: str) -> None:
    prepare(
        path,
        folder_id=folder_id,
        name=None,
        description=description,
        source=FileSource.MY_COMPUTER,
        file_type=None,
        length=None,
    )
