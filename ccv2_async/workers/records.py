"""The record of one job, and its change after a failure. Pure.

A record is an entry of the ledger (`uploads.ledger`), so it has the states and rules of a bulk
upload's journal.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING, Any

import attrs
import orjson

from ccv2_async import errors
from ccv2_async.clock import in_dates
from ccv2_async.uploads.ledger import BulkState, Entry, advance, may_pass

if TYPE_CHECKING:
    from collections.abc import Mapping

UPLOAD_TASK = "upload"
ACTIVITIES = ("add_contacts", "clear_lists", "export_contacts", "remove_contacts")
MOST_ATTEMPTS = 10
FIRST_BACKOFF = 5.0
LONGEST_BACKOFF = 300.0
LARGEST = 2**62
"""The largest integer in a stored record. JSON can still represent somewhat larger ones."""


@attrs.frozen(kw_only=True)
class JobRecord(Entry):
    """The record of one job, which uploads a file or starts an activity.

    Attributes:
        key: The name of the job. The same key is never sent twice.
        task: "upload", or the activity: "add_contacts", "remove_contacts", "clear_lists" or
            "export_contacts".
        arguments: Its arguments, as JSON values.
        lock: The lock that is held while it is sent. Jobs that a look could confuse share one lock.
        accepted: When the service accepted it, in seconds since 1970; None before.
        unknown: The number of consecutive looks at which the service did not know it.
        looks: The number of looks so far.
        attempts: The number of failed attempts, not counting those held back during an outage.
        attend_at: When it needs attention, in seconds since 1970.
        result: The counts of an activity.
        error_type: The class name of its error, or "".
        created: When it was put on record, in seconds since 1970.
    """

    key: str
    task: str
    arguments: dict[str, Any]
    lock: str
    accepted: float | None = None
    unknown: int = 0
    looks: int = 0
    attempts: int = 0
    attend_at: float = attrs.field(default=0.0, converter=in_dates)
    result: dict[str, Any] = attrs.field(factory=dict)
    error_type: str = ""
    created: float = attrs.field(default=0.0, converter=in_dates)

    def to_json(self) -> bytes:
        """Return the record as JSON for a store."""
        return orjson.dumps(attrs.asdict(self, recurse=False))

    @classmethod
    def from_json(cls, document: bytes | str) -> JobRecord:
        """Return the record from the JSON of a store; fields of other versions are left out.

        Raises:
            ValueError: It is damaged, or of a version that this one cannot read.
        """
        found = orjson.loads(document)
        if not isinstance(found, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004  # of a document
        kept = {name: value for name, value in found.items() if name in _FIELDS}
        for name, value in kept.items():
            if not isinstance(value, _FIELDS[name]) or isinstance(value, bool) != (name == "final"):
                raise ValueError(f"{name} is of type {type(value).__name__}")
            if isinstance(value, int) and abs(value) > LARGEST:
                raise ValueError(f"{name} is out of range")
        if missing := {"key", "task", "arguments", "lock"} - kept.keys():
            raise ValueError(f"it has no {min(missing)}")
        record = cls(**kept)
        if not all(isinstance(text, str) for text in (*record.tokens, *record.duplicates)):
            raise ValueError("a token or an ID is not text")
        if record.task not in (UPLOAD_TASK, *ACTIVITIES):
            raise ValueError("it has an unknown task")
        if record.task == UPLOAD_TASK and not _are_of_upload(record.arguments):
            raise ValueError("its arguments are not those of an upload")
        try:
            record.to_json()
        except TypeError:
            raise ValueError("it is nested too deeply") from None
        return record

    def task_result(self) -> dict[str, Any]:
        """Return the result of the task, as plain JSON."""
        return {
            "key": self.key,
            "state": str(self.state),
            "id": self.file_id,
            "duplicates": list(self.duplicates),
            "token": self.token,
            "tokens": list(self.tokens),
            "status": self.status,
            "error": self.error,
        }


_STORED: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "BulkState": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "str | None": (str, type(None)),
    "dict[str, Any]": dict,
    "tuple[str, ...]": list,
}
"""The types in JSON for the annotation of a field."""

_FIELDS = {field.name: _STORED[str(field.type)] for field in attrs.fields(JobRecord)}
"""The types that each field of a stored record may have."""


_UPLOAD_ARGUMENTS: Mapping[str, type | tuple[type, ...]] = {
    "path": str,
    "folder_id": str,
    "name": (str, type(None)),
    "description": str,
}


def _are_of_upload(given: Mapping[str, Any]) -> bool:
    """Return whether the arguments of a stored upload are all known, with the right types."""
    return "path" in given and all(
        isinstance(value, _UPLOAD_ARGUMENTS.get(name, ())) for name, value in given.items()
    )


def key_of_upload(path: str, folder_id: str, name: str) -> str:
    """Return the key of an upload: the same file and destination make the same job."""
    return _digest("upload", path, folder_id, name)


def lock_of_upload(folder_id: str, name: str) -> str:
    """Return the lock that is held while a file is sent.

    Files with the same name in one folder are sent one after another: during an upload, a look
    for another file could mistake this one for its own.
    """
    return _digest("twins", folder_id, unicodedata.normalize("NFC", name))


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def after_failure(
    record: JobRecord, error: errors.ConstantContactError, now: float, jitter: float, *, sent: bool
) -> JobRecord:
    """Return the record of a job that could not be sent.

    Args:
        record: The record before the failure.
        error: The error.
        now: Seconds since 1970.
        jitter: A number from 0 to 1, drawn by the caller.
        sent: Whether any of it was sent this time, not during an outage. Otherwise another look
            may settle it.
    """
    failed = attrs.evolve(record, error=error.message, error_type=type(error).__name__)
    # A call that was held back while the service was down does not count as an attempt.
    cause = error.__cause__ or error
    attempts = record.attempts + (not isinstance(cause, errors.ServiceUnavailable))
    tries_left = attempts < MOST_ATTEMPTS
    growing = FIRST_BACKOFF * 2.0 ** min(record.attempts, MOST_ATTEMPTS)
    wait = (0.5 + jitter / 2.0) * min(growing, LONGEST_BACKOFF)
    unclear = isinstance(error, errors.AmbiguousUpload)
    # If the service has accepted it, only the look for a copy is left. It is not sent again.
    accepted = record.state is BulkState.SENDING and record.file_id != ""
    later = failed if accepted or unclear else advance(failed, BulkState.PENDING, since=None)
    if isinstance(cause, errors.DailyQuotaExceeded):
        return attrs.evolve(later, attend_at=cause.resets_at.timestamp() + 60.0 * jitter)
    passing = may_pass(error)
    if isinstance(error, errors.AmbiguousUpload):
        passing = cause is not error or not (sent or error.candidates)
    if passing and (tries_left or accepted):
        return attrs.evolve(later, attempts=attempts, attend_at=now + wait)
    if unclear:
        return advance(failed, BulkState.AMBIGUOUS, final=True)
    return advance(failed, BulkState.FAILED, attempts=record.attempts + 1)
