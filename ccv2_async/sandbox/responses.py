"""Responses: JSON, and refusals in the service's form, an array of errors.

Of the keys, the `mashery.*` ones, `http.status.authentication.invalid_token`,
`http.status.bad_request`, `json.email.invalid` and `json.field.lists.value.invalid` are the
service's own; its full list is not published, so the others follow the same families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import orjson
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_T = TypeVar("_T")
NOTHING: Any = object()
"""Stands for the body of a response without one (null is a body)."""

ERRORS = {
    400: ("bad_request", "The request is not valid."),
    401: ("authentication.invalid_token", "The access token is missing or not valid."),
    403: ("forbidden", "The API key is not active, or its quota is used up."),
    404: ("not_found", "The resource does not exist."),
    405: ("method_not_allowed", "The method is not supported here."),
    406: ("not_acceptable", "Accept must be application/json."),
    409: ("conflict", "The request conflicts with something that exists."),
    413: ("request_entity_too_large", "The body is too large."),
    415: ("unsupported_media_type", "The Content-Type is not supported."),
    429: ("too_many_requests", "Too many jobs are in progress."),
    500: ("internal_server_error", "The service failed."),
}
"""The statuses of errors: the end of the usual error key, and the meaning of the status."""


class APIResponse(Response):
    """A response with a JSON body, or with no body at all.

    Args:
        status: The HTTP status.
        body: The JSON body, `NOTHING` for an empty one.
        headers: Headers in addition to the usual ones.
    """

    def __init__(
        self, status: int = 200, body: Any = NOTHING, headers: Mapping[str, str] | None = None
    ) -> None:
        content = None if body is NOTHING else orjson.dumps(body, default=attrs.asdict)
        kind = None if content is None else "application/json;charset=utf-8"
        super().__init__(content, status, headers, kind)


class Refusal(Exception):  # noqa: N818 - an answer on its way out, not a fault of the sandbox
    """An error response to a request.

    Args:
        status: The HTTP status.
        message: The error message.
        key: The error key; by default the usual one for the status.
        headers: Headers in addition to the usual ones.
    """

    def __init__(
        self,
        status: int,
        message: str,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.key: str = key or f"http.status.{ERRORS.get(status, ('error',))[0]}"
        self.headers: dict[str, str] = headers or {}

    def answer(self) -> APIResponse:
        """Return the response: an array with one error."""
        body = [{"error_key": self.key, "error_message": self.message}]
        return APIResponse(self.status, body, self.headers)


def picked(row: object, names: str) -> dict[str, Any]:
    """Return the attributes of a row with these space-separated names."""
    return {name: getattr(row, name) for name in names.split()}


def missing(what: str) -> Refusal:
    """Return a 404: it does not exist."""
    return Refusal(404, f"{what} was not found.")


def lookup(rows: Mapping[str, _T], row_id: str, what: str) -> _T:
    """Return the row with this ID, or raise a 404."""
    if row_id not in rows:
        raise missing(f"{what} {row_id}")
    return rows[row_id]


def highest(ids: Collection[str]) -> int:
    """Return the highest of numeric IDs, ignoring the sign; 0 for no IDs.

    Raises:
        ValueError: One of them is not a number.
    """
    for row_id in ids:
        if not row_id.removeprefix("-").isdecimal():
            raise ValueError(f"{row_id!r:.80} is not the number of a row")
    return max((abs(int(row_id)) for row_id in ids), default=0)


def bad_field(name: str, message: str) -> Refusal:
    """Return a 400: a field of the body has a value that is not accepted."""
    return Refusal(400, f"{name}: {message}", f"json.field.{name}.value.invalid")


def absent_field(name: str) -> Refusal:
    """Return a 400: a required field is missing."""
    return Refusal(400, f"{name} is required.", f"json.field.{name}.missing")


def bad_query(name: str, message: str) -> Refusal:
    """Return a 400: a query parameter has a value that is not accepted."""
    return Refusal(400, f"{name}: {message}", f"query.param.{name}.invalid")
