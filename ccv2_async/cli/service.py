"""The options and the client of every command that talks to the service."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeAlias, get_origin

import attrs
from cyclopts import App, Group, Parameter

from ccv2_async import ConstantContact, DayCount
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.output import Output
from ccv2_async.cli.profiles import options_of, quota_of
from ccv2_async.cli.running import run
from ccv2_async.client import BASE_URL
from ccv2_async.errors import InvalidField, UsageError
from ccv2_async.observe import CallEnded, CallSent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from ccv2_async import Event
    from ccv2_async.sandbox import Sandbox

    OnEvent: TypeAlias = Callable[[Event], None]

P = ParamSpec("P")

SLOW_ANSWER = 10.0
"""Seconds without a response after which the command says that it is still waiting."""

logger: logging.Logger = logging.getLogger("ccv2_async.cli")

OPTIONS: Group = Group("Options", sort_key=5)
"""The group in which help shows the options of one command."""


def group(name: str, help: str, *, lists: bool = True) -> App:  # noqa: A002  # as cyclopts has it
    """Return a group of commands.

    Args:
        name: Its name.
        help: What its commands do.
        lists: Whether it lists something when it is called without a command.
    """
    usage = f"Usage: ccv2 {name} [COMMAND] [OPTIONS]" if lists else None
    return App(name=name, help=help, usage=usage, group_parameters=OPTIONS)


Flag = Annotated[bool, Parameter(negative=())]
"""An option without a value and without a --no- form."""


def between(name: str, least: float, most: float, rule: str) -> Parameter:
    """Return the check of an option: its number must be in this range.

    Args:
        name: The option.
        least: The smallest number.
        most: The largest number.
        rule: The accepted values, in words.
    """

    def check(_: object, value: float | None) -> None:
        if value is not None and not least <= value <= most:
            raise InvalidField(name, value, rule)

    return Parameter(validator=check)


Id = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""An ID of the library. The IDs of built-in folders are negative numbers."""


def _as_typed(kind: Any, tokens: Sequence[Any]) -> list[str] | str:
    """Return paths as they were typed: `Path` would drop a final slash, which may be meant."""
    typed = [token.value for token in tokens]
    return typed if get_origin(kind) is list else typed[0]


if TYPE_CHECKING:
    LocalPath: TypeAlias = str
    LocalPaths: TypeAlias = list[str]
else:
    # The type lets shells complete the names of files.
    LocalPath = Annotated[Path, Parameter(converter=_as_typed)]
    LocalPaths = Annotated[list[Path], Parameter(converter=_as_typed)]


def size_of(file: str) -> int:
    """Return the file's size; 0 if it cannot be read, which a later check reports."""
    try:
        return os.stat(file).st_size  # noqa: PTH116  # a plain string
    except (OSError, ValueError):
        return 0


@Parameter(name="*", group=Group("Service", sort_key=10))
@attrs.frozen
class Service:
    """Options of every command that talks to the service.

    Attributes:
        json: Whether results are JSON lines.
        profile: The name of a profile; None to use the environment.
        rate: Calls per second, 0 for no limit; None to use the environment.
        sandbox: Whether to start a sandbox and talk to that.
    """

    json: Annotated[Flag, Parameter(help="Print one JSON object per line to stdout.")] = False
    profile: Annotated[
        str | None,
        Parameter(help="The profile to use; see 'ccv2 profile list'. The default is CCV2_PROFILE."),
    ] = None
    rate: Annotated[
        float | None,
        Parameter(help="Calls per second; 0 means no limit. The default is CCV2_RATE, or 4."),
    ] = None
    sandbox: Annotated[
        Flag,
        Parameter(
            help="Use a sandbox that ends with the command. It has no quota unless you pass --rate."
        ),
    ] = False


@Parameter(name="*", group=Group("Service", sort_key=10))
@attrs.frozen
class Listed(Service):
    """Options of every command that lists something.

    Attributes:
        csv: Whether results are CSV.
    """

    csv: Annotated[Flag, Parameter(help="Print CSV to stdout, with a header.")] = False


DEFAULTS = Service()


@attrs.define
class Run:
    """One run of a command.

    Attributes:
        client: The client, which is open.
        output: The streams for results and messages.
        sandbox: Whether the service is a sandbox that ends with the command.
        on_event: Called with the client's events, or None.
    """

    client: ConstantContact
    output: Output
    sandbox: bool
    on_event: OnEvent | None = None


def command(
    *,
    carry_on: bool = False,
    lists: bool = False,
    names: Mapping[str, str] | None = None,
    check: Callable[..., None] | None = None,
) -> Callable[[Callable[Concatenate[Run, P], Coroutine[Any, Any, Exit]]], Callable[..., Exit]]:
    """Return a decorator that makes a command of a coroutine function.

    The command has the function's arguments, without its `Run`, and the options of `Service`.

    Args:
        carry_on: Whether the command changes something; see `Output`.
        lists: Whether the command lists something, and has the options of `Listed`.
        names: The names of the library's arguments in this command; see `exits.message_of`.
        check: Called with the arguments before the client is opened, to raise an error early.
    """

    def decorate(
        body: Callable[Concatenate[Run, P], Coroutine[Any, Any, Exit]],
    ) -> Callable[..., Exit]:
        default = Listed() if lists else DEFAULTS

        @functools.wraps(body)
        def made(*args: Any, service: Service = default, **kwargs: Any) -> Exit:
            as_csv = isinstance(service, Listed) and service.csv
            output = Output(as_json=service.json, as_csv=as_csv, carry_on=carry_on)
            if check is not None:
                check(*args, **kwargs)

            async def connected() -> Exit:
                slow = _SlowAnswers()
                try:
                    async with _open_client(service, on_event=slow) as client:
                        slow.run = Run(client, output, service.sandbox)
                        return await body(slow.run, *args, **kwargs)
                finally:
                    slow.close()

            return run(connected, output, names=names)

        _, *own = inspect.signature(body).parameters.values()
        options = inspect.Parameter(
            "service", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=type(default)
        )
        made.__signature__ = inspect.Signature([*own, options])  # type: ignore[attr-defined]
        made.__annotations__ = {each.name: each.annotation for each in (*own, options)}
        return made

    return decorate


@asynccontextmanager
async def _open_client(service: Service, **options: Any) -> AsyncIterator[ConstantContact]:
    """Open a client of the service, or of a sandbox that ends with it.

    Its calls to the service count in later runs, unless CCV2_REMEMBER_CALLS is 0.
    """
    options |= quota_of(service.rate, "--rate")
    if service.sandbox:
        async with begin_sandbox(mode="lognormal", seconds=1.5) as sandbox:
            unlimited = {"per_second": None, "per_day": None}
            options = {**sandbox.client_options(), **unlimited, **options}
            async with ConstantContact(**options) as client:
                yield client
        return
    options = {**options_of(service.profile, os.environ), **options}
    async with ConstantContact.from_env(**options) as client:
        if os.environ.get("CCV2_REMEMBER_CALLS") == "0":
            yield client
            return
        key = options.get("api_key") or os.environ["CCV2_API_KEY"]
        base_url = options.get("base_url") or os.environ.get("CCV2_BASE_URL") or BASE_URL
        count = DayCount(key, service=base_url.rstrip("/"))
        await client.budget.remember(count)
        try:
            yield client
        finally:
            await count.flush()


class _SlowAnswers:
    """Reports each call whose response takes long, once, so that a quiet command looks alive.

    Attributes:
        run: The run whose hook gets the events too.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __call__(self, event: Event) -> None:
        """Start or stop the timer of a call."""
        if isinstance(event, CallSent | CallEnded) and event.call in self._timers:
            self._timers.pop(event.call).cancel()
        if isinstance(event, CallSent):
            loop = asyncio.get_running_loop()
            self._timers[event.call] = loop.call_later(SLOW_ANSWER, _warn, event.what)
        if self.run is not None and self.run.on_event is not None:
            self.run.on_event(event)

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
