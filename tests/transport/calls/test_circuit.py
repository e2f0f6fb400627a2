"""When an outage begins and ends: the table of the circuit breaker."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.transport.calls import circuit as circuit_module
from ccv2_async.transport.calls.circuit import (
    FAILED_READS,
    FAILED_WRITES,
    FIRST_INTERVAL,
    LONGEST_INTERVAL,
    TABLE,
    Circuit,
    Signal,
    State,
    signal_of,
)
from ccv2_async.transport.calls.retry import Effect, FailureKind

FAILURES = (Signal.READ_FAILED, Signal.WRITE_FAILED)


def test_the_table_in_the_docstring_matches_the_code() -> None:
    drawn = {}
    for line in (circuit_module.__doc__ or "").splitlines():
        name, *cells = re.sub(r"\(\d\)", "", line).split() or [""]
        if name in Signal.__members__:
            drawn[Signal[name]] = dict(zip(State, (State[cell] for cell in cells), strict=True))

    assert drawn == TABLE


@pytest.mark.parametrize(
    ("signal", "count"),
    [(Signal.WRITE_FAILED, FAILED_WRITES), (Signal.READ_FAILED, FAILED_READS)],
)
def test_consecutive_failures_open_the_circuit(signal: Signal, count: int) -> None:
    circuit = Circuit()

    states = []
    for _ in range(count):
        circuit.note(signal, 10.0)
        states.append(circuit.state)

    assert states == [*[State.CLOSED] * (count - 1), State.OPEN]
    assert (circuit.since, circuit.probe_at) == (10.0, 10.0 + FIRST_INTERVAL)


def test_a_successful_read_does_not_reset_failed_writes() -> None:
    circuit = Circuit()
    for signal in (Signal.WRITE_FAILED, Signal.READ_ANSWERED, Signal.WRITE_FAILED):
        circuit.note(signal, 0.0)

    assert circuit.state is State.OPEN


def test_a_response_to_another_call_does_not_count_as_the_probe() -> None:
    circuit = opened()
    circuit.note(Signal.READ_ANSWERED, circuit.probe_at - 0.5)
    early = circuit.state
    circuit.note(Signal.READ_ANSWERED, circuit.probe_at)

    assert (early, circuit.state) == (State.OPEN, State.HALF_OPEN)


def opened(at: float = 0.0) -> Circuit:
    circuit = Circuit()
    for _ in range(FAILED_WRITES):
        circuit.note(Signal.WRITE_FAILED, at)
    return circuit


steps = st.lists(st.tuples(st.sampled_from(Signal), st.floats(0.0, 100.0)), max_size=60)


def test_two_answered_reads_close_a_circuit_that_failed_reads_opened() -> None:
    circuit, states = Circuit(), []
    for signal in (Signal.READ_FAILED,) * FAILED_READS + (Signal.READ_ANSWERED,) * 2:
        circuit.note(signal, circuit.probe_at)
        states.append(circuit.state)

    assert states[-3:] == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_answered_reads_close_no_circuit_that_failed_writes_opened() -> None:
    circuit = opened()
    for _ in range(9):
        circuit.note(Signal.READ_ANSWERED, circuit.probe_at)

    assert circuit.state is State.HALF_OPEN


@given(steps)
def test_the_rules_hold_for_any_sequence_of_outcomes(steps: list[tuple[Signal, float]]) -> None:
    circuit, now, row = Circuit(), 0.0, 0
    for signal, passed in steps:
        before, now = attributes(circuit), now + passed
        circuit.note(signal, now)
        row = row + 1 if signal in FAILURES else 0 if signal is Signal.WRITE_ANSWERED else row

        if signal is Signal.WRITE_ANSWERED:
            assert circuit.state is State.CLOSED
        if circuit.state is State.OPEN and before[0] is State.CLOSED:
            assert row >= FAILED_WRITES
            assert circuit.since == now
        if before[0] is not State.CLOSED:
            assert circuit.since == before[1]
            may_close = signal is Signal.READ_ANSWERED and before[0] is State.HALF_OPEN
            may_close = may_close and not circuit.writes_fail
            assert circuit.state is not State.CLOSED or may_close or signal is Signal.WRITE_ANSWERED
        if circuit.state is State.OPEN:
            assert circuit.probe_at >= before[2] or before[0] is State.CLOSED
            assert circuit.probe_at <= now + LONGEST_INTERVAL


def attributes(circuit: Circuit) -> tuple[State, float, float]:
    return circuit.state, circuit.since, circuit.probe_at


@given(st.integers(1, 30))
def test_probe_intervals_grow_to_a_maximum_until_a_write_succeeds(failures: int) -> None:
    circuit = opened()
    intervals = [circuit.probe_at]
    for _ in range(failures):
        now = circuit.probe_at
        circuit.note(Signal.READ_FAILED, now)
        intervals.append(circuit.probe_at - now)

    assert intervals[: failures + 1] == [
        min(LONGEST_INTERVAL, FIRST_INTERVAL * 2.0**n) for n in range(failures + 1)
    ]
    circuit.note(Signal.WRITE_ANSWERED, circuit.probe_at)
    later = circuit.probe_at + 1.0
    for _ in range(FAILED_WRITES):
        circuit.note(Signal.WRITE_FAILED, later)
    assert circuit.probe_at == later + FIRST_INTERVAL


def test_failures_of_earlier_calls_do_not_lengthen_the_interval() -> None:
    circuit = opened()
    for _ in range(20):
        circuit.note(Signal.WRITE_FAILED, 0.5)

    assert circuit.probe_at == FIRST_INTERVAL


def test_a_failed_probe_opens_the_circuit_for_longer() -> None:
    circuit = opened()
    circuit.note(Signal.READ_ANSWERED, 2.0)
    circuit.note(Signal.WRITE_FAILED, 3.0)

    assert (circuit.state, circuit.probe_at) == (State.OPEN, 3.0 + 2.0 * FIRST_INTERVAL)


@pytest.mark.parametrize("effect", Effect)
def test_only_possible_outages_count_as_failures(effect: Effect) -> None:
    read = effect is Effect.SAFE
    failing = {
        FailureKind.NEVER_CONNECTED,
        FailureKind.PARTLY_SENT,
        FailureKind.UNANSWERED,
        FailureKind.SERVER_BUSY,
        FailureKind.SERVER_FAILED,
    }
    answered = Signal.READ_ANSWERED if read else Signal.WRITE_ANSWERED
    failed = Signal.READ_FAILED if read else Signal.WRITE_FAILED
    for kind in FailureKind:
        expected = failed if kind in failing else None
        if kind is FailureKind.REFUSED:
            expected = answered
        assert signal_of(effect, kind) is expected
    assert signal_of(effect, None) is answered
