"""The bodies of the library."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields

THUMBNAIL = Model("Thumbnail", {"url": Field("string"), **fields("integer", "height width")})

LIBRARY_FILE = Model(
    "LibraryFile",
    {
        "id": Field("id", required=True, read_only=True),
        "name": Field("string", required=True),
        "description": Field("string"),
        **fields("string", "file_type type folder", read_only=True),
        "folder_id": Field("id"),
        **fields("integer", "height width size", read_only=True),
        "is_image": Field("boolean", read_only=True),
        **fields("string", "source status", read_only=True),
        "thumbnail": Field("object", model=THUMBNAIL, read_only=True),
        "url": Field("string", read_only=True),
        **fields("datetime", "created_date modified_date", read_only=True),
    },
)

LIBRARY_FILE_UPDATE = Model(
    "LibraryFileUpdate",
    {
        "name": Field("string", max_length=80),
        "description": Field("string", required=True, max_length=100),
        "folder_id": Field("id"),
    },
)

FILE_UPLOAD_STATUS = Model(
    "FileUploadStatus",
    {
        "file_id": Field("id", required=True),
        "status": Field("string", required=True),
        "description": Field("string"),
    },
)

LIBRARY_FOLDER = Model(
    "LibraryFolder",
    {
        "id": Field("id", required=True, read_only=True),
        "name": Field("string", required=True),
        "parent_id": Field("id"),
        "level": Field("integer", read_only=True),
        "children": Field("array", read_only=True),
        "item_count": Field("integer", read_only=True),
        **fields("datetime", "created_date modified_date", read_only=True),
    },
)

LIBRARY_FOLDER_WRITE = Model(
    "LibraryFolderWrite",
    {"name": Field("string", required=True, max_length=40), "parent_id": Field("id")},
)

MOVE_RESULT = Model(
    "MoveResult", {"id": Field("id", required=True), "uri": Field("string", required=True)}
)

USAGE_SUMMARY = Model(
    "UsageSummary",
    {
        **fields("integer", "folder_count file_count image_count document_count total_bytes_used"),
        **fields("integer", "image_bytes_used document_bytes_used total_bytes_remaining"),
        "free_files_remaining": Field("integer"),
    },
)

LIBRARY_INFO = Model(
    "LibraryInfo",
    {
        "image_root": Field("string"),
        **fields("integer", "max_free_file_num max_premium_space_limit max_upload_size_limit"),
        "usage_summary": Field("object", model=USAGE_SUMMARY),
    },
)
