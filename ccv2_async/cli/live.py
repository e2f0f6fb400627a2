"""How a run is shown while it lasts: bars that are redrawn, or plain lines where nothing can be.

The board is one line for each item in flight and one for all. It is drawn from a few counts and
the items that fit the screen, so that ten thousand files cost no more than ten.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
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

from ccv2_async.cli.jobs import Stage
from ccv2_async.cli.output import clean
from ccv2_async.cli.tables import in_bytes
from ccv2_async.cli.wording import told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from rich.console import RenderableType

    from ccv2_async.cli.jobs import Display, JobItem
    from ccv2_async.cli.output import Output
    from ccv2_async.cli.totals import Totals

__all__ = ["STYLES", "Board", "Lines", "Sums", "shown"]

STYLES = {
    Stage.WAITING: "dim",
    Stage.SENDING: "cyan",
    Stage.AT_SERVICE: "yellow",
    Stage.DONE: "green",
    Stage.FAILED: "red",
}
_UNTOLD = frozenset({"waiting", "sent"})
_SENT = (Stage.AT_SERVICE, Stage.DONE)
_FRAMES = 10.0
_STYLED = ("bold", "")
_SECONDS_BETWEEN = 10.0
_MANY = 50
"""Items in a run above which logs get no line for each change."""

_STATE_WIDTH = 13
_AMOUNT_WIDTH = 18
_SPEED_WIDTH = 10
_WIDE, _MIDDLE, _NARROW = 84, 60, 44
"""Columns from which on speeds, amounts and bars are shown."""


@contextlib.asynccontextmanager
async def shown(
    items: list[JobItem], output: Output, totals: Totals, *, results_come: bool
) -> AsyncIterator[Display]:
    """What shows the items, for as long as the block lasts.

    Args:
        items: All that will be in the run.
        output: Where to.
        totals: What they come to.
        results_come: Whether lines are written to stdout meanwhile; where that is a terminal too,
            they and the bars would overwrite each other.
    """
    display: Board | Sums | Lines
    if output.live and not (results_come and output.to_terminal):
        display = Board(items, output, totals)
    elif len(items) > _MANY:
        display = Sums(output, totals)
    else:
        display = Lines(output)
    display.start()
    try:
        yield display
    finally:
        display.stop()


class Lines:
    """A line for each change of an item; for logs and pipes."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._told: dict[JobItem, str] = {}

    def start(self) -> None:
        """There is nothing to prepare."""

    def changed(self, item: JobItem) -> None:
        """Say so, unless it is only more of the same."""
        if (
            (item.earlier and item.error is None)
            or item.word in _UNTOLD
            or self._told.get(item) == item.word
        ):
            return
        self._told[item] = item.word
        if item.ended:
            del self._told[item]
        if item.stage is Stage.FAILED:
            _complain(self._output, item)
        else:
            self._output.say(f"{item.label}: {item.word}")

    def stop(self) -> None:
        """There is nothing to clear away."""


class Sums:
    """A line for each failure, and one for all of them now and then; for long logs.

    Args:
        output: Where to.
        totals: What is summed up.
    """

    def __init__(self, output: Output, totals: Totals) -> None:
        self._output = output
        self._totals = totals
        self._telling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell how it goes, every ten seconds from now on."""
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN)
            self._output.say(" · ".join(self._totals.lines()))

    def changed(self, item: JobItem) -> None:
        """Count it, and say so if it failed."""
        self._totals.changed(item)
        if item.stage is Stage.FAILED:
            _complain(self._output, item)

    def stop(self) -> None:
        """Tell no more."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None


class Board:
    """The lines that are redrawn, from `start` to `stop`; see the module.

    Args:
        items: All that will be in the run.
        output: Where errors are told, above the board.
        totals: What is summed up.
        clock: The time that speeds are taken on.
    """

    def __init__(
        self,
        items: Iterable[JobItem],
        output: Output,
        totals: Totals,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._totals = totals
        self._clock = clock
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
        """Clear it away; what is written next stands in its place."""
        if self._redrawing is not None:
            self._redrawing.cancel()
            self._redrawing = None
            self._mend()
            self._live.stop()

    async def _redraw(self) -> None:
        while True:
            await asyncio.sleep(1.0 / _FRAMES)
            self._mend()
            self._live.refresh()

    def _mend(self) -> None:
        """Erase what a narrowed terminal has made of the last frame: its lines fold into more.

        The frame is erased from its last line up, as many lines as it was drawn in. The lines
        that it has grown by are erased here, before that.
        """
        width, lengths = self._drawn
        now = self._output.err.size.width
        if now >= width:
            return
        grown = sum(max(0, (length - 1) // now) for length in lengths)
        if grown:
            up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)]
            self._output.err.control(
                Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *(up * grown))
            )
        self._drawn = (now, [])

    def changed(self, item: JobItem) -> None:
        """Move the item to where it belongs; it has left the stage WAITING."""
        self._begun[item] = None
        self._totals.changed(item)
        if item.stage is Stage.FAILED:
            _complain(self._output, item)

    def draw(self) -> RenderableType:
        """The board as it is now."""
        width, height = self._output.err.size
        room = max(1, height - 5)
        listed, hidden = self._chosen(room)
        table = _grid(width, _name_width(width, self._longest))
        for item in listed:
            table.add_row(*self._row(item, width))
        parts: list[RenderableType] = [table]
        if hidden:
            parts.append(Text(f"and {hidden:,} more at the service", style="dim"))
        words = self._overall(width)
        texts = [part.cell_len for part in (*parts, *words) if isinstance(part, Text)]
        full = len(listed) + 1  # the rows and the bar of all
        self._drawn = (width, [*texts, *[width] * full])
        return Group(*parts, *words)

    def _chosen(self, room: int) -> tuple[list[JobItem], int]:
        """The items that are shown, and how many at the service are not."""
        if len(self._begun) <= room:
            return list(self._begun), 0
        at_service = self._totals.at_service
        sending = list(islice(self._totals.sending, room))
        shown = list(islice(at_service, max(0, room - 1 - len(sending))))
        return [*sending, *shown], len(at_service) - len(shown)

    def _row(self, item: JobItem, width: int) -> list[RenderableType]:
        sending = item.stage is Stage.SENDING
        amount = in_bytes(item.size) if item.size else ""
        speed = ""
        if sending and 0 < item.sent < item.size:
            amount = f"{in_bytes(item.sent)} of {amount}"
            speed = f"{in_bytes(item.sent / max(0.001, self._clock() - item.began))}/s"
        return _cells(
            width,
            name=Text(_tail(clean(item.label), _name_width(width, self._longest))),
            bar=_bar(item.size if item.stage in _SENT else item.sent, item.size, item.stage),
            amount=Text(amount),
            speed=Text(speed),
            state=Text(clean(item.word), style=STYLES[item.stage]),
        )

    def _overall(self, width: int) -> list[RenderableType]:
        totals = self._totals
        part, whole = totals.part
        bar = Table.grid(expand=True)
        bar.add_column(ratio=1)
        bar.add_row(
            _bar(part, whole, Stage.DONE if totals.ended == totals.count else Stage.SENDING)
        )
        words = [
            Text(line, style=style) for line, style in zip(totals.lines(), _STYLED, strict=False)
        ]
        for line in words:
            # Room for the ^C that a terminal echoes: a full line would begin another one.
            line.truncate(max(1, width - 3), overflow="ellipsis")
        return [bar, *words]


def _complain(output: Output, item: JobItem) -> None:
    message = told(item.error) if item.error else item.word
    output.complain(message if item.label in message else f"{item.label}: {message}")


def _bar(part: int, whole: int, stage: Stage) -> ProgressBar:
    return ProgressBar(
        total=max(1, whole),
        completed=part if whole else 0,
        complete_style=STYLES[stage],
        finished_style=STYLES[stage],
    )


def _name_width(width: int, longest: int) -> int:
    """Columns for the names, on a terminal of this width."""
    most = width // 3 if width >= _NARROW else width - _STATE_WIDTH - 1
    return max(4, min(longest, most))


def _tail(text: str, width: int) -> str:
    """The end of a path, which tells most of it, in so many columns."""
    if cell_len(text) <= width:
        return text
    kept, room = len(text), width - 1
    while room > 0:
        room -= cell_len(text[kept - 1])
        kept -= room >= 0
    return "…" + text[kept:]


def _grid(width: int, name_width: int) -> Table:
    """The columns that fit a terminal of this width."""
    columns: list[tuple[int, dict[str, Any]]] = [
        (0, {"width": name_width}),
        (_NARROW, {"ratio": 1}),
        (_MIDDLE, {"width": _AMOUNT_WIDTH, "justify": "right"}),
        (_WIDE, {"width": _SPEED_WIDTH, "justify": "right"}),
        (0, {"width": _STATE_WIDTH}),
    ]
    table = Table.grid(padding=(0, 1), expand=True)
    for least, options in columns:
        if width >= least:
            table.add_column(no_wrap=True, overflow="ellipsis", **options)
    return table


def _cells(
    width: int, *, name: Text, bar: ProgressBar, amount: Text, speed: Text, state: Text
) -> list[RenderableType]:
    cells: Iterable[tuple[int, RenderableType]] = (
        (0, name),
        (_NARROW, bar),
        (_MIDDLE, amount),
        (_WIDE, speed),
        (0, state),
    )
    return [cell for least, cell in cells if width >= least]
