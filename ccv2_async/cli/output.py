"""Write results to stdout and everything else to stderr, with nothing raw in either.

File names and the service's messages are untrusted: control characters, invisible direction marks
and broken encodings are shown as escapes, and nothing is ever read as markup.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccv2_async.cli.exits import Exit
from ccv2_async.cli.fitting import fitted
from ccv2_async.text import one_line as clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import RenderableType
    from rich.style import Style

__all__ = ["Output", "OutputClosedError", "clean"]

_UNBROKEN = 10_000
"""Characters in a line where no terminal sets a width."""


class OutputClosedError(Exception):
    """The reader of stdout has gone, so the command ends."""


class Output:
    """The two streams of one command: results and messages.

    If stderr is closed or cannot be written, messages go to stdout. In JSON mode only the error
    that ends the command goes there, as an object. If stdout is closed or cannot be written,
    results go to stderr.

    Args:
        as_json: Whether results are JSON lines.
        carry_on: Whether the command goes on when the reader of stdout has gone. A command that
            changes something does, and reports the rest on stderr; a listing ends.
        stdout: The stream for results; by default the process's own.
        stderr: The stream for messages and progress; by default the process's own.

    Attributes:
        as_json: Whether results are JSON lines.
        carry_on: Whether the command goes on when the reader of stdout has gone.
        err: The console on stderr.
        live: Whether stderr is a terminal that can redraw lines.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        carry_on: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.carry_on = carry_on
        self._out = _Stream(stdout or sys.stdout)
        self._err = _Stream(stderr or sys.stderr)
        self._failure: Exit | None = None
        self.err: Console = _plain(self._err)
        self.live: bool = self._err.isatty() and not self.err.is_dumb_terminal

    def say(self, sentence: str, *, style: str | Style = "") -> None:
        """Write one message to stderr."""
        self.err.print(Text(clean(sentence), style=style), soft_wrap=True)
        if self._err.lost and not self.as_json:
            self._out.write(clean(sentence) + "\n")

    @property
    def asks(self) -> bool:
        """Whether a person sees a question on stderr."""
        return self._err.isatty()

    def ask(self, question: str) -> None:
        """Write a question to stderr; the answer comes on the same line."""
        self.err.print(Text(clean(question)), soft_wrap=True, end="")

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
            OutputClosedError: The reader has gone.
        """
        self._write(json.dumps(fields, default=str) + "\n")

    def line(self, text: str) -> None:
        """Write one line of plain text to stdout.

        Raises:
            OutputClosedError: The reader has gone.
        """
        self._write(clean(text) + "\n")

    def show(self, renderable: RenderableType) -> None:
        """Write a table or a tree to stdout, fitted to a terminal or in whole lines elsewhere.

        Raises:
            OutputClosedError: The reader has gone.
        """
        console = _plain(self._err if self._out.lost else self._out)
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
        return self._out.isatty()

    @property
    def help(self) -> Console:
        """A console for the help of commands."""
        return Console(file=cast("TextIO", _Results(self._out, self._write)))

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

    Attributes:
        error: Why it was lost; None for a stream that was never there.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = None if stream is None or stream.closed else stream
        self.error: OSError | None = None
        if isinstance(self._stream, io.TextIOWrapper):
            # A terminal with another encoding must not end a run half way.
            self._stream.reconfigure(errors="backslashreplace")

    @property
    def lost(self) -> bool:
        """Whether nothing can be written any more."""
        return self._stream is None

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor."""
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write and flush, unless the stream is lost; return the number of characters."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(self._stream, error)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""

    def _lose(self, stream: TextIO, error: OSError | ValueError) -> None:
        """Give up the stream; Python's own flush at exit finds one that takes everything."""
        self._stream = None
        self.error = error if isinstance(error, OSError) else None
        with contextlib.suppress(OSError, ValueError):
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, stream.fileno())
            os.close(void)


@attrs.frozen
class _Results:
    """The stream of a console that writes results."""

    _stream: _Stream
    _put: Callable[[str], None]

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write a result."""
        self._put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has flushed."""


def _plain(stream: _Stream) -> Console:
    return Console(file=cast("TextIO", stream), markup=False, highlight=False, emoji=False)
