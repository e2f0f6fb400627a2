"""A journal of a backup with values that the backup would never write."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccv2_async import errors, verify_backup
from ccv2_async.backup.contents import PARTS, Contents
from ccv2_async.backup.datasets import DATASETS
from ccv2_async.backup.journal import NAME, Journal, Note
from ccv2_async.backup.write import Exports

if TYPE_CHECKING:
    from pathlib import Path

    from ccv2_async.client import ConstantContact

COLUMNS = {
    "about": ("name", "value"),
    "scopes": ("scope", "run", "cursor", "position", "done", "since", "version"),
    "rows": ("scope", "id", "run", "listed", "fetched", "record", "vanished"),
    "files": ("id", "source", "path", "was", "wanted", "version", "size", "sha256"),
    "notes": ("dataset", "scope", "id", "failed", "text"),
}
TEXTS = ["", "x", "nan", "[]", "{}", '["1"]', "[1]", "[" * 900, "../x", "library/a\0b", "9" * 30]
VALUES = st.one_of(
    st.none(),
    st.sampled_from([*TEXTS, b"", b"\xff", 0, -1, 2**63 - 1, 1.5, float("inf"), 1e300]),
)


def damaged(directory: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(directory / NAME)
    assert database.execute(statement, values).rowcount
    database.commit()
    database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE about SET value = 'many' WHERE name = 'run'",
        "UPDATE about SET value = '99999999999999999999' WHERE name = 'run'",
        "UPDATE about SET value = 'late' WHERE name = 'skew'",
        "UPDATE about SET value = x'00' WHERE name = 'account'",
        "UPDATE scopes SET since = 'long ago' WHERE dataset = 'contacts'",
        "UPDATE scopes SET since = x'00' WHERE dataset = 'contacts'",
        "UPDATE scopes SET position = 'first'",
        "UPDATE rows SET record = '[]' WHERE dataset = 'account'",
        "UPDATE rows SET record = 'null' WHERE dataset = 'contacts'",
        "UPDATE rows SET record = x'00' WHERE dataset = 'lists'",
        "UPDATE rows SET record = '{a: 1}' WHERE dataset = 'folders'",
        "UPDATE OR REPLACE rows SET scope = '5' WHERE dataset = 'tracking'",
        "UPDATE rows SET scope = '' WHERE dataset = 'schedules'",
        "UPDATE rows SET scope = '[[]]' WHERE dataset = 'reports'",
        "UPDATE rows SET id = CAST(id AS BLOB) WHERE dataset = 'campaigns'",
        "UPDATE rows SET vanished = x'00' WHERE dataset = 'contacts'",
        "UPDATE files SET path = '../outside' WHERE id = (SELECT min(id) FROM files)",
        "UPDATE files SET path = 'library/' || char(0) WHERE id = (SELECT min(id) FROM files)",
        "UPDATE files SET was = '/etc/passwd' WHERE id = (SELECT min(id) FROM files)",
        "UPDATE files SET size = 'ten' WHERE place = 'library'",
        "INSERT INTO notes VALUES ('contacts', '7', 'x', 1, 1, 'why')",
    ],
)
async def test_a_value_of_the_wrong_type_ends_the_run_with_a_plain_error(
    cc: ConstantContact, tmp_path: Path, statement: str
) -> None:
    await cc.backup(tmp_path)
    damaged(tmp_path, "UPDATE about SET value = '' WHERE name = 'ended'")
    damaged(tmp_path, statement)
    with pytest.raises(errors.JournalError, match="restore the file from a copy"):
        await cc.backup(tmp_path)


async def test_a_row_under_the_id_of_another_ends_the_run(
    cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    database = sqlite3.connect(tmp_path / NAME)
    (own,) = database.execute("SELECT id FROM rows WHERE dataset = 'contacts'").fetchone()
    database.close()
    whole = (tmp_path / NAME).read_bytes()
    place = whole.index(f"contacts{own}{{".encode()) + len("contacts")
    (tmp_path / NAME).write_bytes(whole[:place] + b"x" + whole[place + 1 :])
    with pytest.raises(errors.JournalError, match="a row is damaged"):
        await cc.backup(tmp_path)


async def test_an_estimate_from_a_damaged_journal_is_refused(
    cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    damaged(tmp_path, "UPDATE files SET size = 9e999 WHERE place = 'library'")
    with pytest.raises(errors.JournalError, match="number is of type float"):
        await cc.backup(tmp_path, dry_run=True)


async def test_a_file_whose_size_or_digest_is_lost_is_fetched_again(
    cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    damaged(tmp_path, "UPDATE files SET sha256 = NULL WHERE place = 'library'")
    damaged(tmp_path, "UPDATE files SET size = NULL WHERE place = 'html'")
    again = await cc.backup(tmp_path)
    assert again.files
    assert (await verify_backup(tmp_path)).faults == ()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a small journal."""
    directory = tmp_path_factory.mktemp("kept")
    journal = Journal.open(str(directory))
    journal.begin("1.0", full=False)
    for dataset in DATASETS:
        scope = "" if not dataset.parent else '["1"]'
        scope = '["1", "2"]' if dataset.path.count("{}") == 2 else scope
        journal.scope(dataset.name, scope, "1.0")
        row = '{"id": "1", "name": "a", "status": "SENT", "email_content": "<p>"}'
        rows = [("1", row), ("2", row)]
        journal.page(dataset.name, scope, rows, cursor="", position=1, detail=False)
        journal.vanish(dataset.name, scope, ["2"], "now")
        journal.end_scope(dataset.name, scope)
        journal.note(Note(dataset.name, scope, "1", failed=True, text="why"))
    contents = Contents(directory, journal)
    contents.prepare()
    contents.plan()
    contents.write_campaigns()
    journal.close()
    return directory


@settings(deadline=None, max_examples=25)
@given(
    place=st.sampled_from([(table, name) for table, names in COLUMNS.items() for name in names]),
    value=VALUES,
    as_text=st.booleans(),
)
def test_any_damage_is_an_error_of_this_package(
    kept: Path,
    tmp_path_factory: pytest.TempPathFactory,
    place: tuple[str, str],
    value: object,
    as_text: bool,
) -> None:
    table, column = place
    directory = tmp_path_factory.mktemp("damaged")
    shutil.copytree(kept, directory, dirs_exist_ok=True)
    database = sqlite3.connect(directory / NAME, isolation_level=None)
    database.execute("PRAGMA writable_schema = ON")
    database.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
    database.close()
    database = sqlite3.connect(directory / NAME, isolation_level=None)
    put = "CAST(? AS TEXT)" if as_text and isinstance(value, bytes) else "?"
    database.execute(f"UPDATE OR IGNORE {table} SET {column} = {put}", (value,))  # noqa: S608
    database.close()
    with suppress(errors.ConstantContactError):
        use(directory)
    assert not (directory.parent / "x").exists()


def use(directory: Path) -> None:
    """Read all of a journal, as a run does."""
    journal = Journal.open(str(directory))
    try:
        journal.counts()
        journal.begin("2.0", full=False)
        for dataset in DATASETS:
            for scope in ("", '["1"]', '["1", "2"]'):
                state = journal.scope(dataset.name, scope, "2.0")
                float(state.since or 0)
                journal.newest(dataset.name, scope)
                journal.missed(dataset.name, scope)
                journal.without_detail(dataset.name, scope)
                position = state.position + 1
                journal.page(dataset.name, scope, [], cursor="", position=position, detail=False)
        contents = Contents(directory, journal)
        contents.prepare()
        contents.plan()
        for entry in journal.wanted("library", "", 10):
            contents.part(entry).write_bytes(b"abc")
            journal.stored(entry, entry.wanted, 3, "digest")
            contents.put(entry, entry.wanted or "")
        contents.tidy()
        contents.write_campaigns()
        exports = Exports(directory, journal)
        exports.write([dataset.name for dataset in DATASETS])
        journal.notes()
        exports.manifest(journal.about(), (), ())
        assert (directory / PARTS).is_dir()
    finally:
        journal.close()
