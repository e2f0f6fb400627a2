"""Events and OpenTelemetry spans of jobs that go through workers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ccv2_async.observe import CallEnded, CallSent, JobEnded, JobStarted, Polled, StatusChanged
from ccv2_async.otel import Tracing, job_context
from ccv2_async.sandbox import Sandbox
from ccv2_async.workers import BulkState, Workers, WorkerSettings
from tests.workers.crew import ROOT
from tests.workers.test_application_over_redis import everything_in, settings_for, working

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

    from ccv2_async.observe import Event
    from tests.support.redis_server import RedisServer

KEY, TOKEN = "k3y-of/the&app", "t0ken+of~the=account"
SECRETS = (KEY, TOKEN, "k3y-of%2Fthe%26app", "t0ken%2Bof", "ccv2p1.")

# The whole of a user's program; what it is to do comes last.
PROGRAM = """
import asyncio, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ccv2_async.otel import Tracing
from ccv2_async.workers import Workers

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))

async def main(path, step):
    async with Workers(on_event=Tracing(provider)) as workers:
        asked = await workers.enqueue_upload(path)
        if step == "upload":
            await asked.task.wait_result(check_interval=0.01)
        else:
            [_ async for _ in workers.settled([asked.key], every=0.05)]

asyncio.run(main(*sys.argv[1:]))
for span in spans.get_finished_spans():
    print(span.to_json(indent=None))
"""


class Spans:
    """Where one worker's spans go."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self if span.name == name]


@pytest.fixture
def guarded() -> Iterator[Sandbox]:
    """A sandbox with unmistakable credentials."""
    with Sandbox(mode="looks", looks=1, api_key=KEY, access_token=TOKEN) as sandbox:
        yield sandbox


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG" + bytes(5000))
    return path


def contexts_of(spans: Iterable[ReadableSpan]) -> list[list[Any]]:
    return [[link.context for link in span.links] for span in spans]


async def test_the_event_hook_sees_what_workers_do(guarded: Sandbox, picture: Path) -> None:
    told: list[Event] = []
    settings = WorkerSettings(**guarded.client_options(), sweep_seconds=0.1)
    async with Workers(settings, on_event=told.append) as workers:
        asked = await workers.enqueue_upload(picture)
        (record,) = [one async for one in workers.settled([asked.key], every=0.05)]
    assert record.state is BulkState.DONE
    assert [type(event) for event in told] == [
        *(CallSent, CallEnded, JobStarted),
        *(CallSent, CallEnded, Polled, StatusChanged),
        *(CallSent, CallEnded, Polled, StatusChanged, JobEnded),
    ]
    assert told[0].lane == "bulk"  # type: ignore[union-attr]  # the first is a CallSent
    assert [event.id for event in told if isinstance(event, JobEnded)] == [record.file_id]
    assert not [secret for secret in SECRETS if secret in repr(told)]


async def run_program(environment: dict[str, str], path: Path, step: str) -> Sequence[Any]:
    """The spans of a process of its own."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PROGRAM, str(path), step),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await running.communicate()
    assert (running.returncode, complaints) == (0, b""), complaints.decode()
    return [json.loads(line) for line in said.splitlines()]


async def test_a_job_started_and_ended_in_two_processes_is_linked_by_its_token(
    guarded: Sandbox, picture: Path, tmp_path: Path
) -> None:
    environment = {
        "CCV2_API_KEY": KEY,
        "CCV2_ACCESS_TOKEN": TOKEN,
        "CCV2_BASE_URL": guarded.base_url,
        "CCV2_RATE": "0",
        "CCV2_WORKER_STORE": str(tmp_path / "jobs.db"),
    }
    # The first makes no round while it lives, so that the end is seen by the second alone.
    first = await run_program(environment | {"CCV2_SWEEP_SECONDS": "3600"}, picture, "upload")
    second = await run_program(environment | {"CCV2_SWEEP_SECONDS": "0.1"}, picture, "follow")
    assert [span["name"] for span in first] == ["POST /library/files", "begin upload"]
    names = [span["name"] for span in second]
    assert (names.count("poll"), names.count("upload")) == (2, 1)
    (file,) = guarded.admin.files()
    shared = job_context("upload", file["id"])
    linked = {
        span["name"]: [link["context"]["trace_id"] for link in span["links"]]
        for span in (*first, *second)
        if span["links"]
    }
    joined = [f"0x{shared.trace_id:032x}"]
    assert linked == {"begin upload": joined, "poll": joined, "upload": joined}
    text = json.dumps([*first, *second])
    assert not [secret for secret in SECRETS if secret in text]


async def test_spans_of_workers_over_redis_are_linked_and_contain_no_secret(
    redis_server: RedisServer, guarded: Sandbox, picture: Path
) -> None:
    sender, follower = Spans(), Spans()
    given: dict[str, Any] = {"per_second": None, "per_day": None}
    settings = settings_for(guarded, redis_server, sweep_seconds=3600, **given)
    async with Workers(settings) as office:
        asked = await office.enqueue_upload(picture)
        async with working(settings, on_event=sender.tracing):
            await asked.task.wait_result(check_interval=0.02, timeout=50)
        settings = settings_for(guarded, redis_server, sweep_seconds=0.1, **given)
        async with working(settings, on_event=follower.tracing):
            (record,) = [one async for one in office.settled([asked.key], every=0.05)]
    shared = job_context("upload", record.file_id)
    assert contexts_of(sender.named("begin upload")) == [[shared]]
    assert sender.named("upload") == []
    assert contexts_of(follower.named("upload")) == [[shared]]
    assert contexts_of(follower.named("poll")) == [[shared]] * 2
    shown = "".join(span.to_json() for span in (*sender, *follower))
    assert not [secret for secret in SECRETS if secret in shown]
    assert not [secret for secret in (KEY, TOKEN) if secret in str(everything_in(redis_server))]
