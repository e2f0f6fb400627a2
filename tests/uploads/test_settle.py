"""The rules after a lost response: which file counts as the upload, and what to do next."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.models import LibraryFile
from ccv2_async.uploads.settle import (
    AFTER_RESEND,
    BEFORE_RESEND,
    CLOSE_IN_TIME,
    EXACT,
    After,
    Before,
    Evidence,
    Step,
    Window,
    could_be,
    in_order,
    judge_before,
    look_delays,
    same_name,
    step_for,
)

DISTANCES = st.sampled_from([0.0, EXACT, EXACT + 1, CLOSE_IN_TIME, CLOSE_IN_TIME + 1, 3600.0])
FILES = st.dictionaries(
    st.integers(1, 30).map(str), st.tuples(st.sampled_from(Evidence), DISTANCES), max_size=6
)


@given(FILES, st.integers(1, 3))
def test_only_files_with_the_same_bytes_are_adopted(
    files: dict[str, tuple[Evidence, float]], sends: int
) -> None:
    finding, ids = judge(files, sends)
    if finding in (Before.OURS, Before.FEWER):
        assert 1 <= len(ids) <= sends
        assert {files[id_][0] for id_ in ids} == {Evidence.SAME_BYTES}
        assert max(files[id_][1] for id_ in ids) <= CLOSE_IN_TIME


@given(FILES, st.integers(1, 3))
def test_a_possible_match_never_counts_as_absent(
    files: dict[str, tuple[Evidence, float]], sends: int
) -> None:
    finding, _ = judge(files, sends)
    others = {known for known, _ in files.values()} <= {Evidence.OTHER_BYTES}
    assert (finding is Before.NOTHING) == others


def judge(files: dict[str, tuple[Evidence, float]], sends: int) -> tuple[Before, tuple[str, ...]]:
    evidence = {id_: known for id_, (known, _) in files.items()}
    return judge_before(evidence, {id_: at for id_, (_, at) in files.items()}, sends)


def test_nothing_is_resent_before_the_settling_time_is_over() -> None:
    for finding in Before:
        assert step_for(BEFORE_RESEND, finding, settled=False) is not Step.SEND_AGAIN
    assert [f for f in Before if step_for(BEFORE_RESEND, f, settled=True) is Step.SEND_AGAIN] == [
        Before.NOTHING
    ]


def test_every_finding_leads_to_a_final_step() -> None:
    assert set(BEFORE_RESEND) == set(Before)
    assert set(AFTER_RESEND) == set(After)
    for table in (BEFORE_RESEND, AFTER_RESEND):
        assert all(settled is not Step.LOOK_AGAIN for _, settled in table.values())


def test_equal_files_from_the_time_of_sending_are_preferred() -> None:
    files = {"4": (Evidence.SAME_BYTES, 50.0), "5": (Evidence.SAME_BYTES, 1.0)}
    assert judge(files, sends=1) == (Before.OURS, ("5",))
    assert judge(files, sends=2) == (Before.OURS, ("4", "5"))
    files["6"] = (Evidence.SAME_BYTES, 0.0)
    assert judge(files, sends=1) == (Before.TOO_MANY, ("5", "6"))


def test_files_exactly_at_the_limits_of_time_count() -> None:
    assert judge({"4": (Evidence.SAME_BYTES, CLOSE_IN_TIME)}, sends=1) == (Before.OURS, ("4",))
    files = {"4": (Evidence.SAME_BYTES, EXACT), "5": (Evidence.SAME_BYTES, EXACT + 1)}
    assert judge(files, sends=1) == (Before.OURS, ("4",))


@given(st.floats(0.0, 1000.0))
def test_the_last_look_comes_at_the_end_of_the_settling_time(settle_time: float) -> None:
    delays = look_delays(settle_time)
    assert delays[-1] == settle_time
    assert list(delays) == sorted(set(delays))


def test_ids_are_ordered_numerically() -> None:
    assert in_order(["1000", "999", "1001"]) == ("999", "1000", "1001")


def test_the_time_distance_is_zero_in_the_window_or_without_a_date() -> None:
    window = Window(since=100.0, until=110.0, reach=50.0)

    def at(seconds: float) -> LibraryFile:
        return LibraryFile("1", "a.pdf", created_date=datetime.fromtimestamp(seconds, UTC))

    assert [window.distance(at(t)) for t in (90.0, 100.0, 105.0, 110.0, 115.0)] == [10, 0, 0, 0, 5]
    assert window.distance(LibraryFile("1", "a.pdf")) == 0.0
    assert [window.is_before(at(t)) for t in (49.0, 50.0, 200.0)] == [True, False, False]
    assert not window.is_before(LibraryFile("1", "a.pdf"))


@pytest.mark.parametrize(
    ("name", "size", "sent", "possible"),
    [
        ("a.pdf", 3, 3, True),
        ("a.pdf", None, 3, True),
        ("a.pdf", 4, 3, False),
        ("a.pdf", 4, None, True),
        ("b.pdf", 3, 3, False),
    ],
)
def test_name_and_size_select_the_files_to_compare(
    name: str, size: int | None, sent: int | None, possible: bool
) -> None:
    assert could_be(LibraryFile("1", name, size=size), "a.pdf", sent) is possible


@pytest.mark.parametrize("sent", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["Menü.pdf", "é(1).png", "Å.gif"])
def test_names_are_equal_in_either_unicode_form(sent: str, stored: str, name: str) -> None:
    normal = unicodedata.normalize
    assert same_name(normal(sent, name), normal(stored, name))  # type: ignore[arg-type]  # a form


@pytest.mark.parametrize(
    ("sent", "found", "same"),
    [
        ("a.pdf", "a.pdf", True),
        ("a.pdf", "a(1).pdf", True),
        ("a.pdf", "a (12).pdf", True),
        ("a(1).pdf", "a(1)(2).pdf", True),
        ("a .pdf", "a (1).pdf", True),
        ("a\nb.pdf", "a\nb(1).pdf", True),
        ("a.pdf", "a(12345).pdf", False),
        ("a.pdf", "a().pdf", False),
        ("a.pdf", "A.pdf", False),
        ("a.pdf", "axpdf", False),
        ("a.b.pdf", "a.b(1).pdf", True),
        ("a+b.pdf", "aab.pdf", False),
        ("noextension", "noextension(1)", True),
        ("noextension", "(1)noextension", False),
    ],
)
def test_a_name_may_have_been_numbered_by_the_service(sent: str, found: str, same: bool) -> None:
    assert same_name(sent, found) is same


def test_fewer_copies_than_were_sent_are_adopted_at_the_end_of_settling() -> None:
    files = {"4": (Evidence.SAME_BYTES, 0.0)}
    assert judge(files, sends=2) == (Before.FEWER, ("4",))
    assert step_for(BEFORE_RESEND, Before.FEWER, settled=False) is Step.LOOK_AGAIN
    assert step_for(BEFORE_RESEND, Before.FEWER, settled=True) is Step.ADOPT
