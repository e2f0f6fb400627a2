"""Looks into folders whose listing is unlike any of the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.quota import Lane
from ccv2_async.uploads import looks
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import RawServer, Request, Wire


def listing(rows: list[dict[str, Any]]) -> RawServer:
    """A server whose every page holds these rows, and a link to another page."""

    async def say(wire: Wire, request: Request) -> None:
        number = int(request.target.partition("next=")[2].partition("&")[0] or 0) + 1
        meta = {"pagination": {"next_link": f"/v2/x?next={number}"}}
        await wire.answer(body=json.dumps({"meta": meta, "results": rows}).encode())

    return serving(say)


async def test_only_the_known_fields_of_a_file_are_kept(open_session: Callable[..., Any]) -> None:
    look = looks.Look("/x", "looking")
    async with listing([{"id": "7", "name": "a.png", "more": ["x"] * 1000}]) as server:
        files = await look.page(0, await open_session(server), Lane.BULK)
    assert files is not None
    assert (files[0].id, files[0].name, files[0].extra) == ("7", "a.png", {})


async def test_a_page_of_more_bytes_than_any_of_the_service_is_refused(
    open_session: Callable[..., Any],
) -> None:
    look = looks.Look("/x", "looking")
    async with listing([{"id": "7", "name": "x" * 5_000_000}]) as server:
        with pytest.raises(errors.AnswerTooLarge):
            await look.page(0, await open_session(server), Lane.BULK)


async def test_pages_with_too_many_rows_count_as_several(open_session: Callable[..., Any]) -> None:
    look = looks.Look("/x", "looking")
    async with listing([{"id": "7", "name": "a"}] * 4000) as server:
        session = await open_session(server)
        for number in range(3):
            assert await look.page(number, session, Lane.BULK)
        with pytest.raises(errors.PaginationError, match="10,000 newest files"):
            await look.page(3, session, Lane.BULK)
