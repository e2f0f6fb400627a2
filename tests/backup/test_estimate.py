from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import BackupEstimate, errors
from ccv2_async.backup.estimate import Counts, estimate
from ccv2_async.sandbox import Sandbox
from tests.support.large_account import large_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.client import ConstantContact

EMPTY = Counts(files=0, size=0, folders=0, contacts=0, campaigns={})
NUMBERS = st.integers(0, 100_000)
COUNTS = st.builds(
    Counts,
    files=NUMBERS,
    size=NUMBERS,
    folders=NUMBERS,
    contacts=NUMBERS,
    campaigns=st.dictionaries(st.sampled_from(["DRAFT", "SENT", "SCHEDULED", "?"]), NUMBERS),
    tracked=st.none() | NUMBERS,
    events=st.none() | NUMBERS,
    files_here=NUMBERS,
    size_here=NUMBERS,
    campaigns_here=NUMBERS,
    tracked_here=NUMBERS,
)


@pytest.mark.parametrize(
    ("change", "more", "guess"),
    [
        ({}, 0, ""),
        ({"folders": 1000}, 0, ""),
        ({"folders": 1001}, 1, ""),
        ({"files": 1000}, 0, ""),
        ({"files": 1001}, 1, ""),
        ({"contacts": 1}, 0, "A contact counts once"),
        ({"contacts": 501}, 1, "A contact counts once"),
        ({"contacts": 501, "contacts_here": True}, 0, ""),
        ({"campaigns": {"DRAFT": 50}}, 50, ""),
        ({"campaigns": {"DRAFT": 51}}, 52, ""),
        ({"campaigns": {"DRAFT": 5}, "campaigns_here": 4}, 1, ""),
        ({"campaigns": {"DRAFT": 5}, "campaigns_here": 6}, 0, ""),
        ({"campaigns": {"DRAFT": 1, "SENT": 2, "RUNNING": 3, "SCHEDULED": 4}}, 10 + 5 + 4, ""),
        ({"campaigns": {"SENT": 3}, "more_campaigns": True}, 6, "more than 3 campaigns"),
        ({"campaigns": {"SENT": 3}, "tracked": 0}, 6 + 3, "as many tracking rows"),
        ({"campaigns": {"SENT": 3}, "tracked": 501}, 6 + 6, "as many tracking rows"),
        ({"campaigns": {"SENT": 3}, "tracked": 501, "tracked_here": 2}, 6 + 2, "tracking rows"),
        ({"campaigns": {"SENT": 3}, "tracked": 501, "tracked_here": 3}, 6, ""),
        ({"events": 0}, 0, ""),
        ({"events": 1}, 6, "Registrants and items"),
        ({"events": 51}, 2 + 51 * 5, "Registrants and items"),
        ({"events": 0, "more_events": True}, 0, "more than 0 events"),
    ],
    ids=str,
)
def test_each_count_costs_its_calls_and_says_what_is_guessed(
    change: dict[str, Any], more: int, guess: str
) -> None:
    found = estimate(attrs.evolve(EMPTY, **change), per_day=None, left_today=None)
    # The account, its addresses, lists, and activities, and a page of each of four listings.
    assert found.calls == 8 + more
    assert len(found.guesses) == bool(guess)
    assert all(guess in said for said in found.guesses)


@pytest.mark.parametrize(
    ("per_day", "left", "days"),
    [(None, 0, 1), (8, None, 1), (7, None, 2), (4, None, 2), (3, None, 3), (4, 0, 3), (4, 8, 1)],
)
def test_eight_calls_take_the_days_of_the_quota(
    per_day: int | None, left: int | None, days: int
) -> None:
    assert estimate(EMPTY, per_day=per_day, left_today=left).days == days


@pytest.mark.parametrize(("here", "left"), [(0, 7), (6, 1), (7, 0), (8, 0)])
def test_stored_files_are_not_fetched_again(here: int, left: int) -> None:
    counts = attrs.evolve(EMPTY, files=7, size=70, files_here=here, size_here=10 * here)
    found = estimate(counts, per_day=None, left_today=None)
    assert (found.files, found.size) == (left, 10 * left)


@given(COUNTS, st.none() | st.integers(1, 10_000), st.integers(0, 10_000))
def test_the_days_are_enough_for_the_calls_and_not_one_too_many(
    counts: Counts, per_day: int | None, left: int
) -> None:
    found = estimate(counts, per_day=per_day, left_today=left)
    assert found.calls > 0
    assert found.files >= 0
    assert found.size >= 0
    if per_day is None:
        assert found.days == 1
    else:
        assert left + (found.days - 1) * per_day >= found.calls
        assert found.days == 1 or left + (found.days - 2) * per_day < found.calls


@given(COUNTS)
def test_stored_files_and_rows_cost_nothing(counts: Counts) -> None:
    fresh = attrs.evolve(counts, files_here=0, size_here=0, campaigns_here=0, tracked_here=0)
    more = estimate(fresh, per_day=None, left_today=None)
    less = estimate(counts, per_day=None, left_today=None)
    assert less.calls <= more.calls
    assert less.files <= more.files


async def test_the_estimate_of_a_large_account_is_near_what_the_backup_takes(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    with large_sandbox(3) as sandbox:
        cc: ConstantContact = await connect(sandbox)
        directory = tmp_path / "backup"
        before = await cc.backup(directory, dry_run=True)
        assert isinstance(before, BackupEstimate)
        assert len(sandbox.admin.requests()) <= 8
        assert not directory.exists()
        result = await cc.backup(directory)
        assert before.files == result.files == 300
        assert before.size == result.downloaded
        assert 0.8 * result.calls <= before.calls <= 1.5 * result.calls
        after = await cc.backup(directory, dry_run=True)
        assert (after.files, after.size) == (0, 0)
        assert after.calls < before.calls
        full = await cc.backup(directory, dry_run=True, full=True)
        assert (full.files, full.size) == (before.files, before.size)
        assert (await cc.backup(directory)).files == 0


async def test_an_empty_account_and_one_without_events_are_estimated(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    with Sandbox(mode="at_once") as sandbox:
        cc: ConstantContact = await connect(sandbox, per_day=100)
        sandbox.admin.fault("answer", path="/eventspot/*", status=400, body="{}", times=None)
        found = await cc.backup(tmp_path, dry_run=True)
        assert (found.files, found.size, found.days) == (0, 0, 1)
        assert found.guesses == ()
    with pytest.raises(errors.InvalidField, match="dry_run is"):
        await cc.backup(tmp_path, dry_run="yes")  # type: ignore[call-overload]
