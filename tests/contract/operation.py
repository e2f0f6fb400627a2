"""What the contract says about one operation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from ccv2_async import ConstantContact

Sample = Callable[["ConstantContact", Mapping[str, str]], Any]
"""A call of the client's method; ids come from the mapping, by the names of the path."""

# Statuses that many operations share.
READ = (200, 401, 406, 500)
READ_ONE = (200, 401, 404, 406, 500)
CREATE = (201, 400, 401, 406, 409, 415, 500)
CREATE_BELOW = (201, 400, 401, 404, 406, 409, 415, 500)
REPLACE = (200, 400, 401, 404, 406, 415, 500)
DELETE = (204, 401, 404, 500)
START = (201, 400, 401, 429, 500)


@attrs.frozen
class Operation:
    """One row of the contract.

    Attributes:
        name: The operation's name, the same as in the sandbox's table.
        method: The HTTP method.
        path: The path below `/v2`, with `{parameters}`.
        codes: The statuses that are documented for it.
        calls: The client's method, `group.method`.
        sample: A call of that method that gives every query parameter.
        answer: The model of the answer; None when its body is empty.
        query: The query parameters (`next` apart) as the sample must send them.
        body: What is sent: none, json or multipart.
        parts: The parts of a multipart body, in the order in which they are sent.
        needs: What the sample needs besides the ids in its path.
    """

    name: str
    method: str
    path: str
    codes: tuple[int, ...]
    calls: str
    sample: Sample = attrs.field(eq=False)
    answer: Any = None
    query: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    body: str = "none"
    parts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def area(self) -> str:
        """The group of the client that offers it."""
        return self.calls.partition(".")[0]

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the path's parameters, in their order."""
        return tuple(re.findall(r"{(\w+)}", self.path))
