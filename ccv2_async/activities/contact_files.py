"""Request bodies from files of contacts on disk."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attrs

from ccv2_async.activities.contact_rows import unknown_columns
from ccv2_async.activities.csv_survey import (
    BELOW_BYTES,
    MOST_ROWS,
    Unfit,
    converted,
    part_name,
    survey,
)
from ccv2_async.activities.split import Lines
from ccv2_async.activities.starter import Portion
from ccv2_async.errors import FileChanged, FileRefused, InvalidField
from ccv2_async.models.validation import checked_text, is_text
from ccv2_async.observe import logger
from ccv2_async.transport.files.body import MultipartBody
from ccv2_async.transport.files.multipart import FilePart, boundary_from, lay_out
from ccv2_async.transport.files.reading import open_and_read, state_of
from ccv2_async.transport.files.sources import BytesSource, PathSource, path_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ccv2_async.activities.csv_survey import Purpose, Span, Survey
    from ccv2_async.transport.files.reading import FileState, Opened
    from ccv2_async.transport.files.sources import OpenSource, Source
    from ccv2_async.transport.files.threads import FileThreads

ContactFile: TypeAlias = str | os.PathLike[str]
"""The path of a CSV, TXT, XLS or XLSX file."""

_TEXT = {"csv": "text/csv", "txt": "text/plain"}
_SPREADSHEETS = {
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_SHOWN, _MOST_SHOWN = 60, 10
_BLOCK = 1024 * 1024


@attrs.frozen
class FileOptions:
    """Options that apply only to the path of a file.

    Attributes:
        file_name: The name for the service. The default is the file's own name.
        encoding: The encoding of a text file; None for UTF-8.
        delimiter: The delimiter of the columns of a text file; None for commas, or tabs in TXT.

    Raises:
        InvalidField: One of them is wrong.
    """

    file_name: str | None = None
    encoding: str | None = None
    delimiter: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.file_name is not None:
            checked_text(self.file_name, "file_name")
        if self.encoding is not None and not _is_encoding(checked_text(self.encoding, "encoding")):
            raise InvalidField("encoding", self.encoding, "it must be an encoding such as cp1252")
        mark = self.delimiter
        if mark is not None and not (
            is_text(mark) and len(mark) == 1 and not mark.isalnum() and mark not in '"\r\n '
        ):
            raise InvalidField("delimiter", mark, "it must be one character, such as ';' or a tab")

    @property
    def converts(self) -> bool:
        """Whether the file has to be converted before it is sent."""
        return self.encoding is not None or self.delimiter is not None

    def refuse(self) -> None:
        """Raise `InvalidField` for the first option that was given without a file."""
        for name, value in attrs.asdict(self).items():
            if value is not None:
                raise InvalidField(name, value, "it is accepted only with the path of a file")


def _is_encoding(name: str) -> bool:
    try:
        b"a".decode(name, "replace")  # half a character in some encodings
    except (LookupError, ValueError):
        return False
    return True


async def portions_of(
    path: ContactFile,
    purpose: Purpose,
    *,
    lists: str,
    options: FileOptions,
    threads: FileThreads,
    most_rows: int = MOST_ROWS,
) -> tuple[str, list[Portion]]:
    """Return the name of a file and its portions: one, or several if the file is too large.

    A thread reads the file once, to check it and to find where to cut it. Each portion is read
    again when it is sent, and it is not sent if the file has changed.

    Args:
        path: The file.
        purpose: The purpose of the file.
        lists: The IDs of the lists, joined by commas.
        options: Its name and its format. A file that has to be converted is held in
            memory until it is sent.
        threads: The threads that read files.
        most_rows: The maximum number of rows in a portion.

    Raises:
        FileRefused: The file cannot be sent; the error names the line. Nothing was sent.
    """
    source = PathSource(path_text(path, "contacts"))
    name = options.file_name or source.filename or ""
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    if extension in _SPREADSHEETS:
        if options.converts:
            raise FileRefused(source.name, "only CSV and TXT files have an encoding or delimiter")
        _require_small(source.name, await source.prepare(threads))
        return name, [Portion(_form(lists, _SPREADSHEETS[extension], name, source, threads))]
    if extension not in _TEXT:
        raise FileRefused(source.name, "a contact file must be CSV, TXT, XLS or XLSX")
    tabs = extension == "txt" and options.delimiter is None
    cut = partial(survey, purpose=purpose, tabs=tabs, most_rows=most_rows)
    found, state, content = await _surveyed(source, options, threads, cut)
    _warn_of_dropped(source.name, found.columns)
    portions = []
    for number, span in enumerate(found.spans, 1):
        part = (
            _SpanSource(source, state, found.header, span)
            if content is None
            else BytesSource(found.header + content[span.start : span.end], name=source.name)
        )
        called = part_name(name, number, len(found.spans))
        body = _form(lists, _TEXT[extension], called, part, threads)
        portions.append(Portion(body, Lines(found.header_lines, span.first_line)))
    return name, portions


def _warn_of_dropped(label: str, columns: tuple[str, ...]) -> None:
    if dropped := unknown_columns(columns):
        shown = ", ".join(repr(name[:_SHOWN]) for name in dropped[:_MOST_SHOWN])
        more = f" and {len(dropped) - _MOST_SHOWN} more" if len(dropped) > _MOST_SHOWN else ""
        text = (
            "%s: the service drops columns that it does not know: %s%s. If they hold contact data, "
            "give them names such as First Name or Custom Field 1."
        )
        logger.warning(text, label, shown, more)


def _require_small(label: str, length: int) -> None:
    if length == 0:
        raise FileRefused(label, "it is empty")
    if length >= BELOW_BYTES:
        raise FileRefused(
            label,
            f"it has {length:,} bytes, but the service accepts fewer than {BELOW_BYTES:,}; "
            "save it as CSV, which is split into several activities",
        )


async def _surveyed(
    source: PathSource,
    options: FileOptions,
    threads: FileThreads,
    cut: Callable[[Iterable[bytes]], Survey],
) -> tuple[Survey, FileState, bytes | None]:
    """Return what a file holds, its state on disk, and its bytes if it had to be converted."""
    left = threading.Event()

    def look() -> tuple[Survey, FileState, bytes | None]:
        opened = open_and_read(source.path, source.name, threads)
        content: bytes | None = None
        try:
            blocks: Iterable[bytes] = _blocks(opened, left)
            if options.converts:
                content = converted(b"".join(blocks), options.encoding, options.delimiter)
                blocks = (content,)
            found = cut(blocks)
        except Unfit as unfit:
            raise FileRefused(source.name, str(unfit)) from None
        finally:
            opened.close()
        return found, opened.state, content

    try:
        return await threads.run(look)
    finally:
        left.set()  # if the caller was cancelled, the thread stops at the next block


def _blocks(opened: Opened, left: threading.Event) -> Iterator[bytes]:
    yield opened.first
    while opened.file is not None and opened.file.remaining and not left.is_set():
        yield opened.file.read(_BLOCK)


def _form(
    lists: str, media_type: str, name: str, source: Source, threads: FileThreads
) -> MultipartBody:
    """Return the form that a file of contacts is sent in."""
    layout = lay_out(
        [
            ("file_name", name),
            ("lists", lists),
            FilePart("data", filename=name, content_type=media_type),
        ],
        boundary=boundary_from(os.urandom(16)),
    )
    return MultipartBody(layout, source, threads)


class _SpanSource:
    """The header and some rows of a file, read when they are sent."""

    repeatable = True
    filename: str | None = None

    def __init__(self, file: PathSource, state: FileState, header: bytes, span: Span) -> None:
        self.name = file.name
        self._path = file.path
        self._state = state
        self._header = header
        self._span = span

    async def prepare(self, threads: FileThreads) -> int:  # noqa: ARG002  # it is known already
        """Return the length in bytes."""
        return len(self._header) + self._span.end - self._span.start

    async def open(self, threads: FileThreads) -> OpenSource:
        """Read the bytes if the file has not changed.

        Raises:
            FileChanged: It has changed. Safe to try again: yes.
        """
        return await BytesSource(await threads.run(self._load, threads)).open(threads)

    def _load(self, threads: FileThreads) -> bytes:
        start, end = self._span.start, self._span.end
        try:
            opened = open_and_read(self._path, self.name, threads)
            try:
                same = opened.state == self._state
                content = opened.first[start:end]
                if same and opened.file is not None:
                    content = opened.file.read_at(start, end - start)
            finally:
                opened.close()
            if same and state_of(self._path, self.name, threads.roots) == self._state:
                return self._header + content
        except FileRefused as refused:
            raise FileChanged(self.name, f"could not be opened ({refused.reason})") from None
        raise FileChanged(self.name, "was written to")
