"""The spans that `ccv2_async.otel` makes from the events of a client."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from ccv2_async import errors, otel
from ccv2_async.observe import JobEnded, StatusChanged
from ccv2_async.otel import Tracing, job_context, route_of
from ccv2_async.sandbox import Sandbox
from tests.contract.operations import OPERATIONS
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from ccv2_async import ConstantContact
    from tests.contract.operation import Operation
    from tests.support.clocks import SkippingClock


class Traced:
    """A client whose spans are kept."""

    def __init__(self, connect: Callable[..., Any]) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(self.provider)
        self._connect = connect

    async def client(self, where: object, **options: Any) -> ConstantContact:
        cc: ConstantContact = await self._connect(where, on_event=self.tracing, **options)
        return cc

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_has_its_route(operation: Operation) -> None:
    # An id of an event has letters only, now and then.
    path = re.sub(r"\{\w+\}", "aqwertz", operation.path)
    assert route_of(path) == re.sub(r"\{\w+\}", "{id}", operation.path)


@pytest.fixture
def traced(connect: Callable[..., Any]) -> Traced:
    return Traced(connect)


async def test_an_upload_is_traced_from_the_call_to_active(
    traced: Traced, sandbox: Sandbox
) -> None:
    sandbox.admin.configure(mode="looks", looks=2)
    cc = await traced.client(sandbox)
    poller = await cc.library.begin_upload(b"abc", name="a.pdf")
    await poller
    call = traced.one("POST /library/files")
    assert call.kind is SpanKind.CLIENT
    assert attributes(call) == {
        "http.request.method": "POST",
        "url.template": "/library/files",
        "server.address": "127.0.0.1",
        "server.port": httpx.URL(sandbox.origin).port,
        "http.response.status_code": 202,
        "ccv2.what": "upload of a.pdf",
        "ccv2.lane": "interactive",
    }
    looks = traced.named("GET /library/files/uploadstatus/{id}")
    assert len(looks) == len(traced.named("poll")) == 3
    assert attributes(traced.named("poll")[0]) == {
        "ccv2.job.kind": "upload",
        "ccv2.job.ids": (poller.id,),
        "ccv2.poll.jobs": 1,
        "ccv2.poll.known": 1,
    }
    job = traced.one("upload")
    assert attributes(job) == {
        "ccv2.job.kind": "upload",
        "ccv2.job.id": poller.id,
        "ccv2.job.label": "a.pdf",
        "ccv2.job.status": "Active",
        "ccv2.job.state": "succeeded",
    }
    assert [event.name for event in job.events] == ["Uploaded", "Processing", "Active"]
    assert job.status.status_code is StatusCode.UNSET
    assert traced.tracing._attempts == {}
    assert not traced.tracing._jobs


async def test_a_job_that_ends_in_another_process_is_linked_by_its_token(
    traced: Traced, sandbox: Sandbox, connect: Callable[..., Any]
) -> None:
    sandbox.admin.configure(mode="looks", looks=1)
    here = await traced.client(sandbox)
    poller = await here.library.begin_upload(b"abc", name="a.pdf")
    await poller.poll_once()
    token = poller.token()
    elsewhere = Traced(connect)
    there = await elsewhere.client(sandbox)
    resumed = there.resume(token)
    await resumed
    job = elsewhere.one("upload")
    begin, look = traced.one("begin upload"), elsewhere.named("poll")[0]
    assert attributes(begin)["ccv2.job.id"] == attributes(job)["ccv2.job.id"] == poller.id
    shared = [job_context(resumed.kind, resumed.id)]
    for span in (begin, look, job):
        assert [link.context for link in span.links] == shared
    assert traced.named("upload") == []


async def test_each_job_has_its_own_context() -> None:
    contexts = {
        (context.trace_id, context.span_id)
        for kind in ("upload", "activity")
        for context in (job_context(kind, str(number)) for number in range(100))
    }
    assert len(contexts) == 200
    assert job_context("upload", "1") == job_context("upload", "1")
    assert job_context("upload", "1").is_valid


async def test_the_span_that_starts_a_job_is_in_the_trace_of_its_caller(
    traced: Traced, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("server_error", "POST", times=1)
    cc = await traced.client(sandbox)
    with traced.provider.get_tracer("app").start_as_current_span("a web request") as request:
        poller = await cc.library.begin_upload(b"abc", name="a.pdf")
    begin = traced.one("begin upload")
    assert begin.parent == request.get_span_context()
    assert attributes(begin) == {
        "ccv2.job.kind": "upload",
        "ccv2.job.id": poller.id,
        "ccv2.job.label": "a.pdf",
    }
    last = traced.named("POST /library/files")[-1]
    assert begin.start_time is not None
    assert last.start_time is not None
    assert begin.start_time <= last.start_time
    await poller
    assert begin.context in [link.context for link in traced.one("upload").links]


async def test_spans_are_in_the_trace_of_the_calling_task(traced: Traced, sandbox: Sandbox) -> None:
    tracer = traced.provider.get_tracer("the application")
    cc = await traced.client(sandbox)

    async def ask(name: str) -> None:
        with tracer.start_as_current_span(name):
            await cc.library.info()

    await asyncio.gather(ask("first"), ask("second"))
    parents = {span.context.span_id: span.name for span in traced.spans if span.context}
    calls = traced.named("GET /library/info")
    assert sorted(parents[span.parent.span_id] for span in calls if span.parent) == [
        "first",
        "second",
    ]


async def test_settling_an_upload_shows_its_lookups_as_spans(
    traced: Traced, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("server_error", "POST", times=1)
    cc = await traced.client(sandbox)
    await cc.library.begin_upload(b"abc", name="a.pdf")
    calls = [span for span in traced.spans if span.kind is SpanKind.CLIENT]
    assert [span.name for span in calls] == [
        "POST /library/files",
        *["GET /library/files"] * 3,
        "POST /library/files",
        "GET /library/files",
    ]
    assert attributes(calls[0])["error.type"] == "500"
    assert attributes(calls[4])["http.response.status_code"] == 202


async def test_a_retried_read_shows_its_backoff(
    traced: Traced, sandbox: Sandbox, clock: SkippingClock
) -> None:
    sandbox.admin.fault("server_error", times=1)
    cc = await traced.client(sandbox)
    await cc.library.info()
    failed, again = traced.named("GET /library/info")
    assert attributes(failed)["http.response.status_code"] == 500
    assert failed.status.status_code is StatusCode.ERROR
    assert attributes(again)["http.request.resend_count"] == 1
    assert again.status.status_code is StatusCode.UNSET
    pause = traced.one("backoff")
    assert attributes(pause)["ccv2.outcome"]
    assert pause.start_time is not None
    assert pause.end_time is not None
    assert pause.end_time - pause.start_time == pytest.approx(clock.slept[0] * 1e9)


async def test_quota_waits_are_shown(traced: Traced, sandbox: Sandbox) -> None:
    cc = await traced.client(sandbox, per_second=1)
    await cc.library.info()
    await cc.library.info()
    pause = traced.named("wait for the quota")[0]
    assert attributes(pause) == {"ccv2.what": "library information", "ccv2.lane": "interactive"}


@pytest.mark.parametrize("name", ["virus.png", "fail.pdf"])
async def test_a_failed_job_has_an_error_span(traced: Traced, sandbox: Sandbox, name: str) -> None:
    cc = await traced.client(sandbox)
    with pytest.raises(errors.UploadFailed) as caught:
        await cc.library.upload(b"abc", name=name)
    job = traced.one("upload")
    assert job.status.status_code is StatusCode.ERROR
    assert attributes(job)["error.type"] == caught.value.status


async def test_an_activity_has_its_own_job_kind(traced: Traced, sandbox: Sandbox) -> None:
    cc = await traced.client(sandbox)
    poller = await cc.activities.begin_clear_lists(["1"])
    await poller
    assert attributes(traced.one("begin activity"))["ccv2.job.id"] == poller.id
    assert attributes(traced.one("activity"))["ccv2.job.status"] == "COMPLETE"


async def test_a_cancelled_call_ends_its_span(traced: Traced, sandbox: Sandbox) -> None:
    sandbox.admin.fault("hang", times=None)
    cc = await traced.client(sandbox)
    task = asyncio.create_task(cc.library.info())
    await until(lambda: traced.tracing._attempts)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert attributes(traced.one("GET /library/info"))["error.type"] == "CancelledError"
    assert traced.tracing._attempts == {}


async def test_jobs_that_never_end_are_forgotten(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "MOST_JOBS", 3)
    for number in range(10):
        traced.tracing(StatusChanged("upload", str(number), "a.pdf", "Processing", "pending"))
    assert list(traced.tracing._jobs) == [("upload", str(number)) for number in (7, 8, 9)]
    traced.tracing(JobEnded("upload", "1", "a.pdf", None, "lost", 3.0))
    assert attributes(traced.one("upload"))["ccv2.job.status"] == "unknown"
    assert traced.one("upload").status.status_code is StatusCode.ERROR


async def test_spans_contain_no_secret(connect: Callable[..., Any]) -> None:
    key, token = "k3y-of/the&app", "t0ken+of~the=account"
    traced = Traced(connect)
    with Sandbox(mode="at_once", api_key=key, access_token=token) as sandbox:
        cc = await traced.client(sandbox)
        poller = await cc.library.begin_upload(b"abc", name="a.pdf")
        await poller
        sandbox.admin.fault("echo", status=400, times=None)
        for work in (cc.library.info(), cc.library.create_folder("x")):
            with pytest.raises(errors.ConstantContactError):
                await work
        sandbox.admin.clear_faults()
        sandbox.admin.fault("echo", status=503, times=None)
        with pytest.raises(errors.ConstantContactError):
            await cc.library.info()
    assert len(traced.spans) > 5
    shown = "".join(span.to_json() for span in traced.spans)
    for secret in (key, token, "k3y-of%2Fthe%26app", "t0ken%2Bof", poller.token()):
        assert secret not in shown
