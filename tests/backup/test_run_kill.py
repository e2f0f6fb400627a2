"""Killed at random moments, a backup is complete in the end, and fetches nothing twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from ccv2_async.cli.exits import Exit
from tests.backup.directory import check_against, digests_below
from tests.support.large_account import large_sandbox, truth_of
from tests.support.probes import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ccv2_async.sandbox import Sandbox
    from ccv2_async.sandbox.state.gateway import Entry

KILLS = 10
PROBE = "/v2/library/info"  # asks whether the service is back after an outage
IN_FLIGHT = 16
"""Answers around a stop that may not have reached the disk; the log may note some late."""


def arm_faults(sandbox: Sandbox) -> None:
    """Let calls and downloads fail in every way that ends well on the next attempt."""
    content = {"path": "/content/*", "times": None}
    for kind, chance in (
        *(("cut_response", 0.03), ("shorten", 0.03), ("lose_response", 0.02)),
        *(("server_error", 0.03), ("unavailable", 0.02), ("page", 0.02)),
    ):
        sandbox.admin.fault(kind, chance=chance, **content)  # type: ignore[arg-type]
    for kind, chance in (
        *(("over_qps", 0.02), ("server_error", 0.03), ("cut_response", 0.03)),
        *(("lose_response", 0.02), ("unavailable", 0.02)),
    ):
        sandbox.admin.fault(kind, chance=chance, times=None)  # type: ignore[arg-type]
    sandbox.admin.fault("over_ratelimit", skip=40, times=2)  # the day's calls are used up


@attrs.define
class Command:
    """`ccv2 backup` of a sandbox, again and again.

    Attributes:
        sandbox: The sandbox.
        directory: Where it writes.
        kills: How often it was killed.
        stops: The lengths of the logs where a run stopped: killed, or with the day's calls used up.
        ends: The length of the log of calls where a run was complete.
    """

    sandbox: Sandbox
    directory: Path
    kills: int = 0
    stops: list[tuple[int, int]] = attrs.field(factory=list)
    ends: list[int] = attrs.field(factory=list)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        options = self.sandbox.client_options()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ccv2_async.cli", "backup"),
            *(*arguments, str(self.directory), "--trash"),
            env={
                **os.environ,
                "CCV2_BASE_URL": options["base_url"],
                "CCV2_API_KEY": options["api_key"],
                "CCV2_ACCESS_TOKEN": options["access_token"],
                "CCV2_RATE": "0",
                "CCV2_REMEMBER_CALLS": "0",
                "CCV2_TRUST_ENV": "0",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    def asked(self) -> tuple[int, int]:
        """Return the numbers of calls and downloads."""
        admin = self.sandbox.admin
        return len(admin.requests()), len(admin.downloads())

    async def run_and_kill(self, draw: random.Random) -> None:
        """Kill the command after some more requests and a moment, unless it has ended by then."""
        wanted = sum(self.asked()) + draw.randrange(80)
        pause = draw.random() * draw.choice((0.02, 0.02, 1.0))
        process = await self.start()
        output = asyncio.create_task(process.communicate())
        await until(lambda: sum(self.asked()) >= wanted or process.returncode is not None)
        await asyncio.sleep(pause)
        if process.returncode is None:
            process.kill()
        _, err = await output
        if process.returncode == -signal.SIGKILL:
            self.kills += 1
            self.stops.append(self.asked())
        else:
            self.ended(process.returncode, err.decode())

    async def run(self) -> int | None:
        """Let it end by itself; return its exit code."""
        process = await self.start()
        _, err = await process.communicate()
        self.ended(process.returncode, err.decode())
        return process.returncode

    def ended(self, code: int | None, said: str) -> None:
        """Note a run that was not killed."""
        assert code in (Exit.OK, Exit.SOME_FAILED, Exit.QUOTA), said
        if code == Exit.QUOTA:
            self.stops.append(self.asked())
        else:
            self.ends.append(self.asked()[0])


def check_nothing_twice(
    log: Sequence[Entry], stops: Sequence[int], ends: Sequence[int] = ()
) -> None:
    """Check that nothing was fetched again but what was in flight when a run was stopped.

    After a run that was complete, the next one asks what has changed.
    """
    answered: dict[tuple[object, ...], int] = {}
    for position, entry in enumerate(log):
        if position in ends:
            answered.clear()
        if entry.status != 200 or entry.fault is not None or entry.path == PROBE:
            continue
        key = (entry.path, *sorted(entry.query.items()))
        before = answered.get(key)
        if before is not None:
            assert any(abs(stop - before) <= IN_FLIGHT for stop in stops), key
        answered[key] = position


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_backup_is_complete_after_kills_at_any_moment(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)  # noqa: S311  # repeatable
    with large_sandbox(seed) as sandbox:
        arm_faults(sandbox)
        command = Command(sandbox, tmp_path / "backup")
        while command.kills < KILLS:
            await command.run_and_kill(draw)
        for _ in range(8):
            if await command.run() == Exit.OK:
                break

        check_against(command.directory, truth_of(sandbox._world))
        calls, downloads = sandbox.admin.requests(), sandbox.admin.downloads()
        check_nothing_twice(calls, [stop[0] for stop in command.stops], command.ends)
        check_nothing_twice(downloads, [stop[1] for stop in command.stops])
        sandbox.admin.clear_faults()
        before = digests_below(command.directory / "library")
        assert await command.run() == Exit.OK
        assert len(sandbox.admin.downloads()) == len(downloads)
        assert digests_below(command.directory / "library") == before
