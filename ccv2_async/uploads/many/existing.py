"""The files that folders of the library hold already, by name and size."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import anyio

from ccv2_async.models.base import Outcome
from ccv2_async.models.library import ROOT_FOLDER_IDS, file_outcome

if TYPE_CHECKING:
    from ccv2_async.models import LibraryFile
    from ccv2_async.uploads.many.library import LibraryFolders

_PAGE = 1000


class ExistingFiles:
    """Looks files up in their folders. Each folder is listed once.

    Args:
        library: The library of the account.
    """

    def __init__(self, library: LibraryFolders) -> None:
        self._library = library
        self._lock = anyio.Lock()
        self._folders: dict[str, dict[tuple[str, int], LibraryFile]] = {}

    async def find(self, folder_id: str, name: str, size: int) -> LibraryFile | None:
        """Return the file with this name and size; None if the folder has none, or one that failed.

        Raises:
            ConstantContactError: The folder cannot be listed. Safe to try again: yes.
        """
        async with self._lock:
            known = self._folders.get(folder_id)
            if known is None:
                known = self._folders[folder_id] = await self._list(folder_id)
        return known.get((_normal(name), size))

    async def _list(self, folder_id: str) -> dict[tuple[str, int], LibraryFile]:
        at_root = folder_id in ROOT_FOLDER_IDS
        listing = (
            self._library.files(limit=_PAGE, on_bad_row="skip")
            if at_root
            else self._library.files_in_folder(folder_id, limit=_PAGE, on_bad_row="skip")
        )
        return {
            (_normal(file.name), file.size): file
            async for file in listing
            if file.size is not None
            and file_outcome(file.status) is not Outcome.FAILURE
            and (not at_root or file.folder_id in (None, *ROOT_FOLDER_IDS))
        }


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)
