"""`ccv2 poll`: jobs that were started earlier, here or elsewhere, followed to their end."""

from __future__ import annotations

from ccv2_async.cli.exits import Exit  # noqa: TC001  # cyclopts reads it at run time
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Service
from ccv2_async.cli.waiting import Wait

__all__ = ["poll"]


def poll(
    tokens: list[str],
    /,
    *,
    service: Service = Service(),  # noqa: B008  # it is frozen
) -> Exit:
    """Wait for jobs that were started earlier, until each has ended.

    Many tokens are asked for in one request. A sandbox that starts with the command knows no
    jobs: for those, run 'ccv2 sandbox' and set CCV2_BASE_URL.

    Args:
        tokens: What --no-wait or an interrupted command printed.
        service: Options of every command that talks to the service.
    """
    output = Output(as_json=service.json)
    return run(lambda: Wait(output, service).carry_out(tokens), output)
