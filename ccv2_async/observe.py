"""What a client reports about its work: one hook, `on_event`, and the events it gets.

Events are plain data, made as things happen and given to the hook on the event loop, so the hook
should be quick. They hold no key, token, header or body; `what` and `label` may hold file names.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import attrs

__all__ = [
    "CallEnded",
    "CallRetried",
    "CallSent",
    "DuplicateUpload",
    "Event",
    "Hook",
    "JobEnded",
    "JobStarted",
    "OnEvent",
    "OutageBegan",
    "OutageEnded",
    "Polled",
    "StatusChanged",
    "Throttled",
]

logger: logging.Logger = logging.getLogger("ccv2_async")


@attrs.frozen
class CallSent:
    """An attempt at a call goes out.

    Attributes:
        call: A number that all attempts of one call share, unique in its client.
        what: What is asked, such as "upload of menu.pdf".
        method: The HTTP method.
        path: Below the base URL, without the query.
        lane: "interactive", "poll" or "bulk".
        attempt: 1 for the first.
        host: The host of the service.
        port: The port there.
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
    """An attempt at a call came to its end.

    Attributes:
        call: As in `CallSent`.
        what: What was asked.
        method: The HTTP method.
        path: Below the base URL, without the query.
        attempt: 1 for the first.
        seconds: From sending to the whole answer, or to the accident.
        status: The HTTP status; None when there was no answer.
        outcome: "ok", what happened in the words of the retry table, or the name of the exception.
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
        what: What is asked.
        outcome: What happened, in the words of the retry table.
        delay: Seconds until then.
    """

    call: int
    what: str
    outcome: str
    delay: float


@attrs.frozen
class Throttled:
    """A call had to wait for the quota.

    Attributes:
        what: What is asked.
        lane: "interactive", "poll" or "bulk".
        seconds: How long it waited.
    """

    what: str
    lane: str
    seconds: float


@attrs.frozen
class JobStarted:
    """The service has accepted a job; told in the task that started it.

    Attributes:
        kind: "upload" or "activity".
        id: The job's id.
        label: The file's name, or the id.
    """

    kind: str
    id: str
    label: str


@attrs.frozen
class Polled:
    """The status of jobs was read in one look.

    Attributes:
        kind: "upload" or "activity".
        ids: Which were asked for.
        jobs: How many were asked for.
        known: How many the service knew.
        seconds: How long it took.
    """

    kind: str
    ids: tuple[str, ...]
    jobs: int
    known: int
    seconds: float


@attrs.frozen
class StatusChanged:
    """A job's status is another one than before.

    Attributes:
        kind: "upload" or "activity".
        id: The job's id.
        label: The file's name, or the id.
        status: The service's word; None when it does not know the job.
        state: "pending", "succeeded", "failed" or "lost".
    """

    kind: str
    id: str
    label: str
    status: str | None
    state: str


@attrs.frozen
class JobEnded:
    """A job has come to its end, as far as is known here; it follows its last `StatusChanged`.

    Attributes:
        kind: "upload" or "activity".
        id: The job's id.
        label: The file's name, or the id.
        status: The service's last word.
        state: "succeeded", "failed" or "lost".
        seconds: From its start to the look that saw the end.
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
        reason: What the last call met.
    """

    reason: str


@attrs.frozen
class OutageEnded:
    """The service is back, so bulk uploads go on.

    Attributes:
        seconds: How long the outage lasted.
    """

    seconds: float


@attrs.frozen
class DuplicateUpload:
    """An answer was lost, and the file is, or may be, in the library more than once.

    Attributes:
        label: The name that the file was sent under.
        folder_id: The folder it went to.
        id: The id of the copy that counts as the upload.
        duplicates: Ids of further copies; empty when the folder does not show them (yet).
        trashed: Ids of copies that were moved to the trash.
    """

    label: str
    folder_id: str
    id: str
    duplicates: tuple[str, ...]
    trashed: tuple[str, ...] = ()


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
)
OnEvent: TypeAlias = Callable[[Event], object]
"""A plain function that is called with each event."""


class Hook:
    """The user's hook, or none; what it raises is logged once and does not disturb the call."""

    __slots__ = ("_on_event", "active")

    def __init__(self, on_event: OnEvent | None = None) -> None:
        self._on_event = on_event
        self.active: bool = on_event is not None

    def __call__(self, event: Event) -> None:
        """Pass one event to the hook."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            logger.exception("on_event failed and is not called again; the work goes on")
            self._on_event, self.active = None, False
