"""Find library folders by name, or create them once, even if other clients do the same."""

from __future__ import annotations

import copy
import unicodedata
from typing import TYPE_CHECKING, Literal, Protocol

import anyio

from ccv2_async import errors
from ccv2_async.models import LibraryFile
from ccv2_async.models.base import Outcome
from ccv2_async.models.library import ROOT_FOLDER_IDS, LibraryFolderWrite, file_outcome
from ccv2_async.models.validation import checked_changes
from ccv2_async.uploads.looks import every_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ccv2_async.models import LibraryFolder
    from ccv2_async.transport.calls.session import Session

OnBadRow = Literal["raise", "skip"]

_PAGE = 1000
MOST_LEVELS = 3
ROOT = "0"


class LibraryFolders(Protocol):
    """The calls of the library's resource group that a bulk upload makes."""

    def folders(
        self, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> AsyncIterable[LibraryFolder]:
        """Return the top folders, each with its children."""

    async def create_folder(self, name: str, *, parent_id: str | None = None) -> LibraryFolder:
        """Create a folder and return it."""


def check_names(names: tuple[str, ...]) -> None:
    """Check that library folders may have these names. Pure.

    Raises:
        InvalidField: One of them is too long, or has characters that the service does not accept.
    """
    for name in names:
        try:
            checked_changes({"name": name}, LibraryFolderWrite)
        except errors.InvalidField as error:
            raise errors.InvalidField("folders", name, error.rule) from None


def check_depth(names: tuple[str, ...], level: int = 0) -> None:
    """Check that folders with these names, below a folder of this level, are not too deep. Pure.

    Raises:
        InvalidField: They are too deep.
    """
    if level + len(names) > MOST_LEVELS:
        raise errors.InvalidField(
            "folders", "/".join(names), f"the library has at most {MOST_LEVELS} levels of folders"
        )


class FolderMap:
    """The folders of a library, read once and created as needed, and the files in them.

    Args:
        library: The library.
        session: Lists files.
    """

    def __init__(self, library: LibraryFolders, session: Session) -> None:
        self._library = library
        self._session = session
        self._lock = anyio.Lock()
        self._ids: dict[tuple[str, str], str] = {}
        self._levels: dict[str, int] = {}
        self._refused: dict[tuple[str, str], errors.APIError] = {}
        self._files: dict[str, dict[tuple[str, int], LibraryFile]] = {}

    async def resolve(self, base_id: str, names: tuple[str, ...]) -> str:
        """Return the ID of the folder that `names` lead to from `base_id`; create what is missing.

        Raises:
            InvalidField: It would lie deeper than the service allows, or a name is invalid.
        """
        if not names:
            return base_id
        async with self._lock:
            if not self._levels:
                await self._read()
            parent = ROOT if base_id in ROOT_FOLDER_IDS else base_id
            check_depth(names, self._levels.get(parent, 1))
            check_names(names)
            for name in names:
                parent = await self._child(parent, name)
            return parent

    async def find(self, base_id: str, names: tuple[str, ...]) -> str | None:
        """Return the ID of the folder that `names` lead to; None if it does not exist."""
        if not names:
            return base_id
        async with self._lock:
            if not self._levels:
                await self._read()
        found: str | None = ROOT if base_id in ROOT_FOLDER_IDS else base_id
        for name in names:
            found = self._ids.get((found, name)) if found is not None else None
        return found

    async def file(self, folder_id: str | None, name: str, size: int) -> LibraryFile | None:
        """Return a folder's file with this name and size; each folder is listed once.

        None if there is no such folder or file, or the file failed.

        Raises:
            ConstantContactError: The folder cannot be listed. Safe to try again: yes.
        """
        if folder_id is None:
            return None
        async with self._lock:
            if folder_id not in self._files:
                self._files[folder_id] = await self._list(folder_id)
        return self._files[folder_id].get((_normal(name), size))

    async def _list(self, folder_id: str) -> dict[tuple[str, int], LibraryFile]:
        at_root = folder_id in ROOT_FOLDER_IDS
        return {
            (_normal(file.name), file.size): file
            async for file in every_file(folder_id, self._session)
            if isinstance(file, LibraryFile)
            and file.size is not None
            and file_outcome(file.status) is not Outcome.FAILURE
            and (not at_root or file.folder_id in (None, *ROOT_FOLDER_IDS))
        }

    async def _child(self, parent: str, name: str, *, again: bool = True) -> str:
        if (known := self._ids.get((parent, name))) is not None:
            return known
        refused = self._refused.get((parent, name))
        if refused is not None and refused.is_from_service:  # not a gateway's, which may be over
            raise copy.copy(refused)  # ask only once: each file would cost a call
        try:
            folder = await self._library.create_folder(name, parent_id=parent)
            self._note(folder, parent, self._levels.get(parent, 0) + 1)
            self._ids[parent, name] = folder.id  # the service may return another name
        except (errors.Conflict, errors.OutcomeUnknown, errors.DecodeError) as error:
            # Another client was faster, or our own response was lost. Check whether the folder
            # exists.
            await self._read()
            if isinstance(error, errors.Conflict):
                self._adopt_likeness(parent, name)
            if (parent, name) not in self._ids:
                if isinstance(error, errors.Conflict):
                    self._refused[parent, name] = error
                elif again:
                    return await self._child(parent, name, again=False)
                raise
        except (errors.BadRequest, errors.NotFound) as error:
            self._refused[parent, name] = error
            raise
        return self._ids[parent, name]

    def _adopt_likeness(self, parent: str, name: str) -> None:
        """Use a folder whose name differs only in case, if the service treats it as the same."""
        for (above, known), folder_id in tuple(self._ids.items()):
            if above == parent and known.casefold() == name.casefold():
                self._ids.setdefault((parent, name), folder_id)

    async def _read(self) -> None:
        # A folder that cannot be read counts as missing: creating it again is refused, and only its
        # own files fail.
        listing = self._library.folders(limit=_PAGE, on_bad_row="skip")
        found = [folder async for folder in listing]
        self._levels = {ROOT: 0}
        for folder in found:
            self._note(folder, ROOT, 1)

    def _note(self, folder: LibraryFolder, parent: str, level: int) -> None:
        self._ids[parent, folder.name] = folder.id
        self._levels[folder.id] = level
        for child in folder.children:
            self._note(child, folder.id, level + 1)


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)
