"""The ledger: its states, their transitions, and what the next run does."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.uploads import ledger
from ccv2_async.uploads.ledger import (
    NEXT_RUN,
    TRANSITIONS,
    Action,
    BulkState,
    Entry,
    NoStore,
    action_for,
    advance,
    after_end,
    after_error,
)

if TYPE_CHECKING:
    from ccv2_async.errors import ConstantContactError

ENTRY = Entry(name="a.png", size=10, written_ns=5)
NEXT = {
    None: (Action.SEND, Action.SEND),
    BulkState.PENDING: (Action.SEND, Action.SEND),
    BulkState.SENDING: (Action.LOOK, Action.REFUSE),
    BulkState.ACCEPTED: (Action.FOLLOW, Action.REFUSE),
    BulkState.DONE: (Action.SKIP, Action.REFUSE),
    BulkState.AMBIGUOUS: (Action.LOOK, Action.REFUSE),
}


@pytest.mark.parametrize("state", NEXT, ids=str)
@pytest.mark.parametrize("changed", [{}, {"size": 11}, {"written_ns": 6}], ids=str)
def test_the_next_run_does_what_the_entry_calls_for(
    state: BulkState | None, changed: dict[str, Any]
) -> None:
    known = attrs.evolve(ENTRY, state=state) if state is not None else None
    now = attrs.evolve(ENTRY, **changed)

    assert action_for(known, now.size, now.written_ns) is NEXT[state][bool(changed)]


def test_only_a_failure_that_may_pass_is_sent_again() -> None:
    passing = attrs.evolve(ENTRY, state=BulkState.FAILED)
    final = attrs.evolve(passing, final=True)

    assert action_for(passing, 10, 5) is Action.SEND
    assert action_for(passing, 11, 5) is Action.SEND
    assert action_for(final, 10, 5) is Action.REPORT
    assert action_for(final, 11, 5) is Action.SEND  # it was mended since


def test_a_file_that_the_service_did_not_know_is_asked_for_again() -> None:
    refused = attrs.evolve(ENTRY, state=BulkState.FAILED, final=True, file_id="7", status="Failed")
    unknown = attrs.evolve(refused, status=None)

    assert action_for(refused, 10, 5) is Action.REPORT
    assert action_for(unknown, 10, 5) is Action.FOLLOW
    assert action_for(unknown, 11, 5) is Action.SEND


def test_a_file_that_was_never_started_is_sent() -> None:
    assert action_for(Entry(), 10, 5) is Action.SEND


@pytest.mark.parametrize("size", [0, 1])
def test_the_smallest_files_are_not_sent_twice(size: int) -> None:
    done = attrs.evolve(ENTRY, state=BulkState.DONE, size=size)
    assert action_for(done, size, 5) is Action.SKIP


def drawn() -> dict[tuple[str, str], list[str]]:
    """Return the rows of the table in the docstring."""
    rows = {}
    for line in (ledger.__doc__ or "").splitlines():
        words = line.split()
        if line.startswith("    ") and words and words[0] in BulkState.__members__:
            note = "final" if "(final" in line else ""
            rows[words[0], note] = [word for word in words[1:] if word.isupper()]
    return rows


def test_the_table_in_the_docstring_matches_the_code() -> None:
    rows = drawn()
    assert {state for state, _ in rows} == set(BulkState.__members__)
    for (name, note), words in rows.items():
        state = BulkState[name]
        same, changed = NEXT_RUN[state]
        if state is BulkState.FAILED and not note:
            same = Action.SEND
        assert {BulkState[word] for word in words[:-2]} == TRANSITIONS[state] - {state}
        assert [Action[word] for word in words[-2:]] == [same, changed]


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.product(BulkState, BulkState)), ids=str
)
def test_an_entry_moves_only_as_the_table_allows(before: BulkState, after: BulkState) -> None:
    entry = attrs.evolve(ENTRY, state=before)
    if after in TRANSITIONS[before]:
        assert advance(entry, after, error="why") == attrs.evolve(entry, state=after, error="why")
    else:
        with pytest.raises(ValueError, match=f"{before} cannot become {after}"):
            advance(entry, after)


def test_a_file_that_may_have_arrived_is_never_sent_blindly() -> None:
    """An entry in SENDING is sent again only if it is known to be missing, or a person says so."""
    failed = errors.TransportError("It broke.", sent="nothing")
    for state in BulkState:
        entry = attrs.evolve(ENTRY, state=state)
        if entry.may_have_arrived:
            assert action_for(after_error(entry, failed), 10, 5) is Action.LOOK


@pytest.mark.parametrize(
    ("before", "error", "after"),
    [
        ("pending", errors.FileChanged("a.png", "it grew"), "failed"),
        ("failed", errors.FileChanged("a.png", "it grew"), "failed"),
        ("sending", errors.FileChanged("a.png", "it grew"), "sending"),
        ("ambiguous", errors.FileChanged("a.png", "it grew"), "ambiguous"),
        ("sending", errors.AmbiguousUpload("?", file_name="a", folder_id="0"), "ambiguous"),
        ("ambiguous", errors.AmbiguousUpload("?", file_name="a", folder_id="0"), "ambiguous"),
    ],
)
def test_each_error_leads_to_a_state(before: str, error: ConstantContactError, after: str) -> None:
    entry = after_error(attrs.evolve(ENTRY, state=BulkState(before), final=True), error)
    assert entry.final is False
    assert (entry.state, entry.error) == (BulkState(after), error.message)


def test_the_end_at_the_service_is_final() -> None:
    accepted = attrs.evolve(ENTRY, state=BulkState.ACCEPTED, file_id="5", error="once")
    failed = errors.UploadFailed("The file is broken.", id="5", status="Failed", token="t")

    done = after_end(accepted)
    assert (done.state, done.error) == (BulkState.DONE, "")
    ended = after_end(accepted, failed)
    assert (ended.state, ended.final, ended.error) == (BulkState.FAILED, True, failed.message)


async def test_an_upload_without_a_journal_keeps_nothing_and_needs_no_token() -> None:
    store = NoStore()
    assert store.wants_tokens is False
    assert NoStore(wants_tokens=True).wants_tokens is True
    assert await store.write(ENTRY) is ENTRY
    found: Entry | None = await store.find("a.png")  # type: ignore[func-returns-value]
    assert found is None
