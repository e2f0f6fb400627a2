"""The architecture page names the frames of a real upload and a real poll."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from ccv2_async.transport.http.protocol import SocketStream
from tests.docs.running import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import ConstantContact

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = ROOT / "ccv2_async"


def frames_on_the_page(mark: str) -> list[tuple[str, str]]:
    """Return the file and function of each row in the table behind a comment."""
    table = PAGE.partition(f"<!-- {mark} -->")[2].partition("\n\n\n")[0].partition("\n#")[0]
    return re.findall(r"^\| `([\w/]+\.py)` `([\w.]+)` \|", table, re.MULTILINE)


def frames_here() -> list[tuple[str, str]]:
    """Return the file and function of each frame of the package that leads to the caller."""
    found = []
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(f"{PACKAGE}/") and "/sandbox/" not in file:
            # What a decorator makes is named after the decorator.
            name = frame.f_code.co_qualname.partition(".<locals>")[0]
            found.append((file.removeprefix(f"{PACKAGE}/"), name))
        if frame.f_back is None:
            break
        frame = frame.f_back
    return found[::-1]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, str]]]:
    """The frames behind each request, by the first words of its head."""
    seen: dict[str, list[tuple[str, str]]] = {}
    start: Callable[..., bool] = SocketStream.start

    def note(stream: SocketStream, data: bytes, *rest: object) -> bool:
        head = bytes(data).partition(b"?")[0].decode("latin-1")
        seen.setdefault(head, [*frames_here(), ("transport/http/protocol.py", start.__qualname__)])
        return start(stream, data, *rest)

    monkeypatch.setattr(SocketStream, "start", note)
    return seen


async def test_the_frames_on_the_page_match_a_real_upload(
    client: ConstantContact, requests: dict[str, list[tuple[str, str]]]
) -> None:
    file = await client.library.upload(b"%PDF", name="menu.pdf")
    assert frames_on_the_page("the frames of an upload") == requests["POST /v2/library/files"]
    # Where `upload` awaits its poller, the frames above `Poller.wait` are its own.
    look = requests[f"GET /v2/library/files/uploadstatus/{file.id}"]
    first = look.index(("polling/poller.py", "Poller.wait"))
    assert frames_on_the_page("the frames of a poll") == look[first:]


async def test_a_file_of_upload_many_takes_the_same_path(
    client: ConstantContact, requests: dict[str, list[tuple[str, str]]], tmp_path: Path
) -> None:
    path = tmp_path / "menu.pdf"
    path.write_bytes(b"%PDF")
    assert [result.error async for result in client.upload_many([path])] == [None]
    own = [("uploads/many/run.py", "Run._take_up"), ("uploads/many/run.py", "Run._send")]
    shared = frames_on_the_page("the frames of an upload")[2:]
    assert requests["POST /v2/library/files"] == [*own, *shared]


def test_every_file_on_the_page_exists() -> None:
    named = re.findall(r"`((?:[\w]+/)*[\w]+\.py)`", PAGE)
    tests = [name for name in named if name.startswith(("tests/", "docs/"))]
    missing = [name for name in named if not (PACKAGE / name).is_file() and name not in tests]
    assert named
    assert missing == []
    assert [name for name in tests if not (ROOT / name).is_file()] == []
