"""Several worker processes with one quota upload every file once, even when killed."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ccv2_async.sandbox import Sandbox
from ccv2_async.workers import BulkState, Workers, WorkerSettings
from tests.workers.crew import Crew

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.redis_server import RedisServer

QUOTA = 20
FILES = 200
KILL_AT = (25, 60, 95, 130)


def make_files(folder: Path) -> list[Path]:
    """Files of small sizes; every tenth has a twin of the same name and size."""
    draw = random.Random(5)  # noqa: S311  # the same files in every run
    paths = []
    for number in range(FILES):
        below = folder / f"{number:03}"
        below.mkdir()
        twin = number % 10 == 0
        name = f"twin{number // 20}.png" if twin else f"picture{number:03}.png"
        size = 700 + number // 20 if twin else draw.randrange(200, 20_000)
        path = below / name
        path.write_bytes(draw.randbytes(size))
        paths.append(path)
    return paths


def most_in_a_second(times: Sequence[float]) -> int:
    ordered = sorted(times)
    most = first = 0
    for last, time in enumerate(ordered):
        while time - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


# A bound for hangs. The message of a job may die with a worker; then it is sent after 300 seconds.
@pytest.mark.timeout(600)
async def test_three_killed_workers_upload_every_file_once_within_one_quota(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    paths = make_files(tmp_path)
    draw = random.Random(7)  # noqa: S311  # which worker is killed
    with Sandbox(mode="seconds", seconds=1.0, per_second=QUOTA) as sandbox:
        options = sandbox.client_options()
        # Some answers take their time, so that workers die between the upload and the record.
        sandbox.admin.fault(
            "delay_response", "POST", "/library/files", times=None, chance=0.5, seconds=0.5
        )
        environment = {
            "CCV2_API_KEY": options["api_key"],
            "CCV2_ACCESS_TOKEN": options["access_token"],
            "CCV2_BASE_URL": options["base_url"],
            "CCV2_REDIS_URL": redis_server.url,
            "CCV2_RATE": str(QUOTA),
            # A slot and its call may lie this far apart, however busy the machine is.
            "CCV2_QUOTA_MARGIN": "0.6",
            "CCV2_SWEEP_SECONDS": "1",
            # Longer than the service takes over what a dead worker had sent it.
            "CCV2_LEASE_SECONDS": "5",
            "CCV2_REDELIVER_SECONDS": "5",
        }
        settings = WorkerSettings.from_env(environment)
        with Crew(environment, 3, tmp_path / "workers.log") as crew:
            async with Workers(settings) as workers:
                await asyncio.to_thread(crew.wait_for_workers)
                asked = [await workers.enqueue_upload(path) for path in paths]
                counts: Counter[Any] = Counter()
                kills = list(KILL_AT)
                while counts[BulkState.DONE] < FILES:
                    await asyncio.sleep(0.05)
                    counts = Counter(await workers.counts())
                    sent = FILES - counts[BulkState.PENDING]
                    alive = crew.pids
                    if kills and sent >= kills[0] and counts[BulkState.SENDING] and alive:
                        kills.pop(0)
                        crew.kill(draw.choice(alive))
                    assert not counts[BulkState.FAILED], await workers.records(BulkState.FAILED)
                    assert not counts[BulkState.AMBIGUOUS], crew.said()
                records = [await workers.record(one.key) for one in asked]
            said = crew.said()
        calls = sandbox.admin.requests()
        files = sandbox.admin.files()
    assert len(crew.killed) == len(KILL_AT)
    assert most_in_a_second([call.time for call in calls]) <= QUOTA
    assert not [call for call in calls if call.status == 403]
    # Every file is there once, byte for byte, the twins included.
    sent_once = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    assert Counter(file["sha256"] for file in files) == sent_once
    assert len({record.file_id for record in records if record is not None}) == FILES
    digests = {file["id"]: file["sha256"] for file in files}
    for path, record in zip(paths, records, strict=True):
        assert record is not None
        assert record.status == "Active"
        assert digests[record.file_id] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "Traceback" not in said, said
