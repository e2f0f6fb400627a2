"""The calls for one listing of a dataset, and the contents of their responses as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import orjson

from ccv2_async.backup.datasets import id_of, scope_key, with_nested
from ccv2_async.errors import DecodeError
from ccv2_async.models.convert import BadRow, raw_text, weight_of
from ccv2_async.models.hooks import MOST_BAD_ROWS
from ccv2_async.resources.base import served_path
from ccv2_async.text import one_line
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.retry import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccv2_async.backup.datasets import Dataset
    from ccv2_async.transport.calls.call import Response

# No record of the service comes near these limits. Larger ones would block the event loop, and
# deeply nested rows would fill the memory.
_LARGEST_RECORD = 4 * 1024 * 1024
_MOST_VALUES = 100_000
_LARGEST_PAGE = 64 * 1024 * 1024

_Query = tuple[tuple[str, str], ...]


@attrs.frozen
class Collection:
    """The rows of a dataset, or those that belong to one parent.

    Attributes:
        dataset: The dataset.
        ids: The IDs of the parents, the outermost first.
    """

    dataset: Dataset
    ids: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The dataset and the scope, in the journal's form."""
        return self.dataset.name, scope_key(*self.ids)

    @property
    def what(self) -> str:
        """The name of the listing, for messages."""
        return " of ".join((self.dataset.name, *reversed(self.ids)))

    def call(self, query: _Query, own: str = "") -> Call:
        """Return the call for one page, or for one row if its ID is given.

        Raises:
            DecodeError: The service gave an ID that cannot be part of a path.
        """
        path, ids, what = self.dataset.path, self.ids, self.what
        if own:
            path, ids, what = self.dataset.one, (*ids, own), f"{self.dataset.name} {own}"
        return Call("GET", served_path(what, path, *ids), Effect.SAFE, what, query=query)


@attrs.frozen
class Page:
    """The rows of a response as text."""

    rows: list[tuple[str, str]]
    bad: list[tuple[str, str]]
    next_link: str | None
    when: float | None


def one(fields: Sequence[str], asked: str, response: Response) -> tuple[str, float | None]:
    """Return an object as text.

    Args:
        fields: The fields of which it has at least one. An object without them is not from the
            service, such as the error page of a gateway.
        asked: The ID that the first field holds; "" for an object without an ID.
        response: The response.

    Raises:
        DecodeError: It is not such an object, or it has another ID.
    """
    found = response.plain()
    if isinstance(found, list) and len(found) == 1:
        found = found[0]  # the service sometimes wraps an object
    if not isinstance(found, dict) or all(found.get(name) is None for name in fields):
        raise DecodeError(f"{response.what}: the response has no {' or '.join(fields)}.")
    if asked:
        response.require_id(asked, str(found[fields[0]]))
    try:
        return _text_of(found), response.date
    except ValueError as why:
        raise DecodeError(f"{response.what}: the response {why}.") from None


def _text_of(record: dict[str, Any]) -> str:
    """Return a record as text.

    Raises:
        ValueError: It is too large, or nested too deeply, for a record of the service.
    """
    try:
        content = orjson.dumps(record)
    except orjson.JSONEncodeError:
        raise ValueError("is nested too deeply") from None
    if len(content) > _LARGEST_RECORD or weight_of(content) > _MOST_VALUES:
        raise ValueError("is too large for a record of the service")
    return content.decode()


def page_of(dataset: Dataset, before: int, response: Response) -> Page:
    """Return the rows of a page as text, and the rows that cannot be kept, with the reason.

    Raises:
        DecodeError: It is not a page, or more than `MOST_BAD_ROWS` of its rows cannot be kept.
    """
    page = response.rows(Any, paged=dataset.paged)
    rows: list[tuple[str, str]] = []
    bad: list[tuple[str, str]] = []
    size = 0
    for number, row in enumerate(with_nested(dataset, page.results), before):
        text = ""
        if isinstance(row, BadRow):
            own, why = row.id(*dataset.ids), row.error(before, stops=False).message
        else:
            own, why = id_of(dataset, row), ""
            if not isinstance(row, dict):
                why = f"{response.what}: row {number} is not an object."
            elif dataset.ids and not own:
                why = f"{response.what}: row {number} has no ID: {raw_text(row, response.redact)}"
            else:
                try:
                    text = _text_of(row)
                except ValueError as flaw:
                    why = f"{response.what}: row {number} {flaw}."
                size += len(text)
                if size > _LARGEST_PAGE:
                    why = f"{response.what}: row {number} is on a page that is too large."
        if why:
            bad.append((own or f"row {number}", one_line(why)))
            if len(bad) > MOST_BAD_ROWS:
                raise DecodeError(f"{response.what}: over {MOST_BAD_ROWS:,} rows cannot be kept.")
        else:
            rows.append((own, text))
    return Page(rows, bad, page.next_link, response.date)
