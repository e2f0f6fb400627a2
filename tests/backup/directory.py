"""The files that a backup left in its directory, read without this package."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.large_account import Truth


def rows_of(directory: Path, dataset: str) -> list[dict[str, Any]]:
    """The objects of a file of JSON Lines."""
    text = (directory / f"{dataset}.jsonl").read_text("utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def digests_below(folder: Path) -> Counter[str]:
    """The SHA-256 of each file in a folder and below it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)


def check_against(directory: Path, truth: Truth) -> None:
    """Check that the directory holds all of an account, and nothing else."""
    for dataset, files in (("library", truth.files), ("trash", truth.trash)):
        assert digests_below(directory / dataset) == Counter(files.values())
        names = {row["id"]: row["name"] for row in rows_of(directory, dataset)}
        assert names == {own: truth.names[own] for own in files}
    counts = {name: len(rows_of(directory, name)) for name in truth.rows}
    assert counts == truth.rows
    contacts = rows_of(directory, "contacts")
    assert {row["id"]: row["notes"][0]["extra"]["kept"] for row in contacts} == truth.contacts
    assert all(row["contact_id"] for row in contacts)
    manifest = json.loads((directory / "manifest.json").read_text("utf-8"))
    assert "sandbox-key" not in json.dumps(manifest)
    assert "sandbox-token" not in json.dumps(manifest)
