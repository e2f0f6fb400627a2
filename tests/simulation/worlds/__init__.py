"""The worlds: each a client at work, and the promises it relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.worlds.activities import Bulk
from tests.simulation.worlds.backup import Backups
from tests.simulation.worlds.jobs import Jobs
from tests.simulation.worlds.mirror import Mirror
from tests.simulation.worlds.shared import SharedQuota
from tests.simulation.worlds.uploads import Uploads

if TYPE_CHECKING:
    from tests.simulation.life import Life

WORLDS: dict[type[Life], int] = {
    Uploads: 6,
    Jobs: 2,
    Bulk: 1,
    Backups: 1,
    Mirror: 2,
    SharedQuota: 1,
}
"""The worlds, and how many of the seeds live in each, in proportion."""

BY_NAME: dict[str, type[Life]] = {world.name: world for world in WORLDS}
