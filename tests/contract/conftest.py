from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ccv2_async.sandbox import Sandbox
from tests.contract.stock import send_a_campaign

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def readers() -> Iterator[tuple[Sandbox, dict[str, dict[str, str]]]]:
    """A sandbox in which a campaign was sent, and the arguments for its reports."""
    with Sandbox(mode="at_once") as sandbox, ThreadPoolExecutor(1) as thread:
        # A fixture of a module outlives the loops of its tests, so it needs one of its own.
        yield sandbox, thread.submit(asyncio.run, send_a_campaign(sandbox)).result()
