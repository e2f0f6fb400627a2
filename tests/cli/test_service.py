"""The command records the day's calls across runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ccv2_async.transport.quota.day_count import path_of_day_count

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


def counted() -> list[int]:
    try:
        content = json.loads(path_of_day_count().read_text("utf-8"))
    except FileNotFoundError:
        return []
    return [calls for _, calls in content.values()]


def test_runs_add_up_their_calls_unless_disabled(
    ccv2: Callable[..., Ran],
    service: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ccv2("account").code == 0
    assert counted() == [1]
    assert ccv2("account").code == 0
    assert counted() == [2]
    monkeypatch.setenv("CCV2_REMEMBER_CALLS", "0")
    assert ccv2("account").code == 0
    assert counted() == [2]


def test_calls_to_the_embedded_sandbox_are_not_recorded(
    ccv2: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert ccv2("account", "--sandbox").code == 0
    assert counted() == []


def test_an_unusable_state_directory_is_reported_once_and_the_command_continues(
    ccv2: Callable[..., Ran], service: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    ran = ccv2("account")
    assert ran.code == 0
    assert ran.err.count("cannot be used") == 1
