"""Bulk uploads: `upload_many`, its journal, and folder trees."""

from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.items import FileToUpload
from ccv2_async.uploads.many.journal import retry_files
from ccv2_async.uploads.many.results import BulkProgress, FileProgress, UploadResult
from ccv2_async.uploads.many.run import BulkUpload

__all__ = [
    "BulkProgress",
    "BulkState",
    "BulkUpload",
    "FileProgress",
    "FileToUpload",
    "UploadResult",
    "retry_files",
]
