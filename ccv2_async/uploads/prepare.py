"""Check the arguments of an upload, and lay out its form, without touching the file."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING, Literal

import attrs

from ccv2_async import errors
from ccv2_async.models import FileSource, FileType, validation
from ccv2_async.transport.calls.call import UPLOAD_DEADLINE
from ccv2_async.transport.files.multipart import FilePart, lay_out
from ccv2_async.transport.files.objects import FileObjectSource
from ccv2_async.transport.files.sources import StreamSource, as_source
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import checked_lane
from ccv2_async.uploads.looks import DigestedSource

if TYPE_CHECKING:
    from ccv2_async.transport.files.body import ProgressCallback
    from ccv2_async.transport.files.multipart import MultipartLayout
    from ccv2_async.transport.files.sources import FileInput, Source

OnAmbiguous = Literal["look", "raise"]
OnDuplicate = Literal["report", "trash"]

MAX_NAME = 80
MAX_DESCRIPTION = 100

_MEDIA_TYPES = {
    FileType.JPEG: "image/jpeg",
    FileType.JPG: "image/jpeg",
    FileType.GIF: "image/gif",
    FileType.PNG: "image/png",
    FileType.PDF: "application/pdf",
    FileType.DOC: "application/msword",
    FileType.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    FileType.XLS: "application/vnd.ms-excel",
    FileType.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileType.PPT: "application/vnd.ms-powerpoint",
    FileType.PPTX: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}


@attrs.frozen
class Upload:
    """A file that is ready to be sent, and everything its form says.

    Attributes:
        source: The source of its bytes.
        name: Its name in the library.
        folder_id: The folder it goes to.
        description: Its description.
        file_source: The source that the library shows.
        file_type: Its type.
        on_progress: Called with the progress.
        on_ambiguous: What to do if its response is lost.
        on_duplicate: What to do with a second copy that a lost response left.
        deadline: Seconds for sending it and for settling a lost response, or None.
        lane: The priority while calls wait for the quota.
    """

    source: Source
    name: str
    folder_id: str
    description: str
    file_source: str
    file_type: FileType
    on_progress: ProgressCallback | None
    on_ambiguous: OnAmbiguous
    on_duplicate: OnDuplicate
    deadline: float | None
    lane: Lane

    @property
    def what(self) -> str:
        """The name for messages."""
        return f"upload of {self.name}"

    @property
    def place(self) -> tuple[str, str]:
        """The folder and the name; the service stores a name in one Unicode form."""
        return self.folder_id, unicodedata.normalize("NFC", self.name)

    def form(self, boundary: str) -> MultipartLayout:
        """Return the layout of its form.

        Args:
            boundary: The line that separates the parts.
        """
        return lay_out(
            [
                ("file_name", self.name),
                ("folder_id", self.folder_id),
                ("description", self.description),
                ("source", self.file_source),
                ("file_type", self.file_type.value),
                FilePart("data", filename=self.name, content_type=_MEDIA_TYPES[self.file_type]),
            ],
            boundary=boundary,
        )


def prepare(
    file: FileInput | Source,
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
) -> Upload:
    """Validate the arguments and return the upload, without touching the file.

    Raises:
        InvalidField: The service would refuse a value. Nothing was sent.
    """
    if not validation.words("look", "raise")(on_ambiguous):
        raise errors.InvalidField("on_ambiguous", on_ambiguous, 'it must be "look" or "raise"')
    if not validation.words("report", "trash")(on_duplicate):
        raise errors.InvalidField("on_duplicate", on_duplicate, 'it must be "report" or "trash"')
    if name is not None:
        validation.checked_text(name, "name")
    opened = as_source(file, length=length, name=name if not is_path(file) else None)
    if isinstance(opened, StreamSource | FileObjectSource) and opened.is_read_once:
        opened = DigestedSource(opened)
    given = name if name is not None else opened.filename
    if given is None:
        raise errors.InvalidField(
            "name", None, "pass a name with an extension, because the file has no name"
        )
    shown = given.replace("\\", "/").rpartition("/")[2]
    if not shown or len(shown) > MAX_NAME:
        raise errors.InvalidField("name", given, f"it must have 1 to {MAX_NAME} characters")
    if not validation.is_text(shown):
        raise errors.InvalidField(
            "name", given, "it must be valid UTF-8; pass another name with name="
        )
    if not shown.isprintable():
        raise errors.InvalidField("name", given, "it must not contain control characters")
    if len(validation.checked_text(description, "description")) > MAX_DESCRIPTION:
        raise errors.InvalidField(
            "description", description, f"it must have at most {MAX_DESCRIPTION} characters"
        )
    return Upload(
        source=opened,
        name=shown,
        folder_id=validation.checked_id(folder_id, "folder_id"),
        description=description,
        file_source=_file_source(source),
        file_type=_type_of(shown, file_type),
        on_progress=validation.checked_function(on_progress, "on_progress"),
        on_ambiguous=on_ambiguous,
        on_duplicate=on_duplicate,
        deadline=validation.checked_seconds(deadline, "deadline"),
        lane=checked_lane(lane),
    )


def empty(path: str) -> errors.FileRefused:
    """Return the exception for an empty file."""
    return errors.FileRefused(path, "it is empty; the library does not accept empty files")


def _file_source(source: FileSource | str) -> str:
    if isinstance(source, FileSource):
        return source.value
    return validation.one_of("source", source, FileSource) or FileSource.MY_COMPUTER


def is_path(file: object) -> bool:
    """Return whether a file was given as a path."""
    return isinstance(file, str | os.PathLike)


def _type_of(name: str, file_type: FileType | str | None) -> FileType:
    if file_type is not None:
        return FileType(str(validation.one_of("file_type", file_type, FileType)))
    extension = name.rpartition(".")[2].upper() if "." in name else ""
    if extension not in FileType.__members__:
        raise errors.InvalidField(
            "file_type",
            name,
            f"it must be one of {', '.join(FileType)}; name the file accordingly",
            hint="or pass its file_type",
        )
    return FileType(extension)
