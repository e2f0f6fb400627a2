"""Run one command: its event loop, the signals that end it, and its errors as messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING

from ccv2_async.cli import process
from ccv2_async.cli.exits import Exit, exit_of, message_of
from ccv2_async.cli.output import OutputClosedError
from ccv2_async.errors import ConstantContactError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from ccv2_async.cli.output import Output

_ENDINGS: dict[int, Exit] = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}
_PATIENCE = 3.0
"""Seconds for closing everything after a signal; after that, a hanging disk is abandoned."""

_REPORT = 0.2
"""Seconds between a second signal and the end: the report of the first one is written by then."""


def run(
    command: Callable[[], Coroutine[Any, Any, Exit]],
    output: Output,
    *,
    names: Mapping[str, str] | None = None,
) -> Exit:
    """Run a command and return its exit code.

    The first SIGINT or SIGTERM cancels the command, which then reports what continues without it
    and closes everything. A second signal ends the process as soon as that report is written;
    three seconds after the first one it ends in any case, even if nobody reads its output.

    Args:
        command: The command.
        output: The streams for errors.
        names: The names of the library's arguments in this command; see `exits.message_of`.
    """
    warnings = _Warnings(output)
    logger = logging.getLogger("ccv2_async")
    logger.addHandler(warnings)
    try:
        return _run(command, output)
    except OutputClosedError:
        return Exit.CLOSED
    except ConstantContactError as error:
        output.give_up(message_of(error, names))
        return exit_of(error)
    except OSError as error:
        output.give_up(f"The operating system reported an error: {error}.")
        return Exit.SOME_FAILED
    finally:
        logger.removeHandler(warnings)


def _run(command: Callable[[], Coroutine[Any, Any, Exit]], output: Output) -> Exit:
    own_process = process.ends_quietly_on_signals()
    ended = Exit.SOME_FAILED
    ending: list[Exit] = []
    runner = asyncio.Runner()
    loop = runner.get_loop()
    task = loop.create_task(command())

    def end(number: int, _frame: object) -> None:
        # The system's timer: a write that nobody reads blocks the event loop and its timers.
        signal.setitimer(signal.ITIMER_REAL, _REPORT if ending else _PATIENCE)
        if not ending:
            ending.append(_ENDINGS[number])
            with contextlib.suppress(RuntimeError):  # it is closed: the command has ended
                loop.call_soon_threadsafe(task.cancel)

    handlers = {**dict.fromkeys(_ENDINGS, end), signal.SIGALRM: lambda *_: os._exit(ending[0])}
    try:
        with contextlib.ExitStack() as undo:
            with contextlib.suppress(ValueError):  # outside the main thread, they are not ours
                for number, handler in handlers.items():
                    undo.callback(signal.signal, number, signal.signal(number, handler))
                undo.callback(signal.setitimer, signal.ITIMER_REAL, 0)
            with runner:
                runner.run(asyncio.wait({task}))
                interrupted = ending and task.cancelled()
                ended = output.ended(ending[0] if interrupted else task.result())
    finally:
        if own_process:
            process.end_at_once_on_signals(ended)
    return ended


class _Warnings(logging.Handler):
    """Shows the library's warnings as messages of the command."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.say(record.getMessage(), style="yellow")
