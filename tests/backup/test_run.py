from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors, verify_backup
from ccv2_async.backup import run as run_module
from ccv2_async.backup.datasets import flat
from tests.backup.conftest import digests, lines
from tests.support.large_account import large_sandbox, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async import BackupProgress
    from ccv2_async.client import ConstantContact


async def test_everything_in_a_large_account_is_copied_once(
    connect: Callable[..., Any], tmp_path: Path
) -> None:
    with large_sandbox(7) as sandbox:
        cc: ConstantContact = await connect(sandbox)
        result = await cc.backup(tmp_path, trash=True)
        whole = truth_of(sandbox._world)
        assert digests(tmp_path) == whole.files
        assert not result.failed
        assert not result.left_out
        for name, number in whole.rows.items():
            assert result.rows[name] == number, name
            assert len(lines(tmp_path / f"{name}.jsonl")) == number
        check = await verify_backup(tmp_path)
        assert check.faults == ()
        again = await cc.backup(tmp_path, trash=True)
        assert (again.files, again.downloaded) == (0, 0)
        assert again.rows == result.rows


async def test_progress_is_reported_up_to_the_end(
    cc: ConstantContact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_REPORT_SECONDS", 0.0)
    told: list[BackupProgress] = []
    result = await cc.backup(tmp_path, on_progress=told.append)
    assert told[-1].calls == result.calls
    assert (told[-1].files, told[-1].files_left) == (result.files, 0)
    assert told[-1].downloaded == result.downloaded
    assert max(each.files_left for each in told) > 0
    for name in ("rows", "files", "downloaded", "calls"):
        numbers = [getattr(each, name) for each in told]
        assert numbers == sorted(numbers)
    with pytest.raises(errors.InvalidField, match="on_progress is"):
        await cc.backup(tmp_path, on_progress="me")  # type: ignore[call-overload]


async def test_tables_hold_what_the_lines_hold(cc: ConstantContact, tmp_path: Path) -> None:
    await cc.backup(tmp_path)
    for name in ("contacts", "tracking"):
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        rows = lines(tmp_path / f"{name}.jsonl")
        assert len(table) == len(rows) > 0
        for row, record in zip(table, rows, strict=True):
            assert {name: value for name, value in row.items() if value} == {
                name: value for name, value in flat(record) if value
            }
    contact = lines(tmp_path / "contacts.jsonl")[0]
    assert contact["contact_id"], "the id of the newer API"
    member = lines(tmp_path / "memberships.jsonl")[0]
    assert member["contact_id"]
    assert member["list_id"]


async def test_campaigns_are_stored_as_pages_and_as_text(
    cc: ConstantContact, tmp_path: Path
) -> None:
    await cc.backup(tmp_path)
    for row in lines(tmp_path / "campaigns.jsonl"):
        (page,) = (tmp_path / "campaigns").glob(f"{row['id']} - *.html")
        assert page.read_text("utf-8") == row["email_content"]
        (text,) = (tmp_path / "campaigns").glob(f"{row['id']} - *.txt")
        assert text.read_text("utf-8") == row["text_content"]
