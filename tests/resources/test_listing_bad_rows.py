"""Good rows are yielded before an unreadable row raises."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ccv2_async import errors
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Request, Wire


def file(number: int) -> dict[str, Any]:
    return {"id": f"{number}", "name": f"{number}.png", "size": 3}


BAD: dict[str, Any] = {
    "an empty object": {},
    "text": "x",
    "an array": [],
    "a wrong type": {**file(3), "size": {"bytes": 3}},
    "an element of it": {**file(3), "thumbnail": "none"},
}


def pages(*contents: list[Any]) -> Any:
    """A server with these pages of files."""

    async def say(wire: Wire, request: Request) -> None:
        number = int(request.target.partition("next=")[2].partition("&")[0] or 0)
        more = number + 1 < len(contents)
        link = {"next_link": f"/v2/library/files?next={number + 1}"} if more else {}
        await wire.answer(
            body=orjson.dumps({"results": contents[number], "meta": {"pagination": link}})
        )

    return serving(say)


@pytest.mark.parametrize("kind", BAD)
async def test_good_rows_are_yielded_before_the_error(
    connect: Callable[..., Any], kind: str
) -> None:
    async with pages([file(1), file(2)], [file(3), BAD[kind], file(4)]) as server:
        cc = await connect(server)
        rows = aiter(cc.library.files())
        assert [(await anext(rows)).id for _ in range(3)] == ["1", "2", "3"]
        with pytest.raises(errors.UnreadableRow, match="row 3") as caught:
            await anext(rows)
        assert caught.value.index == 3
        assert caught.value.where.startswith("results[1]")
        assert caught.value.id == ("3" if isinstance(BAD[kind], dict) and BAD[kind] else "")
        assert caught.value.row == orjson.dumps(BAD[kind]).decode()
        assert caught.value.safe_to_retry


async def test_a_function_is_called_with_each_bad_row(
    connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    bad: list[errors.UnreadableRow] = []
    async with pages([file(1), {}, {"id": "x"}, file(2)], [{}], [file(3)]) as server:
        cc = await connect(server)
        listing = cc.library.files(on_bad_row=bad.append)
        assert [row.id for row in await listing.collect()] == ["1", "2", "3"]
    assert listing.skipped == 3
    assert [(error.index, error.id) for error in bad] == [(1, ""), (2, "x"), (4, "")]
    assert not [error for error in bad if "on_bad_row" in error.message]
    assert not caplog.records


async def test_other_tasks_run_between_two_bad_rows(connect: Callable[..., Any]) -> None:
    # 1,000 of them, 17 KB compressed, took 800 ms to describe.
    turns = itertools.count()

    async def take_turns() -> None:
        for _ in turns:
            await asyncio.sleep(0)

    found: dict[str, list[int]] = {"pages": [], "one response": []}
    async with pages([{}] * 5) as paged, serving(five_bad_rows) as plain:
        other = asyncio.create_task(take_turns())
        files = (await connect(paged)).library.files
        await files(on_bad_row=lambda _: found["pages"].append(next(turns))).collect()
        lists = (await connect(plain)).lists.all
        await lists(on_bad_row=lambda _: found["one response"].append(next(turns)))
        other.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await other
    for taken in found.values():
        assert len(taken) == 5
        assert all(later - earlier > 1 for earlier, later in itertools.pairwise(taken))


async def five_bad_rows(wire: Wire, _: Request) -> None:
    await wire.answer(body=orjson.dumps([{}] * 5))


@pytest.mark.parametrize("kind", BAD)
async def test_skipping_continues_after_the_bad_row(
    connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    bad = BAD[kind]
    async with pages([file(1), bad, bad, file(2)], [bad], [file(3), None]) as server:
        cc = await connect(server)
        listing = cc.library.files(on_bad_row="skip")
        with caplog.at_level(logging.WARNING, "ccv2_async.resources"):
            assert [row.id for row in await listing.collect()] == ["1", "2", "3"]
        assert listing.skipped == 3
    assert len(caplog.records) == 2
    assert "skipped 2 row(s) that cannot be read. The first is row 1" in caplog.messages[0]


UNREADABLE_TEXT: dict[str, bytes] = {
    "half of an emoji": rb'{"id": "3", "name": "\ud83d.png", "size": 3}',
    "half of an emoji in a field of its own": rb'{"id": "3", "name": "3.png", "more": ["\ud83d"]}',
    "half of an emoji in a name of a field": rb'{"id": "3", "name": "3.png", "\ud83d": 1}',
    "bytes that are not UTF-8": b'{"id": "3", "name": "\xe9.png", "size": 3}',
    "a number beyond all floats": b'{"id": "3", "name": "3.png", "size": 1e400}',
    "a number of 5,000 digits": b'{"id": "3", "name": "3.png", "size": %s}' % (b"9" * 5000),
    "a deep nest": b'{"id": "3", "name": "3.png", "size": 3, "more": %s}'
    % (b"[" * 300 + b'"\\ud83d"' + b"]" * 300),
    "NaN": b'{"id": "3", "name": "3.png", "size": 3, "ratio": NaN}',
}


@pytest.mark.parametrize("kind", UNREADABLE_TEXT)
async def test_one_row_of_unreadable_text_fails_alone(
    connect: Callable[..., Any], kind: str
) -> None:
    rows = [orjson.dumps(file(1)), UNREADABLE_TEXT[kind], orjson.dumps(file(2))]

    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(body=b'{"results": [' + b", ".join(rows) + b'], "meta": {}}')

    async with serving(say) as server:
        cc = await connect(server)
        with pytest.raises(errors.UnreadableRow, match="row 1, with ID 3") as caught:
            await cc.library.files().collect()
        assert [row.id for row in caught.value.rows_before] == ["1"]
        assert caught.value.row.isascii()
        assert '"id"' in caught.value.row
        listing = cc.library.files(on_bad_row="skip")
        assert [row.id for row in await listing.collect()] == ["1", "2"]


@pytest.mark.parametrize("link", [rb"/v2/library/files?next=\ud83d", b"\xe9"])
async def test_a_link_of_unreadable_text_is_an_error(
    connect: Callable[..., Any], link: bytes
) -> None:
    body = b'{"results": [], "meta": {"pagination": {"next_link": "' + link + b'"}}}'

    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(body=body)

    async with serving(say) as server:
        cc = await connect(server)
        with pytest.raises(errors.DecodeError, match="valid UTF-8"):
            await cc.library.files().collect()


async def test_the_error_of_a_collection_names_the_good_rows(connect: Callable[..., Any]) -> None:
    async with pages([file(1), {}, file(2)]) as server:
        cc = await connect(server)
        with pytest.raises(errors.UnreadableRow) as caught:
            await cc.library.files().collect()
        assert [row.id for row in caught.value.rows_before] == ["1"]
        first = await cc.library.files().first()
        assert first.id == "1"
        assert len(await cc.library.files().collect(limit=1)) == 1


async def test_lists_without_pages_behave_the_same(
    connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def say(wire: Wire, _: Request) -> None:
        rows = [{"id": "1", "name": "a"}, {"name": 5}, {"id": "2", "name": "b"}]
        await wire.answer(body=orjson.dumps(rows))

    async with serving(say) as server:
        cc = await connect(server)
        with pytest.raises(errors.UnreadableRow, match="row 1") as caught:
            await cc.lists.all()
        assert [row.id for row in caught.value.rows_before] == ["1"]
        assert [row.id for row in await cc.lists.all(on_bad_row="skip")] == ["1", "2"]
    assert "skipped 1 row(s) that cannot be read" in caplog.text


async def test_the_excerpt_of_a_row_is_short_and_free_of_secrets(
    connect: Callable[..., Any],
) -> None:
    row = {"id": "sandbox-key", "name": "sandbox-token " + "x" * 10_000, "size": "y" * 10_000}
    async with pages([row]) as server:
        cc = await connect(server)
        with pytest.raises(errors.UnreadableRow) as caught:
            await cc.library.files().collect()
    shown = f"{caught.value} {vars(caught.value)}"
    assert "sandbox-key" not in shown
    assert "sandbox-token" not in shown
    assert len(shown) < 2500


@pytest.mark.parametrize("value", ["ignore", None, True])
async def test_an_unknown_option_value_is_refused_before_sending(
    connect: Callable[..., Any], value: Any
) -> None:
    cc = await connect()
    with pytest.raises(errors.InvalidField, match="on_bad_row"):
        cc.library.files(on_bad_row=value)
    with pytest.raises(errors.InvalidField, match="on_bad_row"):
        await cc.lists.all(on_bad_row=value)
    with pytest.raises(errors.InvalidField, match="on_bad_row"):
        await cc.library.move_files("5", ["1"], on_bad_row=value)


async def test_a_malformed_page_is_requested_again(connect: Callable[..., Any]) -> None:
    async def garbled(wire: Wire, _: Request) -> None:
        await wire.answer(body=b'{"results": {}}')

    async def whole(wire: Wire, _: Request) -> None:
        await wire.answer(body=orjson.dumps({"results": [file(1)], "meta": {}}))

    async with serving(garbled, garbled, whole) as server:
        cc = await connect(server)
        assert len(await cc.library.files().collect()) == 1


def moved(*rows: Any) -> Any:
    """A server that answers a move of files with these rows."""

    async def say(wire: Wire, request: Request) -> None:
        assert request.method == "PUT"
        await wire.answer(body=orjson.dumps(rows))

    return serving(say)


FIRST = {"id": "1", "uri": "https://api.example.com/v2/library/files/1"}
LAST = {"id": "3", "uri": "https://api.example.com/v2/library/files/3"}


async def test_a_bad_row_of_a_move_keeps_the_good_ones_and_says_that_the_files_were_moved(
    connect: Callable[..., Any],
) -> None:
    async with moved(FIRST, {"id": "2"}, LAST) as server:
        cc = await connect(server)
        with pytest.raises(
            errors.UnreadableRow, match=r"row 1, with ID 2.*was carried out"
        ) as info:
            await cc.library.move_files("5", ["1", "2", "3"])
        assert [row.id for row in info.value.rows_before] == ["1"]
        assert not info.value.safe_to_retry


async def test_a_bad_row_of_a_move_can_be_skipped(
    connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with moved(FIRST, {"id": "2"}, LAST) as server:
        cc = await connect(server)
        with caplog.at_level(logging.WARNING, "ccv2_async.resources"):
            rows = await cc.library.move_files("5", ["1", "2", "3"], on_bad_row="skip")
        assert [row.id for row in rows] == ["1", "3"]
        assert "skipped 1 row(s) that cannot be read" in caplog.text


async def test_an_error_of_the_function_for_bad_rows_is_raised_unchanged(
    connect: Callable[..., Any],
) -> None:
    def refuse(error: errors.UnreadableRow) -> None:
        raise LookupError(error.id)

    async with moved(FIRST, {"id": "2"}, LAST) as server:
        cc = await connect(server)
        with pytest.raises(LookupError, match="2"):
            await cc.library.move_files("5", ["1", "2", "3"], on_bad_row=refuse)


async def test_a_skipped_row_is_one_printable_line_of_the_log(
    connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with pages([{"id": "\u202e1", "notes": "\u202egnp\u2028\x1b[31m"}]) as server:
        cc = await connect(server)
        with caplog.at_level(logging.WARNING, "ccv2_async.resources"):
            assert await cc.contacts.all(on_bad_row="skip").collect() == []
    assert all(message.isprintable() for message in caplog.messages)


@pytest.mark.parametrize("body", ["\x1b[31m\u202e", '{"results": "\u202e"}'])
async def test_the_excerpt_of_a_response_is_printable(
    connect: Callable[..., Any], body: str
) -> None:
    async def say(wire: Wire, _: Request) -> None:
        await wire.answer(body=body.encode())

    async with serving(say) as server:
        cc = await connect(server)
        with pytest.raises(errors.DecodeError) as caught:
            await cc.contacts.all().collect()
    assert caught.value.excerpt
    assert caught.value.excerpt.isprintable()
