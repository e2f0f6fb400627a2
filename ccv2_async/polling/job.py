"""The kinds of long-running jobs, and what is known of one job. A new kind is a row in a table."""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async.models.base import Outcome
from ccv2_async.models.convert import BadRow

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from ccv2_async.errors import JobError
    from ccv2_async.transport.calls.answers import JobKindName
    from ccv2_async.transport.calls.session import Session

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("ccv2_async.polling")


class State(enum.Enum):
    """Where a job stands, whatever its kind calls it.

    ::

        PENDING ──> SUCCEEDED
           │  └───> FAILED
           └──────> LOST       the service does not know it, or no longer
    """

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will change."""
        return self is not State.PENDING


_STATES = {
    Outcome.PENDING: State.PENDING,
    Outcome.SUCCESS: State.SUCCEEDED,
    Outcome.FAILURE: State.FAILED,
}


@attrs.frozen
class Row:
    """What one status request said of one job.

    Attributes:
        status: The service's own word, as it came.
        description: What it adds to it, or "".
        detail: The whole resource, when the request gave it.
        unreadable: What came in its place and cannot be read, for people; "" when it was read.
    """

    status: str
    description: str = ""
    detail: Any = None
    unreadable: str = ""


LONGEST_WORD = 100
"""Characters that are kept of a status which is not known."""

MOST_WARNINGS = 100

UNTOLD = Row(status="")
"""The row of a job that could not be asked for this time, while others could: nothing is new."""

HOLE = Row(status="")
"""The row of a job that may stand behind one of several rows that cannot be told apart.

Nothing is new, and it is asked for with fewer others next time.
"""


def rows_of(
    kind: JobKind,
    ids: Sequence[str],
    answer: Iterable[T | BadRow],
    read: Callable[[T], tuple[str, Row]],
    *id_fields: str,
) -> dict[str, Row]:
    """Return what an answer with a row for each job says of each, so that none fails another.

    Rows of other jobs are left out, and a job of which nothing is said has no row. Of several rows
    of one job, one that can be read counts, and a final one; two ends that contradict each other
    cannot be read.

    Args:
        kind: The kind of the jobs.
        ids: The jobs that were asked for.
        answer: The rows.
        read: Gives the id and the row of a job.
        id_fields: Where an unreadable row may name its job.
    """
    found: dict[str, Row] = {}
    nameless = ""
    for raw in answer:
        if isinstance(raw, BadRow):
            id_ = raw.id(*id_fields)
            nameless = nameless or ("" if id_ else raw.text)
            row = Row(status="", unreadable=raw.text)
        else:
            id_, row = read(raw)
        found[id_] = _preferred(kind, found.get(id_), row)
    rows = {id_: found[id_] for id_ in ids if id_ in found}
    missing = [id_ for id_ in ids if id_ not in found] if nameless else []
    only = Row(status="", unreadable=nameless)
    return rows | dict.fromkeys(missing, only if len(missing) == 1 else HOLE)


def _preferred(kind: JobKind, first: Row | None, second: Row) -> Row:
    """Return the one of two rows of the same job that counts."""
    if first is None or first.unreadable or second.unreadable:
        return first if first is not None and second.unreadable else second
    (word, state), (other, other_state) = kind.read(first.status), kind.read(second.status)
    if state.is_final and other_state.is_final and word != other:
        return Row(status="", unreadable=f"both {word[:40]} and {other[:40]}")
    return first if state.is_final else second


@attrs.frozen(eq=False)
class JobKind:
    """How jobs of one kind are asked for and judged.

    Attributes:
        name: As it stands in resume tokens.
        noun: As it stands in messages.
        path: The path of the status resource; `{}` takes the id.
        outcomes: What each known status means.
        most: How many ids fit into one status request.
        deadline: Seconds that a wait takes at most, unless the caller says otherwise.
        kept: Seconds for which the service answers for a job; tokens expire then.
        ask: Gives the rows of the jobs with these ids; one it does not know has no row, and one
            of which nothing could be learned has `UNTOLD`.
        fetch: The result of a job that succeeded.
        failure: The exception for a job that failed.
    """

    name: JobKindName
    noun: str
    path: str
    outcomes: Mapping[Any, Outcome]
    most: int
    deadline: float
    kept: float
    ask: Callable[[Session, Sequence[str]], Awaitable[Mapping[str, Row]]]
    fetch: Callable[[Session, Job], Awaitable[Any]]
    failure: Callable[[Job, str], JobError]
    _words: dict[str, tuple[str, State]] = attrs.field(init=False)

    @_words.default
    def _by_word(self) -> dict[str, tuple[str, State]]:
        return {
            str(status).casefold(): (str(status), _STATES[outcome])
            for status, outcome in self.outcomes.items()
        }

    def read(self, status: str) -> tuple[str, State]:
        """A status in the service's usual spelling, and what it means, whatever its case.

        An unknown one is pending, shown as it came, and warned of once.
        """
        known = self._words.get(status.casefold())
        if known is not None:
            return known
        _warn(self.noun, status[:LONGEST_WORD])
        return status[:LONGEST_WORD], State.PENDING


def _warn(noun: str, word: str) -> None:
    """Warn of a status once, and of so many only: the service may give a new one each time."""
    if (noun, word) in _warned or len(_warned) >= MOST_WARNINGS:
        return
    _warned.add((noun, word))
    logger.warning(
        "The service gave an %s the status %r, which this version does not know; "
        "it is taken as pending.%s",
        noun,
        word,
        " Further ones are not logged." if len(_warned) == MOST_WARNINGS else "",
    )


_warned: set[tuple[str, str]] = set()


@attrs.frozen
class Update:
    """One change of a job's status.

    Attributes:
        id: The job's id.
        status: The service's own word; None when the service does not know the job.
        state: What it means.
        description: What the service adds to it, or "".
    """

    id: str
    status: str | None
    state: State
    description: str = ""

    @property
    def is_final(self) -> bool:
        """Whether this is the last one."""
        return self.state.is_final


@attrs.define(eq=False, weakref_slot=True)
class Job:
    """What is known of one job; shared by every poller of it in one client.

    Attributes:
        kind: Its row in the table.
        id: The service's id.
        submitted: When it was started, in seconds since 1970.
        submitted_here: The same on the monotonic clock; None for a resumed job.
        due: When to look next, on the monotonic clock.
        ripe: Before this, on the monotonic clock, a look is not worth a request.
        state: Where it stands.
        history: Every change of status, oldest first.
        looks: How many looks there were.
        unknown: Looks in a row at which the service did not know it.
        detail: The resource as last read, when a look gave it.
        result: What `fetch` gave.
        fetching: Held by whoever gets the result; None until somebody does.
        label: What messages call it: the file's name, or its id.
    """

    kind: JobKind
    id: str
    submitted: float
    submitted_here: float | None
    due: float
    label: str
    ripe: float = attrs.field(default=attrs.Factory(lambda self: self.due, takes_self=True))
    state: State = State.PENDING
    history: tuple[Update, ...] = ()
    looks: int = 0
    unreadable: str = ""
    unreadable_looks: int = 0
    unreadable_since: float = 0.0
    last_look: float | None = None
    unknown: int = 0
    detail: Any = None
    result: Any = None
    fetching: asyncio.Lock | None = None

    @property
    def status(self) -> str | None:
        """The last known status, or None before the first look."""
        return self.history[-1].status if self.history else None

    @property
    def told(self) -> Update | None:
        """What the service told last; None while it does not know the job, whatever a token says.

        Of one that is lost for good it is that.
        """
        known = self.history and (self.state.is_final or not self.unknown)
        return self.history[-1] if known else None

    def change(self, status: str | None, state: State, description: str = "") -> bool:
        """Take a look's answer into account; whether anything is new."""
        if self.history and self.history[-1].status == status and self.state is state:
            return False
        self.state = state
        update = Update(id=self.id, status=status, state=state, description=description)
        self.history = (*self.history, update)
        return True
