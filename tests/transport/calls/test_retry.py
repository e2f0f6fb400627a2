from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccv2_async.transport.calls import retry as retry_module
from ccv2_async.transport.calls.retry import (
    ATTEMPTS,
    BASE_DELAY,
    MAX_DELAY,
    RATE_WAITS,
    TABLE,
    Decision,
    Effect,
    FailureKind,
    RetryAllowance,
    Tries,
    backoff,
    parse_retry_after,
)

R, ONCE, W, X, F, L = (
    Decision.RETRY,
    Decision.RETRY_ONCE,
    Decision.WAIT,
    Decision.RAISE,
    Decision.REFRESH,
    Decision.LOOK,
)
# The table of the design: kind, then SAFE, IDEMPOTENT, CONVERGENT, ADDITIVE.
DESIGN = [
    (FailureKind.NEVER_CONNECTED, R, R, R, R),
    (FailureKind.PARTLY_SENT, R, R, R, ONCE),
    (FailureKind.UNANSWERED, R, R, ONCE, L),
    (FailureKind.OVER_RATE, W, W, W, W),
    (FailureKind.OVER_DAY, X, X, X, X),
    (FailureKind.SERVER_BUSY, R, R, R, R),
    (FailureKind.SERVER_FAILED, R, R, R, L),
    (FailureKind.UNAUTHORIZED, F, F, F, F),
    (FailureKind.REDIRECTED, X, X, X, X),
    (FailureKind.REFUSED, X, X, X, X),
    (FailureKind.GARBLED, R, X, X, X),
]
EFFECTS = [Effect.SAFE, Effect.IDEMPOTENT, Effect.CONVERGENT, Effect.ADDITIVE]
CELLS = [
    (kind, effect, decision)
    for kind, *row in DESIGN
    for effect, decision in zip(EFFECTS, row, strict=True)
]
GRANTED = {R: ATTEMPTS - 1, ONCE: 1, W: RATE_WAITS, F: 1}
FIRST = datetime.fromisoformat("1971-01-01")
LAST = datetime.fromisoformat("9998-01-01")
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()


def test_the_table_in_the_docstring_matches_the_code() -> None:
    drawn = {}
    for line in (retry_module.__doc__ or "").splitlines():
        name, *cells = line.split("(")[0].split() or [""]
        if name in FailureKind.__members__ and len(cells) == len(EFFECTS):
            decisions = (Decision[cell] for cell in cells)
            drawn[FailureKind[name]] = dict(zip(EFFECTS, decisions, strict=True))

    assert drawn == TABLE


@pytest.mark.parametrize(("kind", "effect", "decision"), CELLS)
def test_every_cell_of_the_table_matches_the_design(
    kind: FailureKind, effect: Effect, decision: Decision
) -> None:
    assert TABLE[kind][effect] is decision


@pytest.mark.parametrize(("kind", "effect", "decision"), CELLS)
def test_retries_are_limited_and_then_the_error_is_raised(
    kind: FailureKind, effect: Effect, decision: Decision
) -> None:
    tries = Tries()
    given = [tries.decide(kind, effect) for _ in range(20)]
    if decision in (L, X):
        assert given == [decision] * 20
    else:
        often = GRANTED[decision]
        assert given == [decision] * often + [X] * (20 - often)


def test_the_table_covers_every_failure_and_every_effect() -> None:
    assert set(TABLE) == set(FailureKind) == {row[0] for row in DESIGN}
    assert all(set(row) == set(Effect) for row in TABLE.values())


@given(st.lists(st.sampled_from(FailureKind)), st.sampled_from(Effect))
def test_every_call_ends_and_an_additive_call_is_never_repeated_blindly(
    kinds: list[FailureKind], effect: Effect
) -> None:
    tries = Tries()
    granted: list[tuple[FailureKind, Decision]] = []
    for kind in kinds:
        decision = tries.decide(kind, effect)
        if decision in (X, L):
            break
        granted.append((kind, decision))
    sends = [decision for _, decision in granted if decision is not W]
    assert len(sends) <= ATTEMPTS
    assert len(granted) - len(sends) <= RATE_WAITS
    assert sum(decision in (R, ONCE) for _, decision in granted) < ATTEMPTS
    assert sum(decision is F for _, decision in granted) <= 1
    assert tries.number <= len(granted) + 2
    if effect is Effect.ADDITIVE:
        assert all(h not in (FailureKind.UNANSWERED, FailureKind.SERVER_FAILED) for h, _ in granted)
        assert sum(h is FailureKind.PARTLY_SENT for h, _ in granted) <= 1


def test_a_wait_for_the_quota_is_not_an_attempt() -> None:
    tries = Tries()
    for _ in range(RATE_WAITS):
        assert tries.decide(FailureKind.OVER_RATE, Effect.ADDITIVE) is W
    assert tries.sent == 0
    assert tries.number == RATE_WAITS + 1
    assert tries.decide(FailureKind.PARTLY_SENT, Effect.ADDITIVE) is ONCE


def test_the_last_attempt_is_not_repeated_even_if_its_failure_is_new() -> None:
    tries = Tries()
    assert tries.decide(FailureKind.SERVER_FAILED, Effect.CONVERGENT) is R
    assert tries.decide(FailureKind.SERVER_FAILED, Effect.CONVERGENT) is R
    assert tries.decide(FailureKind.UNANSWERED, Effect.CONVERGENT) is X


@pytest.mark.parametrize("kind", FailureKind)
def test_failures_after_which_the_call_may_have_been_carried_out_are_counted(
    kind: FailureKind,
) -> None:
    tries = Tries()
    for _ in range(2):
        tries.decide(kind, Effect.SAFE)
    doubtful = {FailureKind.UNANSWERED, FailureKind.SERVER_BUSY, FailureKind.SERVER_FAILED}
    assert tries.doubtful == (2 if kind in doubtful else 0)


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
