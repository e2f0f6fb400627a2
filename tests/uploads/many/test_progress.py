from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccv2_async import BulkState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from ccv2_async import FileProgress
    from ccv2_async.sandbox import Sandbox


async def test_progress_is_reported_while_sending_and_at_each_status_change(
    connect: Callable[..., Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.admin.configure(mode="looks", looks=2)
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * 700_000)
    told: list[FileProgress] = []
    client = await connect(sandbox)
    results = [result async for result in client.upload_many([path], on_file=told.append)]
    assert [result.state for result in results] == [BulkState.DONE]
    assert {(event.path, event.size) for event in told} == {(str(path), 700_000)}
    sending = [event for event in told if event.state is BulkState.SENDING]
    assert [sending[0].attempt, *{event.attempt for event in sending[1:]}] == [0, 1]
    assert [event.sent for event in sending] == sorted(event.sent for event in sending)
    assert sending[-1].sent == 700_000
    accepted = told[len(sending) :]
    assert [event.status for event in accepted] == [None, "Uploaded", "Processing"]
    assert {client.resume(event.token).id for event in accepted} == {results[0].id}


async def test_a_failing_callback_is_logged_and_the_upload_continues(
    connect: Callable[..., Any],
    sandbox: Sandbox,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def broken(_: FileProgress) -> None:
        raise RuntimeError("in the user's function")

    client = await connect(sandbox)
    results = [result async for result in client.upload_many([path], on_file=broken)]
    assert [result.state for result in results] == [BulkState.DONE]
    assert "on_file of a bulk upload failed" in caplog.text
