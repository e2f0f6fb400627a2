"""Files of a test, and which of them are open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.support.probes import descriptors

if TYPE_CHECKING:
    from pathlib import Path


def open_below(directory: Path) -> list[str]:
    """The files in the directory that this process has open."""
    return [target for target in descriptors().values() if target.startswith(str(directory))]


def write(path: Path, size: int) -> bytes:
    """Write a file of that many bytes, no two blocks alike; its content."""
    content = (os.urandom(4096) * (size // 4096 + 1))[:size]
    path.write_bytes(content)
    return content
