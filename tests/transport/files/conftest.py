from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ccv2_async.transport.files.threads import FileThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def threads() -> AsyncIterator[FileThreads]:
    """Threads for one test. None of them may still stream at the end."""
    threads = FileThreads()
    yield threads
    await threads.aclose()
    assert threads.streaming == 0
