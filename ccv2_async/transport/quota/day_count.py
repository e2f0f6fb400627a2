"""The day's count of calls of one API key, in a file that the processes of one user share."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ccv2_async.errors import InvalidField
from ccv2_async.models.validation import is_text
from ccv2_async.secret import without_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger("ccv2_async.transport")

_PATIENCE = 2.0
"""Seconds to wait for another process that holds the lock; normally it takes a millisecond."""

_LARGEST = 1024 * 1024
"""The size in bytes of the largest file that is read. An entry takes about 60."""

_MOST_OTHERS = 100
"""The most entries of days other than that of the call that stay in the file: the newest."""


def path_of_day_count() -> Path:
    """Return the path of the file in the user's state directory, whether it exists or not.

    It is `ccv2/calls.json` below `XDG_STATE_HOME` or `~/.local/state`; on Windows below
    `LOCALAPPDATA`; on macOS below `~/Library/Application Support`.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(given):  # noqa: PTH117  # the specification ignores relative paths
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Application Support"
    else:
        base = _home() / ".local" / "state"
    return base / "ccv2" / "calls.json"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # the system does not know it, so there is no file
        return Path(os.devnull)


class DayCount:
    """How many calls were made today (UTC) with one API key, by all processes of one user.

    Pass it to `Budget.remember`. Its own thread writes each call within moments. If the file cannot
    be used, one warning is logged, and calls are counted for this process only. Each day has its
    own entry, so a process whose clock is wrong does not disturb the count of the others.

    Args:
        api_key: The application's key. The file gets a digest of it, never the key.
        service: The service that the key is for. Keys of other services are counted separately.
        path: The file; `path_of_day_count()` by default. It is created with mode 0600.

    Raises:
        InvalidField: The key is not text.
    """

    @without_arguments
    def __init__(
        self, api_key: str, *, service: str = "", path: str | os.PathLike[str] | None = None
    ) -> None:
        if not is_text(api_key) or not api_key:
            raise InvalidField("api_key", type(api_key), "it must be the key, as text")
        digest = hashlib.blake2b(api_key.encode(), key=service.encode()[:64], digest_size=16)
        self._entry = digest.hexdigest()
        self._given_path = path
        # One thread, so that writes happen in order. The interpreter waits for it at exit.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ccv2-day-count")
        self._lock = threading.Lock()
        self._unwritten: dict[int, int] = {}
        self._written: dict[int, int] = {}
        self._others: dict[int, int] = {}
        self._scheduled = False
        self._problem = ""
        self._warned = False

    async def load(self, day: int) -> None:
        """Read the calls counted on a day so far.

        Args:
            day: The day, in days since 1970 (UTC).
        """
        await self._in_turn(self._write, day)
        self._warn()

    def note(self, day: int, calls: int) -> None:
        """Add calls to a day's count; the file is written in a thread.

        Args:
            day: The day, in days since 1970 (UTC).
            calls: The number of calls; below 0 for calls that were not sent.
        """
        self._warn()
        with self._lock:
            self._unwritten[day] = self._unwritten.get(day, 0) + calls
            if self._scheduled:
                return
            self._scheduled = True
        with contextlib.suppress(RuntimeError):  # the interpreter is ending
            self._executor.submit(self._write, day)

    async def flush(self) -> None:
        """Return once all calls that were noted so far are written."""
        await self._in_turn(lambda: None)

    def of_others(self, day: int) -> int:
        """Return how many calls of a day were made earlier or by other processes."""
        return self._others.get(day, 0)

    async def _in_turn(self, work: Callable[..., None], *args: object) -> None:
        try:
            done = self._executor.submit(work, *args)
        except RuntimeError as error:  # the system starts no more threads
            self._problem = f"cannot be used ({error})"
        else:
            await asyncio.wrap_future(done)

    def _write(self, day: int) -> None:
        with self._lock:
            pending, self._unwritten, self._scheduled = self._unwritten, {}, False
        for noted, calls in ({day: 0} | pending).items():  # two days at midnight
            try:
                total = self._add(noted, calls)
            except OSError as error:
                self._problem = f"cannot be used ({error.strerror or type(error).__name__})"
                with self._lock:
                    self._unwritten[noted] = self._unwritten.get(noted, 0) + calls
            else:
                written = self._written[noted] = self._written.get(noted, 0) + calls
                self._others[noted] = max(0, total - written)

    def _add(self, day: int, calls: int) -> int:
        """Add calls to the count in the file, and return the new count."""
        path = Path(self._given_path or path_of_day_count())
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        with os.fdopen(descriptor, "r+b") as file, _locked(descriptor):
            days = self._days_in(file.read(_LARGEST + 1))
            entry = f"{self._entry}-{day}"
            total = max(0, calls + days.pop(entry, [day, 0])[1])
            if not calls:
                return total
            # A clock may be wrong, so another day's entries are dropped only if they are too many.
            others = [name for name, found in days.items() if found[0] != day]
            for name in others[:-_MOST_OTHERS]:
                del days[name]
            days[entry] = [day, total]
            content = json.dumps(days).encode()
            file.seek(0)
            file.write(content)
            file.truncate()
            return total

    def _days_in(self, content: bytes) -> dict[str, list[int]]:
        with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
            days: dict[str, list[int]] = json.loads(content or b"{}")
            if len(content) <= _LARGEST and all(
                [type(number) for number in entry] == [int, int] for entry in days.values()
            ):
                return days
        self._problem = "is damaged, so today's count starts over"
        return {}

    def _warn(self) -> None:
        """Log a problem with the file, once, in the thread of the event loop."""
        if self._problem and not self._warned:
            self._warned = True
            _log.warning(
                "%s, the file with today's count of calls, %s. Fewer calls may be left today "
                "than shown.",
                self._given_path or path_of_day_count(),
                self._problem,
                extra={"ccv2_event": "day_count_unusable"},
            )


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the lock on an open file against other processes.

    Raises:
        TimeoutError: Another process holds it for too long.
    """
    ends = time.monotonic() + _PATIENCE
    while not _try_lock(descriptor):
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.005)
    yield  # closing the file releases the lock


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 0x7FFF0000, os.SEEK_SET)  # beyond the content, which stays readable
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
