"""Check files and rows of contacts before they are sent, and split those that are too large.

Pure: the file comes in as an iterable of blocks, and its parts are returned as byte ranges. Text
files are read as RFC 4180 describes: commas separate fields, quoted fields may hold line ends,
lines end in CRLF, LF or CR, and a byte order mark may come first. A TXT file may have tabs instead
of commas.

The limits are the service's. Where its documentation is vague, they are on the safe side: "4 MB"
means 4,000,000 bytes, and the 20,000 addresses that are documented for removals apply to imports
too, unless the caller allows more, up to the 40,000 that users report from a later copy of the page
on imports.

Source: "Import contacts" and "Remove contacts from lists" pages of the service's documentation.
"""

from __future__ import annotations

import codecs
import csv
import enum
import io
import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BELOW_BYTES = 4_000_000
"""A file or a request has to be smaller than this."""

MOST_ROWS = 20_000
"""The maximum number of addresses in one activity, unless an import is allowed more."""

MOST_IMPORT_ROWS = 40_000
"""The maximum number of addresses that users report from a copy of the page on imports."""

_OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before the mark of UTF-16, which is a prefix of it
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_ADDRESS = re.compile(r"""[^\s@,;:"<>()\[\]]+@[^\s@,;:"<>()\[\].]+(\.[^\s@,;:"<>()\[\].]+)+""")
_QUOTED = re.compile(r'"[^"]*"')
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_HINT = re.compile(r"\Asep=.(?=[\r\n])")
"""The first line of a file for Excel that names the delimiter."""

_SEPARATORS = {";": ("semicolons", "';'"), "\t": ("tabs", "a tab"), "|": ("vertical bars", "'|'")}
"""The usual delimiters, as messages name them."""
_NO_LETTER = re.compile(r"[^a-z]")


class Purpose(enum.Enum):
    """The purpose of a file, which decides its content."""

    IMPORT = "a header row that names the columns, then a contact in each row"
    REMOVAL = "an email address in each row, and nothing else"


class Unfit(ValueError):  # noqa: N818  # named like the exceptions that users see
    """A file or a row that the service would refuse.

    Attributes:
        line: The line of the file, from 1.
        reason: The reason, for messages.
    """

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(f"line {line}: {reason}")


@attrs.frozen
class Span:
    """Rows of a file that fit into one activity.

    Attributes:
        start: The offset of its first byte in the file.
        end: The offset after its last byte.
        rows: The number of its rows.
        first_line: The line of the file that it begins with, from 1.
    """

    start: int
    end: int
    rows: int
    first_line: int


@attrs.frozen
class Survey:
    """The content of a file of contacts.

    Attributes:
        header: The bytes of the header row, which every part begins with; b"" in a removal.
        header_lines: The number of lines of the header row.
        spans: The parts, in order; a single one if everything fits into one activity.
        columns: The names in the header row; empty in a removal.
    """

    header: bytes
    header_lines: int
    spans: tuple[Span, ...]
    columns: tuple[str, ...] = ()


def survey(
    blocks: Iterable[bytes],
    purpose: Purpose,
    *,
    tabs: bool = False,
    below_bytes: int = BELOW_BYTES,
    most_rows: int = MOST_ROWS,
) -> Survey:
    """Return the content of a file, and the parts to send it in.

    Args:
        blocks: The file, in pieces of any size.
        purpose: The purpose of the file.
        tabs: Whether tabs may separate its columns; the first line decides.
        below_bytes: Each part is smaller than this.
        most_rows: The maximum number of rows in a part.

    Raises:
        Unfit: The file cannot be sent; the error names the line.
    """
    lines = _Lines(blocks)
    _require_known_separator(lines, tabs=tabs)
    records = _records(lines, tabs=tabs)
    if purpose is Purpose.IMPORT:
        header, columns = _header(records, lines)
    else:
        header, columns, records = b"", (), _addresses(records)
    header_lines = len(lines.seen) if header else 0
    lines.keep = False
    if not (spans := tuple(_spans(records, lines, len(header), below_bytes, most_rows))):
        raise Unfit(max(1, lines.number), "the file contains no contacts")
    return Survey(header, header_lines, spans, columns)


def converted(content: bytes, encoding: str | None, delimiter: str | None) -> bytes:
    """Return a text file in the form that the service accepts: UTF-8, separated by commas.

    All lines keep their numbers.

    Args:
        content: The whole file.
        encoding: Its encoding; None for UTF-8.
        delimiter: The delimiter of its columns; None to leave them unchanged.

    Raises:
        Unfit: The file is not in this encoding, or its quotes are malformed.
    """
    try:
        text = content.decode(encoding or "utf-8").removeprefix("\ufeff")
        content = text.encode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding or "utf-8", "replace").count("\n") + 1
        raise Unfit(line, _undecodable(content, error, encoding)) from None
    except UnicodeError as error:
        raise Unfit(1, f"it cannot be read as {encoding} ({error})") from None
    if delimiter is None:
        return content
    # Other threads run only between rows; `findall` and `writerows` would keep the interpreter.
    lines = (line[0] for line in _LINE.finditer(_HINT.sub("", text)))
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    out = io.StringIO()
    try:
        for row in rows:
            csv.writer(out).writerow(row)
    except csv.Error as error:
        raise Unfit(max(1, rows.line_num), _badly_quoted(error)) from None
    return out.getvalue().encode("utf-8")


def is_address(text: str) -> bool:
    """Return whether a string looks like an email address; the service makes the full check."""
    return _ADDRESS.fullmatch(text.strip()) is not None


def split_rows(
    sizes: Sequence[int],
    overhead: int,
    *,
    below_bytes: int = BELOW_BYTES,
    most_rows: int = MOST_ROWS,
) -> list[range]:
    """Return the rows of each request.

    Args:
        sizes: The bytes of each row, without the byte that separates two rows.
        overhead: The bytes of a request without rows.
        below_bytes: Each request is smaller than this.
        most_rows: The maximum number of rows in a request.

    Raises:
        Unfit: A single row is too large; its number, from 1, is in place of the line.
    """
    parts: list[range] = []
    start, total = 0, overhead
    for number, size in enumerate(sizes):
        if overhead + size >= below_bytes:
            raise Unfit(number + 1, f"this row is too large ({size:,} bytes)")
        if number > start and (number - start == most_rows or total + 1 + size >= below_bytes):
            parts.append(range(start, number))
            start, total = number, overhead
        total += size + (number > start)
    if len(sizes) > start:
        parts.append(range(start, len(sizes)))
    return parts


def part_name(name: str, number: int, count: int) -> str:
    """Return the file name of a part: `gone-part2.txt` for `gone.txt`, unless there is only one."""
    if count == 1:
        return name
    stem, dot, extension = name.rpartition(".")
    return f"{stem}-part{number}{dot}{extension}" if dot else f"{name}-part{number}"


def physical_lines(blocks: Iterable[bytes], longest: int = BELOW_BYTES) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, which are CRLF, LF or CR.

    A line longer than `longest` bytes comes in pieces, so that memory use stays bounded.
    """
    rest = b""
    for block in blocks:
        lines = (rest + block).splitlines(keepends=True)
        # The last line may continue in the next block, and a CR may be the first half of a CRLF.
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        yield from lines
        if len(rest) > longest:
            yield rest
            rest = b""
    yield from rest.splitlines(keepends=True)


class _Lines:
    """The lines of a file as text, counted.

    Attributes:
        number: The number of lines that were read.
        end: The byte after the last of them, and after a byte order mark.
        seen: Their bytes, while `keep` is on.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._raw = physical_lines(blocks)
        ahead = next(self._raw, b"")
        if other := _other_encoding(ahead):
            raise Unfit(
                1, f"the file is {other.upper()}; pass {other} as its encoding, or save it as UTF-8"
            )
        self.number = 0
        self.end = len(codecs.BOM_UTF8) if ahead.startswith(codecs.BOM_UTF8) else 0
        self.keep = True
        self.seen: list[bytes] = []
        self._ahead = ahead[self.end :] or next(self._raw, b"")

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not (raw := self._ahead):
            raise StopIteration
        self._ahead = next(self._raw, b"")
        self.number += 1
        self.end += len(raw)
        if len(raw) >= BELOW_BYTES:
            raise Unfit(self.number, f"this line alone is larger than {BELOW_BYTES:,} bytes")
        if self.keep:
            self.seen.append(raw)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unfit(self.number, _undecodable(raw, error, None)) from None
        if "\0" in text:
            raise Unfit(self.number, "it contains a NUL character, so it is not a text file")
        return text

    @property
    def first_line(self) -> str:
        """The first line, while none was read."""
        return self._ahead.decode("utf-8", "replace")


def _records(lines: _Lines, *, tabs: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the line that it begins on."""
    delimiter = "\t" if tabs and "\t" in lines.first_line else ","
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = lines.number + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            raise Unfit(line, _badly_quoted(error)) from None
        if len(row) > 1 or (row and row[0].strip()):
            yield line, row


def _other_encoding(start: bytes) -> str:
    """Return the name of UTF-16 or UTF-32 if a file with this beginning uses it; otherwise ""."""
    marked = next((name for mark, name in _OTHER_MARKS.items() if start.startswith(mark)), "")
    if not marked and len(start) > 1 and (start[0] == 0) != (start[1] == 0):
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    return marked


def _undecodable(content: bytes, error: UnicodeDecodeError, encoding: str | None) -> str:
    """Return the error for text that is not in its encoding, with advice."""
    name, at = encoding or "UTF-8", error.start
    found = f"it is not {name} (byte 0x{content[at]:02X})"
    if encoding is not None:
        return f"{found}; pass another encoding, or save the file as CSV UTF-8"
    around = content[max(0, at - 10) : at + 10].splitlines()
    shown = next((part for part in around if not part.isascii()), b"").decode("cp1252", "replace")
    return (
        f"{found}. If {_shown(shown)} looks right, pass cp1252, a Windows encoding, as its "
        "encoding; or save the file as CSV UTF-8"
    )


def _badly_quoted(error: csv.Error) -> str:
    return f"the row that begins here is not well-formed CSV ({error}); check its quotes"


def _require_known_separator(lines: _Lines, *, tabs: bool) -> None:
    """Refuse a file whose first line has a separator that the service does not accept.

    Spreadsheets write semicolons in countries with decimal commas, as in most of Europe.
    """
    first = _QUOTED.sub("", lines.first_line)
    commas = "," in first or (tabs and "\t" in first)
    found = next((mark for mark in _SEPARATORS if mark in first), None)
    if found is not None and not commas:
        raise Unfit(1, _wrong_separator(found, tabs=tabs))


def _wrong_separator(found: str, *, tabs: bool) -> str:
    accepted = "commas or tabs" if tabs else "commas"
    name, mark = _SEPARATORS[found]
    return (
        f"its columns are separated by {name}, but the service accepts only {accepted}. Pass "
        f"{mark} as the delimiter, or export the file again with commas"
    )


def _header(
    records: Iterator[tuple[int, list[str]]], lines: _Lines
) -> tuple[bytes, tuple[str, ...]]:
    line, names = next(records, (1, []))
    if not names:
        raise Unfit(line, "the file is empty")
    addresses = [name for name in names if "email" in _NO_LETTER.sub("", name.casefold())]
    if not addresses:
        raise Unfit(line, _without_addresses(names, next(records, (line, []))[1]))
    if all(";" in name for name in addresses):
        raise Unfit(line, _wrong_separator(";", tabs=False))
    while not lines.seen[0].strip():
        del lines.seen[0]
    return b"".join(lines.seen), tuple(names)


def _without_addresses(names: Sequence[str], row: Sequence[str]) -> str:
    """Return the error for a header without an email column; `row` is the row after it."""
    rule = (
        "an import begins with a row that names its columns, separated by commas, and one of them "
        f"must be the email column; found {_shown(','.join(names))}"
    )
    if any(map(is_address, names)):
        return f"{rule}, which is a contact. Put a line such as Email Address,First Name before it"
    holding = [name for name, value in zip(names, row, strict=False) if is_address(value)]
    return f"{rule}. Rename {_shown(holding[0])} to Email Address" if holding else rule


def _addresses(records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a removal, each of which is an address."""
    for line, row in records:
        if len(row) > 1:
            raise Unfit(
                line, f"a removal file has one address per row; this row has {len(row)} columns"
            )
        if not is_address(row[0]):
            raise Unfit(
                line,
                f"{_shown(row[0])} is not an email address; a removal file has only "
                "addresses, and no header row",
            )
        yield line, row


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _spans(
    records: Iterable[tuple[int, list[str]]],
    lines: _Lines,
    overhead: int,
    below_bytes: int,
    most_rows: int,
) -> Iterator[Span]:
    """Cut the rows after the header into spans."""
    start = end = lines.end
    first_line = next_line = lines.number + 1
    rows = 0
    for line, _ in records:
        if rows and (rows == most_rows or overhead + lines.end - start >= below_bytes):
            yield Span(start, end, rows, first_line)
            start, first_line, rows = end, next_line, 0
        if overhead + lines.end - start >= below_bytes:
            raise Unfit(line, f"this row is larger than {below_bytes:,} bytes, the limit of a file")
        end, next_line, rows = lines.end, lines.number + 1, rows + 1
    if rows:
        yield Span(start, end, rows, first_line)
