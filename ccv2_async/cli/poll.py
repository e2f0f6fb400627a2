"""`ccv2 poll`: jobs that were started earlier, here or elsewhere, followed to their end."""

from __future__ import annotations

import sys

from ccv2_async.cli.exits import Exit  # noqa: TC001  # cyclopts reads it at run time
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service
from ccv2_async.cli.waiting import Wait
from ccv2_async.errors import UsageError

__all__ = ["poll"]


def poll(
    tokens: list[str] | None = None,
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Wait for jobs that were started earlier, until each has ended.

    Many tokens are asked for in one request. A sandbox that starts with the command knows no
    jobs: for those, run 'ccv2 sandbox' and set CCV2_BASE_URL.

    Args:
        tokens: What --no-wait or an interrupted command printed. Without any, they are read from
            standard input, one on a line; the rest of a line is the job's name.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    named = dict.fromkeys(tokens, "") if tokens else _read(output)
    return run(lambda: Wait(output, service).carry_out(named), output)


def _read(output: Output) -> dict[str, str]:
    """Return the tokens on standard input, each with its name."""
    if sys.stdin is None:
        raise UsageError("There are no tokens: standard input is closed.")
    if sys.stdin.isatty():
        output.say("Paste the lines with the tokens, then press Ctrl-D.")
    named: dict[str, str] = {}
    for line in sys.stdin:
        token, _, name = line.strip().partition(" ")
        if token:
            named.setdefault(token, name.strip())
    if not named:
        raise UsageError("There are no tokens: give them as arguments or on standard input.")
    return named
