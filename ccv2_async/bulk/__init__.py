"""Many files at once: `upload_many`, its journal, and folder trees."""

from ccv2_async.bulk.items import FileToUpload
from ccv2_async.bulk.journal import retry_files
from ccv2_async.bulk.results import BulkProgress, BulkState, FileProgress, UploadResult
from ccv2_async.bulk.uploads import BulkUpload

__all__ = [
    "BulkProgress",
    "BulkState",
    "BulkUpload",
    "FileProgress",
    "FileToUpload",
    "UploadResult",
    "retry_files",
]
