"""Draw the pictures and tables of the documentation from the code: its tables and its imports.

`python docs/drawings.py` writes `docs/drawn/`, and so does the build of the documentation.
`tests/docs` fails if the committed files differ from the code.
"""

# ruff: noqa: INP001  # a script next to conf.py, not part of a package

from __future__ import annotations

import ast
import asyncio
import functools
import itertools
import statistics
from contextlib import asynccontextmanager, suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import ccv2_async
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.models.base import Outcome
from ccv2_async.polling import schedule
from ccv2_async.polling.job import Job, State
from ccv2_async.transport.calls import retry
from ccv2_async.transport.quota import Lane
from ccv2_async.transport.quota.budget import Budget
from ccv2_async.uploads.ledger import BulkState, Entry, action_for
from ccv2_async.uploads.status import UPLOAD

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Callable,
        Container,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from ccv2_async.polling.job import JobKind

INK, FAINT, PAPER, RULE = "#14213d", "#5c677d", "#ffffff", "#ccd3dd"
BLUE, GREEN, RED, SAND, GREY = "#c5dcf5", "#bfe3c8", "#f4c4bd", "#fbe0a8", "#e6e9ee"
LINE_BLUE, LINE_GREEN, LINE_RED = "#2f6fb2", "#2d8a4e", "#b5443a"

BULK_ARROWS = (
    (BulkState.PENDING, BulkState.SENDING),
    (BulkState.SENDING, BulkState.PENDING),
    (BulkState.SENDING, BulkState.ACCEPTED),
    (BulkState.SENDING, BulkState.FAILED),
    (BulkState.SENDING, BulkState.AMBIGUOUS),
    (BulkState.ACCEPTED, BulkState.DONE),
    (BulkState.ACCEPTED, BulkState.FAILED),
    (BulkState.FAILED, BulkState.SENDING),
)
"""The transitions of a row in the journal. `tests/docs` compares them with real runs."""


class Sheet:
    """An SVG picture in the making."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height = width, height
        self._parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" height="{height}" role="img" '
                'font-family="system-ui, -apple-system, Segoe UI, Roboto, DejaVu Sans, sans-serif">'
            ),
            f"<title>{escape(title)}</title>",
            (
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
                f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{FAINT}"/>'
                "</marker></defs>"
            ),
            f'<rect width="{width}" height="{height}" rx="12" fill="{PAPER}"/>',
        ]

    def box(self, x: float, y: float, w: float, h: float, fill: str) -> None:
        """A rounded box."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="8" fill="{fill}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = 14,
        at: str = "middle",
        ink: str = INK,
        bold: bool = False,
    ) -> None:
        """A line of text; `y` is its middle."""
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y + size * 0.35:.1f}" font-size="{size}" text-anchor="{at}" '
            f'fill="{ink}"{weight}>{escape(words)}</text>'
        )

    def arrow(self, path: str) -> None:
        """A line with an arrowhead at its end."""
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{FAINT}" stroke-width="1.6" '
            'marker-end="url(#tip)"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, ink: str = RULE) -> None:
        """A plain line."""
        self._parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{ink}"/>'
        )

    def dot(self, x: float, y: float, fill: str, line: str = "none", r: float = 5) -> None:
        """A dot, or with a stroke and a white fill, a ring."""
        self._parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{r:g}" fill="{fill}" stroke="{line}" '
            'stroke-width="1.6"/>'
        )

    def state(self, x: float, y: float, w: float, words: Sequence[str], fill: str) -> None:
        """A box with a bold first line and further lines below."""
        h = 22.0 + 18 * len(words)
        self.box(x, y, w, h, fill)
        for number, line in enumerate(words):
            self.text(
                x + w / 2,
                y + 20 + 18 * number,
                line,
                size=14 if number == 0 else 12,
                bold=number == 0,
            )

    def __str__(self) -> str:
        return "\n".join([*self._parts, "</svg>", ""])


def retry_table() -> str:
    """The retry table as Markdown; effects that are treated alike share a column."""
    columns: dict[tuple[retry.Decision, ...], list[retry.Effect]] = {}
    for effect in retry.Effect:
        decisions = tuple(retry.TABLE[kind][effect] for kind in retry.FailureKind)
        columns.setdefault(decisions, []).append(effect)
    classes = {
        retry.Decision.RETRY: "retry",
        retry.Decision.RETRY_ONCE: "once",
        retry.Decision.WAIT: "wait",
        retry.Decision.REFRESH: "refresh",
        retry.Decision.LOOK: "look",
        retry.Decision.RAISE: "raise",
    }

    def badge(decision: retry.Decision) -> str:
        name = decision.name.lower().replace("_", " ")
        return f"[{name}]{{.decision .decision-{classes[decision]}}}"

    lines = [
        "| what happened | " + " | ".join(_heading(effects) for effects in columns.values()) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    lines += [
        f"| {kind.value} | " + " | ".join(badge(decisions[number]) for decisions in columns) + " |"
        for number, kind in enumerate(retry.FailureKind)
    ]
    lines += ["", *(f"- {badge(decision)} {decision.value}" for decision in retry.Decision), ""]
    lines.append(
        f"A call is sent at most {retry.ATTEMPTS} times, and waits for the quota at "
        f"most {retry.RATE_WAITS} times. The pause before the second attempt is a random time of "
        f"up to {retry.backoff(1, 1.0):g} s, and before the third of up to "
        f"{retry.backoff(2, 1.0):g} s. It is at least as long as the service asks for; if that "
        f"is more than {retry.LONGEST_HINT:g} s, you get the error immediately."
    )
    return "\n".join([*lines, ""])


def _heading(effects: Iterable[retry.Effect]) -> str:
    return ", ".join(effect.value for effect in effects)


def poller_states(kind: JobKind, result: str) -> str:
    """Draw what each status of a kind of job means, and what awaiting its poller gives."""
    by_outcome = {
        outcome: [str(status) for status, meant in kind.outcomes.items() if meant is outcome]
        for outcome in Outcome
    }
    failures = [(status, _exception(kind, status)) for status in by_outcome[Outcome.FAILURE]]
    pending = [*by_outcome[Outcome.PENDING], "any word not known here"]
    sheet = Sheet(760, 330, f"The states of an {kind.name} and what awaiting its poller gives")
    sheet.state(170, 84, 200, [State.PENDING.name, *pending], BLUE)
    bottom = 84 + 40 + 18 * len(pending)
    sheet.dot(40, 130, INK, r=6)
    sheet.text(40, 105, "begin_…", size=12, ink=FAINT)
    sheet.arrow("M48 130H166")
    sheet.arrow("M230 84C230 40 310 40 310 80")
    sheet.text(270, 36, "look again", size=12, ink=FAINT)
    ends = [
        (State.SUCCEEDED, [f"{word}: gives {result}" for word in by_outcome[Outcome.SUCCESS]]),
        (State.FAILED, [f"{word}: raises {name}" for word, name in failures]),
        (
            State.LOST,
            [
                f"not known at {schedule.LOOKS_BEFORE_LOST} looks,",
                f"{schedule.GRACE:g} s after its start or later:",
                "raises JobNotFound",
            ],
        ),
    ]
    y = 16.0
    for (state, words), fill in zip(ends, (GREEN, RED, SAND), strict=True):
        height = 22 + 18 * (1 + len(words))
        sheet.state(480, y, 264, [state.name, *words], fill)
        middle = min(max(y + height / 2, 100), bottom - 10)
        sheet.arrow(f"M370 {middle:g}C425 {middle:g} 425 {y + height / 2:g} 476 {y + height / 2:g}")
        y += height + 14
    sheet.text(
        20,
        sheet.height - 18,
        f"A wait ends after {_duration(kind.deadline)} with PollTimeout; the job continues, and "
        "its token stays valid.",
        size=12,
        at="start",
        ink=FAINT,
    )
    return str(sheet)


def _exception(kind: JobKind, status: str) -> str:
    job = Job(kind=kind, id="1", submitted=0.0, submitted_here=None, due=0.0, label="1")
    job.change(status, State.FAILED)
    return type(kind.failure(job, "")).__name__


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:g} hours" if seconds >= 3600 else f"{seconds / 60:g} minutes"


def looks() -> str:
    """Draw when a poller looks at an open job, by the duration of recent jobs."""
    sheet = Sheet(760, 186, "When a poller looks at a job")
    left, right, until = 190.0, 736.0, 60.0
    for second in range(0, int(until) + 1, 10):
        x = left + (right - left) * second / until
        sheet.line(x, 30, x, 140)
        sheet.text(x, 156, f"{second} s", size=12, ink=FAINT)
    rows = (("nothing known yet", None), ("recent jobs took 8 s", 8.0))
    for number, (label, typical) in enumerate(rows):
        y = 60.0 + 50 * number
        sheet.text(left - 14, y, label, size=13, at="end")
        sheet.line(left, y, right, y, FAINT)
        age = schedule.first_look(typical)
        while age <= until:
            sheet.dot(left + (right - left) * age / until, y, LINE_BLUE)
            age += schedule.next_look(age, 0.5)
    sheet.text(left, 14, "age of the job; a dot is a look (jitter left out)", size=12, at="start")
    return str(sheet)


def bulk_states() -> str:
    """Draw how a file of a bulk upload moves through the journal."""
    sheet = Sheet(760, 250, "The states of a file in a bulk upload")
    places = {
        BulkState.PENDING: (20, 95, GREY, "nothing sent"),
        BulkState.SENDING: (210, 95, BLUE, "written before the first byte"),
        BulkState.ACCEPTED: (464, 20, BLUE, "has an id and a token"),
        BulkState.DONE: (650, 20, GREEN, "is Active"),
        BulkState.FAILED: (464, 95, RED, "has its error"),
        BulkState.AMBIGUOUS: (464, 170, SAND, "may have arrived"),
    }
    widths = {state: 190 if state is not BulkState.PENDING else 120 for state in places}
    widths[BulkState.DONE] = 96
    widths[BulkState.ACCEPTED] = widths[BulkState.FAILED] = widths[BulkState.AMBIGUOUS] = 160
    for state, (x, y, fill, note) in places.items():
        sheet.state(x, y, widths[state], [state.value, note], fill)
    routes = {
        (BulkState.PENDING, BulkState.SENDING): "M140 116H206",
        (BulkState.SENDING, BulkState.PENDING): "M210 138H144",
        (BulkState.SENDING, BulkState.ACCEPTED): "M330 95C340 49 380 49 460 49",
        (BulkState.SENDING, BulkState.FAILED): "M400 110H460",
        (BulkState.SENDING, BulkState.AMBIGUOUS): "M330 153C340 199 380 199 460 199",
        (BulkState.ACCEPTED, BulkState.DONE): "M624 49H646",
        (BulkState.ACCEPTED, BulkState.FAILED): "M544 78V91",
        (BulkState.FAILED, BulkState.SENDING): "M464 132H404",
    }
    for arrow in BULK_ARROWS:
        sheet.arrow(routes[arrow])
    sheet.text(175, 102, "taken up", size=11, ink=FAINT)
    sheet.text(176, 151, "given up", size=11, ink=FAINT)
    sheet.text(433, 146, "next run", size=11, ink=FAINT)
    sheet.text(
        20, 236, "Each arrow is written to the journal at once.", size=12, at="start", ink=FAINT
    )
    return str(sheet)


def next_run() -> str:
    """Return what the next run does with a file, by its row in the journal, as Markdown."""
    lines = ["| the journal says | the file is as it was | the file has changed |"]
    lines.append("| --- | --- | --- |")
    rows: list[tuple[str, Entry | None]] = [("nothing about it", None)]
    for state in BulkState:
        entry = Entry(size=1, written_ns=1, state=state)
        if state is BulkState.FAILED:
            rows.append(("failed, for a reason that may pass", entry))
            final = Entry(size=1, written_ns=1, state=state, final=True)
            rows.append(("failed for good", final))
        else:
            rows.append((state.value, entry))
    lines += [
        f"| {label} | {action_for(entry, 1, 1).value} | {action_for(entry, 2, 1).value} |"
        for label, entry in rows
    ]
    return "\n".join([*lines, ""])


class _DrawnClock:
    """Simulated time, which advances from the end of one wait to the next."""

    def __init__(self) -> None:
        self.now = 0.0
        self._limits: list[tuple[float, asyncio.Timeout]] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with self.timeout(seconds):
                await asyncio.Event().wait()

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as limit:
            waiting = (self.now + (float("inf") if seconds is None else seconds), limit)
            self._limits.append(waiting)
            try:
                yield
            finally:
                self._limits.remove(waiting)

    def advance(self, at_most: float) -> None:
        """Advance to the end of the next wait, or to `at_most` if that comes first."""
        self.now = min([at_most, *(due for due, _ in self._limits)])
        for due, limit in self._limits:
            if due <= self.now:
                limit.reschedule(asyncio.get_running_loop().time())


ASKED = (
    *((0.0, Lane.BULK),) * 12,
    (0.6, Lane.POLL),
    (1.2, Lane.INTERACTIVE),
    (1.2, Lane.INTERACTIVE),
    (2.2, Lane.INTERACTIVE),
    (2.2, Lane.POLL),
)
"""The simulated calls: when each is made, and in which lane."""


async def _simulate() -> list[tuple[float, float, Lane]]:
    """Return when each call was made and when a real `Budget` let it through."""
    clock = _DrawnClock()
    budget = Budget(4, clock=clock)
    sent: list[tuple[float, float, Lane]] = []

    async def call(asked: float, lane: Lane) -> None:
        await budget.acquire(lane)
        sent.append((asked, clock.now, lane))

    left = list(ASKED)
    async with asyncio.TaskGroup() as tasks:
        while len(sent) < len(ASKED):
            while left and left[0][0] <= clock.now:
                tasks.create_task(call(*left.pop(0)))
            for _ in range(20):  # until everybody waits
                await asyncio.sleep(0)
            clock.advance(left[0][0] if left else float("inf"))
    return sent


def lanes() -> str:
    """Draw which calls go first if several lanes need more than the quota, from a real budget."""
    sheet = Sheet(760, 236, "Calls in three lanes under a quota of four a second")
    left, right, until = 130.0, 736.0, 4.5
    simulated = asyncio.run(_simulate())
    ink = {Lane.INTERACTIVE: LINE_GREEN, Lane.POLL: LINE_BLUE, Lane.BULK: LINE_RED}

    def across(moment: float) -> float:
        return left + (right - left) * moment / until

    for second in range(int(until) + 1):
        sheet.line(across(second), 34, across(second), 186)
        sheet.text(across(second), 202, f"{second} s", size=12, ink=FAINT)
    for number, lane in enumerate(Lane):
        y = 60.0 + 48 * number
        sheet.text(left - 14, y, lane.name.lower(), size=13, at="end")
        sheet.line(left, y, right, y, FAINT)
        calls = [(asked, went) for asked, went, of in simulated if of is lane]
        for moment in sorted({asked for asked, _ in calls}):
            sheet.dot(across(moment), y + 16, PAPER, ink[lane], r=4)
            many = sum(asked == moment for asked, _ in calls)
            sheet.text(across(moment) + 9, y + 16, f"{many}", size=11, at="start", ink=FAINT)
        for place, (_, went) in enumerate(sorted(calls)):
            together = sum(other == went for _, other in sorted(calls)[:place])
            sheet.dot(across(went) + 11 * together, y, ink[lane])
    sheet.text(
        left,
        14,
        "a ring: so many calls are asked for; a dot: one goes out",
        size=12,
        at="start",
    )
    sheet.text(
        left,
        224,
        "4 calls a second; the first in the uppermost lane goes next.",
        size=12,
        at="start",
        ink=FAINT,
    )
    return str(sheet)


PACKAGE = Path(ccv2_async.__file__).parent
ROOMS = (
    "transport/http",
    "transport/files",
    "transport/quota",
    "transport/calls",
    "polling",
    "uploads",
    "activities",
    "workers",
    "cli",
)
"""The rooms that are drawn module by module."""

_Graph: TypeAlias = dict[str, set[str]]


def module_imports() -> _Graph:
    """Return which modules each module of the package imports when it runs.

    Names are paths below the package. Imports for type checkers alone are left out.
    """
    paths = {
        path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "__init__.py"
    }
    return {name: set(_imported(path, paths)) - {name} for name, path in paths.items()}


def _imported(path: Path, modules: Container[str]) -> Iterator[str]:
    """Yield the modules of the package that a file imports when it runs."""
    todo: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            negated = isinstance(node.test, ast.UnaryOp)
            todo += node.body if negated else node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        dotted = []
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "ccv2_async":
            homes = ccv2_async._HOMES  # noqa: SLF001  # where the public names live
            dotted = [f"ccv2_async.{homes.get(alias.name, alias.name)}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in dotted:
            place = name.removeprefix("ccv2_async.").replace(".", "/")
            if name.startswith("ccv2_async.") and place in modules:
                yield place
            elif name.startswith("ccv2_async.") and place.rpartition("/")[0] in modules:
                yield place.rpartition("/")[0]


def room_of(module: str) -> str:
    """Return the room of a module: a folder of the package, or the module itself."""
    parts = module.split("/")
    return "/".join(parts[:2] if parts[0] == "transport" else parts[:1])


def rooms() -> str:
    """Draw all rooms, and which of them import which."""
    graph: _Graph = {}
    for module, imported in module_imports().items():
        if module != "transport":
            room = room_of(module)
            graph.setdefault(room, set()).update({room_of(other) for other in imported} - {room})
    return _floors(graph, "The rooms of ccv2_async and their floors", "")


def room(name: str) -> str:
    """Draw the modules of one room, and which of them import which."""
    imports = module_imports()
    inside = {
        module: imported
        for module, imported in imports.items()
        if module.startswith(f"{name}/") and not module.endswith("__main__")
    }
    graph = {
        module.removeprefix(f"{name}/"): {
            other.removeprefix(f"{name}/") for other in imported if other in inside
        }
        for module, imported in inside.items()
    }
    below = {room_of(other) for imported in inside.values() for other in imported} - {room_of(name)}
    return _floors(graph, f"The modules of {name}", f"Below: {', '.join(sorted(below))}")


def _floors(graph: _Graph, title: str, note: str) -> str:
    """Draw a graph without cycles in rows: each box is above everything that it imports.

    Raises:
        RecursionError: The graph has a cycle.
    """

    @functools.cache
    def floor(name: str) -> int:
        return max((floor(other) + 1 for other in graph[name]), default=0)

    @functools.cache
    def reach(name: str) -> frozenset[str]:
        return frozenset(graph[name]).union(*(reach(other) for other in graph[name]))

    # Leave out an arrow that others imply.
    arrows = [
        (name, other)
        for name in sorted(graph)
        for other in sorted(graph[name])
        if not any(other in reach(between) for between in graph[name])
    ]
    # An arrow that passes a row takes a place in it, so that it crosses no box.
    rows: list[list[tuple[str, str]]] = [[] for _ in range(max(map(floor, graph)) + 1)]
    for name in sorted(graph):
        rows[floor(name)].append((name, name))
    for name, other in arrows:
        for passed in range(floor(other) + 1, floor(name)):
            rows[passed].append((name, other))
    ways = {
        (name, other): [
            (name, name),
            *((name, other) for _ in range(floor(other) + 1, floor(name))),
            (other, other),
        ]
        for name, other in arrows
    }
    _untangle(rows, ways, floor)
    return _draw_floors(rows, ways, floor, title, note)


def _untangle(
    rows: list[list[tuple[str, str]]],
    ways: Mapping[tuple[str, str], list[tuple[str, str]]],
    floor: Callable[[str], int],
) -> None:
    """Order each row so that a box is near the boxes that it has arrows to."""
    near: dict[tuple[int, tuple[str, str]], list[tuple[int, tuple[str, str]]]] = {}
    for (name, _), way in ways.items():
        steps = [(floor(name) - passed, point) for passed, point in enumerate(way)]
        for one, two in itertools.pairwise(steps):
            near.setdefault(one, []).append(two)
            near.setdefault(two, []).append(one)
    for turn in range(24):
        places = {
            (number, point): (place + 0.5) / len(row)
            for number, row in enumerate(rows)
            for place, point in enumerate(row)
        }
        for number in range(len(rows)) if turn % 2 else reversed(range(len(rows))):
            weights = {}
            for point in rows[number]:
                others = [places[other] for other in near.get((number, point), ())]
                weights[point] = statistics.fmean(others) if others else places[number, point]
            rows[number].sort(key=weights.__getitem__)
            for place, point in enumerate(rows[number]):
                places[number, point] = (place + 0.5) / len(rows[number])


def _draw_floors(
    rows: list[list[tuple[str, str]]],
    ways: Mapping[tuple[str, str], list[tuple[str, str]]],
    floor: Callable[[str], int],
    title: str,
    note: str,
) -> str:
    high, apart, gap = 30.0, 74.0, 16.0

    def wide(point: tuple[str, str]) -> float:
        return 22 + 7.6 * len(point[0]) if point[0] == point[1] else 4

    lengths = [sum(map(wide, row)) + gap * (len(row) - 1) for row in rows]
    width = max(520, *(int(length) + 40 for length in lengths))
    sheet = Sheet(width, int(apart * len(rows)) + (34 if note else 10), title)
    places: dict[tuple[int, tuple[str, str]], tuple[float, float]] = {}
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        spare = (width - 40 - length) / (len(row) + 1)
        x, y = 20 + spare, 18 + apart * (len(rows) - 1 - number)
        for point in row:
            places[number, point] = (x + wide(point) / 2, y)
            x += wide(point) + gap + spare
    for (name, _), way in ways.items():
        x, y = places[floor(name), way[0]]
        path = f"M{x:.0f} {y + high:.0f}"
        for passed, point in enumerate(way[1:], 1):
            to_x, to_y = places[floor(name) - passed, point]
            middle = (y + high + to_y - 2) / 2
            path += f"C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y - 2:.0f}"
            if passed < len(way) - 1:
                path += f"V{to_y + high:.0f}"
            x, y = to_x, to_y
        sheet.arrow(path)
    for (_, point), (x, y) in places.items():
        if point[0] == point[1]:
            sheet.box(x - wide(point) / 2, y, wide(point), high, BLUE)
            sheet.text(x, y + high / 2, point[0], size=13)
    if note:
        sheet.text(20, sheet.height - 18, note, size=12, at="start", ink=FAINT)
    return str(sheet)


def drawings() -> dict[str, str]:
    """Every file of `docs/drawn`, by name."""
    return {
        "bulk-states.svg": bulk_states(),
        "lanes.svg": lanes(),
        "looks.svg": looks(),
        "next-run.md": next_run(),
        "poller-activity.svg": poller_states(ACTIVITY, "the Activity"),
        "poller-upload.svg": poller_states(UPLOAD, "the LibraryFile"),
        "retry.md": retry_table(),
        "rooms.svg": rooms(),
        **{f"room-{name.replace('/', '-')}.svg": room(name) for name in ROOMS},
    }


def write(folder: Path) -> None:
    """Write what has changed."""
    folder.mkdir(exist_ok=True)
    for name, content in drawings().items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != content:
            path.write_text(content, "utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent / "drawn")
