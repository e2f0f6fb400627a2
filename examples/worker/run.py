"""Upload files through workers: `python examples/worker/run.py [FILE...]`.

Without any setting, everything runs in this process: the queue is in memory, and an embedded
sandbox stands in for the service. Set CCV2_API_KEY and CCV2_ACCESS_TOKEN to use the real service,
and CCV2_REDIS_URL to hand the files to workers on other machines. The README next to this file says
how to start those.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ccv2_async.errors import ConstantContactError
from ccv2_async.workers import BulkState, Workers, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLES = Path(__file__).parents[1] / "files"


def settings_of(stack: contextlib.ExitStack) -> WorkerSettings:
    """Return the settings of the environment, or those of an embedded sandbox without a key."""
    settings = WorkerSettings.from_env()
    if settings.api_key or settings.redis_url:  # workers elsewhere cannot reach a sandbox here
        return settings
    from ccv2_async.sandbox import Sandbox  # noqa: PLC0415  # only without a key

    sandbox = stack.enter_context(Sandbox(mode="seconds", seconds=2.0))
    sys.stdout.write(f"No CCV2_API_KEY: using an embedded sandbox, {sandbox.base_url}\n")
    return WorkerSettings.from_env(**sandbox.client_options(), sweep_seconds=1.0)


async def upload(settings: WorkerSettings, paths: Sequence[Path]) -> bool:
    """Hand the files to the workers and print their outcomes; return whether all went well."""
    async with Workers(settings) as workers:
        asked = [await workers.enqueue_upload(path) for path in paths]
        sys.stdout.write(f"{len(asked)} uploads submitted\n")
        well = True
        async for record in workers.settled(one.key for one in asked):
            sys.stdout.write(f"{record.name}: {record.status or record.state} {record.error}\n")
            well = well and record.state is BulkState.DONE
        return well


def main(arguments: Sequence[str]) -> int:
    """Upload the files; return 0 if all went well, 1 if not, 2 if nothing was submitted."""
    paths = [Path(argument) for argument in arguments]
    paths = paths or sorted(path for path in SAMPLES.rglob("*") if path.is_file())
    with contextlib.ExitStack() as stack:
        try:
            return 0 if asyncio.run(upload(settings_of(stack), paths)) else 1
        except ConstantContactError as error:
            sys.stderr.write(f"{error}\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
