from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.errors import AuthenticationFailed
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import Journal
from tests.docs.running import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from ccv2_async.sandbox import Sandbox
    from ccv2_async.uploads.many.journal import JournalEntry


@pytest.fixture(scope="module")
def drawings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drawings", ROOT / "docs" / "drawings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_drawings_match_the_code(drawings: ModuleType) -> None:
    committed = {path.name: path.read_text("utf-8") for path in (ROOT / "docs/drawn").iterdir()}
    assert committed == drawings.drawings(), "run: python docs/drawings.py"


async def test_real_runs_take_exactly_the_transitions_that_are_drawn(
    drawings: ModuleType,
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now: dict[str, BulkState] = {}
    arrows: set[tuple[BulkState, BulkState]] = set()
    write = Journal.write

    async def note(journal: Journal, entry: JournalEntry) -> JournalEntry:
        before = now.get(entry.path, BulkState.PENDING)
        if before is not entry.state:
            arrows.add((before, entry.state))
        now[entry.path] = entry.state
        return await write(journal, entry)

    monkeypatch.setattr(Journal, "write", note)

    async def upload(name: str, fault: Any | None = None, **fields: Any) -> None:
        if fault is not None:
            sandbox.admin.fault(fault, "POST", "/library/files", **fields)
        client = await connect(sandbox)
        path = tmp_path / name
        if not path.exists():
            path.write_bytes(b"\x89PNG\r\n\x1a\n")
        results = client.upload_many([path], journal=tmp_path / "journal.db", on_ambiguous="raise")
        with contextlib.suppress(AuthenticationFailed):
            _ = [result async for result in results]
        sandbox.admin.clear_faults()

    await upload("fine.png")
    await upload("virus.png")
    await upload("refused.png", "answer", status=400)
    await upload("refused.png")
    await upload("no-access.png", "unauthorized", times=None)
    await upload("unanswered.png", "lose_response")
    assert arrows == set(drawings.BULK_ARROWS)
