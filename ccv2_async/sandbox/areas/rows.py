"""What the operations of several areas share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from ccv2_async.sandbox.clock import read_stamp
from ccv2_async.sandbox.fields import Field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ccv2_async.sandbox.operations import Call

READ = (200, 401, 406, 500)
READ_ONE = (200, 401, 404, 406, 500)
DELETE_ONE = (204, 401, 404, 500)
CREATE = (201, 400, 401, 406, 409, 415, 500)
CREATE_BELOW = (201, 400, 401, 404, 406, 409, 415, 500)
UPDATE = (200, 400, 401, 404, 406, 415, 500)

SINCE = (Field("datetime"), None)
UPDATE_SUMMARY = (Field("boolean"), False)


def limit(most: int, default: int) -> tuple[Field, int]:
    """Return a `limit` parameter."""
    return Field("integer", minimum=1, maximum=most), default


class _Modified(Protocol):
    modified: float


_Row = TypeVar("_Row", bound=_Modified)


def modified_since(call: Call, rows: Iterable[_Row]) -> list[_Row]:
    """Return the rows that were modified at or after the time in the query."""
    since = call.query["modified_since"]
    after = float("-inf") if since is None else read_stamp(since)
    return [row for row in rows if row.modified >= after]
