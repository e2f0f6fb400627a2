"""Write results to stdout and everything else to stderr, both made safe to show.

File names and the service's messages are untrusted: control characters, invisible direction marks,
and broken encodings are shown as escapes, and nothing is ever read as markup.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console
from rich.text import Text

from ccv2_async import one_line as clean
from ccv2_async.cli.exits import Exit
from ccv2_async.cli.tables import Table, fitted, records
from ccv2_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rich.console import RenderableType
    from rich.style import Style

_UNBROKEN = 10_000
"""Characters in a line where no terminal sets a width."""

_NARROWEST = 20
"""The minimum width of help in characters: rich wraps text forever in one or two columns."""


class OutputClosedError(Exception):
    """The reader of stdout is gone, so the command ends."""


class Output:
    """The two streams of one command: results and messages.

    If stderr is closed or cannot be written to, messages go to stdout. In JSON mode only the error
    that ends the command goes there, as an object. If stdout is closed or cannot be written to,
    results go to stderr.

    Args:
        as_json: Whether results are JSON lines.
        as_csv: Whether the rows of a listing are CSV, in UTF-8 unless a terminal shows them.
        carry_on: Whether the command continues after the reader of stdout is gone. A command that
            changes something continues, and reports the rest on stderr; a listing ends.
        stdout: The stream for results; by default the process's own.
        stderr: The stream for messages and progress; by default the process's own.

    Raises:
        UsageError: The results would be both JSON and CSV.

    Attributes:
        as_json: Whether results are JSON lines.
        as_csv: Whether the rows of a listing are CSV.
        carry_on: Whether the command continues after the reader of stdout is gone.
        err: The console on stderr.
        live: Whether stderr is a terminal that can redraw lines.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        as_csv: bool = False,
        carry_on: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        if as_json and as_csv:
            raise UsageError("Pass either --json or --csv, not both.")
        self.as_json = as_json
        self.as_csv = as_csv
        self.carry_on = carry_on
        self._out = _Stream(stdout or sys.stdout, is_data=as_csv)
        self._err = _Stream(stderr or sys.stderr)
        self._failure: Exit | None = None
        self.err: Console = _plain(self._err)
        self.live: bool = self._err.isatty() and not self.err.is_dumb_terminal

    def say(self, sentence: str, *, style: str | Style = "") -> None:
        """Write one message to stderr."""
        self.err.print(Text(clean(sentence), style=style), soft_wrap=True)
        if self._err.lost and not self.as_json:
            self._out.write(clean(sentence) + "\n")

    def complain(self, sentence: str) -> None:
        """Write one message to stderr about something that went wrong."""
        self.say(sentence, style="red")

    def give_up(self, sentence: str) -> None:
        """Write the message of the error that ends the command."""
        self.complain(sentence)
        if self._err.lost and self.as_json:
            self._out.write(json.dumps({"error": sentence}) + "\n")

    def record(self, fields: Mapping[str, Any]) -> None:
        """Write one JSON object on a line of stdout, in ASCII so that every terminal shows it.

        Raises:
            OutputClosedError: The reader is gone.
        """
        self._write(json.dumps(fields, default=str) + "\n")

    def values(self, values: Iterable[str]) -> None:
        """Write one line of CSV to stdout, without anything that could control a terminal.

        Raises:
            OutputClosedError: The reader is gone.
        """
        line = io.StringIO()
        shown = map(clean, values) if self.to_terminal else values
        csv.writer(line, lineterminator="\n").writerow(shown)
        self._write(line.getvalue())

    def report(self, fields: Mapping[str, Any], sentence: str) -> Exit:
        """Report what was done, as JSON or as a message, and return the exit code."""
        if self.as_json:
            self.record(fields)
        else:
            self.say(sentence)
        return Exit.OK

    def line(self, text: str) -> None:
        """Write one line of plain text to stdout.

        Raises:
            OutputClosedError: The reader is gone.
        """
        self._write(clean(text) + "\n")

    def show(self, renderable: RenderableType | Table, *, as_records: bool = False) -> None:
        """Write a table or a tree to stdout, fitted to a terminal or in whole lines elsewhere.

        Args:
            renderable: The table or the tree.
            as_records: Whether to show each value of a table on its own line.

        Raises:
            OutputClosedError: The reader is gone.
        """
        console = _plain(self._err if self._out.lost else self._out)
        if not console.is_terminal:
            console.width = _UNBROKEN
        if isinstance(renderable, Table):
            renderable = (records if as_records else fitted)(renderable, console)
        with console.capture() as captured:
            console.print(renderable, crop=False)
        for line in captured.get().splitlines():
            self._write(line.rstrip() + "\n")

    async def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask before something that cannot be undone, and return whether to do it.

        Args:
            question: The question.
            yes: Whether the command line has answered it already.

        Raises:
            UsageError: Stdin or stderr is not a terminal.
        """
        if yes:
            return True
        if not (sys.stdin.isatty() and self.err_is_terminal):
            raise UsageError(f"{question} Confirm with --yes. Nothing was done.")
        self.err.print(Text(clean(f"{question} [y/N] ")), soft_wrap=True, end="")
        try:
            answer = await _read_line()
        except asyncio.CancelledError:
            self.say("")  # the cursor is behind the question
            self.say("Nothing was done.")
            raise
        if answer.strip().casefold() in ("y", "yes"):
            return True
        self.say("Nothing was done.")
        return False

    @property
    def err_is_terminal(self) -> bool:
        """Whether a person reads the messages."""
        return self._err.isatty()

    @property
    def to_terminal(self) -> bool:
        """Whether a person reads the results."""
        return self._out.isatty()

    @property
    def help(self) -> Console:
        """A console for the help of commands."""
        console = Console(file=cast("TextIO", _Results(self._out, self._write)))
        console.width = max(console.width, _NARROWEST)
        return console

    def ended(self, code: Exit) -> Exit:
        """Return the command's exit code: `code`, unless stdout failed and nothing else did."""
        return self._failure if self._failure is not None and code is Exit.OK else code

    def _write(self, text: str) -> None:
        """Write a result to stdout, or to stderr once stdout has failed."""
        self._out.write(text)
        if not self._out.lost:
            return
        error = self._out.error
        if error is not None and self._failure is None:
            gone = isinstance(error, BrokenPipeError)
            self._failure = Exit.CLOSED if gone else Exit.SOME_FAILED
            if gone and not self.carry_on:
                raise OutputClosedError
            reason = error.strerror or "the stream is closed"
            self._err.write(f"Could not write to stdout: {reason}. The results follow here.\n")
        self._err.write(text)


class _Stream:
    """A text stream that never raises: it notes that it was lost, and why.

    Args:
        stream: The stream, or None where the process was started without it.
        is_data: Whether programs read it, unless it is a terminal. Then no character is escaped.

    Attributes:
        raw: The stream, or None once it is lost.
        error: Why it was lost; None for a stream that never existed.
    """

    def __init__(self, stream: TextIO | None, *, is_data: bool = False) -> None:
        self.raw: TextIO | None = None if stream is None or stream.closed else stream
        self.error: OSError | None = None
        if isinstance(self.raw, io.TextIOWrapper):
            # A terminal with another encoding must not end a run halfway.
            encoding = "utf-8" if is_data and not self.raw.isatty() else None
            self.raw.reconfigure(encoding=encoding, errors="backslashreplace")

    @property
    def lost(self) -> bool:
        """Whether output can no longer be written."""
        return self.raw is None

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return getattr(self.raw, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self.raw is not None and self.raw.isatty()

    def fileno(self) -> int:
        """Return the file descriptor."""
        if self.raw is None:
            raise OSError("the stream is closed")
        return self.raw.fileno()

    def write(self, text: str) -> int:
        """Write and flush, unless the stream is lost; return the number of characters."""
        if self.raw is not None:
            try:
                self.raw.write(text)
                self.raw.flush()
            except (OSError, ValueError) as error:
                self._lose(self.raw, error)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""

    def _lose(self, stream: TextIO, error: OSError | ValueError) -> None:
        """Give up the stream; Python's own flush at exit gets one that accepts everything."""
        self.raw = None
        self.error = error if isinstance(error, OSError) else None
        with contextlib.suppress(OSError, ValueError):
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, stream.fileno())
            os.close(void)


class _Results(_Stream):
    """The stream of a console that writes results."""

    def __init__(self, stream: _Stream, put: Callable[[str], None]) -> None:
        super().__init__(stream.raw)
        self._put = put

    def write(self, text: str) -> int:
        """Write a result."""
        self._put(text)
        return len(text)


async def _read_line() -> str:
    """Return a line from stdin. It does not use a thread, because Ctrl-C could not end it."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not answered.done():
            answered.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), read)
    try:
        return await answered
    finally:
        loop.remove_reader(sys.stdin.fileno())


def _plain(stream: _Stream) -> Console:
    return Console(file=cast("TextIO", stream), markup=False, highlight=False, emoji=False)
