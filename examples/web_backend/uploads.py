"""What the backend knows of each upload, kept in SQLite so that a restart loses nothing."""

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
    """Where an upload stands, as the page shows it.

    ::

        SENDING ──> PROCESSING ──> ACTIVE
           │             └───────> REFUSED    by the service: a virus, a broken file
           ├─────────────────────> REFUSED    it could not be sent
           └─────────────────────> BROKEN     the browser, or this server, went away
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
        owner: Whose it is: the visitor's cookie.
        name: The file's name.
        size: Bytes; 0 while a body without a length is still coming in.
        id: Our own name for it.
        sent: Bytes that the service's connection has taken; not stored.
        phase: Where it stands.
        status: The service's own word for that, once it has one.
        message: What the visitor should know.
        token: Resumes the poller, in this process or the next; the browser never sees it.
        url: Where the file is served, once it is Active.
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
        """What the browser gets to see."""
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
    "The server stopped while this file was on its way. "
    "Look into the library before you send it again."
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
        """The store in this file, made if it is missing.

        What was being sent when the last process ended is marked as interrupted.
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
        """Remember the upload as it is now."""
        values = attrs.asdict(upload)
        await self._database.execute(_SAVE, [str(values[name]) for name in _COLUMNS])
        await self._database.commit()

    async def of(self, owner: str) -> list[Upload]:
        """The visitor's last uploads, oldest first."""
        rows = await self._database.execute_fetchall(_OF, (owner, _MOST_SHOWN))
        return [Upload(**dict(zip(_COLUMNS, row, strict=True))) for row in rows][::-1]
