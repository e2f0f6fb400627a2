"""The sandbox is on this machine, so a proxy in the environment is not used for it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ccv2_async import ConstantContact
from ccv2_async.errors import InvalidField
from ccv2_async.workers import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from tests.cli.conftest import Ran


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not exist."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


async def files_of(client: ConstantContact) -> int:
    async with client as cc:
        return len(await cc.library.files().collect())


def test_the_options_of_a_sandbox_use_no_proxy(sandbox: Sandbox) -> None:
    assert asyncio.run(files_of(ConstantContact(**sandbox.client_options()))) == 0


def test_the_fixtures_use_no_proxy(ccv2_client: ConstantContact) -> None:
    assert asyncio.run(files_of(ccv2_client)) == 0


def test_the_commands_own_sandbox_uses_no_proxy(ccv2: Callable[..., Ran]) -> None:
    assert ccv2("files", "--sandbox").code == 0


def test_the_environment_that_the_sandbox_command_prints_uses_no_proxy(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ccv2_async.cli"]
    with subprocess.Popen(  # noqa: S603  # our own
        [*command, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline().removeprefix("export ").strip() for _ in range(4)]
        variables = dict(line.split("=", 1) for line in printed)
        ran = subprocess.run(  # noqa: S603  # our own
            [*command, "files"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **variables},
        )
        process.terminate()
    assert ran.returncode == 0, ran.stderr


def test_workers_take_the_options_of_a_sandbox(sandbox: Sandbox) -> None:
    assert WorkerSettings(**sandbox.client_options()).trust_env is False
    assert WorkerSettings.from_env({"CCV2_TRUST_ENV": "0"}).trust_env is False
    assert WorkerSettings.from_env({}).trust_env is True


def test_an_invalid_flag_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCV2_TRUST_ENV", "maybe")
    with pytest.raises(InvalidField, match="CCV2_TRUST_ENV"):
        ConstantContact.from_env(api_key="k", access_token="t")
