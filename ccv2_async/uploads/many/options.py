"""How a bulk upload is to go, and the parts of the client that it uses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.errors import InvalidField
from ccv2_async.models.validation import is_flag, is_number, is_plain_function, is_whole
from ccv2_async.transport.calls.outage import OUTAGE_TIMEOUT

if TYPE_CHECKING:
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.transport.calls.session import Session
    from ccv2_async.transport.files.threads import FileThreads
    from ccv2_async.uploads.many.library import LibraryFolders
    from ccv2_async.uploads.many.results import OnBulkProgress, OnFileProgress
    from ccv2_async.uploads.prepare import OnAmbiguous, OnDuplicate
    from ccv2_async.uploads.uploader import Uploader


@attrs.frozen
class Surroundings:
    """The parts of the client that a bulk upload uses."""

    session: Session
    threads: FileThreads
    sweep: Sweep
    library: LibraryFolders
    uploader: Uploader


def _is_count(value: object) -> bool:
    return is_whole(value) and value >= 1


def _is_path(value: object) -> bool:
    if not isinstance(value, str | os.PathLike):
        return value is None
    return isinstance(os.fspath(value), str) and bool(os.fspath(value))


def _is_called(value: object) -> bool:
    return value is None or callable(value)


def _is_called_plainly(value: object) -> bool:
    return value is None or is_plain_function(value)


def _is_time(value: object) -> bool:
    return is_number(value) and value >= 0


_RULES = {
    "concurrency": (_is_count, "a whole number of 1 or more"),
    "journal": (_is_path, "the path of a file, or None"),
    "on_progress": (_is_called, "a function or coroutine function, or None"),
    "on_file": (_is_called_plainly, "a plain function, or None"),
    "on_ambiguous": (("look", "raise").__contains__, '"look" or "raise"'),
    "on_duplicate": (("report", "trash").__contains__, '"report" or "trash"'),
    "outage_timeout": (_is_time, "a number of seconds, 0 or more"),
    "keep_folders": (is_flag, "True or False"),
    "fail_fast": (is_flag, "True or False"),
    "dry_run": (is_flag, "True or False"),
    "skip_existing": (is_flag, "True or False"),
    "wait": (is_flag, "True or False"),
}


def _check(_: Options, field: attrs.Attribute[Any], value: object) -> None:
    is_right, rule = _RULES[field.name]
    if not is_right(value):
        raise InvalidField(field.name, value, rule)


@attrs.frozen
class Options:
    """How a bulk upload is to go; see `ConstantContact.upload_many`.

    Raises:
        InvalidField: One of them is wrong.
    """

    folder_id: str = "0"
    keep_folders: bool = attrs.field(default=False, validator=_check)
    concurrency: int = attrs.field(default=8, validator=_check)
    journal: str | os.PathLike[str] | None = attrs.field(default=None, validator=_check)
    on_progress: OnBulkProgress | None = attrs.field(default=None, validator=_check)
    on_file: OnFileProgress | None = attrs.field(default=None, validator=_check)
    on_ambiguous: OnAmbiguous = attrs.field(default="look", validator=_check)
    outage_timeout: float = attrs.field(default=OUTAGE_TIMEOUT, validator=_check)
    on_duplicate: OnDuplicate = attrs.field(default="report", validator=_check)
    fail_fast: bool = attrs.field(default=False, validator=_check)
    dry_run: bool = attrs.field(default=False, validator=_check)
    wait: bool = attrs.field(default=True, validator=_check)
    skip_existing: bool = attrs.field(default=False, validator=_check)
