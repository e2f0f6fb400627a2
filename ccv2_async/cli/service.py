"""What every command that talks to the service has in common: its options and its client."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import attrs
from cyclopts import Group, Parameter

from ccv2_async import ConstantContact, DayCount
from ccv2_async.cli.login import stored_credentials
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.client import BASE_URL, PER_DAY, rate_of
from ccv2_async.errors import UsageError
from ccv2_async.observe import CallEnded, CallSent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from ccv2_async import Event
    from ccv2_async.cli.exits import Exit
    from ccv2_async.sandbox import Sandbox

    OnEvent: TypeAlias = Callable[[Event], None]
    Command: TypeAlias = Callable[[ConstantContact, Output], Coroutine[Any, Any, Exit]]

__all__ = ["OPTIONS", "Flag", "Id", "Service", "begin_sandbox"]

SLOW_ANSWER = 10.0
"""Seconds without an answer after which the command says that it is still waiting."""

logger: logging.Logger = logging.getLogger("ccv2_async.cli")

OPTIONS: Group = Group("Options", sort_key=5)
"""Where help shows the options of one command."""

Flag = Annotated[bool, Parameter(negative=())]
"""An option that is given or not, and has no --no- form."""

Id = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""An id of the library; those of its own folders are negative numbers."""


@Parameter(name="*", group=Group("Service", sort_key=10))
@attrs.frozen
class Service:
    """Options of every command that talks to the service.

    Attributes:
        json: Whether results are JSON lines.
        rate: Calls per second, 0 for no limit; None for what the environment says.
        sandbox: Whether to start a sandbox and talk to that.
    """

    json: Annotated[Flag, Parameter(help="Print one JSON object per line on stdout.")] = False
    rate: Annotated[
        float | None,
        Parameter(help="Calls per second; 0 means no limit. The default is CCV2_RATE, or 4."),
    ] = None
    sandbox: Annotated[
        Flag,
        Parameter(
            help="Use a sandbox that ends with the command. It has no quota unless you give --rate."
        ),
    ] = False

    def run(
        self,
        command: Command,
        *,
        carry_on: bool = False,
        names: Mapping[str, str] | None = None,
        on_event: OnEvent | None = None,
    ) -> Exit:
        """Run a command with a client of the service, and return its exit code.

        Args:
            command: Called with the client, which is open, and the output.
            carry_on: Whether the command changes something; see `Output`.
            names: What this command calls arguments of the library; see `exits.message_of`.
            on_event: Called with the client's events.
        """
        output = Output(as_json=self.json, carry_on=carry_on)

        async def connected() -> Exit:
            slow = _SlowAnswers(on_event)
            try:
                async with _open_client(self, on_event=slow) as client:
                    return await command(client, output)
            finally:
                slow.close()

        return run(connected, output, names=names)


@asynccontextmanager
async def _open_client(service: Service, **options: Any) -> AsyncIterator[ConstantContact]:
    """Open a client of the service, or of a sandbox that ends with it.

    Later runs know of the calls that it makes to the service, unless CCV2_REMEMBER_CALLS is 0.
    """
    if service.rate is not None:
        options["per_second"] = rate_of(str(service.rate), "--rate")
        options["per_day"] = PER_DAY if service.rate else None
    if service.sandbox:
        async with begin_sandbox(mode="lognormal", seconds=1.5) as sandbox:
            unlimited = {"per_second": None, "per_day": None}
            options = {**sandbox.client_options(), **unlimited, **options}
            async with ConstantContact(**options) as client:
                yield client
        return
    stored = stored_credentials(os.environ)
    async with ConstantContact.from_env(**stored, **options) as client:
        if os.environ.get("CCV2_REMEMBER_CALLS") == "0":
            yield client
            return
        key = stored.get("api_key") or os.environ["CCV2_API_KEY"]
        base_url = os.environ.get("CCV2_BASE_URL") or BASE_URL
        count = DayCount(key, service=base_url.rstrip("/"))
        await client.budget.remember(count)
        try:
            yield client
        finally:
            await count.flush()


class _SlowAnswers:
    """Says once of each call that its answer takes long, so that a quiet command looks alive.

    Args:
        then: Another hook that gets the events too.
    """

    def __init__(self, then: OnEvent | None) -> None:
        self._then = then
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __call__(self, event: Event) -> None:
        """Start or stop the timer of a call."""
        if isinstance(event, CallSent | CallEnded) and event.call in self._timers:
            self._timers.pop(event.call).cancel()
        if isinstance(event, CallSent):
            loop = asyncio.get_running_loop()
            self._timers[event.call] = loop.call_later(SLOW_ANSWER, _warn, event.what)
        if self._then is not None:
            self._then(event)

    def close(self) -> None:
        """Stop all timers."""
        for timer in self._timers.values():
            timer.cancel()


def _warn(what: str) -> None:
    logger.warning("%s: the service has not answered for %g s; still waiting.", what, SLOW_ANSWER)


def begin_sandbox(port: int = 0, **settings: Any) -> Sandbox:
    """Return a sandbox that is not running yet.

    Raises:
        UsageError: The sandbox's extra is not installed.
    """
    try:
        from ccv2_async.sandbox import Sandbox  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError:
        raise UsageError("The sandbox needs an extra: pip install 'ccv2-async[sandbox]'") from None
    return Sandbox(port, **settings)
