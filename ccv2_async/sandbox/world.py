"""Everything one sandbox remembers, and what is set about it."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.clock import ShiftedClock
from ccv2_async.sandbox.faults import Faults
from ccv2_async.sandbox.state.account import Account
from ccv2_async.sandbox.state.activities import Activities
from ccv2_async.sandbox.state.campaigns import Campaigns
from ccv2_async.sandbox.state.contacts import Contacts
from ccv2_async.sandbox.state.events import Events
from ccv2_async.sandbox.state.gateway import Log, Quota
from ccv2_async.sandbox.state.library import Library

if TYPE_CHECKING:
    from ccv2_async.sandbox.clock import Clock
    from ccv2_async.sandbox.jobs import Export
    from ccv2_async.sandbox.settings import Settings

_FIRST_IDS = (1_000_000, 1_000_000_000)


class World:
    """The account behind the sandbox, with its gateway.

    Attributes:
        settings: How it behaves.
        clock: The time it runs on.
        library: Folders and files.
        account: The account itself.
        contacts: Lists and contacts.
        activities: Bulk activities.
        exports: What finished exports hold, by the id of their activity.
        events: Events and what belongs to them.
        campaigns: E-mail campaigns and what became of them.
        quota: The gateway's counts.
        faults: What is going to go wrong.
        log: What was asked.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings: Settings = settings
        self.clock: ShiftedClock = ShiftedClock() if clock is None else ShiftedClock(clock)
        self.reset()

    def reset(self) -> None:
        """Forget everything but the settings and the clock."""
        seed = self.settings.seed
        ids = random.Random(secrets.randbits(64) if seed is None else seed)  # noqa: S311 - no secrets
        self.library: Library = Library(self.settings, first_id=ids.randrange(*_FIRST_IDS))
        self.account: Account = Account()
        self.contacts: Contacts = Contacts()
        self.campaigns: Campaigns = Campaigns(self.settings, self.account, self.contacts)
        self.events: Events = Events(self.settings)
        self.activities: Activities = Activities(self.settings, id_seed=ids.getrandbits(64))
        self.exports: dict[str, Export] = {}
        self.quota: Quota = Quota(self.settings.per_second, self.settings.per_day)
        self.faults: Faults = Faults(random.Random(self.settings.draw_seed))  # noqa: S311 - simulated faults
        self.log: Log = Log(self.settings.log_size)

    def configure(self, changes: dict[str, Any]) -> None:
        """Change settings from now on; what has begun keeps its plan."""
        self.settings = attrs.evolve(self.settings, **changes)
        self.library.settings = self.settings
        self.campaigns.settings = self.settings
        self.events.settings = self.settings
        self.activities.settings = self.settings
        self.quota.per_second = self.settings.per_second
        self.quota.per_day = self.settings.per_day

    def settle(self) -> None:
        """Let everything come to where it is by now."""
        now = self.clock.time()
        self.activities.settle(now)
        self.campaigns.settle(now)

    def snapshot(self) -> dict[str, Any]:
        """What is there, as plain data."""
        library = self.library
        return {
            "time": self.clock.time(),
            "files": self.snapshot_files(),
            "folders": [
                {"id": folder.id, "name": folder.name, "parent_id": folder.parent_id}
                for folder in library.folders.values()
            ],
            "lists": [
                {"id": row.id, "name": row.name, "contact_count": len(row.members)}
                for row in self.contacts.lists.values()
            ],
            "contacts": len(self.contacts.contacts),
            "requests": {
                "total": self.log.total,
                "running": self.log.running,
                "most_running": self.log.most_running,
            },
        }

    def snapshot_files(self) -> list[dict[str, Any]]:
        """The library's files, oldest first, the trashed ones included."""
        now = self.clock.time()
        return [
            {
                "id": stored.id,
                "name": stored.name,
                "description": stored.description,
                "file_type": stored.file_type,
                "source": stored.source,
                "folder_id": stored.folder_id,
                "size": stored.size,
                "sha256": stored.sha256,
                "status": stored.status(now),
                "looks": stored.looks,
                "created": stored.created,
                "due": stored.plan.due(),
            }
            for stored in self.library.files.values()
        ]
