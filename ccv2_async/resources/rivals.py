"""Uploads that are under way beside each other, one of which could be taken for another. Pure.

The service numbers names that are taken, so a new a(1).png may be what was sent as a.png, and it
may be what was sent as a(1).png.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from ccv2_async.errors import AmbiguousUpload
from ccv2_async.models.library import ROOT_FOLDER_IDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REMEMBERED = 1000


@attrs.define(eq=False)
class Opened:
    """What is known of a file that is to be sent.

    Attributes:
        folder_id: Where it goes.
        name: The name it is sent under.
        size: Its length as it was last opened, in bytes; None before, when nothing was sent.
        since: When it was first opened to be sent, in seconds since 1970.
        since_here: When that was in this process, on the monotonic clock.
        until: When it was given up without knowing whether it arrived, in seconds since 1970.
    """

    folder_id: str
    name: str
    size: int | None = None
    since: float | None = None
    since_here: float | None = None
    until: float = math.inf


class Rivals:
    """All uploads of which it is not known where they went.

    Args:
        now: Seconds since 1970.
        slack: For how many seconds after it was given up an upload may have a newer file.
    """

    def __init__(self, now: Callable[[], float], slack: float) -> None:
        self._now = now
        self._slack = slack
        # In the order in which they came.
        self._open: dict[Opened, None] = {}
        self._given_up: deque[Opened] = deque(maxlen=REMEMBERED)

    @contextmanager
    def entered(self, opened: Opened) -> Iterator[None]:
        """While an upload is under way; one that ends with nobody knowing how stays a rival."""
        self._open[opened] = None
        try:
            yield
        except (AmbiguousUpload, asyncio.CancelledError):
            if opened.size is not None:  # as long as it was not opened, nothing of it was sent
                opened.until = self._now()
                self._given_up.append(opened)
            raise
        finally:
            self.forget(opened)

    def expect(self, opened: Opened) -> None:
        """Count an upload of an earlier process among the rivals until it is forgotten."""
        self._open[opened] = None

    def forget(self, opened: Opened) -> None:
        """Count it no longer."""
        self._open.pop(opened, None)

    def of(self, own: Opened) -> Iterator[Opened]:
        """Those that were being sent to the same folder while `own` was."""
        since = (own.since or 0.0) - self._slack
        for other in (*self._open, *self._given_up):
            if (
                other is not own
                and other.size is not None
                and other.until >= since
                and _folder(other) == _folder(own)
            ):
                yield other


def _folder(opened: Opened) -> str:
    return "0" if opened.folder_id in ROOT_FOLDER_IDS else opened.folder_id
