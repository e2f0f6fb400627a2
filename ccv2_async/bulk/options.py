"""How a bulk upload is to go, and the parts of the client that it uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from ccv2_async.bulk.results import OnBulkProgress, OnFileProgress
    from ccv2_async.polling.sweep import Sweep
    from ccv2_async.resources.library import Library
    from ccv2_async.resources.uploads import OnAmbiguous, Uploader
    from ccv2_async.transport.session import Session
    from ccv2_async.transport.threads import FileThreads


@attrs.frozen
class Surroundings:
    """The parts of the client that a bulk upload uses."""

    session: Session
    threads: FileThreads
    sweep: Sweep
    library: Library
    uploader: Uploader


@attrs.frozen
class Options:
    """How a bulk upload is to go; see `ConstantContact.upload_many`."""

    folder_id: str = "0"
    keep_folders: bool = False
    concurrency: int = 8
    journal: str | None = None
    on_progress: OnBulkProgress | None = None
    on_file: OnFileProgress | None = None
    on_ambiguous: OnAmbiguous = "look"
    fail_fast: bool = False
    dry_run: bool = False
    wait: bool = True
