"""How a table is fitted to a terminal: what is too long for its column gets lines of its own.

A URL or an id that is folded or cut off can neither be opened nor copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from rich.console import Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
    from rich.style import StyleType
    from rich.table import Column

__all__ = ["fitted"]

_LEAST = 12
"""Columns that are left to what may be folded, however narrow the terminal."""

_URLS = frozenset({"url", "result"})
_UNBOUNDED = 10_000
_GAP = 2
_INDENT = "  "


def fitted(table: Table, console: Console) -> RenderableType:
    """The table as it is, where it fits; else with what is longest on lines of its own.

    URLs follow their rows then; where that is not enough, the first column, which names the row,
    goes before it.

    Args:
        table: If its last column is one of URLs, that is the one.
        console: Where it will be shown.
    """
    options = console.options.update(max_width=_UNBOUNDED)
    if Measurement.get(console, options, table).maximum <= console.width:
        return table
    columns = [_Column.of(column, console, options) for column in table.columns]
    after = columns.pop() if columns[-1].header in _URLS else None
    before = columns.pop(0) if _least(columns) > console.width and len(columns) > 1 else None
    inset = len(_INDENT) if before else 0
    widths = _narrowed(columns, console.width - inset)
    shown: list[RenderableType] = []
    for row in range(table.row_count + 1):
        style = None if row else table.header_style
        if before:
            shown.append(_line("", before.cells[row], style))
        line = Table.grid(padding=(0, _GAP))
        for column, width in zip(columns, widths, strict=True):
            line.add_column(width=width, justify=column.justify, overflow="fold")
        line.add_row(*(column.cells[row] for column in columns), style=style)
        shown.append(Padding(line, (0, 0, 0, inset)))
        if after and row and after.cells[row]:
            shown.append(_line(_INDENT, after.cells[row], None))
    return Group(*shown)


@attrs.frozen
class _Column:
    """One column: its header first, then its cells."""

    header: str
    cells: list[Text]
    natural: int
    folds: bool
    justify: JustifyMethod

    @classmethod
    def of(cls, column: Column, console: Console, options: ConsoleOptions) -> _Column:
        cells = [
            cell if isinstance(cell, Text) else Text(str(cell))
            for cell in (column.header, *column.cells)
        ]
        natural = max(Measurement.get(console, options, cell).maximum for cell in cells)
        return cls(str(column.header), cells, natural, not column.no_wrap, column.justify)

    @property
    def least(self) -> int:
        """Columns of the terminal that it cannot do without."""
        return min(self.natural, _LEAST) if self.folds else self.natural


def _least(columns: Sequence[_Column]) -> int:
    return sum(column.least for column in columns) + _GAP * (len(columns) - 1)


def _line(indent: str, cell: Text, style: StyleType | None) -> Text:
    """A cell on a line of its own, whole."""
    return Text.assemble(indent, cell, style=style or "", no_wrap=True, overflow="ignore")


def _narrowed(columns: Sequence[_Column], width: int) -> list[int]:
    """The widths of columns; what may be folded gives way, the widest first."""
    widths = [column.natural for column in columns]
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    for at in sorted(range(len(widths)), key=lambda at: -widths[at]):
        if over > 0:
            given = min(over, widths[at] - columns[at].least)
            widths[at] -= given
            over -= given
    return widths
