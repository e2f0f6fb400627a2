"""`taskiq worker` with invalid settings."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ccv2_async.errors import UsageError
from ccv2_async.workers import queue
from tests.cli.test_worker import COMPLETE, PATIENCE, wait_until
from tests.workers.crew import Crew

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_server import RedisServer

COMMAND = (sys.executable, "-m", "taskiq", "worker")
BROKER = "ccv2_async.workers.app:broker"
ADVICE = "run `ccv2 worker`"
OWN_MODULE = """
from ccv2_async.workers import Workers, WorkerSettings

workers = Workers(WorkerSettings.from_env(), trust_env=False)
broker = workers.broker
"""
WRONG = [
    pytest.param({"CCV2_API_KEY": ""}, "CCV2_API_KEY", id="no key"),
    pytest.param({"CCV2_RATE": "fast"}, "CCV2_RATE", id="a bad variable"),
    pytest.param({"CCV2_BASE_URL": "nowhere"}, "base_url is", id="a bad URL"),
    pytest.param({"CCV2_REDIS_URL": ""}, "CCV2_REDIS_URL is not set", id="no Redis URL"),
    pytest.param({"CCV2_REDIS_URL": "http://x"}, "Invalid Redis URL", id="a bad Redis URL"),
]


def run_taskiq(
    variables: dict[str, str], *options: str, broker: str = BROKER, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own interpreter
        (*COMMAND, broker, "--workers", "3", *options),
        env={**os.environ, **COMPLETE, "CCV2_REDIS_URL": "redis://127.0.0.1:9/0", **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assert_said_once(ran: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert ran.stderr.count(sentence) == 1, ran.stderr
    assert ran.stderr.count(ADVICE) == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "token-token" not in ran.stderr


@pytest.mark.parametrize(("variables", "sentence"), WRONG)
def test_invalid_settings_end_the_command_with_one_sentence(
    variables: dict[str, str], sentence: str
) -> None:
    assert_said_once(run_taskiq(variables), sentence)


@pytest.mark.parametrize(("name", "signals"), [("worker-0", 1), ("worker-1", 0)])
def test_one_worker_alone_stops_taskiq(
    name: str, signals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two signals at once would make the handler of taskiq wait for itself."""
    sent: list[int] = []
    monkeypatch.setattr(queue, "taskiq_manager", lambda: 4711)
    monkeypatch.setattr(multiprocessing.current_process(), "name", name)
    monkeypatch.setattr(os, "kill", lambda pid, _: sent.append(pid))
    with pytest.raises(SystemExit), queue.ends_taskiq_on_errors():
        raise UsageError("The settings are wrong.")
    assert sent == [4711] * signals


@pytest.mark.parametrize(("variables", "sentence"), WRONG)
def test_invalid_settings_end_it_with_an_error_code_when_restarts_are_limited(
    variables: dict[str, str], sentence: str
) -> None:
    ran = run_taskiq(variables, "--max-fails", "1")
    assert ran.returncode == 255
    assert_said_once(ran, sentence)


def test_a_missing_key_ends_workers_in_a_custom_module(tmp_path: Path) -> None:
    (tmp_path / "own_workers.py").write_text(OWN_MODULE, encoding="utf-8")
    ran = run_taskiq({"CCV2_API_KEY": ""}, broker="own_workers:broker", cwd=tmp_path)
    assert_said_once(ran, "CCV2_API_KEY")


@pytest.mark.timeout(180)
def test_workers_wait_for_an_absent_redis_and_say_so_once(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    own_redis_server.stop()
    environment = {**COMPLETE, "CCV2_REDIS_URL": own_redis_server.url}
    with Crew(environment, 1, tmp_path / "log") as crew:
        wait_until(lambda: "Redis does not answer" in crew.said(), crew.said)
        (worker,) = crew.pids
        own_redis_server.start()
        crew.wait_for_workers()
        assert crew.pids == [worker], "it was not started again"
        assert crew.said().count("Redis does not answer") == 1
        assert crew.said().count(ADVICE) == 1
        assert "Traceback" not in crew.said()


@pytest.mark.timeout(180)
def test_workers_that_wait_for_redis_can_be_stopped(unused_port_url: str, tmp_path: Path) -> None:
    with Crew({**COMPLETE, "CCV2_REDIS_URL": unused_port_url}, 2, tmp_path / "log") as crew:
        wait_until(lambda: crew.said().count("Redis does not answer") == 2, crew.said)
    assert "Traceback" not in crew.said()
