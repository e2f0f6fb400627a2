"""The operations of the library."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.clock import offset_stamp, utc_stamp
from ccv2_async.sandbox.content import icon_url, url_of
from ccv2_async.sandbox.fields import MODELS, define
from ccv2_async.sandbox.operations import READ, Operations, page
from ccv2_async.sandbox.responses import APIResponse, Refusal, absent_field, picked
from ccv2_async.sandbox.state.library import home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.library import Folder, StoredFile

OPERATIONS = Operations()
define(
    """
    Thumbnail: url height:int width:int
    LibraryFile: id!-:id name! description file_type- type- folder- source- status- url-
        folder_id:id height-:int width-:int size-:int is_image-:bool thumbnail-:Thumbnail
        created_date-:date modified_date-:date
    LibraryFileUpdate < LibraryFile: name<=80 description!<=100
    FileUploadStatus: file_id!:id status! description
    LibraryFolder: id!-:id name! parent_id:id level-:int item_count-:int children-:LibraryFolder[]
        created_date-:date modified_date-:date
    LibraryFolderWrite < LibraryFolder: name!>=1<=40
    MoveResult: id!:id uri!
    UsageSummary: folder_count:int file_count:int image_count:int document_count:int
        total_bytes_used:int image_bytes_used:int document_bytes_used:int total_bytes_remaining:int
        free_files_remaining:int
    LibraryInfo: image_root max_free_file_num:int max_premium_space_limit:int
        max_upload_size_limit:int usage_summary:UsageSummary
    Upload: file_name!<=80 folder_id!:id description!<=100
        source!:MyComputer|StockImage|Facebook|Instagram|Shutterstock|Mobile~
        file_type!:GIF|JPEG|JPG|PNG|PDF|DOC|DOCX|XLS|XLSX|PPT|PPTX~
    """
)

_FOLDERS = "/library/folders"
_FOLDER = f"{_FOLDERS}/{{folderId}}"
_FILES = "/library/files"
_FILE = f"{_FILES}/{{fileId}}"
_TRASH = f"{_FOLDERS}/trash/files"
_SOURCES = "MyComputer|StockImage|Facebook|Instagram|Shutterstock|Mobile"
_PREMIUM_SPACE = 262_144_000
_THUMBNAIL = 200

# The sort key for each word of `sort_by`. Rows with equal keys are ordered by ID: older files
# first, but newer folders first, because their IDs count down.
_ORDERS: dict[str, Callable[[Any], Any]] = {
    "CREATED_DATE": attrgetter("created"),
    "ADDED_DATE": attrgetter("created"),
    "MODIFIED_DATE": attrgetter("modified"),
    "NAME": lambda row: row.name.casefold(),
    "SIZE": attrgetter("size"),
    "DIMENSION": lambda stored: stored.width * stored.height,
}


def _sort_by(*words: str) -> str:
    both = "|".join(f"{word}|{word}_DESC" for word in words)
    return f"limit:int>=1<=1000=50 sort_by:{both}=CREATED_DATE_DESC"


_TRASH_QUERY = f"{_sort_by(*_ORDERS)} type:ALL|IMAGES|DOCUMENTS=ALL"
_FILE_QUERY = f"{_TRASH_QUERY} source:ALL|{_SOURCES}~=ALL"
_UPLOAD = MODELS["Upload"]
_PAYLOAD = "include_payload:TRUE|FALSE~=TRUE"


def _sort(rows: Iterable[Any], sort_by: str) -> list[Any]:
    name = sort_by.removesuffix("_DESC")
    return sorted(rows, key=lambda row: (_ORDERS[name](row), row.number), reverse=name != sort_by)


def _show_file(call: Call, stored: StoredFile) -> dict[str, Any]:
    status = stored.status(call.now)
    offset = call.world.settings.created_offset
    row: dict[str, Any] = {
        **picked(stored, "id name description folder_id height width size source"),
        **picked(stored, "is_image file_type"),
        "folder": call.world.library.folders[home(stored)].name,
        "status": status,
        "created_date": offset_stamp(stored.created + offset),
        "modified_date": offset_stamp(stored.modified + offset),
    }
    if status in ("Active", "Deleted"):
        row["url"] = url_of(call.world, stored, call.origin)
        small = row["url"] if stored.is_image else icon_url(call.world, call.origin)
        row["thumbnail"] = {"url": small, **_thumbnail(stored)}
    return row


def _thumbnail(stored: StoredFile) -> dict[str, int]:
    if not stored.width or not stored.height:
        return {"height": _THUMBNAIL, "width": 178}
    scale = min(1.0, _THUMBNAIL / max(stored.width, stored.height))
    sides = {"height": stored.height, "width": stored.width}
    return {name: max(1, round(side * scale)) for name, side in sides.items()}


def _show_folder(call: Call, folder: Folder) -> dict[str, Any]:
    library = call.world.library
    stamp = utc_stamp if folder.system else offset_stamp
    return {
        **picked(folder, "id name"),
        "level": library.level(folder),
        "children": [
            _show_folder(call, child) for child in _sort(library.children(folder.id), "NAME")
        ],
        "item_count": len(library.in_folder(folder.id, call.now)),
        "parent_id": folder.parent_id or ("" if folder.system else "0"),
        "modified_date": stamp(folder.modified),
        "created_date": stamp(folder.created),
    }


def _pick(call: Call, files: Iterable[StoredFile]) -> list[StoredFile]:
    kind = call.query["type"]
    source = call.query.get("source", "ALL")
    chosen = [
        stored
        for stored in files
        if (kind == "ALL" or stored.is_image == (kind == "IMAGES"))
        and source in ("ALL", stored.source)
    ]
    return _sort(chosen, call.query["sort_by"])


def _files_page(call: Call, files: Iterable[StoredFile]) -> dict[str, Any]:
    listed = call.now - call.world.settings.listing_lag
    files = [stored for stored in files if stored.created <= listed]
    return page(call, _pick(call, files), lambda stored: _show_file(call, stored))


def _payload(call: Call, body: dict[str, Any]) -> APIResponse:
    if call.query["include_payload"] == "TRUE":
        return APIResponse(200, body)
    return APIResponse(204, headers={"Location": call.url(call.path)})


@OPERATIONS.add("GET", "/library/info", "LibraryInfo or array", codes=READ)
def library_info_get(call: Call) -> Any:
    """Return the usage of the library."""
    library = call.world.library
    files = library.live_files(call.now)
    images = [stored for stored in files if stored.is_image]
    used = sum(stored.size for stored in files)
    image_bytes = sum(stored.size for stored in images)
    body = {
        "max_free_file_num": 0,
        "max_premium_space_limit": _PREMIUM_SPACE,
        "max_upload_size_limit": call.world.settings.max_upload_size,
        "image_root": call.origin,
        "usage_summary": {
            "folder_count": len(library.folders),
            "file_count": len(files),
            "image_count": len(images),
            "document_count": len(files) - len(images),
            "total_bytes_used": used,
            "image_bytes_used": image_bytes,
            "document_bytes_used": used - image_bytes,
            "total_bytes_remaining": max(0, _PREMIUM_SPACE - used),
            "free_files_remaining": 0,
        },
    }
    return [body] if call.world.settings.info_as_list else body


@OPERATIONS.add(
    "GET",
    _FOLDERS,
    "LibraryFolder page",
    codes=READ,
    query=_sort_by("CREATED_DATE", "ADDED_DATE", "MODIFIED_DATE", "NAME"),
)
def library_folders_list(call: Call) -> dict[str, Any]:
    """List the top folders. Each contains the folders below it."""
    tops = _sort(call.world.library.children(None), call.query["sort_by"])
    return page(call, tops, lambda folder: _show_folder(call, folder))


@OPERATIONS.add("POST", _FOLDERS, "LibraryFolder", body="LibraryFolderWrite")
def library_folder_create(call: Call) -> APIResponse:
    """Create a folder.

    Its name must have only ISO-8859-1 characters and be unique below its parent; case is ignored.
    The parent must exist, and folders can be at most three levels deep.
    """
    name, parent_id = call.body["name"], call.body.get("parent_id")
    return call.created(
        _show_folder(call, call.world.library.create_folder(name, parent_id, call.now))
    )


@OPERATIONS.add("GET", _TRASH, "LibraryFile page", codes=READ, query=_TRASH_QUERY)
def library_trash_list(call: Call) -> dict[str, Any]:
    """List the files in the trash. They have `type` instead of `file_type`."""

    def shown(stored: StoredFile) -> dict[str, Any]:
        row = _show_file(call, stored)
        row["type"] = row.pop("file_type")
        return row

    return page(call, _pick(call, call.world.library.trash(call.now)), shown)


@OPERATIONS.add("DELETE", _TRASH, codes=(204, 401, 500))
def library_trash_empty(call: Call) -> None:
    """Empty the trash."""
    call.world.library.empty_trash(call.now)


@OPERATIONS.add("GET", _FOLDER, "LibraryFolder")
def library_folder_get(call: Call) -> dict[str, Any]:
    """Return one folder."""
    return _show_folder(call, call.world.library.folder(call.ids["folderId"]))


@OPERATIONS.add(
    "PUT", _FOLDER, "LibraryFolder", also=(204, 409), query=_PAYLOAD, body="LibraryFolderWrite"
)
def library_folder_update(call: Call) -> APIResponse:
    """Rename or move a folder.

    The rules for a new folder apply. A folder cannot be moved into itself or below itself, and a
    system folder cannot be changed. Without `parent_id`, it is not moved.
    """
    name, parent_id = call.body["name"], call.body.get("parent_id")
    folder_id, library = call.ids["folderId"], call.world.library
    folder = library.change_folder(folder_id, name, parent_id, call.now)
    return _payload(call, _show_folder(call, folder))


@OPERATIONS.add("DELETE", _FOLDER, also=(400,))
def library_folder_delete(call: Call) -> None:
    """Delete a folder and its contents.

    The folders below it are deleted too, and all files go to the trash. A system folder cannot be
    deleted.
    """
    call.world.library.delete_folder(call.ids["folderId"], call.now)


@OPERATIONS.add("GET", f"{_FOLDER}/files", "LibraryFile page", query=_FILE_QUERY)
def library_files_by_folder(call: Call) -> dict[str, Any]:
    """List the files of one folder."""
    return _files_page(call, call.world.library.in_folder(call.ids["folderId"], call.now))


@OPERATIONS.add("PUT", f"{_FOLDER}/files", "MoveResult[]", body="id[]")
def library_files_move(call: Call) -> list[dict[str, Any]]:
    """Move files to another folder.

    If one of the files does not exist or is in the trash, nothing is moved.
    """
    moved = call.world.library.move(call.body, call.ids["folderId"], call.now)
    return [{"id": file.id, "uri": call.url(f"{_FILES}/{file.id}")} for file in moved]


@OPERATIONS.add("GET", _FILES, "LibraryFile page", codes=READ, query=_FILE_QUERY)
def library_files_list(call: Call) -> dict[str, Any]:
    """List the files outside the trash."""
    return _files_page(call, call.world.library.live_files(call.now))


@OPERATIONS.add("POST", _FILES, codes=(202, 400, 401, 413, 415, 500), body=_UPLOAD)
def library_file_upload(call: Call) -> APIResponse:
    """Accept an upload. The ID is in `Location` and in `Id`.

    The name must not be blank; if the folder has a file with that name, the new one is numbered.
    The folder must exist; 0 stands for none. A file must not be larger than `max_upload_size_limit`
    of /library/info. Each part of the form must be sent once.
    """
    if (form := call.form) is None:
        raise absent_field("data")
    if not form.texts["file_name"].strip():
        raise absent_field("file_name")
    stored = call.world.library.add_file(form.texts, form.content, call.now)
    location = call.url(f"{_FILES}/{stored.id}")
    return APIResponse(202, headers={"Location": location, "Id": stored.id})


@OPERATIONS.add(
    "GET", f"{_FILES}/uploadstatus/{{fileId}}", "FileUploadStatus[] or null", listed=True
)
def library_upload_status(call: Call) -> APIResponse:
    """Return the status of uploads. Unknown IDs are left out."""
    library, rows = call.world.library, []
    for file_id in dict.fromkeys(call.ids["fileId"].split(",")):
        if (stored := library.files.get(file_id)) is None:
            continue
        if stored.plan.known(stored.looks):
            status = stored.status(call.now)
            rows.append({"file_id": file_id, "status": status, "description": status})
        stored.looks += 1
    return APIResponse(200, None if not rows and call.world.settings.unknown_as_null else rows)


@OPERATIONS.add("GET", _FILE, "LibraryFile")
def library_file_get(call: Call) -> dict[str, Any]:
    """Return one file."""
    return _show_file(call, call.world.library.file(call.ids["fileId"]))


@OPERATIONS.add("PUT", _FILE, "LibraryFile", also=(204,), query=_PAYLOAD, body="LibraryFileUpdate")
def library_file_update(call: Call) -> APIResponse:
    """Change the name, description or folder of a file.

    The file must not be in the trash, and the folder must exist; 0 stands for none.
    """
    library, body = call.world.library, call.body
    stored = library.live_file(call.ids["fileId"])
    if "folder_id" in body:
        place = body["folder_id"]
        if place not in ("", "0") and place not in library.folders:
            raise Refusal(400, f"There is no folder {place}.", "json.field.folder_id.value.invalid")
        library.move([stored.id], place, call.now)
    library.rename_file(stored, body.get("name", stored.name))
    stored.description = body["description"]
    stored.modified = call.now
    return _payload(call, _show_file(call, stored))


@OPERATIONS.add("DELETE", _FILE, listed=True)
def library_files_delete(call: Call) -> None:
    """Move files to the trash.

    If one of them does not exist, nothing is moved.
    """
    call.world.library.delete_files(call.ids["fileId"].split(","), call.now)
