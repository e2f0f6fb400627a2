from __future__ import annotations

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.polling.schedule import (
    GRACE,
    LONGEST_IDLE_SPACING,
    LONGEST_WAIT,
    LOOKS_BEFORE_LOST,
    POLL_SHARE,
    SHORTEST_SPACING,
    SPACING_BY_TYPICAL,
    UNREADABLE_SECONDS,
    Typical,
    first_look,
    is_lost,
    is_unreadable,
    next_look,
    spacing,
)

seconds = st.floats(0, 1e7, allow_nan=False)
shares = st.floats(0, 1, exclude_max=True)
typicals = st.none() | seconds


@given(seconds, shares)
def test_status_requests_are_one_to_ten_seconds_apart(age: float, jitter: float) -> None:
    assert 0.9 <= next_look(age, jitter) <= 11.0


@given(seconds, seconds, shares)
def test_older_jobs_are_polled_less_often(age: float, more: float, jitter: float) -> None:
    assert next_look(age, jitter) <= next_look(age + more, jitter)


def test_jitter_shifts_status_requests_by_up_to_a_tenth() -> None:
    assert next_look(20.0, 0.0) == 5.0 * 0.9
    assert next_look(20.0, 0.5) == 5.0
    assert next_look(20.0, 1.0) == 5.0 * 1.1


@given(typicals)
def test_the_first_status_request_comes_at_the_typical_duration(typical: float | None) -> None:
    wait = first_look(typical)

    if typical is None:
        assert wait == 1.0
    else:
        assert wait == min(max(typical, SHORTEST_SPACING), LONGEST_WAIT)


@given(typicals, st.floats(0.01, 1000))
def test_status_requests_leave_waiting_calls_their_share(
    typical: float | None, per_second: float
) -> None:
    alone = spacing(typical=typical, per_second=per_second, contended=False)
    beside_others = spacing(typical=typical, per_second=per_second, contended=True)

    assert SHORTEST_SPACING <= alone <= LONGEST_IDLE_SPACING
    assert alone <= beside_others <= LONGEST_WAIT
    assert beside_others >= min(1.0 / (POLL_SHARE * per_second), LONGEST_WAIT)


@given(typicals, st.booleans())
def test_without_a_quota_no_share_is_reserved(typical: float | None, contended: bool) -> None:
    without = spacing(typical=typical, per_second=None, contended=contended)

    assert without == spacing(typical=typical, per_second=4, contended=False)


@given(seconds, st.integers(0, 100))
def test_a_job_is_given_up_only_after_its_grace_and_several_looks(age: float, looks: int) -> None:
    assert is_lost(age, looks) == (age > GRACE and looks >= LOOKS_BEFORE_LOST)


def test_a_job_is_given_up_exactly_at_the_limits() -> None:
    assert not is_lost(GRACE, LOOKS_BEFORE_LOST)
    assert is_lost(GRACE + 1, LOOKS_BEFORE_LOST)
    assert not is_lost(GRACE + 1, LOOKS_BEFORE_LOST - 1)
    assert is_unreadable(UNREADABLE_SECONDS, LOOKS_BEFORE_LOST)
    assert not is_unreadable(UNREADABLE_SECONDS - 1, LOOKS_BEFORE_LOST)
    assert not is_unreadable(UNREADABLE_SECONDS, LOOKS_BEFORE_LOST - 1)


def test_spacing_follows_the_typical_duration_and_the_share_of_the_quota() -> None:
    assert spacing(typical=5.0, per_second=4, contended=False) == SPACING_BY_TYPICAL * 5.0
    assert spacing(typical=5.0, per_second=4, contended=True) == 1 / (POLL_SHARE * 4)


@given(st.lists(seconds, max_size=80))
def test_the_typical_duration_is_the_median_of_the_last_fifty(durations: list[float]) -> None:
    typical = Typical()
    for duration in durations:
        typical.add(duration)

    assert typical.seconds == (median(durations[-50:]) if durations else None)
