"""Run the backend, here with an embedded sandbox: `python -m examples.web_backend --sandbox`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn

from ccv2_async import ConstantContact
from ccv2_async.errors import UsageError
from ccv2_async.sandbox import Sandbox

from .app import create_app, stop_streams

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

HOST = "127.0.0.1"


class Server(uvicorn.Server):
    """uvicorn waits for open requests before it stops, so this ends the event streams first."""

    loop: asyncio.AbstractEventLoop

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal arrives."""
        self.loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the event streams, then stop."""
        self.loop.call_soon_threadsafe(stop_streams, self.config.app)
        super().handle_exit(sig, frame)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.web_backend", description=__doc__)
    parser.add_argument(
        "--sandbox", action="store_true", help="upload to a service embedded in this process"
    )
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 for a free one")
    parser.add_argument("--database", default="uploads.db", help="the file for the uploads' tokens")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        given: dict[str, Any] = {}
        if options.sandbox:
            sandbox = stack.enter_context(Sandbox(mode="seconds", seconds=4))
            given = {**sandbox.client_options(), "per_second": None, "per_day": None}
        try:
            client = ConstantContact.from_env(**given)
            sock = stack.enter_context(socket.create_server((HOST, options.port)))
        except UsageError as error:
            sys.stderr.write(f"{error} Or try it with --sandbox.\n")
            return 2
        except OSError as error:
            sys.stderr.write(f"Cannot listen: {error}\n")
            return 2
        sys.stdout.write(f"Open http://{HOST}:{sock.getsockname()[1]}/ (ends with Ctrl-C)\n")
        sys.stdout.flush()
        app = create_app(lambda: client, database=options.database)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
        with contextlib.suppress(KeyboardInterrupt):
            Server(config).run([sock])
    return 0


if __name__ == "__main__":
    sys.exit(main())
