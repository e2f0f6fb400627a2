"""The bodies of the library: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

THUMBNAIL = Model(
    "Thumbnail",
    {
        "url": Field("string"),
        "height": Field("integer"),
        "width": Field("integer"),
    },
)

LIBRARY_FILE = Model(
    "LibraryFile",
    {
        "id": Field("id", required=True, read_only=True),
        "name": Field("string", required=True),
        "description": Field("string"),
        "file_type": Field("string", read_only=True),
        "type": Field("string", read_only=True),
        "folder": Field("string", read_only=True),
        "folder_id": Field("id"),
        "height": Field("integer", read_only=True),
        "width": Field("integer", read_only=True),
        "size": Field("integer", read_only=True),
        "is_image": Field("boolean", read_only=True),
        "source": Field("string", read_only=True),
        "status": Field("string", read_only=True),
        "thumbnail": Field("object", model=THUMBNAIL, read_only=True),
        "url": Field("string", read_only=True),
        "created_date": Field("datetime", read_only=True),
        "modified_date": Field("datetime", read_only=True),
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
        "created_date": Field("datetime", read_only=True),
        "modified_date": Field("datetime", read_only=True),
    },
)

LIBRARY_FOLDER_WRITE = Model(
    "LibraryFolderWrite",
    {
        "name": Field("string", required=True, max_length=40),
        "parent_id": Field("id"),
    },
)

MOVE_RESULT = Model(
    "MoveResult",
    {
        "id": Field("id", required=True),
        "uri": Field("string", required=True),
    },
)

USAGE_SUMMARY = Model(
    "UsageSummary",
    {
        "folder_count": Field("integer"),
        "file_count": Field("integer"),
        "image_count": Field("integer"),
        "document_count": Field("integer"),
        "total_bytes_used": Field("integer"),
        "image_bytes_used": Field("integer"),
        "document_bytes_used": Field("integer"),
        "total_bytes_remaining": Field("integer"),
        "free_files_remaining": Field("integer"),
    },
)

LIBRARY_INFO = Model(
    "LibraryInfo",
    {
        "image_root": Field("string"),
        "max_free_file_num": Field("integer"),
        "max_premium_space_limit": Field("integer"),
        "max_upload_size_limit": Field("integer"),
        "usage_summary": Field("object", model=USAGE_SUMMARY),
    },
)
