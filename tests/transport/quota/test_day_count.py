"""The count of the day's calls, kept in a file."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ccv2_async.errors import DailyQuotaExceeded, InvalidField
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import DAY, Budget
from ccv2_async.transport.quota.day_count import DayCount, path_of_day_count
from tests.support.clocks import NOON, ManualClock
from tests.support.exposure import texts_of

if TYPE_CHECKING:
    from pathlib import Path

KEY = "the-key-of-the-application"


async def budget_on(path: Path, clock: ManualClock | None = None, per_day: int = 100) -> Budget:
    budget = Budget(None, per_day, clock=clock)
    await budget.remember(DayCount(KEY, path=path))
    return budget


async def use(budget: Budget, calls: int) -> None:
    for _ in range(calls):
        await budget.acquire(Lane.BULK)
    assert budget._day_count is not None
    await budget._day_count.load(budget._day)


async def test_a_later_run_knows_the_calls_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "state" / "calls.json"
    first = await budget_on(path)
    await use(first, 7)
    first.give_back()
    await use(first, 0)
    second = await budget_on(path)
    assert (first.remaining_today, second.remaining_today, second.used_today) == (94, 94, 0)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KEY not in path.read_text("utf-8")


async def test_a_daily_quota_used_up_by_earlier_runs_is_used_up(tmp_path: Path) -> None:
    await use(await budget_on(tmp_path / "calls.json", per_day=3), 3)
    with pytest.raises(DailyQuotaExceeded):
        await (await budget_on(tmp_path / "calls.json", per_day=3)).acquire(Lane.BULK)


async def test_each_key_service_and_day_has_its_own_count(tmp_path: Path) -> None:
    path, clock = tmp_path / "calls.json", ManualClock()
    budget = await budget_on(path, clock)
    await use(budget, 5)
    for other in (DayCount("other", path=path), DayCount(KEY, service="http://x", path=path)):
        elsewhere = Budget(None, 100, clock=clock)
        await elsewhere.remember(other)
        assert elsewhere.remaining_today == 100
    await clock.advance(DAY)
    assert budget.remaining_today == 100
    await use(budget, 1)
    assert (await budget_on(path, clock)).remaining_today == 99


async def test_calls_of_a_day_that_begins_before_the_file_is_written_count(tmp_path: Path) -> None:
    path, clock, free = tmp_path / "calls.json", ManualClock(), threading.Event()
    budget = await budget_on(path, clock)
    assert budget._day_count is not None
    budget._day_count._executor.submit(free.wait, 10)  # as if another process held the lock
    await budget.acquire(Lane.BULK)
    await clock.advance(DAY)
    await budget.acquire(Lane.BULK)
    free.set()
    await budget._day_count.flush()
    assert (await budget_on(path, clock)).remaining_today == 99


@pytest.mark.parametrize("ahead", [DAY, 365 * DAY, -DAY])
async def test_a_process_with_a_wrong_clock_leaves_the_counts_of_today(
    ahead: float, tmp_path: Path
) -> None:
    path, right, wrong = tmp_path / "calls.json", ManualClock(), ManualClock(epoch=NOON + ahead)
    other = Budget(None, 100, clock=right)
    await other.remember(DayCount("other", path=path))
    await use(other, 4)
    await use(await budget_on(path, right), 6)
    for calls in (1, 2):
        await use(await budget_on(path, wrong), calls)
        await use(await budget_on(path, right), calls)
    assert (await budget_on(path, right)).remaining_today == 91
    assert (await budget_on(path, wrong)).remaining_today == 97
    again = Budget(None, 100, clock=right)
    await again.remember(DayCount("other", path=path))
    assert again.remaining_today == 96


async def test_a_clock_that_is_ahead_for_a_moment_loses_no_count(tmp_path: Path) -> None:
    path, clock, free = tmp_path / "calls.json", ManualClock(), threading.Event()
    await use(await budget_on(path, clock), 5)
    budget = await budget_on(path, clock)
    await use(budget, 3)
    assert budget._day_count is not None
    budget._day_count._executor.submit(free.wait, 10)  # as if another process held the lock
    await budget.acquire(Lane.BULK)
    clock.suspend(365 * DAY)
    await budget.acquire(Lane.BULK)
    clock.suspend(-365 * DAY)
    await budget.acquire(Lane.BULK)
    free.set()
    await budget._day_count.flush()
    assert budget.remaining_today == 90
    assert (await budget_on(path, clock)).remaining_today == 90


async def test_entries_of_other_days_are_dropped_once_they_are_many(tmp_path: Path) -> None:
    path, clock = tmp_path / "calls.json", ManualClock()
    budget = await budget_on(path, clock)
    for _ in range(110):
        await use(budget, 1)
        await clock.advance(DAY)
    await use(budget, 1)
    days = sorted(day for day, _ in json.loads(path.read_text("utf-8")).values())
    assert days == [*range(days[-1] - 100, days[-1] + 1)]


COUNTING = """
import asyncio, sys
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import Budget
from ccv2_async.transport.quota.day_count import DayCount

async def main():
    budget = Budget(None, None)
    await budget.remember(DayCount(sys.argv[1], path=sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(200):
        await budget.acquire(Lane.BULK)
        await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_concurrent_processes_lose_no_count(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    processes = [
        subprocess.Popen(  # noqa: ASYNC220, S603  # our own interpreter
            [sys.executable, "-c", COUNTING, KEY, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (await budget_on(path, per_day=10_000)).remaining_today == 10_000 - 600


@pytest.mark.parametrize(
    "content", [b"\xff\x00", b"[]", b'{"a": [1]}', b'{"a": ["x", 2]}', b"{", b"[" * 5_000]
)
async def test_a_damaged_file_is_reported_once_and_restarted(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "calls.json"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        budget = await budget_on(path)
        await use(budget, 3)
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    assert (await budget_on(path)).remaining_today == 97


async def test_an_unwritable_file_is_reported_once_and_calls_continue(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        budget = await budget_on(tmp_path / "file" / "calls.json")
        await use(budget, 3)
    (record,) = caplog.records
    assert "cannot be used" in record.getMessage()
    assert budget.remaining_today == 97


async def test_the_file_is_never_accessed_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    real = DayCount._add

    def add(self: DayCount, day: int, calls: int) -> int:
        threads.add(threading.current_thread().name)
        return real(self, day, calls)

    monkeypatch.setattr(DayCount, "_add", add)
    await use(await budget_on(tmp_path / "calls.json"), 3)
    assert threads
    assert all(name.startswith("ccv2-day-count") for name in threads)


def test_the_file_is_in_the_state_directory_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert path_of_day_count() == tmp_path / "ccv2" / "calls.json"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of_day_count() == tmp_path / ".local" / "state" / "ccv2" / "calls.json"


async def test_calls_continue_if_the_home_directory_is_not_known(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unknown(_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", classmethod(unknown))
    budget = Budget(None, 100)
    await budget.remember(DayCount(KEY))
    await use(budget, 1)
    assert caplog.text.count("cannot be used") == 1


async def test_calls_continue_if_the_system_starts_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    budget, count = Budget(None, 100), DayCount(KEY, path=tmp_path / "calls.json")
    await budget.remember(count)
    await use(budget, 1)
    await count.flush()
    assert caplog.text.count("cannot be used (can't start new thread)") == 1


@pytest.mark.parametrize("ending", ["\ud800", None])
def test_a_key_that_is_no_text_is_refused_and_not_shown(ending: str | None) -> None:
    with pytest.raises(InvalidField, match="must be the key, as text") as caught:
        DayCount(ending and KEY + ending)  # type: ignore[arg-type]
    assert not any(KEY in text for text in texts_of(caught.value))
