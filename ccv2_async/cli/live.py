"""Show a run while it lasts: redrawn bars in a terminal, plain lines elsewhere.

The board has one line for each item in flight and one for the totals. It is drawn from a few counts
and the items that fit the screen, so that ten thousand files cost no more than ten.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from ccv2_async import BulkState
from ccv2_async import one_line as clean
from ccv2_async.cli.exits import message_of
from ccv2_async.cli.tables import counted, in_bytes, lasting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from rich.console import RenderableType

    from ccv2_async import Budget
    from ccv2_async.cli.jobs import Display, JobItem
    from ccv2_async.cli.output import Output

STYLES = {
    BulkState.PENDING: "dim",
    BulkState.SENDING: "cyan",
    BulkState.ACCEPTED: "yellow",
    BulkState.DONE: "green",
    BulkState.FAILED: "red",
    BulkState.AMBIGUOUS: "red",
}
_SENT = (BulkState.ACCEPTED, BulkState.DONE)
_FRAMES = 10.0
_STYLED = ("bold", "")
_SECONDS_BETWEEN = 10.0
_MANY = 50
"""The number of items above which logs do not get a line for each change."""

_WINDOW = 10.0
"""The seconds over which speeds are measured."""

_STATE_WIDTH = 13
_NARROW = 44
_COLUMNS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("name", 0, {}),
    ("bar", _NARROW, {"ratio": 1}),
    ("amount", 60, {"width": 18, "justify": "right"}),
    ("speed", 84, {"width": 10, "justify": "right"}),
    ("state", 0, {"width": _STATE_WIDTH}),
)
"""The columns of the board, each with the minimum terminal width at which it is shown."""


@contextlib.asynccontextmanager
async def shown(
    items: list[JobItem], output: Output, totals: Totals, *, results_come: bool
) -> AsyncIterator[Display]:
    """Show the items for as long as the block lasts.

    Args:
        items: All items of the run.
        output: The streams.
        totals: Their counts.
        results_come: Whether lines are written to stdout at the same time. If that is a terminal
            too, they and the bars would overwrite each other.
    """
    board = output.live and not (results_come and output.to_terminal)
    display = Board(items, output, totals) if board else Log(output, totals)
    display.start()
    try:
        yield display
    finally:
        display.stop()


class Log:
    """A line for each change of an item, for logs and pipes.

    If there are many items, a line for each failure, and one for all items every ten seconds.

    Args:
        output: The streams.
        totals: The counts.
    """

    def __init__(self, output: Output, totals: Totals) -> None:
        self._output = output
        self._totals = totals
        self._shown: dict[JobItem, str] = {}
        self._reporting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write a line every ten seconds, if there are many items."""
        if self._totals.count > _MANY:
            self._reporting = asyncio.create_task(self._report())

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN)
            self._output.say(" · ".join(self._totals.lines()))

    def changed(self, item: JobItem) -> None:
        """Write a line, unless the item's state would read the same as before."""
        if item.state is not BulkState.PENDING:
            self._totals.changed(item)
        known = item.earlier and item.error is None
        if known or item.word in (BulkState.PENDING.value, self._shown.get(item)):
            return
        if item.failed:
            _complain(self._output, item)
        elif self._totals.count <= _MANY:
            self._output.say(f"{item.label}: {item.word}")
        if item.ended:
            self._shown.pop(item, None)
        else:
            self._shown[item] = item.word

    def stop(self) -> None:
        """Write no more lines."""
        if self._reporting is not None:
            self._reporting.cancel()
            self._reporting = None


class Board:
    """The lines that are redrawn, from `start` to `stop`; see the module.

    Args:
        items: All items of the run.
        output: The streams. Errors are shown above the board.
        totals: The counts.
        clock: The clock for speeds.
    """

    def __init__(
        self,
        items: Iterable[JobItem],
        output: Output,
        totals: Totals,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output, self._totals, self._clock = output, totals, clock
        self._longest = max((cell_len(clean(item.label)) for item in items), default=0)
        self._begun: dict[JobItem, None] = {}
        self._redrawing: asyncio.Task[None] | None = None
        self._drawn: tuple[int, list[int]] = (0, [])
        self._live = Live(
            console=output.err,
            get_renderable=self.draw,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def start(self) -> None:
        """Draw it, ten times a second from now on."""
        self._live.start(refresh=True)
        self._redrawing = asyncio.create_task(self._redraw())

    def stop(self) -> None:
        """Erase it; what is written next takes its place."""
        if self._redrawing is not None:
            self._redrawing.cancel()
            self._redrawing = None
            self._erase_folded_lines()
            self._live.stop()

    async def _redraw(self) -> None:
        while True:
            await asyncio.sleep(1.0 / _FRAMES)
            self._erase_folded_lines()
            self._live.refresh()

    def _erase_folded_lines(self) -> None:
        """Erase the rest of the last frame after a terminal got narrower, which folds its lines.

        The frame is erased from its last line up, as many lines as it was drawn in. The lines
        that it has grown by are erased here, before that.
        """
        width, lengths = self._drawn
        now = self._output.err.size.width
        if now >= width:
            return
        if grown := sum(max(0, (length - 1) // now) for length in lengths):
            up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)]
            self._output.err.control(
                Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *(up * grown))
            )
        self._drawn = (now, [])

    def changed(self, item: JobItem) -> None:
        """Move the item to where it belongs; it is no longer PENDING."""
        self._begun[item] = None
        self._totals.changed(item)
        if item.failed:
            _complain(self._output, item)

    def draw(self) -> RenderableType:
        """Return the board as it is now."""
        width, height = self._output.err.size
        listed, hidden = self._chosen(max(1, height - 5))
        table = Table.grid(padding=(0, 1), expand=True)
        for name, options in _columns(width):
            own = {"width": _name_width(width, self._longest)} if name == "name" else options
            table.add_column(no_wrap=True, overflow="ellipsis", **own)
        for item in listed:
            cells = self._cells(item, width)
            table.add_row(*(cells[name] for name, _ in _columns(width)))
        parts: list[RenderableType] = [table]
        if hidden:
            parts.append(Text(f"and {hidden:,} more on the server", style="dim"))
        words = self._overall(width)
        texts = [part.cell_len for part in (*parts, *words) if isinstance(part, Text)]
        self._drawn = (width, [*texts, *[width] * (len(listed) + 1)])  # the rows and the bar of all
        return Group(*parts, *words)

    def _chosen(self, room: int) -> tuple[list[JobItem], int]:
        """Return the items to show, and the number of items on the server that are not shown."""
        if len(self._begun) <= room:
            return list(self._begun), 0
        at_service = self._totals.at_service
        sending = list(islice(self._totals.sending, room))
        shown = list(islice(at_service, max(0, room - 1 - len(sending))))
        return [*sending, *shown], len(at_service) - len(shown)

    def _cells(self, item: JobItem, width: int) -> dict[str, RenderableType]:
        sending = item.state is BulkState.SENDING
        amount = in_bytes(item.size) if item.size else ""
        speed = ""
        if sending and 0 < item.sent < item.size:
            amount = f"{in_bytes(item.sent)} of {amount}"
            speed = f"{in_bytes(item.sent / max(0.001, self._clock() - item.began))}/s"
        return {
            "name": Text(_tail(clean(item.label), _name_width(width, self._longest))),
            "bar": _bar(item.size if item.state in _SENT else item.sent, item.size, item.state),
            "amount": Text(amount),
            "speed": Text(speed),
            "state": Text(clean(item.word), style=STYLES[item.state]),
        }

    def _overall(self, width: int) -> list[RenderableType]:
        totals = self._totals
        part, whole = totals.part
        bar = Table.grid(expand=True)
        bar.add_column(ratio=1)
        bar.add_row(
            _bar(part, whole, BulkState.DONE if totals.ended == totals.count else BulkState.SENDING)
        )
        words = [
            Text(line, style=style) for line, style in zip(totals.lines(), _STYLED, strict=False)
        ]
        for line in words:
            # Room for the ^C that a terminal echoes: a full line would begin another one.
            line.truncate(max(1, width - 3), overflow="ellipsis")
        return [bar, *words]


def _complain(output: Output, item: JobItem) -> None:
    message = message_of(item.error) if item.error else item.word
    output.complain(message if item.label in message else f"{item.label}: {message}")


def _bar(part: int, whole: int, state: BulkState) -> ProgressBar:
    return ProgressBar(
        total=max(1, whole),
        completed=part if whole else 0,
        complete_style=STYLES[state],
        finished_style=STYLES[state],
    )


def _name_width(width: int, longest: int) -> int:
    """Return the width of the names, on a terminal of this width."""
    most = width // 3 if width >= _NARROW else width - _STATE_WIDTH - 1
    return max(4, min(longest, most))


def _tail(text: str, width: int) -> str:
    """Return as much of the end of a path, its most telling part, as fits."""
    if cell_len(text) <= width:
        return text
    kept, room = len(text), width - 1
    while room > 0:
        room -= cell_len(text[kept - 1])
        kept -= room >= 0
    return "…" + text[kept:]


def _columns(width: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the columns that fit a terminal of this width."""
    return ((name, options) for name, least, options in _COLUMNS if width >= least)


class Totals:
    """The counts of one run: items that have ended, speeds, and calls that are left today.

    Args:
        items: All items of the run.
        budget: The budget that counts calls.
        finished: Those that an earlier run has finished, as far as is known. They take no time.
        clock: The clock for speeds.

    Attributes:
        count: The number of items.
        sending: Those that are being sent, in the order in which they began.
        at_service: Those that the service is processing.
        done: The number that succeeded.
        failed: The number that failed.
        earlier: How many of these an earlier run settled.
    """

    def __init__(
        self,
        items: Iterable[JobItem],
        budget: Budget,
        *,
        finished: Iterable[JobItem] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sizes = [item.size for item in items]
        self.count: int = len(sizes)
        self.sending: dict[JobItem, None] = {}
        self.at_service: dict[JobItem, None] = {}
        self.done: int = 0
        self.failed: int = 0
        self.earlier: int = 0
        self._budget = budget
        self._used_before = budget.used
        self._clock = clock
        self._began = clock()
        self._bytes = sum(sizes)
        self._sized = self._bytes > 0
        self._bytes_handed = 0
        self._handed = 0
        self._finished = set(finished)
        self._not_sent = len(self._finished)
        self._bytes -= sum(item.size for item in self._finished)
        self._samples: deque[tuple[float, int, int]] = deque([(self._began, 0, 0)])

    @property
    def ended(self) -> int:
        """The number that have ended."""
        return self.done + self.failed

    @property
    def part(self) -> tuple[int, int]:
        """The finished part and the whole: bytes, or items if nothing has a size."""
        return (self._bytes_sent, self._bytes) if self._bytes else (self.ended, self.count)

    def changed(self, item: JobItem) -> None:
        """Move the item to where it belongs; it is no longer PENDING."""
        if item.state is BulkState.SENDING:
            self.sending[item] = None
            return
        if item in self.sending or item not in self.at_service:
            self._hand_over(item)
        self.sending.pop(item, None)
        if item.state is BulkState.ACCEPTED:
            self.at_service[item] = None
            return
        self.at_service.pop(item, None)
        self.done += item.state is BulkState.DONE
        self.failed += item.failed

    def _hand_over(self, item: JobItem) -> None:
        self.earlier += item.earlier
        if item in self._finished:  # it was counted before, as not sent
            self._finished.remove(item)
            self._not_sent -= 1
            self._bytes += item.size
        if item.attempt:
            self._handed += 1
            self._bytes_handed += item.size
        else:
            # This run sent none of it: an earlier one did, or it was refused before.
            self._not_sent += 1
            self._bytes -= item.size

    @property
    def _bytes_sent(self) -> int:
        return self._bytes_handed + sum(item.sent for item in self.sending)

    def lines(self) -> list[str]:
        """Return everything as text: counts and the time left, then speeds and the quota."""
        counts = [f"{self.done:,} of {self.count:,} done"]
        if self.earlier:
            counts.append(f"{self.earlier:,} by an earlier run")
        if self.failed:
            counts.append(f"{self.failed:,} failed")
        if not self._sized:
            return [" · ".join([*counts, *self._calls()])]
        counts.append(f"{in_bytes(self._bytes_sent)} of {in_bytes(self._bytes)}")
        files, amount = self._speeds()
        if left := self._time_left(files, amount):
            counts.append(left)
        speeds = [f"{files:.1f} files/s"] * bool(files) + [f"{in_bytes(amount)}/s"] * bool(amount)
        return [" · ".join(counts), " · ".join([*speeds, *self._calls()])]

    def summary(self) -> str:
        """Return the time and the calls that it took, in words."""
        return f"{lasting(self._clock() - self._began)}, {self._calls()[0]}"

    def _calls(self) -> list[str]:
        used = max(0, self._budget.used - self._used_before)
        left = self._budget.remaining_today
        limit = "no daily quota" if left is None else f"{left:,} left today"
        return [counted(used, "call"), limit]

    def _speeds(self) -> tuple[float, float]:
        """Return the files and the bytes sent per second, over the last seconds."""
        now = self._clock()
        self._samples.append((now, self._handed, self._bytes_sent))
        while self._samples[0][0] < now - _WINDOW:
            self._samples.popleft()
        since, files, amount = self._samples[0]
        passed = now - since
        if passed <= 0:
            return 0.0, 0.0
        return (self._handed - files) / passed, max(0.0, (self._bytes_sent - amount) / passed)

    def _time_left(self, files: float, amount: float) -> str:
        """Return how long it takes to send the rest, from the number of files or bytes."""
        if not (waiting := self.count - self._not_sent - self._handed):
            return f"{len(self.at_service):,} still in progress" if self.at_service else ""
        rests = ((waiting, files), (self._bytes - self._bytes_sent, amount))
        needs = [rest / rate for rest, rate in rests if rate]
        return f"{lasting(max(needs))} to go" if needs else ""
