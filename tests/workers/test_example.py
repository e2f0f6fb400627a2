from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.workers.crew import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_example_runs_with_one_command_and_no_server(tmp_path: Path) -> None:
    (tmp_path / "virus.png").write_bytes(b"not really")
    files = ["examples/files/logo.gif", str(tmp_path / "virus.png")]
    done = subprocess.run(  # noqa: S603  # our own interpreter and script
        [sys.executable, "-W", "error", "examples/worker/run.py", *files],
        cwd=ROOT,
        env={**os.environ, "CCV2_RATE": "0"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "logo.gif: Active" in done.stdout, done.stderr
    assert "virus.png: VirusFound" in done.stdout
    assert done.returncode == 1, "one of them failed"
    [failure] = done.stderr.splitlines()
    assert failure.startswith("virus.png: failed")


def test_the_example_without_credentials_says_what_is_missing() -> None:
    done = subprocess.run(  # our own interpreter and script
        [sys.executable, "-W", "error", "examples/worker/run.py"],
        cwd=ROOT,
        env={**os.environ, "CCV2_REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "No API key: pass api_key= or set CCV2_API_KEY. Nothing was sent.\n"
