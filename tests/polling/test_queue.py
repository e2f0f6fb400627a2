"""When the queue asks for its jobs, which ones it asks for, and which waiters it wakes."""

from __future__ import annotations

import math

import attrs
import pytest

from ccv2_async.polling.job import Job, State
from ccv2_async.polling.queue import JobQueue, JobWaiter, Until
from ccv2_async.polling.schedule import spacing
from ccv2_async.uploads.status import UPLOAD


@attrs.define(eq=False)
class Watched:
    """A queue of upload jobs, each with one waiter."""

    queue: JobQueue = attrs.field(factory=lambda: JobQueue(UPLOAD))
    jobs: list[Job] = attrs.field(factory=list)

    def add(self, due: float, until: Until = Until.END) -> tuple[Job, JobWaiter]:
        job = Job(UPLOAD, str(len(self.jobs)), 0.0, 0.0, due, "a.png")
        waiter = JobWaiter(until)
        self.jobs.append(job)
        self.queue.watch(job, waiter)
        return job, waiter

    def next_look(self, *, contended: bool = False) -> float:
        return self.queue.next_look(4, contended=contended)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_an_empty_queue_never_asks(watched: Watched) -> None:
    assert watched.next_look() == math.inf


def test_the_first_request_waits_only_until_a_job_is_due(watched: Watched) -> None:
    watched.add(7.0)
    watched.add(5.0)
    assert watched.next_look() == 5.0


@pytest.mark.parametrize("contended", [False, True])
def test_the_next_request_keeps_its_distance_from_the_last(
    watched: Watched, contended: bool
) -> None:
    watched.queue.typical.add(5.0)
    watched.add(10.0)
    assert len(watched.queue.take(10.0)) == 1
    watched.add(10.1)
    apart = spacing(typical=5.0, per_second=4, contended=contended)
    assert watched.next_look(contended=contended) == 10.0 + apart
    watched.queue.take(10.0)
    watched.add(60.0)
    assert watched.next_look(contended=contended) == 60.0


def test_a_full_request_is_followed_at_once_if_nobody_waits_for_the_quota(
    watched: Watched,
) -> None:
    for _ in range(UPLOAD.most + 1):
        watched.add(10.0)
    assert len(watched.queue.take(10.0)) == UPLOAD.most
    assert watched.next_look() == 10.0
    assert watched.next_look(contended=True) > 10.0


def test_a_request_that_is_not_full_is_not_followed_at_once(watched: Watched) -> None:
    for _ in range(UPLOAD.most - 1):
        watched.add(10.0)
    watched.queue.take(10.0)
    watched.add(10.0)
    assert watched.next_look() > 10.0


def test_an_urgent_job_is_asked_for_at_once_and_only_once(watched: Watched) -> None:
    job, _ = watched.add(10.0)
    watched.queue.take(10.0)
    watched.queue.hurry(job)
    assert watched.next_look(contended=True) <= 10.1
    watched.queue.take(10.1)
    watched.queue.share(job, changed=False)
    watched.queue.schedule(job, 10.2)
    assert watched.next_look() > 10.2


def test_an_urgent_job_is_asked_for_before_those_that_are_due(watched: Watched) -> None:
    for _ in range(UPLOAD.most):
        watched.add(10.0)
    job, _ = watched.add(60.0)
    watched.queue.rests_until = 30.0
    watched.queue.hurry(job)
    assert watched.next_look() <= 20.0
    assert watched.queue.take(20.0)[0] is job
    assert watched.next_look() == 30.0


def test_the_jobs_of_a_failed_request_are_asked_for_without_the_others(watched: Watched) -> None:
    queue = watched.queue
    culprit, *_ = [watched.add(10.0)[0] for _ in range(40)]
    failed, sizes = queue.take(10.0), []
    others = [watched.add(11.0)[0] for _ in range(60)]
    while queue.failed(failed):
        for job in failed:
            queue.schedule(job, 12.0)
        for _ in range(9):
            jobs = queue.take(12.0)
            assert set(jobs) <= set(others) or not set(jobs) & set(others)
            if culprit in jobs:
                break
            queue.answered(jobs, [])
            for job in jobs:
                queue.schedule(job, 20.0)
        failed = jobs
        sizes.append(len(failed))
    assert failed == [culprit]
    assert len(sizes) < 9


def test_only_failures_of_a_request_for_one_job_add_up(watched: Watched) -> None:
    first, second = (watched.add(10.0)[0] for _ in range(2))
    counts = []
    for jobs in ([first], [first], [first, second], [first, second], [second]):
        watched.queue.failed(jobs)
        counts.append((first.failures, second.failures))
    assert counts == [(1, 0), (2, 0), (1, 1), (1, 1), (1, 2)]


def test_requests_grow_again_once_the_service_answers(watched: Watched) -> None:
    for _ in range(300):
        watched.add(10.0)
    for _ in range(3):
        watched.queue.failed(watched.queue.take(10.0))
    for job in watched.jobs:
        watched.queue.schedule(job, 20.0)
    watched.queue.suspects = 1
    sizes = []
    for _ in range(9):
        jobs = watched.queue.take(20.0)
        watched.queue.answered(jobs, [])
        sizes.append(len(jobs))
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 100, 73]
    assert not any(job.failures for job in watched.jobs), "none is a suspect any more"


def test_a_job_that_was_not_in_the_response_is_asked_for_without_the_others(
    watched: Watched,
) -> None:
    for _ in range(10):
        watched.add(10.0)
    jobs = watched.queue.take(10.0)
    watched.queue.answered(jobs, jobs[:8])
    for job in jobs:
        watched.queue.schedule(job, 20.0)
    for first in range(0, 8, 2):
        assert watched.queue.take(20.0) == jobs[first : first + 2]
    assert watched.queue.take(20.0) == jobs[8:]


@pytest.mark.parametrize(
    ("until", "changed", "woken"),
    [
        (Until.LOOK, False, True),
        (Until.LOOK, True, True),
        (Until.CHANGE, False, False),
        (Until.CHANGE, True, True),
        (Until.END, True, False),
    ],
)
def test_a_look_wakes_those_that_wait_for_what_it_shows(
    watched: Watched, until: Until, changed: bool, woken: bool
) -> None:
    job, waiter = watched.add(10.0, until)
    watched.queue.share(job, changed=changed)
    assert waiter.done is woken


def test_the_end_of_a_job_wakes_everybody_and_forgets_it(watched: Watched) -> None:
    waiters = [JobWaiter(until) for until in Until]
    job, _ = watched.add(10.0)
    for waiter in waiters:
        watched.queue.watch(job, waiter)
    job.state = State.SUCCEEDED
    watched.queue.share(job, changed=True)
    assert all(waiter.done for waiter in waiters)
    assert watched.next_look() == math.inf
    watched.queue.share(job, changed=True)  # without waiters


def test_a_waiter_knows_how_long_it_still_waits(watched: Watched) -> None:
    job, waiter = watched.add(10.0)
    waiter.deadline = 30.0
    assert waiter.seconds_left(job, 12.0) == 18.0


def test_the_time_for_the_waiters_of_one_job_is_linear_in_their_number(watched: Watched) -> None:
    job, first = watched.add(1.0)
    waiters = [JobWaiter() for _ in range(100_000)]  # comparing all pairs would take minutes
    for waiter in waiters:
        watched.queue.watch(job, waiter)
    for waiter in waiters:
        watched.queue.unwatch(job, waiter)
    assert list(watched.queue.waiters[job]) == [first]
