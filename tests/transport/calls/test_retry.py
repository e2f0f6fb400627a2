from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccv2_async.transport.calls.retry import (
    ATTEMPTS,
    BASE_DELAY,
    MAX_DELAY,
    RATE_WAITS,
    TABLE,
    Effect,
    Happening,
    RetryAllowance,
    Tries,
    Verdict,
    backoff,
    parse_retry_after,
)

R, ONCE, W, X, F, L = (
    Verdict.RETRY,
    Verdict.RETRY_ONCE,
    Verdict.WAIT,
    Verdict.RAISE,
    Verdict.REFRESH,
    Verdict.LOOK,
)
# The table of the design: happening, then SAFE, IDEMPOTENT, CONVERGENT, ADDITIVE.
DESIGN = [
    (Happening.NEVER_CONNECTED, R, R, R, R),
    (Happening.PARTLY_SENT, R, R, R, ONCE),
    (Happening.UNANSWERED, R, R, ONCE, L),
    (Happening.OVER_RATE, W, W, W, W),
    (Happening.OVER_DAY, X, X, X, X),
    (Happening.SERVER_BUSY, R, R, R, R),
    (Happening.SERVER_FAILED, R, R, R, L),
    (Happening.UNAUTHORIZED, F, F, F, F),
    (Happening.REDIRECTED, X, X, X, X),
    (Happening.REFUSED, X, X, X, X),
    (Happening.GARBLED, R, X, X, X),
]
EFFECTS = [Effect.SAFE, Effect.IDEMPOTENT, Effect.CONVERGENT, Effect.ADDITIVE]
CELLS = [
    (happening, effect, verdict)
    for happening, *row in DESIGN
    for effect, verdict in zip(EFFECTS, row, strict=True)
]
GRANTED = {R: ATTEMPTS - 1, ONCE: 1, W: RATE_WAITS, F: 1}
FIRST = datetime.fromisoformat("1971-01-01")
LAST = datetime.fromisoformat("9998-01-01")
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("happening", "effect", "verdict"), CELLS)
def test_every_cell_of_the_table_matches_the_design(
    happening: Happening, effect: Effect, verdict: Verdict
) -> None:
    assert TABLE[happening][effect] is verdict


@pytest.mark.parametrize(("happening", "effect", "verdict"), CELLS)
def test_retries_are_limited_and_then_the_error_is_raised(
    happening: Happening, effect: Effect, verdict: Verdict
) -> None:
    tries = Tries()
    given = [tries.decide(happening, effect) for _ in range(20)]
    if verdict in (L, X):
        assert given == [verdict] * 20
    else:
        often = GRANTED[verdict]
        assert given == [verdict] * often + [X] * (20 - often)


def test_the_table_covers_every_happening_and_every_effect() -> None:
    assert set(TABLE) == set(Happening) == {row[0] for row in DESIGN}
    assert all(set(row) == set(Effect) for row in TABLE.values())


@given(st.lists(st.sampled_from(Happening)), st.sampled_from(Effect))
def test_every_call_ends_and_an_additive_call_is_never_repeated_blindly(
    happenings: list[Happening], effect: Effect
) -> None:
    tries = Tries()
    granted: list[tuple[Happening, Verdict]] = []
    for happening in happenings:
        verdict = tries.decide(happening, effect)
        if verdict in (X, L):
            break
        granted.append((happening, verdict))
    sends = [verdict for _, verdict in granted if verdict is not W]
    assert len(sends) <= ATTEMPTS
    assert len(granted) - len(sends) <= RATE_WAITS
    assert sum(verdict in (R, ONCE) for _, verdict in granted) < ATTEMPTS
    assert sum(verdict is F for _, verdict in granted) <= 1
    assert tries.number <= len(granted) + 2
    if effect is Effect.ADDITIVE:
        assert all(h not in (Happening.UNANSWERED, Happening.SERVER_FAILED) for h, _ in granted)
        assert sum(h is Happening.PARTLY_SENT for h, _ in granted) <= 1


def test_a_wait_for_the_quota_is_not_an_attempt() -> None:
    tries = Tries()
    for _ in range(RATE_WAITS):
        assert tries.decide(Happening.OVER_RATE, Effect.ADDITIVE) is W
    assert tries.repeats == 0
    assert tries.number == RATE_WAITS + 1
    assert tries.decide(Happening.PARTLY_SENT, Effect.ADDITIVE) is ONCE


def test_the_last_attempt_is_not_repeated_even_if_its_failure_is_new() -> None:
    tries = Tries()
    assert tries.decide(Happening.SERVER_FAILED, Effect.CONVERGENT) is R
    assert tries.decide(Happening.SERVER_FAILED, Effect.CONVERGENT) is R
    assert tries.decide(Happening.UNANSWERED, Effect.CONVERGENT) is X


@pytest.mark.parametrize("happening", Happening)
def test_failures_after_which_the_call_may_have_been_carried_out_are_counted(
    happening: Happening,
) -> None:
    tries = Tries()
    for _ in range(2):
        tries.decide(happening, Effect.SAFE)
    doubtful = {Happening.UNANSWERED, Happening.SERVER_BUSY, Happening.SERVER_FAILED}
    assert tries.doubtful == (2 if happening in doubtful else 0)


jitters = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), jitters)
def test_backoff_has_full_jitter_below_its_cap(attempt: int, jitter: float) -> None:
    delay = backoff(attempt, jitter)
    assert 0 <= delay <= MAX_DELAY
    assert backoff(attempt, 0.0) == 0.0
    assert backoff(attempt + 1, jitter) >= delay


def test_backoff_doubles_from_its_base_to_its_cap() -> None:
    ceilings = [backoff(attempt, 1.0) / BASE_DELAY for attempt in range(1, 8)]
    assert ceilings == [2, 4, 8, 16, 32, 40, 40]


@given(st.integers(1, 100), jitters, st.floats(0, math.inf))
def test_retry_after_is_a_minimum(attempt: int, jitter: float, hint: float) -> None:
    assert backoff(attempt, jitter, hint) == max(backoff(attempt, jitter), hint)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("+5", 5.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("0" * 400, 0.0),
        ("0" * 5000, 0.0),
        ("9" * 400, math.inf),
        ("9" * 5000, math.inf),
        ("0." + "0" * 400, 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 12:00:30", 30.0),
        ("Sat, 21 Nov 2026 12:00:30 -0000", 30.0),
        ("Sat, 21 Nov 2026 13:00:30 +0100", 30.0),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30.0),
        (f"Sat, 21 Nov 2026 12:00:30 GMT ({'x' * 68})", 30.0),
        ("Fri, 20 Nov 2026 12:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_parsed_in_every_form(
    value: str, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")  # a date without a zone is UTC, wherever we are
    time.tzset()
    try:
        assert parse_retry_after(value, NOW) == expected
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", ".", "+", "-5", "-0.5", "nan", "NaN", "inf", "-inf", "Infinity", "1e3",
        "0x10", "1_000", "5 seconds", "soon", "in 5 minutes", "1,5", "5;q=1", "\u0665", "\u00b2",
        "Sat, 99 Nov 2026 12:00:30 GMT", "Sat, 21 Nov 99999999999999999999 12:00:30 GMT",
        "\0", "\ud800", f"Sat, 21 Nov 2026 12:00:30 GMT{' ' * 1000}x",
        f"Sat, 21 Nov 2026 12:00:30 GMT ({'x' * 69})",
    ],
)  # fmt: skip
def test_an_unusable_retry_after_is_none(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text())
@example("1 1 1 1 1 1 1")
@example("0 Jan 0 0:0:0 0")
def test_any_retry_after_value_is_accepted(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.datetimes(FIRST, LAST, timezones=st.just(UTC)))
def test_a_retry_after_date_gives_the_remaining_time_and_is_never_negative(
    moment: datetime,
) -> None:
    seconds = parse_retry_after(format_datetime(moment, usegmt=True), NOW)
    assert seconds == pytest.approx(max(0.0, moment.replace(microsecond=0).timestamp() - NOW))


def test_an_outage_uses_up_the_allowance_and_successes_restore_it() -> None:
    allowance = RetryAllowance()
    assert sum(allowance.take() for _ in range(1000)) == 100
    for _ in range(5):
        allowance.succeeded(0)
    assert allowance.take()
    assert not allowance.take()
    allowance.succeeded(2)
    assert allowance.take()


@given(st.lists(st.one_of(st.just("take"), st.integers(0, 3))))
def test_the_allowance_stays_between_zero_and_its_capacity(steps: list[str | int]) -> None:
    allowance = RetryAllowance(capacity=20)
    for step in steps:
        before = allowance.left
        if step == "take":
            assert allowance.take() is (before >= allowance.cost)
        else:
            allowance.succeeded(int(step))
            assert allowance.left >= before
        assert 0 <= allowance.left <= allowance.capacity
