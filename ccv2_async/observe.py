"""The events that a client passes to its `on_event` hook.

Events are plain data. The hook is called on the event loop as things happen, so it should be fast.
Events hold no key, token, header, or body. `what` and `label` may hold file names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import attrs

logger: logging.Logger = logging.getLogger("ccv2_async")


@attrs.frozen
class CallSent:
    """An attempt at a call is sent.

    Attributes:
        call: The number of the call, unique in its client; all attempts of a call share it.
        what: What the call does, such as "upload of menu.pdf".
        method: The HTTP method.
        path: The path below the base URL, without the query.
        lane: "interactive", "poll" or "bulk".
        attempt: 1 for the first.
        host: The host of the service.
        port: The port of the service.
    """

    call: int
    what: str
    method: str
    path: str
    lane: str
    attempt: int
    host: str
    port: int


@attrs.frozen
class CallEnded:
    """An attempt at a call ended.

    Attributes:
        call: As in `CallSent`.
        what: What the call does.
        method: The HTTP method.
        path: The path below the base URL, without the query.
        attempt: 1 for the first.
        seconds: The time from the start to the complete response, or to the failure.
        status: The HTTP status; None if there was no response.
        outcome: "ok", a row of the retry table, or the name of the exception.
    """

    call: int
    what: str
    method: str
    path: str
    attempt: int
    seconds: float
    status: int | None
    outcome: str


@attrs.frozen
class CallRetried:
    """A call will be sent again.

    Attributes:
        call: As in `CallSent`.
        what: What the call does.
        outcome: What happened, as a row of the retry table.
        delay: The seconds until the next attempt.
    """

    call: int
    what: str
    outcome: str
    delay: float


@attrs.frozen
class Throttled:
    """A call had to wait for the quota.

    Attributes:
        what: What the call does.
        lane: "interactive", "poll" or "bulk".
        seconds: How long it waited.
    """

    what: str
    lane: str
    seconds: float


@attrs.frozen
class JobStarted:
    """The service has accepted a job. The hook is called in the task that started it.

    Attributes:
        kind: "upload" or "activity".
        id: The job's ID.
        label: The file's name, or the ID.
    """

    kind: str
    id: str
    label: str


@attrs.frozen
class Polled:
    """The status of jobs was read with one request.

    Attributes:
        kind: "upload" or "activity".
        ids: The IDs of the jobs.
        jobs: How many jobs the client asked about.
        known: How many of them the service knew.
        seconds: How long it took.
    """

    kind: str
    ids: tuple[str, ...]
    jobs: int
    known: int
    seconds: float


@attrs.frozen
class StatusChanged:
    """The status of a job changed.

    Attributes:
        kind: "upload" or "activity".
        id: The job's ID.
        label: The file's name, or the ID.
        status: The status from the service; None if it does not know the job.
        state: "pending", "succeeded", "failed" or "lost".
    """

    kind: str
    id: str
    label: str
    status: str | None
    state: str


@attrs.frozen
class JobEnded:
    """A job ended, as far as the client knows. Sent after the last `StatusChanged`.

    Attributes:
        kind: "upload" or "activity".
        id: The job's ID.
        label: The file's name, or the ID.
        status: The last status from the service.
        state: "succeeded", "failed" or "lost".
        seconds: The time from its start until the client saw the end.
    """

    kind: str
    id: str
    label: str
    status: str | None
    state: str
    seconds: float


@attrs.frozen
class OutageBegan:
    """The service is down, so bulk uploads are paused.

    Attributes:
        reason: What happened to the last call.
    """

    reason: str


@attrs.frozen
class OutageEnded:
    """The service is back, so bulk uploads continue.

    Attributes:
        seconds: How long the outage lasted.
    """

    seconds: float


@attrs.frozen
class DuplicateUpload:
    """A response was lost, and the file is, or may be, in the library more than once.

    Attributes:
        label: The name that the file was sent under.
        folder_id: The folder it went to.
        id: The ID of the copy that counts as the upload.
        duplicates: IDs of extra copies; empty when the folder does not show them (yet).
        trashed: IDs of copies that were moved to the trash.
    """

    label: str
    folder_id: str
    id: str
    duplicates: tuple[str, ...]
    trashed: tuple[str, ...] = ()


@attrs.frozen
class UploadFound:
    """A response was lost, and a file in the folder holds the bytes of the upload.

    It counts as the upload, which was not sent again. It may have been there before.

    Attributes:
        label: The name that the file was sent under.
        folder_id: The folder it went to.
        id: The ID of the file.
    """

    label: str
    folder_id: str
    id: str


Event: TypeAlias = (
    CallSent
    | CallEnded
    | CallRetried
    | Throttled
    | JobStarted
    | Polled
    | StatusChanged
    | JobEnded
    | OutageBegan
    | OutageEnded
    | DuplicateUpload
    | UploadFound
)
OnEvent: TypeAlias = Callable[[Event], object]
"""A plain function that is called with each event."""


class Hook:
    """The user's hook, if any. If it raises, this is logged, and it is not called again."""

    __slots__ = ("_on_event", "active")

    def __init__(self, on_event: OnEvent | None = None) -> None:
        self._on_event = on_event
        self.active: bool = on_event is not None

    def __call__(self, event: Event) -> None:
        """Pass an event to the hook."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            logger.exception("on_event failed, and will not be called again; the work continues")
            self._on_event, self.active = None, False
