"""`ccv2 worker`, as run in a container."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("taskiq", reason="the extra [workers] is not installed")
pytest.importorskip("taskiq_redis", reason="the extra [workers] is not installed")

from ccv2_async.sandbox import Sandbox
from ccv2_async.workers import Workers, WorkerSettings
from tests.support.lasting_ports import lasting_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.redis_server import RedisServer

PATIENCE = 60.0
COMMAND = (sys.executable, "-m", "ccv2_async.cli", "worker")
COMPLETE = {
    "CCV2_API_KEY": "key-key-key-key",
    "CCV2_ACCESS_TOKEN": "token-token-token",
    "CCV2_BASE_URL": "http://127.0.0.1:9/v2",
}


def status_of(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}{path}", timeout=PATIENCE
        ) as answer:  # our own
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def metrics_of(port: int) -> list[str]:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE
    ) as answer:  # our own
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
        return str(answer.read().decode()).splitlines()


def wait_until(true: Callable[[], bool], said: Callable[[], str]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, said()
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("variables", "code", "sentence"),
    [
        ({"CCV2_API_KEY": ""}, 2, "CCV2_API_KEY"),
        ({"CCV2_RATE": "fast"}, 2, "CCV2_RATE"),
        ({"CCV2_WORKER_CONCURRENCY": "none"}, 2, "CCV2_WORKER_CONCURRENCY"),
        ({"CCV2_BASE_URL": "nowhere"}, 2, "CCV2_BASE_URL is"),
        ({"CCV2_REDIS_URL": ""}, 2, "CCV2_REDIS_URL is not set"),
        ({"CCV2_REDIS_URL": "http://x"}, 2, "Invalid Redis URL"),
        ({}, 1, "Redis does not answer"),
    ],
)
async def test_invalid_settings_end_the_worker_with_one_sentence(
    variables: dict[str, str], code: int, sentence: str, unused_port_url: str
) -> None:
    ran = subprocess.run(  # noqa: ASYNC221, S603  # our own interpreter
        COMMAND,
        env={**os.environ, **COMPLETE, "CCV2_REDIS_URL": unused_port_url, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == code, ran.stderr
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "token-token" not in ran.stderr
    assert "taskiq" not in ran.stderr


@pytest.mark.timeout(240)
async def test_the_worker_uploads_reports_health_logs_outcomes_and_ends_on_sigterm(
    own_redis_server: RedisServer, tmp_path: Path
) -> None:
    port = lasting_port()
    path = tmp_path / "menu.pdf"
    path.write_bytes(b"%PDF-1.4 today: soup")
    log = tmp_path / "log"
    with Sandbox(mode="looks", looks=0) as sandbox:
        options = sandbox.client_options()
        environment = {
            **{f"CCV2_{name.upper()}": str(options[name]) for name in ("api_key", "access_token")},
            "CCV2_BASE_URL": options["base_url"],
            "CCV2_REDIS_URL": own_redis_server.url,
            "CCV2_SWEEP_SECONDS": "0.5",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: ASYNC220, S603  # our own interpreter
                (*COMMAND, "--processes", "1", "--health-port", str(port)),
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(lambda: status_of(port, "/readyz") == 200, log.read_text)
            assert status_of(port, "/healthz") == 200
            assert status_of(port, "/other") == 404
            async with Workers(WorkerSettings.from_env(environment)) as workers:
                job = await workers.enqueue_upload(path)
                (record,) = [record async for record in workers.settled([job.key])]
                refused = await workers.enqueue_upload(tmp_path / "missing.pdf")
                (failed,) = [record async for record in workers.settled([refused.key])]
            assert record.error == ""
            assert failed.error
            assert metrics_of(port) == [
                "# HELP ccv2_jobs Jobs on record, by state.",
                "# TYPE ccv2_jobs gauge",
                'ccv2_jobs{state="pending"} 0',
                'ccv2_jobs{state="sending"} 0',
                'ccv2_jobs{state="accepted"} 0',
                'ccv2_jobs{state="done"} 1',
                'ccv2_jobs{state="failed"} 1',
                'ccv2_jobs{state="ambiguous"} 0',
            ]
            wait_until(
                lambda: f"menu.pdf: done, ID {record.file_id}" in log.read_text(), log.read_text
            )
            own_redis_server.stop()
            assert status_of(port, "/readyz") == 503
            assert status_of(port, "/metrics") == 503
            assert status_of(port, "/healthz") == 200
            own_redis_server.start()
            wait_until(lambda: status_of(port, "/readyz") == 200, log.read_text)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE) == 0
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=PATIENCE)


@pytest.mark.timeout(240)
def test_the_worker_exits_as_a_shell_would_when_taskiq_is_killed(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    port = lasting_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter
            (*COMMAND, "--processes", "1", "--health-port", str(port)),
            env={**os.environ, **COMPLETE, "CCV2_REDIS_URL": redis_server.url},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "Listening started" in log.read_text(), log.read_text)
        (taskiq,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(taskiq), signal.SIGKILL)
        assert process.wait(timeout=PATIENCE) == 128 + signal.SIGKILL
    finally:
        # The session was made for these processes alone: taskiq left its worker behind.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=PATIENCE)
