"""Workers that may read only files of some directories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async import errors
from ccv2_async.transport.files import reading
from ccv2_async.transport.files.threads import FileThreads
from ccv2_async.workers import BulkState, Workers, WorkerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox

OUTSIDE = "it is outside the directories that may be read"


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """A directory with a file and a folder, next to things that a worker must not read."""
    outbox = tmp_path / "outbox"
    (outbox / "folder").mkdir(parents=True)
    (outbox / "good.png").write_bytes(b"good")
    (outbox / "folder" / "deep.png").write_bytes(b"deep")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "secret.csv").write_text("EMAIL\na@b.example\n")
    (tmp_path / "outbox2").mkdir()
    (tmp_path / "outbox2" / "other.png").write_bytes(b"secret")
    (outbox / "link.png").symlink_to("../secret.png")
    (outbox / "inside.png").symlink_to("folder/deep.png")
    (outbox / "up").symlink_to("..")
    return outbox


GOOD = ["good.png", "folder/deep.png", "inside.png", "folder/../good.png", "up/outbox/good.png"]
BAD = ["../secret.png", "link.png", "up/secret.png", "../outbox2/other.png", "../missing.png"]


@pytest.mark.parametrize("name", GOOD)
def test_files_inside_the_roots_are_allowed(outbox: Path, name: str) -> None:
    path = str(outbox / name)
    assert reading.measure(path, name, (str(outbox),)) == 4
    assert reading.measure(path, name, ("/nowhere", "/")) == 4


@pytest.mark.parametrize("name", BAD)
def test_files_outside_the_roots_are_refused(outbox: Path, name: str) -> None:
    threads = FileThreads()
    threads.roots = (str(outbox),)
    with pytest.raises(errors.FileRefused, match=OUTSIDE):
        reading.measure(str(outbox / name), name, threads.roots)
    with pytest.raises(errors.FileRefused, match=OUTSIDE):
        reading.open_and_read(str(outbox / name), name, threads)


@pytest.mark.parametrize("swapped", ["link", "folder"])
@pytest.mark.parametrize("has_proc", [True, False])
def test_a_link_that_is_swapped_after_the_check_is_refused(
    outbox: Path, swapped: str, has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outbox.parent / "elsewhere").mkdir()
    (outbox.parent / "elsewhere" / "deep.png").write_bytes(b"secret")
    real_open, real_link = os.open, os.readlink

    def swap(path: Any, *args: Any, **options: Any) -> int:
        if swapped == "link":
            (outbox / "folder" / "deep.png").unlink()
            (outbox / "folder" / "deep.png").symlink_to("../../secret.png")
        else:
            (outbox / "folder").rename(outbox / "old")
            (outbox / "folder").symlink_to("../elsewhere")
        return real_open(path, *args, **options)

    def no_proc(path: Any, **options: Any) -> str:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(path)
        return str(real_link(path, **options))

    monkeypatch.setattr(os, "open", swap)
    if not has_proc:
        monkeypatch.setattr(os, "readlink", no_proc)
    with pytest.raises(errors.FileRefused, match=OUTSIDE):
        reading.measure(str(outbox / "folder" / "deep.png"), "deep.png", (str(outbox),))


async def test_a_worker_with_roots_refuses_other_files(sandbox: Sandbox, outbox: Path) -> None:
    settings: dict[str, Any] = {**sandbox.client_options(), "roots": [outbox]}
    async with Workers(WorkerSettings(**settings)) as workers:
        jobs = {name: await workers.enqueue_upload(outbox / name) for name in [*GOOD[:3], *BAD]}
        activity = await workers.enqueue_activity(
            "add_contacts", contacts=str(outbox.parent / "secret.csv"), lists=["1"]
        )
        keys = {job.key: name for name, job in jobs.items()} | {activity.key: "activity"}
        ended = {keys[record.key]: record async for record in workers.settled(keys, every=0.05)}
    for name in GOOD[:3]:
        assert ended[name].state is BulkState.DONE, ended[name].error
    for name in [*BAD, "activity"]:
        assert ended[name].state is BulkState.FAILED
        assert OUTSIDE in ended[name].error
        assert ended[name].error_type == "FileRefused"
    assert len(sandbox.admin.requests("POST")) == 3


def test_the_roots_setting_is_read_from_the_environment(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "link").symlink_to("here")
    assert WorkerSettings().roots is None
    assert WorkerSettings(roots=here).roots == (str(here),)
    assert WorkerSettings(roots=[str(tmp_path / "link")]).roots == (str(here),)
    variables = {"CCV2_WORKER_ROOTS": f"{here}{os.pathsep}/srv"}
    assert WorkerSettings.from_env(variables).roots == (str(here), "/srv")
    for nothing in ([], "", [""]):
        with pytest.raises(errors.InvalidField, match="roots"):
            WorkerSettings(roots=nothing)
    with pytest.raises(errors.InvalidField, match="roots"):
        WorkerSettings.from_env({"CCV2_WORKER_ROOTS": os.pathsep})
