"""How soon completions can be noticed, and at what cost: `python -m benchmarks.notice`.

Status requests and uploads share one quota, so the calls per file and the time until a completion
is noticed cannot both shrink. Let the quota be R calls per second, and let a run use `1 + x` calls
per file: one for the upload, and `x` for its share of the status requests. While uploads use the
whole quota, R / (1 + x) files are completed and R x / (1 + x) status requests are made per second.
Each request reports the completions since the previous one, 1 / x on average. Even a client that
knows when each file is completed, and asks at every (1 / x)th completion, makes the first of them
wait for the last:

- half of the completions are noticed after more than `(1 / x - 1) (1 + x) / (2 R)` seconds,
- one in twenty after more than `0.95 (1 / x - 1) (1 + x) / R` seconds.

At 4 calls per second and 1.04 calls per file, that is 3.12 s and 5.93 s. A client that knows only
how long files usually take has to expect completions at an even rate, so it does best with requests
at equal intervals of `(1 + x) / (R x)` seconds, 6.5 s here. That gives 3.25 s and 6.18 s. So a
client cannot have both 1.04 calls per file and a median of 3 s. This client asks every 5.8 s: 1.045
calls per file while uploads wait, with 2.91 s and 5.52 s. The looks after the last upload are
extra, but they use quota that nothing else needs.

The picture compares:

- *fixed*: a request every n seconds,
- *knows the distribution*: a request whenever n completions are expected,
- *told*: a request at every nth completion; no client can do better,
- *ours*: `upload_many`, with several values of `POLL_SHARE`; the default is circled.

In a second picture, a tenth of the files take ten times as long. In a third, five processes share
the key. Each knows only its own files and makes its own requests, so the same delay takes five
times as many. Workers share one queue of jobs, so they make the requests of one process.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import attrs

from benchmarks.quota import RESULTS, Load, simulate
from ccv2_async.polling import schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FILES = 1000
PER_SECOND = 4
PROCESSES = 5
SIGMA = 0.6
SHARES = (0.02, 0.03, 0.043, 0.06, 0.09, 0.14)
SECONDS_APART = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
ENDS = (8, 12, 16, 24, 32, 48)


@attrs.frozen
class Times:
    """How long files take: a log-normal distribution, with some that take ten times as long.

    Attributes:
        name: A title for the picture.
        seconds: The median.
        slow: If it is n, one file in n takes ten times as long; 0 for none.
    """

    name: str
    seconds: float
    slow: int = 0

    def draw(self, files: int) -> list[float]:
        """Return the seconds of each file."""
        chance = random.Random(1)  # simulated durations
        return [
            chance.lognormvariate(math.log(self.seconds), SIGMA)
            * (10 if self.slow and n % self.slow == 0 else 1)
            for n in range(files)
        ]

    def done_by(self, age: float) -> float:
        """Return the share of files that take at most `age` seconds."""
        share = 1 / self.slow if self.slow else 0.0
        return (1 - share) * self._one(age) + share * self._one(age / 10)

    def _one(self, age: float) -> float:
        if age <= 0:
            return 0.0
        return 0.5 * math.erfc(-math.log(age / self.seconds) / (SIGMA * math.sqrt(2)))


EVEN = Times("usual times", 8.0)
SKEWED = Times("a tenth take ten times as long", 6.0, slow=10)


@attrs.frozen
class Point:
    """The result of a rule.

    Attributes:
        calls: Calls per file.
        late: Seconds until each completion was noticed, sorted.
    """

    calls: float
    late: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.late)

    @property
    def p95(self) -> float:
        return self.late[int(0.95 * len(self.late))]


@attrs.define
class Waiting:
    """The files of one process that are not known to be completed.

    Attributes:
        times: How long files usually take.
        uploaded: When each of them was uploaded.
        ends: When each of them is really completed.
        last_look: When the last status request was made.
    """

    times: Times
    uploaded: list[float] = attrs.field(factory=list)
    ends: list[float] = attrs.field(factory=list)
    last_look: float = 0.0

    def ended(self, now: float) -> int:
        """Return how many are really completed."""
        return sum(end <= now for end in self.ends)

    def expected(self, now: float) -> float:
        """Return how many have probably been completed since the last request."""
        total = 0.0
        for start in self.uploaded:
            before = self.times.done_by(self.last_look - start)
            total += (self.times.done_by(now - start) - before) / max(1.0 - before, 1e-9)
        return total

    def look(self, now: float) -> list[float]:
        """Ask for all, and return how late each completion is noticed."""
        late = [now - end for end in self.ends if end <= now]
        left = [(s, e) for s, e in zip(self.uploaded, self.ends, strict=True) if e > now]
        self.uploaded, self.ends = [s for s, _ in left], [e for _, e in left]
        self.last_look = now
        return late


def fixed(seconds: float) -> Callable[[Waiting, float], bool]:
    """Ask at equal intervals."""
    return lambda waiting, now: now - waiting.last_look >= seconds


def expecting(ends: float) -> Callable[[Waiting, float], bool]:
    """Ask when this many completions are expected, or half of the files that are left."""
    return lambda waiting, now: waiting.expected(now) >= min(ends, len(waiting.ends) / 2)


def told(ends: int) -> Callable[[Waiting, float], bool]:
    """Ask when this many files are completed, or all that are left."""
    return lambda waiting, now: waiting.ended(now) >= min(ends, len(waiting.ends))


def play(
    rule: Callable[[Waiting, float], bool], times: Times, processes: int = 1, files: int = FILES
) -> Point:
    """Apply a rule to a run in which each slot of the quota is an upload or a request."""
    all_waiting = [Waiting(times) for _ in range(processes)]
    takes = times.draw(files)
    slot, uploads, looks = 0, 0, 0
    late: list[float] = []
    while uploads < files or any(waiting.ends for waiting in all_waiting):
        now = slot / PER_SECOND
        slot += 1
        asking = [waiting for waiting in all_waiting if waiting.ends and rule(waiting, now)]
        if asking:
            late += min(asking, key=lambda waiting: waiting.last_look).look(now)
            looks += 1
        elif uploads < files:
            waiting = all_waiting[uploads % processes]
            waiting.uploaded.append(now)
            waiting.ends.append(now + takes[uploads])
            uploads += 1
    return Point(1 + looks / files, sorted(late))


def ours(share: float, times: Times, processes: int = 1) -> Point:
    """Run `upload_many` with a `POLL_SHARE`."""
    load = Load(FILES, PER_SECOND, seconds=times.seconds, slow=times.slow, processes=processes)
    with mock.patch.object(schedule, "POLL_SHARE", share):
        outcome = simulate(load, "ours")
    return Point(outcome.calls_per_file(load), sorted(outcome.late))


def main() -> None:
    """Draw the pictures, and print the result of the default."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.notice",
        description="Draw how soon completions are noticed, and at what cost in calls.",
    )
    parser.add_argument("--picture", type=Path, default=RESULTS / "notice.png")
    options = parser.parse_args()
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    scenes = [(EVEN, 1), (SKEWED, 1), (EVEN, PROCESSES)]
    figure, rows = plt.subplots(2, len(scenes), figsize=(13, 7.5), sharex="col")
    for column, (times, processes) in enumerate(scenes):
        curves = {
            "fixed": [play(fixed(seconds), times, processes) for seconds in SECONDS_APART],
            "knows the distribution": [play(expecting(n), times, processes) for n in ENDS],
            "told": [play(told(n), times, processes) for n in ENDS],
            "ours": [ours(share, times, processes) for share in SHARES],
        }
        title = times.name if processes == 1 else f"{processes} processes of one key"
        default = curves["ours"][SHARES.index(schedule.POLL_SHARE)]
        print(
            f"{title}: {default.calls:.3f} calls per file, noticed after {default.median:.2f} s "
            f"(95%: {default.p95:.2f} s)"
        )
        for axes, figure_name in zip(rows[:, column], ("median", "p95"), strict=True):
            for name, points in curves.items():
                axes.plot(
                    [point.calls for point in points],
                    [getattr(point, figure_name) for point in points],
                    marker="o",
                    markersize=4,
                    label=name,
                )
            axes.plot(
                default.calls,
                getattr(default, figure_name),
                "o",
                markersize=13,
                markerfacecolor="none",
                color="black",
            )
            axes.grid(visible=True, alpha=0.3)
            axes.set_ylim(bottom=0)
        rows[0, column].set_title(title)
        rows[1, column].set_xlabel("calls per file, upload to Active")
    rows[0, 0].set_ylabel("seconds until noticed, median")
    rows[1, 0].set_ylabel("seconds until noticed, 95%")
    rows[0, 0].legend()
    figure.tight_layout()
    figure.savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
