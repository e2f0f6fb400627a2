"""The registry: operations, the registration of groups of handlers, and pages."""

from __future__ import annotations

import base64
import re
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import attrs

from ccv2_async.sandbox.clock import read_stamp
from ccv2_async.sandbox.fields import describe, model_of
from ccv2_async.sandbox.responses import NOTHING, APIResponse, bad_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ccv2_async.sandbox.fields import Field, Model
    from ccv2_async.sandbox.forms import Form
    from ccv2_async.sandbox.world import World

    Handler = Callable[["Call"], Any]

_OFFSET = "startAt"
_Row = TypeVar("_Row")
_Handler = TypeVar("_Handler", bound="Handler")

# The documented statuses for each sort of operation; the first one means success.
READ = (200, 401, 406, 500)
UPDATE = (200, 400, 401, 404, 406, 415, 500)
_USUAL_CODES = {
    "GET": (200, 401, 404, 406, 500),
    "DELETE": (204, 401, 404, 500),
    "POST": (201, 400, 401, 406, 409, 415, 500),
    "PUT": UPDATE,
    "PATCH": UPDATE,
}


@attrs.frozen
class Call:
    """One request, checked against its operation, as a handler sees it.

    Attributes:
        world: The state of the sandbox.
        base_url: The API's root as the client wrote it, ending in `/v2`.
        path: The requested path below the API's root.
        ids: The path's parameters.
        query: The checked parameters of the query, with defaults filled in.
        body: The JSON body's fields.
        form: The multipart form.
        cursor: The offset of a `next` cursor; None on a first page.
    """

    world: World
    base_url: str
    path: str
    ids: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any = None
    form: Form | None = None
    cursor: int | None = None

    @property
    def now(self) -> float:
        """Seconds since 1970 on the sandbox's clock."""
        return self.world.clock.time()

    @property
    def origin(self) -> str:
        """Scheme, host and port as the client wrote them."""
        return self.base_url.removesuffix("/v2")

    def url(self, path: str) -> str:
        """Return the absolute URL of a path below the API's root."""
        return self.base_url + quote(path)

    def created(self, row: Any) -> APIResponse:
        """Return the response to a POST that made `row`: 201, with its URL in `Location`."""
        return APIResponse(201, row, {"Location": self.url(f"{self.path}/{row['id']}")})


@attrs.frozen
class Shape:
    """The content of a successful response.

    Attributes:
        model: The objects in it; None for an empty body.
        form: The words after the model's name in `Operation.answer`; "" for one object.
    """

    model: Model | None
    form: str


def _as_body(body: str | Model | None) -> Field | Model | None:
    return describe(f"body!:{body}")["body"] if isinstance(body, str) else body


def _as_shape(answer: str) -> Shape:
    name, form = re.fullmatch(r"(\w*)(.*)", answer).groups()  # type: ignore[union-attr] # any text
    return Shape(model_of(name) if name else None, form)


@attrs.frozen
class Operation:
    """One operation: the row from which it is routed, checked and described.

    Attributes:
        name: Its name in the OpenAPI document.
        method: The HTTP method.
        path: The path below the API's root, with `{parameters}`.
        handler: The function that carries it out. It returns an `APIResponse`, or only the body of
            a successful one; None for an empty body.
        codes: The documented statuses, the one for success first.
        answer: The content of a successful response: `Contact`, `Contact[]`, `Contact page`,
            `Contact or array`, or `Contact[] or null`; "" for an empty body.
        query: The query parameters that it reads, as `fields` describes them.
        body: The body of a request. Text describes JSON, as `fields` does: `ContactWrite`,
            `id[]>=1`. A model stands for a form with its fields and a file.
        listed: Whether its path parameter may hold several IDs, joined by commas.
        rules: The checks beyond its schemas; by default the handler's docstring after its first
            line.
    """

    name: str
    method: str
    path: str
    handler: Handler = attrs.field(eq=False)
    codes: tuple[int, ...]
    answer: Shape = attrs.field(converter=_as_shape)
    query: Mapping[str, Field] = attrs.field(default="", converter=describe, eq=False)
    body: Field | Model | None = attrs.field(default=None, converter=_as_body)
    listed: bool = False
    rules: str = ""

    def __attrs_post_init__(self) -> None:
        if not self.rules:
            below = cleandoc(self.handler.__doc__ or "").partition("\n")[2]
            object.__setattr__(self, "rules", below.replace("\n", " ").strip())

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or self.name).partition("\n")[0]

    @property
    def area(self) -> str:
        """The first word of its path."""
        return self.path.split("/")[1]

    def run(self, call: Call) -> APIResponse:
        """Carry it out and return the response."""
        found = self.handler(call)
        if isinstance(found, APIResponse):
            return found
        return APIResponse(self.codes[0], NOTHING if found is None else found)


class Operations(list[Operation]):
    """The operations of one group, in the order in which their paths are matched."""

    def add(
        self,
        method: str,
        path: str,
        answer: str = "",
        *,
        name: str = "",
        codes: tuple[int, ...] | None = None,
        also: tuple[int, ...] = (),
        **more: Any,
    ) -> Callable[[_Handler], _Handler]:
        """Return a decorator that registers a handler as an operation.

        Args:
            method: The HTTP method.
            path: The path below the API's root, with `{parameters}`.
            answer: The content of a successful response, as `Operation` describes it.
            name: The name of the operation; by default the handler's.
            codes: The statuses that are documented for it; by default the usual ones of the method.
            also: Additional ones.
            more: The query, the body, and so on; see `Operation`.
        """
        codes = (*(codes or _USUAL_CODES[method]), *also)

        def register(handler: _Handler) -> _Handler:
            named = name or handler.__name__
            self.append(Operation(named, method, path, handler, codes, answer, **more))
            return handler

        return register


class _Modified(Protocol):
    modified: float


_Dated = TypeVar("_Dated", bound=_Modified)


def modified_since(call: Call, rows: Iterable[_Dated]) -> list[_Dated]:
    """Return the rows that were modified at or after the time in the query."""
    since = call.query["modified_since"]
    after = float("-inf") if since is None else read_stamp(since)
    return [row for row in rows if row.modified >= after]


def page(call: Call, rows: Sequence[_Row], shown: Callable[[_Row], Any]) -> dict[str, Any]:
    """Return one page of `rows`, starting at the call's cursor; `shown` formats each row.

    `next_link` is a path without the key.
    """
    start = call.cursor or 0
    end = start + call.query["limit"]
    pagination: dict[str, str] = {}
    if end < len(rows):
        pagination["next_link"] = f"/v2{call.path}?next={write_cursor(end, call.query)}"
    results = [shown(row) for row in rows[start:end]]
    return {"meta": {"pagination": pagination}, "results": results}


def write_cursor(offset: int, query: Mapping[str, Any]) -> str:
    """Return offset and filters as base64url without padding, as the service's cursors are."""
    filters = {name: value for name, value in query.items() if value is not None}
    text = urlencode({_OFFSET: offset, **filters})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, dict[str, str]]:
    """Return the offset and the filters of a cursor, or raise a 400."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        filters = dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True))
        offset = int(filters.pop(_OFFSET))
    except (ValueError, KeyError):
        offset = -1
    if offset < 0:
        raise bad_query("next", "the sandbox did not issue this cursor.")
    return offset, filters
