from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PICTURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _time_to_land(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the skipping clock skips: what is on a real socket lands in its own time."""
    monkeypatch.setattr("ccv2_async.uploads.many.run.LANDING", 100.0)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., list[Path]]:
    """Writes small pictures, each with its own content, below a folder of the test's own."""

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
