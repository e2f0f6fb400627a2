"""The backend's record of each upload, in SQLite, so that a restart loses nothing."""

from __future__ import annotations

import enum
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import aiosqlite
import attrs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Phase(enum.StrEnum):
    """The phase of an upload, as the page shows it.

    ::

        SENDING ──> PROCESSING ──> ACTIVE
           │             └───────> REFUSED    the service refused it: a virus, a broken file
           ├─────────────────────> REFUSED    it could not be sent
           └─────────────────────> BROKEN     the browser disconnected, or this server stopped
    """

    SENDING = "sending"
    PROCESSING = "processing"
    ACTIVE = "active"
    REFUSED = "refused"
    BROKEN = "broken"


@attrs.frozen
class Upload:
    """One upload of one visitor.

    Attributes:
        owner: The visitor's cookie.
        name: The file's name.
        size: The size in bytes; 0 while a body without a length is still arriving.
        id: Our own ID of the upload.
        sent: The bytes that were sent to the service; not stored.
        phase: The phase that the page shows.
        status: The service's own status, once there is one.
        message: A message for the visitor.
        token: Resumes the poller, in this process or the next; the browser never sees it.
        url: The URL of the file, once it is Active.
    """

    owner: str
    name: str
    size: int = 0
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    sent: int = 0
    phase: Phase = attrs.field(default=Phase.SENDING, converter=Phase)
    status: str = ""
    message: str = ""
    token: str = ""
    url: str = ""

    def shown(self) -> dict[str, Any]:
        """Return the fields that the browser may see."""
        return attrs.asdict(self, filter=attrs.filters.exclude("owner", "token"))


_COLUMNS = tuple(field.name for field in attrs.fields(Upload) if field.name != "sent")
_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS uploads (
        number INTEGER PRIMARY KEY,
        {", ".join(f"{name} {'INTEGER' if name == 'size' else 'TEXT'}" for name in _COLUMNS)},
        UNIQUE (id)
    )
"""
_SAVE = f"""
    INSERT INTO uploads ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" for _ in _COLUMNS)})
    ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
"""  # noqa: S608  # made of our own column names
_OF = f"SELECT {', '.join(_COLUMNS)} FROM uploads WHERE owner = ? ORDER BY number DESC LIMIT ?"  # noqa: S608  # the same
_MOST_SHOWN = 100
_STOPPED = (
    "The server stopped while this file was being sent. "
    "Look in the library before you send it again."
)


class Store:
    """The uploads of all visitors.

    Args:
        database: An open connection.
    """

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    @classmethod
    @asynccontextmanager
    async def opened(cls, path: str | Path) -> AsyncIterator[Self]:
        """Open the store in this file, and create it if it is missing.

        Uploads that were being sent when the last process ended are marked as interrupted.
        """
        async with aiosqlite.connect(path) as database:
            await database.execute("PRAGMA journal_mode = WAL")
            await database.execute(_SCHEMA)
            await database.execute(
                "UPDATE uploads SET phase = ?, message = ? WHERE phase = ?",
                (Phase.BROKEN, _STOPPED, Phase.SENDING),
            )
            await database.commit()
            yield cls(database)

    async def save(self, upload: Upload) -> None:
        """Store the current state of the upload."""
        values = attrs.asdict(upload)
        await self._database.execute(_SAVE, [str(values[name]) for name in _COLUMNS])
        await self._database.commit()

    async def of(self, owner: str) -> list[Upload]:
        """Return the visitor's latest uploads, oldest first."""
        rows = await self._database.execute_fetchall(_OF, (owner, _MOST_SHOWN))
        return [Upload(**dict(zip(_COLUMNS, row, strict=True))) for row in rows][::-1]
