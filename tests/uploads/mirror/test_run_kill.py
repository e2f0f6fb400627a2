"""Killed at random moments while files change, a mirror stores and trashes each version once."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from ccv2_async.sandbox import Sandbox
from tests.uploads.many.test_run_kill import Uploading, run_and_kill, run_to_the_end
from tests.uploads.mirror.test_run import names_after_each_request

PROGRAM = Path(__file__).with_name("mirroring.py")
FILES = 24
KILLS = 8


class Mirroring(Uploading):
    """One run of the program."""

    program = PROGRAM


def place_of(number: int) -> str:
    return ("", "spring/", "spring/tulips/")[number % 3] + f"picture-{number}.png"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_version_is_stored_and_trashed_once_after_kills_at_any_moment(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)  # noqa: S311  # repeatable
    here: dict[str, bytes] = {}
    versions: Counter[str] = Counter()

    def write(number: int) -> None:
        path = tmp_path / place_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        here[path.name] = b"\x89PNG\r\n\x1a\n" + draw.randbytes(draw.randrange(40, 400))
        versions[path.name] += 1
        path.write_bytes(here[path.name])

    with Sandbox(mode="seconds", seconds=0.1, seed=seed, per_second=70) as sandbox:
        for number in range(FILES):
            write(number)
        await run_to_the_end(Mirroring(sandbox, tmp_path))
        names = names_after_each_request(sandbox, monkeypatch)
        for method in ("POST", "PUT", "DELETE"):
            sandbox.admin.fault("lose_response", method, "/library/files*", chance=0.1, times=None)
        lasting = {f"picture-{number}.png" for number in range(FILES // 2)}
        killed = 0
        for round_ in range(KILLS):
            if round_ % 2 == 0:  # the second of two runs continues the first
                await run_to_the_end(Mirroring(sandbox, tmp_path))
                for number in draw.sample(range(FILES // 2), 8):
                    write(number)
                for number in draw.sample(range(FILES // 2, FILES), 3):
                    (tmp_path / place_of(number)).unlink(missing_ok=True)
                    if here.pop(Path(place_of(number)).name, None) is None:
                        write(number)
            killed += await run_and_kill(Mirroring(sandbox, tmp_path), sandbox, draw)
        await run_to_the_end(Mirroring(sandbox, tmp_path))
        before = len(sandbox.admin.requests("POST"))
        await run_to_the_end(Mirroring(sandbox, tmp_path))

        files = sandbox.admin.files()
        live = [file for file in files if file["status"] != "Deleted"]
        assert len(sandbox.admin.requests("POST")) == before
        assert {file["name"]: sandbox.admin.content(file["id"]) for file in live} == here
        assert len(live) == len(here)
        assert len(files) == versions.total()
        assert killed >= KILLS // 2
        assert all(lasting <= set(seen) for seen in names)
        trashed = [
            id_
            for entry in sandbox.admin.requests("DELETE")
            for id_ in entry.path.rpartition("/")[2].split(",")
        ]
        assert len(set(trashed)) == len(files) - len(live)
