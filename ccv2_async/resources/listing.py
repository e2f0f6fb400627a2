"""Listings that come in pages: iterate over rows, over pages, or take some."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Generic, Literal, NoReturn, TypeAlias, TypeVar, cast

import anyio.lowlevel
import attrs

from ccv2_async.errors import DecodeError, InvalidField, UnreadableRow, UsageError
from ccv2_async.models.base import Model
from ccv2_async.models.convert import BadRow
from ccv2_async.models.validation import is_plain_function, is_whole, words
from ccv2_async.text import one_line
from ccv2_async.transport.calls.call import Call
from ccv2_async.transport.calls.responses import Cursors
from ccv2_async.transport.calls.retry import Effect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from ccv2_async.models.convert import Page
    from ccv2_async.transport.calls.call import Response
    from ccv2_async.transport.calls.session import Session

T = TypeVar("T")

OnBadRow: TypeAlias = Literal["raise", "skip"] | Callable[[UnreadableRow], object]
"""The treatment of a row that cannot be read: raise `UnreadableRow`, or skip and log it.

A plain function is called with the `UnreadableRow` of each such row in place of the log.
"""

logger: logging.Logger = logging.getLogger("ccv2_async.resources")

_SHOWN_ROWS = 50


class Rows(list[T]):
    """Rows of a listing; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        """Return the first rows and their plain fields as a table."""
        from html import escape  # noqa: PLC0415  # in notebooks only

        shown = [row.to_dict() for row in self[:_SHOWN_ROWS] if isinstance(row, Model)]
        plain = str | int | float
        columns = dict.fromkeys(
            name for row in shown for name, value in row.items() if isinstance(value, plain)
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        lines = (
            "".join(f"<td>{escape(one_line(str(row.get(name, ''))))}</td>" for name in columns)
            for row in shown
        )
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><tr>{head}</tr>{body}</table><p>{len(shown):,} of {len(self):,} rows</p>"


def checked_on_bad_row(value: object) -> OnBadRow:
    """Return what to do about a row that cannot be read.

    Raises:
        InvalidField: It is neither of the two words nor a plain function. Nothing was sent.
    """
    if words("raise", "skip")(value) or (callable(value) and is_plain_function(value)):
        return cast("OnBadRow", value)
    raise InvalidField("on_bad_row", value, 'it must be "raise", "skip", or a plain function')


@attrs.define(eq=False, repr=False)
class Listing(Generic[T]):
    """The rows of a collection. `async for` requests each page when it is needed.

    It can be iterated any number of times, each time from the first page.

    Attributes:
        skipped: The number of rows skipped so far because they could not be read.

    Raises:
        UnreadableRow: While iterating, at a row that cannot be read, after the good rows before
            it. With `on_bad_row="skip"` or a function, `skipped` counts such rows instead.
        PaginationError: While iterating, if the service returns the same cursor twice, or 50
            consecutive pages without rows.
        ConstantContactError: While iterating, as for any read. Safe to try again: yes.

    Source: "Paginated output" page of the service's documentation.
    """

    _session: Session
    _model: type[T]
    _path: str
    _query: tuple[tuple[str, str], ...]
    _what: str
    _on_bad_row: OnBadRow = attrs.field(default="raise", converter=checked_on_bad_row)
    _only: Callable[[T], bool] | None = None
    skipped: int = attrs.field(default=0, init=False)

    def __repr__(self) -> str:
        return one_line(f"<Listing of {self._what}>")

    if not TYPE_CHECKING:  # a type checker refuses to await a listing by itself

        def __await__(self) -> NoReturn:
            """Raise an error that says what to do instead of awaiting a listing.

            Raises:
                UsageError: Always. Nothing was sent.
            """
            raise UsageError(
                f"{self._what}: a listing cannot be awaited. Use `async for row in ...`, or "
                "await its `.collect()` or `.first()`. Nothing was sent."
            )

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Yield every row of every page."""
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for row in page:
                    yield row

    async def pages(self) -> AsyncGenerator[list[T], None]:
        """Yield the rows of each page. A page may hold one row more than requested."""
        query = self._query
        cursors = Cursors(self._what)
        before = 0
        while True:
            page: Page[T | BadRow] = await self._session.read(
                Call("GET", self._path, Effect.SAFE, self._what, query=query), self._page
            )
            good, bad = _sorted(page.results, stop=self._on_bad_row == "raise")
            if good or not bad:
                yield good
            if bad and self._on_bad_row == "raise":
                raise bad[0].error(before)
            self.skipped += len(bad)
            await _report_bad(self._what, bad, before, self._on_bad_row)
            before += len(page.results)
            if (following := cursors.after(good or bad, page.next_link)) is None:
                return
            # The cursor holds position and page size, so the filters must not be sent with it.
            query = (("next", following),)

    def _page(self, response: Response) -> Page[T | BadRow]:
        """Return a page, without the rows that were not asked for.

        Raises:
            DecodeError: None of its rows was asked for, as if the filter had been lost.
        """
        page = response.rows(self._model, paged=True)
        if self._only is None or not page.results:
            return page
        asked = [row for row in page.results if isinstance(row, BadRow) or self._only(row)]
        if not asked:
            reason = "the service returned only rows that were not asked for"
            raise DecodeError.from_parts(self._what, reason, status=response.status)
        return attrs.evolve(page, results=asked)

    async def first(self) -> T | None:
        """Return the first row, or None if there is none. This makes one request."""
        async with aclosing(aiter(self)) as rows:
            return await anext(rows, None)

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """Return the rows as a list, at most `limit` of them. It requests only the pages it needs.

        Raises:
            InvalidField: The limit is not a whole number, or is below 0. Nothing was sent.
            ConstantContactError: As for iterating.
        """
        rows: Rows[T] = Rows()
        if limit is not None and not (is_whole(limit) and limit >= 0):
            raise InvalidField("limit", limit, "it must be a whole number, 0 or more, or None")
        if limit == 0:
            return rows
        try:
            async with aclosing(aiter(self)) as every:
                async for row in every:
                    rows.append(row)
                    if limit is not None and len(rows) >= limit:
                        break
        except UnreadableRow as error:
            error.rows_before = rows
            raise
        return rows


async def good_rows(rows: Iterable[T | BadRow], what: str, on_bad_row: OnBadRow) -> list[T]:
    """Return the rows of a list that came in one response, without those that cannot be read.

    Raises:
        UnreadableRow: A row cannot be read, and `on_bad_row` is "raise".
    """
    stops = checked_on_bad_row(on_bad_row) == "raise"
    good, bad = _sorted(rows, stop=stops)
    if bad and stops:
        error = bad[0].error()
        error.rows_before = good
        raise error
    await _report_bad(what, bad, 0, on_bad_row)
    return good


async def _report_bad(what: str, bad: list[BadRow], before: int, on_bad_row: OnBadRow) -> None:
    """Call the user's function for each skipped row, or log their number and the first one."""
    if callable(on_bad_row):
        for row in bad:
            on_bad_row(row.error(before, stops=False))
            await anyio.lowlevel.checkpoint()  # describing a thousand rows takes long
        return
    if not bad:
        return
    first = bad[0].error(before)
    text = "%s: skipped %d row(s) that cannot be read. The first is row %d, with ID %r: %s"
    logger.warning(text, what, len(bad), first.index, first.id, first.row)


def _sorted(rows: Iterable[T | BadRow], *, stop: bool) -> tuple[list[T], list[BadRow]]:
    """Return the good rows and the bad ones, up to the first bad one or all of them."""
    good: Rows[T] = Rows()
    bad: list[BadRow] = []
    for row in rows:
        if not isinstance(row, BadRow):
            good.append(row)
        elif row.row is not None:  # a null between rows means nothing
            bad.append(row)
            if stop:
                break
    return good, bad
