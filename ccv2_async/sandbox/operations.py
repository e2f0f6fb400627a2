"""What an operation of the API is to the sandbox: a row of a table and a handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from ccv2_async.sandbox.fields import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccv2_async.sandbox.fields import Model
    from ccv2_async.sandbox.forms import Form
    from ccv2_async.sandbox.world import World

NOTHING: Any = object()
"""The body of an answer that has none (null is a body)."""


@attrs.frozen
class Answer:
    """What a handler answers.

    Attributes:
        status: The HTTP status.
        body: What goes into the JSON body, `NOTHING` for an empty one.
        headers: Headers besides the usual ones.
    """

    status: int = 200
    body: Any = NOTHING
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Call:
    """One request, checked against its operation, as a handler sees it.

    Attributes:
        world: The state of the sandbox.
        base_url: The API's root as the client wrote it, ending in `/v2`.
        path: The path asked for, below the API's root.
        ids: The path's parameters.
        query: The query's parameters, checked, defaults filled in.
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

    def url(self, path: str) -> str:
        """The absolute URL of a path below the API's root."""
        return self.base_url + quote(path)


@attrs.frozen
class JsonBody:
    """A JSON body: an object of a model, or an array.

    Attributes:
        field: What it holds.
        bulk: Whether the limits of bulk activities go for it.
    """

    field: Field
    bulk: bool = False

    @classmethod
    def of(cls, model: Model, *, bulk: bool = False) -> JsonBody:
        """One object."""
        return cls(Field("object", required=True, model=model), bulk)

    @classmethod
    def array(cls, items: Field, *, exactly: int | None = None) -> JsonBody:
        """An array, of any length or of exactly so many items."""
        field = Field("array", required=True, items=items, minimum=exactly, maximum=exactly)
        return cls(field)


@attrs.frozen
class FormBody:
    """A multipart form: text parts by name, and one part of content.

    Attributes:
        parts: The text parts.
        content: The name of the part that holds the file.
        bulk: Whether the limits of bulk activities go for it.
    """

    parts: Mapping[str, Field] = attrs.field(eq=False)
    content: str = "data"
    bulk: bool = False


@attrs.frozen
class Shape:
    """What a successful answer holds: `one` object, a bare `array`, or a `page`.

    Attributes:
        form: Which of them; `none` for an empty body.
        model: The objects in it.
        alternatives: Further JSON Schemas that the answer may follow.
    """

    form: str = "none"
    model: Model | None = None
    alternatives: tuple[str, ...] = ()


EMPTY = Shape()


@attrs.frozen
class Operation:
    """One operation: the row from which it is routed, checked and described.

    Attributes:
        name: Its name in the OpenAPI document.
        method: The HTTP method.
        path: The path below the API's root, with `{parameters}`.
        handler: What answers it.
        codes: The statuses that are documented for it.
        answer: What a successful answer holds.
        query: The query parameters it reads.
        body: What it takes.
        listed: Whether its path parameter may hold several ids, joined by commas.
    """

    name: str
    method: str
    path: str
    handler: Callable[[Call], Answer] = attrs.field(eq=False)
    codes: tuple[int, ...]
    answer: Shape = EMPTY
    query: Mapping[str, tuple[Field, Any]] = attrs.field(factory=dict, eq=False)
    body: JsonBody | FormBody | None = None
    listed: bool = False

    @property
    def area(self) -> str:
        """The first word of its path."""
        return self.path.split("/")[1]
