"""Refusals, as the service writes them: an array of error_key and error_message.

Of the keys, the `mashery.*` ones, `http.status.authentication.invalid_token`,
`http.status.bad_request`, `json.email.invalid` and `json.field.lists.value.invalid` are the
service's own; its full list is not published, so the others follow the same families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_T = TypeVar("_T")

_STATUS_KEYS = {
    400: "http.status.bad_request",
    401: "http.status.authentication.invalid_token",
    403: "http.status.forbidden",
    404: "http.status.not_found",
    405: "http.status.method_not_allowed",
    406: "http.status.not_acceptable",
    409: "http.status.conflict",
    413: "http.status.request_entity_too_large",
    415: "http.status.unsupported_media_type",
    429: "http.status.too_many_requests",
    500: "http.status.internal_server_error",
}


class Refusal(Exception):  # noqa: N818 - an answer on its way out, not a fault of the sandbox
    """A request that is answered with an error.

    Args:
        status: The HTTP status.
        message: The error message.
        key: The error key; by default the one that goes with the status.
        headers: Headers besides the usual ones.
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
        self.key: str = key or _STATUS_KEYS.get(status, "http.status.error")
        self.headers: dict[str, str] = headers or {}

    def body(self) -> list[dict[str, str]]:
        """The JSON body: an array with one error."""
        return [{"error_key": self.key, "error_message": self.message}]


def missing(what: str) -> Refusal:
    """Return a 404: there is no such thing."""
    return Refusal(404, f"{what} was not found.")


def lookup(rows: Mapping[str, _T], row_id: str, what: str) -> _T:
    """Return the row with this id, or raise a 404."""
    if row_id not in rows:
        raise missing(f"{what} {row_id}")
    return rows[row_id]


def bad_field(name: str, message: str) -> Refusal:
    """Return a 400: a field of the body has a value that is not accepted."""
    return Refusal(400, f"{name}: {message}", f"json.field.{name}.value.invalid")


def absent_field(name: str) -> Refusal:
    """Return a 400: a required field is missing."""
    return Refusal(400, f"{name} is required.", f"json.field.{name}.missing")


def bad_query(name: str, message: str) -> Refusal:
    """Return a 400: a query parameter has a value that is not accepted."""
    return Refusal(400, f"{name}: {message}", f"query.param.{name}.invalid")
