"""The names of files, in paths and in messages."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["last_part", "printable"]


def last_part(path: str) -> str:
    """Return the file's own name, without its directory."""
    last = os.path.basename(path)  # noqa: PTH119  # making a Path takes ten times as long
    return last if last not in {"", "."} else Path(path).name


def printable(name: str) -> str:
    """Return the name with control characters escaped, so that it is safe in logs and terminals."""
    if not name:
        return "''"
    if name.isprintable():
        return name
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in name
    )
