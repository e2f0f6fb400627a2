"""Paths of the caller's own class."""

from __future__ import annotations

from typing import Any


class OddPath:
    """A PathLike of the caller, such as an `os.DirEntry` of a folder given as bytes."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __fspath__(self) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer
