"""Listings that come in pages: iterate over rows, over pages, or take some."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from ccv2_async.errors import InvalidField, PaginationError, UsageError
from ccv2_async.models.kinds import is_whole
from ccv2_async.models.pages import Page
from ccv2_async.transport.calls import Call
from ccv2_async.transport.links import cursor
from ccv2_async.transport.retry import Effect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ccv2_async.transport.session import Session

T = TypeVar("T")


class Listing(Generic[T]):
    """Rows of a collection; `async for` follows the pages, one request when each is needed.

    It can be iterated any number of times, each time from the first page.

    Raises:
        PaginationError: While iterating, when the service's cursors go round in a circle.
        ConstantContactError: While iterating, as any read does. Safe to try again: yes.

    Source: "Paginated output" page of the service's documentation.
    """

    def __init__(
        self,
        session: Session,
        model: type[T],
        path: str,
        query: tuple[tuple[str, str], ...],
        what: str,
    ) -> None:
        self._session = session
        self._model = model
        self._path = path
        self._query = query
        self._what = what

    def __repr__(self) -> str:
        return f"<Listing of {self._what}>"

    if not TYPE_CHECKING:  # a type checker refuses to await a listing by itself

        def __await__(self) -> NoReturn:
            """Refuse to be awaited, and say what to do instead.

            Raises:
                UsageError: Always. Nothing was sent.
            """
            raise UsageError(
                f"{self._what}: a listing is not awaited. Write `async for row in ...`, or "
                "await its `.collect()` or `.first()`. Nothing was sent."
            )

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """Every row of every page."""
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for row in page:
                    yield row

    async def pages(self) -> AsyncGenerator[list[T], None]:
        """The rows of each page. Page sizes are the service's: one may hold a row more."""
        query = self._query
        seen: set[str] = set()
        page_of_rows = cast("type[Page[T]]", Page[self._model])  # type: ignore[name-defined]  # the row model is known at run time only
        while True:
            answer = await self._session.send(
                Call("GET", self._path, Effect.SAFE, self._what, query=query)
            )
            page: Page[T] = answer.read(page_of_rows)
            yield page.results
            following = self._cursor(page, seen)
            if following is None:
                return
            # The cursor holds position and page size: the filters must not go with it.
            query = (("next", following),)

    async def first(self) -> T | None:
        """The first row, or None when there is none. One request."""
        async with aclosing(aiter(self)) as rows:
            async for row in rows:
                return row
        return None

    async def collect(self, *, limit: int | None = None) -> list[T]:
        """The rows as a list, at most `limit` of them; no page is asked for beyond that.

        Raises:
            InvalidField: The limit is no whole number of 0 or more. Nothing was sent.
            ConstantContactError: As iterating does.
        """
        rows: list[T] = []
        if limit is not None and not (is_whole(limit) and limit >= 0):
            raise InvalidField("limit", limit, "a whole number of 0 or more, or None for all")
        if limit == 0:
            return rows
        async with aclosing(aiter(self)) as every:
            async for row in every:
                rows.append(row)
                if limit is not None and len(rows) >= limit:
                    break
        return rows

    def _cursor(self, page: Page[Any], seen: set[str]) -> str | None:
        try:
            following = cursor(page.next_link)
        except ValueError:
            raise PaginationError(
                f"{self._what}: the link to the next page holds no cursor. The rows so far are "
                "whole; ask again for the rest."
            ) from None
        if following is not None and following in seen:
            raise PaginationError(
                f"{self._what}: the service gave the same cursor twice, so the pages would never "
                "end. Narrow the listing, or ask again."
            )
        if following is not None:
            seen.add(following)
        return following
