"""Send the updates of an upload to every page that its owner has open."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .uploads import Store, Upload


class Mailbox:
    """The updates for one page. A slow page gets only the latest, so the mailbox stays small."""

    def __init__(self) -> None:
        self._news: dict[str, Upload] = {}
        self._arrived = anyio.Event()
        self._closed = False

    def put(self, upload: Upload) -> None:
        """Put in the latest update of an upload."""
        self._news[upload.id] = upload
        self._arrived.set()

    def close(self) -> None:
        """Announce that there are no more updates."""
        self._closed = True
        self._arrived.set()

    async def get(self) -> list[Upload] | None:
        """Wait for updates, and return them; None when the server is about to stop."""
        await self._arrived.wait()
        if self._closed:
            return None
        self._arrived = anyio.Event()
        news, self._news = self._news, {}
        return list(news.values())


class Board:
    """Stores updates, and forwards them to open pages.

    Args:
        store: Where uploads are kept.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._mailboxes: dict[str, set[Mailbox]] = {}
        self._closed = False

    async def put(self, upload: Upload) -> None:
        """Store an update and show it."""
        await self.store.save(upload)
        self.show(upload)

    def show(self, upload: Upload) -> None:
        """Show an update without storing it, such as progress."""
        for mailbox in self._mailboxes.get(upload.owner, ()):
            mailbox.put(upload)

    @contextmanager
    def watching(self, owner: str) -> Iterator[Mailbox]:
        """Open a mailbox for one page of this visitor."""
        mailbox = Mailbox()
        if self._closed:
            mailbox.close()
        self._mailboxes.setdefault(owner, set()).add(mailbox)
        try:
            yield mailbox
        finally:
            self._mailboxes[owner].discard(mailbox)
            if not self._mailboxes[owner]:
                del self._mailboxes[owner]

    def close(self) -> None:
        """End the streams of all pages, so that the server can stop."""
        self._closed = True
        for mailboxes in self._mailboxes.values():
            for mailbox in mailboxes:
                mailbox.close()
