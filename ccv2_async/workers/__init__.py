"""Jobs on a task queue. Workers send files and start activities, and never wait for a job.

Start with `Workers`. Without settings, everything runs in this process. With `CCV2_REDIS_URL`, the
same code runs on any number of machines.
"""

from ccv2_async.uploads.ledger import BulkState

try:
    from ccv2_async.workers.application import EnqueuedJob, Workers
    from ccv2_async.workers.records import JobRecord
    from ccv2_async.workers.settings import WorkerSettings
    from ccv2_async.workers.stores import StoreUnavailable
except ModuleNotFoundError as _error:
    _missing = (_error.name or "").partition(".")[0]
    if _missing not in {"limits", "redis", "taskiq", "taskiq_redis"}:
        raise
    raise ModuleNotFoundError(
        f"Workers need packages that are not installed ({_missing} is missing): "
        "pip install 'ccv2-async[workers]'",
        name=_error.name,
    ) from None

__all__ = ["BulkState", "EnqueuedJob", "JobRecord", "StoreUnavailable", "WorkerSettings", "Workers"]
