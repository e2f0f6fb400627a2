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
    from ccv2_async.transport.quota import Lane
    from ccv2_async.transport.quota.budget import Budget
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

_NAMES = {
    "activities.split": "BulkPoller SplitActivity",
    "backup.estimate": "BackupEstimate",
    "backup.results": "BackupProblem BackupProgress BackupResult",
    "backup.verify": "BackupCheck BackupFault BackupManifest read_backup verify_backup",
    "client": "ConstantContact",
    "errors": "ConstantContactError",
    "models.activities": "row_error",
    "oauth": "OAuthFlow new_state",
    "observe": "Event",
    "polling.job": "State Update",
    "polling.poller": "ActivityPoller Poller UploadPoller",
    "resources.listing": "Listing",
    "secret": "Secret",
    "text": "one_line",
    "transport.calls.call": "Timeouts",
    "transport.calls.instrumentation": "ResponseInfo",
    "transport.calls.raw": "RawResponse",
    "transport.files.body": "Progress",
    "transport.files.names": "SafeNames",
    "transport.quota": "Lane",
    "transport.quota.budget": "Budget",
    "transport.quota.day_count": "DayCount",
    "uploads.ledger": "Action BulkState",
    "uploads.many.items": "FileToUpload",
    "uploads.many.journal": "JournalEntry read_journal retry_files",
    "uploads.many.results": "BulkProgress FileProgress UploadResult",
    "uploads.many.run": "BulkUpload",
    "uploads.mirror.plan": "MirrorAction MirrorEntry MirrorResult",
    "webhooks": "verify_webhook",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name in ("errors", "models"):
        return import_module(f"ccv2_async.{name}")
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"ccv2_async.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
