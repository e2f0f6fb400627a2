from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ccv2_async.transport.files.threads import FileThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def threads() -> AsyncIterator[FileThreads]:
    """Threads of the test's own; none of them is left streaming."""
    threads = FileThreads()
    yield threads
    await threads.aclose()
    assert threads.streaming == 0
