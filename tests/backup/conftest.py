from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ccv2_async.client import ConstantContact


@pytest.fixture
def demo() -> Iterator[Sandbox]:
    """A sandbox with the demo account."""
    with Sandbox(mode="at_once", seed="demo", log_size=100_000) as sandbox:
        yield sandbox


@pytest.fixture
async def cc(demo: Sandbox, connect: Callable[..., Any]) -> ConstantContact:
    """A client of the demo account."""
    client: ConstantContact = await connect(demo)
    return client


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "manifest.json").read_bytes())
    return found


def digests(directory: Path) -> dict[str, str]:
    """The SHA-256 of the bytes of each file of the library, by id, read from the disk."""
    return {
        each["id"]: hashlib.sha256((directory / each["path"]).read_bytes()).hexdigest()
        for each in manifest(directory)["files"]
        if each["path"].startswith("library/")
    }


def held(sandbox: Sandbox) -> dict[str, str]:
    """The SHA-256 of the bytes of each file that the sandbox's library holds, by id."""
    living = [row for row in sandbox.admin.files() if row["status"] != "Deleted"]
    return {row["id"]: row["sha256"] for row in living}
