"""A run that is cancelled at any point is continued. Nothing is fetched twice or left half done."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import verify_backup
from ccv2_async.backup import run as run_module
from ccv2_async.backup.journal import Journal
from ccv2_async.transport.files.threads import FileThreads
from tests.backup.conftest import digests, held, lines

if TYPE_CHECKING:
    from pathlib import Path

    from ccv2_async.client import ConstantContact
    from ccv2_async.sandbox import Sandbox

# Between two points of one run, a few steps of other tasks may pass.
_STEP = 41


class _Point(Exception):
    """The run reached the point at which it is cancelled."""


async def _cancelled_at(
    cc: ConstantContact, directory: Path, monkeypatch: pytest.MonkeyPatch, point: int, *, late: bool
) -> bool:
    """Cancel a backup before or after the n-th thread call; return whether it got there."""
    original = FileThreads.run
    task = asyncio.ensure_future(cc.backup(directory))
    count = 0

    async def counted(self: FileThreads, work: Any, *args: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        here = count == point
        if here and not late:
            task.cancel()
        outcome = await original(self, work, *args, **options)
        if here and late:
            task.cancel()  # it hears of it where it waits next
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr(FileThreads, "run", counted)
        await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None
    return task.cancelled()


@pytest.mark.parametrize("late", [False, True])
async def test_a_cancelled_run_is_continued(
    demo: Sandbox,
    cc: ConstantContact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    late: bool,
) -> None:
    point = 1
    while True:
        directory = tmp_path / str(point)
        before = len(demo.admin.requests())
        cut = await _cancelled_at(cc, directory, monkeypatch, point, late=late)
        result = await cc.backup(directory)
        assert digests(directory) == held(demo)
        assert result.rows["contacts"] == len(lines(directory / "contacts.jsonl")) == 120
        assert result.rows["tracking"] == len(lines(directory / "tracking.jsonl"))
        assert (await verify_backup(directory)).faults == ()
        assert not list((directory / ".ccv2-parts").iterdir())
        assert not [*directory.rglob("*.part")]
        if not cut:
            break
        asked = Counter((entry.path, str(entry.query)) for entry in demo.admin.requests()[before:])
        # What was on its way when the run was cancelled is asked for once more.
        twice = [what for what, times in asked.items() if times > 1]
        assert len(twice) <= 2 * run_module.AT_ONCE, twice
        assert max(asked.values()) <= 2
        point += _STEP
    assert point > 3 * _STEP


async def test_a_run_that_is_cancelled_again_and_again_completes(
    demo: Sandbox, cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = 1
    while await _cancelled_at(cc, tmp_path, monkeypatch, 100, late=bool(runs % 2)):
        runs += 1
        assert runs < 60
    assert runs > 2
    assert digests(tmp_path) == held(demo)
    assert (await verify_backup(tmp_path)).faults == ()
    asked = Counter((entry.path, str(entry.query)) for entry in demo.admin.requests())
    assert sum(asked.values()) - len(asked) <= 2 * run_module.AT_ONCE * runs
    downloads = Counter(entry.path for entry in demo.admin.downloads())
    assert sum(downloads.values()) - len(downloads) <= run_module.AT_ONCE * runs


async def test_a_cancellation_while_the_journal_closes_is_not_lost(
    cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Journal.close
    closing, closed = threading.Event(), threading.Event()

    def slowly(journal: Journal) -> None:
        closing.set()
        closed.wait(30)
        close(journal)

    monkeypatch.setattr(Journal, "close", slowly)
    running = asyncio.create_task(cc.backup(tmp_path))
    assert await asyncio.to_thread(closing.wait, 30)
    running.cancel()
    await asyncio.sleep(0)
    closed.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    monkeypatch.undo()
    assert (await cc.backup(tmp_path)).failed == ()


async def test_a_run_that_is_cancelled_twice_while_it_begins_leaves_the_directory_free(
    cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, opening, go_on = Journal.open, threading.Event(), threading.Event()

    def slowly(directory: str) -> Journal:
        opening.set()
        go_on.wait(20)
        return original(directory)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "open", slowly)
        task = asyncio.ensure_future(cc.backup(tmp_path))
        await asyncio.to_thread(opening.wait, 20)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.wait([task])
    assert task.cancelled()
    await cc.backup(tmp_path)
