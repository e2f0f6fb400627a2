"""`ccv2 sandbox`: a local imitation of the service, until it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.login import open_browser
from ccv2_async.cli.output import Output
from ccv2_async.cli.running import run
from ccv2_async.cli.service import Flag, begin_sandbox, between
from ccv2_async.errors import InvalidField, UsageError
from ccv2_async.tasks import in_thread

if TYPE_CHECKING:
    from ccv2_async.sandbox import Sandbox

_PORT = 8765
_HOST = "127.0.0.1"


def sandbox(
    *,
    port: Annotated[int, between("--port", 0, 65_535, "it must be from 0 to 65535")] = _PORT,
    host: str = _HOST,
    content_port: Annotated[
        int, between("--content-port", 0, 65_535, "it must be from 0 to 65535")
    ] = 0,
    latency: str = "0",
    speed: float = 1.0,
    seed: str | None = None,
    state: Path | None = None,
    retire: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    open_page: Annotated[Flag, Parameter(name="--open")] = False,
    json: Flag = False,
) -> Exit:
    """Run a local stand-in for the service until you press Ctrl-C.

    Ctrl-C is the normal way to stop it (exit code 0). Without --state, its data is lost when it
    stops. Uploads take about 8 seconds to become Active, as with the real service. Some file names
    decide the outcome: virus.png, fail.pdf, slow.gif, stuck.png, and more.

    Open its address in a browser to see the files, every request, and controls for faults.

    Args:
        port: The port; 0 for a free one.
        host: The address or name to listen on. With any address other than 127.0.0.1, anyone who
            can reach the port can use the sandbox and everything in it.
        content_port: The port for the bytes of files; 0 for a free one.
        latency: Seconds from a request to its response, or a range of them, such as 0.1-0.5.
        speed: The speed relative to the real service; 2 is twice as fast.
        seed: A number makes a run repeatable, including IDs. With demo, the sandbox starts with a
            sample account: contacts, lists, campaigns with reports, and files. With a file that
            --state has written, it starts with the account in that file.
        state: A file that keeps the account across restarts. The sandbox creates it, and updates it
            soon after each change. If it exists, --seed is not used.
        retire: A group of operations to retire, such as events, or one operation, such as "GET
            /contacts/*". Every call to it gets 400 http.status.gone. Repeat the option for several.
        open_page: Open the sandbox's page in the browser.
        json: Print the client's options as one JSON object to stdout.
    """
    output = Output(as_json=json)
    if not 0 < speed < float("inf"):
        raise InvalidField("--speed", speed, "it must be a number above 0")
    settings = {
        "mode": "lognormal",
        "speed": speed,
        "seed": _seed_of(seed),
        "latency": _latency_of(latency),
        "retired": retire,
    }

    async def serve() -> Exit:
        made = _started(port, host=host, content_port=content_port, state=state, **settings)
        try:
            options = made.client_options()
            if output.as_json:
                output.record(options)
            else:
                output.say(f"Listening on {made.origin} until Ctrl-C. To use the sandbox, set:")
                for name in ("base_url", "api_key", "access_token"):
                    output.line(f"export CCV2_{name.upper()}={options[name]}")
                output.line("export CCV2_TRUST_ENV=0")  # a proxy cannot reach this machine
                output.say(f"OpenAPI document: {made.origin}/openapi.json")
                output.say(f"Web page: {made.origin}/")
            if open_page:
                await in_thread(open_browser, f"{made.origin}/")
            if not made.is_local:
                output.complain(
                    f"Warning: the sandbox listens on {host}. Anyone who can reach its port "
                    f"{urlsplit(made.origin).port} can read and change everything in it."
                )
            await asyncio.Event().wait()  # until a signal cancels it
            return Exit.OK
        finally:
            if output.err_is_terminal:
                output.say("")  # the terminal has shown ^C
            made.stop()
            left = "gone" if state is None else f"in {state}"
            output.say(f"The sandbox has stopped. Its data is {left}.")

    ended = run(serve, output)
    return Exit.OK if ended in (Exit.INTERRUPTED, Exit.TERMINATED) else ended


def _started(port: int, **options: Any) -> Sandbox:
    """Return a running sandbox.

    Raises:
        UsageError: An option has a wrong value, or names a port or a file that cannot be used.
    """
    try:
        made = begin_sandbox(port, **options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
    try:
        return made.start()
    except OSError as error:
        if error.filename is not None:
            raise UsageError(f"{error.filename} cannot be used: {error.strerror}.") from None
        raise UsageError(
            f"The sandbox cannot listen on port {port} of {options['host']} ({error.strerror}). "
            "Choose another with --port, where 0 means a free one, or another --host."
        ) from None


def _seed_of(text: str | None) -> int | str | Path | None:
    """Return the seed: a number, the word demo, or a file."""
    if text is None or text == "demo":
        return text
    with contextlib.suppress(ValueError):
        return int(text)
    if not Path(text).is_file():
        raise InvalidField("--seed", text, "it must be a whole number, demo, or a file")
    return Path(text)


def _latency_of(text: str) -> float | tuple[float, ...]:
    """Return the seconds, or the bounds of a range."""
    ends: tuple[float, ...] = (-1.0,)
    with contextlib.suppress(ValueError):
        ends = tuple(map(float, text.split("-")))
    if not 0 <= ends[0] <= ends[-1] < float("inf"):
        raise InvalidField("--latency", text, "use seconds, or a range such as 0.1-0.5")
    return ends if len(ends) > 1 else ends[0]
