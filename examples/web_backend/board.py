"""Who gets the news of an upload: every page that its owner has open."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .uploads import Store, Upload


class Mailbox:
    """The news for one open page. A slow page gets fewer, newer news; the box never overflows."""

    def __init__(self) -> None:
        self._news: dict[str, Upload] = {}
        self._arrived = anyio.Event()
        self._closed = False

    def put(self, upload: Upload) -> None:
        """Leave the latest news of an upload."""
        self._news[upload.id] = upload
        self._arrived.set()

    def close(self) -> None:
        """No more news will come."""
        self._closed = True
        self._arrived.set()

    async def get(self) -> list[Upload] | None:
        """What is new, once something is; None when the server is about to stop."""
        await self._arrived.wait()
        if self._closed:
            return None
        self._arrived = anyio.Event()
        news, self._news = self._news, {}
        return list(news.values())


class Board:
    """Stores news and hands them on.

    Args:
        store: Where uploads are kept.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._mailboxes: dict[str, set[Mailbox]] = {}
        self._closed = False

    async def put(self, upload: Upload) -> None:
        """Store news and show them."""
        await self.store.save(upload)
        self.show(upload)

    def show(self, upload: Upload) -> None:
        """Show news that are not worth storing, such as progress."""
        for mailbox in self._mailboxes.get(upload.owner, ()):
            mailbox.put(upload)

    @contextmanager
    def watching(self, owner: str) -> Iterator[Mailbox]:
        """A mailbox for one page of this visitor."""
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
