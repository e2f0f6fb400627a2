"""Route a request to its operation's handler: method, types, parameters, body."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import ClientDisconnect, Request

from ccv2_async.sandbox.fields import Field, Model, check_id_types
from ccv2_async.sandbox.forms import boundary_of, read_form
from ccv2_async.sandbox.gateway import API, ENTRY, QUERY
from ccv2_async.sandbox.operations import Call, read_cursor
from ccv2_async.sandbox.responses import Refusal, bad_query
from ccv2_async.sandbox.settings import GROUPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import Headers
    from starlette.types import Receive, Scope, Send

    from ccv2_async.sandbox.forms import Form
    from ccv2_async.sandbox.operations import Operation
    from ccv2_async.sandbox.world import World

_ACCEPTABLE = frozenset({"application/json", "application/*", "*/*"})
JSON_LIMIT = 16 * 1024 * 1024
"""The maximum size in bytes of a JSON body that is not a bulk activity."""

_FORM_OVERHEAD = 64 * 1024


class Endpoint:
    """The ASGI application behind one path: all its operations.

    Args:
        operations: The operations of this path.
        world: The state of the sandbox.
    """

    def __init__(self, operations: Sequence[Operation], world: World) -> None:
        self._operations = operations
        self._world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        self._check_retired(f"{request.method} {scope['path'].removeprefix(API)}")
        operation = self._choose(request)
        try:
            call = await self._read(operation, request)
        except ClientDisconnect:
            return
        self._world.settle()
        await operation.run(call)(scope, receive, send)

    def _check_retired(self, called: str) -> None:
        """Refuse an operation that the service has withdrawn, alone or with its group."""
        area = self._operations[0].area
        for name in self._world.settings.retired:
            if GROUPS.get(name) != area and not fnmatchcase(called, name):
                continue
            raise Refusal(400, "This endpoint is no longer available.", "http.status.gone")

    def _choose(self, request: Request) -> Operation:
        method, headers = request.method, request.headers
        offered = [operation for operation in self._operations if operation.method == method]
        if not offered:
            allowed = ", ".join(sorted({operation.method for operation in self._operations}))
            raise Refusal(405, f"{method} is not supported here.", headers={"Allow": allowed})
        accept = headers.get("accept", "*/*")
        kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
        if not kinds & _ACCEPTABLE:
            raise Refusal(406, "Accept must be application/json.")
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        for operation in offered:
            if _takes(operation) in (None, content_type):
                return operation
        wanted = " or ".join(str(_takes(operation)) for operation in offered)
        raise Refusal(415, f"Content-Type must be {wanted}.")

    async def _read(self, operation: Operation, request: Request) -> Call:
        world, scope = self._world, request.scope
        given: dict[str, str] = scope[QUERY]
        cursor = None
        if "limit" in operation.query and "next" in given:
            cursor, given = read_cursor(given["next"])
        query = {
            name: _read_parameter(name, field, given.get(name))
            for name, field in operation.query.items()
        }
        body: Any = None
        form: Form | None = None
        settings, bulk = world.settings, operation.area == "activities"
        if isinstance(operation.body, Field):
            body = await read_json(request, settings.job_size if bulk else JSON_LIMIT)
            check_id_types(operation.body, body)
            body = operation.body.read("body", body)
        elif isinstance(operation.body, Model):
            limit = settings.job_size if bulk else settings.max_upload_size
            _check_announced(request.headers, limit)
            form = await read_form(
                request.stream(),
                boundary_of(request.headers.get("content-type")),
                operation.body,
                limit=limit,
                keep=limit if bulk else settings.keep_content,
            )
            scope[ENTRY].parts = form.parts
        host = request.headers.get("host", "localhost")
        return Call(
            world=world,
            base_url=f"{scope['scheme']}://{host}{API}",
            path=scope["path"].removeprefix(API),
            ids=request.path_params,
            query=query,
            body=body,
            form=form,
            cursor=cursor,
        )


def _takes(operation: Operation) -> str | None:
    if operation.body is None:
        return None
    return "application/json" if isinstance(operation.body, Field) else "multipart/form-data"


def _check_announced(headers: Headers, limit: int) -> None:
    """Refuse a body that is too large immediately, if the client waits for that before it sends."""
    if headers.get("expect", "").lower() != "100-continue":
        return
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit + _FORM_OVERHEAD:
        raise Refusal(413, f"At most {limit} bytes are accepted.", headers={"Connection": "close"})


def _read_parameter(name: str, field: Field, given: str | None) -> Any:
    if given is None:
        return field.default
    value: Any = given
    try:
        if field.type == "integer":
            value = int(given)
        elif field.type == "boolean":
            value = {"true": True, "false": False}[given.lower()]
        return field.read(name, value)
    except (ValueError, KeyError):
        raise bad_query(name, f"{given[:40]} is not valid.") from None
    except Refusal as problem:
        raise Refusal(400, problem.message, f"query.param.{name}.invalid") from None


async def read_json(request: Request, limit: int) -> Any:
    """Return the JSON of a body of at most `limit` bytes, or raise a 413 or a 400."""
    body = bytearray()
    async for chunk in request.stream():
        if len(body) <= limit:
            body += chunk
    if len(body) > limit:
        raise Refusal(413, f"At most {limit} bytes are accepted.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body is not valid JSON: {error}") from None
