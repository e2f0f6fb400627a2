"""Pages of a gateway or a firewall that reach workers in place of the service's responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.workers import BulkState
from ccv2_async.workers.records import MOST_ATTEMPTS
from tests.workers.test_application import HOURS, answer_of, record_of
from tests.workers.test_sending import workers_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from ccv2_async.workers import JobRecord, Workers

HTML = "<html>Something went wrong</html>"
REFUSALS: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status, "body": HTML} for status in (400, 401, 403, 404, 405, 409)},
    "302": {"status": 302, "headers": {"location": "https://sso.example/login"}},
    "empty": {"status": 404, "body": ""},
    "JSON": {"status": 404, "body": '{"status": 404, "error": "Not Found"}'},
}
LOGIN: dict[str, Any] = {"status": 200, "body": HTML, "headers": {"content-type": "text/html"}}
"""What a gateway answers while it is set up wrong, or its session has expired."""

STATUS = "/library/files/uploadstatus/*"

IN_PLACE_OF_A_STATUS: dict[str, dict[str, Any]] = {
    **REFUSALS,
    "login page": LOGIN,
    "error": {"status": 200, "body": '{"error": "unauthenticated"}'},
    "nothing": {"status": 200, "body": ""},
    "null": {"status": 200, "body": "null"},
    "empty array": {"status": 200, "body": "[]"},
    "another": {"status": 200, "body": '{"id": "999", "name": "x", "status": "Active"}'},
}
"""What also does not say how a file is; the service itself answers `[]` for one it forgets."""


@pytest.fixture
async def workers(sandbox: Sandbox) -> AsyncIterator[Workers]:
    async with workers_of(sandbox) as workers:
        yield workers


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG" + bytes(5000))
    return path


async def later(workers: Workers, key: str, seconds: float = HOURS) -> JobRecord:
    """Return the record of a job some time later, once a round was made."""
    workers._clock.shift += seconds  # type: ignore[attr-defined]
    await workers.sweep()
    await workers.broker.wait_all()  # type: ignore[attr-defined]
    return await record_of(workers, key)


@pytest.mark.parametrize("page", REFUSALS)
async def test_a_job_is_tried_again_after_a_page_refused_it(
    workers: Workers, sandbox: Sandbox, picture: Path, page: str
) -> None:
    sandbox.admin.fault("answer", "POST", "*", times=2, **REFUSALS[page])
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "pending"
    assert (await later(workers, asked.key)).state is BulkState.PENDING

    assert (await later(workers, asked.key)).state is BulkState.ACCEPTED
    assert len(sandbox.admin.files()) == 1


async def test_a_job_that_a_firewall_always_blocks_fails(
    workers: Workers, sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("answer", "POST", "*", times=None, **REFUSALS["403"])
    asked = await workers.enqueue_upload(picture)
    await answer_of(asked)
    for _ in range(MOST_ATTEMPTS):
        record = await later(workers, asked.key)
    assert (record.state, record.error_type) == (BulkState.FAILED, "Forbidden")
    assert len(sandbox.admin.requests("POST")) == MOST_ATTEMPTS


async def test_a_file_that_is_too_large_for_a_gateway_fails_at_once(
    workers: Workers, sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("answer", "POST", "*", status=413, body=HTML)
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "failed"


async def test_an_activity_is_started_although_a_login_page_answered_first(
    workers: Workers, sandbox: Sandbox
) -> None:
    sandbox.admin.fault("answer", "POST", "*", **LOGIN)
    asked = await workers.enqueue_activity("clear_lists", lists=["1"])
    assert (await answer_of(asked))["state"] == "pending"
    assert (await later(workers, asked.key)).state is BulkState.ACCEPTED


async def test_a_login_page_in_place_of_the_response_to_an_upload_is_a_lost_response(
    workers: Workers, sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("answer", "POST", "*", **LOGIN)
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "accepted"
    assert len(sandbox.admin.files()) == 1


@pytest.mark.parametrize("page", REFUSALS)
async def test_a_page_in_place_of_the_second_attempt_leaves_no_job_ambiguous(
    workers: Workers, sandbox: Sandbox, picture: Path, page: str
) -> None:
    sandbox.admin.fault("answer", "POST", "*", status=500, body=HTML, read_body=True)
    sandbox.admin.fault("answer", "POST", "*", **REFUSALS[page])
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "sending"

    assert (await later(workers, asked.key)).state is BulkState.ACCEPTED
    assert len(sandbox.admin.files()) == 1


async def test_a_second_attempt_that_the_service_refuses_leaves_a_job_ambiguous(
    workers: Workers, sandbox: Sandbox, picture: Path
) -> None:
    sandbox.admin.fault("answer", "POST", "*", status=500, body=HTML, read_body=True)
    sandbox.admin.fault("inactive", "POST", "*")
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "ambiguous"


@pytest.mark.parametrize("mode", ["at_once", "looks"])
async def test_a_page_while_a_lost_file_is_compared_leaves_no_job_ambiguous(
    workers: Workers, sandbox: Sandbox, picture: Path, mode: Any
) -> None:
    sandbox.admin.configure(mode=mode, looks=2)
    sandbox.admin.fault("lose_response", "POST", "*")
    sandbox.admin.fault("answer", "GET", STATUS, **REFUSALS["403"])
    asked = await workers.enqueue_upload(picture)
    expected = "sending" if mode == "looks" else "accepted"
    assert (await answer_of(asked))["state"] == expected

    if mode == "looks":
        assert (await later(workers, asked.key)).state is BulkState.ACCEPTED
    assert len(sandbox.admin.files()) == len(sandbox.admin.requests("POST")) == 1


@pytest.mark.parametrize("path", [STATUS, "/library/files/[0-9]*", "*"])
@pytest.mark.parametrize("page", IN_PLACE_OF_A_STATUS)
async def test_a_page_in_place_of_a_status_or_record_ends_no_accepted_job(
    workers: Workers, sandbox: Sandbox, picture: Path, page: str, path: str
) -> None:
    asked = await workers.enqueue_upload(picture)
    assert (await answer_of(asked))["state"] == "accepted"
    if path != STATUS:  # a record is only read if the status is forgotten
        sandbox.admin.fault("answer", "GET", STATUS, times=None, status=200, body="[]")
    sandbox.admin.fault("answer", "GET", path, times=None, **IN_PLACE_OF_A_STATUS[page])
    for _ in range(5):
        record = await later(workers, asked.key, 100.0)
        assert record.state in {BulkState.ACCEPTED, BulkState.DONE}, record.error
        assert path == STATUS or record.state is BulkState.ACCEPTED

    sandbox.admin.clear_faults()
    assert (await later(workers, asked.key, 100.0)).state is BulkState.DONE
