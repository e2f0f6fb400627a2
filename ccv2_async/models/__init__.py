"""The resources of the service as immutable attrs classes, and their conversion from and to JSON.

Every name below is imported when it is first used, so that importing the package stays quick.
Fields that the service may leave out are None; collections are tuples; ids are text, dates are
aware, and a word that an enumeration does not know stays plain text.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccv2_async.models.convert import (
        decode,
        encode,
        structure,
        unstructure,
    )
    from ccv2_async.models.library import (
        FILE_OUTCOMES,
        FileSortOrder,
        FileSource,
        FileStatus,
        FileType,
        FileTypeQuery,
        FileUploadStatus,
        FolderSortOrder,
        LibraryFile,
        LibraryFileUpdate,
        LibraryFolder,
        LibraryFolderWrite,
        LibraryInfo,
        MoveResult,
        Thumbnail,
        UsageSummary,
        file_outcome,
    )
    from ccv2_async.models.outcomes import (
        Outcome,
    )
    from ccv2_async.models.pages import (
        Page,
    )
    from ccv2_async.models.rules import (
        Rule,
        check,
    )

__all__ = [
    "FILE_OUTCOMES",
    "FileSortOrder",
    "FileSource",
    "FileStatus",
    "FileType",
    "FileTypeQuery",
    "FileUploadStatus",
    "FolderSortOrder",
    "LibraryFile",
    "LibraryFileUpdate",
    "LibraryFolder",
    "LibraryFolderWrite",
    "LibraryInfo",
    "MoveResult",
    "Outcome",
    "Page",
    "Rule",
    "Thumbnail",
    "UsageSummary",
    "check",
    "decode",
    "encode",
    "file_outcome",
    "structure",
    "unstructure",
]

_NAMES = {
    "convert": (
        "decode",
        "encode",
        "structure",
        "unstructure",
    ),
    "library": (
        "FILE_OUTCOMES",
        "FileSortOrder",
        "FileSource",
        "FileStatus",
        "FileType",
        "FileTypeQuery",
        "FileUploadStatus",
        "FolderSortOrder",
        "LibraryFile",
        "LibraryFileUpdate",
        "LibraryFolder",
        "LibraryFolderWrite",
        "LibraryInfo",
        "MoveResult",
        "Thumbnail",
        "UsageSummary",
        "file_outcome",
    ),
    "outcomes": ("Outcome",),
    "pages": ("Page",),
    "rules": (
        "Rule",
        "check",
    ),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker would otherwise take any name for granted

    def __getattr__(name: str) -> object:
        """The class of that name, from the module of its area."""
        module = _HOME.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """The names that can be imported."""
        return __all__
