"""The estimated time left of a bulk upload."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async.uploads.many.progress import Pace
from ccv2_async.uploads.many.results import BulkProgress

PROCESSING = 8.0


@attrs.frozen
class Course:
    """Files that are sent at a steady rate, and are done `PROCESSING` seconds later.

    Attributes:
        total: The number of files.
        per_second: How many are sent per second.
        begins: When the first one starts to be sent.
        earlier: How many of the total were settled before that.
        sending: How many are sent at the same time.
    """

    total: int
    per_second: float
    begins: float = 0.0
    earlier: int = 0
    sending: int = 8

    @property
    def ends(self) -> float:
        return self.begins + (self.total - self.earlier) / self.per_second + PROCESSING

    def left_at(self, moment: float) -> float | None:
        """Return the progress that is reported at a moment."""
        pace = Pace()
        to_send = self.total - self.earlier
        sent = min(to_send, int((moment - self.begins) * self.per_second + 1e-9))
        pace.begin(self.begins)
        for number in range(1, sent + 1):
            pace.sent(self.begins + number / self.per_second)
        ended = max(0, min(to_send, int((moment - PROCESSING - self.begins) * self.per_second)))
        progress = BulkProgress(
            seen=self.total,
            total=self.total,
            sending=min(self.sending, to_send - sent),
            processing=sent - ended,
            done=self.earlier + ended,
            earlier=self.earlier,
            elapsed=moment,
        )
        return pace.seconds_left(progress, moment)


@given(
    st.builds(
        Course,
        total=st.integers(300, 3000),
        per_second=st.floats(2.0, 50.0),
        begins=st.floats(0.0, 30.0),
        earlier=st.integers(0, 250),
        sending=st.integers(1, 16),
    ),
    st.floats(0.0, 0.9),
)
def test_the_first_estimate_is_about_right(course: Course, part: float) -> None:
    first = course.begins + (course.sending + 1) / course.per_second
    moment = first + part * (course.ends - PROCESSING - first)

    left = course.left_at(moment)

    assert left is not None
    # The next file may be almost sent, which is much if there are few. And at first, nobody knows
    # how long the service will take to process the last ones.
    counted = min(100.0, (moment - course.begins) * course.per_second - 1)
    truth = course.ends - moment
    assert abs(left - truth) <= truth * (1 / counted + 0.01) + PROCESSING + 1.0


def test_no_estimate_is_given_before_the_first_round_is_sent() -> None:
    course = Course(total=1000, per_second=4.0, sending=8)

    assert course.left_at(1.75) is None
    assert course.left_at(2.0) == pytest.approx(250.0, rel=0.1)


def test_a_fast_start_is_forgotten() -> None:
    pace = Pace()
    pace.begin(0.0)
    for number in range(1000):
        pace.sent(number * 0.01)
    for number in range(100):
        pace.sent(10.0 + number)

    left = pace.seconds_left(BulkProgress(total=2100, done=1100), 109.0)

    assert left == pytest.approx(1000.0, rel=0.05)


def test_a_pause_lengthens_the_estimate() -> None:
    pace = Pace()
    pace.begin(0.0)
    for number in range(1, 11):
        pace.sent(float(number))
    progress = BulkProgress(total=20, done=10)

    assert pace.seconds_left(progress, 10.0) == pytest.approx(10.0)
    assert pace.seconds_left(progress, 40.0) == pytest.approx(40.0)


def test_without_sending_the_estimate_counts_settled_files() -> None:
    pace = Pace()
    followed = BulkProgress(total=30, done=12, earlier=2, processing=18, elapsed=5.0)

    assert pace.seconds_left(followed, 5.0) == pytest.approx(9.0)


def test_there_is_no_estimate_without_a_total_and_zero_at_the_end() -> None:
    pace = Pace()
    pace.begin(0.0)
    pace.sent(1.0)

    assert pace.seconds_left(BulkProgress(done=1), 1.0) is None
    assert pace.seconds_left(BulkProgress(total=1, done=1), 1.0) == 0.0
    assert Pace().seconds_left(BulkProgress(total=0), 0.0) == 0.0
    assert Pace().seconds_left(BulkProgress(total=1), 1.0) is None
