"""The kinds of long-running jobs, and what is known of one job. A new kind is a row in a table."""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.models.outcomes import Outcome

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ccv2_async.errors import JobError
    from ccv2_async.transport.links import JobKindName
    from ccv2_async.transport.session import Session

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
    """

    status: str
    description: str = ""
    detail: Any = None


UNTOLD = Row(status="")
"""The row of a job that could not be asked for this time, while others could: nothing is new."""


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
        if (self.name, status) not in _warned:
            _warned.add((self.name, status))
            logger.warning(
                "The service gave an %s the status %r, which this version does not know; "
                "it is taken as pending.",
                self.noun,
                status[:40],
            )
        return status, State.PENDING


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
