"""A real Redis server on a private port, for the tests that need one."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Self

import redis

from tests.support.lasting_ports import lasting_port

if TYPE_CHECKING:
    from pathlib import Path

BINARY = shutil.which("redis-server")
WHY_NOT = (
    "no redis-server on this machine: quota and workers over Redis are not tested "
    "(Debian: apt-get install redis-server)"
)
_PATIENCE = 60.0


class RedisServer:
    """`redis-server` as a child process that keeps what it holds over a stop and a start.

    Attributes:
        url: Where it listens.
        socket: The Unix socket on which it listens too.
    """

    def __init__(self, folder: Path) -> None:
        self.port: int = lasting_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.socket = folder / "redis.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        assert BINARY is not None
        options = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--unixsocket": str(self.socket),
            "--dir": str(self._folder),
            "--save": "",
            "--appendonly": "yes",
            "--appendfsync": "always",
            "--daemonize": "no",
            "--loglevel": "warning",
        }
        command = [BINARY, *(word for pair in options.items() for word in pair)]
        self._process = subprocess.Popen(  # noqa: S603  # found on the path
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _PATIENCE
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert self._process.poll() is None, "redis-server ended by itself"
                    assert time.monotonic() < end, "redis-server does not answer"
                    time.sleep(0.02)
                else:
                    return

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(timeout=_PATIENCE)

    def empty(self) -> None:
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def now(self) -> float:
        """Its own time, in seconds since 1970."""
        with redis.Redis(port=self.port) as client:
            seconds, micros = client.time()
        return float(seconds) + float(micros) / 1e6
