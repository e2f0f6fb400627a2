"""What a bulk upload needs of the library beside uploading: its folders and listings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from ccv2_async.models import LibraryFile, LibraryFolder

OnBadRow = Literal["raise", "skip"]


class LibraryFolders(Protocol):
    """The calls of the library's resource group that a bulk upload makes."""

    def files(
        self, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> AsyncIterable[LibraryFile]:
        """Return the files of the library, newest first."""
        ...

    def files_in_folder(
        self, folder_id: str, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> AsyncIterable[LibraryFile]:
        """Return the files of one folder."""
        ...

    def folders(
        self, *, limit: int | None = None, on_bad_row: OnBadRow = "raise"
    ) -> AsyncIterable[LibraryFolder]:
        """Return the top folders, each with its children."""
        ...

    async def create_folder(self, name: str, *, parent_id: str | None = None) -> LibraryFolder:
        """Create a folder and return it."""
        ...
