"""The data of the page for its templates, read from the state of the sandbox."""

from __future__ import annotations

import re
from collections import Counter
from heapq import merge
from itertools import islice, takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox import faults
from ccv2_async.sandbox.faults import CONTENT, KINDS, PRESETS
from ccv2_async.sandbox.page import showing
from ccv2_async.sandbox.responses import missing, picked
from ccv2_async.sandbox.settings import GROUPS
from ccv2_async.sandbox.state.campaigns import BOUNCE, CLICK, FORWARD, OPEN, SEND, UNSUBSCRIBE
from ccv2_async.sandbox.state.gateway import HIDDEN
from ccv2_async.sandbox.state.library import home
from ccv2_async.sandbox.transitions import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ccv2_async.sandbox.operations import Operation
    from ccv2_async.sandbox.state.gateway import Entry, Record
    from ccv2_async.sandbox.state.library import StoredFile
    from ccv2_async.sandbox.world import World

SHOWN = 200
"""The maximum number of rows of one kind on a page."""

_MINUTE = 60
CALL_KINDS = ("upload", "poll", "read", "write")
FILE_ENDS = ("Active", "VirusFound", "Failed")
JOB_ENDS = ("COMPLETE", "ERROR", "CANCELLED")
_FINAL = frozenset({*FILE_ENDS, "Deleted"})
_TRACKED = (SEND, OPEN, CLICK, FORWARD, BOUNCE, UNSUBSCRIBE)


@attrs.frozen
class Views:
    """The pages' data.

    Attributes:
        world: The state of the sandbox.
        operations: The operations of the API.
    """

    world: World
    operations: Sequence[Operation]

    def version(self) -> int:
        """Return a number that changes with the contents of the page."""
        world, now = self.world, self.world.clock.time()
        world.settle()
        last = next(world.log.newest(), None)
        shown = (
            (id(world.log), world.log.total, world.log.running, world.downloads.total),
            # The last minute's calls move with the clock, until there are none.
            int(now) if last is not None and now - last.time <= _MINUTE + 1 else 0,
            [self._stage(row) for row in world.library.files.values()],
            len(world.library.folders),
            [(row.id, row.status(now)) for row in world.activities.activities.values()],
            [(row.id, len(row.members)) for row in world.contacts.lists.values()],
            len(world.contacts.contacts),
            [(row.id, row.status) for row in world.campaigns.campaigns.values()],
            world.faults.pending(),
            world.settings,
        )
        return hash(str(shown))

    def _stage(self, row: StoredFile) -> tuple[Any, ...]:
        now = self.world.clock.time()
        twentieth = int(20 * min(1.0, row.plan.progress(now, row.looks)))
        return (row.id, row.name, row.status(now), row.forced, row.folder_id, twentieth)

    def frame(self) -> dict[str, Any]:
        """Return the content of every page: counts, and the calls of the last minute."""
        world, now = self.world, self.world.clock.time()
        world.settle()
        return {
            "counts": {
                "/": len(world.library.live_files(now)),
                "/requests": world.log.total + world.downloads.total,
                "/jobs": len(world.activities.activities),
                "/contacts": len(world.contacts.contacts),
                "/campaigns": sum(not row.deleted for row in world.campaigns.campaigns.values()),
                "/controls": len(world.faults.pending()),
            },
            "quota": self._minute(now),
            "world": world,
            "now": now,
        }

    def _minute(self, now: float) -> dict[str, Any]:
        """Return the calls of the last minute: for each second, and for each kind of call."""
        last = list(takewhile(lambda row: now - row.time < _MINUTE, self.world.log.newest()))
        calls = Counter(max(0, int(now - row.time)) for row in last)
        kinds = Counter(map(showing.kind_of, last))
        return {
            "bars": [calls[age] for age in reversed(range(_MINUTE))],
            "kinds": {kind: kinds[kind] for kind in CALL_KINDS},
            "top": max(calls.values(), default=0),
        }

    def files(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the folders, and the files of the one that is open that match the search."""
        library, now = self.world.library, self.world.clock.time()
        text = query.get("q", "").casefold()
        chosen = query.get("folder", "")
        if chosen == "trash":
            files, name = library.trash(now), "Trash"
        elif chosen:
            files, name = library.in_folder(chosen, now), library.folder(chosen).name
        else:
            files, name = library.live_files(now), "All files"
        files = [row for row in files if text in row.name.casefold()]
        return {
            "folder": chosen,
            "folder_name": name,
            "in_folder": Counter(map(home, library.live_files(now))),
            "files": [self._file(row) for row in files[: -SHOWN - 1 : -1]],
            "total": len(files),
            "requests": [self._row(entry) for entry in islice(self.world.log.newest(), 8)],
        }

    def _file(self, stored: StoredFile) -> dict[str, Any]:
        now, plan = self.world.clock.time(), stored.plan
        status, held = stored.status(now), stored.forced is not None
        final = status in _FINAL
        moves = not (final or held or NEVER in (plan.looks, plan.seconds))
        return {
            **picked(stored, "id name width height size created sha256 file_type"),
            **picked(stored, "is_image trashed"),
            "status": status,
            "kept": self.world.library.content(stored.id) is not None,
            "held": held and not final,
            "final": final,
            "progress": plan.progress(now, stored.looks) if moves else None,
        }

    def requests(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the newest requests that match the filter, and the one that is open."""
        text, kind, key = query.get("q", "").casefold(), query.get("status", ""), query.get("key")
        found = (row for row in self._entries() if self._matches(row, text, kind))
        rows = [self._row(row) for row in islice(found, SHOWN + 1)]
        return {
            "opened": self._opened(key, query["origin"]) if key else None,
            "requests": rows[:SHOWN],
            "more": len(rows) > SHOWN,
            "status": kind,
            "total": self.world.log.total + self.world.downloads.total,
        }

    @staticmethod
    def _matches(entry: Entry, text: str, kind: str) -> bool:
        status = str(entry.status or "")
        failed = entry.status is None or entry.status >= 400
        words = f"{entry.method} {entry.path} {status} {entry.fault or ''}".casefold()
        return text in words and (not kind or failed == (kind == "failed"))

    def _entries(self) -> Iterator[Entry]:
        """Return the calls and the downloads, newest first."""
        both = self.world.log.newest(), self.world.downloads.newest()
        return merge(*both, key=attrgetter("time"), reverse=True)

    def _record(self, entry: Entry) -> Record | None:
        """Return both sides of a call; None for a download, or if they are no longer kept."""
        return None if entry.path.startswith(CONTENT) else self.world.traffic.find(entry.number)

    def _hidden(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(name, showing.hide(text, self.world.settings)) for name, text in pairs]

    def _row(self, entry: Entry) -> dict[str, Any]:
        record = self._record(entry)
        return {
            **picked(entry, "number method path status fault time ended received"),
            "key": _key(entry),
            "took": showing.took_text(entry),
            "parts": showing.parts_of(record) if record is not None else [],
            "kind": showing.kind_of(entry),
            "arguments": self._hidden(showing.shown_query(entry).items()),
        }

    def _opened(self, key: str, origin: str) -> dict[str, Any]:
        """Return one request with both sides, or raise a 404."""
        if (entry := next((row for row in self._entries() if _key(row) == key), None)) is None:
            raise missing(f"Request {key}")
        record = self._record(entry)
        shown: dict[str, Any] = {
            **self._row(entry),
            "headers": self._hidden(entry.headers.items()),
            "whole": record is not None,
        }
        if record is not None:
            answer, (has_key, has_token) = dict(record.answer.headers), record.signed
            shown["arguments"] += [("api_key", HIDDEN.decode())] * has_key
            shown["headers"] += [("authorization", HIDDEN.decode())] * has_token
            shown["answer_headers"] = self._hidden(record.answer.headers)
            texts = {
                "body": showing.body_text(record.request, entry.headers.get("content-type", "")),
                "answer": showing.body_text(record.answer, answer.get("content-type", "")),
                "curl": showing.curl(record, origin),
            }
            shown |= dict(self._hidden(texts.items()))
        return shown

    def jobs(self, _query: Mapping[str, str]) -> dict[str, Any]:
        """Return the uploads that are not finished."""
        now = self.world.clock.time()
        files = self.world.library.files.values()
        uploads = [row for row in files if row.status(now) not in _FINAL][:SHOWN]
        return {"uploads": [self._file(row) for row in uploads]}

    def contacts(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the lists, and the contacts of the one that is open that match the filter."""
        contacts, chosen = self.world.contacts, query.get("list", "")
        text = query.get("q", "").casefold()
        rows = contacts.members(chosen) if chosen else contacts.contacts.values()
        names = "first_name", "last_name"
        found = [
            row
            for row in rows
            if text in " ".join((row.email, *(row.fields.get(n, "") for n in names))).casefold()
        ]
        return {
            "list": contacts.contact_list(chosen) if chosen else None,
            "contacts": found[:SHOWN],
            "total": len(found),
        }

    def campaigns(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the campaigns, and the one that is open."""
        campaigns, chosen = self.world.campaigns, query.get("id", "")
        live = [row for row in campaigns.campaigns.values() if not row.deleted]
        tracked = Counter(row.kind for row in campaigns.tracking.by_campaign.get(chosen, []))
        return {
            "campaigns": live[: -SHOWN - 1 : -1],
            "campaign": campaigns.campaign(chosen) if chosen else None,
            "tracked": {kind: tracked[kind] for kind in _TRACKED},
        }

    def controls(self, _query: Mapping[str, str]) -> dict[str, Any]:
        """Return the choices of the controls, with the effect of each fault."""
        kinds = KINDS - {"raw", "location", "answer"}
        # The table in the module's docstring is the only list of them.
        texts = dict(re.findall(r"^``(\w+)`` +(.+)$", faults.__doc__ or "", re.MULTILINE))
        return {
            "operations": self.operations,
            "presets": dict(sorted(PRESETS.items())),
            "kinds": {kind: texts.get(kind, "") for kind in sorted(kinds)},
            "groups": GROUPS,
        }


def _key(entry: Entry) -> str:
    """Return the name of a request on the page: its number, with a `d` before a download's."""
    return f"{'d' if entry.path.startswith(CONTENT) else ''}{entry.number}"
