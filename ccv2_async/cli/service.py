"""What every command that talks to the service has in common: its options and its client."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from cyclopts import Group, Parameter

from ccv2_async.cli.patience import Patience
from ccv2_async.cli.profile import options_from
from ccv2_async.client import BASE_URL, PER_DAY, ConstantContact, rate_of
from ccv2_async.errors import UsageError
from ccv2_async.transport.quota.day_count import DayCount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccv2_async.sandbox import Sandbox

__all__ = ["Service", "begin_sandbox", "open_client"]

_SERVICE = Group("Service", sort_key=10)


@Parameter(name="*", group=_SERVICE)
@attrs.frozen
class Service:
    """Options that stand on every command which talks to the service.

    Attributes:
        json: Whether results are JSON lines.
        rate: Calls a second, as text; None for what the environment says.
        sandbox: Whether to start a sandbox and talk to that.
    """

    json: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Print one JSON object a line on stdout, and nothing else there.",
        ),
    ] = False
    rate: Annotated[
        str | None,
        Parameter(help="Calls a second; 0: no limit. CCV2_RATE unless given, else 4."),
    ] = None
    sandbox: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Talk to a sandbox that lives as long as the command; it has no quota unless "
            "--rate is given.",
        ),
    ] = False


@asynccontextmanager
async def open_client(service: Service, **more: Any) -> AsyncIterator[ConstantContact]:
    """Open a client of the service, or of a sandbox that ends with it.

    A call that waits long for its answer is reported while it waits.

    The calls that it makes to the service are remembered for later runs, unless the variable
    CCV2_REMEMBER_CALLS is 0.

    Args:
        service: The options of the command.
        more: Further options of the client.

    Raises:
        UsageError: Credentials or parts are missing, or the rate is not a number.
    """
    patience = Patience(more.get("on_event"))
    with closing(patience):
        async with _open_client(service, {**more, "on_event": patience}) as client:
            yield client


@asynccontextmanager
async def _open_client(service: Service, more: dict[str, Any]) -> AsyncIterator[ConstantContact]:
    limits: dict[str, Any] = {}
    if service.rate is not None:
        rate = rate_of(service.rate, "--rate")
        limits = {"per_second": rate, "per_day": None if rate is None else PER_DAY}
    if not service.sandbox:
        stored = options_from(os.environ)
        async with ConstantContact.from_env(**stored, **limits, **more) as client:
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
        return
    unlimited = {"per_second": None, "per_day": None}
    async with begin_sandbox(mode="lognormal", seconds=1.5) as sandbox:
        options: dict[str, Any] = {**sandbox.client_options(), **unlimited, **limits}
        async with ConstantContact(**options, **more) as client:
            yield client


def begin_sandbox(port: int = 0, **settings: Any) -> Sandbox:
    """A sandbox that is not running yet.

    Raises:
        UsageError: Its parts are not installed.
    """
    try:
        from ccv2_async.sandbox import Sandbox  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError:
        raise UsageError(
            "The sandbox needs parts that are not installed: pip install 'ccv2-async[sandbox]'"
        ) from None
    return Sandbox(port, **settings)
