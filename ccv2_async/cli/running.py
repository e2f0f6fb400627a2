"""One run of a command: its event loop, the signals that end it, and its errors as sentences."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING

from ccv2_async.cli.exits import Exit, exit_of
from ccv2_async.cli.output import OutputClosedError
from ccv2_async.cli.wording import reworded, told
from ccv2_async.errors import ConstantContactError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from ccv2_async.cli.output import Output

__all__ = ["run"]

_ENDINGS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}
_PATIENCE = 3.0
"""Seconds for closing everything after a signal; a disk that hangs is left behind then."""


def run(
    command: Callable[[], Coroutine[Any, Any, Exit]],
    output: Output,
    *,
    names: Mapping[str, str] | None = None,
) -> Exit:
    """The exit code of a command that talks to the service.

    The first SIGINT or SIGTERM cancels it, so that it can say what goes on without it and close
    everything; a second one, or three seconds, end the process on the spot.

    Args:
        command: What is to be done.
        output: Where errors are told.
        names: What this command calls arguments of the library; see `wording.told`.
    """
    teller = _Teller(output)
    logger = logging.getLogger("ccv2_async")
    logger.addHandler(teller)
    try:
        return asyncio.run(_guarded(command))
    except OutputClosedError:
        return Exit.CLOSED
    except ConstantContactError as error:
        output.complain(told(error, names))
        return exit_of(error)
    except OSError as error:
        output.complain(f"The system refused: {error}.")
        return Exit.SOME_FAILED
    finally:
        logger.removeHandler(teller)


async def _guarded(command: Callable[[], Coroutine[Any, Any, Exit]]) -> Exit:
    """The command's exit code, or that of the signal that ended it."""
    ending: list[Exit] = []
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command())

    def end(number: signal.Signals) -> None:
        if ending:
            os._exit(ending[0])
        ending.append(_ENDINGS[number])
        task.cancel()
        loop.call_later(_PATIENCE, os._exit, ending[0])

    for number in _ENDINGS:
        # Outside the main thread signals are somebody else's.
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not ending:
            raise
        return ending[0]
    finally:
        for number in _ENDINGS:
            loop.remove_signal_handler(number)


class _Teller(logging.Handler):
    """Shows the library's warnings as messages of the command."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.say(reworded(record.getMessage()), style="yellow")
