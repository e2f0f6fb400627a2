"""What the page shows: plain data for its templates, read from the state of the sandbox."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import attrs

from ccv2_async.sandbox.answers import picked
from ccv2_async.sandbox.faults import CONTENT, DEFAULTS, KINDS, PRESETS
from ccv2_async.sandbox.page.showing import (
    body_text,
    clock_text,
    curl,
    hide,
    kind_of,
    parts_of,
    shown_query,
    size_text,
    took_text,
)
from ccv2_async.sandbox.settings import GROUPS
from ccv2_async.sandbox.state import library as shelf
from ccv2_async.sandbox.state.campaigns import BOUNCE, CLICK, FORWARD, OPEN, SEND, UNSUBSCRIBE
from ccv2_async.sandbox.state.traffic import HIDDEN
from ccv2_async.sandbox.transitions import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ccv2_async.sandbox.operations import Operation
    from ccv2_async.sandbox.state.gateway import Entry
    from ccv2_async.sandbox.world import World

SHOWN = 200
"""The most rows of one kind on a page."""

_MINUTE = 60
CALL_KINDS = ("upload", "poll", "read", "write")
FILE_ENDS = ("Active", "VirusFound", "Failed", "Deleted")
JOB_ENDS = ("COMPLETE", "ERROR", "CANCELLED")
_FINAL = frozenset({*FILE_ENDS, *JOB_ENDS})
_MOVING = frozenset(
    {"Uploaded", "Processing", "PENDING", "QUEUED", "RUNNING", "SCHEDULED", "Quarantined"}
)
_TRACKED = {
    "sends": SEND,
    "opens": OPEN,
    "clicks": CLICK,
    "forwards": FORWARD,
    "bounces": BOUNCE,
    "unsubscribes": UNSUBSCRIBE,
}


def library_of(world: World) -> shelf.Library:
    """Return the library as it is now; a reset replaces it."""
    found: shelf.Library = attrgetter("library")(world)
    return found


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
        """Return a number that changes with what the page shows."""
        world, now = self.world, self.world.clock.time()
        world.settle()
        last = next(world.log.newest(), None)
        return hash(
            (
                (id(world.log), world.log.total, world.log.running, world.downloads.total),
                # The last minute's calls move with the clock, until there are none.
                int(now) if last is not None and now - last.time <= _MINUTE + 1 else 0,
                tuple(
                    (row.id, self._stage(row), row.name) for row in library_of(world).files.values()
                ),
                len(library_of(world).folders),
                tuple((row.id, row.status(now)) for row in world.activities.activities.values()),
                tuple((row.id, len(row.members)) for row in world.contacts.lists.values()),
                len(world.contacts.contacts),
                tuple((row.id, row.status) for row in world.campaigns.campaigns.values()),
                str(world.faults.pending()),
                str(world.settings),
            )
        )

    def _stage(self, stored: shelf.StoredFile) -> tuple[Any, ...]:
        now = self.world.clock.time()
        twentieth = int(20 * min(1.0, stored.plan.progress(now, stored.looks)))
        return (stored.status(now), stored.forced, stored.folder_id, twentieth)

    def frame(self) -> dict[str, Any]:
        """Return what stands on every page: counts, the quota, and the armed faults."""
        world, now = self.world, self.world.clock.time()
        world.settle()
        settings, (second, today) = world.settings, world.quota.used(now)
        live = [row for row in world.campaigns.campaigns.values() if not row.deleted]
        return {
            "counts": {
                "/": len(library_of(world).live_files(now)),
                "/requests": world.log.total + world.downloads.total,
                "/jobs": len(world.activities.activities),
                "/contacts": len(world.contacts.contacts),
                "/campaigns": len(live),
                "/controls": len(world.faults.pending()),
            },
            "quota": {
                "second": second,
                "per_second": settings.per_second,
                "today": today,
                "per_day": settings.per_day,
                **self._minute(now),
            },
            "faults": world.faults.pending(),
            "settings": settings,
            "now": now,
        }

    def _minute(self, now: float) -> dict[str, Any]:
        """Return the calls of the last minute: for each second, and for each kind of call."""
        bars, kinds = [0] * _MINUTE, dict.fromkeys(CALL_KINDS, 0)
        for entry in self.world.log.newest():
            age = int(now - entry.time)
            if age >= _MINUTE:
                break
            bars[_MINUTE - 1 - max(0, age)] += 1
            kinds[kind_of(entry)] += 1
        return {"bars": bars, "kinds": kinds, "top": max(bars)}

    def files(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the folders, and the files of the one that is open."""
        library, now, chosen = (
            library_of(self.world),
            self.world.clock.time(),
            query.get("folder", ""),
        )
        if chosen == "trash":
            files, name = library.trash(now), "Trash"
        elif chosen:
            files, name = library.in_folder(chosen, now), library.folder(chosen).name
        else:
            files, name = library.live_files(now), "All files"
        counts = Counter(map(shelf.home, library.live_files(now)))
        return {
            "folder": chosen,
            "folder_name": name,
            "folders": self._tree(counts, None, 0),
            "trashed": len(library.trash(now)),
            "files": [self._file(row) for row in files[: -SHOWN - 1 : -1]],
            "total": len(files),
            "requests": self._rows(islice(self.world.log.newest(), 8)),
            "ends": FILE_ENDS[:-1],
        }

    def _tree(self, counts: Counter[str], parent: str | None, level: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for folder in sorted(library_of(self.world).children(parent), key=_folder_order):
            rows.append({**picked(folder, "id name"), "level": level, "count": counts[folder.id]})
            rows += self._tree(counts, folder.id, level + 1)
        return rows

    def _file(self, stored: shelf.StoredFile) -> dict[str, Any]:
        now, plan = self.world.clock.time(), stored.plan
        status, kept = stored.status(now), library_of(self.world).content(stored.id) is not None
        moves = status not in _FINAL and stored.forced is None
        never = NEVER in (plan.looks, plan.seconds)
        return {
            **picked(stored, "id name width height file_type is_image trashed"),
            "version": stored.sha256[:8],
            "size": size_text(stored.size),
            "created": clock_text(stored.created, "%Y-%m-%d %H:%M"),
            "status": status,
            "tone": tone(status),
            "kept": kept,
            "held": stored.forced is not None and status not in _FINAL,
            "final": status in _FINAL,
            "progress": plan.progress(now, stored.looks) if moves and not never else None,
        }

    def requests(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the newest requests that match the filter."""
        text, kind = query.get("q", "").casefold(), query.get("status", "")
        found = (row for row in self._all() if self._matches(row, text, kind))
        rows = self._rows(islice(found, SHOWN + 1))
        return {
            "requests": rows[:SHOWN],
            "more": len(rows) > SHOWN,
            "q": query.get("q", ""),
            "status": kind,
            "total": self.world.log.total + self.world.downloads.total,
        }

    def _all(self) -> Iterable[Entry]:
        """Yield the calls and the downloads, newest first."""
        calls, downloads = self.world.log.newest(), self.world.downloads.newest()
        call, download = next(calls, None), next(downloads, None)
        while call is not None or download is not None:
            if download is None or (call is not None and call.time >= download.time):
                yield call  # type: ignore[misc] # one of them is there
                call = next(calls, None)
            else:
                yield download
                download = next(downloads, None)

    @staticmethod
    def _matches(entry: Entry, text: str, kind: str) -> bool:
        status = str(entry.status or "")
        failed = entry.status is None or entry.status >= 400
        words = f"{entry.method} {entry.path} {status} {entry.fault or ''}".casefold()
        return text in words and (not kind or failed == (kind == "failed"))

    def _rows(self, entries: Iterable[Entry]) -> list[dict[str, Any]]:
        return [self._row(entry) for entry in entries]

    def _row(self, entry: Entry) -> dict[str, Any]:
        download = entry.path.startswith(CONTENT)
        record = None if download else self.world.traffic.find(entry.number)
        return {
            **picked(entry, "number method path status fault"),
            "key": f"{'d' if download else ''}{entry.number}",
            "at": clock_text(entry.time),
            "took": took_text(entry),
            "tone": status_tone(entry),
            "sent": size_text(entry.received) if entry.received else "",
            "parts": parts_of(record) if record is not None and entry.parts else [],
            "kind": "download" if download else kind_of(entry),
            "query": "&".join(f"{name}={text}" for name, text in self._query(entry)),
        }

    def _query(self, entry: Entry) -> list[tuple[str, str]]:
        settings = self.world.settings
        return [(name, hide(text, settings)) for name, text in shown_query(entry).items()]

    def request(self, key: str, origin: str) -> dict[str, Any] | None:
        """Return one request with both sides; None if it is not kept."""
        log = self.world.downloads if key.startswith("d") else self.world.log
        number = key.removeprefix("d")
        entry = next((row for row in log.newest() if str(row.number) == number), None)
        if entry is None:
            return None
        record = None if log is self.world.downloads else self.world.traffic.find(entry.number)
        settings = self.world.settings
        shown: dict[str, Any] = {
            **self._row(entry),
            "headers": [(name, hide(text, settings)) for name, text in entry.headers.items()],
            "arguments": self._query(entry),
            "whole": record is not None,
        }
        if record is not None:
            answer = record.answer
            kinds = dict(answer.headers)
            has_key, has_token = record.signed
            shown["arguments"] += [("api_key", HIDDEN.decode())] * has_key
            shown["headers"] += [("authorization", HIDDEN.decode())] * has_token
            shown |= {
                "parts": parts_of(record),
                "body": hide(
                    body_text(record.request, entry.headers.get("content-type", "")), settings
                ),
                "answer_headers": [(name, hide(text, settings)) for name, text in answer.headers],
                "answer": hide(body_text(answer, kinds.get("content-type", "")), settings),
                "answer_size": size_text(answer.size),
                "curl": hide(curl(record, origin), settings),
            }
        return shown

    def jobs(self) -> dict[str, Any]:
        """Return the bulk jobs, and the uploads that are not finished."""
        now = self.world.clock.time()
        unfinished = [
            self._file(row)
            for row in library_of(self.world).files.values()
            if row.status(now) not in _FINAL
        ]
        return {
            "jobs": self.world.activities.newest(),
            "uploads": unfinished[:SHOWN],
            "ends": JOB_ENDS,
            "file_ends": FILE_ENDS[:-1],
        }

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
            "lists": contacts.lists,
            "list": chosen,
            "list_name": contacts.contact_list(chosen).name if chosen else "All contacts",
            "q": query.get("q", ""),
            "contacts": found[:SHOWN],
            "total": len(found),
        }

    def campaigns(self, chosen: str = "") -> dict[str, Any]:
        """Return the campaigns, and the one that is open."""
        campaigns = self.world.campaigns
        live = [row for row in campaigns.campaigns.values() if not row.deleted]
        tracked = [row.kind for row in campaigns.tracking.by_campaign.get(chosen, [])]
        return {
            "campaigns": live[: -SHOWN - 1 : -1],
            "campaign": campaigns.campaign(chosen) if chosen else None,
            "tracked": {name: tracked.count(kind) for name, kind in _TRACKED.items()},
            "lists": self.world.contacts.lists,
        }

    def controls(self) -> dict[str, Any]:
        """Return the choices of the levers."""
        areas: dict[str, list[Operation]] = {}
        for operation in self.operations:
            areas.setdefault(operation.area, []).append(operation)
        return {
            "areas": areas,
            "presets": sorted(PRESETS),
            "kinds": sorted(KINDS - {"raw", "location", "answer"}),
            "defaults": DEFAULTS,
            "groups": GROUPS,
            "modes": ("at_once", "looks", "seconds", "lognormal"),
        }


def _folder_order(folder: shelf.Folder) -> tuple[bool, str]:
    return folder.system, folder.name.casefold()


def tone(status: str) -> str:
    """Return how a status is colored."""
    if status in ("Active", "ACTIVE", "COMPLETE", "SENT"):
        return "good"
    if status in ("VirusFound", "Failed", "ERROR"):
        return "bad"
    return "busy" if status in _MOVING else "plain"


def status_tone(entry: Entry) -> str:
    """Return how a request's status is colored."""
    if entry.ended is None:
        return "busy"
    if entry.status is None or entry.status >= 500:
        return "bad"
    return "warn" if entry.status >= 400 else "good"
