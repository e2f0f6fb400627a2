from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.cli.exits import Exit, exit_of, exit_of_item, heaviest


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidField("--jobs", 0, "1 or more"), Exit.USAGE),
        (errors.MissingCredentials("no key"), Exit.USAGE),
        (errors.OutcomeUnknown("lost"), Exit.AMBIGUOUS),
        (errors.AmbiguousUpload("lost", file_name="a", folder_id="0"), Exit.AMBIGUOUS),
        (errors.QuotaExceeded("slow down", status=429), Exit.QUOTA),
        (
            errors.DailyQuotaExceeded("over", status=403, resets_at=datetime.now(UTC)),
            Exit.QUOTA,
        ),
        (errors.NotFound("none", status=404), Exit.SOME_FAILED),
        (errors.VirusFound("virus", id="1", status="VirusFound"), Exit.SOME_FAILED),
        (OSError("disk"), Exit.SOME_FAILED),
    ],
)
def test_each_kind_of_error_has_its_code(error: Exception, code: Exit) -> None:
    assert exit_of(error) is code


def test_one_bad_file_among_others_is_a_failure_and_not_a_usage_error() -> None:
    assert exit_of_item(errors.FileRefused("a.png", "it is empty")) is Exit.SOME_FAILED
    assert exit_of_item(errors.OutcomeUnknown("lost")) is Exit.AMBIGUOUS


@given(st.lists(st.sampled_from([Exit.OK, Exit.SOME_FAILED, Exit.AMBIGUOUS, Exit.QUOTA])))
def test_the_most_serious_code_wins_in_any_order(codes: list[Exit]) -> None:
    expected = next(
        (c for c in (Exit.AMBIGUOUS, Exit.QUOTA, Exit.SOME_FAILED) if c in codes), Exit.OK
    )
    assert heaviest(codes) is expected
    assert heaviest(reversed(codes)) is expected


def test_a_run_with_unfinished_items_does_not_exit_with_success() -> None:
    from ccv2_async import BulkState
    from ccv2_async.cli.jobs import JobItem, exit_of_items

    unfinished = [JobItem("a", state=BulkState.DONE), JobItem("b", state=BulkState.ACCEPTED)]
    assert exit_of_items(unfinished) is Exit.SOME_FAILED
    assert exit_of_items(unfinished, (BulkState.DONE, BulkState.ACCEPTED)) is Exit.OK
    assert exit_of_items([JobItem("c")]) is Exit.SOME_FAILED
