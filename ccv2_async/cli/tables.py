"""Make tables and their cells, and fit a table to a terminal.

A URL or an ID that is folded or cut off can be neither opened nor copied. So what is too long for
its column gets lines of its own, and a table that does not fit at all becomes a list of records.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
from rich.console import Group
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from ccv2_async import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, JustifyMethod, RenderableType
    from rich.style import StyleType

_UNITS = ("B", "kB", "MB", "GB", "TB")
_FOLDED = frozenset({"email", "file", "name", "reason", "result", "url"})
"""Columns that may take several lines; the others keep their width."""

_COUNTS = ("sends", "opens", "clicks", "forwards", "bounces", "unsubscribes", "spam")
_RIGHT = frozenset({"size", "contacts", "errors", "files", *_COUNTS})
_LEAST = 12
"""The width that is left to a column that may be folded, however narrow the terminal."""

_URLS = frozenset({"url", "result"})
_GAP = 2
_INDENT = "  "
_BOLD = "bold"


@attrs.define
class Table:
    """Rows below named columns.

    Attributes:
        columns: The columns, from the left.
        row_count: The number of rows.
    """

    columns: list[_Column]
    row_count: int = 0

    def add_row(self, *values: Any) -> None:
        """Add a row; `cell` says how its values are shown."""
        self.row_count += 1
        for column, value in zip(self.columns, values, strict=True):
            column.add(cell(value, column.name))


def table(*columns: str) -> Table:
    """Return an empty table with these columns."""
    return Table([_Column(name, [Text(name)], len(name)) for name in columns])


def cell(value: Any, column: str = "") -> Text:
    """Return a value as a cell: safe to show, numbers with commas, "" for None.

    Args:
        value: The value; a `Text` is not changed.
        column: The name of its column.
    """
    match value:
        case Text():
            return value
        case datetime():
            value = moment(value)
        case bool():
            value = "yes" if value else "no"
        case int():
            value = in_bytes(value) if column == "size" else f"{value:,}"
        case str() if column == "url":
            return linked(value)
    return Text(one_line(str(value or "")))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 file, 2 files; 1 activity, 2 activities."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def linked(url: str | None) -> Text:
    """Return a URL that a terminal can open, if it is one."""
    text = one_line(url or "")
    is_web = text == url and text.startswith(("https://", "http://"))
    return Text(text, style=f"link {text}" if is_web else "")


def moment(when: datetime | None) -> str:
    """Return a date in local time, to the minute; one that means "none" keeps its own zone."""
    if when is not None and 1 < when.year < 9999:  # local time may lie outside the calendar
        when = when.astimezone()
    return f"{when:%Y-%m-%d %H:%M}" if when else ""


def in_bytes(number: float | None) -> str:
    """Return a number of bytes in decimal units, as in 1.2 MB; "" for None."""
    if number is None:
        return ""
    unit = 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number /= 1000.0
        unit += 1
    digits = 1 if unit and number < 99.95 else 0
    return f"{number:.{digits}f} {_UNITS[unit]}"


def lasting(seconds: float) -> str:
    """Return a length of time in round numbers: 9 s, 3 min, 2 h 5 min."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def fitted(table: Table, console: Console) -> RenderableType:
    """Return the table if it fits; otherwise, its rows with the longest parts on their own lines.

    The URL of a row then follows on a line of its own. If that is not enough, the first column,
    which names the row, comes first on its own line. If that is not enough either, each row is
    shown as a record.

    Args:
        table: A table; URLs are in its last column, if it has any.
        console: The console that will show it.
    """
    columns = list(table.columns)
    widths = [column.natural for column in columns]
    if sum(widths) + _GAP * (len(widths) - 1) <= console.width:
        styles = (None if row else _BOLD for row in range(table.row_count + 1))
        return Group(*(_row(row, columns, widths, style) for row, style in enumerate(styles)))
    after = columns.pop() if columns[-1].name in _URLS else None
    before = columns.pop(0) if _least(columns) > console.width and len(columns) > 1 else None
    inset = len(_INDENT) if before else 0
    if _least(columns) > console.width - inset:
        return records(table, console)
    widths = _narrowed(columns, console.width - inset)
    shown: list[RenderableType] = []
    for row in range(table.row_count + 1):
        style = None if row else _BOLD
        if before:
            shown.append(_line("", before.cells[row], style))
        shown.append(_row(row, columns, widths, style, inset))
        if after and row and after.cells[row]:
            shown.append(_line(_INDENT, after.cells[row], None))
    return Group(*shown)


def records(table: Table, console: Console) -> RenderableType:
    """Return the rows of a table with a line for each value, after the name of its column."""
    columns = list(table.columns)
    after = columns.pop() if columns[-1].name in _URLS else None
    names = max(column.cells[0].cell_len for column in columns)
    room = console.width - names - _GAP
    shown: list[RenderableType] = []
    for row in range(1, table.row_count + 1):
        if row > 1:
            shown.append("")
        for name, value in ((column.cells[0], column.cells[row]) for column in columns):
            if value.cell_len > room and " " not in value.plain:
                shown += [_line("", name, _BOLD), _line("", value, None)]
            elif value.cell_len <= room:
                label = name.copy()
                label.pad_right(names + _GAP - name.cell_len)
                label.stylize(_BOLD)
                shown += [_line("", label + value, None)] * bool(value)
            else:
                line = Grid.grid(padding=(0, _GAP))
                line.add_column(width=names, style=_BOLD)
                line.add_column(overflow="fold")
                line.add_row(name, value)
                shown.append(line)
        if after and after.cells[row]:
            shown.append(_line(_INDENT, after.cells[row], None))
    return Group(*shown)


@attrs.define
class _Column:
    """One column: its header first, then its cells, and the width of the widest."""

    name: str
    cells: list[Text]
    natural: int

    def add(self, value: Text) -> None:
        self.cells.append(value)
        self.natural = max(self.natural, value.cell_len)

    @property
    def justify(self) -> JustifyMethod:
        return "right" if self.name in _RIGHT else "left"

    @property
    def least(self) -> int:
        """Its minimum width."""
        return min(self.natural, _LEAST) if self.name in _FOLDED else self.natural


def _row(
    row: int,
    columns: Sequence[_Column],
    widths: Sequence[int],
    style: StyleType | None,
    inset: int = 0,
) -> RenderableType:
    """Return a row, on one line if it fits: ten thousand grids would take many seconds."""
    cells = [column.cells[row] for column in columns]
    if all(shown.cell_len <= width for shown, width in zip(cells, widths, strict=True)):
        line = Text(" " * inset, style=style or "", no_wrap=True, overflow="ignore")
        for column, shown, width in zip(columns, cells, widths, strict=True):
            pad = " " * (width - shown.cell_len)
            for part in (pad, shown) if column.justify == "right" else (shown, pad):
                line.append(part)
            line.append(" " * _GAP)
        line.right_crop(_GAP)
        return line
    grid = Grid.grid(padding=(0, _GAP))
    for column, width in zip(columns, widths, strict=True):
        grid.add_column(width=width, justify=column.justify, overflow="fold")
    grid.add_row(*cells, style=style)
    return Padding(grid, (0, 0, 0, inset))


def _least(columns: Sequence[_Column]) -> int:
    return sum(column.least for column in columns) + _GAP * (len(columns) - 1)


def _line(indent: str, content: Text, style: StyleType | None) -> Text:
    """Return a whole cell on a line of its own."""
    return Text.assemble(indent, content, style=style or "", no_wrap=True, overflow="ignore")


def _narrowed(columns: Sequence[_Column], width: int) -> list[int]:
    """Return the widths of columns; those that may be folded give way, the widest first."""
    widths = [column.natural for column in columns]
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    for at in sorted(range(len(widths)), key=lambda at: -widths[at]):
        if over > 0:
            given = min(over, widths[at] - columns[at].least)
            widths[at] -= given
            over -= given
    return widths
