"""Find what an answer loses on its way through a model and back."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def lost(before: Any, after: Any, where: str = "$") -> list[str]:
    """The places at which `after` lacks something of `before`.

    Absent stands for null, an id as text for one as a number, and a date for the same instant.
    """
    if isinstance(before, dict):
        if not isinstance(after, dict):
            return [where]
        return [
            place
            for key, value in before.items()
            if value is not None
            for place in lost(value, after.get(key), f"{where}.{key}")
        ]
    if isinstance(before, list):
        if not isinstance(after, list) or len(after) != len(before):
            return [where]
        return [
            place
            for index, pair in enumerate(zip(before, after, strict=True))
            for place in lost(*pair, f"{where}[{index}]")
        ]
    same = before == after or str(before) == str(after) or _instant(before) == _instant(after)
    return [] if same else [where]


def _instant(value: Any) -> Any:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
