"""The library's folders and files."""

from __future__ import annotations

import struct
import unicodedata
from typing import TYPE_CHECKING

import attrs

from ccv2_async.sandbox.responses import Refusal, bad_field, highest, lookup, missing
from ccv2_async.sandbox.transitions import plan_job, upload_script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccv2_async.sandbox.forms import Content
    from ccv2_async.sandbox.settings import Settings
    from ccv2_async.sandbox.transitions import Plan

IMAGE_TYPES = frozenset({"JPEG", "JPG", "GIF", "PNG"})
ROOT_IDS = frozenset({"", "0"})
DOCUMENTS_ID = "-1"
IMAGES_ID = "-2"
MAX_LEVEL = 3
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset(range(0xD0, 0xDA)) | {0x01}


@attrs.define
class Folder:
    """A folder; `parent_id` is None at the top, and a system folder's level is 0."""

    id: str
    name: str
    parent_id: str | None = None
    created: float = 0.0
    modified: float = 0.0
    system: bool = False

    @property
    def number(self) -> int:
        """Its place among folders by age. IDs count down."""
        return -int(self.id)


@attrs.define
class StoredFile:
    """An uploaded file. `folder_id` is None in the default place for its type."""

    id: str
    name: str
    description: str
    file_type: str
    source: str
    folder_id: str | None
    size: int
    sha256: str
    width: int
    height: int
    plan: Plan
    created: float
    modified: float
    looks: int = 0
    trashed: bool = False
    forced: str | None = None

    @property
    def number(self) -> int:
        """Its place among files by age."""
        return int(self.id)

    @property
    def is_image(self) -> bool:
        """Whether it is an image and not a document."""
        return self.file_type in IMAGE_TYPES

    def status(self, now: float) -> str:
        """Return its status at `now`."""
        return "Deleted" if self.trashed else self.forced or self.plan.status(now, self.looks)


def _system_folders() -> dict[str, Folder]:
    names = {DOCUMENTS_ID: "Documents", IMAGES_ID: "Images"}
    return {folder_id: Folder(folder_id, name, system=True) for folder_id, name in names.items()}


@attrs.define
class Library:
    """All folders and files of the account.

    Attributes:
        settings: The settings of uploads.
        first_id: The ID of the first file.
        folders: Folders by ID.
        files: Files by ID, including those in the trash.
        links: The number in the URLs of file contents. URLs with an earlier number have expired.
        expired_status: The status of the response to an expired URL.
    """

    settings: Settings
    first_id: int
    folders: dict[str, Folder] = attrs.field(factory=_system_folders)
    files: dict[str, StoredFile] = attrs.field(factory=dict)
    links: int = 1
    expired_status: int = 404
    _named: dict[str, list[StoredFile]] = attrs.field(factory=dict)
    _last_numbers: dict[tuple[str, str], int] = attrs.field(factory=dict)
    _kept: dict[str, bytes] = attrs.field(factory=dict)
    _kept_bytes: int = 0
    _uploaded: int = 0
    _next_folder: int = -3

    def folder(self, folder_id: str) -> Folder:
        """Return the folder, or raise a 404."""
        return lookup(self.folders, folder_id, "Folder")

    def children(self, parent_id: str | None) -> list[Folder]:
        """Return the folders directly below one, or at the top."""
        return [folder for folder in self.folders.values() if folder.parent_id == parent_id]

    def level(self, folder: Folder) -> int:
        """Return 0 for a system folder, 1 at the top, 2 and 3 below."""
        if folder.parent_id is None:
            return 0 if folder.system else 1
        return max(1, self.level(self.folders[folder.parent_id])) + 1

    def create_folder(self, name: str, parent_id: str | None, now: float) -> Folder:
        """Create a folder, or raise a 400 or 409."""
        parent = self._parent(parent_id)
        self._check_name(name)
        self._check_place(name, parent, depth=1)
        folder = Folder(str(self._next_folder), name, parent, now, now)
        self._next_folder -= 1
        self.folders[folder.id] = folder
        return folder

    def change_folder(self, folder_id: str, name: str, parent_id: str | None, now: float) -> Folder:
        """Rename and move a folder; a parent of None does not move it."""
        folder = self.folder(folder_id)
        self._check_name(name)
        if folder.system:
            raise bad_field("name", "a system folder cannot be changed.")
        parent = folder.parent_id if parent_id is None else self._parent(parent_id)
        if parent is not None and folder_id in self._lineage(parent):
            raise bad_field("parent_id", "a folder cannot be moved into itself.")
        self._check_place(name, parent, depth=self._depth(folder), besides=folder_id)
        folder.name, folder.parent_id, folder.modified = name, parent, now
        return folder

    def delete_folder(self, folder_id: str, now: float) -> None:
        """Delete a folder and those below it; their files go to the trash."""
        if self.folder(folder_id).system:
            raise Refusal(400, "A system folder cannot be deleted.")
        for child in self.children(folder_id):
            self.delete_folder(child.id, now)
        for stored in self.files.values():
            if stored.folder_id == folder_id:
                stored.folder_id = None
                self._trash(stored, now)
        del self.folders[folder_id]

    def add_file(self, texts: dict[str, str], content: Content, now: float) -> StoredFile:
        """Store an upload, under a numbered name if its name is taken, or refuse it with a 400."""
        folder_id = texts["folder_id"]
        place = None if folder_id in ROOT_IDS else folder_id
        if place is not None and place not in self.folders:
            raise bad_field("folder_id", f"there is no folder {folder_id}.")
        width, height = picture_size(content.head)
        file_id = str(self.first_id + self._uploaded)
        self._uploaded += 1
        script = upload_script(texts["file_name"], infected=content.infected)
        plan = plan_job(self.settings, script, key=f"file {self._uploaded}", now=now)
        stored = StoredFile(
            id=file_id,
            name=texts["file_name"],
            description=texts["description"],
            file_type=texts["file_type"],
            source=texts["source"],
            folder_id=place,
            size=content.size,
            sha256=content.sha256,
            width=width,
            height=height,
            plan=plan,
            created=now,
            modified=now,
        )
        if self.settings.composed_names:
            stored.name = unicodedata.normalize("NFC", stored.name)
        stored.name = self._free_name(stored, now)
        self._index_name(stored)
        self.files[file_id] = stored
        if (data := content.data) is not None:
            self._keep(file_id, data)
        return stored

    def rename_file(self, stored: StoredFile, name: str) -> None:
        """Give a file another name. Only uploads are numbered: a PUT may repeat a name."""
        if name != stored.name:
            stored.name = name
            self._index_name(stored)

    def content(self, file_id: str) -> bytes | None:
        """Return the bytes of a file while they are in memory."""
        return self._kept.get(file_id)

    def file(self, file_id: str) -> StoredFile:
        """Return the file, in the trash or not, or raise a 404."""
        return lookup(self.files, file_id, "File")

    def live_file(self, file_id: str) -> StoredFile:
        """Return the file outside the trash, or raise a 404."""
        if (stored := self.file(file_id)).trashed:
            raise missing(f"File {file_id}")
        return stored

    def live_files(self, now: float) -> list[StoredFile]:
        """Return the files that are not in the trash."""
        return [stored for stored in self.files.values() if stored.status(now) != "Deleted"]

    def trash(self, now: float) -> list[StoredFile]:
        """Return the files in the trash."""
        return [stored for stored in self.files.values() if stored.status(now) == "Deleted"]

    def in_folder(self, folder_id: str, now: float) -> list[StoredFile]:
        """Return the files of a folder. The default folders hold those without a folder."""
        files = self.live_files(now)
        if folder_id in ROOT_IDS:
            return [stored for stored in files if stored.folder_id is None]
        self.folder(folder_id)
        return [stored for stored in files if folder_id in (stored.folder_id, home(stored))]

    def move(self, file_ids: Iterable[str], folder_id: str, now: float) -> list[StoredFile]:
        """Move files to a folder, or raise a 400 or 404 and move none."""
        place = None if folder_id in ROOT_IDS else self.folder(folder_id).id
        files = []
        for file_id in file_ids:
            if (stored := self.files.get(file_id)) is None or stored.trashed:
                raise Refusal(400, f"File {file_id} does not exist; nothing was moved.")
            files.append(stored)
        for stored in files:
            stored.folder_id, stored.modified = place, now
        return files

    def delete_files(self, file_ids: Iterable[str], now: float) -> None:
        """Move files to the trash, or raise a 404 and move none."""
        for stored in [self.file(file_id) for file_id in file_ids]:
            self._trash(stored, now)

    def empty_trash(self, now: float) -> None:
        """Purge everything in the trash."""
        for stored in self.trash(now):
            del self.files[stored.id]
            self._kept_bytes -= len(self._kept.pop(stored.id, b""))

    def restored(self) -> None:
        """Complete the data read from a file, or raise a `ValueError` if it contradicts itself."""
        self.folders = {**_system_folders(), **self.folders}
        reached: set[str | None] = {None}
        for _ in range(MAX_LEVEL + 1):
            reached |= {row.id for row in self.folders.values() if row.parent_id in reached}
        for folder_id in self.folders:
            if folder_id not in reached:
                raise ValueError(
                    f"folder {folder_id} is below itself, or below a folder that does not exist"
                )
        for stored in self.files.values():
            if stored.folder_id is not None and stored.folder_id not in self.folders:
                raise ValueError(f"file {stored.id} is in a folder that does not exist")
            self._index_name(stored)
        self._kept_bytes = sum(map(len, self._kept.values()))
        self._uploaded = max(self._uploaded, 1 + highest(self.files) - self.first_id)
        self._next_folder = min(self._next_folder, -1 - highest(self.folders))

    def _free_name(self, stored: StoredFile, now: float) -> str:
        """Return the name of a new file, numbered if its folder already has that name."""
        place = home(stored)
        if not self._is_taken(stored.name, place, now):
            return stored.name
        key = (place, stored.name.casefold())
        # Continue after the last number while that one exists, so that a thousand equal names
        # take a thousand steps.
        number = self._last_numbers.get(key, 0)
        if not self._is_taken(_numbered(stored.name, number), place, now):
            number = 0
        while self._is_taken(_numbered(stored.name, number), place, now):
            number += 1
        self._last_numbers[key] = number
        return _numbered(stored.name, number)

    def _is_taken(self, name: str, place: str, now: float) -> bool:
        key = name.casefold()
        return any(
            other.name.casefold() == key and home(other) == place and other.status(now) != "Deleted"
            for other in self._named.get(key, ())
        )

    def _index_name(self, stored: StoredFile) -> None:
        self._named.setdefault(stored.name.casefold(), []).append(stored)

    def _trash(self, stored: StoredFile, now: float) -> None:
        if not stored.trashed:
            stored.trashed, stored.modified = True, now

    def _keep(self, file_id: str, data: bytes) -> None:
        self._kept[file_id] = data
        self._kept_bytes += len(data)
        while self._kept_bytes > self.settings.keep_content:
            oldest = next(iter(self._kept))
            self._kept_bytes -= len(self._kept.pop(oldest))

    def _parent(self, parent_id: str | None) -> str | None:
        if parent_id is None or parent_id in ROOT_IDS:
            return None
        if parent_id not in self.folders:
            raise bad_field("parent_id", f"there is no folder {parent_id}.")
        return parent_id

    def _lineage(self, folder_id: str) -> list[str]:
        parent = self.folders[folder_id].parent_id
        return [folder_id] if parent is None else [folder_id, *self._lineage(parent)]

    def _depth(self, folder: Folder) -> int:
        return 1 + max((self._depth(child) for child in self.children(folder.id)), default=0)

    def _check_name(self, name: str) -> None:
        try:
            name.encode("iso-8859-1")
        except UnicodeEncodeError:
            raise bad_field("name", "only ISO-8859-1 characters are accepted.") from None

    def _check_place(
        self, name: str, parent: str | None, *, depth: int, besides: str | None = None
    ) -> None:
        above = 0 if parent is None else max(1, self.level(self.folders[parent]))
        if above + depth > MAX_LEVEL:
            raise bad_field("parent_id", f"folders are at most {MAX_LEVEL} levels deep.")
        for sibling in self.children(parent):
            if sibling.id != besides and sibling.name.casefold() == name.casefold():
                raise Refusal(409, f"A folder named {name} already exists.")


def _numbered(name: str, number: int) -> str:
    if not number:
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem}({number}){dot}{ending}" if stem else f"{name}({number})"


def home(stored: StoredFile) -> str:
    """Return the folder that shows a file: its own, or the default one of its type."""
    if stored.folder_id is not None:
        return stored.folder_id
    return IMAGES_ID if stored.is_image else DOCUMENTS_ID


def picture_size(head: bytes) -> tuple[int, int]:
    """Return width and height in pixels; (0, 0) if it is not a JPEG, PNG or GIF."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head[:6] in (b"GIF87a", b"GIF89a") and len(head) >= 10:
        width, height = struct.unpack("<HH", head[6:10])
        return width, height
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else (0, 0)


def _jpeg_size(head: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(head):
        if head[position] != 0xFF:
            return 0, 0
        marker = head[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", head[position + 5 : position + 9])
            return width, height
        elif marker in _JPEG_ALONE:
            position += 2
        else:
            position += 2 + int(struct.unpack(">H", head[position + 2 : position + 4])[0])
    return 0, 0
