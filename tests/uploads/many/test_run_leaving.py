"""Leaving a bulk upload early, in any way and at any moment, leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import FileToUpload
from ccv2_async.client import ConstantContact
from tests.support.clocks import SkippingClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from ccv2_async import BulkUpload
    from ccv2_async.sandbox import Sandbox

FILES = 12
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


class StopHereError(Exception):
    """An exception that the caller raises inside the loop."""


@contextmanager
def no_complaints() -> Iterator[None]:
    """A block in which Python reports no error that no caller sees."""
    complaints: list[str] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda told: complaints.append(f"{told.err_msg}: {told.exc_value!r}")
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
            gc.collect()
    finally:
        sys.unraisablehook = before
    complaints += [str(warning.message) for warning in warned]
    assert complaints == []


def run(sandbox: Sandbox, leave: Callable[[ConstantContact], Any]) -> list[str]:
    """Run `leave` on its own loop; return the complaints of the loop."""
    complaints: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        options: dict[str, Any] = {**sandbox.client_options(), "clock": SkippingClock()}
        async with ConstantContact(**options) as client:
            await leave(client)

    with suppress(StopHereError, asyncio.CancelledError):
        asyncio.run(main())
    return complaints


@pytest.fixture
def start(
    pictures: Callable[..., list[Path]], tmp_path: Path
) -> Callable[[ConstantContact], BulkUpload]:
    """Starts the upload of a few files, with a new journal each time."""
    numbers = iter(range(10_000))
    paths = pictures(*(f"{n}.png" for n in range(FILES)))

    def begin(client: ConstantContact) -> BulkUpload:
        journal = tmp_path / f"{next(numbers)}.db"
        return client.upload_many(paths, journal=journal, concurrency=3)

    return begin


async def raised(upload: BulkUpload, after: int) -> None:
    seen = 0
    async for _ in upload:
        seen += 1
        if seen == after:
            raise StopHereError


async def raised_with_the_iterator_kept(upload: BulkUpload, after: int) -> None:
    results = aiter(upload)  # the frame of the exception keeps it
    for _ in range(after):
        await anext(results)
    raise StopHereError


async def broken_off(upload: BulkUpload, after: int) -> None:
    seen = 0
    async for _ in upload:
        seen += 1
        if seen == after:
            break


async def closed(upload: BulkUpload, after: int) -> None:
    async with aclosing(aiter(upload)) as results:
        await broken_off_inside(results, after)


async def broken_off_inside(results: AsyncIterator[object], after: int) -> None:
    for _ in range(after):
        await anext(results)


async def cancelled_inside(upload: BulkUpload, after: int) -> None:
    seen = 0
    async for _ in upload:
        seen += 1
        if seen == after:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()


WAYS = [raised, raised_with_the_iterator_kept, broken_off, closed, cancelled_inside]


@pytest.mark.parametrize("after", [1, 2, 5, FILES])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_leaving_between_two_results_logs_nothing(
    sandbox: Sandbox,
    start: Callable[[ConstantContact], BulkUpload],
    way: Callable[[BulkUpload, int], Any],
    after: int,
) -> None:
    async def leave(client: ConstantContact) -> None:
        await way(start(client), after)

    with no_complaints():
        assert run(sandbox, leave) == []


@pytest.mark.parametrize("turns", [*range(24), 30, 40, 60, 90])
def test_cancelling_at_any_moment_logs_nothing(
    sandbox: Sandbox, start: Callable[[ConstantContact], BulkUpload], turns: int
) -> None:
    async def leave(client: ConstantContact) -> None:
        task = asyncio.create_task(raised(start(client), FILES + 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    with no_complaints():
        assert run(sandbox, leave) == []


@pytest.mark.parametrize("keep", [False, True])
def test_a_file_whose_task_is_cancelled_before_it_starts_is_released(
    sandbox: Sandbox, keep: bool
) -> None:
    """The caller raises in the same iteration of the loop in which the next file starts."""

    async def leave(client: ConstantContact) -> None:
        go_on = asyncio.Event()

        async def files() -> AsyncIterator[FileToUpload]:
            yield FileToUpload(PICTURE, name="a.png")
            await go_on.wait()
            yield FileToUpload(PICTURE, name="b.png")

        results = aiter(client.upload_many(files()))
        kept.append(results)
        await anext(results)
        go_on.set()
        if not keep:
            kept.clear()
            del results
        raise StopHereError

    kept: list[object] = []
    with no_complaints():
        assert run(sandbox, leave) == []
    assert len(sandbox.admin.files()) == 1
