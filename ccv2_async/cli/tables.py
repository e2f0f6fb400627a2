"""Tables and their cells, the same on every command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ccv2_async.cli.output import clean

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["in_bytes", "lasting", "linked", "moment", "table"]

_UNITS = ("B", "kB", "MB", "GB", "TB")
_FOLDED = frozenset({"file", "name", "result", "url"})
"""Columns that may take several lines; the others keep their width."""

_RIGHT = frozenset({"size", "contacts", "errors", "files"})


def table(*columns: str) -> Table:
    """An empty table with these columns."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(
            name,
            overflow="fold",
            no_wrap=name not in _FOLDED,
            justify="right" if name in _RIGHT else "left",
        )
    return made


def linked(url: str | None) -> Text:
    """A URL that a terminal can open, if it is one."""
    text = clean(url or "")
    is_web = text == url and text.startswith(("https://", "http://"))
    return Text(text, style=f"link {text}" if is_web else "")


def moment(when: datetime | None) -> str:
    """A date in local time, to the minute."""
    return f"{when.astimezone():%Y-%m-%d %H:%M}" if when else ""


def in_bytes(number: float | None) -> str:
    """An amount of bytes with a unit of thousands, as in 1.2 MB; "" for None."""
    if number is None:
        return ""
    unit = 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number /= 1000.0
        unit += 1
    digits = 1 if unit and number < 99.95 else 0
    return f"{number:.{digits}f} {_UNITS[unit]}"


def lasting(seconds: float) -> str:
    """A length of time in round words: 9 s, 3 min, 2 h 5 min."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
