from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ccv2_async import verify_backup
from tests.support.large_account import large_sandbox, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.client import ConstantContact


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def digests(directory: Path) -> dict[str, str]:
    """The SHA-256 of the bytes of each file of the library, by id, read from the disk."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    return {
        each["id"]: hashlib.sha256((directory / each["path"]).read_bytes()).hexdigest()
        for each in manifest["files"]
        if each["path"].startswith("library/")
    }


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
