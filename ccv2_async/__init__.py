"""Asyncio client library for the Constant Contact v2 REST API.

Uploads are streamed from disk, long-running jobs are awaited through pollers, and a local sandbox
of the service stands in for it in tests. Start with `ConstantContact`; exceptions are also in
`ccv2_async.errors`, the resources' classes in `ccv2_async.models`, the sandbox in
`ccv2_async.sandbox`.

Names are imported when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ccv2_async.version import __version__

if TYPE_CHECKING:
    from ccv2_async import errors, models
    from ccv2_async.activities.split import BulkPoller, SplitActivity
    from ccv2_async.backup.estimate import BackupEstimate
    from ccv2_async.backup.results import BackupProblem, BackupProgress, BackupResult
    from ccv2_async.backup.verify import (
        BackupCheck,
        BackupFault,
        BackupManifest,
        read_backup,
        verify_backup,
    )
    from ccv2_async.client import ConstantContact
    from ccv2_async.errors import ConstantContactError
    from ccv2_async.models.activities import row_error
    from ccv2_async.oauth import OAuthFlow, new_state
    from ccv2_async.observe import Event
    from ccv2_async.polling.job import State, Update
    from ccv2_async.polling.poller import ActivityPoller, Poller, UploadPoller
    from ccv2_async.resources.listing import Listing
    from ccv2_async.secret import Secret
    from ccv2_async.text import one_line
    from ccv2_async.transport.calls.call import Timeouts
    from ccv2_async.transport.calls.instrumentation import ResponseInfo
    from ccv2_async.transport.calls.raw import RawResponse
    from ccv2_async.transport.files.body import Progress
    from ccv2_async.transport.files.names import SafeNames
    from ccv2_async.transport.quota.budget import Budget, Lane
    from ccv2_async.transport.quota.day_count import DayCount
    from ccv2_async.uploads.ledger import Action, BulkState
    from ccv2_async.uploads.many.items import FileToUpload
    from ccv2_async.uploads.many.journal import JournalEntry, read_journal, retry_files
    from ccv2_async.uploads.many.results import BulkProgress, FileProgress, UploadResult
    from ccv2_async.uploads.many.run import BulkUpload
    from ccv2_async.uploads.mirror.plan import MirrorAction, MirrorEntry, MirrorResult
    from ccv2_async.webhooks import verify_webhook

__all__ = [
    "Action",
    "ActivityPoller",
    "BackupCheck",
    "BackupEstimate",
    "BackupFault",
    "BackupManifest",
    "BackupProblem",
    "BackupProgress",
    "BackupResult",
    "Budget",
    "BulkPoller",
    "BulkProgress",
    "BulkState",
    "BulkUpload",
    "ConstantContact",
    "ConstantContactError",
    "DayCount",
    "Event",
    "FileProgress",
    "FileToUpload",
    "JournalEntry",
    "Lane",
    "Listing",
    "MirrorAction",
    "MirrorEntry",
    "MirrorResult",
    "OAuthFlow",
    "Poller",
    "Progress",
    "RawResponse",
    "ResponseInfo",
    "SafeNames",
    "Secret",
    "SplitActivity",
    "State",
    "Timeouts",
    "Update",
    "UploadPoller",
    "UploadResult",
    "__version__",
    "errors",
    "models",
    "new_state",
    "one_line",
    "read_backup",
    "read_journal",
    "retry_files",
    "row_error",
    "verify_backup",
    "verify_webhook",
]

_HOMES = {
    "Action": "uploads.ledger",
    "ActivityPoller": "polling.poller",
    "BackupCheck": "backup.verify",
    "BackupEstimate": "backup.estimate",
    "BackupFault": "backup.verify",
    "BackupManifest": "backup.verify",
    "BackupProblem": "backup.results",
    "BackupProgress": "backup.results",
    "BackupResult": "backup.results",
    "Budget": "transport.quota.budget",
    "BulkPoller": "activities.split",
    "BulkProgress": "uploads.many.results",
    "BulkState": "uploads.ledger",
    "BulkUpload": "uploads.many.run",
    "ConstantContact": "client",
    "ConstantContactError": "errors",
    "DayCount": "transport.quota.day_count",
    "Event": "observe",
    "FileProgress": "uploads.many.results",
    "FileToUpload": "uploads.many.items",
    "JournalEntry": "uploads.many.journal",
    "Lane": "transport.quota.budget",
    "Listing": "resources.listing",
    "MirrorAction": "uploads.mirror.plan",
    "MirrorEntry": "uploads.mirror.plan",
    "MirrorResult": "uploads.mirror.plan",
    "OAuthFlow": "oauth",
    "Poller": "polling.poller",
    "Progress": "transport.files.body",
    "RawResponse": "transport.calls.raw",
    "ResponseInfo": "transport.calls.instrumentation",
    "SafeNames": "transport.files.names",
    "Secret": "secret",
    "SplitActivity": "activities.split",
    "State": "polling.job",
    "Timeouts": "transport.calls.call",
    "Update": "polling.job",
    "UploadPoller": "polling.poller",
    "UploadResult": "uploads.many.results",
    "new_state": "oauth",
    "one_line": "text",
    "read_backup": "backup.verify",
    "read_journal": "uploads.many.journal",
    "retry_files": "uploads.many.journal",
    "row_error": "models.activities",
    "verify_backup": "backup.verify",
    "verify_webhook": "webhooks",
}


def __getattr__(name: str) -> object:
    if name in ("errors", "models"):
        return import_module(f"ccv2_async.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"ccv2_async.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
