"""Decisions that follow from a job's record."""

from __future__ import annotations

import unicodedata

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.clock import date_of
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.workers.records import (
    LARGEST,
    MOST_ATTEMPTS,
    JobRecord,
    after_failure,
    lock_of_upload,
)


def test_one_name_has_one_lock_however_its_accents_are_written() -> None:
    composed, in_parts = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    assert composed != in_parts
    assert lock_of_upload("0", composed) == lock_of_upload("0", in_parts)
    assert lock_of_upload("0", composed) != lock_of_upload("1", composed)
    assert lock_of_upload("0", composed) != lock_of_upload("0", "cafe.png")


def test_a_job_with_any_count_of_failures_that_is_on_record_can_fail_again() -> None:
    for attempts in (5000, LARGEST):
        record = JobRecord(key="k", task="upload", arguments={}, lock="l", attempts=attempts)
        failed = after_failure(record, errors.ConstantContactError("no"), 0.0, 0.5, sent=True)
        assert failed.settled


@pytest.mark.parametrize(
    "error", [errors.ServiceUnavailable("down"), errors.ClientClosed("closed")]
)
@pytest.mark.parametrize("attempts", [0, MOST_ATTEMPTS - 1])
def test_a_file_that_was_accepted_is_never_sent_again(
    error: errors.ConstantContactError, attempts: int
) -> None:
    record = JobRecord(key="k", task="upload", arguments={}, lock="l", attempts=attempts)
    sending = attrs.evolve(record, state=BulkState.SENDING, since=1.0, file_id="7")
    failed = after_failure(sending, error, 0.0, 0.5, sent=False)
    assert (failed.state, failed.since, failed.file_id) == (BulkState.SENDING, 1.0, "7")
    assert failed.attend_at > 0.0
    unsent = after_failure(attrs.evolve(sending, file_id=""), error, 0.0, 0.5, sent=False)
    assert unsent.state is not BulkState.SENDING


@pytest.mark.parametrize("kind", [errors.Forbidden, errors.NotFound])
def test_only_the_service_can_end_a_job_by_refusing_it(kind: type[errors.APIError]) -> None:
    record = JobRecord(key="k", task="upload", arguments={}, lock="l")
    page = kind("a page", status=404, errors=(("", "an HTML page"),))
    refusal = kind("no", status=404, errors=(("http.status.not_found", "no"),))

    assert after_failure(record, refusal, 0.0, 0.5, sent=True).state is BulkState.FAILED
    for _ in range(MOST_ATTEMPTS - 1):
        record = after_failure(record, page, 0.0, 0.5, sent=True)
        assert (record.state, record.attend_at > 0.0) == (BulkState.PENDING, True)
    assert after_failure(record, page, 0.0, 0.5, sent=True).state is BulkState.FAILED


@pytest.mark.parametrize("looks", [False, True], ids=["to be sent", "to be found"])
def test_a_job_outlasts_an_outage_of_minutes(looks: bool) -> None:
    state = BulkState.SENDING if looks else BulkState.PENDING
    record = JobRecord(key="k", task="upload", arguments={}, lock="l", state=state)
    down: errors.ConstantContactError = errors.ConnectFailed("no network", sent="nothing")
    if looks:
        lost = errors.AmbiguousUpload("no response", file_name="a.png", folder_id="0")
        lost.__cause__, down = down, lost

    while record.attend_at < 450.0:
        record = after_failure(record, down, record.attend_at, 0.0, sent=False)

        assert record.state is state


def test_a_look_that_the_daily_quota_refuses_is_taken_the_next_day() -> None:
    sending = JobRecord(key="k", task="upload", arguments={}, lock="l", state=BulkState.SENDING)
    lost = errors.AmbiguousUpload("no response", file_name="a.png", folder_id="0")
    tomorrow = date_of(86_400.0)
    lost.__cause__ = errors.DailyQuotaExceeded("used up", status=None, resets_at=tomorrow)
    for _ in range(2 * MOST_ATTEMPTS):
        sending = after_failure(sending, lost, 0.0, 0.5, sent=False)

    assert (sending.state, sending.attempts) == (BulkState.SENDING, 0)
    assert sending.attend_at >= tomorrow.timestamp()
