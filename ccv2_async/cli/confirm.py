"""Asking before something is done that cannot be undone."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from ccv2_async.cli.output import Output

__all__ = ["confirmed"]

_YES = frozenset({"y", "yes"})


async def confirmed(question: str, output: Output, *, yes: bool) -> bool:
    """Whether the user wants it done.

    Args:
        question: What is going to happen, as a question.
        output: Where it is asked.
        yes: Whether the user has said so on the command line.

    Raises:
        UsageError: There is nobody to ask.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and output.asks):
        raise UsageError(f"{question} There is nobody to ask: say so by --yes. Nothing was done.")
    output.ask(f"{question} [y/N] ")
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def read() -> None:
        if not answered.done():
            answered.set_result(sys.stdin.readline())

    # Not in a thread: one that waits for a line could not be ended by Ctrl-C.
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), read)
    try:
        answer = await answered
    except asyncio.CancelledError:
        output.say("")  # the terminal's cursor stands behind the question
        output.say("Nothing was done.")
        raise
    finally:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    if answer.strip().casefold() in _YES:
        return True
    output.say("Nothing was done.")
    return False
