from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest
from rich.console import Console
from rich.text import Text

from ccv2_async import Budget, BulkState, errors
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.jobs import JobItem
from ccv2_async.cli.live import Board, Totals, shown
from ccv2_async.cli.output import Output
from tests.cli.conftest import environment_of
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox


class Counted(Budget):
    """A quota as the test says."""

    used: int = 5
    remaining_today: int | None = None

    def __init__(self) -> None:
        pass


class Screen:
    """A board on a terminal of a given size, at a moment that the test sets."""

    def __init__(self, items: list[JobItem], *, width: int = 100, height: int = 20) -> None:
        self.output = Output(stdout=io.StringIO(), stderr=io.StringIO())
        self.output.err = Console(
            file=io.StringIO(), width=width, height=height, force_terminal=True
        )
        self.now = 0.0
        self.quota = Counted()
        totals = Totals(items, self.quota, clock=lambda: self.now)
        self.board = Board(items, self.output, totals, clock=lambda: self.now)
        self.lines()

    def lines(self) -> list[str]:
        console = self.output.err
        with console.capture() as captured:
            console.print(self.board.draw())
        return [Text.from_ansi(line).plain.rstrip() for line in captured.get().splitlines()]

    def set(self, item: JobItem, state: BulkState, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(item, name, value)
        item.state = state
        self.board.changed(item)


def test_each_item_in_flight_has_a_line_and_the_total_has_one() -> None:
    items = [JobItem(f"{name}.png", 1_000_000) for name in "abcd"]
    screen = Screen(items)
    screen.now = 2.0
    screen.set(items[0], BulkState.SENDING, attempt=1, sent=500_000, began=0.0)
    screen.set(items[1], BulkState.SENDING, attempt=1, sent=1_000_000)
    screen.set(items[1], BulkState.ACCEPTED, status="Processing")
    screen.set(items[2], BulkState.SENDING)
    first, second, third, bar, words, speeds = screen.lines()
    assert first.split()[0] == "a.png"
    assert first.endswith("500 kB of 1.0 MB   250 kB/s sending")
    assert second.endswith("Processing")
    assert third.endswith("pending")
    assert set(bar) <= set("━╸╺")
    assert words == "0 of 4 done · 1.5 MB of 4.0 MB · 6 s to go"
    assert speeds == "0.5 files/s · 750 kB/s · 0 calls · no daily quota"


def test_the_total_line_counts_done_failed_and_the_quota_left() -> None:
    items = [JobItem(f"{name}.png", 1_000) for name in "abc"]
    screen = Screen(items)
    screen.quota.used, screen.quota.remaining_today = 12, 9_988
    screen.set(items[0], BulkState.SENDING, attempt=1)
    screen.set(items[0], BulkState.ACCEPTED)
    screen.set(items[0], BulkState.ACCEPTED, status="Processing")
    screen.set(items[0], BulkState.DONE, status="Active")
    items[1].fail(errors.NotFound("no such folder", status=404))
    screen.set(items[1], BulkState.FAILED)
    words, speeds = screen.lines()[-2:]
    assert words == "1 of 3 done · 1 failed · 1.0 kB of 2.0 kB"
    assert speeds == "7 calls · 9,988 left today"


def test_an_error_is_printed_above_the_bars_with_the_name_of_the_file() -> None:
    item = JobItem("a.png", 10)
    screen = Screen([item])
    item.fail(errors.NotFound("no such folder", status=404))
    screen.set(item, BulkState.FAILED)
    assert isinstance(screen.output.err.file, io.StringIO)
    assert "a.png: no such folder" in screen.output.err.file.getvalue()


def test_ten_thousand_items_fit_on_the_screen() -> None:
    items = [JobItem(f"{number}.png", 10) for number in range(10_000)]
    screen = Screen(items, height=12)
    for item in items[:-3]:
        screen.set(item, BulkState.SENDING)
        screen.set(item, BulkState.ACCEPTED, status="Processing")
    for item in items[-3:]:
        screen.set(item, BulkState.SENDING, attempt=1)
    lines = screen.lines()
    assert len(lines) <= 12
    assert [line.split()[0] for line in lines[:3]] == ["9997.png", "9998.png", "9999.png"]
    assert lines[-4] == "and 9,994 more on the server"


@pytest.mark.parametrize("width", [20, 36, 44, 60, 84, 120])
def test_every_line_fits_the_terminal_and_shows_name_and_state(width: int) -> None:
    items = [JobItem("a/very/long/path/to/a/picture/of/日本/menu.png", 10**9), JobItem("b.png", 1)]
    screen = Screen(items, width=width)
    screen.set(items[0], BulkState.SENDING, attempt=1, sent=10**8)
    screen.set(items[1], BulkState.ACCEPTED, status="VirusFound")
    lines = screen.lines()
    assert all(Text(line).cell_len <= width for line in lines)
    name, *_, state = lines[0].split()
    assert name.startswith("…")
    assert name.endswith("u.png")
    assert state == "sending"
    assert lines[1].startswith("b.png")
    assert lines[1].endswith("VirusFound")


def test_jobs_without_a_size_are_counted_instead() -> None:
    items = [JobItem(f"upload {number}", state=BulkState.ACCEPTED) for number in range(2)]
    screen = Screen(items)
    screen.set(items[0], BulkState.ACCEPTED)
    screen.set(items[0], BulkState.DONE, status="Active")
    assert screen.lines()[-1] == "1 of 2 done · 0 calls · no daily quota"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(9.0, "9 s"), (180.0, "3 min"), (7_500.0, "2 h 5 min")]
)
def test_the_time_left_is_rounded(seconds: float, shown: str) -> None:
    item = JobItem("a.png", 1_000_000)
    screen = Screen([item])
    screen.now = 1.0
    screen.set(item, BulkState.SENDING, attempt=1, sent=round(1_000_000 / (seconds + 1.0)))
    assert f"{shown} to go" in screen.lines()[-2]


def test_the_speed_is_measured_over_the_last_seconds() -> None:
    item = JobItem("a.png", 10_000_000)
    screen = Screen([item])
    screen.set(item, BulkState.SENDING, attempt=1, sent=0)
    for screen.now, item.sent in ((10.0, 1_000_000), (12.0, 2_000_000), (14.0, 3_000_000)):
        words = screen.lines()[-1]
    assert "500 kB/s" in words


def test_files_done_by_an_earlier_run_count_as_done_but_not_toward_the_speed() -> None:
    items = [JobItem(f"{number}.png", 1_000, earlier=number < 2) for number in range(4)]
    screen = Screen(items)
    for item in items[:2]:
        screen.set(item, BulkState.DONE, status="Active")
    screen.now = 2.0
    screen.set(items[2], BulkState.SENDING, attempt=1)
    screen.set(items[2], BulkState.DONE, status="Active")
    words, speeds = screen.lines()[-2:]
    assert words == "3 of 4 done · 2 by an earlier run · 1.0 kB of 2.0 kB · 2 s to go"
    assert speeds == "0.5 files/s · 500 B/s · 0 calls · no daily quota"


def test_after_sending_the_total_line_counts_the_files_waited_for() -> None:
    item = JobItem("a.png", 1_000)
    screen = Screen([item])
    screen.set(item, BulkState.SENDING, attempt=1)
    screen.set(item, BulkState.ACCEPTED)
    assert screen.lines()[-2] == "0 of 1 done · 1.0 kB of 1.0 kB · 1 still in progress"
    screen.set(item, BulkState.DONE)
    assert screen.lines()[-2] == "1 of 1 done · 1.0 kB of 1.0 kB"


def test_files_of_an_earlier_run_that_are_still_ahead_take_no_time() -> None:
    items = [JobItem(f"{number}.png", 1_000) for number in range(100)]
    now = 0.0
    totals = Totals(items, Counted(), finished=items[20:], clock=lambda: now)
    totals.lines()
    now = 10.0
    for item in items[:10]:
        item.state, item.attempt, item.sent = BulkState.ACCEPTED, 1, 1_000
        totals.changed(item)
    assert "10 s to go" in totals.lines()[0]
    for item in items[20:]:
        item.state, item.earlier = BulkState.DONE, True
        totals.changed(item)
    assert "10 s to go" in totals.lines()[0]
    assert "80 by an earlier run" in totals.lines()[0]


async def test_long_logs_show_failures_and_a_periodic_summary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ccv2_async.cli.live._SECONDS_BETWEEN", 0.0)
    items = [JobItem(f"{number}.png", 10) for number in range(60)]
    stderr = io.StringIO()
    output = Output(stdout=io.StringIO(), stderr=stderr)
    totals = Totals(items, Counted(), clock=lambda: 0.0)
    async with shown(items, output, totals, results_come=True) as display:
        for item in items[:5]:
            item.state = BulkState.DONE
            display.changed(item)
        items[5].fail(errors.NotFound("no such folder", status=404))
        display.changed(items[5])
        await until(lambda: "5 of 60 done" in stderr.getvalue())
        display.stop()
    said = stderr.getvalue().splitlines()
    assert said[0] == "5.png: no such folder"
    assert set(said[1:]) == {"5 of 60 done · 1 failed · 0 B of 540 B · 0 calls · no daily quota"}


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, service: Sandbox, cwd: Path, *arguments: str) -> None:
        main, side = pty.openpty()
        environment = {**os.environ, **environment_of(service), "TERM": "xterm", "COLUMNS": "100"}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(  # noqa: S603  # our own
            [sys.executable, "-m", "ccv2_async.cli", *arguments],
            stdin=side,
            stdout=side,
            stderr=side,
            env=environment,
            cwd=cwd,
        )
        os.close(side)
        self._main = os.fdopen(main, "rb", buffering=0)
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._main.close()

    def read(self, until: str | None = None) -> str:
        """Return the output up to `until`, or to the end."""
        while until is None or until.encode() not in self._seen:
            assert select.select([self._main], [], [], 20.0)[0], self._seen.decode()
            try:
                block = self._main.read(65_536)
            except OSError:  # how Linux says that the other side was closed
                block = b""
            if not block:
                break
            self._seen += block
        return self._seen.decode(errors="replace")


def test_a_real_terminal_shows_bars_and_keeps_the_table(
    service: Sandbox, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    service.admin.configure(mode="looks", looks=1)
    picture("in/[bold]a.png")
    picture("in/virus.gif")
    with Terminal(service, tmp_path, "upload", "in") as terminal:
        text = terminal.read()
        assert terminal.process.wait(timeout=20) == Exit.SOME_FAILED
    assert text.index("\x1b[?25l") < text.index("━")
    board, _, rest = text.rpartition("\x1b[?25h")
    assert "of 2 done" in board
    assert "[bold]a.png" in board
    assert "[bold]a.png" in rest
    assert "Active" in rest
    assert "VirusFound" in rest
    assert "1 of 2 files Active" in rest


def test_an_interrupted_run_restores_the_terminal_and_prints_tokens_and_table(
    service: Sandbox, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("in/stuck.gif")
    with Terminal(service, tmp_path, "upload", "in") as terminal:
        terminal.read(until="Uploaded")
        terminal.process.send_signal(signal.SIGINT)
        text = terminal.read()
        assert terminal.process.wait(timeout=20) == Exit.INTERRUPTED
    _, _, rest = text.rpartition("\x1b[?25h")
    assert rest.index("1 job of this run continues on the server") < rest.index("ccv2p1.")
    assert rest.index("ccv2p1.") < rest.index("Uploaded") < rest.index("0 of 1 file Active")
    assert "━" not in rest


def test_lines_replace_bars_when_results_share_the_terminal(
    service: Sandbox, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    picture("in/a.gif")
    with Terminal(service, tmp_path, "upload", "in", "--json") as terminal:
        text = terminal.read()
        assert terminal.process.wait(timeout=20) == Exit.OK
    assert "━" not in text
    assert "in/a.gif: Active" in text
    (line,) = [line for line in text.splitlines() if line.startswith("{")]
    assert json.loads(line)["status"] == "Active"


@pytest.mark.parametrize(("before", "after"), [(100, 60), (100, 40), (60, 100)])
def test_a_narrowed_terminal_keeps_nothing_of_the_last_frame(before: int, after: int) -> None:
    items = [JobItem(f"{name}.png", 1_000_000) for name in "ab"]
    screen = Screen(items, width=before)
    for item in items:
        screen.set(item, BulkState.SENDING, attempt=1, sent=500_000)
    *_, counts, speeds = screen.lines()
    # Two rows and the bar of all are as wide as the terminal was.
    lengths = [before, before, before, len(counts), len(speeds)]
    folded = sum((length - 1) // after for length in lengths) if after < before else 0
    screen.output.err.width = after
    for more in (folded, 0):
        with screen.output.err.capture() as captured:
            screen.board._erase_folded_lines()
        assert captured.get().count("\x1b[1A") == more
