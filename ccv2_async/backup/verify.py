"""Check a backup against its manifest, and read the manifest. Neither needs a network."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from ccv2_async.backup.results import BackupProblem
from ccv2_async.backup.write import FORMAT, MANIFEST
from ccv2_async.errors import UsageError
from ccv2_async.text import one_line
from ccv2_async.transport.calls.saving import checked_path
from ccv2_async.transport.files.databases import misfit
from ccv2_async.transport.files.reading import open_regular
from ccv2_async.transport.files.threads import FileThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_BLOCK = 1024 * 1024
_FILE = {"path": str, "bytes": int, "sha256": str, "rows": int}


@attrs.frozen
class BackupFault:
    """A file of a backup that does not match the manifest.

    Attributes:
        path: Its path below the directory.
        reason: The problem, in a few words.
    """

    path: str
    reason: str


@attrs.frozen
class BackupManifest:
    """The manifest of a backup.

    Attributes:
        directory: The directory of the backup.
        service: The URL of the API.
        account: The account's email address or name.
        began: When the last complete run began.
        ended: When it ended.
        rows: The number of records of each dataset.
        files: The number of files in the backup.
        size: Their bytes.
        failed: The parts that could not be fetched.
        left_out: The parts that the service does not offer to the key.
    """

    directory: str
    service: str
    account: str
    began: str
    ended: str
    rows: Mapping[str, int]
    files: int
    size: int
    failed: tuple[BackupProblem, ...]
    left_out: tuple[BackupProblem, ...]


@attrs.frozen
class BackupCheck:
    """The result of checking a backup.

    Attributes:
        manifest: What the backup should hold.
        faults: The files that are missing or differ; none if the backup is whole.
        extra: Paths of other files below the directory, which the backup does not touch.
    """

    manifest: BackupManifest
    faults: tuple[BackupFault, ...]
    extra: tuple[str, ...] = ()


async def read_backup(directory: str | os.PathLike[str]) -> BackupManifest:
    """Return the manifest of a backup. The files themselves are not read.

    Args:
        directory: The directory of the backup.

    Raises:
        UsageError: There is no manifest that can be read.
    """
    return (await _in_thread(_read, directory))[0]


async def verify_backup(directory: str | os.PathLike[str]) -> BackupCheck:
    """Check the size, the SHA-256, and the number of lines of every file of a backup.

    Args:
        directory: The directory of the backup.

    Raises:
        UsageError: There is no manifest that can be read, so nothing can be checked.
    """
    return await _in_thread(_verify, directory)


async def _in_thread(work: Callable[[Path], T], directory: str | os.PathLike[str]) -> T:
    threads = FileThreads(limit=1)
    try:
        return await threads.run(work, Path(checked_path(directory, "directory")))
    finally:
        await threads.aclose()


def _verify(root: Path) -> BackupCheck:
    manifest, files = _read(root)
    faults = [BackupFault(each["path"], why) for each in files if (why := _fault_of(root, each))]
    return BackupCheck(manifest, tuple(faults), _others_in(root, files))


def _others_in(root: Path, files: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the paths of files that are not in the manifest, except for the backup's own."""
    named = {MANIFEST, *(entry["path"] for entry in files)}
    found, left = set[str](), [str(root)]
    while left:  # not one walk: Python 3.11 calls itself for each level
        # An unreadable directory yields nothing.
        folder, below, names = next(os.walk(left.pop()), ("", [], []))
        found |= {Path(folder, name).relative_to(root).as_posix() for name in names}
        left += [path for name in below if not os.path.islink(path := f"{folder}{os.sep}{name}")]  # noqa: PTH114
    return tuple(sorted(path for path in found - named if path[:6] != ".ccv2-"))


def _fault_of(root: Path, entry: Mapping[str, Any]) -> str:
    """Return the problem with a file, or "" if it matches the manifest."""
    path = PurePosixPath(entry["path"])
    if path.is_absolute() or ".." in path.parts:
        return "its path is outside the directory"
    digest, size, lines = hashlib.sha256(), 0, 0
    try:
        with open_regular(root / path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
                lines += block.count(b"\n")
    except FileNotFoundError:
        return "it is missing"
    except (OSError, ValueError) as error:  # such as a path with a NUL
        return f"it cannot be read ({getattr(error, 'strerror', error)})"
    if lines != entry.get("rows", lines):
        return f"its line count is {lines:,} instead of {entry['rows']:,}"
    if size != entry["bytes"]:
        return f"its size in bytes is {size:,} instead of {entry['bytes']:,}"
    return "" if digest.hexdigest() == entry["sha256"] else "its bytes have changed"


def _read(root: Path) -> tuple[BackupManifest, list[dict[str, Any]]]:
    path = root / MANIFEST
    try:
        with open_regular(path) as file:
            found = json.loads(file.read())
        if found["format"] != FORMAT:
            raise UsageError(  # noqa: TRY301  # it passes through
                f"{one_line(str(path))}: this manifest has format "
                f"{one_line(str(found['format']))}, but this package reads format {FORMAT}. Use "
                "the version that wrote it."
            )
        files = found["files"]
        for entry in files:
            if misfit([(name, {"rows": 0, **entry}[name]) for name in _FILE], _FILE):
                raise TypeError("a value of the wrong type")  # noqa: TRY301
        if len(files) != found["number_of_files"]:
            raise ValueError("not all files are listed")  # noqa: TRY301
        manifest = BackupManifest(
            directory=str(root),
            service=str(found["service"]),
            account=str(found["account"]),
            began=str(found["began"]),
            ended=str(found["ended"]),
            rows={str(name): int(number) for name, number in found["rows"].items()},
            files=len(files),
            size=sum(entry["bytes"] for entry in files),
            failed=_problems(found["failed"]),
            left_out=_problems(found["left_out"]),
        )
    except FileNotFoundError:
        if not root.exists():
            raise UsageError(f"{one_line(str(root))}: there is no such directory.") from None
        raise UsageError(
            f"{one_line(str(path))}: there is no manifest, so this is not a complete backup. Run "
            "the backup again; it continues where it stopped."
        ) from None
    except OSError as error:
        raise UsageError(
            f"{one_line(str(path))}: it cannot be read ({error.strerror or error})."
        ) from None
    except UsageError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError) as error:
        raise UsageError(
            f"{one_line(str(path))}: the manifest is damaged ({type(error).__name__}), so the "
            "files cannot be checked. Run the backup again; it writes a new one."
        ) from None
    return manifest, files


def _problems(rows: Any) -> tuple[BackupProblem, ...]:
    return tuple(
        BackupProblem(**{"id": "", "parent": ""} | {name: str(text) for name, text in row.items()})
        for row in rows
    )
