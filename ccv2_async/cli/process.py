"""Prepare the process: its standard streams, and what a signal does before and after a command.

While a command talks to the service, `running` handles the signals.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_STANDARD = (0, 1, 2)
_ENDING = (signal.SIGINT, signal.SIGTERM)
_SIGNALED = 128


def occupy_standard_streams() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise the next file or socket would get the stream's number, and whatever a library writes
    to "stderr" would end up in it.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)


def end_quietly_on_signals() -> None:
    """Let SIGINT and SIGTERM end the process with a short message, while nothing has been sent."""
    _handle(_end_quietly)


def ends_quietly_on_signals() -> bool:
    """Return whether `end_quietly_on_signals` is in force: the process is the command's own."""
    return signal.getsignal(signal.SIGINT) is _end_quietly


def end_at_once_on_signals(code: int) -> None:
    """Let SIGINT and SIGTERM end the process with `code`: the command has reported everything."""
    _handle(lambda _number, _frame: os._exit(code))
    # Python removes its handlers while it shuts down, and a signal would change the exit code.
    atexit.register(_handle, signal.SIG_IGN)


def write_error(sentence: str) -> None:
    """Write one line to stderr, or to stdout if there is no stderr."""
    for stream in (sys.stderr, sys.stdout):
        # Written to the descriptor: a signal may have interrupted a write to the stream itself.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.write(stream.fileno(), f"{sentence}\n".encode())
            return


def _end_quietly(number: int, _frame: FrameType | None) -> None:
    write_error("Interrupted; nothing was sent.")
    os._exit(_SIGNALED + number)


def _handle(handler: signal._HANDLER) -> None:
    for number in _ENDING:
        # Only the main thread may set a handler; elsewhere signals belong to the application.
        with contextlib.suppress(ValueError):
            signal.signal(number, handler)
