"""A source that cannot be opened or that fails affects only its own file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import BulkState, FileToUpload, errors
from ccv2_async.observe import CallSent
from tests.support.clocks import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async.sandbox import Sandbox
    from tests.support.clocks import SkippingClock

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


class BucketGoneError(Exception):
    pass


def gone() -> AsyncIterator[bytes]:
    raise BucketGoneError("no such object")


async def gone_later() -> AsyncIterator[bytes]:
    raise BucketGoneError("no such object")


async def broken() -> AsyncIterator[bytes]:
    yield PICTURE[:10]
    raise BucketGoneError("the other side hung up")


@pytest.mark.parametrize("source", [gone, gone_later, broken])
async def test_errors_of_a_custom_source_are_raised_unchanged_without_settling(
    connect: Callable[..., Any], sandbox: Sandbox, source: Any
) -> None:
    sent: list[str] = []

    def note(event: object) -> None:
        if isinstance(event, CallSent):
            sent.append(event.what)

    client = await connect(sandbox, on_event=note)
    with pytest.raises(BucketGoneError):
        await client.library.begin_upload(source, name="a.png", length=len(PICTURE))
    assert sent == ["upload of a.png"]


async def test_a_source_that_opens_too_slowly_sends_nothing(
    connect: Callable[..., Any], sandbox: Sandbox, clock: SkippingClock
) -> None:
    opened = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        opened.set()
        await asyncio.Event().wait()
        raise AssertionError

    client = await connect(sandbox)
    upload = asyncio.create_task(
        client.library.begin_upload(slow, name="a.png", length=len(PICTURE))
    )
    await opened.wait()
    await clock.advance(1000.0)
    await settle()
    with pytest.raises(errors.DeadlineExceeded, match="none of the body was sent within") as raised:
        await upload
    assert raised.value.sent == "nothing"


async def left() -> AsyncIterator[bytes]:
    raise GeneratorExit


@pytest.mark.parametrize("source", [gone, gone_later, broken, left])
async def test_a_failing_source_fails_only_its_file(
    connect: Callable[..., Any], sandbox: Sandbox, source: Any
) -> None:
    client = await connect(sandbox)
    files = [
        FileToUpload(PICTURE, name="before.png"),
        FileToUpload(source, name="broken.png", length=len(PICTURE)),
        FileToUpload(PICTURE, name="after.png"),
    ]

    results = {done.name: done async for done in client.upload_many(files, concurrency=1)}

    assert results["before.png"].state is results["after.png"].state is BulkState.DONE
    failed = results["broken.png"]
    assert failed.state is BulkState.FAILED
    assert isinstance(failed.error, errors.FileChanged)
    assert "broken.png: it could no longer be read (" in failed.error.message
    assert isinstance(failed.error.__cause__, BucketGoneError | GeneratorExit)
