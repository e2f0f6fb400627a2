"""Files of contacts, read into rows: CSV, text, XLS and XLSX."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class UnreadableFile(Exception):  # noqa: N818 - a job ends in ERROR by it, the sandbox does not
    """A file that cannot be read as a table; the message says why."""


@attrs.frozen
class Line:
    """One row of a file.

    Attributes:
        number: The line where it begins, from 1.
        cells: Its cells.
    """

    number: int
    cells: list[str]


def read_table(content: bytes) -> list[Line]:
    """The rows of a file that are not empty.

    Raises:
        UnreadableFile: It is no table that can be read.
    """
    lines = _sheet(content) if content.startswith((_ZIP, _OLE)) else _text(content)
    return [line for line in lines if any(cell.strip() for cell in line.cells)]


def _text(content: bytes) -> Iterator[Line]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("iso-8859-1")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",")
    number = 1
    try:
        for cells in reader:
            yield Line(number, cells)
            number = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(f"Line {number}: {error}") from None


def _sheet(content: bytes) -> Iterator[Line]:
    # Needed for spreadsheets alone, which few send.
    from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415

    try:
        rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    except CalamineError as error:
        raise UnreadableFile(f"The spreadsheet cannot be read: {error}") from None
    for number, cells in enumerate(rows, 1):
        yield Line(number, [_shown(cell) for cell in cells])


def _shown(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
