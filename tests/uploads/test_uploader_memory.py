"""Uploads leave nothing in memory."""

from __future__ import annotations

import gc
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.transport.files.body import BodyAttempt, MultipartBody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Collect the objects that only the garbage collector would free."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(*kinds: type) -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, kinds)]


@pytest.mark.usefixtures("no_collector")
async def test_an_upload_leaves_nothing_for_the_garbage_collector(
    connect: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "menu.pdf"
    path.write_bytes(b"%PDF" * 5_000)
    cc = await connect(sandbox)
    before = {id(one) for one in alive(MultipartBody, BodyAttempt, Future)}

    await cc.library.begin_upload(path)

    left = alive(MultipartBody, BodyAttempt, Future)
    assert [one for one in left if id(one) not in before] == []
