"""Bugs to plant, each a small patch: a simulation that misses one is too weak."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import attrs

from ccv2_async.transport.calls import responses, retry
from ccv2_async.transport.calls.retry import Decision, Effect, FailureKind
from ccv2_async.transport.calls.session import Session
from ccv2_async.transport.http.connection import Connection
from ccv2_async.transport.http.protocol import SocketStream
from ccv2_async.transport.quota.budget import Budget
from ccv2_async.uploads import ledger, settle, settling, uploader
from ccv2_async.uploads.ledger import Action, BulkState
from ccv2_async.uploads.many import journal
from ccv2_async.uploads.settle import Before, Evidence, Step
from tests.simulation.scenario import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NEVER = 1e9


@attrs.frozen
class Bug:
    """A bug that can be planted.

    Attributes:
        name: What is wrong.
        patches: Plants it.
        first: A seed that caught it. If the seeds draw something else by now, one of the next
            hundred has to.
        world: The world that has to catch it.
    """

    name: str
    patches: Callable[[], Any]
    first: int
    world: str = "uploads"


def _retry(kind: FailureKind, decision: Decision) -> Any:
    row = {**retry.TABLE[kind], Effect.ADDITIVE: decision}
    return patch.dict(retry.TABLE, {kind: row})


def _next_run(state: BulkState, action: Action) -> Any:
    return patch.dict(_plain(ledger.NEXT_RUN), {state: (action, action)})


def _plain(table: Mapping[Any, Any]) -> Any:
    return table


def _step(finding: Before, while_looking: Step, settled: Step) -> Any:
    return patch.dict(_plain(settle.BEFORE_RESEND), {finding: (while_looking, settled)})


@contextlib.asynccontextmanager
async def _not_alone(*_: object) -> Any:
    yield


def _journal_loses(state: BulkState) -> Any:
    write = journal.Journal.write

    async def forgetful(self: journal.Journal, entry: Any, /) -> Any:
        return entry if entry.state is state else await write(self, entry)

    return patch.object(journal.Journal, "write", forgetful)


def _journal_is_late() -> Any:
    write = settling.Sending.write

    async def late(self: Any, state: BulkState, **facts: Any) -> None:
        if state is BulkState.SENDING:
            self.entry = ledger.advance(self.entry, state, **facts)
        else:
            await write(self, state, **facts)

    return patch.object(settling.Sending, "write", late)


def _done_too_early() -> Any:
    write = settling.Sending.write

    async def early(self: Any, state: BulkState, **facts: Any) -> None:
        await write(self, state, **facts)
        if state is BulkState.ACCEPTED:
            self.entry = await self.store.write(ledger.after_end(self.entry))

    return patch.object(settling.Sending, "write", early)


def _wrong_id() -> Any:
    job_id = responses.job_id

    def wrong(*arguments: Any) -> str | None:
        found = job_id(*arguments)
        return found if found is None or int(found) % 7 else str(int(found) + 1)

    return patch.object(uploader, "job_id", wrong)


def _one_second(_: float) -> tuple[float, ...]:
    return 0.0, 1.0


async def _free(*_: object, **__: object) -> None:
    return None


async def _same_bytes(*_: object) -> Evidence:
    return Evidence.SAME_BYTES


async def _no_bytes(*_: object) -> Evidence:
    return Evidence.OTHER_BYTES


async def _found_first(
    _settler: Any, sending: Any, file_id: str, _limit: object
) -> settling.Accepted:
    return settling.Accepted(file_id)


async def _keep_all(
    _settler: Any, _sending: object, found: tuple[str, ...], _limit: object, accepted: str = ""
) -> settling.Accepted:
    return settling.Accepted(accepted or found[0])


def _forgets_duplicates() -> Any:
    write = journal.Journal.write

    async def forgetful(self: journal.Journal, entry: Any, /) -> Any:
        return await write(self, attrs.evolve(entry, duplicates=()))

    return patch.object(journal.Journal, "write", forgetful)


async def _nothing(_: object) -> set[object]:
    return set()


def _connections_are_not_checked() -> Any:
    def finish(self: Connection) -> None:
        self.is_idle, self.expires_at = True, NEVER
        self._on_idle(self)

    async def usable(_: Connection) -> bool:
        return True

    stack = contextlib.ExitStack()
    stack.enter_context(patch.object(Connection, "finish", finish))
    stack.enter_context(patch.object(Connection, "is_usable", usable))
    stack.enter_context(patch.object(SocketStream, "is_stale", lambda _: False))
    return stack


def _compares(result: Callable[..., Any]) -> Any:
    return patch.object(settling, "compare", result)


_SEND = Step.SEND_AGAIN
_UNANSWERED, _FAILED = FailureKind.UNANSWERED, FailureKind.SERVER_FAILED
_SENDING, _ACCEPTED, _AMBIGUOUS = BulkState.SENDING, BulkState.ACCEPTED, BulkState.AMBIGUOUS

BUGS = (
    Bug("SENDING is not written before the first byte", _journal_is_late, 2),
    Bug("the journal loses SENDING", lambda: _journal_loses(_SENDING), 2),
    Bug("the journal loses ACCEPTED", lambda: _journal_loses(_ACCEPTED), 13),
    Bug("the journal loses DONE", lambda: _journal_loses(BulkState.DONE), 0),
    Bug("the journal loses AMBIGUOUS", lambda: _journal_loses(_AMBIGUOUS), 18),
    Bug("the journal loses the ids of further copies", _forgets_duplicates, 11),
    Bug("DONE is written when a file is accepted", _done_too_early, 1),
    Bug("an unanswered upload is sent again", lambda: _retry(_UNANSWERED, Decision.RETRY), 14),
    Bug("an upload is sent again after 500", lambda: _retry(_FAILED, Decision.RETRY), 181),
    Bug("an upload of a killed run is sent again", lambda: _next_run(_SENDING, Action.SEND), 6),
    Bug("an accepted upload is sent again", lambda: _next_run(_ACCEPTED, Action.SEND), 0),
    Bug("an ambiguous upload is sent again", lambda: _next_run(_AMBIGUOUS, Action.SEND), 60),
    Bug("an upload of a killed run is skipped", lambda: _next_run(_SENDING, Action.SKIP), 2),
    Bug("an accepted upload is skipped", lambda: _next_run(_ACCEPTED, Action.SKIP), 0),
    Bug("one look is enough", lambda: _step(Before.NOTHING, _SEND, _SEND), 9),
    Bug("what cannot be compared is sent again", lambda: _step(Before.UNPROVEN, _SEND, _SEND), 60),
    Bug("the same name and size are enough", lambda: _compares(_same_bytes), 9),
    Bug("no file in the folder is ever ours", lambda: _compares(_no_bytes), 8),
    Bug(
        "the name and size of its own upload are enough to skip a file",
        lambda: patch.object(journal.Journal, "sent", _nothing),
        15,
    ),
    Bug(
        "numbered names are not recognized",
        lambda: patch.object(settle, "same_name", str.__eq__),
        9,
    ),
    Bug(
        "no look follows a resend",
        lambda: patch.object(settling.Settler, "check_for_doubles", _found_first),
        11,
    ),
    Bug(
        "further copies are not reported",
        lambda: patch.object(settling.Settler, "keep_one", _keep_all),
        11,
    ),
    Bug(
        "the settling time is a second",
        lambda: patch.object(settling, "look_delays", _one_second),
        11,
    ),
    Bug(
        "old files are not compared",
        lambda: patch.multiple(settling, SAME_HOUR=1.0, SAME_DAY=1.0),
        52,
    ),
    Bug("the quota is not waited for", lambda: patch.object(Budget, "acquire", _free), 0),
    Bug("the quota lets a burst through", lambda: patch.object(Budget, "_delay", lambda _: 0.0), 0),
    Bug("the id is that of another file", _wrong_id, 0),
    Bug("a late call keeps its turn", lambda: patch.object(Session, "_keep_turn", _free), 0),
    Bug("an unrequested response counts for the next request", _connections_are_not_checked, 0),
)
"""Bugs that break no promise are not here, because a second defense catches them: the lock of a
name is not taken, an adopted file is not claimed (bytes are compared), an unanswered upload counts
as refused (the journal still says SENDING), a refused connection is final."""


def seed_that_catches(bug: Bug, seeds: int = 100) -> int | None:
    """Plant a bug, and return the first seed that catches it; None if none of them does."""
    with bug.patches():
        return next(
            (
                seed
                for seed in range(bug.first, bug.first + seeds)
                if simulate(seed, world=bug.world).broken
            ),
            None,
        )
