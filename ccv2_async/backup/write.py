"""Write the files for the user from the journal: JSON Lines, CSV, and the manifest.

All methods block. Each file is written next to its path and renamed when it is complete.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import attrs
import orjson

from ccv2_async.backup.contents import explained, require_own
from ccv2_async.backup.datasets import BY_NAME, DATASETS, flat, line_of, memberships_in
from ccv2_async.transport.files.partial import PartialFile
from ccv2_async.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ccv2_async.backup.datasets import Dataset
    from ccv2_async.backup.journal import Journal
    from ccv2_async.backup.results import BackupProblem

FORMAT = 1
MANIFEST = "manifest.json"
_STEMS = ("manifest", "memberships", "vanished", *BY_NAME)
NAMES = tuple(f"{stem}.{form}" for stem in _STEMS for form in ("json", "jsonl", "csv"))
"""The names that these files may have."""

_BLOCK = 256 * 1024
_MOST_COLUMNS = 2000


class Exports:
    """Writes the files of one backup.

    Args:
        root: The directory.
        journal: Its journal.
    """

    def __init__(self, root: Path, journal: Journal) -> None:
        self._root = root
        self._journal = journal
        self.rows: dict[str, int] = {}
        self._written: list[dict[str, Any]] = []

    def write(self, names: Iterable[str]) -> None:
        """Write the records of these datasets.

        Raises:
            UsageError: A file cannot be written.
        """
        for name in names:
            dataset = BY_NAME[name]
            lines = (f"{text}\n" for text in self._lines(dataset))
            if dataset.single and not dataset.parent:
                self._file(f"{name}.json", lines)
                continue
            self.rows[name] = self._file(f"{name}.jsonl", lines, rows=True)
            if dataset.csv:
                self._file(f"{name}.csv", self._csv(dataset))
        self.rows["memberships"] = self._file("memberships.jsonl", self._memberships(), rows=True)
        self.rows["vanished"] = self._file("vanished.jsonl", self._vanished(), rows=True)

    def manifest(
        self,
        about: Mapping[str, Any],
        failed: Iterable[BackupProblem],
        left_out: Iterable[BackupProblem],
    ) -> None:
        """Write the manifest, which names every file with its size and digest.

        Args:
            about: The time and the account.
            failed: The parts that could not be fetched.
            left_out: The parts that the service does not offer.

        Raises:
            UsageError: It cannot be written.
        """
        files = [*self._written, *self._contents()]
        head = {
            "format": FORMAT,
            "written_by": f"ccv2_async {__version__}",
            **about,
            "rows": self.rows,
            "failed": [_plain(each) for each in failed],
            "left_out": [_plain(each) for each in left_out],
            "number_of_files": len(files),
        }
        text = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
        listed = ",\n  ".join(json.dumps(each, ensure_ascii=False) for each in files)
        self._file(MANIFEST, [f'{text},\n "files": [\n  {listed}\n ]\n}}\n'])

    def _lines(self, dataset: Dataset) -> Iterator[str]:
        for scope, _, text, _ in self._journal.records(dataset.name):
            yield line_of(dataset, scope, text)

    def _csv(self, dataset: Dataset) -> Iterator[str]:
        columns: dict[str, str] = {}
        for text in self._lines(dataset):
            columns.update(flat(orjson.loads(text)))
            if len(columns) > _MOST_COLUMNS:
                break
        writer = csv.DictWriter(_Echo(), list(columns)[:_MOST_COLUMNS], extrasaction="ignore")
        yield writer.writeheader()
        for text in self._lines(dataset):
            yield writer.writerow(dict(flat(orjson.loads(text))))

    def _memberships(self) -> Iterator[str]:
        lists = [orjson.loads(text) for _, _, text, _ in self._journal.records("lists")]
        list_ids = {str(row.get("id")): row.get("list_id") for row in lists}
        for _, _, text, _ in self._journal.records("contacts"):
            for row in memberships_in(orjson.loads(text), list_ids):
                yield json.dumps(row, ensure_ascii=False) + "\n"

    def _vanished(self) -> Iterator[str]:
        for dataset in DATASETS:
            for scope, own, text, noticed in self._journal.records(dataset.name, vanished=True):
                entry = self._journal.file(dataset.name, own)
                row = {
                    "dataset": dataset.name,
                    "id": own,
                    "noticed": noticed,
                    "path": entry.path if entry is not None and entry.version else None,
                    "record": orjson.loads(line_of(dataset, scope, text)),
                }
                yield json.dumps(row, ensure_ascii=False) + "\n"

    def _contents(self) -> Iterator[dict[str, Any]]:
        """Yield an entry of the manifest for each file with bytes of its own."""
        for each in self._journal.files():
            if each.version is not None:
                yield {"path": each.path, "bytes": each.size, "sha256": each.sha256, "id": each.id}

    def _file(self, name: str, texts: Iterable[str], *, rows: bool = False) -> int:
        """Write a file, and return the number of its lines."""
        with explained(self._root / name):
            partial = PartialFile(str(self._root / name))
        lines = size = 0
        waiting = bytearray()
        try:
            for text in texts:
                lines += 1
                # Half of an emoji cannot be written in UTF-8.
                waiting += text.encode("utf-8", "backslashreplace")
                if len(waiting) >= _BLOCK:
                    partial.write(bytes(waiting))
                    size += len(waiting)
                    waiting.clear()
            partial.write(bytes(waiting))
            size += len(waiting)
            if name not in (written := self._journal.written()):
                require_own(self._root, [name], written)
                self._journal.remember(written=" ".join([*written, name]))
            digest = partial.keep()
        finally:
            partial.discard()
        entry = {"path": name, "bytes": size, "sha256": digest}
        self._written.append({**entry, "rows": lines} if rows else entry)
        return lines


class _Echo:
    """Lets a CSV writer return the text of each row."""

    def write(self, text: str) -> str:
        return text


def _plain(problem: BackupProblem) -> dict[str, str]:
    return {name: value for name, value in attrs.asdict(problem).items() if value}
