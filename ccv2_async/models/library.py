"""MyLibrary: files, folders, upload status, and usage.

Source: mylibrary-files-api, mylibrary-folders-api, mylibrary summary pages of the v2 reference.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # read at run time by the converter
from enum import StrEnum
from typing import ClassVar

import attrs

from ccv2_async.models.base import Model, Outcome, TupleOf, names
from ccv2_async.models.validation import limited, rule

__all__ = ["FILE_OUTCOMES", "FileSortOrder", "FileSource", "FileStatus", "FileType"]
__all__ += ["FileTypeQuery", "FileUploadStatus", "FolderSortOrder", "LibraryFile"]
__all__ += ["LibraryFileUpdate", "LibraryFolder", "LibraryFolderWrite", "LibraryInfo", "MoveResult"]
__all__ += ["Thumbnail", "UsageSummary", "file_outcome"]

ROOT_FOLDER_IDS: frozenset[str | None] = frozenset({None, "", "0"})
"""The IDs that mean "no parent folder". All three occur in responses; requests send "0"."""


class FileStatus(StrEnum):
    """The state of a library file. An unknown one stays a string: treat it as pending."""

    ACTIVE = "Active"
    PROCESSING = "Processing"
    UPLOADED = "Uploaded"
    VIRUS_FOUND = "VirusFound"
    FAILED = "Failed"
    DELETED = "Deleted"


FILE_OUTCOMES: dict[FileStatus, Outcome] = {
    **dict.fromkeys(FileStatus, Outcome.PENDING),
    FileStatus.ACTIVE: Outcome.SUCCESS,
    FileStatus.VIRUS_FOUND: Outcome.FAILURE,
    FileStatus.FAILED: Outcome.FAILURE,
    FileStatus.DELETED: Outcome.FAILURE,  # moved to the trash during the wait
}
"""The outcome of an upload for each status."""

_FILE_OUTCOMES_BY_WORD = {status.casefold(): outcome for status, outcome in FILE_OUTCOMES.items()}


def file_outcome(status: str | None) -> Outcome:
    """Return the outcome for a status. Case is ignored. An unknown status is pending."""
    return _FILE_OUTCOMES_BY_WORD.get((status or "").casefold(), Outcome.PENDING)


class FileType(StrEnum):
    """The file types that the library accepts."""

    JPEG = "JPEG"
    JPG = "JPG"
    GIF = "GIF"
    PNG = "PNG"
    PDF = "PDF"
    DOC = "DOC"
    DOCX = "DOCX"
    XLS = "XLS"
    XLSX = "XLSX"
    PPT = "PPT"
    PPTX = "PPTX"


class FileSource(StrEnum):
    """The source of a file. Facebook and Instagram need MyLibrary Plus."""

    MY_COMPUTER = "MyComputer"
    STOCK_IMAGE = "StockImage"
    FACEBOOK = "Facebook"
    INSTAGRAM = "Instagram"
    SHUTTERSTOCK = "Shutterstock"
    MOBILE = "Mobile"


class FileTypeQuery(StrEnum):
    """A filter for a listing of files."""

    ALL = "ALL"
    IMAGES = "IMAGES"
    DOCUMENTS = "DOCUMENTS"


class FileSortOrder(StrEnum):
    """The order of a listing of files; the service's default is CREATED_DATE_DESC."""

    CREATED_DATE = "CREATED_DATE"
    CREATED_DATE_DESC = "CREATED_DATE_DESC"
    MODIFIED_DATE = "MODIFIED_DATE"
    MODIFIED_DATE_DESC = "MODIFIED_DATE_DESC"
    NAME = "NAME"
    NAME_DESC = "NAME_DESC"
    SIZE = "SIZE"
    SIZE_DESC = "SIZE_DESC"
    DIMENSION = "DIMENSION"
    DIMENSION_DESC = "DIMENSION_DESC"


class FolderSortOrder(StrEnum):
    """The order of a listing of folders; the service's default is CREATED_DATE_DESC."""

    CREATED_DATE = "CREATED_DATE"
    CREATED_DATE_DESC = "CREATED_DATE_DESC"
    MODIFIED_DATE = "MODIFIED_DATE"
    MODIFIED_DATE_DESC = "MODIFIED_DATE_DESC"
    NAME = "NAME"
    NAME_DESC = "NAME_DESC"


@attrs.frozen(weakref_slot=False)
class Thumbnail(Model):
    """The thumbnail of a file.

    Attributes:
        url: The URL of its bytes.
        height: Pixels.
        width: Pixels.
        extra: Fields that the service sent beyond those above.
    """

    url: str | None = None
    height: int | None = None
    width: int | None = None


@attrs.frozen(weakref_slot=False)
class LibraryFile(Model):
    """A file of the library.

    Source: mylibrary-files-api, file-resource-api.

    Attributes:
        id: The file's ID.
        name: File name with extension, at most 80 characters.
        description: At most 100 characters; the service requires one when a file is changed.
        file_type: The kind of file. In the trash the service calls it `type`.
        folder: The name of the folder it is in.
        folder_id: The ID of that folder, often negative; None in the default place.
        height: Pixels; 0 for documents.
        width: Pixels; 0 for documents.
        size: The size in bytes.
        is_image: Whether it is an image.
        source: The origin of the file.
        status: Its state; an unknown one is plain text.
        thumbnail: Its thumbnail.
        url: The URL of its bytes.
        created_date: The date it was created.
        modified_date: The date it was last changed.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names(
        "id file_type folder height width size is_image source status thumbnail url "
        "created_date modified_date"
    )

    id: str
    name: str = attrs.field(metadata=rule(required=True, max_length=80))
    description: str | None = limited(required=True, max_length=100)
    file_type: FileType | str | None = attrs.field(default=None, metadata={"aliases": ("type",)})
    folder: str | None = None
    folder_id: str | None = None
    height: int | None = None
    width: int | None = None
    size: int | None = None
    is_image: bool | None = None
    source: FileSource | str | None = None
    status: FileStatus | str | None = None
    thumbnail: Thumbnail | None = attrs.field(default=None, metadata={"first": True})
    url: str | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None


@attrs.frozen(weakref_slot=False)
class LibraryFileUpdate(Model):
    """The request to change a file. The service replaces all three: send them all.

    Source: mylibrary-files-api, file-resource-api, PUT.

    Attributes:
        description: At most 100 characters; may be empty.
        name: File name with extension, at most 80 characters.
        folder_id: The folder to move it to.
        extra: Other fields to send.
    """

    description: str = attrs.field(metadata=rule(required=True, max_length=100))
    name: str | None = limited(max_length=80)
    folder_id: str | None = None


@attrs.frozen(weakref_slot=False)
class FileUploadStatus(Model):
    """The status of an upload.

    Source: mylibrary-files-api, upload status.

    Attributes:
        file_id: The file's ID.
        status: Its state; an unknown one is plain text. `file_outcome` gives its meaning.
        description: A description of the state; usually the same as the status.
        extra: Fields that the service sent beyond those above.
    """

    file_id: str
    status: FileStatus | str
    description: str | None = None

    @property
    def outcome(self) -> Outcome:
        """Whether the upload is pending, done, or failed."""
        return file_outcome(self.status)


_NAME = rule(
    required=True,
    max_length=40,
    pattern="[\x00-\xff]*",
    pattern_means="only ISO 8859-1 characters are accepted",
)


@attrs.frozen(weakref_slot=False)
class LibraryFolder(Model):
    """A folder of the library, with the folders inside it.

    Source: mylibrary-folders-api, folder-resource-api.

    Attributes:
        id: The folder's ID, often negative.
        name: At most 40 characters, from ISO 8859-1 only.
        parent_id: The ID of the folder above; None, "" or "0" at the top: see `is_top`.
        level: 1 at the top, 2 and 3 below; 0 for some of the service's own folders.
        children: The folders inside, three levels at most.
        item_count: Files in it.
        created_date: The date it was created; None for the service's own folders.
        modified_date: The date it was last changed; None for the service's own folders.
        extra: Fields that the service sent beyond those above, and the raw text of dates that are
            None here. Sent back on writes.
    """

    __read_only__: ClassVar[frozenset[str]] = names(
        "id level children item_count created_date modified_date"
    )

    id: str
    name: str = attrs.field(metadata=_NAME)
    parent_id: str | None = None
    level: int | None = None
    children: tuple[LibraryFolder, ...] = attrs.field(
        default=(), converter=TupleOf["LibraryFolder"]
    )
    item_count: int | None = None
    created_date: datetime | None = None
    modified_date: datetime | None = None

    @property
    def is_top(self) -> bool:
        """Whether it has no parent folder."""
        return self.parent_id in ROOT_FOLDER_IDS


@attrs.frozen(weakref_slot=False)
class LibraryFolderWrite(Model):
    """The request to create a folder.

    Source: mylibrary-folders-api, folder-collection, POST.

    Attributes:
        name: At most 40 characters, from ISO 8859-1 only.
        parent_id: The folder above; "0" or None for the top.
        extra: Other fields to send.
    """

    name: str = attrs.field(metadata=_NAME)
    parent_id: str | None = None


@attrs.frozen(weakref_slot=False)
class MoveResult(Model):
    """A file that was moved.

    Attributes:
        id: The file's ID.
        uri: The absolute URL of the file's resource. Never follow it with credentials.
        extra: Fields that the service sent beyond those above.
    """

    id: str
    uri: str


@attrs.frozen(weakref_slot=False)
class UsageSummary(Model):
    """The limits and the usage of the account's library.

    Attributes:
        folder_count: The number of folders.
        file_count: The number of files.
        image_count: The number of images.
        document_count: The number of documents.
        total_bytes_used: The bytes of all files.
        image_bytes_used: The bytes of images.
        document_bytes_used: The bytes of documents.
        total_bytes_remaining: The bytes that are left.
        free_files_remaining: The number of files that are left.
        extra: Fields that the service sent beyond those above.
    """

    folder_count: int | None = None
    file_count: int | None = None
    image_count: int | None = None
    document_count: int | None = None
    total_bytes_used: int | None = None
    image_bytes_used: int | None = None
    document_bytes_used: int | None = None
    total_bytes_remaining: int | None = None
    free_files_remaining: int | None = None


@attrs.frozen(weakref_slot=False)
class LibraryInfo(Model):
    """The limits of the account's library.

    Source: mylibrary summary page.

    Attributes:
        image_root: The start of the URL of every image.
        max_free_file_num: The limit as a number of files; 0 means that
            `max_premium_space_limit` applies.
        max_premium_space_limit: The limit in bytes.
        max_upload_size_limit: Bytes of the largest file that can be uploaded.
        usage_summary: The used and remaining space and files.
        extra: Fields that the service sent beyond those above.
    """

    __one_of_list__ = True

    image_root: str | None = None
    max_free_file_num: int | None = None
    max_premium_space_limit: int | None = None
    max_upload_size_limit: int | None = None
    usage_summary: UsageSummary | None = None
