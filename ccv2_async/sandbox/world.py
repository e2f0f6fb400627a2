"""The state of one sandbox: its settings, its clock, and its data."""

from __future__ import annotations

import random
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.clock import ShiftedClock
from ccv2_async.sandbox.demo import fill_campaigns, fill_contacts, fill_jobs, fill_library
from ccv2_async.sandbox.faults import Faults
from ccv2_async.sandbox.jobs import carry_out
from ccv2_async.sandbox.responses import picked
from ccv2_async.sandbox.saved import fill_parts, read_file, write_parts
from ccv2_async.sandbox.settings import DEMO
from ccv2_async.sandbox.state.activities import Activities
from ccv2_async.sandbox.state.campaigns import Campaigns
from ccv2_async.sandbox.state.contacts import Account, Contacts
from ccv2_async.sandbox.state.events import Events
from ccv2_async.sandbox.state.gateway import Log, Quota, Traffic
from ccv2_async.sandbox.state.library import Library

if TYPE_CHECKING:
    from ccv2_async.sandbox.clock import Clock
    from ccv2_async.sandbox.settings import Settings
    from ccv2_async.sandbox.state.activities import Outcome, Work

_SAVED = ("clock", "library", "account", "contacts", "campaigns", "events", "activities")
_FIRST_IDS = (1_000_000, 1_000_000_000)
_SHOWN = "id name description file_type source folder_id size sha256 looks created"


class World:
    """The account behind the sandbox, with its gateway.

    Attributes:
        settings: The settings.
        clock: Its clock.
        library: Folders and files.
        account: The account itself.
        contacts: Lists and contacts.
        activities: Bulk activities.
        events: Events and their parts.
        campaigns: Email campaigns and the reactions to them.
        quota: The gateway's counts.
        faults: The armed faults.
        log: The requests so far.
        traffic: The last requests, with their responses in full.
        downloads: The requests for file contents so far.
        content_origin: The origin that serves contents; None without a socket.
        content_port: Its port, if clients reach it by the same name as the API; None
            if only this machine can reach it, by `content_origin`.
    """

    content_origin: str | None = None
    content_port: int | None = None

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings: Settings = settings
        self.clock: ShiftedClock = ShiftedClock() if clock is None else ShiftedClock(clock)
        self._seed_file = _seed_file(settings.seed)
        self.reset()

    def reset(self) -> None:
        """Start over: forget everything except the settings and the clock.

        Raises:
            ValueError: The seed's file does not hold a state.
        """
        seed = self.settings.seed
        if isinstance(seed, Path):
            self.load(self._seed_file, name=str(seed))
        else:
            self._begin(seed)

    def save(self) -> dict[str, Any]:
        """Return the state that is kept, as JSON; see `saved`."""
        return write_parts({name: getattr(self, name) for name in _SAVED})

    def load(self, document: dict[str, Any], name: str = "The state") -> None:
        """Replace the state that is kept, and forget the rest.

        Raises:
            ValueError: The document is not one that `save` returned. Nothing was changed. The
                message calls it `name`.
        """
        before, offset = dict(vars(self)), self.clock.offset
        try:
            self._begin(None)
            fill_parts({name: getattr(self, name) for name in _SAVED}, document)
        except ValueError as error:
            vars(self).update(before)
            self.clock.offset = offset
            raise ValueError(f"{name} cannot be used: {error}.") from None
        self.clock.offset = max(self.clock.offset, offset)

    def _begin(self, seed: int | str | None) -> None:
        ids = random.Random(secrets.randbits(64) if seed is None else seed)  # noqa: S311 - no secrets
        self.library: Library = Library(self.settings, first_id=ids.randrange(*_FIRST_IDS))
        self.account: Account = Account()
        self.contacts: Contacts = Contacts()
        self.campaigns: Campaigns = Campaigns(self.settings, self.account, self.contacts)
        self.events: Events = Events(self.settings)
        self.activities: Activities = Activities(
            self.settings, id_seed=ids.getrandbits(64), carry_out=self._carry_out
        )
        self.quota: Quota = Quota(self.settings.per_second, self.settings.per_day)
        self.faults: Faults = Faults(random.Random(self.settings.draw_seed))  # noqa: S311 - simulated faults
        self.log: Log = Log(self.settings.log_size)
        self.traffic: Traffic = Traffic()
        self.downloads: Log = Log(self.settings.log_size)
        self._delays = random.Random(self.settings.draw_seed)  # noqa: S311 - simulated delays
        if seed == DEMO:
            now = self.clock.time()
            fill_contacts(self.contacts, now)
            fill_campaigns(self.campaigns, now)
            fill_library(self.library, now)
            fill_jobs(self.activities, self.events, now)

    def _carry_out(self, kind: str, work: Work, now: float) -> Outcome:
        return carry_out(self.contacts, self.settings.job_addresses, kind, work, now)

    def configure(self, changes: dict[str, Any]) -> None:
        """Change settings from now on; jobs that have begun keep their plan."""
        settings = attrs.evolve(self.settings, **changes)
        if settings.seed != self.settings.seed:
            self._seed_file = _seed_file(settings.seed)
        self.settings = settings
        for part in (self.library, self.campaigns, self.events, self.activities):
            part.settings = self.settings
        self.quota.per_second = self.settings.per_second
        self.quota.per_day = self.settings.per_day

    def draw_latency(self) -> float:
        """Return the seconds after which the next response may come."""
        latency = self.settings.latency
        return self._delays.uniform(*latency) if isinstance(latency, tuple) else latency

    def settle(self) -> None:
        """Carry out everything that is due."""
        now = self.clock.time()
        self.activities.settle(now)
        self.campaigns.settle(now)

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        library = self.library
        return {
            "time": self.clock.time(),
            "files": self.snapshot_files(),
            "folders": [picked(row, "id name parent_id") for row in library.folders.values()],
            "lists": [
                {**picked(row, "id name"), "contact_count": len(row.members)}
                for row in self.contacts.lists.values()
            ],
            "contacts": len(self.contacts.contacts),
            "requests": picked(self.log, "total running most_running"),
        }

    def snapshot_files(self) -> list[dict[str, Any]]:
        """Return the library's files, oldest first, including those in the trash."""
        now = self.clock.time()
        return [
            {**picked(stored, _SHOWN), "status": stored.status(now), "due": stored.plan.due()}
            for stored in self.library.files.values()
        ]


def _seed_file(seed: object) -> dict[str, Any]:
    return read_file(seed) if isinstance(seed, Path) else {}
