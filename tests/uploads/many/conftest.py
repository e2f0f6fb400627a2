from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PICTURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _time_to_land(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the waits that the clock skips: data on a real socket arrives in real time."""
    monkeypatch.setattr("ccv2_async.uploads.many.run.LANDING", 100.0)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., list[Path]]:
    """Writes small pictures with different content below a folder of the test."""

    def write(*names: str) -> list[Path]:
        paths = []
        for name in names:
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():  # a file that is written again has changed
                path.write_bytes(PICTURE + name.encode("utf-8", "surrogateescape"))
            paths.append(path)
        return paths

    return write
