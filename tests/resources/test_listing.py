from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccv2_async import errors
from ccv2_async.models import ContactStatus
from ccv2_async.models.validation import joined_ids, one_of, query_of, text_of
from ccv2_async.resources.base import path_to
from ccv2_async.transport.calls.responses import MOST_EMPTY

if TYPE_CHECKING:
    from ccv2_async import ConstantContact
    from ccv2_async.sandbox import Sandbox
    from tests.contract.ear import Ear

JSON = {"content-type": "application/json"}


class Colour(Enum):
    RED = "red"


def arm(sandbox: Sandbox, *pages: tuple[list[str], str | None]) -> None:
    """Let the sandbox answer with these pages: the ids of their rows and the link to the next."""
    for ids, link in pages:
        pagination: dict[str, Any] = {} if link is None else {"next_link": link}
        address = {"email_addresses": [{"email_address": "ann@example.com"}]}
        rows = [{"id": id_, **address} for id_ in ids]
        document = {"meta": {"pagination": pagination}, "results": rows}
        sandbox.admin.fault("answer", status=200, headers=JSON, body=json.dumps(document))


async def test_pages_are_requested_lazily(
    client: ConstantContact, sandbox: Sandbox, ear: Ear
) -> None:
    arm(sandbox, (["1", "2"], "/v2/contacts?next=b"), (["3", "4"], "/v2/contacts?next=c"))
    listing = client.contacts.all()
    assert ear.calls == []
    assert [row.id for row in await listing.collect(limit=2)] == ["1", "2"]
    assert len(ear.calls) == 1
    assert await listing.collect(limit=0) == []
    assert len(ear.calls) == 1


async def test_a_notebook_shows_rows_as_a_table_that_runs_nothing(client: ConstantContact) -> None:
    await client.lists.create("<script>alert(1)</script>")
    rows: Any = await client.lists.all()
    table = rows._repr_html_()
    assert "<th>name</th>" in table
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in table
    assert "<script>" not in table
    assert f"{len(rows)} of {len(rows)} rows" in table
    page: Any = await anext(client.contacts.all().pages())
    assert page._repr_html_().startswith("<table>")
    assert (await client.contacts.all().collect()) == page


async def test_awaiting_a_listing_explains_how_to_read_it(
    client: ConstantContact, ear: Ear
) -> None:
    for listing in (
        client.contacts.all(),
        client.library.files(),
        client.events.all(),
        client.tracking.campaign_sends("7"),
    ):
        awaited: Any = listing
        with pytest.raises(errors.UsageError, match="`async for row in") as caught:
            await awaited
        assert ".collect()" in str(caught.value)
    bulk: Any = client.upload_many(["a.png"])
    with pytest.raises(errors.UsageError, match="`async for result in"):
        await bulk
    assert ear.calls == []


async def test_an_empty_page_does_not_end_a_listing(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    arm(sandbox, ([], "/v2/contacts?next=b"), (["3"], None))
    first = await client.contacts.all().first()
    assert first is not None
    assert first.id == "3"


async def test_pages_can_be_iterated_one_by_one(client: ConstantContact, sandbox: Sandbox) -> None:
    arm(sandbox, (["1", "2"], "/v2/contacts?next=b"), (["3"], None))
    pages = [[row.id for row in page] async for page in client.contacts.all().pages()]
    assert pages == [["1", "2"], ["3"]]


async def test_each_iteration_starts_from_the_first_page(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    listing = client.contacts.all(email="ann@example.com")
    for _ in range(2):
        arm(sandbox, (["1"], "/v2/contacts?next=b"), (["2"], None))
        assert [row.id async for row in listing] == ["1", "2"]
    assert [entry.query.get("email") for entry in sandbox.admin.requests()] == [
        "ann@example.com",
        None,
    ] * 2


async def test_a_cycle_of_cursors_ends_the_iteration(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    arm(sandbox, (["1"], "/v2/contacts?next=b"), (["2"], "/v2/contacts?next=b"))
    rows = aiter(client.contacts.all())
    assert [(await anext(rows)).id, (await anext(rows)).id] == ["1", "2"]
    with pytest.raises(errors.PaginationError, match="same cursor twice"):
        await anext(rows)


async def test_some_empty_pages_in_a_row_are_followed(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    links = [f"/v2/contacts?next=c{number}" for number in range(MOST_EMPTY)]
    arm(sandbox, *(([], link) for link in links[1:]), (["1"], links[0]), ([], None))
    assert [row.id async for row in client.contacts.all()] == ["1"]


async def test_ever_new_cursors_with_empty_pages_end_the_iteration(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    pages: list[tuple[list[str], str]] = [
        ([], f"/v2/contacts?next=c{number}") for number in range(2 * MOST_EMPTY)
    ]
    arm(sandbox, (["1"], "/v2/contacts?next=a"), *pages)
    rows = aiter(client.contacts.all())
    assert (await anext(rows)).id == "1"
    with pytest.raises(errors.PaginationError, match="50 pages in a row were empty"):
        await anext(rows)
    assert len(sandbox.admin.requests()) == MOST_EMPTY + 1


async def test_a_next_link_without_a_cursor_is_an_error(
    client: ConstantContact, sandbox: Sandbox
) -> None:
    arm(sandbox, (["1"], "/v2/contacts?page=2"))
    with pytest.raises(errors.PaginationError, match="no cursor"):
        await client.contacts.all().collect()


async def test_the_repr_of_a_listing_names_what_it_lists(client: ConstantContact) -> None:
    assert repr(client.lists.contacts("7")) == "<Listing of contacts of list 7>"


def test_ids_cannot_escape_their_path_segment() -> None:
    assert path_to("/lists/{}", "b?c#d%") == "/lists/b%3Fc%23d%25"
    assert path_to("/events/{}", "Ab-_=") == "/events/Ab-_%3D"
    for wrong in ("", ".", "..", "../7", "a/b", "a\\b", "7\n", "7 8", "x" * 201):
        with pytest.raises(errors.InvalidField):
            path_to("/lists/{}", wrong)


def test_several_ids_are_joined_by_commas() -> None:
    assert joined_ids(["1", "2"]) == "1,2"
    assert joined_ids("12") == "12"
    number: Any = 12
    assert joined_ids(number) == joined_ids([number]) == "12"
    wrong: Any
    for wrong in ([], ["1"] * 101, ["1,2"], True, 1.5, None, 2**64):
        with pytest.raises(errors.InvalidField):
            joined_ids(wrong)


def test_query_values_are_formatted_as_the_service_does() -> None:
    east = timezone(timedelta(hours=-4))
    values = {
        "a": None,
        "b": True,
        "c": False,
        "d": datetime(2013, 6, 24, 13, 12, 10, 7_999, tzinfo=east),
        "e": ContactStatus.ACTIVE,
        "f": 7,
        "g": Colour.RED,
    }
    assert query_of(values) == (
        ("b", "true"),
        ("c", "false"),
        ("d", "2013-06-24T17:12:10.007Z"),
        ("e", "ACTIVE"),
        ("f", "7"),
        ("g", "red"),
    )
    assert query_of(None) == ()


@given(st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # hypothesis wants it naive
def test_a_date_in_a_query_is_exact_to_the_millisecond(moment: datetime) -> None:
    read = datetime.fromisoformat(text_of(moment))
    assert timedelta(0) <= moment - read < timedelta(milliseconds=1)


@pytest.mark.parametrize("word", ["ACTIVE", "active", "Active", ContactStatus.ACTIVE])
def test_an_enum_argument_is_accepted_in_any_case(word: str) -> None:
    assert one_of("status", word, ContactStatus) == "ACTIVE"
    with pytest.raises(
        errors.InvalidField, match="status is 'x': it must be one of ACTIVE, UNCONFIRMED"
    ):
        one_of("status", "x", ContactStatus)
