"""Pages: `meta`, `results`, and a `next_link` that is a path without the key."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from ccv2_async.sandbox.operations import Answer
from ccv2_async.sandbox.problems import bad_query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ccv2_async.sandbox.operations import Call

_Row = TypeVar("_Row")
_OFFSET = "startAt"


def page(call: Call, rows: Sequence[_Row], shown: Callable[[_Row], Any]) -> Answer:
    """One page of `rows`, from where the call's cursor stands, each row as `shown` writes it."""
    limit: int = call.query["limit"]
    start = call.cursor or 0
    end = start + limit
    pagination: dict[str, str] = {}
    if end < len(rows):
        pagination["next_link"] = f"/v2{call.path}?next={write_cursor(end, call.query)}"
    results = [shown(row) for row in rows[start:end]]
    return Answer(200, {"meta": {"pagination": pagination}, "results": results})


def write_cursor(offset: int, query: Any) -> str:
    """Offset and filters as base64url without padding, the form of the service's own cursors."""
    fields = {
        _OFFSET: offset,
        **{name: value for name, value in query.items() if value is not None},
    }
    return base64.urlsafe_b64encode(urlencode(fields).encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, dict[str, str]]:
    """The offset and the filters of a cursor, or a refusal: 400."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        fields = dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True))
        offset = int(fields.pop(_OFFSET))
    except (binascii.Error, ValueError, KeyError):
        raise bad_query("next", "this cursor was not given out here.") from None
    if offset < 0:
        raise bad_query("next", "this cursor was not given out here.")
    return offset, fields
