"""The contents of a mirror's journal, and how it treats unfinished uploads."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async.errors import JournalError, UsageError
from ccv2_async.transport.files.threads import FileThreads
from ccv2_async.uploads.ledger import BulkState
from ccv2_async.uploads.many.journal import Journal, JournalEntry
from ccv2_async.uploads.mirror.journal import MirrorJournal
from ccv2_async.uploads.mirror.plan import UNSURE, Known, Unfinished, key_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

A = key_of((), "a.png")
OPTIONS: dict[str, Any] = {"account": "me", "base_url": "http://here", "now": lambda: 1.0}


def upload(state: BulkState = BulkState.DONE, **facts: Any) -> JournalEntry:
    return JournalEntry(
        path="/here/a.png", folder="0", name="a.png", size=10, written_ns=1, state=state, **facts
    )


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens the journal, and closes the one that it opened before."""
    threads = FileThreads()
    last: list[MirrorJournal] = []

    async def again(base: str = "0", **options: Any) -> MirrorJournal:
        if last:
            await last.pop().aclose()
        path = str(tmp_path / "journal")
        journal = await MirrorJournal.open(path, threads, **OPTIONS, **options)
        assert journal is not None
        last.append(journal)
        await journal.load(base)
        return journal

    yield again
    if last:
        await last.pop().aclose()
    await threads.aclose()


async def test_files_in_sync_are_remembered_for_each_library_folder(
    opened: Callable[..., Any],
) -> None:
    journal = await opened()
    known = Known("7", 10, 1, "digest", ("5", "6"))
    await journal.record(A, known)
    assert (await opened("-3")).known == {}
    journal = await opened()
    assert journal.known == {A: known}
    await journal.record_all({})
    assert (await opened()).known == {}


async def test_an_upload_that_is_done_replaces_the_previous_version(
    opened: Callable[..., Any],
) -> None:
    journal = await opened()
    await journal.record(A, Known("7", 9, 1, "old", ("6",)))
    done = await journal.write(upload(file_id="8"))
    assert await journal.adopt(done, "new") == Known("8", 10, 1, "new", ("7", "6"))
    assert await journal.find(done.key) is None
    # Killed between the two steps, it finds the upload again.
    await journal.write(done)
    journal = await opened()
    assert await journal.take_up({}) == Unfinished()
    assert journal.known == {A: Known("8", 10, 1, "new", ("7", "6"))}
    assert await journal.find(done.key) is None
    assert set(await journal.file_ids()) == {"8", "7", "6"}


@pytest.mark.parametrize("state", [BulkState.SENDING, BulkState.AMBIGUOUS, BulkState.ACCEPTED])
async def test_an_upload_in_progress_is_pending_while_its_file_is_unchanged(
    opened: Callable[..., Any], state: BulkState
) -> None:
    journal = await opened()
    accepted = state is BulkState.ACCEPTED
    entry = await journal.write(upload(state, file_id="8" if accepted else ""))
    ids = {"8"} if accepted else set()
    assert await journal.take_up({A: entry}) == Unfinished({A}, set() if accepted else {A}, ids)

    changed = attrs.evolve(entry, written_ns=2)
    unfinished = await journal.take_up({A: changed})
    assert unfinished == Unfinished()
    known = {A: Known("8", 10, 1) if accepted else UNSURE}
    assert journal.known == known
    journal = await opened()  # it was killed before the plan was recorded
    assert journal.known == known
    assert await journal.find(entry.key) is None


async def test_an_upload_continues_after_its_folder_was_moved(opened: Callable[..., Any]) -> None:
    journal = await opened()
    await journal.write(upload(BulkState.SENDING, since=0.5))
    moved = attrs.evolve(upload(BulkState.PENDING), path="/there/a.png")
    assert await journal.take_up({A: moved}) == Unfinished({A}, {A})
    found = await journal.find(moved.key)
    assert (found.state, found.since) == (BulkState.SENDING, 0.5)
    assert await journal.find(upload().key) is None


async def test_an_accepted_upload_whose_copies_were_not_looked_for_keeps_its_id(
    opened: Callable[..., Any],
) -> None:
    journal = await opened()
    owed = await journal.write(upload(BulkState.SENDING, file_id="8", sends=2))
    assert await journal.take_up({A: owed}) == Unfinished({A}, {A}, {"8"})
    await journal.take_up({A: attrs.evolve(owed, size=11)})
    assert journal.known == {A: Known("", replaces=("8",))}


async def test_an_accepted_upload_is_replaced_with_the_previous_version_once_its_file_has_changed(
    opened: Callable[..., Any],
) -> None:
    journal = await opened()
    await journal.record(A, Known("7", 9, 1, replaces=("6",)))
    owed = await journal.write(upload(BulkState.SENDING, file_id="8", sends=2))
    await journal.take_up({A: attrs.evolve(owed, size=11)})
    assert journal.known == {A: Known("7", 9, 1, replaces=("6", "8"))}


async def test_uploads_that_failed_or_waited_are_left_to_the_next_upload(
    opened: Callable[..., Any],
) -> None:
    journal = await opened()
    failed = await journal.write(upload(BulkState.FAILED, error="virus", final=True))
    assert await journal.take_up({A: failed}) == Unfinished()
    assert await journal.find(failed.key) == failed
    await journal.take_up({})
    assert await journal.find(failed.key) is None
    deleted = await journal.write(attrs.evolve(failed, status="Deleted"))
    assert await journal.take_up({A: deleted}) == Unfinished()
    assert await journal.find(deleted.key) is None  # so it is sent again
    other = await journal.write(attrs.evolve(failed, folder="-3/sub"))
    await journal.take_up({})
    assert await journal.find(other.key) == other  # it belongs to another library folder


async def test_folder_names_are_kept(opened: Callable[..., Any]) -> None:
    journal = await opened()
    await journal.write(attrs.evolve(upload(file_id="8"), folder="0/Ünder\\\\score/sub"))
    await journal.take_up({})
    assert journal.known.keys() == {key_of(("Ünder\\score", "sub"), "a.png")}


async def test_a_dry_run_writes_nothing(opened: Callable[..., Any]) -> None:
    journal = await opened()
    await journal.write(upload(file_id="8"))
    dry = await opened(dry_run=True)
    await dry.take_up({})
    assert dry.known == {A: Known("8", 10, 1)}
    await dry.record_all({})
    journal = await opened()
    assert journal.known == {}
    assert await journal.find(upload().key) is not None


async def test_a_journal_that_cannot_be_written_says_so(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    journal = await opened()
    with sqlite3.connect(tmp_path / "journal") as other:
        other.execute("DROP TABLE mirrored")
    other.close()
    with pytest.raises(JournalError, match="cannot be written"):
        await journal.record(A, Known("7"))


async def test_the_journal_of_an_upload_is_not_one_of_a_mirror(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    threads = FileThreads()
    journal = await Journal.open(str(tmp_path / "journal"), threads, **OPTIONS)
    assert journal is not None
    await journal.aclose()
    await threads.aclose()
    with pytest.raises(UsageError, match="not a journal"):
        await opened()


@pytest.mark.parametrize("damage", ["state = 'paused'", "size = 'ten'", "since = x'00'"])
async def test_an_upload_that_cannot_be_read_is_a_journal_error(
    opened: Callable[..., Any], damage: str
) -> None:
    journal = await opened()
    await journal.write(upload(BulkState.SENDING))
    await journal._change(f"UPDATE files SET {damage}")  # noqa: S608
    with pytest.raises(JournalError, match="cannot be read"):
        await journal.take_up({})


@pytest.mark.parametrize(
    "damage",
    [
        "base = x'00'",
        "folders = x'00'",
        "name = CAST(x'fffe' AS TEXT)",
        "file_id = x'00'",
        "size = 'ten'",
        "written_ns = 1.5",
        "digest = x'00'",
        "replaces = x'00'",
    ],
)
async def test_a_record_that_cannot_be_read_is_a_journal_error(
    opened: Callable[..., Any], damage: str
) -> None:
    journal = await opened()
    await journal.record(A, Known("7", 10, 1, "digest", ("5", "6")))
    await journal._change(f"UPDATE mirrored SET {damage}")  # noqa: S608
    with pytest.raises(JournalError, match=r"cannot be read \(\w+ is of type"):
        await journal.load("0")


async def test_a_record_with_a_damaged_byte_is_never_believed(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    record = Known("id-of-it", 77, 1, "digest-of-it", ("replaced",))
    key = key_of(("folder-of-it",), "name-of-it")
    await (await opened()).record(key, record)
    await (await opened()).aclose()
    whole, read = (tmp_path / "journal").read_bytes(), 0
    for text in (b"folder-of-it", b"name-of-it", b"id-of-it", b"digest-of-it", b"replaced"):
        places = [place for place in range(len(whole)) if whole.startswith(text, place)]
        assert len(places) > 1
        for place in places:
            (tmp_path / "journal").write_bytes(whole[:place] + b"x" + whole[place + 1 :])
            with suppress(JournalError):
                assert (await opened()).known == {key: record}
                read += 1
    assert read == 0
