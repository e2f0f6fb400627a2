"""Uploads to a service with random, seeded faults keep every promise."""

from __future__ import annotations

import asyncio
import json
import random
import re
import unicodedata
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async import errors
from ccv2_async.observe import DuplicateUpload
from tests.support.servers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async import ConstantContact
    from tests.support.clocks import SkippingClock
    from tests.support.servers import Request, Wire

NAMES = ["a.png", "a(1).png", "b.png", "e\u0301.png", "x" * 76 + ".png"]
CONTENTS = [b"abc", b"abd", b"longer"]

FAULTS = [
    "lost",
    "dropped",
    "late",
    "busy, stored",
    "busy",
    "failed, stored",
    "failed",
    "no id",
    "cut",
    "refused",
    "unauthorized",
]


@attrs.define
class Stored:
    """A stored file: `owner` is the upload that it belongs to, or "" for another client's."""

    id: str
    name: str
    content: bytes
    owner: str
    created: float
    trashed: bool = False


class HostileService:
    """Stores uploads, and answers as a seed decides.

    Args:
        draw: The source of all choices.
        now: The time, in seconds since 1970.
    """

    def __init__(self, draw: random.Random, now: Callable[[], float]) -> None:
        self._draw, self._now = draw, now
        self.stored: list[Stored] = []
        self._underway: list[tuple[float, str, bytes, str]] = []
        self.faults = draw.choice([0.3, 0.7, 1.0])
        self.bad_looks = draw.choice([0.0, 0.0, 0.3])
        self.lag = draw.choice([0.0, 0.0, 3.0, 10.0])
        self.composes = draw.random() < 0.3
        self.date = draw.choice([None, 0.0, -50.0, 50.0])
        self.created = draw.choice([0.0, 0.0, -40.0, 40.0])
        self.others = draw.choice([0.0, 0.2])
        self.bad_content = draw.choice([0.0, 0.0, 0.3])
        self.pending = draw.choice([0.0, 0.0, 30.0])
        self.has_late = False
        self.story: list[str] = []

    async def serve(self, wire: Wire, request: Request) -> None:
        self._arrive()
        if request.method == "POST":
            await self._post(wire, request)
        elif request.target.startswith("/content/"):
            await self._content(wire, self._file(request).content)
        elif request.method == "DELETE":
            for id_ in request.target.partition("?")[0].rpartition("/")[2].split(","):
                (file,) = (file for file in self.stored if file.id == id_)
                file.trashed = True
                self.story.append(f"trashed {id_}")
            await wire.answer("204 No Content", b"")
        elif "/uploadstatus/" in request.target:
            ids = request.target.partition("?")[0].rpartition("/")[2].split(",")
            rows = [
                {"file_id": f.id, "status": self._status(f)} for f in self.stored if f.id in ids
            ]
            await wire.answer("200 OK", json.dumps(rows).encode())
        elif re.match(r"/v2/library/files/\d", request.target):
            await wire.answer("200 OK", json.dumps(self._row(self._file(request))).encode())
        elif self._draw.random() < self.bad_looks:
            self.story.append("look failed")
            await wire.answer("500 Oops", b"")
        else:
            seen = [
                file
                for file in self.stored
                if file.created + self.lag <= self._now() and not file.trashed
            ]
            self.story.append(f"look {[f.id for f in seen]}")
            rows = [self._row(f) for f in reversed(seen)]
            await wire.answer(
                "200 OK", json.dumps({"meta": {}, "results": rows}).encode(), *self._date()
            )

    async def _content(self, wire: Wire, content: bytes) -> None:
        if self._draw.random() >= self.bad_content:
            await wire.answer("200 OK", content)
            return
        match self._draw.choice(["gone", "page", "longer", "shorter", "cut", "redirect"]):
            case "gone":
                await wire.answer("404 Not Found", b"[]")
            case "page":
                await wire.answer("200 OK", b"<html>Log in</html>", "Content-Type: text/html")
            case "longer":
                await wire.answer("200 OK", content + b"!")
            case "shorter":
                await wire.answer("200 OK", content[:-1])
            case "cut":
                await wire.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + content)
                wire.reset()
            case _:
                await wire.answer("302 Found", b"", "Location: /v2/library/files")

    def _status(self, file: Stored) -> str:
        return "Uploaded" if file.created + self.pending > self._now() else "Active"

    def _file(self, request: Request) -> Stored:
        path = request.target.partition("?")[0]
        (file,) = (file for file in self.stored if file.id == path.rpartition("/")[2])
        return file

    async def _post(self, wire: Wire, request: Request) -> None:
        name = _field(request.body, "file_name").decode()
        owner = _field(request.body, "description").decode()
        content = _field(request.body, "data")
        fault = self._draw.choice(FAULTS) if self._draw.random() < self.faults else ""
        if self._draw.random() < self.others:  # another client's file, of the same name and size
            self._store(name, content[::-1], "")
        number = ""
        if fault == "late":
            self.has_late = True
            after = self._draw.choice([1.0, 20.0, 1000.0])
            self._underway.append((self._now() + after, name, content, owner))
        elif fault not in ("dropped", "busy", "failed", "refused", "unauthorized"):
            number = self._store(name, content, owner)
        self.story.append(f"{owner}: {name} {content!r}: {fault or 'ok'} {number}")
        await self._answer(wire, fault, number)

    async def _answer(self, wire: Wire, fault: str, number: str) -> None:
        if fault in ("lost", "dropped", "late"):
            wire.reset()
        elif fault.startswith("busy"):
            await wire.answer("503 Busy", b"", "Retry-After: 0")
        elif fault.startswith("failed"):
            await wire.answer("500 Oops", b"")
        elif fault == "no id":
            await wire.answer("202 Accepted", b"")
        elif fault == "cut":
            head = f"HTTP/1.1 202 Accepted\r\nLocation: /v2/library/files/{number}\r\n"
            await wire.write(f"{head}Content-Length: 9\r\n\r\n[".encode())
            wire.reset()
        elif fault == "refused":
            await wire.answer("400 Bad", b"[]")
        elif fault == "unauthorized":
            await wire.answer("401 Unauthorized", b"[]")
        else:
            await wire.answer("202 Accepted", b"", f"Location: /v2/library/files/{number}")

    def _arrive(self) -> None:
        for one in list(self._underway):
            if one[0] <= self._now():
                self._underway.remove(one)
                self.story.append(f"{one[3]}: arrives late as {self._store(*one[1:])}")

    def arrive_all(self) -> None:
        """Let everything that is still in flight arrive."""
        for _, name, content, owner in self._underway:
            self.story.append(f"{owner}: arrives last as {self._store(name, content, owner)}")

    def _store(self, name: str, content: bytes, owner: str) -> str:
        if self.composes:
            name = unicodedata.normalize("NFC", name)
        taken, given, number = {f.name for f in self.stored}, name, 0
        while given in taken:
            number += 1
            given = f"{name[:-4]}({number}).png"
        file = Stored(str(len(self.stored) + 7), given, content, owner, self._now())
        self.stored.append(file)
        return file.id

    def _row(self, file: Stored) -> dict[str, Any]:
        return {
            "id": file.id,
            "name": file.name,
            "size": len(file.content),
            "url": f"/content/{file.id}" if self._status(file) == "Active" else "",
            "folder_id": "0",
            "status": self._status(file),
            "created_date": datetime.fromtimestamp(file.created + self.created, UTC).isoformat(
                timespec="milliseconds"
            ),
        }

    def _date(self) -> tuple[str, ...]:
        if self.date is None:
            return ()
        date = datetime.fromtimestamp(self._now() + self.date, UTC)
        return (f"Date: {format_datetime(date, usegmt=True)}",)


def _field(body: bytes, name: str) -> bytes:
    _, _, rest = body.partition(f'name="{name}"'.encode())
    content = rest.partition(b"\r\n\r\n")[2]
    return content[: content.index(b"\r\n--")]


@attrs.define
class Outcome:
    """Return the outcome of one upload, and the IDs in it."""

    owner: str
    name: str
    content: bytes
    id: str = ""
    named: tuple[str, ...] = ()
    error: BaseException | None = None


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def upload(cc: ConstantContact, owner: str, draw: random.Random) -> Outcome:
    outcome = Outcome(owner, draw.choice(NAMES), draw.choice(CONTENTS))
    options: dict[str, Any] = {"on_duplicate": draw.choice(["report", "trash"])}
    source: Any = outcome.content
    if draw.random() < 0.3:
        source, options["length"] = once(outcome.content), len(outcome.content)
    try:
        poller = await cc.library.begin_upload(
            source, name=outcome.name, description=owner, **options
        )
    except errors.AmbiguousUpload as error:
        outcome.error, outcome.named = error, error.candidates
    except errors.ConstantContactError as error:
        outcome.error = error
    else:
        outcome.id, outcome.named = poller.id, (poller.id, *poller.duplicates)
    return outcome


@pytest.mark.parametrize("seed", range(120))
async def test_every_copy_is_reported_and_every_success_is_stored(
    connect: Callable[..., Any], clock: SkippingClock, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311  # faults are no secrets
    service = HostileService(draw, clock.time)
    events: list[DuplicateUpload] = []

    def on_event(event: object) -> None:
        if isinstance(event, DuplicateUpload):
            events.append(event)

    async with serving(service.serve) as server:
        clients = [await connect(server, on_event=on_event) for _ in range(draw.choice([1, 1, 2]))]
        outcomes = await asyncio.gather(
            *(upload(draw.choice(clients), f"u{n}", draw) for n in range(draw.choice([1, 3])))
        )
        service.arrive_all()
    check(service, outcomes, events, several=len(clients) > 1)


def check(
    service: HostileService,
    outcomes: list[Outcome],
    events: list[DuplicateUpload],
    *,
    several: bool,
) -> None:
    story = "\n".join([*service.story, *map(str, outcomes), *map(str, events)])
    stored = {file.id: file for file in service.stored}
    ids = [outcome.id for outcome in outcomes if outcome.id]
    if not several:
        assert len(ids) == len(set(ids)), story
    named = {id_ for outcome in outcomes for id_ in outcome.named}
    named |= {id_ for event in events for id_ in (event.id, *event.duplicates)}
    warned = {event.id for event in events}
    for outcome in outcomes:
        if outcome.id:
            assert stored[outcome.id].content == outcome.content, story
            assert stored[outcome.id].owner, story
            assert not stored[outcome.id].trashed, story
        unnamed = [
            file.id
            for file in service.stored
            if file.owner == outcome.owner and file.id not in named and not file.trashed
        ]
        if isinstance(outcome.error, errors.AmbiguousUpload):
            assert len(unnamed) <= (
                outcome.error.sends if service.bad_looks else service.has_late
            ), story
        elif outcome.error is not None:
            assert unnamed == [], story
        elif outcome.id not in warned:
            assert len(unnamed) <= service.has_late, story
