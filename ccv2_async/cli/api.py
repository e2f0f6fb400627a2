"""`ccv2 api`: call any path of the API."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.service import DEFAULTS, Flag, Run, Service, command
from ccv2_async.errors import InvalidField, UsageError


def api(
    method: str,
    path: str,
    /,
    *,
    data: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    include: Flag = False,
    service: Service = DEFAULTS,
) -> Exit:
    """Call any path of the API, and print the response.

    The call waits for the quota and is retried like any other. For example:
    ccv2 api GET '/contacts?email=ada@example.com'

    Args:
        method: GET, POST, PUT, PATCH, or DELETE.
        path: The path below the base URL, with its query.
        data: The JSON to send, @FILE to read it from a file, or - to read it from stdin.
        include: Print the status and the headers to stderr.
        service: Options of every command that talks to the service.
    """
    return _call(method, path, None if data is None else _json_of(data), include, service=service)


@command(names={"json": "--data", "method": "METHOD", "path": "PATH"})
async def _call(run: Run, method: str, path: str, body: Any, include: bool) -> Exit:
    output = run.output
    output.carry_on = method.upper() != "GET"
    answer = await run.client.request(method, path, json=body)
    if include:
        output.say(f"HTTP {answer.status}")
        for name, value in answer.headers.items():
            output.say(f"{name}: {value}")
    if answer.data is None:
        text = answer.content.decode("utf-8", "replace")
    else:
        text = json.dumps(answer.data, indent=None if output.as_json else 2)
    for line in text.splitlines():
        output.line(line)
    return Exit.OK


def _json_of(data: str) -> Any:
    """Return the value of --data as parsed JSON.

    Raises:
        UsageError: The file cannot be read, or there is no stdin.
        InvalidField: It is not JSON.
    """
    try:
        if data == "-":
            if sys.stdin is None:
                raise UsageError("--data - reads stdin, which is closed. Nothing was sent.")
            data = sys.stdin.read()
        elif data.startswith("@"):
            data = Path(data[1:]).read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--data cannot be read ({error}). Nothing was sent.") from error
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        rule = f"it must be JSON, @FILE, or - for stdin ({error})"
        raise InvalidField("--data", data, rule) from error
