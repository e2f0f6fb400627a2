from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from ccv2_async.cli import main
from ccv2_async.sandbox import Sandbox
from tests.support.clocks import SkippingClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


@attrs.frozen
class Ran:
    """The output and the exit code of one run of the command."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout; anything else there is an error."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def no_profile(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The developer's own login is not used by any test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def service(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that the environment names as the service."""
    for name, value in environment_of(sandbox).items():
        monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox with data that the environment names as the service."""
    with Sandbox(seed="demo") as sandbox:
        for name, value in environment_of(sandbox).items():
            monkeypatch.setenv(name, value)
        yield sandbox


def environment_of(sandbox: Sandbox) -> dict[str, str]:
    options = sandbox.client_options()
    return {
        "CCV2_BASE_URL": options["base_url"],
        "CCV2_API_KEY": options["api_key"],
        "CCV2_ACCESS_TOKEN": options["access_token"],
        "CCV2_RATE": "0",
    }


@pytest.fixture
def ccv2(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs the command in this process, on a clock on which no wait takes any time."""
    monkeypatch.setattr("ccv2_async.clock.SystemClock", SkippingClock)
    # More than that clock skips: what is on a real socket lands in its own time.
    monkeypatch.setattr("ccv2_async.uploads.many.run.LANDING", 100.0)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        streams = capsys.readouterr()
        return Ran(code, streams.out, streams.err)

    return run


@pytest.fixture
def start(service: Sandbox) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command as a process of its own that talks to the service."""
    with ExitStack() as stack:

        def run(*arguments: object, **options: Any) -> subprocess.Popen[str]:
            given: dict[str, Any] = {
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "env": {**os.environ, "PYTHONUNBUFFERED": "1"},
            }
            command = [sys.executable, "-m", "ccv2_async.cli", *map(str, arguments)]
            process = subprocess.Popen(command, **given | options)  # noqa: S603  # our own
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield run


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a small file of that name."""

    def write(name: str, content: bytes = PNG) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write
