"""Where the command writes: results to stdout, everything else to stderr, nothing raw.

File names and the service's messages are untrusted: control characters, invisible direction marks
and broken encodings are shown as escapes, and nothing is ever read as markup.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccv2_async.cli.fitting import fitted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType
    from rich.style import Style

__all__ = ["Output", "OutputClosedError", "clean"]

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but part of how emoji and several scripts are written."""

_UNBROKEN = 10_000
"""Characters in a line where no terminal sets a width."""


class OutputClosedError(Exception):
    """Whoever read stdout has gone; there is nobody left to work for."""


def clean(text: str) -> str:
    """`text` on one line, safe to show: what could steer a terminal appears as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _ESCAPED and char not in _JOINERS
        else char
        for char in text
    )


class Output:
    """Both streams of one run.

    Args:
        as_json: Whether results are JSON lines.
        stdout: Where results go; the process's own unless given.
        stderr: Where messages and progress go; the process's own unless given.

    Attributes:
        as_json: The same.
        live: Whether stderr is a terminal that can redraw lines.
    """

    def __init__(
        self, *, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        for stream in (self._stdout, self._stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal of another encoding must not end a run half way.
                stream.reconfigure(errors="backslashreplace")
        self.err: Console = _plain(_ErrorConsole, self._stderr)
        self.live: bool = self._stderr.isatty() and not self.err.is_dumb_terminal

    def say(self, sentence: str, *, style: str | Style = "") -> None:
        """One message on stderr."""
        self.err.print(Text(clean(sentence), style=style), soft_wrap=True)

    @property
    def asks(self) -> bool:
        """Whether somebody sees what is asked."""
        return self._stderr.isatty()

    def ask(self, question: str) -> None:
        """A question on stderr; the answer comes on the same line."""
        self.err.print(Text(clean(question)), soft_wrap=True, end="")

    def complain(self, sentence: str) -> None:
        """One message on stderr about something that went wrong."""
        self.say(sentence, style="red")

    def record(self, fields: Mapping[str, Any]) -> None:
        """One JSON object on a line of stdout; ASCII only, so that no terminal reads it amiss.

        Raises:
            OutputClosedError: Nobody reads it.
        """
        self._write(json.dumps(fields, default=str) + "\n")

    def line(self, text: str) -> None:
        """One line of plain text on stdout.

        Raises:
            OutputClosedError: Nobody reads it.
        """
        self._write(clean(text) + "\n")

    def show(self, renderable: RenderableType) -> None:
        """A table or a tree on stdout: fitted to a terminal, in whole lines elsewhere.

        Raises:
            OutputClosedError: Nobody reads it.
        """
        console = _plain(Console, self._stdout)
        if not console.is_terminal:
            console.width = _UNBROKEN
        if isinstance(renderable, Table):
            renderable = fitted(renderable, console)
        with console.capture() as captured:
            console.print(renderable, crop=False)
        for line in captured.get().splitlines():
            self._write(line.rstrip() + "\n")

    @property
    def to_terminal(self) -> bool:
        """Whether results are shown to a person."""
        return self._stdout.isatty()

    @property
    def help(self) -> Console:
        """A console for the help of commands."""
        return _HelpConsole(self, self._stdout)

    def hush(self) -> None:
        """Let Python's own flush at exit find a stream that takes everything."""
        with contextlib.suppress(OSError, ValueError):
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, self._stdout.fileno())
            os.close(void)

    def _write(self, text: str) -> None:
        try:
            self._stdout.write(text)
            self._stdout.flush()
        except BrokenPipeError:
            self.hush()
            raise OutputClosedError from None


class _ErrorConsole(Console):
    """A console on stderr."""

    def on_broken_pipe(self) -> None:
        """Say nothing more when nobody listens; the run itself goes on."""
        self.quiet = True


class _HelpConsole(Console):
    """A console on stdout, for what is printed without an `Output`."""

    def __init__(self, output: Output, stream: TextIO) -> None:
        super().__init__(file=stream)
        self._output = output

    def on_broken_pipe(self) -> None:
        """End the run, as `Output` does."""
        self._output.hush()
        raise OutputClosedError


def _plain(kind: type[Console], stream: TextIO) -> Console:
    return kind(file=stream, markup=False, highlight=False, emoji=False)
