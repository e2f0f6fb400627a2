"""How a table is fitted to a terminal: URLs stand on lines of their own where a row is too long.

A URL that is folded into its column can neither be opened nor copied in one go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

__all__ = ["fitted"]

_LEAST = 12
"""Columns that are left to what may be folded, however narrow the terminal."""

_URLS = frozenset({"url", "result"})
_UNBOUNDED = 10_000
_GAP = 2
_INDENT = "  "


def fitted(table: Table, console: Console) -> RenderableType:
    """The table as it is, where it fits; else without its last column, whose cells follow each row.

    Args:
        table: If its last column is one of URLs, that is the one.
        console: Where it will be shown.
    """
    options = console.options.update(max_width=_UNBOUNDED)
    if not table.columns or table.columns[-1].header not in _URLS:
        return table
    if Measurement.get(console, options, table).maximum <= console.width:
        return table
    *columns, last = [(column, list(column.cells)) for column in table.columns]
    natural = [
        max(Measurement.get(console, options, cell).maximum for cell in (column.header, *cells))
        for column, cells in columns
    ]
    widths = _narrowed(natural, [not column.no_wrap for column, _ in columns], console.width)
    shown: list[RenderableType] = []
    for row in range(-1, table.row_count):
        line = Table.grid(padding=(0, _GAP))
        for (column, _), width in zip(columns, widths, strict=True):
            line.add_column(width=width, justify=column.justify, overflow="fold")
        cells = [cells[row] if row >= 0 else column.header for column, cells in columns]
        line.add_row(*cells, style=table.header_style if row < 0 else None)
        shown.append(line)
        url = last[1][row] if row >= 0 else ""
        if isinstance(url, (Text, str)) and url:
            shown.append(Text.assemble(_INDENT, url, no_wrap=True, overflow="ignore"))
    return Group(*shown)


def _narrowed(natural: Sequence[int], folds: Sequence[bool], width: int) -> list[int]:
    """The widths of columns; what may be folded gives way, the widest first."""
    widths = list(natural)
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    for at in sorted(range(len(widths)), key=lambda at: -natural[at]):
        if over > 0 and folds[at]:
            given = min(over, max(0, widths[at] - _LEAST))
            widths[at] -= given
            over -= given
    return widths
