"""The reports of a backup: its progress, its result, and the estimate of a dry run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class BackupProblem:
    """A record, file, or listing that a backup could not fetch.

    Attributes:
        dataset: The kind of record, such as "library".
        id: The record's ID; "" if it is the whole listing.
        parent: The ID of its campaign or event, or "".
        reason: The reason, in a sentence.
    """

    dataset: str
    id: str
    parent: str
    reason: str


@attrs.frozen
class BackupProgress:
    """The progress of a backup.

    Attributes:
        dataset: The dataset that is being fetched.
        rows: The records that this process has fetched.
        files: The library files that this process has downloaded.
        files_left: The library files that are still to be downloaded, as far as is known.
        downloaded: The bytes of the files.
        calls: The number of API calls.
    """

    dataset: str
    rows: int
    files: int
    files_left: int
    downloaded: int
    calls: int


OnBackupProgress: TypeAlias = Callable[[BackupProgress], object]
"""A plain function that is called with the progress of a backup."""


@attrs.frozen
class BackupResult:
    """The contents of a backup that has ended.

    Attributes:
        directory: Its directory.
        rows: The number of records of each dataset.
        vanished: The number of records that are kept although the service no longer has them.
        downloaded: The bytes of library files that this run has downloaded.
        files: The library files that this run has downloaded.
        calls: The number of API calls that this run has made.
        failed: The parts that could not be fetched. The next run tries again.
        left_out: The parts that the service does not offer to this key, such as a retired endpoint.
            A refusal of a gateway or of a single record is in `failed`.
    """

    directory: str
    rows: Mapping[str, int]
    vanished: int
    downloaded: int
    files: int
    calls: int
    failed: tuple[BackupProblem, ...]
    left_out: tuple[BackupProblem, ...]
