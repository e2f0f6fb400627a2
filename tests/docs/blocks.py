"""The code blocks of the documentation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LANGUAGES = ("python", "sh")
NOT_RUN = re.compile(r"# not run in the tests: (\S.*)")
FILE_NAME = re.compile(r"# ((?:\w+/)*\w+\.py)")
_FENCE = re.compile(r"^( *)(```+|~~~+)(.*)$")


@attrs.frozen
class Block:
    """One fenced block.

    Attributes:
        page: The file it stands in.
        line: The number of its first line of code.
        language: What it is written in.
        code: Its lines.
        output: What the page says it prints: the `text` block that follows it at once, or None.
    """

    page: Path
    line: int
    language: str
    code: str
    output: str | None = None

    @property
    def first_line(self) -> str:
        """Where a block says what it is."""
        return self.code.partition("\n")[0].strip()

    @property
    def reason(self) -> str | None:
        """Why it is not run, in words that the reader of the page sees too."""
        said = NOT_RUN.fullmatch(self.first_line)
        return said[1] if said else None

    @property
    def file_name(self) -> str | None:
        """The file that the reader is told to save it as."""
        said = FILE_NAME.fullmatch(self.first_line)
        return said[1] if said else None

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The Python and shell blocks of a page, in their order."""
    found: list[Block] = []
    latest: tuple[Block, int] | None = None
    for block, end in _fenced(page):
        if block.language in LANGUAGES:
            found.append(block)
            latest = (block, end)
        elif block.language == "text" and latest is not None and latest[1] + 1 >= block.line - 2:
            found[-1] = attrs.evolve(latest[0], output=block.code)
            latest = None
        else:
            latest = None
    return found


def _fenced(page: Path) -> Iterator[tuple[Block, int]]:
    """Every fenced block, with the number of the line that closes it."""
    lines = page.read_text("utf-8").splitlines()
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        number += 1
        if not opened:
            continue
        indent, fence, info = opened.groups()
        start = number
        while lines[number].strip() != fence:
            number += 1
        code = "".join(f"{line.removeprefix(indent)}\n" for line in lines[start:number])
        number += 1
        yield Block(page, start + 1, info.strip(), code), number
