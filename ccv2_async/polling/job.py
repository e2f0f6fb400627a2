"""The kinds of long-running jobs, and the state of one job. Pure.

A new kind is a `JobKind` next to the code that starts its jobs.
"""

from __future__ import annotations

import enum
import logging
import math
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async.models.base import Outcome
from ccv2_async.models.convert import BadRow
from ccv2_async.polling.schedule import is_lost, is_unreadable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from ccv2_async.errors import JobError
    from ccv2_async.transport.calls.responses import JobKindName
    from ccv2_async.transport.calls.session import Session

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("ccv2_async.polling")


class State(enum.Enum):
    """The state of a job, the same for every kind.

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
        """Whether the state is final."""
        return self is not State.PENDING


_STATES = {
    Outcome.PENDING: State.PENDING,
    Outcome.SUCCESS: State.SUCCEEDED,
    Outcome.FAILURE: State.FAILED,
}


@attrs.frozen
class Row:
    """The response to one status request, for one job.

    Attributes:
        status: The service's own word, unchanged.
        description: The service's description of it, or "".
        detail: The whole resource, if the response had it.
        unreadable: A row that cannot be read, in readable form; "" for a valid one.
    """

    status: str
    description: str = ""
    detail: Any = None
    unreadable: str = ""


LONGEST_WORD = 100
"""The maximum number of characters to keep of an unknown status."""

LONGEST_TEXT = 300
"""The maximum number of characters to keep of the service's description of a job."""

MOST_WARNINGS = 100

ELSEWHERE: float = -math.inf
"""The time of a look that another process may have taken. One object, for thousands of jobs."""

NO_NEWS = Row(status="")
"""The row of a job whose status could not be requested this time, while others could."""

UNIDENTIFIED = Row(status="")
"""The row of a job that one of several unreadable rows may belong to.

The next request asks for fewer jobs, to show which one.
"""


def rows_of(
    kind: JobKind,
    ids: Sequence[str],
    response: Iterable[T | BadRow],
    read: Callable[[T], tuple[str, Row]],
    *id_fields: str,
) -> dict[str, Row]:
    """Return the row of each job from a response with many rows.

    An unreadable row fails only its own job. Rows of other jobs are left out, and a job that is not
    in the response has no row. If a job has several rows, a readable row wins, and then a final
    one; two final rows that contradict each other count as unreadable.

    Args:
        kind: The kind of the jobs.
        ids: The jobs that were asked about.
        response: The rows.
        read: Returns the ID and the row of a job.
        id_fields: The fields in which an unreadable row may name its job.
    """
    found: dict[str, Row] = {}
    nameless = ""
    for raw in response:
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
    return rows | dict.fromkeys(missing, only if len(missing) == 1 else UNIDENTIFIED)


def _preferred(kind: JobKind, first: Row | None, second: Row) -> Row:
    """Return the preferred one of two rows of the same job."""
    if first is None or first.unreadable or second.unreadable:
        return first if first is not None and second.unreadable else second
    (word, state), (other, other_state) = kind.read(first.status), kind.read(second.status)
    if state.is_final and other_state.is_final and word != other:
        return Row(status="", unreadable=f"both {word[:40]} and {other[:40]}")
    return first if state.is_final else second


async def _nowhere(_session: Session, _job: Job) -> None:
    """Find nothing."""


@attrs.frozen(eq=False)
class JobKind:
    """How to ask for jobs of one kind, and what the responses mean.

    Attributes:
        name: Its name, in resume tokens and messages.
        path: The path of the status resource; `{}` takes the ID.
        outcomes: The outcome for each known status.
        most: The maximum number of IDs in one status request.
        deadline: The default time limit of a wait, in seconds.
        kept: Seconds for which the service keeps a job; tokens expire then.
        ask: Returns the rows of the jobs with these IDs. A job that the service does not know has
            no row; a job that could not be asked about has `NO_NEWS`.
        fetch: Returns the result of a job that succeeded.
        failure: Returns the exception for a job that failed.
        find: Looks up a job that `ask` does not know in another resource; returns None if it is
            not there either, or `NO_NEWS` if nobody can tell.
    """

    name: JobKindName
    path: str
    outcomes: Mapping[Any, Outcome]
    most: int
    deadline: float
    kept: float
    ask: Callable[[Session, Sequence[str]], Awaitable[Mapping[str, Row]]]
    fetch: Callable[[Session, Job], Awaitable[Any]]
    failure: Callable[[Job, str], JobError]
    find: Callable[[Session, Job], Awaitable[Row | None]] = _nowhere
    _words: dict[str, tuple[str, State]] = attrs.field(init=False)

    @_words.default
    def _by_word(self) -> dict[str, tuple[str, State]]:
        return {
            str(status).casefold(): (str(status), _STATES[outcome])
            for status, outcome in self.outcomes.items()
        }

    def read(self, status: str) -> tuple[str, State]:
        """Return a status in the service's usual spelling, and its outcome. Case is ignored.

        An unknown status is pending and is not changed. It is logged once.
        """
        if (known := self._words.get(status.casefold())) is not None:
            return known
        _warn(self.name, status[:LONGEST_WORD])
        return status[:LONGEST_WORD], State.PENDING


def _warn(kind: str, word: str) -> None:
    """Log an unknown status once. The number of statuses that are logged is limited."""
    if (kind, word) in _warned or len(_warned) >= MOST_WARNINGS:
        return
    _warned.add((kind, word))
    last = " Further unknown statuses are not logged." if len(_warned) == MOST_WARNINGS else ""
    text = "An %s has the status %r, which this version does not know; it counts as pending.%s"
    logger.warning(text, kind, word, last)


_warned: set[tuple[str, str]] = set()


@attrs.frozen(weakref_slot=False)
class Update:
    """One change of a job's status.

    Attributes:
        id: The job's ID.
        status: The service's own word; None if the service does not know the job.
        state: Its meaning.
        description: The service's description of it, or "".
    """

    id: str
    status: str | None
    state: State
    description: str = ""

    @property
    def is_final(self) -> bool:
        """Whether this is the last one."""
        return self.state.is_final


@attrs.frozen
class Unreadable:
    """The unreadable responses for a job's status.

    Attributes:
        text: The last row, in readable form.
        since: The time of the first one, on the monotonic clock.
        looks: The number of consecutive unreadable ones.
    """

    text: str
    since: float
    looks: int


@attrs.define(eq=False, weakref_slot=True)
class Job:
    """One job as the client knows it; all its pollers in one client share it.

    Attributes:
        kind: Its kind.
        id: The service's ID.
        submitted: When it was started, in seconds since 1970.
        submitted_here: The same on the monotonic clock. It is an estimate for a resumed job.
        due: When to look next, on the monotonic clock.
        label: Its name in messages: the file's name, or its ID.
        ripe: The time, on the monotonic clock, before which a look is not worth a request.
        state: The current state.
        history: Every change of status, oldest first.
        unreadable: The unreadable responses, if its status cannot be read.
        last_look: The time of the last look, or of the start before the first one, on the monotonic
            clock; `ELSEWHERE` for a resumed job, because another process may have looked.
        unknown: The number of consecutive looks at which the service did not know it.
        failures: The failed requests for it since the last answer: 1 for all with other jobs, and 1
            for each without.
        detail: The resource as last read, if it is final and a look returned it.
        result: The result of `JobKind.fetch`.
    """

    kind: JobKind
    id: str
    submitted: float
    submitted_here: float
    due: float
    label: str
    ripe: float = attrs.field(default=attrs.Factory(lambda self: self.due, takes_self=True))
    state: State = State.PENDING
    history: tuple[Update, ...] = ()
    unreadable: Unreadable | None = None
    last_look: float = attrs.Factory(lambda self: self.submitted_here, takes_self=True)
    unknown: int = 0
    failures: int = 0
    detail: Any = None
    result: Any = None

    @property
    def status(self) -> str | None:
        """The last known status, or None before the first look."""
        return self.history[-1].status if self.history else None

    @property
    def last_response(self) -> Update | None:
        """The last response from the service; None while it does not know the job.

        It is None even if a token has a status. A lost job counts as answered.
        """
        known = self.history and (self.state.is_final or not self.unknown)
        return self.history[-1] if known else None

    def age(self, now: float) -> float:
        """Return the seconds since it was started, at a time on the monotonic clock."""
        return now - self.submitted_here

    def learn(self, row: Row | None, now: float) -> bool:
        """Take the response to a look into account; return whether the status is new.

        Args:
            row: The response; None if the service does not know the job.
            now: The time of the response, on the monotonic clock.
        """
        self.last_look = ELSEWHERE if self.last_look is ELSEWHERE else now
        self.ripe = max(self.ripe, now)
        if row is None:
            self.unknown += 1
            return is_lost(self.age(now), self.unknown) and self.change(None, State.LOST)
        if row is NO_NEWS or row is UNIDENTIFIED:
            return False
        if row.unreadable:
            return self._learn_unreadable(row, now)
        self.unknown, self.unreadable = 0, None
        word, state = self.kind.read(row.status)
        self.detail = row.detail if state.is_final else None
        return self.change(word, state, row.description)

    def _learn_unreadable(self, row: Row, now: float) -> bool:
        if (before := self.unreadable) is None:
            before = Unreadable("", since=now, looks=0)
            logger.info("The status of %s %s cannot be read.", self.kind.name, self.label)
        looks = before.looks + 1
        self.unreadable = Unreadable(row.unreadable, before.since, looks)
        return is_unreadable(now - before.since, looks) and self.change(None, State.LOST)

    def change(self, status: str | None, state: State, description: str = "") -> bool:
        """Set the status; return whether it is new."""
        if self.history and self.history[-1].status == status and self.state is state:
            return False
        self.state = state
        update = Update(id=self.id, status=status, state=state, description=description)
        self.history = (*self.history, update)
        return True
