"""The account with which a sandbox of the seed "demo" starts."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.sandbox import Sandbox
from ccv2_async.sandbox.settings import Settings
from ccv2_async.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccv2_async.client import ConstantContact

NOW = 1_764_370_800.0


class StoppedClock:
    def time(self) -> float:
        return NOW


@pytest.fixture
async def demo(connect: Callable[..., Any]) -> AsyncIterator[tuple[Sandbox, ConstantContact]]:
    with Sandbox(seed="demo", clock=StoppedClock()) as sandbox:
        yield sandbox, await connect(sandbox)


async def everything(cc: ConstantContact) -> list[Any]:
    """The rows of every listing."""
    pages = (cc.contacts.all(), cc.campaigns.all(), cc.library.files(), cc.library.trash())
    rows: list[Any] = [await page.collect() for page in pages]
    return [*rows, await cc.lists.all(), await cc.library.folders().collect()]


async def test_every_area_of_the_account_has_something_to_show(
    demo: tuple[Sandbox, ConstantContact],
) -> None:
    _, cc = demo
    assert all(await everything(cc))
    assert {row.status for row in await cc.contacts.all().collect()} == {
        *("ACTIVE", "UNCONFIRMED", "OPTOUT", "REMOVED")
    }
    assert {row.status for row in await cc.campaigns.all().collect()} == {
        *("SENT", "SCHEDULED", "DRAFT")
    }
    assert [row.status for row in await cc.activities.all()] == ["COMPLETE"]
    [event] = await cc.events.all().collect()
    assert await cc.events.registrants(event.id).collect()


async def test_the_reports_agree_with_their_summaries(
    demo: tuple[Sandbox, ConstantContact],
) -> None:
    _, cc = demo
    sent = [row async for row in cc.campaigns.all(status="SENT")]
    assert len(sent) == 6
    for row in sent:
        summary = await cc.tracking.campaign_summary(row.id)
        opens = await cc.tracking.campaign_opens(row.id).collect()
        assert len(opens) == summary.opens
        assert summary.sends is not None
        assert summary.sends > 15


def chunks(png: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG by their kind, once their checksums were compared."""
    found, at = {}, 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + data) == int.from_bytes(png[at + 8 + size : at + 12 + size])
        found[kind] = data
        at += 12 + size
    return found


def test_its_files_are_pictures_and_documents() -> None:
    library = World(Settings(seed="demo")).library
    kinds = set()
    for stored in library.files.values():
        kinds.add(stored.file_type)
        content = library.content(stored.id)
        assert content is not None
        if stored.file_type == "PNG":
            assert list(found := chunks(content)) == [b"IHDR", b"IDAT", b"IEND"]
            assert struct.unpack(">II5B", found[b"IHDR"]) == (
                stored.width,
                stored.height,
                8,
                2,
                0,
                0,
                0,
            )
            assert len(zlib.decompress(found[b"IDAT"])) == (3 * stored.width + 1) * stored.height
        else:
            start = content.index(b"xref\n")
            assert int(content.split()[-2]) == start
            for number in range(1, 6):
                offset = int(content[start:].splitlines()[2 + number].split()[0])
                assert content[offset:].startswith(f"{number} 0 obj\n".encode())
    assert kinds == {"PNG", "PDF"}


async def test_it_is_the_same_in_every_run_and_after_a_reset(connect: Callable[..., Any]) -> None:
    found = []
    for _ in range(2):
        with Sandbox(seed="demo", clock=StoppedClock()) as sandbox:
            cc = await connect(sandbox)
            for _ in range(2):
                rows = repr(await everything(cc))
                for origin in (sandbox.origin, str(sandbox.content_origin)):
                    rows = rows.replace(origin, "ORIGIN")
                found.append(rows)
                await cc.library.empty_trash()
                sandbox.admin.reset()
    assert len(set(found)) == 1


def test_a_sandbox_without_this_seed_starts_empty() -> None:
    assert not World(Settings(seed=0)).contacts.contacts


@pytest.mark.parametrize("seed", ["dmeo", 1.5, b"demo"])
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="use an integer"):
        Settings(seed=seed)
