"""OpenTelemetry spans from the events of a client. Requires the extra `[otel]`.

::

    cc = ConstantContact.from_env(on_event=Tracing())

========================  ==========================================================================
span                      what it covers
========================  ==========================================================================
``POST /library/files``   one attempt at a call: its method and its route, with `{id}` for each ID
``wait for the quota``    the wait for the quota before a call is sent
``backoff``               the wait before a retry, with the reason
``begin upload``          from the first attempt until the service accepts; also ``begin activity``
``poll``                  one request for the status of up to a hundred jobs
``upload``, ``activity``  a whole job, from its start until a process sees its end; made by that
                          process, with all changes of status that it saw
========================  ==========================================================================

A span belongs to the trace of its task. A job may start in one process and end in another, hours
later, so its spans may be in several traces. The job connects them: the spans for its start, its
polls, and its end name it (`ccv2.job.kind` and `ccv2.job.id`, or `ccv2.job.ids` for a poll), and
link to a span context that is derived from these two (`job_context`). It is the same in each
process that has the job's token. Spans hold no key, token, or header. `ccv2.what` and
`ccv2.job.label` may hold file names.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextvars import ContextVar
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import attrs

try:
    from opentelemetry.trace import (
        Link,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        get_tracer,
    )
except ModuleNotFoundError as _error:
    if _error.name not in {"opentelemetry", "opentelemetry.trace"}:
        raise
    raise ModuleNotFoundError(
        "Tracing needs a package that is not installed: pip install 'ccv2-async[otel]'",
        name=_error.name,
    ) from None

from ccv2_async import observe
from ccv2_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Span, TracerProvider

__all__ = ["Tracing", "job_context"]

MOST_JOBS = 10_000
"""The maximum number of jobs to remember until they end; the oldest are forgotten first."""

_posted: ContextVar[int | None] = ContextVar("ccv2_async_posted", default=None)
"""When the task's last call that may start a job was first sent."""

_WORDS = frozenset({
    "account", "activities", "addcontacts", "attributes", "bounces", "campaigns", "clearlists",
    "clicks", "contacts", "emailmarketing", "events", "eventspot", "exportcontacts", "fees",
    "files", "folders", "forwards", "info", "items", "library", "lists", "opens", "preview",
    "promocodes", "registrants", "removefromlists", "reports", "schedules", "sends", "signupform",
    "summary", "summaryByCampaign", "tests", "tracking", "trash", "unsubscribes", "uploadstatus",
    "verifiedemailaddresses",
})  # fmt: skip
"""The fixed segments of the API's paths; every other segment is an ID."""


def route_of(path: str) -> str:
    """Return the route of a path: `/contacts/{id}` for `/contacts/7`."""
    return "/".join(part if part in _WORDS or not part else "{id}" for part in path.split("/"))


def job_context(kind: str, id: str) -> SpanContext:  # noqa: A002  # the service's own word
    """Return the span context that all spans of a job link to, in any process.

    Args:
        kind: "upload" or "activity", as `poller.kind`.
        id: The job's ID, as `poller.id`.
    """
    digest = sha256(f"ccv2_async {kind} {id}".encode()).digest()
    return SpanContext(
        # Zero is not a valid ID.
        trace_id=int.from_bytes(digest[:16]) or 1,
        span_id=int.from_bytes(digest[16:24]) or 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


@attrs.define
class _Known:
    """The state of a job that has not ended, as this process knows it."""

    begun: SpanContext | None = None
    changes: list[tuple[int, str]] = attrs.field(factory=list)


class Tracing:
    """An `on_event` hook that makes spans. Each client needs its own.

    Args:
        tracer_provider: The provider for the spans; the global one by default.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("ccv2_async", __version__, tracer_provider)
        self._attempts: dict[int, Span] = {}
        self._jobs: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            observe.CallSent: self._sent,
            observe.CallEnded: self._ended,
            observe.CallRetried: self._retried,
            observe.Throttled: self._throttled,
            observe.JobStarted: self._job_started,
            observe.Polled: self._polled,
            observe.StatusChanged: self._changed,
            observe.JobEnded: self._job_ended,
        }

    def __call__(self, event: observe.Event) -> None:
        """Handle an event."""
        if (handle := self._handlers.get(type(event))) is not None:
            handle(event)

    def _sent(self, event: observe.CallSent) -> None:
        route = route_of(event.path)
        if event.method == "POST" and event.attempt == 1:
            _posted.set(time.time_ns())
        attributes: dict[str, str | int] = {
            "http.request.method": event.method,
            "url.template": route,
            "server.address": event.host,
            "server.port": event.port,
            "ccv2.what": event.what,
            "ccv2.lane": event.lane,
        }
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        self._attempts[event.call] = self._tracer.start_span(
            f"{event.method} {route}", kind=SpanKind.CLIENT, attributes=attributes
        )

    def _ended(self, event: observe.CallEnded) -> None:
        if (span := self._attempts.pop(event.call, None)) is None:
            return
        if event.status is not None:
            span.set_attribute("http.response.status_code", event.status)
        if event.outcome != "ok":
            span.set_attribute("error.type", str(event.status or event.outcome))
            span.set_status(Status(StatusCode.ERROR, event.outcome))
        span.end()

    def _retried(self, event: observe.CallRetried) -> None:
        now = time.time_ns()
        self._span(
            "backoff",
            now,
            now + _nanoseconds(event.delay),
            attributes={"ccv2.what": event.what, "ccv2.outcome": event.outcome},
        )

    def _throttled(self, event: observe.Throttled) -> None:
        now = time.time_ns()
        self._span(
            "wait for the quota",
            now - _nanoseconds(event.seconds),
            now,
            attributes={"ccv2.what": event.what, "ccv2.lane": event.lane},
        )

    def _job_started(self, event: observe.JobStarted) -> None:
        now = time.time_ns()
        span = self._tracer.start_span(
            f"begin {event.kind}",
            start_time=_posted.get() or now,
            kind=SpanKind.PRODUCER,
            attributes={**_job(event.kind, event.id), "ccv2.job.label": event.label},
            links=[Link(job_context(event.kind, event.id))],
        )
        span.end(end_time=now)
        _posted.set(None)
        self._known(event.kind, event.id).begun = span.get_span_context()

    def _known(self, kind: str, id: str) -> _Known:  # noqa: A002  # the service's own word
        known = self._jobs.setdefault((kind, id), _Known())
        if len(self._jobs) > MOST_JOBS:
            self._jobs.popitem(last=False)
        return known

    def _polled(self, event: observe.Polled) -> None:
        now = time.time_ns()
        self._span(
            "poll",
            now - _nanoseconds(event.seconds),
            now,
            attributes={
                "ccv2.job.kind": event.kind,
                "ccv2.job.ids": event.ids,
                "ccv2.poll.jobs": event.jobs,
                "ccv2.poll.known": event.known,
            },
            links=[Link(job_context(event.kind, id)) for id in event.ids],  # noqa: A001  # the service's own word
        )

    def _changed(self, event: observe.StatusChanged) -> None:
        known = self._known(event.kind, event.id)
        known.changes.append((time.time_ns(), event.status or "unknown"))

    def _job_ended(self, event: observe.JobEnded) -> None:
        now = time.time_ns()
        start = now - _nanoseconds(event.seconds)
        known = self._jobs.pop((event.kind, event.id), _Known())
        links = [job_context(event.kind, event.id)]
        if known.begun is not None:
            links.append(known.begun)
        span = self._tracer.start_span(
            event.kind,
            start_time=start,
            attributes={
                **_job(event.kind, event.id),
                "ccv2.job.label": event.label,
                "ccv2.job.status": event.status or "unknown",
                "ccv2.job.state": event.state,
            },
            links=[Link(context) for context in links],
        )
        for when, status in known.changes:
            span.add_event(status, timestamp=max(start, when))
        if event.state != "succeeded":
            span.set_attribute("error.type", event.status or event.state)
            span.set_status(Status(StatusCode.ERROR, event.state))
        span.end(end_time=now)

    def _span(self, name: str, start: int, end: int, **options: Any) -> None:
        """Make a span whose start and end are both known."""
        self._tracer.start_span(name, start_time=start, **options).end(end_time=end)


def _job(kind: str, id: str) -> dict[str, str]:  # noqa: A002  # the service's own word
    return {"ccv2.job.kind": kind, "ccv2.job.id": id}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
