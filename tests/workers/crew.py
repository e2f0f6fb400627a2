"""Start worker processes as a user does, by the environment alone, and kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0
"""Seconds; only a hang takes so long, on a busy machine too."""


class Crew:
    """`taskiq worker` with several worker processes, which it starts again when they die.

    Args:
        environment: The settings of the workers.
        workers: How many.
        log: Where their output goes.
    """

    def __init__(self, environment: Mapping[str, str], workers: int, log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._workers = workers
        self._log = log
        self._boss: subprocess.Popen[bytes] | None = None
        self.killed: list[int] = []

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "error", "-m", "taskiq", "worker"]
        command += ["ccv2_async.workers.app:broker", "--workers", str(self._workers)]
        with self._log.open("wb") as log:
            self._boss = subprocess.Popen(  # noqa: S603  # our own interpreter
                command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        boss, self._boss = self._boss, None
        assert boss is not None
        boss.terminate()
        try:
            boss.wait(timeout=_PATIENCE)
        finally:
            # The session was made for these processes alone.
            if self._alive(boss.pid):
                os.killpg(boss.pid, signal.SIGKILL)
            boss.wait(timeout=_PATIENCE)

    @staticmethod
    def _alive(group: int) -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        return True

    @property
    def pids(self) -> list[int]:
        """The worker processes that are alive; those that were killed stay listed for a while."""
        assert self._boss is not None
        boss = self._boss.pid
        assert self._boss.poll() is None, self.said()
        children = Path(f"/proc/{boss}/task/{boss}/children").read_text(encoding="ascii")
        return [pid for pid in map(int, children.split()) if pid not in self.killed]

    def kill(self, pid: int) -> None:
        """End one worker at once, as an out-of-memory killer does."""
        os.kill(pid, signal.SIGKILL)
        self.killed.append(pid)

    def said(self) -> str:
        """Return the output of the workers."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for_workers(self) -> None:
        """Return when all listen."""
        end = time.monotonic() + _PATIENCE
        while self.said().count("Listening started") < self._workers:
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)
