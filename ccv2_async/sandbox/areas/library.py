"""The sixteen operations of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async.sandbox.areas.rows import CREATE, DELETE_ONE, READ, READ_ONE, UPDATE, limit
from ccv2_async.sandbox.clock import offset_stamp, utc_stamp
from ccv2_async.sandbox.fields import Field
from ccv2_async.sandbox.operations import Answer, FormBody, JsonBody, Operation, Shape
from ccv2_async.sandbox.paging import page
from ccv2_async.sandbox.problems import Refusal, absent_field
from ccv2_async.sandbox.schemas import library as schemas
from ccv2_async.sandbox.state.library import home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccv2_async.sandbox.operations import Call
    from ccv2_async.sandbox.state.library import Folder, StoredFile

_SOURCES = ("MyComputer", "StockImage", "Facebook", "Instagram", "Shutterstock", "Mobile")
_TYPES = ("JPEG", "JPG", "GIF", "PNG", "PDF", "DOC", "DOCX", "XLS", "XLSX", "PPT", "PPTX")
_PREMIUM_SPACE = 262_144_000
_THUMBNAIL = 200

_FILE_ORDERS: dict[str, Callable[[StoredFile], Any]] = {
    "CREATED_DATE": lambda stored: (stored.created, int(stored.id)),
    "ADDED_DATE": lambda stored: (stored.created, int(stored.id)),
    "MODIFIED_DATE": lambda stored: (stored.modified, int(stored.id)),
    "NAME": lambda stored: (stored.name.casefold(), int(stored.id)),
    "SIZE": lambda stored: (stored.size, int(stored.id)),
    "DIMENSION": lambda stored: (stored.width * stored.height, int(stored.id)),
}
_FOLDER_ORDERS: dict[str, Callable[[Folder], Any]] = {
    "CREATED_DATE": lambda folder: (folder.created, -int(folder.id)),
    "ADDED_DATE": lambda folder: (folder.created, -int(folder.id)),
    "MODIFIED_DATE": lambda folder: (folder.modified, -int(folder.id)),
    "NAME": lambda folder: (folder.name.casefold(), -int(folder.id)),
}


def _sort(rows: Iterable[Any], orders: dict[str, Callable[[Any], Any]], sort_by: str) -> list[Any]:
    name = sort_by.removesuffix("_DESC")
    return sorted(rows, key=orders[name], reverse=name != sort_by)


def _show_file(call: Call, stored: StoredFile) -> dict[str, Any]:
    library = call.world.library
    status = stored.status(call.now)
    row: dict[str, Any] = {
        "id": stored.id,
        "name": stored.name,
        "description": stored.description,
        "folder": library.folders[home(stored)].name,
        "folder_id": stored.folder_id,
        "height": stored.height,
        "width": stored.width,
        "size": stored.size,
        "source": stored.source,
        "status": status,
        "is_image": stored.is_image,
        "file_type": stored.file_type,
        "created_date": offset_stamp(stored.created + call.world.settings.created_offset),
        "modified_date": offset_stamp(stored.modified + call.world.settings.created_offset),
    }
    if status in ("Active", "Deleted"):
        origin = call.base_url.removesuffix("/v2")
        row["url"] = f"{origin}/__sandbox__/files/{stored.id}/content"
        row["thumbnail"] = {"url": row["url"], **_thumbnail(stored)}
    return row


def _thumbnail(stored: StoredFile) -> dict[str, int]:
    if not stored.width or not stored.height:
        return {"height": _THUMBNAIL, "width": 178}
    scale = min(1.0, _THUMBNAIL / max(stored.width, stored.height))
    return {
        "height": max(1, round(stored.height * scale)),
        "width": max(1, round(stored.width * scale)),
    }


def _show_folder(call: Call, folder: Folder) -> dict[str, Any]:
    library = call.world.library
    stamp = utc_stamp if folder.system else offset_stamp
    below = _sort(library.children(folder.id), _FOLDER_ORDERS, "NAME")
    return {
        "id": folder.id,
        "name": folder.name,
        "level": library.level(folder),
        "children": [_show_folder(call, child) for child in below],
        "item_count": library.item_count(folder.id, call.now),
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
    return _sort(chosen, _FILE_ORDERS, call.query["sort_by"])


def _files_page(call: Call, files: Iterable[StoredFile]) -> Answer:
    listed = call.now - call.world.settings.listing_lag
    files = [stored for stored in files if stored.created <= listed]
    return page(call, _pick(call, files), lambda stored: _show_file(call, stored))


def _payload(call: Call, body: dict[str, Any], path: str) -> Answer:
    if call.query["include_payload"] == "TRUE":
        return Answer(200, body)
    return Answer(204, headers={"Location": call.url(path)})


def info(call: Call) -> Answer:
    """Usage of the library."""
    library = call.world.library
    files = library.live_files(call.now)
    images = [stored for stored in files if stored.is_image]
    used = sum(stored.size for stored in files)
    image_bytes = sum(stored.size for stored in images)
    body = {
        "max_free_file_num": 0,
        "max_premium_space_limit": _PREMIUM_SPACE,
        "max_upload_size_limit": call.world.settings.max_upload_size,
        "image_root": call.base_url.removesuffix("/v2"),
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
    return Answer(200, [body] if call.world.settings.info_as_list else body)


def folders_list(call: Call) -> Answer:
    """List the top folders. Each contains the folders below it."""
    tops = call.world.library.children(None)
    rows = _sort(tops, _FOLDER_ORDERS, call.query["sort_by"])
    return page(call, rows, lambda folder: _show_folder(call, folder))


def folder_create(call: Call) -> Answer:
    """Create a folder."""
    body = call.body
    folder = call.world.library.create_folder(body["name"], body.get("parent_id"), call.now)
    location = call.url(f"/library/folders/{folder.id}")
    return Answer(201, _show_folder(call, folder), {"Location": location})


def folder_get(call: Call) -> Answer:
    """Return one folder."""
    return Answer(200, _show_folder(call, call.world.library.folder(call.ids["folderId"])))


def folder_update(call: Call) -> Answer:
    """Rename or move a folder."""
    body, folder_id = call.body, call.ids["folderId"]
    folder = call.world.library.change_folder(
        folder_id, body["name"], body.get("parent_id"), call.now
    )
    return _payload(call, _show_folder(call, folder), f"/library/folders/{folder_id}")


def folder_delete(call: Call) -> Answer:
    """Delete a folder and its contents."""
    call.world.library.delete_folder(call.ids["folderId"], call.now)
    return Answer(204)


def trash_list(call: Call) -> Answer:
    """List the files in the trash. They have `type` instead of `file_type`."""

    def shown(stored: StoredFile) -> dict[str, Any]:
        row = _show_file(call, stored)
        row["type"] = row.pop("file_type")
        return row

    return page(call, _pick(call, call.world.library.trash(call.now)), shown)


def trash_empty(call: Call) -> Answer:
    """Empty the trash."""
    call.world.library.empty_trash(call.now)
    return Answer(204)


def files_list(call: Call) -> Answer:
    """All files outside the trash."""
    return _files_page(call, call.world.library.live_files(call.now))


def files_by_folder(call: Call) -> Answer:
    """List the files of one folder."""
    return _files_page(call, call.world.library.in_folder(call.ids["folderId"], call.now))


def file_upload(call: Call) -> Answer:
    """Accept an upload. The id is in `Location` and in `Id`."""
    form = call.form
    if form is None:
        raise absent_field("data")
    if not form.texts["file_name"].strip():
        raise absent_field("file_name")
    stored = call.world.library.add_file(form.texts, form.content, call.now)
    location = call.url(f"/library/files/{stored.id}")
    return Answer(202, headers={"Location": location, "Id": stored.id})


def file_get(call: Call) -> Answer:
    """Return one file."""
    return Answer(200, _show_file(call, call.world.library.file(call.ids["fileId"])))


def file_update(call: Call) -> Answer:
    """Change the name, description or folder of a file."""
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
    return _payload(call, _show_file(call, stored), f"/library/files/{stored.id}")


def files_delete(call: Call) -> Answer:
    """Files, moved to the trash."""
    call.world.library.delete_files(call.ids["fileId"].split(","), call.now)
    return Answer(204)


def files_move(call: Call) -> Answer:
    """Files, moved to another folder."""
    moved = call.world.library.move(call.body, call.ids["folderId"], call.now)
    rows = [{"id": file.id, "uri": call.url(f"/library/files/{file.id}")} for file in moved]
    return Answer(200, rows)


def upload_status(call: Call) -> Answer:
    """Return the status of uploads. Unknown ids are left out."""
    library, rows = call.world.library, []
    for file_id in dict.fromkeys(call.ids["fileId"].split(",")):
        stored = library.files.get(file_id)
        if stored is None:
            continue
        if stored.plan.known(stored.looks):
            status = stored.status(call.now)
            rows.append({"file_id": file_id, "status": status, "description": status})
        stored.looks += 1
    if not rows and call.world.settings.unknown_as_null:
        return Answer(200, None)
    return Answer(200, rows)


_LIMIT = limit(1000, 50)
_FILE_SORT = (
    Field("string", allowed=tuple(n + end for n in _FILE_ORDERS for end in ("", "_DESC"))),
    "CREATED_DATE_DESC",
)
_FOLDER_SORT = (
    Field("string", allowed=tuple(n + end for n in _FOLDER_ORDERS for end in ("", "_DESC"))),
    "CREATED_DATE_DESC",
)
_FILE_QUERY = {
    "limit": _LIMIT,
    "sort_by": _FILE_SORT,
    "source": (Field("string", allowed=("ALL", *_SOURCES), any_case=True), "ALL"),
    "type": (Field("string", allowed=("ALL", "IMAGES", "DOCUMENTS")), "ALL"),
}
_TRASH_QUERY = {name: row for name, row in _FILE_QUERY.items() if name != "source"}
_PAYLOAD = {"include_payload": (Field("string", allowed=("TRUE", "FALSE"), any_case=True), "TRUE")}
_UPLOAD = FormBody(
    {
        "file_name": Field("string", required=True, max_length=80),
        "folder_id": Field("id", required=True),
        "description": Field("string", required=True, max_length=100),
        "source": Field("string", required=True, allowed=_SOURCES, any_case=True),
        "file_type": Field("string", required=True, allowed=_TYPES, any_case=True),
    }
)

_FILES = Shape("page", schemas.LIBRARY_FILE)
_ONE_FILE = Shape("one", schemas.LIBRARY_FILE)
_ONE_FOLDER = Shape("one", schemas.LIBRARY_FOLDER)

OPERATIONS = (
    Operation(
        "library_info_get", "GET", "/library/info", info, READ, Shape("info", schemas.LIBRARY_INFO)
    ),
    Operation(
        "library_folders_list",
        "GET",
        "/library/folders",
        folders_list,
        READ,
        Shape("page", schemas.LIBRARY_FOLDER),
        query={"limit": _LIMIT, "sort_by": _FOLDER_SORT},
    ),
    Operation(
        "library_folder_create",
        "POST",
        "/library/folders",
        folder_create,
        CREATE,
        _ONE_FOLDER,
        body=JsonBody.of(schemas.LIBRARY_FOLDER_WRITE),
    ),
    Operation(
        "library_trash_list",
        "GET",
        "/library/folders/trash/files",
        trash_list,
        READ,
        _FILES,
        query=_TRASH_QUERY,
    ),
    Operation(
        "library_trash_empty",
        "DELETE",
        "/library/folders/trash/files",
        trash_empty,
        (204, 401, 500),
    ),
    Operation(
        "library_folder_get",
        "GET",
        "/library/folders/{folderId}",
        folder_get,
        READ_ONE,
        _ONE_FOLDER,
    ),
    Operation(
        "library_folder_update",
        "PUT",
        "/library/folders/{folderId}",
        folder_update,
        (*UPDATE, 204, 409),
        _ONE_FOLDER,
        query=_PAYLOAD,
        body=JsonBody.of(schemas.LIBRARY_FOLDER_WRITE),
    ),
    Operation(
        "library_folder_delete",
        "DELETE",
        "/library/folders/{folderId}",
        folder_delete,
        (*DELETE_ONE, 400),
    ),
    Operation(
        "library_files_by_folder",
        "GET",
        "/library/folders/{folderId}/files",
        files_by_folder,
        READ_ONE,
        _FILES,
        query=_FILE_QUERY,
    ),
    Operation(
        "library_files_move",
        "PUT",
        "/library/folders/{folderId}/files",
        files_move,
        UPDATE,
        Shape("array", schemas.MOVE_RESULT),
        body=JsonBody.array(Field("id", required=True)),
    ),
    Operation(
        "library_files_list", "GET", "/library/files", files_list, READ, _FILES, query=_FILE_QUERY
    ),
    Operation(
        "library_file_upload",
        "POST",
        "/library/files",
        file_upload,
        (202, 400, 401, 413, 415, 500),
        body=_UPLOAD,
    ),
    Operation(
        "library_upload_status",
        "GET",
        "/library/files/uploadstatus/{fileId}",
        upload_status,
        READ_ONE,
        Shape("array_or_null", schemas.FILE_UPLOAD_STATUS),
        listed=True,
    ),
    Operation("library_file_get", "GET", "/library/files/{fileId}", file_get, READ_ONE, _ONE_FILE),
    Operation(
        "library_file_update",
        "PUT",
        "/library/files/{fileId}",
        file_update,
        (*UPDATE, 204),
        _ONE_FILE,
        query=_PAYLOAD,
        body=JsonBody.of(schemas.LIBRARY_FILE_UPDATE),
    ),
    Operation(
        "library_files_delete",
        "DELETE",
        "/library/files/{fileId}",
        files_delete,
        DELETE_ONE,
        listed=True,
    ),
)
