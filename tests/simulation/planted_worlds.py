"""Bugs to plant in what the other worlds use: pollers, activities, the quota, backups, mirrors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import attrs

from ccv2_async.activities.starter import Starter
from ccv2_async.activities.status import ACTIVITY
from ccv2_async.backup.journal import Journal as BackupJournal
from ccv2_async.polling import job
from ccv2_async.polling.job import Job, State, Update
from ccv2_async.transport.calls.credentials import Credentials
from ccv2_async.transport.files.partial import PartialFile
from ccv2_async.transport.quota import budget, shared
from ccv2_async.transport.quota.leader import SharedWork
from ccv2_async.uploads.mirror.plan import Known
from ccv2_async.uploads.mirror.run import Mirror
from ccv2_async.uploads.status import UPLOAD
from tests.simulation.invariants import PER_SECOND
from tests.simulation.planted import Bug

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccv2_async.backup.journal import Scope
    from ccv2_async.polling.job import JobKind
    from ccv2_async.transport.quota import Lane


def _reads(kind: JobKind, word: str, state: State) -> Any:
    words: dict[str, tuple[str, State]] = kind._words  # the bug is in it
    return patch.dict(words, {word.casefold(): (word, state)})


def _twice(self: Job, status: str | None, state: State, description: str = "") -> bool:
    self.state = state
    update = Update(id=self.id, status=status, state=state, description=description)
    self.history = (*self.history, update)
    return True


def _no_hand_over(self: SharedWork, waiter: Any) -> None:
    line = self._lines[waiter.limit]  # the bug is in it
    del line[waiter]
    if not line:
        del self._lines[waiter.limit]


def _last_part_lost() -> Any:
    start = Starter.start

    async def short(self: Starter, operation: Any, portions: Sequence[Any], **options: Any) -> Any:
        return await start(self, operation, portions[: max(1, len(portions) - 1)], **options)

    return patch.object(Starter, "start", short)


def _always_listed() -> Any:
    scope = BackupJournal.scope

    def done(self: BackupJournal, *arguments: Any, **options: Any) -> Scope:
        found: Scope = scope(self, *arguments, **options)
        return attrs.evolve(found, done=found.done or bool(found.since))

    return patch.object(BackupJournal, "scope", done)


def _not_discarded() -> Any:
    return patch.object(PartialFile, "discard", lambda part: part._file and part._file.close())


def _stays_open() -> Any:
    keep, kept = PartialFile.keep, []

    def open_still(self: PartialFile) -> str:
        digest = keep(self)
        kept.append(self._path.open("rb"))
        return digest

    return patch.object(PartialFile, "keep", open_still)


async def _nothing(*_: object, **__: object) -> None:
    return None


async def _true(*_: object, **__: object) -> bool:
    return True


def _first_come(self: Any, other: Any) -> bool:
    return bool(self.order[1] < other.order[1])


def _any_answer_is_a_go() -> Any:
    ask = shared.SharedBudget._ask  # the bug is in it

    async def go(self: shared.SharedBudget, lane: Lane) -> bool:
        await ask(self, lane)
        return self._local is None and self.remaining_today != 0

    return patch.object(shared.SharedBudget, "_ask", go)


def _whole_quota(_share: float | None, per_day: int | None, *, clock: Any) -> budget.Budget:
    return budget.Budget(PER_SECOND, per_day, clock=clock)


WORLD_BUGS = (
    Bug(
        "a token is accepted for another account",
        lambda: patch.object(Credentials, "checksum", lambda *_: "x" * 16),
        1,
        "jobs",
    ),
    Bug("a change is told twice", lambda: patch.object(Job, "change", _twice), 1, "jobs"),
    Bug(
        "the work is not handed over when its leader leaves",
        lambda: patch.object(SharedWork, "leave", _no_hand_over),
        0,
        "jobs",
    ),
    Bug(
        "a job that is not known yet is lost",
        lambda: patch.object(job, "is_lost", lambda *_: True),
        1,
        "jobs",
    ),
    Bug("a virus is a success", lambda: _reads(UPLOAD, "VirusFound", State.SUCCEEDED), 0, "jobs"),
    Bug(
        "a status of no documentation is a failure",
        lambda: _reads(UPLOAD, "Quarantined", State.FAILED),
        3,
        "jobs",
    ),
    Bug(
        "a running activity is complete",
        lambda: _reads(ACTIVITY, "RUNNING", State.SUCCEEDED),
        0,
        "activities",
    ),
    Bug(
        "a canceled activity is complete",
        lambda: _reads(ACTIVITY, "CANCELLED", State.SUCCEEDED),
        0,
        "activities",
    ),
    Bug("the last part of a file is not sent", _last_part_lost, 2, "activities"),
    Bug(
        "interactive calls wait for bulk calls",
        lambda: patch.object(budget._Place, "__lt__", _first_come),
        1,
        "shared",
    ),
    Bug(
        "a process takes the whole quota while the store is away",
        lambda: patch.object(shared, "Budget", _whole_quota),
        0,
        "shared",
    ),
    # Asking again and again would be no bug: the store decides. Not listening to it is one.
    Bug("a call does not wait when the store says so", _any_answer_is_a_go, 0, "shared"),
    Bug(
        "what was downloaded is not recorded",
        lambda: patch.object(BackupJournal, "stored", lambda *_: None),
        0,
        "backup",
    ),
    Bug("a download that breaks leaves its file", _not_discarded, 34, "backup"),
    Bug("a written file stays open", _stays_open, 0, "backup"),
    Bug("a listing is read once and for all", _always_listed, 0, "backup"),
    Bug(
        "a file that has changed is in sync",
        lambda: patch.object(Known, "is_content_of", lambda *_: True),
        8,
        "mirror",
    ),
    Bug(
        "the older version is not trashed", lambda: patch.object(Mirror, "_trash", _nothing), 8,
        "mirror",
    ),
    Bug("a file keeps its number", lambda: patch.object(Mirror, "_rename", _true), 8, "mirror"),
    Bug(
        "extra files stay", lambda: patch.object(Mirror, "_trash_extras", _nothing), 38, "mirror"
    ),
)  # fmt: skip
